"""Settlements of every size: looked at, kept, paged and told in bounded room."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import numpy as np
import pytest

from loadloom.engine.answers.settlements import Settled, settled
from loadloom.engine.convert import settlements as convert
from loadloom.engine.convert import statements
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.models.agency.problem import Currency, Curves, Problem, Purchase
from loadloom.models.agency.solve import solve
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import Horizon
from loadloom.models.options import SolveOptions
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import from_series, to_series
from tests.engine.services.agency_calls import (
    Agent,
    curves,
    grid,
    many_request,
    settlement_request,
    settling,
)

MIB = 2**20


def most_taken(call: Callable[[], object]) -> int:
    """The most bytes that a call has at any time."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def of_files(root: str, users: int, slots: int) -> pb.CreateSettlementRequest:
    """A settlement of files with a price and a prepayment for each user."""
    request = settlement_request("files", grid=grid(slots))
    request.data_set.root, request.data_set.path = root, "june.parquet"
    request.data_set.layout = pb.DATA_SET_LAYOUT_WIDE_LIST
    request.terms.highest_price_per_kwh.values[:] = [0.6] * users
    request.prepaid_minor.extend([1] * users)
    return request


@pytest.fixture
def roots(tmp_path) -> Roots:
    (tmp_path / "june.parquet").touch()
    return Roots({"meters": str(tmp_path)})


def test_columns_of_users_in_files_are_read_without_their_curves(roots):
    request = of_files("meters", 20_000, 10_000)
    taken = most_taken(lambda: convert.parse(request, Limits(), roots=roots))
    assert taken < 20 * MIB  # curves of as many users would be 800 MB


def test_faults_of_columns_of_users_in_files_are_told_at_once(roots):
    request = of_files("meters", 5, 4)
    request.terms.highest_price_per_kwh.values[3] = -1.0
    request.prepaid_minor.append(1)
    request.terms.profit_rate = 2.0
    with pytest.raises(Refusal) as told:
        convert.parse(request, Limits(), roots=roots)
    paths = {violation.path for violation in told.value.violations}
    assert paths == {"terms.highest_price_per_kwh", "terms.profit_rate"}
    del request.prepaid_minor[3:]
    with pytest.raises(Refusal) as told:
        convert.parse(request, Limits(), roots=roots)
    paths = {violation.path for violation in told.value.violations}
    assert paths == {"terms.highest_price_per_kwh[3]", "prepaid_minor", "terms.profit_rate"}


@pytest.mark.parametrize("path", ["terms.highest_price_per_kwh", "prepaid_minor"])
def test_columns_of_more_users_than_may_be_settled_are_refused(roots, path):
    request = of_files("meters", 11, 4)
    if path == "prepaid_minor":
        request.terms.highest_price_per_kwh.values[:] = [0.6]
    with pytest.raises(Refusal) as told:
        convert.parse(request, Limits(settlement_users=10), roots=roots)
    assert told.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert {violation.path for violation in told.value.violations} == {path}


def test_a_fault_of_readings_in_files_is_one_of_the_data_set(roots):
    asked = convert.parse(of_files("meters", 2, 4), Limits(), roots=roots).problem
    for path in ("curves.names[1]", "curves.load_kw[0][2]", "curves"):
        assert asked.renamed(Violation(path, "is wrong")).path == "data_set"
    for path in ("curves/june.parquet", "curves.csv", "rule/june.csv"):
        assert asked.renamed(Violation(path, "is wrong")).path == path
    assert asked.renamed(Violation("rule", "is wrong")).path == "terms.rule"


def test_users_that_come_twice_in_files_are_a_fault_of_the_data_set(tmp_path):
    (tmp_path / "twice.csv").write_text("user,a,b\nanna,3,1\nbert,1,2\nanna,1,1\n")
    request = settlement_request("twice")
    request.data_set.root, request.data_set.path = "meters", "twice.csv"
    request.data_set.layout = pb.DATA_SET_LAYOUT_WIDE_COLUMNS
    task = convert.parse(request, Limits(), roots=Roots({"meters": str(tmp_path)}))
    with pytest.raises(InvalidProblem) as told:
        settled(task)
    assert {violation.path for violation in told.value.violations} == {"data_set"}


def test_a_settlement_whose_statements_cannot_be_made_has_no_answer(monkeypatch):
    task = convert.parse(by_slots("untellable", 2, 4), Limits(), roots=Roots({}))
    assert settled(task).found.chunks

    def failing(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(statements, "statement", failing)
    with pytest.raises(RecursionError):
        settled(task)


def bought(users: int, price: np.ndarray, seed: int = 1) -> Problem:
    """A settlement of a purchase whose rent is what its prices bring in above its cost."""
    load_kw = np.random.default_rng(seed).random((users, price.size), np.float32)
    start = datetime(2024, 6, 1, tzinfo=UTC)
    horizon = Horizon(start=start, step_h=np.full(price.size, 0.25))
    brought = float(load_kw.sum(axis=0, dtype=float) @ (horizon.step_h * price))
    return Problem(
        curves=Curves(
            names=tuple(f"user {number:05}" for number in range(users)),
            load_kw=load_kw,
            horizon=horizon,
        ),
        highest_price_per_kwh=np.array(0.9),
        currency=Currency(code="EUR"),
        purchase=Purchase(cost=brought, slot_price_per_kwh=price),
    )


def kept(problem: Problem) -> list[statements.Chunk]:
    settlement = solve(problem, SolveOptions()).settlement
    return statements.chunks(problem, settlement, None, None)


def test_the_energy_at_each_price_is_the_sum_of_its_slots():
    price = np.array([0.3, 0.1, 0.3, 0.2, 0.1, 0.1])
    problem = bought(7, price)
    found = statements.page(kept(problem), 0, 10, MIB)
    matrix = found.price_energy_kwh
    told = from_series(matrix.values).reshape(matrix.rows, matrix.cols)
    energy = problem.curves.load_kw * problem.curves.horizon.step_h
    wanted = [energy[:, price == one].sum(axis=1) for one in (0.1, 0.2, 0.3)]
    assert told == pytest.approx(np.array(wanted).T)


def test_as_many_prices_as_slots_take_no_matrix_of_both():
    slots = 6_000
    problem = bought(2, np.linspace(0.1, 0.2, slots))
    settlement = solve(problem, SolveOptions()).settlement
    taken = most_taken(lambda: statements.chunks(problem, settlement, None, None))
    assert taken < 10 * MIB  # slots times prices would be 288 MB


def test_chunks_are_small_however_wide_statements_are():
    found = kept(bought(1_000, np.linspace(0.1, 0.2, 1_000)))
    assert max(chunk.size for chunk in found) < 1.2 * statements.CHUNK_BYTES
    assert [chunk.first_place for chunk in found[1:]] == np.cumsum(
        [chunk.user_count for chunk in found[:-1]]
    ).tolist()
    assert sum(chunk.user_count for chunk in found) == 1_000


def by_slots(request_id: str, users: int, slots: int) -> pb.CreateSettlementRequest:
    """The settlement of a purchase with a price of its own in each slot."""
    price = np.linspace(0.1, 0.2, slots)
    loads = np.random.default_rng(users).random((users, slots)).astype(np.float32)
    names = [f"user {number:04}" for number in range(users)]
    its = curves(loads, names, single=True)
    request = settlement_request(request_id, grid=grid(slots), curves=its)
    request.ClearField("price")
    request.purchase.cost = float(loads.sum(axis=0, dtype=float) @ price)
    request.purchase.slot_price_per_kwh.CopyFrom(to_series(price))
    return request


@pytest.fixture(scope="module")
def narrow(new_url):
    """An agent of a server whose messages are small."""
    with settling(new_url("sqlite"), limits=Limits(message_bytes=100_000)) as found:
        yield found


def test_pages_of_wide_statements_fit_into_a_message(narrow: Agent):
    found = narrow.settled(by_slots("wide", 200, 48))
    for size in (0, 10_000):
        pages = list(narrow.pages(found.name, size))
        assert len(pages) > 1
        assert max(page.ByteSize() for page in pages) < 60_000
        assert [name for page in pages for name in page.users] == [
            f"user {number:04}" for number in range(200)
        ]
        assert sum(sum(page.bill_minor) for page in pages) == found.bill_minor
        assert all(page.price_energy_kwh.rows == len(page.users) for page in pages)


def test_pages_of_long_settlements_fit_into_a_message(narrow: Agent):
    made = [narrow.settled(by_slots(f"long {number}", 1, 2_000)).name for number in range(7)]
    request, found = pb.ListSettlementsRequest(page_size=1_000), []
    while True:
        page = narrow.stub.ListSettlements(request)
        found.extend(page.settlements)
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert [one.name for one in found if one.user_count == 1] == made[::-1]
    for one in found:
        assert not one.spans
        assert not one.purchase.slot_price_per_kwh.values
        assert one.purchase.cost > 0.0
        assert not one.HasField("report")


def test_a_settlement_that_nobody_could_look_at_is_not_kept(narrow: Agent, failure):
    before = len(narrow.stub.ListSettlements(pb.ListSettlementsRequest()).settlements)
    request = settlement_request("too long", grid=grid(12_000))
    request.curves.CopyFrom(curves(np.ones((1, 12_000)), ("anna",), single=True))
    told = failure(lambda: narrow.settled(request))
    assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert set(told.paths) == {"grid"}
    after = narrow.stub.ListSettlements(pb.ListSettlementsRequest()).settlements
    assert len(after) == before


def test_a_settlement_names_a_hundred_of_a_coalition_and_counts_the_rest(new_url):
    request = many_request(400, "complaints")
    request.terms.rule = pb.SHARING_RULE_ENERGY
    request.terms.sharing.report = True
    with settling(new_url("sqlite")) as agent:
        report = agent.settled(request).report
        assert len(report.coalition) == convert.MOST_NAMED
        assert report.coalition_count > convert.MOST_NAMED
        assert len(set(report.coalition)) == convert.MOST_NAMED


def test_statements_are_told_by_a_server_that_takes_less(new_url):
    url = new_url("sqlite")
    with settling(url, limits=Limits(intervals=48)) as agent:
        name = agent.settled(by_slots("kept", 3, 48)).name
        told = agent.statement(name, "user 0001")
    with settling(url, limits=Limits(intervals=10)) as agent:
        assert agent.statement(name, "user 0001") == told


@pytest.mark.parametrize("most", ["MOST_PRICES", "MOST_PRICED"])
def test_a_settlement_says_that_its_statements_lack_a_formula(monkeypatch, most):
    task = convert.parse(by_slots("untold", 1, 8), Limits(), roots=Roots({}))
    whole = settled(task).found
    monkeypatch.setattr(statements, most, 7)
    found = settled(task).found
    assert statements.page(whole.chunks, 0, 10, MIB).HasField("price_energy_kwh")
    assert not statements.page(found.chunks, 0, 10, MIB).HasField("price_energy_kwh")
    (note,) = set(notes(found)) - set(notes(whole))
    assert note.endswith("without its formula.")


def notes(found: Settled) -> list[str]:
    return list(pb.Settlement.FromString(found.header).notes)
