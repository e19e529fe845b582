"""The bound by prices: a proximal bundle method on what all choosers would pay at most.

    maximise over 0 <= y <= penalty    y @ demand + sum_i least value of chooser i at prices y

Every evaluation is exact, so each of its values is a bound, whatever becomes of the method. Each
also gives a cut, cost + y @ (demand - activity), that holds at all prices, and the next prices
are best for the cuts so far within reach of the best ones yet. The weights of the cuts mix the
choosers' patterns to an answer that almost meets all demands, from which plans are rounded.
"""

from dataclasses import dataclass, field

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.coupled.oracle import Answer, Oracle, Rows
from loadloom.solvers.kernels.bundle import next_prices
from loadloom.solvers.kernels.turns import Floats, Indices

MOST_CUTS = 60
"""The most cuts that are kept; one of no weight goes first."""

SERIOUS = 0.1
"""The share of the rise that the model promised at which prices move."""

_EXCHANGES = 400


@dataclass(slots=True, kw_only=True)
class Bundle:
    """Where the method stands: the best prices, their bound, and the cuts with their weights."""

    prices: Floats
    bound: float
    cuts: list[Answer] = field(default_factory=list)
    weights: Floats = field(default_factory=lambda: np.zeros(0))
    evaluations: int = 0


def bundle(
    oracle: Oracle, rows: Rows, race: Race, *, most: int = 150, tolerance: float = 1e-5
) -> Bundle:
    """Prices whose bound is within a share `tolerance` of the best, or those when time was up."""
    best = _first_prices(oracle, rows, race)
    for block in blocks(oracle, rows):
        improve(best, oracle, rows, race, most=most // 3, tolerance=1e-3, block=block)
    return improve(best, oracle, rows, race, most=most, tolerance=tolerance)


def blocks(oracle: Oracle, rows: Rows) -> list[Indices]:
    """Ever finer ways to give neighbouring steps one price, where there are many; coarse first.

    Steps share a price if their penalties are the same and their demands alike in sign.
    """
    steps = oracle.turns.step_count
    found = []
    for parts in (8, 24):
        if steps < 2 * parts:
            break
        row = np.arange(rows.demand.size)
        coarse = np.where(row < oracle.line_rows, row // (steps // parts), row)
        key = np.stack((coarse, rows.demand > 0.0, rows.penalty))
        found.append(np.unique(key, axis=1, return_inverse=True)[1].reshape(-1))
    return found


def improve(
    best: Bundle,
    oracle: Oracle,
    rows: Rows,
    race: Race,
    *,
    most: int,
    tolerance: float,
    block: Indices | None = None,
) -> Bundle:
    """The bundle after at most so many further evaluations.

    With `block`, rows of the same number keep the same price: a bound all the same, and far fewer
    prices to find.
    """
    reach = _first_reach(best, rows)
    calm = 0
    for _ in range(most):
        scale = max(1.0, abs(best.bound))
        y, model = _next(best, rows, reach, 1e-9 * scale, block)
        promised = model - best.bound
        if promised <= tolerance * scale or race.budget.spent():
            break
        value, answer = evaluate(oracle, rows, y)
        best.evaluations += 1
        rise = value - best.bound
        if rise >= SERIOUS * promised:
            # A rise beyond half of what was promised says that the model holds further out.
            reach *= 2.0 if rise >= 0.5 * promised and calm == 0 else 1.0
            best.prices, best.bound, calm = y, value, 0
            race.proved(value, "prices")
        else:
            calm += 1
            if calm % 4 == 0 or rise < -promised:
                reach *= 0.6
        _add(best, answer)
    return best


def _next(
    best: Bundle, rows: Rows, reach: float, tolerance: float, block: Indices | None
) -> tuple[Floats, float]:
    """The prices at which the cuts promise most near the best ones, and what they promise."""
    values = np.array([cut.cost for cut in best.cuts])
    slopes = np.array([rows.demand - cut.activity for cut in best.cuts])
    centre, top, reaches = best.prices, rows.penalty, np.full(rows.demand.size, reach)
    if block is not None:
        first = np.unique(block, return_index=True)[1]
        sizes = np.bincount(block)
        slopes = np.stack([np.bincount(block, slope) for slope in slopes])
        centre, top, reaches = centre[first], top[first], reach / sizes
    y, model = next_prices(
        values, slopes, centre, reaches, top, best.weights, _EXCHANGES, tolerance
    )
    return (y if block is None else y[block]), model


def evaluate(oracle: Oracle, rows: Rows, prices: Floats) -> tuple[float, Answer]:
    """The bound that prices prove, and what the choosers answer to them."""
    values, patterns = oracle.priced(prices)
    return float(values.sum() + prices @ rows.demand), oracle.weighed(patterns)


def _add(best: Bundle, answer: Answer) -> None:
    """Adds a cut, in place of one without weight if there are many."""
    if len(best.cuts) >= MOST_CUTS:
        drop = int(np.argmin(best.weights))
        best.cuts.pop(drop)
        best.weights = np.delete(best.weights, drop)
        total = best.weights.sum()
        if total > 0.0:
            best.weights /= total
        else:
            best.weights[-1] = 1.0
    best.cuts.append(answer)
    best.weights = np.append(best.weights, 0.0)


def _first_prices(oracle: Oracle, rows: Rows, race: Race) -> Bundle:
    """The best of few prices that are a share of the penalties of all rows that lack something."""
    shape = np.where(rows.demand > 0.0, rows.penalty, 0.0)
    best = Bundle(prices=np.zeros_like(shape), bound=-np.inf)
    low, high = 0.0, 1.0
    for share in (0.0, *([None] * 9)):
        tried = share if share is not None else (np.sqrt(low * high) if low else high / 16.0)
        y = tried * shape
        value, answer = evaluate(oracle, rows, y)
        best.evaluations += 1
        _add(best, answer)
        if value > best.bound:
            best.prices, best.bound = y, value
            best.weights[:] = 0.0
            best.weights[-1] = 1.0
            race.proved(value, "prices")
        if tried > 0.0:
            rising = float((rows.demand - answer.activity) @ shape) > 0.0
            low, high = (tried, high) if rising else (low, tried)
        if race.budget.spent():
            break
    return best


def _first_reach(best: Bundle, rows: Rows) -> float:
    """A reach by which the steepest cut would move prices by some share of their size."""
    at = int(np.argmax(best.weights))
    slope = rows.demand - best.cuts[at].activity
    size = float(np.linalg.norm(best.prices))
    size = size if size > 0.0 else 0.1 * float(np.linalg.norm(rows.penalty))
    return 0.3 * size / max(1e-12, float(np.linalg.norm(slope)))


def started(oracle: Oracle, rows: Rows, race: Race, prices: Floats) -> Bundle:
    """A bundle that begins at given prices."""
    y = np.clip(prices, 0.0, rows.penalty)
    value, answer = evaluate(oracle, rows, y)
    race.proved(value, "prices")
    return Bundle(prices=y, bound=value, cuts=[answer], weights=np.ones(1), evaluations=1)
