"""Files of users, loads, shortages and deliveries, and every mistake that one can make in them."""

import numpy as np
import pandas as pd
import pytest

from loadloom.client.errors import Violation
from loadloom.client.files.faults import InputError
from loadloom.client.files.orderly_deliveries import read_deliveries
from loadloom.client.files.orderly_series import read_shortage, slots_of_file
from loadloom.client.files.orderly_users import read_users, users_of_frame
from loadloom.client.orderly import Delivery, Measure
from loadloom.client.orderly_week import Week

BERLIN = "Europe/Berlin"
WEEK = Week.of_name("2026-W50", time_zone=BERLIN)

USERS = """user,load_kw,contract_kwh,max_days,kind,cap_kw,cost_per_kwh,max_slots,notice,allowed
bakery,120,18000,2,shift,60,0.4,3,day,17:00-22:00
bakery,,,,cut,100,2.5,,immediate,
foundry,900,140000,1,limit,400,0.9,4,week,
"""


@pytest.fixture
def write(tmp_path):
    """Writes a text into a file and returns the file."""

    def write(text, name="users.csv"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def faults(reader, *arguments):
    with pytest.raises(InputError) as caught:
        reader(*arguments)
    return [(fault.line, fault.column, fault.where, fault.message) for fault in caught.value.faults]


def hours(week=WEEK):
    start, end = week.boundaries[0], week.boundaries[-1]
    return pd.date_range(start, end, freq="h", tz=week.time_zone, inclusive="left", name="time")


def test_a_row_for_each_user_and_measure(write):
    bakery, foundry = read_users(write(USERS), WEEK).users
    assert bakery.measures == [
        Measure(
            kind="shift",
            cap_kw=60,
            cost_per_kwh=0.4,
            max_slots=3,
            notice="day",
            allowed="17:00-22:00",
        ),
        Measure(kind="cut", cap_kw=100, cost_per_kwh=2.5, notice="immediate"),
    ]
    assert (bakery.contract_kwh, bakery.max_days) == (18000, 2)
    assert np.asarray(foundry.load_kw).tolist() == [900.0] * 168


def test_user_columns_may_be_repeated_and_rows_of_a_user_may_lie_apart(write):
    first, second, third = USERS.splitlines()[1:]
    second = second.replace("bakery,,,", "bakery,120,18000,2")
    text = "\n".join([USERS.splitlines()[0], first, third, second])
    found = read_users(write(text), WEEK).users
    assert [(user.name, len(user.measures)) for user in found] == [("bakery", 2), ("foundry", 1)]


def test_the_end_of_a_name_is_its_unit(write):
    text = USERS.replace("cap_kw", "cap_mw").replace("cost_per_kwh", "cost_eur_per_mwh")
    text = text.replace("shift,60,0.4", "shift,0.06,400").replace("contract_kwh", "contract_mwh")
    bakery = read_users(write(text), WEEK).users[0]
    assert bakery.measures[0].cap_kw == 60.0
    assert bakery.measures[0].cost_per_kwh == 0.4
    assert bakery.contract_kwh == 18_000_000


def test_semicolons_bring_commas_in_numbers(write):
    text = USERS.replace(",", ";").replace("0.4", "0,4")
    assert read_users(write(text), WEEK).users[0].measures[0].cost_per_kwh == 0.4


def test_a_load_may_be_a_profile_of_a_day_or_of_a_week(write):
    profile = " ".join(map(str, range(24)))
    bakery = read_users(write(USERS.replace("bakery,120", f"bakery,{profile}")), WEEK).users[0]
    assert np.asarray(bakery.load_kw).tolist() == [*map(float, range(24))] * 7


def test_a_frame_serves_as_well():
    frame = pd.DataFrame(
        {
            "user": ["bakery", "bakery"],
            "load_kw": [120, np.nan],
            "max_days": [2, np.nan],
            "kind": ["shift", "cut"],
            "cap_kw": [60, 100],
            "cost_per_kwh": [0.4, 2.5],
            "max_slots": [3, np.nan],
        }
    )
    (bakery,) = users_of_frame(frame, WEEK)
    assert (bakery.max_days, len(bakery.measures)) == (2, 2)
    assert bakery.measures[0].max_slots == 3
    with pytest.raises(InputError, match=r"row 2, column 4 \(kind\): 'cutt' is not known; did you"):
        users_of_frame(frame.assign(kind=["shift", "cutt"]), WEEK)


CELLS = [
    ("bakery,120,18000,2,shift,60", "bakery,120,18000,2,shfit,60", 2, "kind", "did you mean shift"),
    ("shift,60", "shift,-60", 2, "cap_kw", "is -60; must be at least 0"),
    ("shift,60", "shift,many", 2, "cap_kw", "'many' is not a number"),
    ("shift,60", "shift,nan", 2, "cap_kw", "cap_kw of the measure is missing"),
    ("shift,60", "shift,inf", 2, "cap_kw", "is not a finite number"),
    ("shift,60", "shift,", 2, "cap_kw", "cap_kw of the measure is missing"),
    ("shift,60", ",60", 2, "kind", "is missing, though cap_kw is given"),
    ("foundry,900", "foundry,-900", 4, "load_kw", "is -900; must be at least 0"),
    ("foundry,900", "foundry,", 4, "load_kw", "'foundry' has no load"),
    ("foundry,900", "foundry,1 2 3", 4, "load_kw", "has 3 numbers; must have 1, 24"),
    ("140000,1,", "140000,1.5,", 4, "max_days", "is 1.5; must be a whole number"),
    ("0.4,3,day", "0.4,3,dya", 2, "notice", "did you mean day?"),
    ("0.4,3,day", "0.4,0,day", 2, "max_slots", "is 0; must be at least 1"),
    ("17:00-22:00", "17:30-22:00", 2, "allowed", "must begin and end with slots, which last 60"),
    ("17:00-22:00", "22:00-17:00", 2, "allowed", "is no window; write it as 17:00-22:00"),
    ("bakery,,,,cut", "bakery,110,,,cut", 3, "load_kw", "is 110 here and 120 on line 2"),
    ("bakery,,,,cut", "Bakery,,,,cut", 3, "user", "is written 'bakery' on line 2"),
    ("bakery,,,,cut", ",,,,cut", 3, "user", "the name of the user is missing"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "where", "message"), CELLS)
def test_a_mistake_is_told_by_line_and_column(write, right, wrong, line, where, message):
    column = USERS.splitlines()[0].split(",").index(where) + 1
    found = faults(read_users, write(USERS.replace(right, wrong, 1)), WEEK)
    assert (line, column, where) in [fault[:3] for fault in found]
    assert any(message in fault[3] for fault in found)


def test_a_measure_that_stands_there_twice_is_told(write):
    again = USERS + "foundry,900,140000,1,limit,400,0.9,4,week,\n"
    ((line, _, where, message),) = faults(read_users, write(again), WEEK)
    assert (line, where) == (5, "user")
    assert "a second time with the same measure; first on line 4" in message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("cap", "must end in its unit; call it cap_kw"),
        ("cap_kwh", "must end in a unit of the kind of _kw; call it cap_kw"),
        ("cap_kW_", "must end in a unit of the kind of _kw; call it cap_kw"),
        ("captain", "is not known here"),
        ("cost_kw", "must end in a unit of the kind of _per_kwh; call it cost_per_kwh"),
    ],
)
def test_a_header_that_means_nothing_is_told(write, header, message):
    found = faults(read_users, write(USERS.replace("cap_kw", header, 1)), WEEK)
    assert (1, 6, header) in [fault[:3] for fault in found]
    assert any(message in fault[3] for fault in found)
    assert any("has no column cap_kw" in fault[3] for fault in found)


def test_two_columns_of_one_meaning_are_told(write):
    text = "user,load_kw,load_mw,kind,cap_kw,cost_per_kwh\na,1,1,cut,1,1\n"
    assert "means load_kw, as load_kw does" in faults(read_users, write(text), WEEK)[0][3]


def test_all_mistakes_are_told_at_once_in_order(write):
    text = USERS.replace("shift,60", "shfit,-60").replace("limit,400", "limit,x")
    assert [fault[0] for fault in faults(read_users, write(text), WEEK)] == [2, 2, 4]


def test_very_many_mistakes_are_counted(write):
    row = "bakery {},1,,,cut,-1,1,,,\n"
    text = USERS + "".join(row.format(i) for i in range(50))
    found = faults(read_users, write(text), WEEK)
    assert len(found) == 21
    assert found[-1][3] == "30 more faults"


@pytest.mark.parametrize("text", ["", "user,load_kw,kind,cap_kw,cost_per_kwh\n"])
def test_an_empty_file_is_told(write, text):
    ((_, _, _, message),) = faults(read_users, write(text), WEEK)
    assert message in {"is empty", "has no users"}


def test_what_the_server_finds_is_traced_to_its_cell(write):
    found = read_users(write(USERS), WEEK)
    for path, line, where in [
        ("users[0].measures[1].cap_kw", 3, "cap_kw"),
        ("users[1].max_days", 4, "max_days"),
        ("users[1].name", 4, "user"),
    ]:
        fault = found.fault(Violation(path, "is wrong"))
        assert (fault.line, fault.where) == (line, where)
    assert found.fault(Violation("shortage.shortage_kw", "is wrong")) is None


def loads(**columns):
    return pd.DataFrame({name: np.full(168, v) for name, v in columns.items()}, hours())


def test_a_frame_of_loads_goes_with_a_frame_of_users():
    frame = pd.DataFrame({"user": ["a"], "kind": ["cut"], "cap_kw": [5], "cost_per_kwh": [1]})
    (user,) = users_of_frame(frame, WEEK, loads(a=7.0))
    assert np.asarray(user.load_kw).tolist() == [7.0] * 168
    with pytest.raises(InputError, match="loads: has no column for 'a'"):
        users_of_frame(frame, WEEK, loads(b=7.0))


def no_load(text=USERS):
    frame = [line.split(",") for line in text.splitlines()]
    return "\n".join(",".join([row[0], *row[2:]]) for row in frame)


def test_loads_come_from_a_file_with_a_column_for_each_user(write, tmp_path):
    table = loads(bakery=120.0, foundry_mw=0.9, other=1.0)
    table.to_csv(tmp_path / "loads.csv")
    found = read_users(write(no_load()), WEEK, tmp_path / "loads.csv").users
    assert [float(np.mean(user.load_kw)) for user in found] == [120.0, 900.0]


def test_users_that_share_a_profile_have_it_times_their_scale(write, tmp_path):
    loads(shops=100.0, other=1.0).to_csv(tmp_path / "loads.csv")
    text = (
        "user,load_profile,load_scale,kind,cap_kw,cost_per_kwh\n"
        "one,shops,2.5,cut,1,1\ntwo,shops,,cut,1,1\ntwo,,,limit,1,1\n"
    )
    one, two = read_users(write(text), WEEK, tmp_path / "loads.csv").users
    assert (one.load_scale, two.load_scale) == (2.5, 1.0)
    assert one.load_kw is two.load_kw
    assert np.asarray(one.load_kw).tolist() == [100.0] * 168
    with pytest.raises(InputError, match=r"has no column for the load of 'shosp'; did you mean"):
        read_users(write(text.replace("shops", "shosp")), WEEK, tmp_path / "loads.csv")
    with pytest.raises(InputError, match=r"line 1, column 2 \(load_profile\): .* with --loads"):
        read_users(write(text), WEEK)


def test_a_user_whose_name_ends_like_a_unit_is_no_unit(write, tmp_path):
    table = loads(bakery=120.0, hall_w=900.0)
    table.to_csv(tmp_path / "loads.csv")
    text = no_load().replace("foundry", "hall_w")
    found = read_users(write(text), WEEK, tmp_path / "loads.csv").users
    assert float(np.mean(found[1].load_kw)) == 900.0


LOADS = [
    (lambda t: t.drop(columns="foundry"), "has no column for the load of 'foundry'"),
    (lambda t: t.rename(columns={"foundry": "foundri"}), "did you mean foundri?"),
    (lambda t: t.drop(t.index[5]), "follows a gap; missing: 2026-12-07 05:00:00+01:00"),
    (lambda t: t.iloc[:100], "covers 2026-12-07 00:00:00+01:00 to 2026-12-11 04:00:00+01:00"),
    (lambda t: t.assign(foundry=-1.0), "is -1 kW; must be at least 0"),
    (lambda t: t.assign(foundry="x"), "'x' is not a number"),
    (lambda t: t.iloc[[*range(100), 99, *range(100, 168)]], "has the same time as the row before"),
]


@pytest.mark.parametrize(("change", "message"), LOADS)
def test_a_mistake_in_the_loads_is_told(write, tmp_path, change, message):
    change(loads(bakery=120.0, foundry=900.0)).to_csv(tmp_path / "loads.csv")
    with pytest.raises(InputError) as caught:
        read_users(write(no_load()), WEEK, tmp_path / "loads.csv")
    assert any(message in fault.message for fault in caught.value.faults)
    assert all(fault.file == tmp_path / "loads.csv" for fault in caught.value.faults)


def test_loads_in_both_files_are_told(write, tmp_path):
    loads(bakery=120.0, foundry=900.0).to_csv(tmp_path / "loads.csv")
    found = faults(read_users, write(USERS), WEEK, tmp_path / "loads.csv")
    assert "leave this column out" in found[0][3]


@pytest.mark.parametrize(("name", "count"), [("2026-W13", 167), ("2026-W43", 169)])
def test_local_times_of_a_clock_change_are_told_apart(write, tmp_path, name, count):
    week = Week.of_name(name, time_zone=BERLIN)
    times = hours(week).tz_localize(None)
    assert len(times) == count
    table = pd.DataFrame({"bakery": np.arange(count) * 1.0, "foundry": 1.0}, times)
    table.to_csv(tmp_path / "loads.csv", index_label="time")
    bakery = read_users(write(no_load()), week, tmp_path / "loads.csv").users[0]
    energy = (np.asarray(bakery.load_kw) * week.slot_h).sum()
    assert energy == pytest.approx(np.arange(count).sum())


def test_a_local_time_that_clocks_skip_is_told(write, tmp_path):
    week = Week.of_name("2026-W13", time_zone=BERLIN)
    times = pd.date_range("2026-03-23", periods=168, freq="h")
    table = pd.DataFrame({"bakery": 1.0, "foundry": 1.0}, times)
    table.to_csv(tmp_path / "loads.csv", index_label="time")
    found = faults(read_users, write(no_load()), week, tmp_path / "loads.csv")
    assert found[0][0] == 2 + 6 * 24 + 2
    assert "does not exist in Europe/Berlin" in found[0][3]


def short(**columns):
    return pd.DataFrame({name: np.full(168, v) for name, v in columns.items()}, hours())


def test_what_is_short_with_feeders_and_units(tmp_path):
    table = short(capacity_mw=5.0, reserve_kw=100.0, North_shortage_mw=-0.2)
    table.to_csv(tmp_path / "short.csv")
    found = read_shortage(tmp_path / "short.csv", WEEK, 9.0)
    assert np.asarray(found.capacity_kw).tolist() == [5000.0] * 168
    assert np.asarray(found.reserve_kw).tolist() == [100.0] * 168
    assert {name: row[0] for name, row in found.feeders.items()} == {"North": -200.0}
    assert (found.shortage_kw, found.unserved_price_per_kwh) == (None, 9.0)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"capacity": 1.0}, "did you mean capacity_kw?"),
        ({"shortage_kwh": 1.0}, "did you mean shortage_kw?"),
        ({"shortage_kw": 1.0, "capacity_kw": 1.0}, "has shortage_kw and capacity_kw"),
        ({"reserve_kw": 1.0}, "has no column shortage_kw or capacity_kw"),
        ({"shortage_kw": 1.0, "reserve_kw": 1.0}, "needs capacity_kw beside it"),
        ({"capacity_kw": -1.0}, "is -1 kW; must be at least 0"),
        ({"shortage_kw": "x"}, "'x' is not a number"),
        ({"shortage_kw": 1.0, "weather": 1.0}, "or FEEDER_shortage_kw"),
    ],
)
def test_a_mistake_in_the_shortage_is_told(tmp_path, columns, message):
    short(**columns).to_csv(tmp_path / "short.csv")
    found = faults(read_shortage, tmp_path / "short.csv", WEEK, 9.0)
    assert any(message in fault[3] for fault in found)


@pytest.mark.parametrize(("step", "count"), [("15min", 96), ("h", 24), ("3h", 8)])
def test_the_step_of_the_shortage_tells_the_slots(tmp_path, step, count):
    times = pd.date_range("2026-12-07", periods=5, freq=step, name="time")
    pd.DataFrame({"shortage_kw": 1.0}, times).to_csv(tmp_path / "short.csv")
    assert slots_of_file(tmp_path / "short.csv", BERLIN) == count


def test_a_step_that_makes_no_slots_is_told(tmp_path):
    times = pd.date_range("2026-12-07", periods=5, freq="5min", name="time")
    pd.DataFrame({"shortage_kw": 1.0}, times).to_csv(tmp_path / "short.csv")
    with pytest.raises(InputError, match="tell their number with --slots"):
        slots_of_file(tmp_path / "short.csv", BERLIN)


def test_deliveries_name_days_in_any_way(write):
    text = "user,day,first_slot,energy_mwh\na,Wed,18,0.1\nb,2026-12-10,17,0\nc,4,0,1.5\n"
    assert read_deliveries(write(text), WEEK).deliveries == [
        Delivery(user="a", day=2, first_slot=18, energy_kwh=100.0),
        Delivery(user="b", day=3, first_slot=17, energy_kwh=0.0),
        Delivery(user="c", day=4, first_slot=0, energy_kwh=1500.0),
    ]


@pytest.mark.parametrize(
    ("row", "where", "message"),
    [
        ("a,Foo,1,1", "day", "Foo is no day of 2026-W50"),
        ("a,1,-1,1", "first_slot", "must be at least 0"),
        ("a,1,1,-1", "energy_kwh", "must be at least 0"),
        ("a,1,1,", "energy_kwh", "the value is missing"),
        (",1,1,1", "user", "the value is missing"),
    ],
)
def test_a_mistake_in_the_deliveries_is_told(write, row, where, message):
    text = f"user,day,first_slot,energy_kwh\n{row}\n"
    ((line, _, told, said),) = faults(read_deliveries, write(text), WEEK)
    assert (line, told) == (2, where)
    assert message in said


def test_what_the_server_finds_in_deliveries_is_traced(write):
    found = read_deliveries(write("user,day,first_slot,energy_kwh\na,1,1,1\n"), WEEK)
    fault = found.fault(Violation("deliveries[0].first_slot", "is no event"))
    assert (fault.line, fault.where) == (2, "first_slot")
