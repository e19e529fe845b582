"""The most confidence for a budget, by cheapest plans whose cost and bound are apart or not."""

from math import inf

import numpy as np
import pytest

from loadloom.models.response.budget import LARGEST_Z, Costed, most_confident
from loadloom.solvers.coupled.budget import Budget, Race

RACE = Race(budget=Budget(), relative_gap=1e-4)


def asked_of(cost, bound):
    """The cheapest plans by their cost and bound at each z, and the z that were asked for."""
    asked = []

    def cheapest(z):
        asked.append(z)
        return Costed(cost=cost(z), bound=bound(z), z=z if cost(z) < inf else -inf)

    return cheapest, asked


@pytest.mark.parametrize("cost", [12.0, inf])
def test_a_plan_that_the_budget_may_or_may_not_pay_for_leaves_the_bound_alone_to_be_found(cost):
    cheapest, asked = asked_of(lambda z: cost + z, lambda z: 9.0 + z)
    z, z_bound = most_confident(cheapest, 10.0, RACE)
    assert z == -inf
    assert z_bound == pytest.approx(1.0, abs=1e-6)
    assert all(0.0 <= tried <= LARGEST_Z for tried in asked)


def test_where_even_the_bound_at_no_confidence_is_above_the_budget_there_is_no_plan():
    cheapest, asked = asked_of(lambda z: 12.0 + z, lambda z: 11.0 + z)
    assert most_confident(cheapest, 10.0, RACE) == (-inf, -inf)
    assert asked == [0.0]


def test_plans_and_bound_enclose_what_the_budget_buys():
    random = np.random.default_rng(3)
    for _ in range(50):
        start, slope, gap = random.uniform(5.0, 9.0), random.uniform(0.1, 3.0), random.uniform(0, 1)
        cheapest, asked = asked_of(
            lambda z, a=start, b=slope, g=gap: a + b * z + g, lambda z, a=start, b=slope: a + b * z
        )
        z, z_bound = most_confident(cheapest, 10.0, RACE)
        assert z == pytest.approx(min(LARGEST_Z, (10.0 - start - gap) / slope), abs=1e-6)
        assert z_bound == pytest.approx(min(LARGEST_Z, (10.0 - start) / slope), abs=1e-6)
        assert all(0.0 <= tried <= LARGEST_Z for tried in asked)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_few_plans_are_made_where_costs_are_smooth(power):
    def cost(z):
        return 5.0 + 0.3 * (1.0 + z) ** power

    asked = []

    def cheapest(z):
        asked.append(z)
        slope = 0.3 * power * (1.0 + z) ** (power - 1.0)
        return Costed(cost=cost(z), bound=cost(z) * 0.999, z=z, slope=slope)

    z, z_bound = most_confident(cheapest, cost(2.0), RACE, step=1e-4)
    assert z == pytest.approx(2.0, abs=2e-4)
    assert z - 1e-9 <= 2.0 <= z_bound <= 2.1
    assert len(asked) <= 22
