"""Where schedules are looked after: the database, whose they are, the clock, and the limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from loadloom.engine.answers.notices import Occasion
from loadloom.engine.convert.common import declared
from loadloom.engine.convert.notices import occasions
from loadloom.engine.family import decoded
from loadloom.engine.guard import refusal
from loadloom.engine.guard.roles import Caller
from loadloom.engine.settings import Limits
from loadloom.engine.store import schedules as store
from loadloom.engine.store.database import Database
from loadloom.engine.store.notices import NoSuchNotice, TooLate
from loadloom.engine.store.schedules import Clock, NoSuchSchedule, Overtaken, Schedule, WrongState
from loadloom.v1 import orderly_pb2 as pb

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a call about schedules works with.

    Attributes:
        database: where they are.
        caller: who asks.
        clock: tells the time, for a transaction.
        limits: what requests must keep.
    """

    database: Database
    caller: Caller
    clock: Clock
    limits: Limits

    @property
    def tenant(self) -> str:
        """Whose they are."""
        return self.caller.tenant

    def found(self, name: str) -> tuple[Schedule, float]:
        """The schedule of a name, and the time."""
        with self.database.reading() as connection:
            return store.find(connection, self.tenant, name), self.clock(connection)

    def plan(self, schedule: Schedule, revision: int) -> tuple[store.Revision, pb.WeeklySchedule]:
        """A plan of a schedule, and its message."""
        with self.database.reading() as connection:
            plan = store.plan(connection, schedule, revision)
        return plan, pb.WeeklySchedule.FromString(plan.response)

    def commission(self, schedule: Schedule, plan: store.Revision) -> bytes:
        """The commission of a plan, which is as large as what the planner sent."""
        with self.database.reading() as connection:
            return plan.commission + store.request(connection, schedule)

    def announced(self, schedule: Schedule) -> tuple[pb.WeeklySchedule, dict[str, Occasion]]:
        """The plan that was announced last, and what it announces.

        Raises:
            Refusal: none was.
        """
        if not schedule.published_revision:
            raise refusal.wrong_state(f"{schedule.name} is not announced to its users yet")
        _, message = self.plan(schedule, schedule.published_revision)
        return message, occasions(message)


def checked(kind: type[M], raw: bytes) -> M:
    """The message in the bytes, whose declared rules it keeps.

    Raises:
        Refusal: the bytes are no such message, or it breaks rules.
    """
    message = decoded(kind, raw)
    if violations := declared(message):
        raise refusal.invalid(violations)
    return message


@contextmanager
def refused() -> Iterator[None]:
    """Turns what the store raises about schedules into what callers are told."""
    try:
        yield
    except (NoSuchSchedule, NoSuchNotice) as error:
        raise refusal.not_found(str(error)) from error
    except WrongState as error:
        raise refusal.wrong_state(str(error)) from error
    except Overtaken as error:
        raise refusal.overtaken(str(error)) from error
    except TooLate as error:
        said = f"the event of {error} began before its user had been reached; it is not called"
        raise refusal.wrong_state(said) from error
