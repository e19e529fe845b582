"""The verbs of weekly schedules for callers that await; `AsyncClient` has them.

Arguments and errors are those of `loadloom.client.orderly_calls.OrderlyCalls`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Unpack

from loadloom.client.calls import AsyncCalls
from loadloom.client.errors import ClientClosed, Overloaded, Unavailable
from loadloom.client.operations import PAUSE_S, AsyncOperation, Patience
from loadloom.client.orderly import Delivery, Shortage
from loadloom.client.orderly_calls import (
    EXPLAIN_S,
    SCHEDULES_PER_PAGE,
    Schedule,
    delivery_request,
    explain_request,
    ledger,
    ledger_requests,
    notices_request,
    recorded,
    schedule_name,
)
from loadloom.client.orderly_notices import (
    Ledger,
    Notice,
    NoticeState,
    Reasons,
    Recorded,
    reasons,
)
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
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub

if TYPE_CHECKING:  # the stub has another class for types alone
    from loadloom.v1.orderly_pb2_grpc import OrderlyServiceAsyncStub


class AsyncOrderlyCalls(AsyncCalls):
    """The verbs of weekly schedules, on a channel that the client opens and closes."""

    _orderly: "OrderlyServiceAsyncStub"

    async def create_schedule(
        self,
        week: Week,
        users: Users,
        shortage: Shortage,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[ScheduleWishes],
    ) -> AsyncOperation[WeeklyPlan]:
        """The operation that solves a week."""
        request = schedule_request(week, users, shortage, wishes)
        if request.ByteSize() > SMALL_BYTES:
            asked = SystemServiceStub(self._channel).GetSystemInfo
            said = await self._call(asked, GetSystemInfoRequest())
            check_size(request, said.limits.message_bytes)
        with callers_words(users, shortage.feeders):
            message = await self._call(self._orderly.CreateSchedule, request, timeout_s)
        return AsyncOperation(self._channel, message, read_plan)

    async def get_schedule(self, name: str, *, user: str = "", revision: int = 0) -> WeeklyPlan:
        """A schedule: the latest plan or that of a revision, whole or as one user sees it."""
        request = pb.GetScheduleRequest(name=name, user=user, revision=revision)
        return WeeklyPlan((await self._call(self._orderly.GetSchedule, request)).schedule)

    async def list_schedules(self) -> AsyncIterator[WeeklyPlan]:
        """The schedules there are, the latest week first, without their plans."""
        request = pb.ListSchedulesRequest(page_size=SCHEDULES_PER_PAGE)
        async for page in self._pages(self._orderly.ListSchedules, request):
            for schedule in page.schedules:
                yield WeeklyPlan(schedule)

    async def delete_schedule(self, schedule: Schedule) -> None:
        """Deletes a schedule that was never published, or is settled."""
        request = pb.DeleteScheduleRequest(name=schedule_name(schedule))
        await self._call(self._orderly.DeleteSchedule, request)

    async def publish_schedule(self, plan: WeeklyPlan, *, late_notice: bool = False) -> WeeklyPlan:
        """Announces a plan to its users, maybe to some whose notice can no longer be given."""
        request = pb.PublishScheduleRequest(
            name=plan.name, revision=plan.revision, late_notice=late_notice
        )
        return WeeklyPlan((await self._call(self._orderly.PublishSchedule, request)).schedule)

    async def confirm_day(self, schedule: Schedule, day: int | date | str) -> WeeklyPlan:
        """Confirms the events of a day."""
        plan = await self._plan(schedule)
        request = pb.ConfirmDayRequest(name=plan.name, day=day_number(plan.week, day))
        return WeeklyPlan((await self._call(self._orderly.ConfirmDay, request)).schedule)

    async def revise_schedule(
        self,
        schedule: Schedule,
        shortage: Shortage,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[RevisionWishes],
    ) -> AsyncOperation[WeeklyPlan]:
        """The operation that plans a week again under a changed shortage."""
        plan = await self._plan(schedule)
        request = revision_request(plan, shortage, wishes)
        with callers_words((), shortage.feeders):
            message = await self._call(self._orderly.ReviseSchedule, request, timeout_s)
        return AsyncOperation(self._channel, message, read_plan)

    async def explain_schedule(
        self,
        schedule: Schedule,
        user: str = "",
        *,
        exact_exemption: bool = False,
        time_limit_s: float | None = None,
    ) -> Reasons:
        """The reasons behind a schedule, and for the plan of a user."""
        plan = await self._plan(schedule)
        request = explain_request(plan, user, exact_exemption, time_limit_s)
        limit_s = self.timeout_s + (time_limit_s or EXPLAIN_S)
        answer = await self._call(self._orderly.ExplainSchedule, request, limit_s)
        return reasons(answer, plan.week)

    async def stream_notices(
        self, schedule: Schedule = "", *, user: str = "", after: int = 0
    ) -> AsyncIterator[Notice]:
        """The notices that are due, as they fall due, beyond a number; it goes on for ever."""
        name = schedule_name(schedule)
        request = pb.StreamNoticesRequest(schedule=name, user=user, after_notice=after)
        patience = Patience()
        while not self._closed:
            call = self._orderly.StreamNotices(request)
            try:
                with patience.tried():
                    async for answer in call:
                        request.after_notice = answer.notice.number
                        patience.renew()
                        yield Notice.of_message(answer.notice)
                await asyncio.sleep(PAUSE_S)
            except (Unavailable, Overloaded) as error:
                await asyncio.sleep(patience.pause_s(error))
            finally:
                call.cancel()
        raise ClientClosed.now()

    async def list_notices(
        self, schedule: Schedule, *, user: str = "", states: Sequence[NoticeState | str] = ()
    ) -> AsyncIterator[Notice]:
        """The notices of a schedule, by number."""
        request = notices_request(schedule_name(schedule), user, states)
        async for page in self._pages(self._orderly.ListNotices, request):
            for notice in page.notices:
                yield Notice.of_message(notice)

    async def acknowledge_notice(self, number: int, user: str) -> Notice:
        """The notice, now known to have reached its user."""
        request = pb.AcknowledgeNoticeRequest(number=number, user=user)
        return Notice.of_message(
            (await self._call(self._orderly.AcknowledgeNotice, request)).notice
        )

    async def record_delivery(self, schedule: Schedule, deliveries: Iterable[Delivery]) -> Recorded:
        """Records what was delivered, all of it or nothing."""
        request = delivery_request(schedule_name(schedule), deliveries)
        answer = await self._call(self._orderly.RecordDelivery, request)
        return recorded(answer)

    async def settle_schedule(
        self, schedule: Schedule, *, missing_as_zero: bool = False
    ) -> WeeklyPlan:
        """Closes a schedule whose week is over."""
        name = schedule_name(schedule)
        request = pb.SettleScheduleRequest(name=name, missing_as_zero=missing_as_zero)
        return WeeklyPlan((await self._call(self._orderly.SettleSchedule, request)).schedule)

    async def get_ledger(self, users: Sequence[str] = ()) -> Ledger:
        """The burdens over the weeks, of all users or of some."""
        requests = ledger_requests(users)
        return ledger([p for r in requests async for p in self._pages(self._orderly.GetLedger, r)])

    async def _plan(self, schedule: Schedule) -> WeeklyPlan:
        return schedule if isinstance(schedule, WeeklyPlan) else await self.get_schedule(schedule)
