"""Sites that are long, deep or of numbers far apart are stated in little room, and are solved."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from loadloom.models.checks import DEAREST, InvalidProblem
from loadloom.models.dispatch.blocks import commitment
from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.devices.meter import Carbon
from loadloom.models.dispatch.general import Search, solve_general
from loadloom.models.options import SolveOptions
from loadloom.solvers.highs import NumberTooLarge
from loadloom.solvers.termination import Reason, Termination
from tests.models.dispatch import device_sites as make
from tests.models.dispatch.cases import site
from tests.models.dispatch.device_cases import APPLIANCES, UNITS
from tests.models.dispatch.meter_cases import circuit, with_meter


@pytest.mark.parametrize("case", [*APPLIANCES, *UNITS], ids=str)
def test_running_totals_say_what_sums_say(case, monkeypatch):
    monkeypatch.setattr(commitment, "LONG", -1)
    found = solve_general(case.problem, SolveOptions(relative_gap=1e-9)).termination
    assert found.objective == pytest.approx(case.optimum, abs=1e-7)


@pytest.mark.parametrize("name", ["least_on_h", "least_off_h"])
def test_entries_do_not_grow_with_least_times(name):
    count = 2_000
    unit = make.generator(count, switching={name: 1_000.0})
    problem = make.with_units([0.1] * count, unit)
    programme = build(problem).programme
    assert programme.program(np.zeros(programme.column_count)).matrix.entries.size < 20 * count


def test_a_profile_with_too_many_places_to_run_is_refused():
    count = 8_000
    appliance = make.shiftable(np.ones(4_000), latest=count)
    with pytest.raises(InvalidProblem) as caught:
        make.with_appliance(appliance, [0.1] * count)
    assert [each.path for each in caught.value.violations] == ["appliances[0].profile_kw"]


def nested(parents: list[str]):
    return tuple(
        circuit(f"c{place}", f"load {place}", limit=1.0, count=1, parent=parent)
        for place, parent in enumerate(parents)
    )


def test_circuits_hold_the_devices_of_all_below_them():
    rng = np.random.default_rng(4)
    for _ in range(20):
        parents = [f"c{rng.integers(place)}" if place else "" for place in range(9)]
        meter = with_meter(site([0.1]), circuits=()).meter
        found = replace(meter, circuits=nested(parents)).circuit_members()
        for place, members in enumerate(found):
            below = [each for each, parent in enumerate(parents) if parent == f"c{place}"]
            assert members == {f"load {place}"}.union(*(found[each] for each in below))


def test_a_ring_of_circuits_is_told_at_each_that_leads_into_it():
    with pytest.raises(InvalidProblem) as caught:
        with_meter(site([0.1]), circuits=nested(["", "c3", "c1", "c2", "c3", "c0"]))
    told = {each.path for each in caught.value.violations if "ring" in each.message}
    assert told == {f"meter.circuits[{place}].parent" for place in (1, 2, 3, 4)}


def test_a_price_far_above_all_others_does_not_hide_the_plan():
    problem = make.with_units(
        [0.1, 0.3], make.generator(2, least=1.0, switching={"start_cost": 0.1})
    )
    plain = solve_general(problem, SolveOptions()).termination
    dear = with_meter(
        problem, import_breach_price_per_kwh=DEAREST, export_breach_price_per_kwh=DEAREST
    )
    found = solve_general(dear, SolveOptions()).termination
    assert found.reason is Reason.OPTIMAL
    assert found.objective == pytest.approx(plain.objective)


def test_a_price_that_would_drown_all_others_is_refused():
    with pytest.raises(InvalidProblem) as caught:
        with_meter(site([0.1]), import_breach_price_per_kwh=1e9)
    assert caught.value.violations[0].path == "meter.import_breach_price_per_kwh"


@pytest.mark.parametrize(("intensity", "price"), [(1e8, 0.1), (0.4, 1e8)])
def test_carbon_of_another_world_is_refused(intensity, price):
    with pytest.raises(InvalidProblem) as caught:
        with_meter(
            site([0.1]),
            carbon=Carbon(intensity_kg_per_kwh=np.full(1, intensity), price_per_kg=price),
        )
    assert caught.value.violations[0].path.startswith("meter.carbon.")


def test_what_the_solver_refuses_has_no_plan_and_says_why(monkeypatch):
    def refuses(*_):
        raise NumberTooLarge("too large")

    monkeypatch.setattr(Search, "_linear", refuses)
    found = solve_general(site([0.1], stores=({},)), SolveOptions())
    assert found.schedule is None
    assert found.termination.reason is Reason.NO_SOLUTION_FOUND
    assert found.termination.detail == "too large"


def test_a_bound_above_the_plan_at_hand_proves_nothing(monkeypatch):
    problem = site([0.1, 0.3], stores=({"initial": 1.0},))
    search = Search(site=build(problem), options=SolveOptions())
    search.primal, search.cost, search.bound = np.zeros(1), 1.0, 0.0
    ended = Termination(reason=Reason.INFEASIBLE, objective=np.inf, bound=np.inf)
    none = SimpleNamespace(termination=ended, primal=None, row_dual=None)
    monkeypatch.setattr(Search, "_solve", lambda *_: none)
    search._round([np.zeros(pair.one.size, np.bool_) for pair in search.site.programme.pairs])
    assert not search.proven
    assert search.bound == 0.0
