"""Brings a database to the schema of this code."""

import logging
from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

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
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with as_file(files("loadloom.engine.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        scripts = ScriptDirectory.from_config(config)
        known = {script.revision for script in scripts.walk_revisions()}
        with database.writing() as connection:
            if not database.is_sqlite:  # there the transaction is the lock
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            present = set(MigrationContext.configure(connection).get_current_heads())
            if present - known:
                raise BadSettings(
                    f"database_url: the database has schema {', '.join(sorted(present - known))}, "
                    "which is newer than this version of Loadloom; install the version that made it"
                )
            if present != set(scripts.get_heads()):
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
