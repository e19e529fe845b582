"""The verbs of `loadloom orderly`, in process against a server, and with an engine of their own."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from loadloom.client.command import orderly_place
from loadloom.client.command.app import app
from loadloom.client.command.orderly_progress import line
from loadloom.client.errors import Cancelled
from loadloom.client.operations import OperationProgress
from tests.clients.orderly_cases import EVENING

ROOT = Path(__file__).parents[2]
ZONE = "Europe/Berlin"
USERS = """user,max_days,kind,cap_kw,cost_per_kwh,max_slots,notice
{0}bakery,4,limit,100,1,4,day
{0}foundry,4,limit,100,2,4,day
"""


def past_monday():
    today = datetime.now(UTC).date()
    return today - timedelta(days=today.weekday(), weeks=2)


class Park:
    """The files of a small park and the command line."""

    def __init__(self, folder, place):
        self.folder, self.place = folder, place
        self.name = ""

    def write(self, name, monday="2030-03-04"):
        """Writes the files of a park whose users begin with a name, for the week of a Monday."""
        self.name = name
        times = pd.date_range(monday, periods=168, freq="h", tz=ZONE, name="time")
        times = times[: 168 if times[-1].hour == 23 else 167]
        self.week = f"{times[0]:%G-W%V}"
        (self.folder / "users.csv").write_text(USERS.format(name))
        load = pd.DataFrame({f"{name}bakery": 200.0, f"{name}foundry": 200.0}, times)
        load.to_csv(self.folder / "loads.csv")
        self.shorten(times, EVENING)
        self.times = times

    def shorten(self, times, kw):
        """Writes what is short on each day."""
        table = pd.DataFrame({"shortage_kw": np.resize(kw, len(times))}, times)
        table.to_csv(self.folder / "short.csv")

    def run(self, verb, *arguments):
        """Runs a verb."""
        words = ["orderly", verb, *map(str, arguments), *self.place]
        return CliRunner().invoke(app, words, catch_exceptions=False)

    def plan(self, *arguments):
        """Runs the verb that plans."""
        files = [self.folder / "users.csv", self.folder / "short.csv"]
        loads = ["--loads", self.folder / "loads.csv"]
        when = ["--week", self.week, "--time-zone", ZONE, "--title", self.name]
        return self.run("plan", *files, *loads, *when, *arguments)


@pytest.fixture
def park(tmp_path, target):
    """A park at the server of the tests."""
    return Park(tmp_path, ("--server", target))


def test_a_week_is_planned_told_and_written(park):
    park.write("tell ")
    done = park.plan(
        *("--out", park.folder / "plan.csv", "--coverage", park.folder / "coverage.parquet"),
        *("--plot", park.folder / "plan.html", "--calendars", park.folder / "calendars"),
        *("--currency", "CNY", "--gamma", "1,1,1"),
    )
    assert done.exit_code == 0, done.stderr
    for words in (
        "2030-W10",
        "revision 1, solved",
        "no plan can cost less than",
        "Who is off when",
    ):
        assert words in done.stdout
    assert "17-21" in done.stdout
    assert f"is kept in the server {park.place[1]}" in done.stderr
    events = pd.read_csv(park.folder / "plan.csv")
    assert len(events) == 7
    assert events["energy_kwh"].tolist() == [400.0] * 7
    coverage = pd.read_parquet(park.folder / "coverage.parquet")
    assert coverage["unserved_kw"].max() == 0.0
    assert "<svg" in (park.folder / "plan.html").read_text()
    names = {file.name for file in (park.folder / "calendars").iterdir()}
    assert names == {"tell bakery.ics", "tell foundry.ics"}


def test_json_is_the_answer_of_the_api_alone(park):
    park.write("json ")
    plan = json.loads(park.plan("--json").stdout)
    assert plan["state"] == "SCHEDULE_STATE_SOLVED"
    assert plan["users"] == ["json bakery", "json foundry"]


def test_mistakes_of_all_files_are_told_at_once_and_end_with_2(park):
    park.write("wrong ")
    users = (park.folder / "users.csv").read_text()
    (park.folder / "users.csv").write_text(users.replace("limit,100,1", "limt,-100,1"))
    park.shorten(park.times, ["x"] * 24)
    done = park.plan()
    assert done.exit_code == 2
    assert "users.csv, line 2, column 3 (kind): 'limt' is not known; did you mean limit?" in (
        done.stderr
    )
    assert "users.csv, line 2, column 4 (cap_kw): is -100" in done.stderr
    assert "short.csv, line 2, column 2 (shortage_kw): 'x' is not a number" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--week", "2030-W60"], "--week: is '2030-W60'; must be a week of a year"),
        (["--time-zone", "Mars"], "--time-zone: is 'Mars'; must be an IANA zone"),
        (["--slots", "7"], "--slots: is 7; must be at most 96"),
        (["--gamma", "1,x"], "--gamma 1,x: must be numbers"),
        (["--gamma", "2,1"], "--gamma: "),
        (["--currency", "money"], "--currency: "),
        (["--time-limit", "-1"], "--time-limit -1: must be a number of seconds above 0"),
        (["--out", "plan.txt"], "--out plan.txt: must end in one of .csv, .parquet"),
        (["--plot", "plan.txt"], "--plot plan.txt: must end in one of .html"),
        (["--store", "folder"], "--store is for an engine of one's own"),
        (["--at", "2030-03-31T02:30"], "--at: 2030-03-31 02:30:00 does not exist"),
    ],
)
def test_wrong_options_are_told_by_their_names(park, arguments, told):
    park.write("option ")
    done = park.plan(*arguments)
    assert done.exit_code == 2, done.stderr
    assert told in done.stderr.replace("\n", " ")


def test_what_the_server_finds_is_told_by_line(park):
    park.write("server ")
    header, *rows = (park.folder / "users.csv").read_text().splitlines()
    text = "\n".join([f"{header},feeder", *(f"{row},north" for row in rows)])
    (park.folder / "users.csv").write_text(text)
    done = park.plan()
    assert done.exit_code == 2
    assert "users.csv, line 2, column 8 (feeder): 'north' is none of the feeders" in (
        done.stderr.replace("\n", " ")
    )


def test_the_life_of_a_week_at_the_command_line(park):
    park.write("alive ")
    assert park.plan().exit_code == 0
    named = ("--schedule", "alive ")
    done = park.run("publish", *named)
    assert done.exit_code == 0, done.stderr
    assert "Announced: 7 events of 2 users" in done.stdout
    assert "planned" in park.run("notices", *named).stdout
    done = park.run("confirm", "Mon", *named)
    assert (done.exit_code, "confirmed Mon 04 Mar" in done.stderr) == (0, True)
    assert park.run("confirm", "Foo", *named).exit_code == 2
    done = park.run("explain", "alive bakery", *named)
    assert done.exit_code == 0, done.stderr
    assert "Why alive bakery" in done.stdout
    park.shorten(park.times, -500.0)
    done = park.run("revise", park.folder / "short.csv", *named, "--at", "2030-03-01T12:00")
    assert done.exit_code == 0, done.stderr
    assert "7 released, 0 called anew, 0 kept" in done.stdout
    done = park.run("publish", *named)
    assert "revision 2" in done.stdout
    done = park.run("settle", *named)
    assert done.exit_code == 1
    assert "not over yet" in done.stderr
    assert "alive" in park.run("list").stdout
    name = json.loads(park.run("show", *named, "--json").stdout)["name"]
    assert park.run("delete", name).exit_code == 1


def test_a_past_week_is_delivered_and_settled_by_its_own_table(park):
    park.write("bygone ", past_monday())
    done = park.plan("--out", park.folder / "plan.csv", "--late-notice")
    assert done.exit_code == 0
    assert "7 events need notice that can no longer be given" in done.stderr
    named = ("--schedule", "bygone ")
    done = park.run("publish", *named)
    assert done.exit_code == 1
    assert "notice can no longer be given" in done.stderr.replace("\n", " ")
    assert park.run("publish", "--late-notice", *named).exit_code == 0
    events = pd.read_csv(park.folder / "plan.csv")
    events.assign(energy_kwh=events["energy_kwh"] / 2).to_csv(park.folder / "d.csv", index=False)
    assert park.run("deliver", *named).exit_code == 2
    done = park.run("deliver", park.folder / "d.csv", *named)
    assert "7 events have a record, 0 have none" in done.stderr
    assert park.run("settle", *named).exit_code == 0
    done = park.run("ledger", "--user", "bygone bakery", "--out", park.folder / "ledger.csv")
    assert done.exit_code == 0
    assert "Burden of each week" in done.stdout
    ledger = pd.read_csv(park.folder / "ledger.csv")
    assert (ledger["energy_kwh"] / ledger["planned_kwh"]).tolist() == [0.5]


def test_deliveries_of_no_event_are_told_by_line(park):
    park.write("nothing ", past_monday())
    park.plan("--late-notice")
    park.run("publish", "--late-notice", "--schedule", "nothing ")
    text = "user,day,first_slot,energy_kwh\nnothing bakery,0,3,1\n"
    (park.folder / "d.csv").write_text(text)
    done = park.run("deliver", park.folder / "d.csv", "--schedule", "nothing ")
    assert done.exit_code == 2
    assert "d.csv, line 2" in done.stderr


def test_levels_the_method_and_abilities_are_told(park):
    park.write("rules ")
    rules = park.folder / "rules.yaml"
    rules.write_text(
        "warning_levels: [{name: II orange, least_share: 0.2}, {name: I red, least_share: 0.24}]\n"
        "ability: {curtailable_weight: 1, notice_weight: 0, ramp_weight: 0,"
        " past_compliance_weight: 0, telemetry_weight: 0, control_weight: 1}\n"
    )
    done = park.plan("--rules", rules, "--method", "reference", "--legal-order", "strict")
    assert done.exit_code == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "Levels II orange from 20 %, I red from 24 % of the peak load" in told
    assert "Method reference" in told
    assert "Mon 04 Mar 100 400 400 0 I red" in told.replace(" 20.00 ", " ")
    assert "Aims, one after the other" in told
    named = ("--schedule", "rules ")
    done = park.run("ability", *named, "--out", park.folder / "ability.csv")
    assert done.exit_code == 0, done.stderr
    assert "ability = 0.5 curtailable + 0 notice + 0 ramp" in done.stdout
    scores = pd.read_csv(park.folder / "ability.csv")
    assert scores["score"].tolist() == [0.75, 0.75]
    assert scores["curtailable"].tolist() == [0.5, 0.5]
    assert park.run("ability", "nobody", *named).exit_code == 2
    done = park.run("explain", "rules bakery", *named)
    assert "ability 0.750 = 0.5 x 0.50 curtailable + 0.5 x 1.00 control" in done.stdout


def test_faults_in_the_rules_are_told_by_line(park):
    park.write("unruly ")
    rules = park.folder / "rules.yaml"
    rules.write_text("warning_levels:\n  - {name: red, least_share: 3}\n")
    done = park.plan("--rules", rules)
    assert done.exit_code == 2
    assert "rules.yaml, line 2, column" in done.stderr


def test_ctrl_c_tells_how_to_go_on_and_the_solve_does(target, client, tmp_path):
    data = ROOT / "examples/data"
    title = f"interrupted {tmp_path}"
    words = [
        *("orderly", "plan", data / "park_users.csv", data / "park_shortage_w30.csv"),
        *("--loads", data / "park_loads_w30.csv", "--week", "2026-W30", "--title", title),
        *("--time-zone", ZONE, "--time-limit", "60", "--late-notice", "--server", target),
    ]
    command = [sys.executable, "-m", "loadloom.client.main", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    operation = solved_by(client, title)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    name = operation.name.removeprefix("operations/")[:8]
    assert f"interrupted\nthe solve goes on at the server {target}\n" in told
    assert f"follow it: loadloom operations watch {name} --server {target}\n" in told
    assert not client.operation(operation.name).done
    cancel = told.partition("or stop it: loadloom ")[2].split()
    assert CliRunner().invoke(app, cancel, catch_exceptions=False).exit_code == 0
    with pytest.raises(Cancelled):
        operation.result(timeout_s=60)


def solved_by(client, title):
    """The operation that solves the schedule of a title, once it is there."""
    until = time.monotonic() + 60
    while True:
        if any(plan.title == title for plan in client.list_schedules()):
            return next(client.operations())
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_schedule_that_is_not_there_ends_with_2(park):
    done = park.run("publish", "--schedule", "no such one")
    assert done.exit_code == 2
    assert "there is no schedule 'no such one' in the server" in done.stderr.replace("\n", " ")


def test_an_engine_of_ones_own_keeps_schedules_between_commands(tmp_path):
    store = tmp_path / "the store"
    park = Park(tmp_path, ("--store", str(store)))
    park.write("kept ")
    done = park.plan()
    assert done.exit_code == 0, done.stderr
    assert str(store / "loadloom.db") in done.stderr.replace("\n", "")
    done = park.run("publish")
    assert done.exit_code == 0, done.stderr
    assert "kept" in done.stdout
    assert "published" in park.run("list").stdout


def test_the_store_of_a_user_is_where_a_server_keeps_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert orderly_place.own_store() == tmp_path / "loadloom"
    from loadloom.engine.settings import own_database

    assert own_database() == f"sqlite:///{tmp_path / 'loadloom' / orderly_place.DATABASE}"


@pytest.mark.parametrize(
    ("said", "zone"), [("Asia/Shanghai", "Asia/Shanghai"), (":Europe/Berlin", "Europe/Berlin")]
)
def test_the_zone_is_that_of_the_machine(monkeypatch, said, zone):
    monkeypatch.setenv("TZ", said)
    assert orderly_place.own_zone() == zone


def test_progress_tells_what_is_known():
    known = OperationProgress(value=1234.5, bound=1200.0, relative_gap=0.028, phase="searching")
    told = "searching  value 1,234.50  bound 1,200.00  gap 2.80%  1.5 s"
    assert line("running", known, 1.5).plain == told
    nothing = OperationProgress(value=None, bound=None, relative_gap=None, phase="")
    assert line("queued", nothing, 0.0).plain == "queued  0.0 s"
