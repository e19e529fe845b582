"""The best selection with a bound: relaxation, exchanges near it, and a search of what is left."""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.highs import Model, Outcome
from loadloom.solvers.selection.items import (
    Bins,
    Flags,
    Indices,
    Items,
    regrets,
    summed,
    value_of,
)
from loadloom.solvers.selection.programme import Core, core_of, units_of
from loadloom.solvers.selection.relaxation import Relaxation, relax
from loadloom.solvers.selection.search import Search

FEW, FEW_ENTRIES = 1_000, 500_000
"""Up to so many open items, and entries of their programme, are searched in whole numbers."""

_NODE_ENTRIES = 150_000_000  # how many entries of the programme all nodes may look at
_SAFE = 1e-9  # by what share of the bound an item may be beyond the gap and yet is open


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The best selection that was found.

    Attributes:
        choice: the bin of each item, -1 for none, (N,); None if none was found.
        value: what it is worth; -inf without one.
        bound: what no selection is worth more than; -inf if there is none at all.
        relaxation: the linear relaxation, with its prices.
        searched: whether the bound is that of a search in whole numbers.
    """

    choice: Indices | None
    value: float
    bound: float
    relaxation: Relaxation
    searched: bool

    @property
    def is_infeasible(self) -> bool:
        """Whether it is proven that no selection keeps all limits."""
        return self.bound == -inf


def select(
    items: Items,
    bins: Bins,
    race: Race,
    *,
    seed: int = 0,
    rounds: int = 200,
    nodes: int = 5_000,
) -> Selection:
    """The best selection when gap, time, rounds and nodes are used up, whichever comes first.

    The race minimises, so that it hears of the negative of values and bounds.
    """
    relaxation = relax(items, bins, race, seed=seed)
    if relaxation.is_infeasible:
        return Selection(choice=None, value=-inf, bound=-inf, relaxation=relaxation, searched=False)
    search = Search(
        items=items,
        bins=bins,
        race=race,
        relaxation=relaxation,
        random=np.random.default_rng(seed),
        choice=relaxation.choice,
    )
    search.keep(relaxation.choice, "rounding")
    search.run(rounds)
    bound, searched = relaxation.bound, False
    if nodes > 0 and not race.over:
        bound, searched = _searched(search, nodes)
    found = search.feasible
    return Selection(
        choice=search.choice if found else None,
        value=search.value if found else -inf,
        bound=max(bound, search.value) if found else bound,
        relaxation=relaxation,
        searched=searched,
    )


def _searched(search: Search, nodes: int) -> tuple[float, bool]:
    """The bound once the open items were searched, and whether they were few enough for it."""
    items, bins, relaxation = search.items, search.bins, search.relaxation
    room = relaxation.bound - search.value if search.feasible else inf
    lead = relaxation.answers.lead
    room += _SAFE * abs(relaxation.bound)
    core = np.flatnonzero(lead <= room) if room < inf else np.arange(items.count)
    core = core.astype(np.int32)
    entries = core.size * items.bin_count * items.use.shape[1]
    if core.size > FEW or entries > FEW_ENTRIES or core.size == 0:
        return relaxation.bound, False
    # Whoever is not in the core is where the prices put it in every better selection.
    outside = relaxation.answers.choice.copy()
    outside[core] = -1
    only: Flags = regrets(items.part(core), bins, relaxation.prices)[:, 1:] <= room
    race = search.race
    few = max(1, min(nodes, _NODE_ENTRIES // entries))
    programme, outcome = _whole(items, bins, core, outside, race, few, only)
    if outcome.primal is not None:
        search.keep(programme.chosen(outcome.primal, outside), "whole numbers")
    bound = min(relaxation.bound, programme.worth(outcome.termination.bound))
    if search.feasible:
        bound = max(bound, search.value)
    if bound > -inf:
        race.proved(-bound, "whole numbers")
    return bound, True


def _whole(
    items: Items,
    bins: Bins,
    core: Indices,
    outside: Indices,
    race: Race,
    nodes: int | None,
    only: Flags | None = None,
) -> tuple[Core, Outcome]:
    """The programme of a core in whole numbers, and how its search ends."""
    taken = np.flatnonzero(outside >= 0)
    worth = float(items.worth[taken, outside[taken]].sum())
    programme = core_of(
        items,
        bins,
        units_of(items, bins),
        core,
        summed(items, outside),
        worth,
        steps=np.arange(items.use.shape[1], dtype=np.int32),
        elastic=0.0,
        whole=True,
        only=only,
    )
    outcome = Model(programme.program).solve(
        time_limit_s=race.budget.left_s,
        relative_gap=race.relative_gap,
        node_limit=nodes,
        stop=lambda: not race.ask("whole numbers"),
    )
    return programme, outcome


def search_all(items: Items, bins: Bins, race: Race, *, nodes: int | None = None) -> Selection:
    """The best selection by one search in whole numbers, without any help of ours.

    It is the peer of `select`, and its prices are those of the relaxation.
    """
    relaxation = relax(items, bins, race)
    nowhere = np.full(items.count, -1, np.int32)
    core = np.arange(items.count, dtype=np.int32)
    programme, outcome = _whole(items, bins, core, nowhere, race, nodes)
    choice = None if outcome.primal is None else programme.chosen(outcome.primal, nowhere)
    value = -inf if choice is None else value_of(items, bins, choice)
    bound = programme.worth(outcome.termination.bound)
    return Selection(
        choice=choice,
        value=value,
        bound=max(bound, value),
        relaxation=relaxation,
        searched=True,
    )
