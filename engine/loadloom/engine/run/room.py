"""The room that the batches of all streams share, so that many streams need no more than a few.

A batch takes room for its values before it is solved and gives it back when its answer is written.
Turns are taken in the order of asking, and a stream asks for one batch at a time, so nobody waits
for more than one batch of every other stream. A caller that does not read its answers is cut off
when others wait.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import anyio

LOOKS = 4
"""How often to look for unread answers in the time that one may stay unread."""


class Room:
    """Room for a number of values."""

    def __init__(self, points: int, unread_s: float) -> None:
        self._points = self._free = points
        self.unread_s = unread_s
        self._turns: deque[tuple[int, anyio.Event]] = deque()
        self._unread: dict[anyio.CancelScope, float] = {}

    @property
    def taken(self) -> int:
        """The values that there is no room for any more."""
        return self._points - self._free

    async def take(self, points: int, stream: anyio.CancelScope) -> int:
        """Waits for room for so many values; returns what to give back, which is at most all."""
        points = min(points, self._points)
        turn = anyio.Event()
        self._turns.append((points, turn))
        self._admit()
        try:
            while not turn.is_set():
                with anyio.move_on_after(self.unread_s / LOOKS):
                    await turn.wait()
                    break
                self._end_unread(stream)
        except BaseException:  # cancelled
            if turn.is_set():
                self.give(points)
            else:
                self._turns.remove((points, turn))
                self._admit()
            raise
        return points

    def give(self, points: int) -> None:
        """Gives room back."""
        self._free += points
        self._admit()

    @contextmanager
    def unread(self, stream: anyio.CancelScope) -> Iterator[None]:
        """Marks that an answer of a stream waits to be read, which must not take too long."""
        self._unread[stream] = monotonic()
        try:
            yield
        finally:
            del self._unread[stream]

    def _admit(self) -> None:
        while self._turns and self._turns[0][0] <= self._free:
            points, turn = self._turns.popleft()
            self._free -= points
            turn.set()

    def _end_unread(self, waiting: anyio.CancelScope) -> None:
        """Ends the streams, but for the one that waits, whose answers were unread for too long."""
        oldest = monotonic() - self.unread_s
        for stream, since in self._unread.items():
            if since <= oldest and stream is not waiting:
                stream.cancel()
