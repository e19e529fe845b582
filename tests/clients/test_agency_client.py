"""The verbs of an agent against a real server, by both clients."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from loadloom.client.agency import (
    AffinePrice,
    Curves,
    DataSet,
    LoadFactorPrice,
    Plant,
    PortfolioContract,
    PurchaseStore,
    ReadingRules,
    Spot,
    TimeBand,
)
from loadloom.client.agency_aio import AsyncAgencyCalls
from loadloom.client.agency_calls import AgencyCalls
from loadloom.client.aio import AsyncClient
from loadloom.client.client import Client
from loadloom.client.embedded import engine
from loadloom.client.errors import AlreadyExists, ClientClosed, InvalidRequest, NotFound
from loadloom.client.operations import State
from loadloom.client.plan import Outcome
from tests.clients.agency_cases import ZONE, by_hand, curves

PRICE = AffinePrice(base_per_kwh=0.3, slope_per_kwh=0.1)
TERMS = {"highest_price_per_kwh": 0.6, "profit_rate": 0.1, "currency_code": "EUR"}
MISSING = f"settlements/{'0' * 32}"


def settled(client, frame=None, **wishes):
    """The settlement of the two users by hand."""
    said = by_hand() if frame is None else frame
    return client.create_settlement(said, PRICE, **{**TERMS, **wishes})


@pytest.fixture(scope="module")
def made(client):
    """A settlement of the two users that nobody corrects."""
    return settled(client, title="by hand", report=True)


def test_the_sum_of_two_users_by_hand(client):
    found = client.aggregate_loads(by_hand(), price=PRICE)
    assert (found.user_count, found.energy_kwh, found.peak_kw) == (2, 7.0, 4.0)
    assert found.load_factor == pytest.approx(7 / 8)
    assert found.sum_of_peaks_kw == 5.0
    assert found.total_kw.tolist() == [4.0, 3.0]
    assert found.peak_times == [pd.Timestamp("2026-03-02", tz=ZONE)]
    users = found.users
    assert list(users.index) == ["a", "b"]
    assert users["energy_kwh"].tolist() == [4.0, 3.0]
    assert users["coincident_kw"].tolist() == [3.0, 1.0]
    assert users["peak_without_kw"].tolist() == [2.0, 3.0]
    # Without a, b alone costs 3 * (0.3 + 0.1 * 2 * 2 / 3).
    assert users.loc["a", "cost_effect"] == pytest.approx(2.9 - 1.3)


def test_bands_quantiles_and_spans_add_up(client):
    pool = curves()
    found = client.aggregate_loads(
        pool,
        bands=[TimeBand(name="peak", windows="08:00-12:00")],
        quantiles=[0.5],
        roll_ups=["day", "month"],
    )
    assert found.bands["energy_kwh"].sum() == pytest.approx(found.energy_kwh)
    assert found.bands.loc["peak", "share"] == pytest.approx(
        pool.frame.between_time("08:00", "11:59").to_numpy().sum() / pool.energy_kwh.sum()
    )
    median = pool.frame.median(axis=1)
    assert found.quantiles[0.5].to_numpy() == pytest.approx(median.to_numpy())
    spans = found.roll_ups
    assert spans.loc["2026-03-02", "energy_kwh"] == pytest.approx(pool.load_kw[:, :24].sum())
    assert set(spans["span"]) == {"day", "month"}


def test_areas_are_summed_apart(client):
    pool = curves()
    pool = Curves(names=pool.names, load_kw=pool.load_kw, grid=pool.grid, areas=("x", "y", "x"))
    found = client.aggregate_loads(pool)
    assert found.areas["user_count"].to_dict() == {"x": 2, "y": 1}
    assert found.area_loads["y"].to_numpy() == pytest.approx(pool.load_kw[1])


def test_gaps_are_counted_and_filled(client):
    frame = curves().frame
    frame.iloc[5, 0] = np.nan
    rules = ReadingRules(fills=[("linear", 1)])
    found = client.aggregate_loads(frame, rules=rules)
    assert found.reading_count == frame.size
    table = found.completeness
    total = table[table["scope"] == "all"].iloc[0]
    assert (total["missing"], total["filled 1"], found.left_count) == (1, 1, 0)
    between = (frame.iloc[4, 0] + frame.iloc[6, 0]) / 2.0
    assert found.total_kw.iloc[5] == pytest.approx(between + frame.iloc[5, 1:].sum())
    assert found.interval_marks["missing"].sum() == 1


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_chunks_of_a_stream_bring_the_same_sum(client, kind):
    pool = curves(names=[f"user {k}" for k in range(50)])
    frame = pool.frame.astype(kind)
    whole = client.aggregate_loads(frame)
    chunks = (frame.iloc[:, first:last] for first, last in pairwise((0, 7, 8, 50)))
    found = client.aggregate_load_stream(chunks, timeout_s=60.0)
    assert found.user_count == 50
    assert found.total_kw.tolist() == whole.total_kw.tolist()
    assert found.users.sort_index().equals(whole.users.sort_index())
    again = client.aggregate_load_stream(frame, users=False)
    assert again.total_kw.tolist() == whole.total_kw.tolist()
    assert again.users.empty


def test_a_chunk_that_is_wrong_ends_a_stream_with_its_fault(client):
    with pytest.raises(InvalidRequest, match="other intervals than the first"):
        client.aggregate_load_stream([by_hand(), curves()])
    with pytest.raises(InvalidRequest, match="there is no chunk"):
        client.aggregate_load_stream([])
    twice = (by_hand() for _ in range(1000))
    with pytest.raises(InvalidRequest):
        client.aggregate_load_stream(twice)


def test_what_a_caller_raises_ends_a_stream(client):
    def broken():
        yield by_hand()
        raise KeyError("meter 7")

    with pytest.raises(KeyError, match="meter 7"):
        client.aggregate_load_stream(broken())


def test_a_stable_price_and_one_that_loses(client):
    assert client.assess_prices(PRICE).is_stable
    found = client.assess_prices(LoadFactorPrice(base_per_kwh=0.6, slope_per_kwh=0.2))
    assert not found.is_stable
    assert not found.is_convex
    assert found.counterexample is not None
    assert found.counterexample.loss > 0.0
    assert found.counterexample.hours.size == found.counterexample.load_kw.shape[1]
    assert found.reasons or found.sentences
    frame = pd.DataFrame([[1.0, 1.0], [1.0, 0.0]], by_hand().index, ["even", "odd"])
    pool = client.assess_prices(LoadFactorPrice(base_per_kwh=0.6, slope_per_kwh=0.2), frame).pooling
    assert pool is not None
    assert (pool.together, pool.alone) == (pytest.approx(1.35), pytest.approx(1.3))
    assert pool.saving == pytest.approx(-0.05)


def test_rules_beside_each_other(client):
    rules = ["aumann-shapley", "energy", "shapley", "nucleolus"]
    found = client.share_cost(by_hand(), PRICE, rules, report=True)
    assert found.cost == pytest.approx(2.9)
    assert found.shares["aumann-shapley"] == pytest.approx([1.8, 1.1])
    assert found.shares["energy"] == pytest.approx([2.9 * 4 / 7, 2.9 * 3 / 7])
    assert found.alone == pytest.approx([1.8, 1.3])
    # The saving of 0.2 is split by two users who are equals in it.
    assert found.shares["shapley"] == pytest.approx([1.7, 1.2])
    assert found.shares["nucleolus"] == pytest.approx([1.7, 1.2])
    assert all(share.sum() == pytest.approx(2.9) for share in found.shares.values())
    assert found.frame["contribution"].tolist() == pytest.approx([-0.15625, 0.15625])
    report = found.reports["aumann-shapley"]
    assert report.complaint <= 1e-9
    assert report.is_stable
    assert abs(report.imbalance) < 1e-9


def test_a_purchase_and_the_prices_of_its_hours(client):
    plants = [
        Plant(name="hill", load_factor_price=PRICE),
        Plant(name="mill", price_per_kwh=[0.45, 0.45]),
    ]
    load = by_hand().sum(axis=1)
    found = client.plan_purchase(load, plants, currency_code="EUR")
    assert found.outcome is Outcome.OPTIMAL
    # Of hill 3 kW in both hours at (0.3 + 0.1) per kWh, of mill 1 kWh.
    assert found.cost == pytest.approx(6 * 0.4 + 0.45)
    assert found.plants.loc["hill", "peak_kw"] == pytest.approx(3.0)
    assert found.frame["mill_kw"].tolist() == pytest.approx([1.0, 0.0])
    assert "mill would deliver it" in found.price_reasons[0]
    price = found.price
    paid = float(np.dot(price.slot_price_per_kwh, load))
    assert paid == pytest.approx(price.cost + price.rent)
    shares = client.share_cost(by_hand(), found, ["owen duals"])
    assert shares.shares["owen duals"].sum() == pytest.approx(found.cost)


def test_a_market_and_a_store_take_part(client):
    found = client.plan_purchase(
        [1.0, 1.0],
        [],
        Curves.of(by_hand()).grid,
        spot=Spot(buy_price_per_kwh=[0.1, 0.5]),
        store=PurchaseStore(energy_max_kwh=5.0, charge_max_kw=5.0, discharge_max_kw=5.0),
    )
    assert found.cost == pytest.approx(0.2)
    assert found.frame["spot_buy_kw"].tolist() == pytest.approx([2.0, 0.0])


def test_a_load_that_nobody_covers_is_an_answer(client):
    plants = [Plant(name="hill", price_per_kwh=0.1, power_max_kw=1.0)]
    found = client.plan_purchase(by_hand().sum(axis=1), plants)
    assert not found.exists
    assert found.conflicts


def test_a_portfolio_takes_whom_it_pays(client):
    pool = curves(names=[f"user {k}" for k in range(12)])
    contracts = [PortfolioContract(name="one", price=PRICE, user_count_max=5)]
    operation = client.form_portfolio(
        pool, contracts, 0.5, fee=1.0, currency_code="EUR", explain_users=["user 3"]
    )
    events = list(operation.events())
    assert events[-1].state is State.SUCCEEDED
    found = operation.result()
    assert found.exists
    assert found.user_count <= 5
    assert len(found.users) == found.user_count
    assert (found.contract_of >= 0).sum() == found.user_count
    assert found.bound >= found.profit - 1e-6
    figures = found.contracts.loc["one"]
    taken = pool.load_kw[found.contract_of >= 0]
    cost = 0.3 * taken.sum() + 0.1 * 48 * taken.sum(axis=0).max()
    profit = 0.5 * taken.sum() - found.user_count * 1.0 - cost
    assert found.profit == pytest.approx(profit)
    assert figures["profit"] == pytest.approx(profit)
    assert list(found.reasons.index) == ["user 3"]
    assert len(found.rules) >= 2
    assert client.operation(operation.name).done


def test_a_settlement_by_hand_is_exact(client, made):
    assert (made.cost, made.bill, made.profit) == (
        Decimal("2.90"),
        Decimal("3.03"),
        Decimal("0.13"),
    )
    assert made.prepaid == made.bill + made.refund == Decimal("4.20")
    assert made.load_factor == pytest.approx(0.875)
    assert (made.mode, made.rule, made.profit_rate) == ("benefit share", "aumann-shapley", 0.1)
    assert made.report is not None
    assert made.report.is_stable
    table = client.statements(made)
    assert table["bill"].to_dict() == {"a": Decimal("1.86"), "b": Decimal("1.17")}
    assert table["refund"].to_dict() == {"a": Decimal("0.54"), "b": Decimal("0.63")}
    assert table["benefit_per_kwh"].tolist() == pytest.approx([0.135, 0.21])
    assert table["contribution"].tolist() == pytest.approx([-0.15625, 0.15625])
    assert table["alone"].tolist() == pytest.approx([1.8, 1.3])


def test_a_statement_tells_the_formula_of_every_figure(client, made):
    found = client.get_statement(made, "b")
    assert (found.user, found.bill, found.refund) == ("b", Decimal("1.17"), Decimal("0.63"))
    assert found.energy_share == pytest.approx(3 / 7)
    assert found.peak_share == pytest.approx(1 / 4)
    worked = [line for line in found.lines if line.expression]
    assert len(worked) > 5
    for line in worked:
        # A pocket calculator finds the same, to the digits that are printed.
        assert eval(line.expression) == pytest.approx(float(line.value), rel=1e-9, abs=1e-9)
    assert {"1.17"} <= {line.value for line in found.lines}


def test_a_purchase_is_settled_by_its_prices(client):
    plants = [
        Plant(name="hill", load_factor_price=PRICE),
        Plant(name="mill", price_per_kwh=0.45),
    ]
    purchase = client.plan_purchase(by_hand().sum(axis=1), plants)
    made = client.create_settlement(by_hand(), purchase, **TERMS)
    assert made.rule == "owen duals"
    assert float(made.cost) == pytest.approx(purchase.cost)
    table = client.statements(made)
    assert sum(table["bill"]) == made.bill
    assert sum(table["refund"]) == made.refund


def test_who_prepaid_too_little_is_named_with_the_cure(client):
    made = settled(client, prepaid={"a": "1.00", "b": "2.00"})
    assert made.negative_refund_count == 1
    assert [(one.user, one.owed) for one in made.negative_refunds] == [("a", Decimal("0.86"))]


def test_cost_plus_adds_to_the_cost(client):
    made = settled(client, mode="cost plus")
    assert made.bill == Decimal("3.19")
    table = client.statements(made)
    assert table["bill"].to_dict() == {"a": Decimal("1.98"), "b": Decimal("1.21")}


def test_a_correction_refers_to_the_first_and_tells_each_change(client):
    first = settled(client)
    changed = by_hand()[["b"]].copy()
    changed.iloc[1, 0] = 3.0
    found = client.correct_settlement(first, changed, reason="meter 2 was read twice")
    assert (found.corrects, found.correction) == (first.name, 1)
    assert found.reason == "meter 2 was read twice"
    table = client.statements(found)
    before = client.statements(first)
    for user in ("a", "b"):
        assert table["bill_change"][user] == table["bill"][user] - before["bill"][user]
    assert found.bill_change == found.bill - first.bill
    assert client.get_settlement(first.name).corrections == [found.name]
    assert client.get_statement(found, "b").corrects == first.name
    # The first one stays what it was.
    assert client.statements(first).equals(before)


def test_the_same_request_brings_the_same_settlement(client):
    request_id = f"same {pd.Timestamp.now('UTC')}"
    found = [settled(client, request_id=request_id) for _ in range(2)]
    assert found[0].name == found[1].name
    with pytest.raises(AlreadyExists):
        settled(client, request_id=request_id, profit_rate=0.2)


def test_settlements_are_found_again_and_listed(client, made):
    assert client.get_settlement(made.name).message == made.message
    assert made.name in {one.name for one in client.list_settlements()}
    with pytest.raises(NotFound):
        client.get_settlement(MISSING)
    with pytest.raises(NotFound):
        client.get_statement(made, "nobody")


def test_statements_come_in_pages(client):
    pool = curves(names=[f"user {k:02d}" for k in range(25)])
    made = client.create_settlement(pool, PRICE, **TERMS)
    pages = list(client.list_statements(made.name, page_size=10))
    assert sum(map(len, pages)) == 25
    assert len(pages) >= 3
    table = client.statements(made)
    assert list(table.index) == sorted(pool.names)
    assert sum(table["bill"]) == made.bill
    assert sum(table["prepaid"]) == made.prepaid


def test_the_server_tells_every_fault_of_a_settlement(client):
    with pytest.raises(InvalidRequest) as caught:
        settled(client, by_hand(names=("a", "a")), currency_code="euro", profit_rate=2.0)
    paths = {violation.path.partition("[")[0] for violation in caught.value.violations}
    assert {"terms.currency_code", "terms.profit_rate"} <= paths
    frame = by_hand()
    frame.iloc[0, 1] = -1.0
    with pytest.raises(InvalidRequest, match="-1"):
        settled(client, frame)


def test_a_data_set_below_a_root_of_the_server(tmp_path):
    pool = curves()
    step = pd.Timedelta("1h")
    long = pool.frame.rename_axis("time").reset_index()
    long = long.melt("time", var_name="user", value_name="load_kw")
    long.to_parquet(tmp_path / "march.parquet", index=False)
    said = DataSet(root="meters", path="march.parquet", grid=pool.grid, layout="long")
    roots = f'--data-roots={{"meters": "{tmp_path}"}}'
    with engine(roots) as target, Client(target) as client:
        found = client.aggregate_loads(said)
        whole = client.aggregate_loads(pool)
        assert found.total_kw.tolist() == whole.total_kw.tolist()
        assert step == found.total_kw.index[1] - found.total_kw.index[0]
        made = client.create_settlement(said, PRICE, **TERMS)
        assert made.user_count == 3
        outside = DataSet(root="meters", path="../march", grid=pool.grid, layout="long")
        with pytest.raises(InvalidRequest, match="path"):
            client.aggregate_loads(outside)


def test_a_client_that_awaits_does_the_same(target):
    async def everything():
        async with AsyncClient(target) as client:
            found = await client.aggregate_loads(by_hand())
            assert found.energy_kwh == 7.0

            async def chunks():
                for name in ("a", "b"):
                    yield by_hand()[[name]]

            assert (await client.aggregate_load_stream(chunks())).energy_kwh == 7.0
            assert (await client.aggregate_load_stream(by_hand())).energy_kwh == 7.0
            with pytest.raises(InvalidRequest, match="other intervals"):
                await client.aggregate_load_stream([by_hand(), curves()])
            with pytest.raises(InvalidRequest):
                await client.aggregate_load_stream(by_hand() for _ in range(1000))
            assert (await client.assess_prices(PRICE)).is_stable
            shared = await client.share_cost(by_hand(), PRICE)
            assert shared.cost == pytest.approx(2.9)
            plants = [Plant(name="hill", load_factor_price=PRICE)]
            bought = await client.plan_purchase(by_hand().sum(axis=1), plants)
            assert bought.cost == pytest.approx(2.9)
            contracts = [PortfolioContract(name="one", price=PRICE)]
            operation = await client.form_portfolio(by_hand(), contracts, 0.6)
            assert (await operation.result(60.0)).user_count == 2
            made = await client.create_settlement(by_hand(), PRICE, **TERMS)
            assert made.bill == Decimal("3.03")
            assert (await client.get_settlement(made.name)).message == made.message
            assert made.name in {one.name async for one in client.list_settlements()}
            assert [len(page) async for page in client.list_statements(made)] == [2]
            assert sum((await client.statements(made))["bill"]) == made.bill
            assert (await client.get_statement(made, "a")).bill == Decimal("1.86")
            fixed = await client.correct_settlement(made, by_hand()[["a"]] * 2.0)
            assert fixed.corrects == made.name
        with pytest.raises(ClientClosed):
            await client.aggregate_loads(by_hand())
        with pytest.raises(ClientClosed):
            await client.aggregate_load_stream(by_hand())

    asyncio.run(everything())


def test_both_clients_have_the_same_verbs():
    verbs = {name for name in vars(AgencyCalls) if not name.startswith("_")}
    assert verbs == {name for name in vars(AsyncAgencyCalls) if not name.startswith("_")}
    assert len(verbs) == 13


def test_curves_of_a_local_day_of_a_clock_change(client):
    times = pd.date_range("2026-10-25", periods=25, freq="h", tz=ZONE)
    found = client.aggregate_loads(pd.DataFrame({"a": np.ones(25)}, times), roll_ups=["day"])
    assert found.energy_kwh == 25.0
    assert found.roll_ups.loc["2026-10-25", "energy_kwh"] == 25.0
    assert found.total_kw.index[3] - found.total_kw.index[2] == timedelta(hours=1)
