"""Price schedules: values, slopes, and the tests of stability with their reasons."""

import numpy as np
import pytest

from loadloom.models.agency import prices
from loadloom.models.checks import InvalidProblem

STABLE = {
    "affine": prices.affine(0.3, 0.1),
    "flat": prices.affine(0.3, 0.0),
    "convex pieces": prices.piecewise((1.0, 1.5, 2.0), (0.4, 0.42, 0.5)),
    "falling only below 1": prices.piecewise((0.5, 1.0, 2.0), (0.9, 0.4, 0.5)),
    "one tier": prices.tiers((0.0,), (0.5,)),
    "no slope in the load factor": prices.load_factor(0.6, 0.0),
}
UNSTABLE = {
    "falling": prices.affine(0.6, -0.1),
    "concave pieces": prices.piecewise((1.0, 1.5, 2.0), (0.4, 0.48, 0.5)),
    "falling pieces": prices.piecewise((1.0, 1.5, 2.0), (0.5, 0.42, 0.4)),
    "load factor": prices.load_factor(0.6, 0.2),
    "rising load factor": prices.load_factor(0.6, -0.2),
    "tiers": prices.tiers((0.0, 0.5, 0.7), (0.6, 0.55, 0.5)),
    "tiers the wrong way": prices.tiers((0.0, 0.5), (0.5, 0.6)),
}


def test_values_by_hand():
    assert prices.affine(0.3, 0.1).value(8 / 7) == pytest.approx(0.3 + 0.8 / 7)
    assert prices.load_factor(0.6, 0.2).value(4 / 3) == pytest.approx(0.45)
    pieces = prices.piecewise((1.0, 2.0, 3.0), (1.0, 2.0, 4.0))
    np.testing.assert_allclose(
        pieces.value(np.array([0.5, 1.0, 1.5, 2.5, 4.0])), [0.5, 1, 1.5, 3, 6]
    )
    tiers = prices.tiers((0.0, 0.5, 0.8), (0.6, 0.5, 0.4))
    # A load factor that reaches a tier is in it.
    np.testing.assert_allclose(
        tiers.value(np.array([1.0, 1.25, 1.26, 2.0, 2.01])), [0.4, 0.4, 0.5, 0.5, 0.6]
    )


def test_a_load_factor_a_rounding_short_of_a_tier_is_in_it():
    tiers = prices.tiers((0.0, 0.7), (0.6, 0.5))
    assert tiers.value(1.0 / 0.7 * (1.0 + 1e-15)) == 0.5
    assert tiers.value(1.0 / 0.7 * (1.0 + 1e-9)) == 0.6


def test_slopes_on_both_sides():
    pieces = prices.piecewise((1.0, 2.0, 3.0), (1.0, 2.0, 4.0))
    assert pieces.slopes(2.0) == (1.0, 2.0)
    assert pieces.slope(2.0) == 1.5
    assert pieces.slopes(2.5) == (2.0, 2.0)
    assert pieces.slopes(9.0) == (2.0, 2.0)
    # No load has a u below 1, so that a kink there has one side.
    assert prices.piecewise((0.5, 1.0, 2.0), (3.0, 1.0, 2.0)).slope(1.0) == 1.0
    tiers = prices.tiers((0.0, 0.5), (0.6, 0.5))
    assert tiers.slopes(2.0) == (0.0, np.inf)
    assert tiers.slope(2.0) == 0.0
    assert tiers.slopes(1.5) == (0.0, 0.0)


@pytest.mark.parametrize("name", STABLE | UNSTABLE)
def test_slopes_are_those_of_the_values(name):
    schedule = (STABLE | UNSTABLE)[name]
    for u in (1.07, 1.43, 1.9, 2.6):
        step = 1e-6
        rise = float(schedule.value(u + step) - schedule.value(u - step)) / (2.0 * step)
        assert schedule.slope(u) == pytest.approx(rise, abs=1e-6)


@pytest.mark.parametrize("name", STABLE)
def test_stable_schedules(name):
    assert STABLE[name].is_stable
    assert "convex and non-decreasing" in STABLE[name].reasons[0]


@pytest.mark.parametrize("name", UNSTABLE)
def test_unstable_schedules_say_why(name):
    schedule = UNSTABLE[name]
    assert not schedule.is_stable
    assert len(schedule.reasons) == (not schedule.is_convex) + (not schedule.is_nondecreasing)
    u = np.linspace(1.0, 4.0, 301)
    price = schedule.value(u)
    assert schedule.is_nondecreasing == bool(np.all(np.diff(price) >= -1e-12))
    middle = price[1:-1] <= (price[:-2] + price[2:]) / 2.0 + 1e-12
    assert schedule.is_convex == bool(np.all(middle))


@pytest.mark.parametrize("name", STABLE | UNSTABLE)
@pytest.mark.parametrize("most", [1.0, 1.2, 1.8, 3.5])
def test_supports_lie_below_and_touch(name, most):
    """The maximum of the lines is convex, never falls, is nowhere above, and cannot be raised."""
    schedule = (STABLE | UNSTABLE)[name]
    a, b = schedule.supports(most)
    assert np.all(b >= 0.0)
    u = np.unique(np.concatenate((np.linspace(1.0, most, 400), np.minimum(schedule.breaks, most))))
    u = u[u >= 1.0]
    lines = (a + b * u[:, None]).max(axis=1)
    price = schedule.value(u)
    assert np.all(lines <= price + 1e-9)
    if schedule.is_stable:
        np.testing.assert_allclose(lines, price, atol=1e-9)
    else:
        # Lines that touch no point of the schedule, or none from below, could be raised.
        below = np.minimum(price, schedule.value(np.minimum(u * (1.0 + 1e-9), most)))
        assert (below - lines).min() <= 1e-6


def test_faults_are_told_all_at_once():
    with pytest.raises(InvalidProblem, match="ascending") as caught:
        prices.piecewise((2.0, 1.0), (0.1, np.nan))
    assert {v.path for v in caught.value.violations} == {"at", "price_per_kwh[1]"}
    with pytest.raises(InvalidProblem, match="must have at least 2"):
        prices.piecewise((1.0,), (0.1,))
    with pytest.raises(InvalidProblem, match=r"at\[0\]: is 0.5; must be 0"):
        prices.tiers((0.5, 0.7), (0.5, 0.4))
    with pytest.raises(InvalidProblem, match="base_per_kwh: is nan"):
        prices.affine(float("nan"), 0.1)
    with pytest.raises(InvalidProblem, match="must have one for each"):
        prices.tiers((0.0, 0.7), (0.5,))
