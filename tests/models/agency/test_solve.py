"""The choice of road: settlements by schedule, by purchase, and by games."""

from datetime import UTC, datetime

import numpy as np
import pytest

from loadloom.models.agency import referee
from loadloom.models.agency.problem import SharingRule
from loadloom.models.agency.purchase import Plant, PurchaseProblem, PurchaseSolution, Spot
from loadloom.models.agency.purchase_linear import plan_purchase
from loadloom.models.agency.solve import bought, solve, warm
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason, Termination
from tests.models.agency.settlements import by_hand, settlement_of


def test_the_default_is_the_two_part_tariff():
    solution = solve(by_hand())
    assert (solution.method, solution.road) == (Method.KERNEL, "two-part tariff")
    assert solution.termination.reason is Reason.OPTIMAL
    assert solution.termination.objective == pytest.approx(2.9)


def test_drawn_shares_are_no_proven_ones():
    rng = np.random.default_rng(0)
    problem = settlement_of(rng.gamma(2.0, 1.0, (30, 6)), rule=SharingRule.SHAPLEY)
    one, same = solve(problem, SolveOptions(seed=1)), solve(problem, SolveOptions(seed=1))
    assert one.termination.reason is Reason.FEASIBLE
    assert (one.settlement.bill_minor == same.settlement.bill_minor).all()
    assert not referee.violations(problem, one.settlement)


def test_a_purchase_is_made_and_then_settled():
    rng = np.random.default_rng(7)
    load = rng.gamma(2.0, 10.0, (40, 48))
    horizon = Horizon(start=datetime(2024, 3, 1, tzinfo=UTC), step_h=np.ones(48))
    asked = PurchaseProblem(
        horizon=horizon,
        load_kw=load.sum(axis=0),
        plants=(
            Plant(name="own", price_per_kwh=np.array(0.05), power_max_kw=np.array(500.0)),
            Plant(name="other", price_per_kwh=np.array(0.2), capacity_price_per_kw=3.0),
        ),
        spot=Spot(buy_price_per_kwh=rng.uniform(0.1, 0.5, 48)),
    )
    found = bought(plan_purchase(asked))
    assert found.rent > 0.0  # of the cheap plant's limit
    problem = settlement_of(load, purchase=found)
    settlement = solve(problem).settlement
    assert not referee.violations(problem, settlement)
    assert settlement.cost_minor == round(100 * found.cost)
    due = settlement.cost_minor + settlement.rent_minor
    assert settlement.share_minor.sum() == due
    assert settlement.bill_minor.sum() == due + settlement.profit_minor


def test_what_was_not_bought_is_not_shared():
    none = Termination(reason=Reason.INFEASIBLE, objective=np.inf, bound=np.inf)
    with pytest.raises(InvalidProblem, match="there is no cost to share"):
        bought(PurchaseSolution(termination=none))


def test_kernels_are_compiled_ahead():
    warm()
