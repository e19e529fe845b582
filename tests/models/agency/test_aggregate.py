"""Aggregates: by hand, against plain sums, and the same to the last bit however users are cut."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from loadloom.models.agency.aggregate import Second, aggregate
from loadloom.models.agency.curves import Chunk, Pass, Rows, in_memory, merge
from loadloom.models.agency.percentiles import RELATIVE_ERROR
from loadloom.models.agency.prices import affine
from loadloom.models.agency.problem import Currency, Curves, Problem
from loadloom.models.agency.settle import settle
from loadloom.models.agency.windows import TimeWindows
from loadloom.models.checks import InvalidProblem
from loadloom.models.crew import in_threads
from loadloom.models.horizon import Horizon


def hours(count, step_h=1.0, **more):
    start = datetime(2026, 12, 1, tzinfo=UTC)
    return Horizon(start=start, step_h=np.full(count, step_h), **more)


def random_loads(seed, users=500, slots=48, dtype=np.float32):
    """Loads with a common shape, a few large users, and one without load."""
    rng = np.random.default_rng(seed)
    load = rng.random((users, slots)) * (1.0 + np.sin(np.arange(slots) / 7.0)) * 2.0
    load[rng.choice(users, 5, replace=False)] *= 300.0
    load[users // 2] = 0.0
    return load.astype(dtype)


def peaks_without(load, total):
    """The largest total without each user, by trying all slots."""
    return np.array([(total - row.astype(np.float64)).max() for row in load])


def test_two_users_by_hand():
    found = aggregate(
        in_memory(np.array([[3.0, 1.0], [1.0, 2.0]])), hours(2), price=lambda u: 0.3 + 0.1 * u
    )
    assert found.total_kw.tolist() == [4.0, 3.0]
    assert (found.energy_kwh, found.peak_kw, found.load_factor) == (7.0, 4.0, 0.875)
    assert found.peak_slots.tolist() == [0]
    assert found.users.energy_kwh.tolist() == [4.0, 3.0]
    assert found.users.coincident_kw.tolist() == [3.0, 1.0]
    assert found.users.peak_without_kw.tolist() == [2.0, 3.0]
    assert found.users.load_factor.tolist() == [2 / 3, 0.75]
    assert found.users.load_factor_without.tolist() == [0.75, 2 / 3]
    assert found.cost == pytest.approx(2.9)
    # Alone, (1, 2) costs 3 * 0.3 + 0.1 * 2 * 2 = 1.3 and (3, 1) costs 1.8.
    assert found.users.cost_effect == pytest.approx([1.6, 1.1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(4))
def test_totals_and_figures_are_those_of_plain_sums(seed, dtype):
    load, axis = random_loads(seed, dtype=dtype), hours(48, 0.25)
    found = aggregate(in_memory(load), axis)
    exact = load.astype(np.float64)
    np.testing.assert_allclose(found.total_kw, exact.sum(axis=0), rtol=1e-13, atol=1e-11)
    energy = exact.sum(axis=1) * 0.25
    np.testing.assert_allclose(found.users.energy_kwh, energy, rtol=1e-13)
    assert np.array_equal(found.users.highest_kw, exact.max(axis=1))
    assert np.array_equal(found.users.coincident_kw, exact[:, found.peak_slots].mean(axis=1))
    without = peaks_without(load, found.total_kw)
    assert np.array_equal(found.users.peak_without_kw, without)
    others = (found.energy_kwh - energy) / (12.0 * without)
    np.testing.assert_allclose(found.users.load_factor_without, others, rtol=1e-12)
    factor = np.divide(energy, 12.0 * exact.max(axis=1), where=energy > 0, out=0 * energy)
    np.testing.assert_allclose(found.users.load_factor, factor, rtol=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_loads_that_add_up_beyond_what_totals_hold_are_refused(sign):
    load = np.full((9_000, 2), sign * 1e9)
    with pytest.raises(InvalidProblem, match=r"load_kw: adds up to peaks of 9e\+12 kW"):
        aggregate(in_memory(load), hours(2, 1.0))
    most = np.full((4_398, 2), sign * 1e9)
    assert aggregate(in_memory(most), hours(2, 1.0)).total_kw == pytest.approx(sign * 4.398e12)


def test_slots_that_tie_count_by_their_hours_as_in_a_settlement():
    load = np.array([[3.0, 1.0, 0.0], [1.0, 3.0, 1.0]])
    axis = Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.array([0.25, 1.0, 1.0]))
    found = aggregate(in_memory(load), axis, price=affine(0.3, 0.1).value)
    curves = Curves(names=("one", "other"), load_kw=load, horizon=axis)
    settled = settle(
        Problem(
            curves=curves,
            highest_price_per_kwh=np.array(0.6),
            currency=Currency(code="EUR"),
            schedule=affine(0.3, 0.1),
        )
    )
    assert found.peak_weight.tolist() == [0.2, 0.8]
    np.testing.assert_allclose(found.users.coincident_kw, [1.4, 2.6], rtol=1e-15)
    np.testing.assert_allclose(settled.figures.user_peak_kw[:, 0], [1.4, 2.6], rtol=1e-15)
    assert found.cost == pytest.approx(settled.cost)


def test_a_flat_load_costs_the_price_at_a_load_factor_of_one():
    asked = []

    def price(u):
        asked.append(float(np.min(u)))
        return 0.4 * u

    for power in np.random.default_rng(0).uniform(0.0, 1.0, 50):
        aggregate(in_memory(np.full((3, 96), power)), hours(96, 0.7), price=price)
    assert min(asked) == 1.0


def parts_of(load, sizes, group=None, names=("",)):
    """Parts of several chunks each, so that their peaks are guessed from the first one."""

    class Several:
        def __init__(self, chunks):
            self._chunks = chunks

        def chunks(self):
            return iter(self._chunks)

    whole = Chunk(load_kw=load, group=group, group_names=names)
    ends = np.cumsum(sizes)
    chunks = [whole.rows(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    return [Several(chunks[k : k + 3]) for k in range(0, len(chunks), 3)]


COLUMNS = (
    "energy_kwh",
    "window_kwh",
    "highest_kw",
    "load_factor",
    "coincident_kw",
    "peak_without_kw",
    "load_factor_without",
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_however_users_are_cut(dtype):
    load, axis = random_loads(9, dtype=dtype), hours(48, 0.25)
    group = (np.arange(500) * 7 % 4).astype(np.int32)
    names = ("north", "south", "east", "west")
    windows = TimeWindows.daily(axis, [("peak", 360, 720), ("valley", 1320, 300)], rest="flat")
    whole = in_memory(load, group=group, group_names=names)
    ways = [
        (whole, map),
        (in_memory(load, group=group, group_names=names, part_rows=37), in_threads(2)),
        (in_memory(load, group=group, group_names=names, part_rows=1), map),
        (parts_of(load, [0, 1, 2, 3, 94, 0, 0, 200, 13, 187], group, names), in_threads(2)),
    ]
    levels = (0.0, 10.0, 50.0, 99.0)
    found = [aggregate(parts, axis, windows=windows, levels=levels, run=run) for parts, run in ways]
    for one in found[1:]:
        assert np.array_equal(one.total_kw, found[0].total_kw)
        order = [one.group_names.index(name) for name in names]
        assert np.array_equal(one.group_kw[order], found[0].group_kw)
        assert one.group_count[order].tolist() == [125] * 4
        assert np.array_equal(one.percentiles.load_kw, found[0].percentiles.load_kw)
        for column in COLUMNS:
            assert np.array_equal(getattr(one.users, column), getattr(found[0].users, column))


def test_splitting_and_joining_users_changes_no_total():
    load, axis = random_loads(3, dtype=np.float64), hours(48)
    load = np.round(load, 3)
    halves = np.concatenate((load * 0.5, load * 0.5))
    whole, split = aggregate(in_memory(load), axis), aggregate(in_memory(halves), axis)
    np.testing.assert_allclose(split.total_kw, whole.total_kw, rtol=1e-14, atol=1e-11)
    joined = split.users.coincident_kw.reshape(2, -1).sum(axis=0)
    np.testing.assert_allclose(joined, whole.users.coincident_kw, rtol=1e-12)


def test_merging_is_the_same_in_any_grouping():
    load = random_loads(5)
    first = Pass(weight_h=np.ones((1, 48)), with_spread=True)
    a, b, c = (first(Rows(Chunk(load_kw=part))) for part in (load[:100], load[100:350], load[350:]))
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    assert np.array_equal(left.totals.coarse, right.totals.coarse)
    assert np.array_equal(left.totals.fine, right.totals.fine)
    assert len(left.parts) == len(right.parts) == 3
    whole = first(Rows(Chunk(load_kw=load)))
    assert np.array_equal(whole.totals.total_kw, left.totals.total_kw)
    assert np.array_equal(whole.spread.kept, left.spread.kept)


class Counted:
    """A part that knows how often it was read."""

    def __init__(self, load):
        self.load, self.readings = load, 0

    def chunks(self):
        self.readings += 1
        yield Chunk(load_kw=self.load)


def test_the_peak_of_parts_read_before_is_watched_in_those_to_come():
    """The first users of each part have their peaks early; those of the first part are few."""
    load = np.random.default_rng(8).random((3, 5_000, 24), dtype=np.float32)
    load[1:, :4_096, :4] += 1.0
    load[0, :, 20] += 2.0
    load[1:, 4_096:, 20] += 4.0
    parts = [Counted(one) for one in load]
    found, due = aggregate(parts, hours(24)), aggregate(in_memory(load.reshape(-1, 24)), hours(24))
    assert found.peak_slots.tolist() == due.peak_slots.tolist() == [20]
    for name in ("coincident_kw", "peak_without_kw"):
        assert np.array_equal(getattr(found.users, name), getattr(due.users, name))
    assert [part.readings for part in parts] == [1, 1, 1]


def test_sums_are_exact_where_plain_float32_is_wrong_in_the_third_digit():
    users = 5_000_000
    load = np.full((users, 2), 0.7, np.float32)
    load[1::2, 0] = 0.3
    naive = np.add.accumulate(load[:, 1], dtype=np.float32)[-1]
    due = users * float(np.float32(0.7))
    assert abs(naive / due - 1.0) > 1e-3
    found = aggregate(in_memory(load), hours(2))
    assert found.total_kw[1] == due
    assert found.total_kw[0] == 2_500_000 * (float(np.float32(0.7)) + float(np.float32(0.3)))


def test_large_small_and_negative_loads_add_up_exactly():
    load = np.array([[1e9, -1e9, 3e-9], [2.0**-46, 40.0, -7.25], [0.1, 33.0, -1e-7]])
    found = aggregate(in_memory(load), hours(3))
    assert found.total_kw[0] == 1e9 + 0.1
    assert found.total_kw[1] == -1e9 + 73.0
    assert found.total_kw[2] == pytest.approx(-7.25 - 1e-7 + 3e-9, abs=1e-13)
    assert found.users.highest_kw.tolist() == [1e9, 40.0, 33.0]
    one = aggregate(in_memory(np.full((1, 1), 2.0**-46)), hours(1))
    assert one.total_kw[0] == 2.0**-46


def test_export_is_counted_when_the_peak_is_sought_without_a_user():
    rng = np.random.default_rng(8)
    load = rng.normal(1.0, 2.0, (300, 24))
    found = aggregate(parts_of(load, [50] * 6), hours(24))
    assert np.array_equal(found.users.peak_without_kw, peaks_without(load, found.total_kw))
    assert found.users.highest_kw.tolist() == load.max(axis=1).tolist()


def test_tied_peaks_are_all_peaks_within_the_tolerance():
    load = np.array([[4.0, 1.0, 3.0], [0.0, 3.0, 0.9999], [1.0, 1.0, 1.0]])
    exact = aggregate(in_memory(load), hours(3))
    assert exact.peak_slots.tolist() == [0, 1]
    assert exact.users.coincident_kw.tolist() == [2.5, 1.5, 1.0]
    wide = aggregate(in_memory(load), hours(3), tie_tolerance=1e-4)
    assert wide.peak_slots.tolist() == [0, 1, 2]
    for many in (parts_of(load, [1, 1, 1]), in_memory(load, part_rows=1)):
        again = aggregate(many, hours(3), tie_tolerance=1e-4)
        assert np.array_equal(again.users.coincident_kw, wide.users.coincident_kw)
    with pytest.raises(InvalidProblem, match="tie_tolerance"):
        aggregate(in_memory(load), hours(3), tie_tolerance=-1.0)


def test_a_part_is_gone_over_again_only_where_its_first_users_misled(monkeypatch):
    axis, slots = hours(48), 48
    load = random_loads(2, users=600)
    load[:100, :20] += 500.0  # the first users peak early, and all together do not
    load[100:, 40] += 900.0
    parts, again = parts_of(load, [100, 250, 250]), []
    kept = Second.__call__
    monkeypatch.setattr(
        Second, "__call__", lambda self, pair: again.append(pair) or kept(self, pair)
    )
    found = aggregate(parts, axis)
    assert len(again) == 1
    assert found.peak_slots.tolist() == [40]
    total = found.total_kw
    assert np.array_equal(found.users.coincident_kw, load[:, 40].astype(np.float64))
    assert np.array_equal(found.users.peak_without_kw, peaks_without(load, total))
    again.clear()
    aggregate(parts_of(load[100:], [250, 250]), axis)
    assert slots == total.size
    assert not again


def test_special_aggregates():
    one = aggregate(in_memory(np.array([[1.0, 3.0]])), hours(2))
    assert one.load_factor == pytest.approx(2 / 3)
    assert one.users.peak_without_kw.tolist() == [0.0]
    assert one.users.load_factor_without.tolist() == [0.0]
    both = aggregate(in_memory(np.array([[1.0, 0.0], [0.0, 1.0]])), hours(2))
    assert both.load_factor == 1.0
    assert both.users.coincident_kw.tolist() == [0.5, 0.5]
    alike = aggregate(in_memory(np.outer([1.0, 2.0, 5.0], [1.0, 4.0, 2.0])), hours(3))
    shares = alike.users.energy_kwh / alike.energy_kwh
    np.testing.assert_allclose(alike.users.coincident_kw / alike.peak_kw, shares)
    none = aggregate(in_memory(np.zeros((2, 2))), hours(2), price=lambda u: u)
    assert (none.load_factor, none.cost) == (0.0, 0.0)
    assert none.window_share.tolist() == [0.0]


def test_faults_are_told_with_their_place():
    load = np.ones((300, 4))
    load[271, 2] = np.nan
    with pytest.raises(InvalidProblem) as caught:
        aggregate(in_memory(load, part_rows=100), hours(4))
    assert str(caught.value) == "load_kw[271, 2]: is nan; fill gaps first"
    load[271, 2] = -np.inf
    load[272, 2] = 2e9
    with pytest.raises(InvalidProblem, match=r"load_kw\[271, 2\]: is -inf \(and 1 more users"):
        aggregate(in_memory(load), hours(4))
    with pytest.raises(InvalidProblem, match="has 4 slots; must have 5"):
        aggregate(in_memory(np.ones((2, 4))), hours(5))
    with pytest.raises(InvalidProblem, match="at least 1 user"):
        aggregate([], hours(4))
    with pytest.raises(InvalidProblem, match="at least 1 user"):
        aggregate(in_memory(np.ones((0, 4))), hours(4))
    with pytest.raises(InvalidProblem, match="1-dimensional int64"):
        in_memory(np.arange(4))
    with pytest.raises(InvalidProblem, match="levels"):
        aggregate(in_memory(np.ones((2, 4))), hours(4), levels=(101.0,))


def test_windows_follow_local_clocks():
    zone = ZoneInfo("Europe/Vienna")
    start = datetime(2026, 10, 24, tzinfo=zone)
    axis = Horizon(start=start, step_h=np.ones(49), time_zone="Europe/Vienna")
    windows = TimeWindows.daily(
        axis,
        [("peak", 8 * 60, 12 * 60), ("peak", 18 * 60, 20 * 60), ("night", 1320, 360)],
        rest="day",
    )
    assert windows.names == ("peak", "night", "day")
    count = np.bincount(windows.index)
    assert count.tolist() == [12, 17, 20]  # the night of the change has 25 - 8 hours more than 8
    found = aggregate(in_memory(np.ones((3, 49))), axis, windows=windows)
    assert found.window_kwh.tolist() == [36.0, 51.0, 60.0]
    assert found.window_share.sum() == pytest.approx(1.0)
    assert np.array_equal(found.users.window_kwh, np.tile([12.0, 17.0, 20.0], (3, 1)))
    with pytest.raises(InvalidProblem, match="must be one of 1 windows"):
        TimeWindows(names=("a",), index=np.array([0, 1]))


def test_days_and_months_are_those_of_the_calendar():
    zone = ZoneInfo("Europe/Vienna")
    start = datetime(2026, 10, 25, tzinfo=zone)
    axis = Horizon(start=start, step_h=np.ones(25 + 6 * 24 + 24), time_zone="Europe/Vienna")
    load = np.ones((2, axis.count))
    load[1, 26] = 5.0
    group = np.array([0, 1], np.int32)
    found = aggregate(in_memory(load, group=group, group_names=("a", "b")), axis)
    days = found.daily()
    assert days.label[:2] == ("2026-10-25", "2026-10-26")
    assert days.slot_count.tolist() == [25, 24, 24, 24, 24, 24, 24, 24]
    assert days.energy_kwh.tolist() == [50.0, 52.0] + [48.0] * 6
    assert (days.peak_kw[1], days.peak_slot[1]) == (6.0, 26)
    assert days.load_factor[1] == pytest.approx(52 / 144)
    months = found.monthly("b")
    assert months.label == ("2026-10", "2026-11")
    assert months.energy_kwh.tolist() == [173.0, 24.0]


def test_percentiles_are_exact_when_few_and_close_when_many(monkeypatch):
    load, axis = random_loads(4, users=3_000), hours(48)
    levels = (0.0, 5.0, 50.0, 95.0, 100.0)
    exact = aggregate(in_memory(load), axis, levels=levels).percentiles
    due = np.percentile(load.astype(np.float64), levels, axis=0, method="inverted_cdf")
    assert exact.relative_error == 0.0
    assert np.array_equal(exact.load_kw, due)
    monkeypatch.setattr("loadloom.models.agency.percentiles.EXACT_VALUES", 10_000)
    for part_rows in (3_000, 150):
        close = aggregate(in_memory(load, part_rows=part_rows), axis, levels=levels).percentiles
        assert close.relative_error == RELATIVE_ERROR
        seen = due > 2.0**-11
        assert np.abs(close.load_kw[seen] / due[seen] - 1.0).max() <= RELATIVE_ERROR
        assert np.all(close.load_kw[~seen] == 0.0)


def test_percentiles_of_too_many_slots_are_refused_only_when_they_would_be_counted(monkeypatch):
    monkeypatch.setattr("loadloom.models.agency.percentiles.MOST_SLOTS", 20)
    load, axis = random_loads(4), hours(48)
    assert aggregate(in_memory(load), axis, levels=(50.0,)).percentiles.relative_error == 0.0
    monkeypatch.setattr("loadloom.models.agency.percentiles.EXACT_VALUES", 10_000)
    with pytest.raises(InvalidProblem, match="in at most 20 slots; there are 48"):
        aggregate(in_memory(load), axis, levels=(50.0,))


def test_effects_on_the_cost_are_those_of_leaving():
    load, axis = random_loads(7, users=60, dtype=np.float64), hours(48)
    price = lambda u: 0.2 + 0.05 * u  # noqa: E731
    found = aggregate(in_memory(load), axis, price=price)
    for user in range(0, 60, 7):
        rest = aggregate(in_memory(np.delete(load, user, axis=0)), axis, price=price)
        assert found.users.cost_effect[user] == pytest.approx(found.cost - rest.cost, abs=1e-8)
        assert found.users.load_factor_without[user] == pytest.approx(rest.load_factor)
