"""Sites of several devices in a fleet: bounds are bounds, plans whole, and limits kept."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.dispatch.fleet.explain import explain
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.fleet.referee import judge
from loadloom.models.dispatch.fleet.reference import solve_whole
from loadloom.models.dispatch.fleet.solve import solve
from loadloom.models.dispatch.scenarios import Scenario
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.fleet.fleets import home, homes, limited, network, with_mixed

CONVEX, WHOLE = ("car", "tank", "both"), ("washer", "pump", "car", "washer")


def tight(plain: int, kinds: tuple[str, ...], seed: int, *, intervals=12, export=False) -> Fleet:
    """A fleet with homes of these kinds under limits that bind."""
    fleet = with_mixed(homes(plain, intervals, seed), kinds, seed)
    plan = solve(fleet).plan
    assert plan is not None
    return limited(fleet, plan.power_kw, 0.7, 0.5 if export else np.inf)


def check(fleet: Fleet, found, gap: float) -> None:
    """The plan keeps all rules, costs what is said, and is as good as is said."""
    word = judge(fleet, found.plan.columns, found.plan.schedules)
    assert word.violations == ()
    assert word.cost == pytest.approx(found.termination.objective, rel=1e-12)
    assert len(found.plan.schedules) == len(fleet.mixed)
    assert found.relative_gap <= gap


@pytest.mark.parametrize("export", [False, True])
@pytest.mark.parametrize(("plain", "mixed", "seed"), [(85, 15, 1), (270, 30, 2)])
def test_the_optimum_lies_between_bound_and_value(plain, mixed, seed, export):
    fleet = tight(plain, CONVEX * (mixed // 3), seed, export=export)
    found = solve(fleet)
    check(fleet, found, 1e-4)
    optimum = solve_whole(fleet).termination.objective
    near = 1e-7 * abs(optimum)
    assert found.termination.bound <= optimum + near
    assert optimum <= found.termination.objective + near
    prices = found.export_price_per_kwh if export else found.import_price_per_kwh
    assert prices.max() > 1e-3  # or the limits were none


@pytest.mark.parametrize("seed", range(4))
def test_the_exact_optimum_of_few_homes_lies_between(seed):
    fleet = tight(4, WHOLE, seed, intervals=6, export=seed % 2 == 1)
    found = solve(fleet)
    exact = solve_whole(fleet, exclusive=True)
    assert exact.termination.reason is Reason.OPTIMAL
    assert found.termination.bound <= exact.termination.objective + 1e-6
    check(fleet, found, 0.2)
    assert exact.termination.objective <= found.termination.objective + 1e-6


def test_whole_answers_keep_the_limits_of_many_homes():
    fleet = tight(20, WHOLE * 3, 1, export=True)
    found = solve(fleet)
    check(fleet, found, np.inf)
    bought = found.plan.amount("bought_cost").sum()
    bought += sum(word.cost.bought for word in found.plan.verdicts)
    assert found.termination.objective - found.termination.bound < 0.01 * bought
    assert found.plan.singled > 0
    assert max(found.import_price_per_kwh.max(), found.export_price_per_kwh.max()) > 1e-3


def test_a_fleet_of_homes_with_devices_alone():
    bare = with_mixed(homes(1, 6, 0), ("car", "tank", "car", "tank", "both"))
    fleet = replace(bare, sites=None, site_nodes=np.zeros(0, np.int64))
    plan = solve(fleet).plan
    fleet = limited(fleet, plan.power_kw, 0.8)
    found = solve(fleet)
    check(fleet, found, 1e-4)
    near = 1e-6 * abs(found.termination.objective)
    optimum = solve_whole(fleet, exclusive=True).termination.objective
    assert found.termination.bound - near <= optimum <= found.termination.objective + near
    told = explain(fleet, found)
    assert told.unlimited.cost < found.termination.objective
    assert told.bindings


def test_the_same_bits_for_any_number_of_threads():
    fleet = tight(40, (*WHOLE, *CONVEX), 6)
    one, two = solve(fleet), solve(fleet, threads=2)
    assert one.termination == two.termination
    assert one.plan.columns.tobytes() == two.plan.columns.tobytes()
    for a, b in zip(one.plan.schedules, two.plan.schedules, strict=True):
        assert a.import_kw.tobytes() == b.import_kw.tobytes()


@pytest.mark.parametrize("told", [3, 14])
def test_whoever_stops_early_has_a_bound_and_maybe_a_plan(told):
    fleet, heard = tight(20, WHOLE, 1, export=True), []

    def listener(_seconds, _value, bound, _phase):
        heard.append(bound)
        return len(heard) < told

    found, full = solve(fleet, listener=listener), solve(fleet)
    assert len(heard) == told
    assert -np.inf < found.termination.bound <= full.termination.objective
    if found.plan is not None:
        check(fleet, found, np.inf)
        assert full.termination.bound <= found.termination.objective


def below_one_node(limit_kw: float) -> Fleet:
    """Two homes that must each put 10 kWh into a car in three hours of three."""
    car = replace(home("car", 3, 0), photovoltaics=(), loads=())
    vehicle = replace(
        car.vehicles[0],
        initial_energy_kwh=0.0,
        charge_efficiency=1.0,
        sessions=(replace(car.vehicles[0].sessions[0], arrival=0, departure=3, wanted_kwh=10.0),),
    )
    fleet = replace(car, vehicles=(vehicle,))
    hours = fleet.horizon.step_h
    assert hours.sum() == 24.0
    shared = network(1, 3, import_kw=np.array([np.inf, limit_kw])[:, None])
    nobody = np.zeros(0, np.int64)
    nodes = np.array([1, 1])
    return Fleet(
        sites=None, site_nodes=nobody, network=shared, mixed=(fleet, fleet), mixed_nodes=nodes
    )


def test_a_node_too_small_for_its_cars_is_named():
    assert solve(below_one_node(1.0)).termination.reason.has_solution  # 20 kWh in 24 h
    found = solve(below_one_node(0.75))
    assert found.termination.reason is Reason.INFEASIBLE
    assert {(one.what, one.rule) for one in found.conflicts} == {("feeder 1", "import_limit_kw")}
    assert sum(one.amount for one in found.conflicts) == pytest.approx(2.0, rel=1e-3)


def test_a_site_that_cannot_keep_its_own_rules_is_named():
    fleet = with_mixed(homes(3, 6, 1), ("car", "washer"))
    late = replace(fleet.mixed[0].vehicles[0].sessions[0], arrival=4, departure=5, wanted_kwh=40.0)
    vehicle = replace(fleet.mixed[0].vehicles[0], sessions=(late,))
    bad = replace(fleet.mixed[0], vehicles=(vehicle,))
    found = solve(replace(fleet, mixed=(bad, fleet.mixed[1])))
    assert found.termination.reason is Reason.INFEASIBLE
    assert [one.site for one in found.site_conflicts] == [3]


def test_the_referee_sees_planted_faults():
    fleet = tight(30, ("car", "washer"), 9)
    found = solve(fleet, SolveOptions(relative_gap=1e-3))
    columns, schedules = found.plan.columns, list(found.plan.schedules)
    wrong = schedules[1].import_kw.copy()
    wrong[2] += 0.01
    schedules[1] = replace(schedules[1], import_kw=wrong)
    told = judge(fleet, columns, schedules).violations
    assert any(one.path.startswith("mixed[1].") for one in told)


def test_what_a_fleet_cannot_take_is_told():
    fleet = with_mixed(homes(3, 6, 1), ("car",))
    wet = replace(fleet.mixed[0], scenarios=(Scenario(name="wet", probability=1.0),))
    with pytest.raises(InvalidProblem, match=r"mixed\[0\].scenarios"):
        replace(fleet, mixed=(wet,))
    with pytest.raises(InvalidProblem, match=r"mixed\[0\].horizon"):
        replace(fleet, mixed=(home("car", 3, 0),))
    with pytest.raises(InvalidProblem, match=r"mixed_nodes\[0\]"):
        replace(fleet, mixed_nodes=np.array([9]))
