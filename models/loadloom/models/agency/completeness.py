"""How complete readings are, and how gaps are filled.

A reading can be missing, there can be several for one slot, it can have come after a cut-off, be
negative, or be a spike: more than `times` the meter's own median or mean, and more than `least_kw`.
Missing readings, and those whose marks are in `replace`, are gaps. A gap is a run of them; it is
filled as a whole by the first rule that can fill all of it. A gap that no rule fills counts as no
load, and is told as left.

    LINEAR          on the line between the readings around the gap, by the number of the slot
    PREVIOUS_DAY    the readings of the same local time a day before, all of them believed
    PREVIOUS_WEEK   the same, a week before
    AREA_PROFILE    the mean of the area's believed readings in each slot, times the user's believed
                    energy over that of the profile in the same slots
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum, IntFlag
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.curves import Chunk, Part
from loadloom.models.agency.problem import IntArray
from loadloom.models.agency.tally import Tally
from loadloom.models.agency.totals import Totals
from loadloom.models.checks import Checks
from loadloom.models.crew import Run
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.solvers.kernels import gaps
from loadloom.solvers.kernels.curves import add_totals

ANY_LENGTH = 1 << 40
"""More slots than any gap has."""


class Mark(IntFlag):
    """What can be said of a reading; in the order of the rows of every count."""

    MISSING = 1
    DUPLICATE = 2
    LATE = 4
    NEGATIVE = 8
    SPIKE = 16


MARKS = tuple(Mark)
"""All marks, in the order of the rows of every count."""


class Fill(IntEnum):
    """Ways to fill a gap."""

    LINEAR = gaps.LINEAR
    PREVIOUS_DAY = gaps.EARLIER
    PREVIOUS_WEEK = gaps.LATER_EARLIER
    AREA_PROFILE = gaps.PROFILE


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRule:
    """A way to fill gaps of at most so many slots; of any length with None."""

    fill: Fill
    longest_slots: int | None = None


class Typical(IntEnum):
    """What a meter's usual reading is."""

    MEDIAN = 1
    MEAN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeRule:
    """A reading above `times` the meter's usual one, and above `least_kw`, is a spike."""

    times: float
    of: Typical = Typical.MEDIAN
    least_kw: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How readings are judged, and gaps are filled.

    Attributes:
        fills: the ways to fill, the first one that can is taken.
        spike: what counts as a spike; nothing does with None.
        replace: the marks of readings that are gaps, beside those that are missing.

    Raises:
        InvalidProblem: a length is below 1, or a spike's multiple or floor is not above 0.
    """

    fills: tuple[FillRule, ...] = ()
    spike: SpikeRule | None = None
    replace: Mark = Mark.NEGATIVE | Mark.SPIKE

    def __post_init__(self) -> None:
        checks = Checks()
        for k, rule in enumerate(self.fills):
            good = rule.longest_slots is None or rule.longest_slots >= 1
            words = f"is {rule.longest_slots}; must be at least 1"
            checks.require(good, f"rules.fills[{k}].longest_slots", words)
        if self.spike is not None:
            checks.numbers("rules.spike.times", self.spike.times, low=1e-9)
            checks.numbers("rules.spike.least_kw", self.spike.least_kw, low=0.0)
        checks.finish()

    @property
    def unbelieved(self) -> int:
        """The bits of readings that are gaps."""
        return int(self.replace | Mark.MISSING)

    def marks(self, chunk: Chunk) -> NDArray[np.uint8]:
        """The marks of all readings of a chunk, those that it came with among them."""
        marks = np.zeros(chunk.load_kw.shape, np.uint8) if chunk.marks is None else chunk.marks
        marks = marks.copy()
        times, of, least_kw = (
            (0.0, Typical.MEDIAN, 0.0)
            if self.spike is None
            else (self.spike.times, self.spike.of, self.spike.least_kw)
        )
        gaps.mark_rows(chunk.load_kw, marks, times, of == Typical.MEDIAN, least_kw)
        return marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """The mean curve of each area, (G, T); NaN where nobody has a believed reading."""

    group_names: tuple[str, ...]
    mean_kw: FloatArray

    def of(self, names: Sequence[str]) -> FloatArray:
        """The curves of these areas, NaN for one that is not known."""
        row = {name: index for index, name in enumerate(self.group_names)}
        unknown = np.full((1, self.mean_kw.shape[1]), np.nan)
        table = np.concatenate((self.mean_kw, unknown))
        return table[[row.get(name, len(row)) for name in names]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The sum of believed readings by area and slot, and their number."""

    totals: Totals
    count: IntArray

    def merged(self, other: "_Seen") -> "_Seen":
        """The sum of both."""
        totals, place = self.totals.merged(other.totals)
        count = np.pad(self.count, ((0, len(totals.group_names) - self.count.shape[0]), (0, 0)))
        count[place] += other.count
        return _Seen(totals, count)


@dataclass(frozen=True, slots=True)
class _Look:
    """Sums the believed readings of a part."""

    rules: Rules
    slot_count: int

    def __call__(self, part: Part) -> _Seen:
        totals = Totals.empty(self.slot_count)
        count = np.zeros((0, self.slot_count), np.int64)
        for chunk in part.chunks():
            totals, place = totals.extended(chunk.group_names)
            count = np.pad(count, ((0, len(totals.group_names) - count.shape[0]), (0, 0)))
            group, load_kw = place[chunk.group_index()], chunk.load_kw.copy()
            gaps.blank_rows(load_kw, self.rules.marks(chunk), self.rules.unbelieved, group, count)
            add_totals(load_kw, group, totals.coarse, totals.fine)
        return _Seen(totals, count)


def profiles(parts: Sequence[Part], horizon: Horizon, rules: Rules, run: Run = map) -> Profiles:
    """The mean curve of each area over believed readings; goes over all parts once."""
    seen = reduce(_Seen.merged, run(_Look(rules, horizon.count), parts))
    mean_kw = np.full(seen.count.shape, np.nan)
    np.divide(seen.totals.group_kw, seen.count, out=mean_kw, where=seen.count > 0)
    return Profiles(group_names=seen.totals.group_names, mean_kw=mean_kw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A part whose gaps are filled; its chunks say how."""

    part: Part
    rules: Rules
    earlier: IntArray
    profiles: Profiles | None

    def chunks(self) -> Iterator[Chunk]:
        """The chunks of the part, filled."""
        rules = self.rules.fills
        ways = np.array([rule.fill for rule in rules], np.int64)
        longest = np.array([rule.longest_slots or ANY_LENGTH for rule in rules], np.int64)
        for chunk in self.part.chunks():
            marks, load_kw = self.rules.marks(chunk), chunk.load_kw.copy()
            filled = np.zeros(load_kw.shape, np.uint8)
            nobody = np.full((len(chunk.group_names), load_kw.shape[1]), np.nan)
            profile = nobody if self.profiles is None else self.profiles.of(chunk.group_names)
            gaps.fill_rows(
                load_kw,
                marks,
                self.rules.unbelieved,
                ways,
                longest,
                self.earlier,
                profile,
                chunk.group_index(),
                filled,
            )
            yield replace(chunk, load_kw=load_kw, marks=marks, filled=filled, fill_count=len(rules))


def completed(
    parts: Sequence[Part], horizon: Horizon, rules: Rules, run: Run = map
) -> list[Completed]:
    """The parts with gaps filled. They are gone over beforehand if an area's profile is asked for.

    Nothing is kept: a chunk is filled whenever it is gone over.
    """
    wanted = any(rule.fill == Fill.AREA_PROFILE for rule in rules.fills)
    known = profiles(parts, horizon, rules, run) if wanted else None
    earlier = np.array([_earlier(horizon, days) for days in (1, 7)])
    return [Completed(part=part, rules=rules, earlier=earlier, profiles=known) for part in parts]


def _earlier(horizon: Horizon, days: int) -> list[int]:
    """The slot that began at the same local time so many days before each slot, or -1."""
    begins = [horizon.boundary(t).replace(tzinfo=None) for t in range(horizon.count)]
    # Where the clocks go back a time comes twice; the first of both stands for it.
    place = {begin: t for t, begin in reversed(list(enumerate(begins)))}
    return [place.get(begin - timedelta(days=days), -1) for begin in begins]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """How many readings were marked and how many were filled.

    Attributes:
        rules: by which it was judged.
        slot_marks: (5, T) readings by mark, in the order of MARKS, and slot.
        slot_filled: (F, T) readings by rule and slot.
        slot_left: (T,) gaps that no rule filled, and count as no load.
        user_marks: (n, 5) readings by user and mark.
        user_filled: (n, F) readings by user and rule.
        user_left: (n,) gaps of each user that no rule filled.
        group_names: the areas.
        group_marks: (G, 5) readings by area and mark.
        group_filled: (G, F) readings by area and rule.
        group_left: (G,) gaps of each area that no rule filled.
        reading_count: how many there should be.
    """

    rules: Rules
    slot_marks: IntArray
    slot_filled: IntArray
    slot_left: IntArray
    user_marks: NDArray[np.uint32]
    user_filled: NDArray[np.uint32]
    user_left: NDArray[np.uint32]
    group_names: tuple[str, ...]
    group_marks: IntArray
    group_filled: IntArray
    group_left: IntArray
    reading_count: int

    @classmethod
    def of(cls, rules: Rules, tally: Tally, group_names: tuple[str, ...]) -> "Completeness":
        """What a tally says, for people."""
        users, slots = tally.user_marks.shape[0], tally.slot_marks.shape[1]
        return cls(
            rules=rules,
            slot_marks=tally.slot_marks,
            slot_filled=tally.slot_filled[:-1],
            slot_left=tally.slot_filled[-1],
            user_marks=tally.user_marks,
            user_filled=tally.user_filled[:, :-1],
            user_left=tally.user_filled[:, -1],
            group_names=group_names,
            group_marks=tally.group_marks,
            group_filled=tally.group_filled[:, :-1],
            group_left=tally.group_filled[:, -1],
            reading_count=users * slots,
        )

    def count(self, mark: Mark) -> int:
        """The readings with a mark."""
        return int(self.slot_marks[MARKS.index(mark)].sum())

    @property
    def complete_share(self) -> float:
        """The share of readings that are there, 0..1."""
        return 1.0 - self.count(Mark.MISSING) / self.reading_count if self.reading_count else 1.0
