"""What follows from what was announced: notices read, deliveries recorded, weeks settled."""

from datetime import UTC, datetime

import numpy as np

from loadloom.engine.answers.notices import Occasion
from loadloom.engine.convert import schedules as convert
from loadloom.engine.convert.commissions import unpacked
from loadloom.engine.convert.notices import STATE_OF, page_token, place, render, render_entry
from loadloom.engine.convert.orderly import parse_commission, week_of
from loadloom.engine.guard import refusal
from loadloom.engine.services.desk import Desk
from loadloom.engine.services.schedule_life import latest_events
from loadloom.engine.store import ledger, notices
from loadloom.engine.store import schedules as store
from loadloom.engine.store.ledger import Entry, Event
from loadloom.engine.store.schedule_tables import ScheduleState
from loadloom.engine.store.schedules import Schedule, WrongState
from loadloom.models.checks import Violation
from loadloom.models.orderly.figures import EVERYBODY, spread
from loadloom.models.orderly.problem import Problem
from loadloom.v1 import orderly_pb2 as pb

NOTICES_PAGE, ENTRIES_PAGE = 100, 1_000
"""The notices and entries in a page unless asked otherwise."""

MOST_OF_LOAD = 2.0
"""The largest delivery as a multiple of the forecast load: nobody saves much more than it draws,
and forecasts err."""


def list_notices(desk: Desk, request: pb.ListNoticesRequest) -> pb.ListNoticesResponse:
    """The notices of a schedule, in the order in which they fall due."""
    found: list[Violation] = []
    after = place(request.page_token, (float, int), found)
    states = []
    for index, number in enumerate(request.states):
        if number == pb.NOTICE_STATE_UNSPECIFIED:
            found.append(Violation(f"states[{index}]", "must be a state"))
        else:
            states.append(STATE_OF[number])
    if found:
        raise refusal.invalid(found)
    desk.found(request.schedule)
    notices.latest(desk.database, desk.tenant, desk.clock)
    user = desk.caller.seen_as(request.user)
    wanted = notices.Wanted(user=user, schedule=request.schedule, states=tuple(states))
    size = request.page_size or NOTICES_PAGE
    beyond = None if after is None else (after[0], after[1])
    with desk.database.reading() as connection:
        rows = notices.page(connection, desk.tenant, wanted, beyond, size + 1)
    response = pb.ListNoticesResponse(notices=map(render, rows[:size]))
    if len(rows) > size:
        response.next_page_token = page_token(rows[size - 1].due, rows[size - 1].id)
    return response


def acknowledge(desk: Desk, request: pb.AcknowledgeNoticeRequest) -> pb.AcknowledgeNoticeResponse:
    """The notice, which has reached its user."""
    number, user = request.number, desk.caller.seen_as(request.user)
    found = notices.acknowledge(desk.database, desk.tenant, number, user, desk.clock)
    return pb.AcknowledgeNoticeResponse(notice=render(found))


def record(desk: Desk, request: pb.RecordDeliveryRequest) -> pb.RecordDeliveryResponse:
    """How much of a schedule has been recorded, these deliveries included."""
    row, time_s = desk.found(request.name)
    _, announced = desk.announced(row)
    events = _by_event(announced)
    now = datetime.fromtimestamp(time_s, UTC)
    energies: dict[Event, float] = {}
    found: list[Violation] = []
    for index, delivery in enumerate(request.deliveries):
        event = (delivery.user, delivery.day, delivery.first_slot)
        path, occasion = f"deliveries[{index}]", events.get(event)
        if event in energies:
            found.append(Violation(path, "is of an event of an earlier delivery in the request"))
        elif said := _fault(occasion, now):
            found.append(Violation(path, said))
        elif occasion is not None and delivery.energy_kwh > MOST_OF_LOAD * occasion.load_kwh:
            most = f"must be at most {MOST_OF_LOAD * occasion.load_kwh:,.1f}, twice its forecast"
            said = f"is {delivery.energy_kwh:,.1f}; {most} in the time"
            found.append(Violation(f"{path}.energy_kwh", said))
        energies[event] = delivery.energy_kwh
    if found:
        raise refusal.invalid(found)
    with desk.database.writing() as connection:
        notices.lock(desk.database, connection, desk.tenant, ledger.COUNTER)
        if store.find(connection, desk.tenant, request.name).state is ScheduleState.SETTLED:
            raise WrongState(f"{request.name} is settled; nothing can be recorded any more")
        ledger.record(desk.database, connection, row.number, energies, time_s)
        recorded = ledger.recorded(connection, row.number).keys() & events.keys()
        missed = _missed(desk, connection, row, announced)
    return pb.RecordDeliveryResponse(
        recorded_count=len(recorded),
        missing_count=len(events.keys() - recorded - missed),
        missed_count=len(recorded & missed),
    )


def _by_event(announced: dict[str, Occasion]) -> dict[Event, Occasion]:
    return {(o.user, o.day, o.first_slot): o for o in announced.values()}


def _fault(occasion: Occasion | None, now: datetime) -> str:
    """What is wrong with a delivery in an event; empty if nothing is."""
    if occasion is None:
        return "is of no event or rest day that was announced"
    if occasion.end > now:
        return f"is of an event that ends at {occasion.end:%Y-%m-%d %H:%M}; it must be over"
    return ""


def _missed(
    desk: Desk, connection: notices.Connection, row: Schedule, announced: dict[str, Occasion]
) -> set[Event]:
    """The events whose users were not reached, so that they are not called."""
    notices.bring_up_to_date(desk.database, connection, desk.tenant, desk.clock)
    names = latest_events(notices.events(connection, row.number))
    missed = notices.missed(connection, row.number)
    mine = {key: o for key, o in announced.items() if names.get(key) in missed}
    return set(_by_event(mine))


def settle(desk: Desk, request: pb.SettleScheduleRequest) -> pb.SettleScheduleResponse:
    """The schedule, closed; it may have been before."""
    row, time_s = desk.found(request.name)
    if row.state is not ScheduleState.SETTLED:
        _settle(desk, row, missing_as_zero=request.missing_as_zero)
        row, time_s = desk.found(request.name)
    _, schedule = desk.plan(row, row.published_revision)
    return pb.SettleScheduleResponse(schedule=convert.current(schedule, row, time_s))


def _settle(desk: Desk, row: Schedule, *, missing_as_zero: bool) -> None:
    schedule, announced = desk.announced(row)
    plan, _ = desk.plan(row, row.published_revision)
    problem = parse_commission(unpacked(desk.commission(row, plan))).problem
    events = _by_event(announced)
    with desk.database.writing() as connection:
        notices.lock(desk.database, connection, desk.tenant, ledger.COUNTER)
        time_s = desk.clock(connection)
        if time_s < row.week_end:
            raise WrongState(f"the days of {row.name} are not over yet")
        delivered = ledger.recorded(connection, row.number)
        missing = events.keys() - delivered.keys() - _missed(desk, connection, row, announced)
        if missing and not missing_as_zero:
            user, day, _ = min(missing)
            said = f"{len(missing)} events have no record of what was delivered, such as that of "
            raise WrongState(f"{said}{user} on day {day}; record it, or set missing_as_zero")
        carried = ledger.carried(connection, desk.tenant, problem.users.names)
        entries = _entries(row, schedule, problem, events, delivered, carried)
        ledger.enter(connection, desk.tenant, entries, time_s)
        store.close(connection, row)


def _entries(
    row: Schedule,
    schedule: pb.WeeklySchedule,
    problem: Problem,
    events: dict[Event, Occasion],
    delivered: dict[Event, float],
    carried: dict[str, float],
) -> list[Entry]:
    """What the week added to the burden of each user."""
    index = {name: i for i, name in enumerate(problem.users.names)}
    planned, energy, weighted = (np.zeros(problem.users.count) for _ in range(3))
    weights = _weights(schedule, problem)
    for event, occasion in events.items():
        i = index[occasion.user]
        planned[i] += occasion.energy_kwh
        energy[i] += delivered.get(event, 0.0)
        weighted[i] += delivered.get(event, 0.0) * weights[event]
    burden = weighted / problem.users.contract_kwh
    week_date = week_of(schedule.week).date(0).isoformat()
    before = problem.users.carried_burden
    return [
        Entry(
            user=name,
            schedule=row.name,
            week_start=row.week_start,
            week_date=week_date,
            energy_kwh=float(energy[i]),
            planned_kwh=float(planned[i]),
            burden=float(burden[i]),
            carried_burden=carried.get(name, float(before[i])) + float(burden[i]),
        )
        for name, i in index.items()
    ]


def _weights(schedule: pb.WeeklySchedule, problem: Problem) -> dict[Event, float]:
    """How much a kWh of each event counts in the burden."""
    weight, names, events = problem.measures.burden_weight, schedule.users, schedule.events
    columns = (events.users, events.days, events.first_slots, events.measures)
    found = {
        (names[user], day, first): float(weight[m])
        for user, day, first, m in zip(*columns, strict=True)
    }
    for move in schedule.rest_moves:
        found[names[move.user], move.day, 0] = float(weight[move.measure])
    return found


def read_ledger(desk: Desk, request: pb.GetLedgerRequest) -> pb.GetLedgerResponse:
    """The burdens of the users over the weeks."""
    found: list[Violation] = []
    after = place(request.page_token, (str, float, int), found)
    if found:
        raise refusal.invalid(found)
    users = [desk.caller.seen_as(user) for user in request.users or [""]]
    everybody = users == [""]
    size = request.page_size or ENTRIES_PAGE
    beyond = None if after is None else (after[0], after[1], after[2])
    with desk.database.reading() as connection:
        rows = ledger.page(connection, desk.tenant, [] if everybody else users, beyond, size + 1)
        carried = ledger.all_carried(connection, desk.tenant)
    response = pb.GetLedgerResponse(entries=map(render_entry, rows[:size]))
    burdens = np.array(list(carried.values()), dtype=np.float64)
    response.fairness.CopyFrom(convert.figure(EVERYBODY, spread(burdens)))
    if len(rows) > size:
        last = rows[size - 1]
        response.next_page_token = page_token(last.user, last.week_start, last.number)
    return response
