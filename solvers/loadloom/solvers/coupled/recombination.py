"""Which windows are free while a programme chooses anew: those of good answers, or cheap ones.

Answers of separate runs of annealing agree on much, and where they differ, parts of each are good:
the best mix of a few of them is a small programme. Around the best answer some turns of all
choosers or all turns of some are chosen anew, from the windows of least regret at the best prices,
as many as can just be settled. Which of these pays depends on the choosers: with 20, mixes took 4
of 5 % in 10 s; with 200, single turns of 400 windows 0.5 % in 3 s, and some choosers nothing. So
each kind is taken the more often, the more often it has paid.

With some tens of choosers or more, nothing pays like turns that are chosen one after the other
(`diving`), all of them for an answer of its own, or a few again.
"""

from dataclasses import dataclass, field
from math import inf

import numpy as np

from loadloom.solvers.coupled.diving import Effort, by_demand, dive
from loadloom.solvers.coupled.listed import Listed
from loadloom.solvers.coupled.neighbourhood import best_among
from loadloom.solvers.coupled.oracle import Answer
from loadloom.solvers.coupled.search import Search, value_of
from loadloom.solvers.kernels.choosers import Flags, Floats, Indices

MOST_KEPT = 12
"""The answers that are kept to be mixed, the best ones."""

_MIXED = (2, 6)  # how many are mixed at once
_FIRST, _LEAST, _MOST = 400.0, 50.0, 5_000.0  # free windows of a neighbourhood
_GROWN, _SHRUNK = 1.25, 0.8  # by how much the next has more or fewer
_KINDS = 6
_ONE_TURN, _SOME_TURNS, _SOME_CHOOSERS, _ALL, _MIX, _DIVE = range(_KINDS)
_THOUGHT = [2.0, 1.0, 0.0, 0.0, 2.0, 3.0]  # successes with which each kind begins
_TURNS, _CHOOSERS = (2, 4), (0.2, 0.8)  # how many turns, and what share of the choosers, are free
_NODES = 200  # of HiGHS' search tree at most
_TIME_SHARE, _LEAST_S, _MOST_S = 0.1, 0.3, 2.0  # the time of one programme where time counts

_DIVE_WINDOWS, _DIVE_GAP = 300, 1e-3  # of one turn of a dive
_DIVE_SHARE, _DIVE_S = 0.06, (0.5, 1.5)  # the time of one turn of a dive, at first and at most
_DIVED = 4  # turns that are chosen again at most
DOUBT = 0.1  # by how much prices and the order of turns vary between dives


def effort(search: Search) -> Effort:
    """What one turn of a dive is worth."""
    budget = search.race.budget
    seconds = inf
    if budget.by_clock:
        # Whoever waits long for the best plan wants a good one soon all the same.
        longest_s = float(np.clip(_DIVE_SHARE * budget.seconds, *_DIVE_S))
        seconds = min(longest_s, _DIVE_SHARE * budget.time_limit_s)
    return Effort(
        windows=_DIVE_WINDOWS,
        nodes=_NODES,
        seconds=seconds,
        gap=_DIVE_GAP,
        seed=int(search.random.integers(2**31)),
        stop=lambda: not search.race.ask("diving"),
    )


def can_dive(search: Search) -> bool:
    """Whether turns may be chosen one after the other: by the clock, and no budget is of all."""
    return search.race.budget.by_clock and not search.oracle.budget_count


def dived(search: Search, listed: Listed, *, doubt: float = DOUBT) -> Answer:
    """An answer whose turns are all chosen anew, one after the other.

    With some doubt, prices and order are not quite what they are thought to be.
    """
    random = search.random
    prices = search.prices * np.exp(random.normal(0.0, doubt, search.prices.size))
    order = by_demand(listed, prices * np.exp(random.normal(0.0, doubt, prices.size)))
    least = listed.oracle.weighed(listed.patterns(np.flatnonzero(listed.held)))
    return dive(listed, least, order, np.minimum(prices, listed.rows.penalty), effort(search))


@dataclass(kw_only=True)
class Recombination:
    """Good answers, how many windows each kind of neighbourhood has free, and how it has paid."""

    listed: Listed
    kept: list[tuple[float, Answer]] = field(default_factory=list)
    sizes: list[float] = field(default_factory=lambda: [_FIRST] * _KINDS)
    tries: Floats = field(default_factory=lambda: np.array(_THOUGHT))
    gains: Floats = field(default_factory=lambda: np.array(_THOUGHT))

    def remember(self, answer: Answer) -> None:
        """Keeps an answer to be mixed with others, if it is among the best and none of them."""
        value = value_of(answer, self.listed.rows)
        if any(np.array_equal(answer.patterns, known.patterns) for _, known in self.kept):
            return
        self.kept = sorted([*self.kept, (value, answer)], key=lambda known: known[0])[:MOST_KEPT]

    def improved(self, search: Search, regret: Floats) -> Answer:
        """The best answer found with some windows chosen anew; regrets are (C, W)."""
        # The rule of succession: nothing is ruled out by its first failures.
        chance = (self.gains + 1.0) / (self.tries + 2.0)
        chance[_MIX] *= len(self.kept) > _MIXED[0]
        chance[_DIVE] *= can_dive(search)
        kind = int(search.random.choice(_KINDS, p=chance / chance.sum()))
        if kind == _DIVE:
            found = self._some_anew(search)
        else:
            free = self._of_kept(search) if kind == _MIX else self._cheap(search, regret, kind)
            found, settled = self._chosen(search, free)
            if not settled:
                self.sizes[kind] *= _SHRUNK
            elif np.count_nonzero(free) >= _SHRUNK * self.sizes[kind]:
                self.sizes[kind] *= _GROWN
            self.sizes[kind] = float(np.clip(self.sizes[kind], _LEAST, _MOST))
        self.tries[kind] += 1.0
        self.gains[kind] += value_of(found, self.listed.rows) < search.value
        return found

    def _some_anew(self, search: Search) -> Answer:
        """The best answer with a few turns chosen again, one after the other."""
        random, prices = search.random, search.prices
        count = int(random.integers(1, min(_DIVED, self._days) + 1))
        turns = random.choice(self._days, count, replace=False)
        order = by_demand(self.listed, prices * np.exp(random.normal(0.0, DOUBT, prices.size)))
        turns = order[np.isin(order, turns)]
        return dive(self.listed, search.best, turns, prices, effort(search))

    def _of_kept(self, search: Search) -> Flags:
        """The windows of a few good answers, of as many turns as the size allows."""
        random = search.random
        count = min(int(random.integers(_MIXED[0], _MIXED[1] + 1)), len(self.kept))
        free = np.zeros(self.listed.count, np.bool_)
        for k in random.choice(len(self.kept), count, replace=False):
            free |= self.listed.taken(self.kept[k][1].patterns)
        free &= ~self.listed.taken(search.best.patterns)
        turns = random.permutation(self._days)
        for most in range(self._days, 1, -1):
            some = free & self._within(turns[:most])
            if np.count_nonzero(some) <= self.sizes[_MIX]:
                return some
        return free & self._within(turns[:1])

    def _cheap(self, search: Search, regret: Floats, kind: int) -> Flags:
        """The windows of least regret of some turns, of some choosers, or of all."""
        random, listed = search.random, self.listed
        free = np.logical_or.reduce(listed.open, axis=0)
        if kind in {_ONE_TURN, _SOME_TURNS}:
            count = 1 if kind == _ONE_TURN else int(random.integers(_TURNS[0], _TURNS[1] + 1))
            free &= self._within(random.permutation(self._days)[:count])
        elif kind == _SOME_CHOOSERS:
            count = max(1, int(listed.oracle.count * random.uniform(*_CHOOSERS)))
            some = random.choice(listed.oracle.count, count, replace=False)
            free &= np.isin(listed.chooser, some)
        which, most = np.flatnonzero(free), int(self.sizes[kind])
        if which.size > most:
            least = np.min(regret[:, which], axis=0)
            free[which[least > np.partition(least, most)[most]]] = False
        return free

    @property
    def _days(self) -> int:
        return self.listed.oracle.turns.mode.shape[1]

    def _within(self, turns: Indices) -> Flags:
        """The windows of some turns of all choosers, and all pauses."""
        base = self.listed.windows.pause_base
        within = np.ones(self.listed.count, np.bool_)
        within[:base] = np.isin(self.listed.group[:base] % self._days, turns)
        return within

    def _chosen(self, search: Search, free: Flags) -> tuple[Answer, bool]:
        budget = search.race.budget
        left_s = budget.left_s
        if budget.timed and budget.rounds is None:
            most_s = np.clip(_TIME_SHARE * budget.time_limit_s, _LEAST_S, _MOST_S)
            left_s = min(left_s, float(most_s))
        seed = int(search.random.integers(2**31))
        return best_among(
            self.listed,
            search.best,
            free,
            nodes=_NODES,
            left_s=left_s,
            seed=seed,
            stop=lambda: not search.race.ask("neighbourhood"),
        )
