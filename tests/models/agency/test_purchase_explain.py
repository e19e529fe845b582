"""What one more MW costs in each slot, who would deliver it, and who cannot."""

from datetime import UTC, datetime

import numpy as np
import pytest

from loadloom.models.agency.prices import affine
from loadloom.models.agency.purchase import Block, Plant, PurchaseProblem, Spot, Store
from loadloom.models.agency.purchase_explain import slot_reasons
from loadloom.models.agency.purchase_linear import plan_purchase
from loadloom.models.horizon import Horizon


def explained(load_kw, *plants, **more):
    load = np.array(load_kw, dtype=float)
    horizon = Horizon(start=datetime(2026, 1, 5, tzinfo=UTC), step_h=np.ones(load.size))
    problem = PurchaseProblem(horizon=horizon, load_kw=load, plants=plants, **more)
    solution = plan_purchase(problem)
    assert solution.plan is not None
    return slot_reasons(problem, solution)


def test_the_dearer_plant_sets_the_price_where_the_cheaper_is_full():
    cheap = Plant(name="hydro", price_per_kwh=np.array(0.1), power_max_kw=np.array(6.0))
    dear = Plant(name="gas", price_per_kwh=np.array(0.3))
    low, high = explained([4.0, 4.0, 9.0], cheap, dear)
    assert (low.slot, low.slot_count, low.marginal, low.at_limit) == (0, 2, ("hydro",), ())
    assert low.per_mw == pytest.approx(200.0)
    assert (high.slot, high.slot_count) == (2, 1)
    assert (high.marginal, high.at_limit) == (("gas",), ("hydro",))
    assert high.text == (
        "from 02:00 to 03:00 one more MW would cost 300.00, 0.3000 a kWh; gas would deliver it;"
        " hydro can deliver no more"
    )


def test_a_slot_of_the_peak_says_whose_it_is():
    low, high = explained([4.0, 5.0], Plant(name="plant", schedule=affine(0.3, 0.1)))
    assert (low.at_peak, high.at_peak) == ((), ("plant",))
    assert low.price_per_kwh == pytest.approx(0.3)
    assert high.price_per_kwh == pytest.approx(0.5)
    assert high.text.endswith("it is the peak of plant")


def test_used_up_blocks_and_energies_are_limits():
    block = Block(price_per_kwh=0.0, energy_kwh=6.0)
    first = Plant(name="block", price_per_kwh=np.array(0.1), blocks=(block,))
    second = Plant(name="hydro", price_per_kwh=np.array(0.2), energy_max_kwh=2.0)
    spot = Spot(buy_price_per_kwh=np.array(0.5))
    (reason,) = explained([5.0, 5.0], first, second, spot=spot)[:1]
    assert set(reason.at_limit) == {"block", "hydro"}
    assert reason.per_mw == pytest.approx(500.0 * reason.slot_count)


def test_a_store_that_can_give_no_more_is_at_a_limit():
    spot = Spot(buy_price_per_kwh=np.array([0.1, 0.5]))
    store = Store(energy_max_kwh=9.0, charge_max_kw=9.0, discharge_max_kw=2.0)
    night, day = explained([5.0, 5.0], spot=spot, store=store)
    assert night.marginal == ("spot market", "store")
    assert (day.marginal, day.at_limit) == (("spot market",), ("store",))


def test_nothing_is_said_without_a_plan():
    load = np.array([9.0])
    horizon = Horizon(start=datetime(2026, 1, 5, tzinfo=UTC), step_h=np.ones(1))
    plant = Plant(name="small", power_max_kw=np.array(1.0))
    problem = PurchaseProblem(horizon=horizon, load_kw=load, plants=(plant,))
    assert slot_reasons(problem, plan_purchase(problem)) == []
