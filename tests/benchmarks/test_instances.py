"""The instances are what they are said to be."""

import numpy as np
import pytest

from benchmarks import instances
from benchmarks.instances import HORIZONS, business, business_batch, street, street_batch


@pytest.mark.parametrize("count", HORIZONS)
def test_the_business_has_positive_prices_and_a_varied_day(count):
    problem = business(count)
    assert problem.horizon.count == count
    meter = problem.meter
    assert np.all(meter.sell_price_per_kwh >= 0.0)
    assert np.all(meter.buy_price_per_kwh > meter.sell_price_per_kwh)
    assert np.ptp(problem.net_load_kw) > 40.0


def test_variants_differ_in_prices_only():
    one, other = business(96, 1), business(96, 2)
    assert np.all(one.meter.buy_price_per_kwh != other.meter.buy_price_per_kwh)
    assert np.array_equal(one.net_load_kw, other.net_load_kw)


def test_the_same_variant_is_the_same_site():
    one, other = business(672, 3), business(672, 3)
    assert np.array_equal(one.meter.buy_price_per_kwh, other.meter.buy_price_per_kwh)


def test_negative_prices_are_negative_on_both_sides_of_the_meter():
    meter = instances.negative_prices(96).meter
    assert meter.buy_price_per_kwh.min() < -0.1
    assert meter.sell_price_per_kwh.min() < -0.1


def test_a_batch_of_businesses_holds_the_businesses():
    batch = business_batch(96, 2)
    for row in range(2):
        one, other = batch.site(row), business(96, row + 1)
        assert np.allclose(one.meter.buy_price_per_kwh, other.meter.buy_price_per_kwh)
        assert np.array_equal(one.net_load_kw, other.net_load_kw)
        assert one.storages[0].targets[-1].min_kwh == other.storages[0].targets[-1].min_kwh


def test_full_profiles_are_eight_full_matrices():
    full = street(5, seed=0, full=True)
    assert sum(matrix.shape == (5, 96) for matrix in full.values()) == 8
    lean = street(5, seed=0)
    assert sum(matrix.shape == (5, 96) for matrix in lean.values()) == 2
    assert all(np.array_equal(np.broadcast_to(lean[n], m.shape), m) for n, m in full.items())


def test_homes_differ_and_seeds_repeat():
    batch, again, other = (street_batch(20, seed) for seed in (1, 1, 2))
    assert np.unique(batch.energy_max_kwh).size == 20
    assert np.array_equal(batch.load_kw, again.load_kw)
    assert not np.array_equal(batch.load_kw, other.load_kw)


def test_negative_days_are_days_on_which_buying_is_paid_for():
    days = instances.negative_days()
    assert len({problem.horizon.start for problem in days}) == len(days) > 20
    for problem in days:
        assert problem.horizon.start.year == 2024
        assert np.count_nonzero(problem.meter.buy_price_per_kwh < 0.0) >= 8
