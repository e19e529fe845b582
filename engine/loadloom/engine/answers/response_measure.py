"""What customers delivered and are paid; what runs in a worker process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from time import perf_counter

import numpy as np

from loadloom.engine.answers.agency import Answer, ended
from loadloom.engine.convert.response_measure import Measuring, Meters, Prices, renamed
from loadloom.engine.task import RejectedPlan, Task
from loadloom.models.agency.money import in_nearest_units
from loadloom.models.agency.problem import Currency, LoadArray
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.response.baseline_rule import Adjust, BaselineRule, Event, Note
from loadloom.models.response.measure import Called, DeliveryRule
from loadloom.models.response.pay import Terms, in_formula
from loadloom.models.response.settle import Settlement, SettlementRequest, settle
from loadloom.models.response.settlement_referee import violations
from loadloom.models.response.shifted_days import first_slot, from_slot
from loadloom.models.response.similar_days import (
    BoolArray,
    IntArray,
    Readings,
    Span,
    by_days,
)

NOTHING_PAID = Prices(price_per_kwh=np.zeros(()), currency=Currency(code="XXX"))
"""The terms where nobody asks what is paid; XXX is the code of no currency."""

THREADS = 1
"""The threads of a worker that go over customers; there is a worker for each core."""

NOTES = {
    Note.NONE: "",
    Note.TOO_FEW_DAYS: "no baseline: too few days alike have readings",
    Note.NO_CONTROLS: "no baseline: no customers were found to compare with",
    Note.NOT_ADJUSTED: "the baseline could not be adjusted to the day",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """What customers delivered in the W intervals of an event.

    Attributes:
        names: the customers.
        settlement: what was found of them, by slots of the clock.
        slots: in which slot of the event each interval lies, (W,).
        load_kw: the loads in the event, (n, W); NaN where a reading is missing.
        hours: how long each interval lasts, (W,).
        formulas: how payments come about; empty where nothing is paid.
        notes: what is to be said of each customer.
    """

    names: tuple[str, ...]
    settlement: Settlement
    slots: IntArray
    load_kw: FloatArray
    hours: FloatArray
    formulas: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def baseline_kw(self) -> FloatArray:
        """The baselines in the event, (n, W); NaN where there is none."""
        return self.settlement.baselines.kw[:, self.slots]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What customers agreed to.

    Attributes:
        names: the customers.
        kw: what each agreed to, (n,).
        allow_missing: whether some of them may be without readings.
    """

    names: tuple[str, ...]
    kw: FloatArray
    allow_missing: bool


def measured(task: Task[Measuring]) -> Answer[Deliveries]:
    """What customers delivered, refereed, and what they are paid.

    Raises:
        InvalidProblem: the readings, the event or the rule do not fit each other.
        RejectedPlan: the referee found it to be wrong.
    """
    started = perf_counter()
    try:
        found = deliveries(task.problem)
    except InvalidProblem as error:
        raise InvalidProblem(renamed(error.violations)) from error
    return Answer(
        solution=ended(task.problem.rule.method.value),
        found=found,
        solve_s=perf_counter() - started,
    )


def deliveries(asked: Measuring, offered: Offered | None = None) -> Deliveries:
    """What customers delivered, and what they are paid; with what they had agreed to, theirs alone.

    Raises:
        InvalidProblem: the readings, the event or the rule do not fit each other.
        RejectedPlan: the referee found it to be wrong.
    """
    names, load_kw = _loads(asked, asked.meters)
    if offered is not None:
        load_kw = _rows(names, load_kw, offered)
        names = offered.names
    cut = _cut(asked)
    readings, event, rule = _days(asked, cut, load_kw, names)
    controls = None
    if asked.controls is not None:
        others = _loads(asked, asked.controls)[1]
        table = _by_days(asked, cut, others)[1]
        controls = replace(readings, load_kw=table, called=_named(asked, cut, readings.dates))
    prices = asked.prices or NOTHING_PAID
    each = np.broadcast_to(prices.price_per_kwh, (len(names),))
    promised = np.broadcast_to(prices.fixed_payment, (len(names),))
    here = readings.load_kw[:, event.day, event.window.slots]
    known = np.asarray(np.isfinite(here).any(axis=1))
    request = SettlementRequest(
        readings=readings,
        event=event,
        terms=Terms(
            currency=prices.currency,
            price_per_kwh=each[:, None],
            fixed_minor=in_nearest_units("terms.fixed_minor", promised, prices.currency),
            fixed_from_share=prices.fixed_from_share,
            taking_part=known,  # who has no readings is paid nothing
        ),
        baseline_rule=rule,
        controls=controls,
        called=Called(offered_kw=None if offered is None else offered.kw),
        delivery_rule=DeliveryRule(deducted_rebound_share=asked.rebound_share),
        names=names,
    )
    found = settle(request, threads=THREADS)
    if offered is not None and np.isnan(found.measured.net_kw).all():
        said = f"measure none of the {len(names)} customers that accepted: {_note(found, 0)}"
        raise InvalidProblem([Violation("readings", said)])
    if broken := violations(request, found):
        raise RejectedPlan(f"{rule.method.value}: {'; '.join(map(str, broken[:20]))}")
    formulas = ()
    if asked.prices is not None:
        its = found.measured, request.terms, found.payments
        formulas = tuple(in_formula(*its, i) for i in range(len(names)))
    return Deliveries(
        names=names,
        settlement=found,
        slots=cut.slot[cut.within] - cut.first,
        load_kw=load_kw[:, cut.within].astype(np.float64),
        hours=asked.horizon.step_h[cut.within],
        formulas=formulas,
        notes=tuple(_note(found, i) for i in range(len(names))),
    )


def _rows(names: tuple[str, ...], load_kw: LoadArray, offered: Offered) -> LoadArray:
    """The loads of those who agreed; NaN of those that have none.

    Raises:
        InvalidProblem: some have none, which is not allowed.
    """
    place, wanted = {name: index for index, name in enumerate(names)}, offered.names
    missing = [name for name in wanted if name not in place]
    if missing and not offered.allow_missing:
        few, more = ", ".join(map(repr, missing[:3])), len(missing) - 3
        said = (
            f"are missing of {len(missing)} of the {len(wanted)} customers that accepted: {few}"
            f"{f' and {more} more' if more > 0 else ''}; with allow_missing they are paid nothing"
        )
        raise InvalidProblem([Violation("readings", said)])
    found = np.full((len(wanted), load_kw.shape[1]), np.nan, dtype=load_kw.dtype)
    for row, name in enumerate(wanted):
        if name in place:
            found[row] = load_kw[place[name]]
    return found


def _note(found: Settlement, i: int) -> str:
    """What is to be said of a customer."""
    said = NOTES[Note(found.baselines.note[i])]
    missing = int(found.measured.missing_count[i])
    if said or not missing:
        return said
    return f"{missing} intervals without a reading count as nothing delivered"


def _loads(asked: Measuring, meters: Meters) -> tuple[tuple[str, ...], LoadArray]:
    """The customers, and their loads by intervals, (n, T)."""
    if meters.load_kw is not None:
        return meters.names, meters.load_kw
    if meters.files is None:
        raise ValueError("readings are asked for that are nowhere")
    return meters.files.loads(asked.horizon, asked.most_points, asked.most_users)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """How the readings are cut into days of S slots for an event.

    Slots count from the midnight before the day of the event, which is the local date on which the
    event begins, or the one before where what is looked at before it lies beyond midnight.

    Attributes:
        day: the date of the event.
        count: S.
        begin: the slot of the clock with which days begin: 0, local midnight, unless the event or
            what is looked at around it lies on both sides of one.
        first, last: the slots [first, last) of the event.
        after: the slots after it that are looked at.
        slot: in which slot each interval lies, (T,).
        within: the intervals of the event.
    """

    day: date
    count: int
    begin: int
    first: int
    last: int
    after: int
    slot: IntArray
    within: slice

    @property
    def fits(self) -> BoolArray:
        """Whether each interval lies in, before or after the event as its slot does, (T,).

        Only where clocks are set back some do not: an hour that comes twice has one slot, and the
        event may have one of its halves alone.
        """
        order = np.arange(self.slot.size)
        before, after = order < self.within.start, order >= self.within.stop
        early, late = self.slot < self.first, self.slot >= self.last
        return (early & before) | (late & after) | ~(early | late | before | after)

    @property
    def today(self) -> BoolArray:
        """The intervals of the event's day, (T,)."""
        return (self.slot >= self.begin) & (self.slot < self.begin + self.count)


def _cut(asked: Measuring) -> _Cut:
    """How the readings are cut into days.

    Raises:
        InvalidProblem: the event does not fit the readings.
    """
    horizon = asked.horizon
    count = round(24 / float(horizon.step_h[0]))
    clocks = [horizon.boundary(t) for t in range(horizon.count)]
    start, end = (each.astimezone(clocks[0].tzinfo) for each in (asked.start, asked.end))
    _check_event(horizon, start, end)
    within = slice(horizon.boundary_index(start) or 0, horizon.boundary_index(end) or 0)
    day = start.date()
    first = _slot(start, count)
    lead = _lead(asked, count)
    if first < lead and clocks[0].date() < day:  # compared with the evening before
        day, first = day - timedelta(days=1), first + count
    slot = np.array([(each.date() - day).days * count + _slot(each, count) for each in clocks])
    last = int(slot[within.stop - 1]) + 1  # an hour that the clock repeats ends where it began
    # What is looked at after the event ends with the day where the next has no readings.
    after = asked.after_count if clocks[-1].date() > day else 0
    begin = first_slot(first, last, lead, after, count)
    after = min(asked.after_count, begin + count - last)
    return _Cut(
        day=day,
        count=count,
        begin=begin,
        first=first,
        last=last,
        after=after,
        slot=slot,
        within=within,
    )


def _by_days(asked: Measuring, cut: _Cut, load_kw: LoadArray) -> tuple[tuple[date, ...], LoadArray]:
    """The dates, and the loads by these days and their slots, (n, D, S).

    In the slots of the event are the loads of its own intervals, whatever the clock repeats; where
    the clock leaves a slot out on its day, what was before lasts: no time passes in it.
    """
    dates, table = by_days(load_kw, asked.horizon, cut.count)
    day = from_slot(table, cut.begin)
    place = dates.index(cut.day)
    if place >= day.shape[1]:
        raise InvalidProblem([Violation("readings", "end before the day of the event does")])
    hours = _slot_hours(asked.horizon, cut)
    good = cut.fits & cut.today
    for slot in np.unique(cut.slot[cut.today & ~cut.fits]).tolist():
        own = np.flatnonzero(good & (cut.slot == slot))
        if own.size:
            each = asked.horizon.step_h[own]
            day[:, place, slot - cut.begin] = load_kw[:, own] @ each / each.sum()
    left_out = np.flatnonzero(hours == 0.0) + cut.begin
    inside = (left_out > cut.slot[0]) & (left_out < cut.slot[-1])
    for slot in (left_out[inside] - cut.begin).tolist():
        day[:, place, slot] = day[:, place, max(slot - 1, 0)]
    return dates[: day.shape[1]], day


def _days(
    asked: Measuring, cut: _Cut, load_kw: LoadArray, names: Sequence[str]
) -> tuple[Readings, Event, BaselineRule]:
    """The readings by days, the event in slots of its day, the rule with its span."""
    dates, table = _by_days(asked, cut, load_kw)
    event = Event(
        day=dates.index(cut.day),
        window=Span(first=cut.first - cut.begin, count=cut.last - cut.first),
        after_count=cut.after,
        spoiled=_spoiled(asked, cut, names),
    )
    temperature = None
    if asked.temperature_c is not None:
        celsius = by_days(asked.temperature_c[None], asked.horizon, cut.count)[1]
        temperature = from_slot(filled(celsius.astype(np.float64)), cut.begin)[0]
    readings = Readings(
        load_kw=table,
        dates=dates,
        holidays=asked.holidays,
        called=_called(asked, cut, dates, names),
        temperature_c=temperature,
        slot_h=_slot_hours(asked.horizon, cut),
    )
    return readings, event, _with_span(asked, event, cut.count)


def _spoiled(asked: Measuring, cut: _Cut, names: Sequence[str]) -> BoolArray | None:
    """The slots of the event's day in which an event before it, or its rebound, moved the loads of
    customers, (n, S); None if there are none.
    """  # noqa: D205
    if not asked.earlier:
        return None
    zone, found = asked.horizon.boundary(0).tzinfo, np.zeros((len(names), cut.count), np.bool_)
    row = {name: i for i, name in enumerate(names)}
    for each in asked.earlier:
        start, end = each.start.astimezone(zone), each.end.astimezone(zone)
        since, until = (
            (clock.date() - cut.day).days * cut.count + _slot(clock, cut.count) - cut.begin
            for clock in (start, end)
        )
        rows = [row[name] for name in each.customers if name in row]
        found[rows, max(since, 0) : max(until + asked.after_count, 0)] = True
    return found if found.any() else None


def _lead(asked: Measuring, slot_count: int) -> int:
    """The slots before the event that its baseline's adjustment looks at."""
    if asked.rule.adjustment.kind is Adjust.NONE:
        return 0
    return round(asked.adjusted_minutes[0] * slot_count / (24 * 60))


def _named(asked: Measuring, cut: _Cut, dates: Sequence[date]) -> BoolArray:
    """Whether customers were called on each day, (D,), as the request says by dates.

    A day that does not begin at midnight is part of two dates.
    """
    named = np.array([each in asked.event_days for each in dates])
    if cut.begin:
        today = cut.day + timedelta(days=cut.first // cut.count)
        later = (each + timedelta(days=1) for each in dates)
        named |= np.array([each in asked.event_days and each != today for each in later])
    return named


def _called(asked: Measuring, cut: _Cut, dates: Sequence[date], names: Sequence[str]) -> BoolArray:
    """Whether each customer was called on each day, (D,) or (n, D): as the request says, and by
    the events that it was called by before.
    """  # noqa: D205
    named = _named(asked, cut, dates)
    if not asked.earlier:
        return named
    called = np.tile(named, (len(names), 1))
    place = {each: k for k, each in enumerate(dates)}
    row = {name: i for i, name in enumerate(names)}
    zone = asked.horizon.boundary(0).tzinfo
    begin = timedelta(hours=24.0 * cut.begin / cut.count)
    for each in asked.earlier:
        # The days from that in which it begins to that in which it ends.
        clocks = (each.start.astimezone(zone), (each.end - timedelta(seconds=1)).astimezone(zone))
        since, until = ((clock.replace(tzinfo=None) - begin).date() for clock in clocks)
        days = [place[d] for d in (since, until) if d in place and d != cut.day]
        rows = [row[name] for name in each.customers if name in row]
        called[np.ix_(rows, days)] = True
    return called


def _check_event(horizon: Horizon, start: datetime, end: datetime) -> None:
    found = []
    for name, instant in (("start_time", start), ("end_time", end)):
        if horizon.boundary_index(instant) is None:
            said = f"is {instant:%Y-%m-%d %H:%M %Z}; must be where an interval of the readings ends"
            found.append(Violation(name, said))
    if not found and not within_a_day(start, end):
        said = "must be after start_time, and a day later at most by the local clock"
        found.append(Violation("end_time", said))
    if found:
        raise InvalidProblem(found)


def within_a_day(start: datetime, end: datetime) -> bool:
    """Whether an event ends after it begins, and a day later at most by the clocks of its zone."""
    clocks = end.replace(tzinfo=None) - start.replace(tzinfo=None)
    # By instants too, as clocks may be set back in between.
    return start.timestamp() < end.timestamp() and clocks <= timedelta(days=1)


def _slot(instant: datetime, slot_count: int) -> int:
    return (instant.hour * 60 + instant.minute) * slot_count // (24 * 60)


def _slot_hours(horizon: Horizon, cut: _Cut) -> FloatArray:
    """The hours that pass in each slot of the event's day, (S,)."""
    own = cut.fits & cut.today
    found = np.bincount(cut.slot[own] - cut.begin, horizon.step_h[own], cut.count)
    return found.astype(np.float64)


def _with_span(asked: Measuring, event: Event, slot_count: int) -> BaselineRule:
    """The rule, with the slots in which the adjustment compares loads."""
    if asked.rule.adjustment.kind is Adjust.NONE:
        return asked.rule
    earliest, latest = (minutes * slot_count / (24 * 60) for minutes in asked.adjusted_minutes)
    first = event.window.first - round(earliest)
    span = Span(first=first, count=round(earliest) - round(latest))
    if first < 0 or span.count < 1:
        said = "must begin on the event's day, and before adjustment_end_minutes"
        raise InvalidProblem([Violation("rule.adjustment_start_minutes", said)])
    return replace(asked.rule, adjustment=replace(asked.rule.adjustment, span=span))


def filled(values: FloatArray) -> FloatArray:
    """The values of days and slots; what the clock left out is as the slot before."""
    flat = values.reshape(-1)
    missing = np.isnan(flat)
    known = np.flatnonzero(~missing)
    if missing.any() and known.size:
        flat[missing] = np.interp(np.flatnonzero(missing), known, flat[known])
    return flat.reshape(values.shape)
