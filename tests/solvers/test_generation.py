"""Prices for shared limits: bounds are bounds and mixes keep the limits, for members made up."""

import numpy as np
import pytest

from loadloom.solvers.coupled.generation import Start, generate
from loadloom.solvers.coupled.limits import Limits, Response, Tree
from loadloom.solvers.highs import Entries, Model, Program

STEPS = 4


class Members:
    """Groups of members that each choose one of a few flows, listed with their costs."""

    def __init__(self, seed: int, groups: int = 12, each: int = 5, options: int = 4) -> None:
        random = np.random.default_rng(seed)
        self.flow = random.normal(1.0, 2.0, (groups, each, options, STEPS))
        self.cost = random.uniform(0.0, 5.0, (groups, each, options))
        self.tree = Tree(parent=np.array([-1, 0, 0, 1]))
        self.node = np.arange(groups) % 3 + 1

    def __call__(self, prices, _asked=None):
        paid = self.cost + (self.flow * prices[:, None, None, :]).sum(axis=3)
        best = paid.argmin(axis=2)[..., None]
        taken = np.take_along_axis(self.flow, best[..., None], axis=2)[:, :, 0]
        return Response(
            flow=taken.sum(axis=1),
            cost=np.take_along_axis(self.cost, best, axis=2)[..., 0].sum(axis=1),
            value=np.take_along_axis(paid, best, axis=2)[..., 0].sum(axis=1),
        )

    def limits(self, share: float, breach: float) -> Limits:
        """Limits at a share of what nodes have at no prices and at some others."""
        none = self(np.zeros((self.node.size, STEPS))).flow
        own = np.zeros((4, STEPS))
        np.add.at(own, self.node, none)
        total = self.tree.totals(own)
        width = (1.0 - share) * (1.0 + np.abs(total))
        breaches = np.full(4, breach)
        return Limits(tree=self.tree, low=total - 4.0 * width, high=total - width, breach=breaches)

    def optimum(self, limits: Limits) -> float:
        """The cheapest mix of all options, as one programme."""
        groups, each, options, _ = self.flow.shape
        rows, at = Entries(), np.arange(self.cost.size).reshape(self.cost.shape)
        owner = rows.block(1.0, 1.0, groups * each) + np.arange(groups * each)
        rows.add(np.repeat(owner, options), at.reshape(-1), 1.0)
        slack, breach = self.cost.size, []
        for node in range(4):
            below = [g for g in range(groups) if node in self.tree.above[self.node[g]]]
            row = rows.block(limits.low[node], limits.high[node], STEPS) + np.arange(STEPS)
            for t in range(STEPS):
                rows.add(
                    row[t : t + 1], at[below].reshape(-1), self.flow[below, :, :, t].reshape(-1)
                )
            if np.isfinite(limits.breach[node]):
                for sign in (-1.0, 1.0):
                    rows.add(row, slack + np.arange(STEPS), sign)
                    breach += [limits.breach[node]] * STEPS
                    slack += STEPS
        cost = np.concatenate((self.cost.reshape(-1), breach))
        program = Program(
            cost=cost, low=np.zeros(slack), high=np.full(slack, np.inf), row_low=rows.low,
            row_high=rows.high, matrix=rows.matrix(slack), integer=np.zeros(slack, np.bool_),
        )  # fmt: skip
        return Model(program).solve().termination.objective


@pytest.mark.parametrize("breach", [np.inf, 0.3])
@pytest.mark.parametrize("seed", range(6))
def test_the_gap_closes_about_the_optimum(seed, breach):
    members = Members(seed)
    limits = members.limits(0.9, breach)
    found = generate(members, limits, members.node, hard=50.0, tolerance=1e-9)
    optimum = members.optimum(limits)
    assert np.isfinite(optimum)
    assert found.gap <= 1e-9
    assert found.bound == pytest.approx(optimum, rel=1e-7)
    over, under = limits.excess(found.mix.total)
    if breach == np.inf:
        assert max(over.max(), under.max()) < 1e-7
    assert np.abs(found.best).max() > 1e-3


@pytest.mark.parametrize("seed", range(6))
def test_every_price_proves_a_bound(seed):
    members = Members(seed)
    limits = members.limits(0.9, 0.3)
    random = np.random.default_rng(seed)
    optimum = members.optimum(limits)
    for scale in (0.05, 0.2, 1.0):
        prices = random.normal(0.0, scale, limits.low.shape)
        start = Start(best=prices)
        found = generate(
            members, limits, members.node, hard=50.0, tolerance=0.0, start=start, most=0
        )
        assert found.bound <= optimum + 1e-9


def test_prices_dealt_to_groups_keep_their_shares():
    members = Members(3, groups=300)
    limits = members.limits(0.9, 0.3)
    random = np.random.default_rng(0)
    prices = [random.normal(0.0, 0.1, limits.low.shape) for _ in range(3)]
    start = Start(best=prices[0], prices=prices, share=np.array([0.5, 0.3, 0.2]))
    found = generate(members, limits, members.node, hard=50.0, tolerance=0.0, start=start, most=0)
    dealt = np.array(found.asked[1:])
    shares = [(dealt == number).mean() for number in range(1, 4)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    assert found.mix.value >= members.optimum(limits) - 1e-9


def test_it_stops_when_told():
    members = Members(1)
    limits = members.limits(0.9, np.inf)
    found = generate(members, limits, members.node, hard=50.0, tolerance=0.0, tell=lambda *_: False)
    assert found.stopped
    assert len(found.prices) == 1


def test_sums_over_a_tree():
    tree = Tree(parent=np.array([2, 2, -1, 0]))
    assert tree.totals(np.array([1.0, 2.0, 4.0, 8.0])).tolist() == [9.0, 2.0, 15.0, 8.0]
    assert tree.along(np.array([1.0, 2.0, 4.0, 8.0])).tolist() == [5.0, 6.0, 4.0, 13.0]
    assert [above.tolist() for above in tree.above] == [[0, 2], [1, 2], [2], [3, 0, 2]]
    with pytest.raises(ValueError, match="circle"):
        _ = Tree(parent=np.array([1, 0, -1])).levels
