"""Load curves added up; what runs in a worker process, and chunk by chunk in threads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from loadloom.engine.answers.agency import Answer, ended
from loadloom.engine.answers.files import Files
from loadloom.engine.datasets.spool import Spool
from loadloom.engine.task import Task
from loadloom.models.agency import aggregate as model
from loadloom.models.agency.aggregate import Aggregate, aggregate
from loadloom.models.agency.completeness import Rules, completed
from loadloom.models.agency.curves import (
    Chunk,
    Part,
    Partial,
    Rows,
    all_chunks,
    in_threads,
    merge,
)
from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.agency.windows import TimeWindows
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import Horizon

THREADS = 2
"""The threads that add up the parts of files."""

WORST = 100
"""The most users whose faults are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What to tell of load curves beside their sum.

    Attributes:
        users: whether to tell the figures of every user.
        price: the price by which a user's leaving is weighed.
        levels: the percentiles, 0..100.
        windows: the bands of the day.
        rules: how readings are judged and filled; None if gaps are faults.
        tie_tolerance: the share of the peak within which an interval ties with it.
    """

    users: bool
    price: PriceSchedule | None
    levels: tuple[float, ...]
    windows: TimeWindows | None
    rules: Rules | None
    tie_tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summing:
    """Load curves to add up, from memory or files.

    `spans` are the days and months to tell, in the numbers of the proto.
    """

    horizon: Horizon
    wishes: Wishes
    chunk: Chunk | None
    files: Files | None
    spans: tuple[int, ...] = ()

    @property
    def user_count(self) -> int:
        """The number of users; 0 where files have them."""
        return 0 if self.chunk is None else self.chunk.user_count

    def parts(self) -> Sequence[Part]:
        """The curves, piece by piece."""
        if self.chunk is not None:
            return [Rows(self.chunk)]
        return () if self.files is None else self.files.parts(self.horizon)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """What curves come to.

    Attributes:
        aggregate: the sum and all figures.
        names: the names of the users, if their figures are to be told.
        worst: the places and names of the users with the most gaps and replaced readings.
    """

    aggregate: Aggregate
    names: tuple[str, ...]
    worst: tuple[tuple[int, str], ...]


def added(task: Task[Summing]) -> Answer[Summed]:
    """The sum of curves.

    Where figures of users are asked for, each must come once; to look for that takes another pass
    over files, so without such figures it is not looked for.

    Raises:
        InvalidProblem: a load is no number, or files are not such a data set.
    """
    started = perf_counter()
    asked, wishes = task.problem, task.problem.wishes
    parts = asked.parts()
    if asked.files is not None and wishes.users:
        asked.files.check_names(parts)
    return _answer(parts, asked.horizon, wishes, started)


def _answer(
    parts: Sequence[Part], horizon: Horizon, wishes: Wishes, started: float
) -> Answer[Summed]:
    several = in_threads(THREADS) if len(parts) > 1 else map
    found = aggregate(
        parts,
        horizon,
        windows=wishes.windows,
        tie_tolerance=wishes.tie_tolerance,
        levels=wishes.levels,
        price=None if wishes.price is None else wishes.price.value,
        rules=wishes.rules,
        run=several,
        local=several,
    )
    return Answer(
        solution=ended("sums in one pass"),
        found=_named(found, parts, wishes),
        solve_s=perf_counter() - started,
    )


def _named(found: Aggregate, parts: Sequence[Part], wishes: Wishes) -> Summed:
    """The sum with the names that are to be told with it, for which files are gone over again."""
    worst = _worst(found)
    if not wishes.users and not worst.size:
        return Summed(aggregate=found, names=(), worst=())
    names: list[str] = []
    known: dict[int, str] = {}
    first = 0
    for chunk in all_chunks(parts):
        its: Sequence[str] = chunk.names or ()
        if wishes.users:
            names.extend(its)
        for place in worst[(worst >= first) & (worst < first + len(its))].tolist():
            known[place] = str(its[place - first])
        first += chunk.user_count
    pairs = tuple((place, known[place]) for place in worst.tolist() if place in known)
    return Summed(aggregate=found, names=tuple(names), worst=pairs)


def _worst(found: Aggregate) -> np.ndarray:
    """The places of the users with the most gaps and replaced readings, the worst first."""
    its = found.completeness
    if its is None:
        return np.zeros(0, np.int64)
    faults = its.user_left.astype(np.int64) + its.user_filled.sum(axis=1)
    order = np.argsort(-faults, kind="stable")[:WORST]
    return order[faults[order] > 0]


class Adding:
    """The sum of curves that come in chunks, in memory for one chunk.

    Where figures of users are asked for, chunks wait in a temporary file, as the peak of all is
    known only after the last of them. Else none is kept, and of each user eight bytes, to tell
    whether one comes twice.
    """

    def __init__(self, horizon: Horizon, wishes: Wishes) -> None:
        self._wishes, self._horizon = wishes, horizon
        all_day = TimeWindows(names=("all",), index=np.zeros(horizon.count, np.int64))
        self._task = model.Task(
            horizon=horizon,
            windows=wishes.windows or all_day,
            tie_tolerance=wishes.tie_tolerance,
            levels=wishes.levels,
            price=None if wishes.price is None else wishes.price.value,
            rules=wishes.rules,
        )
        self._known: Partial = self._task.first_pass.nothing()
        self._spool = Spool() if wishes.users else None
        self._seen: list[np.ndarray] = []

    @property
    def user_count(self) -> int:
        """The number of users so far."""
        return sum(map(len, self._seen))

    def close(self) -> None:
        """Deletes what is kept of chunks."""
        if self._spool is not None:
            self._spool.close()

    def add(self, chunk: Chunk) -> None:
        """Adds the curves of some users.

        Raises:
            InvalidProblem: a load is no number, or too large.
        """
        names = chunk.names or ()
        self._seen.append(np.fromiter(map(hash, names), np.int64, len(names)))
        if self._spool is not None:
            self._spool.add(chunk)
            return
        judged: Sequence[Part] = [Rows(chunk)]
        if self._wishes.rules is not None:
            judged = completed(judged, self._horizon, self._wishes.rules)
        for one in all_chunks(judged):
            found = self._task.first_pass.of(one, np.zeros(0, np.int64))
            self._known = merge(self._known, replace(found, parts=()))

    def finish(self) -> Answer[Summed]:
        """The sum.

        Raises:
            InvalidProblem: there were no curves, or a user came twice.
        """
        started = perf_counter()
        seen = np.concatenate([np.zeros(0, np.int64), *self._seen])
        twice = seen.size - np.unique(seen).size
        if twice:
            said = f"come more than once, {twice} times in all; each user comes in one chunk"
            raise InvalidProblem([Violation("curves.names", said)])
        if self._spool is not None:
            return _answer(self._spool.parts(), self._horizon, self._wishes, started)
        nobody = Chunk(load_kw=np.zeros((0, self._horizon.count)))
        nothing = self._task.first_pass.of(nobody, np.zeros(0, np.int64))
        found = self._task.concluded(replace(self._known, parts=nothing.parts), [None])
        return Answer(
            solution=ended("sums in one pass"),
            found=Summed(aggregate=found, names=(), worst=()),
            solve_s=perf_counter() - started,
        )
