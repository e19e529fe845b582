"""Plain sites of a fleet: a load, a plant and one store each, which the kernels answer for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadloom.models.dispatch.fleet import kernel
from loadloom.models.dispatch.fleet.answer import Answer, Mixed
from loadloom.models.horizon import FloatArray

IntArray = NDArray[np.int64]

_WEAR, _END_VALUE = 5, 6
"""The places of two numbers among the single ones of a site."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlainSites:
    """Some plain sites, of one group or of several; to other processes they go alone.

    Attributes:
        matrices: those of the batch that they stand in, as `Batch.matrices` gives them.
        rows: their rows in it, (sites,).
        single: what is a single number of each, (sites, 9), as `dispatch.kernel` has it.
        group: the number of each one's group among `groups`, rising, (sites,).
        groups: the numbers of these groups among all, (groups,).
        step_h: the length of each interval, (T,).
    """

    matrices: tuple[FloatArray, ...]
    rows: IntArray
    single: FloatArray
    group: IntArray
    groups: IntArray
    step_h: FloatArray

    def __reduce__(self) -> tuple[Any, ...]:
        """These sites without the others of the batch."""
        own = tuple(_rows_of(matrix, self.rows) for matrix in self.matrices)
        return _made, (own, self.single, self.group, self.groups, self.step_h)

    def respond(self, prices: FloatArray, _asked: NDArray[np.bool_], free: bool) -> Answer:
        """What the groups answer to prices of their own, (groups, T)."""
        shape, sites = prices.shape, self.rows.size
        flow, cost, value = np.zeros(shape), np.zeros(shape[0]), np.zeros(shape[0])
        outcomes, conflicts = np.empty(sites, np.int8), np.empty(sites, np.int32)
        single = self.single
        if free:
            single = single.copy()
            single[:, [_WEAR, _END_VALUE]] = 0.0
        kernel.respond(
            self.matrices, single, self.step_h, self.rows, self.group, _own(prices),
            0.0 if free else 1.0, flow, cost, value, outcomes, conflicts,
        )  # fmt: skip
        return Answer(flow=flow, cost=cost, value=value, outcomes=outcomes, conflicts=conflicts)

    def plans(self, mixed: Sequence[Mixed]) -> tuple[FloatArray, int]:
        """The plans of all, (6, sites, T), and how many of them are not means of answers.

        `mixed` holds for each group what it takes of its answers to which prices.
        """
        columns = np.full((6, self.rows.size, self.step_h.size), np.nan)
        whole = np.zeros(self.rows.size, np.bool_)
        edges = np.searchsorted(self.group, np.arange(self.groups.size + 1))
        for one, first, last in zip(mixed, edges[:-1], edges[1:], strict=True):
            kernel.mix(
                self.matrices, self.single[first:last].copy(), self.step_h,
                self.rows[first:last].copy(), int(first), _own(one.prices), _own(one.share),
                np.array(one.tight), columns, whole,
            )  # fmt: skip
        return columns, int(whole.sum())


def _own(values: FloatArray) -> FloatArray:
    """A copy: what comes from other processes cannot be written to, which compiles kernels anew."""
    return np.array(values, np.float64)


def _rows_of(matrix: FloatArray, rows: IntArray) -> FloatArray:
    return matrix[rows] if len(matrix) > 1 else matrix


def _made(
    matrices: tuple[FloatArray, ...],
    single: FloatArray,
    group: IntArray,
    groups: IntArray,
    step_h: FloatArray,
) -> PlainSites:
    """Sites that stand in matrices of their own."""
    for matrix in matrices:
        matrix.flags.writeable = False
    return PlainSites(
        matrices=matrices,
        rows=np.arange(group.size),
        single=_own(single),
        group=np.array(group),
        groups=np.array(groups),
        step_h=_own(step_h),
    )
