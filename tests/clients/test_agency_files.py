"""Files of load curves, of an agent's users and of prices: what they say, and every mistake."""

import numpy as np
import pandas as pd
import pytest

from loadloom.client.agency import (
    AffinePrice,
    LoadFactorPrice,
    PiecewisePrice,
    PurchaseBlock,
    TierPrice,
)
from loadloom.client.files.agency_curves import read_curves
from loadloom.client.files.agency_prices import read_prices
from loadloom.client.files.agency_users import read_users
from loadloom.client.files.faults import InputError
from tests.clients.agency_cases import ZONE, curves

WIDE = """time,bakery,foundry_mw
2026-03-02T00:00+01:00,40,1.2
2026-03-02T00:15+01:00,42,1.1
"""
LONG = """user,time,energy_kwh
bakery,2026-03-02T00:00+01:00,10
foundry,2026-03-02T00:15+01:00,275
bakery,2026-03-02T00:15+01:00,10.5
foundry,2026-03-02T00:00+01:00,300
"""


def write(folder, text, name="curves.csv"):
    file = folder / name
    file.write_text(text)
    return file


def faults(call, *arguments, **options):
    """What is wrong, in words."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return list(map(str, caught.value.faults))


@pytest.mark.parametrize("text", [WIDE, LONG])
def test_columns_and_rows_tell_the_same_curves(tmp_path, text):
    found = read_curves(write(tmp_path, text), ZONE)
    assert found.names == ("bakery", "foundry")
    assert found.load_kw.tolist() == [[40.0, 42.0], [1200.0, 1100.0]]
    assert found.grid.time_zone == ZONE
    assert found.frame.index[0] == pd.Timestamp("2026-03-02", tz=ZONE)


def test_parquet_of_a_frame_is_read(tmp_path):
    pool = curves()
    pool.frame.to_parquet(tmp_path / "curves.parquet")
    found = read_curves(tmp_path / "curves.parquet", ZONE)
    assert found.names == pool.names
    assert np.array_equal(found.load_kw, pool.load_kw)
    assert found.grid.message() == pool.grid.message()


@pytest.mark.parametrize("layout", ["wide", "long"])
@pytest.mark.parametrize(("month", "hours"), [("2026-10", 745), ("2026-03", 743)])
def test_a_month_of_a_clock_change_in_local_times(tmp_path, layout, month, hours):
    """The hour that comes twice is told apart by its order; the one left out is not missed."""
    times = pd.date_range(month, periods=hours, freq="h", tz=ZONE)
    local = [moment.replace(tzinfo=None).isoformat() for moment in times]
    wide = pd.DataFrame({"time": local, "a": np.arange(hours), "b": 2.0 * np.arange(hours)})
    table = wide if layout == "wide" else wide.melt("time", var_name="user", value_name="load_kw")
    table.to_csv(tmp_path / "curves.csv", index=False)
    found = read_curves(tmp_path / "curves.csv", ZONE)
    assert found.load_kw.shape == (2, hours)
    assert found.load_kw[1, -1] == 2.0 * (hours - 1)
    assert found.grid.boundaries[-1] == times[-1] + pd.Timedelta("1h")


def test_a_local_time_that_clocks_leave_out_is_told(tmp_path):
    text = "user,time,load_kw\na,2026-03-29T01:00,1\na,2026-03-29T02:00,1\na,2026-03-29T03:00,1\n"
    assert faults(read_curves, write(tmp_path, text), ZONE)[0].startswith(
        f"{tmp_path}/curves.csv, line 3, column 2 (time): 2026-03-29 02:00:00 does not exist"
    )


def test_a_second_reading_is_told_with_its_line_and_the_first(tmp_path):
    text = LONG + "bakery,2026-03-02T00:00+01:00,11\n"
    assert faults(read_curves, write(tmp_path, text), ZONE) == [
        f"{tmp_path}/curves.csv, line 6, column 2 (time): is a second reading of 'bakery' for this "
        "time; see line 2"
    ]


def test_mixed_resolutions_are_told_by_user(tmp_path):
    text = "user,time,load_kw\n" + "".join(
        f"{user},2026-03-02T{hour:02d}:00Z,1\n"
        for user, step in (("a", 1), ("b", 2))
        for hour in range(0, 12, step)
    )
    assert faults(read_curves, write(tmp_path, text), ZONE) == [
        f"{tmp_path}/curves.csv, line 14, column 2 (time): the readings of 'b' have a step of "
        "2:00:00, those of others 1:00:00; all must have the same"
    ]


def test_a_time_beside_the_steps_is_told(tmp_path):
    text = LONG + "bakery,2026-03-02T00:20+01:00,11\nbakery,2026-03-02T00:35+01:00,11\n"
    found = faults(read_curves, write(tmp_path, text), ZONE)
    assert "line 6, column 2 (time): is beside the steps of 0:15:00 of the others" in found[0]
    assert len(found) == 2


def test_what_is_missing_is_told_unless_gaps_are_allowed(tmp_path):
    text = LONG + "late,2026-03-02T00:15+01:00,-1\n"
    file = write(tmp_path, text)
    told = faults(read_curves, file, ZONE)
    assert told == [f"{file}, line 6, column 3 (energy_kwh): is -1; must be at least 0"]
    file = write(tmp_path, text.replace("-1\n", "1\n"))
    assert faults(read_curves, file, ZONE) == [
        f"{file}, line 1, column 2 (time): 'late' has no reading at 2026-03-02 00:00:00+01:00"
    ]
    found = read_curves(write(tmp_path, text), ZONE, gaps=True)
    assert np.isnan(found.load_kw[2, 0])
    assert found.load_kw[2, 1] == -4.0


def test_empty_cells_are_gaps_where_they_are_allowed(tmp_path):
    file = write(tmp_path, WIDE.replace("40,", ","))
    assert "line 2, column 2 (bakery): the value is missing" in faults(read_curves, file, ZONE)[0]
    assert np.isnan(read_curves(file, ZONE, gaps=True).load_kw[0, 0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("user,time\na,2026-03-02\n", "must have one column of readings, such as load_kw or"),
        ("user,time,load_kw,load_mw\na,2026-03-02,1,1\n", "there is load_kw, load_mw"),
        ("user,time,load_kw,area\na,2026-03-02,1,x\n", "column 4 (area): is not known here"),
        ("user,time,load_kw\n,2026-03-02,1\n", "line 2, column 1 (user): is missing"),
        ("user,time,load_kw\na,2026-03-02,1\n", "must hold at least two times of a user"),
        ("user,time,load_kw\na,noon,1\n", "line 2, column 2 (time): 'noon' is not a time"),
        ("user,time,load_kw\na,2026-03-02,x\n", "line 2, column 3 (load_kw): 'x' is not a number"),
        ("time\n2026-03-02\n2026-03-03\n", "has times and no curves"),
        ("a,b\n1,2\n", "has no column of times"),
        (WIDE.replace("00:15", "00:00"), "has the same time as the row before it"),
        (WIDE.replace("foundry_mw", "bakery_mw"), "column 3 (bakery_mw): is a second curve of"),
        (WIDE.replace("1.2", "1,2"), "has 4 cells; the header has 3"),
    ],
)
def test_mistakes_are_told_where_they_are(tmp_path, text, told):
    assert told in "\n".join(faults(read_curves, write(tmp_path, text), ZONE))


def test_a_corrupt_parquet_file_is_told(tmp_path):
    (tmp_path / "curves.parquet").write_bytes(b"PAR1 no more PAR1")
    assert (
        "curves.parquet: is not a Parquet file"
        in (faults(read_curves, tmp_path / "curves.parquet", ZONE)[0])
    )


def test_users_have_curves_profiles_and_exact_amounts(tmp_path):
    text = "user,area,load_profile,load_scale,prepaid_eur,fee_eur,highest_price_eur_per_mwh\n"
    text += "shop,north,bakery,2.5,12.30,0.1,210\nquiet,,,,100,,190\n"
    pool = curves()
    found = read_users(write(tmp_path, text), pool)
    assert found.curves.names == ("shop", "quiet")
    assert np.array_equal(found.curves.load_kw[0], 2.5 * pool.load_kw[0])
    assert np.array_equal(found.curves.load_kw[1], pool.load_kw[2])
    assert found.prepaid_minor.tolist() == [1230, 10000]
    assert found.fees.tolist() == [0.1, 0.0]
    assert found.highest_price_per_kwh.tolist() == [0.21, 0.19]
    assert (found.currency_code, found.areas) == ("EUR", ("north", ""))


def test_currencies_without_minor_units_take_whole_amounts(tmp_path):
    text = "user,prepaid_jpy\nbakery,1200\nquiet,0.5\n"
    assert (
        "line 3, column 2 (prepaid): is 0.5; the currency has 0 decimals"
        in (faults(read_users, write(tmp_path, text), curves())[0])
    )
    text = "user,prepaid_jpy\nbakery,1200\n"
    assert read_users(write(tmp_path, text), curves()).prepaid_minor.tolist() == [1200]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("user,prepaid_eur,fee_usd\nquiet,1,1\n", "column 3 (fee_usd): is in USD; prepaid_eur is"),
        ("user,prepaid\nquiet,1\n", "column 2 (prepaid): must end in its currency"),
        ("user,prepaid_eur\nquiet,-1\n", "line 2, column 2 (prepaid): is -1; must be at least 0"),
        ("user,prepaid_eur\nquiet,1.005\n", "is 1.005; the currency has 2 decimals"),
        ("user,prepaid_eur\nquiet,much\n", "'much' is not a number"),
        ("user\nquiet\nquiet\n", "line 3, column 1 (user): 'quiet' is already in line 2"),
        (
            "user\nquite\n",
            "line 2, column 1 (user): there is no curve 'quite'; did you mean quiet?",
        ),
        ("user,load_profile\na,bakry\n", "column 2 (load_profile): there is no curve 'bakry'; did"),
        ("name\nquiet\n", "has no column user"),
        ("user,highest_price_per_kwh\nquiet,\n", "column 2 (highest_price_per_kwh): is missing"),
        ("user,highest_price\nquiet,1\n", "must end in its unit; call it highest_price_per_kwh"),
        ("user,load_scale\nquiet,-2\n", "is -2; must be at least 0"),
    ],
)
def test_mistakes_of_users_are_told_where_they_are(tmp_path, text, told):
    assert told in "\n".join(faults(read_users, write(tmp_path, text), curves()))


PRICES = """currency_code: EUR
price: {piecewise: [[1, 0.3], [2, 0.5]]}
plants:
  - name: hill
    load_factor_price: {affine: {base_per_kwh: 0.05, slope_per_kwh: 0.03}}
    blocks:
      - {price_per_kwh: 0.01, energy_limit_kwh: 100}
  - name: harbour
    price_per_kwh: 0.06
    hours:
      - {windows: 07:00-12:00 23:00-01:00, price_per_kwh: 0.12}
contracts:
  - {name: north, price: {tiers: [[0, 0.5], [0.6, 0.4]]}, user_count_max: 3}
  - {name: south, price: {load_factor: {base_per_kwh: 0.6, slope_per_kwh: 0.2}}}
"""


def test_prices_plants_and_contracts_are_read(tmp_path):
    found = read_prices(write(tmp_path, PRICES, "prices.yaml"))
    assert found.currency_code == "EUR"
    assert found.price == PiecewisePrice(points=[(1.0, 0.3), (2.0, 0.5)])
    hill, harbour = found.plants(curves().grid)
    assert hill.load_factor_price == AffinePrice(base_per_kwh=0.05, slope_per_kwh=0.03)
    assert hill.blocks == [PurchaseBlock(price_per_kwh=0.01, energy_limit_kwh=100.0)]
    dear = [0, 7, 8, 9, 10, 11, 23]
    assert np.flatnonzero(np.asarray(harbour.price_per_kwh)[:24] == 0.12).tolist() == dear
    north, south = found.contracts
    assert north.price == TierPrice(tiers=[(0.0, 0.5), (0.6, 0.4)])
    assert north.user_count_max == 3
    assert south.price == LoadFactorPrice(base_per_kwh=0.6, slope_per_kwh=0.2)


def test_hours_are_those_of_the_local_day_of_a_clock_change(tmp_path):
    text = "plants: [{name: a, hours: [{windows: 03:00-04:00, price_per_kwh: 1}]}]"
    times = pd.date_range("2026-10-25", periods=25, freq="h", tz=ZONE)
    frame = pd.DataFrame({"a": 1.0}, times)
    (tmp_path / "prices.yaml").write_text(text)
    frame.to_parquet(tmp_path / "curves.parquet")
    grid = read_curves(tmp_path / "curves.parquet", ZONE).grid
    (plant,) = read_prices(tmp_path / "prices.yaml").plants(grid)
    assert np.flatnonzero(plant.price_per_kwh).tolist() == [4]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("price: {affine: {base_per_kwh: x, slope_per_kwh: 1}}", "line 1, column 18 (price.affine"),
        ("price: {afine: {base_per_kwh: 1, slope_per_kwh: 1}}", "did you mean affine?"),
        ("price: {}", "must have one of affine, piecewise, load_factor, tiers"),
        ("price: {tiers: [[0, 1, 2]]}", "price.tiers[0]"),
        ("currency_code: euro", "(currency_code): is 'euro'"),
        ("plants: [{price_per_kwh: 1}]", "plants[0].name): is missing"),
        ("plants: [{name: a, hours: [{windows: noon, price_per_kwh: 1}]}]", "must be windows such"),
        ("plants: [{name: a, energy_max_kwh: -1}]", "is -1; must be greater than or equal to 0"),
        ("contracts: [{name: a}]", "contracts[0].price): is missing"),
    ],
)
def test_mistakes_of_prices_are_told_where_they_are(tmp_path, text, told):
    assert told in "\n".join(faults(read_prices, write(tmp_path, text, "prices.yaml")))


def test_what_a_server_finds_is_told_at_its_place(tmp_path):
    found = read_prices(write(tmp_path, PRICES, "prices.yaml"))
    told = str(found.fault("price.piecewise.points[1].inverse_load_factor", "is low"))
    assert told.endswith("prices.yaml, line 2, column 31 (price.piecewise[1]): is low")
    told = str(found.fault("contracts[0].price.tiers.tiers[0].price_per_kwh", "is high"))
    assert "line 13" in told
    told = str(found.fault("price.piecewise.points", "must be ascending"))
    assert told.endswith("line 2, column 9 (price.piecewise): must be ascending")
