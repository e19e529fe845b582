"""A call list as a covering problem: offers are items, needs and headrooms are rows."""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.response.network import LEAST_NEED_KW, NO_NODE
from loadloom.models.response.problem import NOT_CALLED, IndexArray, OfferArray, Problem
from loadloom.solvers.covering.terms import BARRED, TAKEN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reduced:
    """The rows that decide: fewer than slots where some need is the largest for all offers.

    Attributes:
        mean, variance: the reduction of each offer in each of K kinds of rows, (m, K).
        need: what each node needs, (V, K); -inf for nothing.
        spread: its standard deviation, (V, K).
        slot: of which slot each row is, (V, K).
        room: how much rebound at a profile of 1 each node can bear, (V,); inf for any.
        after: in which slot that is the least, (V,).
        z: the normal quantile of each node's confidence, (V,).
    """

    mean: FloatArray
    variance: FloatArray
    need: FloatArray
    spread: FloatArray
    slot: IndexArray
    room: FloatArray
    after: IndexArray
    z: FloatArray

    @property
    def has_room_rows(self) -> bool:
        """Whether rebound is limited anywhere."""
        return bool(np.isfinite(self.room).any())


def reduced(problem: Problem) -> Reduced:
    """The rows of a problem that are not implied by others.

    Where every reduction is the same in all slots, the largest certain need of a node implies the
    others. Rebounds in the slots after the event differ by the profile alone, so that the least of
    headroom / profile decides.
    """
    network, offers = problem.network, problem.offers
    need = np.where(needed(problem), network.need_kw, -inf)
    spread = network.spread_kw
    slots = np.arange(network.slot_count)
    slot = np.broadcast_to(slots, need.shape)
    mean, variance = problem.mean_kw, problem.variance_kw2
    if offers.same_in_all_slots and network.need_spread_kw is None:
        slot = need.argmax(axis=1)[:, None]
        need, spread = need.max(axis=1, keepdims=True), spread[:, :1]
        mean, variance = offers.mean_kw, offers.variance_kw2
    room, after = _room(problem)
    return Reduced(
        mean=mean,
        variance=variance,
        need=need,
        spread=spread,
        slot=slot,
        room=room,
        after=after,
        z=network.z,
    )


def needed(problem: Problem) -> np.ndarray:
    """The needs that count, (V, S); with a budget also those that any confidence might bring."""
    network = problem.network
    if problem.budget is None:
        return network.needed
    return (network.need_kw > LEAST_NEED_KW) | (network.spread_kw > 0.0)


def _room(problem: Problem) -> tuple[FloatArray, IndexArray]:
    network = problem.network
    headroom, profile = network.headroom_kw, network.rebound_profile
    if headroom is None or profile is None or profile.size == 0 or not problem.rebound_kw.any():
        return np.full(network.count, inf), np.zeros(network.count, np.int64)
    used = profile > 0.0
    ratio = np.where(used, headroom / np.where(used, profile, 1.0), inf)
    after = ratio.argmin(axis=1)
    return ratio[np.arange(network.count), after], after


def states(problem: Problem) -> np.ndarray:
    """Whether each offer may be taken, or must be, as its customer's only one, (m,) int8."""
    customers, offers = problem.customers, problem.offers
    state = np.zeros(offers.count, np.int8)
    if customers.never_call is not None or customers.calls_left is not None:
        state[~customers.callable[offers.customers]] = BARRED
    if customers.must_call is not None:
        only = customers.musts & (problem.offer_count == 1)
        state[only[offers.customers]] = TAKEN
    return state


def offer_of(problem: Problem, chosen: np.ndarray) -> OfferArray:
    """The offer under which each customer is called, given which offers are taken, (m,)."""
    offer = np.full(problem.customers.count, NOT_CALLED, np.int32)
    taken = np.flatnonzero(chosen)
    offer[problem.offers.customers[taken]] = taken
    return offer


def taken_of(problem: Problem, offer: OfferArray) -> np.ndarray:
    """Which offers are taken, (m,), given the offer of each customer."""
    chosen = np.zeros(problem.offers.count, np.bool_)
    chosen[offer[offer != NOT_CALLED]] = True
    return chosen


def needed_above(problem: Problem, has_row: np.ndarray) -> IndexArray | None:
    """The only node with a row at or above each node, or `NO_NODE`; None if two are nested."""
    parent = problem.network.parent
    found = np.where(has_row, np.arange(parent.size), NO_NODE)
    for nodes in problem.network.levels[1:]:
        above = found[parent[nodes]]
        if (has_row[nodes] & (above != NO_NODE)).any():
            return None
        found[nodes] = np.maximum(found[nodes], above)
    return found
