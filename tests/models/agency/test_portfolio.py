"""Portfolios: every subset is below the bound, small ones are optimal, and laws hold."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from loadloom.models.agency import portfolio_referee as referee
from loadloom.models.agency.contracts import Contract
from loadloom.models.agency.portfolio import (
    LEFT_OUT,
    PortfolioOptions,
    PortfolioRoad,
    form_portfolio,
)
from loadloom.models.agency.prices import affine, load_factor, tiers
from loadloom.models.agency.reference import reference_portfolio
from loadloom.models.checks import InvalidProblem
from loadloom.solvers.coupled.budget import Budget, Race
from loadloom.solvers.selection.relaxation import relax
from loadloom.solvers.termination import Reason
from tests.models.agency.portfolios import (
    curves,
    members,
    portfolio,
    random_loads,
    random_portfolio,
    subset_profits,
)

EXACT = PortfolioOptions(relative_gap=0.0, round_limit=20)


def solved(problem, options=EXACT):
    """The solution of a feasible problem, refereed."""
    solution = form_portfolio(problem, options)
    assert solution.contract is not None
    assert referee.violations(problem, solution.contract) == []
    found = referee.profit(problem, solution.contract)
    assert found == pytest.approx(solution.termination.objective, rel=1e-9, abs=1e-9)
    assert solution.termination.bound >= found - 1e-9
    return solution


def test_users_that_complement_each_other_are_taken_together():
    """Under u alone one of two opposite users costs 0.6 a kWh, both 0.5."""
    problem = portfolio([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], 0.55)
    solution = solved(problem)
    assert (solution.contract != LEFT_OUT).sum() == 2
    assert solution.contract[1] == 0
    assert solution.termination.objective == pytest.approx(2 * (0.55 - 0.5))
    assert solution.termination.reason is Reason.OPTIMAL


def test_nobody_is_taken_where_nobody_pays():
    solution = solved(portfolio([[1.0, 0.0], [1.0, 0.0]], 0.55))
    assert solution.termination.objective == 0.0
    assert (solution.contract == LEFT_OUT).all()


def test_a_user_goes_to_the_contract_that_suits_its_shape():
    """One contract charges for energy, the other for the peak."""
    flat = Contract(name="peak", schedule=affine(0.1, 0.2))
    any_shape = Contract(name="energy", schedule=affine(0.4, 0.0))
    problem = portfolio([[2.0, 2.0, 2.0, 2.0], [8.0, 0.0, 0.0, 0.0]], 0.6, flat, any_shape)
    solution = solved(problem)
    assert solution.contract.tolist() == [0, 1]
    assert solution.termination.objective == pytest.approx(8 * 0.3 + 8 * 0.2)


@pytest.mark.parametrize("limited", [False, True])
def test_small_portfolios_are_the_best_of_all_subsets(limited):
    random = np.random.default_rng(5)
    infeasible = 0
    for _ in range(40):
        problem = random_portfolio(random, int(random.integers(1, 13)), 6, limited=limited)
        profits = subset_profits(problem)
        if profits.max() == -np.inf:
            infeasible += 1
            solution = form_portfolio(problem, EXACT)
            assert solution.termination.reason is Reason.INFEASIBLE
            assert solution.conflicts
            continue
        solution = solved(problem)
        assert solution.termination.objective == pytest.approx(profits.max(), abs=1e-9)
        assert solution.termination.bound == pytest.approx(profits.max(), rel=1e-6, abs=1e-6)
    assert infeasible < 20


def test_the_bound_by_prices_is_above_every_subset_of_eighteen_users():
    random = np.random.default_rng(6)
    for limited in (False, True, True):
        problem = random_portfolio(random, 18, 8, limited=limited)
        by_prices = PortfolioOptions(relative_gap=0.0, round_limit=3, node_limit=0)
        bound = form_portfolio(problem, by_prices).termination.bound
        profits = subset_profits(problem)
        assert (profits <= bound + 1e-9).all()
        # What is found lifts a bound, so that of the prices is looked at before anything is found.
        proven = relax(problem.items(), problem.bins(), Race(budget=Budget(), relative_gap=0.0))
        assert (profits <= proven.bound + 1e-9).all()
        best = int(profits.argmax())
        if profits[best] > -np.inf:
            assert referee.violations(problem, members(problem, best)) == []
            assert referee.profit(problem, members(problem, best)) == pytest.approx(profits[best])
            assert solved(problem).termination.objective == pytest.approx(profits[best])


def test_users_are_spread_over_contracts_as_well_as_any_way_of_doing_so():
    random = np.random.default_rng(7)
    feasible = 0
    for _ in range(25):
        problem = random_portfolio(random, 5, 4, 2, limited=True)
        ways = (np.array(way, np.int32) for way in product((-1, 0, 1), repeat=5))
        kept = [way for way in ways if not referee.violations(problem, way)]
        if not kept:
            assert form_portfolio(problem, EXACT).termination.reason is Reason.INFEASIBLE
            continue
        feasible += 1
        best = max(referee.profit(problem, way) for way in kept)
        assert solved(problem).termination.objective == pytest.approx(best, abs=1e-9)
    assert feasible >= 8


@pytest.mark.parametrize("part", range(4))
def test_the_reference_finds_the_same_profit(part):
    random = np.random.default_rng(100 + part)
    feasible = 0
    for n in range(50):
        problem = random_portfolio(random, 6, 4, 1 + n % 2, limited=n % 4 > 1)
        ours = form_portfolio(problem, EXACT)
        theirs = reference_portfolio(problem, EXACT)
        assert (ours.contract is None) == (theirs.contract is None)
        if ours.contract is None:
            continue
        feasible += 1
        assert referee.violations(problem, theirs.contract) == []
        assert ours.termination.objective == pytest.approx(
            theirs.termination.objective, rel=1e-6, abs=1e-6
        )
    assert feasible >= 20


def test_the_programme_of_whole_numbers_agrees():
    random = np.random.default_rng(8)
    problem = random_portfolio(random, 60, 12, 2)
    whole = solved(problem, replace(EXACT, road=PortfolioRoad.WHOLE))
    ours = solved(problem)
    assert ours.termination.objective == pytest.approx(whole.termination.objective, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gap_vanishes_as_users_grow_more(dtype):
    random = np.random.default_rng(9)
    gaps = []
    for count in (50, 800, 6_000):
        load = random_loads(random, count, 24).astype(dtype)
        problem = portfolio(load, random.uniform(0.42, 0.6, count))
        problem = replace(problem, curves=curves(load, dtype=dtype))
        options = PortfolioOptions(relative_gap=0.0, round_limit=20, node_limit=0)
        solution = solved(problem, options)
        assert solution.divided_count <= 24 + 2
        gaps.append(solution.relative_gap)
    assert gaps[2] < 5e-4
    assert gaps[2] < gaps[0]


def test_the_same_seed_gives_the_same_portfolio():
    random = np.random.default_rng(10)
    problem = portfolio(random_loads(random, 5_000, 16), random.uniform(0.42, 0.6, 5_000))
    options = PortfolioOptions(relative_gap=0.0, round_limit=10)
    first, second = form_portfolio(problem, options), form_portfolio(problem, options)
    assert np.array_equal(first.contract, second.contract)
    assert first.termination == second.termination


def test_laws_of_more_and_less():
    """Profit grows with prices, candidates and freedom, and falls with the price of peaks."""
    random = np.random.default_rng(11)
    for _ in range(15):
        problem = random_portfolio(random, 12, 6, limited=True)
        first = form_portfolio(problem, EXACT)
        if first.contract is None:
            continue
        profit = first.termination.objective
        dearer = replace(problem, highest_price_per_kwh=problem.highest_price_per_kwh + 0.01)
        assert form_portfolio(dearer, EXACT).termination.objective >= profit - 1e-9
        (contract,) = problem.contracts
        free = replace(problem, contracts=(Contract(name="free", schedule=contract.schedule),))
        assert form_portfolio(free, EXACT).termination.objective >= profit - 1e-9
        second = Contract(name="second", schedule=affine(0.4, 0.1))
        two = replace(problem, contracts=(contract, second))
        assert form_portfolio(two, EXACT).termination.objective >= profit - 1e-9
        fewer = replace(problem, never_take=~problem.musts & (random.random(12) < 0.4))
        fewer = replace(fewer, never_take=fewer.never_take | problem.nevers)
        assert form_portfolio(fewer, EXACT).termination.objective <= profit + 1e-9
        steeper = replace(contract, schedule=affine(0.4, 0.3))
        gentler = replace(contract, schedule=affine(0.4, 0.1))
        steep = form_portfolio(replace(problem, contracts=(steeper,)), EXACT)
        gentle = form_portfolio(replace(problem, contracts=(gentler,)), EXACT)
        assert steep.termination.objective <= gentle.termination.objective + 1e-9


def test_scaling_all_loads_scales_the_profit():
    random = np.random.default_rng(12)
    load, price = random_loads(random, 30, 6), random.uniform(0.42, 0.6, 30)
    profit = solved(portfolio(load, price)).termination.objective
    for scale in (1e-3, 1e5):
        scaled = solved(portfolio(load * scale, price), replace(EXACT, node_limit=20_000))
        assert scaled.termination.objective == pytest.approx(profit * scale, rel=1e-6)


@pytest.mark.parametrize(
    ("limits", "rule", "amount"),
    [
        ({"energy_min_kwh": 10.0}, "energy_min_kwh", 4.0),
        ({"energy_max_kwh": 1.0}, "energy_max_kwh", 1.0),
        ({"user_count_min": 5}, "user_count_min", 2.0),
        ({"user_count_max": 0}, "user_count_max", 1.0),
        ({"peak_max_kw": 0.25}, "peak_max_kw", 0.75),
    ],
)
def test_a_limit_that_cannot_be_kept_is_named(limits, rule, amount):
    contract = Contract(name="plant", schedule=affine(0.4, 0.1), **limits)
    problem = portfolio(np.ones((3, 2)), 0.6, contract, must_take=[True, False, False])
    solution = form_portfolio(problem)
    assert solution.termination.reason is Reason.INFEASIBLE
    (conflict,) = solution.conflicts
    assert (conflict.contract, conflict.rule) == ("plant", rule)
    assert conflict.amount == pytest.approx(amount)


def test_a_country_has_limits_beyond_a_terawatt_hour():
    contract = Contract(name="country", schedule=affine(0.4, 0.1), energy_max_kwh=5e10)
    solution = solved(portfolio([[9e8, 9e8], [9e8, 0.0]], 0.52, contract))
    assert solution.contract.tolist() == [0, LEFT_OUT]


def test_limits_that_only_parts_of_users_could_keep_are_told():
    contract = Contract(
        name="plant", schedule=affine(0.4, 0.1), energy_min_kwh=2.5, energy_max_kwh=3.5
    )
    solution = form_portfolio(portfolio(np.ones((3, 2)), 0.6, contract))
    assert solution.termination.reason is Reason.INFEASIBLE
    assert "whole users" in solution.conflicts[0].message


def test_all_faults_are_told_at_once():
    with pytest.raises(InvalidProblem) as caught:
        portfolio(
            np.ones((2, 2)),
            [0.5, np.nan],
            Contract(
                name="a", schedule=load_factor(0.6, 0.2), energy_min_kwh=2.0, energy_max_kwh=1.0
            ),
            Contract(name="a", schedule=tiers([0.0, 0.5], [0.6, 0.5]), user_count_min=-1),
            fee=[1.0, 2.0, 3.0],
            must_take=[True],
        )
    paths = {violation.path for violation in caught.value.violations}
    assert paths == {
        "contracts[1].name",
        "contracts[0].energy_min_kwh",
        "contracts[0].schedule",
        "contracts[1].schedule",
        "contracts[1].user_count_min",
        "highest_price_per_kwh[1]",
        "fee",
        "must_take",
    }
    with pytest.raises(InvalidProblem, match="also in never_take"):
        portfolio(np.ones((2, 2)), 0.5, must_take=[True, False], never_take=[True, False])


def test_progress_is_told_and_can_stop_the_search():
    random = np.random.default_rng(13)
    problem = portfolio(random_loads(random, 400, 12), random.uniform(0.42, 0.6, 400))
    told = []
    options = PortfolioOptions(relative_gap=0.0, round_limit=200, node_limit=0)
    solution = form_portfolio(problem, options, report=lambda step: told.append(step) or True)
    assert [step.profit for step in told] == sorted(step.profit for step in told)
    assert told[-1].profit == pytest.approx(solution.termination.objective)
    stopped = form_portfolio(problem, options, report=lambda step: step.profit == -np.inf)
    assert stopped.contract is not None
    assert len(stopped.progress) < len(solution.progress)
    assert stopped.termination.reason is Reason.FEASIBLE


def test_a_clock_ends_the_search():
    random = np.random.default_rng(14)
    problem = portfolio(random_loads(random, 400, 12), random.uniform(0.42, 0.6, 400))
    ticks = iter(range(10**6))
    options = PortfolioOptions(relative_gap=0.0, time_limit_s=20.0, round_limit=10**6)
    solution = form_portfolio(problem, options, clock=lambda: float(next(ticks)))
    assert solution.contract is not None
    assert next(ticks) < 200


def test_the_referee_sees_planted_faults():
    contract = Contract(
        name="plant",
        schedule=affine(0.4, 0.1),
        energy_min_kwh=4.0,
        energy_max_kwh=6.0,
        peak_max_kw=2.5,
        user_count_min=2,
        user_count_max=2,
    )
    problem = portfolio(
        np.ones((4, 2)),
        0.7,
        contract,
        must_take=[True, False, False, False],
        never_take=[False, False, False, True],
    )
    good = solved(problem).contract
    assert (good[0], good[3]) == (0, LEFT_OUT)

    def rules(way):
        return {v.path for v in referee.violations(problem, np.array(way, np.int32))}

    assert rules([0, 0, -1, -1]) == set()
    assert rules([-1, 0, 0, -1]) == {"contract[0]"}
    assert rules([0, -1, -1, 0]) == {"contract[3]"}
    assert rules([0, 0, 0, -1]) == {"contracts[0].peak_max_kw", "contracts[0].user_count_max"}
    assert rules([0, -1, -1, -1]) == {"contracts[0].energy_min_kwh", "contracts[0].user_count_min"}
    assert rules([0, 0, 0, 0]) >= {"contracts[0].energy_max_kwh", "contract[3]"}
    assert rules([0, 1, -1, -1]) == {"contract[1]"}
    assert rules([0, 0]) == {"contract"}


def test_the_figures_of_the_referee_by_hand():
    """Two hours; the third user has another contract, another price there, and a fee."""
    contracts = (
        Contract(name="hill", schedule=affine(0.3, 0.1)),
        Contract(name="mill", schedule=affine(0.2, 0.2)),
    )
    problem = portfolio(
        np.array([[3.0, 1.0], [1.0, 2.0], [2.0, 0.0]]),
        [[0.6, 0.5], [0.6, 0.5], [0.7, 0.9]],
        *contracts,
        fee=[[0.1, 0.0], [0.2, 0.0], [0.0, 0.4]],
    )
    hill, mill = referee.figures(problem, np.array([0, 0, 1], np.int32))
    assert (hill.user_count, hill.energy_kwh, hill.peak_kw, hill.peak_slots) == (2, 7.0, 4.0, (0,))
    assert hill.load_factor == pytest.approx(0.875)
    assert (hill.revenue, hill.fees, hill.cost) == pytest.approx((4.2, 0.3, 2.9))
    assert hill.profit == pytest.approx(1.0)
    assert (mill.load_factor, mill.cost) == pytest.approx((0.5, 2 * 0.6))
    assert mill.profit == pytest.approx(1.8 - 0.4 - 1.2)
    assert referee.profit(problem, np.array([0, 0, 1], np.int32)) == pytest.approx(1.2)
    assert referee.violations(problem, np.array([0, 0, 1], np.int32)) == []


def test_a_limit_may_be_passed_by_rounding_alone():
    contract = Contract(name="plant", schedule=affine(0.4, 0.1), energy_max_kwh=4.0)
    for load, broken in ((2.0 + 1e-8, False), (2.0 + 1e-6, True)):
        problem = portfolio(np.array([[load, load]]), 0.7, contract)
        found = referee.violations(problem, np.zeros(1, np.int32))
        assert [v.path for v in found] == ["contracts[0].energy_max_kwh"] * broken
