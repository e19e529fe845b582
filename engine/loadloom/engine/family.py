"""The one path of every family: bytes, message, problem, solution, referee, message, bytes."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from time import perf_counter
from typing import Generic, Protocol, TypeVar

import anyio
from google.protobuf.message import DecodeError, Message

from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import Deadline, caller, note
from loadloom.engine.guard.edge import faults_refused
from loadloom.engine.guard.metrics import Metrics
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.run.lanes import Lane, Workers
from loadloom.engine.run.room import Room
from loadloom.engine.settings import Limits, Settings
from loadloom.engine.task import Answered, Origin, Task
from loadloom.models.certificate import Certificate
from loadloom.models.checks import InvalidProblem
from loadloom.models.options import Method
from loadloom.solvers.termination import Termination


class Solved(Protocol):
    """What every family's solution says of itself."""

    @property
    def termination(self) -> Termination: ...  # noqa: D102 -- named by the models
    @property
    def method(self) -> Method: ...  # noqa: D102 -- named by the models
    @property
    def road(self) -> str: ...  # noqa: D102 -- named by the models


class Refereed(Protocol):
    """What every family's answer says of itself."""

    @property
    def solution(self) -> Solved: ...  # noqa: D102 -- named by the answers
    @property
    def certificate(self) -> Certificate | None: ...  # noqa: D102 -- named by the answers
    @property
    def solve_s(self) -> float: ...  # noqa: D102 -- named by the answers


M = TypeVar("M", bound=Message)
P = TypeVar("P")
A = TypeVar("A", bound=Refereed)
M_co = TypeVar("M_co", bound=Message, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[M_co]):
    """A request that has been read: its bytes, their digest, and the message in them."""

    raw: bytes
    digest: str
    message: M_co


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[M, P, A]):
    """A kind of task, solved in a worker process.

    Attributes:
        name: the name of its family, the same in every layer.
        parse: reads the message; raises Refusal.
        solve: the refereed answer; a function that a worker process can import.
        sizes: the sizes of a problem for the log.
        points: the values of the problem of a message, where there may be many more than the
            message has: then it waits for room among others. None for no wait.
    """

    name: str
    parse: Callable[[M, Limits], Task[P]]
    solve: Callable[[Task[P]], A]
    sizes: Callable[[P], dict[str, int]]
    points: Callable[[M], int] | None = None


def _never(_: object) -> bool:
    """No task is light."""
    return False


def _in_a_worker(_: object) -> None:
    """No task has a quick answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(Kind[M, P, A]):
    """A kind of task whose answer is a response, and which may be quick enough for a thread.

    Attributes:
        request: the message that asks for one answer.
        render: writes the response.
        light: whether a task is quick enough for a thread.
        quick: the refereed answer to a light task, or None if it needs a worker after all.
        large: the field of the request that makes an answer too large to send.
    """

    request: type[M]
    render: Callable[[Task[P], A, Origin], Message]
    light: Callable[[Task[P]], bool] = _never
    quick: Callable[[Task[P]], A | None] = _in_a_worker
    large: str = "detail"


Outcome = Answered[P, A] | Refusal
"""What comes of a task: its answer, or why there is none."""


class Runner:
    """Takes the tasks of all families through the lanes."""

    def __init__(self, settings: Settings, metrics: Metrics, workers: Workers) -> None:
        self.limits, self.metrics, self._workers = settings.limits, metrics, workers
        self._single, self.bulk = Lane(settings.single_threads), Lane(settings.bulk_threads)
        self.room = Room(settings.limits.points_under_way, settings.unread_s)
        # Single answers have their own, so that streams do not wait for the time of a solve.
        self._unary_room = Room(settings.limits.points_under_way, settings.unread_s)
        self.setup_s, self.silence_s = settings.setup_s, settings.silence_s
        metrics.points.set_function(lambda: self.room.taken)

    async def respond(self, family: Family[M, P, A], raw: bytes, deadline: Deadline) -> bytes:
        """The bytes of the response to a request for one answer.

        Raises:
            Refusal: the request breaks rules or limits, or nothing was found in time.
        """
        arrived = perf_counter()
        if family.points is None:
            return await self._respond(
                family, partial(read, family.request, raw), arrived, deadline
            )
        asked = await self._single.run(read, family.request, raw)
        async with self._in_room(family, asked.message, deadline):
            return await self._respond(family, lambda: asked, arrived, deadline)

    async def _respond(
        self,
        family: Family[M, P, A],
        reader: Callable[[], Asked[M]],
        arrived: float,
        deadline: Deadline,
    ) -> bytes:
        def begin() -> bytes | tuple[Task[P], Origin]:
            queue_s = perf_counter() - arrived
            task, origin = self._begin(family, reader(), queue_s)
            answered = self._quickly(family, task, origin, deadline)
            return (task, origin) if answered is None else render(answered)

        def render(answered: Answered[P, A]) -> bytes:
            _note(answered.answer)
            response = family.render(answered.task, answered.answer, answered.origin)
            return self.sized(response.SerializeToString(), family.large)

        begun = await self._single.run(begin)
        if isinstance(begun, bytes):
            return begun
        return await self._single.run(render, await self.solved(family, *begun, deadline))

    async def answered(
        self, kind: Kind[M, P, A], asked: Asked[M], deadline: Deadline
    ) -> Answered[P, A]:
        """The answer to a request from a worker process, for whoever keeps it before it is told.

        Raises:
            Refusal: the request breaks rules or limits, or nothing was found in time.
        """
        arrived = perf_counter()

        def begin() -> tuple[Task[P], Origin]:
            return self._begin(kind, asked, perf_counter() - arrived)

        async with self._in_room(kind, asked.message, deadline):
            found = await self.solved(kind, *(await self._single.run(begin)), deadline)
        _note(found.answer)
        return found

    @asynccontextmanager
    async def _in_room(
        self, kind: Kind[M, P, A], message: M, deadline: Deadline
    ) -> AsyncIterator[None]:
        """Holds room for the values of a message, when it is this call's turn.

        Raises:
            Refusal: the call's time is over before that.
        """
        if kind.points is None:
            yield
            return
        taken = None
        with anyio.move_on_after(deadline.remaining_s):
            taken = await self._unary_room.take(kind.points(message), anyio.CancelScope())
        if taken is None:
            raise refusal.out_of_time("the time of the call ran out before there was room for it")
        try:
            yield
        finally:
            self._unary_room.give(taken)

    async def outcomes(
        self,
        family: Family[M, P, A],
        parsers: Sequence[Callable[[], Task[P]]],
        origin: Origin,
        deadline: Deadline,
    ) -> list[Outcome[P, A]]:
        """The outcome of each task, in order; whatever befalls one leaves the others alone."""

        def begin() -> list[Outcome[P, A] | Task[P]]:
            return [self._begun(family, parse, origin, deadline) for parse in parsers]

        found = await self.bulk.run(begin)
        settled: dict[int, Outcome[P, A]] = {}

        async def settle(index: int, task: Task[P]) -> None:
            try:
                with faults_refused():
                    settled[index] = await self.solved(family, task, origin, deadline)
            except Refusal as refused:
                settled[index] = refused

        async with anyio.create_task_group() as group:
            for index, outcome in enumerate(found):
                if isinstance(outcome, Task):
                    group.start_soon(settle, index, outcome)
                else:
                    settled[index] = outcome
        return [settled[index] for index in range(len(found))]

    def sized(self, response: bytes, path: str = "detail") -> bytes:
        """The response, unless it is too large to send, for which the field at `path` is to blame.

        Raises:
            Refusal: it is.
        """
        most = self.limits.message_bytes
        if len(response) <= most:
            return response
        raise refusal.too_large(path, "bytes in a message", len(response), most)

    def _begin(
        self, kind: Kind[M, P, A], asked: Asked[M], queue_s: float
    ) -> tuple[Task[P], Origin]:
        """The task of a request and where its answer will come from."""
        task = kind.parse(asked.message, self.limits)
        note(family=kind.name, **kind.sizes(task.problem))
        return task, Origin(digest=asked.digest, queue_s=queue_s)

    def _begun(
        self,
        family: Family[M, P, A],
        parse: Callable[[], Task[P]],
        origin: Origin,
        deadline: Deadline,
    ) -> Outcome[P, A] | Task[P]:
        """The outcome of a task, or the task if it is not to be had quickly."""
        try:
            with faults_refused():
                task = parse()
                return self._quickly(family, task, origin, deadline) or task
        except Refusal as refused:
            return refused

    def _quickly(
        self, family: Family[M, P, A], task: Task[P], origin: Origin, deadline: Deadline
    ) -> Answered[P, A] | None:
        """The answer if it is to be had in this thread within milliseconds."""
        try:
            if not family.light(task):
                return None
            answer = family.quick(task.within(self._left_s(deadline)))
        except InvalidProblem as error:  # the wishes do not fit the problem
            raise refusal.invalid(error.violations) from error
        return None if answer is None else self._counted(family, task, answer, origin)

    async def solved(
        self, kind: Kind[M, P, A], task: Task[P], origin: Origin, deadline: Deadline
    ) -> Answered[P, A]:
        """The answer from a worker process.

        Raises:
            Refusal: nothing was found in time, the task is at fault, or the worker failed.
        """
        arrived = perf_counter()
        if task.warm_key:
            task = task.of_tenant(caller().tenant)
        async with self._workers.ready(task.warm_key) as pid:
            waited_s = perf_counter() - arrived
            limited = task.within(self._left_s(deadline))
            try:
                answer = await self._workers.run(
                    kind.solve, limited, limit_s=limited.options.time_limit_s, pid=pid
                )
            except InvalidProblem as error:  # the wishes do not fit the problem
                raise refusal.invalid(error.violations) from error
        origin = replace(origin, queue_s=origin.queue_s + waited_s)
        return self._counted(kind, task, answer, origin)

    def _left_s(self, deadline: Deadline) -> float:
        """The time that a solve may take now."""
        left_s = min(self.limits.solve_seconds, deadline.remaining_s)
        if left_s <= 0.0:
            raise refusal.out_of_time("the time of the call ran out before the solve began")
        return left_s

    def _counted(
        self, kind: Kind[M, P, A], task: Task[P], answer: A, origin: Origin
    ) -> Answered[P, A]:
        solution = answer.solution
        reason = solution.termination.reason.value
        self.metrics.sites.labels(kind.name, reason).inc()
        self.metrics.solve_seconds.labels(kind.name, solution.method.value).observe(answer.solve_s)
        return Answered(task=task, answer=answer, origin=origin)


def read(message: type[M], raw: bytes) -> Asked[M]:
    """A request in bytes.

    Raises:
        Refusal: the bytes are not such a message.
    """
    return Asked(raw=raw, digest=digest(raw), message=decoded(message, raw))


def decoded(message: type[M], raw: bytes) -> M:
    """The message in the bytes.

    Raises:
        Refusal: the bytes are not such a message.
    """
    try:
        return message.FromString(raw)
    except DecodeError as error:
        name = message.DESCRIPTOR.full_name
        raise refusal.malformed(f"the bytes are not a message {name}") from error


def digest(raw: bytes) -> str:
    """The SHA-256 digest of a request, in hexadecimal."""
    return sha256(raw).hexdigest()


def _note(answer: Refereed) -> None:
    """Tells the log what came of the call."""
    proof = answer.certificate
    note(
        road=answer.solution.road,
        reason=answer.solution.termination.reason.value,
        objective=None if proof is None else proof.objective,
        gap=None if proof is None else proof.relative_gap,
        solve_s=answer.solve_s,
    )
