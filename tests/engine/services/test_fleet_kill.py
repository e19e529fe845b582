"""A server that is killed while it plans a fleet: the next one plans it, and loses nothing."""

import os
import signal

import numpy as np
import psutil
import pytest
from sqlalchemy import select, update

from loadloom.engine.convert.site_plans import part, parts
from loadloom.engine.services.fleet_jobs import keep_part
from loadloom.engine.store import claims
from loadloom.engine.store import fleets as store
from loadloom.engine.store.fleet_tables import site_plans
from loadloom.engine.store.migrate import prepared
from loadloom.engine.store.operations import NewOperation, create, remove
from loadloom.engine.store.schema import State, operations
from loadloom.models.dispatch.fleet.solution import Plan
from tests.engine.services.fleet_calls import Aggregator, opened
from tests.engine.services.test_fleets import long_request, under_way


def test_a_killed_server_plans_the_fleet_anew(launch, tmp_path):
    arguments = (f"--database-url=sqlite:///{tmp_path}/db", "--lease-s=1", "--job-workers=1")
    request = long_request("once")
    request.options.time_limit.seconds = 3
    with launch(*arguments) as server, opened(server.address) as channel:
        aggregator = Aggregator(channel)
        made = aggregator.stub.PlanFleet(request)
        under_way(aggregator, made.name)
        family = [*psutil.Process(server.popen.pid).children(recursive=True), server.popen]
        for process in family:
            os.kill(process.pid, signal.SIGKILL)
    with launch(*arguments) as server, opened(server.address) as channel:
        aggregator = Aggregator(channel)
        name, plan = aggregator.planned(request)
        assert name == made.name
        assert aggregator.state(name).attempt == 2
        did = aggregator.columns(name)
        assert did["cost"].size == plan.site_count
        breach = next(item.amount for item in plan.costs if item.name == "breach")
        assert did["cost"].sum() + breach == pytest.approx(plan.certificate.objective)


def plan_of(sites: int, count: int, number: float) -> Plan:
    """A plan in which everything is one number."""
    return Plan(
        columns=np.full((6, sites, count), number),
        amounts=np.full((sites, 7), number),
        power_kw=np.zeros((1, count)),
        breach_cost=0.0,
        singled=0,
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_an_attempt_left_behind_is_never_told(new_url, kind):
    database = prepared(new_url(kind))
    kind_of = {"method": "m", "response_type": "loadloom.v1.FleetPlan"}
    made = create(database, NewOperation(tenant="", request=b"", digest="", **kind_of))

    def write(attempt: int, most: int) -> None:
        plan = plan_of(3_000, 96, attempt)
        raw = list(parts((), np.zeros(3_000, np.int64), plan, ("charge_kw",), ()))
        assert len(raw) > 1
        for one in [*raw[:most], raw[0]]:  # the first comes twice, as after a lost connection
            with database.writing() as connection:
                store.write(connection, made.number, attempt, part(one))

    def count() -> int:
        with database.reading() as connection:
            return store.find(connection, "", made.name).site_count

    def attempts() -> set[int]:
        with database.reading() as connection:
            return set(connection.scalars(select(site_plans.c.attempt)))

    write(1, 1)
    assert (count(), attempts()) == (0, {1})  # the operation is in no attempt yet
    write(2, 100)
    with database.writing() as connection:
        connection.execute(update(operations).values(state=State.SUCCEEDED, attempt=2))
    assert (count(), attempts()) == (3_000, {2})
    remove(database, "", made.name)
    assert not attempts()
    database.close()


def test_a_worker_that_lost_its_claim_writes_no_part(new_url):
    database = prepared(new_url("sqlite"))
    kind_of = {"method": "m", "response_type": "loadloom.v1.FleetPlan"}
    create(database, NewOperation(tenant="", request=b"", digest="", **kind_of))
    lost = claims.claim(database, ["m"], "one", lease_s=-1.0)
    errors = claims.Errors(cancelled=b"", died=b"", late=b"")
    assert claims.tidy(database, 3, errors) == 1
    held = claims.claim(database, ["m"], "other", lease_s=60.0)
    (raw,) = parts((), np.zeros(2, np.int64), plan_of(2, 2, 1.0), ("charge_kw",), ())
    with pytest.raises(claims.LostClaim):
        claims.keep_part(database, lost, raw, keep_part, 60.0)
    claims.keep_part(database, held, raw, keep_part, 60.0)
    with database.reading() as connection:
        (row,) = connection.execute(select(site_plans))
    assert (row.attempt, row.first_site, row.site_count) == (2, 0, 2)
    database.close()
