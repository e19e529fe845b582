"""The least core of more users than all coalitions can be looked at.

    minimise   epsilon
    subject to sum_i x[i] = F1,   sum_{i in S} x[i] - F1(S) <= epsilon   for all S but none and all

is solved with few coalitions at first: every user alone, and all but one. Those that complain most
at the shares found so far are searched for, added, and the programme is solved again. The
programme's epsilon is a lower bound on that of all coalitions. The search proves nothing by
itself; where it finds no more, an audit of the shares does, or names a coalition that it missed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.audit import audit, climb, complaint
from loadloom.models.agency.cost import PooledCost, total
from loadloom.models.agency.games import least_excess
from loadloom.models.horizon import FloatArray

MOST_GENERATED = 300
"""The most users whose least core is searched for."""

ROUNDS = 60
"""The most programmes that are solved."""

SETTLED = 1e-6
"""The search ends when no coalition found complains more than epsilon, to this share of F1."""

_STARTS = 20
"""So many random coalitions, and so many that nearly bind, a search begins with in each round."""

_Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedLeastCore:
    """Shares whose largest complaint is as small as could be found.

    Attributes:
        share: what each user bears, (n,).
        lowest_excess: no shares have a largest complaint below this.
        excess: the largest complaint that was found at these shares.
        coalition_count: the number of coalitions in the last programme.
        bound: no coalition complains more than this at these shares; 0 or more.
        scale: the cost of all, by which rounding is measured.
    """

    share: FloatArray
    lowest_excess: float
    excess: float
    bound: float
    coalition_count: int
    scale: float

    @property
    def is_settled(self) -> bool:
        """Whether it is proven that no coalition complains more than it must, or more than none."""
        return self.bound <= max(0.0, self.lowest_excess) + 2.0 * SETTLED * self.scale


def generated_least_core(
    load_kw: NDArray[np.floating], cost: PooledCost, *, rounds: int = ROUNDS, seed: int = 0
) -> GeneratedLeastCore:
    """Shares (n,) of loads (n, T) near or in the least core; for 2 to 300 users."""
    load = load_kw.astype(np.float64)
    count, everybody = load.shape[0], total(load_kw)
    amount = float(cost.value(everybody))
    scale = abs(amount) or 1.0
    generator = np.random.default_rng(seed)
    pool = np.concatenate((np.eye(count, dtype=np.bool_), ~np.eye(count, dtype=np.bool_)))
    limits = np.concatenate((cost.standalone(load), cost.without(load, everybody)))
    shares, lowest, worst = cost.at_prices(load, cost.slot_prices(everybody)), -np.inf, np.inf
    bound = np.inf
    for _ in range(rounds):
        outcome = least_excess(
            np.ones((1, count)),
            np.array([amount / scale]),
            pool.astype(np.float64),
            limits / scale,
            np.full(count, np.inf),
        )
        if outcome.primal is None:
            break
        shares, lowest = outcome.primal[:-1] * scale, float(outcome.primal[-1]) * scale
        shares += (amount - shares.sum()) / count  # what the programme left within its tolerance
        found = _complaining(load, shares, cost, pool, limits, generator)
        amounts = np.array([complaint(load, shares, cost, one) for one in found])
        worst, bound = max(lowest, float(amounts.max())), np.inf
        if worst <= max(0.0, lowest) + SETTLED * scale:
            audited = audit(load, shares, cost)
            worst, bound = max(worst, audited.complaint), audited.bound
            missed = np.isin(np.arange(count), audited.coalition)[None]
            found = np.concatenate((found, missed))
            amounts = np.append(amounts, audited.complaint)
        new = found[amounts > lowest + SETTLED * scale]
        new = new[new.any(axis=1) & ~new.all(axis=1)]
        if new.size == 0:
            break
        pool = np.concatenate((pool, new))
        limits = np.concatenate((limits, cost.value(new @ load)))
    if bound == np.inf:
        bound = audit(load, shares, cost).bound
    return GeneratedLeastCore(
        share=shares,
        lowest_excess=lowest,
        excess=worst,
        bound=bound,
        coalition_count=pool.shape[0],
        scale=scale,
    )


def _complaining(
    load: FloatArray,
    shares: FloatArray,
    cost: PooledCost,
    pool: _Bools,
    limits: FloatArray,
    generator: np.random.Generator,
) -> _Bools:
    """Coalitions that complain much: those that climbs from various ones end at, (m, n)."""
    count = shares.size
    over = shares - cost.at_prices(load, cost.slot_prices(load.sum(axis=0)))
    binding = np.argsort(limits - pool @ shares, kind="stable")[:_STARTS]
    starts = [over > 0.0, *pool[binding], *(generator.random((_STARTS, count)) < 0.5)]
    ends = [
        climb(load, shares, cost, start, np.arange(count))
        for start in starts
        if 0 < start.sum() < count
    ]
    return np.unique(np.array(ends), axis=0)
