"""Many like sites in columns: a load, a photovoltaic plant and one store behind each meter."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import MAGNITUDE, Checks
from loadloom.models.dispatch import kernel
from loadloom.models.dispatch.devices.storage import LEAST_EFFICIENCY
from loadloom.models.dispatch.linear import solve_linear
from loadloom.models.dispatch.problem import (
    EnergyTarget,
    Load,
    Meter,
    Photovoltaic,
    Problem,
    Storage,
)
from loadloom.models.dispatch.referee import baseline, cost, violations
from loadloom.models.dispatch.solution import Solution
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason

PER_SITE = frozenset(
    {
        "pv_curtailable",
        "initial_energy_kwh",
        "charge_efficiency",
        "discharge_efficiency",
        "self_discharge_per_h",
        "wear_cost_per_kwh",
        "end_value_per_kwh",
        "end_energy_min_kwh",
        "end_energy_max_kwh",
    }
)
"""The matrices that have one column."""

_SIGNED = frozenset({"buy_price_per_kwh", "sell_price_per_kwh", "end_value_per_kwh"})
_OPEN_ABOVE = frozenset({"import_limit_kw", "export_limit_kw", "end_energy_max_kwh"})
_HIGH = {"pv_curtailable": 1.0, "charge_efficiency": 1.0, "discharge_efficiency": 1.0}


def _zero() -> FloatArray:
    return np.zeros((1, 1))


def _one() -> FloatArray:
    return np.ones((1, 1))


def _no_limit() -> FloatArray:
    return np.full((1, 1), np.inf)


def _no_least() -> FloatArray:
    return np.full((1, 1), -np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Sites on one horizon, valid once made.

    Every matrix is float64 with 1 or `site_count` rows and 1 or `horizon.count` columns; those of
    PER_SITE have one column. Limits of inf are none. Their order is that of the kernel's arguments.

    Raises:
        InvalidProblem: data that breaks a rule, all of it, by paths such as "load_kw[3,17]".
    """

    horizon: Horizon
    site_count: int
    load_kw: FloatArray = field(default_factory=_zero)
    pv_kw: FloatArray = field(default_factory=_zero)
    pv_curtailable: FloatArray = field(default_factory=_zero)
    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray = field(default_factory=_zero)
    import_limit_kw: FloatArray = field(default_factory=_no_limit)
    export_limit_kw: FloatArray = field(default_factory=_no_limit)
    energy_min_kwh: FloatArray = field(default_factory=_zero)
    energy_max_kwh: FloatArray
    initial_energy_kwh: FloatArray = field(default_factory=_zero)
    charge_limit_kw: FloatArray
    discharge_limit_kw: FloatArray
    charge_efficiency: FloatArray = field(default_factory=_one)
    discharge_efficiency: FloatArray = field(default_factory=_one)
    self_discharge_per_h: FloatArray = field(default_factory=_zero)
    wear_cost_per_kwh: FloatArray = field(default_factory=_zero)
    end_value_per_kwh: FloatArray = field(default_factory=_zero)
    end_energy_min_kwh: FloatArray = field(default_factory=_no_least)
    end_energy_max_kwh: FloatArray = field(default_factory=_no_limit)

    def __post_init__(self) -> None:
        checks = Checks()
        checks.require(self.site_count > 0, "site_count", "is 0; must be at least 1")
        sound = True
        for name in MATRICES:
            sound &= _check_matrix(checks, name, getattr(self, name), self)
        if sound:
            crossed = self.energy_min_kwh > self.energy_max_kwh
            wanted = "must not exceed energy_max_kwh"
            _note_cell(checks, "energy_min_kwh", self.energy_min_kwh, crossed, wanted)
            crossed = self.end_energy_min_kwh > self.end_energy_max_kwh
            wanted = "must not exceed end_energy_max_kwh"
            _note_cell(checks, "end_energy_min_kwh", self.end_energy_min_kwh, crossed, wanted)
        checks.finish()

    def matrices(self) -> tuple[FloatArray, ...]:
        """The matrices in the order of the fields, read-only, as the kernel takes them.

        Numba compiles anew for arrays that may be written to, so all are passed as read-only views.
        """
        return tuple(_frozen(getattr(self, name)) for name in MATRICES)

    def site(self, row: int) -> Problem:
        """The site of a row as a problem of its own."""
        count = self.horizon.count

        def series(name: str) -> FloatArray:
            matrix = getattr(self, name)
            return np.broadcast_to(matrix[row if len(matrix) > 1 else 0], count).copy()

        def scalar(name: str) -> float:
            matrix = getattr(self, name)
            return float(matrix[row if len(matrix) > 1 else 0, 0])

        low, high = scalar("end_energy_min_kwh"), scalar("end_energy_max_kwh")
        end = EnergyTarget(interval=count - 1, min_kwh=low, max_kwh=high)
        plant = Photovoltaic(
            name="pv", power_kw=series("pv_kw"), curtailable=scalar("pv_curtailable") == 1.0
        )
        meter = Meter(
            buy_price_per_kwh=series("buy_price_per_kwh"),
            sell_price_per_kwh=series("sell_price_per_kwh"),
            import_limit_kw=series("import_limit_kw"),
            export_limit_kw=series("export_limit_kw"),
        )
        storage = Storage(
            name="storage",
            energy_min_kwh=series("energy_min_kwh"),
            energy_max_kwh=series("energy_max_kwh"),
            initial_energy_kwh=scalar("initial_energy_kwh"),
            charge_limit_kw=series("charge_limit_kw"),
            discharge_limit_kw=series("discharge_limit_kw"),
            charge_efficiency=scalar("charge_efficiency"),
            discharge_efficiency=scalar("discharge_efficiency"),
            self_discharge_per_h=scalar("self_discharge_per_h"),
            wear_cost_per_kwh=scalar("wear_cost_per_kwh"),
            end_value_per_kwh=scalar("end_value_per_kwh"),
            targets=() if (low, high) == (-np.inf, np.inf) else (end,),
        )
        return Problem(
            horizon=self.horizon,
            meter=meter,
            loads=(Load(name="load", power_kw=series("load_kw")),),
            photovoltaics=(plant,),
            storages=(storage,),
        )


MATRICES = tuple(column.name for column in fields(Batch))[2:]
"""The names of a batch's matrices, in order."""

COLUMNS = (
    "charge_kw",
    "discharge_kw",
    "state_of_charge_kwh",
    "curtailed_kw",
    "import_kw",
    "export_kw",
    "stored_value_per_kwh",
)
"""The names of the columns of an answer, in order."""

AMOUNTS = (
    "objective",
    "bound",
    "bought_cost",
    "sold_revenue",
    "wear_cost",
    "end_value",
    "baseline_cost",
)
"""The names of the amounts of an answer, in order."""


DECIDED_ROWS, DECIDED_S = 16, 0.25
"""The rows of a range that another road decides when the kernel cannot, and seconds for each.

Such rows are rare: what survives an interval is next to nothing, or the value function has more
pieces than there is room for. A caller who sends many gets no plan for the rest, and may ask for
them singly. With 16 rows a range holds its thread for 4 s at most.
"""


OTHER_ROAD = 2
"""What stands for a kernel at a row that another road decides; see `kernel.CONVEX`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSolution:
    """The answers to a batch, row by row.

    Attributes:
        reasons: why each solve stopped, in the numbers of the kernel's outcomes, int8 (rows,).
        conflict_intervals: where an infeasible site's rules first conflict, looking back from the
            end; -1 for all others, and where the kernel did not decide, int32 (rows,).
        kernels: which kernel took each row, or OTHER_ROAD, int8 (rows,).
        amounts: AMOUNTS of each row, (rows, 7), NaN where there is no plan.
        columns: COLUMNS in order, (7, rows, count), NaN where there is no plan.
    """

    reasons: NDArray[np.int8]
    conflict_intervals: NDArray[np.int32]
    kernels: NDArray[np.int8]
    amounts: FloatArray
    columns: FloatArray

    def column(self, name: str) -> FloatArray:
        """The column of that name, shape (rows, count)."""
        return self.columns[COLUMNS.index(name)]

    def roads(self) -> dict[str, int]:
        """The roads that were taken, and the number of rows that took each."""
        names = {kernel.CONVEX: "convex kernel", kernel.GENERAL: "non-convex kernel"}
        names[OTHER_ROAD] = "linear programme"
        counts = {name: int(np.sum(self.kernels == number)) for number, name in names.items()}
        return {name: count for name, count in counts.items() if count}

    def amount(self, name: str) -> FloatArray:
        """The amounts of that name, shape (rows,)."""
        return self.amounts[:, AMOUNTS.index(name)]


def empty_solution(batch: Batch) -> BatchSolution:
    """Room for the answers to a batch."""
    rows, count = batch.site_count, batch.horizon.count
    return BatchSolution(
        reasons=np.zeros(rows, np.int8),
        conflict_intervals=np.full(rows, -1, np.int32),
        kernels=np.zeros(rows, np.int8),
        amounts=np.empty((rows, len(AMOUNTS))),
        columns=np.empty((len(COLUMNS), rows, count)),
    )


def solve_rows(batch: Batch, solution: BatchSolution, first: int, last: int) -> None:
    """Writes the refereed answers of the rows from `first` up to `last`.

    Threads may work on disjoint rows at once: the kernel does not hold the interpreter's lock.
    """
    kernel.solve_range(
        batch.matrices(),
        _frozen(batch.horizon.step_h),
        first,
        last,
        solution.columns,
        solution.amounts,
        solution.reasons,
        solution.conflict_intervals,
        solution.kernels,
    )
    undecided = np.flatnonzero(solution.reasons[first:last] == kernel.UNDECIDED) + first
    for row in undecided[:DECIDED_ROWS]:
        _decide(batch, solution, int(row))
    for row in undecided[DECIDED_ROWS:]:
        _give_up(solution, int(row), Reason.NO_SOLUTION_FOUND)


def solve_batch(batch: Batch, threads: int = 1) -> BatchSolution:
    """The refereed answers to a batch, solved by a number of threads."""
    solution = empty_solution(batch)
    if threads == 1:
        solve_rows(batch, solution, 0, batch.site_count)
        return solution
    # Four chunks a thread, so that none waits long for the slowest rows.
    edges = np.linspace(0, batch.site_count, 4 * threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda a, b: solve_rows(batch, solution, a, b), edges[:-1], edges[1:]))
    return solution


_NUMBER = {
    Reason.OPTIMAL: kernel.OPTIMAL,
    Reason.FEASIBLE: kernel.FEASIBLE,
    Reason.INFEASIBLE: kernel.INFEASIBLE,
    Reason.UNBOUNDED: 4,
    Reason.NO_SOLUTION_FOUND: 5,
}


def _decide(batch: Batch, solution: BatchSolution, row: int) -> None:
    """Answers a row that the kernel left open by the linear road."""
    problem = batch.site(row)
    answer = solve_linear(problem, SolveOptions(time_limit_s=DECIDED_S))
    if answer.schedule is None:
        _give_up(solution, row, answer.termination.reason)
    elif violations(problem, answer.schedule):
        _give_up(solution, row, Reason.NO_SOLUTION_FOUND)
    else:
        _write(solution, row, problem, answer)
    solution.kernels[row] = OTHER_ROAD


def _give_up(solution: BatchSolution, row: int, reason: Reason) -> None:
    """Leaves a row without a plan."""
    solution.reasons[row] = _NUMBER[reason]
    solution.amounts[row] = np.nan
    solution.columns[:, row] = np.nan


def _write(solution: BatchSolution, row: int, problem: Problem, answer: Solution) -> None:
    """Writes a refereed answer of another road to a row."""
    schedule = answer.schedule
    if schedule is None:
        return
    stored = (
        answer.values.stored_per_kwh[0] if answer.values else np.full(problem.horizon.count, np.nan)
    )
    parts = (
        schedule.charge_kw[0],
        schedule.discharge_kw[0],
        schedule.energy_kwh[0],
        schedule.curtailed_kw[0],
        schedule.import_kw,
        schedule.export_kw,
        stored,
    )
    solution.columns[:, row] = parts
    paid = cost(problem, schedule)
    bound = min(answer.termination.bound, paid.total)
    idle = baseline(problem).cost.total
    solution.amounts[row] = (
        paid.total, bound, paid.bought, paid.sold, paid.wear, paid.end_value, idle,
    )  # fmt: skip
    solution.reasons[row] = _NUMBER[answer.termination.reason]


def _frozen(array: FloatArray) -> FloatArray:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_matrix(checks: Checks, name: str, matrix: FloatArray, batch: Batch) -> bool:
    rows, columns = {1, batch.site_count}, {1} if name in PER_SITE else {1, batch.horizon.count}
    if matrix.ndim != 2 or matrix.shape[0] not in rows or matrix.shape[1] not in columns:
        shape = " x ".join(map(str, matrix.shape))
        wanted = f"{' or '.join(map(str, sorted(rows)))} x {' or '.join(map(str, sorted(columns)))}"
        checks.require(False, name, f"is {shape}; must be {wanted}")
        return False
    low = -MAGNITUDE if name in _SIGNED else 0.0
    high = _HIGH.get(name, MAGNITUDE)
    good = (matrix >= low) & (matrix <= high)
    if name in _OPEN_ABOVE:
        good |= matrix == np.inf
    elif name == "end_energy_min_kwh":
        good |= matrix == -np.inf
    elif name in {"charge_efficiency", "discharge_efficiency"}:
        good &= matrix >= LEAST_EFFICIENCY
    elif name == "self_discharge_per_h":
        good &= matrix < 1.0
    elif name == "pv_curtailable":
        good &= (matrix == 0.0) | (matrix == 1.0)
    wanted = _WANTED.get(name, f"must be from {low:g} to {high:g}")
    return _note_cell(checks, name, matrix, ~good, wanted)


_WANTED = {
    "charge_efficiency": f"must be from {LEAST_EFFICIENCY:g} to 1",
    "discharge_efficiency": f"must be from {LEAST_EFFICIENCY:g} to 1",
    "self_discharge_per_h": "must be at least 0 and below 1",
    "pv_curtailable": "must be 0 or 1",
}


def _note_cell(
    checks: Checks, name: str, matrix: FloatArray, bad: NDArray[np.bool_], wanted: str
) -> bool:
    """Whether no cell is bad; notes the first one that is, by its place in the matrix."""
    if not bad.any():
        return True
    row, column = np.unravel_index(int(np.argmax(bad)), bad.shape)
    more = int(np.count_nonzero(bad)) - 1
    also = f" (and {more} more)" if more else ""
    place = min(row, matrix.shape[0] - 1), min(column, matrix.shape[1] - 1)
    told = f"is {matrix[place]:g}{also}; {wanted}"
    checks.require(False, f"{name}[{place[0]},{place[1]}]", told)
    return False
