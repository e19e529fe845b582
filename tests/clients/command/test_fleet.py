"""`loadloom fleet`, in process against a server, and the gallery's homes below feeders."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from examples import fleet as example
from loadloom.client.command import fleet_report
from loadloom.client.command.app import app
from tests.clients import fleet_cases as cases

ROOT = Path(__file__).parents[3]
ASKED = ("cars.csv", "--network", "nodes.csv", "--prices", "prices.csv")


def plain(text):
    """What is printed, in a line."""
    return " ".join(text.split())


def joined(text):
    """What is printed without spaces: a long path is broken wherever a line ends."""
    return "".join(text.split())


class Fleet:
    """The files of a small fleet and the command line."""

    def __init__(self, folder, target):
        self.folder, self.target = folder, target
        cases.write(folder)

    def run(self, *arguments):
        """Runs the command; names of files are of the folder."""
        words = [
            str(self.folder / word) if str(word).endswith((".csv", ".parquet", ".html")) else word
            for word in map(str, arguments)
        ]
        zone = ("--time-zone", "Europe/Amsterdam")
        command = ["fleet", *words, *zone, "--server", self.target]
        return CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.fixture
def fleet(tmp_path, target):
    """A fleet at the server of the tests."""
    return Fleet(tmp_path, target)


def test_a_fleet_is_planned_told_and_written(fleet):
    done = fleet.run(
        *ASKED,
        *("--out", "out.csv", "--costs", "costs.parquet", "--schedules", "schedules.csv"),
        *("--plot", "fleet.html"),
    )
    assert done.exit_code == 0, done.stderr
    for words in (
        "2 sites below 2 nodes",
        "if every site chose alone, without limits",
        "no plan can cost less than 2.00",
        "Limits that bind",
        "Tue 00:00-02:00",
        "0.1000",
        "  north",
    ):
        assert words in done.stdout, words
    assert "buy_price_eur_per_mwh, for buying" in done.stderr
    assert "is kept in the server" in done.stderr
    nodes = pd.read_csv(fleet.folder / "out.csv")
    assert nodes["power_kw"].max() <= cases.LIMIT_KW + 1e-6
    assert nodes.loc[nodes["node"] == "town", "import_limit_kw"].isna().all()
    costs = pd.read_parquet(fleet.folder / "costs.parquet")
    assert costs["cost"].sum() == pytest.approx(cases.COST, rel=1e-4)
    schedules = pd.read_csv(fleet.folder / "schedules.csv")
    assert len(schedules) == 8
    assert schedules.groupby("site")["charge_kw"].sum().to_numpy() == pytest.approx([8, 8])
    page = (fleet.folder / "fleet.html").read_text()
    for words in ("<svg", "coordinated", "Prices of the limits", "The way to the proof", "north"):
        assert words in page


def test_schedules_are_written_as_parquet_page_by_page(fleet):
    done = fleet.run(*ASKED, "--schedules", "schedules.parquet")
    assert done.exit_code == 0, done.stderr
    table = pd.read_parquet(fleet.folder / "schedules.parquet")
    assert list(table["site"].unique()) == ["car 0", "car 1"]
    assert (table["time"].unique() == cases.TIMES).all()


def test_json_is_the_answer_of_the_api_alone(fleet):
    said = json.loads(fleet.run(*ASKED, "--json").stdout)
    assert said["termination"]["reason"] == "TERMINATION_REASON_OPTIMAL"


def test_limits_that_cannot_be_kept_end_with_1_and_their_line(fleet):
    cases.write(fleet.folder, "3")
    done = fleet.run(*ASKED, "--out", "out.csv")
    assert done.exit_code == 1
    assert "No plan can keep every rule." in done.stdout
    assert joined("nodes.csv, line 3, column 3") in joined(done.stdout)
    assert not (fleet.folder / "out.csv").exists()


def test_a_site_that_cannot_keep_its_own_rules_is_told_by_its_line(fleet):
    text = (fleet.folder / "cars.csv").read_text()
    (fleet.folder / "cars.csv").write_text(text.replace("car 1,north,10,8,8", "car 1,north,10,8,1"))
    done = fleet.run(*ASKED)
    assert done.exit_code == 1
    assert "car 1" in done.stdout
    assert joined("cars.csv, line 3, column 1 (site)") in joined(done.stdout)


def test_faults_that_the_server_finds_stand_at_their_line(fleet):
    text = (fleet.folder / "cars.csv").read_text()
    text = text.replace("end_energy", "energy").replace("car 1,north,10,8", "car 1,north,10,12")
    (fleet.folder / "cars.csv").write_text(text)
    done = fleet.run(*ASKED)
    assert done.exit_code == 2
    assert "cars.csv, line 3, column 4 (energy_min_kwh)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--time-limit", "-1"), "--time-limit -1: must be a number of seconds above 0"),
        (("--out", "plan.txt"), "must end in one of .csv, .parquet"),
        (("--plot", "plan.txt"), "must end in one of .html"),
        (("--profiles", "none.csv"), "none.csv: cannot be read"),
        (("--from", "2024-05-14T03:00", "--to", "2024-05-14T01:00"), "is not before its end"),
        (("--store", "folder"), "--store is for an engine of one's own"),
    ],
)
def test_wrong_options_are_told(fleet, arguments, told):
    done = fleet.run(*ASKED, *arguments)
    assert done.exit_code == 2
    assert told in done.stderr


def test_every_fault_of_files_is_told_by_line_and_column(fleet):
    cases.write(fleet.folder, "six")
    done = fleet.run(*ASKED)
    assert done.exit_code == 2
    assert "nodes.csv, line 3, column 3 (import_limit_kw): 'six' is not a number" in done.stderr


def command(folder):
    """The arguments of the command line at the head of the example, on files in a folder."""
    lines = (example.__doc__ or "").replace("\\\n", " ").splitlines()
    line = next(one for one in lines if "bin/loadloom fleet" in one)
    words = [word.replace("fleet/", f"{folder}/") for word in shlex.split(line)[2:]]
    return [str(ROOT / word) if word.startswith("examples/") else word for word in words]


@pytest.mark.parametrize("count", [160, pytest.param(10_000, marks=pytest.mark.slow)])
def test_homes_below_feeders_keep_their_limits(fleet, count):
    example.write_files(count, fleet.folder)
    done = fleet.run(*command(fleet.folder), "--out", "nodes.csv")
    assert done.exit_code == 0, done.stderr
    assert f"{count:,} sites below 9 nodes" in done.stdout
    assert "Limits that bind" in done.stdout
    nodes = pd.read_csv(fleet.folder / "nodes.csv")
    assert len(nodes) == 9 * 96
    assert (nodes["power_kw"] <= nodes["import_limit_kw"] * (1 + 1e-6)).all()
    assert (-nodes["power_kw"] <= nodes["export_limit_kw"] * (1 + 1e-6)).all()
    over = nodes["unlimited_power_kw"] > nodes["import_limit_kw"]
    assert {"feeder 2", "feeder 6"} < set(nodes.loc[over, "node"])
    assert (-nodes["unlimited_power_kw"] > nodes["export_limit_kw"]).any()
    assert (fleet.folder / "fleet.html").stat().st_size > 10_000


def test_a_stretch_of_time_is_told_from_its_first_interval_to_its_end(client):
    plan = client.plan_fleet(cases.cars(), cases.network(), **cases.WISHES).result()
    assert fleet_report.when(plan, plan.bindings[0]) == "Tue 00:00-02:00"
