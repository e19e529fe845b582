"""Many small exact choices and few shared rows: prices, a bound, plans near it, until told to stop.

    minimise   sum_i cost[i, p(i)]  +  sum_r penalty[r] * max(0, demand[r] - sum_i use[i, p(i), r])

over one pattern p(i) for every chooser i. The relative gap between the bound by prices and the best
plan shrinks like rows / choosers, so that with thousands of choosers prices and rounding settle
the matter; with tens, annealing over written-out windows finds what rounding cannot.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np

from loadloom.solvers.coupled import dual
from loadloom.solvers.coupled.annealing import Annealer, can_anneal
from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.coupled.oracle import Answer, Oracle, Rows
from loadloom.solvers.coupled.sample import sampled
from loadloom.solvers.coupled.search import (
    Search,
    cooled,
    hottest,
    mixed,
    settled,
    typical_relief,
    value_of,
)
from loadloom.solvers.kernels.choosers import Floats

SAMPLE = 1_000
"""So many choosers tell almost the same prices as four times as many."""

FEW = 400
"""Up to so many choosers annealing takes turns with cooling."""

_HEATS, _HEAT_STEPS = 20, 20_000  # of one run of annealing
_PRICES_SHARE = 0.5  # of the time that goes to prices before the first plan
_TIGHT = 2e-6  # the share up to which prices are improved at last


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The best answer, its value, and the prices that prove the bound."""

    answer: Answer
    value: float
    bound: float
    prices: Floats


def solve_coupled(
    oracle: Oracle,
    rows: Rows,
    race: Race,
    *,
    seed: int = 0,
    start: Answer | None = None,
    prices: Floats | None = None,
) -> Outcome:
    """The best answer and bound when the race is over; there is always an answer.

    `start` is an answer to begin with, `prices` some that are thought to be good.
    """
    search = _begin(oracle, rows, race, seed, start)
    bundle = _priced(oracle, rows, race, prices)
    search.prices = bundle.prices
    first = oracle.weighed(mixed(bundle, oracle.count, search.random))
    search.unit = typical_relief(first, oracle)
    if start is not None:
        search.keep(settled(search, start), "settling")
    search.keep(cooled(search, first, hottest(oracle.count)), "cooling")
    _improve(search, bundle)
    return Outcome(
        answer=search.best,
        value=search.value,
        bound=min(race.bound, search.value),
        prices=bundle.prices,
    )


def _begin(oracle: Oracle, rows: Rows, race: Race, seed: int, start: Answer | None) -> Search:
    """A search whose first answers are that nobody does anything who need not, and the start."""
    values, patterns = oracle.priced(np.zeros(rows.demand.size))
    answer = oracle.weighed(patterns)
    search = Search(
        oracle=oracle,
        rows=rows,
        race=race,
        prices=np.zeros(rows.demand.size),
        random=np.random.default_rng(seed),
        best=answer,
        value=value_of(answer, rows),
    )
    race.found(search.value, "nobody")
    race.proved(float(values.sum()), "prices")
    if start is not None:
        search.keep(start, "start")
    return search


def _priced(oracle: Oracle, rows: Rows, race: Race, prices: Floats | None) -> dual.Bundle:
    """The bundle of all choosers, from given prices or from those of a sample."""
    quiet = Race(budget=race.budget, relative_gap=0.0)
    every = oracle.count // SAMPLE
    if prices is None and every >= 4:
        part, scaled = sampled(oracle, rows, every)
        prices = dual.bundle(part, scaled, quiet, most=100, tolerance=1e-4, share=0.15).prices
    if prices is None:
        return dual.bundle(oracle, rows, race, share=_PRICES_SHARE)
    begun = dual.started(oracle, rows, race, prices)
    return dual.improve(begun, oracle, rows, race, most=40, tolerance=1e-4, share=_PRICES_SHARE)


def _improve(search: Search, bundle: dual.Bundle) -> None:
    """Better plans and, while it pays, better prices until the race is over."""
    race, oracle, rows = search.race, search.oracle, search.rows
    annealer: Annealer | None = None
    if oracle.count <= FEW and can_anneal(oracle) and not race.over:
        annealer = Annealer(oracle, rows, bundle.prices)
    turn, pays = 0, True
    while not race.over and race.budget.take():
        turn += 1
        if pays and turn % 3 == 0:
            before = bundle.bound
            dual.improve(bundle, oracle, rows, race, most=15, tolerance=_TIGHT)
            search.prices = bundle.prices
            pays = bundle.bound > before + 1e-6 * abs(before)
        elif annealer is not None and turn % 2 == 0:
            search.keep(_annealed(search, annealer, turn), "annealing")
        else:
            heat = exp(search.random.uniform(log(0.5), log(16.0)))
            search.keep(cooled(search, search.best, heat), "cooling")


def _annealed(search: Search, annealer: Annealer, turn: int) -> Answer:
    taken = max(1, int((search.best.patterns >= 0).sum()))
    usual = max(search.best.cost, 1e-9) / taken
    heat = usual * exp(search.random.uniform(log(0.03), log(0.5)))
    heats = np.geomspace(heat, heat / 100.0, _HEATS)
    return annealer.run(search.best, turn, heats, _HEAT_STEPS)
