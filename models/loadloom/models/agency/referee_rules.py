"""The referee of shares that compare what users would pay apart, from the loads alone.

    proportional saving  x[i] = F1 * F1({i}) / sum_j F1({j})
    leave one out        x[i] = F1 * d[i] / sum_j d[j],    d[i] = F1 - F1(all but i)
    Shapley              x[i] = sum_S |S|! (n - |S| - 1)! / n! * (F1(S and i) - F1(S))
    nucleolus            no user complains more of another than that one does of it, unless the
                         other pays what it would pay alone (it lies in the kernel, Davis and
                         Maschler 1965)
    least core           no user is in all coalitions that complain most, and none is in none of
                         them: else shifting its share to the others would lower them all

The last two are necessary only. Rules over coalitions are looked at for up to `MOST_USERS`.
"""

from collections.abc import Iterator
from math import factorial

import numpy as np

from loadloom.models.agency.problem import PeakMode, Problem, SharingRule
from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray

MOST_USERS = 12
"""The most users all of whose coalitions are looked at."""

COMPLAINT = 1e-6
"""Complaints nearer than this share of the largest cost are equal: ten tolerances of programmes."""

_STEP = 1e-12
"""By how much u is moved to see whether floats decide on which side of a price step it is."""

_CHUNK_VALUES = 1 << 18
"""How many loads are looked at together: they stay in the cache."""


def share(problem: Problem, rule: SharingRule, due: float) -> tuple[FloatArray, float] | None:
    """The shares of F1 = `due`, (n,), and the size that their rounding is of; None if not known."""
    load = problem.curves.load_kw
    if rule is SharingRule.SAVING:
        return _in_proportion(_each(problem), due, due)
    if rule is SharingRule.LEAVE_ONE_OUT:
        total = load.sum(axis=0, dtype=np.float64)
        return _in_proportion(due - _each(problem, total), due, 1e-4 * due)
    if rule is SharingRule.SHAPLEY and problem.curves.count <= MOST_USERS:
        found = _shapley(_coalition_costs(problem))
        return None if np.isnan(found).any() else (found, due)
    return None


def complaints(problem: Problem, rule: SharingRule, shares: FloatArray) -> list[Violation]:
    """What the complaints of all coalitions tell against shares, of a few users."""
    count = shares.size
    if rule not in (SharingRule.NUCLEOLUS, SharingRule.LEAST_CORE) or not 1 < count <= MOST_USERS:
        return []
    costs = _coalition_costs(problem)
    if np.isnan(costs).any():
        return []
    member = _members(np.arange(costs.size), count) > 0.0
    complaint, near = member @ shares - costs, COMPLAINT * float(np.abs(costs).max())
    proper = np.arange(costs.size)[1:-1]
    if rule is SharingRule.LEAST_CORE:
        worst = proper[complaint[proper] >= complaint[proper].max() - near]
        inside = member[worst]
        wrong = np.flatnonzero(inside.all(axis=0) | ~inside.any(axis=0))
        message = "could be shifted so that the largest complaint falls"
    else:
        pairs = [[_most(complaint, member, i, j) for j in range(count)] for i in range(count)]
        most = np.array(pairs)
        alone = costs[1 << np.arange(count)]
        free = shares < alone - near
        # Without room for what everybody accepts, nobody's own cost is a limit.
        if alone.sum() < costs[-1] - near:
            free[:] = True
        wrong = np.flatnonzero(((most > most.T + near) & free[None, :]).any(axis=1))
        message = "is complained of more than those of others"
    return [Violation(f"share[{user}]", message) for user in wrong[:1].tolist()]


def _in_proportion(weight: FloatArray, due: float, noise: float) -> tuple[FloatArray, float] | None:
    """F1 by weights whose own rounding is a share of `noise`; None where a price step decides."""
    whole = float(weight.sum())
    if due == 0.0:
        return np.zeros(weight.size), 0.0
    if np.isnan(whole) or whole <= 0.0:
        return None
    return weight * (due / whole), abs(noise * due / whole)


def _most(complaint: FloatArray, member: np.ndarray, user: int, other: int) -> float:
    """The largest complaint of a coalition with the one user and without the other."""
    if user == other:
        return -np.inf
    return float(complaint[member[:, user] & ~member[:, other]].max())


def _shapley(costs: FloatArray) -> FloatArray:
    count = costs.size.bit_length() - 1
    coalition = np.arange(costs.size)
    size = _members(coalition, count).sum(axis=1).astype(int)
    ways = [factorial(k) * factorial(count - k - 1) / factorial(count) for k in range(count)]
    found = np.empty(count)
    for user in range(count):
        without = coalition[(coalition >> user) & 1 == 0]
        added = costs[without | 1 << user] - costs[without]
        found[user] = np.array(ways)[size[without]] @ added
    return found


def _members(coalitions: np.ndarray, count: int) -> FloatArray:
    return ((coalitions[:, None] >> np.arange(count)) & 1).astype(np.float64)


def _coalition_costs(problem: Problem) -> FloatArray:
    """What every coalition would pay by itself, (2^n,)."""
    load, count = problem.curves.load_kw.astype(np.float64), problem.curves.count
    coalitions, rows = np.arange(1 << count), max(1, _CHUNK_VALUES // load.shape[1])
    parts = [coalitions[k : k + rows] for k in range(0, coalitions.size, rows)]
    return np.concatenate([_costs(problem, _members(part, count) @ load) for part in parts])


def _each(problem: Problem, total: FloatArray | None = None) -> FloatArray:
    """What each user would pay alone, (n,), or all others together, given the load of all."""
    loads = chunks(problem)
    if total is not None:
        loads = (np.maximum(total - own, 0.0) for own in loads)
    return np.concatenate([_costs(problem, own) for own in loads])


def chunks(problem: Problem) -> Iterator[FloatArray]:
    """Some users' loads at a time in float64, so that the whole never stands in it."""
    load = problem.curves.load_kw
    rows = max(1, _CHUNK_VALUES // load.shape[1])
    for begin in range(0, load.shape[0], rows):
        yield load[begin : begin + rows].astype(np.float64, copy=False)


def _costs(problem: Problem, load: FloatArray) -> FloatArray:
    """What each of some loads (m, T) costs by itself; NaN where floats decide on a price step."""
    schedule, peak = problem.schedule, problem.peak
    if schedule is None:
        return np.full(len(load), np.nan)
    step_h, day = problem.curves.horizon.step_h, problem.curves.day_first
    spans = list(zip(day[:-1].tolist(), day[1:].tolist(), strict=True))
    peaks = np.stack([load[:, a:b].max(axis=1) for a, b in spans], axis=1)
    energy = np.stack([load[:, a:b] @ step_h[a:b] for a, b in spans], axis=1)
    hours = np.array([step_h[a:b].sum() for a, b in spans])
    if peak.mode is not PeakMode.DAILY:
        count = peak.count if peak.mode is PeakMode.MEAN_OF_TOP_PEAKS else 1
        peaks = np.sort(peaks, axis=1)[:, -count:].mean(axis=1, keepdims=True)
        energy, hours = energy.sum(axis=1, keepdims=True), hours.sum(keepdims=True)
    used = energy > 0.0
    u = np.maximum(1.0, hours * peaks / np.where(used, energy, 1.0))
    u = np.where(used, u, 1.0)
    price = schedule.value(u)
    jump = np.abs(schedule.value(u * (1.0 + _STEP)) - schedule.value(u * (1.0 - _STEP)))
    price = np.where(jump <= 1e-9 * np.abs(price), price, np.nan)
    return np.where(used, energy * price, 0.0).sum(axis=1)
