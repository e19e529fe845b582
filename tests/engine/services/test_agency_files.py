"""Data sets below the roots of a server: summed, settled, formed into portfolios, and refused."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from loadloom.engine.settings import Limits
from loadloom.engine.store.database import Database
from loadloom.engine.store.schema import operations
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import to_matrix
from tests.engine.services.agency_calls import (
    LOADS,
    NAMES,
    Agent,
    curves,
    grid,
    portfolio_request,
    settlement_request,
    settling,
    sum_request,
    values,
)

BAD = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A root with some data sets, and a file beside it that is none of its business."""
    folder = tmp_path_factory.mktemp("data")
    root = folder / "meters"
    root.mkdir()
    table = pa.table({"user": list(NAMES), "load_kw": [list(loads) for loads in LOADS]})
    pq.write_table(table, root / "june.parquet")
    pq.write_table(table, folder / "secret.parquet")
    (root / "empty").mkdir()
    (root / "link.parquet").symlink_to(folder / "secret.parquet")
    (root / "wide.csv").write_text("user,area,a,b\nanna,north,3,1\nbert,south,1,2\n")
    times = ("2024-06-01T00:00:00Z", "2024-06-01T01:00:00Z")
    rows = [
        f"{name},{time},{load}"
        for name, loads in zip(NAMES, LOADS, strict=True)
        for time, load in zip(times, loads, strict=True)
    ]
    (root / "long.csv").write_text("\n".join(["user,time,load_kw", *rows]))
    (root / "gap.csv").write_text("\n".join(["user,time,load_kw", *rows[:-1]]))
    (root / "broken.parquet").write_bytes(b"PAR1 and no more")
    (root / "words.csv").write_text("user,a,b\nanna,3,many\n")
    return root


@pytest.fixture(scope="module")
def agent(new_url, root) -> Iterator[Agent]:
    with settling(new_url("sqlite"), data_roots={"meters": str(root)}) as found:
        yield found


LIST = pb.DATA_SET_LAYOUT_WIDE_LIST
COLUMNS = pb.DATA_SET_LAYOUT_WIDE_COLUMNS
LONG = pb.DATA_SET_LAYOUT_LONG


def files(path: str, layout: int = LIST, **words: object) -> pb.DataSet:
    return pb.DataSet(root="meters", path=path, layout=layout, **words)


def summed(data_set: pb.DataSet) -> pb.AggregateLoadsRequest:
    request = sum_request()
    request.data_set.CopyFrom(data_set)
    return request


@pytest.mark.parametrize(
    "data_set",
    [
        files("june.parquet"),
        files("wide.csv", COLUMNS, area_column="area"),
        files("long.csv", LONG),
    ],
)
def test_files_add_up_as_the_same_curves_in_a_message_do(agent, data_set):
    found = agent.stub.AggregateLoads(summed(data_set), timeout=60).aggregate
    own = agent.stub.AggregateLoads(sum_request(), timeout=60).aggregate
    for message in (found, own):
        message.ClearField("provenance")
        message.ClearField("areas")
    assert found == own


def test_a_settlement_of_files_is_that_of_the_same_curves(agent):
    request = settlement_request("files")
    request.data_set.CopyFrom(files("june.parquet"))
    found = agent.settled(request)
    assert (found.cost_minor, found.bill_minor, found.refund_minor) == (290, 303, 117)
    statement = agent.statement(found.name, "anna")
    assert statement.bill_minor == 186


def test_settlements_of_files_outlive_the_files(agent, root):
    path = root / "gone.parquet"
    path.write_bytes((root / "june.parquet").read_bytes())
    request = settlement_request("gone")
    request.data_set.CopyFrom(files("gone.parquet"))
    found = agent.settled(request)
    path.unlink()
    assert agent.statement(found.name, "bert").bill_minor == 117
    # The request is known, so nobody looks for the files.
    assert agent.settled(request).name == found.name


def test_a_correction_of_files_takes_all_readings(agent, root, failure):
    request = settlement_request("to correct")
    request.data_set.CopyFrom(files("june.parquet"))
    first = agent.settled(request)
    told = failure(lambda: agent.corrected(first.name, "few", curves([[1, 3]], ["bert"])))
    assert told.code is BAD
    assert "read once" in told.paths["curves.names"]
    table = pa.table({"user": list(NAMES), "load_kw": [[3.0, 1.0], [1.0, 3.0]]})
    pq.write_table(table, root / "corrected.parquet")
    correction = pb.CorrectSettlementRequest(request_id="all", name=first.name)
    correction.data_set.CopyFrom(files("corrected.parquet"))
    one = agent.stub.CorrectSettlement(correction, timeout=60).settlement
    assert (one.cost_minor, one.corrects) == (320, first.name)
    two = agent.corrected(first.name, "whole", curves())
    assert two.bill_minor == first.bill_minor
    pq.write_table(table.slice(0, 1), root / "fewer.parquet")
    correction.request_id = "fewer"
    correction.data_set.path = "fewer.parquet"
    told = failure(lambda: agent.stub.CorrectSettlement(correction, timeout=60))
    assert (told.code, set(told.paths)) == (BAD, {"data_set"})


def test_a_portfolio_of_files(agent):
    request = portfolio_request()
    request.ClearField("options")
    request.highest_price_per_kwh.CopyFrom(type(request.highest_price_per_kwh)(rows=1, cols=1))
    request.highest_price_per_kwh.values.values.append(0.6)
    request.data_set.CopyFrom(files("june.parquet"))
    found = agent.portfolio(request)
    assert list(found.users) == list(NAMES)
    assert found.profit == pytest.approx(1.3)


def test_where_roots_are_is_not_kept_with_a_job(new_url, root):
    """A root may be a URL with a password; a worker finds it in its own settings."""
    url = new_url("sqlite")
    request = portfolio_request("rooted")
    request.ClearField("options")
    request.highest_price_per_kwh.CopyFrom(to_matrix([[0.6]]))
    request.data_set.CopyFrom(files("june.parquet"))
    with settling(url, data_roots={"meters": f"file://{root}"}) as agent:
        assert list(agent.portfolio(request).users) == list(NAMES)
    database = Database(url)
    with database.reading() as connection:
        (row,) = connection.execute(select(operations)).all()
    database.close()
    kept = repr(tuple(row))
    assert "june.parquet" in kept
    assert str(root) not in kept


REFUSED = [
    ("another root", pb.DataSet(root="etc", path="passwd", layout=LIST), "data_set.root"),
    ("upwards", files("../secret.parquet"), "data_set.path"),
    ("upwards within", files("x/../../secret.parquet"), "data_set.path"),
    ("absolute", files("/etc/passwd"), "data_set.path"),
    ("a link that leads out", files("link.parquet"), "data_set.path"),
    ("a URL", files("file:///etc/passwd"), "data_set.path"),
    ("not there", files("july.parquet"), "data_set.path"),
    ("no layout", files("june.parquet", 0), "data_set.layout"),
    ("no path", files(""), "data_set.path"),
    ("the same column twice", files("june.parquet", user_column="load_kw"), "data_set"),
]


@pytest.mark.parametrize(
    ("data_set", "path"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_is_no_data_set_of_this_server_is_refused(agent, failure, data_set, path):
    request = settlement_request("refused")
    request.data_set.CopyFrom(data_set)
    portfolio = portfolio_request()
    portfolio.data_set.CopyFrom(data_set)
    for ask in (
        lambda: agent.stub.AggregateLoads(summed(data_set), timeout=60),
        lambda: agent.settled(request),
        lambda: agent.stub.FormPortfolio(portfolio),
    ):
        told = failure(ask)
        assert told.code is BAD
        assert path in told.paths
        assert "/data" not in str(told)  # where the roots are is nobody's business


FAULTY = [
    ("no files", files("empty"), "meters/empty has no files"),
    ("broken", files("broken.parquet"), "broken.parquet"),
    ("other columns", files("june.parquet", load_column="power"), "power"),
    ("words", files("words.csv", COLUMNS), "words.csv"),
    ("a gap", files("gap.csv", LONG), "bert"),
]


@pytest.mark.parametrize(
    ("data_set", "word"), [row[1:] for row in FAULTY], ids=[row[0] for row in FAULTY]
)
def test_faults_of_files_are_told_with_the_file(agent, failure, data_set, word):
    request = settlement_request("faulty")
    request.data_set.CopyFrom(data_set)
    told = failure(lambda: agent.settled(request))
    assert told.code is BAD
    assert word in str(told)


def test_the_fault_of_a_job_s_files_is_the_operation_s_error(agent):
    request = portfolio_request()
    request.ClearField("options")
    request.data_set.CopyFrom(files("broken.parquet"))
    operation = agent.stub.FormPortfolio(request)
    from google.longrunning import operations_pb2 as longrunning

    wait = longrunning.WaitOperationRequest(name=operation.name)
    ended = agent.operations.WaitOperation(wait, timeout=70)
    assert ended.error.code == BAD.value[0]
    assert "broken.parquet" in ended.error.message


def test_files_larger_than_the_limits_are_refused(new_url, root, failure):
    roots = {"meters": str(root)}
    for limits in (Limits(settlement_users=1), Limits(curve_points=3)):
        with settling(new_url("sqlite"), data_roots=roots, limits=limits) as agent:
            request = settlement_request("large")
            request.data_set.CopyFrom(files("june.parquet"))
            told = failure(lambda agent=agent, request=request: agent.settled(request))
            assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert set(told.paths) == {"data_set"}
            # Sums are made piece by piece.
            found = agent.stub.AggregateLoads(summed(files("june.parquet")), timeout=60)
            assert values(found.aggregate.total_kw) == [4.0, 3.0]


def test_areas_of_files_have_a_limit(new_url, root, failure):
    roots, limits = {"meters": str(root)}, Limits(points=3)
    with settling(new_url("sqlite"), data_roots=roots, limits=limits) as agent:
        request = summed(files("wide.csv", COLUMNS, area_column="area"))
        told = failure(lambda: agent.stub.AggregateLoads(request, timeout=60))
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert set(told.paths) == {"data_set.area_column"}
        inline = sum_request()
        inline.curves.areas.extend(["north", "south"])
        told = failure(lambda: agent.stub.AggregateLoads(inline, timeout=60))
        assert set(told.paths) == {"curves.areas"}


def test_readings_of_files_are_at_fault_at_the_data_set(agent, root, failure):
    table = pa.table({"user": list(NAMES), "load_kw": [[1.0, np.inf], [1.0, 2.0]]})
    pq.write_table(table, root / "infinite.parquet")
    request = summed(files("infinite.parquet"))
    told = failure(lambda: agent.stub.AggregateLoads(request, timeout=60))
    assert (told.code, set(told.paths)) == (BAD, {"data_set"})


def test_the_currency_of_files_is_that_of_the_request(agent, root, failure):
    loads = [list(row) for row in LOADS]
    table = pa.table({"user": list(NAMES), "money": ["USD", "USD"], "load_kw": loads})
    pq.write_table(table, root / "dollars.parquet")
    request = settlement_request("dollars")
    request.data_set.CopyFrom(files("dollars.parquet", currency_column="money"))
    told = failure(lambda: agent.settled(request))
    assert told.code is BAD
    assert "'USD'; must be 'EUR'" in str(told)
    request.terms.currency_code = "USD"
    assert agent.settled(request).user_count == len(NAMES)


def test_gaps_of_files_are_filled_and_counted(agent):
    request = summed(files("gap.csv", LONG))
    request.grid.CopyFrom(grid(2))
    fill = request.options.rules.fills.add(rule=pb.FILL_RULE_LINEAR)
    fill.longest_intervals = 1
    found = agent.stub.AggregateLoads(request, timeout=60).aggregate
    its = found.completeness
    assert its.total.missing_count == 1
    assert its.total.left_count + sum(its.total.filled_counts) == 1
    assert [counts.name for counts in its.worst_users] == ["bert"]
    assert np.isfinite(values(found.total_kw)).all()
