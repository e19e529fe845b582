import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadloom.client.files.faults import InputError
from loadloom.client.files.series import SeriesReader, timeline
from loadloom.client.files.tables import Table

ZONE = ZoneInfo("Europe/Amsterdam")
HOUR = timedelta(hours=1)


@pytest.fixture
def read(tmp_path):
    """Writes a CSV file and reads a column of it."""

    def read(text, column="load_kw", target="power_kw"):
        file = tmp_path / "load.csv"
        file.write_text(text)
        return SeriesReader(ZONE).series(file, column, target)

    return read


def faults_of(read, text, *arguments):
    with pytest.raises(InputError) as raised:
        read(text, *arguments)
    return raised.value.faults


def local_rows(start, count, step):
    """Rows of local times without offsets, as a meter at a wall writes them."""
    moment, rows = start.replace(tzinfo=ZONE).astimezone(UTC), []
    for index in range(count):
        wall = (moment + index * step).astimezone(ZONE).replace(tzinfo=None)
        rows.append(f"{wall},{index}")
    return "time,load_kw\n" + "\n".join(rows)


def test_values_are_read_in_the_unit_of_the_field(read):
    series = read("time,load_w\n2024-06-01T00:00,1500\n2024-06-01T01:00,250\n", "load_w")
    assert series.values.tolist() == [1.5, 0.25]
    assert series.step == HOUR
    assert series.start == datetime(2024, 5, 31, 22, tzinfo=UTC)
    assert series.end == series.start + 2 * HOUR


def test_offsets_and_utc_columns_are_obeyed(read):
    with_offset = read("time,load_kw\n2024-06-01T00:00+05:00,1\n2024-06-01T01:00+05:00,2")
    assert with_offset.start == datetime(2024, 5, 31, 19, tzinfo=UTC)
    in_utc = read("time_utc,load_kw\n2024-06-01T00:00,1\n2024-06-01T01:00,2")
    assert in_utc.start == datetime(2024, 6, 1, tzinfo=UTC)


def test_semicolons_and_decimal_commas_and_a_byte_order_mark_are_read(read):
    series = read("\ufefftime;load_kw\n2024-06-01 00:00;1,5\n2024-06-01 01:00;2,25\n")
    assert series.values.tolist() == [1.5, 2.25]


@pytest.mark.parametrize("step", [timedelta(minutes=15), HOUR])
@pytest.mark.parametrize(("day", "hours"), [((2024, 3, 31), 23), ((2024, 10, 27), 25)])
def test_a_day_of_local_times_has_23_or_25_hours_when_clocks_change(read, day, hours, step):
    start, count = datetime(*day), hours * HOUR // step
    series = read(local_rows(start, count, step))
    assert series.start == start.replace(tzinfo=ZONE)
    assert series.end == (start + timedelta(days=1)).replace(tzinfo=ZONE)
    assert len(series.values) == count


def test_a_missing_second_hour_of_a_clock_change_is_a_gap(read):
    text = "time,load_kw\n" + "\n".join(f"2024-10-27T0{hour}:00,0" for hour in range(1, 5))
    (fault,) = faults_of(read, text)
    assert fault.line == 4
    assert "missing: 2024-10-27 02:00:00+01:00" in fault.message


def test_a_time_that_clocks_skip_is_told(read):
    text = "time,load_kw\n2024-03-31T01:00,0\n2024-03-31T02:00,0\n2024-03-31T03:00,0"
    (fault,) = faults_of(read, text)
    assert (fault.line, fault.column) == (3, 1)
    assert "does not exist in Europe/Amsterdam" in fault.message


@example(zone="Australia/Lord_Howe", day=date(2024, 3, 23), minutes=60, count=875)
@given(
    zone=st.sampled_from(["Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "UTC",
                          "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut"]),
    day=st.dates(date(2024, 1, 1), date(2025, 12, 28)),
    minutes=st.sampled_from([5, 10, 15, 30, 60]),
    count=st.integers(2, 900),
)  # fmt: skip
def test_local_times_without_offsets_are_read_as_they_were_written(zone, day, minutes, count):
    zone, step = ZoneInfo(zone), timedelta(minutes=minutes)
    # From noon, which no zone shows twice: the first of two equal times could not be told apart.
    start = datetime(day.year, day.month, day.day, 12, tzinfo=zone).astimezone(UTC)
    walls = [(start + i * step).astimezone(zone).replace(tzinfo=None) for i in range(count)]
    rows = [str(wall) for wall in walls]
    table = Table(file=Path("x.csv"), cells={"time": rows}, lines=list(range(2, count + 2)))
    assert timeline(table, zone) == (start, step)


ROWS = [f"2024-06-01T{hour:02}:00,{hour}" for hour in range(6)]


@pytest.mark.parametrize(
    ("rows", "line", "column", "words"),
    [
        ([*ROWS[:3], ROWS[2], *ROWS[3:]], 5, 1, "same time as the row before"),
        ([*ROWS[:2], *ROWS[4:]], 4, 1, "missing: 2024-06-01 02:00:00\\+02:00 to"),
        ([*ROWS[:2], ROWS[4], ROWS[3], ROWS[5]], 5, 1, "earlier than the row before"),
        (
            [*ROWS[:3], "2024-06-01T02:00Z,1", *ROWS[4:]],
            1,
            1,
            "with an offset and times without",
        ),
        ([*ROWS[:4], ROWS[1], *ROWS[4:]], 6, 1, "earlier than the row before"),
        ([*ROWS[:3], *ROWS[4:]], 5, 1, "gap; missing: 2024-06-01 03:00:00\\+02:00$"),
        ([*ROWS[:3], "2024-06-01T02:20,7", *ROWS[3:]], 5, 1, "0:20:00 after the row before"),
        ([*ROWS[:3], "noon,7", *ROWS[4:]], 5, 1, "'noon' is not a time"),
        (["01.06.2024 00:00,7", *ROWS[1:]], 2, 1, "is not a time; write it as 2024-06-01T14:00"),
        ([*ROWS[:3], "2024-06-01T03:00,", *ROWS[4:]], 5, 2, "value is missing"),
        ([*ROWS[:3], "2024-06-01T03:00,NaN", *ROWS[4:]], 5, 2, "value is missing"),
        ([*ROWS[:3], "2024-06-01T03:00,inf", *ROWS[4:]], 5, 2, "not a finite number"),
        ([*ROWS[:3], "2024-06-01T03:00,1_000", *ROWS[4:]], 5, 2, "not a finite number"),
        ([*ROWS[:3], "2024-06-01T03:00,abc", *ROWS[4:]], 5, 2, "'abc' is not a number"),
        ([*ROWS[:3], "2024-06-01T03:00,1,2", *ROWS[4:]], 5, None, "3 cells; the header has 2"),
        (ROWS[:1], 1, 1, "at least two times"),
    ],
)
def test_a_fault_is_told_with_line_and_column(read, rows, line, column, words):
    fault = faults_of(read, "\n".join(["time,load_kw", *rows]))[0]
    assert (fault.line, fault.column) == (line, column)
    assert re.search(words, fault.message), fault.message


def test_rows_out_of_order_are_told_without_the_gaps_that_they_make(read):
    rows = [*ROWS[:2], ROWS[4], ROWS[3], ROWS[5]]
    (fault,) = faults_of(read, "\n".join(["time,load_kw", *rows]))
    assert "times must increase" in fault.message


def test_blank_lines_do_not_shift_line_numbers(read):
    fault = faults_of(read, "time,load_kw\n\n2024-06-01T00:00,1\n\n2024-06-01T01:00,x\n")[0]
    assert fault.line == 5


def test_many_faults_of_a_kind_are_counted(read):
    text = "time,load_kw\n" + "\n".join(f"2024-06-01T{hour:02}:00,x" for hour in range(24))
    faults = faults_of(read, text)
    assert len(faults) == 6
    assert faults[-1].message == "19 more faults of this kind"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("when,load_kw\n1,2\n3,4", "no column of times; its columns are when, load_kw"),
        (
            "time,power_kw\n2024-06-01T00:00,1",
            "no column 'load_kw'; its columns are time, power_kw",
        ),
        ("time,load_kw,load_kw\n1,2,3", "'load_kw' names a second column"),
    ],
)
def test_a_wrong_header_is_told(read, text, words):
    assert words in faults_of(read, text)[0].message


def test_a_wrong_unit_is_told_with_the_column(read):
    (fault,) = faults_of(read, "time,load_hp\n2024-06-01T00:00,1", "load_hp")
    assert (fault.line, fault.column, fault.where) == (1, 2, "load_hp")
    assert "_w, _kw, _mw" in fault.message


def test_a_missing_file_and_an_unknown_kind_are_told(tmp_path):
    reader = SeriesReader(ZONE)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        reader.series(tmp_path / "load.csv", "load_kw", "power_kw")
    with pytest.raises(InputError, match=r"must end in one of \.csv, \.csv\.gz, \.parquet"):
        reader.series(tmp_path / "load.xlsx", "load_kw", "power_kw")


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_parquet_is_read_with_an_index_of_times_with_and_without_a_zone(tmp_path, unit):
    index = pd.date_range("2024-10-27", periods=100, freq="15min", tz=ZONE, unit=unit)
    frame = pd.DataFrame({"load_kw": np.arange(100.0)}, index=index)
    frame.to_parquet(tmp_path / "index.parquet")
    frame.index = frame.index.tz_localize(None)
    frame.rename_axis("time").reset_index().to_parquet(tmp_path / "column.parquet")
    for file in ("index.parquet", "column.parquet"):
        series = SeriesReader(ZONE).series(tmp_path / file, "load_kw", "power_kw")
        assert series.start == index[0].to_pydatetime()
        assert series.end == datetime(2024, 10, 28, tzinfo=ZONE)
        assert series.values.tolist() == list(range(100))


def test_a_fault_in_parquet_is_told_with_its_row(tmp_path):
    index = pd.date_range("2024-06-01", periods=4, freq="h", tz=ZONE)
    pd.DataFrame({"load_kw": [1, 2, None, 4]}, index=index).to_parquet(tmp_path / "load.parquet")
    with pytest.raises(InputError, match=r"row 3, column 1 \(load_kw\): the value is missing"):
        SeriesReader(ZONE).series(tmp_path / "load.parquet", "load_kw", "power_kw")


def test_what_is_no_parquet_is_told(tmp_path):
    (tmp_path / "load.parquet").write_text("time,load_kw")
    with pytest.raises(InputError, match="is not a Parquet file"):
        SeriesReader(ZONE).series(tmp_path / "load.parquet", "load_kw", "power_kw")
