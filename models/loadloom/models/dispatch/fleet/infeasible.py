"""Fleets that cannot keep their limits: which of them, when, and by how much they must give way.

    minimise   sum over hard limits of over[n,t] + under[n,t]   in kWh
    subject to every site's own rules

is the same problem with no other cost, so it is solved in the same way. Its bound, if above zero,
proves that no plan keeps the limits; its mix is the least change that would let them be kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadloom.models.dispatch.fleet.problem import Fleet, NodeArray
from loadloom.models.dispatch.solution import Conflict
from loadloom.models.horizon import FloatArray
from loadloom.solvers.coupled.generation import Listener, Start, generate
from loadloom.solvers.coupled.limits import Limits, Oracle

_GAP, _MOST = 1e-3, 200
_LEAST_KWH = 1e-5
"""A bound below this proves nothing, as it is in reach of rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """By how much the hard limits of a fleet are broken at least.

    Attributes:
        bound_kwh: no plan breaks them by less in all.
        over_kwh, under_kwh: what is beyond import and export limits in the best mix, (nodes, T).
    """

    bound_kwh: float
    over_kwh: FloatArray
    under_kwh: FloatArray

    @property
    def proven(self) -> bool:
        """Whether no plan keeps the limits."""
        return self.bound_kwh > _LEAST_KWH


def least_breach(
    fleet: Fleet, oracle: Oracle, node: NodeArray, prices: FloatArray, heard: Listener
) -> Shortfall:
    """The least breach of all hard limits together.

    `oracle` answers where nothing costs but the prices, for groups that hang below `node`
    (groups,); `prices` (nodes, T) are a place to begin.
    """
    limits = fleet.limits
    hard = np.isinf(limits.breach)[:, None]
    bare = Limits(
        tree=limits.tree,
        low=np.where(hard, limits.low, -np.inf),
        high=np.where(hard, limits.high, np.inf),
        breach=np.ones(limits.breach.size),
    )
    largest = max(float(np.abs(prices).max()), 1e-9)
    found = generate(
        oracle,
        bare,
        node,
        hard=1.0,
        tolerance=_GAP,
        start=Start(best=bare.possible(prices / largest)),
        most=_MOST,
        tell=lambda _value, _bound, phase: heard(np.inf, -np.inf, phase),
        phase="least change of limits",
    )
    total = found.mix.total if found.mix is not None else np.zeros(limits.low.shape)
    over, under = bare.excess(total)
    return Shortfall(bound_kwh=found.bound, over_kwh=over, under_kwh=under)


def conflicts(fleet: Fleet, short: Shortfall) -> tuple[Conflict, ...]:
    """The limits that would have to give way, each over a run of intervals, the largest first."""
    hours, found = fleet.horizon.step_h, []
    sides: tuple[tuple[str, str, FloatArray, Callable[[int], FloatArray]], ...] = (
        ("import_limit_kw", "draw", short.over_kwh, lambda n: fleet.network.import_limit_kw[n]),
        ("export_limit_kw", "feed in", short.under_kwh, lambda n: fleet.network.export_limit_kw[n]),
    )
    for rule, verb, side, limit in sides:
        for node, name in enumerate(fleet.network.names):
            beyond = side[node] / hours
            for first, last in _runs(beyond > 1e-6):
                peak = float(beyond[first:last].max())
                t = first + int(np.argmax(beyond[first:last]))
                found.append(
                    Conflict(
                        what=name,
                        rule=rule,
                        interval=first,
                        interval_count=last - first,
                        amount=float(side[node, first:last].sum()),
                        peak=float(side[node, first:last].max()),
                        unit="kWh",
                        cure=f"let {name!r} {verb} up to {limit(node)[t] + peak:.6g} kW",
                    )
                )
    return tuple(sorted(found, key=lambda one: -one.amount))


def _runs(which: np.ndarray) -> list[tuple[int, int]]:
    """The runs of true values, each from its first place up to its end."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], which.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
