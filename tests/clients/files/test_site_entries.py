"""Site files for devices of every kind: what stands in them, and where faults in them are told."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from loadloom.client.files import site_file
from loadloom.client.files.documents import path_text
from loadloom.client.files.faults import InputError
from loadloom.client.files.site_input import read_input
from loadloom.client.files.windows import Window, faults, mask
from loadloom.client.grid import Grid
from loadloom.client.request import plan_request

ROOT = Path(__file__).parents[3]
ZONE = ZoneInfo("Europe/Amsterdam")
SITE = """
name: yard
time_zone: Europe/Amsterdam
meter:
  demand_charges:
    - name: evening
      active: [{days: [sat], from: "18:00", to: "20:00"}]
      price_per_kw: 2
vehicles:
  - name: van
    capacity_kwh: 50
    charge_limit_kw: 11
    sessions:
      - {arrival_time: "2024-06-01T02:00", departure_time: "2024-06-01T08:00", wanted_kwh: 30}
boilers:
  - name: gas
    fuel: {price_per_kwh: {file: gas.csv, column: gas_price_eur_per_mwh}}
    heat_limit_kw: 20
    heat_bus: warm
    on_off: {min_on_h: 2}
heat_buses:
  - {name: warm, demand_kw: 3}
appliances:
  - name: washer
    fixed: {profile_kw: [2, 1], profile_step_h: 1}
"""


@pytest.fixture
def folder(tmp_path):
    """A yard on the first of June, by the hour."""
    start = datetime(2024, 5, 31, 22, tzinfo=UTC)
    rows = [f"{(start + timedelta(hours=i)).isoformat()},{i}" for i in range(24)]
    (tmp_path / "prices.csv").write_text("\n".join(["time,price_eur_per_mwh", *rows]))
    (tmp_path / "gas.csv").write_text("\n".join(["time,gas_price_eur_per_mwh", *rows]))
    (tmp_path / "site.yaml").write_text(SITE)
    return tmp_path


def read(folder, old="", new=""):
    file = folder / "site.yaml"
    assert old in SITE
    file.write_text(SITE.replace(old, new) if old else SITE)
    return read_input(file, folder / "prices.csv")


def faults_of(folder, old, new):
    with pytest.raises(InputError) as raised:
        read(folder, old, new)
    return raised.value.faults


def test_devices_are_read_into_what_the_client_says(folder):
    found = read(folder)
    (charge,) = found.site.meter.demand_charges
    np.testing.assert_array_equal(np.flatnonzero(charge.active), [18, 19])
    (session,) = found.site.vehicles[0].sessions
    assert session.departure_time == datetime(2024, 6, 1, 6, tzinfo=UTC)
    (boiler,) = found.site.boilers
    np.testing.assert_allclose(boiler.fuel.price_per_kwh, np.arange(24) / 1000)
    assert boiler.on_off.min_on_h == 2
    assert found.site.appliances[0].fixed.profile_kw == [2, 1]
    request, _ = plan_request(found.site, found.grid, {})
    assert list(request.site.appliances[0].fixed.profile_kw) == [2, 1]
    assert request.site.boilers[0].fuel.price_per_kwh.values[3] == 0.003
    assert request.site.vehicles[0].sessions[0].wanted_kwh == 30


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("capacity_kwh: 50", "capacity: 50", 11, "did you mean capacity_kwh?"),
        ("    capacity_kwh: 50\n", "", 10, "is missing"),
        ("heat_limit_kw: 20", "heat_limit_kw: warm", 18, "must be"),
        ("on_off: {min_on_h: 2}", "on_off: {min_on: 2}", 20, "did you mean min_on_h?"),
        ('to: "20:00"', 'to: "8 pm"', 7, "'8 pm' is no time"),
        ("days: [sat]", "days: [someday]", 7, "'someday' is no day"),
        ('"2024-06-01T02:00"', '"at two"', 14, "is not a time"),
        ("boilers:", "boiler:", 15, "did you mean boilers?"),
        ("column: gas_price_eur_per_mwh", "column: gas_price", 18, "gas_price"),
    ],
)
def test_a_fault_is_told_at_its_line(folder, old, new, line, words):
    told = [str(fault) for fault in faults_of(folder, old, new)]
    assert any(words in text for text in told), told
    lines = {fault.line for fault in faults_of(folder, old, new) if fault.file.suffix == ".yaml"}
    assert line in lines or "column: gas_price" in new, lines


def test_what_the_server_finds_is_traced_to_the_line_or_the_cell(folder):
    found = read(folder)
    assert "line 19" in found.place("site.boilers[0].heat_bus")
    assert "line 14" in found.place("site.vehicles[0].sessions[0].departure_time")
    cell = found.place("site.boilers[0].fuel.price_per_kwh[3]")
    assert "gas.csv" in cell
    assert "line 5" in cell


@pytest.mark.parametrize(
    ("windows", "hours"),
    [
        ([{"from": "16:00", "to": "18:00"}], [16, 17, 40, 41]),
        ([{"from": "22:00", "to": "02:00", "days": ["sat"]}], [22, 23, 24, 25]),
        ([{"from": "22:00", "to": "02:00", "days": ["fri"]}], [0, 1]),
        ([{"from": "2024-06-01T20:00", "to": "2024-06-02T02:00"}], [20, 21, 22, 23, 24, 25]),
        ([{"from": "01:00", "to": "02:00"}, {"from": "03:00", "to": "04:00"}], [1, 3, 25, 27]),
    ],
)
def test_windows_hold_for_the_intervals_that_begin_in_them(windows, hours):
    start = datetime(2024, 6, 1, tzinfo=ZONE)  # a Saturday
    grid = Grid(start=start, step=timedelta(hours=1), count=48)
    found = mask([Window.model_validate(window) for window in windows], grid, ZONE)
    np.testing.assert_array_equal(np.flatnonzero(found), hours)


@pytest.mark.parametrize(
    ("window", "places"),
    [
        ({"from": "8 pm", "to": "9 pm", "days": ["sat", "fry"]}, ["days[1]", "from", "to"]),
        ({"from": "2024-06-02T00:00", "to": "2024-06-01T00:00"}, ["to"]),
        ({"from": "16:00", "to": "2024-06-01T00:00"}, ["to"]),
        ({"from": "2024-03-31T02:30", "to": "2024-06-01T00:00"}, ["from"]),
        ({"from": "22:00", "to": "02:00", "days": ["mon"]}, []),
    ],
)
def test_all_that_makes_no_sense_in_a_window_is_told(window, places):
    found = faults(Window.model_validate(window), ZONE)
    assert [path_text(keys) for keys, _ in found] == places


def test_windows_are_of_the_clock_where_it_changes():
    """On the last Sunday of October the hour from two to three comes twice."""
    grid = Grid(start=datetime(2024, 10, 27, tzinfo=ZONE), step=timedelta(hours=1), count=25)
    window = Window.model_validate({"from": "02:00", "to": "03:00"})
    np.testing.assert_array_equal(np.flatnonzero(mask([window], grid, ZONE)), [2, 3])


def test_the_published_schema_is_that_of_the_protos():
    """It has every field of every message, its meaning, and the range of its numbers."""
    check = [sys.executable, str(ROOT / "proto/site_schema.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_published_schema_asks_for_what_the_reader_asks_for():
    place = Path(site_file.__file__).with_name("site.schema.json")
    schema = json.loads(place.read_text())
    assert schema["required"] == ["time_zone"]
    vehicle = schema["$defs"]["VehicleEntry"]
    assert vehicle["required"] == ["charge_limit_kw", "capacity_kwh"]
    efficiency = vehicle["properties"]["charge_efficiency"]["anyOf"][0]
    assert (efficiency["minimum"], efficiency["maximum"]) == (0.001, 1)
    assert vehicle["properties"]["capacity_kwh"]["description"] == (
        "The most energy it holds, in kWh."
    )
