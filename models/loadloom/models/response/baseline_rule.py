"""What a baseline is asked for: the method, its rules, and the event it is of."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.similar_days import BoolArray, Readings, Span, check_powers


class Method(Enum):
    """How a baseline is found; the values are the words in which an answer names it."""

    LAST_DAYS = "mean of the last days alike"
    HIGHEST_DAYS = "mean of the highest of the last days alike"
    REGRESSION = "regression on weather"
    CONTROL_GROUP = "matched control group"


class Adjust(Enum):
    """How a baseline follows what its customer drew on the event's day before it began."""

    NONE = "none"
    RATIO = "ratio"
    DIFFERENCE = "difference"


class Note(IntEnum):
    """What is to be said of a customer's baseline."""

    NONE = 0
    TOO_FEW_DAYS = 1
    NO_CONTROLS = 2
    NOT_ADJUSTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """The same-day adjustment: its kind, the slots compared, and its limits as shares of b.

    Loads that are 0 or below have no ratio and stay as they are.
    """

    kind: Adjust = Adjust.NONE
    span: Span | None = None
    lowest: float = 1 / 1.2
    highest: float = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRule:
    """How baselines are found.

    Attributes:
        method: see there.
        last: the number of days alike that are looked at, the most recent.
        kept: of these, how many count with HIGHEST_DAYS.
        fewest: with fewer of these days a customer has no baseline.
        lookback_days: how far back days may lie; with REGRESSION, the days that are learned from.
        adjustment: see there.
        matches: the controls of each customer, with CONTROL_GROUP.
    """

    method: Method = Method.LAST_DAYS
    last: int = 10
    kept: int = 5
    fewest: int = 5
    lookback_days: int = 60
    adjustment: Adjustment = field(default_factory=Adjustment)
    matches: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """When customers were called.

    Attributes:
        day: the index of its local day in the readings' dates.
        window: the slots in which the reduction was wanted.
        after_count: the slots after the window, of the same day, in which rebound is measured.
        spoiled: (S,) or (n, S): slots of the day disturbed by another event or its rebound, which
            say nothing of what is usual; None for none. Those from the window's first on never do.
    """

    day: int
    window: Span
    after_count: int = 0
    spoiled: BoolArray | None = None

    @property
    def measured(self) -> Span:
        """The slots of the window and after it."""
        return Span(first=self.window.first, count=self.window.count + self.after_count)


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """What was found of n customers in the measured slots, the window's and those after it.

    Attributes:
        kw: (n, W + A), NaN where there is none.
        unadjusted_kw: (n, W + A) the same before the same-day adjustment.
        adjustment: (n,) the capped ratio, or the difference in kW; 1 or 0 where there is none.
        day_count: (n,) the days found to look at.
        days: (n, last) the days of which it is the mean, the latest first and -1 beyond; with
            REGRESSION none.
        note: (n,) see `Note`.
        noise_kw: (n,) the standard deviation by which the window's mean of one more day alike
            differs from the baseline before the adjustment, as the days looked at vary: what is
            measured may be off by so much. NaN with REGRESSION and where there is none.
    """

    kw: FloatArray
    unadjusted_kw: FloatArray
    adjustment: FloatArray
    day_count: NDArray[np.int32]
    days: NDArray[np.int32]
    note: NDArray[np.uint8]
    noise_kw: FloatArray


def check(
    readings: Readings, event: Event, rule: BaselineRule, controls: Readings | None = None
) -> None:
    """Raises InvalidProblem if the event or the rule does not fit the readings."""
    checks = Checks()
    count, days, slots = readings.shape
    good = 0 <= event.day < days
    checks.require(good, "event.day", f"is {event.day}; must be one of {days} days")
    event.window.check(checks, "event.window", slots)
    message = f"is {event.after_count}; must be from 0 to the end of the day"
    good = event.after_count >= 0 and event.measured.end <= slots
    checks.require(good, "event.after_count", message)
    if event.spoiled is not None:
        shape = event.spoiled.shape
        message = f"has shape {shape}; must have shape {(slots,)} or {(count, slots)}"
        checks.require(shape in {(slots,), (count, slots)}, "event.spoiled", message)
    _check_rule(checks, rule)
    _check_adjustment(checks, rule.adjustment, event.window, slots)
    if rule.method is Method.REGRESSION:
        message = "is missing; a regression needs it on every day of the readings"
        checks.require(readings.temperature_c is not None, "temperature_c", message)
    if rule.method is Method.CONTROL_GROUP:
        message = "are missing; customers who were not called are needed as a control group"
        checks.require(controls is not None, "controls", message)
        if controls is not None:
            same = controls.dates == readings.dates and controls.shape[2] == slots
            message = "have other days or slots; must have those of the customers called"
            checks.require(same, "controls", message)
    checks.finish()
    first = event.window.first
    if rule.adjustment.kind is not Adjust.NONE and rule.adjustment.span is not None:
        first = rule.adjustment.span.first
    shown = Span(first=first, count=event.measured.end - first)
    check_event_powers(checks, readings, event.day, shown)
    if controls is not None:
        check_event_powers(checks, controls, event.day, shown, "controls.load_kw")
    checks.finish()


def check_event_powers(
    checks: Checks, readings: Readings, day: int, span: Span, path: str = "load_kw"
) -> None:
    """Notes the first power of the event's day that is too large to be one."""
    load_kw = readings.load_kw[:, day : day + 1, span.slots]
    check_powers(checks, path, load_kw, first_day=day, first_slot=span.first)


def _check_rule(checks: Checks, rule: BaselineRule) -> None:
    checks.require(1 <= rule.last <= 366, "rule.last", f"is {rule.last}; must be from 1 to 366")
    for name, value in (("kept", rule.kept), ("fewest", rule.fewest)):
        used = name == "fewest" or rule.method is Method.HIGHEST_DAYS
        message = f"is {value}; must be from 1 to rule.last, {rule.last}"
        checks.require(not used or 1 <= value <= rule.last, f"rule.{name}", message)
    message = f"is {rule.lookback_days}; must be at least 1"
    checks.require(rule.lookback_days >= 1, "rule.lookback_days", message)
    message = f"is {rule.matches}; must be from 1 to 100"
    checks.require(1 <= rule.matches <= 100, "rule.matches", message)


def _check_adjustment(checks: Checks, rule: Adjustment, window: Span, slots: int) -> None:
    if rule.kind is Adjust.NONE:
        return
    path = "rule.adjustment"
    if rule.span is None:
        checks.require(False, f"{path}.span", "is missing; must be slots before the window")
    elif rule.span.check(checks, f"{path}.span", slots):
        message = f"ends with slot {rule.span.end}; must end before the window, by {window.first}"
        checks.require(rule.span.end <= window.first, f"{path}.span", message)
    message = f"is {rule.lowest:g}; must be a number from 0 to 1"
    checks.require(0.0 <= rule.lowest <= 1.0, f"{path}.lowest", message)
    message = f"is {rule.highest:g}; must be a number from 1 to 10"
    checks.require(1.0 <= rule.highest <= 10.0, f"{path}.highest", message)
