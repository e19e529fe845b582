"""Needs that cannot be secured: the most that can be, and what is missing."""

from math import inf

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.response import referee
from loadloom.models.response.constraints import covering_problem
from loadloom.models.response.problem import OfferArray, Problem
from loadloom.models.response.rows import Reduced, needed
from loadloom.models.response.solution import Unsecured
from loadloom.solvers.covering.rows import attainable

BELOW = 1e-8
"""The share by which a need is set below the most that can be secured, so that rounding does not
forbid the one call list that does."""


def lowered(problem: Problem, rows: Reduced) -> FloatArray:
    """The needs of the rows, none of them more than can be secured, (V, K).

    With several offers a customer or shared shocks that is the most that was found.
    """
    most = _most(problem, rows)
    slack = BELOW * np.maximum(1.0, np.abs(np.where(np.isfinite(most), most, 0.0)))
    return np.minimum(rows.need, most - slack)


def unsecured(problem: Problem, rows: Reduced) -> tuple[Unsecured, ...]:
    """The needs that cannot be secured even if no other rule but who may be called is kept."""
    most = np.broadcast_to(_most(problem, rows), problem.network.need_kw.shape)
    return _listed(problem, most)


def unsecured_by(problem: Problem, offer: OfferArray) -> tuple[Unsecured, ...]:
    """The needs that a call list does not secure, and what it does."""
    return _listed(problem, referee.figures(problem, offer).secured_kw)


def _most(problem: Problem, rows: Reduced) -> FloatArray:
    """The most that can be secured in each row by itself, (V, K)."""
    level = attainable(covering_problem(problem, rows, rows.need))[:, : rows.need.shape[1]]
    return np.where(np.isfinite(rows.need), level, inf)


def _listed(problem: Problem, most: FloatArray) -> tuple[Unsecured, ...]:
    network = problem.network
    need = network.need_kw
    short = needed(problem) & (most < need - referee.RELATIVE * np.maximum(1.0, np.abs(need)))
    found = []
    for v, s in np.argwhere(short).tolist():
        asked, got = float(need[v, s]), float(most[v, s])
        message = (
            f"{network.name(v)}, slot {s}: {got:.6g} of {asked:.6g} kW can be secured,"
            f" {asked - got:.6g} kW are missing"
        )
        found.append(
            Unsecured(
                node=v,
                slot=s,
                need_kw=asked,
                attainable_kw=got,
                missing_kw=asked - got,
                message=message,
            )
        )
    return tuple(found)
