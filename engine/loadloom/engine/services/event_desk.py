"""Where events are looked after: the database, whose they are, the clock, and the limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loadloom.engine.guard import refusal
from loadloom.engine.guard.roles import Caller, Role
from loadloom.engine.settings import Limits
from loadloom.engine.store import event_rows as rows
from loadloom.engine.store.database import Database
from loadloom.engine.store.event_rows import Event, NoSuchEvent
from loadloom.engine.store.operations import OtherRequest
from loadloom.engine.store.schedules import Clock, Overtaken, WrongState
from loadloom.v1 import response_pb2 as pb

PLAIN_BYTES = 4 * 2**20
"""The largest message that gRPC takes unless its caller says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a call about events works with.

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
        """Whose the events are."""
        return self.caller.tenant

    @property
    def member(self) -> str:
        """The customer through whose eyes to look; empty for those who see all."""
        return self.caller.user if self.caller.role is Role.MEMBER else ""

    @property
    def page_bytes(self) -> int:
        """About the size of a page."""
        return min(self.limits.message_bytes, PLAIN_BYTES) // 2

    def found(self, name: str) -> Event:
        """The event of a name; for a member one that has called it.

        Raises:
            NoSuchEvent: there is none.
        """
        with self.database.reading() as connection:
            event = rows.find(connection, self.tenant, name)
            if self.member and not rows.knows(connection, event, self.member):
                raise NoSuchEvent(name)
        return event

    def request(self, event: Event) -> pb.CreateEventRequest:
        """What an event was asked with, completed."""
        with self.database.reading() as connection:
            return pb.CreateEventRequest.FromString(rows.request(connection, event))


@contextmanager
def refused() -> Iterator[None]:
    """Turns what the store raises about events into what callers are told."""
    try:
        yield
    except NoSuchEvent as error:
        raise refusal.not_found(str(error)) from error
    except OtherRequest as error:
        raise refusal.other_request(str(error)) from error
    except WrongState as error:
        raise refusal.wrong_state(str(error)) from error
    except Overtaken as error:
        raise refusal.overtaken(str(error)) from error
