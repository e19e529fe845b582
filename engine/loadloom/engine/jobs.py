"""Jobs: methods whose answer takes longer than a call, and how their solves tell of themselves.

    def solve(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
        ...
        while deadline.remaining_s > 0 and improve(plan):
            if progress.report(value=plan.cost, bound=bound, best=lambda: render(plan)):
                break  # a caller cancelled; nobody reads the response any more
        return render(plan)

    JOB = Job(
        method="loadloom.v1.OrderlyService/CreateSchedule",
        request=pb.CreateScheduleRequest,
        response=pb.WeeklySchedule,
        solve=solve,
        loads=("loadloom.models.orderly.solve",),
    )

A solve has a process of its own, which is killed when it does not stop by itself: half a second
after it was told to, or `overrun_s` after its deadline. The best response that it reported is the
answer then, if it was late. A Refusal that it raises is the operation's error. Whatever else ends
the process is tried again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from time import monotonic

from google.protobuf.message import Message
from sqlalchemy import Connection

from loadloom.engine.guard.calls import Deadline
from loadloom.engine.settings import Settings
from loadloom.engine.store.claims import Claim, Keep
from loadloom.engine.store.operations import Standing

REPORT_S = 0.1
"""The shortest time between two events of a solve."""

BEST_SHARE = 0.1
"""The most of a solve's time that goes into writing responses that are the last only maybe."""

ASK_S = 0.002
"""The shortest time between two looks for a cancel, each some microseconds long."""


def _to_nobody(part: bytes) -> None:
    """Takes a part of what is kept, and keeps it nowhere."""


class Progress:
    """What a solve tells while it runs, and is told."""

    def __init__(
        self,
        send: Callable[[Standing, bytes | None], None],
        cancel_asked: Callable[[], bool],
        hand: Callable[[bytes], None] = _to_nobody,
    ) -> None:
        self._send, self._ask, self._hand = send, cancel_asked, hand
        self._standing = Standing()
        self._sent_s = self._asked_s = self._best_s = -inf
        self._cancelled = False

    def report(
        self,
        *,
        value: float | None = None,
        bound: float | None = None,
        relative_gap: float | None = None,
        phase: str | None = None,
        best: Callable[[], bytes] | None = None,
    ) -> bool:
        """Whether the solve should stop because a caller cancelled it.

        What is reported sooner than `REPORT_S` after the last event is told with the next; a new
        phase is told at once.

        Args:
            value: the value of the best plan so far.
            bound: the proven bound.
            relative_gap: the gap between the two, as the family defines it.
            phase: what the solve does now.
            best: writes the response if this plan is the last; it is called only when it is sent,
                and not before the time that it took the last time is `BEST_SHARE` of what passed.
        """
        news = {"value": value, "bound": bound, "relative_gap": relative_gap, "phase": phase}
        changes = {name: one for name, one in news.items() if one is not None}
        entered = phase not in {None, self._standing.phase}
        self._standing = replace(self._standing, **changes)
        if entered or monotonic() >= self._sent_s + REPORT_S:
            self._tell(best)
        return self.cancelled

    def _tell(self, best: Callable[[], bytes] | None) -> None:
        began = monotonic()
        written = best is not None and began >= self._best_s
        self._send(self._standing, best() if best is not None and written else None)
        self._sent_s = monotonic()
        if written:
            self._best_s = self._sent_s + (self._sent_s - began) / BEST_SHARE

    def keep(self, part: bytes) -> None:
        """Hands over a part of what is kept beside the response, for the job's `keep_part`.

        Parts are written as they come, so that none is too much for the database at once. Nobody
        sees them before the operation has succeeded, or those of an attempt that did not end it.
        """
        self._hand(part)

    @property
    def cancelled(self) -> bool:
        """Whether a caller cancelled the operation; cheap enough to be asked in a loop."""
        if not self._cancelled and monotonic() >= self._asked_s + ASK_S:
            self._cancelled = self._ask()
            self._asked_s = monotonic()
        return self._cancelled


Solve = Callable[[bytes, Progress, Deadline], bytes]

Equip = Callable[[bytes, Settings], bytes]


def as_it_is(request: bytes, settings: Settings) -> bytes:  # noqa: ARG001 -- an Equip
    """The request itself: the solve needs nothing else."""
    return request


def keep_nothing(connection: Connection, claim: Claim, response: bytes) -> None:
    """Writes nothing: the response alone is what there is to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A method that is solved as a job.

    Attributes:
        method: the service's full name, a slash, and the method's name.
        request: the message of the request.
        response: the message of the response.
        solve: the bytes of the response to those of the request; a function of a module, which is
            imported by the server too, so it imports what is heavy when it runs.
        loads: the modules to load ahead for it, where processes of solves come from; a module may
            compile its kernels as it is loaded, but must leave no thread behind.
        keep: writes what else there is to keep of a response into the database, in the transaction
            that ends the operation, and thus exactly once. It runs in the worker, and is quick.
        keep_part: writes a part that the solve handed over, under the number of its attempt; it may
            come again when it is not known whether it was written.
        equip: what the solve is given in place of the request: with what the worker's own settings
            say beside, which is kept in no database.
    """

    method: str
    request: type[Message]
    response: type[Message]
    solve: Solve
    loads: tuple[str, ...] = ()
    keep: Keep = keep_nothing
    keep_part: Keep = keep_nothing
    equip: Equip = as_it_is
