"""Portfolios between their messages and their problems."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.engine.answers.files import Files
from loadloom.engine.answers.portfolios import Chosen
from loadloom.engine.convert import agency, common
from loadloom.engine.convert.common import Grid
from loadloom.engine.convert.data_sets import data_set
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin
from loadloom.models.agency.contracts import Contract
from loadloom.models.agency.portfolio import (
    LEFT_OUT,
    PortfolioConflict,
    PortfolioOptions,
    PortfolioProblem,
    PortfolioRoad,
)
from loadloom.models.agency.problem import Curves
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1 import common_pb2
from loadloom.wire.arrays import from_series, to_series

ROADS = {
    pb.PORTFOLIO_METHOD_PRICES: PortfolioRoad.PRICES,
    pb.PORTFOLIO_METHOD_EXACT: PortfolioRoad.WHOLE,
    pb.PORTFOLIO_METHOD_REFERENCE: PortfolioRoad.REFERENCE,
}

METHODS = {
    PortfolioRoad.PRICES: Method.LINEAR,
    PortfolioRoad.WHOLE: Method.MIXED_INTEGER,
    PortfolioRoad.REFERENCE: Method.REFERENCE,
}

TIME_LIMIT_S = 60.0
"""The time to solve, unless a caller says otherwise."""

RECRUITS = 20
"""The candidates to recruit next that are named, unless a caller says otherwise."""

_PATHS = (
    (re.compile(r"^curves(?=$|\.(names|load_kw)\b)"), "candidates"),
    (re.compile(r"^(contracts\[\d+\])\.schedule\b"), r"\1.price"),
)
"""Where a field of the model has another name than that of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A portfolio that is asked for.

    Attributes:
        message: the request.
        axis: its intervals.
        contracts: what users can be taken under.
        options: the limits of the solve.
        curves: the candidates; None where files have them.
        files: the files; None where the request has the candidates.
    """

    message: pb.FormPortfolioRequest
    axis: Grid
    contracts: tuple[Contract, ...]
    options: PortfolioOptions
    curves: Curves | None
    files: Files | None

    @property
    def recruit_count(self) -> int:
        """How many candidates to name that could be recruited next."""
        return self.message.options.recruit_count or RECRUITS

    def problem(self, curves: Curves) -> PortfolioProblem:
        """The problem with these candidates.

        Raises:
            InvalidProblem: it breaks rules, with the paths of the message.
        """
        message, found = self.message, []
        shape = (curves.count, len(self.contracts))
        prices = _matrix("highest_price_per_kwh", message.highest_price_per_kwh, shape, found)
        fee = np.zeros(())
        if message.HasField("fee"):
            fee = _matrix("fee", message.fee, shape, found)
        must = _flags("must_take", message.must_take, curves, found)
        never = _flags("never_take", message.never_take, curves, found)
        _places("options.explain_users", message.options.explain_users, curves, found)
        if found:
            raise InvalidProblem(found)
        try:
            return PortfolioProblem(
                curves=curves,
                contracts=self.contracts,
                highest_price_per_kwh=prices,
                fee=fee,
                must_take=must,
                never_take=never,
            )
        except InvalidProblem as error:
            raise InvalidProblem(map(renamed, error.violations)) from error

    def explained(self, curves: Curves) -> np.ndarray:
        """The candidates whose being taken or not to explain."""
        return np.array(_places("", self.message.options.explain_users, curves, []), np.int64)


def parse(message: pb.FormPortfolioRequest, limits: Limits, *, roots: Roots) -> Asked:
    """What a request for a portfolio asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    axis = agency.horizon(message.grid, limits, found)
    curves = files = None
    if message.HasField("candidates"):
        curves = agency.curves("candidates", message.candidates, axis, found)
    elif message.HasField("data_set"):
        files = data_set(message.data_set, roots, found, currency=message.currency_code)
    contracts = [
        _contract(f"contracts[{index}]", contract, found)
        for index, contract in enumerate(message.contracts)
    ]
    asked = None
    whole = tuple(contract for contract in contracts if contract is not None)
    if len(whole) == len(contracts):
        asked = Asked(
            message=message,
            axis=axis,
            contracts=whole,
            options=_options(message.options, found),
            curves=curves,
            files=files,
        )
        if curves is not None:
            try:
                asked.problem(curves)
            except InvalidProblem as error:
                found.extend(error.violations)
    for name in ("grid", "highest_price_per_kwh"):
        found = found if message.HasField(name) else agency.without(name, found)
    return common.accepted(asked, common.declared(message), found)


def renamed(violation: Violation) -> Violation:
    """The violation at the path of the message."""
    path = violation.path
    for pattern, name in _PATHS:
        path = pattern.sub(name, path)
    return Violation(path, violation.message)


def _contract(path: str, message: pb.PortfolioContract, found: list[Violation]) -> Contract | None:
    price = agency.schedule(f"{path}.price", message.price, found)
    if price is None:
        return None
    limits = {
        name: getattr(message, name)
        for name in ("energy_max_kwh", "peak_max_kw", "user_count_max")
        if message.HasField(name)
    }
    return Contract(
        name=message.name,
        schedule=price,
        energy_min_kwh=message.energy_min_kwh,
        user_count_min=message.user_count_min,
        **limits,
    )


def _matrix(
    path: str, message: common_pb2.Matrix, shape: tuple[int, int], found: list[Violation]
) -> FloatArray:
    """A number for all, (), for each candidate, (n,), or for each under each contract, (n, K)."""
    values = from_series(message.values)
    rows, cols = message.rows, message.cols
    for name, asked, most in (("rows", rows, shape[0]), ("cols", cols, shape[1])):
        if asked not in {1, most}:
            right = "1" if most == 1 else f"1 or {most}"
            found.append(Violation(f"{path}.{name}", f"is {asked}; must be {right}"))
            return np.zeros(())
    if values.size != rows * cols:
        said = f"has {values.size} values; must have {rows} x {cols}"
        found.append(Violation(f"{path}.values", said))
        return np.zeros(())
    if values.size == 1:
        return values[0] * np.ones(())
    if cols == 1:
        return values
    return np.broadcast_to(values.reshape(rows, cols), shape)


def _places(path: str, names: Sequence[str], curves: Curves, found: list[Violation]) -> list[int]:
    """The places of names among the candidates; those that are none are noted."""
    if not names:
        return []
    place = {name: index for index, name in enumerate(curves.names)}
    for index, name in enumerate(names):
        if name not in place:
            found.append(Violation(f"{path}[{index}]", f"{name!r} is none of the candidates"))
    return [place[name] for name in names if name in place]


def _flags(
    path: str, names: Sequence[str], curves: Curves, found: list[Violation]
) -> np.ndarray | None:
    if not names:
        return None
    flags = np.zeros(curves.count, np.bool_)
    flags[_places(path, names, curves, found)] = True
    return flags


def _options(message: pb.PortfolioOptions, found: list[Violation]) -> PortfolioOptions:
    limit_s: float | None = TIME_LIMIT_S
    if message.HasField("time_limit"):
        limit_s = common.seconds(message.time_limit)
    if limit_s is None:
        found.append(Violation("options.time_limit", "must be a duration"))
    return PortfolioOptions(
        time_limit_s=limit_s or TIME_LIMIT_S,
        relative_gap=message.relative_gap or PortfolioOptions().relative_gap,
        seed=message.seed,
        road=ROADS.get(message.method),
    )


def render(asked: Asked, problem: PortfolioProblem, found: Chosen, origin: Origin) -> pb.Portfolio:
    """The portfolio as a message."""
    solution, names = found.solution, problem.curves.names
    contracts = [contract.name for contract in problem.contracts]
    response = pb.Portfolio(
        termination=common.ending(solution.termination),
        profit=found.profit,
        currency_code=asked.message.currency_code,
        conflicts=map(_conflict, solution.conflicts),
        provenance=common.provenance(
            origin,
            method=METHODS[solution.road],
            road=solution.road.value,
            seed=asked.options.seed,
            threads=1,
            solve_s=found.solve_s,
        ),
    )
    if found.certificate is not None:
        response.certificate.CopyFrom(common.certificate(found.certificate))
    if solution.contract is None:
        return response
    taken = np.flatnonzero(solution.contract != LEFT_OUT)
    response.user_count = taken.size
    response.contract.extend((solution.contract + 1).tolist())
    if not asked.message.options.without_names:
        response.users.extend(names[user] for user in taken.tolist())
    _write_contracts(response, found)
    for recruit in found.recruits:
        response.recruits.add(
            user=names[recruit.user],
            contract=contracts[recruit.contract],
            worth=recruit.worth,
            worth_per_kwh=recruit.worth_per_kwh,
            break_even_price_per_kwh=recruit.break_even_price_per_kwh,
            price_rise_per_kwh=recruit.price_rise_per_kwh,
            effect=recruit.effect,
        )
    for reason in found.reasons:
        response.reasons.add(
            user=names[reason.user],
            contract=contracts[reason.contract] if reason.taken else "",
            effect=reason.effect,
            break_even_price_per_kwh=reason.break_even_price_per_kwh,
            text=reason.text,
        )
    for rule in found.rules:
        response.rules.add(
            rule=rule.name.value,
            user_count=rule.user_count,
            profit=rule.profit,
            keeps_limits=rule.keeps_limits,
            best_user_count=max(rule.best_user_count, 0),
            best_profit=rule.best_profit if rule.best_profit > -inf else 0.0,
            lost=rule.lost,
            lost_share=rule.lost_share,
        )
    return response


def _write_contracts(response: pb.Portfolio, found: Chosen) -> None:
    weights = found.solution.weights
    for k, its in enumerate(found.figures):
        figures = response.contracts.add(
            name=its.name,
            user_count=its.user_count,
            energy_kwh=its.energy_kwh,
            peak_kw=its.peak_kw,
            peak_intervals=its.peak_slots,
            load_factor=its.load_factor,
            revenue=its.revenue,
            fees=its.fees,
            cost=its.cost,
            profit=its.revenue - its.fees - its.cost,
        )
        if weights is not None:
            figures.slot_price_per_kw.CopyFrom(to_series(weights.slot_per_kw[k]))
            figures.energy_price_per_kwh = weights.energy_per_kwh[k]


def _conflict(found: PortfolioConflict) -> common_pb2.Conflict:
    return common_pb2.Conflict(
        what=found.message,
        rule=f"{found.contract}.{found.rule}" if found.contract else found.rule,
        amount=found.amount,
        unit=found.unit,
    )
