"""Better selections near the relaxation: exchanges among items that hardly care, again and again.

An item whose regret exceeds the gap is where it belongs in every better selection, so that only few
items are worth moving.
"""

from dataclasses import dataclass, field

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.kernels.swaps import climb
from loadloom.solvers.selection.items import Bins, Floats, Indices, Items, regrets, summed, value_of
from loadloom.solvers.selection.programme import units_of
from loadloom.solvers.selection.relaxation import Relaxation

NEAR = 400
"""How many items are tried elsewhere, those that care least."""

LOOK_VALUES = 20_000_000
"""The uses that a climb looks at before it looks at the clock, at most: some 20 ms."""

_SWEEPS = 50
_KICKS = (2, 9)  # the fewest and the most items that are moved at random, less one


@dataclass(slots=True, kw_only=True, eq=False)
class Search:
    """The best selection so far, and all that is needed to better it.

    `broken` is how far it is from keeping all limits, 0 if it keeps them; `near` are the items that
    care least where they are, with the `regret` of each of their choices.
    """

    items: Items
    bins: Bins
    race: Race
    relaxation: Relaxation
    random: np.random.Generator
    choice: Indices
    value: float = -np.inf
    broken: float = np.inf
    near: Indices = field(init=False)
    regret: Floats = field(init=False)

    def __post_init__(self) -> None:
        lead = self.relaxation.answers.lead
        # The programme may put an item elsewhere than its prices say: such items are open too.
        lead = np.where(self.choice != self.relaxation.answers.choice, -1.0, lead)
        most = min(NEAR, lead.size)
        self.near = np.sort(np.argpartition(lead, most - 1)[:most]).astype(np.int32)
        near = self.items.part(self.near)
        self.regret = regrets(near, self.bins, self.relaxation.prices)

    @property
    def feasible(self) -> bool:
        """Whether the best selection keeps all limits."""
        return self.broken == 0.0

    def keep(self, choice: Indices, phase: str) -> bool:
        """Whether a selection is better than the best so far, and then is the best."""
        broken = broken_by(self.items, self.bins, choice)
        value = value_of(self.items, self.bins, choice)
        if (broken, -value) >= (self.broken, -self.value):
            return False
        self.choice, self.value, self.broken = choice.copy(), value, broken
        if broken == 0.0:
            self.race.found(-value, phase)
        return True

    def run(self, rounds: int) -> None:
        """Climbs from the best selection, and from it with a few items elsewhere."""
        climber = _Climber(self)
        code = climber.code(self.choice)
        for _ in range(rounds + 1):
            value, broken = climber.climb(code)
            if not self.feasible or (broken == 0.0 and value > self.value):
                self.keep(climber.selection(code), "swaps")
            if self.race.over:
                break
            code = climber.kicked()


class _Climber:
    """The near items with the sums of all others."""

    def __init__(self, search: Search) -> None:
        items, bins, near = search.items, search.bins, search.near
        self.search = search
        outside = search.choice.copy()
        outside[near] = -1
        self.outside = outside
        self.fixed = summed(items, outside)
        use = items.use[near].astype(np.float64)
        self.steps = _near_peak(self.fixed.use, use)
        self.use = np.ascontiguousarray(use[:, self.steps])
        self.size = items.size[near]
        none = np.where(items.must[near], -np.inf, 0.0)
        self.worth = np.concatenate((none[:, None], items.worth[near]), axis=1)
        self.regret = search.regret
        taken = np.flatnonzero(outside >= 0)
        self.fixed_worth = float(items.worth[taken, outside[taken]].sum())
        there = search.relaxation.answers.choice
        apart = np.flatnonzero((outside >= 0) & (outside != there))
        self.most = search.relaxation.bound if not apart.size else np.inf
        units = units_of(items, bins)
        self.unit = np.array([units.size, units.use])
        self.cost = np.stack((bins.per_size, bins.per_peak))

    def code(self, choice: Indices) -> Indices:
        """The codes of the near items in a selection."""
        return choice[self.search.near] + 1

    def kicked(self) -> Indices:
        """The codes of the best selection with a few items elsewhere, those that care least."""
        random, code = self.search.random, self.code(self.search.choice)
        room = max(self.search.relaxation.bound - self.search.value, 1e-12)
        movable = np.argwhere(self.regret < (room if self.search.feasible else np.inf))
        movable = movable[code[movable[:, 0]] != movable[:, 1]]
        if not movable.shape[0]:
            return code
        count = min(int(random.integers(*_KICKS)), movable.shape[0])
        for row, to in movable[random.choice(movable.shape[0], count, replace=False)]:
            code[row] = to
        return code

    def climb(self, code: Indices) -> tuple[float, float]:
        """The value at the end of a climb from some codes, which change, and what it breaks.

        It ends where nothing gets better, or where the race is over.
        """
        bins, search = self.search.bins, self.search
        use_sum, size_sum = self.fixed.use[:, self.steps].copy(), self.fixed.size.copy()
        count_sum = self.fixed.count.copy()
        inside = np.flatnonzero(code > 0)
        np.add.at(use_sum, code[inside] - 1, self.use[inside])
        np.add.at(size_sum, code[inside] - 1, self.size[inside])
        np.add.at(count_sum, code[inside] - 1, 1.0)
        order = search.random.permutation(code.size)
        value, broken = -np.inf, np.inf
        # An exchange of an item looks at two bins, and there are half as many as there are items.
        step = max(1, LOOK_VALUES // (code.size * self.use.shape[1]))
        for _ in range(_SWEEPS):
            any_better = False
            for first in range(0, code.size, step):
                value, broken, better = climb(
                    code,
                    order,
                    self.use,
                    self.size,
                    self.worth,
                    self.regret,
                    self.most - self.fixed_worth,
                    use_sum,
                    size_sum,
                    count_sum,
                    self.cost,
                    bins.lows,
                    bins.highs,
                    self.unit,
                    first,
                    min(first + step, code.size),
                )
                any_better |= better
                if not search.race.ask("swaps"):
                    return self.fixed_worth + float(value), float(broken)
            if not any_better:
                break
        return self.fixed_worth + float(value), float(broken)

    def selection(self, code: Indices) -> Indices:
        """The selection of all items, given the codes of the near ones."""
        choice = self.outside.copy()
        choice[self.search.near] = code - 1
        return choice


def _near_peak(fixed: Floats, use: Floats) -> Indices:
    """The steps that can be the peak of a bin, wherever the near items go, highest first."""
    least = fixed + np.minimum(use, 0.0).sum(axis=0)
    most = fixed + np.maximum(use, 0.0).sum(axis=0)
    at_least = np.maximum(0.0, least.max(axis=1, keepdims=True))
    possible = np.flatnonzero((most >= at_least).any(axis=0))
    possible = possible[np.argsort(-most.max(axis=0)[possible], kind="stable")]
    return possible.astype(np.int32) if possible.size else np.zeros(1, np.int32)


def broken_by(items: Items, bins: Bins, choice: Indices) -> float:
    """How far limits are broken, as a sum of shares of each limit; 0 within rounding."""
    sums = summed(items, choice)
    total = 0.0
    for value, low, high in (
        (sums.size, bins.size_low, bins.size_high),
        (sums.count, bins.count_low, bins.count_high),
        (sums.peak, np.zeros(sums.peak.size), bins.peak_high),
    ):
        scale = 1.0 + np.abs(np.where(value < low, low, np.where(value > high, high, 1.0)))
        over = np.maximum(0.0, np.maximum(low - value, value - high)) / scale
        total += float(np.where(over > 1e-9, over, 0.0).sum())
    return total
