"""Prices for shared limits by column generation: a proven bound, and mixes that approach it.

Dantzig-Wolfe: the restricted master mixes known responses and gives prices, the members answer to
them exactly, and each answer proves a Lagrangian bound at the prices it was asked for. The prices
asked for lie between those of the master and those of the best bound (Wentges), since a master
that knows little leaps from one extreme to the other. From nothing the first prices are no master's
at all: some steps along the subgradient lead them near where they will be, for a tenth of the work.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadloom.solvers.coupled.limits import Floats, Indices, Limits, Oracle
from loadloom.solvers.coupled.mixture import Mix, Mixture

FIRST, LEAST, MOST = 0.6, 0.0, 0.9
"""The weight of the best prices in those asked for: at first, at least and at most."""

_FALLS, _RISES = 0.05, 0.1
"""By how much the weight changes after a better bound, and after a worse one."""

APPROACH, STRIDE, SHRINK = 10, 0.5, 0.7
"""Steps along the subgradient before the first mix; how far a price moves in the first one where a
limit is broken by all of itself, as a share of the highest price; and how steps shrink."""

_STEPS, _SURE, _LAST = 8, 0.98, 20
"""Groups are fixed in at least so many steps, and at once where they are as near as this to one
response; and how often others are asked after that."""

DEALT = 3
"""How often given prices are dealt to the groups."""

_GOLDEN = 0.618033988749895
"""Multiples of it lie evenly between whole numbers, however many are taken."""

SMALL, _LITTLE = 1e-9, 1e-3
"""Shares of an answer in a group, and of prices in all groups, that are left out."""

Listener = Callable[[float, float, str], bool]
"""Told of value, bound and phase; answers whether to go on. The value is inf until there is one."""


@dataclass(kw_only=True, eq=False)
class Generation:
    """Where the method stands.

    Attributes:
        prices: every vector of prices that was asked for, (nodes, T) each.
        asked: for each answer the number of the prices that each group was asked, (groups,).
        best: the prices of the best bound, (nodes, T).
        bound: no plan of the members is cheaper.
        rest_bound: no plan is cheaper in which groups take what they are fixed to.
        rest_best: the prices of that bound.
        mix: the cheapest mix so far; its breach of hard limits is paid at a price of its own.
        stopped: whether the listener has had enough.
    """

    oracle: Oracle
    mixture: Mixture
    tell: Listener | None = None
    prices: list[Floats] = field(default_factory=list)
    asked: list[Indices] = field(default_factory=list)
    best: Floats = field(init=False)
    bound: float = -np.inf
    rest_best: Floats = field(init=False)
    rest_bound: float = -np.inf
    mix: Mix | None = None
    stopped: bool = False
    _weight: float = FIRST

    def __post_init__(self) -> None:
        self.best = self.rest_best = np.zeros(self.limits.low.shape)

    @property
    def limits(self) -> Limits:
        """The limits that are shared."""
        return self.mixture.limits

    @property
    def gap(self) -> float:
        """The relative gap between the mix and the bound; inf before there are both."""
        return self._gap_to(self.bound)

    @property
    def rest_gap(self) -> float:
        """The same to the bound of what groups leave that are fixed."""
        return self._gap_to(self.rest_bound)

    def _gap_to(self, bound: float) -> float:
        if self.mix is None or bound == -np.inf:
            return np.inf
        return max(0.0, self.mix.value - bound) / max(1.0, abs(self.mix.value))

    def settle(self, groups: Indices, tolerance: float, phase: str) -> None:
        """Lets groups take one response alone, few at a time, those first that are nearest to it.

        After each step the others answer anew, so that they make up for it.
        """
        left = groups
        while left.size and self.mix is not None:
            share = self.mix.share[:, left]
            most = share.max(axis=0)
            order = np.argsort(-most, kind="stable")
            step = max(1, left.size // _STEPS, int((most > _SURE).sum()))
            if self.stopped:  # nobody will answer any more
                step = left.size
            for at in order[:step]:
                self.mixture.fix(int(left[at]), int(np.argmax(share[:, at])))
            left = left[np.sort(order[step:])]
            self.rest_bound = -np.inf
            self.mixed(phase)
            if left.size and not self.stopped:
                self.ask(self.mix.prices)
                self.mixed(phase)
        self.improve(tolerance, _LAST, phase)

    def ask(self, prices: Floats) -> Floats:
        """Asks all groups at the same prices, and keeps the answer and the bound it proves.

        What all members of a node answer together, (nodes, T).
        """
        along, free = self.limits.tree.along(prices)[self.mixture.node], self.mixture.fixed < 0
        response = self.oracle(along, free)
        least = np.where(free, response.value, self.mixture.paid(along))
        bound = float(least.sum()) - self.limits.worth(prices)
        self.asked.append(np.full(self.mixture.groups, len(self.prices)))
        self.prices.append(prices)
        self.mixture.add(response)
        better = bound > self.rest_bound
        if better:
            self.rest_bound, self.rest_best = bound, prices
            if free.all():
                self.bound, self.best = bound, prices
        step = -_FALLS if better else _RISES
        self._weight = min(max(self._weight + step, LEAST), MOST)
        return self.mixture.total_of(response.flow)

    def approach(self, phase: str) -> None:
        """Asks at no prices, then at dearer ones where limits are broken, cheaper ones elsewhere.

        Prices so come near those that bring all limits about, but no nearer than the last steps.
        """
        limits, stride = self.limits, STRIDE * self.mixture.hard
        prices = np.zeros(limits.low.shape)
        total = self.ask(prices)
        if not any(side.any() for side in limits.excess(total)):
            return
        for _ in range(APPROACH):
            self._told(np.inf, phase)
            if self.stopped:
                return
            prices = limits.possible(np.clip(
                prices + stride * limits.strain(total, prices), -self.mixture.hard,
                self.mixture.hard,
            ))  # fmt: skip
            total = self.ask(prices)
            stride *= SHRINK
        self._weight = FIRST

    def ask_apart(self, prices: Sequence[Floats], share: Floats, rounds: int) -> None:
        """Asks each group at one of several prices, so that each has its share of the groups.

        That proves nothing, but what all groups answer together is close to the mix of all
        answers in these shares, for the effort of one. Each round deals the prices anew.
        """
        first, node = len(self.prices), self.mixture.node
        self.prices += prices
        along = np.array([self.limits.tree.along(one)[node] for one in prices])
        order, groups = np.argsort(node, kind="stable"), self.mixture.groups
        edges = np.cumsum(share / share.sum())
        for turn in range(rounds):
            # Each node's groups, one after the other, lie evenly between 0 and 1.
            place = np.empty(groups)
            for own in np.split(order, np.flatnonzero(np.diff(node[order])) + 1):
                step = np.arange(own.size) * _GOLDEN
                place[own] = (step + (turn + 0.5) / rounds + node[own] * _GOLDEN) % 1.0
            dealt = np.minimum(np.searchsorted(edges, place), len(prices) - 1)
            self.mixture.add(self.oracle(along[dealt, np.arange(groups)], self.mixture.fixed < 0))
            self.asked.append(first + dealt)

    def mixed(self, phase: str) -> None:
        """Mixes the answers anew, and tells of it."""
        self.mix = self.mixture.solve()
        value = np.inf if self.mix.breached > 1e-6 else self.mix.value
        self._told(value, phase)

    def _told(self, value: float, phase: str) -> None:
        """Tells of a value and the bound; once stopped, nobody is told any more."""
        if self.tell and not self.stopped and not self.tell(value, self.bound, phase):
            self.stopped = True

    def improve(self, tolerance: float, most: int, phase: str) -> None:
        """Asks at new prices until the gap is closed, or so many times, or until it is stopped."""
        for _ in range(most):
            if self.stopped or self.rest_gap <= tolerance:
                return
            weight = self._weight if len(self.prices) > 2 else 0.0
            wanted = self.mix.prices if self.mix else self.rest_best
            self.ask(weight * self.rest_best + (1.0 - weight) * wanted)
            self.mixed(phase)

    def used(self) -> tuple[list[Floats], Floats]:
        """The prices whose answers the mix takes, and the share of each."""
        share = np.zeros(len(self.prices))
        if self.mix is not None:
            np.add.at(share, np.array(self.asked), self.mix.share)
        share /= max(1.0, share.sum())
        taken = np.flatnonzero(share > _LITTLE)
        return [self.prices[k] for k in taken], share[taken]

    def at_prices(self, share: Floats) -> list[tuple[Floats, Floats]]:
        """For each group the prices (answers, T) whose answers it takes, and the shares."""
        along = [self.limits.tree.along(prices) for prices in self.prices]
        found = []
        for group, node in enumerate(self.mixture.node):
            used = np.flatnonzero(share[:, group] > SMALL)
            part = share[used, group]
            prices = np.array([along[self.asked[k][group]][node] for k in used])
            found.append((prices, part / part.sum()))
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """Where to begin: good prices, and others that share what is done at their optimum."""

    best: Floats
    prices: Sequence[Floats] = ()
    share: Floats = field(default_factory=lambda: np.zeros(0))


def generate(
    oracle: Oracle,
    limits: Limits,
    node: Indices,
    *,
    hard: float,
    tolerance: float,
    start: Start | None = None,
    most: int = 200,
    tell: Listener | None = None,
    phase: str = "prices",
) -> Generation:
    """Prices and a mix whose gap is closed, or what there was when it was stopped.

    Args:
        oracle: answers for all groups.
        limits: the limits that are shared.
        node: the node of each group, (groups,).
        hard: what a unit beyond a hard limit costs; above all prices that limits can have.
        tolerance: the relative gap that is wanted.
        start: what is known of the prices.
        most: the most vectors of prices that are asked after those.
        tell: hears of each improvement.
        phase: what it is told that is done.
    """
    found = Generation(
        oracle=oracle, mixture=Mixture(limits=limits, node=node, hard=hard), tell=tell
    )
    if start is None:
        found.approach(phase)
    else:
        found.ask(limits.possible(start.best))
    if start is not None and start.prices:
        found.ask_apart(list(start.prices), start.share, DEALT)
    found.mixed(phase)
    found.improve(tolerance, most, phase)
    return found
