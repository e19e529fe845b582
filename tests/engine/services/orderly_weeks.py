"""Weeks small enough to be solved at once, planners who call a server, and a clock to be set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np
from anyio.from_thread import start_blocking_portal
from google.longrunning import operations_pb2 as longrunning
from google.longrunning.operations_pb2_grpc import OperationsStub

from loadloom.engine.job_table import JOBS
from loadloom.engine.jobs import Job
from loadloom.engine.server import Offer, running
from loadloom.engine.settings import Settings
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.orderly_pb2_grpc import OrderlyServiceStub

MONDAY = datetime(2026, 12, 7, tzinfo=UTC)
USERS = ("anna", "bert", "cora", "dora")
SHORT = dict.fromkeys(range(5), 150.0)
"""The evenings of a usual week, and what is short in them."""


def week_request(
    start: datetime = MONDAY,
    zone: str = "UTC",
    short: dict[int, float] = SHORT,
    names: Sequence[str] = USERS,
    **changes: object,
) -> pb.CreateScheduleRequest:
    """Four users of 100 kW in eight shifts; evenings, slot 6, are short."""
    request = pb.CreateScheduleRequest(title="park", currency_code="EUR")
    request.week.start_time.FromDatetime(start)
    request.week.slot_count = 8
    request.week.time_zone = zone
    users, measures = request.users, request.measures
    users.names.extend(names)
    users.load_kw.rows = users.load_kw.cols = 1
    users.load_kw.values.values.append(100.0)
    users.contract_kwh.values.append(10_000.0)
    users.max_days.append(4)
    users.industry.extend(["food", "steel", "food", "steel"])
    measures.user.extend(range(4))
    measures.kind.append(pb.MEASURE_KIND_LIMIT)
    measures.cap_kw.values.append(80.0)
    measures.cost_per_kwh.values.extend([1.0, 2.0, 3.0, 4.0])
    measures.max_slots.append(2)
    measures.notice.extend(NOTICES)
    request.shortage.CopyFrom(shortage(short))
    request.options.method = pb.ORDERLY_METHOD_FLAT
    request.options.time_limit.seconds = 20
    for name, value in changes.items():
        setattr(request, name, value)
    return request


NOTICES = (
    pb.NOTICE_CLASS_WEEK,
    pb.NOTICE_CLASS_DAY,
    pb.NOTICE_CLASS_QUARTER_HOUR,
    pb.NOTICE_CLASS_IMMEDIATE,
)


def shortage(short: dict[int, float]) -> pb.Shortage:
    """A shortage in the evenings of some days, and room in all other slots."""
    found = np.full((7, 8), -100.0)
    for day, kw in short.items():
        found[day, 6] = kw
    message = pb.Shortage(unserved_price_per_kwh=100.0)
    message.shortage_kw.values.extend(found.reshape(-1))
    return message


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    time: datetime = MONDAY - timedelta(days=10)

    def __call__(self, _: object) -> float:
        return self.time.timestamp()

    # Questions that ask for the same at the same time are known by their arguments.
    def __hash__(self) -> int:
        return id(self)


@dataclass
class Planner:
    """Somebody who plans weeks."""

    address: str
    clock: Clock = field(default_factory=Clock)
    names: tuple[str, ...] = USERS

    def __post_init__(self) -> None:
        options = [("grpc.enable_retries", 0)]
        self.channel = grpc.insecure_channel(self.address, options=options)
        self.stub = OrderlyServiceStub(self.channel)
        self.operations = OperationsStub(self.channel)

    def anew(self, serial: int) -> "Planner":
        """The same planner with users that nobody else plans for, ten days before the week."""
        self.clock.time = Clock().time
        self.names = tuple(f"{name} {serial}" for name in USERS)
        return self

    def request(self, **changes: object) -> pb.CreateScheduleRequest:
        return week_request(**{"names": self.names, **changes})

    def ended(self, operation: longrunning.Operation) -> longrunning.Operation:
        wait = longrunning.WaitOperationRequest(name=operation.name)
        wait.timeout.seconds = 60
        return self.operations.WaitOperation(wait, timeout=70)

    def solved(self, operation: longrunning.Operation) -> pb.WeeklySchedule:
        ended = self.ended(operation)
        assert ended.HasField("response"), ended
        found = pb.WeeklySchedule()
        assert ended.response.Unpack(found)
        return found

    def create(self, **changes: object) -> pb.WeeklySchedule:
        return self.solved(self.stub.CreateSchedule(self.request(**changes), timeout=60))

    def published(self, **changes: object) -> pb.WeeklySchedule:
        return self.publish(self.create(**changes))

    def publish(
        self, schedule: pb.WeeklySchedule, *, late_notice: bool = False
    ) -> pb.WeeklySchedule:
        request = pb.PublishScheduleRequest(
            name=schedule.name, revision=schedule.revision, late_notice=late_notice
        )
        return self.stub.PublishSchedule(request, timeout=60).schedule

    def get(self, name: str, **wanted: object) -> pb.WeeklySchedule:
        return self.stub.GetSchedule(
            pb.GetScheduleRequest(name=name, **wanted), timeout=60
        ).schedule

    def revise(self, name: str, short: dict[int, float], **wanted: object) -> pb.WeeklySchedule:
        request = pb.ReviseScheduleRequest(name=name, shortage=shortage(short), **wanted)
        request.options.method = pb.ORDERLY_METHOD_REFERENCE
        return self.solved(self.stub.ReviseSchedule(request, timeout=60))

    def notices(self, name: str, **wanted: object) -> list[pb.Notice]:
        request = pb.ListNoticesRequest(schedule=name, **wanted)
        return list(self.stub.ListNotices(request, timeout=60).notices)

    def due(self, count: int, **wanted: object) -> list[pb.Notice]:
        """The next notices of a stream, which must come soon."""
        call = self.stub.StreamNotices(pb.StreamNoticesRequest(**wanted), timeout=60)
        found = [next(call).notice for _ in range(count)]
        call.cancel()
        return found

    def acknowledge(self, notice: pb.Notice) -> pb.Notice:
        request = pb.AcknowledgeNoticeRequest(number=notice.number, user=notice.user)
        return self.stub.AcknowledgeNotice(request, timeout=60).notice

    def deliver(self, schedule: pb.WeeklySchedule, share: float = 1.0) -> pb.RecordDeliveryResponse:
        """Records that every event delivered a share of what was planned."""
        request = pb.RecordDeliveryRequest(name=schedule.name)
        events = schedule.events
        for user, day, first, energy in zip(
            events.users, events.days, events.first_slots, events.energy_kwh.values, strict=True
        ):
            request.deliveries.add(
                user=schedule.users[user], day=day, first_slot=first, energy_kwh=share * energy
            )
        return self.stub.RecordDelivery(request, timeout=60)

    def settle(self, name: str, **wanted: object) -> pb.WeeklySchedule:
        request = pb.SettleScheduleRequest(name=name, **wanted)
        return self.stub.SettleSchedule(request, timeout=60).schedule

    def ledger(self, **wanted: object) -> pb.GetLedgerResponse:
        return self.stub.GetLedger(pb.GetLedgerRequest(**wanted), timeout=60)


def keys(schedule: pb.WeeklySchedule) -> set[tuple[int, ...]]:
    """What makes the events of a schedule what they are."""
    events = schedule.events
    columns = (events.users, events.days, events.measures, events.first_slots, events.slot_counts)
    return set(zip(*columns, strict=True))


@contextmanager
def planning(
    url: str, clock: Clock | None = None, jobs: Sequence[Job] = JOBS, **settings: object
) -> Iterator[Planner]:
    """A planner of a server in this process, whose worker is a process as ever."""
    clock = clock or Clock()
    usual = {"port": 0, "workers": 1, "job_workers": 1, "grace_s": 1.0, "database_url": url}
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            running(Settings(**{**usual, **settings}), Offer(clock=clock, jobs=jobs))
        ) as engine,
    ):
        planner = Planner(engine.address, clock)
        yield planner
        planner.channel.close()
