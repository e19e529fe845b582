"""Requests to measure what customers delivered, read; what they delivered, written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial

import numpy as np

from loadloom.engine.answers.files import Files
from loadloom.engine.convert import agency, common
from loadloom.engine.convert.common import Grid
from loadloom.engine.convert.data_sets import data_set
from loadloom.engine.convert.response import without_missing
from loadloom.engine.convert.response_columns import column
from loadloom.engine.convert.settlements import DIGITS
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.settings import Limits
from loadloom.engine.task import Task
from loadloom.models.agency.problem import Currency, LoadArray
from loadloom.models.checks import Checks, Violation
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import SolveOptions
from loadloom.models.response.baseline_rule import Adjust, Adjustment, BaselineRule, Method
from loadloom.v1 import agency_pb2
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import from_series

METHODS = {
    pb.BASELINE_METHOD_UNSPECIFIED: Method.LAST_DAYS,
    pb.BASELINE_METHOD_LAST_DAYS: Method.LAST_DAYS,
    pb.BASELINE_METHOD_HIGHEST_DAYS: Method.HIGHEST_DAYS,
    pb.BASELINE_METHOD_REGRESSION: Method.REGRESSION,
    pb.BASELINE_METHOD_CONTROL_GROUP: Method.CONTROL_GROUP,
}

ADJUSTMENTS = {
    pb.ADJUSTMENT_KIND_UNSPECIFIED: Adjust.NONE,
    pb.ADJUSTMENT_KIND_NONE: Adjust.NONE,
    pb.ADJUSTMENT_KIND_RATIO: Adjust.RATIO,
    pb.ADJUSTMENT_KIND_DIFFERENCE: Adjust.DIFFERENCE,
}

ADJUSTED_FROM, ADJUSTED_TO = 180, 60
"""The minutes before the event between which loads are compared unless asked otherwise."""

_PATHS = (
    (re.compile(r"^(load_kw|dates|called|slot_h)\b.*"), "readings"),
    (re.compile(r"^temperature_c\b.*"), "readings.temperature_c"),
    (re.compile(r"^event\.(window|day)\b.*"), "start_time"),
    (re.compile(r"^event\.after_count\b"), "rule.rebound_intervals"),
    (re.compile(r"^rule\.adjustment\.span\b"), "rule.adjustment_start_minutes"),
    (re.compile(r"^rule\.adjustment\.lowest\b"), "rule.adjustment_min"),
    (re.compile(r"^rule\.adjustment\.highest\b"), "rule.adjustment_max"),
    (re.compile(r"^rule\.deducted_rebound_share\b"), "rule.rebound_share"),
    (re.compile(r"^terms\.currency\.code\b"), "terms.currency_code"),
    (re.compile(r"^terms\.currency\.minor_digits\b"), "terms.minor_digits"),
    (re.compile(r"^terms\.fixed_minor\b"), "terms.fixed_payment"),
)
"""Where a field of the model has another name than that of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meters:
    """Readings of customers: in the request, or in files.

    Attributes:
        names: the customers; empty where files have them.
        load_kw: (n, T), NaN where a reading is missing; None where files have them.
        files: the files; None where the request has the readings.
    """

    names: tuple[str, ...] = ()
    load_kw: LoadArray | None = None
    files: Files | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What is paid: one for all, (), or one for each customer, (n,).

    Attributes:
        price_per_kwh: for what is delivered.
        currency: of all of it.
        fixed_payment: for taking part.
        fixed_from_share: the share of what was agreed that must be delivered for that.
    """

    price_per_kwh: FloatArray
    currency: Currency
    fixed_payment: FloatArray = field(default_factory=lambda: np.zeros(()))
    fixed_from_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An event before the one that is measured, and who of its customers was called by it."""

    start: datetime
    end: datetime
    customers: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """What a request to measure asks for.

    Attributes:
        horizon: the intervals of the readings.
        meters: the customers that were called.
        controls: customers that were not called; None for none.
        holidays, event_days: local days.
        temperature_c: (T,), or None.
        start, end: the event.
        rule: how baselines are made; the span of its adjustment is not known yet.
        adjusted_minutes: between which minutes before the event loads are compared.
        after_count: the intervals after the event in which rebound is looked at.
        rebound_share: the share of it that is taken off.
        prices: what is paid; None for nothing.
        most_points, most_users: how much files may hold.
        earlier: events whose days are no days alike for those whom they called.
    """

    horizon: Horizon
    meters: Meters
    controls: Meters | None
    holidays: frozenset[date]
    event_days: frozenset[date]
    temperature_c: FloatArray | None
    start: datetime
    end: datetime
    rule: BaselineRule
    adjusted_minutes: tuple[int, int]
    after_count: int
    rebound_share: float
    prices: Prices | None
    most_points: int
    most_users: int
    earlier: tuple[Earlier, ...] = ()

    @property
    def customer_count(self) -> int:
        """The number of customers; 0 where files have them."""
        return len(self.meters.names)


def parse(message: pb.MeasureResponseRequest, limits: Limits, *, roots: Roots) -> Task[Measuring]:
    """What a request to measure asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    start, end = _instant("start_time", message, found), _instant("end_time", message, found)
    prices = None
    if message.HasField("terms"):
        prices = _prices(message.terms, len(message.readings.curves.names), found)
    asked = measuring(
        message.readings,
        message.controls if message.HasField("controls") else None,
        message.rule,
        limits,
        roots,
        found,
    )
    declared = common.declared(message)
    asked = common.accepted(asked, without_missing(found, declared), declared)
    if start is None or end is None:  # they are required, so this is told above
        raise ValueError("an event without a time was accepted")
    asked = replace(asked, start=start, end=end, prices=prices)
    return Task(problem=asked, options=SolveOptions(), detail=0)


def _instant(
    name: str, message: pb.MeasureResponseRequest, found: list[Violation]
) -> datetime | None:
    instant = common.instant(getattr(message, name))
    if instant is None:
        found.append(Violation(name, "must lie within the years 1 to 9999"))
    return instant


def measuring(
    readings: pb.DayReadings,
    controls: agency_pb2.Curves | None,
    rule: pb.BaselineRule,
    limits: Limits,
    roots: Roots,
    found: list[Violation],
) -> Measuring | None:
    """What is to be measured, without the event and prices; None, its faults noted, if nothing."""
    faults: list[Violation] = []
    axis = common.grid(readings.grid, limits)
    faults.extend(axis.violations)
    check_steps(axis, faults)
    meters = Meters()
    if readings.HasField("curves"):
        meters = _meters("curves", readings.curves, axis, faults)
    elif readings.HasField("data_set"):
        meters = Meters(files=data_set(readings.data_set, roots, faults))
    temperature = None
    if readings.HasField("temperature_c"):
        temperature = from_series(readings.temperature_c)
        if axis.count is not None and temperature.size != axis.count:
            said = f"has {temperature.size} values; must have {axis.count}, one for each interval"
            faults.append(Violation("temperature_c", said))
    read = partial(days, readings, found=faults)
    holidays, event_days = read("holidays"), read("event_days")
    found.extend(common.under("readings.", faults))
    others = None
    if controls is not None:
        before = len(found)
        others = _meters("controls", controls, axis, found)
        faults.extend(found[before:])
    model_rule = _rule(rule, found)
    if faults or axis.count is None:
        return None
    return Measuring(
        horizon=axis.horizon,
        meters=meters,
        controls=others,
        holidays=holidays,
        event_days=event_days,
        temperature_c=temperature,
        start=axis.horizon.start,
        end=axis.horizon.start,
        rule=model_rule,
        adjusted_minutes=(
            rule.adjustment_start_minutes or ADJUSTED_FROM,
            rule.adjustment_end_minutes if rule.HasField("adjustment_end_minutes") else ADJUSTED_TO,
        ),
        after_count=rule.rebound_intervals,
        rebound_share=rule.rebound_share,
        prices=None,
        most_points=limits.curve_points,
        most_users=limits.settlement_users,
    )


def check_steps(axis: Grid, found: list[Violation]) -> None:
    """Notes steps that are not all the same, or do not divide a day."""
    step_h = axis.horizon.step_h
    if axis.count is None or axis.violations:
        return
    if not (step_h == step_h[0]).all():
        found.append(Violation("grid.steps", "must all be the same, to compare days"))
    elif abs(round(24 / step_h[0]) - 24 / step_h[0]) > 1e-9:
        said = f"is {step_h[0]:g} h; must divide a day of 24 hours"
        found.append(Violation("grid.step", said))


def _meters(path: str, message: agency_pb2.Curves, axis: Grid, found: list[Violation]) -> Meters:
    load_kw = agency.loads(path, message, axis, found)
    agency.check_names(path, message, found)
    if load_kw is not None:
        agency.check_readings(path, message, load_kw, found, gaps=True)
    return Meters(names=tuple(message.names), load_kw=load_kw)


def days(
    message: pb.DayReadings | pb.ForecastNeedRequest, name: str, *, found: list[Violation]
) -> frozenset[date]:
    """The local days that a field of a message names; those that are none are noted."""
    found_days = set()
    for index, text in enumerate(getattr(message, name)):
        try:
            found_days.add(date.fromisoformat(text))
        except ValueError:
            found.append(Violation(f"{name}[{index}]", f"is {text!r}; must be a day: 2026-08-15"))
    return frozenset(found_days)


def _rule(message: pb.BaselineRule, found: list[Violation]) -> BaselineRule:
    usual, plain = BaselineRule(), Adjustment()
    last = message.last or usual.last
    adjustment = Adjustment(
        kind=ADJUSTMENTS.get(message.adjustment, Adjust.NONE),
        lowest=message.adjustment_min or plain.lowest,
        highest=message.adjustment_max or plain.highest,
    )
    if adjustment.highest < 1.0:
        said = f"is {adjustment.highest:g}; must be at least 1"
        found.append(Violation("rule.adjustment_max", said))
    return BaselineRule(
        method=METHODS.get(message.method, Method.LAST_DAYS),
        last=last,
        kept=message.kept or min(usual.kept, last),
        fewest=message.fewest or min(usual.fewest, last),
        lookback_days=message.lookback_days or usual.lookback_days,
        adjustment=adjustment,
        matches=message.matches or usual.matches,
    )


def _prices(message: pb.PaymentTerms, count: int, found: list[Violation]) -> Prices:
    checks = Checks()
    prices = column(checks, "terms.price_per_kwh", message.price_per_kwh, max(count, 1), 0.0)
    checks.require(len(message.price_per_kwh) > 0, "terms.price_per_kwh", "is missing")
    promised = column(checks, "terms.fixed_payment", message.fixed_payment, max(count, 1), 0.0)
    found.extend(checks.violations)
    digits = message.minor_digits if message.HasField("minor_digits") else DIGITS
    currency = Currency(code=message.currency_code, minor_digits=digits)
    return Prices(price_per_kwh=prices, currency=currency, fixed_payment=promised)


def renamed(violations: Sequence[Violation]) -> list[Violation]:
    """The violations of the models at the paths of the message."""
    found = []
    for violation in violations:
        path = violation.path
        for pattern, name in _PATHS:
            path = pattern.sub(name, path)
        message = violation.message
        if path != violation.path and violation.path.startswith(("load_kw", "dates", "called")):
            message = f"{violation.path} {message}"
        found.append(Violation(path, message))
    return found
