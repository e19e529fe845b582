"""Readings that are missing or not believed: marks, fills, and what is counted of them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from loadloom.models.agency.aggregate import aggregate
from loadloom.models.agency.completeness import (
    MARKS,
    Fill,
    FillRule,
    Mark,
    Rules,
    SpikeRule,
    Typical,
    completed,
    profiles,
)
from loadloom.models.agency.curves import Chunk, Rows, all_chunks, in_memory
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon

NAN = np.nan


def hours(count, **more):
    return Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.ones(count), **more)


def filled(load, rules, axis=None, group=None, names=("",), part_rows=100):
    """The curves with gaps filled."""
    load = np.array(load)
    parts = in_memory(load, group=group, group_names=names, part_rows=part_rows)
    chunks = all_chunks(completed(parts, axis or hours(load.shape[1]), rules))
    return np.concatenate([chunk.load_kw for chunk in chunks])


def fills(*rules):
    return Rules(fills=tuple(FillRule(fill=fill, longest_slots=most) for fill, most in rules))


def test_a_gap_is_filled_on_the_line_around_it():
    load = [[1.0, NAN, NAN, 4.0, NAN], [NAN, 2.0, NAN, 3.0, 1.0]]
    found = filled(load, fills((Fill.LINEAR, 2)))
    np.testing.assert_allclose(found, [[1, 2, 3, 4, 0], [0, 2, 2.5, 3, 1]])
    found = filled(load, fills((Fill.LINEAR, 1)))
    np.testing.assert_allclose(found, [[1, 0, 0, 4, 0], [0, 2, 2.5, 3, 1]])


def test_a_gap_is_filled_from_the_day_or_the_week_before():
    load = np.arange(8 * 24, dtype=np.float64)[None] + 1.0
    load[0, 30:33] = NAN
    load[0, 54] = NAN
    found = filled(load, fills((Fill.PREVIOUS_DAY, None)))
    assert found[0, 30:33].tolist() == [7.0, 8.0, 9.0]
    assert found[0, 54] == 0.0  # its source is a gap itself, though a filled one
    load[0, 172] = NAN
    found = filled(load, fills((Fill.PREVIOUS_WEEK, None), (Fill.PREVIOUS_DAY, None)))
    assert found[0, 172] == 5.0
    assert found[0, 30] == 7.0


def test_the_day_before_is_that_of_local_clocks():
    start = datetime(2026, 10, 24, tzinfo=ZoneInfo("Europe/Vienna"))
    axis = Horizon(start=start, step_h=np.ones(24 + 25 + 24), time_zone="Europe/Vienna")
    load = np.arange(axis.count, dtype=np.float64)[None]
    for slot, source in ((24 + 12, 11), (24 + 2, 2), (24 + 3, 2), (49 + 12, 24 + 13)):
        gap = load.copy()
        gap[0, slot] = NAN
        found = filled(gap, fills((Fill.PREVIOUS_DAY, None)), axis)
        assert found[0, slot] == source


def test_a_gap_is_filled_by_the_profile_of_its_area_scaled_to_the_user():
    load = [
        [1.0, 2.0, 3.0, 4.0],
        [3.0, 6.0, 9.0, 12.0],
        [20.0, NAN, 60.0, 80.0],
        [7.0, 7.0, 7.0, 7.0],
        [1.0, NAN, 1.0, 1.0],
    ]
    group = np.array([0, 0, 0, 1, 1], np.int32)
    rules = fills((Fill.AREA_PROFILE, None))
    found = filled(load, rules, group=group, names=("a", "b"))
    # The profile of a is (8, 4, 24, 32): 160 believed kWh of the user are 2.5 times its 64.
    assert found[2].tolist() == [20.0, 10.0, 60.0, 80.0]
    # That of b is (4, 7, 4, 4).
    assert found[4, 1] == pytest.approx(7.0 * 3.0 / 12.0)
    everything = [[NAN, NAN], [1.0, 1.0]]
    assert filled(everything, rules)[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("part_rows", [7, 1000])
def test_profiles_and_fills_are_the_same_bits_however_users_are_cut(part_rows):
    rng = np.random.default_rng(1)
    load = rng.random((300, 48)).astype(np.float32)
    load[rng.random(load.shape) < 0.1] = NAN
    group = (np.arange(300) % 3).astype(np.int32)
    rules = fills((Fill.LINEAR, 1), (Fill.AREA_PROFILE, None))
    due = filled(load, rules, group=group, names=("a", "b", "c"), part_rows=300)
    found = filled(load, rules, group=group, names=("a", "b", "c"), part_rows=part_rows)
    assert np.array_equal(found, due)
    assert not np.isnan(due).any()


def test_the_mean_of_an_area_is_over_believed_readings():
    load = np.array([[1.0, NAN], [3.0, -5.0], [8.0, NAN]])
    found = profiles(in_memory(load), hours(2), Rules())
    assert found.mean_kw[0, 0] == 4.0
    assert np.isnan(found.mean_kw[0, 1])
    assert np.isnan(found.of(("elsewhere",))).all()


def test_rules_are_tried_in_their_order_and_each_is_counted():
    load = np.full((3, 48), 2.0)
    load[0, 30] = NAN  # linear
    load[0, 40:43] = NAN  # too long for linear: the day before
    load[1, 0:5] = NAN  # at the edge, and no day before: the profile
    load[2, :] = NAN  # nothing can be done
    rules = fills((Fill.LINEAR, 2), (Fill.PREVIOUS_DAY, 10), (Fill.AREA_PROFILE, None))
    found = aggregate(in_memory(load), hours(48), rules=rules)
    its = found.completeness
    assert its.slot_filled.sum(axis=1).tolist() == [1, 3, 5]
    assert its.user_filled.tolist() == [[1, 3, 0], [0, 0, 5], [0, 0, 0]]
    assert its.user_left.tolist() == [0, 0, 48]
    assert its.slot_left.tolist() == [1] * 48
    assert its.group_filled.tolist() == [[1, 3, 5]]
    assert (its.count(Mark.MISSING), its.reading_count) == (57, 144)
    assert its.complete_share == pytest.approx(1 - 57 / 144)
    assert found.total_kw.tolist() == [4.0] * 48
    assert its.rules is rules


def test_negative_readings_and_spikes_are_marked_and_replaced_as_asked():
    load = np.full((4, 9), 1.0)
    load[0, 4] = -2.0
    load[1, 5] = 30.0
    load[2, 6] = 3.0
    load[3] = 0.0
    load[3, 2] = 0.4
    spike = SpikeRule(times=10.0, least_kw=0.5)
    linear = (FillRule(fill=Fill.LINEAR),)
    found = aggregate(in_memory(load), hours(9), rules=Rules(fills=linear, spike=spike))
    its = found.completeness
    assert {mark.name: its.count(mark) for mark in MARKS} == {
        "MISSING": 0,
        "DUPLICATE": 0,
        "LATE": 0,
        "NEGATIVE": 1,
        "SPIKE": 1,
    }
    assert its.user_marks[:, 3:].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    assert found.total_kw == pytest.approx([3.0, 3.0, 3.4, 3.0, 3.0, 3.0, 5.0, 3.0, 3.0])
    kept = Rules(fills=linear, spike=spike, replace=Mark(0))
    found = aggregate(in_memory(load), hours(9), rules=kept)
    assert found.total_kw[4:6].tolist() == [0.0, 32.0]
    assert found.completeness.count(Mark.SPIKE) == 1


def test_the_mean_is_pulled_up_by_a_spike_and_the_median_is_not():
    load = np.ones((1, 8))
    load[0, 3] = 20.0
    for of, count in ((Typical.MEDIAN, 1), (Typical.MEAN, 0)):
        rules = Rules(spike=SpikeRule(times=6.0, of=of))
        found = aggregate(in_memory(load), hours(8), rules=rules).completeness
        assert found.count(Mark.SPIKE) == count


def test_marks_that_come_with_readings_are_counted_by_slot_user_and_area():
    load, marks = np.ones((4, 3)), np.zeros((4, 3), np.uint8)
    marks[0, 1] = Mark.DUPLICATE
    marks[2, 1] = Mark.LATE | Mark.DUPLICATE
    load[2, 1] = 5.0
    group = np.array([0, 1, 1, 0], np.int32)
    chunk = Chunk(load_kw=load, marks=marks, group=group, group_names=("a", "b"))
    linear = (FillRule(fill=Fill.LINEAR),)
    parts = [Rows(chunk.rows(0, 1)), Rows(chunk.rows(1, 4))]
    late = Rules(fills=linear, replace=Mark.LATE)
    found = aggregate(parts, hours(3), rules=late)
    its = found.completeness
    assert its.slot_marks[1].tolist() == [0, 2, 0]
    assert its.slot_marks[2].tolist() == [0, 1, 0]
    assert its.group_marks[:, 1].tolist() == [1, 1]
    assert its.group_marks[:, 2].tolist() == [0, 1]
    assert its.user_marks[:, 1].tolist() == [1, 0, 1, 0]
    assert found.total_kw.tolist() == [4.0, 4.0, 4.0]
    accepted = aggregate(parts, hours(3), rules=Rules(fills=linear))
    assert accepted.total_kw.tolist() == [4.0, 8.0, 4.0]
    assert marks[2, 1] == Mark.LATE | Mark.DUPLICATE  # what came in is not written to


def test_rules_out_of_range_are_refused():
    with pytest.raises(InvalidProblem, match=r"rules.fills\[0\].longest_slots"):
        fills((Fill.LINEAR, 0))
    with pytest.raises(InvalidProblem, match=r"rules\.spike\.times"):
        Rules(spike=SpikeRule(times=0.0))
