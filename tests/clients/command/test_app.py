import json
import re
import socket
import subprocess
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from loadloom.client.command import verbs
from loadloom.client.command.app import app

ZONE = ZoneInfo("Europe/Amsterdam")
SITE = """
name: bakery
time_zone: Europe/Amsterdam
meter: {import_limit_kw: 60, export_limit_kw: 30}
loads:
  - {name: ovens, power_kw: {file: load.csv, column: load_kw}}
photovoltaics:
  - {name: roof, power_kw: {file: load.csv, column: pv_kw}, curtailable: true}
storages:
  - name: battery
    energy_max_kwh: 100
    initial_energy_kwh: 20
    charge_limit_kw: 50
    discharge_limit_kw: 50
    charge_efficiency: 0.95
    discharge_efficiency: 0.95
"""


@pytest.fixture
def folder(tmp_path):
    """A bakery on a day of 25 hours with negative prices at noon."""
    start = pd.Timestamp("2024-10-27", tz=ZONE)
    end = start + pd.DateOffset(days=1)
    hours = pd.date_range(start, end, freq="h", inclusive="left", name="time")
    quarters = pd.date_range(start, end, freq="15min", inclusive="left", name="time")
    price = 80 + 100 * np.cos(np.arange(25) / 12 * 2 * np.pi)
    pd.DataFrame({"price_eur_per_mwh": price}, hours).to_csv(tmp_path / "prices.csv")
    sun = np.maximum(0, 40 * np.sin((np.arange(100) / 4 - 6) / 12 * np.pi))
    load = pd.DataFrame({"load_kw": 20.0, "pv_kw": sun}, quarters.tz_localize(None))
    load.to_csv(tmp_path / "load.csv")
    (tmp_path / "site.yaml").write_text(SITE)
    return tmp_path


@pytest.fixture
def run(folder, target):
    """Runs the command line in process, against the engine of the tests."""

    def run(*arguments, server=target):
        files = [str(folder / "site.yaml"), "--prices", str(folder / "prices.csv")]
        words = ["dispatch", *files, "--server", server, *map(str, arguments)]
        return CliRunner().invoke(app, words)

    return run


def test_a_plan_is_told_with_cost_proof_and_schedule(run):
    done = run("--detail", "reasons")
    assert done.exit_code == 0, done.stderr
    for words in (
        "Sun 27 Oct 2024 00:00 to Mon 28 Oct 2024 00:00, Europe/Amsterdam, 100 x 15 min",
        "without storage",
        "saving,",
        "no plan can cost less than",
        "kernel",
        "Schedule by the hour, kWh",
        "Reasons",
        "charging now for",
    ):
        assert words in done.stdout
    assert len(re.findall(r"^ +0[23]:00 +-?0\.", done.stdout, re.MULTILINE)) == 3


def test_the_table_of_a_plan_adds_up_and_reads_back(run, folder):
    done = run("--out", folder / "plan.csv")
    assert done.exit_code == 0
    assert "Schedule in" in done.stderr
    assert "price_eur_per_mwh, for buying and selling" in done.stderr
    table = pd.read_csv(folder / "plan.csv")
    assert len(table) == 100
    assert datetime.fromisoformat(table["time"][0]) == datetime(2024, 10, 27, tzinfo=ZONE)
    assert table["time"].is_unique
    net = table["import_kw"] - table["export_kw"]
    made = table["roof.power_kw"] - table["roof.curtailed_kw"]
    moved = table["battery.charge_kw"] - table["battery.discharge_kw"]
    np.testing.assert_allclose(net, table["ovens.power_kw"] - made + moved, atol=1e-9)


def test_a_written_plan_can_be_read_as_an_input(run, folder):
    assert run("--out", folder / "plan.csv").exit_code == 0
    site = (folder / "site.yaml").read_text()
    (folder / "site.yaml").write_text(
        site.replace("load.csv, column: load_kw", "plan.csv, column: ovens.power_kw")
    )
    assert run().exit_code == 0


def test_parquet_keeps_the_zone_and_the_numbers(run, folder):
    assert run("--out", folder / "plan.parquet", "--detail", "values").exit_code == 0
    table = pd.read_parquet(folder / "plan.parquet")
    assert table.index[0] == pd.Timestamp("2024-10-27", tz=ZONE)
    assert "battery.stored_value_per_kwh" in table


def test_a_chart_is_written(run, folder):
    assert run("--plot", folder / "plan.png").exit_code == 0
    assert (folder / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_the_answer_of_the_api_alone(run):
    done = run("--json")
    plan = json.loads(done.stdout)
    assert plan["termination"]["reason"] == "TERMINATION_REASON_OPTIMAL"
    assert len(plan["schedule"]["import_kw"]["values"]) == 100


def test_the_horizon_and_the_technique_can_be_told(run):
    done = run("--from", "2024-10-27T06:00", "--to", "2024-10-27T12:00", "--method", "linear")
    assert done.exit_code == 0, done.stderr
    assert "24 x 15 min" in done.stdout
    assert "linear" in done.stdout


def test_a_long_horizon_is_summed_up_by_the_day(run, folder):
    hours = pd.date_range("2024-10-26", periods=73, freq="h", tz=ZONE, name="time")
    price = np.linspace(10, 100, 73)
    pd.DataFrame({"price_eur_per_mwh": price}, hours).to_csv(folder / "prices.csv")
    site = (folder / "site.yaml").read_text()
    site = re.sub(r"\{file: load.csv, column: \w+\}", "20", site)
    (folder / "site.yaml").write_text(site)
    done = run()
    assert done.exit_code == 0, done.stderr
    assert "Schedule by the day, kWh" in done.stdout
    # 20 kW through days of 24 and 25 hours
    assert re.search(r"Sat 26 Oct +\S+ +480\.0", done.stdout)
    assert re.search(r"Sun 27 Oct +\S+ +500\.0", done.stdout)


def test_an_impossible_site_ends_with_1_and_tells_the_cure(run, folder):
    site = (folder / "site.yaml").read_text()
    (folder / "site.yaml").write_text(site.replace("import_limit_kw: 60", "import_limit_kw: 1"))
    done = run("--out", folder / "plan.csv")
    assert done.exit_code == 1
    assert "No plan can keep every rule" in done.stdout
    place = f"{folder / 'site.yaml'}, line 4, column 9 (meter.import_limit_kw)"
    assert "".join(place.split()) in "".join(done.stdout.split())
    assert "cure  raise " in done.stdout
    assert not (folder / "plan.csv").exists()
    assert "plan.csv is not written, as there is no plan" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "energy_max_kwh",
            "energy_kwh",
            "line 11, column 5 (storages[0].energy_kwh): is not known here; did you mean energy_m",
        ),
        ("load.csv, column: load_kw", "none.csv, column: load_kw", "none.csv: cannot be read"),
        ("pv_kw", "pv_hp", "has no column 'pv_hp'"),
        (
            "charge_efficiency: 0.95",
            "charge_efficiency: 1.95",
            "line 15, column 5 (storages[0].charge_efficiency): is 1.95; must be from 0.001",
        ),
    ],
)
def test_wrong_input_ends_with_2_and_tells_where(run, folder, old, new, words):
    site = (folder / "site.yaml").read_text()
    (folder / "site.yaml").write_text(site.replace(old, new))
    done = run()
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--out", "plan.xlsx"],
        ["--plot", "plan.txt"],
        ["--from", "noon"],
        ["--method", "magic"],
        ["--time-limit", "-1"],
        ["--tls-ca", "none.pem"],
        ["--tls-key", __file__],
    ],
)
def test_wrong_options_end_with_2(run, arguments):
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_a_folder_that_is_not_there_is_told_before_anything_is_solved(run, folder, option):
    file = folder / "nowhere" / ("plan.csv" if option == "--out" else "plan.png")
    done = run(option, file, server="127.0.0.1:1")
    assert done.exit_code == 2
    assert done.stderr == f"{option} {file}: there is no folder {file.parent}; make it\n"


def one_line(done):
    """The only line that a command with wrong input says."""
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--time-limit", "-1"],
            "--time-limit -1: must be a number of seconds above 0, at most 1e+09",
        ),
        (
            ["--time-limit", "nan"],
            "--time-limit nan: must be a number of seconds above 0, at most 1e+09",
        ),
        (
            ["--server", "localhost"],
            "--server localhost: must be HOST:PORT, such as 127.0.0.1:8421",
        ),
        (["--server", "::1"], "--server ::1: must be HOST:PORT, such as 127.0.0.1:8421"),
    ],
)
def test_a_wrong_option_is_told_in_a_line_that_names_it(run, arguments, line):
    assert one_line(run(*arguments)) == line


def test_a_method_that_does_not_fit_is_told_at_its_option(run, folder):
    site = (folder / "site.yaml").read_text()
    second = "  - {name: b, energy_max_kwh: 1, charge_limit_kw: 1, discharge_limit_kw: 1}\n"
    (folder / "site.yaml").write_text(site + second)
    line = one_line(run("--method", "kernel"))
    assert line == "--method: the kernel takes at most one storage; the site has 2"


def test_a_start_after_the_end_is_told_with_both_options(run):
    line = one_line(run("--from", "2024-10-27T12:00", "--to", "2024-10-27T06:00"))
    assert "2024-10-27 12:00:00+01:00 (--from), which is not before its end at" in line
    assert line.endswith("06:00:00+01:00 (--to)")


def test_prices_in_descending_order_are_told_in_their_own_file(run, folder):
    prices = pd.read_csv(folder / "prices.csv")
    prices[::-1].to_csv(folder / "prices.csv", index=False)
    line = one_line(run())
    assert "prices.csv, line 1, column 1 (time): goes back in time from row to row; sort" in line


def test_prices_that_end_before_a_target_are_told_with_what_is_there_and_wanted(run, folder):
    target = '    targets:\n      - {time: "2024-10-28T12:00", min_kwh: 20}\n'
    with (folder / "site.yaml").open("a") as site:
        site.write(target)
    line = one_line(run())
    assert "(storages[0].targets[0].time): 2024-10-28 12:00:00+01:00 is outside of the" in line
    assert "has 100 intervals of 0:15:00 from 2024-10-27 00:00:00+02:00 to 2024-10-28 00:00" in line
    assert "price_eur_per_mwh in " in line
    assert line.endswith("148 would reach it")


def test_a_series_that_is_too_short_is_told_with_what_is_there_and_wanted(run, folder):
    load = pd.read_csv(folder / "load.csv")
    load[:80].to_csv(folder / "load.csv", index=False)
    done = run()
    assert done.exit_code == 2
    first = done.stderr.splitlines()[0]
    assert "has 80 values from 2024-10-27 00:00:00+02:00 to 2024-10-27 19:00:00+01:00" in first
    assert "wants 100 from 2024-10-27 00:00:00+02:00 to 2024-10-28 00:00:00+01:00" in first


def test_packed_prices_are_read(run, folder):
    pd.read_csv(folder / "prices.csv").to_csv(folder / "more.csv.gz", index=False)
    assert run("--prices", folder / "more.csv.gz").exit_code == 0
    (folder / "torn.csv.gz").write_bytes((folder / "more.csv.gz").read_bytes()[:-9])
    assert "is not a whole gzip file" in one_line(run("--prices", folder / "torn.csv.gz"))
    (folder / "plain.csv.gz").write_text("time,price_per_kwh")
    assert "is not a whole gzip file" in one_line(run("--prices", folder / "plain.csv.gz"))


def test_no_server_ends_with_3(run):
    done = run(server="127.0.0.1:1")
    assert done.exit_code == 3
    assert done.stderr.startswith("--server 127.0.0.1:1: no server can be reached there")
    assert "ipv4" not in done.stderr


def test_info_asks_the_server_that_runs_on_this_machine(target, monkeypatch):
    monkeypatch.setattr(verbs, "TARGET", target)
    done = CliRunner().invoke(app, ["info"])
    assert done.exit_code == 0
    assert f"Loadloom at {target}" in done.stdout


def test_info_asks_an_engine_of_its_own_where_none_answers(target, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setattr(verbs, "TARGET", f"127.0.0.1:{deaf.getsockname()[1]}")
        done = CliRunner().invoke(app, ["info"])
    assert done.exit_code == 0
    assert f"No server answers at {verbs.TARGET}; this is the engine" in done.stdout
    assert target not in done.stdout


def test_info_tells_versions_and_limits(target):
    done = CliRunner().invoke(app, ["info", "--server", target])
    assert done.exit_code == 0
    assert "highspy" in done.stdout
    assert "most sites per batch" in done.stdout


def test_the_schema_of_site_files_is_printed_with_the_meaning_of_each_field():
    done = CliRunner().invoke(app, ["schema"])
    schema = json.loads(done.stdout)
    assert schema["required"] == ["time_zone"]
    assert schema["additionalProperties"] is False
    fields = schema["$defs"]["StorageEntry"]["properties"]
    assert all("description" in field for field in fields.values())


def test_version_and_help_need_no_verb():
    assert re.fullmatch(r"loadloom \d+\.\d+\S*\n", CliRunner().invoke(app, ["--version"]).stdout)
    help_text = CliRunner().invoke(app, []).stdout
    assert all(verb in help_text for verb in ("dispatch", "info", "serve", "schema"))


def test_an_engine_of_its_own_plans_without_a_server(folder):
    files = [folder / "site.yaml", "--prices", folder / "prices.csv", "--json"]
    command = [sys.executable, "-m", "loadloom.client.main", "dispatch", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["site_name"] == "bakery"


def test_names_of_sites_and_devices_are_told_and_drawn_as_they_are(run, folder):
    site = SITE.replace("name: bakery", 'name: "[/b]$\\\\frac$"').replace(
        "name: battery", 'name: "$\\\\x$"'
    )
    (folder / "site.yaml").write_text(site)
    done = run("--plot", folder / "plan.png")
    assert done.exit_code == 0, done.output
    assert "[/b]$\\frac$" in done.stdout
    assert (folder / "plan.png").exists()


def test_the_help_of_serve_is_that_of_the_command():
    command = [sys.executable, "-m", "loadloom.client.main", "serve", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: loadloom serve ")
