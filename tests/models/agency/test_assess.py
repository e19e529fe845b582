"""The diagnosis of price schedules: counterexamples that are ones, and what users can expect."""

from datetime import UTC, datetime

import numpy as np
import pytest

from loadloom.models.agency import games, prices
from loadloom.models.agency.assess import assess
from loadloom.models.agency.cost import PooledCost, total
from loadloom.models.agency.problem import Curves, Peak, PeakMode
from loadloom.models.horizon import Horizon
from tests.models.agency.test_prices import STABLE, UNSTABLE


def curves(load):
    horizon = Horizon(start=datetime(2026, 3, 2, tzinfo=UTC), step_h=np.ones(load.shape[1]))
    return Curves(names=tuple(f"u{i}" for i in range(len(load))), load_kw=load, horizon=horizon)


@pytest.mark.parametrize("name", STABLE)
def test_a_stable_schedule_has_no_counterexample(name):
    found = assess(STABLE[name])
    assert found.is_stable
    assert found.counterexample is None
    assert found.text[0].startswith("The schedule is stable")


@pytest.mark.parametrize("name", UNSTABLE)
def test_an_unstable_schedule_has_a_counterexample(name):
    """Its users pay more together than apart, as is found anew here."""
    found = assess(UNSTABLE[name])
    assert not found.is_stable
    example = found.counterexample
    assert_loses(UNSTABLE[name], example)
    assert example.loss > 1e-3 * example.alone.sum()
    assert "apart" in example.text


def assert_loses(schedule, example):
    """An example's users pay what the schedule asks by their load factors, more together."""
    assert example.load_kw.min() >= 0.0
    assert example.step_h.min() > 0.0

    def cost(load):
        energy = load @ example.step_h
        return energy * float(schedule.value(example.step_h.sum() * load.max() / energy))

    alone = [cost(load) for load in example.load_kw]
    assert example.alone == pytest.approx(alone)
    assert example.together == pytest.approx(cost(example.load_kw.sum(axis=0)))
    assert example.loss > 0.0


@pytest.mark.parametrize(
    "schedule",
    [
        prices.piecewise((1.0, 1e9), (2.0, 1.0)),
        prices.piecewise((1.0, 1.0001, 1e6), (1.0, 0.9, 5.0)),
        prices.piecewise((1.0, 1e6, 1e6 + 1.0), (1.0, 2.0, 2.0)),
        prices.tiers((0.0, 1e-9), (2.0, 1.0)),
        prices.load_factor(0.6, -0.2),
    ],
)
def test_a_counterexample_is_small_however_low_the_load_factors_are(schedule):
    example = assess(schedule).counterexample
    assert example.load_kw.size <= 6
    assert_loses(schedule, example)
    assert example.loss > 1e-2 * example.alone.sum()


def test_many_tiers_are_diagnosed():
    """As many as a request may have."""
    steps = np.linspace(0.0, 1.0, 1000, endpoint=False)
    schedule = prices.tiers(steps.tolist(), (2.0 - steps).tolist())
    assert_loses(schedule, assess(schedule).counterexample)


def test_the_price_by_load_factor_loses_by_pooling():
    """Curves (1, 1) and (1, 0) at 0.6 - 0.2 LF."""
    found = assess(prices.load_factor(0.6, 0.2), curves(np.array([[1.0, 1.0], [1.0, 0.0]])))
    pooling = found.pooling
    assert pooling.together == pytest.approx(1.35)
    assert pooling.alone == pytest.approx(1.3)
    assert pooling.saving == pytest.approx(-0.05)
    # However 1.35 is shared, one of both pays at least 0.025 too much.
    assert pooling.least_excess_low == pytest.approx(0.025)
    assert pooling.least_excess_high == pytest.approx(0.025)
    assert "pooling loses 0.05" in pooling.text[0]
    assert "No shares are stable" in pooling.text[2]


@pytest.mark.parametrize("count", [3, 8, 24, 60])
@pytest.mark.parametrize("mode", list(PeakMode))
def test_stable_schedules_have_stable_shares(count, mode):
    load = np.random.default_rng(count).random((count, 12)) ** 2
    found = assess(prices.affine(0.3, 0.1), curves(load), Peak(mode=mode)).pooling
    assert found.saving > 0.0
    assert found.excess.bound <= 1e-9 * found.together
    assert found.least_excess_high <= 1e-9 * found.together
    assert found.text[2] == "There are shares that no coalition can improve on."


def test_the_least_excess_of_tiers():
    """The one of all 2^n coalitions for few users; between bounds that hold it for more."""
    generator = np.random.default_rng(12)
    schedule = prices.tiers((0.0, 0.5, 0.6), (0.6, 0.5, 0.4))
    seen = 0
    for _ in range(6):
        load = generator.random((9, 8)) ** 2
        found = assess(schedule, curves(load)).pooling
        cost = PooledCost(schedule=schedule, step_h=np.ones(8))
        costs = games.coalition_costs(load, cost)
        least = games.least_core(costs).excess
        assert found.least_excess_low == found.least_excess_high == pytest.approx(least)
        seen += least > 1e-6
        for share in (games.nucleolus(costs), games.shapley(costs)):
            assert games.largest_complaint(costs, share)[0] >= least - 1e-6
    assert seen
    many = assess(schedule, curves(generator.random((30, 8)) ** 2)).pooling
    assert many.least_excess_low <= many.least_excess_high


def test_bounds_of_the_least_excess_hold(monkeypatch):
    """Found without enumeration, they are on both sides of the one that enumeration finds."""
    from loadloom.models.agency import assess as module
    from loadloom.models.agency import share_report

    generator = np.random.default_rng(3)
    for schedule in (prices.tiers((0.0, 0.5, 0.6), (0.6, 0.5, 0.4)), prices.load_factor(0.6, 0.3)):
        load = generator.random((10, 6)) ** 3
        cost = PooledCost(schedule=schedule, step_h=np.ones(6))
        least = games.least_core(games.coalition_costs(load, cost)).excess
        with monkeypatch.context() as patch:
            patch.setattr(module, "MOST_ENUMERATED", 0)
            patch.setattr(share_report, "MOST_ENUMERATED", 0)
            for values in (0, 40_000):
                patch.setattr(module, "_GENERATED_VALUES", values)
                found = assess(schedule, curves(load)).pooling
                rounding = 1e-6 * float(cost.value(total(load)))
                assert found.least_excess_low <= least + rounding
                assert found.least_excess_high >= least - rounding
