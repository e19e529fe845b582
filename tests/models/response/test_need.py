"""The need ahead: forecasts that know what they do not know, and overloads by hand."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.response import need as need_module
from loadloom.models.response.need import (
    Ahead,
    Driver,
    Forecast,
    ForecastMethod,
    NodeHistory,
    forecast,
    need,
)
from loadloom.models.response.similar_days import Span
from tests.models.response.readings import days

PAST, AHEAD = 70, 2
DATES = days(PAST + AHEAD)
REST = np.array([date.weekday() >= 5 for date in DATES])


def nodes(seed, count=40, noise=5.0, slots=8):
    """Loads that follow weekdays and warmth with normal noise; all days' true means and air."""
    rng = np.random.default_rng(seed)
    daily = 24 + 4 * rng.standard_normal((PAST + AHEAD, 1))
    air = (
        daily
        + 3 * np.sin(np.arange(slots) / slots * 6)
        + rng.standard_normal((PAST + AHEAD, slots))
    )
    usual = 80 - 20 * REST[:, None] + 6 * np.maximum(0, air - 22)
    mean = usual * (1 + rng.random(count))[:, None, None]
    return mean, mean + noise * rng.standard_normal(mean.shape), air


def split(load, air=None, drivers=()):
    history = NodeHistory(
        load_kw=load[:, :PAST],
        dates=DATES[:PAST],
        temperature_c=None if air is None else air[..., :PAST, :],
        drivers=drivers,
    )
    return history, Ahead(
        dates=DATES[PAST:], temperature_c=None if air is None else air[..., PAST:, :]
    )


def test_a_regression_finds_what_drives_the_load():
    mean, load, air = nodes(1, noise=0.5)
    found = forecast(*split(load, air), method=ForecastMethod.REGRESSION)
    assert np.abs(found.mean_kw - mean[:, PAST:]).max() < 2.0
    assert found.regression.all()


@pytest.mark.parametrize("method", ForecastMethod)
def test_loads_fall_below_each_quantile_as_often_as_it_says(method):
    below = []
    for seed in range(8):
        _, load, air = nodes(seed, noise=30.0)
        found = forecast(*split(load, air), method=method)
        levels = np.array([0.05, 0.5, 0.95])
        below.append(load[None, :, PAST:] <= found.quantile_kw(levels))
    shares = np.concatenate(below, axis=1).mean(axis=(1, 2, 3))
    assert (np.abs(shares - [0.05, 0.5, 0.95]) <= [0.03, 0.08, 0.03]).all()


def test_the_better_forecast_is_taken():
    _, load, air = nodes(3)
    warm = forecast(*split(load, air))
    assert warm.regression.mean() > 0.9
    assert (warm.score_kw[1] < warm.score_kw[0])[warm.regression].all()
    rng = np.random.default_rng(3)
    mild = 15.5 + 6 * rng.random((PAST + AHEAD, 1)) + np.zeros((1, 8))  # no degrees to count
    bent = 100 + 20 * (mild - 18.5) ** 2 + 5 * rng.standard_normal((10, PAST + AHEAD, 8))
    seen = forecast(*split(bent, mild))
    assert not seen.regression.any()
    assert (seen.score_kw[0] < seen.score_kw[1]).all()


def test_similar_days_are_of_the_kind_and_the_warmth():
    _, load, air = nodes(4, noise=0.0)
    air[PAST:] = air[3]
    history, ahead = split(load, air)
    rested = replace(history, holidays={DATES[PAST]})
    found = forecast(rested, ahead, method=ForecastMethod.SIMILAR_DAYS)
    busy = forecast(history, ahead, method=ForecastMethod.SIMILAR_DAYS)
    assert (found.mean_kw[:, 0] < busy.mean_kw[:, 0]).all()
    assert not found.regression.any()


def test_appliances_sold_raise_the_load_where_they_were_sold():
    rng = np.random.default_rng(5)
    _, load, air = nodes(5, count=6)
    sold = np.cumsum(rng.poisson(1.0, (6, PAST + AHEAD)), axis=1) * 1.0
    sold[:3] = 0.0
    warm = np.maximum(0.0, air - 22.0)
    load = load + 0.4 * sold[:, :, None] * warm
    sales = Driver(name="ac", past=sold[:, :PAST], ahead=sold[:, PAST:], per_degree=True)
    by = {"method": ForecastMethod.REGRESSION}
    blind = forecast(*split(load, air), **by)
    seeing = forecast(*split(load, air, (sales,)), **by)
    assert (seeing.spread_kw[3:].mean(axis=(1, 2)) < blind.spread_kw[3:].mean(axis=(1, 2))).all()
    boom = replace(sales, ahead=sales.ahead + 50.0)
    more = forecast(*split(load, air, (boom,)), **by)
    hot = warm[PAST:] > 1.0
    assert (more.mean_kw[3:, hot] > seeing.mean_kw[3:, hot]).all()
    np.testing.assert_allclose(
        more.mean_kw[:, warm[PAST:] == 0], seeing.mean_kw[:, warm[PAST:] == 0]
    )


def test_one_driver_for_all_is_as_the_same_for_each():
    _, load, air = nodes(6, count=5)
    growth = np.linspace(0.0, 9.0, PAST + AHEAD) ** 2
    for_all = Driver(name="cars", past=growth[:PAST], ahead=growth[PAST:])
    each = Driver(
        name="cars",
        past=np.broadcast_to(growth[:PAST, None], (5, PAST, 8)),
        ahead=np.broadcast_to(growth[PAST:], (5, AHEAD)),
    )
    one = forecast(*split(load, air, (for_all,)))
    many = forecast(*split(load, np.broadcast_to(air, (5, *air.shape)), (each,)))
    np.testing.assert_allclose(many.mean_kw, one.mean_kw, rtol=1e-9)
    np.testing.assert_allclose(many.spread_kw, one.spread_kw, rtol=1e-9)


def test_without_temperatures_days_and_their_kind_are_known():
    load = np.broadcast_to(100.0 - 30.0 * REST[:, None], (1, PAST + AHEAD, 8)).copy()
    load += np.random.default_rng(7).standard_normal(load.shape)
    for method in ForecastMethod:
        found = forecast(*split(load), method=method)
        right = 100.0 - 30.0 * REST[PAST:, None]
        assert np.abs(found.mean_kw - right).max() < 4.0


def test_gaps_are_days_that_are_not_there():
    mean, load, air = nodes(8, count=10)
    load[np.random.default_rng(8).random(load.shape) < 0.1] = np.nan
    load[:, PAST:] = mean[:, PAST:]
    found = forecast(*split(load.astype(np.float32), air))
    assert np.abs(found.mean_kw - mean[:, PAST:]).mean() < 6.0


def test_a_span_is_a_part_of_the_day():
    _, load, air = nodes(9, count=3)
    history, ahead = split(load, air)
    for method in (ForecastMethod.REGRESSION, ForecastMethod.SIMILAR_DAYS):
        whole = forecast(history, ahead, method=method)
        part = forecast(history, replace(ahead, span=Span(first=2, count=3)), method=method)
        np.testing.assert_array_equal(part.mean_kw, whole.mean_kw[:, :, 2:5])
        np.testing.assert_array_equal(part.spread_kw, whole.spread_kw[:, :, 2:5])


def test_a_short_history_is_not_tested_but_used():
    _, load, air = nodes(10, count=2)
    dates = DATES[:12]
    history = NodeHistory(load_kw=load[:, :12], dates=dates, temperature_c=air[:12])
    found = forecast(history, Ahead(dates=DATES[12:13], temperature_c=air[12:13]))
    assert np.isnan(found.score_kw).all()
    assert np.isfinite(found.mean_kw).all()
    assert (found.spread_kw > 0).all()


def by_hand(mean, spread):
    shape = (len(mean), 1, 1)
    none = np.full(len(mean), np.nan)
    return Forecast(
        mean_kw=np.reshape(mean, shape),
        spread_kw=np.reshape(spread, shape),
        regression=np.zeros(len(mean), bool),
        score_kw=np.array([none, none]),
        below_share=none,
    )


def test_the_need_by_hand():
    found = need(
        by_hand([400.0, 400.0, 300.0], [20.0, 20.0, 20.0]), np.array([400.0, 380, 400]), 0.95
    )
    np.testing.assert_allclose(found.overload_probability[:2, 0, 0], [0.5, 0.841345], atol=1e-6)
    np.testing.assert_allclose(found.overload_probability[2], 2.87e-7, rtol=1e-2)
    assert found.excess_kw.ravel().tolist() == [0, 20, -100]
    np.testing.assert_allclose(found.need_kw.ravel(), [32.897, 52.897, 0], atol=1e-3)


def test_a_rating_or_a_confidence_may_be_each_nodes_own():
    found = need(
        by_hand([400.0, 400.0], [20.0, 20.0]), np.array([[390.0], [410.0]]), np.array([0.5, 0.9])
    )
    np.testing.assert_allclose(found.need_kw.ravel(), [10, 15.631], atol=1e-3)


def test_needs_grow_with_confidence_and_load_and_fall_with_the_rating():
    _, load, air = nodes(11, count=20)
    ahead = forecast(*split(load, air))
    rating = np.full(20, 140.0)
    low, high = need(ahead, rating, 0.9), need(ahead, rating, 0.99)
    assert (high.need_kw >= low.need_kw).all()
    assert (high.need_kw > low.need_kw).any()
    assert (need(ahead, rating + 10, 0.9).need_kw <= low.need_kw).all()
    met = np.isclose(low.need_kw, 0) == (low.overload_probability <= 0.1 + 1e-12)
    assert met.all()


def test_ten_times_the_load_is_ten_times_the_forecast():
    _, load, air = nodes(12, count=5)
    once, often = forecast(*split(load, air)), forecast(*split(10 * load, air))
    np.testing.assert_allclose(often.mean_kw, 10 * once.mean_kw)
    np.testing.assert_allclose(often.spread_kw, 10 * once.spread_kw)
    assert (often.regression == once.regression).all()


_, LOAD, AIR = nodes(13, count=2)
DRIVER = Driver(name="ac", past=np.ones(PAST), ahead=np.ones(AHEAD))


def made(history=None, ahead=None, drivers=()):
    def make():
        first, then = split(LOAD, AIR)
        changed = replace(first, **({"drivers": drivers} | (history or {})))
        return forecast(changed, replace(then, **(ahead or {})))

    return make


def wanted(rating=(9.0, 9.0), confidence=0.9):
    return lambda: need(by_hand([1.0, 2.0], [1.0, 1.0]), np.array(rating), confidence)


BAD = [
    (made({"load_kw": np.zeros((2, 3))}), "history.load_kw", "must be floats"),
    (made({"load_kw": np.zeros((2, PAST, 7))}), "history.load_kw", "has 7 slots a day"),
    (made({"load_kw": np.zeros((0, PAST, 8))}), "history.load_kw", "has no node"),
    (
        made({"load_kw": np.full((2, PAST, 8), np.inf)}),
        "history.load_kw[0, 0, 0]",
        "is inf; must be at most",
    ),
    (made({"dates": DATES[:9]}), "history.dates", "has 9 days for 70"),
    (made({"temperature_c": AIR[:9]}), "history.temperature_c", "has shape (9, 8)"),
    (
        made({"temperature_c": None}),
        "ahead.temperature_c",
        "must be known for the history and the days ahead",
    ),
    (made(ahead={"dates": DATES[:2]}), "ahead.dates[0]", "must come after the last day"),
    (made(ahead={"temperature_c": AIR}), "ahead.temperature_c", "has shape (72, 8)"),
    (made(ahead={"temperature_c": AIR[PAST:] + 99}), "ahead.temperature_c[0]", "from -90 to 70"),
    (made(ahead={"span": Span(first=7, count=2)}), "ahead.span", "is slots 7 to 9"),
    (
        made(drivers=(replace(DRIVER, past=np.ones(PAST - 1)),)),
        "history.drivers[0].past",
        "has shape (69,)",
    ),
    (
        made(drivers=(DRIVER, replace(DRIVER, ahead=np.full(AHEAD, np.nan)))),
        "history.drivers[1].ahead[0]",
        "is nan",
    ),
    (
        made({"temperature_c": None}, drivers=(replace(DRIVER, per_degree=True),)),
        "history.drivers[0].per_degree",
        "then temperatures must be known",
    ),
    (
        made({"load_kw": np.full((2, PAST, 8), np.nan)}),
        "history.load_kw[0]",
        "has too few readings in slot 0 to forecast it; so have 1 more nodes",
    ),
    (wanted(rating=(1.0,)), "rating_kw", "has shape (1,)"),
    (wanted(rating=(1.0, -1.0)), "rating_kw[1]", "is -1"),
    (wanted(confidence=np.ones(3) * 0.9), "confidence", "has shape (3,)"),
    (wanted(confidence=1.0), "confidence", "must be from 0.5"),
]


@pytest.mark.parametrize(("make", "path", "message"), BAD)
def test_what_cannot_be_forecast_is_named(make, path, message):
    with pytest.raises(InvalidProblem) as caught:
        make()
    assert any(v.path == path and message in v.message for v in caught.value.violations)


@pytest.mark.parametrize("method", ForecastMethod)
def test_too_few_days_are_told_before_anything_is_computed(method, monkeypatch):
    def computed(*_: object) -> None:
        raise AssertionError("was computed")

    for road in ("by_similar_days", "by_regression"):
        monkeypatch.setattr(need_module, road, computed)
    dates = days(7)
    history = NodeHistory(load_kw=np.ones((2, 5, 24)), dates=dates[:5])
    with pytest.raises(InvalidProblem, match="too few readings"):
        forecast(history, Ahead(dates=dates[5:]), method=method)
