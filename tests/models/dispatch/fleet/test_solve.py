"""Fleets: bounds are bounds, plans keep all limits, and what cannot be is told by name."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.fleet.explain import explain
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.fleet.referee import judge
from loadloom.models.dispatch.fleet.reference import solve_whole
from loadloom.models.dispatch.fleet.solve import solve
from loadloom.models.horizon import Horizon
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.fleet.fleets import START, homes, limited, network


def free_power(fleet: Fleet) -> np.ndarray:
    """What the nodes draw without limits."""
    plan = solve(fleet).plan
    assert plan is not None
    return plan.power_kw


def tight(count: int, seed: int, *, export: bool = False, negative: bool = False) -> Fleet:
    fleet = homes(count, 24, seed, negative=negative)
    return limited(fleet, free_power(fleet), 0.7, 0.6 if export else np.inf)


def check(fleet: Fleet, found, gap: float = 1e-4) -> None:
    """The plan keeps all rules, costs what is said, and is as good as is said."""
    word = judge(fleet, found.plan.columns)
    assert word.violations == ()
    assert word.cost == pytest.approx(found.termination.objective, rel=1e-12)
    assert found.relative_gap <= gap


@pytest.mark.parametrize("export", [False, True])
@pytest.mark.parametrize(("count", "seed"), [(100, 1), (300, 2)])
def test_the_optimum_lies_between_bound_and_value(count, seed, export):
    fleet = tight(count, seed, export=export)
    found = solve(fleet)
    check(fleet, found)
    optimum = solve_whole(fleet).termination.objective
    near = 1e-7 * abs(optimum)
    assert found.termination.bound <= optimum + near
    assert optimum <= found.termination.objective + near
    prices = found.export_price_per_kwh if export else found.import_price_per_kwh
    assert prices.max() > 1e-3  # or the limits were none


def test_limits_bind_in_the_plan_where_they_have_a_price():
    fleet = tight(300, 3, export=True)
    found = solve(fleet, SolveOptions(relative_gap=1e-6))
    check(fleet, found, 1e-6)
    dear = found.import_price_per_kwh > 0.01
    assert dear.any()
    assert found.plan.power_kw[dear] == pytest.approx(fleet.network.import_limit_kw[dear], rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_the_exact_optimum_lies_between_where_prices_are_negative(seed):
    fleet = homes(6, 6, seed, feeders=2, negative=True)
    fleet = limited(fleet, free_power(fleet), 0.7, 0.7)
    found = solve(fleet)
    exact = solve_whole(fleet, exclusive=True)
    assert exact.termination.reason is Reason.OPTIMAL
    assert found.termination.bound <= exact.termination.objective + 1e-6
    if found.plan is not None:
        assert judge(fleet, found.plan.columns).violations == ()
        assert exact.termination.objective <= found.termination.objective + 1e-6


def test_a_relaxation_burns_energy_and_the_bound_does_not():
    fleet = tight(300, 5, negative=True)
    found = solve(fleet)
    check(fleet, found, 5e-3)
    assert solve_whole(fleet).termination.objective < found.termination.bound - 1e-3


def test_the_same_bits_for_any_number_of_threads():
    fleet = tight(200, 6)
    one, two = solve(fleet), solve(fleet, threads=2)
    assert one.termination == two.termination
    assert one.plan.columns.tobytes() == two.plan.columns.tobytes()
    assert one.import_price_per_kwh.tobytes() == two.import_price_per_kwh.tobytes()


def test_a_large_fleet_begins_with_a_part():
    fleet = tight(4_500, 7, export=True)
    found = solve(fleet, threads=2)
    check(fleet, found)
    begun = solve(homes(400, 24, 7), threads=2).passes
    assert begun == 2  # without limits the first prices, none, are the best


def test_transformers_below_feeders_below_a_substation():
    fleet = homes(120, 12, 4, feeders=12)
    fleet = replace(
        fleet,
        sites=replace(fleet.sites, horizon=uneven(12)),
        network=replace(fleet.network, parents=np.array([-1, 0, 0, 0, *[1, 2, 3] * 3])),
    )
    fleet = replace(fleet, site_nodes=4 + np.arange(120) % 9)
    power = free_power(fleet)
    limit = np.repeat(0.75 * np.maximum(power.max(axis=1), 1.0)[:, None], 12, axis=1)
    limit = np.maximum(limit, 1.05 * fleet.net_load_kwh / fleet.sites.horizon.step_h)
    fleet = replace(fleet, network=replace(fleet.network, import_limit_kw=limit))
    found = solve(fleet)
    check(fleet, found)
    optimum = solve_whole(fleet).termination.objective
    assert found.termination.bound <= optimum + 1e-6 <= found.termination.objective + 2e-6
    binding = {one.node for one in explain(fleet, found).bindings}
    assert min(binding) <= 3 < max(binding)


def uneven(count: int) -> Horizon:
    """Steps of one, two and three hours."""
    return Horizon(start=START, step_h=np.resize([1.0, 2.0, 3.0], count))


def test_whoever_stops_early_has_a_bound():
    fleet = tight(200, 8)
    heard = []

    def listener(_seconds, value, bound, phase):
        heard.append((value, bound, phase))
        return len(heard) < 4

    found = solve(fleet, listener=listener)
    assert len(heard) == 4
    full = solve(fleet)
    assert found.termination.bound <= full.termination.objective
    assert found.termination.reason is Reason.FEASIBLE
    assert judge(fleet, found.plan.columns).violations == ()
    bounds = [bound for _, bound, _ in heard]
    assert bounds == sorted(bounds)


def test_a_time_limit_ends_the_search():
    fleet = tight(200, 8)
    seconds = iter(np.arange(0.0, 1e5, 0.1))
    options = SolveOptions(relative_gap=1e-9, time_limit_s=3.0)
    found = solve(fleet, options, clock=lambda: float(next(seconds)))
    assert found.passes < solve(fleet, replace(options, time_limit_s=np.inf)).passes
    assert found.termination.reason in (Reason.FEASIBLE, Reason.NO_SOLUTION_FOUND)


def two_sites(limit_kw: float, breach: float = np.inf, *, pv: float = 0.0) -> Fleet:
    """Two sites that draw 3 kW for two hours, one with a store of 2 kWh that is full."""
    sites = Batch(
        horizon=Horizon(start=START, step_h=np.ones(2)),
        site_count=2,
        load_kw=np.full((1, 1), 3.0),
        pv_kw=np.full((1, 1), pv),
        buy_price_per_kwh=np.array([[0.1, 0.3]]),
        sell_price_per_kwh=np.zeros((1, 1)),
        energy_max_kwh=np.array([[2.0], [0.0]]),
        initial_energy_kwh=np.array([[2.0], [0.0]]),
        charge_limit_kw=np.full((1, 1), 1.0),
        discharge_limit_kw=np.full((1, 1), 2.0),
    )
    limit = np.array([np.inf, limit_kw])[:, None]
    shared = network(1, 2, import_kw=limit, breach=breach)
    return Fleet(sites=sites, site_nodes=np.array([1, 1]), network=shared)


def test_a_hand_worked_feeder():
    # Free: 6 kW at 0.1, and 4 kW at 0.3 with the store. At 5.5 kW half a kWh must come at once.
    assert solve(two_sites(6.0)).termination.objective == pytest.approx(0.6 + 1.2)
    found = solve(two_sites(5.5), SolveOptions(relative_gap=1e-9))
    assert found.termination.objective == pytest.approx(0.55 + 1.35)
    assert found.termination.bound == pytest.approx(1.9)
    assert found.import_price_per_kwh[1] == pytest.approx([0.2, 0.0], abs=1e-6)
    told = explain(two_sites(5.5), found)
    assert told.unlimited.cost == pytest.approx(1.8)
    assert told.unlimited.power_kw[1] == pytest.approx([6.0, 4.0])
    assert [(one.node, one.rule, one.intervals) for one in told.bindings] == [
        (1, "import_limit_kw", (0,))
    ]
    assert told.bindings[0].saving_per_kw == pytest.approx(0.2, abs=1e-6)


def test_a_feeder_that_is_too_small_is_named():
    found = solve(two_sites(4.5))  # 12 kWh are drawn, 2 are stored, 9 may pass
    assert found.termination.reason is Reason.INFEASIBLE
    assert found.plan is None
    assert {one.what for one in found.conflicts} == {"feeder 1"}
    assert {one.rule for one in found.conflicts} == {"import_limit_kw"}
    assert sum(one.amount for one in found.conflicts) == pytest.approx(1.0, rel=1e-3)


def test_a_breach_price_stands_for_a_limit():
    found = solve(two_sites(4.5, breach=0.05), SolveOptions(relative_gap=1e-9))
    # A kWh moved to the dear hour costs 0.2, a breach 0.05: 1.5 kWh at once, none later.
    assert found.termination.objective == pytest.approx(1.8 + 0.075)
    assert found.plan.breach_cost == pytest.approx(0.075)
    assert found.termination.bound == pytest.approx(1.875)


def test_solar_power_that_nobody_takes_is_named():
    fleet = two_sites(9.0, pv=5.0)
    shared = network(1, 2, export_kw=np.array([np.inf, 3.5])[:, None])
    found = solve(replace(fleet, network=shared))
    assert found.termination.reason is Reason.INFEASIBLE
    assert {(one.what, one.rule) for one in found.conflicts} == {("feeder 1", "export_limit_kw")}
    assert sum(one.amount for one in found.conflicts) == pytest.approx(1.0, rel=1e-3)
    empty = replace(fleet.sites, initial_energy_kwh=np.zeros((1, 1)))
    found = solve(replace(fleet, sites=empty, network=shared))
    assert found.termination.reason is Reason.OPTIMAL
    assert found.plan.power_kw[1].min() >= -3.5 - 1e-6


def test_a_site_that_cannot_keep_its_own_rules_is_named():
    fleet = two_sites(9.0)
    sites = replace(fleet.sites, import_limit_kw=np.array([[3.0], [2.5]]))
    found = solve(replace(fleet, sites=sites))
    assert found.termination.reason is Reason.INFEASIBLE
    assert [one.site for one in found.site_conflicts] == [1]
    assert found.conflicts == ()


@pytest.mark.parametrize("seed", range(2))
def test_no_more_room_saves_more_than_its_price(seed):
    fleet = tight(60, 20 + seed)
    found = solve(fleet)
    random = np.random.default_rng(seed)
    more = random.uniform(0.0, 5.0, fleet.network.import_limit_kw.shape)
    wider = replace(fleet.network, import_limit_kw=fleet.network.import_limit_kw + more)
    optimum = solve_whole(replace(fleet, network=wider)).termination.objective
    worth = (found.import_price_per_kwh * more) @ fleet.sites.horizon.step_h
    assert optimum >= found.termination.bound - worth.sum() - 1e-6


def test_the_referee_sees_planted_faults():
    fleet = tight(60, 9, export=True)
    columns = solve(fleet).plan.columns
    assert judge(fleet, columns).violations == ()
    for column, site in ((0, 3), (2, 5), (3, 7), (4, 9), (5, 11)):
        wrong = columns.copy()
        wrong[column, site, 4] += 0.01
        told = judge(fleet, wrong).violations
        assert any(one.path == f"sites[{site}]" for one in told)
    wrong = columns.copy()
    wrong[4, 2, 3] = np.nan
    assert judge(fleet, wrong).violations
    power = judge(fleet, columns).power_kw
    for name, side in (("import_limit_kw", power), ("export_limit_kw", -power)):
        node, t = np.unravel_index(int(np.argmax(side)), side.shape)
        limit = getattr(fleet.network, name).copy()
        limit[node, t] = side[node, t] - 1e-3
        narrower = replace(fleet, network=replace(fleet.network, **{name: limit}))
        told = judge(narrower, columns).violations
        assert [one.path for one in told] == [f"nodes[{node}].{name}[{t}]"]
