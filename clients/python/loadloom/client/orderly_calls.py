"""The verbs of weekly schedules for callers that wait; `Client` has them."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Unpack

from loadloom.client.calls import Calls
from loadloom.client.errors import ClientClosed, Overloaded, Unavailable
from loadloom.client.operations import PAUSE_S, Operation, Patience
from loadloom.client.orderly import Delivery, Shortage
from loadloom.client.orderly_notices import (
    Ledger,
    LedgerEntry,
    Notice,
    NoticeState,
    Reasons,
    Recorded,
    reasons,
)
from loadloom.client.orderly_parts import FairnessFigures
from loadloom.client.orderly_plan import WeeklyPlan, day_number, read_plan
from loadloom.client.orderly_request import (
    SMALL_BYTES,
    RevisionWishes,
    ScheduleWishes,
    Users,
    check_size,
    revision_request,
    schedule_request,
)
from loadloom.client.orderly_week import Week
from loadloom.client.orderly_words import callers_words
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.orderly_pb2_grpc import OrderlyServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub

Schedule = WeeklyPlan | str
"""A schedule: the plan of it, or its name."""

EXPLAIN_S = 10.0
"""How long explaining may take unless told otherwise."""

ENTRIES_PER_PAGE, NOTICES_PER_PAGE, SCHEDULES_PER_PAGE = 10_000, 1_000, 50

LEDGER_USERS = 1_000
"""The most users whose ledger a request asks for."""


class OrderlyCalls(Calls):
    """The verbs of weekly schedules, on a channel that the client opens and closes."""

    _orderly: OrderlyServiceStub

    def create_schedule(
        self,
        week: Week,
        users: Users,
        shortage: Shortage,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[ScheduleWishes],
    ) -> Operation[WeeklyPlan]:
        """The operation that solves a week; `result()` of it is the plan, a draft for all others.

        Args:
            week: the days and their slots.
            users: the users and what they offer.
            shortage: what is short.
            timeout_s: how long the call may take; the solve goes on after it.
            wishes: title, fairness, limits of the solve and so on; see ScheduleWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request = schedule_request(week, users, shortage, wishes)
        if request.ByteSize() > SMALL_BYTES:
            asked = SystemServiceStub(self._channel).GetSystemInfo
            said = self._call(asked, GetSystemInfoRequest())
            check_size(request, said.limits.message_bytes)
        with callers_words(users, shortage.feeders):
            message = self._call(self._orderly.CreateSchedule, request, timeout_s)
        return Operation(self._channel, message, read_plan)

    def get_schedule(self, name: str, *, user: str = "", revision: int = 0) -> WeeklyPlan:
        """A schedule: the latest plan or that of a revision, whole or as one user sees it.

        Raises:
            LoadloomError: there is none, or no answer.
        """
        request = pb.GetScheduleRequest(name=name, user=user, revision=revision)
        return WeeklyPlan(self._call(self._orderly.GetSchedule, request).schedule)

    def list_schedules(self) -> Iterator[WeeklyPlan]:
        """The schedules there are, the latest week first, without their plans.

        Raises:
            LoadloomError: there is no answer.
        """
        request = pb.ListSchedulesRequest(page_size=SCHEDULES_PER_PAGE)
        for page in self._pages(self._orderly.ListSchedules, request):
            yield from map(WeeklyPlan, page.schedules)

    def delete_schedule(self, schedule: Schedule) -> None:
        """Deletes a schedule that was never published, or is settled.

        Raises:
            LoadloomError: it cannot be deleted, or there is no answer.
        """
        self._call(
            self._orderly.DeleteSchedule, pb.DeleteScheduleRequest(name=schedule_name(schedule))
        )

    def publish_schedule(self, plan: WeeklyPlan, *, late_notice: bool = False) -> WeeklyPlan:
        """Announces a plan to its users: their notices fall due from now on.

        Args:
            plan: the plan.
            late_notice: whether users may be called to whom the notice that they need can no longer
                be given; they are told at once.

        Raises:
            LoadloomError: there is a newer plan, notice is late, or there is no answer.
        """
        request = pb.PublishScheduleRequest(
            name=plan.name, revision=plan.revision, late_notice=late_notice
        )
        return WeeklyPlan(self._call(self._orderly.PublishSchedule, request).schedule)

    def confirm_day(self, schedule: Schedule, day: int | date | str) -> WeeklyPlan:
        """Confirms the events of a day: from then on a revision may only release them.

        Raises:
            ValueError: there is no such day.
            LoadloomError: it cannot be confirmed, or there is no answer.
        """
        plan = self._plan(schedule)
        request = pb.ConfirmDayRequest(name=plan.name, day=day_number(plan.week, day))
        return WeeklyPlan(self._call(self._orderly.ConfirmDay, request).schedule)

    def revise_schedule(
        self,
        schedule: Schedule,
        shortage: Shortage,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[RevisionWishes],
    ) -> Operation[WeeklyPlan]:
        """The operation that plans a week again under a changed shortage.

        The plan calls only users to whom notice can still be given, and may release anyone.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        plan = self._plan(schedule)
        request = revision_request(plan, shortage, wishes)
        with callers_words((), shortage.feeders):
            message = self._call(self._orderly.ReviseSchedule, request, timeout_s)
        return Operation(self._channel, message, read_plan)

    def explain_schedule(
        self,
        schedule: Schedule,
        user: str = "",
        *,
        exact_exemption: bool = False,
        time_limit_s: float | None = None,
    ) -> Reasons:
        """The reasons behind a schedule, and for the plan of a user.

        Args:
            schedule: the plan of it, whichever revision that is, or its name for the latest.
            user: the user to explain; the slots and rules alone when empty.
            exact_exemption: whether to solve the week without the user, for the price of that.
            time_limit_s: the longest time to spend; ten seconds when left out.

        Raises:
            LoadloomError: there is no such schedule or user, or no answer.
        """
        plan = self._plan(schedule)
        request = explain_request(plan, user, exact_exemption, time_limit_s)
        limit_s = self.timeout_s + (time_limit_s or EXPLAIN_S)
        return reasons(self._call(self._orderly.ExplainSchedule, request, limit_s), plan.week)

    def stream_notices(
        self, schedule: Schedule = "", *, user: str = "", after: int = 0
    ) -> Iterator[Notice]:
        """The notices that are due, as they fall due, beyond a number; it goes on for ever.

        It is resumed where it broke off when the server was away.

        Raises:
            LoadloomError: the server refuses, or was away for too long.
        """
        request = pb.StreamNoticesRequest(
            schedule=schedule_name(schedule), user=user, after_notice=after
        )
        patience = Patience()
        while not self._closed:
            call = self._orderly.StreamNotices(request)
            try:
                with patience.tried():
                    for answer in call:
                        request.after_notice = answer.notice.number
                        patience.renew()
                        yield Notice.of_message(answer.notice)
                time.sleep(PAUSE_S)
            except (Unavailable, Overloaded) as error:
                time.sleep(patience.pause_s(error))
            finally:
                call.cancel()
        raise ClientClosed.now()

    def list_notices(
        self, schedule: Schedule, *, user: str = "", states: Sequence[NoticeState | str] = ()
    ) -> Iterator[Notice]:
        """The notices of a schedule, by number; those in some states alone when they are given.

        Raises:
            LoadloomError: there is no such schedule, or no answer.
        """
        request = notices_request(schedule_name(schedule), user, states)
        for page in self._pages(self._orderly.ListNotices, request):
            yield from map(Notice.of_message, page.notices)

    def acknowledge_notice(self, number: int, user: str) -> Notice:
        """The notice, now known to have reached its user.

        Raises:
            LoadloomError: there is no such notice of this user, or no answer.
        """
        request = pb.AcknowledgeNoticeRequest(number=number, user=user)
        return Notice.of_message(self._call(self._orderly.AcknowledgeNotice, request).notice)

    def record_delivery(self, schedule: Schedule, deliveries: Iterable[Delivery]) -> Recorded:
        """Records what was delivered, all of it or nothing; a later record replaces an earlier one.

        Raises:
            LoadloomError: some are of no event, or there is no answer.
        """
        request = delivery_request(schedule_name(schedule), deliveries)
        answer = self._call(self._orderly.RecordDelivery, request)
        return recorded(answer)

    def settle_schedule(self, schedule: Schedule, *, missing_as_zero: bool = False) -> WeeklyPlan:
        """Closes a schedule whose week is over: the ledger takes what was delivered.

        Args:
            schedule: the schedule.
            missing_as_zero: whether events without a record count as not delivered.

        Raises:
            LoadloomError: it cannot be closed yet, or there is no answer.
        """
        request = pb.SettleScheduleRequest(
            name=schedule_name(schedule), missing_as_zero=missing_as_zero
        )
        return WeeklyPlan(self._call(self._orderly.SettleSchedule, request).schedule)

    def get_ledger(self, users: Sequence[str] = ()) -> Ledger:
        """The burdens over the weeks, of all users or of some.

        Raises:
            LoadloomError: there is no answer.
        """
        requests = ledger_requests(users)
        return ledger([p for r in requests for p in self._pages(self._orderly.GetLedger, r)])

    def _plan(self, schedule: Schedule) -> WeeklyPlan:
        return schedule if isinstance(schedule, WeeklyPlan) else self.get_schedule(schedule)


def explain_request(
    plan: WeeklyPlan, user: str, exact_exemption: bool, time_limit_s: float | None
) -> pb.ExplainScheduleRequest:
    """The request for the reasons of a plan."""
    request = pb.ExplainScheduleRequest(
        name=plan.name, revision=plan.revision, user=user, exact_exemption=exact_exemption
    )
    if time_limit_s is not None:
        request.time_limit.FromTimedelta(timedelta(seconds=time_limit_s))
    return request


def notices_request(
    schedule: str, user: str, states: Sequence[NoticeState | str]
) -> pb.ListNoticesRequest:
    """The request for the notices of a schedule."""
    wanted = [pb.NoticeState.Value(f"NOTICE_STATE_{NoticeState(s).upper()}") for s in states]
    return pb.ListNoticesRequest(
        schedule=schedule, user=user, states=wanted, page_size=NOTICES_PER_PAGE
    )


def delivery_request(name: str, deliveries: Iterable[Delivery]) -> pb.RecordDeliveryRequest:
    """The request to record deliveries."""
    request = pb.RecordDeliveryRequest(name=name)
    for one in deliveries:
        request.deliveries.add(
            user=one.user, day=one.day, first_slot=one.first_slot, energy_kwh=one.energy_kwh
        )
    return request


def recorded(answer: pb.RecordDeliveryResponse) -> Recorded:
    """How much of a schedule has been recorded."""
    return Recorded(
        recorded_count=answer.recorded_count,
        missing_count=answer.missing_count,
        missed_count=answer.missed_count,
    )


def ledger_requests(users: Sequence[str]) -> list[pb.GetLedgerRequest]:
    """The requests for the ledger of all users or of some, which are many for many users."""
    named = sorted(set(users))
    parts = [named[i : i + LEDGER_USERS] for i in range(0, len(named), LEDGER_USERS)] or [[]]
    return [pb.GetLedgerRequest(users=part, page_size=ENTRIES_PER_PAGE) for part in parts]


def ledger(pages: Sequence[pb.GetLedgerResponse]) -> Ledger:
    """The ledger on some pages."""
    return Ledger(
        entries=[LedgerEntry.of_message(entry) for page in pages for entry in page.entries],
        fairness=FairnessFigures.of_message(pages[0].fairness),
    )


def schedule_name(schedule: Schedule) -> str:
    """The name of a schedule."""
    return schedule.name if isinstance(schedule, WeeklyPlan) else schedule
