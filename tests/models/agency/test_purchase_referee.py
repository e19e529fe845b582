"""The referee of purchases: a plan by hand, and every rule that can be broken, told by its name."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from loadloom.models.agency import purchase_referee as referee
from loadloom.models.agency.prices import affine
from loadloom.models.agency.purchase import (
    Block,
    Plant,
    PurchasePlan,
    PurchaseProblem,
    Spot,
    Store,
)
from loadloom.models.horizon import Horizon

HORIZON = Horizon(start=datetime(2026, 1, 5, tzinfo=UTC), step_h=np.array([1.0, 0.5]))
BLOCKS = (
    Block(price_per_kwh=0.1, power_kw=4.0, energy_kwh=5.0),
    Block(price_per_kwh=0.2),
)
PLANT = Plant(
    name="hill",
    price_per_kwh=np.array([0.3, 0.2]),
    schedule=affine(0.1, 0.05),
    blocks=BLOCKS,
    capacity_price_per_kw=2.0,
    power_min_kw=np.array(1.0),
    power_max_kw=np.array(7.0),
    energy_min_kwh=5.0,
    energy_max_kwh=12.0,
)
SPOT = Spot(
    buy_price_per_kwh=np.array([0.5, 0.4]),
    sell_price_per_kwh=np.array([0.1, 0.2]),
    buy_max_kw=np.array(9.0),
    sell_max_kw=np.array(2.0),
)
STORE = Store(
    energy_max_kwh=4.0,
    charge_max_kw=3.0,
    discharge_max_kw=3.0,
    charge_efficiency=0.8,
    discharge_efficiency=0.9,
    initial_energy_kwh=1.0,
    end_energy_min_kwh=1.0,
)
PROBLEM = PurchaseProblem(
    horizon=HORIZON, load_kw=np.array([10.0, 4.8]), plants=(PLANT,), spot=SPOT, store=STORE
)
PLAN = PurchasePlan(
    power_kw=np.array([[6.0, 4.0]]),
    block_kw=(np.array([[4.0, 2.0], [2.0, 2.0]]),),
    spot_buy_kw=np.array([6.0, 0.0]),
    spot_sell_kw=np.array([0.0, 1.0]),
    charge_kw=np.array([2.0, 0.0]),
    discharge_kw=np.array([0.0, 1.8]),
    energy_kwh=np.array([2.6, 1.6]),  # 1 + 0.8 * 2, and half an hour of 1.8 / 0.9 less
)
STEP = 1e-3


def told(problem=PROBLEM, plan=PLAN) -> set[str]:
    """The rules that are broken, without their slots."""
    found = referee.violations(problem, plan)
    return {re.sub(r"\[\d+\]$", "", violation.path) for violation in found}


def of_plant(**changes) -> PurchaseProblem:
    return replace(PROBLEM, plants=(replace(PLANT, **changes),))


def of_block(number, **changes) -> PurchaseProblem:
    blocks = list(BLOCKS)
    blocks[number] = replace(blocks[number], **changes)
    return of_plant(blocks=tuple(blocks))


def moved(**changes) -> PurchasePlan:
    """The plan with changes added to columns."""
    return replace(PLAN, **{name: getattr(PLAN, name) + by for name, by in changes.items()})


def test_a_plan_that_keeps_all_rules_and_what_it_costs():
    assert told() == set()
    found = referee.cost(PROBLEM, PLAN)
    (plant,) = found.plants
    assert (plant.energy_kwh, plant.peak_kw) == (8.0, 6.0)
    assert plant.load_factor == pytest.approx(8 / 9)
    assert plant.energy_cost == pytest.approx(0.3 * 6 + 0.2 * 4 * 0.5)
    assert plant.block_cost == pytest.approx(0.1 * 5 + 0.2 * 3)
    assert plant.schedule_cost == pytest.approx(8 * (0.1 + 0.05 * 9 / 8))
    assert plant.capacity_cost == pytest.approx(12.0)
    assert found.spot_bought == pytest.approx(0.5 * 6)
    assert found.spot_sold == pytest.approx(0.2 * 1 * 0.5)
    assert found.total == pytest.approx(2.2 + 1.1 + 1.25 + 12.0 + 3.0 - 0.1)


def test_a_plant_that_stands_still_costs_nothing_by_its_load_factor():
    none = moved(power_kw=-PLAN.power_kw, block_kw=())
    plan = replace(none, block_kw=(0.0 * PLAN.block_kw[0],))
    (plant,) = referee.cost(PROBLEM, plan).plants
    assert (plant.load_factor, plant.total) == (0.0, 0.0)


@pytest.mark.parametrize("by", [-STEP, STEP])
@pytest.mark.parametrize("slot", [0, 1])
def test_a_load_that_is_not_what_was_bought(slot, by):
    load = PROBLEM.load_kw.copy()
    load[slot] += by
    assert told(replace(PROBLEM, load_kw=load)) == {"balance"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"power_max_kw": np.array(6.0 - STEP)}, "plants[0].power_kw"),
        ({"power_min_kw": np.array(4.0 + STEP)}, "plants[0].power_kw"),
        ({"energy_min_kwh": 8.0 + STEP}, "plants[0].energy_kwh"),
        ({"energy_max_kwh": 8.0 - STEP}, "plants[0].energy_kwh"),
    ],
)
def test_a_limit_of_a_plant_is_passed(changes, rule):
    assert told(of_plant(**changes)) == {rule}


def test_limits_of_blocks_are_passed():
    assert told(of_block(0, power_kw=4.0 - STEP)) == {"plants[0].blocks[0].power_kw"}
    assert told(of_block(0, energy_kwh=5.0 - STEP)) == {"plants[0].blocks[0].energy_kwh"}
    for by in (-STEP, STEP):
        blocks = PLAN.block_kw[0].copy()
        blocks[1] += by
        assert told(plan=replace(PLAN, block_kw=(blocks,))) == {"plants[0].block_kw"}
    free = of_block(0, power_kw=np.inf, energy_kwh=np.inf)
    blocks = np.array([[6.0 + STEP, 2.0], [-STEP, 2.0]])
    assert told(free, replace(PLAN, block_kw=(blocks,))) == {"plants[0].blocks[1].power_kw"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"buy_max_kw": np.array(6.0 - STEP)}, "spot_buy_kw"),
        ({"sell_max_kw": np.array(1.0 - STEP)}, "spot_sell_kw"),
    ],
)
def test_a_limit_of_the_market_is_passed(changes, rule):
    assert told(replace(PROBLEM, spot=replace(SPOT, **changes))) == {rule}


@pytest.mark.parametrize(
    ("slot", "by", "rule"),
    [
        (0, STEP, "spot_buy_kw and spot_sell_kw"),
        (1, STEP, "spot_buy_kw and spot_sell_kw"),
        (0, -STEP, "spot_sell_kw"),
        (1, -STEP, "spot_buy_kw"),
    ],
)
def test_buying_and_selling_at_once_or_less_than_nothing(slot, by, rule):
    change = np.zeros(2)
    change[slot] = by
    assert told(plan=moved(spot_buy_kw=change, spot_sell_kw=change)) == {rule}


def test_trade_without_a_market_and_storage_without_a_store():
    assert told(replace(PROBLEM, spot=None)) == {"spot_buy_kw", "spot_sell_kw"}
    assert told(replace(PROBLEM, store=None)) == {"charge_kw, discharge_kw and energy_kwh"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"charge_max_kw": 2.0 - STEP}, "charge_kw"),
        ({"discharge_max_kw": 1.8 - STEP}, "discharge_kw"),
        ({"energy_max_kwh": 2.6 - STEP}, "energy_kwh"),
        ({"end_energy_min_kwh": 1.6 + STEP}, "end_energy_kwh"),
        ({"initial_energy_kwh": 1.0 + STEP}, "energy_kwh of the balance"),
        ({"charge_efficiency": 0.8 + STEP}, "energy_kwh of the balance"),
        ({"discharge_efficiency": 0.9 + STEP}, "energy_kwh of the balance"),
    ],
)
def test_a_rule_of_the_store_is_broken(changes, rule):
    assert told(replace(PROBLEM, store=replace(STORE, **changes))) == {rule}


@pytest.mark.parametrize("slot", [0, 1])
def test_energy_that_comes_from_nowhere(slot):
    change = np.zeros(2)
    change[slot] = STEP
    assert told(plan=moved(energy_kwh=change)) == {"energy_kwh of the balance"}


def test_charging_and_discharging_at_once_and_less_than_nothing():
    lost = 0.5 * (STEP / 0.9 - 0.8 * STEP)  # in the half hour of the second slot
    both, second = np.array([0.0, STEP]), np.array([0.0, lost])
    plan = moved(charge_kw=both, discharge_kw=both, energy_kwh=-second)
    assert told(plan=plan) == {"charge_kw and discharge_kw"}
    plan = moved(charge_kw=-both, discharge_kw=-both, energy_kwh=second)
    assert told(plan=plan) == {"charge_kw"}
    first = np.array([STEP, 0.0])
    gained = np.array([1.0, 1.0]) * (STEP / 0.9 - 0.8 * STEP)
    plan = moved(charge_kw=-first, discharge_kw=-first, energy_kwh=gained)
    assert told(plan=plan) == {"discharge_kw"}


@pytest.mark.parametrize(
    "name", ["power_kw", "spot_buy_kw", "spot_sell_kw", "charge_kw", "discharge_kw", "energy_kwh"]
)
def test_what_is_no_number_keeps_no_rule(name):
    column = getattr(PLAN, name).copy()
    column.reshape(-1)[1] = np.nan
    assert any(name in rule for rule in told(plan=replace(PLAN, **{name: column})))


def test_rounding_breaks_no_rule():
    """A millionth of the highest load, as solvers leave it."""
    tiny = 0.5e-6 * 10.0
    assert told(plan=moved(power_kw=tiny)) == set()
    assert told(plan=moved(power_kw=4 * tiny)) == {"balance", "plants[0].block_kw"}
