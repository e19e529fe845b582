from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from loadloom.client.errors import InvalidRequest, LoadloomError
from loadloom.client.fleet import BatchPlans, batch_size, gather, matrices, split
from loadloom.client.grid import Grid
from loadloom.client.stream import Session
from loadloom.v1.dispatch_pb2 import StreamReady

GRID = Grid(start=datetime(2024, 6, 1, tzinfo=UTC), step=timedelta(hours=1), count=4)


def test_columns_are_spread_as_their_kind_asks():
    shaped, site_count = matrices(
        {
            "load_kw": np.ones((3, 4)),
            "pv_kw": [1, 2, 3, 4],
            "energy_max_kwh": np.ones((3, 1)),
            "initial_energy_kwh": [1, 2, 3],
            "charge_limit_kw": 5,
        },
        GRID,
        "columns",
    )
    assert site_count == 3
    shapes = {name: array.shape for name, array in shaped.items()}
    assert shapes == {
        "load_kw": (3, 4),
        "pv_kw": (1, 4),
        "energy_max_kwh": (3, 1),
        "initial_energy_kwh": (3, 1),
        "charge_limit_kw": (1, 1),
    }


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("power_kw", 1, "is no column of sites; must be one of load_kw"),
        ("pv_kw", np.ones((2, 4)), "is 2 x 4; must be for 3 sites or 1"),
        ("pv_kw", np.ones(3), "is 1 x 3; must be for 3 sites or 1, and 4 values each or 1"),
        ("initial_energy_kwh", np.ones((3, 4)), "is 3 x 4; must be for 3 sites or 1, and 1 values"),
        ("pv_kw", "x", "is not made of numbers"),
        ("pv_kw", np.ones((1, 3, 4)), "has 3 dimensions"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(name, values, words):
    with pytest.raises(InvalidRequest, match=words):
        matrices({"load_kw": np.ones((3, 4)), name: values}, GRID, "columns")


def test_no_columns_are_no_sites():
    with pytest.raises(InvalidRequest, match="has no sites"):
        matrices({}, GRID, "columns")


def test_splitting_keeps_every_site_once_and_shares_what_is_shared():
    shaped, n = matrices(
        {"load_kw": np.arange(20.0).reshape(5, 4), "pv_kw": [1, 2, 3, 4]}, GRID, "c"
    )
    batches = list(split(shaped, n, 2))
    assert [(key, count) for key, _, count in batches] == [("0", 2), ("2", 2), ("4", 1)]
    loads = np.concatenate([batch["load_kw"] for _, batch, _ in batches])
    np.testing.assert_array_equal(loads, shaped["load_kw"])
    assert all(batch["pv_kw"].shape == (1, 4) for _, batch, _ in batches)


@pytest.mark.parametrize(
    ("ready", "size"),
    [
        (StreamReady(sites_per_batch=10_000, points=2_000_000), 1000),
        (StreamReady(sites_per_batch=300, points=2_000_000), 300),
        (StreamReady(sites_per_batch=10_000, points=240), 10),  # 6 columns x 4 intervals answered
        (StreamReady(sites_per_batch=10_000, points=1), 1),
    ],
)
def test_messages_are_as_large_as_the_server_allows(ready, size):
    shaped, _ = matrices({"load_kw": np.ones((5000, 4))}, GRID, "columns")
    assert batch_size(shaped, 4, 0, ready) == size


def test_messages_are_smaller_when_much_is_asked():
    columns = {name: np.ones((50, 4)) for name in ("load_kw", "pv_kw", "buy_price_per_kwh")}
    shaped, _ = matrices(columns, GRID, "columns")
    assert batch_size(shaped, 4, 1, StreamReady(sites_per_batch=100, points=240)) == 20


def batch(position, first, count, error=None):
    sites = np.arange(first, first + count)
    columns = {
        "reasons": np.ones(count, np.int32),
        "objective": sites * 1.0,
        "baseline_cost": sites * 2.0,
        "charge_kw": np.outer(sites, np.ones(4)),
    }
    return BatchPlans(
        key=str(first), position=position, error=error, columns=columns, solve_time_s=0.0
    )


def test_gathering_puts_batches_back_in_the_order_of_sending():
    fleet = gather([batch(2, 5, 1), batch(0, 0, 3), batch(1, 3, 2)], GRID)
    assert fleet.columns["objective"].tolist() == [0, 1, 2, 3, 4, 5]
    assert fleet.schedule(4)["charge_kw"].tolist() == [4, 4, 4, 4]
    assert (fleet.schedule(4).index == GRID.index).all()
    assert fleet.summary["saving"].tolist() == [0, 1, 2, 3, 4, 5]
    assert set(fleet.summary["outcome"]) == {"optimal"}


def test_gathering_raises_the_fault_of_a_batch_and_names_it():
    with pytest.raises(LoadloomError, match="too dear") as raised:
        gather([batch(0, 0, 3), batch(1, 3, 2, LoadloomError("too dear"))], GRID)
    assert raised.value.__notes__ == ["in batch '3'"]


def test_prices_of_other_hours_than_the_grid_are_refused():
    hours = pd.date_range("2024-05-14", periods=4, freq="h", tz="Europe/Amsterdam")
    later = pd.Series([0.1, 0.2, 0.3, 0.4], hours).shift(1, freq="h")
    session = Session(Grid.of_index(hours), {"buy_price_per_kwh": later})
    with pytest.raises(InvalidRequest, match="has other times than"):
        session.setup()


def test_one_number_for_each_site_gets_a_hint_at_its_shape():
    words = r"is 1 x 3; .*if it is one value a site, make it a column of shape \(3, 1\)"
    with pytest.raises(InvalidRequest, match=words):
        matrices({"load_kw": np.ones((3, 4)), "energy_max_kwh": [5, 6, 7]}, GRID, "columns")


def test_columns_of_pandas_must_have_the_times_of_the_grid_and_a_row_for_each_site():
    later = GRID.index.shift(1, freq="h")
    wrong = {
        "buy_price_per_kwh": pd.Series([1.0, 2.0, 3.0, 4.0], later),
        "load_kw": pd.DataFrame(np.ones((2, 4)), ["a", "b"], later),
        "pv_kw": pd.DataFrame(np.ones((4, 2)), GRID.index),
    }
    with pytest.raises(InvalidRequest) as raised:
        matrices(wrong, GRID, "columns")
    told = [v.path for v in raised.value.violations if "has other times" in v.message]
    assert told == ["columns.buy_price_per_kwh", "columns.load_kw"]
    right = {"load_kw": pd.DataFrame(np.ones((2, 4)), ["a", "b"], GRID.index)}
    assert matrices(right, GRID, "columns")[1] == 2
    with pytest.raises(InvalidRequest, match=r"times in rows.*frame\.T"):
        matrices({"pv_kw": wrong["pv_kw"]}, GRID, "columns")


def test_a_fleet_and_a_batch_are_shown_in_a_line():
    fleet = gather([batch(0, 0, 3), batch(1, 3, 2)], GRID)
    assert (
        repr(fleet)
        == "<GatheredPlans: 5 sites (5 optimal); 4 intervals from 2024-06-01T00:00:00+00:00>"
    )
    assert repr(batch(0, 0, 3)) == "<BatchPlans '0': 3 sites (3 optimal)>"
    failed = BatchPlans(
        key="x", position=0, error=LoadloomError("too dear"), columns={}, solve_time_s=0.0
    )
    assert repr(failed) == "<BatchPlans 'x': error too dear>"
