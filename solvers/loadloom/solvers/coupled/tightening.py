"""The bound of rows and of what follows from them for whole choices, by cutting and pricing.

    maximise over y >= 0, y @ over <= penalty    y @ side + sum_i least value of chooser i at y

over a growing list of inequalities. The restricted master mixes known patterns and says what the
inequalities are worth; the choosers answer with their least patterns at prices between these and
the best ones yet, which proves a bound; and where the mix takes windows in part, roundings cut it
off. Windows that no better plan holds are closed on the way. Whatever the prices are, the bound is
that of exact answers to inequalities that hold, so it needs no trust in the master.
"""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.coupled.inequalities import (
    Inequalities,
    add_roundings,
    first_inequalities,
)
from loadloom.solvers.coupled.listed import Listed
from loadloom.solvers.coupled.master import Master, Mix
from loadloom.solvers.coupled.oracle import Oracle, Rows
from loadloom.solvers.kernels.choosers import FAR, Codes, Flags, Floats, Indices

PHASE = "cuts"

_NEAR = 1e-4  # the share of its value up to which a master is solved
_STEADY, _LESS_STEADY = 0.7, 0.03  # how much of the best prices is kept, and less so each time
_MOST_ANSWERS = 60  # to one master
_IDLE_ROUNDS = 30  # without a new inequality, after which no more is to be expected
_RECENT, _SLOW = 8, 0.01  # rounds, and the share of the gap below which their rise is slow
_OLD = 12  # rounds without a price, after which an inequality is forgotten
_MANY_OLD = 40  # of these, before the master begins anew without them
_NONE = 1e-9  # the share of a pattern that counts as none
_CROWD = 4_000  # patterns beyond which those are forgotten that no better plan holds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What prices prove: the bound, and what the choosers take and regret at them."""

    bound: float
    prices: Floats
    taken: Flags
    regret: Floats


def evaluate(held: Inequalities, prices: Floats) -> Evaluation:
    """The bound that prices of inequalities prove for all plans of open windows."""
    prices = held.within(np.maximum(prices, 0.0))
    values, taken, regret = held.listed.least(held.worth(prices))
    bound = float(values.sum() + prices @ held.sides) if values.max() < FAR / 2 else np.inf
    return Evaluation(bound=bound, prices=prices, taken=taken, regret=regret)


class Tightening:
    """A bound that rises round by round, told to a race; one thread at a time may work on it."""

    def __init__(
        self, oracle: Oracle, rows: Rows, race: Race, prices: Floats, *, seed: int = 0
    ) -> None:
        self._race = race
        self._listed = Listed(oracle, rows)
        self._held = first_inequalities(self._listed)
        self._master = Master(listed=self._listed, held=self._held)
        self._random = np.random.default_rng(seed)
        self._idle = 0 if self._held.rows.size else _IDLE_ROUNDS
        self._unpriced = np.zeros(self._held.count, np.int64)
        self._shares: tuple[Indices, Floats, list[Indices]] | None = None
        self._best = self._proven(prices[self._held.rows])
        self._master.remember(self._best.taken)

    @property
    def over(self) -> bool:
        """Whether nothing more is to be expected."""
        return self._idle >= _IDLE_ROUNDS or self._race.over

    @property
    def listed(self) -> Listed:
        """The choosers' windows, and which are still open."""
        return self._listed

    @property
    def inequalities(self) -> Inequalities:
        """The inequalities so far."""
        return self._held

    @property
    def best(self) -> Evaluation:
        """What the best prices prove that are known."""
        return self._best

    def run(self) -> None:
        """Works until little more is to be expected at once, or the race is over."""
        rises = deque([self._best.bound], _RECENT)
        while not self.over:
            self.round()
            left = max(0.0, self._race.value - self._best.bound)
            if len(rises) == _RECENT and self._best.bound - rises[0] < _SLOW * left:
                return
            rises.append(self._best.bound)

    def round(self) -> None:
        """Solves the master, closes what no better plan holds, and adds roundings."""
        if self.over:
            return
        mix = self._priced()
        if mix is None:
            self._idle = _IDLE_ROUNDS
            return
        self._remember_shares(mix)
        self._listed.close(self._best.regret, self._best.bound, self._race.value)
        new = add_roundings(self._held, mix.x, mix.u, mix.prices, self._random)
        self._idle = 0 if new else self._idle + 1
        none = np.zeros(new)
        mix = replace(mix, prices=np.append(mix.prices, none))
        self._best = replace(self._best, prices=np.append(self._best.prices, none))
        self._unpriced = np.append(self._unpriced, none.astype(np.int64))
        self._tidy(mix)

    def drawn(self, random: np.random.Generator) -> Codes | None:
        """A pattern for every chooser, drawn from the last mix by its shares; None before one."""
        if self._shares is None:
            return None
        owner, share, windows = self._shares
        keys = np.log(share) + random.gumbel(size=share.size)
        best = np.full(self._listed.oracle.count, -np.inf)
        np.maximum.at(best, owner, keys)
        picked = [windows[p] for p in np.flatnonzero(keys >= best[owner])]
        return self._listed.patterns(np.concatenate(picked))

    def _priced(self) -> Mix | None:
        """The mix of the master after the choosers have no more to add to it."""
        steady, mix = _STEADY, None
        for _ in range(_MOST_ANSWERS):
            mix = self._master.mix(self._race.budget.left_s)
            if mix is None or self._race.over:
                return mix
            found = self._proven(steady * self._best.prices + (1.0 - steady) * mix.prices)
            if found.bound <= self._best.bound:
                steady = max(0.0, steady - _LESS_STEADY)
            self._take(found)
            new = self._master.remember(found.taken)
            if mix.value - self._best.bound <= _NEAR * max(1.0, abs(mix.value)):
                break
            if not new:
                found = self._proven(mix.prices)
                self._take(found)
                if not self._master.remember(found.taken):
                    break
        return mix

    def _proven(self, prices: Floats) -> Evaluation:
        return evaluate(self._held, prices)

    def _take(self, found: Evaluation) -> None:
        """Takes prices if they are the best yet; nothing is proven beyond the best value known."""
        if found.bound > self._best.bound:
            self._best = found
            self._race.proved(min(found.bound, self._race.value), PHASE)

    def _remember_shares(self, mix: Mix) -> None:
        """Keeps what plans are drawn from, apart from what goes on changing."""
        some = np.flatnonzero(mix.share > _NONE)
        owner = np.array([self._master.owner[p] for p in some], np.int64)
        self._shares = owner, mix.share[some], [self._master.windows[p] for p in some]

    def _tidy(self, mix: Mix) -> None:
        """Forgets inequalities long without a price and, among many, patterns of no better plan."""
        self._unpriced = np.where(mix.prices > 0.0, 0, self._unpriced + 1)
        old = (self._unpriced > _OLD) & (self._best.prices <= 0.0)
        old[: self._held.rows.size] = False
        crowd = len(self._master.windows) > _CROWD
        if np.count_nonzero(old) <= _MANY_OLD and not crowd:
            return
        poor = mix.reduced > self._race.value - mix.value if crowd else np.zeros(0, np.bool_)
        patterns = np.zeros(len(self._master.windows), np.bool_)
        patterns[: poor.size] = poor
        self._master.forget(patterns, old)
        self._unpriced = self._unpriced[~old]
        self._best = replace(self._best, prices=self._best.prices[~old])
