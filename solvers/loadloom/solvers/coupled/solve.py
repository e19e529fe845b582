"""Many small exact choices and few shared rows: prices, a bound, plans near it, until told to stop.

    minimise   sum_i cost[i, p(i)]  +  sum_r penalty[r] * max(0, demand[r] - sum_i use[i, p(i), r])

over one pattern p(i) for every chooser i. The relative gap between the bound by prices and the best
plan shrinks like rows / choosers, so that with thousands of choosers prices and rounding settle
the matter; with hundreds, turns chosen exactly one after the other; with few, annealing over
written-out windows finds what rounding cannot.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import exp, log
from queue import SimpleQueue

import numpy as np

from loadloom.solvers.coupled import dual
from loadloom.solvers.coupled.annealing import Annealer, can_anneal
from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.coupled.listed import can_list
from loadloom.solvers.coupled.oracle import Answer, Oracle, Rows
from loadloom.solvers.coupled.recombination import DOUBT, Recombination, can_dive, dived
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
from loadloom.solvers.coupled.tightening import Tightening
from loadloom.solvers.kernels.choosers import Floats

SAMPLE = 1_000
"""So many choosers tell almost the same prices as four times as many."""

FEW = 400
"""Up to so many choosers annealing takes turns with cooling."""

DIVING = 30
"""From so many choosers on, and up to `FEW`, turns chosen one after the other take its place."""

MANY_ROWS = 10
"""From so many choosers a row on, whole choices add next to nothing to the bound by prices."""

_HEATS = 60  # of a run of annealing
_FIRST_STEPS, _MOST_COUNTED = 800_000, 400_000  # of the first run and, by count, of the longest
_LONGER, _LONGEST = 1.0, 0.12  # the length of a run, by all before, and by all of the time
_HOTTEST = (0.3, 0.9)  # the first heat by the usual cost of a window
_USUAL, _LEAST_HEAT = 50.0, 0.05  # choosers up to whom that is right; more even out
_COOLED, _PER_CHOOSER = (9.0, 25.0), 0.5  # by how much it falls: within these, by choosers
_STEEP = (3.0, 16.0)  # how many times its price lacking costs at the first heat and at the last
_RUNS, _ANEW = 5, 4  # runs before anything is chosen anew, and rounds from one to the next then
_DIVES, _DIVE_ANEW = 1, 12  # the same of dives
_FITTING = 0.9  # the share of the time left into which a run has to fit
_DRAWN_HEAT = 4.0  # at which answers drawn from the master settle
_PRICES_SHARE = 0.5  # of the time that goes to prices before the first plan
_TIGHT = 2e-6  # the share up to which prices are improved at last


Found = SimpleQueue[tuple[Answer, str]]
"""Answers that one thread has found for another, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The best answer and its value, a bound, and the prices that prove `price_bound`.

    Inequalities may have raised the bound above what prices prove.
    """

    answer: Answer
    value: float
    bound: float
    prices: Floats
    price_bound: float


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
    _improve(search, bundle, seed)
    return Outcome(
        answer=search.best,
        value=search.value,
        bound=min(race.bound, search.value),
        prices=bundle.prices,
        price_bound=bundle.bound,
    )


def dives(search: Search) -> bool:
    """Whether turns are chosen one after the other, instead of annealing.

    A turn of fewer choosers has too few that are called for prices to tell who they should be; and
    where time is not what ends the search, its rounds are to be short.
    """
    return DIVING <= search.oracle.count <= FEW and can_dive(search)


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
    race.found(search.value, "nobody", answer)
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


def _improve(search: Search, bundle: dual.Bundle, seed: int) -> None:
    """Better plans and, while it pays, better bounds until the race is over."""
    race, oracle, rows = search.race, search.oracle, search.rows
    if race.over:
        return
    annealer = None
    if oracle.count <= FEW and can_anneal(oracle):
        annealer = Annealer(oracle, rows, bundle.prices)
    if oracle.count > MANY_ROWS * rows.demand.size or not can_list(oracle):
        _search(search, bundle, annealer, None, in_turn=False)
        return
    tight = Tightening(oracle, rows, race, bundle.prices, seed=seed)
    if not race.budget.by_clock or oracle.pool is None:
        # What comes of two threads depends on which is faster; what is counted is repeatable.
        _search(search, bundle, annealer, tight, in_turn=True)
        return
    beside: Found = SimpleQueue()
    with ThreadPoolExecutor(1) as aside:
        working = aside.submit(_beside, search, annealer, tight, beside, seed)
        working.add_done_callback(lambda ended: _stop(race, ended))
        try:
            _search(search, bundle, annealer, tight, in_turn=False, beside=beside)
        finally:
            race.done = True
        working.result()
    while not beside.empty():
        search.keep(*beside.get())


def _stop(race: Race, ended: Future[None]) -> None:
    """Ends the race if the other thread has failed: its fault must be heard at once."""
    if ended.exception() is not None:
        race.done = True


def _beside(
    search: Search, annealer: Annealer | None, tight: Tightening, found: Found, seed: int
) -> None:
    """Cuts and prices; when little more is to be expected of that, answers in between.

    Whoever searches takes what is found here: responses have only one place to work in.
    """
    mine = replace(search, random=np.random.default_rng([seed, 1]))
    run = 0
    while not search.race.over:
        tight.run()
        if search.race.over:
            return
        run += 1
        if dives(search):
            found.put((dived(mine, tight.listed), "diving"))
            continue
        if annealer is None:
            if tight.over:
                return
            continue
        drawn = tight.drawn(mine.random) if run % 2 else None
        mine.best = search.best
        start = mine.best if drawn is None else mine.oracle.weighed(drawn)
        found.put((_annealed(mine, annealer, start, -run), "annealing"))


def _search(
    search: Search,
    bundle: dual.Bundle,
    annealer: Annealer | None,
    tight: Tightening | None,
    *,
    in_turn: bool,
    beside: Found | None = None,
) -> None:
    """The rounds of the search, in which the cuts take turns if nobody else works on them.

    `beside` are answers of another thread.
    """
    race, turn, pays = search.race, 0, tight is None
    mixing = None
    if tight is not None:
        mixing = Recombination(listed=tight.listed)
        mixing.remember(search.best)
    while not race.over and race.budget.take():
        turn += 1
        if in_turn and tight is not None and not tight.over and turn % 2 == 0:
            tight.round()
        while beside is not None and not beside.empty():
            answer, phase = beside.get()
            answer = settled(search, answer)
            search.keep(answer, phase)
            if mixing is not None:
                mixing.remember(answer)
        if pays and turn % 3 == 0:
            before = bundle.bound
            dual.improve(bundle, search.oracle, search.rows, race, most=15, tolerance=_TIGHT)
            search.prices = bundle.prices
            pays = bundle.bound > before + 1e-6 * abs(before)
        elif mixing is not None and tight is not None:
            _mixed(search, mixing, annealer, tight, turn)
        elif annealer is not None and turn % 2 == 0:
            search.keep(_annealed(search, annealer, search.best, turn // 2), "annealing")
        else:
            search.keep(cooled(search, *_start(search, tight, turn)), "cooling")


def _mixed(
    search: Search,
    mixing: Recombination,
    annealer: Annealer | None,
    tight: Tightening,
    turn: int,
) -> None:
    """One round where windows are listed: a new answer, a mix of known ones, or a better best."""
    many = dives(search)
    runs, anew = (_DIVES, _DIVE_ANEW) if many else (_RUNS, _ANEW)
    if turn <= runs or turn % anew == 1:
        if many:
            found = settled(search, dived(search, tight.listed, doubt=0.0 if turn == 1 else DOUBT))
        else:
            found = cooled(search, *_start(search, tight, turn))
            if annealer is not None:
                found = settled(search, _annealed(search, annealer, found, turn))
        mixing.remember(found)
        search.keep(found, "diving" if many else "annealing")
        return
    found = mixing.improved(search, tight.best.regret)
    if search.keep(found, "neighbourhood"):
        mixing.remember(found)


def _start(search: Search, tight: Tightening | None, turn: int) -> tuple[Answer, float]:
    """Where a cooling starts, and how hot: near the best answer, or from a draw of the master's."""
    drawn = None if tight is None or turn % 4 != 1 else tight.drawn(search.random)
    if drawn is not None:
        return search.oracle.weighed(drawn), _DRAWN_HEAT
    return search.best, exp(search.random.uniform(log(0.5), log(16.0)))


def _annealed(search: Search, annealer: Annealer, start: Answer, run: int) -> Answer:
    """The best answer of a run of annealing, which takes a share of all steps before it."""
    budget = search.race.budget
    taken = max(1, int((search.best.patterns >= 0).sum()))
    usual = max(search.best.cost, 1e-9) / taken
    count = search.oracle.count
    heat = usual * exp(search.random.uniform(*np.log(_HOTTEST)))
    heat *= float(np.clip((_USUAL / count) ** 2, _LEAST_HEAT, 1.0))
    heats = np.geomspace(heat, heat / float(np.clip(_PER_CHOOSER * count, *_COOLED)), _HEATS)
    steps = max(_FIRST_STEPS, _LONGER * search.steps)
    if budget.rounds is not None:
        steps = min(steps, _MOST_COUNTED)
    if budget.timed and search.step_s > 0.0:
        # A run that is cut off while it is hot has found nothing.
        longest_s = min(_LONGEST * budget.time_limit_s, _FITTING * budget.left_s)
        steps = min(steps, longest_s / search.step_s)
    each = 1 + int(steps) // _HEATS
    begun_s = budget.seconds
    steep = np.geomspace(*_STEEP, _HEATS)
    found = annealer.run(start, run, heats, steep, each, lambda: search.race.over)
    search.step_s = (budget.seconds - begun_s) / (each * _HEATS)
    search.steps += each * _HEATS
    return found
