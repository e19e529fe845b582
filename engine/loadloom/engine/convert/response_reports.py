"""OpenADR 3 reports, read into answers and readings.

Periods are those of an interval, else of its resource, else of the event: then a single interval is
the whole event, and several are the intervals of its grid.
"""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from loadloom.engine.convert.response_openadr import AVAILABLE, DEMAND, UNITS, USAGE
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.store.event_tables import CallState
from loadloom.models.checks import MAGNITUDE, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray, Horizon

OPERATING, QUALITY = "OPERATING_STATE", "DATA_QUALITY"

ALL_RESOURCES = "AGGREGATED_REPORT"
"""The name of a resource that stands for several, of which nothing is known one by one."""

OPTED_OUT = {"IDLE_OPTED_OUT", "RUNNING_OPTED_OUT"}
TAKES_PART = {"IDLE_CURTAILED", "RUNNING_CURTAILED"}
"""What states of operation say about a call; others say nothing."""

LONGEST = timedelta(days=366)
"""The longest period."""

FLOAT_BYTES = 4
"""What a reading takes in a message."""

_DURATION = (
    r"P(?=\d|T\d)(?:(?P<days>\d{1,6})D)?(?:T(?:(?P<hours>\d{1,9})H)?"
    r"(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,9})?)S)?)?"
)
"""Durations without years and months, whose length nobody knows, and weeks."""


def _length(duration: str) -> timedelta:
    """The length of a duration.

    Raises:
        ValueError: it is none, or too long.
    """
    parts = re.fullmatch(_DURATION, duration)
    if parts is None:
        raise ValueError("must be a duration of days, hours, minutes and seconds, such as PT15M")
    named = {name: float(value) for name, value in parts.groupdict(default="0").items()}
    length = timedelta(**named)
    if length > LONGEST:
        raise ValueError(f"must be at most {LONGEST.days} days")
    return length


def _of_length(duration: str) -> str:
    _length(duration)
    return duration


class _Period(BaseModel):
    start: datetime
    duration: Annotated[str, AfterValidator(_of_length)] = "PT0S"

    @property
    def length_h(self) -> float:
        """How many hours it lasts."""
        return _length(self.duration) / timedelta(hours=1)

    def first_h(self, horizon: Horizon) -> float:
        """How many hours after the event begins it does."""
        start = self.start if self.start.tzinfo else self.start.replace(tzinfo=UTC)
        return (start - horizon.start) / timedelta(hours=1)


class _Values(BaseModel):
    type: str = Field(min_length=1, max_length=128)
    values: list[StrictFloat | StrictInt | StrictBool | StrictStr | dict]


class _Interval(BaseModel):
    id: StrictInt
    intervalPeriod: _Period | None = None  # noqa: N815 -- as OpenADR names it
    payloads: list[_Values]


class _Resource(BaseModel):
    resourceName: str = Field(min_length=1, max_length=128)  # noqa: N815
    intervalPeriod: _Period | None = None  # noqa: N815
    intervals: list[_Interval]


class _Descriptor(BaseModel):
    payloadType: str = Field(min_length=1, max_length=128)  # noqa: N815
    units: str | None = None


class _Report(BaseModel):
    programID: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")  # noqa: N815
    eventID: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")  # noqa: N815
    clientName: str = Field(min_length=1, max_length=128)  # noqa: N815
    payloadDescriptors: list[_Descriptor] | None = None  # noqa: N815
    resources: list[_Resource]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What reports say.

    Attributes:
        answers: by customer, the state and the kW that are available; None where it is not told.
        load_kw: by customer, the mean load in each interval, NaN where it is not told.
    """

    answers: dict[str, tuple[CallState, float | None]]
    load_kw: dict[str, FloatArray]


def read(
    reports: Sequence[str],
    horizon: Horizon,
    known: Container[str],
    limits: Limits,
    event_ids: Sequence[str] = (),
) -> Reported:
    """What reports say about an event; of several answers of a customer the last one counts.

    Args:
        reports: texts of JSON.
        horizon: the intervals of the event.
        known: its customers; other resources are passed over.
        limits: how much may be read.
        event_ids: what the event is called in reports, and others are passed over; empty for
            whatever all of them say.

    Raises:
        InvalidProblem: a report is none, is of another event than the first, or has units that are
            not understood.
        Refusal: there are too many readings.
    """
    found: list[Violation] = []
    reader = _Reader(horizon=horizon, limits=limits, found=found)
    its = set(event_ids)
    for index, text in enumerate(reports):
        path = f"reports[{index}]"
        report = _parsed(path, text, found)
        if report is None:
            continue
        if event_ids and report.eventID not in its:
            continue
        if not event_ids and its and report.eventID not in its:
            said = f"is {report.eventID!r}, which earlier ones have not; needs event_ids"
            found.append(Violation(f"{path}.eventID", said))
            continue
        its.add(report.eventID)
        _check_units(path, report, found)
        for place, resource in enumerate(report.resources):
            if resource.resourceName != ALL_RESOURCES and resource.resourceName in known:
                reader.take(f"{path}.resources[{place}]", resource)
    if found:
        raise InvalidProblem(found)
    return reader.said


def _parsed(path: str, text: str, found: list[Violation]) -> _Report | None:
    try:
        return _Report.model_validate_json(text)
    except ValidationError as error:
        for fault in error.errors():
            steps = (f"[{s}]" if isinstance(s, int) else f".{s}" for s in fault["loc"])
            found.append(Violation(path + "".join(steps), fault["msg"].lower()))
    return None


def _check_units(path: str, report: _Report, found: list[Violation]) -> None:
    for index, each in enumerate(report.payloadDescriptors or ()):
        wanted = UNITS.get(each.payloadType)
        if wanted is not None and each.units not in {None, wanted}:
            said = f"is {each.units}; must be {wanted} for {each.payloadType}"
            found.append(Violation(f"{path}.payloadDescriptors[{index}].units", said))


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Reads resources, one after the other; what is wrong with them is noted in `found`."""

    horizon: Horizon
    limits: Limits
    found: list[Violation]
    said: Reported = field(default_factory=lambda: Reported(answers={}, load_kw={}))
    read_points: int = 0

    def take(self, path: str, resource: _Resource) -> None:
        """Reads a resource of a known customer.

        Raises:
            Refusal: there are too many readings by now.
        """
        name, said = resource.resourceName, self.said
        offered: list[tuple[float, float]] = []
        spans: list[tuple[float, float, float]] = []
        for index, interval in enumerate(resource.intervals):
            first_h, hours = _span(resource, index, self.horizon)
            values = _single_values(f"{path}.intervals[{index}]", interval, self.found)
            if (state := _state(values.get(OPERATING))) is not None:
                said.answers[name] = (state, None)
            if (kw := _number(values.get(AVAILABLE))) is not None:
                offered.append((abs(kw), hours))
            if values.get(QUALITY) in {"MISSING", "BAD"} or hours <= 0.0:
                continue
            if (kwh := _number(values.get(USAGE))) is not None:
                spans.append((first_h, first_h + hours, kwh / hours))
            elif (kw := _number(values.get(DEMAND))) is not None:
                spans.append((first_h, first_h + hours, kw))
        if offered:
            whole = sum(hours for _, hours in offered)
            kw = sum(kw * hours for kw, hours in offered) / whole if whole else offered[-1][0]
            said.answers[name] = (CallState.ACCEPTED, kw) if kw else (CallState.OPTED_OUT, None)
        if spans:
            self._load(name, spans)

    def _load(self, name: str, spans: Sequence[tuple[float, float, float]]) -> None:
        """Reads the loads of a customer; later ones replace earlier ones."""
        known = self.said.load_kw
        self.read_points += self.horizon.count
        most = self.limits.customer_points
        if self.read_points > most:
            raise refusal.too_large("reports", "readings in reports", self.read_points, most)
        new = mean_loads(spans, self.horizon)
        if new is None:
            return
        old = known.get(name)
        known[name] = new if old is None else np.where(np.isnan(new), old, new)
        asked, most = len(known) * self.horizon.count * FLOAT_BYTES, self.limits.message_bytes
        if asked > most:
            raise refusal.too_large("reports", "bytes in a message", asked, most)


def _single_values(path: str, interval: _Interval, found: list[Violation]) -> dict[str, object]:
    """The value of each type that is understood, which must be a single one of its kind."""
    values: dict[str, object] = {}
    for place, each in enumerate(interval.payloads):
        if each.type not in {*UNITS, OPERATING, QUALITY}:
            continue
        first = each.values[0] if len(each.values) == 1 else None
        good = isinstance(first, str) if each.type not in UNITS else _number(first) is not None
        if good:
            values[each.type] = first
        else:
            kind = "number" if each.type in UNITS else "word"
            said = f"must be a single {kind} for {each.type}"
            found.append(Violation(f"{path}.payloads[{place}].values", said))
    return values


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= MAGNITUDE else None  # an integer may be beyond any float


def _state(value: object) -> CallState | None:
    if value in OPTED_OUT:
        return CallState.OPTED_OUT
    return CallState.ACCEPTED if value in TAKES_PART else None


def _span(resource: _Resource, index: int, horizon: Horizon) -> tuple[float, float]:
    """How many hours after the event begins an interval does, and how many it lasts."""
    own, shared = resource.intervals[index].intervalPeriod, resource.intervalPeriod
    if own is not None:
        return own.first_h(horizon), own.length_h
    if shared is not None:
        hours = shared.length_h
        return shared.first_h(horizon) + index * hours, hours
    bounds_h = horizon.boundaries_h
    if len(resource.intervals) == 1:
        return 0.0, float(bounds_h[-1])
    if index >= horizon.count:
        return float(bounds_h[-1]), 0.0
    return float(bounds_h[index]), float(horizon.step_h[index])


def mean_loads(spans: Sequence[tuple[float, float, float]], horizon: Horizon) -> FloatArray | None:
    """The mean load in each interval in kW, (count,); NaN where it is not told whole.

    Args:
        spans: first and last hour after the horizon's start, and the mean load in kW between them.
        horizon: the intervals.

    Returns:
        None if no span lies in the horizon.
    """
    bounds_h = horizon.boundaries_h
    first, last, kw = np.array(spans, dtype=np.float64).T
    first, last = (np.clip(each, 0.0, bounds_h[-1]) for each in (first, last))
    inside = last > first
    if not inside.any():
        return None
    at = np.concatenate((first[inside], last[inside]))
    order = np.argsort(at, kind="stable")

    def within(rate: FloatArray) -> FloatArray:
        """What a rate that holds during spans comes to in each interval."""
        change = np.concatenate((rate[inside], -rate[inside]))[order]
        grown = np.cumsum(np.cumsum(change)[:-1] * np.diff(at[order]))
        return np.diff(np.interp(bounds_h, at[order], np.concatenate(([0.0], grown))))

    hours = within(np.ones_like(kw))
    whole = np.abs(hours - horizon.step_h) <= 1e-6 * horizon.step_h
    return np.divide(within(kw), hours, out=np.full(hours.size, np.nan), where=whole)
