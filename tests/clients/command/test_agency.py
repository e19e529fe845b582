"""The verbs of `loadloom agency`, in process against a server, and with an engine of their own."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from examples import agency as example
from loadloom.client.command.app import app
from tests.clients.agency_cases import ZONE, by_hand

PRICES = "currency_code: EUR\nprice: {affine: {base_per_kwh: 0.3, slope_per_kwh: 0.1}}\n"
PLANTS = """plants:
  - {name: hill, load_factor_price: {affine: {base_per_kwh: 0.3, slope_per_kwh: 0.1}}}
  - {name: mill, price_per_kwh: 0.45}
"""
USERS = "user,area,prepaid_eur\na,north,2.40\nb,south,1.80\n"


class Pool:
    """The files of a small pool and the command line."""

    def __init__(self, folder, place):
        self.folder, self.place = folder, place
        frame = by_hand()
        frame.index = frame.index.map(pd.Timestamp.isoformat)
        frame.to_csv(folder / "curves.csv", index_label="time")
        self.write("users.csv", USERS)
        self.write("prices.yaml", PRICES)

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def run(self, verb, *arguments):
        """Runs a verb; arguments that name a file of the pool are its path."""
        paths = {file.name: file for file in self.folder.iterdir()}
        words = [str(paths.get(str(word), word)) for word in arguments]
        return CliRunner().invoke(
            app, ["agency", verb, *words, *self.place], catch_exceptions=False
        )

    def settle(self, *arguments):
        """Settles the two users by hand."""
        said = ["curves.csv", "--prices", "prices.yaml", "--users", "users.csv"]
        terms = ["--highest-price", "0.6", "--profit-rate", "0.1", "--time-zone", ZONE]
        return self.run("settle", *said, *terms, *arguments)


@pytest.fixture
def pool(tmp_path, target):
    """A pool at the server of the tests."""
    return Pool(tmp_path, ("--server", target))


def test_curves_are_added_up_told_and_written(pool):
    out, total, plot = (pool.folder / name for name in ("users.parquet", "all.csv", "all.png"))
    done = pool.run(
        *("aggregate", "curves.csv", "--users", "users.csv", "--time-zone", ZONE),
        *("--band", "early 00:00-01:00", "--quantile", "0.5", "--roll-up", "day"),
        *("--prices", "prices.yaml", "--out", out, "--total", total, "--plot", plot),
    )
    assert done.exit_code == 0, done.stderr
    for words in ("7 kWh", "4.0 kW, Mon 02 Mar 00:00", "0.8750", "early", "north", "2026-03-02"):
        assert words in done.stdout
    users = pd.read_parquet(out)
    assert users["early_kwh"].tolist() == [3.0, 1.0]
    assert users["cost_effect"].iloc[0] == pytest.approx(1.6)
    assert pd.read_csv(total)["total_kw"].tolist() == [4.0, 3.0]
    assert plot.stat().st_size > 10_000


def test_gaps_are_filled_when_that_is_asked_for(pool):
    frame = pd.DataFrame({"a": [1.0, None, 3.0], "b": [1.0, 1.0, 1.0]})
    frame.index = pd.date_range("2026-03-02", periods=3, freq="h", tz="UTC", name="time")
    frame.to_csv(pool.folder / "gaps.csv")
    done = pool.run("aggregate", "gaps.csv")
    assert done.exit_code == 2
    assert "gaps.csv, line 3, column 2 (a): the value is missing" in done.stderr
    fills = ("--fill", "linear 2", "--fill", "previous-day")
    done = pool.run("aggregate", "gaps.csv", *fills, "--plot", pool.folder / "gaps.png")
    assert done.exit_code == 0, done.stderr
    assert (pool.folder / "gaps.png").stat().st_size > 10_000
    assert "1 missing" in done.stdout
    assert "9 kWh" in done.stdout


def test_a_price_is_assessed(pool):
    assert "The price is stable" in pool.run("assess", "prices.yaml").stdout
    pool.write("bad.yaml", "price: {load_factor: {base_per_kwh: 0.6, slope_per_kwh: 0.2}}")
    done = pool.run("assess", "bad.yaml", "--curves", "curves.csv", "--time-zone", ZONE)
    assert done.exit_code == 0, done.stderr
    assert "not stable" in done.stdout
    assert "together" in done.stdout


def test_what_is_wrong_with_a_price_alone_is_told_in_its_file(pool):
    pool.write("bad.yaml", "price:\n  tiers: [[0.1, 0.3], [0.5, 0.2]]\n")
    done = pool.run("assess", "bad.yaml")
    assert done.exit_code == 2
    assert "bad.yaml, line 2, column 11 (price.tiers[0])" in done.stderr


def test_a_portfolio_is_chosen_and_written(pool):
    pool.write(
        "contracts.yaml", PRICES.replace("price:", "contracts: [{name: one, price:")[:-1] + "}]"
    )
    out = pool.folder / "taken.csv"
    done = pool.run(
        *("portfolio", "curves.csv", "--prices", "contracts.yaml", "--highest-price", "0.6"),
        *("--time-zone", ZONE, "--out", out, "--explain", "a"),
    )
    assert done.exit_code == 0, done.stderr
    assert "1.30 EUR" in done.stdout
    assert "2 of 2" in done.stdout
    assert pd.read_csv(out)["contract"].tolist() == ["one", "one"]


def test_two_users_are_settled_to_the_cent(pool):
    out, pages, plot = (pool.folder / name for name in ("bills.csv", "pages", "gain.svg"))
    done = pool.settle(
        *("--title", "by hand", "--report", "--out", out, "--statements", pages, "--plot", plot)
    )
    assert done.exit_code == 0, done.stderr
    for words in ("2.90", "3.03", "0.13", "1.17", "by hand", "aumann-shapley"):
        assert words in done.stdout
    assert "is kept in the server" in done.stderr
    table = pd.read_csv(out, dtype=str)
    assert table["bill"].tolist() == ["1.86", "1.17"]
    assert table["refund"].tolist() == ["0.54", "0.63"]
    assert {file.name for file in pages.iterdir()} == {"a.html", "b.html"}
    assert "1.86 EUR" in (pages / "a.html").read_text()
    assert plot.read_text().startswith("<?xml")


def test_plants_are_bought_from_at_the_least_cost(pool):
    pool.write("prices.yaml", PLANTS)
    done = pool.settle("--currency", "EUR")
    assert done.exit_code == 0, done.stderr
    assert "2.85" in done.stdout
    assert "owen duals" in done.stdout
    assert "mill" in done.stdout


def test_a_settlement_is_shown_corrected_and_told_to_each_user(pool):
    made = json.loads(pool.settle("--json").stdout)
    name = made["name"]
    assert made["cost_minor"] == "290"
    assert name.removeprefix("settlements/")[:8] in pool.run("list").stdout
    out = pool.folder / "bills.parquet"
    assert "2.90" in pool.run("show", name, "--out", out).stdout
    assert list(map(str, pd.read_parquet(out)["bill"])) == ["1.86", "1.17"]
    told = pool.run("statement", name, "b").stdout
    assert "Statement of b" in told
    assert "1.17 EUR" in told
    file = pool.folder / "b.html"
    assert pool.run("statement", name, "b", "--out", file).exit_code == 0
    assert "1.17 EUR" in file.read_text()
    times = by_hand().index
    changed = pd.DataFrame({"b": [1.0, 3.0]}, times.map(pd.Timestamp.isoformat))
    changed.to_csv(pool.folder / "fixed.csv", index_label="time")
    done = pool.run("correct", name, "fixed.csv", "--reason", "read twice", "--time-zone", ZONE)
    assert done.exit_code == 0, done.stderr
    assert "Correction 1: read twice." in done.stdout
    assert f"it corrects {name}" in done.stderr


def test_the_newest_settlement_of_a_title_is_meant(pool):
    title = f"month {np.random.default_rng().integers(2**62)}"
    names = [json.loads(pool.settle("--title", title, "--json").stdout)["name"] for _ in range(2)]
    assert names[0] != names[1]
    assert json.loads(pool.run("show", title, "--json").stdout)["name"] == names[1]


def test_the_same_id_settles_once(pool):
    words = ("--request-id", f"march {np.random.default_rng().integers(2**62)}", "--json")
    first, second = (json.loads(pool.settle(*words).stdout)["name"] for _ in range(2))
    assert first == second
    done = pool.settle(*words, "--mode", "cost-plus")
    assert done.exit_code == 1
    assert done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--currency", "usd"], "different currencies: --currency in USD, "),
        (["--time-zone", "Mars"], "--time-zone: is 'Mars'; must be an IANA zone"),
        (["--out", "bills.txt"], "--out bills.txt: must end in one of .csv, .parquet"),
        (["--plot", "bills.html"], "--plot bills.html: must end in one of .png"),
        (["--users", "absent.csv"], "absent.csv: is not there"),
        (["--store", "folder"], "--store is for an engine of one's own"),
        (["--highest-price", "-1"], "--highest-price: "),
    ],
)
def test_wrong_options_are_told_and_end_with_2(pool, arguments, told):
    done = pool.settle(*arguments)
    assert done.exit_code == 2
    assert told in done.stderr


def test_mistakes_of_all_files_are_told_at_once(pool):
    pool.write("prices.yaml", "price: {afine: {}}\ncurrency_code: USD\n")
    pool.write("users.csv", USERS.replace("b,south,1.80", "c,south,1.805"))
    done = pool.settle()
    assert done.exit_code == 2
    assert "prices.yaml, line 1, column 9 (price.afine): is not known here" in done.stderr
    assert "users.csv, line 3, column 1 (user): there is no curve 'c'" in done.stderr
    assert "users.csv, line 3, column 3 (prepaid): is 1.805" in done.stderr


def test_what_the_server_refuses_is_told_in_the_file(pool):
    pool.write("prices.yaml", "price: {piecewise: [[2, 0.3], [1, 0.5]]}\ncurrency_code: EUR\n")
    done = pool.settle()
    assert done.exit_code == 2
    assert "prices.yaml, line 1, column " in done.stderr
    assert "(price.piecewise" in done.stderr


def test_settling_needs_a_highest_price_and_one_way_to_buy(pool):
    said = ("settle", "curves.csv", "--prices", "prices.yaml", "--time-zone", ZONE)
    assert "--highest-price is missing" in pool.run(*said).stderr
    pool.write("prices.yaml", PRICES + PLANTS)
    assert "has a price and plants; keep one" in pool.settle().stderr
    pool.write("prices.yaml", "currency_code: EUR\n")
    assert "has no price or plants" in pool.settle().stderr
    pool.write("users.csv", "user,highest_price_eur_per_kwh\na,0.6\nb,0.5\n")
    assert "has one for each user; keep one" in pool.settle().stderr


def test_a_settlement_that_is_not_there_is_told(pool):
    done = pool.run("show", "0" * 32)
    assert done.exit_code == 2
    assert "there is no settlement" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fill", "guess 3"], "--fill guess 3: must be one of linear"),
        (["--band", "peak"], "--band peak: must be a name and its hours"),
        (["--band", "peak noon"], "--band: is 'noon'; must be such as 08:00-12:00"),
    ],
)
def test_wrong_wishes_of_a_sum_are_told(pool, arguments, told):
    done = pool.run("aggregate", "curves.csv", *arguments)
    assert done.exit_code == 2
    assert told in done.stderr


def test_an_engine_of_ones_own_keeps_settlements_in_its_folder(tmp_path):
    pool = Pool(tmp_path, ("--store", str(tmp_path / "store")))
    made = json.loads(pool.settle("--json").stdout)
    done = pool.run("statement", made["name"], "a")
    assert done.exit_code == 0, done.stderr
    assert "1.86 EUR" in done.stdout


def test_the_example_buys_and_settles_and_nobody_is_worse_off(client, tmp_path, capsys):
    example.run_agency(client, tmp_path)
    told = capsys.readouterr().out
    assert "none of 200 users by the share of the cost" in told
    assert "Statement of" in told
    assert (tmp_path / "agency.png").stat().st_size > 50_000
    assert "EUR" in (tmp_path / "statement.html").read_text()


def test_the_users_of_the_example_are_real_profiles_of_a_month():
    users, plants = example.pool()
    curves = users.curves
    assert curves.load_kw.shape == (200, 745)
    assert (curves.load_kw >= 0.0).all()
    assert users.prepaid_minor is not None
    assert [plant.name for plant in plants] == ["hill", "harbour"]
    alone = example.bought_alone(curves, plants)
    # No user alone pays less than hill's price of energy, or more than harbour alone.
    assert (alone > 0.052 * curves.energy_kwh).all()
    rest = np.asarray(plants[1].price_per_kwh)
    assert (alone <= curves.load_kw @ rest + 1e-9).all()
