"""What customers delivered and are paid; what runs in a worker process."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import perf_counter

import numpy as np

from loadloom.engine.answers.agency import Answer, ended
from loadloom.engine.convert.response_measure import Measuring, Meters, Prices, renamed
from loadloom.engine.task import RejectedPlan, Task
from loadloom.models.agency.problem import Currency, LoadArray
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.response.baseline_rule import Adjust, BaselineRule, Event, Note
from loadloom.models.response.measure import Called, DeliveryRule
from loadloom.models.response.pay import Terms, in_formula
from loadloom.models.response.settle import Settlement, SettlementRequest, settle
from loadloom.models.response.settlement_referee import violations
from loadloom.models.response.similar_days import Readings, Span, by_days

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
    readings, event, rule = _days(asked, load_kw)
    controls = None
    if asked.controls is not None:
        controls = _readings(asked, _loads(asked, asked.controls)[1], readings)
    prices = asked.prices or NOTHING_PAID
    each = np.broadcast_to(prices.price_per_kwh, (len(names),))
    request = SettlementRequest(
        readings=readings,
        event=event,
        terms=Terms(currency=prices.currency, price_per_kwh=each[:, None]),
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


def _days(asked: Measuring, load_kw: LoadArray) -> tuple[Readings, Event, BaselineRule]:
    """The readings by local days, the event in slots of its day, and the rule with its span."""
    horizon = asked.horizon
    slot_count = round(24 / float(horizon.step_h[0]))
    dates, table = by_days(load_kw, horizon, slot_count)
    zone = horizon.boundary(0).tzinfo
    start, end = (each.astimezone(zone) for each in (asked.start, asked.end))
    _check_event(horizon, start, end)
    first = _slot(start, slot_count)
    final = horizon.boundary((horizon.boundary_index(end) or 1) - 1)
    last = _slot(final, slot_count) + 1  # an hour that the clock repeats ends where it began
    day = dates.index(start.date())
    event = Event(
        day=day,
        window=Span(first=first, count=last - first),
        after_count=min(asked.after_count, slot_count - last),
    )
    temperature = None
    if asked.temperature_c is not None:
        temperature = by_days(asked.temperature_c[None], horizon, slot_count)[1][0]
        temperature = filled(temperature)
    readings = Readings(
        load_kw=table,
        dates=dates,
        holidays=asked.holidays,
        called=np.array([each in asked.event_days for each in dates]),
        temperature_c=temperature,
        slot_h=_slot_hours(horizon, start, slot_count),
    )
    return readings, event, _with_span(asked, event, slot_count)


def _readings(asked: Measuring, load_kw: LoadArray, like: Readings) -> Readings:
    """Readings of other customers on the same days."""
    table = by_days(load_kw, asked.horizon, like.shape[2])[1]
    return replace(like, load_kw=table)


def _check_event(horizon: Horizon, start: datetime, end: datetime) -> None:
    found = []
    for name, instant in (("start_time", start), ("end_time", end)):
        if horizon.boundary_index(instant) is None:
            said = f"is {instant:%Y-%m-%d %H:%M %Z}; must be where an interval of the readings ends"
            found.append(Violation(name, said))
    if not found and not on_one_day(start, end):
        said = "must be after start_time, and on the same local day"
        found.append(Violation("end_time", said))
    if found:
        raise InvalidProblem(found)


def on_one_day(start: datetime, end: datetime) -> bool:
    """Whether an event, by the clocks of its zone, begins and ends after that on one local day."""
    same = end.date() == start.date() or (end - timedelta(seconds=1)).date() == start.date()
    return start.timestamp() < end.timestamp() and same  # clocks may be set back in between


def _slot(instant: datetime, slot_count: int) -> int:
    return (instant.hour * 60 + instant.minute) * slot_count // (24 * 60)


def _slot_hours(horizon: Horizon, day: datetime, slot_count: int) -> FloatArray:
    """The hours that pass in each slot of a local day, by the intervals that begin in it."""
    hours = np.zeros(slot_count)
    middle = horizon.boundary_index(day) or 0
    around = range(max(0, middle - 2 * slot_count), min(horizon.count, middle + 2 * slot_count))
    for index in around:
        instant = horizon.boundary(index)
        if instant.date() == day.date():
            hours[_slot(instant, slot_count)] += horizon.step_h[index]
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
