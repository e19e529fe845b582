"""The referee sees every rule that is broken, and the audit of rows sees what the referee sees."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.audit import audit_row
from loadloom.models.dispatch.batch import empty_solution, solve_batch
from loadloom.models.dispatch.kernel import every_series, expand, singles
from loadloom.models.dispatch.referee import cost, violations
from loadloom.models.dispatch.solve import solve_kernel
from tests.models.dispatch.cases import site, target
from tests.models.dispatch.test_kernel import batch_of, like_sites


def planned():
    """A site where everything happens, and its plan."""
    problem = site(
        [0.1, 0.4, 0.2, -0.1],
        sell=[0.05, 0.3, 0.1, -0.2],
        load=[1, 0, 2, 1],
        pv=[0, 3, 1, 2],
        curtailable=True,
        import_limit=4.0,
        export_limit=3.0,
        stores=[
            {
                "capacity": 3.0,
                "minimum": 0.5,
                "initial": 1.0,
                "charge_efficiency": 0.9,
                "wear_cost_per_kwh": 0.01,
                "end_value_per_kwh": 0.05,
                "targets": (target(2, 1.0, 2.0),),
            }
        ],
    )
    schedule = solve_kernel(problem).schedule
    assert not violations(problem, schedule)
    return problem, schedule


def changed(schedule, name, t, by):
    column = getattr(schedule, name).copy()
    column[..., t] += by
    return replace(schedule, **{name: column})


@pytest.mark.parametrize(
    ("name", "by", "path"),
    [
        ("charge_kw", 0.01, "balance"),
        ("charge_kw", 5.0, "storages[0].charge_kw"),
        ("charge_kw", -9.0, "storages[0].charge_kw"),
        ("discharge_kw", 5.0, "storages[0].discharge_kw"),
        ("discharge_kw", -9.0, "storages[0].discharge_kw"),
        ("energy_kwh", 0.01, "storages[0].energy_kwh"),
        ("energy_kwh", 9.0, "storages[0].energy_kwh"),
        ("energy_kwh", -9.0, "storages[0].energy_kwh"),
        ("energy_kwh", 9.0, "storages[0].targets[0]"),
        ("curtailed_kw", 9.0, "photovoltaics[0].curtailed_kw"),
        ("curtailed_kw", -9.0, "photovoltaics[0].curtailed_kw"),
        ("import_kw", 9.0, "import_kw"),
        ("import_kw", -9.0, "import_kw"),
        ("export_kw", 9.0, "export_kw"),
        ("export_kw", -9.0, "export_kw"),
        ("import_kw", 1e-4, "balance"),
    ],
)
def test_a_change_anywhere_is_seen(name, by, path):
    problem, schedule = planned()
    found = violations(problem, changed(schedule, name, 2, by))
    assert path in {v.path.rpartition("[")[0] if v.path.endswith("]") else v.path for v in found}


@pytest.mark.parametrize(
    "name",
    ["charge_kw", "discharge_kw", "energy_kwh", "curtailed_kw", "import_kw", "export_kw"],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_seen(name, value):
    problem, schedule = planned()
    assert violations(problem, changed(schedule, name, 1, value))


def test_running_both_ways_at_once_is_seen_even_where_all_adds_up():
    problem, schedule = planned()
    both = changed(changed(schedule, "import_kw", 0, 1.0), "export_kw", 0, 1.0)
    assert [v.path for v in violations(problem, both)] == ["import_kw[0]"]


def test_the_cost_is_that_of_the_arithmetic():
    problem, schedule = planned()
    paid = cost(problem, schedule)
    meter = problem.meter
    assert paid.bought == pytest.approx(sum(meter.buy_price_per_kwh * schedule.import_kw))
    assert paid.sold == pytest.approx(sum(meter.sell_price_per_kwh * schedule.export_kw))
    moved = 0.9 * schedule.charge_kw.sum() + schedule.discharge_kw.sum()
    assert paid.wear == pytest.approx(0.01 * moved)
    assert paid.end_value == pytest.approx(0.05 * schedule.energy_kwh[0, -1])
    assert paid.total == pytest.approx(paid.bought - paid.sold + paid.wear - paid.end_value)


def audited(batch, columns, row):
    """The audit of one row of columns."""
    solution = empty_solution(batch)
    keep = batch.site(row).storages[0].keep(batch.horizon)
    series = np.empty((10, 1, batch.horizon.count))
    expand(batch.matrices(), row, batch.horizon.step_h, every_series(), 0, series)
    numbers = tuple(singles(batch.matrices(), row, row + 1)[0])
    return audit_row(
        0, series, numbers, batch.horizon.step_h, keep[None], row, columns, solution.amounts
    )


def test_the_audit_of_rows_agrees_with_the_referee():
    """Plans of random sites, whole or with one number changed by anything from 1e-9 to 1."""
    rng = np.random.default_rng(1)
    batch = batch_of(like_sites(30))
    solution = solve_batch(batch)
    seen = {True: 0, False: 0}
    for row in np.flatnonzero(solution.reasons == 1):
        for _ in range(20):
            columns = solution.columns.copy()
            size = 10.0 ** rng.uniform(-9, 0) * rng.choice([-1, 1])
            columns[rng.integers(6), row, rng.integers(24)] += size
            problem = batch.site(int(row))
            schedule = replace(
                solve_kernel(problem).schedule,
                charge_kw=columns[0][row : row + 1],
                discharge_kw=columns[1][row : row + 1],
                energy_kwh=columns[2][row : row + 1],
                curtailed_kw=columns[3][row : row + 1],
                import_kw=columns[4][row],
                export_kw=columns[5][row],
            )
            refused = bool(violations(problem, schedule))
            breach = audited(batch, columns, int(row))
            # The audit adds breaches up, so it may refuse a little earlier than the referee.
            if refused:
                assert breach > 1.0
            elif breach > 1.0:
                assert breach < 10.0
            seen[refused] += 1
    assert seen[True] > 50
    assert seen[False] > 50


def test_the_audit_refuses_what_is_no_number():
    batch = batch_of(like_sites(3))
    solution = solve_batch(batch)
    for index in range(6):
        columns = solution.columns.copy()
        columns[index][1, 5] = np.nan
        assert audited(batch, columns, 1) == np.inf
