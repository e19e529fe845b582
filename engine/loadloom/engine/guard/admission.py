"""How much may be under way at once; what comes beyond it is shed, with word when to try again."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits

OURS = "/loadloom."
"""How the methods begin whose calls are work; all others are questions about the server."""

ABOUT = "/loadloom.v1.SystemService/"
"""How the methods of ours begin that are a question about the server all the same."""

WAITS = ("/loadloom.v1.OperationEventService/", "/loadloom.v1.OrderlyService/StreamNotices")
"""How methods of ours begin that wait and do no work; they have a limit of their own."""

STREAMS = (
    "/loadloom.v1.DispatchService/StreamPlanDispatch",
    "/loadloom.v1.AgencyService/AggregateLoadStream",
)
"""The methods whose calls may stay open for long, and work only while a batch is under way."""

SMALL_BYTES = 16 * 2**10
"""Requests up to this size are let in beside large ones; their number is limited all the same."""

SPENT_BYTES = 64 * 2**20
"""After requests of this size in all, memory is worth giving back: what they were read into lies in
freed pieces, and those that were refused hang in the frames of exceptions that hold each other."""

TENANT_RETRY_S = 1.0
"""The time after which one of the calls of a tenant may have ended."""

RELIEF_S = 0.1
"""How long after that the last of these requests is done with."""


@dataclass(slots=True)
class Places:
    """The calls of one kind under way, and the most that may be."""

    most: int
    what: str
    taken: int = 0

    def check(self) -> None:
        """Checks that there is a place for the call that was counted last.

        Raises:
            Refusal: there is none.
        """
        if self.taken > self.most:
            raise refusal.overloaded(self.most, self.what)


class Admission:
    """What is under way at one server."""

    def __init__(self, limits: Limits, relieved: Callable[[], None]) -> None:
        """An admission that calls `relieved` in a thread after requests of some size in all."""
        self._calls = Places(limits.calls_under_way, "calls")
        self._streams = Places(limits.streams_under_way, "streams")
        self._most_bytes, self._bytes, self._spent = limits.bytes_under_way, 0, 0
        self._most_of_tenant, self._of_tenant = limits.tenant_calls, Counter[str]()
        self._relieved = relieved

    @contextmanager
    def counted(self, method: str) -> Iterator[Places | None]:
        """Counts a call of a method while the block lasts; None for methods that are never shed."""
        places = self._places(method)
        if places is None:
            yield None
            return
        places.taken += 1
        try:
            yield places
        finally:
            places.taken -= 1

    @contextmanager
    def let_in(self, tenant: str, places: Places | None) -> Iterator[None]:
        """Lets a call that was counted be under way while the block lasts.

        Raises:
            Refusal: there is no place for it, among all or among those of its tenant.
        """
        if places is not None:
            places.check()
        if not self._most_of_tenant or places is not self._calls:
            yield
            return
        if self._of_tenant[tenant] >= self._most_of_tenant:
            raise refusal.over_quota(f"{self._most_of_tenant:,} calls under way", TENANT_RETRY_S)
        self._of_tenant[tenant] += 1
        try:
            yield
        finally:
            self._of_tenant[tenant] -= 1
            self._of_tenant += Counter()  # forgets those without any

    def _places(self, method: str) -> Places | None:
        if not method.startswith(OURS) or method.startswith((ABOUT, *WAITS)):
            return None
        return self._streams if method in STREAMS else self._calls

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Counts the bytes of a request while the block lasts.

        Raises:
            Refusal: it is large, and with it there are too many, not of this request alone.
        """
        if size > SMALL_BYTES and self._bytes and self._bytes + size > self._most_bytes:
            self._spend(size)
            raise refusal.overloaded(self._most_bytes, "bytes of requests")
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size
            self._spend(size)

    def _spend(self, size: int) -> None:
        self._spent += size if size > SMALL_BYTES else 0
        if self._spent >= SPENT_BYTES:
            self._spent = 0
            loop = asyncio.get_running_loop()
            loop.call_later(RELIEF_S, loop.run_in_executor, None, self._relieved)
