"""Every rule of the meter, of loads and of stores is noticed when it is broken."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.dispatch.devices.meter import Carbon, Island
from loadloom.models.dispatch.referee import baseline, cost, judged_baseline, violations
from loadloom.models.dispatch.scenarios import Risk, cvar
from loadloom.models.dispatch.solve import solve
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.meter_cases import SITES, by_price, charge, circuit, with_meter
from tests.models.dispatch.sites import battery, site
from tests.models.dispatch.test_general import EXACT


def planned(problem):
    schedule = solve(problem, EXACT).schedule
    assert violations(problem, schedule) == []
    return schedule


def moved(schedule, field: str, t: int, by: float):
    values = getattr(schedule, field).copy()
    values[..., t] += by
    return replace(schedule, **{field: values})


def served(problem):
    """A plan of a store that gives its 2 kWh in the second hour."""
    return planned(problem), problem


SHED, _ = SITES["shed load"]
ISLAND, _ = SITES["island"]
RESERVE, _ = SITES["island with reserve"]
FILLED, _ = SITES["island with reserve from its start"]
CIRCUIT, _ = SITES["circuit"]
NESTED, _ = SITES["nested circuits"]
CAP, _ = SITES["carbon cap"]
SOFT, _ = SITES["target at a breach price"]
BAND, _ = SITES["least power"]
SUNNY = site(buy=[0.1], sell=[0.05], pv=[2.0])
CURTAILED = site(buy=[0.1], sell=[-0.1], pv=[2.0], curtailable=True)
UNCERTAIN = by_price((0.5, 0.35, 0.1), (0.5, 0.35, 0.5), load=1.0)


def tighter(problem, **rules):
    return with_meter(problem, **rules)


# What the plan keeps, and the same site with one rule that it then breaks.
BROKEN = {
    "shed share": (
        SHED,
        replace(SHED, loads=(replace(SHED.loads[0], shed_share=0.1),)),
        "loads[0].shed_kw",
    ),
    "island": (
        tighter(ISLAND, island=None),
        tighter(ISLAND, island=Island(intervals=np.array([True, True]), reserve_kw=np.zeros(2))),
        "import_kw",
    ),
    "export from an island": (
        SUNNY,
        tighter(SUNNY, island=Island(intervals=np.array([True]), reserve_kw=np.zeros(1))),
        "export_kw",
    ),
    "export of a circuit": (
        SUNNY,
        tighter(
            SUNNY,
            circuits=(
                replace(circuit("roof", "pv", limit=9.0, count=1), export_limit_kw=np.array([1.0])),
            ),
        ),
        "meter.circuits[0].export_limit_kw",
    ),
    "sun that cannot be curtailed": (
        CURTAILED,
        replace(CURTAILED, photovoltaics=(replace(CURTAILED.photovoltaics[0], curtailable=False),)),
        "photovoltaics[0].curtailed_kw",
    ),
    "reserve": (
        ISLAND,
        RESERVE,
        "island.reserve_kw",
    ),
    "reserve for longer": (
        RESERVE,
        tighter(RESERVE, island=replace(RESERVE.meter.island, reserve_h=0.6)),
        "island.reserve_kw",
    ),
    "reserve from the start": (
        tighter(FILLED, island=replace(FILLED.meter.island, reserve_kw=np.zeros(2))),
        FILLED,
        "island.reserve_kw",
    ),
    "circuit": (
        CIRCUIT,
        tighter(CIRCUIT, circuits=(circuit("garage", "battery", limit=0.9, count=2),)),
        "meter.circuits[0].import_limit_kw",
    ),
    "circuit above": (
        CIRCUIT,
        NESTED,
        "meter.circuits[0].import_limit_kw",
    ),
    "carbon cap": (
        CAP,
        tighter(CAP, carbon=Carbon(intensity_kg_per_kwh=np.array([0.0, 1.0]), cap_kg=0.9)),
        "carbon_kg",
    ),
    "capacity of a soft store": (
        SOFT,
        replace(
            SOFT,
            storages=(replace(SOFT.storages[0], energy_max_kwh=np.array([2.0])),),
        ),
        "storages[0].energy_kwh",
    ),
    "least charging power": (
        BAND,
        replace(BAND, storages=(replace(BAND.storages[0], least_charge_kw=4.5),)),
        "storages[0].charge_kw",
    ),
    "least discharging power": (
        BAND,
        replace(BAND, storages=(replace(BAND.storages[0], least_discharge_kw=4.5),)),
        "storages[0].discharge_kw",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_noticed(rule):
    kept, tightened, path = BROKEN[rule]
    assert any(
        violation.path.startswith(path) for violation in violations(tightened, planned(kept))
    )


@pytest.mark.parametrize("field", ["import_kw", "export_kw", "shed_kw", "charge_kw", "energy_kwh"])
def test_a_changed_number_is_noticed(field):
    problem = replace(
        site(battery(2, initial=2.0), buy=[0.1, 0.3], load=[1.0, 4.0]),
        loads=(replace(SHED.loads[0], power_kw=np.array([1.0, 4.0])),),
    )
    schedule = planned(problem)
    assert violations(problem, moved(schedule, field, 1, 0.01))
    assert violations(problem, moved(schedule, field, 1, np.nan))


def test_every_scenario_is_looked_at():
    schedule = planned(UNCERTAIN)
    for k in range(2):
        changed = list(schedule.scenarios)
        changed[k] = replace(changed[k], import_kw=changed[k].import_kw + 0.1)
        assert violations(UNCERTAIN, replace(schedule, scenarios=tuple(changed)))
    assert violations(UNCERTAIN, replace(schedule, scenarios=schedule.scenarios[:1]))


def test_a_plan_of_another_horizon_is_refused():
    assert violations(site(battery(3), buy=[0.1] * 3), planned(site(battery(2), buy=[0.1] * 2)))


def test_risk_is_what_the_objective_counts_beyond_the_expected_cost():
    risky = replace(UNCERTAIN, risk=Risk(weight=1.0, level=0.5))
    # Buying in the second hour costs 0.1 or 0.5: 0.3 expected, 0.5 in the worse half.
    paid = cost(risky, planned(UNCERTAIN))
    assert paid.bought == pytest.approx(0.3)
    assert paid.others["risk"] == pytest.approx(0.2)
    assert paid.total == pytest.approx(0.5)


def test_the_tail_is_cut_within_an_outcome():
    assert cvar(np.array([0.6, 0.4]), np.array([1.0, 2.0]), 0.5) == pytest.approx(1.8)


def test_the_baseline_pays_its_peak():
    problem, least = SITES["demand charge"]
    found = baseline(problem)
    assert found.cost.total == pytest.approx(1.0 + 6.0)
    assert found.within_limits
    assert found.cost.total > least


def test_the_baseline_is_priced_beyond_limits():
    alone = with_meter(
        site(buy=[0.1], load=[3.0]),
        island=Island(intervals=np.array([True]), reserve_kw=np.zeros(1)),
    )
    assert not baseline(alone).within_limits
    assert baseline(alone).cost.total == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("peak", "paid"), [(1.0, 0.0), (2.0, 0.0), (3.0, 0.1), (4.0, 0.2), (6.0, 2.2)]
)
def test_a_demand_charge_counts_what_a_peak_adds(peak, paid):
    (found,) = charge((0.0, 0.1), (4.0, 1.0), count=1, reached=2.0)
    assert found.cost(peak) == pytest.approx(paid)


def test_the_short_way_to_the_baseline_of_plain_sites_is_that_of_the_judges():
    for seed in range(40):
        problem = random_problem(
            np.random.default_rng(seed), count=12, stores=seed % 3, convex=seed % 2 == 0
        )
        short, judged = baseline(problem), judged_baseline(problem)
        assert short.within_limits == judged.within_limits
        for name in ("bought", "sold", "wear", "end_value", "total"):
            assert getattr(short.cost, name) == pytest.approx(getattr(judged.cost, name))


def test_circuits_of_one_name_and_rings_are_refused_by_path():
    rings = (
        circuit("x", limit=1.0, count=1, parent="x"),
        circuit("x", limit=1.0, count=1, parent="y"),
        circuit("y", limit=1.0, count=1, parent="x"),
    )
    with pytest.raises(InvalidProblem) as refused:
        with_meter(site(buy=[0.1]), circuits=rings)
    paths = {violation.path for violation in refused.value.violations}
    assert {"meter.circuits[1].name", "meter.circuits[2].parent"} <= paths
