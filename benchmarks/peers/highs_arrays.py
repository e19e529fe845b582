"""HiGHS as its fastest users run it: the model in column arrays, no modelling layer.

A column per interval for charge, discharge, import, export, curtailed and energy; a row per
interval for the store and for the meter. This is the textbook linear programme. The mixed-integer
one adds a binary per interval that forbids charging and discharging at once, and another that
forbids import and export at once.
"""

from dataclasses import dataclass, field

import highspy
import numpy as np

from benchmarks.peers.peer import (
    IMPOSSIBLE,
    Answer,
    Answerer,
    Peer,
    Site,
    fresh,
    schedule_of,
    site_of,
)
from loadloom.models.dispatch.problem import Problem
from loadloom.models.horizon import FloatArray

CHARGE, DISCHARGE, IMPORT, EXPORT, CURTAILED, ENERGY = range(6)


@dataclass(slots=True)
class _Model:
    """A model in arrays, its matrix in triplets."""

    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    integer: np.ndarray
    rows: list[np.ndarray] = field(default_factory=list)
    columns: list[np.ndarray] = field(default_factory=list)
    values: list[FloatArray] = field(default_factory=list)

    def add(self, rows: np.ndarray, columns: np.ndarray, values: float | FloatArray) -> None:
        self.rows.append(rows)
        self.columns.append(columns)
        self.values.append(np.broadcast_to(values, rows.shape))

    def by_column(self) -> tuple[np.ndarray, np.ndarray, FloatArray]:
        """The starts, row indices and values of the matrix in the order of columns."""
        rows, columns = np.concatenate(self.rows), np.concatenate(self.columns)
        order = np.argsort(columns, kind="stable")
        starts = np.zeros(self.cost.size + 1, dtype=np.int32)
        np.cumsum(np.bincount(columns, minlength=self.cost.size), out=starts[1:])
        return starts, rows[order].astype(np.int32), np.concatenate(self.values)[order]

    def passed(self) -> highspy.Highs:
        """HiGHS with the model in it, on one thread and silent."""
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("threads", 1)
        starts, indices, values = self.by_column()
        highs.passModel(
            self.cost.size,
            self.row_lower.size,
            values.size,
            int(highspy.MatrixFormat.kColwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            self.cost,
            self.lower,
            self.upper,
            self.row_lower,
            self.row_upper,
            starts,
            indices,
            values,
            self.integer,
        )
        return highs


def _costs(site: Site) -> FloatArray:
    """The cost of each of the six columns, shape (6 * count,)."""
    one, zero = np.full(site.count, site.step_h), np.zeros(site.count)
    return np.concatenate(
        [
            one * site.charge_wear,
            one * site.discharge_wear,
            site.buy_per_kwh * site.step_h,
            -site.sell_per_kwh * site.step_h,
            zero,
            zero,
        ]
    )


def _linear(site: Site) -> _Model:
    """The linear programme."""
    n, battery = site.count, site.battery
    right = np.concatenate([np.zeros(n), site.load_kw - site.pv_kw])
    right[0] = site.keep * battery.initial_energy_kwh
    upper = [
        battery.charge_limit_kw,
        battery.discharge_limit_kw,
        site.import_limit_kw,
        site.export_limit_kw,
        site.pv_kw * site.curtailable,
        site.energy_max_kwh,
    ]
    model = _Model(
        cost=_costs(site),
        lower=np.concatenate([np.zeros(5 * n), site.energy_min_kwh]),
        upper=np.concatenate(upper),
        row_lower=right,
        row_upper=right,
        integer=np.zeros(6 * n, np.int32),
    )
    rows, columns = np.arange(n), np.arange(6 * n).reshape(6, n)
    model.add(rows, columns[ENERGY], 1.0)
    model.add(rows[1:], columns[ENERGY, :-1], -site.keep)
    model.add(rows, columns[CHARGE], -battery.charge_efficiency * site.step_h)
    model.add(rows, columns[DISCHARGE], site.step_h / battery.discharge_efficiency)
    for column, sign in (
        (IMPORT, 1.0),
        (EXPORT, -1.0),
        (CHARGE, -1.0),
        (DISCHARGE, 1.0),
        (CURTAILED, -1.0),
    ):
        model.add(rows + n, columns[column], sign)
    return model


def _mixed_integer(site: Site) -> _Model:
    """The programme with binaries: a store charges or discharges, a meter imports or exports."""
    model, n, battery = _linear(site), site.count, site.battery
    rows = np.arange(n)
    for first_row, binaries, up, down, up_limit, down_limit in (
        (2 * n, 6 * n, CHARGE, DISCHARGE, battery.charge_limit_kw, battery.discharge_limit_kw),
        (4 * n, 7 * n, IMPORT, EXPORT, site.import_limit_kw, site.export_limit_kw),
    ):
        model.add(rows + first_row, rows + up * n, 1.0)
        model.add(rows + first_row, rows + binaries, -up_limit)
        model.add(rows + first_row + n, rows + down * n, 1.0)
        model.add(rows + first_row + n, rows + binaries, down_limit)
    zero = np.zeros(n)
    upper = [zero, battery.discharge_limit_kw, zero, site.export_limit_kw]
    model.row_lower = np.concatenate([model.row_lower, np.full(4 * n, -np.inf)])
    model.row_upper = np.concatenate([model.row_upper, *upper])
    model.cost = np.concatenate([model.cost, zero, zero])
    model.lower = np.concatenate([model.lower, zero, zero])
    model.upper = np.concatenate([model.upper, np.ones(2 * n)])
    model.integer = np.concatenate([model.integer, np.ones(2 * n, np.int32)])
    return model


def _run(model: highspy.Highs, count: int) -> Answer:
    """The schedule that a model leads to."""
    model.run()
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return IMPOSSIBLE
    columns = np.asarray(model.getSolution().col_value)[: 6 * count].reshape(6, count)
    schedule = schedule_of(
        charge_kw=columns[CHARGE],
        discharge_kw=columns[DISCHARGE],
        energy_kwh=columns[ENERGY],
        curtailed_kw=columns[CURTAILED],
        import_kw=columns[IMPORT],
        export_kw=columns[EXPORT],
    )
    return Answer(schedule=schedule, claimed_cost=model.getInfo().objective_function_value)


def _solve_linear(problem: Problem) -> Answer:
    site = site_of(problem)
    return _run(_linear(site).passed(), site.count)


def _solve_mixed_integer(problem: Problem) -> Answer:
    site = site_of(problem)
    return _run(_mixed_integer(site).passed(), site.count)


def _prepare_warm(problem: Problem) -> Answerer:
    """A model that was solved once, and from then on is re-priced and solved from its basis."""
    first = site_of(problem)
    model = _linear(first).passed()
    model.run()
    columns = np.arange(6 * first.count, dtype=np.int32)

    def solve(other: Problem) -> Answer:
        model.changeColsCost(columns.size, columns, _costs(site_of(other)))
        return _run(model, first.count)

    return solve


LINEAR = fresh("HiGHS by arrays", _solve_linear)
MIXED_INTEGER = fresh("HiGHS by arrays, mixed-integer", _solve_mixed_integer)
WARM = Peer(name="HiGHS by arrays, warm", prepare=_prepare_warm)
