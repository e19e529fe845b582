"""The migration that keeps the request of a schedule once, on data of the schema before it."""

from importlib.resources import as_file, files

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, column, insert, inspect, select, table

from loadloom.engine.convert.commissions import Commission, unpacked
from loadloom.engine.store.database import Database
from loadloom.engine.store.ledger import page
from loadloom.engine.store.schedule_tables import (
    schedule_requests,
    schedule_revisions,
    schedules,
)
from loadloom.engine.store.schema import operations
from loadloom.v1 import orderly_pb2 as pb
from tests.engine.services.orderly_weeks import week_request

NAMES = ("solved twice", "being solved")


@pytest.fixture
def old(url):
    """A database of the schema before, not yet filled."""
    database = Database(url)
    with database.writing() as connection:
        migrated(connection, "0002")
    yield database
    database.close()


def migrated(connection: Connection, revision: str, *, down: bool = False) -> None:
    with as_file(files("loadloom.engine.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)


def commission(name: str, revision: int) -> Commission:
    head = pb.WeeklySchedule(name=name, revision=revision)
    revise = pb.ReviseScheduleRequest(name=name) if revision > 1 else pb.ReviseScheduleRequest()
    return Commission(head=head, revise=revise, request=week_request(title=name * 40))


def fill(connection: Connection) -> None:
    week = week_request(zone="Pacific/Kiritimati").week
    shared = {"tenant": "", "title": "", "currency_code": "", "week": week.SerializeToString()}
    times = {"week_start": 1796551200.0, "week_end": 1797156000.0, "create_time": 0.0}
    for number, name in enumerate(NAMES, 1):
        row = {"number": number, "name": name, "state": "SOLVED", "operation": f"job {number}"}
        connection.execute(insert(schedules).values(**row, **shared, **times))
    for revision in (1, 2):
        plan = {"schedule": 1, "revision": revision, "base": 0, "response": b"", "create_time": 0.0}
        raw = commission(NAMES[0], revision).packed()
        connection.execute(insert(schedule_revisions).values(commission=raw, **plan))
    job = {
        "name": "job 2",
        "tenant": "",
        "method": "",
        "request": commission(NAMES[1], 1).packed(),
        "digest": "",
        "response_type": "",
        "priority": 0,
        "state": "RUNNING",
        "cancel_asked": False,
        "update_time": 0.0,
        "create_time": 0.0,
    }
    connection.execute(insert(operations).values(**job))
    sums = dict.fromkeys(("energy_kwh", "planned_kwh", "burden", "carried_burden"), 1.0)
    entry = {"tenant": "", "user": "anna", "schedule": NAMES[0], "week_start": 1796551200.0, **sums}
    entry["settle_time"] = 0.0
    before = table("ledger", *map(column, entry))
    connection.execute(insert(before).values(**entry))


def test_requests_are_kept_once_and_make_every_commission_whole(old):
    with old.writing() as connection:
        fill(connection)
        migrated(connection, "0003")
    with old.reading() as connection:
        rows = connection.execute(select(schedule_requests))
        requests = {row.schedule: row.request for row in rows}
        plans = connection.execute(select(schedule_revisions)).all()
        for plan in plans:
            whole = unpacked(plan.commission + requests[plan.schedule])
            assert whole == commission(NAMES[0], plan.revision)
            assert len(plan.commission) < 200
        assert unpacked(b"\0\0" + requests[2]).request == commission(NAMES[1], 1).request
        assert [found.week_date for found in page(connection, "", [], None, 9)] == ["2026-12-07"]


def test_going_back_makes_the_plans_whole_again(old):
    with old.writing() as connection:
        fill(connection)
        migrated(connection, "0003")
        migrated(connection, "0002", down=True)
    with old.reading() as connection:
        plans = connection.execute(select(schedule_revisions)).all()
        assert [unpacked(plan.commission) for plan in plans] == [
            commission(NAMES[0], 1),
            commission(NAMES[0], 2),
        ]
        columns = inspect(connection).get_columns("ledger")
        assert "week_date" not in {found["name"] for found in columns}
