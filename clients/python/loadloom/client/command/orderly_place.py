"""Where schedules are kept: at a server, or in a folder of an engine of one's own."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from loadloom.client.client import Client
from loadloom.client.command.verbs import (
    SERVER_TROUBLE,
    WRONG_INPUT,
    Address,
    Trace,
    connected,
    fail,
    server_trouble,
)
from loadloom.client.connection import MESSAGE_BYTES
from loadloom.client.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    LoadloomError,
    NotFound,
    Unavailable,
)
from loadloom.client.orderly_plan import WeeklyPlan

REFUSED = 1
DATABASE = "loadloom.db"
PREFIX = "schedules/"

ID_LETTERS = 8
"""The letters of a schedule's id that are told in a list, enough to tell them apart."""

ELSEWHERE = "plan one, name another --store, or see `loadloom orderly list`"
"""What to do where a schedule is not found."""

TROUBLE = (Unavailable, DeadlineExceeded, InternalError)
"""The errors that are no answer of a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the schedules are: at a server, or in a folder of an engine of one's own."""

    server: str | None
    store: Path | None
    tls_ca: Path | None
    tls_certificate: Path | None
    tls_key: Path | None
    token_file: Path | None

    @property
    def address(self) -> Address:
        """The address of the server, if one was named."""
        return Address(
            server=self.server,
            tls_ca=self.tls_ca,
            tls_certificate=self.tls_certificate,
            tls_key=self.tls_key,
            token_file=self.token_file,
        )

    @property
    def database(self) -> Path:
        """The file in which an engine of one's own keeps schedules."""
        return (own_store() if self.store is None else self.store).resolve() / DATABASE

    @property
    def words(self) -> str:
        """The place in words."""
        return f"the server {self.server}" if self.server else str(self.database)

    def check(self) -> None:
        """Ends the program if there cannot be such a place."""
        self.address.check()
        if self.server is not None and self.store is not None:
            told = "--store is for an engine of one's own; the server has its own database"
            raise fail(WRONG_INPUT, told)


@contextmanager
def opened(place: Place, trace: Trace = str) -> Iterator[Client]:
    """A client of the place; ends the program with the right exit code when it gets no answer."""
    arguments: tuple[str, ...] = ()
    if place.server is None:
        _make_folder(place.database.parent)
        size = f"--limits.message-bytes={MESSAGE_BYTES}"
        arguments = (f"--database-url=sqlite:///{place.database}", size)
    with server_trouble(place.address, trace), connected(place.address, *arguments) as (client, _):
        try:
            yield client
        except NotFound as error:
            raise fail(WRONG_INPUT, str(error)) from None
        except (InvalidRequest, *TROUBLE):
            raise
        except LoadloomError as error:
            raise fail(REFUSED, str(error)) from None


def chosen(client: Client, said: str | None, place: Place, *, whole: bool = True) -> WeeklyPlan:
    """The schedule that is meant, the newest of several; ends the program if there is none."""
    known = sorted(client.list_schedules(), key=lambda plan: plan.create_time)
    if said is None or [plan for plan in known if said and said in (plan.title, plan.week.name)]:
        meant = [plan for plan in known if said in (None, plan.title, plan.week.name)]
    else:
        meant = [_of_id(known, said, place)]
    if not meant:
        raise fail(WRONG_INPUT, f"there is no schedule in {place.words}; {ELSEWHERE}")
    found = meant[-1]
    return client.get_schedule(found.name) if whole else found


def announced(client: Client, said: str | None, place: Place) -> WeeklyPlan:
    """The plan that was announced last of the schedule that is meant; ends the program without."""
    found = chosen(client, said, place, whole=False)
    if not found.published_revision:
        raise fail(REFUSED, f"{found.name} was never announced; publish it first")
    return client.get_schedule(found.name, revision=found.published_revision)


def named(client: Client, said: str, place: Place) -> WeeklyPlan:
    """The schedule of an id, as it is listed or whole; ends the program if there is not one."""
    return _of_id(list(client.list_schedules()), said, place)


def own_store() -> Path:
    """The folder where programs of this user keep state, which is where servers keep theirs."""
    home = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(home or Path.home() / ".local" / "state") / "loadloom"


def own_zone() -> str:
    """The IANA zone of this machine; UTC if it tells none."""
    said = os.environ.get("TZ", "").removeprefix(":")
    linked = str(Path("/etc/localtime").resolve()).rpartition("zoneinfo/")[2]
    for name in (said, linked):
        try:
            return ZoneInfo(name).key
        except (KeyError, ValueError, OSError):  # none, or not by its name
            continue
    return "UTC"


def _of_id(known: Sequence[WeeklyPlan], said: str, place: Place) -> WeeklyPlan:
    start = said.removeprefix(PREFIX).lower()
    found = [plan for plan in known if plan.name.startswith(PREFIX + start)]
    if len(start) < ID_LETTERS:
        found = []  # what is short is a title with a slip in it, or means another one tomorrow
    if len(found) != 1:
        many = f"{len(found)} schedules are" if found else "there is no schedule"
        raise fail(WRONG_INPUT, f"{many} {said!r} in {place.words}; {ELSEWHERE}")
    return found[0]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        told = f"--store {folder}: cannot be made: {error.strerror or error}"
        raise fail(SERVER_TROUBLE, told) from None
