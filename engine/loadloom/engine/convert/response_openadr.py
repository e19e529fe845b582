"""Events as OpenADR 3 objects.

An event has the same payloads for all its targets, so there is one for each price, fixed payment
and reduction that customers are asked for, with a single interval: the whole event. Its payloads
are SIMPLE, 1 for moderate load shed; DISPATCH_SETPOINT_RELATIVE, the change of load in kW, below
zero; and of types of our own, INCENTIVE_PRICE, what is paid per kWh of reduction (PRICE would be
taken for that of energy), and INCENTIVE_PAYMENT, what is paid for taking part, if anything.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from itertools import groupby

from loadloom.engine.store.event_rows import Call
from loadloom.engine.store.event_tables import CallState
from loadloom.models.horizon import Horizon
from loadloom.v1 import response_pb2 as pb

VERSION = "3.0.1"
"""The version of OpenADR whose schema the objects keep."""

SHED, CHANGE, INCENTIVE = "SIMPLE", "DISPATCH_SETPOINT_RELATIVE", "INCENTIVE_PRICE"
TAKING_PART = "INCENTIVE_PAYMENT"
USAGE, DEMAND, AVAILABLE = "USAGE", "DEMAND", "LOAD_SHED_DELTA_AVAILABLE"
UNITS = {USAGE: "KWH", DEMAND: "KW", AVAILABLE: "KW"}
"""The units in which values are understood."""

LIVE = {CallState.PENDING, CallState.ACCEPTED}
"""The states of calls that are exported."""

STEPS_OF_A_KW = 1000
"""Customers whose reductions differ by less than a watt share an event."""

TARGETS = 5_000
"""The most targets of an event, so that each fits into a message."""

Place = tuple[float, float, int, int]
"""Where a call stands among those of an export: its price, what it pays for taking part, its
reduction in W, its customer's place."""


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
    event: pb.ResponseEvent,
    horizon: Horizon,
    calls: Iterable[Call],
    program_id: str,
    after: Place | None = None,
) -> Iterator[tuple[str, Place]]:
    """The events for the calls that are pending or accepted, as JSON, with their last calls.

    With `after`, for calls beyond that place.
    """
    live = {_place(call): call.customer for call in calls if call.state in LIVE}
    beyond = sorted(place for place in live if after is None or place > after)
    for terms, alike in groupby(beyond, key=lambda place: place[:3]):
        for places in _parts(list(alike)):
            names = [live[place] for place in places]
            whole = _event(event, horizon, program_id or event.program, *terms, names)
            yield json.dumps(whole), places[-1]


def _place(call: Call) -> Place:
    step = round(call.asked_kw * STEPS_OF_A_KW)
    return call.price_per_kwh, call.fixed_payment, step, call.place


def _parts(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    return (places[first : first + TARGETS] for first in range(0, len(places), TARGETS))


def _event(
    event: pb.ResponseEvent,
    horizon: Horizon,
    program_id: str,
    price: float,
    promised: float,
    step: int,
    names: Sequence[str],
) -> dict[str, object]:
    payloads = [
        {"type": SHED, "values": [1]},
        {"type": CHANGE, "values": [-step / STEPS_OF_A_KW]},
        {"type": INCENTIVE, "values": [price]},
    ]
    descriptors = _descriptors(event)
    if promised:
        payloads.append({"type": TAKING_PART, "values": [promised]})
        descriptors.append(_descriptor(TAKING_PART, currency=event.currency_code))
    return {
        "objectType": "EVENT",
        "programID": program_id,
        "eventName": event.name,
        "priority": 1,
        "targets": [{"type": "RESOURCE_NAME", "values": names}],
        "payloadDescriptors": descriptors,
        "reportDescriptors": [
            {"payloadType": AVAILABLE, "units": UNITS[AVAILABLE], "historical": False},
            {"payloadType": USAGE, "units": UNITS[USAGE], "readingType": "DIRECT_READ"},
        ],
        "intervalPeriod": _period(horizon),
        "intervals": [{"id": 0, "payloads": payloads}],
    }


def _descriptors(event: pb.ResponseEvent) -> list[dict[str, str]]:
    return [
        _descriptor(SHED),
        _descriptor(CHANGE, units="KW"),
        _descriptor(INCENTIVE, units="KWH", currency=event.currency_code),
    ]


def _descriptor(payload: str, **more: str) -> dict[str, str]:
    return {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": payload, **more}


def _period(horizon: Horizon) -> dict[str, str]:
    start = horizon.boundary(0).astimezone(UTC)
    return {
        "start": start.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration": f"PT{round(3600 * float(horizon.boundaries_h[-1]))}S",
    }
