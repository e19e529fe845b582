"""Every road finds the optima known by hand, and the referee agrees."""

from math import inf

import numpy as np
import pytest

from loadloom.models.certificate import Proof
from loadloom.models.checks import InvalidProblem
from loadloom.models.dispatch.referee import baseline, cost, violations
from loadloom.models.dispatch.solve import fits_inline, solve
from loadloom.models.dispatch.values import dual_bound
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.cases import CASES, SEVERAL_STORES, site, target

ROADS = [(case, method) for case in CASES for method in Method]
ROADS += [
    (case, method) for case in SEVERAL_STORES for method in Method if method is not Method.KERNEL
]


@pytest.mark.parametrize(("case", "method"), ROADS, ids=lambda x: getattr(x, "value", str(x)))
def test_the_optimum_known_by_hand(case, method):
    solution = solve(case.problem, SolveOptions(method=method))
    if case.optimum == inf:
        assert solution.termination.reason is Reason.INFEASIBLE
        assert solution.schedule is None
        return
    assert solution.termination.reason is Reason.OPTIMAL
    assert solution.method is method
    assert not violations(case.problem, solution.schedule)
    assert cost(case.problem, solution.schedule).total == pytest.approx(case.optimum, abs=1e-7)
    assert solution.termination.objective == pytest.approx(case.optimum, abs=1e-7)
    assert solution.termination.bound == pytest.approx(case.optimum, abs=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if c.optimum < inf], ids=str)
def test_the_published_values_prove_the_bound_when_it_rests_on_them(case):
    solution = solve(case.problem)
    bound = dual_bound(case.problem, solution.values)
    assert bound <= case.optimum + 1e-9
    if solution.proof is Proof.DUAL:
        assert bound == pytest.approx(case.optimum, abs=1e-9)


def test_the_kernel_refuses_several_stores_by_the_path_of_the_option():
    with pytest.raises(InvalidProblem) as refused:
        solve(SEVERAL_STORES[0].problem, SolveOptions(method=Method.KERNEL))
    assert [v.path for v in refused.value.violations] == ["options.method"]


def test_the_kernel_names_the_interval_of_the_first_conflict():
    problem = site([0.1] * 4, stores=[{"power": 0.25, "targets": (target(2, low=1),)}])
    solution = solve(problem)
    assert solution.termination.reason is Reason.INFEASIBLE
    assert "00:00" in solution.termination.detail


def test_the_choice_of_road():
    assert solve(CASES[1].problem).road == "convex kernel"
    assert solve(site([0.1, 0.1], sell=0.3, stores=[{}])).road == "non-convex kernel"
    assert solve(SEVERAL_STORES[0].problem).method is Method.LINEAR


def test_long_or_combinatorial_solves_do_not_run_inline():
    assert fits_inline(CASES[1].problem)
    assert not fits_inline(CASES[1].problem, SolveOptions(method=Method.REFERENCE))
    assert not fits_inline(site([0.1] * 10_000, stores=[{}]))
    assert not fits_inline(site([-0.1] * 4, sell=-0.2, stores=[{}, {}]))


def test_the_baseline_is_the_site_without_moving_its_store():
    problem = site(
        [0.5, 0.5],
        sell=0.2,
        load=[2, 0],
        pv=[0, 1],
        stores=[{"initial": 1.0, "end_value_per_kwh": 0.1}],
    )
    idle = baseline(problem)
    assert idle.cost.total == pytest.approx(2 * 0.5 - 0.2 - 0.1)
    assert idle.within_limits


def test_the_baseline_says_when_it_breaks_the_limits_of_the_meter():
    idle = baseline(site([0.5], load=2, import_limit=1, stores=[{"initial": 1.0}]))
    assert not idle.within_limits
    assert idle.cost.total == pytest.approx(1.0)


def test_the_baseline_curtails_where_that_is_cheaper_or_needed():
    assert baseline(site([0.1], sell=-0.2, pv=1.0, curtailable=True)).cost.total == 0.0
    idle = baseline(site([0.1], sell=0.5, pv=3.0, curtailable=True, export_limit=1))
    assert idle.within_limits
    assert idle.cost.total == pytest.approx(-0.5)


def test_what_is_curtailed_is_shared_among_the_plants_that_can():
    problem = site(
        [0.1, 0.1], sell=-0.1, pv=(([1, 2], True), ([3, 2], True), ([1, 1], False)), load=[1, 1]
    )
    solution = solve(problem)
    assert not violations(problem, solution.schedule)
    np.testing.assert_allclose(solution.schedule.curtailed_kw, [[1, 2], [3, 2], [0, 0]])


def random_convex(generator, stores: int):
    """A site of which every interval pays less for energy than it charges."""
    count = 10
    buy = generator.uniform(0.05, 0.4, count)
    return {
        "buy": buy,
        "sell": buy * generator.uniform(0.3, 1.0, count),
        "load": generator.uniform(0.5, 3.0, count),
        "pv": np.maximum(0.0, generator.normal(0.0, 3.0, count)),
        "stores": [
            {
                "capacity": generator.uniform(3.0, 12.0),
                "power": generator.uniform(1.0, 4.0),
                "initial": generator.uniform(0.0, 3.0),
                "charge_efficiency": generator.uniform(0.85, 1.0),
                "wear_cost_per_kwh": generator.uniform(0.0, 0.01),
            }
            for _ in range(stores)
        ],
    }


@pytest.mark.parametrize("stores", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_the_site_value_of_the_linear_road_is_what_one_more_kwh_costs(stores, seed):
    """Also where every store charges all it can, so that no plan could draw more."""
    given = random_convex(np.random.default_rng((stores, seed)), stores)
    options = SolveOptions(method=Method.LINEAR)
    plan = solve(site(**given), options)
    assert plan.proof is Proof.DUAL
    assert dual_bound(site(**given), plan.values) == pytest.approx(plan.termination.bound, abs=1e-8)
    for t, value in enumerate(plan.values.site_per_kwh):
        slopes = []
        for change in (-1e-3, 1e-3):
            load = given["load"].copy()
            load[t] += change
            dearer = solve(site(**{**given, "load": load}), options).termination.objective
            slopes.append((dearer - plan.termination.objective) / change)
        assert slopes[0] - 1e-5 <= value <= slopes[1] + 1e-5


def test_a_kwh_beside_stores_that_charge_all_they_can_is_worth_its_price():
    stores = [
        {"capacity": 5, "power": 3, "charge_efficiency": e, "discharge": 5} for e in (1.0, 0.9)
    ]
    problem = site([0.1, 0.2, 0.02], sell=[0.1, 0.2, 0.02], load=0.1, stores=stores)
    assert solve(problem).values.site_per_kwh[0] == pytest.approx(0.1)


def test_the_site_value_is_what_one_more_kwh_costs_where_prices_turn_negative():
    """A site that is not convex, planned again with a little more and a little less load."""
    price = [0.06] * 3 + [0.12] * 2 + [-0.04] * 3 + [0.05, 0.18, 0.08]

    def planned(load):
        battery = {"capacity": 10.0, "power": 5.0, "charge_efficiency": 0.95}
        return solve(site(price, load=load, stores=[battery]))

    load = np.full(len(price), 0.8)
    plan = planned(load)
    assert plan.road == "non-convex kernel"
    for t in range(len(price)):
        slopes = []
        for change in (-0.01, 0.01):
            other = load.copy()
            other[t] += change
            dearer = planned(other).termination.objective - plan.termination.objective
            slopes.append(dearer / change)
        assert min(slopes) - 1e-6 <= plan.values.site_per_kwh[t] <= max(slopes) + 1e-6
