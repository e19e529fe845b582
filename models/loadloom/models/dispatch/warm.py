"""What a solve of the general road leaves for the next one of the same site."""

from dataclasses import dataclass

import numpy as np
from highspy import HighsBasis

from loadloom.models.dispatch.layout import Layout
from loadloom.models.dispatch.programme import Programme
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.solvers.highs import Matrix, Model, Program, moved


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """What a solve begins with: bases of its linear programmes, a solution, or None for none.

    `relaxed` is the basis without binaries, `settled` the one with the decisions of `primal`.
    Where only costs are new (`same_rows`), both are still feasible.
    """

    model: Model | None = None
    relaxed: HighsBasis | None = None
    settled: HighsBasis | None = None
    primal: FloatArray | None = None
    same_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A solved programme: its places, its arrays, its model, and what `Start` is made of."""

    horizon: Horizon
    columns: Layout
    rows: Layout
    base: Program
    model: Model
    relaxed: HighsBasis | None
    settled: HighsBasis | None
    primal: FloatArray | None

    def start(self, programme: Programme, base: Program) -> Start:
        """What is left of it for another programme, which may begin later or have other parts."""
        by: int | None = 0
        if programme.horizon.start != self.horizon.start:
            by = self.horizon.boundary_index(programme.horizon.start)
        if by is None or by == self.horizon.count:
            return Start()
        model = self.model if same(self.base.matrix, base.matrix) else None
        if model is not None and by == 0:
            return Start(
                model=model,
                relaxed=self.relaxed,
                settled=self.settled,
                primal=self.primal,
                same_rows=_same_bounds(self.base, base),
            )
        columns = programme.column_layout.before(self.columns, by)
        rows = programme.row_layout.before(self.rows, by)
        primal = self.primal
        if primal is not None:
            primal = np.clip(np.where(columns >= 0, primal[columns], 0.0), base.low, base.high)
        return Start(
            model=model,
            relaxed=None if self.relaxed is None else moved(self.relaxed, columns, rows),
            settled=None if self.settled is None else moved(self.settled, columns, rows),
            primal=primal,
        )


def same(one: Matrix, other: Matrix) -> bool:
    """Whether two matrices are the same."""
    pairs = ((one.starts, other.starts), (one.rows, other.rows), (one.entries, other.entries))
    return all(np.array_equal(a, b) for a, b in pairs)


def _same_bounds(one: Program, other: Program) -> bool:
    names = ("low", "high", "row_low", "row_high")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
