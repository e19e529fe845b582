"""Events as OpenADR 3 objects, and OpenADR 3 reports read into answers and readings.

An event has the same payloads for all its targets, so there is one for each price and reduction
that customers are asked for. Its payloads are SIMPLE, 1 for moderate load shed;
DISPATCH_SETPOINT_RELATIVE, the change of load in kW, below zero; and INCENTIVE_PRICE, a type of our
own, what is paid per kWh of reduction: PRICE would be taken for that of energy.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from loadloom.engine.store.event_rows import Call
from loadloom.engine.store.event_tables import CallState
from loadloom.models.checks import MAGNITUDE, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.v1 import response_pb2 as pb

VERSION = "3.0.1"
"""The version of OpenADR whose schema the objects keep."""

SHED, CHANGE, INCENTIVE = "SIMPLE", "DISPATCH_SETPOINT_RELATIVE", "INCENTIVE_PRICE"
USAGE, DEMAND, AVAILABLE = "USAGE", "DEMAND", "LOAD_SHED_DELTA_AVAILABLE"
OPERATING, QUALITY = "OPERATING_STATE", "DATA_QUALITY"

ALL_RESOURCES = "AGGREGATED_REPORT"
"""The name of a resource that stands for several, of which nothing is known one by one."""

OPTED_OUT = {"IDLE_OPTED_OUT", "RUNNING_OPTED_OUT"}
TAKES_PART = {"IDLE_CURTAILED", "RUNNING_CURTAILED"}
"""What states of operation say about a call; others say nothing."""

UNITS = {USAGE: "KWH", DEMAND: "KW", AVAILABLE: "KW"}
"""The units in which values are understood."""

STEPS_OF_A_KW = 1000
"""Customers whose reductions differ by less than a watt share an event."""

_DURATION = (
    r"^P(?=\d|T\d)(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$"
)
"""Durations without years and months, whose length nobody knows, and weeks."""


def program(event: pb.ResponseEvent) -> str:
    """The program of an event, as JSON."""
    return json.dumps(
        {
            "objectType": "PROGRAM",
            "programName": event.program,
            "programType": "LOAD_SHED",
            "bindingEvents": False,
            "localPrice": False,
            "payloadDescriptors": _descriptors(event),
        }
    )


def events(
    event: pb.ResponseEvent, horizon: Horizon, calls: Iterable[Call], program_id: str
) -> list[str]:
    """The events for the calls that are pending or accepted, as JSON."""
    alike: dict[tuple[float, int], list[str]] = defaultdict(list)
    for call in calls:
        if call.state in {CallState.PENDING, CallState.ACCEPTED}:
            alike[call.price_per_kwh, round(call.asked_kw * STEPS_OF_A_KW)].append(call.customer)
    return [
        json.dumps(_event(event, horizon, program_id or event.program, price, step, names))
        for (price, step), names in sorted(alike.items())
    ]


def _event(
    event: pb.ResponseEvent,
    horizon: Horizon,
    program_id: str,
    price: float,
    step: int,
    names: Sequence[str],
) -> dict[str, object]:
    payloads = [
        {"type": SHED, "values": [1]},
        {"type": CHANGE, "values": [-step / STEPS_OF_A_KW]},
        {"type": INCENTIVE, "values": [price]},
    ]
    is_even = bool((horizon.step_h == horizon.step_h[0]).all())
    intervals = []
    for index in range(horizon.count):
        interval: dict[str, object] = {"id": index, "payloads": payloads}
        if not is_even:
            interval["intervalPeriod"] = _period(horizon, index)
        intervals.append(interval)
    return {
        "objectType": "EVENT",
        "programID": program_id,
        "eventName": event.name,
        "priority": 1,
        "targets": [{"type": "RESOURCE_NAME", "values": list(names)}],
        "payloadDescriptors": _descriptors(event),
        "reportDescriptors": [
            {"payloadType": AVAILABLE, "units": UNITS[AVAILABLE], "historical": False},
            {"payloadType": USAGE, "units": UNITS[USAGE], "readingType": "DIRECT_READ"},
        ],
        "intervalPeriod": _period(horizon, 0),
        "intervals": intervals,
    }


def _descriptors(event: pb.ResponseEvent) -> list[dict[str, str]]:
    kind = "EVENT_PAYLOAD_DESCRIPTOR"
    return [
        {"objectType": kind, "payloadType": SHED},
        {"objectType": kind, "payloadType": CHANGE, "units": "KW"},
        {
            "objectType": kind,
            "payloadType": INCENTIVE,
            "units": "KWH",
            "currency": event.currency_code,
        },
    ]


def _period(horizon: Horizon, index: int) -> dict[str, str]:
    start = horizon.boundary(index).astimezone(UTC)
    return {
        "start": start.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration": f"PT{round(3600 * float(horizon.step_h[index]))}S",
    }


class _Period(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")

    start: datetime
    duration: str = Field(default="PT0S", pattern=_DURATION)

    @property
    def length(self) -> timedelta:
        """How long it lasts."""
        return _length(self.duration)


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


def read(reports: Sequence[str], horizon: Horizon) -> Reported:
    """What reports say about an event; of several answers of a customer the last one counts.

    Raises:
        InvalidProblem: a report is none, or has units that are not understood.
    """
    found: list[Violation] = []
    said = Reported(answers={}, load_kw={})
    for index, text in enumerate(reports):
        report = _parsed(f"reports[{index}]", text, found)
        if report is None:
            continue
        _check_units(f"reports[{index}]", report, found)
        for place, resource in enumerate(report.resources):
            if resource.resourceName != ALL_RESOURCES:
                path = f"reports[{index}].resources[{place}]"
                _read_resource(path, resource, horizon, said, found)
    if found:
        raise InvalidProblem(found)
    return said


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


def _read_resource(
    path: str, resource: _Resource, horizon: Horizon, said: Reported, found: list[Violation]
) -> None:
    name = resource.resourceName
    offered: list[tuple[float, float]] = []
    used = _Loads(horizon)
    for index, interval in enumerate(resource.intervals):
        start, hours = _span(resource, index, horizon)
        values = _single_values(f"{path}.intervals[{index}]", interval, found)
        if (state := _state(values.get(OPERATING))) is not None:
            said.answers[name] = (state, None)
        if (kw := _number(values.get(AVAILABLE))) is not None:
            offered.append((abs(kw), hours))
        if values.get(QUALITY) in {"MISSING", "BAD"}:
            continue
        if (kwh := _number(values.get(USAGE))) is not None and hours > 0.0:
            used.add(start, hours, kwh / hours)
        elif (kw := _number(values.get(DEMAND))) is not None:
            used.add(start, hours, kw)
    if offered:
        whole = sum(hours for _, hours in offered)
        kw = sum(kw * hours for kw, hours in offered) / whole if whole else offered[-1][0]
        said.answers[name] = (CallState.ACCEPTED, kw) if kw else (CallState.OPTED_OUT, None)
    if used.any:
        old = said.load_kw.get(name)
        new = used.means
        said.load_kw[name] = new if old is None else np.where(np.isnan(new), old, new)


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
    return float(value) if isfinite(value) and abs(value) <= MAGNITUDE else None


def _state(value: object) -> CallState | None:
    if value in OPTED_OUT:
        return CallState.OPTED_OUT
    return CallState.ACCEPTED if value in TAKES_PART else None


def _span(resource: _Resource, index: int, horizon: Horizon) -> tuple[datetime, float]:
    """When an interval begins and how many hours it lasts: its own, the resource's, the event's."""
    own = resource.intervals[index].intervalPeriod
    if own is not None:
        return _aware(own.start), own.length / timedelta(hours=1)
    shared = resource.intervalPeriod
    if shared is not None:
        length = shared.length
        return _aware(shared.start) + index * length, length / timedelta(hours=1)
    place = min(index, horizon.count - 1)
    hours = float(horizon.step_h[place]) if index < horizon.count else 0.0
    return horizon.boundary(place), hours


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _length(duration: str) -> timedelta:
    parts = re.match(_DURATION, duration)
    named = {} if parts is None else parts.groupdict(default="0")
    return timedelta(**{name: float(value) for name, value in named.items()})


class _Loads:
    """The mean load in each interval of an event, made from spans of any length."""

    def __init__(self, horizon: Horizon) -> None:
        self._horizon = horizon
        self._kwh, self._hours = np.zeros(horizon.count), np.zeros(horizon.count)

    def add(self, start: datetime, hours: float, kw: float) -> None:
        """Takes in a mean load over some hours."""
        first = (start - self._horizon.start) / timedelta(hours=1)
        bounds = self._horizon.boundaries_h
        low = np.maximum(bounds[:-1], first)
        covered = np.maximum(0.0, np.minimum(bounds[1:], first + hours) - low)
        self._kwh += covered * kw
        self._hours += covered

    @property
    def any(self) -> bool:
        """Whether anything of the event was told."""
        return bool((self._hours > 0.0).any())

    @property
    def means(self) -> FloatArray:
        """The mean loads in kW; NaN in intervals that are not told whole."""
        whole = np.abs(self._hours - self._horizon.step_h) <= 1e-6 * self._horizon.step_h
        return np.divide(self._kwh, self._hours, out=np.full(self._kwh.size, np.nan), where=whole)
