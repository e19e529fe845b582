from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from loadloom.client.errors import InvalidRequest
from loadloom.client.grid import Grid
from loadloom.client.request import batch_request, plan_request
from loadloom.client.site import EnergyTarget, Load, Meter, Photovoltaic, Site, Storage
from loadloom.v1.common_pb2 import METHOD_MIXED_INTEGER
from loadloom.v1.dispatch_pb2 import PLAN_DETAIL_REASONS, PLAN_DETAIL_SCHEDULE

START = datetime(2024, 6, 1, tzinfo=UTC)
GRID = Grid(start=START, step=timedelta(hours=1), count=4)
INDEX = pd.date_range(START, periods=4, freq="h")


def site(**changes):
    meter = Meter(buy_price_per_kwh=[0.1, 0.2, 0.3, 0.4])
    return Site(**{"meter": meter, "name": "home", **changes})


def paths_of(said, times=GRID, wishes=None):
    with pytest.raises(InvalidRequest) as raised:
        plan_request(said, times, wishes or {})
    assert raised.value.code == "INVALID_ARGUMENT"
    return {violation.path: violation.message for violation in raised.value.violations}


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3, 4],
        (1.0, 2.0, 3.0, 4.0),
        np.array([1, 2, 3, 4], dtype=np.float32),
        np.arange(1, 9)[::2] / 2 + 0.5,
        pd.Series([1.0, 2.0, 3.0, 4.0], index=INDEX),
        pd.Series([1, 2, 3, 4], index=INDEX.tz_convert("Asia/Tokyo"), dtype="Int64"),
    ],
)
def test_series_come_from_lists_arrays_and_pandas(values):
    request, _ = plan_request(site(loads=[Load(power_kw=values)]), GRID, {})
    assert list(request.site.loads[0].power_kw.values) == [1, 2, 3, 4]


def test_a_number_is_a_series_of_one_value():
    request, _ = plan_request(site(loads=[Load(power_kw=3)]), GRID, {})
    assert list(request.site.loads[0].power_kw.values) == [3]


def test_everything_said_is_in_the_request_and_nothing_else():
    target = EnergyTarget(time=START + timedelta(hours=4), min_kwh=2)
    battery = Storage(
        name="battery",
        energy_max_kwh=10,
        charge_limit_kw=np.float32(5),
        discharge_limit_kw=5,
        initial_energy_kwh=np.float64(1.5),
        targets=[target],
    )
    roof = Photovoltaic(name="roof", power_kw=2, curtailable=np.bool_(True))
    request, grid = plan_request(site(storages=[battery], photovoltaics=[roof]), GRID, {})
    (storage,) = request.site.storages
    assert grid is GRID
    assert request.site.name == "home"
    assert request.site.photovoltaics[0].curtailable
    assert storage.initial_energy_kwh == 1.5
    assert storage.targets[0].time.ToDatetime(UTC) == target.time
    assert storage.targets[0].HasField("min_kwh")
    assert not storage.targets[0].HasField("max_kwh")
    assert not storage.HasField("energy_min_kwh")
    assert not request.site.meter.HasField("sell_price_per_kwh")


def test_an_empty_series_is_not_one_left_out():
    meter = Meter(buy_price_per_kwh=0.1, sell_price_per_kwh=[])
    request, _ = plan_request(site(meter=meter), GRID, {})
    assert request.site.meter.HasField("sell_price_per_kwh")


def test_wishes_are_in_the_request():
    wishes = {"detail": "reasons", "method": "mixed-integer", "time_limit_s": 2.5, "seed": 7}
    request, _ = plan_request(site(), GRID, wishes)
    assert request.detail == PLAN_DETAIL_REASONS
    assert request.options.method == METHOD_MIXED_INTEGER
    assert request.options.time_limit.ToTimedelta() == timedelta(seconds=2.5)
    assert request.options.seed == 7
    assert plan_request(site(), GRID, {})[0].detail == PLAN_DETAIL_SCHEDULE


def test_the_index_of_a_series_tells_the_grid():
    said = site(meter=Meter(buy_price_per_kwh=pd.Series(0.1, index=INDEX)))
    _, grid = plan_request(said, None, {})
    assert (grid.start, grid.steps) == (START, GRID.steps)


@pytest.mark.parametrize("times", [INDEX, pd.Series(0, INDEX), pd.DataFrame({"x": 0}, INDEX)])
def test_something_of_pandas_tells_the_grid(times):
    assert plan_request(site(), times, {})[1].steps == GRID.steps


@pytest.mark.parametrize("times", [None, GRID, INDEX])
def test_series_with_other_times_are_refused(times):
    meter = Meter(buy_price_per_kwh=pd.Series(0.1, index=INDEX))
    late = pd.Series(1.0, index=INDEX.shift(1))
    long = pd.Series(1.0, index=pd.date_range(START, periods=5, freq="h"))
    found = paths_of(site(meter=meter, loads=[Load(power_kw=late), Load(power_kw=long)]), times)
    assert set(found) == {"site.loads[0].power_kw", "site.loads[1].power_kw"}
    against = "site.meter.buy_price_per_kwh" if times is None else "the grid"
    assert f"has other times than {against}" in found["site.loads[0].power_kw"]
    assert "5 from 2024-06-01 00:00:00+00:00" in found["site.loads[1].power_kw"]


def test_a_site_without_any_times_is_refused():
    assert paths_of(site(), None) == {"grid": "is missing; give a Grid, an index, or pandas Series"}


def test_an_index_without_a_zone_is_refused():
    naive = pd.Series(0.1, index=INDEX.tz_localize(None))
    found = paths_of(site(meter=Meter(buy_price_per_kwh=naive)), None)
    assert "no time zone" in found["grid.start_time"]


def test_all_faults_are_told_at_once():
    target = EnergyTarget(time=datetime(2024, 6, 1, 4))
    battery = Storage(
        name=7,
        energy_max_kwh=[[1, 2], [3, 4]],
        charge_limit_kw="strong",
        discharge_limit_kw=1,
        initial_energy_kwh="full",
        targets=[target],
    )
    found = paths_of(site(storages=[battery]), GRID, {"detail": "all", "method": "magic"})
    assert set(found) == {
        "site.storages[0].name",
        "site.storages[0].energy_max_kwh",
        "site.storages[0].charge_limit_kw",
        "site.storages[0].initial_energy_kwh",
        "site.storages[0].targets[0].time",
        "detail",
        "options.method",
    }
    assert "must be one of kernel, linear, mixed-integer, reference" in found["options.method"]


def test_faults_of_a_batch_name_the_site():
    with pytest.raises(InvalidRequest, match=r"sites\[1\]\.loads\[0\]\.power_kw"):
        batch_request([site(), site(loads=[Load(power_kw="x")])], GRID, {})


def test_a_wish_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'detial'"):
        plan_request(site(), GRID, {"detial": "values"})


STORE = Storage(energy_max_kwh=10, charge_limit_kw=5, discharge_limit_kw=5)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        (
            {"storages": STORE},
            "site.storages",
            "is a Storage; must be a list, such as [Storage(...)]",
        ),
        ({"loads": "ovens"}, "site.loads", "is a str; must be a list, such as [Load(...)]"),
        ({"loads": [3.0]}, "site.loads[0]", "is a float; must be a Load"),
        ({"loads": [STORE]}, "site.loads[0]", "is a Storage; must be a Load"),
        ({"meter": 0.3}, "site.meter", "is a float; must be a Meter"),
        (
            {"storages": [replace(STORE, targets=[EnergyTarget(time="noon", min_kwh=1)])]},
            "site.storages[0].targets[0].time",
            "is 'noon'; must be a datetime",
        ),
    ],
)
def test_parts_of_the_wrong_kind_are_told_with_what_would_be_right(changes, path, message):
    assert paths_of(site(**changes)) == {path: message}


def test_what_is_no_site_is_told():
    assert paths_of([site()]) == {"site": "is a list; must be a Site"}
    with pytest.raises(InvalidRequest, match=r"sites: is a Site; must be a list"):
        batch_request(site(), GRID, {})


@pytest.mark.parametrize("limit", [-1, 0.0, float("nan"), float("inf")])
def test_a_time_limit_that_is_none_is_told(limit):
    assert set(paths_of(site(), wishes={"time_limit_s": limit})) == {"options.time_limit"}


def test_other_wishes_of_the_wrong_kind_are_told():
    assert set(paths_of(site(), wishes={"seed": -1, "relative_gap": "small"})) == {
        "options.seed",
        "options.relative_gap",
    }
