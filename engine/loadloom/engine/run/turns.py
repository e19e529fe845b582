"""Places that calls take in turn, however many of them each call wants.

A batch may ask for many solves at once; whoever asks for one waits for one of the batch at most,
and not for all of them.
"""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

import anyio


class Turns:
    """A number of places."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: OrderedDict[Hashable, deque[anyio.Event]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, call: Hashable) -> AsyncIterator[None]:
        """A place for a call, held while the block lasts."""
        await self._take(call)
        try:
            yield
        finally:
            self._give()

    async def _take(self, call: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        turn = anyio.Event()
        self._waiting.setdefault(call, deque()).append(turn)
        try:
            await turn.wait()
        except BaseException:  # cancelled
            if turn.is_set():
                self._give()
            else:
                self._leave(call, turn)
            raise

    def _leave(self, call: Hashable, turn: anyio.Event) -> None:
        self._waiting[call].remove(turn)
        if not self._waiting[call]:
            del self._waiting[call]

    def _give(self) -> None:
        """Gives a place to the call that has waited longest since it last got one."""
        if not self._waiting:
            self._free += 1
            return
        call, turns = self._waiting.popitem(last=False)
        turns.popleft().set()
        if turns:
            self._waiting[call] = turns
