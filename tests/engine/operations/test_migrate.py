"""The schema: made once, whoever asks, and never by older code over newer."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import loadloom.engine.store
from loadloom.engine.settings import BadSettings
from loadloom.engine.store.database import Database
from loadloom.engine.store.migrate import migrate, prepared, revisions
from loadloom.engine.store.schema import metadata


def test_a_fresh_database_gets_the_tables_that_the_code_knows(database):
    for module in iter_modules(loadloom.engine.store.__path__):  # families add tables of their own
        import_module(f"loadloom.engine.store.{module.name}")
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_again_changes_nothing(database):
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE mine (a INTEGER)"))
    migrate(database)
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM mine")).scalar() == 0


def test_files_are_named_after_their_revisions_in_order():
    folder = Path(loadloom.engine.store.__path__[0]) / "migrations"
    scripts = ScriptDirectory(str(folder)).walk_revisions("base", "heads")
    assert revisions() == [script.revision for script in scripts][::-1]


def test_many_at_once_make_it_once(url):
    def make(_: int) -> None:
        prepared(url).close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(16)))


def test_a_newer_database_is_refused_in_a_sentence(database):
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BadSettings, match="schema 9999, which is newer than this version"):
        migrate(database)


def test_a_database_in_memory_is_refused():
    with pytest.raises(BadSettings, match="in memory"):
        Database("sqlite:///:memory:")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadSettings, match="cannot make"):
        Database(f"sqlite:///{tmp_path}/file/folder/db")


def test_a_database_that_is_away_is_told(tmp_path):
    with pytest.raises(OSError, match="cannot use the database of operations"):
        prepared(f"postgresql://postgres@/none?host={tmp_path}")


def test_the_folder_of_the_database_is_the_users_own(tmp_path):
    prepared(f"sqlite:///{tmp_path}/state/loadloom/db").close()
    assert Path(tmp_path / "state/loadloom").stat().st_mode & 0o077 == 0
