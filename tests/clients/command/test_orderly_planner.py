"""What a planner meets at the command line: names, feeders, announced plans, files, ids."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from icalendar import Calendar

from tests.clients.orderly_cases import EVENING
from tests.clients.test_orderly_command import USERS, Park

AHEAD = "2030-03-04"


@pytest.fixture
def park(tmp_path, target):
    """A park at the server of the tests."""
    return Park(tmp_path, ("--server", target))


def latest(park, title):
    """The name of the newest schedule of a title, and its revisions: the last, the announced."""
    done = park.run("show", "--schedule", title, "--json")
    said = json.loads(done.stdout)
    return said["name"], said["revision"], said.get("published_revision", 0)


def test_names_and_titles_are_told_as_they_are_and_files_are_written(park):
    park.write("x[/b]y[red] ", AHEAD)
    done = park.plan(
        *("--out", park.folder / "plan.csv", "--coverage", park.folder / "coverage.csv"),
        *("--plot", park.folder / "plan.png", "--calendars", park.folder / "calendars"),
    )
    assert done.exit_code == 0, done.stderr
    assert "x[/b]y[red]" in done.stdout
    assert set(pd.read_csv(park.folder / "plan.csv")["user"]) == {
        "x[/b]y[red] bakery",
        "x[/b]y[red] foundry",
    }
    assert (park.folder / "coverage.csv").exists()
    assert (park.folder / "plan.png").exists()
    assert len([*(park.folder / "calendars").iterdir()]) == 2
    named = ("--schedule", park.name)
    assert "x[/b]y[red]" in park.run("list").stdout
    for verb in (("publish",), ("notices",), ("show",), ("explain", f"{park.name}bakery")):
        done = park.run(*verb, *named)
        assert done.exit_code == 0, done.stderr
        assert "x[/b]y[red]" in done.stdout


def test_files_that_can_be_written_are_though_one_cannot_and_the_plan_is_told(park):
    park.write("folder ", AHEAD)
    (park.folder / "plan.csv").mkdir()
    done = park.plan("--out", park.folder / "plan.csv", "--coverage", park.folder / "coverage.csv")
    assert done.exit_code == 2
    assert "plan.csv: cannot be written" in done.stderr.replace("\n", "")
    assert "Who is off when" in done.stdout
    assert (park.folder / "coverage.csv").exists()


def test_what_a_feeder_lacks_is_told_by_day(park):
    park.write("grid ", AHEAD)
    header, *rows = USERS.format(park.name).splitlines()
    limits = (rows[0].replace(",4,limit", ",1,limit"), rows[1])
    text = "\n".join([f"{header},feeder", f"{limits[0]},west", f"{limits[1]},"])
    (park.folder / "users.csv").write_text(f"{text}\n")
    table = {"shortage_kw": -500.0, "west_shortage_kw": np.resize(EVENING, 168)}
    pd.DataFrame(table, park.times).to_csv(park.folder / "short.csv")
    done = park.plan("--coverage", park.folder / "coverage.csv", "--plot", park.folder / "p.html")
    assert done.exit_code == 0, done.stderr
    rows = done.stdout.split("Feeder west")[1].splitlines()
    days = [line.split() for line in rows if re.search(r"\d\d Mar", line)]
    lacks = [float(day[6]) for day in days]
    assert sorted(lacks) == [0.0, *[400.0] * 6]
    written = pd.read_csv(park.folder / "coverage.csv")
    west = written[written["feeder"] == "west"]
    assert west["unserved_kw"].sum() == pytest.approx(2400.0)
    assert "0 kWh uncovered, 2,400 kWh in feeder west" in (park.folder / "p.html").read_text()


def test_what_was_announced_is_handed_out_and_recorded_and_not_a_later_draft(park):
    park.write("draft ", AHEAD)
    assert park.plan().exit_code == 0
    named = ("--schedule", park.name)
    done = park.run("deliver", "--as-planned", *named)
    assert done.exit_code == 1
    assert "was never announced" in done.stderr
    assert park.run("publish", *named).exit_code == 0
    folder = park.folder / "calendars"
    assert "revision 1, in" in park.run("show", *named, "--calendars", folder).stderr
    park.shorten(park.times, -500.0)
    short = park.folder / "short.csv"
    assert park.run("revise", short, *named).exit_code == 0
    assert latest(park, park.name)[1:] == (2, 1)
    done = park.run("show", *named, "--calendars", folder)
    assert "Calendars of revision 1, in" in done.stderr
    assert {state for file in folder.iterdir() for state in states(file)} == {"TENTATIVE"}
    done = park.run("deliver", "--as-planned", *named)
    assert (done.exit_code, "over" in done.stderr) == (2, True)
    assert park.run("publish", *named).exit_code == 0
    assert "revision 2" in park.run("show", *named, "--calendars", folder).stderr
    assert {state for file in folder.iterdir() for state in states(file)} == {"CANCELLED"}


def states(file):
    """The states of the entries of a calendar."""
    entries = Calendar.from_ical(file.read_bytes()).walk("VEVENT")
    return [str(entry["status"]) for entry in entries]


def test_a_schedule_is_deleted_by_its_own_name_alone(park):
    park.write("gone ", AHEAD)
    assert park.plan().exit_code == 0
    name = latest(park, park.name)[0]
    letters = name.removeprefix("schedules/")
    for said in ("", letters[0], letters[:7], park.name, park.week, "schedules/"):
        done = park.run("delete", "--", said) if not said else park.run("delete", said)
        assert done.exit_code == 2, said
    assert latest(park, park.name)[0] == name
    assert park.run("delete", letters[:8]).exit_code == 0
    assert park.run("show", "--schedule", name).exit_code == 2


def test_a_schedule_is_not_chosen_by_nothing_or_by_a_few_letters(park):
    park.write("few ", AHEAD)
    assert park.plan().exit_code == 0
    name = latest(park, park.name)[0].removeprefix("schedules/")
    assert park.run("show", "--schedule", "").exit_code == 2
    assert park.run("show", "--schedule", name[:7]).exit_code == 2
    assert park.run("show", "--schedule", name[:8]).exit_code == 0
