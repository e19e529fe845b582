"""Weekly schedules, notices, reasons and ledgers as tables for people at a terminal."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadloom.client.command.orderly_place import ID_LETTERS, PREFIX
from loadloom.client.command.orderly_proof import ability_words, aims, costs, levels, proof
from loadloom.client.command.terminal import bare_table
from loadloom.client.orderly_notices import Ledger, Notice, NoticeState, Reasons, UserReasons
from loadloom.client.orderly_parts import Event
from loadloom.client.orderly_plan import WeeklyPlan
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import from_series

ROWS_TOLD = 25
"""The users and slots that are told at a terminal; files hold all."""

WORTHS_TOLD = 10
"""The slots whose worth is told at a terminal."""

KIND_STYLES = {
    "shift": "green",
    "avoid": "green",
    "limit": "yellow",
    "cut": "red",
    "rest": "magenta",
}

STATE_STYLES = {
    NoticeState.DUE: "bold",
    NoticeState.ACKNOWLEDGED: "green",
    NoticeState.MISSED: "red",
    NoticeState.PLANNED: "dim",
    NoticeState.WITHDRAWN: "dim",
}


def plan_report(plan: WeeklyPlan, before: WeeklyPlan | None = None) -> RenderableType:
    """The report of a plan: costs, proof, coverage, who is off when, fairness, and changes."""
    parts: list[RenderableType] = [heading(plan), ""]
    if not plan.exists:
        detail = plan.message.termination.detail
        return Group(*parts, Text(detail or f"There is no plan: {plan.outcome}."))
    if plan.message.certificate.ByteSize():
        parts += [costs(plan), ""]
        if plan.stages:
            parts += [aims(plan), ""]
        parts += [proof(plan), *([levels(plan)] if plan.warning_levels else []), ""]
    if plan.notes:
        parts += [Text("\n".join(plan.notes)), ""]
    if plan.message.coverage:
        parts += [_coverage(plan), ""]
    if before is not None:
        parts += [changes(before, plan), ""]
    parts += [turns(plan)]
    if plan.message.fairness:
        parts += ["", _fairness(plan)]
    return Group(*parts)


def heading(plan: WeeklyPlan) -> Text:
    """The name, week, state and revision of a schedule."""
    week = plan.week
    text = Text(plan.title or "Weekly schedule", style="bold")
    minutes = week.step.total_seconds() / 60
    first, last = week.date(0), week.date(week.day_count - 1)
    said = (
        f"\n{week.name}, {first:%a %d %b %Y} to {last:%a %d %b %Y}, {week.time_zone}, "
        f"slots of {minutes:g} min"
        f"\n{plan.name}, revision {plan.revision}, {plan.state}"
    )
    return text.append(said, style="not bold dim")


def schedules(plans: Sequence[WeeklyPlan]) -> Table:
    """The schedules there are."""
    table = _table("week", title="Schedules", fold=True)
    table.add_column("title", overflow="fold", min_width=12)
    for name in ("state", "plan", "announced", "made (UTC)", "name"):
        table.add_column(name, no_wrap=True)
    for plan in plans:
        published = str(plan.published_revision or "")
        made = f"{plan.create_time:%d %b %H:%M}"
        state, revision = plan.state.value, str(plan.revision)
        name = plan.name.removeprefix(PREFIX)[:ID_LETTERS]
        table.add_row(plan.week.name, plan.title, state, revision, published, made, name)
    return table


def published(plan: WeeklyPlan, notices: Sequence[Notice]) -> RenderableType:
    """What a plan's announcement means: whom, and when."""
    users = len({event.user for event in plan.events})
    states = Counter(notice.state.value for notice in notices)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return Group(
        heading(plan),
        "",
        f"Announced: {len(plan.events)} events of {users} users; notices: {counted or 'none'}.",
    )


def turns(plan: WeeklyPlan) -> RenderableType:
    """Who does what on which day: a row for each user that is called, those with most first."""
    called = {user: [*events] for user, events in groupby(plan.events, lambda event: event.user)}
    if not called:
        return Text("Nobody is called.")
    if plan.week.day_count > 7:
        return _event_rows(plan.events)
    order = sorted(called, key=lambda user: -sum(event.energy_kwh for event in called[user]))
    table = _table("user", title="Who is off when", fold=True)
    for day in range(plan.week.day_count):
        table.add_column(f"{plan.week.date(day):%a %d}", no_wrap=True, min_width=6)
    table.add_column("kWh", justify="right", no_wrap=True)
    for user in order[:ROWS_TOLD]:
        events = called[user]
        days = [_day(plan, events, day) for day in range(plan.week.day_count)]
        table.add_row(user, *days, f"{sum(event.energy_kwh for event in events):,.0f}")
    return _told(table, len(order), "more users; --out tells all")


def changes(before: WeeklyPlan, after: WeeklyPlan) -> RenderableType:
    """What a revision calls anew and releases, against the plan before it."""
    old, new = ({_key(event): event for event in plan.events} for plan in (before, after))
    table = _table("change", title=f"Against revision {before.revision}")
    for name in ("user", "when", "kind"):
        table.add_column(name, overflow="fold")
    table.add_column("kW", justify="right")
    gone = [("released", old[key]) for key in old if key not in new]
    added = [("called", new[key]) for key in new if key not in old]
    if not gone and not added:
        return Text("Nothing changes.")
    for what, event in (gone + added)[:ROWS_TOLD]:
        style = "green" if what == "released" else "yellow"
        when = after.week.words(event.day, event.first_slot, event.slot_count)
        table.add_row(Text(what, style), event.user, when, event.kind, f"{event.mean_kw:,.0f}")
    told = (
        f"{len(gone)} released, {len(added)} called anew, {len(old) - len(gone)} kept as they are"
    )
    return Group(_told(table, len(gone) + len(added), "more"), told)


def notice_rows(notices: Sequence[Notice], plan: WeeklyPlan) -> RenderableType:
    """The notices of a schedule."""
    table = _table("no.", title=f"Notices of {plan.week.name}, {plan.week.time_zone}")
    table.add_column("user", overflow="fold")
    for name in ("what", "state", "due", "event"):
        table.add_column(name, no_wrap=True)
    for notice in notices:
        table.add_row(*_notice_cells(notice, plan))
    counted = Counter(notice.state.value for notice in notices)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))
    return Group(table, told or "There are no notices.")


def notice_line(notice: Notice, plan: WeeklyPlan) -> Text:
    """A notice in a line, with the power that is asked for."""
    cells = _notice_cells(notice, plan)
    return Text("  ").join([*cells, Text(f"{notice.relief_kw:,.0f} kW")])


def reasons(known: Reasons, plan: WeeklyPlan) -> RenderableType:
    """The reasons behind a schedule: for a user, slots, what is short and what would help."""
    parts: list[RenderableType] = [heading(plan), ""]
    if known.user is not None:
        parts += [user_reasons(known.user, plan, priced=known.worth_per_mw.size > 0), ""]
    parts += [_worth(known, plan)]
    if known.uncovered:
        parts += ["", _uncovered(known)]
    for heading_, sentences in (("Missing", known.shortfall), ("Would help", known.relaxations)):
        if sentences:
            parts += ["", Text(heading_, style="bold"), *(f"  {said}" for said in sentences)]
    return Group(*parts)


def ledger_report(ledger: Ledger) -> RenderableType:
    """The burdens over the weeks: a row for each user, a column for each week."""
    weeks = sorted({entry.week_date for entry in ledger.entries})
    table = _table("user", title="Burden of each week, % of a week's contract")
    for week in weeks:
        table.add_column(f"{week:%d %b %Y}", justify="right")
    for name in ("carried", "kWh"):
        table.add_column(name, justify="right")
    for user, found in groupby(ledger.entries, lambda entry: entry.user):
        entries = sorted(found, key=lambda entry: entry.week_date)
        burden = {entry.week_date: entry.burden for entry in entries}
        cells = [f"{100 * burden[week]:.2f}" if week in burden else "" for week in weeks]
        energy = sum(entry.energy_kwh for entry in entries)
        table.add_row(user, *cells, f"{100 * entries[-1].carried_burden:.2f}", f"{energy:,.0f}")
    said = ledger.fairness
    spread = (
        f"{said.user_count} users: mean burden {said.mean_burden:.2%}, largest "
        f"{said.largest_burden:.2%}, Jain {said.jain_index:.3f}, Gini {said.gini:.3f}"
    )
    return Group(table, spread)


def _notice_cells(notice: Notice, plan: WeeklyPlan) -> list[Text]:
    """A notice in the cells of a row; it may be due months before its event."""
    due = notice.due.astimezone(plan.week.boundaries[0].tzinfo)
    return [
        Text(str(notice.number or "")),
        Text(notice.user),
        Text(notice.kind.value),
        Text(notice.state.value, style=STATE_STYLES.get(notice.state, "")),
        Text(f"{due:%d %b %H:%M}"),
        Text(f"{plan.week.date(notice.day):%a %d %b} {_hours(plan, notice)}"),
    ]


def _coverage(plan: WeeklyPlan) -> RenderableType:
    """The shortage of the whole by day, and of each feeder that is short."""
    whole, *feeders = plan.message.coverage
    short = [said for said in feeders if from_series(said.shortage_kw).max(initial=0.0) > 0.0]
    parts: list[RenderableType] = [_covered(plan, whole, "Shortage and coverage")]
    for said in short[:ROWS_TOLD]:
        parts += ["", _covered(plan, said, f"Feeder {said.feeder}")]
    if len(short) > ROWS_TOLD:
        parts += ["", f"and {len(short) - ROWS_TOLD} more feeders that are short; --coverage"]
    return Group(*parts)


def _covered(plan: WeeklyPlan, said: pb.Coverage, title: str) -> Table:
    """The shortage of the whole, or of a feeder, and what of it is covered, by day."""
    days, slots = plan.week.shape
    hours = plan.week.slot_h.reshape(days, slots)
    short_kw = np.maximum(from_series(said.shortage_kw), 0.0).reshape(days, slots)
    unserved = from_series(said.unserved_kw)
    unserved_kw = unserved.reshape(days, slots) if unserved.size else np.zeros((days, slots))
    prices = from_series(said.price_per_kwh)
    table = _table("day", title=title)
    for name in ("peak kW", "short kWh", "covered kWh", "uncovered kWh"):
        table.add_column(name, justify="right")
    if prices.size:
        table.add_column("dearest kWh", justify="right")
    levels = [] if said.feeder else _worst_levels(plan)
    if any(levels):
        table.add_column("warning")
    for day in range(days):
        missing, lost = ((row * hours)[day].sum() for row in (short_kw, unserved_kw))
        style = "bold red" if lost > 0.5 else ""
        cells: list[RenderableType] = [
            f"{plan.week.date(day):%a %d %b}",
            f"{short_kw[day].max():,.0f}",
            f"{missing:,.0f}",
            f"{missing - lost:,.0f}",
            Text(f"{lost:,.0f}", style=style),
        ]
        if prices.size:
            cells.append(f"{prices.reshape(days, slots)[day].max():,.2f}")
        table.add_row(*cells, *levels[day : day + 1])
    return table


def _worst_levels(plan: WeeklyPlan) -> list[str]:
    """The worst level of warning of each day: that of the largest share."""
    days, slots = plan.week.shape
    said = plan.message.slot_levels
    if len(said) != days * slots:
        return []
    order = {"": -1.0} | {level.name: level.least_share for level in plan.message.warning_levels}
    by_day = (said[day * slots : (day + 1) * slots] for day in range(days))
    return [max(names, key=lambda name: order.get(name, 0.0)) for names in by_day]


def _fairness(plan: WeeklyPlan) -> Table:
    table = _table("burdens", title="Fairness, % of a week's contract")
    for name in ("users", "mean", "largest", "Jain", "Gini"):
        table.add_column(name, justify="right")
    for scope, row in plan.fairness.head(ROWS_TOLD).iterrows():
        table.add_row(
            str(scope),
            f"{row['user_count']:.0f}",
            f"{100 * row['mean_burden']:.2f}",
            f"{100 * row['largest_burden']:.2f}",
            f"{row['jain_index']:.3f}",
            f"{row['gini']:.3f}",
        )
    return table


def _event_rows(events: Sequence[Event]) -> RenderableType:
    table = _table("user", title="Events")
    for name in ("from", "to", "kind"):
        table.add_column(name)
    table.add_column("kW", justify="right")
    for event in events[:ROWS_TOLD]:
        start, end = f"{event.start:%a %d %b %H:%M}", f"{event.end:%H:%M}"
        table.add_row(event.user, start, end, event.kind, f"{event.mean_kw:,.0f}")
    return _told(table, len(events), "more; --out tells all")


def user_reasons(said: UserReasons, plan: WeeklyPlan, *, priced: bool = True) -> RenderableType:
    """Why a user is called, or not: its plan, its next best, what excusing it costs, its rules."""
    lines: list[RenderableType] = [Text(f"Why {said.user}", style="bold")]
    lines += [f"  {words}" for words in said.words]
    money = plan.currency_code
    if score := ability_words(plan, said.user):
        lines.append(f"  {score}")
    lines.append(f"  its plan costs {said.cost:,.2f} {money}".rstrip())
    if said.exemption_price is not None:
        told = f"  excusing it costs {said.exemption_price:,.2f} {money}".rstrip()
        least, most = said.exemption_bounds
        lines.append(f"{told}, proven to be from {least:,.2f} to {most:,.2f}")
    elif priced:
        told = f"  excusing it would cost about {said.exemption_estimate:,.2f} {money}"
        lines.append(told.rstrip())
    lines += [f"  rule that binds: {rule}" for rule in said.binding_rules]
    return Group(*lines)


def _worth(known: Reasons, plan: WeeklyPlan) -> RenderableType:
    """The slots in which one more MW costs most, of the whole or of a feeder."""
    if not known.worth_per_mw.size:
        return Text("There are no prices of the slots; the technique or its time gave none.")
    feeders = [said.feeder for said in plan.message.coverage[1:]]
    values = np.stack([known.worth_per_mw, *known.feeder_worth_per_mw])
    order = np.argsort(-values, axis=None, kind="stable")[:WORTHS_TOLD]
    places = [divmod(int(place), values.shape[1]) for place in order]
    worth = [(line, slot) for line, slot in places if values[line, slot] > 1e-9]
    if not worth:
        return Text("One more MW would cost nothing in any slot.")
    table = _table("slot", title="What one more MW of shortage costs")
    table.add_column(plan.currency_code or "cost", justify="right")
    if feeders:
        table.add_column("feeder", overflow="fold")
    for line, slot in worth:
        when = plan.week.words(*divmod(slot, plan.week.slot_count), 1)
        where = [feeders[line - 1] if line else ""] if feeders else []
        table.add_row(when, f"{values[line, slot]:,.2f}", *where)
    return table


def _uncovered(known: Reasons) -> Table:
    table = _table("slot", title="Not covered")
    table.add_column("kW", justify="right")
    table.add_column("feeder")
    table.add_column("potential that rules exclude", overflow="fold")
    for one in known.uncovered[:ROWS_TOLD]:
        when = f"{one.start:%a %d %b %H:%M}"
        table.add_row(when, f"{one.missing_kw:,.0f}", one.feeder, "; ".join(one.excluded[:3]))
    return table


def _day(plan: WeeklyPlan, events: Sequence[Event], day: int) -> Text:
    """What a user does on a day: the hours, and below them the measure."""
    cell = Text()
    for event in (event for event in events if event.day == day):
        if cell:
            cell.append("\n")
        if event.kind == "rest":
            cell.append("rest", style=KIND_STYLES["rest"])
            continue
        hours = _hours(plan, event)
        # Of quarter hours, a column holds either end but not both.
        cell.append(hours.replace("-", "-\n") if ":" in hours else hours)
        cell.append("\n")
        cell.append(event.kind, style=KIND_STYLES.get(event.kind, ""))
    return cell


def _hours(plan: WeeklyPlan, event: Event | Notice) -> str:
    """The hours of an event: "18-21"."""
    slots = (event.first_slot, event.first_slot + event.slot_count)
    first, last = (plan.week.clock(slot).removesuffix(":00") for slot in slots)
    return f"{first}-{last}"


def _told(table: Table, count: int, more: str) -> RenderableType:
    """A table of the first of some rows, and how many there are beyond it."""
    beyond = count - ROWS_TOLD
    return Group(table, f"and {beyond} {more}") if beyond > 0 else table


def _key(event: Event) -> tuple[object, ...]:
    return (event.user, event.kind, event.day, event.first_slot, event.slot_count)


def _table(first: str, *, title: str, fold: bool = False) -> Table:
    """A table; its first column is folded where it would be cut off else."""
    table = bare_table(title)
    table.add_column(first, no_wrap=not fold, overflow="fold")
    return table
