"""Customers of a small network, and an operator who calls them through a server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import grpc
import numpy as np
from anyio.from_thread import start_blocking_portal

from loadloom.engine.server import Offer, running
from loadloom.engine.settings import Settings
from loadloom.v1 import agency_pb2, common_pb2
from loadloom.v1 import response_pb2 as pb
from loadloom.v1.response_pb2_grpc import ResponseServiceStub
from loadloom.wire.arrays import to_floats, to_matrix

EVENING = datetime(2026, 8, 12, 16, tzinfo=UTC)
"""A Wednesday, 18:00 in Amsterdam."""

NEXT_DAY = EVENING + timedelta(days=1)

ZONE = "Europe/Amsterdam"
Z_ONE = 0.8413447460685429
"""The confidence whose normal quantile is 1."""

SERIALS = count()
"""Numbers that no other test has."""


def grid(count: int = 2, start: datetime = EVENING, step_s: int = 3600) -> common_pb2.TimeGrid:
    found = common_pb2.TimeGrid(count=count, time_zone=ZONE)
    found.start_time.FromDatetime(start)
    found.step.seconds = step_s
    return found


def problem_by_hand() -> pb.TargetProblem:
    """Means 4, 4, 7 kW, deviations 0, 0, 3, costs 1, 1, 1.5; need 7 kW at z = 1: the first two."""
    problem = pb.TargetProblem(grid=grid(1))
    problem.network.names.append("transformer")
    problem.network.need_kw.CopyFrom(to_matrix([[7.0]]))
    problem.network.confidence.append(Z_ONE)
    customers = problem.customers
    customers.count = 3
    customers.size_kw.CopyFrom(to_floats([[4.0], [4.0], [7.0]]))
    customers.size_sd_kw.CopyFrom(to_floats([[0.0], [0.0], [3.0]]))
    customers.contact_cost.extend([1.0, 1.0, 1.5])
    return problem


def names(count: int) -> list[str]:
    return [f"home {index:02d}" for index in range(count)]


def problem_of_homes(
    count: int = 40, need_kw: Sequence[float] = (18.0, 12.0), known_as: str = ""
) -> pb.TargetProblem:
    """Homes of 2 kW below two transformers; they accept with 0.7 at 0.2 EUR, with 0.9 at 0.4."""
    problem = pb.TargetProblem(grid=grid(2), currency_code="EUR")
    network = problem.network
    network.names.extend(["feeder", "north", "south"])
    network.parents.extend([-1, 0, 0])
    network.need_kw.CopyFrom(to_matrix([[0.0], [need_kw[0]], [need_kw[1]]]))
    network.confidence.append(0.9)
    customers = problem.customers
    customers.names.extend(f"{known_as}{name}" for name in names(count))
    customers.nodes.extend(1 + index % 2 for index in range(count))
    sizes = np.linspace(1.5, 2.5, count)[:, None]
    customers.size_kw.CopyFrom(to_floats(sizes))
    customers.size_sd_kw.CopyFrom(to_floats(0.1 * sizes))
    customers.price_per_kwh.extend([0.2, 0.4])
    customers.acceptance.CopyFrom(to_floats([[0.7, 0.9]]))
    customers.contact_cost.append(0.05)
    customers.group_names.extend(["old town", "new town"])
    customers.groups.extend(index // 2 % 2 for index in range(count))
    return problem


def event_request(
    request_id: str = "hot evening",
    *,
    known_as: str = "",
    need_kw: Sequence[float] = (18.0, 12.0),
    **changes: object,
) -> pb.CreateEventRequest:
    problem = problem_of_homes(known_as=known_as, need_kw=need_kw)
    request = pb.CreateEventRequest(request_id=request_id, title="hot evening", problem=problem)
    request.options.relative_gap = 0.01  # the last of a gap takes seconds on a busy machine
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def event_calling(*customers: str) -> pb.CreateEventRequest:
    """An event that calls these customers, among others."""
    request = event_request()
    request.problem.customers.names[: len(customers)] = customers
    request.problem.customers.must_call.extend(range(len(customers)))
    return request


def accepts(customer: str, kw: float | None = None) -> pb.Answer:
    return pb.Answer(customer=customer, state=pb.CALL_STATE_ACCEPTED, accepted_kw=kw)


def opts_out(customer: str) -> pb.Answer:
    return pb.Answer(customer=customer, state=pb.CALL_STATE_OPTED_OUT)


DAYS = 21
"""The days of readings: those before the evening, and its own."""


def readings(
    customers: Sequence[str], usual_kw: float = 3.0, saved_kw: Sequence[float] = ()
) -> pb.DayReadings:
    """Hourly loads that are the same on all days, but for what each saves on the evening."""
    start = EVENING - timedelta(days=DAYS - 1, hours=18)
    loads = np.full((len(customers), DAYS * 24), usual_kw)
    first = (DAYS - 1) * 24 + 18
    for row, kw in enumerate(saved_kw):
        loads[row, first : first + 2] -= kw
    message = pb.DayReadings(grid=grid(DAYS * 24, start))
    message.curves.CopyFrom(agency_pb2.Curves(names=customers, load_kw=to_matrix(loads)))
    return message


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    time: datetime = EVENING - timedelta(hours=6)

    def __call__(self, _: object) -> float:
        return self.time.timestamp()


@dataclass
class Operator:
    """Who calls customers."""

    channel: grpc.Channel
    stub: ResponseServiceStub
    clock: Clock = field(default_factory=Clock)

    def calls(self, event: pb.ResponseEvent, *states: pb.CallState.ValueType) -> dict[str, pb.Call]:
        """The calls of an event by customer, read page by page."""
        found: dict[str, pb.Call] = {}
        request = pb.ListCallsRequest(name=event.name, states=states, page_size=7)
        while True:
            page = self.stub.ListCalls(request)
            found |= {call.customer: call for call in page.calls}
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def answer(self, event: pb.ResponseEvent, *answers: pb.Answer, close: bool = False):
        request = pb.RecordAnswersRequest(name=event.name, answers=answers, close=close)
        return self.stub.RecordAnswers(request).counts

    @contextmanager
    def at(self, time: datetime) -> Iterator[None]:
        """The clock at an instant while the block lasts."""
        before, self.clock.time = self.clock.time, time
        try:
            yield
        finally:
            self.clock.time = before

    def settle(self, request: pb.SettleEventRequest) -> pb.EventSettlement:
        """The settlement of an event of the evening, asked for once it is over."""
        with self.at(NEXT_DAY):
            return self.stub.SettleEvent(request, timeout=120).settlement

    def watched(
        self, count: int, *, event: str = "", customer: str = "", after_number: int = 0
    ) -> list[pb.Call]:
        """The next calls that a watcher is told."""
        request = pb.WatchCallsRequest(event=event, customer=customer, after_number=after_number)
        stream = self.stub.WatchCalls(request, timeout=20)
        found = [next(stream).call for _ in range(count)]
        stream.cancel()
        return found


def created(operator: Operator, **changes: object) -> pb.ResponseEvent:
    """An event whose request id and customers nobody else uses."""
    serial = next(SERIALS)
    request = event_request(f"event {serial}", known_as=f"{serial}-", **changes)
    return operator.stub.CreateEvent(request, timeout=120).event


@contextmanager
def operating(url: str, clock: Clock | None = None, **settings: object) -> Iterator[Operator]:
    """An operator whose server keeps events in a database."""
    clock = clock or Clock()
    usual = {"port": 0, "workers": 1, "job_workers": 1, "database_url": url}
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            running(Settings(**{**usual, **settings}), Offer(clock=clock))
        ) as engine,
        grpc.insecure_channel(
            engine.address, options=[("grpc.max_receive_message_length", -1)]
        ) as channel,
    ):
        yield Operator(channel, ResponseServiceStub(channel), clock)
