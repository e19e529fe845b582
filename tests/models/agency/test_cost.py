"""The cost of a pooled load and its gradient: by hand, and the laws that shares rest on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loadloom.models.agency import cost as cost_module
from loadloom.models.agency import prices
from loadloom.models.agency.cost import PooledCost, inverse_load_factor, total, widened
from loadloom.models.agency.problem import Peak, PeakMode
from loadloom.models.checks import InvalidProblem

MODES = {
    "monthly": Peak(),
    "top peaks": Peak(mode=PeakMode.MEAN_OF_TOP_PEAKS, count=2),
    "daily": Peak(mode=PeakMode.DAILY),
}
SCHEDULES = {
    "affine": prices.affine(0.3, 0.1),
    "pieces": prices.piecewise((1.0, 1.3, 2.0), (0.4, 0.42, 0.6)),
    "load factor": prices.load_factor(0.6, 0.2),
    "tiers": prices.tiers((0.0, 0.5, 0.7), (0.6, 0.55, 0.5)),
}


def uneven(schedule, peak=None):
    """Three days of four slots of changing length."""
    step_h = np.tile([1.0, 0.5, 0.25, 2.0], 3)
    return PooledCost(
        schedule=schedule, step_h=step_h, day=np.repeat([4, 7, 8], 4), peak=peak or Peak()
    )


def loads(seed, count=5):
    generator = np.random.default_rng(seed)
    return generator.random((count, 12)) * generator.random((count, 1))


def test_the_example_by_hand():
    """Curves (3, 1) and (1, 2) at 0.3 + 0.1 u."""
    cost = PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.ones(2))
    load = np.array([[3.0, 1.0], [1.0, 2.0]])
    assert cost.inverse_load_factor(total(load)) == pytest.approx([8 / 7])
    assert float(cost.value(total(load))) == pytest.approx(2.9)
    assert cost.at_prices(load, cost.slot_prices(total(load))) == pytest.approx([1.8, 1.1])


def test_the_price_by_load_factor_by_hand():
    """At 0.6 - 0.2 LF the curves (1, 1) and (1, 0) cost 0.80 and 0.50, and 1.35 together."""
    cost = PooledCost(schedule=prices.load_factor(0.6, 0.2), step_h=np.ones(2))
    load = np.array([[1.0, 1.0], [1.0, 0.0]])
    assert cost.value(load) == pytest.approx([0.8, 0.5])
    assert float(cost.value(total(load))) == pytest.approx(1.35)


def test_perfect_complements_have_a_load_factor_of_1():
    cost = PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.ones(2))
    assert cost.inverse_load_factor(np.array([1.0, 1.0])) == pytest.approx([1.0])
    shares = cost.at_prices(np.eye(2), cost.slot_prices(np.ones(2)))
    assert shares == pytest.approx([0.4, 0.4])
    assert cost.value(np.eye(2)) == pytest.approx([0.5, 0.5])


def test_peaks_of_days_by_hand():
    total_kw = np.array([1.0, 5.0, 2.0, 7.0, 3.0, 4.0])
    days, one = np.array([0, 0, 1, 1, 2, 2]), prices.affine(0.0, 1.0)
    top = PooledCost(schedule=one, step_h=np.ones(6), day=days, peak=MODES["top peaks"])
    assert top.peak_kw(total_kw) == pytest.approx([6.0])  # of 5, 7 and 4
    assert top.peak_weights(total_kw) == pytest.approx([0, 0.5, 0, 0.5, 0, 0])
    daily = PooledCost(schedule=one, step_h=np.ones(6), day=days, peak=MODES["daily"])
    assert daily.peak_kw(total_kw) == pytest.approx([5.0, 7.0, 4.0])
    assert daily.inverse_load_factor(total_kw) == pytest.approx([10 / 6, 14 / 9, 8 / 7])
    assert float(daily.value(total_kw)) == pytest.approx(10.0 + 14.0 + 8.0)  # g = u: E u = H P


def test_tied_peaks_share_the_weight_by_their_hours():
    cost = PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.array([1.0, 0.5, 0.5, 1.0]))
    weights = cost.peak_weights(np.array([4.0, 4.0 * (1 + 5e-10), 1.0, 4.0 * (1 - 1e-8)]))
    assert weights == pytest.approx([2 / 3, 1 / 3, 0.0, 0.0])


def test_days_that_tie_for_the_last_top_peak_share_its_place():
    cost = PooledCost(
        schedule=prices.affine(0.3, 0.1),
        step_h=np.ones(4),
        day=np.arange(4),
        peak=MODES["top peaks"],
    )
    assert cost.peak_weights(np.array([5.0, 3.0, 3.0, 1.0])) == pytest.approx([0.5, 0.25, 0.25, 0])
    assert cost.peak_weights(np.array([3.0, 3.0, 3.0, 1.0])) == pytest.approx([1 / 3] * 3 + [0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("seed", range(4))
def test_laws_of_the_cost(name, mode, seed):
    cost, load = uneven(SCHEDULES[name], MODES[mode]), loads(seed)
    everybody = total(load)
    amount = float(cost.value(everybody))
    price = cost.slot_prices(everybody)
    shares = cost.at_prices(load, price)
    # Balance, scale, and one user who bears it all.
    assert abs(shares.sum() - amount) <= 1e-12 * amount
    assert float(cost.value(3.0 * everybody)) == pytest.approx(3.0 * amount)
    np.testing.assert_allclose(cost.slot_prices(3.0 * everybody), price)
    assert cost.at_prices(everybody[None], price) == pytest.approx([amount])
    # Users alike in shape pay by their size; nobody's share depends on how others are cut.
    alike = everybody * np.array([[0.2], [0.5], [0.3]])
    np.testing.assert_allclose(cost.at_prices(alike, price), amount * np.array([0.2, 0.5, 0.3]))
    split = np.concatenate((load[:1] * 0.25, load[:1] * 0.75, load[1:]))
    again = cost.at_prices(split, cost.slot_prices(total(split)))
    assert again[0] + again[1] == pytest.approx(shares[0])
    np.testing.assert_allclose(again[2:], shares[1:])
    # The columns of many users are those of each.
    np.testing.assert_allclose(cost.standalone(load), [float(cost.value(own)) for own in load])
    np.testing.assert_allclose(
        cost.without(load, everybody), [float(cost.value(everybody - own)) for own in load]
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["affine", "pieces", "load factor"])
def test_slot_prices_are_the_gradient(name, mode):
    cost, everybody = uneven(SCHEDULES[name], MODES[mode]), total(loads(9))
    price, step = cost.slot_prices(everybody), 1e-6
    for slot in range(12):
        more, less = everybody.copy(), everybody.copy()
        more[slot] += step
        less[slot] -= step
        rise = float(cost.value(more) - cost.value(less)) / (2.0 * step)
        assert price[slot] * cost.step_h[slot] == pytest.approx(rise, abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_slot_cut_in_two_changes_nothing(mode):
    peak, load = MODES[mode], loads(3)
    cost = uneven(SCHEDULES["pieces"], peak)
    at = int(np.argmax(total(load)))
    step_h = np.insert(cost.step_h, at, cost.step_h[at] / 4.0)
    step_h[at + 1] *= 3.0 / 4.0
    cut = PooledCost(
        schedule=cost.schedule, step_h=step_h, day=np.insert(cost.day, at, cost.day[at]), peak=peak
    )
    finer = np.insert(load, at, load[:, at], axis=1)
    shares = cost.at_prices(load, cost.slot_prices(total(load)))
    np.testing.assert_allclose(cut.at_prices(finer, cut.slot_prices(total(finer))), shares)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_costs_nothing(mode):
    cost = uneven(SCHEDULES["affine"], MODES[mode])
    assert float(cost.value(np.zeros(12))) == 0.0
    day_off = total(loads(1)) * (np.arange(12) >= 4)
    price = cost.slot_prices(day_off)
    assert np.isfinite(price).all()
    assert cost.at_prices(day_off[None], price) == pytest.approx([float(cost.value(day_off))])


def test_single_precision_is_summed_in_double():
    load = np.full((300_000, 2), 0.1, np.float32)
    assert total(load) == pytest.approx([300_000 * float(np.float32(0.1))] * 2, rel=1e-12)
    cost = PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.ones(2))
    alone = cost.standalone(load)
    assert alone.dtype == np.float64
    assert alone[-1] == pytest.approx(0.8 * float(np.float32(0.1)), rel=1e-12)


def test_loads_are_widened_in_parts_that_keep_their_places(monkeypatch):
    load = loads(3, 11).astype(np.float32)
    chosen = np.array([7, 0, 10, 7])
    for values in (1, 30, 1_000):
        monkeypatch.setattr(cost_module, "_CHUNK_VALUES", values)
        for users, wanted in ((None, load), (chosen, load[chosen])):
            found = np.zeros(wanted.shape)
            for part, own in widened(load, users):
                assert own.dtype == np.float64
                found[part] = own
            np.testing.assert_array_equal(found, wanted)


def test_faults_are_named():
    with pytest.raises(InvalidProblem, match="step_h: must be above 0"):
        PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.zeros(2))
    with pytest.raises(InvalidProblem, match="day: must never fall"):
        PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.ones(2), day=np.array([1, 0]))
    with pytest.raises(InvalidProblem, match="must be from 1 to the 1 days"):
        PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.ones(2), peak=MODES["top peaks"])


CURVES = arrays(
    np.float64,
    (2, 12),
    elements=st.floats(0.0, 1e6, allow_subnormal=False).map(lambda x: round(x, 3)),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    curves=CURVES, mode=st.sampled_from(sorted(MODES)), name=st.sampled_from(["affine", "pieces"])
)
def test_pooling_under_a_stable_price_never_costs_more(curves, mode, name):
    """And no user pays more than alone, whatever the curves are: ties, zeros and all."""
    cost = uneven(SCHEDULES[name], MODES[mode])
    together, alone = float(cost.value(total(curves))), cost.value(curves)
    assert together <= alone.sum() * (1.0 + 1e-12)
    shares = cost.at_prices(curves, cost.slot_prices(total(curves)))
    assert abs(shares.sum() - together) <= 1e-9 * max(together, 1e-300)
    assert np.all(shares <= alone + 1e-8 * together)


def test_a_peak_that_ties_within_the_tolerance_leaves_no_rest():
    total_kw = np.array([4.0, 4.0 * (1.0 - 5e-10), 3.0])
    cost = PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.ones(3))
    assert (cost.peak_weights(total_kw) > 0.0).tolist() == [True, True, False]
    billed = float(cost.slot_prices(total_kw) @ total_kw)
    assert billed == pytest.approx(float(cost.value(total_kw)), rel=1e-13)


def test_no_load_factor_is_above_1():
    found = inverse_load_factor(1.0, np.array([1.0, 1.0]), np.array([1.0 + 1e-15, 0.0]))
    assert found.tolist() == [1.0, 1.0]
