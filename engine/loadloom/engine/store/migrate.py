"""Brings a database to the schema of this code."""

import logging
from importlib.resources import as_file, files

from sqlalchemy import Connection, inspect, text

from loadloom.engine.settings import BadSettings
from loadloom.engine.store.database import Database, StoreAway

LOCK = 0x10AD_1003
"""The advisory lock of PostgreSQL under which one process at a time migrates."""


def migrate(database: Database) -> None:
    """Brings the database to the schema of this code, if it is older.

    Raises:
        BadSettings: the database is newer than this code.
        StoreAway: the database cannot be used now.
    """
    known = revisions()
    with database.reading() as connection:
        if _present(connection) == known[-1]:
            return
    with database.writing() as connection:
        if not database.is_sqlite:  # there the transaction is the lock
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        present = _present(connection)
        if present not in (None, *known):
            raise BadSettings(
                f"database_url: the database has schema {present}, which is newer than this "
                "version of Loadloom; install the version that made it"
            )
        if present != known[-1]:
            _upgrade(connection)


def revisions() -> list[str]:
    """The revisions of the schema in order, which begin the names of their files."""
    folder = files("loadloom.engine.store") / "migrations" / "versions"
    names = (file.name.partition("_")[0] for file in folder.iterdir())
    return sorted(name for name in names if name.isdecimal())


def _present(connection: Connection) -> str | None:
    """The revision of the database; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of itself as it is loaded
    # It takes 0.2 s to load, and most servers find their database as they left it.
    from alembic import command
    from alembic.config import Config

    with as_file(files("loadloom.engine.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def prepared(url: str) -> Database:
    """The database of a URL, with the schema of this code.

    Raises:
        BadSettings: nothing can be made of the URL, or the database is newer than this code.
        OSError: the database cannot be used.
    """
    database = Database(url)
    try:
        migrate(database)
    except StoreAway as error:
        raise OSError(f"cannot use the database of operations: {error}") from error
    return database
