"""Every method of the agency that keeps no settlement, on a real server."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from loadloom.v1 import agency_pb2 as pb
from loadloom.v1 import common_pb2
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub
from tests.engine.services.agency_calls import (
    NAMES,
    Agent,
    assess_request,
    chunks,
    curves,
    grid,
    portfolio_request,
    purchase_request,
    settlement_request,
    settling,
    sharing_request,
    sum_request,
    values,
)


@pytest.fixture(scope="module")
def agent(new_url) -> Iterator[Agent]:
    with settling(new_url("sqlite")) as found:
        yield found


def test_a_purchase_is_bought_shared_and_settled_at_its_slot_prices(agent):
    bought = agent.stub.PlanPurchase(purchase_request())
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
    found = agent.settled(request)
    assert found.terms.rule == pb.SHARING_RULE_OWEN_DUALS
    assert (found.cost_minor, found.rent_minor) == (250, 70)
    (page,) = agent.pages(found.name, 10)
    assert values(page.cost_share) == pytest.approx([3 * 0.5 + 0.4, 0.5 + 2 * 0.4])
    told = agent.statement(found.name, "anna")
    lines = {line.term: line for line in told.lines}
    assert lines["at 0.5 EUR/kWh"].value == "1.5"
    assert lines["at 0.4 EUR/kWh"].value == "0.4"


def test_a_purchase_that_cannot_be_is_an_answer(agent):
    request = purchase_request()
    del request.plants[1:]
    found = agent.stub.PlanPurchase(request)
    assert found.termination.reason == common_pb2.TERMINATION_REASON_INFEASIBLE
    (conflict,) = found.conflicts
    assert "load" in conflict.rule
    assert (conflict.interval, conflict.interval_count) == (0, 1)
    assert conflict.amount == pytest.approx(0.5)


def test_a_cost_is_shared_by_all_rules_at_once(agent):
    request = sharing_request()
    rules = [rule for rule in pb.SharingRule.values() if rule]
    rules.remove(pb.SHARING_RULE_OWEN_DUALS)
    request.rules.extend(rules)
    found = agent.stub.ShareCost(request)
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


def test_a_schedule_that_fails_is_told_before_the_contract(agent):
    found = agent.stub.AssessPrices(assess_request())
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
    good = agent.stub.AssessPrices(request)
    assert good.is_stable
    assert not good.HasField("counterexample")


def test_the_sum_of_curves_by_hand(agent):
    request = sum_request()
    request.curves.areas.extend(["north", "south"])
    request.options.quantiles.append(1.0)
    request.options.roll_ups.append(pb.ROLL_UP_DAY)
    band = request.options.bands.add(name="peak")
    band.windows.add(start_minute=0, end_minute=60)
    found = agent.stub.AggregateLoads(request).aggregate
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


def test_gaps_are_counted_and_filled_by_the_rules_given(agent):
    loads = [[1.0, np.nan, 3.0, 4.0], [2.0, 2.0, -1.0, 2.0]]
    request = pb.AggregateLoadsRequest(grid=grid(4), curves=curves(loads))
    rules = request.options.rules
    rules.fills.add(rule=pb.FILL_RULE_LINEAR, longest_intervals=2)
    found = agent.stub.AggregateLoads(request).aggregate
    assert values(found.total_kw) == [3.0, 4.0, 5.0, 6.0]
    its = found.completeness
    assert (its.total.missing_count, its.total.negative_count) == (1, 1)
    assert list(its.total.filled_counts) == [2]
    assert its.total.left_count == 0
    assert [counts.missing_count for counts in its.intervals] == [0, 1, 0, 0]
    assert {counts.name for counts in its.worst_users} == set(NAMES)


def test_a_stream_of_chunks_gives_the_sum_of_one_request(agent):
    generator = np.random.default_rng(3)
    loads = generator.random((60, 24))
    names = [f"user {number}" for number in range(60)]
    whole = pb.AggregateLoadsRequest(grid=grid(24), curves=curves(loads, names))
    whole.options.quantiles.append(0.5)
    parts = [curves(loads[first : first + 25], names[first : first + 25]) for first in (0, 25, 50)]
    for users in (True, False):
        whole.options.users = users
        asked = agent.stub.AggregateLoads(whole).aggregate
        found = agent.stub.AggregateLoadStream(chunks(*parts, users=users, quantiles=[0.5]))
        assert found.chunk_count == 3
        asked.ClearField("provenance")
        assert found.aggregate == asked


def test_a_portfolio_takes_those_who_pay(agent):
    found = agent.portfolio(portfolio_request())
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


def test_a_portfolio_is_made_once_for_a_request_id(agent, failure):
    stub = agent.stub
    first = stub.FormPortfolio(portfolio_request("one"))
    assert stub.FormPortfolio(portfolio_request("one")).name == first.name
    other = portfolio_request("one")
    other.options.seed = 1
    told = failure(lambda: stub.FormPortfolio(other))
    assert told.code is grpc.StatusCode.ALREADY_EXISTS


def test_the_server_tells_of_the_family_and_its_limits(agent):
    stub = SystemServiceStub(agent.channel)
    found = stub.GetSystemInfo(GetSystemInfoRequest())
    assert "agency" in found.families
    assert (found.limits.curve_points, found.limits.settlement_users) == (400_000_000, 2_000_000)
