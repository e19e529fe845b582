"""Load curves added up; what runs in a worker process, and chunk by chunk in threads."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from loadloom.engine.answers.agency import Answer, ended
from loadloom.engine.answers.files import Files
from loadloom.engine.datasets.data_set import Layout
from loadloom.engine.datasets.spool import Kept, Spool
from loadloom.engine.guard import refusal
from loadloom.engine.run.cluster import NoCluster, connected, on_cluster
from loadloom.engine.settings import Limits
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
    merge,
)
from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.agency.windows import TimeWindows
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.crew import Found, Item, Run, in_threads
from loadloom.models.horizon import Horizon
from loadloom.solvers.kernels.curves import BIN_COUNT

THREADS = 2
"""The threads that add up the parts of files."""

USER_BYTES = 100
"""About what the figures of a user take in the answer."""

_OF_LOADS = re.compile(r"^load_kw(?:\[(\d+)(?:, (\d+))?\])?$")
"""The paths of the model that are about curves, or a user's, or one reading of a user."""

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
    """Load curves to add up, from one of memory, files, and what a stream left.

    Attributes:
        horizon: the intervals.
        wishes: what to tell.
        most_points: how much the totals of areas may hold.
        chunk: the curves of a request.
        files: the files that a request names.
        spooled: the chunks of a stream.
        spans: the days and months to tell, in the numbers of the proto.
        cluster: the scheduler of the cluster that adds up files; empty for this machine.
        cluster_folder: where readings in any order are spread out for the cluster; without it, this
            machine adds them up.
    """

    horizon: Horizon
    wishes: Wishes
    most_points: int
    chunk: Chunk | None = None
    files: Files | None = None
    spooled: tuple[Kept, ...] = ()
    spans: tuple[int, ...] = ()
    cluster: str = ""
    cluster_folder: str = ""

    @property
    def on_cluster(self) -> bool:
        """Whether a cluster adds up: files, and readings in any order where it sees their parts."""
        if not self.cluster or self.files is None:
            return False
        return self.files.data_set.layout is not Layout.LONG or bool(self.cluster_folder)

    @property
    def user_count(self) -> int:
        """The number of users; 0 where files have them."""
        return 0 if self.chunk is None else self.chunk.user_count

    def parts(self) -> Sequence[Part]:
        """The curves, piece by piece."""
        if self.chunk is not None:
            return [Rows(self.chunk)]
        if self.files is None:
            return self.spooled
        named = self.wishes.users or self.wishes.rules is not None
        folder = Path(self.cluster_folder) if self.on_cluster and self.cluster_folder else None
        parts = self.files.parts(self.horizon, with_names=named, folder=folder)
        return parts.each(partial(_Watched, areas=self.areas()))

    def areas(self) -> "Areas":
        """No areas so far."""
        return Areas(self.horizon.count, self.most_points)

    def renamed(self, violation: Violation) -> Violation:
        """The violation at the path of the message."""
        if self.files is not None and _OF_LOADS.match(violation.path):
            return Violation("data_set", violation.message)
        return _renamed(violation, self.chunk, "setup.options" if self.spooled else "options")


class Areas:
    """The areas so far, of which a total is kept each."""

    def __init__(self, slot_count: int, most_points: int) -> None:
        self._names: set[str] = set()
        self._slots, self._most = slot_count, most_points

    def add(self, path: str, names: Sequence[str]) -> None:
        """Adds areas.

        Raises:
            Refusal: their totals are too many values.
        """
        self._names.update(names)
        asked = len(self._names) * self._slots
        if asked > max(self._most, self._slots):
            what = "values of areas, one for each interval"
            raise refusal.too_large(path, what, asked, self._most)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A part of files whose areas are counted with those of the others."""

    part: Part
    areas: Areas

    def chunks(self) -> Iterator[Chunk]:
        """The chunks of the part."""
        for chunk in self.part.chunks():
            self.areas.add("data_set.area_column", chunk.group_names)
            yield chunk


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
        Refusal: the totals of areas are too many, or there is no cluster.
    """
    started = perf_counter()
    asked, wishes = task.problem, task.problem.wishes
    with _renaming(asked.renamed):
        parts = asked.parts()
        if asked.files is not None and wishes.users:
            asked.files.check_names(parts)
        summed = _summed(asked, parts)
    road = "sums in one pass" + (" on a cluster" if asked.on_cluster else "")
    return Answer(solution=ended(road), found=summed, solve_s=perf_counter() - started)


@contextmanager
def _renaming(name: Callable[[Violation], Violation]) -> Iterator[None]:
    """Tells of what is wrong at the paths of messages."""
    try:
        yield
    except InvalidProblem as error:
        raise InvalidProblem(map(name, error.violations)) from error


def _renamed(violation: Violation, chunk: Chunk | None, options: str) -> Violation:
    """The violation at the path of the message that the chunk came in, if it came in one."""
    single = chunk is not None and chunk.load_kw.dtype == np.float32
    if found := _OF_LOADS.match(violation.path):
        place = "" if found[2] is None else f"[{found[1]}][{found[2]}]"
        return Violation(f"curves.load_kw{'_float32' * single}{place}", violation.message)
    if violation.path == "levels":
        return Violation(f"{options}.quantiles", violation.message)
    return violation


def _summed(asked: Summing, parts: Sequence[Part]) -> Summed:
    wishes, local = asked.wishes, in_threads(THREADS) if len(parts) > 1 else map
    with _running(asked, local) as run:
        found = aggregate(
            parts,
            asked.horizon,
            windows=wishes.windows,
            tie_tolerance=wishes.tie_tolerance,
            levels=wishes.levels,
            price=None if wishes.price is None else wishes.price.value,
            rules=wishes.rules,
            run=run,
            local=local,
        )
    return _named(found, parts, wishes)


@contextmanager
def _running(asked: Summing, local: Run) -> Iterator[Run]:
    """Who goes over parts: the workers of a cluster, or `local` threads.

    Raises:
        Refusal: there is no cluster.
    """
    if not asked.on_cluster:
        yield local
        return
    try:
        with connected(asked.cluster) as client:
            yield _bounded(on_cluster(client), asked.areas())
    except NoCluster as error:
        raise refusal.no_cluster(str(error)) from error


def _bounded(run: Run, areas: Areas) -> Run:
    """A run whose parts count their areas elsewhere, each by itself: together they are few too."""

    def bounded(function: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
        for found in run(function, items):
            if isinstance(found, Partial):
                areas.add("data_set.area_column", found.totals.group_names)
            yield found

    return bounded


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
    whether one comes twice, and the total of each area.
    """

    def __init__(self, horizon: Horizon, wishes: Wishes, limits: Limits) -> None:
        self._wishes, self._horizon, self._limits = wishes, horizon, limits
        self._areas = Areas(horizon.count, limits.points)
        self._check_counts()
        self.user_count = 0
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

    def _check_counts(self) -> None:
        """Raises Refusal if the quantiles of so many intervals would be too much to keep."""
        asked, most = self._horizon.count * BIN_COUNT, self._limits.points_under_way
        if self._wishes.levels and asked > most:
            what = f"counts of loads, {BIN_COUNT:,} for each interval"
            raise refusal.too_large("setup.options.quantiles", what, asked, most)

    def close(self) -> None:
        """Deletes what is kept of chunks."""
        if self._spool is not None:
            self._spool.close()

    def add(self, chunk: Chunk) -> None:
        """Adds the curves of some users.

        Raises:
            InvalidProblem: a load is no number, or too large.
            Refusal: what is kept of all users and areas is too much.
        """
        names = chunk.names or ()
        self.user_count += chunk.user_count
        self._check_size(chunk)
        self._seen.append(np.fromiter(map(hash, names), np.int64, len(names)))
        if self._spool is not None:
            self._spool.add(chunk)
            return
        judged: Sequence[Part] = [Rows(chunk)]
        if self._wishes.rules is not None:
            judged = completed(judged, self._horizon, self._wishes.rules)
        with _renaming(lambda violation: _renamed(violation, chunk, "setup.options")):
            for one in all_chunks(judged):
                found = self._task.first_pass.of(one, np.zeros(0, np.int64))
                self._known = merge(self._known, replace(found, parts=()))

    def _check_size(self, chunk: Chunk) -> None:
        """Raises Refusal if too much would be kept with a chunk."""
        limits = self._limits
        if chunk.group is not None:
            self._areas.add("curves.areas", chunk.group_names)
        if self._spool is None:
            return
        most = limits.message_bytes // USER_BYTES
        if self.user_count > most:
            path = "setup.options.users"
            raise refusal.too_large(path, "users with figures", self.user_count, most)
        values = self.user_count * self._horizon.count
        if values > limits.curve_points:
            what = "values of users with figures"
            raise refusal.too_large("setup.options.users", what, values, limits.curve_points)

    def left(self, spans: Sequence[int]) -> Summing | None:
        """What is left to add up, by a process that sees the file of chunks; None for nothing.

        Raises:
            InvalidProblem: a user came twice.
        """
        self._check_names()
        if self._spool is None:
            return None
        return Summing(
            horizon=self._horizon,
            wishes=self._wishes,
            most_points=self._limits.points,
            spooled=tuple(self._spool.parts()),
            spans=tuple(spans),
        )

    def _check_names(self) -> None:
        seen = np.concatenate([np.zeros(0, np.int64), *self._seen])
        twice = seen.size - np.unique(seen).size
        if twice:
            said = f"come more than once, {twice} times in all; each user comes in one chunk"
            raise InvalidProblem([Violation("curves.names", said)])

    def finish(self) -> Summed:
        """The sum, where nothing is left to add up.

        Raises:
            InvalidProblem: there were no curves.
        """
        nobody = Chunk(load_kw=np.zeros((0, self._horizon.count)))
        nothing = self._task.first_pass.of(nobody, np.zeros(0, np.int64))
        with _renaming(lambda violation: _renamed(violation, None, "setup.options")):
            found = self._task.concluded(replace(self._known, parts=nothing.parts), [None])
        return Summed(aggregate=found, names=(), worst=())
