"""The general road: worked cases, the textbook as oracle, and the fast roads on plain sites."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.blocks.kinds import BLOCKS
from loadloom.models.dispatch.devices.appliance import InterruptibleAppliance
from loadloom.models.dispatch.devices.meter import (
    Carbon,
    Circuit,
    Commitment,
    DemandCharge,
    Island,
    Tier,
)
from loadloom.models.dispatch.devices.storage import DepthWear, EnergyTarget
from loadloom.models.dispatch.explain import reasons
from loadloom.models.dispatch.general import Planner, solve_general
from loadloom.models.dispatch.judges.kinds import JUDGES
from loadloom.models.dispatch.linear import solve_linear
from loadloom.models.dispatch.problem import FAMILIES, Problem
from loadloom.models.dispatch.reason import Action
from loadloom.models.dispatch.referee import breaches, cost, violations
from loadloom.models.dispatch.reference import solve_reference
from loadloom.models.dispatch.scenarios import Risk, Scenario
from loadloom.models.dispatch.solve import solve
from loadloom.models.dispatch.textbook.kinds import TEXTBOOK
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.sites import battery, site
from tests.models.dispatch.sites_general import random_general

EXACT = SolveOptions(relative_gap=1e-8)


def with_meter(problem: Problem, **rules) -> Problem:
    return replace(problem, meter=replace(problem.meter, **rules))


def charge(*tiers, count: int, reached: float = 0.0) -> tuple[DemandCharge, ...]:
    every = np.ones(count, np.bool_)
    parts = tuple(Tier(from_kw=start, price_per_kw=price) for start, price in tiers)
    return (DemandCharge(name="peak", intervals=every, tiers=parts, reached_peak_kw=reached),)


def circuit(name: str, *devices: str, limit: float, count: int, parent: str = "") -> Circuit:
    return Circuit(
        name=name,
        devices=devices,
        parent=parent,
        import_limit_kw=np.full(count, limit),
        export_limit_kw=np.full(count, np.inf),
    )


def by_price(*rows: tuple[float, float, float], load: float) -> Problem:
    """A store and a load an hour later, prices by scenario: probability, now, then."""
    scenarios = tuple(
        Scenario(name=f"{k}", probability=p, buy_price_per_kwh=np.array([now, then]))
        for k, (p, now, then) in enumerate(rows)
    )
    plain = site(battery(2), buy=[0.0, 0.0], load=[0.0, load])
    return replace(plain, scenarios=scenarios)


SITES = {
    # Two hours before and at the peak hold 8 kWh, so the peak falls to 4 kW.
    "demand charge": (
        with_meter(
            site(battery(3), buy=[0.1] * 3, load=[2.0, 6.0, 2.0]),
            demand_charges=charge((0.0, 1.0), count=3),
        ),
        1.0 + 4.0,
    ),
    "peak already reached": (
        with_meter(
            site(battery(3), buy=[0.1] * 3, load=[2.0, 6.0, 2.0]),
            demand_charges=charge((0.0, 1.0), count=3, reached=5.0),
        ),
        1.0,
    ),
    "falling tiers": (
        with_meter(
            site(buy=[0.1], load=[6.0]),
            demand_charges=charge((0.0, 1.0), (4.0, 0.1), count=1),
        ),
        0.6 + 4.0 + 0.2,
    ),
    "rising tiers": (
        with_meter(
            site(buy=[0.1], load=[6.0]),
            demand_charges=charge((0.0, 0.1), (4.0, 1.0), count=1, reached=2.0),
        ),
        0.6 + 0.2 + 2.0,
    ),
    "carbon price": (
        with_meter(
            site(buy=[0.1], load=[2.0]),
            carbon=Carbon(intensity_kg_per_kwh=np.array([0.5]), price_per_kg=0.2),
        ),
        0.2 + 0.2,
    ),
    # One of the two kWh must come from the clean hour, although it is the dearer one.
    "carbon cap": (
        with_meter(
            site(battery(2), buy=[0.3, 0.1], load=[2.0, 2.0]),
            carbon=Carbon(intensity_kg_per_kwh=np.array([0.0, 1.0]), cap_kg=1.0),
        ),
        0.9 + 0.1,
    ),
    "commitment": (
        with_meter(
            site(buy=[0.1] * 2, load=[3.0, 1.0]),
            commitment=Commitment(
                committed_kw=np.array([2.0, 2.0]),
                more_price_per_kwh=np.array([0.5, 0.5]),
                less_price_per_kwh=np.array([0.05, 0.05]),
            ),
        ),
        0.4 + 0.5 + 0.05,
    ),
    "import at a breach price": (
        with_meter(site(buy=[0.1], load=[5.0], import_limit=3.0), import_breach_price_per_kwh=2.0),
        0.5 + 4.0,
    ),
    "export at a breach price": (
        with_meter(
            site(buy=[0.1], sell=[0.2], pv=[5.0], export_limit=3.0),
            export_breach_price_per_kwh=0.5,
        ),
        -1.0 + 1.0,
    ),
    "island": (
        with_meter(
            site(battery(2), buy=[0.1] * 2, load=[1.0, 1.0]),
            island=Island(intervals=np.array([False, True]), reserve_kw=np.zeros(2)),
        ),
        0.2,
    ),
    # Half an hour of 2 kW besides needs one more kWh in the store.
    "island with reserve": (
        with_meter(
            site(battery(2), buy=[0.1] * 2, load=[1.0, 1.0]),
            island=Island(
                intervals=np.array([False, True]), reserve_kw=np.full(2, 2.0), reserve_h=0.5
            ),
        ),
        0.3,
    ),
    # The sun fills the store in the hour without grid, but the reserve may be called at its start.
    "island with reserve from its start": (
        with_meter(
            site(battery(2), buy=[0.1] * 2, pv=[0.0, 5.0]),
            island=Island(
                intervals=np.array([False, True]), reserve_kw=np.full(2, 2.0), reserve_h=0.5
            ),
        ),
        0.1,
    ),
    "circuit": (
        with_meter(
            site(battery(2), buy=[0.0, 1.0], load=[0.0, 3.0]),
            circuits=(circuit("garage", "battery", limit=1.0, count=2),),
        ),
        2.0,
    ),
    "nested circuits": (
        with_meter(
            site(battery(2), buy=[0.0, 1.0], load=[0.0, 3.0]),
            circuits=(
                circuit("yard", limit=0.5, count=2),
                circuit("garage", "battery", limit=1.0, count=2, parent="yard"),
            ),
        ),
        2.5,
    ),
    "breaker of a circuit at a price": (
        with_meter(
            site(battery(2), buy=[0.0, 1.0], load=[0.0, 3.0]),
            circuits=(
                replace(
                    circuit("garage", "battery", limit=1.0, count=2), breach_price_per_kwh=0.25
                ),
            ),
        ),
        0.5,
    ),
    "target at a breach price": (
        site(
            battery(
                1,
                charge=3.0,
                targets=(EnergyTarget(interval=0, min_kwh=6.0, max_kwh=np.inf),),
                breach_price_per_kwh=0.7,
            ),
            buy=[0.1],
        ),
        0.3 + 2.1,
    ),
    # Four kWh at once, though only two can be used, are cheaper than buying these later.
    "least power": (
        site(battery(2, least_charge_kw=4.0), buy=[0.1, 0.5], load=[0.0, 2.0]),
        0.4,
    ),
    # The first half of the store is free to use, the second costs more than the grid.
    "wear by depth": (
        site(
            battery(
                1,
                initial=10.0,
                discharge=9.0,
                depth_wear=(
                    DepthWear(from_share=0.0, cost_per_kwh=0.0),
                    DepthWear(from_share=0.5, cost_per_kwh=1.0),
                ),
            ),
            buy=[0.6],
            load=[8.0],
        ),
        1.8,
    ),
    "expected cost": (by_price((0.5, 0.35, 0.1), (0.5, 0.35, 0.5), load=1.0), 0.3),
    "worst half alone": (
        replace(
            by_price((0.5, 0.35, 0.1), (0.5, 0.35, 0.5), load=1.0),
            risk=Risk(weight=1.0, level=0.5),
        ),
        0.35,
    ),
}


def shed_load() -> tuple[Problem, float]:
    problem = site(buy=[0.1], load=[4.0], import_limit=3.0)
    load = replace(problem.loads[0], shed_price_per_kwh=2.0, shed_share=0.5)
    return replace(problem, loads=(load,)), 0.3 + 2.0


SITES["shed load"] = shed_load()


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
