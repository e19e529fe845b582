"""Settlements on a real server: what they come to, and how they are kept, paged and told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from loadloom.engine.convert.statements import CHUNK
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import from_series
from tests.engine.services.agency_calls import (
    LOADS,
    NAMES,
    Agent,
    curves,
    grid,
    many_request,
    settlement_request,
    settling,
    values,
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def agent(request, new_url) -> Iterator[Agent]:
    """An agent of a server on a database of either kind."""
    with settling(new_url(request.param)) as found:
        yield found


@pytest.fixture(scope="module")
def sqlite_agent(new_url) -> Iterator[Agent]:
    with settling(new_url("sqlite")) as found:
        yield found


def test_the_settlement_worked_by_hand(agent):
    found = agent.settled(settlement_request("by hand"))
    assert found.cost == pytest.approx(2.9)
    assert (found.cost_minor, found.bill_minor, found.prepaid_minor) == (290, 303, 420)
    assert (found.profit_minor, found.refund_minor, found.benefit_minor) == (13, 117, 130)
    assert found.highest_minor == 420
    assert (found.load_factor, found.peak_kw, found.energy_kwh) == (0.875, 4.0, 7.0)
    assert list(found.peak_intervals) == [0]
    assert (found.terms.minor_digits, found.user_count) == (2, 2)
    assert found.terms.rule == pb.SHARING_RULE_AUMANN_SHAPLEY
    assert found.create_time.seconds > 1_700_000_000
    (page,) = agent.pages(found.name, 10)
    assert list(page.users) == ["anna", "bert"]
    assert list(page.bill_minor) == [186, 117]
    assert list(page.refund_minor) == [54, 63]
    assert values(page.benefit_per_kwh) == pytest.approx([0.135, 0.21])
    assert values(page.contribution) == pytest.approx([-0.15625, 0.15625])
    assert values(page.cost_share) == pytest.approx([1.8, 1.1])
    assert values(page.alone) == pytest.approx([4 * (0.3 + 0.15), 3 * (0.3 + 0.1 * 4 / 3)])


def test_a_statement_tells_every_figure_with_its_formula(agent):
    name = agent.settled(settlement_request("by hand")).name
    found = agent.statement(name, "bert")
    assert (found.user, found.currency_code, found.minor_digits) == ("bert", "EUR", 2)
    assert (found.bill_minor, found.prepaid_minor, found.refund_minor) == (117, 180, 63)
    assert found.energy_share == pytest.approx(3 / 7)
    assert found.peak_share == pytest.approx(0.25)
    lines = {line.term: line for line in found.lines}
    bill = lines["bill before rounding"]
    assert eval(bill.expression) == pytest.approx(1.17)
    assert lines["refund"].value == "0.63"
    assert "0.63 EUR" in found.text


def test_loads_as_floats_settle_as_doubles_do(sqlite_agent):
    single = settlement_request("single", curves=curves(LOADS, NAMES, single=True))
    found = sqlite_agent.settled(single)
    assert (found.cost_minor, found.bill_minor) == (290, 303)


def test_the_same_request_brings_the_same_settlement_to_all_who_ask_at_once(agent):
    request = settlement_request("at once")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(agent.settled, [request] * 16))
    assert len({one.name for one in found}) == 1
    assert all(one == found[0] for one in found)
    listed = agent.stub.ListSettlements(pb.ListSettlementsRequest()).settlements
    assert [one.name for one in listed].count(found[0].name) == 1


def test_another_request_under_the_same_id_is_refused(agent, failure):
    agent.settled(settlement_request("twice"))
    other = settlement_request("twice", title="July")
    told = failure(lambda: agent.settled(other))
    assert (told.code, told.reason) == (grpc.StatusCode.ALREADY_EXISTS, "OTHER_REQUEST")
    assert set(told.paths) == {"request_id"}
    name = agent.settled(settlement_request("twice")).name
    as_correction = lambda: agent.corrected(name, "twice", curves())  # noqa: E731
    assert failure(as_correction).code is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_settlements_outlive_their_server(new_url, kind):
    url = new_url(kind)
    with settling(url) as agent:
        made = agent.settled(settlement_request("kept"))
        corrected = agent.corrected(made.name, "corrected", curves([[1, 3]], ["bert"]))
        told = agent.statement(made.name, "anna")
    with settling(url) as agent:
        request = pb.GetSettlementRequest(name=made.name)
        again = agent.stub.GetSettlement(request).settlement
        assert list(again.corrections) == [corrected.name]
        again.ClearField("corrections")
        assert again == made
        assert agent.settled(settlement_request("kept")).name == made.name
        assert agent.statement(made.name, "anna") == told
        third = agent.corrected(made.name, "third", curves([[1, 2]], ["bert"]))
        assert (third.corrects, third.correction) == (made.name, 2)
        assert third.bill_minor == made.bill_minor


@pytest.mark.parametrize("size", [0, 1, 700, CHUNK, 10_000])
def test_pages_hold_every_statement_once_by_name(sqlite_agent, size):
    users = 2 * CHUNK + 123
    if size == 1:
        users = 30
    found = sqlite_agent.settled(many_request(users, f"paged {users}"))
    pages = list(sqlite_agent.pages(found.name, size))
    names = [name for page in pages for name in page.users]
    assert names == sorted(f"user {number}" for number in range(users))
    assert len(pages[0].users) == min(size or 1_000, users)
    for column in ("energy_kwh", "bill", "alone"):
        assert sum(len(values(getattr(page, column))) for page in pages) == users
    bills = sum(sum(page.bill_minor) for page in pages)
    assert bills == found.bill_minor
    assert sum(sum(page.refund_minor) for page in pages) == found.refund_minor
    # Every user's energy stands at its own name.
    asked = many_request(users, f"paged {users}").curves
    energy = from_series(asked.load_kw.values).reshape(users, -1).sum(axis=1)
    told = np.concatenate([from_series(page.energy_kwh) for page in pages])
    wanted = dict(zip(asked.names, energy.tolist(), strict=True))
    assert told == pytest.approx([wanted[name] for name in names])


def test_the_statement_of_anybody_is_found(sqlite_agent, failure):
    found = sqlite_agent.settled(many_request(2 * CHUNK + 123, "paged"))
    for user in ("user 0", "user 77", f"user {2 * CHUNK + 122}", "user 999"):
        assert sqlite_agent.statement(found.name, user).user == user
    for user in ("user", "user 77 ", "zoe", "a"):
        told = failure(lambda user=user: sqlite_agent.statement(found.name, user))
        assert told.code is grpc.StatusCode.NOT_FOUND


def test_settlements_are_listed_by_page_the_latest_first(new_url):
    with settling(new_url("sqlite")) as agent:
        made = [agent.settled(settlement_request(f"listed {n}")).name for n in range(5)]
        request, found = pb.ListSettlementsRequest(page_size=2), []
        while True:
            page = agent.stub.ListSettlements(request)
            found.extend(one.name for one in page.settlements)
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert found == made[::-1]
        assert not page.settlements[0].total_kw.values


def test_a_refund_below_zero_is_named_with_the_price_that_cures_it(sqlite_agent):
    request = settlement_request("poor")
    request.terms.highest_price_per_kwh.values[0] = 0.42
    found = sqlite_agent.settled(request)
    assert found.negative_refund_count == 1
    (owing,) = found.negative_refunds
    assert owing.user == "anna"
    assert owing.owed_minor > 0
    cured = settlement_request("cured")
    cured.terms.highest_price_per_kwh.values[0] = found.curing_price_per_kwh
    assert sqlite_agent.settled(cured).negative_refund_count == 0
    short = settlement_request("short")
    short.terms.highest_price_per_kwh.values[0] = found.curing_price_per_kwh - 0.01
    assert sqlite_agent.settled(short).negative_refund_count > 0


@pytest.mark.parametrize("mode", ["monthly", "top", "daily"])
@pytest.mark.parametrize("rule", ["gradient", "energy", "saving", "shapley"])
def test_statements_add_up_under_every_rule_and_peak(sqlite_agent, mode, rule):
    request = settlement_request(f"{mode} {rule}", grid=grid(48))
    generator = np.random.default_rng(7)
    request.curves.CopyFrom(curves(generator.random((3, 48)), ("a", "b", "c")))
    request.terms.rule = {
        "gradient": pb.SHARING_RULE_AUMANN_SHAPLEY,
        "energy": pb.SHARING_RULE_ENERGY,
        "saving": pb.SHARING_RULE_SAVING,
        "shapley": pb.SHARING_RULE_SHAPLEY,
    }[rule]
    sharing = request.terms.sharing
    sharing.report = True
    sharing.peak_mode = {
        "monthly": pb.PEAK_MODE_MONTHLY_PEAK,
        "top": pb.PEAK_MODE_MEAN_OF_TOP_PEAKS,
        "daily": pb.PEAK_MODE_DAILY,
    }[mode]
    sharing.peak_count = 2
    found = sqlite_agent.settled(request)
    assert len(found.spans) == (2 if mode == "daily" else 1)
    assert found.bill_minor == found.cost_minor + found.rent_minor + found.profit_minor
    assert found.prepaid_minor == found.bill_minor + found.refund_minor
    assert found.report.rule == request.terms.rule
    assert abs(found.report.imbalance) < 1e-9
    (page,) = sqlite_agent.pages(found.name, 10)
    assert sum(page.bill_minor) == found.bill_minor
    assert sum(page.cost_share_minor) == found.cost_minor
    for index, user in enumerate(page.users):
        told = sqlite_agent.statement(found.name, user)
        last = told.lines[-1]
        assert last.term == "refund"
        assert float(last.value) == pytest.approx(page.refund_minor[index] / 100)
        raw = next(line for line in told.lines if line.term == "bill before rounding")
        assert eval(raw.expression) == pytest.approx(values(page.bill)[index], rel=1e-9)


def test_a_settlement_by_a_negative_price_says_that_shares_can_fall(sqlite_agent):
    request = settlement_request("negative price", curves=curves())
    request.ClearField("price")
    request.purchase.cost = -0.3 * 4 + 0.5 * 3
    request.purchase.slot_price_per_kwh.values.extend([-0.3, 0.5])
    request.terms.sharing.report = True
    report = sqlite_agent.settled(request).report
    assert report.fall_count == 1
    assert report.worst_fall == pytest.approx(0.3)
    # Nothing is proven by prices that the caller answers for.
    assert not report.HasField("is_stable")
    assert any("If the slot prices are the duals" in said for said in report.sentences)
