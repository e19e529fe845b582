"""The methods that services of kept things have in common: they solve, or ask the store."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar, TypeVarTuple, Unpack

import grpc
from google.protobuf.message import Message

from loadloom.engine.family import Family, Runner
from loadloom.engine.guard.calls import deadline
from loadloom.engine.services.desk import checked
from loadloom.engine.services.operations import Operations
from loadloom.engine.store.database import Database

D = TypeVar("D")
M = TypeVar("M", bound=Message)
A = TypeVar("A")
Arguments = TypeVarTuple("Arguments")

Method = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]
"""A method of a service, from bytes to bytes."""


class Methods(Generic[D]):
    """The methods of a service whose questions to the store are asked at a desk.

    Attributes:
        desk: the desk at which the caller asks.
        refused: turns what the store raises into what callers are told.
    """

    def __init__(
        self,
        operations: Operations,
        runner: Runner,
        desk: Callable[[Database], D],
        refused: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._operations, self._runner = operations, runner
        self._desk, self._refused = desk, refused

    def solved(self, family: Family) -> Method:
        """The method that solves a request in a worker process."""

        async def method(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
            until = deadline(context, self._operations.settings)
            return await self._runner.respond(family, raw, until)

        return method

    def looked_up(self, kind: type[M], answer: Callable[[D, M], Message]) -> Method:
        """The method that answers a message from the database."""

        async def method(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:  # noqa: ARG001
            def asked(desk: D) -> bytes:
                return answer(desk, checked(kind, raw)).SerializeToString()

            return self._runner.sized(await self.ask(asked))

        return method

    async def ask(self, question: Callable[[D, Unpack[Arguments]], A], *arguments: *Arguments) -> A:
        """What a function returns from a desk, in a thread of the store."""

        def asked(database: Database) -> A:
            with self._refused():
                return question(self._desk(database), *arguments)

        return await self._operations.ask(asked)
