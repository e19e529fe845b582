"""Load curves in pieces: chunks of users, exact totals that merge, and who runs over the pieces.

    total_kw[t] = sum_i load_kw[i, t]        window_kwh[i, k] = sum_{t in k} step_h[t] load_kw[i, t]

One pass over all chunks finds both, each user's extremes, and each user's load in the few slots
that look like the peak. A `Partial` is what is known of some chunks; `merge` joins two of them. The
totals are the same to the last bit however the users are cut, threaded or spread over machines.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.percentiles import Spread
from loadloom.models.agency.problem import IntArray, LoadArray
from loadloom.models.agency.tally import Tally
from loadloom.models.agency.totals import Totals, in_units
from loadloom.models.checks import MAGNITUDE, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.curves import add_rows, add_totals

WATCHED = 4
"""The number of slots in which loads are kept: those with the largest totals so far."""

FIRST_LOOK_ROWS = 4_096
"""The users by whom it is guessed at first where the peak is. A wrong guess costs a second pass."""

PART_ROWS = 131_072
"""The users of an array that are one part: enough to forget what a part costs by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The curves of some users.

    Attributes:
        load_kw: (n, T) in C order, a view that cannot be written to; NaN is a missing reading.
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

    def __post_init__(self) -> None:
        # What files bring cannot be written to, and kernels would be compiled once for each.
        view = self.load_kw.view()
        view.flags.writeable = False
        object.__setattr__(self, "load_kw", view)

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


FIGURES_BYTES = 16
"""What `solvers.kernels.curves.figures_at_peak` finds of a user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserColumns:
    """What is kept of some users, in their order.

    New memory costs more than to fill it, so as little is kept as tells the rest.

    Attributes:
        table: (K, n or more) the energy in each window; these users' columns, and those of others
            if they share it.
        begin: the column of the first user.
        highest_kw: (n,) the user's own peak.
        lowest_kw: (n,) its smallest load where that is negative, else 0.
        watch: (m,) slots.
        watched_kw: (n, m or more) the loads in those slots, until `figures` takes their place.
    """

    table: FloatArray
    begin: int = 0
    highest_kw: LoadArray
    lowest_kw: LoadArray
    watch: IntArray
    watched_kw: LoadArray

    @classmethod
    def room(
        cls, rows: int, count: int, dtype: np.dtype[np.floating], watch: IntArray
    ) -> "UserColumns":
        """Room for so many users, in a table of so many rows."""
        return cls(
            table=np.empty((rows, count)),
            highest_kw=np.empty(count, dtype),
            lowest_kw=np.zeros(count, dtype),
            watch=watch,
            watched_kw=np.empty((count, max(watch.size, FIGURES_BYTES // dtype.itemsize)), dtype),
        )

    def rows(self, first: int, last: int) -> "UserColumns":
        """The users from `first` up to but without `last`, as views."""
        return replace(
            self,
            begin=self.begin + first,
            highest_kw=self.highest_kw[first:last],
            lowest_kw=self.lowest_kw[first:last],
            watched_kw=self.watched_kw[first:last],
        )

    @property
    def own_table(self) -> FloatArray:
        """The table of these users alone, as a view."""
        return self.table[:, self.begin : self.begin + self.highest_kw.size]

    @property
    def figures(self) -> FloatArray:
        """Room for (n, 2) figures, in the memory of what was watched, row by row."""
        count = self.highest_kw.size
        first = self.watched_kw.reshape(-1)[: FIGURES_BYTES // self.watched_kw.itemsize * count]
        return first.view(np.float64).reshape(count, 2)


@dataclass(frozen=True, slots=True)
class Rows:
    """A part that is in memory.

    Attributes:
        chunk: its curves.
        room: where the figures of its users go, if that was settled beforehand.
    """

    chunk: Chunk
    room: UserColumns | None = None

    def chunks(self) -> Iterator[Chunk]:
        """The chunk."""
        yield self.chunk

    def __reduce__(self) -> tuple[type["Rows"], tuple[Chunk]]:
        """The chunk alone goes to other processes, which make room by themselves."""
        return Rows, (self.chunk,)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """What is known of some parts: `merge` of both halves is what is known of the whole.

    Attributes:
        totals: the sum of their curves.
        reach_kw: the sum of the users' largest loads of either sign.
        own_peaks: the sum of the users' own peaks, in units of 2^-46 kW.
        parts: what is kept of the users of each part, chunk by chunk.
        spread: of the loads, if percentiles are asked for.
        tally: of readings, if they were judged.
    """

    totals: Totals
    reach_kw: float = 0.0
    own_peaks: int = 0
    parts: tuple[tuple[UserColumns, ...], ...] = ()
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
    return Partial(
        totals=totals,
        reach_kw=first.reach_kw + second.reach_kw,
        own_peaks=first.own_peaks + second.own_peaks,
        parts=first.parts + second.parts,
        spread=spread,
        tally=tally,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The first pass over parts; a call gives what is known of one.

    Attributes:
        weight_h: (K, T) the hours of each slot that count for each window.
        with_spread: whether loads are counted for percentiles.
        likely: the slots to watch, largest first, as `learn` knows them; empty at first.
    """

    weight_h: FloatArray
    with_spread: bool = False
    likely: list[int] = field(default_factory=list)

    def __call__(self, part: Part) -> Partial:
        """What is known of a part.

        Raises:
            InvalidProblem: a load is no number, or too large, or a chunk has other slots.
        """
        if isinstance(part, Rows) and part.room is not None:
            return self.of(part.chunk, part.room.watch, part.room)
        known = self.nothing()
        watch = np.array(self.likely, np.int64)
        for chunk in part.chunks():
            if not chunk.user_count:
                continue
            if not watch.size:
                watch = likely_peaks([chunk], WATCHED)
            known = merge(known, self.of(chunk, watch))
        return replace(known, parts=(tuple(chain.from_iterable(known.parts)),))

    def learn(self, seen: Partial) -> None:
        """Has the parts to come watched where the totals so far are largest.

        What is found does not depend on it, but by how many readings of parts.
        """
        if seen.totals.user_count.sum() >= FIRST_LOOK_ROWS:
            order = np.argsort(-seen.totals.coarse.sum(axis=0), kind="stable")
            self.likely[:] = order[:WATCHED].tolist()

    def with_room(self, parts: Sequence[Part]) -> Sequence[Part]:
        """The parts; if all are in memory, with room for their users' figures in one block."""
        rows = [part for part in parts if isinstance(part, Rows)]
        kinds = {part.chunk.load_kw.dtype for part in rows}
        slots = {part.chunk.load_kw.shape[1] for part in rows}
        if len(rows) < len(parts) or len(kinds) != 1 or slots != {self.weight_h.shape[1]}:
            return parts
        ends = np.cumsum([part.chunk.user_count for part in rows]).tolist()
        watch = likely_peaks([part.chunk for part in rows], WATCHED)
        room = UserColumns.room(self.weight_h.shape[0], ends[-1], kinds.pop(), watch)
        return [
            Rows(part.chunk, room.rows(end - part.chunk.user_count, end))
            for part, end in zip(rows, ends, strict=True)
        ]

    def nothing(self) -> Partial:
        """What is known of nobody."""
        slots = self.weight_h.shape[1]
        return Partial(
            totals=Totals.empty(slots), spread=Spread.empty(slots) if self.with_spread else None
        )

    def of(self, chunk: Chunk, watch: IntArray, room: UserColumns | None = None) -> Partial:
        """What is known of a chunk, with its users' loads in the slots of `watch` (m,)."""
        load_kw, slots = chunk.load_kw, self.weight_h.shape[1]
        if load_kw.shape[1] != slots:
            words = f"has {load_kw.shape[1]} slots; must have {slots}"
            raise InvalidProblem([Violation(f"load_kw[{chunk.first_row}]", words)])
        totals, place = Totals.empty(slots).extended(chunk.group_names)
        group, count = chunk.group_index(), len(totals.group_names)
        if chunk.group is None:
            totals.user_count[0] += chunk.user_count
        else:
            group = place[group]
            totals.user_count[:] += np.bincount(group, minlength=count)
        if room is None:
            windows = self.weight_h.shape[0]
            room = UserColumns.room(windows, chunk.user_count, load_kw.dtype, watch)
        add_rows(
            load_kw,
            group,
            self.weight_h,
            totals.coarse,
            totals.fine,
            room.table,
            room.begin,
            room.highest_kw,
            room.lowest_kw,
            watch,
            room.watched_kw,
        )
        _check(chunk, room)
        reach = room.highest_kw
        if room.lowest_kw.any():
            reach = np.maximum(reach, -room.lowest_kw)
        tally = None
        if chunk.marks is not None and chunk.filled is not None:
            tally = Tally.of(chunk.marks, chunk.filled, chunk.fill_count, group, count)
        spread = Spread.of(load_kw) if self.with_spread else None
        return Partial(
            totals=totals,
            reach_kw=float(reach.sum(dtype=np.float64)),
            own_peaks=in_units(room.highest_kw),
            parts=((room,),),
            spread=spread,
            tally=tally,
        )


def likely_peaks(chunks: Sequence[Chunk], most: int) -> IntArray:
    """The slots with the largest totals of some users, at most so many, largest first."""
    share = -(-FIRST_LOOK_ROWS // len(chunks))
    load_kw = np.concatenate([chunk.load_kw[:share] for chunk in chunks])
    coarse, fine = np.zeros((2, 1, load_kw.shape[1]), np.int64)
    add_totals(load_kw, np.zeros(load_kw.shape[0], np.int32), coarse, fine)
    return np.argsort(-coarse[0], kind="stable")[:most].copy()


def _check(chunk: Chunk, columns: UserColumns) -> None:
    """Raises InvalidProblem for the first load of a chunk that is no number, or too large."""
    high, low = columns.highest_kw, columns.lowest_kw
    if high.max(initial=0.0) <= MAGNITUDE and low.min(initial=0.0) >= -MAGNITUDE:
        return
    good = (high <= MAGNITUDE) & (low >= -MAGNITUDE)
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
