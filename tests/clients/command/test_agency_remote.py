"""The verbs of `loadloom agency` on files that the server reads, and on what is sent in chunks."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from loadloom.client import agency_calls, agency_chunks
from loadloom.client.command import agency_verbs
from loadloom.client.command.app import app
from loadloom.client.embedded import engine
from tests.clients.agency_cases import ZONE

PRICES = "currency_code: EUR\nprice: {affine: {base_per_kwh: 0.3, slope_per_kwh: 0.1}}\n"
PLANTS = """currency_code: EUR
plants:
  - {name: hill, load_factor_price: {affine: {base_per_kwh: 0.3, slope_per_kwh: 0.1}}}
  - {name: mill, price_per_kwh: 0.45}
"""
CONTRACTS = """currency_code: EUR
contracts:
  - {name: one, price: {affine: {base_per_kwh: 0.3, slope_per_kwh: 0.1}}}
"""
LAYOUT = ("--root", "meters", "--layout", "wide-list", "--column", "user=meter")
GRID = ("--start", "2026-03-02", "--end", "2026-03-02T02:00", "--step", "60", "--time-zone", ZONE)
THERE = (*LAYOUT, *GRID)
TERMS = ("--prices", "prices.yaml", "--highest-price", "0.6", "--profit-rate", "0.1")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root of a server, with the two users by hand, and the same once corrected."""
    folder = tmp_path_factory.mktemp("meters")
    (folder / "march").mkdir()
    for name, loads in (("a", [[3.0, 1.0], [1.0, 2.0]]), ("b", [[3.0, 1.0], [1.0, 3.0]])):
        table = pa.table({"meter": ["a", "b"], "load_kw": loads})
        pq.write_table(table, folder / f"march/{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def server(root):
    """An engine that reads files below the root, and takes small messages alone."""
    roots = json.dumps({"meters": str(root)})
    limit = "--limits.message-bytes=65536"
    with engine("--workers", "1", "--data-roots", roots, limit) as address:
        yield address


@pytest.fixture
def run(tmp_path, monkeypatch, server):
    """Runs a verb in a folder with some files of prices."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("prices", PRICES), ("plants", PLANTS), ("contracts", CONTRACTS)):
        (tmp_path / f"{name}.yaml").write_text(text)

    def run(verb, *arguments):
        words = ["agency", verb, *map(str, arguments), "--server", server]
        return CliRunner().invoke(app, words, catch_exceptions=False)

    return run


def test_files_of_the_server_are_added_up(run):
    done = run("aggregate", "march/a.parquet", *THERE, "--out", "users.csv")
    assert done.exit_code == 0, done.stderr
    for words in ("7 kWh", "4.0 kW, Mon 02 Mar 00:00", "0.8750"):
        assert words in done.stdout
    assert pd.read_csv("users.csv")["coincident_kw"].tolist() == [3.0, 1.0]


def test_figures_of_the_server_s_users_are_asked_for_where_they_are_written_alone(run):
    found = json.loads(run("aggregate", "march/a.parquet", *THERE, "--json").stdout)
    assert found["user_count"] == "2"
    assert "users" not in found


def test_files_of_the_server_are_settled_and_corrected(run):
    made = json.loads(run("settle", "march/a.parquet", *THERE, *TERMS, "--json").stdout)
    assert (made["cost_minor"], made["bill_minor"], made["refund_minor"]) == ("290", "303", "117")
    # The settlement has the intervals.
    done = run("correct", made["name"], "march/b.parquet", *LAYOUT, "--json")
    assert done.exit_code == 0, done.stderr
    again = json.loads(done.stdout)
    assert (again["cost_minor"], again["corrects"]) == ("320", made["name"])


def test_a_purchase_for_files_of_the_server_is_planned_for_their_sum(run):
    words = ("--prices", "plants.yaml", "--highest-price", "0.6", "--json")
    made = json.loads(run("settle", "march/a.parquet", *THERE, *words).stdout)
    # As with the same curves sent: nothing is dearer than one plant alone, 2.90.
    assert made["cost_minor"] == "285"


def test_a_portfolio_of_files_of_the_server_names_whom_it_takes(run):
    words = ("--prices", "contracts.yaml", "--highest-price", "0.6")
    done = run("portfolio", "march/a.parquet", *THERE, *words, "--out", "taken.csv")
    assert done.exit_code == 0, done.stderr
    assert "2 of 2" in done.stdout
    taken = pd.read_csv("taken.csv")
    assert taken.to_dict("list") == {"user": ["a", "b"], "contract": ["one", "one"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("march/c.parquet", *THERE), "CURVES: meters/march/c.parquet does not exist"),
        (("a", "--root", "other", *THERE[2:]), "--root: 'other' is no root of data sets; there"),
        (("march", *THERE), "meters/march: "),
        (("march/a.parquet", *THERE, "--column", "load=kw"), "a.parquet: has no column 'kw'"),
        (("march/a.parquet", *THERE, "--column", "power=kw"), "--column power=kw: must be such as"),
        (("march/a.parquet", *THERE, "--column", "area=meter"), "names columns ['meter'] twice"),
        (("march/a.parquet", *THERE, "--step", "50"), "--step: is 50 minutes; some of them"),
        (("march/a.parquet", *THERE, "--start", "March"), "--start: 'March' is not a time"),
        (("march/a.parquet", *LAYOUT), "--root needs --start, --end and --step"),
        (("march/a.parquet", "--root", "meters", *GRID), "--layout: is missing; --root needs it"),
        (("march/a.parquet", *THERE[2:]), "--layout, --column, --start, --end, --step: for curves"),
        (("march/a.parquet", *THERE, "--users", "users.csv"), "--users: does not go with --root"),
        (("march/a.parquet", *THERE, "--plot", "a.png"), "--plot: does not go with --root"),
        (("march/a.parquet", *THERE, "--time-zone", "Mars"), "--time-zone: is 'Mars'"),
    ],
)
def test_what_is_wrong_is_told_at_its_option(run, root, arguments, told):
    done = run("settle", *arguments, *TERMS)
    assert done.exit_code == 2, done.stderr
    assert told in done.stderr
    assert str(root) not in done.stderr


def test_late_readings_are_replaced_where_that_is_asked_for(run, root):
    times = pd.date_range("2026-03-02", periods=3, freq="h", tz=ZONE)
    came = times + pd.to_timedelta([1, 48, 1], unit="h")
    loads = {"meter": ["a"] * 3, "time": times, "load_kw": [1.0, 9.0, 3.0], "came": came}
    pq.write_table(pa.table(loads), root / "late.parquet")
    columns = ("--column", "user=meter", "--column", "arrival=came")
    there = ("--root", "meters", "--layout", "long", *columns, *GRID, "--end", "2026-03-02T03:00")
    late = ("--cut-off", "2026-03-03", "--replace", "late", "--fill", "linear")
    done = run("aggregate", "late.parquet", *there, *late)
    assert done.exit_code == 0, done.stderr
    assert "1 late" in done.stdout
    assert "6 kWh" in done.stdout
    here = run("aggregate", "curves.csv", *late)
    assert here.exit_code == 2
    assert "--cut-off: for curves below a --root of the server alone" in here.stderr


@pytest.fixture
def large():
    """A file of curves of more bytes than the server takes in a message."""
    times = pd.date_range("2026-03-01", periods=300, freq="h", tz="UTC", name="time")
    loads = np.random.default_rng(1).random((300, 50)).round(3)
    return pd.DataFrame(loads, times, [f"user {n:02d}" for n in range(50)])


def test_curves_too_large_for_a_message_are_added_up_in_chunks(run, large, monkeypatch):
    large.to_csv("large.csv")
    monkeypatch.setattr(agency_verbs, "CHUNKED_VALUES", 10_000)
    monkeypatch.setattr(agency_chunks, "CHUNK_BYTES", 20_000)
    wishes = ("--out", "users.csv", "--quantile", "0.5")
    done = run("aggregate", "large.csv", "--total", "all.csv", *wishes)
    assert done.exit_code == 0, done.stderr
    found = pd.read_csv("all.csv")
    assert found["total_kw"].to_numpy() == pytest.approx(large.sum(axis=1))
    median = large.quantile(axis=1, interpolation="lower").to_numpy()
    assert found["quantile_0.5_kw"].to_numpy() == pytest.approx(median)
    assert pd.read_csv("users.csv")["energy_kwh"].to_numpy() == pytest.approx(large.sum())


@pytest.mark.parametrize(
    "words",
    [("aggregate", "--fill", "area profile"), ("settle", *TERMS)],
    ids=lambda words: words[0],
)
def test_what_cannot_be_sent_says_what_to_do(run, large, words, monkeypatch):
    large.to_csv("large.csv")
    monkeypatch.setattr(agency_verbs, "CHUNKED_VALUES", 10_000)
    monkeypatch.setattr(agency_calls, "SMALL_BYTES", 10_000)
    done = run(words[0], "large.csv", *words[1:])
    assert done.exit_code == 1
    for told in ("this server takes 0.0625 MiB", "--root", "--limits.message-bytes"):
        assert told in done.stderr
