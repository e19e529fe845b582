"""Reasons say what each action is for, what it costs or saves, and what it gains."""

import numpy as np
import pytest

from loadloom.models.dispatch.explain import Action, reasons
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solve import solve
from tests.models.dispatch.cases import SEVERAL_STORES, site

LOSSY = {"capacity": 2, "power": 2, "charge_efficiency": 0.9, "discharge_efficiency": 0.9}


def told(problem: Problem):
    return reasons(problem, solve(problem))


def test_charging_names_its_use_and_what_it_earns():
    charge, hold, discharge = told(site([0.1, 0.2, 0.4], load=[0, 0, 1], stores=[LOSSY]))
    actions = [r.action for r in (charge, hold, discharge)]
    assert actions == [Action.CHARGE, Action.HOLD, Action.DISCHARGE]
    assert (charge.interval, charge.counterpart_interval) == (0, 2)
    assert charge.energy_kwh == pytest.approx(1 / 0.81)
    assert charge.site_value_per_kwh == pytest.approx(0.1)
    assert charge.counterpart_value_per_kwh == pytest.approx(0.4)
    assert charge.worth_per_kwh == pytest.approx(0.81 * 0.4)
    assert "02:00" in charge.text
    assert discharge.counterpart_interval == 0
    assert discharge.counterpart_value_per_kwh == pytest.approx(0.1)
    assert hold.worth_per_kwh <= hold.site_value_per_kwh <= hold.next_best_per_kwh


def test_every_interval_has_one_reason_a_store():
    problem = SEVERAL_STORES[0].problem
    found = told(problem)
    for storage in problem.storages:
        covered = [
            t
            for r in found
            if r.storage == storage.name
            for t in range(r.interval, r.interval + r.interval_count)
        ]
        assert covered == list(range(problem.horizon.count))


def test_energy_from_the_start_and_for_the_end_has_no_counterpart():
    store = {"initial": 1.0, "end_value_per_kwh": 0.3}
    discharge, charge = told(site([0.5, 0.1], load=[1, 0], stores=[store]))
    assert discharge.counterpart_interval is None
    assert "the start" in discharge.text
    assert charge.counterpart_interval is None
    assert charge.worth_per_kwh == pytest.approx(0.3)


def test_a_battery_that_covers_the_whole_load_displaces_what_the_load_would_have_bought():
    """Once nothing is drawn, one more kWh is worth what it brings at the end, 0.06."""
    store = {"capacity": 4, "power": 1, "initial": 2.0, "end_value_per_kwh": 0.06}
    (covering,) = told(site([0.12, 0.12], load=0.8, stores=[store]))
    assert covering.site_value_per_kwh == pytest.approx(0.12)
    assert covering.worth_per_kwh == pytest.approx(0.12)
    assert covering.next_best_per_kwh == pytest.approx(0.06)
    assert "it displaces 0.1200 here" in covering.text


def test_what_is_fed_in_earns_and_does_not_displace():
    stores = [{"capacity": 4, "power": 2, "initial": 2.0}]
    (selling,) = told(site([0.3], sell=0.2, stores=stores))
    assert "it earns 0.2000 here" in selling.text
    (mixed,) = told(site([0.3], sell=0.2, load=1.0, stores=stores))
    assert "it displaces and earns 0.2500 here" in mixed.text


def test_charging_surplus_costs_what_feeding_it_in_would_have_earned():
    price = {"buy": [0.3, 0.3], "sell": [0.08, 0.08]}
    charge, _ = told(site(**price, pv=[1.0, 0.0], load=[0.0, 1.0], stores=[{"power": 1}]))
    assert charge.action is Action.CHARGE
    assert charge.site_value_per_kwh == pytest.approx(0.08)
    free = site(**price, pv=[1.0, 0.0], load=[0.0, 1.0], export_limit=0.0, stores=[{"power": 1}])
    with_curtailing = site(
        **price,
        pv=[1.0, 0.0],
        curtailable=True,
        load=[0.0, 1.0],
        export_limit=0.0,
        stores=[{"power": 1}],
    )
    assert told(with_curtailing)[0].site_value_per_kwh == pytest.approx(0.0)
    # What cannot be curtailed must be stored; the price of feeding it in goes on past the limit.
    assert told(free)[0].site_value_per_kwh == pytest.approx(0.08)


def test_making_up_for_self_discharge_is_called_that():
    store = {"minimum": 5.0, "capacity": 10.0, "initial": 5.0, "self_discharge_per_h": 0.01}
    found = told(site([0.2] * 3, stores=[store]))
    assert {r.action for r in found} == {Action.CHARGE}
    assert all(r.text.startswith("making up for self-discharge for") for r in found)


@pytest.mark.parametrize("seed", range(6))
def test_energy_times_its_price_is_what_the_meter_costs_more_or_less(seed):
    """A law, with the meter's cost worked out here in another way, one store after the other."""
    generator = np.random.default_rng(seed)
    count, stores = 12, 1 + seed % 2
    buy = generator.uniform(0.05, 0.4, count)
    sell = buy * generator.uniform(0.2, 0.9, count)
    store = {"capacity": 6.0, "power": 2.0, "charge_efficiency": 0.9, "wear_cost_per_kwh": 0.01}
    problem = site(
        buy,
        sell=sell,
        load=generator.uniform(0.0, 3.0, count),
        pv=np.maximum(0.0, generator.normal(0.0, 3.0, count)),
        stores=[store] * stores,
    )
    solution = solve(problem)
    schedule, values = solution.schedule, solution.values
    grid = schedule.import_kw - schedule.export_kw

    def paid(kw: float, t: int) -> float:
        return kw * (buy[t] if kw > 0.0 else sell[t])

    single = [r for r in reasons(problem, solution) if r.interval_count == 1]
    moving = [r for r in single if r.action is not Action.HOLD]
    assert moving
    for reason in moving:
        t, s = reason.interval, int(reason.storage.removeprefix("store"))
        moved = schedule.charge_kw[s, t] - schedule.discharge_kw[s, t]
        dearer = paid(grid[t], t) - paid(grid[t] - moved, t)
        assert reason.site_value_per_kwh * moved == pytest.approx(dearer, abs=1e-9)
        at_the_margin = values.stored_per_kwh[s, t]
        if reason.action is Action.DISCHARGE:
            assert reason.next_best_per_kwh == pytest.approx(at_the_margin)
            assert reason.worth_per_kwh >= reason.next_best_per_kwh - 1e-9
        else:
            assert reason.site_value_per_kwh <= reason.next_best_per_kwh + 1e-9
