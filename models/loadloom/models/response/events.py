"""Answers to an event: who accepted is kept, who opted out is never called, the rest anew."""

from dataclasses import dataclass, replace
from enum import IntEnum
from math import inf

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.problem import (
    NOT_CALLED,
    Customers,
    IndexArray,
    OfferArray,
    Offers,
    Problem,
)
from loadloom.models.response.referee import figures


class State(IntEnum):
    """What is known of a customer's answer."""

    PENDING = 0
    ACCEPTED = 1
    OPTED_OUT = 2
    NO_ANSWER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers so far.

    Attributes:
        state: a `State` for each customer; pending also for those not called, (n,).
        accepted_kw: what those who accepted said they would give, its mean over the hours, NaN for
            as offered, (n,).
        hours: how long each slot lasts, (T,); None for all alike.
    """

    state: NDArray[np.int8]
    accepted_kw: FloatArray
    hours: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retargeted:
    """The problem that is left after answers.

    Attributes:
        problem: the problem with the offers that are left.
        origin: which offer of the problem before each of them is, (m',).
    """

    problem: Problem
    origin: IndexArray

    def offer(self, offer: OfferArray) -> OfferArray:
        """A call list of the problem that is left, told by the offers of the one before it."""
        called = offer != NOT_CALLED
        return np.where(called, self.origin[offer], NOT_CALLED).astype(np.int32)

    def start(self, offer: OfferArray) -> OfferArray:
        """The call list before the answers in offers of the problem that is left, to begin from."""
        return _moved(self.problem.customers, self.origin, offer)


def retargeted(problem: Problem, offer: OfferArray, answers: Answers) -> Retargeted:
    """The problem that is left once answers have come in to a call list, (n,).

    Those who accepted are called in any case, under the offer they accepted; all that is uncertain
    of them is the size. Those who opted out, or did not answer in time, are never called. Those who
    were called and have not answered stand: who was told stays told, unless what changed or a
    saving beyond the problem's `change_share` speaks against it. What cannot be secured is secured
    as far as it can be, unless there is a budget. Quotas, headrooms and the budget give way to what
    those who accepted take, and to how few are left.

    Raises:
        InvalidProblem: somebody accepted or opted out who was not called, or a reduction is
            negative.
    """
    accepted = answers.state == State.ACCEPTED
    gone = (answers.state == State.OPTED_OUT) | (answers.state == State.NO_ANSWER)
    _check(problem, offer, answers, accepted)
    customers, of = problem.customers, problem.offers.customers
    kept = ~accepted[of]
    kept[offer[accepted]] = True
    origin = np.flatnonzero(kept)
    left = customers.calls_left
    after = replace(
        customers,
        must_call=(customers.musts & ~gone) | accepted,
        never_call=~accepted & (gone | ~customers.callable),
        calls_left=None if left is None else np.where(accepted, np.maximum(left, 1), left),
    )
    rest = replace(
        problem,
        customers=after,
        offers=_certain(problem.offers, origin, accepted, answers),
        best_effort=problem.budget is None,
        standing=_moved(after, origin, offer),
    )
    return Retargeted(problem=_promised(rest), origin=origin)


def _moved(customers: Customers, origin: IndexArray, offer: OfferArray) -> OfferArray:
    """The calls to customers who may still be called, in the offers that are left, (n,)."""
    called = (offer != NOT_CALLED) & customers.callable
    return np.where(called, np.searchsorted(origin, offer), NOT_CALLED).astype(np.int32)


def _promised(problem: Problem) -> Problem:
    """The problem with limits that leave room for what must be, and ask for no more than there is.

    Once many accept, they cost and rebound more than was expected of them, but what was promised
    stands; once many opt out, fewer than the least number may be left.
    """
    customers, network, offers = problem.customers, problem.network, problem.offers
    cheapest, dearest = np.full(customers.count, inf), np.zeros(customers.count)
    np.minimum.at(cheapest, offers.customers, offers.cost)
    np.maximum.at(dearest, offers.customers, offers.cost)
    musts = np.flatnonzero(customers.musts[offers.customers])
    must = np.full(customers.count, NOT_CALLED, np.int32)
    must[offers.customers[musts]] = musts
    due = figures(problem, must)
    quotas = []
    for quota in problem.quotas:
        own = customers.group == quota.group
        free, held = own & customers.callable & (dearest > 0.0), own & customers.musts
        most = None if quota.call_max is None else max(quota.call_max, int(held.sum()))
        quotas.append(
            replace(
                quota,
                call_min=min(quota.call_min, int((own & customers.callable).sum())),
                call_max=most,
                cost_min=min(quota.cost_min, float(dearest[free].sum())),
                cost_max=max(quota.cost_max, float(cheapest[held].sum())),
            )
        )
    room = network.headroom_kw
    if room is not None:
        room = np.maximum(room, due.rebound_kw + network.z[:, None] * due.rebound_sd_kw)
    budget = problem.budget
    if budget is not None:
        budget = max(budget, float(cheapest[customers.musts].sum()))
    tree = replace(network, headroom_kw=room)
    return replace(problem, quotas=tuple(quotas), network=tree, budget=budget)


def _certain(offers: Offers, origin: IndexArray, accepted: np.ndarray, answers: Answers) -> Offers:
    """The offers that are left, with those that were accepted as they are given acceptance."""
    mean, variance = offers.mean_kw[origin], offers.variance_kw2[origin]
    cost = offers.cost[origin]
    fixed = np.broadcast_to(offers.fixed_cost, offers.cost.shape)[origin]
    chance = np.broadcast_to(offers.acceptance, offers.cost.shape)[origin].copy()
    customer = offers.customers[origin]
    sure = np.flatnonzero(accepted[customer])
    p = np.maximum(chance[sure], 1e-300)[:, None]
    size = mean[sure] / p
    spread = size_variance(mean[sure], variance[sure], p)
    promised = np.broadcast_to(offers.fixed_payment, offers.cost.shape)[origin].copy()
    told = answers.accepted_kw[customer[sure]]
    hours = None if size.shape[1] == 1 else answers.hours
    usual = size.mean(axis=1) if hours is None else size @ hours / hours.sum()
    part = np.divide(told, usual, out=np.ones_like(told), where=~np.isnan(told) & (usual > 0.0))
    mean[sure] = size * part[:, None]
    variance[sure] = spread * part[:, None] ** 2
    paid = (cost[sure] - fixed[sure]) / p[:, 0] - promised[sure]  # what comes by the kWh
    promised[sure] *= part
    cost[sure] = fixed[sure] + np.maximum(paid, 0.0) * part + promised[sure]
    chance[sure] = 1.0
    return Offers(
        mean_kw=mean,
        variance_kw2=variance,
        cost=cost,
        fixed_cost=fixed,
        customer=customer,
        acceptance=chance,
        incentive=None if offers.incentive is None else offers.incentive[origin],
        fixed_payment=promised,
        loading=None if offers.loading is None else offers.loading[origin],
    )


def size_variance(mean_kw: FloatArray, variance_kw2: FloatArray, chance: FloatArray) -> FloatArray:
    """The variance of a reduction once it is accepted; 0 where refusals already explain all of it.

    With acceptance p and size a, variance = p * (that of the size) + p * (1 - p) * a^2.
    """
    columns = max(mean_kw.shape[1], variance_kw2.shape[1])
    mean = np.broadcast_to(mean_kw, (mean_kw.shape[0], columns))
    size = mean / chance
    return np.maximum(0.0, variance_kw2 / chance - (1.0 - chance) * size**2)


def spent(problem: Problem, offer: OfferArray) -> IndexArray | None:
    """The calls that each customer has left after an event, (n,); None if they have no limit."""
    left = problem.customers.calls_left
    return None if left is None else left - (offer != NOT_CALLED)


def _check(problem: Problem, offer: OfferArray, answers: Answers, accepted: np.ndarray) -> None:
    checks, count = Checks(), problem.customers.count
    for name, values in (("state", answers.state), ("accepted_kw", answers.accepted_kw)):
        message = f"has shape {values.shape}; must have one value for each of {count} customers"
        checks.require(values.shape == (count,), f"answers.{name}", message)
    checks.finish()
    known = (answers.state >= min(State)) & (answers.state <= max(State))
    for customer in np.flatnonzero(~known)[:1].tolist():
        message = f"is {answers.state[customer]}; must be from {min(State):d} to {max(State):d}"
        checks.require(False, f"answers.state[{customer}]", message)
    for customer in np.flatnonzero(accepted & (offer == NOT_CALLED))[:1].tolist():
        message = "accepts, though the customer was not called"
        checks.require(False, f"answers.state[{customer}]", message)
    told = np.where(accepted, answers.accepted_kw, np.nan)
    for customer in np.flatnonzero(~np.isnan(told) & ~((told >= 0.0) & (told < np.inf)))[:1]:
        message = f"is {told[customer]:g}; must be a number of 0 or more"
        checks.require(False, f"answers.accepted_kw[{customer}]", message)
    checks.finish()
