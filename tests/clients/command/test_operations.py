import os
import re
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from loadloom.client.client import Client
from loadloom.client.command.app import app
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.orderly_pb2_grpc import OrderlyServiceStub


def words(*said, server):
    return CliRunner().invoke(app, ["operations", *said, "--server", server])


@pytest.fixture
def operation(target):
    """An operation that has ended: a week in which one user has to help."""
    request = pb.CreateScheduleRequest(title=os.urandom(8).hex())
    request.week.start_time.FromDatetime(datetime(2026, 12, 7, tzinfo=UTC))
    request.week.slot_count, request.week.day_count = 8, 1
    request.users.names.append("anna")
    request.users.load_kw.rows = request.users.load_kw.cols = 1
    request.users.load_kw.values.values.append(100.0)
    request.measures.user.append(0)
    request.measures.kind.append(pb.MEASURE_KIND_CUT)
    request.measures.cap_kw.values.append(80.0)
    request.measures.cost_per_kwh.values.append(1.0)
    request.shortage.shortage_kw.values.extend([0.0] * 7 + [50.0])
    request.shortage.unserved_price_per_kwh = 10.0
    request.options.method = pb.ORDERLY_METHOD_FLAT
    with Client(target) as client:
        message = OrderlyServiceStub(client._channel).CreateSchedule(request)
        found = client.operation(message.name)
        found.result(60.0)
        yield found


def test_an_operation_is_listed_shown_watched_and_forgotten(operation, target):
    short = operation.name.removeprefix("operations/")
    listed = words("list", "--filter", "state = SUCCEEDED", server=target)
    assert listed.exit_code == 0, listed.output
    assert short in listed.output
    assert "CreateSchedule" in listed.output

    shown = words("show", short[:20], server=target)
    assert shown.exit_code == 0, shown.output
    assert "OrderlyService/CreateSchedule" in shown.output
    assert "gap 0.00%" in shown.output

    watched = words("watch", operation.name, server=target)
    assert watched.exit_code == 0, watched.output
    assert "queued" in watched.output.splitlines()[0]
    assert re.search(r"value 240\.00 .* bound 240\.00", watched.output)  # 80 kW for 3 h

    assert words("delete", short, server=target).exit_code == 0
    gone = words("show", short, server=target)
    assert gone.exit_code == 2
    assert short in gone.output
    assert "Traceback" not in gone.output


def test_a_name_that_is_none_is_told(target):
    none = words("cancel", "zzz", server=target)
    assert none.exit_code == 2
    assert "no operation begins with 'zzz'" in none.output
    wrong = words("list", "--filter", "state = SLEEPING", server=target)
    assert wrong.exit_code == 2
    assert "filter" in wrong.output
    assert "Traceback" not in wrong.output
