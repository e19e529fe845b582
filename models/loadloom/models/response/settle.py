"""An event settled: baselines, what was delivered, and what is paid for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from loadloom.models.response.baseline import baselines
from loadloom.models.response.baseline_rule import BaselineRule, Baselines, Event
from loadloom.models.response.measure import Called, DeliveryRule, Measured, measure
from loadloom.models.response.pay import Payments, Terms, pay
from loadloom.models.response.similar_days import Readings


@dataclass(frozen=True, kw_only=True)
class SettlementRequest:
    """What an event is settled by; each part says what it holds.

    Attributes:
        names: n distinct names, by which ties of remainders are broken; None for the order given.
    """

    readings: Readings
    event: Event
    terms: Terms
    baseline_rule: BaselineRule = field(default_factory=BaselineRule)
    controls: Readings | None = None
    called: Called = field(default_factory=Called)
    delivery_rule: DeliveryRule = field(default_factory=DeliveryRule)
    names: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What was found of an event."""

    baselines: Baselines
    measured: Measured
    payments: Payments


def settle(request: SettlementRequest, *, threads: int = 1) -> Settlement:
    """The event's settlement.

    Raises:
        InvalidProblem: a part of the request breaks what it asks.
    """
    readings, event = request.readings, request.event
    found = baselines(
        readings, event, request.baseline_rule, controls=request.controls, threads=threads
    )
    measured = measure(readings, event, found, request.called, request.delivery_rule)
    payments = pay(measured, request.terms, request.names)
    return Settlement(baselines=found, measured=measured, payments=payments)
