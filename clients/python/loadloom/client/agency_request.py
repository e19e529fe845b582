"""Requests of an agent made from what it says; every fault is found before any is told."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from loadloom.client import agency
from loadloom.client.agency import CurvesLike, DataSet, Plant, Price, PurchaseCost, Rule
from loadloom.client.agency_fields import (
    Source,
    aggregate_options,
    number,
    rule_number,
    set_contract,
    set_cost,
    set_curves,
    set_data_set,
    set_plant,
    set_price,
    set_purchase,
    set_sharing,
    set_source,
    set_time_limit,
    table,
)
from loadloom.client.agency_money import minor_digits, to_minor
from loadloom.client.agency_wishes import (
    AggregateWishes,
    PortfolioWishes,
    PurchaseWishes,
    SettlementWishes,
    SharingWishes,
)
from loadloom.client.errors import LimitExceeded
from loadloom.client.grid import Grid
from loadloom.client.request import Reading, check_names, fill, set_series
from loadloom.v1 import agency_pb2 as pb


def aggregate_request(
    source: Source, wishes: AggregateWishes
) -> tuple[pb.AggregateLoadsRequest, Grid]:
    """The request to add up curves, and their grid.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    request, reading = pb.AggregateLoadsRequest(), Reading(None)
    grid = set_source(request, "curves", source, reading)
    request.options.CopyFrom(aggregate_options(wishes, reading))
    reading.finish()
    return request, grid


def assess_request(
    price: Price, curves: "CurvesLike | None", wishes: SharingWishes
) -> pb.AssessPricesRequest:
    """The request to assess a price.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    request, reading = pb.AssessPricesRequest(), Reading(None)
    check_names(wishes, SharingWishes)
    set_price(request.price, price, "price", reading)
    set_sharing(request.options, wishes, "options", reading)
    if curves is not None:
        request.grid.CopyFrom(set_curves(request.curves, curves, reading).grid.message())
    reading.finish()
    return request


def share_request(
    curves: CurvesLike, cost: Price | PurchaseCost, rules: Iterable[Rule], wishes: SharingWishes
) -> pb.ShareCostRequest:
    """The request to share a cost.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, SharingWishes)
    request, reading = pb.ShareCostRequest(), Reading(None)
    request.grid.CopyFrom(set_curves(request.curves, curves, reading).grid.message())
    set_cost(request, cost, reading)
    for place, rule in enumerate(rules):
        request.rules.append(rule_number(rule, f"rules[{place}]", reading))
    set_sharing(request.options, wishes, "options", reading)
    reading.finish()
    return request


def purchase_request(
    load: ArrayLike, grid: Grid, plants: Sequence[Plant], wishes: PurchaseWishes
) -> pb.PlanPurchaseRequest:
    """The request for a purchase.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, PurchaseWishes)
    request, reading = pb.PlanPurchaseRequest(), Reading(grid)
    request.grid.CopyFrom(grid.message())
    set_series(request.load_kw, load, "load_kw", reading)
    for place, plant in enumerate(plants):
        set_plant(request.plants.add(), plant, f"plants[{place}]", reading)
    if (spot := wishes.get("spot")) is not None:
        fill(request.spot, spot, "spot", reading)
    if (store := wishes.get("store")) is not None:
        fill(request.store, store, "store", reading)
    request.currency_code = wishes.get("currency_code", "")
    set_time_limit(request.options, wishes.get("time_limit_s"), reading)
    reading.finish()
    return request


def portfolio_request(
    candidates: Source,
    contracts: Sequence[agency.PortfolioContract],
    highest_price_per_kwh: ArrayLike,
    wishes: PortfolioWishes,
) -> pb.FormPortfolioRequest:
    """The request for a portfolio.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, PortfolioWishes)
    reading = Reading(None)
    request = pb.FormPortfolioRequest(
        request_id=wishes.get("request_id") or str(uuid.uuid4()),
        must_take=wishes.get("must_take", ()),
        never_take=wishes.get("never_take", ()),
        currency_code=wishes.get("currency_code", ""),
    )
    set_source(request, "candidates", candidates, reading)
    for place, contract in enumerate(contracts):
        set_contract(request.contracts.add(), contract, f"contracts[{place}]", reading)
    request.highest_price_per_kwh.CopyFrom(
        table(highest_price_per_kwh, "highest_price_per_kwh", reading)
    )
    if (fee := wishes.get("fee")) is not None:
        request.fee.CopyFrom(table(fee, "fee", reading))
    options = request.options
    options.relative_gap = wishes.get("relative_gap", 0.0)
    options.seed = wishes.get("seed", 0)
    options.recruit_count = wishes.get("recruit_count", 0)
    options.explain_users.extend(wishes.get("explain_users", ()))
    options.without_names = wishes.get("without_names", False)
    if (method := wishes.get("method")) is not None:
        known, path = agency.PortfolioMethod, "options.method"
        options.method = number(
            pb.PortfolioMethod, "PORTFOLIO_METHOD_", method, known, path, reading
        )
    set_time_limit(options, wishes.get("time_limit_s"), reading)
    reading.finish()
    return request


def settlement_request(
    source: Source, cost: Price | PurchaseCost, wishes: SettlementWishes
) -> pb.CreateSettlementRequest:
    """The request to settle.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, SettlementWishes)
    reading = Reading(None)
    request = pb.CreateSettlementRequest(
        request_id=wishes.get("request_id") or str(uuid.uuid4()), title=wishes.get("title", "")
    )
    set_source(request, "curves", source, reading)
    set_cost(request, cost, reading)
    terms = request.terms
    terms.currency_code = wishes.get("currency_code", "")
    digits = wishes.get("digits")
    terms.minor_digits = minor_digits(terms.currency_code) if digits is None else digits
    terms.profit_rate = wishes.get("profit_rate", 0.0)
    mode = wishes.get("mode", "benefit share")
    terms.mode = number(
        pb.SettlementMode, "SETTLEMENT_MODE_", mode, agency.Mode, "terms.mode", reading
    )
    highest = wishes.get("highest_price_per_kwh")
    if highest is None:
        reading.fault("terms.highest_price_per_kwh", "is missing")
    else:
        path = "terms.highest_price_per_kwh"
        set_series(terms.highest_price_per_kwh, _by_name(highest, request), path, reading)
    if (rule := wishes.get("rule")) is not None:
        terms.rule = rule_number(rule, "terms.rule", reading)
    sharing = {k: v for k, v in wishes.items() if k in SharingWishes.__annotations__}
    set_sharing(terms.sharing, cast("SharingWishes", sharing), "terms.sharing", reading)
    _set_prepaid(request, wishes, reading)
    reading.finish()
    return request


def correction_request(
    name: str,
    source: Source,
    *,
    purchase: PurchaseCost | None,
    reason: str,
    request_id: str,
) -> pb.CorrectSettlementRequest:
    """The request to correct a settlement.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    reading = Reading(None)
    request = pb.CorrectSettlementRequest(
        request_id=request_id or str(uuid.uuid4()), name=name, reason=reason
    )
    if isinstance(source, DataSet):
        set_data_set(request.data_set, source, reading)
    else:
        set_curves(request.curves, source, reading)
    if purchase is not None:
        set_purchase(request.purchase, purchase, reading)
    reading.finish()
    return request


def check_size(size: int, most_bytes: int) -> None:
    """Checks that a request is a message that a server takes.

    Raises:
        LimitExceeded: it is too large.
    """
    if size > most_bytes:
        raise LimitExceeded(
            f"the request has {size / 2**20:,.1f} MiB and this server takes {most_bytes / 2**20:g} "
            "MiB; let it read files below one of its roots (a DataSet, or --root), send curves in "
            "chunks where they are only added up (aggregate_load_stream), or start it with "
            f"--limits.message-bytes {2 ** (size - 1).bit_length()}",
            code="RESOURCE_EXHAUSTED",
        )


def _set_prepaid(
    request: pb.CreateSettlementRequest, wishes: SettlementWishes, reading: Reading
) -> None:
    minor, said = wishes.get("prepaid_minor"), wishes.get("prepaid")
    if minor is not None:
        request.prepaid_minor.extend(np.asarray(minor, dtype=np.int64).tolist())
        return
    if said is None:
        return
    names, digits = list(request.curves.names), request.terms.minor_digits
    if isinstance(said, Mapping) or (hasattr(said, "index") and hasattr(said, "items")):
        if not names:
            told = "is by name; of a data set give the amounts in the order of its users"
            reading.fault("prepaid", told)
        known = dict(cast("Mapping[str, object]", said).items())
        missing = [name for name in names if name not in known]
        strange = [name for name in known if name not in set(names)] if names else []
        for name in missing[:5]:
            reading.fault("prepaid", f"has no amount of {name!r}")
        for name in strange[:5]:
            reading.fault("prepaid", f"has an amount of {name!r}, who has no curve")
        said = [known.get(name, 0) for name in names]
    amounts = []
    for place, amount in enumerate(cast("Sequence[object]", said)):
        try:
            amounts.append(to_minor(amount, digits))
        except ValueError as error:
            reading.fault(f"prepaid[{place}]", str(error))
    request.prepaid_minor.extend(amounts)


def _by_name(values: ArrayLike, request: pb.CreateSettlementRequest) -> ArrayLike:
    """The values of a Series by user in the order of the curves; anything else as it is."""
    reindex = getattr(values, "reindex", None)
    names = list(request.curves.names)
    return np.asarray(reindex(names)) if reindex is not None and names else values
