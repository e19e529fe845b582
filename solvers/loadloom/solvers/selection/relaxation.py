"""The linear relaxation by sifting, from coarse to fine.

All items are priced in one pass; the few that hardly care where they go are put in a linear
programme, with the others where they are; its duals are the next prices. Steps that turn out to be
above the peak get a row in it, too. Every pass proves a bound,
and once all items agree with the programme it is the relaxation's value. A sample gives the first
prices, four times as large a sample the next, and so on, so that whatever the number of items, few
have to be in a programme.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.highs import Model
from loadloom.solvers.selection.items import (
    Answers,
    Bins,
    Flags,
    Floats,
    Indices,
    Items,
    Prices,
    Totals,
    answered,
    summed,
)
from loadloom.solvers.selection.programme import ELASTIC, Core, Units, core_of, units_of
from loadloom.solvers.termination import Reason

CORE = 4_000
"""The columns of the first programme; it is solved in some 0.05 s at 96 steps."""

ROWS = 200
"""The steps that have a row at first, and how many more may get one each time."""

FINER = 4
"""How many times as many items the next sample has."""

_ROUNDS = 30
_CLOSE, _CLOSER = 1e-4, 1e-7  # the gaps at which a sample, and all items, are done
_GIVE, _MOST_GIVE = 1e3, 1e8  # the price at which limits give way, by the worth of a usual item
_GIVEN = 1e-7  # a limit that gives way by less is kept, in units


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relaxation:
    """What the relaxation says.

    Attributes:
        prices: those that prove the bound.
        answers: what items choose at them, and the bound.
        choice: the relaxation's solution, rounded, (N,).
        fractional_count: the items that it divides.
        given_way: by how much limits give way at the least, (K, ELASTIC), in their own units; all
            0 if all can be kept.
    """

    prices: Prices
    answers: Answers
    choice: Indices
    fractional_count: int
    given_way: Floats

    @property
    def bound(self) -> float:
        """What no selection is worth more than."""
        return self.answers.bound

    @property
    def is_infeasible(self) -> bool:
        """Whether no selection keeps all limits, even if items could be divided."""
        return bool((self.given_way > 0.0).any())


def relax(items: Items, bins: Bins, race: Race, *, seed: int = 0) -> Relaxation:
    """The relaxation's bound, prices and rounded solution; tells the race of bounds.

    The race minimises: it is told of the negative of the bound. If it ends early, the bound holds
    all the same.
    """
    units = units_of(items, bins)
    give = _GIVE
    found = _from_coarse(items, bins, race, units, give, seed)
    while (found.given > _GIVEN).any() and give < _MOST_GIVE and not race.budget.spent():
        least = _feasibility(items, bins, race, units)
        if least.answers.bound < -_GIVEN * units.worth:
            return _told(items, found, _in_units(least.given, units))
        give *= 1e3
        found = _from_coarse(items, bins, race, units, give, seed)
    return _told(items, found, np.zeros_like(found.given))


def _told(items: Items, found: "_Sifting", given: Floats) -> Relaxation:
    if found.core is None or found.primal is None:
        choice, fractional = found.answers.choice, 0
    else:
        choice = found.core.chosen(found.primal, found.fixed)
        fractional = found.core.fractional_count(found.primal)
    return Relaxation(
        prices=found.prices,
        answers=found.answers,
        choice=_with_musts(items, choice),
        fractional_count=fractional,
        given_way=given,
    )


def _with_musts(items: Items, choice: Indices) -> Indices:
    """The choice, with items that must be somewhere, but are not, where they are worth most."""
    lost = np.flatnonzero(items.must & (choice < 0))
    choice = choice.copy()
    choice[lost] = items.worth[lost].argmax(axis=1)
    return choice


def _in_units(given: Floats, units: Units) -> Floats:
    """What gives way in the units of the caller; rounding is nothing."""
    scale = np.array([units.size, units.size, 1.0, 1.0, units.use])
    return np.where(given > _GIVEN, given, 0.0) * scale


@dataclass(slots=True, kw_only=True, eq=False)
class _Sifting:
    """Where a sifting stands: the best prices, and the last programme with its solution.

    `fixed` is the choice of all items outside of the programme, -1 inside.
    """

    prices: Prices
    answers: Answers
    fixed: Indices
    core: Core | None = None
    primal: Floats | None = None
    given: Floats


def _from_coarse(
    items: Items, bins: Bins, race: Race, units: Units, give: float, seed: int
) -> _Sifting:
    """The sifting of all items, each sample beginning with the prices of a smaller one."""
    random = np.random.default_rng(seed)
    few = max(1, CORE // items.bin_count)
    sizes = [items.count]
    while sizes[-1] > few:
        sizes.append(max(few, sizes[-1] // FINER))
    prices = no_prices(items, bins)
    quiet = Race(budget=race.budget, relative_gap=0.0)
    for size in reversed(sizes[1:]):
        some = np.sort(random.choice(items.count, size, replace=False))
        share = size / items.count
        race.ask("prices")  # what is proven of a sample is no news
        part = _sifted(items.part(some), bins.shared(share), quiet, units, prices, give, _CLOSE)
        prices = part.prices
    return _sifted(items, bins, race, units, prices, give, _CLOSER)


def no_prices(items: Items, bins: Bins) -> Prices:
    """Prices that spread what a peak costs evenly over all steps."""
    steps, lines = items.use.shape[1], bins.per_size.shape[1]
    mix = np.full((items.bin_count, lines), 1.0 / lines)
    even = (mix * bins.per_peak).sum(axis=1, keepdims=True) / steps
    none = np.zeros(items.bin_count)
    return Prices(
        step=np.repeat(even, steps, axis=1), mix=mix, size=none, count=none.copy(), peak=none.copy()
    )


def _sifted(
    items: Items,
    bins: Bins,
    race: Race,
    units: Units,
    prices: Prices,
    give: float,
    close: float,
) -> _Sifting:
    """The sifting from some prices on, until value and bound are close or the race is over."""
    answers = answered(items, bins, prices)
    best = _Sifting(
        prices=prices,
        answers=answers,
        fixed=answers.choice,
        given=np.zeros((items.bin_count, ELASTIC)),
    )
    rows = _highest(items, prices, answers.choice)
    inside = np.zeros(items.count, np.bool_)
    inside[_closest(answers.lead, max(1, CORE // items.bin_count))] = True
    choice = answers.choice.copy()
    for _ in range(_ROUNDS):
        core, sums, primal, row_dual = _solved(
            items, bins, units, inside, rows, choice, give, race.budget.left_s
        )
        if primal is None or row_dual is None:
            break
        beyond = core.beyond(primal, items, sums).max(axis=0)
        missing = _missing(beyond, rows, _GIVEN * units.use)
        rows = np.union1d(rows, missing).astype(np.int32)
        best.core, best.primal = core, primal
        best.fixed = np.where(inside, -1, choice).astype(np.int32)
        best.given = core.given_way(primal, items.bin_count)
        value = core.worth(float(core.program.cost @ primal))
        tried = core.prices(row_dual, bins)
        answers = answered(items, bins, tried)
        if answers.bound < best.answers.bound:
            best.prices, best.answers = tried, answers
            race.proved(-answers.bound, "prices")
        scale = max(abs(best.answers.bound), units.worth)
        wrong = np.flatnonzero(~inside & (answers.choice != choice))
        met = best.answers.bound - value <= close * scale or not wrong.size
        if (met and not missing.size) or race.budget.spent():
            break
        # An item that would rather be elsewhere is let in, the most decided first.
        worst = np.argsort(-answers.lead[wrong], kind="stable")
        inside[wrong[worst[: CORE // items.bin_count]]] = True
    return best


def _missing(beyond: Floats, rows: Indices, tolerance: float) -> Indices:
    """The steps without a row that are furthest beyond the peak that is paid for."""
    over = beyond.copy()
    over[rows] = 0.0
    worst = np.argsort(-over, kind="stable")[:ROWS]
    return worst[over[worst] > tolerance].astype(np.int32)


def _highest(items: Items, prices: Prices, choice: Indices) -> Indices:
    """The steps that have a price or are nearest to the peak of a bin."""
    steps = items.use.shape[1]
    if steps <= ROWS:
        return np.arange(steps, dtype=np.int32)
    sums = summed(items, choice)
    below = (sums.peak[:, None] - sums.use).min(axis=0)
    nearest = np.argpartition(below, ROWS)[:ROWS]
    uneven = prices.step > prices.step.min(axis=1, keepdims=True)
    return np.union1d(nearest, np.flatnonzero(uneven.any(axis=0))).astype(np.int32)


def _closest(lead: Floats, count: int) -> Indices:
    """The items that care least where they go."""
    if lead.size <= count:
        return np.arange(lead.size, dtype=np.int32)
    return np.argpartition(lead, count)[:count].astype(np.int32)


def _solved(
    items: Items,
    bins: Bins,
    units: Units,
    inside: Flags,
    rows: Indices,
    choice: Indices,
    give: float,
    left_s: float,
) -> tuple[Core, Totals, Floats | None, Floats | None]:
    """The programme of the items inside, the sums of the others, its solution and duals.

    The latter two are None if there was no time left for them.
    """
    outside = np.where(inside, -1, choice).astype(np.int32)
    sums = summed(items, outside)
    taken = np.flatnonzero(outside >= 0)
    worth = float(items.worth[taken, outside[taken]].sum())
    which = np.flatnonzero(inside)
    core = core_of(items, bins, units, which, sums, worth, steps=rows, elastic=give)
    outcome = Model(core.program).solve(time_limit_s=left_s)
    if outcome.termination.reason is not Reason.OPTIMAL:
        return core, sums, None, None
    return core, sums, outcome.primal, outcome.row_dual


def _feasibility(items: Items, bins: Bins, race: Race, units: Units) -> _Sifting:
    """The sifting in which nothing counts but by how much limits give way."""
    free = Bins(
        per_size=np.zeros_like(bins.per_size),
        per_peak=np.zeros_like(bins.per_peak),
        size_low=bins.size_low,
        size_high=bins.size_high,
        count_low=bins.count_low,
        count_high=bins.count_high,
        peak_high=bins.peak_high,
    )
    worthless = Items(
        use=items.use,
        size=items.size,
        worth=np.where(np.isfinite(items.worth), 0.0, -inf),
        must=items.must,
    )
    quiet = Race(budget=race.budget, relative_gap=0.0)
    return _from_coarse(worthless, free, quiet, units, 1.0, 0)
