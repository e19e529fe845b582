"""The verbs of `loadloom response`, in process against a server."""

import json
import re
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from examples import response as example
from loadloom.client.command import response_verbs
from loadloom.client.command.app import app
from tests.clients import response_cases as cases

NETWORK = "node,parent,rating_kw,need_kw\nfeeder,,80,\nnorth,feeder,12,18\nsouth,feeder,30,12\n"
WHEN = ("--from", "2024-08-14T18:00", "--to", "2024-08-14T20:00", "--time-zone", cases.ZONE)
ASKED = ("homes.csv", "--network", "network.csv", *WHEN)


class District:
    """The files of a small district and the command line."""

    def __init__(self, folder, place):
        self.folder, self.place = folder, place
        self.title = f"evening {cases.serial()}"
        self.known_as = f"{self.title} "
        self.write("network.csv", NETWORK)
        cases.homes(known_as=self.known_as).to_csv(folder / "homes.csv")

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def run(self, *words):
        """Runs a verb; arguments that name a file of the district are its path."""
        paths = {file.name: file for file in self.folder.iterdir()}
        said = [str(paths.get(str(word), word)) for word in words]
        return CliRunner().invoke(app, ["response", *said, *self.place], catch_exceptions=False)

    def create(self, *more):
        """Makes an event by its title."""
        done = self.run("event", "create", *ASKED, "--title", self.title, *more)
        assert done.exit_code == 0, done.stderr
        return done

    def calls(self, *more):
        """The calls of the event, as they are written."""
        file = self.folder / "calls.parquet"
        done = self.run("event", "calls", self.title, "--out", file, *more)
        assert done.exit_code == 0, done.stderr
        return pd.read_parquet(file).set_index("customer")


@pytest.fixture
def district(tmp_path, target):
    return District(tmp_path, ("--server", target))


def test_needs_are_foretold_told_and_written(district):
    loads = cases.readings(["north", "south"], usual_kw=14.0)
    loads = pd.concat([loads[: 7 * 24].shift(-7, "D"), loads])
    loads += np.random.default_rng(5).normal(0.0, 0.3, loads.shape)
    loads.index = loads.index.map(pd.Timestamp.isoformat)
    loads.to_csv(district.folder / "history.csv", index_label="time")
    air = pd.Series(20.0, pd.date_range("2024-07-17T22:00Z", periods=768, freq="h"))
    air.index = air.index.map(pd.Timestamp.isoformat)
    air.to_csv(district.folder / "air.csv", index_label="time", header=["temperature_c"])
    out = district.folder / "needs.csv"
    done = district.run(
        *("need", "history.csv", "--network", "network.csv", "--temperature", "air.csv"),
        *("--time-zone", cases.ZONE, "--out", out),
    )
    assert done.exit_code == 0, done.stderr
    assert "100.0%" in done.stdout
    assert "of loads were below" in done.stdout
    needs = pd.read_csv(out).set_index("node")
    assert len(needs) == 48
    assert needs.loc["north", "need_kw"].between(1.5, 4.0).all()
    assert (needs.loc["south", "need_kw"] == 0.0).all()
    day = pd.Timestamp(needs["time"].iloc[0])
    span = ((day + timedelta(hours=hour)).isoformat() for hour in (18, 21))
    done = district.run(
        *("target", "homes.csv", "--network", "network.csv", "--needs", "needs.csv"),
        *("--from", next(span), "--to", next(span), "--time-zone", cases.ZONE),
        *("--plot", district.folder / "event.svg"),
    )
    assert done.exit_code == 0, done.stderr
    drawn = (district.folder / "event.svg").read_text()
    assert "without the event" in drawn
    assert "rating" in drawn
    assert "north" in done.stdout
    assert re.search(r"north +(18|19|20):00", done.stdout)
    assert "south" not in done.stdout


def test_targets_are_told_written_and_drawn(district):
    out, plot = district.folder / "calls.csv", district.folder / "tree.png"
    done = district.run(
        *("target", *ASKED, "--out", out, "--plot", plot, "--samples", "1000"),
        *("--explain", f"{district.known_as}home 00"),
    )
    assert done.exit_code == 0, done.stderr
    for words in ("customers called", "no plan less than", "north", "draws", "Why", "old town"):
        assert words in done.stdout
    calls = pd.read_csv(out)
    assert set(calls["price_per_kwh"]) <= {0.2, 0.4}
    assert calls["customer"].str.startswith(district.known_as).all()
    assert plot.stat().st_size > 10_000
    less = district.run("target", *ASKED, "--budget", 0.97 * calls["expected_cost"].sum())
    assert less.exit_code == 0, less.stdout
    assert "confidence" in less.stdout
    said = json.loads(district.run("target", *ASKED, "--json").stdout)
    assert said["called_count"] == len(calls)


def test_what_cannot_be_met_ends_with_one(district):
    district.write("network.csv", NETWORK.replace(",18", ",500"))
    done = district.run("target", *ASKED)
    assert done.exit_code == 1
    assert "There is no plan: infeasible" in done.stdout
    assert "north" in done.stdout
    assert district.run("target", *ASKED, "--best-effort").exit_code == 0


def test_an_event_goes_from_call_to_payment(district):
    done = district.create("--plot", district.folder / "event.svg")
    assert "is kept in the server" in done.stderr
    assert (district.folder / "event.svg").stat().st_size > 10_000
    calls = district.calls()
    assert set(calls["state"]) == {"pending"}
    yes, no = list(calls.index[:5]), list(calls.index[5:7])
    lines = [f"{name},accepted,1.5" for name in yes] + [f"{no[0]},opted out,"]
    district.write("answers.csv", "customer,answer,accepted_kw\n" + "\n".join(lines) + "\n")
    done = district.run("event", "answer", district.title, "answers.csv", "--opt-out", no[1])
    assert done.exit_code == 0, done.stderr
    assert "5 accepted (7.5 kW)" in done.stderr
    assert "2 opted out" in done.stderr
    done = district.run("event", "retarget", district.title, "--reason", "two opted out")
    assert done.exit_code == 0, done.stderr
    assert "two opted out" in done.stdout
    assert set(district.calls("--state", "opted-out").index) == set(no)
    assert list(district.calls("--customer", yes[0])["state"]) == ["accepted"]
    done = district.run("event", "answer", district.title, "--close")
    assert "0 wait" in done.stderr
    assert "two opted out" in district.run("event", "show", district.title).stdout
    assert district.title in district.run("event", "list").stdout
    readings = cases.readings(yes, [1.0] * 5)
    readings.index = readings.index.map(pd.Timestamp.isoformat)
    readings.to_csv(district.folder / "readings.csv", index_label="time")
    out, plot = district.folder / "paid.csv", district.folder / "load.png"
    done = district.run(
        *("settle", district.title, "readings.csv", "--baseline", "highest-days"),
        *("--time-zone", cases.ZONE, "--out", out, "--plot", plot),
    )
    assert done.exit_code == 0, done.stderr
    assert "5 accepted, 5 delivered" in done.stdout
    assert "10.0 kWh" in done.stdout
    paid = pd.read_csv(out, dtype=str).set_index("customer")
    price = calls.loc[yes[0], "price_per_kwh"]
    assert paid.loc[yes[0], "payment"] == f"{2.0 * price:.2f}"
    assert plot.stat().st_size > 10_000


def test_openadr_objects_are_printed_and_written(district):
    district.create()
    said = json.loads(district.run("event", "export", district.title).stdout)
    assert said["program"]["objectType"] == "PROGRAM"
    assert {one["objectType"] for one in said["events"]} == {"EVENT"}
    out = district.folder / "event.json"
    done = district.run("event", "export", district.title, "--out", out, "--program-id", "p-1")
    assert done.exit_code == 0, done.stderr
    assert json.loads(out.read_text())["events"][0]["programID"] == "p-1"


def test_calls_are_followed_from_a_number_on(district, monkeypatch):
    district.create()
    known = district.calls()
    told = []

    def few(client, **wanted):
        for call in watch(client, **wanted):
            yield call
            told.append(call.number)
            if len(told) == 2:
                return

    watch = response_verbs.Client.watch_calls
    monkeypatch.setattr(response_verbs.Client, "watch_calls", few)
    first = int(known["number"].min())
    done = district.run("event", "calls", district.title, "--follow", "--after", first)
    assert done.exit_code == 0, done.stderr
    assert told == sorted(known["number"])[1:3]
    assert len(done.stdout.splitlines()) == 2
    assert "pending" in done.stdout


def test_who_accepted_has_readings_unless_they_may_be_missing(district):
    district.create()
    there, away = district.calls().index[:2]
    district.write("answers.csv", f"customer,answer\n{there},accepted\n{away},accepted\n")
    assert district.run("event", "answer", district.title, "answers.csv").exit_code == 0
    readings = cases.readings([there], [1.0])
    readings.index = readings.index.map(pd.Timestamp.isoformat)
    readings.to_csv(district.folder / "readings.csv", index_label="time")
    asked = ("settle", district.title, "readings.csv", "--time-zone", cases.ZONE)
    done = district.run(*asked)
    assert done.exit_code == 2
    assert "1 of the 2 customers that accepted" in done.stderr
    assert repr(away) in done.stderr
    done = district.run(*asked, "--allow-missing")
    assert done.exit_code == 0, done.stderr
    assert "2 accepted, 1 delivered" in done.stdout


def test_a_cancelled_event_cannot_be_settled(district):
    district.create()
    done = district.run("event", "cancel", district.title, "--reason", "clouds")
    assert "is cancelled" in done.stderr
    readings = cases.readings([f"{district.known_as}home 00"])
    readings.index = readings.index.map(pd.Timestamp.isoformat)
    readings.to_csv(district.folder / "readings.csv", index_label="time")
    done = district.run("settle", district.title, "readings.csv", "--time-zone", cases.ZONE)
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("target", "homes.csv", "--network", "network.csv"), "--from and --to are missing"),
        (("target", "none.csv", "--network", "network.csv", *WHEN), "none.csv: is not there"),
        (("target", *ASKED, "--step", "50"), "--step: is 50 minutes"),
        (("target", *ASKED, "--price", "0.3"), "has prices of its own"),
        (("target", *ASKED, "--out", "calls.txt"), "must end in one of .csv, .parquet"),
        (("target", *ASKED, "--explain", "nobody"), "reasons[0]: is 'nobody'"),
        (("event", "show", "no such event"), "there is no event 'no such event'"),
        (("event", "answer", "x"), "give a file of answers"),
        (("need", "homes.csv", "--network", "network.csv"), "homes.csv"),
    ],
)
def test_what_is_wrong_is_told(district, words, told):
    done = district.run(*words)
    assert done.exit_code == 2
    assert told in done.stderr


def test_faults_that_the_server_finds_stand_at_their_line(district):
    homes = cases.homes(4, known_as=district.known_as)
    homes["calls_left"] = 1
    homes["size_sd_kw"] = [0.1, 2e9, 0.1, 0.1]
    homes["size_kw"] = [1.0, 1.0, 1.0, 1.0]
    homes.to_csv(district.folder / "homes.csv")
    done = district.run("target", *ASKED)
    assert done.exit_code == 2
    assert "homes.csv, line 3, column 4 (size_sd_kw)" in done.stderr


def test_faults_of_files_are_told_by_line_and_column(district):
    district.write("network.csv", NETWORK.replace("feeder,12", "west,twelve"))
    done = district.run("target", *ASKED)
    assert done.exit_code == 2
    assert "network.csv, line 3, column 2 (parent): there is no node 'west'" in done.stderr
    assert "network.csv, line 3, column 3 (rating_kw): 'twelve' is not a number" in done.stderr


def test_the_hot_evening_runs_from_forecast_to_payment(client, tmp_path, capsys):
    evening = example.district()
    assert example.overloaded(evening) == ["LV2.215", "LV2.216"]
    past = evening.node_load_kw(evening.load_kw).iloc[: -example.SLOTS]
    assert (past <= evening.network["rating_kw"]).all().all()
    example.run_response(client, tmp_path)
    said = capsys.readouterr().out
    for words in ("Needs", "LV2.215", "Calls", "half of the customers answered", "paid"):
        assert words in said
    assert (tmp_path / "response.png").stat().st_size > 10_000
