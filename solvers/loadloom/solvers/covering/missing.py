"""What is missing where nothing keeps all rows: the choice that misses least in all.

    minimise   sum over needs of max(0, need[r] - level[r])
    subject to limits, quotas, choosers and states

A need is a row that items add to alone; one that they take from is a limit, and is kept.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.covering.layout import lay_out
from loadloom.solvers.covering.programme import Programme, is_programme, settle
from loadloom.solvers.covering.rows import Problem, keeps, levels
from loadloom.solvers.covering.terms import Flags, Indices


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Missing:
    """The choice that misses least, None if none was found that keeps all else.

    Attributes:
        chosen: the choice, (N,).
        total: what needs miss in all with it, inf without one.
        bound: what every choice misses at least; inf if none keeps limits, quotas and states.
    """

    chosen: Flags | None
    total: float
    bound: float


def least_missing(problem: Problem, race: Race) -> Missing:
    """The choice that misses least, exact unless time or turns run out; of too many items none."""
    lay = lay_out(problem) if problem.items.count else None
    if lay is None or not is_programme(lay):
        return Missing(chosen=None, total=inf, bound=-inf)
    need = problem.rows.need
    helped = np.isfinite(need) & _only_add(problem)[None, :]
    best: list[Flags] = []
    total = inf

    def keep(taken: Indices) -> None:
        nonlocal total
        chosen = lay.chosen(taken)
        reached = levels(problem, chosen)
        lowered = np.where(helped, np.minimum(need, reached), need)
        if keeps(problem.lowered(lowered), chosen):
            short = float(np.maximum(0.0, need - reached)[helped].sum())
            if short < total:
                best[:], total = [chosen], short
                race.found(short, "missing")

    bound = settle(Programme(layout=lay, missing=True), race, None, keep)
    return Missing(chosen=best[0] if best else None, total=total, bound=min(bound, total))


def _only_add(problem: Problem) -> Flags:
    """The slots in which items take nothing from any row, (S,)."""
    return np.asarray((problem.items.mean >= 0.0).all(axis=0))
