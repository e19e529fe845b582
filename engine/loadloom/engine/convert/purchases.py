"""Purchases between their messages and their problems."""

import re
from math import inf

import numpy as np

from loadloom.engine.answers.agency import Answer
from loadloom.engine.answers.purchases import Bought
from loadloom.engine.convert import agency, common
from loadloom.engine.convert.common import Grid
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin, Task
from loadloom.models.agency.purchase import (
    Block,
    Plant,
    PurchaseConflict,
    PurchaseProblem,
    Spot,
    Store,
)
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1 import common_pb2
from loadloom.wire.arrays import from_series, to_series

METHODS = {None, Method.LINEAR, Method.REFERENCE}
"""The techniques that there are for purchases."""

_PATHS = (
    (re.compile(r"^(plants\[\d+\])\.schedule\b"), r"\1.load_factor_price"),
    (re.compile(r"^(plants\[\d+\]\.blocks\[\d+\])\.power_kw$"), r"\1.power_limit_kw"),
    (re.compile(r"^(plants\[\d+\]\.blocks\[\d+\])\.energy_kwh$"), r"\1.energy_limit_kwh"),
)
"""Where a field of the model has another name than that of the message."""


def parse(message: pb.PlanPurchaseRequest, limits: Limits) -> Task[PurchaseProblem]:
    """What a request for a purchase asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    axis = agency.horizon(message.grid, limits, found)
    options = common.options(message.options, found)
    if options.method not in METHODS:
        said = "is none for purchases; must be linear, reference or left open"
        found.append(Violation("options.method", said))
    _check_size(message, axis.count or 1, limits)
    problem = None if axis.count is None else _problem(message, axis, found)
    for name in ("grid", "load_kw"):
        found = found if message.HasField(name) else agency.without(name, found)
    problem = common.accepted(problem, common.declared(message), found)
    return Task(problem=problem, options=options, detail=0)


def _check_size(message: pb.PlanPurchaseRequest, count: int, limits: Limits) -> None:
    """Checks that not too much is decided: a power in each interval of each plant and block.

    Raises:
        Refusal: it is.
    """
    asked = count * sum(1 + len(plant.blocks) for plant in message.plants)
    if asked > limits.points:
        what = "values of plants and blocks, one for each interval"
        raise refusal.too_large("plants", what, asked, limits.points)


def _problem(
    message: pb.PlanPurchaseRequest, axis: Grid, found: list[Violation]
) -> PurchaseProblem | None:
    plants = tuple(
        _plant(f"plants[{index}]", plant, found) for index, plant in enumerate(message.plants)
    )
    try:
        return PurchaseProblem(
            horizon=axis.horizon,
            load_kw=_load(message.load_kw, axis),
            plants=plants,
            spot=_spot(message.spot) if message.HasField("spot") else None,
            store=_store(message.store) if message.HasField("store") else None,
        )
    except InvalidProblem as error:
        found.extend(map(renamed, error.violations))
    return None


def _load(message: common_pb2.Series, axis: Grid) -> FloatArray:
    values = from_series(message)
    return np.full(axis.horizon.count, values[0]) if values.size == 1 else values


def _plant(path: str, message: pb.Plant, found: list[Violation]) -> Plant:
    price = None
    if message.HasField("load_factor_price"):
        price = agency.schedule(f"{path}.load_factor_price", message.load_factor_price, found)
    return Plant(
        name=message.name,
        price_per_kwh=_column(message, "price_per_kwh", 0.0),
        schedule=price,
        capacity_price_per_kw=message.capacity_price_per_kw,
        blocks=tuple(
            Block(
                price_per_kwh=block.price_per_kwh,
                power_kw=block.power_limit_kw if block.HasField("power_limit_kw") else inf,
                energy_kwh=block.energy_limit_kwh if block.HasField("energy_limit_kwh") else inf,
            )
            for block in message.blocks
        ),
        power_max_kw=_column(message, "power_max_kw", inf),
        power_min_kw=_column(message, "power_min_kw", 0.0),
        energy_max_kwh=message.energy_max_kwh if message.HasField("energy_max_kwh") else inf,
        energy_min_kwh=message.energy_min_kwh,
    )


def _spot(message: pb.Spot) -> Spot:
    sells = message.HasField("sell_price_per_kwh")
    return Spot(
        buy_price_per_kwh=_column(message, "buy_price_per_kwh", 0.0),
        sell_price_per_kwh=_column(message, "sell_price_per_kwh", 0.0),
        buy_max_kw=_column(message, "buy_max_kw", inf),
        sell_max_kw=_column(message, "sell_max_kw", inf if sells else 0.0),
    )


def _store(message: pb.PurchaseStore) -> Store:
    initial = message.initial_energy_kwh
    least = message.end_energy_min_kwh if message.HasField("end_energy_min_kwh") else initial
    return Store(
        energy_max_kwh=message.energy_max_kwh,
        charge_max_kw=message.charge_max_kw,
        discharge_max_kw=message.discharge_max_kw,
        charge_efficiency=message.charge_efficiency or 1.0,
        discharge_efficiency=message.discharge_efficiency or 1.0,
        initial_energy_kwh=initial,
        end_energy_min_kwh=least,
    )


def _column(message: pb.Plant | pb.Spot, name: str, otherwise: float) -> FloatArray:
    """A column of the message, one number for all slots if it has one."""
    if not message.HasField(name):  # pyright: ignore[reportArgumentType] -- one of its fields
        return np.array(otherwise)
    values = from_series(getattr(message, name))
    return values[0] * np.ones(()) if values.size == 1 else values


def renamed(violation: Violation) -> Violation:
    """The violation at the path of the message."""
    path = violation.path
    for pattern, name in _PATHS:
        path = pattern.sub(name, path)
    return Violation(path, violation.message)


def render(
    task: Task[PurchaseProblem], answer: Answer[Bought], origin: Origin
) -> pb.PlanPurchaseResponse:
    """The purchase as a message."""
    found, problem = answer.found, task.problem
    response = pb.PlanPurchaseResponse(
        termination=common.ending(answer.solution.termination),
        conflicts=map(_conflict, found.conflicts),
        provenance=agency.provenance(task, answer, origin),
    )
    if answer.certificate is not None:
        response.certificate.CopyFrom(common.certificate(answer.certificate))
    plan, cost = found.plan, found.cost
    if plan is None or cost is None:
        return response
    for index, its in enumerate(cost.plants):
        response.plants.add(
            name=its.name,
            power_kw=to_series(plan.power_kw[index]),
            energy_kwh=its.energy_kwh,
            peak_kw=its.peak_kw,
            load_factor=its.load_factor,
            energy_cost=its.energy_cost,
            block_cost=its.block_cost,
            load_factor_cost=its.schedule_cost,
            capacity_cost=its.capacity_cost,
        )
    if problem.spot is not None:
        response.spot_buy_kw.CopyFrom(to_series(plan.spot_buy_kw))
        response.spot_sell_kw.CopyFrom(to_series(plan.spot_sell_kw))
        response.spot_bought, response.spot_sold = cost.spot_bought, cost.spot_sold
    if problem.store is not None:
        for name in ("charge_kw", "discharge_kw", "energy_kwh"):
            getattr(response, name).CopyFrom(to_series(getattr(plan, name)))
    if found.slot_price_per_kwh is not None:
        response.slot_price_per_kwh.CopyFrom(to_series(found.slot_price_per_kwh))
    for reason in found.slot_reasons:
        response.price_reasons.add(
            interval=reason.slot,
            interval_count=reason.slot_count,
            price_per_kwh=reason.price_per_kwh,
            marginal=reason.marginal,
            at_limit=reason.at_limit,
            at_peak=reason.at_peak,
            text=reason.text,
        )
    for rent in found.rents:
        response.rents.add(name=rent.source, rule=rent.rule, amount=rent.amount)
    return response


def _conflict(found: PurchaseConflict) -> common_pb2.Conflict:
    return common_pb2.Conflict(
        what=found.message,
        rule=f"{found.source}.{found.rule}" if found.source else found.rule,
        interval=found.slot,
        interval_count=found.slot_count,
        amount=found.amount_kwh,
        peak=found.peak_kw,
        unit="kWh",
    )
