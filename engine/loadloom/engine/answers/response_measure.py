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
from loadloom.models.response.similar_days import BoolArray, Readings, Span, by_days

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
        settlement: what was found of them.
        window: W.
        hours: how long each of them lasts, (W,).
        formulas: how payments come about; empty where nothing is paid.
        notes: what is to be said of each customer.
    """

    names: tuple[str, ...]
    settlement: Settlement
    window: int
    hours: FloatArray
    formulas: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def baseline_kw(self) -> FloatArray:
        """The baselines in the event, (n, W); NaN where there is none."""
        return self.settlement.baselines.kw[:, : self.window]

    @property
    def load_kw(self) -> FloatArray:
        """The loads in the event, (n, W); NaN where a reading is missing."""
        return self.settlement.measured.actual_kw[:, : self.window]


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
    readings, event, rule, begin = _days(asked, load_kw)
    controls = None
    if asked.controls is not None:
        controls = _readings(asked, _loads(asked, asked.controls)[1], readings, begin)
    prices = asked.prices or NOTHING_PAID
    each = np.broadcast_to(prices.price_per_kwh, (len(names),))
    promised = np.broadcast_to(prices.fixed_payment, (len(names),))
    here = readings.load_kw[:, event.day, event.window.slots]
    request = SettlementRequest(
        readings=readings,
        event=event,
        terms=Terms(
            currency=prices.currency,
            price_per_kwh=each[:, None],
            fixed_minor=in_nearest_units("terms.fixed_minor", promised, prices.currency),
            fixed_from_share=prices.fixed_from_share,
            taking_part=np.asarray(
                np.isfinite(here).any(axis=1)
            ),  # who has no readings is paid nothing
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
        window=event.window.count,
        hours=readings.hours[event.window.slots],
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


def _days(asked: Measuring, load_kw: LoadArray) -> tuple[Readings, Event, BaselineRule, int]:
    """The readings by days, the event in slots of its day, the rule with its span.

    And the slot of the clock with which the days begin: 0, local midnight, unless the event or what
    is looked at after it lies on both sides of one.
    """
    horizon = asked.horizon
    slot_count = round(24 / float(horizon.step_h[0]))
    dates, table = by_days(load_kw, horizon, slot_count)
    zone = horizon.boundary(0).tzinfo
    start, end = (each.astimezone(zone) for each in (asked.start, asked.end))
    _check_event(horizon, start, end)
    first = _slot(start, slot_count)
    final = horizon.boundary((horizon.boundary_index(end) or 1) - 1)
    last = _slot(final, slot_count) + 1  # an hour that the clock repeats ends where it began
    last += (final.date() - start.date()).days * slot_count
    # What is looked at after the event ends with the day where the next has no readings.
    after = asked.after_count if dates[-1] > start.date() else 0
    begin = first_slot(first, last, _lead(asked, slot_count), after, slot_count)
    event = Event(
        day=dates.index(start.date()),
        window=Span(first=first - begin, count=last - first),
        after_count=min(asked.after_count, begin + slot_count - last),
    )
    temperature = None
    if asked.temperature_c is not None:
        temperature = by_days(asked.temperature_c[None], horizon, slot_count)[1]
        temperature = from_slot(filled(temperature.astype(np.float64)), begin)[0]
    whole = from_slot(table, begin)
    readings = Readings(
        load_kw=whole,
        dates=dates[: whole.shape[1]],
        holidays=asked.holidays,
        called=_event_days(asked, dates, start.date(), begin)[: whole.shape[1]],
        temperature_c=temperature,
        slot_h=_slot_hours(horizon, start, slot_count, begin),
    )
    return readings, event, _with_span(asked, event, slot_count), begin


def _lead(asked: Measuring, slot_count: int) -> int:
    """The slots before the event that its baseline's adjustment looks at."""
    if asked.rule.adjustment.kind is Adjust.NONE:
        return 0
    return round(asked.adjusted_minutes[0] * slot_count / (24 * 60))


def _event_days(asked: Measuring, dates: Sequence[date], today: date, begin: int) -> BoolArray:
    """Whether customers were called on each day; one over midnight is part of two dates."""
    named = np.array([each in asked.event_days for each in dates])
    if not begin:
        return named
    others = np.array([each in asked.event_days and each != today for each in dates])
    return named | np.append(others[1:], False)


def _readings(asked: Measuring, load_kw: LoadArray, like: Readings, begin: int) -> Readings:
    """Readings of other customers on the same days."""
    table = by_days(load_kw, asked.horizon, like.shape[2])[1]
    return replace(like, load_kw=from_slot(table, begin))


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


def _slot_hours(horizon: Horizon, day: datetime, slot_count: int, begin: int) -> FloatArray:
    """The hours that pass in each slot of a day, by the intervals that begin in it."""
    hours = np.zeros(slot_count)
    middle = horizon.boundary_index(day) or 0
    around = range(max(0, middle - 2 * slot_count), min(horizon.count, middle + 3 * slot_count))
    for index in around:
        instant = horizon.boundary(index)
        slot = (instant.date() - day.date()).days * slot_count + _slot(instant, slot_count) - begin
        if 0 <= slot < slot_count:
            hours[slot] += horizon.step_h[index]
    return hours


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
