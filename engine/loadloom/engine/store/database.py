"""The database: connections, transactions, its clock, and what to do when it is away.

SQLite is one file for all processes of a machine; PostgreSQL serves several machines. Nothing here
is for the event loop: every function waits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, Engine, Float, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from loadloom.engine.settings import BadSettings

BUSY_S = 5.0
"""The longest wait for another writer of a SQLite file, who may be frozen in the middle of it."""

STUCK_S = 0.02
"""The longest wait once one has waited in vain: nobody queues behind a frozen writer."""

LOOK_S = 0.001
"""How often to look whether another process has finished writing to a SQLite file."""

CONNECT_S, STATEMENT_MS = 5, 10_000
"""The longest waits for PostgreSQL: to connect, and for one statement."""

IDLE_MS = 3_000
"""The longest pause within a transaction, after which PostgreSQL takes a process for frozen."""

CONNECTIONS = 16
"""The most connections of one process; they are made when they are needed."""

IMMEDIATE = "loadloom_immediate"


class StoreAway(Exception):  # noqa: N818 -- it names the database's state
    """The database cannot be used now: it is away, locked for too long, or its disk is full.

    What was being written may or may not be in it.
    """


class now(FunctionElement[float]):  # noqa: N801 -- reads as the function of SQL that it is
    """The database's own time, in seconds since 1970."""

    type = Float(53)
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(*_: Any, **__: Any) -> str:  # noqa: ANN401 -- as SQLAlchemy calls it
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgresql_now(*_: Any, **__: Any) -> str:  # noqa: ANN401 -- as SQLAlchemy calls it
    return "CAST(extract(epoch FROM statement_timestamp()) AS double precision)"


class Database:
    """A database that is there when it is asked; any thread may use it.

    Attributes:
        is_sqlite: whether it is a file of this machine.
        engine: SQLAlchemy's view of it.
    """

    def __init__(self, url: str) -> None:
        """Prepares connections to the database of a URL.

        Raises:
            BadSettings: nothing can be made of the URL.
        """
        parsed = _parsed(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.engine = _sqlite(parsed) if self.is_sqlite else _postgresql(parsed)
        options = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reader = self.engine.execution_options(**options)
        self._writer = self.engine.execution_options(**{IMMEDIATE: True})
        self._pen, self._stuck = Lock(), False
        if self.is_sqlite:
            event.listen(self.engine, "begin", self._begin_sqlite)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for questions.

        Raises:
            StoreAway: the database cannot be used now.
        """
        with _away(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, which is committed when the block has ended.

        Writers of a SQLite file wait for each other by polling; those of one process therefore line
        up before it.

        Raises:
            StoreAway: the database cannot be used now.
        """
        with _away(), self._turn(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The turn of a writer among those of this process."""
        if not self.is_sqlite:
            yield
            return
        if not self._pen.acquire(timeout=self._patience_s):
            raise StoreAway("other writers wait for the database already")
        try:
            yield
        finally:
            self._pen.release()

    @property
    def _patience_s(self) -> float:
        return STUCK_S if self._stuck else BUSY_S

    def _begin_sqlite(self, connection: Connection) -> None:
        """Begins a transaction; one that will write takes its turn at once, and fails here or not.

        SQLite's own wait for another process looks again only after up to 100 ms.
        """
        if not connection.get_execution_options().get(IMMEDIATE, False):
            connection.exec_driver_sql("BEGIN")
            return
        until = monotonic() + self._patience_s
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            while not _begun(connection):
                if monotonic() > until:
                    self._stuck = True
                    raise StoreAway("another process has not finished writing to the database")
                sleep(LOOK_S)
            self._stuck = False
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(1000 * BUSY_S)}")

    def close(self) -> None:
        """Closes the connections that nobody uses."""
        self.engine.dispose()


@contextmanager
def _away() -> Iterator[None]:
    """Turns the errors of a database that cannot be used into one."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise StoreAway(_sentence(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreAway(_sentence(error)) from error
        raise


def _sentence(error: Exception) -> str:
    """What the database says, without the statement and its values."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return said.splitlines()[0] if said else type(error).__name__


def _parsed(url: str) -> URL:
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if not parsed.database or ":memory:" in parsed.database:
        raise BadSettings("database_url: a database in memory cannot be shared with workers")
    return parsed


def _sqlite(url: URL) -> Engine:
    file = Path(url.database or "")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadSettings(f"database_url: cannot make {file.parent}: {error}") from error
    engine = create_engine(
        url, connect_args={"timeout": BUSY_S}, max_overflow=0, pool_size=CONNECTIONS
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:  # noqa: ANN401 -- the driver's own
    """Sets up a connection: transactions begin as we say, and a commit is on the disk."""
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begun(connection: Connection) -> bool:
    """Whether a writing transaction has begun; not while another process writes."""
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        return False
    return True


def _postgresql(url: URL) -> Engine:
    limits = {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": STATEMENT_MS,
        "options": (
            f"-c statement_timeout={STATEMENT_MS} -c idle_in_transaction_session_timeout={IDLE_MS}"
        ),
    }
    try:
        return create_engine(
            url, connect_args=limits, max_overflow=0, pool_size=CONNECTIONS, pool_pre_ping=True
        )
    except ModuleNotFoundError as error:
        raise BadSettings(
            "database_url: PostgreSQL needs its driver; install it: pip install "
            "'loadloom[postgres]'"
        ) from error
