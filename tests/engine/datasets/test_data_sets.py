"""Data sets: the same curves from every layout, and every fault told with file, row and column."""

import pickle
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from loadloom.engine.datasets.data_set import DataSet, Layout, Unit
from loadloom.engine.datasets.read import check_names, open_parts
from loadloom.engine.datasets.roots import Roots
from loadloom.models.agency.aggregate import aggregate
from loadloom.models.agency.completeness import Mark, Rules
from loadloom.models.agency.curves import all_chunks, in_memory
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon

SLOTS, USERS = 8, 23
HORIZON = Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.full(SLOTS, 0.25))
NAMES = [f"user {i:02d}" for i in range(USERS)]
AREAS = [f"area {i % 3}" for i in range(USERS)]
LOADS = np.random.default_rng(5).random((USERS, SLOTS), dtype=np.float32) * 4
TIMES = [HORIZON.start + timedelta(minutes=15 * t) for t in range(SLOTS)]


def as_list(load=LOADS, names=NAMES, areas=AREAS, **more):
    lists = pa.array([list(row) for row in load], pa.list_(pa.float32()))
    return pa.table({"user": names, "area": areas, "load_kw": lists, **more})


def as_columns(load=LOADS, names=NAMES, areas=AREAS):
    slots = {f"t{t:02d}": load[:, t] for t in range(load.shape[1])}
    return pa.table({"user": names, "area": areas, **slots})


def as_rows(load=LOADS, names=NAMES, areas=AREAS, times=TIMES, order=None):
    slots = load.shape[1]
    order = np.arange(load.size) if order is None else order
    user, slot = np.divmod(order, slots)
    return pa.table(
        {
            "user": [names[i] for i in user],
            "area": [areas[i] for i in user],
            "time": pa.array([times[t] for t in slot], pa.timestamp("us", "UTC")),
            "load_kw": load.reshape(-1)[order],
        }
    )


def data_set(path, layout=Layout.WIDE_LIST, **more):
    return DataSet(root="meters", path=path, layout=layout, **more)


def opened(tmp_path, path, layout=Layout.WIDE_LIST, horizon=HORIZON, cut_off=None, **more):
    roots = Roots({"meters": str(tmp_path)})
    return open_parts(data_set(path, layout, **more), roots, horizon, cut_off=cut_off)


def curves(parts):
    """The curves by name, and the area of each user."""
    found = {}
    for chunk in all_chunks(parts):
        for i, name in enumerate(chunk.names):
            found[name] = (chunk.load_kw[i], chunk.group_names[chunk.group_index()[i]])
    return found


def fault(call):
    with pytest.raises(InvalidProblem) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("layout", list(Layout), ids=lambda layout: layout.name)
def test_every_layout_and_format_has_the_same_curves(tmp_path, layout, form):
    if form == "csv" and layout is Layout.WIDE_LIST:
        pytest.skip("a CSV file has no lists")
    made = {
        Layout.WIDE_LIST: as_list,
        Layout.WIDE_COLUMNS: as_columns,
        Layout.LONG: lambda: as_rows(order=np.random.default_rng(1).permutation(LOADS.size)),
    }[layout]()
    if form == "parquet":
        pq.write_table(made, tmp_path / "a.parquet", row_group_size=7)
    else:
        pa_csv.write_csv(made, tmp_path / "a.csv")
    found = curves(opened(tmp_path, f"a.{form}", layout, area_column="area"))
    assert set(found) == set(NAMES)
    for i, name in enumerate(NAMES):
        np.testing.assert_allclose(found[name][0], LOADS[i], rtol=1e-6)
        assert found[name][1] == AREAS[i]


def test_a_folder_is_one_data_set_in_the_order_of_its_names(tmp_path):
    (tmp_path / "day").mkdir()
    pq.write_table(as_list(LOADS[:9], NAMES[:9], AREAS[:9]), tmp_path / "day/a.parquet")
    pq.write_table(as_list(LOADS[9:], NAMES[9:], AREAS[9:]), tmp_path / "day/b.parquet")
    (tmp_path / "day/notes.txt").write_text("none of ours")
    parts = opened(tmp_path, "day")
    assert [name for chunk in all_chunks(parts) for name in chunk.names] == NAMES
    whole = aggregate(in_memory(LOADS), HORIZON)
    assert np.array_equal(aggregate(parts, HORIZON).total_kw, whole.total_kw)
    check_names(parts)


def test_other_processes_read_the_footers_of_files_themselves(tmp_path):
    """With columns in many row groups a footer is larger than each of these."""
    pq.write_table(as_columns(), tmp_path / "a.parquet", row_group_size=1)
    parts = opened(tmp_path, "a.parquet", Layout.WIDE_COLUMNS, area_column="area")
    sent = pickle.dumps(parts[1])
    assert len(sent) < parts[1].table.footer.serialized_size / 2
    (chunk,) = pickle.loads(sent).chunks()
    assert np.array_equal(chunk.load_kw, LOADS[1:2])


def test_files_of_an_fsspec_file_system():
    import fsspec

    memory = fsspec.filesystem("memory")
    with memory.open("/meters/day/a.parquet", "wb") as file:
        pq.write_table(as_list(), file)
    roots = Roots({"meters": "memory://meters"})
    parts = open_parts(data_set("day"), roots, HORIZON)
    assert set(curves(parts)) == set(NAMES)
    with pytest.raises(InvalidProblem, match="without"):
        open_parts(data_set("../day"), roots, HORIZON)
    with pytest.raises(InvalidProblem, match="does not exist"):
        open_parts(data_set("night"), roots, HORIZON)
    memory.rm("/meters", recursive=True)


@pytest.mark.parametrize(
    "path", ["../secret.parquet", "/etc/passwd", "day/../../secret.parquet", "a\0b", "..", ""]
)
def test_a_path_out_of_its_root_is_refused(tmp_path, path):
    pq.write_table(as_list(), tmp_path / "secret.parquet")
    (tmp_path / "root/day").mkdir(parents=True)
    roots = Roots({"meters": str(tmp_path / "root")})
    words = fault(lambda: open_parts(data_set(path), roots, HORIZON))
    assert "must be a path below its root" in words


@pytest.mark.parametrize("path", ["link.parquet", "folder", "deep"])
def test_a_link_out_of_its_root_is_refused(tmp_path, path):
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / "deep").mkdir(parents=True)
    pq.write_table(as_list(), outside / "a.parquet")
    (root / "link.parquet").symlink_to(outside / "a.parquet")
    (root / "folder").symlink_to(outside)
    (root / "deep/inner.parquet").symlink_to(outside / "a.parquet")
    roots = Roots({"meters": str(root)})
    words = fault(lambda: open_parts(data_set(path), roots, HORIZON))
    assert "leads out of its root" in words
    assert str(tmp_path) not in words


def test_a_link_within_its_root_is_followed(tmp_path):
    pq.write_table(as_list(), tmp_path / "a.parquet")
    (tmp_path / "today.parquet").symlink_to(tmp_path / "a.parquet")
    assert set(curves(opened(tmp_path, "today.parquet"))) == set(NAMES)


def test_an_unknown_root_is_told(tmp_path):
    roots = Roots({"meters": str(tmp_path)})
    words = fault(
        lambda: open_parts(DataSet(root="other", path="a", layout=Layout.LONG), roots, HORIZON)
    )
    assert words == "data_set.root: 'other' is no root of data sets; there are: meters"


def test_a_damaged_parquet_file_is_told(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(as_list(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert fault(lambda: opened(tmp_path, "a.parquet")).startswith("meters/a.parquet: is damaged")
    path.write_bytes(b"no parquet at all, of some length")
    assert "meters/a.parquet: is damaged" in fault(lambda: opened(tmp_path, "a.parquet"))
    path.write_bytes(b"")
    assert "meters/a.parquet: is damaged" in fault(lambda: opened(tmp_path, "a.parquet"))


def test_damage_within_a_page_is_told_when_it_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(as_list(), path, compression="zstd", use_dictionary=False)
    whole = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(2)
    begin = column.data_page_offset
    whole[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(bytes(whole))
    assert "meters/a.parquet: is damaged" in fault(lambda: curves(opened(tmp_path, "a.parquet")))


def test_wrong_columns_are_told(tmp_path):
    pq.write_table(as_list(), tmp_path / "a.parquet")
    words = fault(lambda: opened(tmp_path, "a.parquet", load_column="power"))
    expected = "has no column 'power'; it has 'user', 'area', 'load_kw'"
    assert words == f"meters/a.parquet: {expected}"
    words = fault(lambda: opened(tmp_path, "a.parquet", load_column="area"))
    assert "column 'area' is string; must be a list of numbers" in words
    words = fault(
        lambda: opened(tmp_path, "a.parquet", Layout.WIDE_COLUMNS, slot_columns=("area",) * 1)
    )
    assert "column 'area' is string; must be numbers" in words
    with pytest.raises(InvalidProblem, match="twice"):
        data_set("a", user_column="x", load_column="x")


def test_lists_of_another_resolution_are_told_with_their_row(tmp_path):
    lists = [list(map(float, row)) for row in LOADS]
    lists[11] = lists[11][::2]
    made = pa.table({"user": NAMES, "load_kw": lists})
    pq.write_table(made, tmp_path / "a.parquet", row_group_size=7)
    words = fault(lambda: curves(opened(tmp_path, "a.parquet")))
    assert "meters/a.parquet: row 12, column 'load_kw': has 4 values; " in words
    assert "has 8 slots of 15 minutes" in words


def test_a_month_of_a_clock_change_has_its_own_number_of_slots(tmp_path):
    start = datetime(2026, 10, 1, tzinfo=ZoneInfo("Europe/Vienna"))
    month = Horizon(start=start, step_h=np.full(31 * 96 + 4, 0.25), time_zone="Europe/Vienna")
    naive = np.ones((2, 31 * 96), np.float32)
    pq.write_table(as_list(naive, NAMES[:2], AREAS[:2]), tmp_path / "a.parquet")
    words = fault(lambda: curves(opened(tmp_path, "a.parquet", horizon=month)))
    assert "row 1, column 'load_kw': has 2976 values" in words
    assert "in Europe/Vienna, in which clocks change, has 2980 slots of 15 minutes" in words


def test_local_times_that_come_twice_are_told(tmp_path):
    zone = "Europe/Vienna"
    start = datetime(2026, 10, 25, tzinfo=ZoneInfo(zone))
    day = Horizon(start=start, step_h=np.ones(25), time_zone=zone)
    lines = [f"a,2026-10-25T{hour:02d}:00:00,1.5" for hour in range(24)]
    (tmp_path / "a.csv").write_text("user,time,load_kw\n" + "\n".join(lines))
    words = fault(lambda: curves(opened(tmp_path, "a.csv", Layout.LONG, horizon=day)))
    assert "meters/a.csv: row 3, column 'time': 2026-10-25T02:00:00 comes twice" in words
    lines = [f"a,{day.boundary(t).isoformat()},{t}" for t in range(25)]
    (tmp_path / "a.csv").write_text("user,time,load_kw\n" + "\n".join(lines))
    ((load, _),) = curves(opened(tmp_path, "a.csv", Layout.LONG, horizon=day)).values()
    assert np.array_equal(load, np.arange(25.0))


def test_a_time_off_the_slots_is_told(tmp_path):
    (tmp_path / "a.csv").write_text(
        "user,time,load_kw\na,2026-12-01T00:00:00Z,1\na,2026-12-01T00:10:00Z,1\n"
    )
    words = fault(lambda: opened(tmp_path, "a.csv", Layout.LONG))
    assert "row 2, column 'time': 2026-12-01T00:10:00Z is not the begin of a slot" in words
    (tmp_path / "a.csv").write_text("user,time,load_kw\na,2026-12-02T00:00:00Z,1\n")
    words = fault(lambda: opened(tmp_path, "a.csv", Layout.LONG))
    assert "2026-12-02T00:00:00Z is not from 2026-12-01T00:00:00+00:00 to" in words
    (tmp_path / "a.csv").write_text("user,time,load_kw\na,2026-12-01T00:00:00Z,1\na,noon,1\n")
    assert "row 2, column 'time': noon" in fault(lambda: opened(tmp_path, "a.csv", Layout.LONG))


def test_a_user_of_another_resolution_is_told(tmp_path):
    order = [i for i in range(LOADS.size) if i // SLOTS != 4 or i % 2 == 0]
    pq.write_table(as_rows(order=np.array(order)), tmp_path / "a.parquet")
    words = fault(lambda: curves(opened(tmp_path, "a.parquet", Layout.LONG)))
    assert "user 'user 04' has readings every 2 slots at most" in words


def test_a_word_among_numbers_is_told_with_row_and_column(tmp_path):
    lines = ["user,t0,t1,t2,t3,t4,t5,t6,t7"]
    lines += [f"u{i},1,2,3,4,5,6,7,8" for i in range(5)]
    lines[4] = "u3,1,2,three,4,5,6,7,8"
    (tmp_path / "a.csv").write_text("\n".join(lines))
    words = fault(lambda: curves(opened(tmp_path, "a.csv", Layout.WIDE_COLUMNS)))
    assert words.startswith("meters/a.csv: row 4, column 't2'")
    assert "three" in words
    lines[4] = "u3,1,2"
    (tmp_path / "a.csv").write_text("\n".join(lines))
    words = fault(lambda: curves(opened(tmp_path, "a.csv", Layout.WIDE_COLUMNS)))
    assert words.startswith("meters/a.csv: row 4: Expected 9 columns, got 3")


def test_the_row_of_a_fault_is_told_far_into_a_file_too(tmp_path):
    lines = ["user,t0,t1,t2,t3,t4,t5,t6,t7"]
    lines += [f"user number {i},1.25,2.25,3.25,4.25,5.25,6.25,7.25,8.25" for i in range(200_000)]
    lines[150_000] = "last,1,2,3,4,5,6,7,eight"
    (tmp_path / "a.csv").write_text("\n".join(lines))
    words = fault(lambda: curves(opened(tmp_path, "a.csv", Layout.WIDE_COLUMNS)))
    assert words.startswith("meters/a.csv: row 150000, column 't7'")


def test_units_are_one_and_converted(tmp_path):
    for word, unit, scale in (("W", Unit.W, 1e3), ("MW", Unit.MW, 1e-3), ("kWh", Unit.KWH, 0.25)):
        made = as_list(LOADS * scale, unit=[word] * USERS)
        pq.write_table(made, tmp_path / "a.parquet")
        found = curves(opened(tmp_path, "a.parquet", unit_column="unit", unit=unit))
        np.testing.assert_allclose(found["user 03"][0], LOADS[3], rtol=1e-6)
    said = ["kW"] * USERS
    said[6] = "MW"
    pq.write_table(as_list(unit=said), tmp_path / "a.parquet", row_group_size=4)
    words = fault(lambda: curves(opened(tmp_path, "a.parquet", unit_column="unit")))
    assert words == "meters/a.parquet: row 7, column 'unit': is 'MW'; must be 'kW' everywhere"


def test_currencies_are_one_over_all_files(tmp_path):
    for name, code in (("a", "EUR"), ("b", "CHF")):
        pq.write_table(as_list(money=[code] * USERS), tmp_path / f"{name}.parquet")
    words = fault(lambda: curves(opened(tmp_path, ".", currency_column="money")))
    assert words == "meters/b.parquet: row 1, column 'money': is 'CHF'; must be 'EUR' everywhere"
    (tmp_path / "b.parquet").unlink()
    assert set(curves(opened(tmp_path, ".", currency_column="money"))) == set(NAMES)


def test_duplicate_and_late_readings_are_marked(tmp_path):
    lines = ["user,time,arrived,load_kw"]
    lines += [f"a,{t.isoformat()},2026-12-01T03:00:00Z,{k}" for k, t in enumerate(TIMES)]
    lines += [f"a,{TIMES[2].isoformat()},2026-12-01T09:00:00Z,20"]
    lines += [f"b,{TIMES[0].isoformat()},2026-12-01T03:00:00Z,"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    cut_off = datetime(2026, 12, 1, 4, tzinfo=UTC)
    parts = opened(tmp_path, "a.csv", Layout.LONG, arrival_column="arrived", cut_off=cut_off)
    found = aggregate(parts, HORIZON, rules=Rules()).completeness
    assert found.count(Mark.DUPLICATE) == 1
    assert found.slot_marks[1].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert found.slot_marks[2].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert found.user_marks[:, 0].tolist() == [0, SLOTS]
    (chunk,) = all_chunks(parts)
    assert chunk.load_kw[0, 2] == 20.0


def test_a_user_in_two_areas_is_told(tmp_path):
    made = as_rows()
    areas = made["area"].to_pylist()
    areas[13] = "elsewhere"
    made = made.set_column(1, "area", pa.array(areas))
    pq.write_table(made, tmp_path / "a.parquet")
    words = fault(lambda: curves(opened(tmp_path, "a.parquet", Layout.LONG, area_column="area")))
    assert "row 14, column 'area': user user 01 is in elsewhere, and in area 1 before" in words


def test_a_user_that_comes_twice_is_told(tmp_path):
    pq.write_table(as_list(names=[*NAMES[:-1], NAMES[2]]), tmp_path / "a.parquet")
    words = fault(lambda: check_names(opened(tmp_path, "a.parquet")))
    assert words == "data_set: has one user as number 3 and again as 23"


def test_long_readings_are_spread_over_parts_that_fit(tmp_path, monkeypatch):
    from loadloom.engine.datasets import long

    order = np.random.default_rng(2).permutation(LOADS.size)
    pq.write_table(as_rows(order=order), tmp_path / "a.parquet", row_group_size=50)
    monkeypatch.setattr(long, "PART_READINGS", 40)
    monkeypatch.setattr(long, "BATCH_ROWS", 33)
    parts = opened(tmp_path, "a.parquet", Layout.LONG)
    assert len(parts) == 5
    found = curves(parts)
    assert all(np.array_equal(found[name][0], LOADS[i]) for i, name in enumerate(NAMES))
    folder = parts[0].path.parent
    assert len(list(folder.iterdir())) == 5
    del parts
    assert not folder.exists()
