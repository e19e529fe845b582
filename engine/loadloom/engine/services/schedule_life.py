"""The life of schedules: asked for, looked at, announced, confirmed, revised, deleted."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from sqlalchemy import Connection

from loadloom.engine.answers import notices as planned
from loadloom.engine.answers.notices import Occasion
from loadloom.engine.answers.orderly import OVERHEAD_S
from loadloom.engine.convert import schedules as convert
from loadloom.engine.convert.commissions import Commission, split, unpacked
from loadloom.engine.convert.common import declared, instant, seconds
from loadloom.engine.convert.notices import occasions, page_token, place
from loadloom.engine.convert.orderly import Asked, parse, parse_commission, week_of
from loadloom.engine.family import decoded, digest
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import note
from loadloom.engine.guard.roles import Role
from loadloom.engine.services.desk import Desk
from loadloom.engine.store import ledger, notices
from loadloom.engine.store import schedules as store
from loadloom.engine.store.schedule_tables import ScheduleState
from loadloom.engine.store.schedules import (
    NewSchedule,
    NoSuchSchedule,
    Overtaken,
    Schedule,
    WrongState,
)
from loadloom.models.checks import Violation
from loadloom.models.orderly.problem import Problem
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import packed

PAGE = 50
"""The schedules in a page unless asked otherwise."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far the clock of a caller may be behind: what it calls now is not the past."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job to submit: its commission, the caller's name for it, and what to write beside it.

    `deadline_s` is the time from now by which it must have ended; None for no such time.
    """

    commission: bytes
    request_id: str
    limit_s: float
    priority: int
    deadline_s: float | None
    also: Callable[[Connection, str], None]


def create(desk: Desk, raw: bytes) -> Order:
    """The job of a new schedule."""
    request = decoded(pb.CreateScheduleRequest, raw)
    asked = parse(request, desk.limits)
    _note(asked.problem)
    with desk.database.reading() as connection:
        time_s = desk.clock(connection)
        if not request.users.HasField("carried_burden"):
            names = list(request.users.names)
            known = ledger.carried(connection, desk.tenant, names)
            burdens = [known.get(name, 0.0) for name in names]
            request.users.carried_burden.MergeFromString(packed(burdens))
    head = pb.WeeklySchedule(
        name=f"schedules/{uuid4().hex}",
        title=request.title,
        revision=1,
        create_time=convert.timestamp(time_s),
    )
    head.provenance.request_digest = digest(raw)
    commission = Commission(head=head, revise=pb.ReviseScheduleRequest(), request=request)
    whole = commission.packed()
    week = week_of(request.week)
    new = NewSchedule(
        name=head.name,
        tenant=desk.tenant,
        title=request.title,
        week=request.week.SerializeToString(),
        currency_code=request.currency_code,
        week_start=week.begin(0, 0).timestamp(),
        week_end=week.begin(week.day_count - 1, week.slot_count).timestamp(),
        create_time=time_s,
        request=split(whole)[1],
    )
    also = partial(_draft, desk, request, new)
    return _order(whole, asked, request, also)


def revise(desk: Desk, raw: bytes) -> Order:
    """The job of a new plan for a schedule."""
    request = decoded(pb.ReviseScheduleRequest, raw)
    if violations := [v for v in declared(request) if v.path in {"name", "request_id"}]:
        raise refusal.invalid(violations)
    row, time_s = desk.found(request.name)
    if row.state in {ScheduleState.DRAFT, ScheduleState.SETTLED}:
        why = "has no plan yet" if row.state is ScheduleState.DRAFT else "is settled"
        raise WrongState(f"{row.name} {why}; it cannot be revised")
    if not request.HasField("plan_time"):
        request.plan_time.FromMicroseconds(round(time_s * 1e6))
    plan, message = desk.plan(row, row.published_revision or row.revision)
    head = pb.WeeklySchedule(
        name=row.name,
        title=row.title,
        revision=row.asked_revision + 1,
        published_revision=row.published_revision,
        create_time=message.create_time,
        confirmed_days=row.confirmed_days,
    )
    if row.published_revision:
        head.events.CopyFrom(message.events)
        head.rest_moves.extend(message.rest_moves)
    head.provenance.request_digest = digest(raw)
    base = unpacked(desk.commission(row, plan)).request
    commission = Commission(head=head, revise=request, request=base)
    asked = parse_commission(commission, desk.limits)
    _note(asked.problem)
    also = partial(_take, desk, request, row)
    return _order(commission.packed(), asked, request, also)


def _check_plan_time(
    request: pb.CreateScheduleRequest | pb.ReviseScheduleRequest, time_s: float
) -> None:
    """Refuses an instant of planning that is past, unless the caller means it.

    It is looked at when the job is written: who asks again under the same id gets its operation,
    however late.
    """
    if request.late_notice or not request.HasField("plan_time"):
        return
    plan_time, now = instant(request.plan_time), datetime.fromtimestamp(time_s, UTC)
    if plan_time is not None and plan_time < now - CLOCKS_DIFFER:
        said = (
            f"is {plan_time:%Y-%m-%d %H:%M} UTC; must not be past, as notices cannot be given then"
        )
        raise refusal.invalid([Violation("plan_time", f"{said}, or late_notice must be set")])


def _order(
    commission: bytes,
    asked: Asked,
    request: pb.CreateScheduleRequest | pb.ReviseScheduleRequest,
    also: Callable[[Connection, str], None],
) -> Order:
    options = request.options
    return Order(
        commission=commission,
        request_id=request.request_id,
        limit_s=asked.options.time_limit_s + OVERHEAD_S,
        priority=options.priority,
        deadline_s=seconds(options.deadline) if options.HasField("deadline") else None,
        also=also,
    )


def _draft(
    desk: Desk,
    request: pb.CreateScheduleRequest,
    new: NewSchedule,
    connection: Connection,
    operation: str,
) -> None:
    _check_plan_time(request, desk.clock(connection))
    store.draft(connection, new, operation)


def _take(
    desk: Desk,
    request: pb.ReviseScheduleRequest,
    row: Schedule,
    connection: Connection,
    operation: str,  # noqa: ARG001
) -> None:
    _check_plan_time(request, desk.clock(connection))
    store.ask_revision(connection, row)


def _note(problem: Problem) -> None:
    days, slots = problem.week.shape
    note(family="orderly", users=problem.users.count, days=days, slots=slots)


def get(desk: Desk, request: pb.GetScheduleRequest) -> pb.GetScheduleResponse:
    """A schedule, whole or as one of its users sees it."""
    user = desk.caller.seen_as(request.user)
    row, time_s = desk.found(request.name)
    if user:
        schedule = convert.current(_seen(desk, row, request.revision, user), row, time_s)
    else:
        schedule = _whole(desk, row, request.revision or row.revision, time_s)
    return pb.GetScheduleResponse(schedule=schedule)


def _whole(desk: Desk, row: Schedule, revision: int, time_s: float) -> pb.WeeklySchedule:
    """The schedule with a plan; without one if there is none yet."""
    if not revision:
        return convert.summary(row, time_s)
    return convert.current(desk.plan(row, revision)[1], row, time_s)


def _seen(desk: Desk, row: Schedule, revision: int, user: str) -> pb.WeeklySchedule:
    """What a user may see: the plan that was announced last, as far as it is the user's."""
    here = f"plan for this user in {row.name}"
    if not row.published_revision or revision not in {0, row.published_revision}:
        raise NoSuchSchedule(here)
    _, schedule = desk.plan(row, row.published_revision)
    names = list(schedule.users)
    if user not in names:
        raise NoSuchSchedule(here)
    return convert.seen_by(schedule, names.index(user))


def page(desk: Desk, request: pb.ListSchedulesRequest) -> pb.ListSchedulesResponse:
    """The schedules there are, the latest week first; for members those that were announced."""
    found: list[Violation] = []
    after = place(request.page_token, (float, int), found)
    if found:
        raise refusal.invalid(found)
    size = request.page_size or PAGE
    with desk.database.reading() as connection:
        time_s = desk.clock(connection)
        beyond = None if after is None else (after[0], after[1])
        announced = desk.caller.role is Role.MEMBER
        rows = store.page(connection, desk.tenant, beyond, size + 1, announced=announced)
    response = pb.ListSchedulesResponse()
    response.schedules.extend(convert.summary(row, time_s) for row in rows[:size])
    if len(rows) > size:
        response.next_page_token = page_token(rows[size - 1].week_start, rows[size - 1].number)
    return response


def delete(desk: Desk, request: pb.DeleteScheduleRequest) -> pb.DeleteScheduleResponse:
    """Nothing, once a schedule that was never announced, or is settled, is deleted."""
    store.remove(desk.database, desk.tenant, request.name)
    return pb.DeleteScheduleResponse()


def confirm(desk: Desk, request: pb.ConfirmDayRequest) -> pb.ConfirmDayResponse:
    """The schedule with a day confirmed."""
    row, time_s = desk.found(request.name)
    days = week_of(pb.Week.FromString(row.week)).day_count
    if request.day >= days:
        said = f"is {request.day}; the schedule has {days} days, counted from 0"
        raise refusal.invalid([Violation("day", said)])
    if row.state is not ScheduleState.PUBLISHED:
        raise WrongState(f"{row.name} is {_words(row)}; days of announced schedules are confirmed")
    with desk.database.writing() as connection:
        row = store.confirm(connection, row, request.day)
    return pb.ConfirmDayResponse(schedule=_whole(desk, row, row.revision, time_s))


def publish(desk: Desk, request: pb.PublishScheduleRequest) -> pb.PublishScheduleResponse:
    """The schedule, its plan announced."""
    row, time_s = desk.found(request.name)
    if row.published_revision != request.revision:
        _check_publication(row, request.revision)
        try:
            _publish(desk, row, request.revision, late_notice=request.late_notice)
        except Overtaken:  # maybe by another call that announces the same plan
            if desk.found(request.name)[0].published_revision != request.revision:
                raise
        row, time_s = desk.found(request.name)
    return pb.PublishScheduleResponse(schedule=_whole(desk, row, request.revision, time_s))


def _check_publication(row: Schedule, revision: int) -> None:
    if row.state in {ScheduleState.DRAFT, ScheduleState.SETTLED}:
        raise WrongState(f"{row.name} is {_words(row)}; it cannot be announced")
    if revision != row.revision:
        said = f"is {revision}; the latest plan, which alone can be announced, is {row.revision}"
        raise refusal.invalid([Violation("revision", said)])


def _publish(desk: Desk, row: Schedule, revision: int, *, late_notice: bool) -> None:
    plan, message = desk.plan(row, revision)
    if plan.base != row.published_revision:
        said = f"plan {revision} was made when plan {plan.base} was the one announced; revise again"
        raise WrongState(said)
    after = occasions(message)
    before = desk.announced(row)[1] if row.published_revision else {}
    released = {key: before[key] for key in before if key not in after}
    called = {key: after[key] for key in after if key not in before}
    if any(occasion.day in row.confirmed_days for occasion in called.values()):
        raise WrongState(f"plan {revision} calls users on days that were confirmed; revise again")
    with desk.database.writing() as connection:
        time_s = desk.clock(connection)
        now = datetime.fromtimestamp(time_s, UTC)
        if any(occasion.reach <= now for occasion in released.values()):
            raise WrongState(f"plan {revision} releases events that have begun; revise again")
        if not late_notice:
            _check_notice(revision, called.values(), now)
        # The counter is locked first, as in settlements, so that no two wait for each other.
        notices.bring_up_to_date(desk.database, connection, desk.tenant, desk.clock)
        store.announce(connection, row, revision, time_s)
        told = _withdraw(connection, row, released)
        new = [
            *planned.calls(((f"{key}@{revision}", call) for key, call in called.items()), now),
            *planned.releases(told, now),
        ]
        notices.add(connection, desk.tenant, row.number, revision, new)


def _check_notice(revision: int, called: Iterable[Occasion], now: datetime) -> None:
    """Raises if there is no time left for the notice that somebody needs who is called anew."""
    late = sorted(
        (occasion for occasion in called if occasion.is_late(now)),
        key=lambda occasion: (occasion.reach.timestamp(), occasion.user),
    )
    if late:
        first = late[0]
        raise WrongState(
            f"plan {revision} calls users whose notice can no longer be given, {len(late)} times, "
            f"the first {first.user} on {first.start:%a %d %b %H:%M}; revise again, or set "
            "late_notice"
        )


def _withdraw(
    connection: Connection, row: Schedule, released: dict[str, Occasion]
) -> list[tuple[str, Occasion]]:
    """The events that are released and whose users had been told of them."""
    events = notices.events(connection, row.number)
    names = latest_events(events)
    mine = {names[key]: occasion for key, occasion in released.items() if key in names}
    notices.withdraw(connection, row.number, mine)
    return [(event, occasion) for event, occasion in mine.items() if events[event]]


def latest_events(events: dict[str, bool]) -> dict[str, str]:
    """The last event of each kind: one may be called, released and called again."""
    found: dict[str, str] = {}
    for event in sorted(events, key=lambda event: int(event.rsplit("@", 1)[1])):
        found[event.rsplit("@", 1)[0]] = event
    return found


def _words(row: Schedule) -> str:
    return {
        ScheduleState.DRAFT: "not solved yet",
        ScheduleState.SOLVED: "not announced yet",
        ScheduleState.PUBLISHED: "announced",
        ScheduleState.SETTLED: "settled",
    }[row.state]
