"""Bad input about an agency: each fault with its code and the path of its field."""

from collections.abc import Iterator

import grpc
import pytest

from loadloom.engine.settings import Limits
from loadloom.v1 import agency_pb2 as pb
from tests.engine.services.agency_calls import (
    Agent,
    assess_request,
    change,
    curves,
    portfolio_request,
    purchase_request,
    settlement_request,
    settling,
    sharing_request,
    sum_request,
)

BAD = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def agent(new_url) -> Iterator[Agent]:
    with settling(new_url("sqlite"), limits=Limits(intervals=1_000)) as found:
        yield found


def checked(call, request, statement: str, paths: set[str], failure) -> None:
    """Checks that a request is good, and changed tells its faults by these paths."""
    change(statement)(request)
    told = failure(lambda: call(request, timeout=60))
    assert told.code is BAD, told
    assert set(told.paths) == paths


SETTLEMENTS = [
    ("no id", "r.request_id = ''", {"request_id"}),
    ("odd id", "r.request_id = 'ä'", {"request_id"}),
    ("no grid", "r.ClearField('grid')", {"grid"}),
    ("no terms", "r.ClearField('terms')", {"terms"}),
    ("no curves", "r.ClearField('curves')", {"source"}),
    ("no price", "r.ClearField('price')", {"cost"}),
    ("empty price", "r.price.Clear(); r.price.SetInParent()", {"price.kind"}),
    ("no loads", "r.curves.ClearField('load_kw')", {"curves.load_kw"}),
    ("both loads", "r.curves.load_kw_float32.rows = 2", {"curves.load_kw"}),
    ("rows", "r.curves.load_kw.rows = 3", {"curves.load_kw.rows"}),
    ("cols", "r.curves.load_kw.cols = 3", {"curves.load_kw.cols"}),
    ("values", "r.curves.load_kw.values.values.append(1)", {"curves.load_kw.values"}),
    ("NaN", "r.curves.load_kw.values.values[1] = nan", {"curves.load_kw[0][1]"}),
    ("negative", "r.curves.load_kw.values.values[2] = -1", {"curves.load_kw[1][0]"}),
    ("too large", "r.curves.load_kw.values.values[3] = 1e10", {"curves.load_kw[1][1]"}),
    ("same name", "r.curves.names[1] = 'anna'", {"curves.names[1]"}),
    ("empty name", "r.curves.names[1] = ''", {"curves.names[1]"}),
    ("NUL", "r.curves.names[1] = 'a\\0b'", {"curves.names[1]"}),
    ("areas", "r.curves.areas.append('north')", {"curves.areas"}),
    ("currency", "r.terms.currency_code = 'euro'", {"terms.currency_code"}),
    ("digits", "r.terms.minor_digits = 5", {"terms.minor_digits"}),
    ("rate", "r.terms.profit_rate = 1.5", {"terms.profit_rate"}),
    ("rate NaN", "r.terms.profit_rate = nan", {"terms.profit_rate"}),
    ("mode", "r.terms.mode = 9", {"terms.mode"}),
    ("rule", "r.terms.rule = 99", {"terms.rule"}),
    ("Owen", "r.terms.rule = pb.SHARING_RULE_OWEN_DUALS", {"terms.rule"}),
    (
        "no highest",
        "r.terms.ClearField('highest_price_per_kwh')",
        {"terms.highest_price_per_kwh"},
    ),
    (
        "three highest",
        "r.terms.highest_price_per_kwh.values.extend([1, 1])",
        {"terms.highest_price_per_kwh"},
    ),
    (
        "highest NaN",
        "r.terms.highest_price_per_kwh.values[0] = nan",
        {"terms.highest_price_per_kwh"},
    ),
    ("prepaid", "r.prepaid_minor.append(1)", {"prepaid_minor"}),
    ("negative prepaid", "r.prepaid_minor.extend([1, -1])", {"prepaid_minor[1]"}),
    (
        "peaks",
        "r.terms.sharing.peak_mode = 2; r.terms.sharing.peak_count = 3",
        {"terms.sharing.peak_count"},
    ),
    ("infinite price", "r.price.affine.base_per_kwh = inf", {"price.affine.base_per_kwh"}),
    (
        "points",
        "p = r.price.piecewise.points; p.add(inverse_load_factor=2); p.add(inverse_load_factor=1)",
        {"price.piecewise.points"},
    ),
    ("one point", "r.price.piecewise.points.add()", {"price.piecewise.points"}),
    (
        "tiers",
        "r.price.tiers.tiers.add(least_load_factor=0.5, price_per_kwh=1)",
        {"price.tiers.tiers[0].least_load_factor"},
    ),
    (
        "two faults",
        "r.terms.profit_rate = 2; r.curves.load_kw.cols = 3",
        {"terms.profit_rate", "curves.load_kw.cols"},
    ),
    (
        "rent",
        "r.purchase.cost = 1; r.purchase.slot_price_per_kwh.values.append(1)",
        {"purchase.rent"},
    ),
    (
        "slot prices",
        "r.purchase.slot_price_per_kwh.values.extend([1, 1, 1])",
        {"purchase.slot_price_per_kwh"},
    ),
]


@pytest.mark.parametrize(
    ("statement", "paths"), [row[1:] for row in SETTLEMENTS], ids=[row[0] for row in SETTLEMENTS]
)
def test_each_fault_of_a_settlement_is_told_with_its_path(agent, failure, statement, paths):
    request = settlement_request(statement[:150].encode("ascii", "replace").decode())
    checked(agent.stub.CreateSettlement, request, statement, paths, failure)


def test_nothing_is_kept_of_a_settlement_that_is_refused(agent, failure):
    request = settlement_request("refused")
    request.terms.profit_rate = 2.0
    assert failure(lambda: agent.settled(request)).code is BAD
    request.terms.profit_rate = 0.1
    assert agent.settled(request).name


CORRECTIONS = [
    ("no such name", "r.name = 'settlements/x'", {"name"}),
    ("no source", "r.ClearField('curves')", {"source"}),
    ("unknown user", "r.curves.names[0] = 'zoe'", {"curves.names[0]"}),
    ("NaN", "r.curves.load_kw.values.values[0] = nan", {"curves.load_kw[0][0]"}),
    ("cols", "r.curves.load_kw.cols = 1", {"curves.load_kw.cols"}),
    ("a purchase", "r.purchase.slot_price_per_kwh.values.append(1)", {"purchase"}),
    ("NUL", "r.reason = 'a\\0b'", {"reason"}),
]


@pytest.mark.parametrize(
    ("statement", "paths"), [row[1:] for row in CORRECTIONS], ids=[row[0] for row in CORRECTIONS]
)
def test_each_fault_of_a_correction_is_told_with_its_path(agent, failure, statement, paths):
    name = agent.settled(settlement_request("to correct")).name
    request = pb.CorrectSettlementRequest(request_id="fix", name=name)
    request.curves.CopyFrom(curves(((1, 1),), ("bert",)))
    checked(agent.stub.CorrectSettlement, request, statement, paths, failure)


def test_a_correction_of_no_settlement_is_not_found(agent, failure):
    name = f"settlements/{'0' * 32}"
    told = failure(lambda: agent.corrected(name, "x", curves()))
    assert told.code is grpc.StatusCode.NOT_FOUND


SHARES = [
    ("no grid", "r.ClearField('grid')", {"grid"}),
    ("no curves", "r.ClearField('curves')", {"curves"}),
    ("same rule", "r.rules.extend([1, 1])", {"rules"}),
    ("Owen", "r.rules.append(pb.SHARING_RULE_OWEN_DUALS)", {"rules[0]"}),
    ("peaks", "r.options.peak_mode = 2; r.options.peak_count = 9", {"options.peak_count"}),
    (
        "purchase",
        "r.purchase.slot_price_per_kwh.values.append(1); r.rules.append(1)",
        {"rules[0]"},
    ),
    (
        "rent",
        "r.purchase.slot_price_per_kwh.values.append(1); r.purchase.cost = 3",
        {"purchase.rent"},
    ),
    (
        "infinite",
        "r.purchase.slot_price_per_kwh.values.append(inf)",
        {"purchase.slot_price_per_kwh[0]"},
    ),
]


@pytest.mark.parametrize(
    ("statement", "paths"), [row[1:] for row in SHARES], ids=[row[0] for row in SHARES]
)
def test_each_fault_of_a_cost_is_told_with_its_path(agent, failure, statement, paths):
    checked(agent.stub.ShareCost, sharing_request(), statement, paths, failure)


ASSESSMENTS = [
    ("no price", "r.ClearField('price')", {"price"}),
    ("no grid", "r.ClearField('grid')", {"grid"}),
    ("NaN", "r.price.load_factor.slope_per_kwh = nan", {"price.load_factor.slope_per_kwh"}),
]


@pytest.mark.parametrize(
    ("statement", "paths"), [row[1:] for row in ASSESSMENTS], ids=[row[0] for row in ASSESSMENTS]
)
def test_each_fault_of_a_price_is_told_with_its_path(agent, failure, statement, paths):
    checked(agent.stub.AssessPrices, assess_request(), statement, paths, failure)


PURCHASES = [
    ("no grid", "r.ClearField('grid')", {"grid"}),
    ("no load", "r.ClearField('load_kw')", {"load_kw"}),
    ("load", "r.load_kw.values.append(1)", {"load_kw"}),
    ("negative", "r.load_kw.values[0] = -1", {"load_kw[0]"}),
    ("no plant", "del r.plants[:]", {"plants"}),
    ("same name", "r.plants[1].name = 'coal'", {"plants[1].name"}),
    ("price", "r.plants[0].price_per_kwh.values.append(1)", {"plants[0].price_per_kwh"}),
    (
        "unstable",
        "r.plants[0].load_factor_price.load_factor.slope_per_kwh = 0.1",
        {"plants[0].load_factor_price"},
    ),
    (
        "blocks",
        "b = r.plants[0].blocks; b.add(price_per_kwh=2); b.add(price_per_kwh=1)",
        {"plants[0].blocks[1].price_per_kwh"},
    ),
    (
        "block",
        "r.plants[0].blocks.add(price_per_kwh=2, power_limit_kw=-1)",
        {"plants[0].blocks[0].power_limit_kw"},
    ),
    (
        "energies",
        "r.plants[0].energy_min_kwh = 2; r.plants[0].energy_max_kwh = 1",
        {"plants[0].energy_min_kwh"},
    ),
    ("kernel", "r.options.method = 1", {"options.method"}),
    (
        "sells dearer",
        "r.spot.buy_price_per_kwh.values.append(1); r.spot.sell_price_per_kwh.values.append(2)",
        {"spot.sell_price_per_kwh"},
    ),
]


@pytest.mark.parametrize(
    ("statement", "paths"), [row[1:] for row in PURCHASES], ids=[row[0] for row in PURCHASES]
)
def test_each_fault_of_a_purchase_is_told_with_its_path(agent, failure, statement, paths):
    checked(agent.stub.PlanPurchase, purchase_request(), statement, paths, failure)


SUMS = [
    ("no grid", "r.ClearField('grid')", {"grid"}),
    ("no source", "r.ClearField('curves')", {"source"}),
    ("a gap", "r.curves.load_kw.values.values[0] = nan", {"curves.load_kw[0][0]"}),
    ("same name", "r.curves.names[1] = 'anna'", {"curves.names[1]"}),
    ("quantile", "r.options.quantiles.append(2)", {"options.quantiles[0]"}),
    ("band", "r.options.bands.add(name='x')", {"options.bands[0].windows"}),
    (
        "minute",
        "r.options.bands.add(name='x').windows.add(start_minute=1440, end_minute=1)",
        {"options.bands[0].windows[0].start_minute"},
    ),
    ("fill", "r.options.rules.fills.add()", {"options.rules.fills[0].rule"}),
    ("spike", "r.options.rules.spike.SetInParent()", {"options.rules.spike.times"}),
    (
        "cut-off",
        "r.ClearField('curves'); r.data_set.root = 'x'; r.data_set.path = 'y'; "
        "r.data_set.layout = 1; r.options.rules.cut_off_time.seconds = 10**12",
        {"data_set.root", "options.rules.cut_off_time"},
    ),
]


@pytest.mark.parametrize(
    ("statement", "paths"), [row[1:] for row in SUMS], ids=[row[0] for row in SUMS]
)
def test_each_fault_of_a_sum_is_told_with_its_path(agent, failure, statement, paths):
    checked(agent.stub.AggregateLoads, sum_request(), statement, paths, failure)


PORTFOLIOS = [
    ("no grid", "r.ClearField('grid')", {"grid"}),
    ("no candidates", "r.ClearField('candidates')", {"source"}),
    ("no contract", "del r.contracts[:]", {"contracts"}),
    (
        "unstable",
        "r.contracts[0].price.load_factor.slope_per_kwh = 0.1",
        {"contracts[0].price"},
    ),
    ("rows", "r.highest_price_per_kwh.rows = 2", {"highest_price_per_kwh.rows"}),
    ("cols", "r.highest_price_per_kwh.cols = 2", {"highest_price_per_kwh.cols"}),
    ("fee", "r.fee.CopyFrom(to_matrix([[1], [1]]))", {"fee.rows"}),
    ("unknown", "r.must_take.append('zoe')", {"must_take[0]"}),
    ("both", "r.must_take.append('anna'); r.never_take.append('anna')", {"must_take[0]"}),
    ("explain", "r.options.explain_users.append('zoe')", {"options.explain_users[1]"}),
    (
        "energies",
        "c = r.contracts[0]; c.energy_min_kwh = 2; c.energy_max_kwh = 1",
        {"contracts[0].energy_min_kwh"},
    ),
    ("method", "r.options.method = 9", {"options.method"}),
]


@pytest.mark.parametrize(
    ("statement", "paths"), [row[1:] for row in PORTFOLIOS], ids=[row[0] for row in PORTFOLIOS]
)
def test_each_fault_of_a_portfolio_is_told_with_its_path(agent, failure, statement, paths):
    checked(agent.stub.FormPortfolio, portfolio_request(), statement, paths, failure)


LOOKS = [
    ("GetSettlement", pb.GetSettlementRequest(name="settlements/1"), {"name"}),
    ("ListSettlements", pb.ListSettlementsRequest(page_size=1_001), {"page_size"}),
    ("ListSettlements", pb.ListSettlementsRequest(page_token="x"), {"page_token"}),
    ("ListSettlements", pb.ListSettlementsRequest(page_token="Wy0xXQ=="), {"page_token"}),
    ("ListStatements", pb.ListStatementsRequest(name="x"), {"name"}),
    ("GetStatement", pb.GetStatementRequest(name="x", user="\0"), {"name", "user"}),
    ("GetStatement", pb.GetStatementRequest(name=f"settlements/{'0' * 32}"), {"user"}),
]


@pytest.mark.parametrize(("method", "request_", "paths"), LOOKS)
def test_each_fault_of_a_question_is_told_with_its_path(agent, failure, method, request_, paths):
    told = failure(lambda: getattr(agent.stub, method)(request_))
    assert told.code is BAD
    assert set(told.paths) == paths


def test_what_is_larger_than_the_limits_is_refused(new_url, failure):
    limits = Limits(settlement_users=1, intervals=1)
    with settling(new_url("sqlite"), limits=limits) as agent:
        told = failure(lambda: agent.settled(settlement_request()))
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert set(told.paths) == {"grid.count"}
    with settling(new_url("sqlite"), limits=Limits(settlement_users=1)) as agent:
        told = failure(lambda: agent.settled(settlement_request()))
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert told.facts["most"] == "1"


def test_a_purchase_with_too_many_blocks_is_refused(new_url, failure):
    """Every plant and every block has a power in each interval."""
    with settling(new_url("sqlite"), limits=Limits(points=6)) as agent:
        request = purchase_request()
        request.plants[0].blocks.add(price_per_kwh=0.1, power_limit_kw=1.0)
        assert agent.stub.PlanPurchase(request, timeout=60).plants
        request.plants[0].blocks.add(price_per_kwh=0.2, power_limit_kw=1.0)
        told = failure(lambda: agent.stub.PlanPurchase(request, timeout=60))
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert set(told.paths) == {"plants"}
