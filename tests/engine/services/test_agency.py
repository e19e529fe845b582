"""Every method of the agency on a real server, and what is kept of settlements."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from loadloom.engine.convert.statements import CHUNK
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1 import common_pb2
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub
from loadloom.wire.arrays import from_series
from tests.engine.services.agency_calls import (
    LOADS,
    NAMES,
    Agent,
    assess_request,
    chunks,
    curves,
    grid,
    many_request,
    portfolio_request,
    purchase_request,
    settlement_request,
    settling,
    sharing_request,
    sum_request,
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


def test_a_purchase_is_bought_shared_and_settled_at_its_slot_prices(sqlite_agent):
    bought = sqlite_agent.stub.PlanPurchase(purchase_request())
    # 3.5 kW of coal at 0.3 and half a kW of gas, then 3 kW of coal at 0.4.
    assert bought.certificate.objective == pytest.approx(3.5 * 0.3 + 0.5 * 0.5 + 3 * 0.4)
    assert values(bought.slot_price_per_kwh) == pytest.approx([0.5, 0.4])
    assert [rent.name for rent in bought.rents] == ["coal"]
    first, second = bought.price_reasons
    assert (list(first.marginal), list(first.at_limit)) == (["gas"], ["coal"])
    assert (second.interval, second.interval_count) == (1, 1)
    assert list(second.marginal) == ["coal"]
    assert "gas would deliver it; coal can deliver no more" in first.text
    rent = sum(one.amount for one in bought.rents)
    assert rent == pytest.approx(3.5 * 0.2)
    request = settlement_request("bought", curves=curves())
    request.ClearField("price")
    request.purchase.cost, request.purchase.rent = bought.certificate.objective, rent
    request.purchase.slot_price_per_kwh.CopyFrom(bought.slot_price_per_kwh)
    found = sqlite_agent.settled(request)
    assert found.terms.rule == pb.SHARING_RULE_OWEN_DUALS
    assert (found.cost_minor, found.rent_minor) == (250, 70)
    (page,) = sqlite_agent.pages(found.name, 10)
    assert values(page.cost_share) == pytest.approx([3 * 0.5 + 0.4, 0.5 + 2 * 0.4])
    told = sqlite_agent.statement(found.name, "anna")
    lines = {line.term: line for line in told.lines}
    assert lines["at 0.5 EUR/kWh"].value == "1.5"
    assert lines["at 0.4 EUR/kWh"].value == "0.4"


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


def test_a_purchase_that_cannot_be_is_an_answer(sqlite_agent):
    request = purchase_request()
    del request.plants[1:]
    found = sqlite_agent.stub.PlanPurchase(request)
    assert found.termination.reason == common_pb2.TERMINATION_REASON_INFEASIBLE
    (conflict,) = found.conflicts
    assert "load" in conflict.rule
    assert (conflict.interval, conflict.interval_count) == (0, 1)
    assert conflict.amount == pytest.approx(0.5)


def test_a_cost_is_shared_by_all_rules_at_once(sqlite_agent):
    request = sharing_request()
    rules = [rule for rule in pb.SharingRule.values() if rule]
    rules.remove(pb.SHARING_RULE_OWEN_DUALS)
    request.rules.extend(rules)
    found = sqlite_agent.stub.ShareCost(request)
    assert list(found.names) == list(NAMES)
    assert found.cost == pytest.approx(2.9)
    assert [one.rule for one in found.shares] == rules
    for one in found.shares:
        assert sum(values(one.share)) == pytest.approx(2.9)
        assert one.report.is_enumerated
    first = found.shares[0]
    assert values(first.share) == pytest.approx([1.8, 1.1])
    assert first.report.is_stable
    assert values(found.contribution) == pytest.approx([-0.15625, 0.15625])


def test_a_schedule_that_fails_is_told_before_the_contract(sqlite_agent):
    found = sqlite_agent.stub.AssessPrices(assess_request())
    assert not found.is_stable
    assert found.pooling.together == pytest.approx(1.35)
    assert found.pooling.alone == pytest.approx(1.3)
    assert found.pooling.saving == pytest.approx(-0.05)
    example = found.counterexample
    assert example.loss > 0
    assert len(example.hours) == example.load_kw.cols
    assert found.sentences
    request = assess_request()
    request.price.CopyFrom(settlement_request().price)
    good = sqlite_agent.stub.AssessPrices(request)
    assert good.is_stable
    assert not good.HasField("counterexample")


def test_the_sum_of_curves_by_hand(sqlite_agent):
    request = sum_request()
    request.curves.areas.extend(["north", "south"])
    request.options.quantiles.append(1.0)
    request.options.roll_ups.append(pb.ROLL_UP_DAY)
    band = request.options.bands.add(name="peak")
    band.windows.add(start_minute=0, end_minute=60)
    found = sqlite_agent.stub.AggregateLoads(request).aggregate
    assert values(found.total_kw) == [4.0, 3.0]
    assert (found.user_count, found.peak_kw, found.load_factor) == (2, 4.0, 0.875)
    assert found.sum_of_peaks_kw == 5.0
    assert values(found.users.coincident_kw) == [3.0, 1.0]
    assert values(found.users.peak_without_kw) == [2.0, 3.0]
    # Without anna (1, 2): 3 (0.3 + 0.1 * 4/3); without bert (3, 1): 4 (0.3 + 0.1 * 1.5)
    assert values(found.users.cost_effect) == pytest.approx([2.9 - 1.3, 2.9 - 1.8])
    assert {band.name: band.energy_kwh for band in found.bands} == {"peak": 4.0, "other": 3.0}
    assert values(found.quantiles[0].load_kw) == [3.0, 2.0]
    assert [area.coincident_kw for area in found.areas] == [3.0, 1.0]
    (day,) = found.roll_ups
    assert (day.label, day.energy_kwh, day.peak_kw) == ("2024-06-01", 7.0, 4.0)


def test_gaps_are_counted_and_filled_by_the_rules_given(sqlite_agent):
    loads = [[1.0, np.nan, 3.0, 4.0], [2.0, 2.0, -1.0, 2.0]]
    request = pb.AggregateLoadsRequest(grid=grid(4), curves=curves(loads))
    rules = request.options.rules
    rules.fills.add(rule=pb.FILL_RULE_LINEAR, longest_intervals=2)
    found = sqlite_agent.stub.AggregateLoads(request).aggregate
    assert values(found.total_kw) == [3.0, 4.0, 5.0, 6.0]
    its = found.completeness
    assert (its.total.missing_count, its.total.negative_count) == (1, 1)
    assert list(its.total.filled_counts) == [2]
    assert its.total.left_count == 0
    assert [counts.missing_count for counts in its.intervals] == [0, 1, 0, 0]
    assert {counts.name for counts in its.worst_users} == set(NAMES)


def test_a_stream_of_chunks_gives_the_sum_of_one_request(sqlite_agent):
    generator = np.random.default_rng(3)
    loads = generator.random((60, 24))
    names = [f"user {number}" for number in range(60)]
    whole = pb.AggregateLoadsRequest(grid=grid(24), curves=curves(loads, names))
    whole.options.users = True
    asked = sqlite_agent.stub.AggregateLoads(whole).aggregate
    parts = [curves(loads[first : first + 25], names[first : first + 25]) for first in (0, 25, 50)]
    found = sqlite_agent.stub.AggregateLoadStream(chunks(*parts, users=True))
    assert found.chunk_count == 3
    asked.ClearField("provenance")
    assert found.aggregate == asked


def test_a_portfolio_takes_those_who_pay(sqlite_agent):
    found = sqlite_agent.portfolio(portfolio_request())
    assert list(found.users) == list(NAMES)
    assert list(found.contract) == [1, 1, 0]
    # Revenue 0.6 * 7 less the cost of 2.9.
    assert found.profit == pytest.approx(4.2 - 2.9)
    assert found.certificate.objective == pytest.approx(-1.3)
    assert found.certificate.bound <= found.certificate.objective + 1e-9
    (contract,) = found.contracts
    assert (contract.name, contract.peak_kw, contract.load_factor) == ("plant", 4.0, 0.875)
    (reason,) = found.reasons
    assert (reason.user, reason.contract) == ("cora", "")
    assert reason.effect < 0
    assert [recruit.user for recruit in found.recruits] == ["cora"]
    assert found.rules
    assert all(rule.lost >= -1e-9 for rule in found.rules if rule.keeps_limits)


def test_a_portfolio_is_made_once_for_a_request_id(sqlite_agent, failure):
    stub = sqlite_agent.stub
    first = stub.FormPortfolio(portfolio_request("one"))
    assert stub.FormPortfolio(portfolio_request("one")).name == first.name
    other = portfolio_request("one")
    other.options.seed = 1
    told = failure(lambda: stub.FormPortfolio(other))
    assert told.code is grpc.StatusCode.ALREADY_EXISTS


def test_the_server_tells_of_the_family_and_its_limits(sqlite_agent):
    stub = SystemServiceStub(sqlite_agent.channel)
    found = stub.GetSystemInfo(GetSystemInfoRequest())
    assert "agency" in found.families
    assert (found.limits.curve_points, found.limits.settlement_users) == (400_000_000, 2_000_000)


def test_loads_as_floats_settle_as_doubles_do(sqlite_agent):
    single = settlement_request("single", curves=curves(LOADS, NAMES, single=True))
    found = sqlite_agent.settled(single)
    assert (found.cost_minor, found.bill_minor) == (290, 303)
