"""The dynamic programme is exact: against linear and integer programming, and against itself."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.batch import AMOUNTS, COLUMNS, Batch, solve_batch
from loadloom.models.dispatch.kernel import FEASIBLE, INFEASIBLE, OPTIMAL
from loadloom.models.dispatch.linear import solve_linear, solve_mixed_integer
from loadloom.models.dispatch.referee import baseline, cost, violations
from loadloom.models.dispatch.solve import solve, solve_kernel
from loadloom.models.dispatch.stage import convex_stages
from loadloom.models.dispatch.values import dual_bound
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.cases import CASES, site, target
from tests.models.dispatch.instances import random_problem

EXACT = SolveOptions(relative_gap=1e-9)


def check_against(road, problem):
    """Whether the kernel found a plan; asserts that the other road found the same cost."""
    ours, theirs = solve_kernel(problem), road(problem, EXACT)
    assert ours is not None
    assert ours.termination.reason.has_solution == theirs.termination.reason.has_solution
    if ours.schedule is None:
        return False
    assert not violations(problem, ours.schedule)
    paid = cost(problem, ours.schedule).total
    other = cost(problem, theirs.schedule).total
    assert paid == pytest.approx(other, rel=1e-7, abs=1e-7)
    assert ours.termination.objective == pytest.approx(paid, rel=1e-12, abs=1e-12)
    assert ours.termination.bound <= paid + 1e-9 * max(1.0, abs(paid))
    assert ours.termination.reason is Reason.OPTIMAL
    return True


@pytest.mark.parametrize("seed", range(30))
def test_a_hundred_random_convex_sites_agree_with_the_linear_programme(seed):
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(100):
        problem = random_problem(rng, count=int(rng.choice([1, 2, 5, 12, 24, 48])))
        found += check_against(solve_linear, problem)
    assert found > 50


@pytest.mark.parametrize("seed", range(10))
def test_fifty_random_sites_of_any_shape_agree_with_the_integer_programme(seed):
    rng = np.random.default_rng(1000 + seed)
    found, general = 0, 0
    for _ in range(50):
        problem = random_problem(rng, count=int(rng.choice([1, 3, 8, 16, 24])), convex=False)
        found += check_against(solve_mixed_integer, problem)
        solution = solve_kernel(problem)
        general += solution.road == "non-convex kernel" and solution.schedule is not None
    assert found > 20
    assert general > 5


def test_the_pieces_of_a_convex_cost_ascend_even_where_they_have_no_width():
    rng = np.random.default_rng(3)
    empty_beside_zero = 0
    for _ in range(2_000):
        price = float(rng.uniform(-0.5, 0.1))
        columns = {
            "net": rng.uniform(-5.0, 5.0),
            "curtailable": rng.choice([0.0, 3.0]),
            "buy": price + rng.choice([0.0, 0.1]),
            "sell": price,
            "import_limit": rng.uniform(0.0, 10.0),
            "export_limit": rng.uniform(0.0, 10.0),
            "charge_limit": rng.choice([0.0, 4.0]),
            "discharge_limit": rng.choice([0.0, 4.0]),
        }
        first, slope, width = np.empty((1, 1)), np.empty((1, 4, 1)), np.empty((1, 4, 1))
        arrays = [np.array([[float(value)]]) for value in columns.values()]
        impossible, not_convex = convex_stages(0, *arrays, 0.8, 0.7, 0.01, first, slope, width)
        if impossible or not_convex:
            continue
        assert np.all(np.diff(slope[0, :, 0]) >= 0.0), columns
        empty_beside_zero += price < -0.1 and np.any(width[0, 1:3, 0] == 0.0)
    assert empty_beside_zero > 100


def test_the_certificate_is_proven_anew_by_other_code():
    rng = np.random.default_rng(7)
    proven = 0
    for _ in range(300):
        problem = random_problem(rng, count=int(rng.integers(1, 60)))
        solution = solve_kernel(problem)
        if solution.schedule is None:
            continue
        bound = dual_bound(problem, solution.values)
        scale = max(1.0, abs(solution.termination.objective))
        assert bound <= cost(problem, solution.schedule).total + 1e-9 * scale
        if solution.proof is Proof.DUAL:
            proven += 1
            assert bound == pytest.approx(solution.termination.bound, abs=1e-7 * scale)
    assert proven > 200


def test_any_values_give_a_bound():
    """Weak duality: the formula stays below the optimum at prices that are wrong."""
    rng = np.random.default_rng(8)
    for _ in range(100):
        problem = random_problem(rng, count=12, convex=bool(rng.integers(2)))
        solution = solve_kernel(problem)
        if solution.schedule is None:
            continue
        values = solution.values
        wrong = replace(
            values,
            site_per_kwh=values.site_per_kwh + rng.normal(0, 0.1, 12),
            stored_per_kwh=values.stored_per_kwh * rng.uniform(0.5, 1.5, (1, 12)),
        )
        assert dual_bound(problem, wrong) <= cost(problem, solution.schedule).total + 1e-9


@pytest.mark.parametrize("loss", [0.0, 0.0001, 0.005])
def test_a_year_of_quarter_hours_stays_exact(loss):
    """35,040 intervals: carried along, the rounding of the range would grow like 1 / keep^t."""
    rng = np.random.default_rng(3)
    problem = random_problem(rng, count=35_040)
    storage = replace(problem.storages[0], self_discharge_per_h=loss, targets=())
    storage = replace(storage, energy_min_kwh=0.0 * storage.energy_min_kwh)
    problem = replace(problem, storages=(storage,))
    solution = solve_kernel(problem)
    assert solution.termination.reason is Reason.OPTIMAL
    assert not violations(problem, solution.schedule)
    paid = cost(problem, solution.schedule).total
    assert paid - solution.termination.bound <= 1e-9 * abs(paid)
    assert dual_bound(problem, solution.values) == pytest.approx(paid, rel=1e-9)


def batch_of(problems):
    """A batch of sites on one horizon, every matrix in full."""
    first = problems[0]

    def rows(value):
        return np.array([np.atleast_1d(value(p)) for p in problems], dtype=float)

    return Batch(
        horizon=first.horizon,
        site_count=len(problems),
        load_kw=rows(lambda p: p.net_load_kw + p.curtailable_kw),
        pv_kw=rows(lambda p: p.curtailable_kw),
        pv_curtailable=np.ones((1, 1)),
        buy_price_per_kwh=rows(lambda p: p.meter.buy_price_per_kwh),
        sell_price_per_kwh=rows(lambda p: p.meter.sell_price_per_kwh),
        import_limit_kw=rows(lambda p: p.meter.import_limit_kw),
        export_limit_kw=rows(lambda p: p.meter.export_limit_kw),
        energy_min_kwh=rows(lambda p: p.storages[0].energy_bounds_kwh()[0]),
        energy_max_kwh=rows(lambda p: p.storages[0].energy_bounds_kwh()[1]),
        initial_energy_kwh=rows(lambda p: p.storages[0].initial_energy_kwh),
        charge_limit_kw=rows(lambda p: p.storages[0].charge_limit_kw),
        discharge_limit_kw=rows(lambda p: p.storages[0].discharge_limit_kw),
        charge_efficiency=rows(lambda p: p.storages[0].charge_efficiency),
        discharge_efficiency=rows(lambda p: p.storages[0].discharge_efficiency),
        self_discharge_per_h=rows(lambda p: p.storages[0].self_discharge_per_h),
        wear_cost_per_kwh=rows(lambda p: p.storages[0].wear_cost_per_kwh),
        end_value_per_kwh=rows(lambda p: p.storages[0].end_value_per_kwh),
    )


def like_sites(count=40, convex=True):
    """Sites without trapped sun on the horizon of the first."""
    rng = np.random.default_rng(13)
    problems = []
    while len(problems) < count:
        problem = random_problem(rng, count=24, convex=convex)
        if problem.net_load_kw.min() + problem.curtailable_kw.min() >= 0 or not problems:
            horizon = problems[0].horizon if problems else problem.horizon
            problem = replace(problem, horizon=horizon)
            if (problem.net_load_kw + problem.curtailable_kw >= 0).all():
                problems.append(problem)
    return problems


@pytest.mark.parametrize("convex", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_gives_each_site_its_own_plan(convex, threads):
    problems = like_sites(convex=convex)
    answers = solve_batch(batch_of(problems), threads)
    for row, problem in enumerate(problems):
        alone = solve_kernel(problem)
        if alone.schedule is None:
            assert answers.reasons[row] == INFEASIBLE
            assert answers.conflict_intervals[row] >= 0
            assert np.isnan(answers.amounts[row]).all()
            continue
        assert answers.reasons[row] in {OPTIMAL, FEASIBLE}
        paid, idle = cost(problem, alone.schedule), baseline(problem).cost.total
        expected = dict(
            zip(
                AMOUNTS,
                (
                    paid.total,
                    alone.termination.bound,
                    paid.bought,
                    paid.sold,
                    paid.wear,
                    paid.end_value,
                    idle,
                ),
                strict=True,
            )
        )
        for name, amount in expected.items():
            assert answers.amount(name)[row] == pytest.approx(amount, rel=1e-9, abs=1e-9), name
        for name, wanted in (
            ("charge_kw", alone.schedule.charge_kw[0]),
            ("import_kw", alone.schedule.import_kw),
        ):
            np.testing.assert_allclose(answers.column(name)[row], wanted, rtol=1e-7, atol=1e-12)


def test_a_batch_of_large_stores_is_solved_all_the_same():
    """Their lists are too long to be kept side by side, so the rows are solved one by one."""
    rng = np.random.default_rng(17)
    base = random_problem(rng, count=300)
    storage = replace(
        base.storages[0],
        energy_min_kwh=np.where(np.arange(300) == 299, 5e4, 0.0),
        energy_max_kwh=np.where(np.arange(300) == 299, 5e4 + 1.0, 1e5),
        initial_energy_kwh=5e4,
        targets=(),
        self_discharge_per_h=0.0,
        end_value_per_kwh=0.2,
    )
    meter = base.meter
    problems = [
        replace(
            base,
            storages=(storage,),
            meter=replace(
                meter, buy_price_per_kwh=meter.buy_price_per_kwh * rng.uniform(1, 2, 300)
            ),
        )
        for _ in range(9)
    ]
    answers = solve_batch(batch_of(problems))
    for row, problem in enumerate(problems):
        alone = solve_kernel(problem)
        assert answers.reasons[row] == OPTIMAL
        paid = alone.termination.objective
        assert answers.amount("objective")[row] == pytest.approx(paid, rel=1e-9)


def test_broadcasting_is_the_same_as_writing_it_out():
    count, sites = 24, 5
    rng = np.random.default_rng(2)
    horizon = random_problem(rng, count=count).horizon
    buy, load = rng.uniform(0.1, 0.4, (1, count)), rng.gamma(2.0, 1.0, (sites, count))
    short = Batch(
        horizon=horizon,
        site_count=sites,
        load_kw=load,
        buy_price_per_kwh=buy,
        energy_max_kwh=np.full((1, 1), 5.0),
        charge_limit_kw=np.full((1, 1), 2.0),
        discharge_limit_kw=np.full((sites, 1), 2.0),
        charge_efficiency=np.full((1, 1), 0.95),
    )
    full = {
        name: np.broadcast_to(
            getattr(short, name), (sites, count if name.endswith(("kw", "kwh")) else 1)
        ).copy()
        for name in ("energy_max_kwh", "charge_limit_kw", "discharge_limit_kw")
    }
    full["buy_price_per_kwh"] = np.repeat(buy, sites, axis=0)
    full["charge_efficiency"] = np.full((sites, 1), 0.95)
    written = replace(short, **full)
    one, other = solve_batch(short), solve_batch(written)
    for name in COLUMNS:
        np.testing.assert_array_equal(one.column(name), other.column(name))
    np.testing.assert_array_equal(one.amounts, other.amounts)


def test_the_row_of_a_batch_is_a_problem():
    problems = like_sites(5)
    batch = batch_of(problems)
    answers = solve_batch(batch)
    for row in range(5):
        again = solve_kernel(batch.site(row))
        assert again.termination.objective == pytest.approx(answers.amount("objective")[row])


def test_the_same_request_gives_the_same_bytes():
    problem = random_problem(np.random.default_rng(4), count=48, convex=False)
    one, other = solve_kernel(problem), solve_kernel(problem)
    assert one.schedule.charge_kw.tobytes() == other.schedule.charge_kw.tobytes()
    assert one.values.site_per_kwh.tobytes() == other.values.site_per_kwh.tobytes()


def test_the_hand_cases_hold_in_a_batch_too():
    for case in CASES:
        problem = case.problem
        if len(problem.storages) != 1 or (problem.net_load_kw + problem.curtailable_kw).min() < 0:
            continue
        answers = solve_batch(batch_of([problem]))
        if np.isfinite(case.optimum):
            assert answers.amount("objective")[0] == pytest.approx(case.optimum, abs=1e-9), case
        else:
            assert answers.reasons[0] == INFEASIBLE, case


def test_megawatt_hours_of_surplus_stay_with_the_kernel():
    """A large export must not look like a breach: the audit's tolerance grows with the flows."""
    sun = 5_000.0 * np.maximum(0.0, np.sin(np.arange(96) / 96 * 2 * np.pi - np.pi / 2))
    problem = site([0.2] * 96, sell=0.1, load=1.0, pv=sun, stores=[{}], step_h=0.25)
    solution = solve_kernel(problem)
    assert solution is not None
    assert solution.termination.reason is Reason.OPTIMAL
    assert not violations(problem, solution.schedule)


@pytest.mark.parametrize(("loss", "hours"), [(0.5, 100.0), (0.6, 48.0), (0.999, 24.0), (0.9, 2.0)])
def test_a_store_that_loses_nearly_all_is_planned_by_another_road(loss, hours):
    leaky = {"capacity": 1e3, "initial": 1e3, "power": 100.0, "discharge": 0.0}
    leaky["self_discharge_per_h"] = loss
    problem = site([0.2, 0.2], sell=0.1, load=1.0, step_h=[1.0, hours], stores=[leaky])
    solution = solve(problem)
    assert solution.termination.reason is Reason.OPTIMAL
    assert not violations(problem, solution.schedule)
    assert cost(problem, solution.schedule).total == pytest.approx(0.2 * (1.0 + hours))


def test_bounds_that_cross_within_the_horizon_are_infeasible_there():
    problem = site([0.1] * 4, stores=[{"power": 50.0, "targets": (target(1, low=2.0),)}])
    solution = solve_kernel(problem)
    assert solution.termination.reason is Reason.INFEASIBLE
    assert "01:00" in solution.termination.detail
