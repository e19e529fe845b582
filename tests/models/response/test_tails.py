"""What errors of forecasts say of quantiles: by hand, and on days that nobody has seen."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.response.need import Ahead, NodeHistory, forecast, need
from loadloom.models.response.normal import quantile
from loadloom.models.response.tails import KNOTS, PRIOR, shrunk, stretched, tails
from tests.models.response.readings import days

PAST, AHEAD, SLOTS = 84, 2, 12
DATES = days(PAST + AHEAD)


def z_of(level):
    return quantile(np.array([level]))


def test_many_normal_errors_say_that_the_law_is_normal():
    errors = np.random.default_rng(1).standard_normal((20, 40, 100))
    inner = np.abs(KNOTS) <= 2.0
    assert tails(errors)[:, inner] == pytest.approx(np.tile(KNOTS[inner], (20, 1)), abs=0.12)


def test_many_skewed_errors_say_how_skewed_they_are():
    errors = np.random.default_rng(2).exponential(1.0, (30, 60, 96)) - 1.0
    for level in (0.05, 0.5, 0.95, 0.99):
        exact = -np.log1p(-level) - 1.0
        found = stretched(tails(errors), z_of(level))
        assert found == pytest.approx(exact, abs=0.4)
        assert found.mean() == pytest.approx(exact, abs=0.05)


def test_without_errors_the_law_is_normal():
    for none in (np.zeros((3, 0, 4)), np.full((3, 5, 4), np.nan)):
        assert tails(none) == pytest.approx(np.tile(KNOTS, (3, 1)))


def test_few_errors_say_little():
    """One node of two days: what its errors say is mixed with the normal law, twice."""
    errors = np.array([[[2.0], [-2.0]]])
    found = tails(errors)[0]
    middle = KNOTS.size // 2
    assert found[middle] == pytest.approx(0.0, abs=1e-9)
    weight = 2.0 / (2.0 + PRIOR)
    own = weight * weight + weight * (1.0 - weight)
    upper = int(np.argmin(np.abs(KNOTS - 0.6)))
    assert KNOTS[upper] < found[upper] < KNOTS[upper] + 4.0 * (weight + own)


def test_days_that_are_off_as_a_whole_count_once():
    """96 equal errors a day are worth one, so that they move a node less than independent ones."""
    random = np.random.default_rng(4)
    skewed = random.exponential(1.0, (1, 28, 96)) - 1.0
    alike = np.repeat(skewed[:, :, :1], 96, axis=2)
    at = z_of(0.5)
    assert abs(stretched(tails(alike), at)[0, 0]) < 0.7 * abs(stretched(tails(skewed), at)[0, 0])


def test_the_way_back_is_that_of_the_way_there():
    tail = tails(np.random.default_rng(5).lognormal(0.0, 1.0, (4, 30, 24)) - 1.5)
    z = np.tile(np.linspace(-6.0, 6.0, 49), (4, 1))
    there = stretched(tail, z)
    assert (np.diff(there, axis=1) > 0.0).all()
    assert shrunk(tail, there) == pytest.approx(z, abs=1e-6)


def loads(random, errors, count):
    """Loads of nodes around a daily shape, with errors of some law, (m, D, S)."""
    usual = 100.0 + 30.0 * np.sin(np.arange(SLOTS) / SLOTS * 6.0)
    return usual + 10.0 * errors(random, (count, PAST + AHEAD, SLOTS))


LAWS = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "skewed": lambda random, shape: random.exponential(1.0, shape) - 1.0,
    "heavy and skewed": lambda random, shape: random.lognormal(0.0, 0.9, shape) - 1.5,
    "skewed to the left": lambda random, shape: 1.0 - random.exponential(1.0, shape),
}


@pytest.mark.parametrize("law", LAWS)
def test_quantiles_hold_on_days_that_nobody_has_seen(law):
    random = np.random.default_rng(6)
    levels = np.array([0.05, 0.5, 0.9, 0.95, 0.99])
    below, overloads = [], []
    for _ in range(4):
        load_kw = loads(random, LAWS[law], 60)
        history = NodeHistory(load_kw=load_kw[:, :PAST], dates=DATES[:PAST])
        found = forecast(history, Ahead(dates=DATES[PAST:]))
        below.append(load_kw[None, :, PAST:] <= found.quantile_kw(levels))
        rating = found.quantile_kw(np.array([0.95]))[0, :, 0]
        told = need(found, rating, 0.9)
        assert told.overload_probability[:, 0] == pytest.approx(0.05, abs=1e-3)
        overloads.append(load_kw[:, PAST] > rating)
        assert found.below_share.mean() == pytest.approx(0.95, abs=0.02)
    shares = np.concatenate(below, axis=1).mean(axis=(1, 2, 3))
    assert (np.abs(shares - levels) <= [0.03, 0.03, 0.015, 0.0125, 0.0075]).all()
    assert np.mean(overloads) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("before_kw", [0.0, 7.0, 5.0])
def test_a_node_that_changed_says_nothing_of_others(before_kw):
    random = np.random.default_rng(8)
    load_kw = loads(random, LAWS["normal"], 5)
    load_kw[4, : PAST - 14] = before_kw + 0.1 * (before_kw == 5.0) * load_kw[4, : PAST - 14] / 100.0
    history = NodeHistory(load_kw=load_kw[:, :PAST], dates=DATES[:PAST])
    ahead, levels = Ahead(dates=DATES[PAST:]), np.array([0.05, 0.95])
    found = forecast(history, ahead).quantile_kw(levels)
    alone = forecast(replace(history, load_kw=load_kw[:4, :PAST]), ahead).quantile_kw(levels)
    assert found[:, :4] == pytest.approx(alone, rel=1e-3)
    assert np.abs(found[:, 4]).max() < 10.0 * load_kw[4].max()


def test_a_need_planned_with_its_spread_is_the_need_told():
    """Who plans by a normal law with the spread told secures what the errors ask for."""
    random = np.random.default_rng(7)
    load_kw = loads(random, LAWS["skewed"], 10)
    history = NodeHistory(load_kw=load_kw[:, :PAST], dates=DATES[:PAST])
    found = forecast(history, Ahead(dates=DATES[PAST:]))
    told = need(found, np.full(10, 90.0), 0.95)
    planned = told.excess_kw + z_of(0.95) * told.spread_kw
    assert np.maximum(planned, 0.0) == pytest.approx(told.need_kw)
    assert found.quantile_kw(np.array([0.95]))[0] - 90.0 == pytest.approx(planned)
