"""Load curves in pieces: chunks of users, exact totals that merge, and who runs over the pieces.

    total_kw[t] = sum_i load_kw[i, t]        window_kwh[i, k] = sum_{t in k} step_h[t] load_kw[i, t]

One pass over all chunks finds both, each user's extremes, and each user's load in the few slots
that look like the peak. A `Partial` is what is known of some chunks; `merge` joins two of them. The
totals are the same to the last bit however the users are cut, threaded or spread over machines.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.percentiles import Spread
from loadloom.models.agency.problem import IntArray, LoadArray
from loadloom.models.agency.tally import Tally
from loadloom.models.agency.totals import Totals
from loadloom.models.checks import MAGNITUDE, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.curves import SMALL, add_rows, add_totals

Item = TypeVar("Item")
Found = TypeVar("Found")

WATCHED = 8
"""The number of slots in which loads are kept, those with the largest totals in a first look."""

FIRST_LOOK_ROWS = 4_096
"""The users by whom a part guesses where the peak is. A wrong guess costs a second pass."""

PART_ROWS = 262_144
"""The users of an array that are one part: enough to forget what a part costs by itself."""


class Run(Protocol):
    """What applies a function to items, in whatever way, and gives the results in order."""

    def __call__(
        self, function: Callable[[Item], Found], items: Sequence[Item], /
    ) -> Iterable[Found]:
        """The results, as `map` gives them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The curves of some users.

    Attributes:
        load_kw: (n, T) in C order; NaN is a reading that is missing.
        group: (n,) the index of each user's area in `group_names`, or None for no areas.
        group_names: the areas.
        names: the users' names, or None where nobody asked for them.
        marks: (n, T) what is known of readings, bits of `completeness.Mark`, or None.
        filled: (n, T) by which of the `fill_count` rules a reading was filled, from 1; one more is
            a gap that none filled; 0 for readings. None if nothing was judged.
        fill_count: the number of rules.
        first_row: the place of the first user in all curves, or in its file.
        source: the file and its row that the chunk begins with, for messages.
    """

    load_kw: LoadArray
    group: NDArray[np.int32] | None = None
    group_names: tuple[str, ...] = ("",)
    names: tuple[str, ...] | None = None
    marks: NDArray[np.uint8] | None = None
    filled: NDArray[np.uint8] | None = None
    fill_count: int = 0
    first_row: int = 0
    source: str = ""

    @property
    def user_count(self) -> int:
        """The number of users."""
        return self.load_kw.shape[0]

    def rows(self, first: int, last: int) -> "Chunk":
        """The users from `first` up to but without `last`, as views."""
        return replace(
            self,
            load_kw=self.load_kw[first:last],
            group=None if self.group is None else self.group[first:last],
            names=None if self.names is None else self.names[first:last],
            marks=None if self.marks is None else self.marks[first:last],
            filled=None if self.filled is None else self.filled[first:last],
            first_row=self.first_row + first,
        )

    def group_index(self) -> NDArray[np.int32]:
        """The index of each user's area, all 0 where there are none."""
        return np.zeros(self.user_count, np.int32) if self.group is None else self.group


class Part(Protocol):
    """Some of the curves, which can be gone over again; sent to other processes as it is."""

    def chunks(self) -> Iterator[Chunk]:
        """The chunks of the part, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """A part that is in memory."""

    chunk: Chunk

    def chunks(self) -> Iterator[Chunk]:
        """The chunk."""
        yield self.chunk


def in_memory(
    load_kw: LoadArray,
    *,
    group: NDArray[np.int32] | None = None,
    group_names: tuple[str, ...] = ("",),
    names: tuple[str, ...] | None = None,
    part_rows: int = PART_ROWS,
) -> list[Rows]:
    """The parts of curves (n, T) in memory, of `part_rows` users each; nothing is copied.

    Raises:
        InvalidProblem: the curves are no table of float32 or float64.
    """
    if load_kw.ndim != 2 or load_kw.dtype not in (np.float32, np.float64):
        words = f"is {load_kw.ndim}-dimensional {load_kw.dtype}; must be (users, slots) of float"
        raise InvalidProblem([Violation("load_kw", words)])
    whole = Chunk(
        load_kw=np.ascontiguousarray(load_kw), group=group, group_names=group_names, names=names
    )
    starts = range(0, max(whole.user_count, 1), part_rows)
    return [Rows(whole.rows(first, first + part_rows)) for first in starts]


def in_threads(count: int) -> Run:
    """A run in that many threads, which begins at most two items a thread ahead of what is used."""

    def run(function: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
        with ThreadPoolExecutor(count) as pool:
            waiting = deque(pool.submit(function, item) for item in items[: 2 * count])
            for item in islice(items, 2 * count, None):
                found = waiting.popleft().result()
                waiting.append(pool.submit(function, item))
                yield found
            while waiting:
                yield waiting.popleft().result()

    return run


FIGURES = 5
"""Rows of a table of users beside their windows: see `solvers.kernels.curves.figures_at_peak`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserColumns:
    """What is kept of each user of a part, in their order.

    Attributes:
        table: (K + FIGURES, n) the energy in each window, and room for what follows from the total.
        highest_kw: (n,) the user's own peak.
        lowest_kw: (n,) its smallest load where that is negative, else 0.
        watch: (m,) slots.
        watched_kw: (n, m) the loads in those slots.
    """

    table: FloatArray
    highest_kw: LoadArray
    lowest_kw: LoadArray
    watch: IntArray
    watched_kw: LoadArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What is known of some parts: `merge` of both halves is what is known of the whole."""

    totals: Totals
    parts: tuple[UserColumns, ...] = ()
    spread: Spread | None = None
    tally: Tally | None = None


def merge(first: Partial, second: Partial) -> Partial:
    """What is known of the parts of both, those of the first before those of the second."""
    totals, place = first.totals.merged(second.totals)
    spread, tally = first.spread or second.spread, first.tally or second.tally
    if first.spread is not None and second.spread is not None:
        spread = first.spread.merged(second.spread)
    if first.tally is not None and second.tally is not None:
        tally = first.tally.merged(second.tally, place, len(totals.group_names))
    return Partial(totals=totals, parts=first.parts + second.parts, spread=spread, tally=tally)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The first pass over parts; a call gives what is known of one.

    Attributes:
        weight_h: (K, T) the hours of each slot that count for each window.
        with_spread: whether loads are counted for percentiles.
    """

    weight_h: FloatArray
    with_spread: bool = False

    def __call__(self, part: Part) -> Partial:
        """What is known of a part.

        Raises:
            InvalidProblem: a load is no number, or too large, or a chunk has other slots.
        """
        known = self.nothing()
        watch = np.zeros(0, np.int64)
        for chunk in part.chunks():
            if not chunk.user_count:
                continue
            if not watch.size and not isinstance(part, Rows):  # those are quickly read again
                watch = likely_peaks(chunk)
            known = merge(known, self.of(chunk, watch))
        return replace(known, parts=_joined(known.parts, self.weight_h.shape[0] + FIGURES))

    def nothing(self) -> Partial:
        """What is known of nobody."""
        slots = self.weight_h.shape[1]
        return Partial(
            totals=Totals.empty(slots), spread=Spread.empty(slots) if self.with_spread else None
        )

    def of(self, chunk: Chunk, watch: IntArray) -> Partial:
        """What is known of a chunk, with its users' loads in the slots of `watch` (m,)."""
        load_kw, slots = chunk.load_kw, self.weight_h.shape[1]
        if load_kw.shape[1] != slots:
            words = f"has {load_kw.shape[1]} slots; must have {slots}"
            raise InvalidProblem([Violation(f"load_kw[{chunk.first_row}]", words)])
        totals, group = Totals.empty(slots).extended(chunk.group_names)
        index = group[chunk.group_index()]
        totals.user_count[:] += np.bincount(index, minlength=totals.user_count.size)
        columns = self._add(totals, index, load_kw, watch)
        _check(chunk, columns)
        tally = None
        if chunk.marks is not None and chunk.filled is not None:
            count = len(totals.group_names)
            tally = Tally.of(chunk.marks, chunk.filled, chunk.fill_count, index, count)
        spread = Spread.of(load_kw) if self.with_spread else None
        return Partial(totals=totals, parts=(columns,), spread=spread, tally=tally)

    def _add(
        self, totals: Totals, group: NDArray[np.int32], load_kw: LoadArray, watch: IntArray
    ) -> UserColumns:
        """What is kept of the users of a chunk, who are added to the totals."""
        count, key = load_kw.shape[0], np.dtype(f"u{load_kw.itemsize}")
        highest, lowest = np.empty(count, key), np.empty(count, key)
        columns = UserColumns(
            # One block, so that the system gives large pages: small ones cost as much as the pass.
            table=np.empty((self.weight_h.shape[0] + FIGURES, count)),
            highest_kw=highest.view(load_kw.dtype),
            lowest_kw=lowest.view(load_kw.dtype),
            watch=watch,
            watched_kw=np.empty((count, watch.size), load_kw.dtype),
        )
        add_rows(
            load_kw,
            load_kw.view(key),
            load_kw.dtype.type(SMALL).view(key),
            group,
            self.weight_h,
            totals.coarse,
            totals.fine,
            columns.table,
            highest,
            lowest,
            watch,
            columns.watched_kw,
        )
        return columns


def likely_peaks(chunk: Chunk) -> IntArray:
    """The slots with the largest totals of the first users, at most WATCHED, largest first."""
    load_kw = chunk.load_kw[:FIRST_LOOK_ROWS]
    coarse, fine = np.zeros((2, 1, load_kw.shape[1]), np.int64)
    add_totals(load_kw, np.zeros(load_kw.shape[0], np.int32), coarse, fine)
    return np.argsort(-coarse[0], kind="stable")[:WATCHED].copy()


def _joined(kept: Sequence[UserColumns], rows: int) -> tuple[UserColumns]:
    """The columns of a part's chunks as one, which has nobody in it where there are none."""
    if len(kept) == 1:
        return (kept[0],)
    nobody = np.zeros(0)
    return (
        UserColumns(
            table=np.concatenate([np.zeros((rows, 0)), *(one.table for one in kept)], axis=1),
            highest_kw=np.concatenate([one.highest_kw for one in kept]) if kept else nobody,
            lowest_kw=np.concatenate([one.lowest_kw for one in kept]) if kept else nobody,
            watch=kept[0].watch if kept else np.zeros(0, np.int64),
            watched_kw=np.concatenate([one.watched_kw for one in kept])
            if kept
            else nobody[:, None],
        ),
    )


def _check(chunk: Chunk, columns: UserColumns) -> None:
    """Raises InvalidProblem for the first load of a chunk that is no number, or too large."""
    good = (columns.highest_kw <= MAGNITUDE) & (columns.lowest_kw >= -MAGNITUDE)
    if good.all():
        return
    row = int(np.argmin(good))
    loads = chunk.load_kw[row]
    slot = int(np.argmin((loads <= MAGNITUDE) & (loads >= -MAGNITUDE)))
    whose = f" of {chunk.names[row]!r}" if chunk.names else ""
    more = int(good.size - np.count_nonzero(good)) - 1
    also = f" (and {more} more users have such loads)" if more else ""
    right = "fill gaps first" if np.isnan(loads[slot]) else f"must be within {MAGNITUDE:g} kW"
    path = f"load_kw[{chunk.first_row + row}, {slot}]"
    where = f" in {chunk.source}" if chunk.source else ""
    raise InvalidProblem([Violation(path, f"is {loads[slot]:g}{whose}{where}{also}; {right}")])


def all_chunks(parts: Iterable[Part]) -> Iterator[Chunk]:
    """The chunks of all parts, in order."""
    return chain.from_iterable(part.chunks() for part in parts)
