"""Shares of a joint cost by cooperative game theory: Shapley value, nucleolus, least core.

A game is the cost c[S] of every coalition S of n players, an array of 2^n numbers in which bit i of
the index says whether player i belongs to it; c[0] is 0. What players share is c[all]. The
complaint of S at shares x is x(S) - c[S], with x(S) = sum_{i in S} x[i]; a game of worths v is the
game of costs -v, its shares those here with the sign turned.

    Shapley value   the mean, over all orders of joining, of what a player adds to the cost
    least core      minimise epsilon subject to x(S) - c[S] <= epsilon for every S but none and all
    nucleolus       the largest complaint is as small as can be, then the second largest, and so on

The nucleolus is found by a sequence of linear programmes (Maschler, Peleg and Shapley 1979), each
made with the few coalitions that matter: those that complain most at the last shares are added
until none complains more than epsilon. A row with a positive dual binds in every optimum, so its
coalition's complaint is settled; coalitions in the linear span of settled ones are settled with
them (Fromen 1997), and when these span all players the shares are unique. Without a share that is
acceptable to every single player, the nucleolus is that of all balanced shares.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.cost import PooledCost
from loadloom.models.agency.problem import IntArray
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Model, Outcome, Program, compressed
from loadloom.solvers.kernels.coalitions import mean_marginals, subset_sums

MOST_EXACT = 20
"""The most players whose coalitions are all looked at: a million."""

NEARLY = 1e-8
"""Complaints this near to each other, as a share of the largest cost, are the same."""

_DUAL = 1e-7
"""A dual above this is positive; those of a stage add up to 1."""

_ADDED = 40
"""The most coalitions that join a linear programme at a time."""

_PREFIXES = 1 << 22
"""How many numbers of running totals are held at a time."""

_Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Shapley values from drawn orders.

    Attributes:
        value: the mean of what each player adds, (n,); sums to the cost of all.
        half_width: the interval around it in each direction at the confidence asked for, (n,).
        order_count: the number of orders, half of them the others read backwards.
    """

    value: FloatArray
    half_width: FloatArray
    order_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastCore:
    """Shares whose largest complaint is as small as can be, and that complaint."""

    share: FloatArray
    excess: float


def coalition_costs(load_kw: NDArray[np.floating], cost: PooledCost) -> FloatArray:
    """The cost of every coalition of up to 20 users with loads (n, T), (2^n,).

    The coalitions of the first and of the second half of the users are added up once, and every
    one is the sum of two of these.
    """
    load = load_kw.astype(np.float64)
    half = load.shape[0] // 2
    low, high = _totals(load[:half]), _totals(load[half:])
    costs = np.empty((high.shape[0], low.shape[0]))
    for row, part in zip(costs, high, strict=True):
        row[:] = cost.value(low + part)
    return costs.reshape(-1)


def shapley(costs: FloatArray) -> FloatArray:
    """The Shapley value of a game of up to 20 players, (n,)."""
    return mean_marginals(costs, _players(costs))


def marginal_costs(
    load_kw: NDArray[np.floating], cost: PooledCost
) -> Callable[[IntArray], FloatArray]:
    """A function from an order of users to what each adds to the cost of those before it, (n,)."""
    rows = max(1, _PREFIXES // load_kw.shape[1])

    def added(order: IntArray) -> FloatArray:
        found, before = np.empty(order.size), 0.0
        so_far = np.zeros(load_kw.shape[1])
        for begin in range(0, order.size, rows):
            joining = order[begin : begin + rows]
            totals = so_far + np.cumsum(load_kw[joining], axis=0, dtype=np.float64)
            costs = cost.value(totals)
            found[joining] = np.diff(costs, prepend=before)
            before, so_far = costs[-1], totals[-1]
        return found

    return added


def sampled_shapley(
    marginals: Callable[[IntArray], FloatArray],
    count: int,
    *,
    pairs: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Sampled:
    """Shapley values of any number of players from `pairs` orders and their reverses.

    Who comes late in an order comes early in its reverse, so that their mean varies less than that
    of two orders drawn apart (antithetic sampling). The interval is that of a normal mean over
    pairs, for each player by itself; at least 30 pairs make it one.
    """
    generator = np.random.default_rng(seed)
    mean, squares = np.zeros(count), np.zeros(count)
    for drawn in range(1, pairs + 1):
        order = generator.permutation(count)
        pair = (marginals(order) + marginals(order[::-1])) / 2.0
        off = pair - mean
        mean += off / drawn
        squares += off * (pair - mean)
    width = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    error = np.sqrt(squares / max(1, pairs - 1)) / sqrt(pairs)
    return Sampled(value=mean, half_width=width * error, order_count=2 * pairs)


def complaints(costs: FloatArray, share: FloatArray) -> FloatArray:
    """The complaint x(S) - c[S] of every coalition, (2^n,)."""
    return subset_sums(share) - costs


def largest_complaint(costs: FloatArray, share: FloatArray) -> tuple[float, int]:
    """The largest complaint of a coalition that is neither none nor all, and that coalition.

    A single player has no such coalition; the complaint is then that of all.
    """
    found = complaints(costs, share)
    inner = found[1:-1] if found.size > 2 else found[1:]
    at = int(np.argmax(inner))
    return float(inner[at]), at + 1


def members(coalition: int, count: int) -> IntArray:
    """The players of a coalition, ascending."""
    return np.flatnonzero((coalition >> np.arange(count)) & 1)


def least_core(costs: FloatArray) -> LeastCore:
    """A point of the least core of a game of up to 20 players, and the largest complaint there.

    Unlike the nucleolus it may ask more of a player than the player would pay alone, where there is
    no other way. The complaint is the least to within a ten-millionth of the largest cost.
    """
    stages = _Stages(costs, acceptable=False)
    if stages.count == 1:
        return LeastCore(share=costs[1:].copy(), excess=0.0)
    share, excess, _ = stages.next()
    # What the programme left within its tolerance is shared evenly.
    share = share * stages.scale
    share += (costs[-1] - share.sum()) / share.size
    return LeastCore(share=share, excess=excess * stages.scale)


def nucleolus(costs: FloatArray) -> FloatArray:
    """The nucleolus of a game of up to 20 players, (n,)."""
    stages = _Stages(costs)
    share = costs[1:] / stages.scale
    while stages.rank < stages.count:
        share, excess, binding = stages.next()
        stages.settle(binding, excess)
    return stages.solved(share) * stages.scale


class _Stages:
    """The linear programmes of a game, one after the other, with costs as shares of the largest.

    Coalitions whose complaint is settled are rows of `_rows` with their sums in `_sums`, linearly
    independent and the first of them all players; `_open` marks coalitions outside of their span.
    """

    def __init__(self, costs: FloatArray, *, acceptable: bool = True) -> None:
        self.count = _players(costs)
        self.scale = float(np.abs(costs).max()) or 1.0
        self._costs = costs / self.scale
        everybody = costs.size - 1
        self._rows, self._sums = [everybody], [float(self._costs[everybody])]
        singles = 1 << np.arange(self.count)
        alone = self._costs[singles]
        # Without room for what everybody accepts, nobody's own cost is a limit.
        acceptable = acceptable and float(alone.sum()) >= self._sums[0] - NEARLY
        self._most = alone if acceptable else np.full(self.count, np.inf)
        self._pool = np.unique(np.concatenate((singles, everybody - singles)))
        self._mark_open()

    @property
    def rank(self) -> int:
        """How many independent coalitions are settled."""
        return len(self._rows)

    def next(self) -> tuple[FloatArray, float, IntArray]:
        """The shares, the largest open complaint, and the coalitions that bind in every optimum."""
        while True:
            pool = self._pool[self._open[self._pool]]
            outcome = self._solve(pool)
            if outcome.primal is None or outcome.row_dual is None:
                raise ValueError("the game's numbers are too far apart to compute with")
            share, excess = outcome.primal[:-1], float(outcome.primal[-1])
            found = np.where(self._open, complaints(self._costs, share), -np.inf)
            first = max(0, found.size - _ADDED)
            worst = np.argpartition(found, first)[first:]
            worst = worst[found[worst] > excess + NEARLY / 10.0]
            new = np.setdiff1d(worst, self._pool)
            if new.size == 0:
                return share, excess, pool[np.abs(outcome.row_dual[self.rank :]) > _DUAL]
            self._pool = np.concatenate((self._pool, new))

    def settle(self, coalitions: IntArray, excess: float) -> None:
        """Fixes the sums of coalitions, as far as those fixed before do not."""
        for coalition in coalitions.tolist():
            if np.linalg.matrix_rank(self._members([*self._rows, coalition])) > self.rank:
                self._rows.append(coalition)
                self._sums.append(float(self._costs[coalition]) + excess)
        self._mark_open()

    def solved(self, share: FloatArray) -> FloatArray:
        """The shares that the settled sums fix, given those of the last programme."""
        # What the programme left within its tolerance is taken out again.
        rows = self._members(self._rows)
        off = np.array(self._sums) - rows @ share
        return share + np.linalg.lstsq(rows, off, rcond=None)[0]

    def _members(self, coalitions: list[int] | IntArray) -> FloatArray:
        numbers = np.asarray(coalitions, dtype=np.int64)
        return ((numbers[:, None] >> np.arange(self.count)) & 1).astype(np.float64)

    def _mark_open(self) -> None:
        """Marks the coalitions outside of the span of those that are settled.

        A coalition is in the span if it is at right angles to what is at right angles to all
        settled ones; two random directions of that space stand for all of it.
        """
        _, _, right = np.linalg.svd(self._members(self._rows))
        free = right[self.rank :]
        self._open = np.zeros(self._costs.size, np.bool_)
        if free.size:
            directions = np.random.default_rng(0).standard_normal((2, free.shape[0])) @ free
            for direction in directions:
                self._open |= np.abs(subset_sums(direction)) > 1e-9

    def _solve(self, pool: IntArray) -> Outcome:
        return least_excess(
            self._members(self._rows),
            np.array(self._sums),
            self._members(pool),
            self._costs[pool],
            self._most,
        )


def least_excess(
    fixed: FloatArray, sums: FloatArray, members: FloatArray, limits: FloatArray, most: FloatArray
) -> Outcome:
    """The shares and, last, the epsilon of: minimise epsilon, some coalitions' sums being fixed.

    Args:
        fixed: coalitions as rows of 0 and 1, (r, n).
        sums: what these pay, (r,).
        members: further coalitions as rows, (m, n).
        limits: what these pay at most, but for epsilon, (m,).
        most: what each player pays at most, (n,).
    """
    count = most.size
    rows = np.zeros((sums.size + limits.size, count + 1))
    rows[: sums.size, :-1] = fixed
    rows[sums.size :, :-1] = members
    rows[sums.size :, -1] = -1.0
    at, column = np.nonzero(rows)
    return Model(
        Program(
            cost=np.append(np.zeros(count), 1.0),
            low=np.full(count + 1, -np.inf),
            high=np.append(most, np.inf),
            row_low=np.concatenate((sums, np.full(limits.size, -np.inf))),
            row_high=np.concatenate((sums, limits)),
            matrix=compressed(at, column, rows[at, column], count + 1),
            integer=np.zeros(count + 1, np.bool_),
        )
    ).solve()


def _players(costs: FloatArray) -> int:
    count = costs.size.bit_length() - 1
    if costs.size != 1 << count or not 1 <= count <= MOST_EXACT:
        raise ValueError(f"{costs.size} costs; must be 2^n for 1 to {MOST_EXACT} players")
    return count


def _totals(load: FloatArray) -> FloatArray:
    """The total load of every coalition of few users."""
    totals = np.zeros((1, load.shape[1]))
    for own in load:
        totals = np.concatenate((totals, totals + own))
    return totals
