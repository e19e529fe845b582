"""The general road: worked cases, the textbook as oracle, and the fast roads on plain sites."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.blocks.kinds import BLOCKS
from loadloom.models.dispatch.devices.appliance import InterruptibleAppliance
from loadloom.models.dispatch.devices.storage import DepthWear, EnergyTarget
from loadloom.models.dispatch.explain import reasons
from loadloom.models.dispatch.general import Planner, solve_general
from loadloom.models.dispatch.judges.kinds import JUDGES
from loadloom.models.dispatch.linear import solve_linear
from loadloom.models.dispatch.problem import FAMILIES, Problem
from loadloom.models.dispatch.reason import Action
from loadloom.models.dispatch.referee import breaches, cost, violations
from loadloom.models.dispatch.reference import solve_reference
from loadloom.models.dispatch.scenarios import Scenario
from loadloom.models.dispatch.solve import solve
from loadloom.models.dispatch.textbook.kinds import TEXTBOOK
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.meter_cases import SITES, circuit, with_meter
from tests.models.dispatch.sites import battery, site
from tests.models.dispatch.sites_general import random_general

EXACT = SolveOptions(relative_gap=1e-8)


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("method", [None, Method.MIXED_INTEGER, Method.REFERENCE])
def test_worked_sites_cost_what_they_must(name, method):
    problem, least = SITES[name]
    solution = solve(problem, replace(EXACT, method=method))
    assert violations(problem, solution.schedule) == []
    assert cost(problem, solution.schedule).total == pytest.approx(least, abs=1e-7)
    assert solution.termination.reason is Reason.OPTIMAL
    assert solution.termination.bound <= least + 1e-7


def test_what_is_breached_is_told_with_amount_and_cost():
    problem, _ = SITES["import at a breach price"]
    (breach,) = breaches(problem, solve(problem).schedule)
    assert (breach.path, breach.unit) == ("meter.import_limit_kw", "kWh")
    assert breach.amount == pytest.approx([2.0])
    assert breach.cost == pytest.approx(4.0)


def test_the_four_roles_have_the_same_kinds():
    assert set(BLOCKS) == set(JUDGES) == set(TEXTBOOK) == set(FAMILIES)


def test_plain_sites_cost_the_same_by_the_general_road():
    """Among them are negative prices and trapped surplus, where a linear one burns energy."""
    seen = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        problem = random_problem(
            rng, count=int(rng.integers(4, 40)), stores=seed % 4, convex=seed % 3 == 0
        )
        known, found = solve_linear(problem, EXACT), solve_general(problem, EXACT)
        assert found.termination.reason is known.termination.reason
        if found.schedule is None:
            continue
        assert violations(problem, found.schedule) == []
        least = cost(problem, known.schedule).total
        assert cost(problem, found.schedule).total == pytest.approx(least, rel=1e-6, abs=1e-6)
        assert found.termination.bound <= least + 1e-6 * max(1.0, abs(least))
        seen += 1
    assert seen > 40


def agree(problem: Problem) -> Reason:
    """How the general road ends, which must be as the textbook does, at its cost."""
    known, found = solve_reference(problem, EXACT), solve_general(problem, EXACT)
    assert found.termination.reason is known.termination.reason
    if found.schedule is not None:
        assert violations(problem, known.schedule) == []
        assert violations(problem, found.schedule) == []
        least = cost(problem, known.schedule).total
        near = 1e-6 * max(1.0, abs(least))
        assert found.termination.objective == pytest.approx(least, abs=near)
        assert cost(problem, found.schedule).total == pytest.approx(least, abs=near)
        assert found.termination.bound <= least + near
    return found.termination.reason


def general_site(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    return random_general(
        rng, count=int(rng.integers(4, 14)), stores=int(rng.integers(0, 3)), convex=seed % 2 == 0
    )


def test_random_sites_agree_with_the_textbook():
    ends = [agree(general_site(seed)) for seed in range(30)]
    assert ends.count(Reason.OPTIMAL) > 15
    assert ends.count(Reason.INFEASIBLE) > 1


@pytest.mark.slow
def test_many_random_sites_agree_with_the_textbook():
    assert [agree(general_site(seed)) for seed in range(1000, 1200)].count(Reason.OPTIMAL) > 120


def test_a_plan_for_scenarios_is_no_dearer_than_the_plan_for_their_mean():
    compared = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        plain = random_problem(rng, count=12, stores=2)
        meter = replace(
            plain.meter,
            sell_price_per_kwh=0.3 * plain.meter.buy_price_per_kwh,
            import_limit_kw=np.full(12, np.inf),
            export_limit_kw=np.full(12, np.inf),
        )
        plants = tuple(replace(plant, curtailable=True) for plant in plain.photovoltaics)
        base = replace(plain, meter=meter, photovoltaics=plants)
        scenarios = tuple(
            Scenario(
                name=f"{k}",
                probability=0.25,
                loads_kw={load.name: load.power_kw * factor for load in base.loads},
            )
            for k, factor in enumerate(rng.uniform(0.0, 2.0, (4, 12)))
        )
        mean = tuple(
            replace(
                load, power_kw=np.mean([each.loads_kw[load.name] for each in scenarios], axis=0)
            )
            for load in base.loads
        )
        uncertain, central = replace(base, scenarios=scenarios), replace(base, loads=mean)
        best, blind = solve(uncertain, EXACT), solve(central, EXACT)
        if best.schedule is None or blind.schedule is None:
            continue
        # The mean plan's devices, the meter following each scenario.
        fixed = tuple(
            replace(
                storage,
                charge_limit_kw=blind.schedule.charge_kw[s],
                discharge_limit_kw=blind.schedule.discharge_kw[s],
                energy_min_kwh=np.maximum(blind.schedule.energy_kwh[s] - 1e-7, 0.0),
                energy_max_kwh=blind.schedule.energy_kwh[s] + 1e-7,
                targets=(),
            )
            for s, storage in enumerate(base.storages)
        )
        judged = solve(replace(uncertain, storages=fixed), EXACT)
        assert judged.schedule is not None
        ours, theirs = (cost(uncertain, each.schedule).total for each in (best, judged))
        assert ours <= theirs + 1e-5
        compared += ours < theirs - 1e-4
    assert compared > 2


def test_the_price_of_a_limit_is_what_more_room_saves():
    problem, least = SITES["circuit"]
    limits = solve_general(problem, EXACT).values.limits
    (price,) = [each for each in limits if each.path == "meter.circuits[0].import_limit_kw"]
    assert (price.intervals.tolist(), price.price.tolist()) == ([0], [pytest.approx(1.0)])
    wider = with_meter(problem, circuits=(circuit("garage", "battery", limit=1.5, count=2),))
    assert solve(wider, EXACT).termination.objective == pytest.approx(least - 0.5)


@pytest.mark.parametrize("limit", [np.inf, 20.0, 10.0])
def test_what_is_no_limit_in_force_has_no_price(limit):
    """All that the sun gives is fed in, which no more room at the meter would change."""
    sunny = site(buy=[0.2, 0.2], sell=0.1, pv=10.0, curtailable=True, export_limit=limit)
    values = solve_general(sunny, EXACT).values
    assert values.limits == ()
    if limit > 10.0:
        assert values.site_per_kwh == pytest.approx([0.1, 0.1])
    tight = solve_general(with_meter(sunny, export_limit_kw=np.array([6.0, 20.0])), EXACT).values
    assert [(each.path, each.intervals.tolist()) for each in tight.limits] == [
        ("meter.export_limit_kw", [0])
    ]
    assert tight.limits[0].price == pytest.approx([0.1])


def test_the_reasons_of_a_store_count_its_wear_by_depth_and_name_its_target():
    worn = battery(
        3,
        capacity=10.0,
        depth_wear=(DepthWear(from_share=0.0, cost_per_kwh=0.02),),
        targets=(EnergyTarget(interval=2, min_kwh=3.0, max_kwh=np.inf),),
    )
    problem = site(worn, buy=[0.1, 0.3, 0.2], load=1.0)
    told = reasons(problem, solve(problem, EXACT))
    spent = next(each for each in told if each.action is Action.DISCHARGE)
    assert spent.worth_per_kwh == pytest.approx(spent.site_value_per_kwh - 0.02)
    for each in told:
        if each.action is Action.HOLD:
            assert each.worth_per_kwh - 1e-6 <= each.site_value_per_kwh
            assert each.site_value_per_kwh <= each.next_best_per_kwh + 1e-6


def test_a_planner_goes_on_from_its_last_basis_to_the_same_optimum():
    planner, rng = Planner(), np.random.default_rng(3)
    problem = random_problem(rng, count=24, stores=2)
    for _ in range(4):
        buy = np.abs(problem.meter.buy_price_per_kwh * rng.uniform(0.8, 1.2, 24))
        sell = np.minimum(problem.meter.sell_price_per_kwh, buy)
        problem = with_meter(problem, buy_price_per_kwh=buy, sell_price_per_kwh=sell)
        warm, fresh = planner.solve(problem, EXACT), solve_general(problem, EXACT)
        assert violations(problem, warm.schedule) == []
        assert warm.termination.objective == pytest.approx(fresh.termination.objective)


def test_a_device_is_told_why_it_runs_when_it_does():
    dryer = InterruptibleAppliance(
        name="dryer", power_kw=2.0, earliest=0, latest=4, running_min_h=2.0
    )
    problem = replace(site(buy=[0.3, 0.1, 0.4, 0.2]), appliances=(dryer,))
    found = reasons(problem, solve(problem, EXACT))
    assert [(each.storage, each.interval, each.action) for each in found] == [
        ("dryer", 1, Action.DRAW),
        ("dryer", 3, Action.DRAW),
    ]
    assert [each.site_value_per_kwh for each in found] == pytest.approx([0.1, 0.2])
    assert {(each.counterpart_interval, each.next_best_per_kwh) for each in found} == {(0, 0.3)}
    assert found[0].text == (
        "runs on power worth 0.1000 here; the cheapest interval left is 18:00, at 0.3000"
    )


def test_a_store_in_a_general_site_is_told_what_its_energy_earns():
    problem, _ = SITES["circuit"]
    told = reasons(problem, solve(problem, EXACT))
    assert [(each.action, each.counterpart_interval) for each in told] == [
        (Action.CHARGE, 1),
        (Action.DISCHARGE, 0),
    ]
    assert told[0].counterpart_value_per_kwh == pytest.approx(1.0)
