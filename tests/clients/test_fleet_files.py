"""Files of sites and of networks: what they mean, and every fault at its line and column."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from loadloom.client.errors import Violation
from loadloom.client.files.faults import InputError
from loadloom.client.files.fleet_input import FleetFiles, read_fleet
from loadloom.client.files.fleet_network import read_network
from loadloom.client.fleet_parts import Scaled
from tests.clients import fleet_cases as cases

ZONE = ZoneInfo("Europe/Amsterdam")

SITES = """site,node,load_profile,load_scale,load_offset_minutes,load_kw,pv_profile,pv_scale,\
energy_max_mwh,charge_limit_kw,plugged,wanted_kwh,wear_cost_eur_per_mwh
home 1,north,flat,2,,,sun,3,0.01,4,,,20
home 2,north,late,,60,,,,,,,,
car,town,,,,1.5,,,0.06,11,22:00-02:00,30,
"""
PROFILES = """time,flat,late,sun
2024-05-13T23:00,1,10,0
2024-05-14T00:00,1,20,0
2024-05-14T01:00,1,30,0
2024-05-14T02:00,1,40,0.5
2024-05-14T03:00,1,50,1
"""
NODES = """node,parent,rating_kw,export_limit_mw,breach_price_eur_per_mwh
town,,900,,
north,town,,0.1,250
"""
PRICES = "time,price_eur_per_mwh\n" + "".join(
    f"2024-05-14T0{hour}:00,{price}\n" for hour, price in enumerate((100, 100, 200, 300))
)


@pytest.fixture
def files(tmp_path):
    """The files of a small fleet."""
    for name, text in (
        ("sites", SITES),
        ("network", NODES),
        ("prices", PRICES),
        ("profiles", PROFILES),
    ):
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def read(folder, **changes):
    """What the files in a folder say."""
    said = {name: folder / f"{name}.csv" for name in ("sites", "network", "prices", "profiles")}
    rest = {"limits": None, "start": None, "end": None, "zone": ZONE}
    return read_fleet(FleetFiles(**(said | rest | changes)))


def over(column):
    """A column of sites in full, whatever shares its rows."""
    if isinstance(column, Scaled):
        rows, scale = np.asarray(column.rows), np.asarray(column.scale)
        return rows[np.asarray(column.which)] * scale[:, np.newaxis]
    return np.broadcast_to(np.asarray(column, dtype=float), (3, 4))


def told(folder, **changes):
    """The faults of files in a folder."""
    with pytest.raises(InputError) as caught:
        read(folder, **changes)
    return str(caught.value).replace(f"{folder}/", "")


def test_sites_are_profiles_stores_and_cars(files):
    found = read(files)
    columns = {name: over(column) for name, column in found.sites.columns.items()}
    assert found.sites.names == ["home 1", "home 2", "car"]
    assert found.sites.nodes == ["north", "north", "town"]
    assert columns["load_kw"].tolist() == [[2.0] * 4, [10.0, 20.0, 30.0, 40.0], [1.5] * 4]
    assert columns["pv_kw"].tolist() == [[0.0, 0.0, 1.5, 3.0], [0.0] * 4, [0.0] * 4]
    assert columns["energy_max_kwh"][:, 0].tolist() == [10.0, 0.0, 60.0]
    assert columns["wear_cost_per_kwh"][:, 0] == pytest.approx([0.02, 0.0, 0.0])
    assert columns["charge_limit_kw"].tolist() == [[4.0] * 4, [0.0] * 4, [11.0, 11.0, 0.0, 0.0]]
    assert columns["energy_min_kwh"].tolist() == [[0.0] * 4, [0.0] * 4, [0.0, 30.0, 0.0, 0.0]]
    assert columns["buy_price_per_kwh"][0].tolist() == [0.1, 0.1, 0.2, 0.3]
    assert columns["sell_price_per_kwh"][0].tolist() == [0.1, 0.1, 0.2, 0.3]
    assert found.currency_code == "EUR"
    assert found.used == (f"{files / 'prices.csv'}, price_eur_per_mwh, for buying and selling",)
    assert found.grid.count == 4


def test_a_rating_is_a_limit_in_both_directions_unless_another_is_named(files):
    town, north = read_network(files / "network.csv").nodes
    assert (town.import_limit_kw, town.export_limit_kw) == (900.0, 900.0)
    assert town.breach_price_per_kwh is None
    assert (north.import_limit_kw, north.export_limit_kw) == (None, 100.0)
    assert north.parent == "town"
    assert north.breach_price_per_kwh == 0.25


def test_limits_by_time_go_before_those_of_the_network(files):
    (files / "limits.csv").write_text(
        "node,time,import_limit_kw\ntown,2024-05-14T00:00,50\ntown,2024-05-14T02:00,70\n"
    )
    town, north = read(files, limits=files / "limits.csv").nodes
    assert np.asarray(town.import_limit_kw).tolist() == [50.0, 50.0, 70.0, 70.0]
    assert town.export_limit_kw == 900.0
    assert north.import_limit_kw is None


def test_the_horizon_is_cut_from_to(files):
    found = read(files, start=datetime(2024, 5, 14, 1), end=datetime(2024, 5, 14, 3))
    assert found.grid.count == 2
    assert found.sites.columns["buy_price_per_kwh"].tolist() == [[0.1, 0.2]]


def test_faults_of_all_files_are_told_at_once_by_line_and_column(files):
    (files / "sites.csv").write_text(
        SITES.replace("home 2,north,late,,60", "home 1,nort,lat,x,60")
        .replace(",1.5,,,0.06,11,22:00-02:00", ",1.5,sun,,-6,11,late")
        .replace("home 1,north,flat,2,,,", "home 1,north,flat,2,,1,")
    )
    (files / "network.csv").write_text(NODES.replace("town,,900", "town,north,much"))
    (files / "prices.csv").write_text("time,price\n2024-05-14T00:00,1\n2024-05-14T01:00,1\n")
    said = told(files)
    assert "network.csv, line 2, column 2 (parent): is below 'town' itself" in said
    assert "network.csv, line 2, column 3 (rating_kw): 'much' is not a number" in said
    assert "prices.csv: has no price in a known unit" in said
    (files / "network.csv").write_text(NODES)
    said = told(files)
    for words in (
        "line 2, column 6 (load_kw): goes without load_profile",
        "line 3, column 1 (site): 'home 1' is already in line 2",
        "line 3, column 2 (node): there is no node 'nort'",
        "line 3, column 3 (load_profile): there is no column 'lat' in profiles.csv; did you mean",
        "line 3, column 4 (load_scale): 'x' is not a number",
        "line 4, column 9 (energy_max_mwh): is -6; must be at least 0",
        "line 4, column 11 (plugged): 'late' is no window; write it as 17:30-07:00",
    ):
        assert f"sites.csv, {words}" in said, words


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("sites", "load_scale", "load_size", "(load_size): must end in a unit"),
        ("sites", "late,,60", ",,60", "line 3, column 5 (load_offset_minutes): goes with"),
        ("sites", "22:00-02:00,30", ",30", "line 4, column 12 (wanted_kwh): goes with plugged"),
        ("sites", "late,,60", "late,,600", "profiles.csv (late): has 5 values"),
        ("sites", "late,,60", "late,,7", "profiles.csv (late): its steps begin"),
        ("network", "north,town", "north,tow", "line 3, column 2 (parent): there is no node 'tow'"),
        ("network", "north,town,", "town,town,", "'town' is already in line 2"),
        ("profiles", "0.5", "", "line 5, column 4 (sun): the value is missing"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(files, name, old, new, words):
    text = (files / f"{name}.csv").read_text()
    assert old in text
    (files / f"{name}.csv").write_text(text.replace(old, new, 1))
    assert words in told(files)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("nort,2024-05-14T00:00,5\n", "line 2, column 1 (node): there is no node 'nort'"),
        ("town,2024-05-14T00:00,5\n", "line 2, column 2 (time): is the only one of its node"),
        ("town,noon,5\n", "line 2, column 2 (time): 'noon' is not a time"),
        (
            "town,2024-05-14T00:00,5\ntown,2024-05-14T01:00,5\ntown,2024-05-14T03:00,5\n",
            "line 4, column 2 (time): is 2:00:00 after the row before it",
        ),
        (
            "town,2024-05-14T01:00,5\ntown,2024-05-14T00:00,5\n",
            "line 3, column 2 (time): times must increase",
        ),
    ],
)
def test_what_is_wrong_with_limits_by_time_is_told(files, rows, words):
    (files / "limits.csv").write_text(f"node,time,import_limit_kw\n{rows}")
    assert f"limits.csv, {words}" in told(files, limits=files / "limits.csv")


SHOP = """name: workshop
time_zone: Europe/Amsterdam
loads:
  - {name: machines, power_kw: [1, 2, 3, 4]}
wind_turbines:
  - {name: mill, power_kw: [0, 1, 2, 1]}
"""


def with_shop(files, shop=SHOP, more=""):
    """The files with a site of devices of any kind between those in columns."""
    (files / "shop.yaml").write_text(shop)
    lines = SITES.replace(
        "wear_cost_eur_per_mwh\n", "wear_cost_eur_per_mwh,site_file\n"
    ).splitlines()
    lines = [lines[0], *(f"{line}," for line in lines[1:])]
    lines.insert(2, f"shop,town,{more},,,,,,,,,,,shop.yaml")
    (files / "sites.csv").write_text("\n".join(lines) + "\n")


def test_a_site_with_other_devices_has_a_file_of_its_own(files):
    with_shop(files)
    found = read(files)
    (mixed,) = found.mixed_sites
    assert (mixed.site.name, mixed.node) == ("shop", "town")
    assert np.asarray(mixed.site.meter.buy_price_per_kwh).tolist() == [0.1, 0.1, 0.2, 0.3]
    assert mixed.site.wind_turbines[0].name == "mill"
    assert found.sites.names == ["home 1", "home 2", "car"]
    assert over(found.sites.columns["load_kw"])[2].tolist() == [1.5] * 4
    for path, place in (
        ("sites.names[1]", "sites.csv, line 4, column 1"),
        ("mixed_sites[0].site.loads[0].power_kw", "shop.yaml, line 4"),
        ("mixed_sites[0].site", "sites.csv, line 3, column 14 (site_file)"),
    ):
        fault = found.fault(Violation(path, "is wrong"))
        assert str(fault).replace(f"{files}/", "").startswith(place)


def test_what_is_wrong_with_a_file_of_a_site_is_told(files):
    with_shop(files, SHOP.replace("mill", "mill, fuel: 3"))
    assert "shop.yaml, line 6" in told(files)
    with_shop(files, more="flat")
    assert "line 3, column 3 (load_profile): goes without site_file" in told(files)


def test_profiles_are_missed_where_they_are_named(files):
    assert "line 2, column 3 (load_profile): is a profile" in told(files, profiles=None)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("sites.columns.load_kw[1,2]", "sites.csv, line 3, column 3 (load_profile)"),
        ("sites.columns.load_kw[2,2]", "sites.csv, line 4, column 6 (load_kw)"),
        ("sites.columns.energy_min_kwh[1,1]", "sites.csv, line 4, column 12 (wanted_kwh)"),
        ("sites.columns.energy_max_kwh[2,0]", "sites.csv, line 4, column 9 (energy_max_mwh)"),
        ("sites.columns.buy_price_per_kwh[0,2]", "prices.csv, line 4, column 2"),
        ("sites.shared_rows[0].factors[0]", "sites.csv, line 2, column 4 (load_scale)"),
        ("sites.names[1]", "sites.csv, line 3, column 1 (site)"),
        ("nodes[1].export_limit_kw", "network.csv, line 3, column 4 (export_limit_mw)"),
        ("nodes[0].import_limit_kw[3]", "network.csv, line 2, column 3 (rating_kw)"),
        ("nodes[1].parent", "network.csv, line 3, column 2 (parent)"),
    ],
)
def test_what_the_server_finds_stands_at_its_cell(files, path, place):
    fault = read(files).fault(Violation(path, "is wrong"))
    assert str(fault).replace(f"{files}/", "").startswith(place)


def test_what_is_of_no_file_has_no_place(files):
    assert read(files).fault(Violation("options.threads", "is wrong")) is None


def test_the_files_of_the_cases_say_what_the_cases_say(tmp_path):
    cases.write(tmp_path)
    said = read(
        tmp_path, sites=tmp_path / "cars.csv", network=tmp_path / "nodes.csv", profiles=None
    )
    assert said.grid.count == 4
    assert [node.import_limit_kw for node in said.nodes] == [None, cases.LIMIT_KW]
