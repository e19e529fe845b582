"""What `loadloom response` takes beside its usual files: drivers, data sets, fixed payments."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from loadloom.client.command.app import app
from loadloom.client.embedded import engine
from tests.clients import response_cases as cases

DAYS = 30


@dataclass
class Place:
    """A folder of files, below a root of a server, and the command line."""

    address: str
    folder: Path

    def run(self, *words: str):
        done = CliRunner().invoke(app, ["response", *words, "--server", self.address])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meters")
    with engine("--metrics-port", "0", "--data-roots", f'{{"meters": "{folder}"}}') as address:
        yield address, folder


@pytest.fixture
def place(served, monkeypatch):
    address, folder = served
    monkeypatch.chdir(folder)
    return Place(address, folder)


def history(folder: Path) -> list[pd.Timestamp]:
    """A month of a node whose load is 10 kW and a kW for each heat pump; 60 are there in the end.

    The dates of the past and the day ahead.
    """
    days = [*pd.date_range("2024-06-01", periods=DAYS + 1, freq="D")]
    sold = np.where(np.arange(DAYS + 1) % 3 == 0, 20.0, 5.0)
    sold[-1] = 60.0
    times = pd.date_range(days[0], periods=DAYS * 24, freq="h")
    loads = pd.DataFrame({"north": np.repeat(10.0 + sold[:-1], 24)}, times)
    loads.index = loads.index.map(pd.Timestamp.isoformat)
    loads.to_csv(folder / "history.csv", index_label="time")
    (folder / "nodes.csv").write_text("node,parent,rating_kw\nnorth,,50\n")
    table = pd.DataFrame({"date": [day.date() for day in days], "pumps": sold})
    table.to_csv(folder / "pumps.csv", index=False)
    return days


NEED = ("need", "history.csv", "--network", "nodes.csv", "--time-zone", "UTC", "--out", "n.csv")


def test_a_driver_tells_what_the_past_cannot(place):
    history(place.folder)
    assert place.run(*NEED).exit_code == 0
    without = pd.read_csv(place.folder / "n.csv")
    assert without["mean_kw"].to_numpy().max() < 35.0
    done = place.run(*NEED, "--driver", "pumps.csv")
    assert done.exit_code == 0, done.output
    told = pd.read_csv(place.folder / "n.csv")
    assert told["mean_kw"].to_numpy() == pytest.approx(70.0, abs=3.0)
    assert told["need_kw"].to_numpy().min() > 15.0


def test_wrong_drivers_are_told(place):
    days = history(place.folder)
    text = (place.folder / "pumps.csv").read_text()
    for wrong, told in (
        (text.replace("\n", ",1\n").replace("pumps,1", "pumps,more"), "must have one column"),
        (text.rsplit("\n", 2)[0] + "\n", f"has no value for {days[-1].date()}"),
        (f"{text}{days[0].date()},1\n", f"is {days[0].date()}, a second time"),
        (text.replace("20.0", "many", 1), "'many' is not a number"),
    ):
        (place.folder / "wrong.csv").write_text(wrong)
        done = place.run(*NEED, "--cooling-driver", "wrong.csv")
        assert done.exit_code == 2
        assert told in done.stderr
    assert "none.csv: is not there" in place.run(*NEED, "--driver", "none.csv").stderr


def event_of(place: Place, title: str, *more: str) -> str:
    """An event of two homes, one of which accepts; that one."""
    homes = pd.DataFrame(
        {"size_kw": [2.0, 2.0], "acceptance": 0.9},
        pd.Index([f"{title} a", f"{title} b"], name="customer"),
    )
    homes.to_csv(place.folder / "homes.csv")
    (place.folder / "network.csv").write_text("node,need_kw\nnorth,1\n")
    when = ("--from", "2024-08-14T18:00", "--to", "2024-08-14T20:00", "--time-zone", cases.ZONE)
    asked = ("homes.csv", "--network", "network.csv", "--best-effort", "--price", "0.3")
    done = place.run("event", "create", *asked, *when, "--title", title, *more)
    assert done.exit_code == 0, done.output
    who = f"{title} a"
    assert place.run("event", "answer", title, "--accept", who, "--close").exit_code == 0
    return who


def test_readings_at_the_server_settle_an_event(place):
    who = event_of(place, "remote")
    loads = cases.readings([who], [1.5])
    table = pa.table(
        {
            "meter": [who] * len(loads),
            "time": pa.array(pd.DatetimeIndex(loads.index).tz_convert("UTC")),
            "load_kw": loads[who].to_numpy(),
        }
    )
    pq.write_table(table, place.folder / "loads.parquet")
    start, end = loads.index[0], loads.index[-1] + pd.Timedelta("1h")
    settle = ("settle", "remote", "loads.parquet", "--time-zone", cases.ZONE, "--out", "paid.csv")
    remote = ("--root", "meters", "--layout", "long", "--start", f"{start:%Y-%m-%dT%H:%M}")
    remote = (*remote, "--end", f"{end:%Y-%m-%dT%H:%M}", "--step", "60")
    done = place.run(*settle, *remote)
    assert done.exit_code == 2
    assert "meters/loads.parquet: has no column 'user'" in done.stderr
    done = place.run(*settle, "--layout", "long")
    assert "--layout: for curves below a --root" in done.stderr
    done = place.run(*settle, *remote, "--column", "user=meter")
    assert done.exit_code == 0, done.output
    paid = pd.read_csv(place.folder / "paid.csv")
    assert paid["delivered_kwh"].tolist() == [pytest.approx(3.0)]
    assert paid["payment"].tolist() == [0.90]


def test_a_fixed_payment_is_promised_and_paid(place):
    promise = ("--fixed-payment", "1.5", "--fixed-from-share", "0.5")
    who = event_of(place, "promise", *promise)
    assert place.run("event", "calls", "promise", "--out", "calls.csv").exit_code == 0
    assert set(pd.read_csv(place.folder / "calls.csv")["fixed_payment"]) == {1.5}
    loads = cases.readings([who], [1.5])
    loads.index = loads.index.map(pd.Timestamp.isoformat)
    loads.to_csv(place.folder / "here.csv", index_label="time")
    settle = ("settle", "promise", "here.csv", "--time-zone", cases.ZONE, "--out", "paid.csv")
    done = place.run(*settle)
    assert done.exit_code == 0, done.output
    paid = pd.read_csv(place.folder / "paid.csv")
    assert (paid["payment"].tolist(), paid["fixed_payment"].tolist()) == ([2.40], [1.50])
