"""Linear and mixed-integer programmes in HiGHS, from arrays and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from time import perf_counter

import numpy as np
from highspy import (
    Highs,
    HighsBasis,
    HighsBasisStatus,
    HighsModelStatus,
    HighsSolution,
    HighsStatus,
)
from highspy.highs import HighsCallbackEvent
from numpy.typing import NDArray

from loadloom.solvers.termination import Reason, Termination

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int32]
Indices = NDArray[np.integer]

TOLERANCE = 1e-9
"""By how much rows, bounds, reduced costs and integers may be off."""

SMALL_COLUMNS = 5_000
"""Up to so many columns a search is made without presolve: over 30 programmes of one stock with
576 columns that took two thirds of the time, over five with 4,000 three quarters."""

Options = Mapping[str, bool | int | float | str]
"""What HiGHS is told, by the names of its options."""

LARGE = 1e4
"""Entries of the matrix above this are large beside whole numbers that may be off by TOLERANCE."""

WITHOUT_HEURISTICS: Options = {
    "mip_heuristic_run_feasibility_jump": False,
    "mip_heuristic_run_rens": False,
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_root_reduced_cost": False,
}
"""A search finds solutions where its branches end and by rounding alone."""

_BETWEEN_S = 0.05
"""The time between two questions whether to stop."""

_COLUMNWISE, _MINIMISE, _PRIMAL_SIMPLEX, _DUAL_SIMPLEX = 1, 1, 4, 1
_BASIC = int(HighsBasisStatus.kBasic)
_STATUSES = [HighsBasisStatus(number) for number in range(5)]
_FEASIBLE, _VALID = 2, 1  # HiGHS' kSolutionStatusFeasible and kBasisValidityValid
_REASONS = {
    HighsModelStatus.kOptimal: Reason.OPTIMAL,
    HighsModelStatus.kInfeasible: Reason.INFEASIBLE,
    HighsModelStatus.kUnbounded: Reason.UNBOUNDED,
}
_BOUNDED = {
    HighsModelStatus.kOptimal,
    HighsModelStatus.kTimeLimit,
    HighsModelStatus.kInterrupt,
    HighsModelStatus.kSolutionLimit,
    HighsModelStatus.kObjectiveBound,
    HighsModelStatus.kObjectiveTarget,
}
"""How a search ends that knows a bound; after any other end HiGHS tells 0 or what it began with."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matrix:
    """A sparse matrix by column: those of column j stand from `starts[j]` up to `starts[j + 1]`."""

    starts: IndexArray
    rows: IndexArray
    entries: FloatArray


@dataclass(slots=True, kw_only=True, eq=False)
class Entries:
    """A matrix under construction, entry by entry, and the sides of its rows, block by block."""

    count: int = 0
    _rows: list[Indices] = field(default_factory=list)
    _columns: list[Indices] = field(default_factory=list)
    _values: list[FloatArray] = field(default_factory=list)
    _low: list[FloatArray] = field(default_factory=list)
    _high: list[FloatArray] = field(default_factory=list)

    def block(self, low: FloatArray | float, high: FloatArray | float, size: int) -> int:
        """The number of the first of so many new rows with these sides."""
        self._low.append(_filled(low, size))
        self._high.append(_filled(high, size))
        first, self.count = self.count, self.count + size
        return first

    def add(self, rows: Indices, columns: Indices, values: FloatArray | float) -> None:
        """Adds an entry for each pair of a row and a column; one of them may be a single one."""
        if rows.shape != columns.shape:  # looked at, since to broadcast takes far longer
            rows, columns = np.broadcast_arrays(rows, columns)
        self._rows.append(rows)
        self._columns.append(columns)
        self._values.append(_filled(values, rows.size))

    def copy(self) -> "Entries":
        """Another one with the same rows and entries, to go on from."""
        return Entries(
            count=self.count,
            _rows=[*self._rows],
            _columns=[*self._columns],
            _values=[*self._values],
            _low=[*self._low],
            _high=[*self._high],
        )

    def matrix(self, column_count: int) -> Matrix:
        """The matrix so far."""
        rows, columns = np.concatenate(self._rows), np.concatenate(self._columns)
        return compressed(rows, columns, np.concatenate(self._values), column_count)

    @property
    def low(self) -> FloatArray:
        """The low sides of all rows, (count,)."""
        return np.concatenate(self._low)

    @property
    def high(self) -> FloatArray:
        """The high sides of all rows, (count,)."""
        return np.concatenate(self._high)


def _filled(values: FloatArray | float, size: int) -> FloatArray:
    found = np.empty(size)  # an array of its own: callers may go on
    found[:] = values
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """Minimise offset + cost @ x subject to row_low <= matrix @ x <= row_high, low <= x <= high.

    Columns marked in `integer` take whole numbers only.
    """

    cost: FloatArray
    low: FloatArray
    high: FloatArray
    row_low: FloatArray
    row_high: FloatArray
    matrix: Matrix
    integer: NDArray[np.bool_]
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: columns and row duals where there are any, and the seconds HiGHS took.

    A row's dual is the change of the objective for one more unit of the side that binds.
    """

    termination: Termination
    primal: FloatArray | None
    row_dual: FloatArray | None
    seconds: float


def compressed(rows: Indices, columns: Indices, entries: FloatArray, column_count: int) -> Matrix:
    """The matrix given entry by entry."""
    order = np.argsort(columns, kind="stable")
    starts = np.zeros(column_count + 1, np.int32)
    np.cumsum(np.bincount(columns, minlength=column_count), out=starts[1:])
    return Matrix(starts=starts, rows=rows[order].astype(np.int32), entries=entries[order])


class NumberTooLarge(ValueError):  # noqa: N818 -- the state of a programme, no error of ours
    """HiGHS takes no programme with a number of this size."""


class Model:
    """A programme held in HiGHS, so that one with the same matrix starts from the last basis.

    `options` go before those that all programmes are solved with.

    Raises:
        NumberTooLarge: a number is too large to compute with.
    """

    def __init__(self, program: Program, *, seed: int = 0, options: Options | None = None) -> None:
        self._highs = Highs()
        self._warm = False
        self._program = program
        self._columns = np.arange(program.cost.size, dtype=np.int32)
        told: dict[str, bool | int | float | str] = {
            "output_flag": False,
            "threads": 1,  # HiGHS has one scheduler for all of a process, which must never change
            "random_seed": seed,
            "primal_feasibility_tolerance": TOLERANCE,
            "dual_feasibility_tolerance": TOLERANCE,
            "mip_feasibility_tolerance": TOLERANCE,
        }
        if not program.integer.any() or program.cost.size <= SMALL_COLUMNS:
            # Presolve takes half of the time of a small programme, and saves less on a large one.
            told["presolve"] = "off"
        for name, value in (told | dict(options or {})).items():
            self._highs.setOptionValue(name, value)
        status = self._highs.passModel(
            program.cost.size,
            program.row_low.size,
            program.matrix.entries.size,
            _COLUMNWISE,
            _MINIMISE,
            program.offset,
            program.cost,
            program.low,
            program.high,
            program.row_low,
            program.row_high,
            program.matrix.starts,
            program.matrix.rows,
            program.matrix.entries,
            program.integer.astype(np.int32),
        )
        if status == HighsStatus.kError:
            raise NumberTooLarge("a number of the programme is too large for HiGHS")

    def change(self, program: Program) -> None:
        """Takes over the costs, bounds and sides of a programme with the same matrix."""
        held, self._program = self._program, program
        same_bounds = _same(held.low, program.low) and _same(held.high, program.high)
        same_sides = _same(held.row_low, program.row_low) and _same(held.row_high, program.row_high)
        highs, count = self._highs, program.cost.size
        if not same_bounds:
            highs.changeColsBounds(count, self._columns, program.low, program.high)
        if not same_sides:
            rows = np.arange(program.row_low.size, dtype=np.int32)
            change = highs.changeRowsBounds  # pyright: ignore[reportAttributeAccessIssue] -- stubs lack it
            change(rows.size, rows, program.row_low, program.row_high)
        if not _same(held.cost, program.cost):
            highs.changeColsCost(count, self._columns, program.cost)
        highs.changeObjectiveOffset(program.offset)
        # The last basis stays feasible if only costs change, and dual feasible if they do not.
        primal = self._warm and same_bounds and same_sides
        highs.setOptionValue("simplex_strategy", _PRIMAL_SIMPLEX if primal else _DUAL_SIMPLEX)

    @property
    def basis(self) -> HighsBasis:
        """The basis of the last run, for programmes of the same size."""
        return self._highs.getBasis()

    def begin_from(self, basis: HighsBasis, *, feasible: bool) -> None:
        """Gives the simplex method a basis to begin with, and tells whether it is feasible."""
        self._highs.setBasis(basis)
        method = _PRIMAL_SIMPLEX if feasible else _DUAL_SIMPLEX
        self._highs.setOptionValue("simplex_strategy", method)

    def begin_with(self, primal: FloatArray) -> None:
        """Gives the search a solution to begin with; one that breaks a row is mended or left."""
        known = HighsSolution()
        known.col_value = primal.tolist()
        self._highs.setSolution(known)

    def solve(
        self,
        *,
        time_limit_s: float = inf,
        relative_gap: float = 0.0,
        absolute_gap: float | None = None,
        node_limit: int | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Outcome:
        """How a run from the last basis ends, within a time and up to a gap for whole numbers.

        The gap is relative to the objective or to 1, whichever is larger, or is `absolute_gap`,
        if that is given and larger. A search that ends by
        `node_limit` is repeatable. `stop` is asked now and then, in this thread, whether to end.
        """
        highs, before = self._highs, self._highs.getRunTime()
        # The simplex method counts the time of all runs against the limit, the search only its own.
        counted = 0.0 if self._program.integer.any() else before
        highs.setOptionValue("time_limit", counted + time_limit_s)
        highs.setOptionValue("mip_rel_gap", relative_gap)
        highs.setOptionValue("mip_abs_gap", relative_gap if absolute_gap is None else absolute_gap)
        if node_limit is not None:
            highs.setOptionValue("mip_max_nodes", node_limit)
        self._heed(stop)
        highs.run()
        if self._doubtful(highs.getModelStatus()):
            told = str(highs.getOptionValue("presolve")[1])
            highs.setOptionValue("presolve", "on" if told == "off" else "off")
            highs.run()
            highs.setOptionValue("presolve", told)
        return self._outcome(highs.getRunTime() - before)

    def _doubtful(self, status: HighsModelStatus) -> bool:
        """Whether the other setting of presolve is to decide how a run ends.

        Presolve does not tell what is infeasible from what is unbounded. A search among numbers of
        very different sizes now and then fails, or takes what is possible for infeasible, seldom
        both ways.
        """
        if status in {HighsModelStatus.kUnboundedOrInfeasible, HighsModelStatus.kSolveError}:
            return True
        program = self._program
        infeasible = status == HighsModelStatus.kInfeasible and bool(program.integer.any())
        return infeasible and float(np.abs(program.matrix.entries).max(initial=0.0)) > LARGE

    def _heed(self, stop: Callable[[], bool] | None) -> None:
        """Lets runs from now on ask `stop`, if there is one."""
        asked_s = perf_counter()

        def ask(event: HighsCallbackEvent) -> None:
            nonlocal asked_s
            event.interrupt(False)  # what was answered in an earlier run is not forgotten else
            if (
                stop is not None and perf_counter() - asked_s > _BETWEEN_S
            ):  # HiGHS asks all the time
                asked_s = perf_counter()
                event.interrupt(stop())

        for asking in (self._highs.cbMipInterrupt, self._highs.cbSimplexInterrupt):
            asking.clear()
            if stop is not None:
                asking.subscribe(ask)

    def _outcome(self, seconds: float) -> Outcome:
        info, status = self._highs.getInfo(), self._highs.getModelStatus()
        self._warm = info.basis_validity == _VALID
        found = info.primal_solution_status == _FEASIBLE
        short = Reason.FEASIBLE if found else Reason.NO_SOLUTION_FOUND
        reason = _REASONS.get(status, short)
        whole = bool(self._program.integer.any())
        objective, bound = inf, -inf
        if reason is Reason.INFEASIBLE:
            bound = inf
        elif reason.has_solution:
            objective = info.objective_function_value
        if whole and status in _BOUNDED:
            bound = info.mip_dual_bound
        elif reason is Reason.OPTIMAL:
            bound = objective
        solution = self._highs.getSolution()
        duals = reason is Reason.OPTIMAL and not whole
        return Outcome(
            termination=Termination(
                reason=reason,
                objective=objective,
                bound=bound,
                detail="" if status in _REASONS else self._highs.modelStatusToString(status),
            ),
            primal=np.array(solution.col_value) if reason.has_solution else None,
            row_dual=np.array(solution.row_dual) if duals else None,
            seconds=seconds,
        )


def moved(basis: HighsBasis, columns: Indices, rows: Indices) -> HighsBasis:
    """The basis of a programme in which each column and row was another, or -1 for a new one.

    New columns are at a bound and new rows basic; rows that are not tight make up the number.
    """
    before = np.array([*map(int, basis.col_status)], np.int8)
    tight = np.array([*map(int, basis.row_status)], np.int8)
    column = np.where(columns >= 0, before[columns], int(HighsBasisStatus.kLower))
    row = np.where(rows >= 0, tight[rows], _BASIC)
    more = rows.size - np.count_nonzero(column == _BASIC) - np.count_nonzero(row == _BASIC)
    if more > 0:
        row[np.flatnonzero(row != _BASIC)[:more]] = _BASIC
    elif more < 0:
        row[np.flatnonzero(row == _BASIC)[more:]] = int(HighsBasisStatus.kLower)
    found = HighsBasis()
    found.col_status = [_STATUSES[each] for each in column.tolist()]
    found.row_status = [_STATUSES[each] for each in row.tolist()]
    found.valid = True
    return found


def _same(held: FloatArray, new: FloatArray) -> bool:
    return held is new or (held.shape == new.shape and bool((held == new).all()))
