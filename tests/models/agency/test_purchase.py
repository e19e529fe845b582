"""The cheapest purchase: by hand, beside the reference, its slot prices, what stands in the way."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from loadloom.models.agency import purchase_referee as referee
from loadloom.models.agency.prices import affine, load_factor, piecewise
from loadloom.models.agency.purchase import (
    Block,
    Plant,
    PurchaseProblem,
    Spot,
    Store,
)
from loadloom.models.agency.purchase_linear import plan_purchase
from loadloom.models.agency.reference import reference_purchase
from loadloom.models.certificate import Proof
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon
from loadloom.solvers.termination import Reason

ANY = np.array(np.inf)


def horizon(count, step_h=1.0):
    return Horizon(start=datetime(2026, 1, 5, tzinfo=UTC), step_h=np.full(count, step_h))


def problem(load_kw, *plants, **more):
    load = np.array(load_kw, dtype=float)
    return PurchaseProblem(horizon=horizon(load.size), load_kw=load, plants=plants, **more)


def checked(asked):
    """The solution of a feasible purchase, refereed, its prices balanced."""
    solution = plan_purchase(asked)
    assert solution.termination.reason is Reason.OPTIMAL
    assert referee.violations(asked, solution.plan) == []
    found = referee.cost(asked, solution.plan).total
    assert found == pytest.approx(solution.cost, rel=1e-7, abs=1e-7)
    paid = solution.slot_price_per_kwh * asked.horizon.step_h @ asked.load_kw
    assert paid == pytest.approx(solution.cost + solution.rent, rel=1e-7, abs=1e-6)
    return solution


def test_a_load_factor_price_costs_what_the_design_says():
    """Curves (3, 1) and (1, 2) under 0.3 + 0.1 u cost 2.9, of which 1.8 and 1.1."""
    solution = checked(problem([4.0, 3.0], Plant(name="plant", schedule=affine(0.3, 0.1))))
    assert solution.cost == pytest.approx(2.9)
    assert solution.slot_price_per_kwh == pytest.approx([0.5, 0.3])
    shares = np.array([[3.0, 1.0], [1.0, 2.0]]) @ solution.slot_price_per_kwh
    assert shares == pytest.approx([1.8, 1.1])
    assert solution.rents == ()
    assert solution.proof is Proof.DUAL


def test_time_of_use_takes_the_cheaper_plant_in_each_slot():
    day = Plant(name="day", price_per_kwh=np.array([0.2, 0.4]))
    night = Plant(name="night", price_per_kwh=np.array([0.3, 0.1]))
    solution = checked(problem([10.0, 20.0], day, night))
    assert solution.cost == pytest.approx(10 * 0.2 + 20 * 0.1)
    assert solution.slot_price_per_kwh == pytest.approx([0.2, 0.1])
    assert solution.plan.power_kw == pytest.approx(np.array([[10.0, 0.0], [0.0, 20.0]]))


def test_blocks_fill_from_the_cheapest_and_their_limit_earns_a_rent():
    blocks = (Block(price_per_kwh=0.1, energy_kwh=15.0), Block(price_per_kwh=0.3))
    solution = checked(problem([10.0, 10.0], Plant(name="plant", blocks=blocks)))
    assert solution.cost == pytest.approx(15 * 0.1 + 5 * 0.3)
    assert solution.slot_price_per_kwh == pytest.approx([0.3, 0.3])
    (rent,) = solution.rents
    assert (rent.source, rent.rule) == ("plant", "blocks[0].energy_kwh")
    assert rent.amount == pytest.approx(15 * 0.2)


def test_a_capacity_price_is_paid_for_the_peak_alone():
    plant = Plant(name="plant", price_per_kwh=np.array(0.1), capacity_price_per_kw=2.0)
    solution = checked(problem([5.0, 8.0, 3.0], plant))
    assert solution.cost == pytest.approx(16 * 0.1 + 8 * 2.0)
    assert solution.slot_price_per_kwh == pytest.approx([0.1, 2.1, 0.1])


def test_a_spot_market_takes_the_peak_off_a_plant():
    """Above 5 kW a kW of capacity costs 2, and the market 0.8."""
    plant = Plant(name="plant", price_per_kwh=np.array(0.1), capacity_price_per_kw=2.0)
    spot = Spot(buy_price_per_kwh=np.array(0.9))
    solution = checked(problem([5.0, 8.0, 5.0], plant, spot=spot))
    assert solution.plan.spot_buy_kw == pytest.approx([0.0, 3.0, 0.0])
    assert solution.cost == pytest.approx(15 * 0.1 + 5 * 2.0 + 3 * 0.9)


def test_what_must_be_taken_is_sold_and_costs_a_rent():
    plant = Plant(name="plant", price_per_kwh=np.array(0.5), energy_min_kwh=30.0)
    spot = Spot(buy_price_per_kwh=np.array(0.3), sell_price_per_kwh=np.array(0.2), sell_max_kw=ANY)
    solution = checked(problem([10.0, 10.0], plant, spot=spot))
    assert solution.cost == pytest.approx(30 * 0.5 - 10 * 0.2)
    (rent,) = solution.rents
    assert (rent.rule, rent.amount) == ("energy_min_kwh", pytest.approx(-30 * 0.3))


def test_a_store_moves_energy_to_the_dear_slot():
    spot = Spot(buy_price_per_kwh=np.array([0.1, 0.5]))
    store = Store(
        energy_max_kwh=4.0, charge_max_kw=10.0, discharge_max_kw=10.0, charge_efficiency=0.8
    )
    solution = checked(problem([10.0, 10.0], spot=spot, store=store))
    assert solution.cost == pytest.approx(15 * 0.1 + 6 * 0.5)
    assert {rent.source for rent in solution.rents} == {"store"}


def test_a_store_wastes_nothing_where_energy_is_a_burden():
    """At a price of -1 the store would take in and give out at once, and be paid for the loss."""
    spot = Spot(buy_price_per_kwh=np.array([-1.0, 0.5]), sell_price_per_kwh=np.array(-1.0))
    store = Store(
        energy_max_kwh=2.0,
        charge_max_kw=8.0,
        discharge_max_kw=8.0,
        charge_efficiency=0.5,
        discharge_efficiency=0.5,
    )
    asked = problem([10.0, 10.0], spot=spot, store=store)
    solution = checked(asked)
    assert np.minimum(solution.plan.charge_kw, solution.plan.discharge_kw).max() == 0.0
    assert solution.proof is Proof.BRANCH_AND_BOUND
    assert solution.cost == pytest.approx(reference_purchase(asked).cost)
    assert solution.cost == pytest.approx(-14.0 + 9.0 * 0.5)


def test_a_load_beyond_all_plants_is_named_with_its_slots():
    asked = problem([5.0, 9.0, 8.0, 5.0], Plant(name="plant", power_max_kw=np.array(7.0)))
    solution = plan_purchase(asked)
    assert solution.termination.reason is Reason.INFEASIBLE
    (conflict,) = solution.conflicts
    assert (conflict.source, conflict.rule) == ("load", "balance")
    assert (conflict.slot, conflict.slot_count) == (1, 2)
    assert conflict.amount_kwh == pytest.approx(3.0)
    assert conflict.peak_kw == pytest.approx(2.0)
    assert "01:00 to 03:00" in conflict.message


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"energy_min_kwh": 30.0}, "energy_min_kwh"),
        ({"energy_max_kwh": 15.0}, "energy_max_kwh"),
        ({"power_min_kw": np.array(12.0)}, "power_min_kw"),
    ],
)
def test_a_plant_that_does_not_fit_the_load_is_named(more, rule):
    """The least change may as well be that of the balance, whose slots say the same."""
    solution = plan_purchase(problem([10.0, 10.0], Plant(name="plant", **more)))
    assert solution.termination.reason is Reason.INFEASIBLE
    assert {conflict.rule for conflict in solution.conflicts} <= {rule, "balance"}
    short = {30.0: 10.0, 15.0: 5.0}.get(next(iter(more.values())).__float__(), 4.0)
    assert sum(each.amount_kwh for each in solution.conflicts) == pytest.approx(short)


def test_all_faults_are_told_at_once():
    falling = (Block(price_per_kwh=0.3), Block(price_per_kwh=0.1))
    with pytest.raises(InvalidProblem) as caught:
        problem(
            [10.0, -1.0],
            Plant(name="a", schedule=load_factor(0.6, 0.2)),
            Plant(name="a", blocks=falling, energy_min_kwh=2.0, energy_max_kwh=1.0),
            spot=Spot(
                buy_price_per_kwh=np.array(0.1), sell_price_per_kwh=np.array(0.2), sell_max_kw=ANY
            ),
            store=Store(energy_max_kwh=1.0, charge_max_kw=-1.0, discharge_max_kw=1.0),
        )
    paths = {violation.path for violation in caught.value.violations}
    assert paths == {
        "load_kw[1]",
        "plants[1].name",
        "plants[0].schedule",
        "plants[1].blocks[1].price_per_kwh",
        "plants[1].energy_min_kwh",
        "spot.sell_price_per_kwh",
        "store.charge_max_kw",
    }


def random_problem(random):
    count = int(random.integers(2, 7))
    load = random.uniform(0.0, 10.0, count)
    schedules = (affine(0.2, 0.1), piecewise([1.0, 1.5, 3.0], [0.3, 0.35, 0.8]), None)
    plants = tuple(
        Plant(
            name=f"plant {j}",
            price_per_kwh=random.uniform(0.0, 0.4, random.choice([0, count]) or ()),
            schedule=schedules[random.integers(3)],
            capacity_price_per_kw=float(random.choice([0.0, 0.5])),
            blocks=(
                Block(price_per_kwh=0.0, power_kw=6.0, energy_kwh=float(random.uniform(5, 20))),
                Block(price_per_kwh=0.2, power_kw=6.0),
            )
            if random.random() < 0.5
            else (),
            power_max_kw=random.uniform(4.0, 12.0, count),
            power_min_kw=np.array(float(random.choice([0.0, 0.0, 0.5]))),
            energy_max_kwh=float(random.choice([np.inf, 6.0 * count])),
            energy_min_kwh=float(random.choice([0.0, 2.0])),
        )
        for j in range(random.integers(1, 4))
    )
    buy = random.uniform(-0.2, 1.0, count)
    spot = Spot(
        buy_price_per_kwh=buy,
        sell_price_per_kwh=buy - 0.1,
        buy_max_kw=random.uniform(0.0, 8.0, count),
        sell_max_kw=np.array(float(random.choice([0.0, 4.0]))),
    )
    store = Store(
        energy_max_kwh=6.0,
        charge_max_kw=3.0,
        discharge_max_kw=3.0,
        charge_efficiency=0.9,
        discharge_efficiency=0.9,
        initial_energy_kwh=1.0,
        end_energy_min_kwh=float(random.choice([0.0, 1.0])),
    )
    return PurchaseProblem(
        horizon=horizon(count, float(random.choice([0.25, 1.0]))),
        load_kw=load,
        plants=plants,
        spot=spot if random.random() < 0.7 else None,
        store=store if random.random() < 0.5 else None,
    )


@pytest.mark.parametrize("part", range(4))
def test_the_reference_finds_the_same_cost(part):
    random = np.random.default_rng(part)
    feasible = 0
    for _ in range(50):
        asked = random_problem(random)
        ours, theirs = plan_purchase(asked), reference_purchase(asked)
        assert (ours.plan is None) == (theirs.plan is None)
        if ours.plan is None:
            assert ours.conflicts
            continue
        feasible += 1
        checked(asked)
        assert referee.violations(asked, theirs.plan) == []
        assert ours.cost == pytest.approx(theirs.cost, rel=1e-6, abs=1e-6)
    assert feasible >= 20


def test_more_limits_never_cost_less_and_more_load_costs_at_least_its_price():
    random = np.random.default_rng(9)
    compared = 0
    for _ in range(40):
        asked = random_problem(random)
        first = plan_purchase(asked)
        if first.plan is None or asked.store is not None:
            continue
        compared += 1
        tighter = replace(
            asked, plants=tuple(replace(p, capacity_price_per_kw=1.0) for p in asked.plants)
        )
        assert plan_purchase(tighter).cost >= first.cost - 1e-7
        slot = int(random.integers(asked.horizon.count))
        more = asked.load_kw.copy()
        more[slot] += 0.1
        second = plan_purchase(replace(asked, load_kw=more))
        price = first.slot_price_per_kwh[slot] * asked.horizon.step_h[slot] * 0.1
        # The cost is convex in the load, so that its price is a tangent from below.
        assert second.plan is None or second.cost >= first.cost + price - 1e-7
    assert compared >= 10


def test_owen_shares_leave_no_group_better_off_alone():
    """A cone of rules: no group of users could have bought its own load for less than its share."""
    random = np.random.default_rng(3)
    loads = random.uniform(0.0, 5.0, (6, 4))
    plants = (
        Plant(name="a", schedule=affine(0.2, 0.15)),
        Plant(name="b", price_per_kwh=np.array([0.5, 0.3, 0.2, 0.6]), capacity_price_per_kw=0.2),
    )
    whole = checked(problem(loads.sum(axis=0), *plants))
    assert whole.rents == ()
    shares = loads @ whole.slot_price_per_kwh
    assert shares.sum() == pytest.approx(whole.cost)
    for members in range(1, 64):
        group = [i for i in range(6) if members >> i & 1]
        alone = plan_purchase(problem(loads[group].sum(axis=0), *plants))
        assert shares[group].sum() <= alone.cost + 1e-7
