"""Requests of an agent: what is said stands in them as the API has it, and faults are told."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from loadloom.client.agency import (
    AffinePrice,
    Curves,
    DataSet,
    LoadFactorPrice,
    PiecewisePrice,
    Plant,
    PortfolioContract,
    PurchaseBlock,
    PurchaseCost,
    ReadingRules,
    SpikeRule,
    Spot,
    TierPrice,
    TimeBand,
)
from loadloom.client.agency_chunks import ChunkStream
from loadloom.client.agency_money import minor_digits, money, of_minor, to_minor
from loadloom.client.agency_request import (
    aggregate_request,
    assess_request,
    correction_request,
    portfolio_request,
    purchase_request,
    settlement_request,
    share_request,
)
from loadloom.client.errors import InvalidRequest
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import from_floats, from_series
from tests.clients.agency_cases import NAME, by_hand, curves

AFFINE = AffinePrice(base_per_kwh=0.3, slope_per_kwh=0.1)


def faults(call, *arguments, **options):
    """What is wrong, by path."""
    with pytest.raises(InvalidRequest) as caught:
        call(*arguments, **options)
    return {one.path: one.message for one in caught.value.violations}


def test_a_frame_is_curves_in_its_columns():
    request, grid = aggregate_request(by_hand(), {})
    assert list(request.curves.names) == ["a", "b"]
    assert from_series(request.curves.load_kw.values).tolist() == [3.0, 1.0, 1.0, 2.0]
    assert (request.curves.load_kw.rows, request.curves.load_kw.cols) == (2, 2)
    assert request.grid == grid.message()
    assert request.options.users


def test_floats_of_half_the_size_travel_so():
    request, _ = aggregate_request(by_hand().astype(np.float32), {})
    assert from_floats(request.curves.load_kw_float32).tolist() == [3.0, 1.0, 1.0, 2.0]
    assert not request.curves.HasField("load_kw")


def test_what_is_no_table_of_curves_is_told():
    assert (
        "has no time zone"
        in faults(aggregate_request, by_hand().tz_localize(None), {})["grid.start_time"]
    )
    assert "curves" in faults(aggregate_request, [1, 2], {})
    assert (
        "could not convert"
        in faults(aggregate_request, by_hand().astype(object).replace(3.0, "x"), {})[
            "curves.load_kw"
        ]
    )
    odd = Curves(names=("a",), load_kw=np.ones((2, 2)), grid=curves().grid)
    assert "has shape (2, 2)" in faults(aggregate_request, odd, {})["curves.load_kw"]


def test_wishes_of_a_sum():
    cut_off = datetime(2026, 4, 1, tzinfo=UTC)
    rules = ReadingRules(
        fills=[("linear", 4), ("area profile", 0)],
        spike=SpikeRule(times=10.0, of="mean", least_kw=2.0),
        replace=["late", "spike"],
        cut_off=cut_off,
    )
    request, _ = aggregate_request(
        curves(),
        {
            "users": False,
            "price": TierPrice(tiers=[(0.0, 0.5), (0.6, 0.4)]),
            "quantiles": [0.5],
            "bands": [TimeBand(name="peak", windows="08:00-12:00 18:00-00:00")],
            "roll_ups": ["day", "month"],
            "rules": rules,
        },
    )
    options = request.options
    assert not options.users
    assert [tier.least_load_factor for tier in options.price.tiers.tiers] == [0.0, 0.6]
    windows = [(one.start_minute, one.end_minute) for one in options.bands[0].windows]
    assert windows == [(480, 720), (1080, 1440)]
    assert list(options.roll_ups) == [pb.ROLL_UP_DAY, pb.ROLL_UP_MONTH]
    assert [step.rule for step in options.rules.fills] == [
        pb.FILL_RULE_LINEAR,
        pb.FILL_RULE_AREA_PROFILE,
    ]
    assert options.rules.spike.of == pb.SPIKE_REFERENCE_MEAN
    assert list(options.rules.replace) == [pb.READING_MARK_LATE, pb.READING_MARK_SPIKE]
    assert options.rules.cut_off_time.ToDatetime(UTC) == cut_off


def test_all_that_is_wrong_with_wishes_is_told_at_once():
    wishes = {
        "bands": [TimeBand(name="peak", windows="noon")],
        "roll_ups": ["year"],
        "price": 3,
        "rules": ReadingRules(fills=[("guess", 1)], cut_off=datetime(2026, 4, 1)),
    }
    found = faults(aggregate_request, curves(), wishes)
    assert set(found) == {
        "options.bands[0].windows",
        "options.roll_ups[0]",
        "options.price",
        "options.rules.fills[0].rule",
        "options.rules.cut_off_time",
    }
    with pytest.raises(TypeError, match="unexpected keyword argument 'band'"):
        aggregate_request(curves(), {"band": []})


def test_a_data_set_is_named_with_its_grid():
    said = DataSet(
        root="meters",
        path="2026/03",
        grid=curves().grid,
        layout="wide columns",
        format="parquet",
        user_column="meter",
        slot_columns=["h0", "h1"],
        unit="kwh",
    )
    request, grid = aggregate_request(said, {})
    found = request.data_set
    assert (found.root, found.path, found.user_column) == ("meters", "2026/03", "meter")
    assert found.layout == pb.DATA_SET_LAYOUT_WIDE_COLUMNS
    assert found.format == pb.DATA_SET_FORMAT_PARQUET
    assert found.unit == pb.READING_UNIT_KWH
    assert list(found.slot_columns) == ["h0", "h1"]
    assert request.grid == grid.message()
    assert request.WhichOneof("source") == "data_set"


def test_prices_of_all_kinds():
    kinds = {
        "affine": AFFINE,
        "piecewise": PiecewisePrice(points=[(1.0, 0.3), (2.0, 0.5)]),
        "load_factor": LoadFactorPrice(base_per_kwh=0.6, slope_per_kwh=0.2),
        "tiers": TierPrice(tiers=[(0.0, 0.5)]),
    }
    for name, price in kinds.items():
        assert assess_request(price, None, {}).price.WhichOneof("kind") == name
    assert assess_request(AFFINE, by_hand(), {}).curves.names == ["a", "b"]
    found = faults(assess_request, TierPrice(tiers=[(0.0,)]), None, {})
    assert "must be pairs of numbers" in found["price.tiers.tiers"]


def test_a_cost_to_share_by_several_rules():
    request = share_request(
        by_hand(),
        PurchaseCost(cost=2.9, slot_price_per_kwh=[0.4, 0.5], rent=0.1),
        ["owen duals", "energy"],
        {"peak_mode": "mean of top peaks", "peak_count": 3, "report": True},
    )
    assert list(request.rules) == [pb.SHARING_RULE_OWEN_DUALS, pb.SHARING_RULE_ENERGY]
    assert from_series(request.purchase.slot_price_per_kwh).tolist() == [0.4, 0.5]
    assert request.options.peak_mode == pb.PEAK_MODE_MEAN_OF_TOP_PEAKS
    assert request.options.report
    assert (
        "must be one of aumann-shapley"
        in faults(share_request, by_hand(), AFFINE, ["fair"], {})["rules[0]"]
    )


def test_a_purchase_has_plants_and_a_market():
    plants = [
        Plant(name="hill", load_factor_price=AFFINE, energy_max_kwh=100.0, power_max_kw=[4, 5]),
        Plant(name="mill", blocks=[PurchaseBlock(price_per_kwh=0.1, power_limit_kw=2.0)]),
    ]
    grid = Curves.of(by_hand()).grid
    wishes = {"spot": Spot(buy_price_per_kwh=0.3), "currency_code": "EUR", "time_limit_s": 3.0}
    request = purchase_request([4.0, 3.0], grid, plants, wishes)
    hill, mill = request.plants
    assert hill.load_factor_price.affine.slope_per_kwh == 0.1
    assert hill.energy_max_kwh == 100.0
    assert not mill.HasField("energy_max_kwh")
    assert mill.blocks[0].power_limit_kw == 2.0
    assert not mill.blocks[0].HasField("energy_limit_kwh")
    assert from_series(request.spot.buy_price_per_kwh).tolist() == [0.3]
    assert request.options.time_limit.ToTimedelta() == timedelta(seconds=3)
    assert "options.time_limit" in faults(purchase_request, 1.0, grid, [], {"time_limit_s": -1})


def test_a_portfolio_has_prices_for_one_or_for_all():
    contracts = [PortfolioContract(name="north", price=AFFINE, peak_max_kw=9.0)]
    request = portfolio_request(by_hand(), contracts, 0.6, {"must_take": ["a"], "method": "exact"})
    assert request.request_id
    assert (request.highest_price_per_kwh.rows, request.highest_price_per_kwh.cols) == (1, 1)
    assert request.contracts[0].peak_max_kw == 9.0
    assert not request.contracts[0].HasField("energy_max_kwh")
    assert request.options.method == pb.PORTFOLIO_METHOD_EXACT
    request = portfolio_request(by_hand(), contracts, [0.6, 0.5], {"fee": [[1.0], [2.0]]})
    assert (request.highest_price_per_kwh.rows, request.highest_price_per_kwh.cols) == (2, 1)
    assert from_series(request.fee.values).tolist() == [1.0, 2.0]
    assert (
        "dimensions"
        in faults(portfolio_request, by_hand(), contracts, np.ones((1, 1, 1)), {})[
            "highest_price_per_kwh"
        ]
    )


TERMS = {"highest_price_per_kwh": 0.6, "currency_code": "EUR", "profit_rate": 0.1}


@pytest.mark.parametrize(
    "prepaid",
    [
        {"b": 1.8, "a": "2.40"},
        [Decimal("2.40"), 1.8],
        pd.Series({"b": 1.8, "a": 2.4}),
        np.array([2.4, 1.8]),
    ],
)
def test_prepayments_are_exact_however_they_are_said(prepaid):
    request = settlement_request(by_hand(), AFFINE, TERMS | {"prepaid": prepaid})
    assert list(request.prepaid_minor) == [240, 180]
    assert request.terms.minor_digits == 2
    assert request.terms.mode == pb.SETTLEMENT_MODE_BENEFIT_SHARE


def test_what_is_wrong_with_prepayments_is_told():
    found = faults(settlement_request, by_hand(), AFFINE, TERMS | {"prepaid": {"a": 1, "c": 2}})
    assert "prepaid" in found
    found = faults(settlement_request, by_hand(), AFFINE, TERMS | {"prepaid": [1.005, "much"]})
    assert found == {
        "prepaid[0]": "is 1.005; the currency has 2 decimals",
        "prepaid[1]": "'much' is not an amount of money",
    }
    found = faults(settlement_request, by_hand(), AFFINE, {"currency_code": "EUR"})
    assert found == {"terms.highest_price_per_kwh": "is missing"}


def test_of_a_data_set_amounts_come_in_its_order():
    said = DataSet(root="meters", path="march", grid=curves().grid, layout="long")
    found = faults(settlement_request, said, AFFINE, TERMS | {"prepaid": {"a": 1}})
    assert "give the amounts in the order of its users" in found["prepaid"]
    request = settlement_request(said, AFFINE, TERMS | {"prepaid": [1, 2.5]})
    assert list(request.prepaid_minor) == [100, 250]
    highest = pd.Series([0.5, 0.6])
    request = settlement_request(said, AFFINE, TERMS | {"highest_price_per_kwh": highest})
    assert from_series(request.terms.highest_price_per_kwh).tolist() == [0.5, 0.6]


def test_highest_prices_by_name_follow_the_curves():
    highest = pd.Series({"b": 0.5, "a": 0.6})
    request = settlement_request(by_hand(), AFFINE, TERMS | {"highest_price_per_kwh": highest})
    assert from_series(request.terms.highest_price_per_kwh).tolist() == [0.6, 0.5]


def test_every_settlement_has_an_id_of_its_own_unless_it_is_given_one():
    ids = {settlement_request(by_hand(), AFFINE, TERMS).request_id for _ in range(3)}
    assert len(ids) == 3
    said = settlement_request(by_hand(), AFFINE, TERMS | {"request_id": "march"})
    assert said.request_id == "march"


def test_a_correction_names_what_it_corrects():
    request = correction_request(
        NAME, by_hand(names=("a", "c")), purchase=None, reason="twice", request_id=""
    )
    assert request.name == NAME
    assert list(request.curves.names) == ["a", "c"]
    assert request.request_id


@pytest.mark.parametrize(
    ("code", "amount", "minor", "words"),
    [
        ("EUR", 12.5, 1250, "12.50 EUR"),
        ("JPY", 1200, 1200, "1,200 JPY"),
        ("KWD", "1.234", 1234, "1.234 KWD"),
        ("EUR", "-0.01", -1, "-0.01 EUR"),
        ("EUR", np.float64(0.1), 10, "0.10 EUR"),
    ],
)
def test_money_is_exact(code, amount, minor, words):
    digits = minor_digits(code)
    assert to_minor(amount, digits) == minor
    assert of_minor(minor, digits) == Decimal(str(amount))
    assert money(minor, digits, code) == words


def test_money_of_any_size_keeps_every_digit():
    assert str(of_minor(123_456_789_012_345_678, 2)) == "1234567890123456.78"
    with pytest.raises(ValueError, match="not an amount"):
        to_minor("1e30", 2)


def test_a_stream_sets_up_once_and_cuts_what_is_large():
    pool = Curves(
        names=tuple(f"user {k}" for k in range(100)),
        load_kw=np.ones((100, 3000)),
        grid=curves(count=3000).grid,
        areas=("north", "south") * 50,
    )
    messages = list(ChunkStream(pool, None, {}).messages())
    assert messages[0].WhichOneof("message") == "setup"
    assert messages[0].setup.grid == pool.grid.message()
    names = [name for one in messages[1:] for name in one.curves.names]
    assert names == list(pool.names)
    assert len(messages) == 4
    areas = [area for one in messages[1:] for area in one.curves.areas]
    assert areas == list(pool.areas)


def test_a_stream_of_other_intervals_is_refused():
    stream = ChunkStream([by_hand(), curves()], None, {})
    assert (
        "has other intervals than the first"
        in faults(lambda: list(stream.messages()))["curves.grid"]
    )
    assert (
        "there is no chunk" in faults(lambda: list(ChunkStream([], None, {}).messages()))["curves"]
    )
