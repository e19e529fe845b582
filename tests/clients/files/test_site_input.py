from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from loadloom.client.files.faults import InputError
from loadloom.client.files.site_input import read_input

SITE = """
name: bakery
time_zone: Europe/Amsterdam
meter:
  import_limit_kw: 60
loads:
  - name: ovens
    power_kw: {file: load.csv, column: load_kw}
storages:
  - name: battery
    energy_max_kwh: 100
    charge_limit_kw: 50
    discharge_limit_kw: 50
    targets:
      - time: 2024-06-02T00:00
        min_kwh: 20
"""
MIDNIGHT = datetime(2024, 5, 31, 22, tzinfo=UTC)


def rows(header, start, count, step):
    return "\n".join([header, *(f"{(start + i * step).isoformat()},{i}" for i in range(count))])


@pytest.fixture
def folder(tmp_path):
    """A site with quarter-hourly load and hourly prices, both of one day."""
    (tmp_path / "site.yaml").write_text(SITE)
    load = rows("time,load_kw", MIDNIGHT, 96, timedelta(minutes=15))
    prices = rows("time,price_eur_per_mwh", MIDNIGHT, 24, timedelta(hours=1))
    (tmp_path / "load.csv").write_text(load)
    (tmp_path / "prices.csv").write_text(prices)
    return tmp_path


def read(folder, **changes):
    return read_input(folder / "site.yaml", folder / "prices.csv", **changes)


def faults_of(folder, **changes):
    with pytest.raises(InputError) as raised:
        read(folder, **changes)
    return raised.value.faults


def rewrite(folder, old, new):
    file = folder / "site.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_the_finest_step_rules_and_prices_are_held_over_their_hour(folder):
    found = read(folder)
    assert (found.grid.start, found.grid.count) == (MIDNIGHT, 96)
    assert found.grid.step == timedelta(minutes=15)
    assert found.grid.time_zone == "Europe/Amsterdam"
    np.testing.assert_array_equal(
        found.site.meter.buy_price_per_kwh, np.repeat(np.arange(24), 4) / 1000
    )
    assert found.site.loads[0].power_kw.tolist() == list(range(96))


def test_what_is_left_out_keeps_the_defaults_of_the_api(folder):
    storage = read(folder).site.storages[0]
    assert storage.energy_min_kwh is None
    assert storage.charge_efficiency == 1.0


def test_targets_without_an_offset_are_local(folder):
    (target,) = read(folder).site.storages[0].targets
    assert target.time == datetime(2024, 6, 1, 22, tzinfo=UTC)


def test_a_market_price_is_that_of_buying_and_selling(folder):
    meter = read(folder).site.meter
    np.testing.assert_array_equal(meter.sell_price_per_kwh, meter.buy_price_per_kwh)
    assert meter.currency_code == "EUR"
    assert read(folder).prices == (
        f"{folder / 'prices.csv'}, price_eur_per_mwh, for buying and selling",
    )


def test_a_selling_price_in_the_site_file_goes_before_a_market_price(folder):
    rewrite(folder, "import_limit_kw: 60", "sell_price_per_kwh: 0.05")
    assert read(folder).site.meter.sell_price_per_kwh == 0.05
    assert read(folder).prices[0].endswith(", for buying")


def test_a_price_of_a_mwh_in_the_column_of_a_kwh_is_doubted(folder):
    assert read(folder).doubts == ()
    prices = (folder / "prices.csv").read_text().replace("price_eur_per_mwh", "price_eur_per_kwh")
    (folder / "prices.csv").write_text(prices)
    (doubt,) = read(folder).doubts
    assert doubt.startswith(f"{folder / 'prices.csv'}, price_eur_per_kwh: a kWh costs 11.5 EUR")
    (folder / "prices.csv").write_text(prices.replace("_eur_", "_jpy_"))
    assert read(folder).doubts == ()


def test_buying_and_selling_prices_are_told_apart_by_their_names(folder):
    header = "time,buy_price_per_kwh,sell_price_eur_per_mwh\n"
    lines = [f"{(MIDNIGHT + i * timedelta(hours=1)).isoformat()},{i},{i}" for i in range(24)]
    (folder / "prices.csv").write_text(header + "\n".join(lines))
    meter = read(folder).site.meter
    assert meter.buy_price_per_kwh[-1] == 23
    assert meter.sell_price_per_kwh[-1] == 0.023
    assert [told.split(", ", 1)[1] for told in read(folder).prices] == [
        "buy_price_per_kwh, for buying",
        "sell_price_eur_per_mwh, for selling",
    ]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("time,load_kw", "no column of prices, such as price_eur_per_mwh"),
        ("time,price_eur_per_kw", "_per_wh, _per_kwh, _per_mwh"),
        ("time,sell_price_per_kwh", "no column of prices"),
        ("time,price", "no price in a known unit, such as price_eur_per_mwh"),
        ("time,price_ct_per_kwh", "price_ct_per_kwh tells none"),
    ],
)
def test_a_file_without_a_price_to_buy_at_is_refused(folder, header, words):
    (folder / "prices.csv").write_text(rows(header, MIDNIGHT, 24, timedelta(hours=1)))
    assert words in faults_of(folder)[0].message


def test_two_prices_of_one_kind_are_refused(folder):
    (folder / "prices.csv").write_text("time,spot_price_per_kwh,dam_price_per_kwh\n1,2,3\n4,5,6")
    assert "2 prices of one kind" in faults_of(folder)[0].message


def test_the_horizon_can_be_told_in_local_time(folder):
    rewrite(folder, "time: 2024-06-02T00:00", "time: 2024-06-01T18:30")
    found = read(folder, start=datetime(2024, 6, 1, 6), end=datetime(2024, 6, 1, 18, 30))
    assert found.grid.boundaries[0].hour == 6
    assert found.grid.count == 50
    assert found.site.loads[0].power_kw[0] == 24
    assert found.site.meter.buy_price_per_kwh[-1] == 0.018


def test_a_horizon_within_an_hour_of_prices_takes_that_hours_price(folder):
    found = read(folder, start=datetime(2024, 6, 1, 6, 45))
    assert found.site.meter.buy_price_per_kwh[:2].tolist() == [0.006, 0.007]


def test_a_gap_outside_of_the_horizon_is_no_fault(folder):
    lines = (folder / "prices.csv").read_text().splitlines()
    (folder / "prices.csv").write_text("\n".join([*lines[:-2], lines[-1]]))
    (fault,) = faults_of(folder)
    assert "follows a gap; missing: 2024-06-01 22:00:00+02:00" in fault.message
    rewrite(folder, "time: 2024-06-02T00:00", "time: 2024-06-01T18:30")
    found = read(folder, start=datetime(2024, 6, 1, 6, 30), end=datetime(2024, 6, 1, 22))
    assert found.grid.count == 62
    assert found.site.meter.buy_price_per_kwh[[0, 1, 2, -1]].tolist() == [
        0.006,
        0.006,
        0.007,
        0.021,
    ]
    faults = faults_of(folder, end=datetime(2024, 6, 1, 23))
    assert any("horizon wants" in str(f) or "gap" in str(f) for f in faults)


def test_a_target_outside_of_the_horizon_is_told_with_what_would_reach_it(folder):
    (fault,) = faults_of(folder, start=datetime(2024, 6, 1, 6), end=datetime(2024, 6, 1, 18, 30))
    assert (fault.line, fault.where) == (15, "storages[0].targets[0].time")
    assert "50 intervals of 0:15:00 from 2024-06-01 06:00:00+02:00 to 2024-06-01 18:30" in str(
        fault
    )
    assert fault.message.endswith("72 would reach it")
    rewrite(folder, "time: 2024-06-02T00:00", "time: 2024-06-01T00:00")
    (fault,) = faults_of(folder)
    assert fault.message.endswith("choose a later time")


def test_times_that_a_series_does_not_cover_are_told(folder):
    (folder / "load.csv").write_text(
        rows("time,load_kw", MIDNIGHT + timedelta(hours=1), 80, timedelta(minutes=15))
    )
    (fault,) = faults_of(folder)
    assert fault.message == (
        "has 80 values from 2024-06-01 01:00:00+02:00 to 2024-06-01 21:00:00+02:00; the horizon "
        "wants 96 from 2024-06-01 00:00:00+02:00 to 2024-06-02 00:00:00+02:00: "
        "missing from 2024-06-01 00:00:00+02:00 to "
        "2024-06-01 01:00:00+02:00 and from 2024-06-01 21:00:00+02:00 to 2024-06-02 00:00:00+02:00"
    )


def test_prices_of_another_time_are_told_once_and_whole(folder):
    rewrite(folder, "{file: load.csv, column: load_kw}", "7")
    (fault,) = faults_of(folder, start=datetime(2025, 6, 1), end=datetime(2025, 6, 2))
    assert fault.message == (
        "has 24 values from 2024-06-01 00:00:00+02:00 to 2024-06-02 00:00:00+02:00; the horizon "
        "wants 24 from 2025-06-01 00:00:00+02:00 to 2025-06-02 00:00:00+02:00: "
        "missing from 2025-06-01 00:00:00+02:00 to 2025-06-02 00:00:00+02:00"
    )


def test_a_file_that_is_not_there_is_told_with_the_line_that_names_it(folder):
    rewrite(folder, "load.csv", "none.csv")
    (fault,) = faults_of(folder)
    assert "cannot be read" in fault.message
    named = f"named in {folder / 'site.yaml'}, line 8, column 5 (loads[0].power_kw)"
    assert fault.message.endswith(named)


@pytest.mark.parametrize(
    ("start", "count", "minutes", "words"),
    [
        (MIDNIGHT, 58, 25, "its step of 1:00:00 is no multiple of 0:25:00"),
        (MIDNIGHT - timedelta(minutes=5), 97, 15, "its steps begin 0:10:00 beside"),
    ],
)
def test_steps_that_do_not_fit_each_other_are_refused(folder, start, count, minutes, words):
    load = rows("time,load_kw", start, count, timedelta(minutes=minutes))
    (folder / "load.csv").write_text(load)
    assert any(words in fault.message for fault in faults_of(folder))


def test_a_horizon_that_is_no_whole_number_of_steps_is_refused(folder):
    (fault,) = faults_of(folder, end=datetime(2024, 6, 1, 18, 7))
    assert "does not divide the time from 2024-06-01 00:00:00+02:00" in fault.message
    (fault,) = faults_of(folder, end=datetime(2024, 6, 1))
    assert "which is not before its end at 2024-06-01 00:00:00+02:00 (--to)" in fault.message


def test_faults_of_all_files_are_told_at_once(folder):
    (folder / "prices.csv").write_text("time,price_eur_per_mwh\n2024-06-01T00:00,x")
    rewrite(folder, "load_kw}", "ovens_kw}")
    told = [str(fault) for fault in faults_of(folder)]
    assert len(told) == 2
    assert "load.csv: has no column 'ovens_kw'" in told[0]
    assert "prices.csv, line 2" in told[1] or "prices.csv, line 1" in told[1]


@pytest.mark.parametrize(
    ("old", "new", "line", "column", "where", "words"),
    [
        ("energy_max_kwh: 100", "energy_max_kw: 100", 11, 5, "storages[0].energy_max_kw", "known"),
        ("    energy_max_kwh: 100\n", "", 10, 5, "storages[0].energy_max_kwh", "is missing"),
        ("charge_limit_kw: 50", "charge_limit_kw: fifty", 12, 5, "storages[0].charge_limit_kw",
         "is 'fifty'; must be a valid number"),
        ("charge_limit_kw: 50", "charge_limit_kw: [1, x]", 12, 26,
         "storages[0].charge_limit_kw[1]", "must be a valid number"),
        ("column: load_kw", "colum: load_kw", 8, 32, "loads[0].power_kw.colum", "not known here"),
        ("name: bakery", "name: 7", 2, 1, "name", "is 7; must be a valid string"),
        ("Europe/Amsterdam", "Europe", 3, 1, "time_zone", "must be an IANA zone"),
        ("Europe/Amsterdam", "Mars/Base", 3, 1, "time_zone", "must be an IANA zone"),
        ("time_zone: Europe/Amsterdam\n", "", 1, 1, "time_zone", "is missing"),
        ("name: battery", "name: [", 12, 20, "", "expected"),
        ("import_limit_kw: 60", "import_limit_kw: 60\n  import_limit_kw: 70", 6, 3,
         "meter.import_limit_kw", "a second time; first on line 5"),
        ("2024-06-02T00:00", "tomorrow", 15, 9, "storages[0].targets[0].time", "is not a time"),
        ("2024-06-02T00:00", "2024-10-27T02:30", 15, 9, "storages[0].targets[0].time", "twice"),
        ("2024-06-02T00:00", "2024-03-31T02:30", 15, 9, "storages[0].targets[0].time", "not exist"),
        ("import_limit_kw: 60", "currency_code: USD", 5, 3, "meter.currency_code",
         "different currencies: EUR, USD"),
    ],
)  # fmt: skip
def test_a_fault_in_the_site_file_is_told_with_line_and_column(
    folder, old, new, line, column, where, words
):
    rewrite(folder, old, new)
    fault = faults_of(folder)[0]
    assert (fault.line, fault.column, fault.where) == (line, column, where), fault
    assert words in fault.message


def test_words_of_yaml_1_1_stay_words_and_exponents_are_numbers(folder):
    rewrite(folder, "name: bakery", "name: no")
    rewrite(folder, "import_limit_kw: 60", "import_limit_kw: 6e1")
    site = read(folder).site
    assert site.name == "no"
    assert site.meter.import_limit_kw == 60.0


def test_a_fault_that_the_server_finds_is_traced_to_the_site_file(folder):
    found = read(folder)
    fault = found.fault("site.storages[0].charge_efficiency", "is 2")
    assert (fault.line, fault.where) == (10, "storages[0].charge_efficiency")
    fault = found.fault("site.storages[0].charge_limit_kw[17]", "is -1")
    assert (fault.line, fault.column) == (12, 5)


def test_a_fault_that_the_server_finds_in_a_series_is_traced_to_the_line_of_its_file(folder):
    late = datetime(2024, 6, 1, 1, tzinfo=UTC)
    found = read(folder, start=late)
    load = found.fault("site.loads[0].power_kw[2]", "is -5; must be a number from 0")
    assert str(load) == (
        f"{folder / 'load.csv'}, line 16, column 2 (load_kw, loads[0].power_kw[2]): "
        "is -5; must be a number from 0"
    )
    # A price is held for four intervals, and the first hour that is read is the fourth.
    prices = [found.fault(f"site.meter.buy_price_per_kwh[{t}]", "") for t in (0, 3, 4)]
    assert [fault.line for fault in prices] == [5, 5, 6]
    assert {fault.file for fault in prices} == {folder / "prices.csv"}


def test_a_site_without_a_price_or_a_time_is_refused(folder):
    with pytest.raises(InputError, match=r"meter\.buy_price_per_kwh.: is missing"):
        read_input(folder / "site.yaml")
    rewrite(folder, "import_limit_kw: 60", "buy_price_per_kwh: 0.3")
    assert read_input(folder / "site.yaml").grid.count == 96
    rewrite(folder, "{file: load.csv, column: load_kw}", "3.5")
    with pytest.raises(InputError, match="no series with times"):
        read_input(folder / "site.yaml")


@pytest.mark.parametrize("text", ["", "- a", "just words"])
def test_what_is_no_mapping_is_refused(folder, text):
    (folder / "site.yaml").write_text(text)
    assert faults_of(folder)[0].message == "must be a mapping of names to values"


def test_a_missing_site_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"site\.yaml: cannot be read: No such file"):
        read_input(tmp_path / "site.yaml")
