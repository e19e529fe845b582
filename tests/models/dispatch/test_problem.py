"""What a problem asks of its data is told all at once, each fault by its path."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.dispatch.batch import Batch
from tests.models.dispatch.cases import column, site, target


def paths(make):
    with pytest.raises(InvalidProblem) as refused:
        make()
    return [violation.path for violation in refused.value.violations]


def whole():
    return site([0.1, 0.2, 0.3], load=1.0, pv=1.0, stores=[{}])


def with_storage(**changes):
    problem = whole()
    return replace(problem, storages=(replace(problem.storages[0], **changes),))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"charge_efficiency": 0.0}, "storages[0].charge_efficiency"),
        ({"charge_efficiency": 1.1}, "storages[0].charge_efficiency"),
        ({"discharge_efficiency": -0.5}, "storages[0].discharge_efficiency"),
        ({"discharge_efficiency": np.nan}, "storages[0].discharge_efficiency"),
        ({"self_discharge_per_h": 1.0}, "storages[0].self_discharge_per_h"),
        ({"self_discharge_per_h": -0.1}, "storages[0].self_discharge_per_h"),
        ({"initial_energy_kwh": -1.0}, "storages[0].initial_energy_kwh"),
        ({"initial_energy_kwh": np.nan}, "storages[0].initial_energy_kwh"),
        ({"wear_cost_per_kwh": -1.0}, "storages[0].wear_cost_per_kwh"),
        ({"end_value_per_kwh": np.inf}, "storages[0].end_value_per_kwh"),
        ({"charge_limit_kw": column([1, -1, 1], 3)}, "storages[0].charge_limit_kw[1]"),
        ({"charge_limit_kw": column([1, 1, 1e308], 3)}, "storages[0].charge_limit_kw[2]"),
        ({"discharge_limit_kw": column(1, 2)}, "storages[0].discharge_limit_kw"),
        ({"energy_max_kwh": column([1, np.nan, 1], 3)}, "storages[0].energy_max_kwh[1]"),
        ({"energy_min_kwh": column([0, 0, 2], 3)}, "storages[0].energy_min_kwh[2]"),
        ({"targets": (target(3, 0.5),)}, "storages[0].targets[0].time"),
        ({"targets": (target(1, 0.9, 0.5),)}, "storages[0].targets[0].min_kwh"),
        ({"targets": (target(1, np.nan),)}, "storages[0].targets[0].min_kwh"),
    ],
)
def test_a_fault_of_a_store_has_its_path(changes, path):
    assert paths(lambda: with_storage(**changes)) == [path]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"buy_price_per_kwh": column([0, np.nan, 0], 3)}, "meter.buy_price_per_kwh[1]"),
        ({"sell_price_per_kwh": column([0, 0, -np.inf], 3)}, "meter.sell_price_per_kwh[2]"),
        ({"import_limit_kw": column(-1, 3)}, "meter.import_limit_kw[0]"),
        ({"export_limit_kw": column(1, 4)}, "meter.export_limit_kw"),
    ],
)
def test_a_fault_of_the_meter_has_its_path(changes, path):
    problem = whole()
    assert paths(lambda: replace(problem, meter=replace(problem.meter, **changes))) == [path]


def test_all_faults_are_told_at_once():
    problem = whole()
    wrong = replace(problem.storages[0], charge_efficiency=2.0, initial_energy_kwh=-1.0)
    load = replace(problem.loads[0], power_kw=column(-1, 3))
    found = paths(lambda: replace(problem, loads=(load, load), storages=(wrong,)))
    assert found == [
        "loads[1].name",
        "loads[0].power_kw[0]",
        "loads[1].power_kw[0]",
        "storages[0].initial_energy_kwh",
        "storages[0].charge_efficiency",
    ]


def batch(**changes):
    count, sites = 4, 3
    horizon = site([0.1] * count).horizon
    whole = {
        "load_kw": np.ones((sites, count)),
        "buy_price_per_kwh": np.full((1, count), 0.2),
        "energy_max_kwh": np.ones((1, 1)),
        "charge_limit_kw": np.ones((sites, 1)),
        "discharge_limit_kw": np.ones((1, 1)),
    }
    return Batch(horizon=horizon, site_count=sites, **(whole | changes))


def cell(value, row, at, shape=(3, 4)):
    matrix = np.ones(shape)
    matrix[row, at] = value
    return matrix


END = {"end_energy_max_kwh": np.ones((1, 1))}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"load_kw": np.ones((2, 4))}, "load_kw"),
        ({"load_kw": np.ones((3, 5))}, "load_kw"),
        ({"load_kw": np.ones(4)}, "load_kw"),
        ({"initial_energy_kwh": np.ones((3, 4))}, "initial_energy_kwh"),
        ({"load_kw": cell(np.nan, 2, 1)}, "load_kw[2,1]"),
        ({"pv_kw": cell(-1.0, 1, 3)}, "pv_kw[1,3]"),
        ({"buy_price_per_kwh": cell(np.inf, 0, 2)}, "buy_price_per_kwh[0,2]"),
        ({"charge_efficiency": cell(0.0, 1, 0, (3, 1))}, "charge_efficiency[1,0]"),
        ({"discharge_efficiency": cell(1.5, 2, 0, (3, 1))}, "discharge_efficiency[2,0]"),
        ({"self_discharge_per_h": np.ones((1, 1))}, "self_discharge_per_h[0,0]"),
        ({"pv_curtailable": cell(0.5, 1, 0, (3, 1))}, "pv_curtailable[1,0]"),
        ({"energy_min_kwh": cell(2.0, 1, 1)}, "energy_min_kwh[1,1]"),
        ({"energy_max_kwh": cell(np.inf, 1, 1)}, "energy_max_kwh[1,1]"),
        ({"end_energy_min_kwh": cell(9.0, 2, 0, (3, 1)), **END}, "end_energy_min_kwh[2,0]"),
        ({"import_limit_kw": cell(-np.inf, 0, 0)}, "import_limit_kw[0,0]"),
    ],
)  # fmt: skip
def test_a_fault_of_a_batch_has_its_row_and_column(changes, path):
    assert paths(lambda: batch(**changes)) == [path]


def test_a_batch_may_have_limits_that_are_none():
    limits = {"import_limit_kw": cell(np.inf, 0, 0), "end_energy_max_kwh": np.full((1, 1), np.inf)}
    assert batch(**limits).site(1).meter.import_limit_kw[0] == 1.0
