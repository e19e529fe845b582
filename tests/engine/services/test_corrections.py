"""Corrections of settlements on a real server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from loadloom.engine.convert.corrections import since
from loadloom.v1 import agency_pb2 as pb
from tests.engine.services.agency_calls import (
    Agent,
    curves,
    grid,
    settlement_request,
    settling,
    values,
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def agent(request, new_url) -> Iterator[Agent]:
    """An agent of a server on a database of either kind."""
    with settling(new_url(request.param)) as found:
        yield found


def test_a_correction_refers_to_the_first_and_tells_the_difference(agent):
    first = agent.settled(settlement_request("to correct"))
    one = agent.corrected(first.name, "correction 1", curves([[1, 3]], ["bert"]))
    assert (one.corrects, one.correction) == (first.name, 1)
    # A = (4, 4): LF = 1, g = 0.4, x = e g - 0.1 e + 0.2 p
    again = agent.settled(settlement_request("whole", curves=curves(((3, 1), (1, 3)))))
    assert one.cost_minor == again.cost_minor == 320
    assert one.bill_change_minor == one.bill_minor - first.bill_minor
    (page,) = agent.pages(one.name, 10)
    (before,) = agent.pages(first.name, 10)
    assert list(page.prepaid_minor) == list(before.prepaid_minor)
    change = np.array(page.bill_minor) - np.array(before.bill_minor)
    assert list(page.bill_change_minor) == change.tolist()
    assert list(page.refund_minor) == (np.array(page.prepaid_minor) - page.bill_minor).tolist()
    statement = agent.statement(one.name, "bert")
    assert (statement.corrects, statement.bill_change_minor) == (first.name, change[1])
    two = agent.corrected(one.name, "correction 2", curves([[3, 2]], ["anna"]))
    assert (two.corrects, two.correction) == (first.name, 2)
    whole = agent.settled(settlement_request("both", curves=curves(((3, 2), (1, 3)))))
    assert two.cost_minor == whole.cost_minor
    known = agent.stub.GetSettlement(pb.GetSettlementRequest(name=first.name)).settlement
    assert list(known.corrections) == [one.name, two.name]
    assert known.bill_minor == first.bill_minor


def test_corrections_of_what_was_corrected_are_refused(agent, failure):
    first = agent.settled(settlement_request("chain"))
    one = agent.corrected(first.name, "chain 1", curves([[1, 3]], ["bert"]))
    agent.corrected(first.name, "chain 2", curves([[1, 4]], ["bert"]))
    told = failure(lambda: agent.corrected(one.name, "chain 3", curves([[1, 5]], ["bert"])))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")


def test_corrections_at_once_have_numbers_of_their_own(agent):
    first = agent.settled(settlement_request("raced"))

    def correct(number: int) -> str:
        try:
            found = agent.corrected(first.name, f"race {number}", curves([[1, number]], ["bert"]))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.ABORTED  # noqa: PT017
            return ""
        return found.name

    with ThreadPoolExecutor(4) as pool:
        made = [name for name in pool.map(correct, range(1, 5)) if name]
    assert made
    known = agent.stub.GetSettlement(pb.GetSettlementRequest(name=first.name)).settlement
    assert sorted(known.corrections) == sorted(made)


def test_many_corrections_settle_as_the_last_readings_of_all_do(agent):
    """Some come as floats, some as doubles, and users are corrected again and again."""
    generator = np.random.default_rng(4)
    names = [f"user {number}" for number in range(8)]
    loads = generator.random((8, 3)).astype(np.float32).astype(float)
    request = settlement_request("many", grid=grid(3), curves=curves(loads, names, single=True))
    first = agent.settled(request)
    for turn in range(12):
        chosen = generator.permutation(8)[: generator.integers(1, 4)]
        loads[chosen] = generator.random((chosen.size, 3)).astype(np.float32)
        some = curves(loads[chosen], [names[user] for user in chosen], single=turn % 2 == 0)
        last = agent.corrected(first.name, f"many {turn}", some)
    assert last.correction == 12
    whole = agent.settled(settlement_request("all", grid=grid(3), curves=curves(loads, names)))
    (page,), (wanted,) = agent.pages(last.name, 10), agent.pages(whole.name, 10)
    assert list(page.bill_minor) == list(wanted.bill_minor)
    assert values(page.cost_share) == pytest.approx(values(wanted.cost_share), rel=1e-12)


def corrected(raw: bytes, loads, names, *, single=False) -> bytes:
    """What has changed once these readings are corrected, too."""
    its = curves(loads, names, single=single)
    return since(raw, pb.CorrectSettlementRequest(curves=its))


def read(raw: bytes) -> pb.CorrectSettlementRequest:
    return pb.CorrectSettlementRequest.FromString(raw)


def test_what_is_kept_of_corrections_grows_with_users_and_not_with_corrections():
    once = corrected(b"", [[1, 2], [3, 4]], ["b", "a"])
    raw = once
    for turn in range(50):
        raw = corrected(raw, [[turn, 0.5]], ["a"])
    assert len(raw) == len(once)
    assert list(read(raw).curves.names) == ["b", "a"]
    assert values(read(raw).curves.load_kw.values) == [1, 2, 49, 0.5]


def test_floats_are_kept_as_floats_until_there_are_doubles():
    raw = corrected(b"", [[1, 2]], ["a"], single=True)
    assert list(read(corrected(raw, [[3, 4]], ["b"], single=True)).curves.load_kw_float32.values)
    raw = corrected(raw, [[0.1, 4]], ["b"])
    assert values(read(raw).curves.load_kw.values) == [1, 2, 0.1, 4]


def test_files_take_the_place_of_all_readings_before_and_a_purchase_stays():
    first = pb.CorrectSettlementRequest(curves=curves([[1, 2]], ["a"]))
    first.purchase.cost = 7.0
    files = pb.CorrectSettlementRequest(data_set=pb.DataSet(root="meters", path="june"))
    raw = since(since(b"", first), files)
    assert read(raw).data_set.path == "june"
    assert not read(raw).HasField("curves")
    assert read(raw).purchase.cost == 7.0
    raw = corrected(raw, [[3, 4]], ["a"])
    assert not read(raw).HasField("data_set")
    assert values(read(raw).curves.load_kw.values) == [3, 4]
