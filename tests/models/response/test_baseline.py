"""Baselines: by hand, by each method, with days that are missing, called or at rest."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon
from loadloom.models.response.baseline import baselines
from loadloom.models.response.baseline_rule import (
    Adjust,
    Adjustment,
    BaselineRule,
    Method,
    Note,
)
from loadloom.models.response.control_group import matches
from loadloom.models.response.similar_days import Readings, Span, by_days, day_kinds
from tests.models.response.readings import EVENT_DAY, MONDAY, days, evening, flat

MORNING = Span(first=8, count=4)
TEN_OF_TEN = BaselineRule()
FIVE_OF_TEN = BaselineRule(method=Method.HIGHEST_DAYS, kept=5)
WEEKDAYS_BACK = [18, 17, 16, 15, 14, 11, 10, 9, 8, 7, 4, 3, 2, 1, 0]
"""The workdays before the event, the latest first."""


def adjusted(kind, **limits):
    return replace(TEN_OF_TEN, adjustment=Adjustment(kind=kind, span=MORNING, **limits))


@pytest.mark.parametrize(("morning", "found"), [(130, 120), (110, 110), (50, 100 / 1.2)])
def test_ten_days_of_100_kw_are_adjusted_by_at_most_a_fifth(morning, found):
    readings = flat()
    readings.load_kw[0, EVENT_DAY, 8:12] = morning
    answer = baselines(readings, evening(), adjusted(Adjust.RATIO))
    np.testing.assert_allclose(answer.kw, found)
    np.testing.assert_allclose(answer.unadjusted_kw, 100)
    np.testing.assert_allclose(answer.adjustment, found / 100)


@pytest.mark.parametrize(("morning", "found"), [(-130, -120), (-110, -110), (-50, -80)])
def test_who_feeds_in_is_adjusted_by_a_difference(morning, found):
    readings = flat(level=-100.0)
    readings.load_kw[0, EVENT_DAY, 8:12] = morning
    rule = adjusted(Adjust.DIFFERENCE, lowest=0.8, highest=1.2)
    answer = baselines(readings, evening(), rule)
    np.testing.assert_allclose(answer.kw, found)
    by_ratio = baselines(readings, evening(), adjusted(Adjust.RATIO))
    np.testing.assert_allclose(by_ratio.kw, -100)
    assert by_ratio.note[0] == Note.NOT_ADJUSTED


def test_the_last_ten_workdays_count_for_a_workday():
    readings = flat()
    readings.load_kw[0] *= np.arange(EVENT_DAY + 1)[:, None]
    answer = baselines(readings, evening(), TEN_OF_TEN)
    assert answer.days[0].tolist() == WEEKDAYS_BACK[:10]
    np.testing.assert_allclose(answer.kw, 100 * np.mean(WEEKDAYS_BACK[:10]))


def test_the_five_highest_of_the_last_ten_count():
    readings = flat()
    level = np.random.default_rng(0).permutation(EVENT_DAY + 1)
    readings.load_kw[0] *= level[:, None]
    answer = baselines(readings, evening(), FIVE_OF_TEN)
    ten = WEEKDAYS_BACK[:10]
    five = sorted(sorted(ten, key=lambda day: -level[day])[:5], reverse=True)
    assert answer.days[0].tolist() == [*five, -1, -1, -1, -1, -1]
    np.testing.assert_allclose(answer.kw, 100 * level[five].mean())


def test_days_that_vary_make_a_baseline_of_less_worth():
    readings = flat(2)
    readings.load_kw[0, WEEKDAYS_BACK[:10:2]] = 110.0
    readings.load_kw[0, WEEKDAYS_BACK[1:10:2]] = 90.0
    found = baselines(readings, evening(), TEN_OF_TEN).noise_kw
    np.testing.assert_allclose(found, [np.sqrt(10 * 100 / 9 * 1.1), 0.0], atol=1e-9)


def test_days_are_ranked_by_the_window_and_not_by_the_day():
    readings = flat()
    readings.load_kw[0, WEEKDAYS_BACK[:5], :12] = 1000.0
    readings.load_kw[0, WEEKDAYS_BACK[5:10], 17:19] = 110.0
    answer = baselines(readings, evening(), FIVE_OF_TEN)
    np.testing.assert_allclose(answer.kw, 110)


def test_of_days_alike_in_height_the_more_recent_count():
    answer = baselines(flat(), evening(), FIVE_OF_TEN)
    assert answer.days[0, :5].tolist() == WEEKDAYS_BACK[:5]


def test_a_rest_day_is_measured_by_rest_days():
    readings = flat()
    readings.load_kw[0, [5, 6, 12, 13, 19]] = 40.0  # two weekends and the Saturday before
    answer = baselines(readings, evening(day=20), TEN_OF_TEN)
    assert answer.days[0, :5].tolist() == [19, 13, 12, 6, 5]
    np.testing.assert_allclose(answer.kw, 40)


def test_a_holiday_is_a_rest_day():
    dates = days(EVENT_DAY + 1)
    readings = flat(holidays={dates[18], dates[EVENT_DAY]})
    answer = baselines(readings, evening(), replace(TEN_OF_TEN, fewest=1))
    assert answer.days[0, :7].tolist() == [20, 19, 18, 13, 12, 6, 5]


def test_a_weekend_may_be_another():
    assert day_kinds(days(7), weekend={4, 5}).tolist() == [0, 0, 0, 0, 1, 1, 0]
    assert day_kinds(days(7)).tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_days_of_events_are_passed_over_for_those_who_were_called():
    readings = flat(2)
    called = np.zeros((2, EVENT_DAY + 1), np.bool_)
    called[0, [18, 16]] = True
    readings.load_kw[0, [18, 16], 17:19] = 10.0
    answer = baselines(replace(readings, called=called), evening(), TEN_OF_TEN)
    assert answer.days[0].tolist() == [d for d in WEEKDAYS_BACK if d not in (18, 16)][:10]
    assert answer.days[1].tolist() == WEEKDAYS_BACK[:10]
    np.testing.assert_allclose(answer.kw, 100)
    for_all = baselines(replace(readings, called=called[0]), evening(), TEN_OF_TEN)
    assert (for_all.days == answer.days[0]).all()


def test_days_without_all_readings_of_the_window_are_passed_over():
    readings = flat()
    readings.load_kw[0, 18, 17] = np.nan
    readings.load_kw[0, 17, 9] = np.nan  # the morning counts if it is compared
    readings.load_kw[0, 16, 3] = np.nan  # the night never does
    assert 18 not in baselines(readings, evening(), TEN_OF_TEN).days[0]
    days_found = baselines(readings, evening(), adjusted(Adjust.RATIO)).days[0]
    assert days_found.tolist() == [d for d in WEEKDAYS_BACK if d not in (18, 17)][:10]


def test_missing_dates_are_days_that_are_not_there():
    every = flat()
    kept = [k for k in range(EVENT_DAY + 1) if k not in (15, 16)]
    readings = Readings(load_kw=every.load_kw[:, kept], dates=tuple(every.dates[k] for k in kept))
    answer = baselines(readings, evening(day=len(kept) - 1), TEN_OF_TEN)
    found = [kept[d] for d in answer.days[0]]
    assert found == [d for d in WEEKDAYS_BACK if d not in (15, 16)][:10]


def test_with_too_few_days_there_is_no_baseline():
    readings = flat(2)
    readings.load_kw[0, WEEKDAYS_BACK[4:], 18] = np.nan
    answer = baselines(readings, evening(), TEN_OF_TEN)
    assert answer.note.tolist() == [Note.TOO_FEW_DAYS, Note.NONE]
    assert np.isnan(answer.kw[0]).all()
    assert answer.day_count.tolist() == [4, 10]
    assert (answer.days[0] == -1).all()
    four = baselines(readings, evening(), replace(TEN_OF_TEN, fewest=4))
    np.testing.assert_allclose(four.kw, 100)


def test_days_beyond_the_lookback_do_not_count():
    answer = baselines(flat(), evening(), replace(TEN_OF_TEN, lookback_days=7))
    assert answer.days[0, :6].tolist() == [18, 17, 16, 15, 14, -1]


def test_days_after_the_event_say_nothing():
    readings = flat()
    readings.load_kw[0, 15:] = 500.0
    np.testing.assert_allclose(baselines(readings, evening(day=14), TEN_OF_TEN).kw, 100)


def test_an_earlier_event_of_the_day_does_not_raise_the_baseline():
    readings = flat()
    readings.load_kw[0, EVENT_DAY, 10:12] = 160.0  # the rebound of an event before 10 o'clock
    spoiled = np.zeros(24, np.bool_)
    spoiled[8:12] = True
    rule = adjusted(Adjust.RATIO)
    raised = baselines(readings, evening(), rule)
    np.testing.assert_allclose(raised.kw, 120)
    none_left = baselines(readings, evening(spoiled=spoiled), rule)
    assert none_left.note[0] == Note.NOT_ADJUSTED
    spoiled[8:10] = False
    np.testing.assert_allclose(baselines(readings, evening(spoiled=spoiled), rule).kw, 100)


def test_rebound_is_measured_against_the_hours_after():
    readings = flat()
    readings.load_kw[:, :, 19] = 70.0
    answer = baselines(readings, evening(after_count=2), TEN_OF_TEN)
    np.testing.assert_allclose(answer.kw, [[100, 100, 70, 100]])


def weather(seed, noise, count=3):
    """Loads that are exactly what a regression knows, but for noise."""
    rng = np.random.default_rng(seed)
    readings = flat(count)
    air = 18.0 + 12.0 * rng.random((EVENT_DAY + 1, 24))
    rest = day_kinds(readings.dates)
    months = (np.arange(EVENT_DAY + 1) - EVENT_DAY) / 30
    cooling, heating = np.maximum(0, air - 22), np.maximum(0, 15 - air)
    usual = 3.0 - 1.5 * rest[:, None] + 0.2 * months[:, None] + 0.7 * cooling + 0.1 * heating
    load = usual * (1 + np.arange(count))[:, None, None]
    load += noise * rng.standard_normal(load.shape)
    return replace(readings, load_kw=load, temperature_c=air), load[:, EVENT_DAY, 17:19].copy()


def test_a_regression_finds_the_load_that_follows_the_weather():
    readings, usual = weather(1, 0.0)
    readings.load_kw[:, EVENT_DAY, 17:19] = 0.0
    answer = baselines(readings, evening(), BaselineRule(method=Method.REGRESSION))
    np.testing.assert_allclose(answer.kw, usual, rtol=1e-4)
    assert (answer.day_count == EVENT_DAY).all()


def test_who_lacks_readings_is_fitted_alone_by_the_same_formula():
    readings, _ = weather(2, 0.3, count=4)
    rule = BaselineRule(method=Method.REGRESSION)
    together = baselines(readings, evening(), rule)
    called = np.zeros((4, EVENT_DAY + 1), np.bool_)
    called[3, 5] = True
    lone = baselines(replace(readings, called=called), evening(), rule)
    np.testing.assert_allclose(lone.kw[:3], together.kw[:3], rtol=1e-6)
    readings.load_kw[1, 5] = np.nan
    gaps = baselines(readings, evening(), rule)
    np.testing.assert_allclose(gaps.kw[[0, 2]], together.kw[[0, 2]], rtol=1e-6)
    assert abs(gaps.kw[1] - together.kw[1]).max() > 1e-6
    assert gaps.day_count.tolist() == [21, 20, 21, 21]
    readings.load_kw[3, 5] = np.nan
    np.testing.assert_allclose(lone.kw[3], baselines(readings, evening(), rule).kw[3], rtol=1e-6)


def test_controls_show_what_the_day_was_like():
    rng = np.random.default_rng(3)
    shapes = rng.gamma(2.0, 1.0, (4, 24))
    heat = np.ones(EVENT_DAY + 1)
    heat[EVENT_DAY] = 1.5
    load = shapes[:, None, :] * heat[:, None]
    dates = days(EVENT_DAY + 1)
    pool = Readings(load_kw=np.repeat(load, 3, axis=0), dates=dates)
    called = Readings(load_kw=load.copy(), dates=dates)
    called.load_kw[:, EVENT_DAY, 17:19] = 0.0
    rule = BaselineRule(method=Method.CONTROL_GROUP, matches=3)
    answer = baselines(called, evening(), rule, controls=pool)
    np.testing.assert_allclose(answer.kw, 1.5 * shapes[:, 17:19])
    assert (answer.note == Note.NONE).all()


def test_controls_are_none_who_were_called_or_have_gaps():
    readings, pool = flat(), flat(4)
    pool.load_kw[0, EVENT_DAY, 17] = np.nan
    called = np.zeros((4, EVENT_DAY + 1), np.bool_)
    called[1, EVENT_DAY] = True
    pool.load_kw[1, EVENT_DAY, 17] = 0.0
    pool.load_kw[2:, EVENT_DAY] = 130.0
    rule = BaselineRule(method=Method.CONTROL_GROUP, matches=2)
    controls = replace(pool, called=called)
    answer = baselines(readings, evening(), rule, controls=controls)
    np.testing.assert_allclose(answer.kw, 130)
    lonely = baselines(readings, evening(), replace(rule, matches=3), controls=controls)
    assert lonely.note[0] == Note.NO_CONTROLS
    assert np.isnan(lonely.kw).all()


def test_matches_are_the_nearest_and_of_equals_the_first():
    rng = np.random.default_rng(4)
    called, pool = rng.integers(0, 3, (20, 3)) * 1.0, rng.integers(0, 3, (50, 3)) * 1.0
    apart = ((called[:, None] - pool) ** 2).sum(axis=2)
    assert (matches(called, pool, 7) == np.argsort(apart, axis=1, kind="stable")[:, :7]).all()


@pytest.mark.parametrize("method", Method)
def test_threads_and_the_company_of_others_change_nothing(method):
    readings, _ = weather(5, 0.5, count=6)
    controls, _ = weather(6, 0.5, count=9)
    rule = BaselineRule(method=method, adjustment=Adjustment(kind=Adjust.RATIO, span=MORNING))
    one = baselines(readings, evening(), rule, controls=controls)
    two = baselines(readings, evening(), rule, controls=controls, threads=2)
    assert (one.kw == two.kw).all()
    some = replace(readings, load_kw=readings.load_kw[2:4])
    few = baselines(some, evening(), rule, controls=controls)
    np.testing.assert_allclose(few.kw, one.kw[2:4], rtol=1e-12)


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("kind", Adjust)
def test_twice_the_load_is_twice_the_baseline(method, kind):
    readings, _ = weather(7, 0.5)
    controls, _ = weather(8, 0.5, count=9)
    rule = BaselineRule(method=method, adjustment=Adjustment(kind=kind, span=MORNING))
    once = baselines(readings, evening(), rule, controls=controls)
    twice = [replace(each, load_kw=2 * each.load_kw) for each in (readings, controls)]
    found = baselines(twice[0], evening(), rule, controls=twice[1])
    np.testing.assert_allclose(found.kw, 2 * once.kw, rtol=1e-9)


def test_local_days_have_a_gap_and_a_mean_where_clocks_change():
    for first, missing in ((datetime(2026, 3, 28, 23, tzinfo=UTC), True), (None, False)):
        begin = first or datetime(2026, 10, 24, 22, tzinfo=UTC)
        hours = 23 if missing else 25
        horizon = Horizon(start=begin, step_h=np.ones(hours), time_zone="Europe/Berlin")
        dates, load = by_days(np.arange(hours)[None] * 1.0, horizon, 24)
        assert dates == (date(2026, 3, 29) if missing else date(2026, 10, 25),)
        if missing:
            assert np.isnan(load[0, 0, 2])
            assert load[0, 0, [1, 3, 23]].tolist() == [1, 2, 22]
        else:
            assert load[0, 0, [1, 2, 3, 23]].tolist() == [1, 2.5, 4, 24]


def test_quarter_hours_make_hours_by_their_length():
    horizon = Horizon(start=datetime(2026, 6, 1, tzinfo=UTC), step_h=np.array([0.5, 0.25, 0.25]))
    dates, load = by_days(np.array([[8.0, 4.0, 0.0]], np.float32), horizon, 24)
    assert dates == (MONDAY,)
    assert load.dtype == np.float32
    assert load[0, 0, 0] == 5.0
    assert np.isnan(load[0, 0, 1:]).all()
    with pytest.raises(InvalidProblem, match=r"is up to 0\.5 h; must be at most a slot, 0\.25 h"):
        by_days(np.zeros((1, 3)), horizon, 96)


READINGS = flat()
BAD_READINGS = [
    ({"load_kw": np.zeros((1, 24))}, "load_kw", "must be float (n, days, slots)"),
    ({"load_kw": np.zeros((1, EVENT_DAY + 1, 24), int)}, "load_kw", "is int64 of shape"),
    ({"load_kw": np.zeros((1, EVENT_DAY + 1, 7))}, "load_kw", "has 7 slots a day"),
    ({"dates": READINGS.dates[:5]}, "dates", "has 5 days for 22"),
    ({"dates": READINGS.dates[::-1]}, "dates[1]", "not after the day before it"),
    ({"called": np.zeros(5, np.bool_)}, "called", "has shape (5,)"),
    ({"temperature_c": np.zeros((1, 24))}, "temperature_c", "has shape (1, 24)"),
    ({"temperature_c": np.full((22, 24), np.nan)}, "temperature_c[0]", "is nan"),
    ({"slot_h": np.full(24, -1.0)}, "slot_h[0]", "is -1"),
]


@pytest.mark.parametrize(("change", "path", "message"), BAD_READINGS)
def test_readings_that_break_a_rule_are_named(change, path, message):
    with pytest.raises(InvalidProblem) as caught:
        replace(READINGS, **change)
    assert any(v.path == path and message in v.message for v in caught.value.violations)


def bad(event=None, controls=None, load=None, **rule):
    return event or evening(), BaselineRule(**rule), controls, load


RATIO = Adjust.RATIO
BAD_RULES = [
    (bad(evening(day=22)), "event.day", "must be one of 22 days"),
    (bad(evening(window=Span(first=23, count=2))), "event.window", "is slots 23 to 25"),
    (bad(evening(window=Span(first=3, count=0))), "event.window", "is slots 3 to 3"),
    (bad(evening(after_count=9)), "event.after_count", "end of the day"),
    (bad(evening(spoiled=np.zeros(3, np.bool_))), "event.spoiled", "has shape (3,)"),
    (bad(last=0), "rule.last", "is 0"),
    (bad(fewest=11), "rule.fewest", "is 11; must be from 1 to rule.last, 10"),
    (bad(kept=11, method=Method.HIGHEST_DAYS), "rule.kept", "is 11"),
    (bad(lookback_days=0), "rule.lookback_days", "is 0"),
    (bad(matches=0), "rule.matches", "is 0"),
    (bad(adjustment=Adjustment(kind=RATIO)), "rule.adjustment.span", "is missing"),
    (
        bad(adjustment=Adjustment(kind=RATIO, span=Span(first=16, count=2))),
        "rule.adjustment.span",
        "ends with slot 18; must end before the window, by 17",
    ),
    (
        bad(adjustment=Adjustment(kind=RATIO, span=MORNING, lowest=1.1)),
        "rule.adjustment.lowest",
        "is 1.1",
    ),
    (
        bad(adjustment=Adjustment(kind=RATIO, span=MORNING, highest=np.nan)),
        "rule.adjustment.highest",
        "is nan",
    ),
    (bad(method=Method.REGRESSION), "temperature_c", "is missing"),
    (bad(method=Method.CONTROL_GROUP), "controls", "are missing"),
    (
        bad(method=Method.CONTROL_GROUP, controls=flat(day_count=3)),
        "controls",
        "have other days",
    ),
    (bad(load=((0, EVENT_DAY, 18), np.inf)), "load_kw[0, 21, 18]", "is inf"),
    (bad(load=((0, 15, 18), 2e10)), "load_kw[0]", "makes a baseline beyond 1e+09 kW"),
]


@pytest.mark.parametrize(("case", "path", "message"), BAD_RULES)
def test_rules_and_events_that_do_not_fit_are_named(case, path, message):
    event, rule, controls, load = case
    readings = flat()
    if load is not None:
        readings.load_kw[load[0]] = load[1]
    with pytest.raises(InvalidProblem) as caught:
        baselines(readings, event, rule, controls=controls)
    assert any(v.path == path and message in v.message for v in caught.value.violations)
