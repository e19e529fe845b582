"""An event settled: payments, and what it teaches; what runs in a worker process."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from loadloom.engine.answers.agency import Answer, ended
from loadloom.engine.answers.response_measure import Deliveries, Offered, deliveries
from loadloom.engine.convert.response_measure import Measuring, renamed
from loadloom.engine.store.event_accounts import Known, Payment
from loadloom.engine.task import Task
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import FloatArray
from loadloom.models.response.measure import WH_PER_KWH
from loadloom.models.response.reliability import Outcome, Reliabilities, fitted_start, start, update

LAW = ("accepted", "declined", "share_mean", "share_weight", "share_shape", "share_scale")
"""The columns of what is known of a customer, in models and tables alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The customers of an event whose time to answer is over, in the order of their places.

    Attributes:
        places, names: who they are.
        accepted: (n,) whether each accepted.
        agreed_kw: (n,) what it agreed to.
        price_per_kwh: (n,) what it was promised.
        expected_kwh: what was expected of all calls when they were made.
    """

    places: tuple[int, ...]
    names: tuple[str, ...]
    accepted: np.ndarray
    agreed_kw: FloatArray
    price_per_kwh: FloatArray
    expected_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What an event is settled by.

    Attributes:
        measuring: the readings, with the event and the prices of those who accepted.
        allow_missing: whether some of these may be without readings.
        answered: see there.
        known: what is known of them before; none of those who are new.
        others: what is known of some customers, to start with of those who are new.
    """

    measuring: Measuring
    allow_missing: bool
    answered: Answered
    known: dict[str, Known]
    others: Sequence[Known]

    @property
    def customer_count(self) -> int:
        """The number of customers who answered, or did not in time."""
        return len(self.answered.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A settlement: what was delivered, the payments, and what is known after it."""

    deliveries: Deliveries | None
    payments: tuple[Payment, ...]
    known: tuple[Known, ...]


def settled(task: Task[Settling]) -> Answer[Settled]:
    """An event, measured, refereed and paid.

    Raises:
        InvalidProblem: the readings, the event or the rule do not fit each other.
        RejectedPlan: the referee found it to be wrong.
    """
    started, asked = perf_counter(), task.problem
    answered = asked.answered
    takes_part = np.flatnonzero(answered.accepted)
    net_kw, noise_kw = np.full((2, len(answered.names)), np.nan)
    found, payments = None, ()
    if takes_part.size:
        offered = Offered(
            names=tuple(answered.names[i] for i in takes_part.tolist()),
            kw=answered.agreed_kw[takes_part],
            allow_missing=asked.allow_missing,
        )
        try:
            found = deliveries(asked.measuring, offered)
        except InvalidProblem as error:
            raise InvalidProblem(renamed(error.violations)) from error
        net_kw[takes_part] = found.settlement.measured.net_kw
        noise_kw[takes_part] = found.settlement.baselines.noise_kw
        payments = _payments(answered, takes_part.tolist(), found)
    return Answer(
        solution=ended(asked.measuring.rule.method.value),
        found=Settled(deliveries=found, payments=payments, known=_learned(asked, net_kw, noise_kw)),
        solve_s=perf_counter() - started,
    )


def _payments(
    answered: Answered, takes_part: Sequence[int], found: Deliveries
) -> tuple[Payment, ...]:
    measured, payments = found.settlement.measured, found.settlement.payments
    baseline_kwh = np.nan_to_num(found.baseline_kw) @ found.hours
    load_kwh = np.nan_to_num(found.load_kw) @ found.hours
    return tuple(
        Payment(
            place=answered.places[i],
            customer=answered.names[i],
            baseline_kwh=float(baseline_kwh[k]),
            load_kwh=float(load_kwh[k]),
            delivered_kwh=int(measured.energy_wh[k]) / WH_PER_KWH,
            rebound_kwh=float(measured.rebound_kwh[k]),
            price_per_kwh=float(answered.price_per_kwh[i]),
            payment_minor=int(payments.total_minor[k]),
            fixed_minor=int(payments.fixed_minor[k]),
            formula=found.formulas[k],
            note=found.notes[k],
        )
        for k, i in enumerate(takes_part)
    )


def _learned(asked: Settling, net_kw: FloatArray, noise_kw: FloatArray) -> tuple[Known, ...]:
    """What is known of the customers after the event."""
    answered = asked.answered
    if not answered.names:
        return ()
    before = reliabilities(answered.names, asked.known, asked.others)
    outcome = Outcome(
        called=np.ones(len(answered.names), np.bool_),
        accepted=answered.accepted,
        offered_kw=answered.agreed_kw,
        net_kw=net_kw,
        noise_kw=noise_kw,
    )
    after = update(before, outcome)
    columns = [getattr(after, name).tolist() for name in LAW]
    counts = after.call_count.tolist()
    return tuple(
        Known(customer=name, event_count=count, **dict(zip(LAW, values, strict=True)))
        for name, count, *values in zip(answered.names, counts, *columns, strict=True)
    )


def reliabilities(
    names: Sequence[str], known: dict[str, Known], others: Sequence[Known]
) -> Reliabilities:
    """What is known of customers; of those who are new, what that of others leads to expect."""
    usual = fitted_start(_columns(others), 1) if others else start(1)
    new = Known(
        customer="",
        event_count=0,
        **{name: float(getattr(usual, name)[0]) for name in LAW},
    )
    return _columns([known.get(name, new) for name in names])


def _columns(known: Sequence[Known]) -> Reliabilities:
    return Reliabilities(
        call_count=np.array([each.event_count for each in known], dtype=np.int64),
        **{name: np.array([getattr(each, name) for each in known]) for name in LAW},
    )
