"""Questions of whom to call, read into problems; plans, written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from loadloom.engine.convert import common
from loadloom.engine.convert.common import Grid
from loadloom.engine.convert.response_columns import chosen, column, flags, places, table
from loadloom.engine.convert.response_detail import MOST_SHOCKS, Detail, detail_of
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Task
from loadloom.models.checks import Checks, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import Method, SolveOptions
from loadloom.models.response.incentives import offers_of
from loadloom.models.response.network import Network
from loadloom.models.response.problem import Customers, Offers, Problem, Quota
from loadloom.v1 import common_pb2
from loadloom.v1 import response_pb2 as pb

NODE_BYTES = 40
"""What an answer has at least of each interval of a node with a need: five numbers."""

COLUMNS = 16
"""About as many values there are of each customer, level and interval while a plan is made."""

CONFIDENCE = 0.95
"""The confidence of needs that do not say."""

RELATIVE_GAP = 1e-4
"""The gap at which a plan may stop unless asked otherwise."""

TIME_LIMIT_S = 10.0
"""The longest time to plan unless asked otherwise."""

RESERVES = 10
"""The customers named as the next to call for each need of an event unless asked otherwise."""

METHODS = {None, Method.KERNEL, Method.REFERENCE}
"""The techniques that there are for targets."""

_PATHS = (
    (re.compile(r"^network\.parent\b"), "network.parents"),
    (re.compile(r"^network\.need_spread_kw\b"), "network.need_sd_kw"),
    (re.compile(r"^customers\.node\b"), "customers.nodes"),
    (re.compile(r"^customers\.group\b"), "customers.groups"),
    (re.compile(r"^offers\.loading\b"), "customers.shock_share"),
    (re.compile(r"^offers\.acceptance\b"), "customers.acceptance"),
    (re.compile(r"^offers\.incentive\b"), "customers.price_per_kwh"),
    (re.compile(r"^offers\.fixed_payment\b"), "customers.fixed_payment"),
    (re.compile(r"^offers\.(fixed_)?cost\b"), "customers.contact_cost"),
    (re.compile(r"^offers\.(mean_kw|variance_kw2)\b"), "customers.size_kw"),
)
"""Where a field of the model has another name than that of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targeting:
    """What a request for targets asks for.

    Attributes:
        problem: the question.
        horizon: the intervals of the event.
        detail: what to tell.
        price_per_kwh: the price of each level, (L,).
        fixed_payment: what is promised beside it for taking part, (L,).
        size_kw: the reduction that customers are asked for, (n or 1, S or 1).
        group_names: the names of groups.
        time_limit_s: the longest time that the search may take, once kernels are there.
        shares: the share of that which each is expected to deliver, (n,).
        origin: which of all offers, L of each customer, those of the problem are; None for all.
    """

    problem: Problem
    horizon: Horizon
    detail: Detail
    price_per_kwh: FloatArray
    fixed_payment: FloatArray
    size_kw: FloatArray
    group_names: tuple[str, ...]
    shares: FloatArray
    time_limit_s: float = inf
    origin: np.ndarray | None = None

    def levels(self, offers: np.ndarray) -> np.ndarray:
        """The level of each of some offers of the problem."""
        own = offers if self.origin is None else self.origin[offers]
        return own % self.price_per_kwh.size

    def mean_kw(self, columns: FloatArray) -> FloatArray:
        """The mean over the event of each row of a column of powers, (k, 1 or S)."""
        if columns.shape[1] == 1:
            return columns[:, 0]
        hours = self.horizon.step_h
        return columns @ hours / hours.sum()


def parse(message: pb.PlanTargetsRequest, limits: Limits) -> Task[Targeting]:
    """What a request for targets asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    return task(message, message.problem, message.detail, message.options, limits)


def task(
    message: pb.PlanTargetsRequest | pb.CreateEventRequest,
    asked: pb.TargetProblem,
    detail: pb.TargetDetail,
    options: common_pb2.SolveOptions,
    limits: Limits,
    *others: Violation,
    reserve_count: int = 0,
) -> Task[Targeting]:
    """The task of a question within a message; `others` are violations found elsewhere in it.

    `reserve_count` customers are named as the next to call where the message does not say.

    Raises:
        Refusal: the message breaks rules, all of them named, or limits.
    """
    found: list[Violation] = [*others]
    wishes = wished(options, found)
    targeting = question(asked, limits, found)
    checks = Checks()
    count = 0 if targeting is None else targeting.problem.customers.count
    told = detail_of(checks, detail, count, reserve_count)
    found.extend(checks.violations if targeting is not None else ())
    declared = common.declared(message)
    found = without_missing(found, declared)
    targeting = common.accepted(targeting, found, declared)
    return limited(replace(targeting, detail=told), wishes)


def limited(asked: Targeting, wishes: SolveOptions) -> Task[Targeting]:
    """The task of a question; its time is that of the search, which a new worker begins late."""
    return Task(
        problem=replace(asked, time_limit_s=wishes.time_limit_s),
        options=replace(wishes, time_limit_s=inf),
        detail=0,
    )


def without_missing(found: Sequence[Violation], declared: Sequence[Violation]) -> list[Violation]:
    """The violations but for those within fields that are missing as a whole, or told already."""
    gone = {violation.path for violation in declared}
    return [
        violation
        for violation in found
        if not any(violation.path.startswith((f"{path}.", f"{path}[")) for path in gone)
    ]


def wished(
    message: common_pb2.SolveOptions,
    found: list[Violation],
    time_limit_s: float = TIME_LIMIT_S,
) -> SolveOptions:
    """The wishes about how to solve; what is at fault is noted."""
    wishes = common.options(message, found)
    if wishes.method not in METHODS:
        said = "is none for targets; must be kernel, reference or left open"
        found.append(Violation("options.method", said))
    if not message.HasField("time_limit"):
        wishes = replace(wishes, time_limit_s=time_limit_s)
    return wishes if message.relative_gap else replace(wishes, relative_gap=RELATIVE_GAP)


def question(message: pb.TargetProblem, limits: Limits, found: list[Violation]) -> Targeting | None:
    """The question, without what to tell; None, with its faults noted under "problem."."""
    axis = common.grid(message.grid, limits)
    faults = [*axis.violations]
    its = message.customers
    count, slots = its.count or len(its.names), axis.count or 1
    check_size(message, limits)
    checks = Checks()
    if its.count and its.names and its.count != len(its.names):
        said = f"is {its.count}; must be the number of names, {len(its.names)}, or left out"
        checks.require(False, "customers.count", said)
    checks.require(count > 0, "customers.count", "is 0, and there are no names; must be at least 1")
    names = tuple(its.names)
    _check_names(checks, "customers.names", names)
    _check_names(checks, "customers.group_names", its.group_names)
    targeting = None
    try:
        nodes = len(message.network.names)
        network = _network(checks, message.network, nodes, slots, budget=message.HasField("budget"))
        if network is not None:
            _check_told(network, slots, limits)
        customers = _customers(checks, its, names, count, nodes)
        shares = column(
            checks, "customers.delivered_share", its.delivered_share, count, 1.0, high=10.0
        )
        shares = np.broadcast_to(shares, (count,))
        levels = max(1, len(its.price_per_kwh))
        promised = column(checks, "customers.fixed_payment", its.fixed_payment, levels, 0.0)
        promised = np.broadcast_to(promised, (levels,))
        size_kw, offers = _offers(checks, its, count, axis, shares, promised)
        quotas = _quotas(checks, message.quotas, len(its.group_names))
        faults.extend(checks.violations)
        if not faults and network is not None and offers is not None:
            targeting = Targeting(
                problem=Problem(
                    customers=customers,
                    offers=offers,
                    network=network,
                    quotas=quotas,
                    budget=message.budget if message.HasField("budget") else None,
                    best_effort=message.best_effort,
                ),
                horizon=axis.horizon,
                detail=Detail(),
                price_per_kwh=np.array(its.price_per_kwh or [0.0]),
                fixed_payment=promised,
                size_kw=size_kw,
                group_names=tuple(its.group_names),
                shares=shares,
            )
    except InvalidProblem as error:
        faults.extend(map(_renamed, error.violations))
    found.extend(common.under("problem.", faults))
    return targeting


def points(message: pb.TargetProblem) -> int:
    """The values of all columns of a question, as many as there are where each has its own."""
    its = message.customers
    count, levels = max(its.count, len(its.names)), max(1, len(its.price_per_kwh))
    slots = max(1, message.grid.count, len(message.grid.steps))
    return COLUMNS * max(count * levels, len(message.network.names)) * slots


def check_size(message: pb.TargetProblem, limits: Limits) -> None:
    """Checks that there are not too many customers, nor values of one of their columns.

    Raises:
        Refusal: there are.
    """
    path, its = "problem.customers", message.customers
    count = max(its.count, len(its.names))
    slots = max(1, message.grid.count, len(message.grid.steps))
    if count > limits.customers:
        raise refusal.too_large(path, "customers", count, limits.customers)
    levels = max(1, len(its.price_per_kwh))
    asked = max(count * levels, len(message.network.names)) * slots
    if asked > limits.customer_points:
        what = "values of customers, one for each level and interval"
        raise refusal.too_large(path, what, asked, limits.customer_points)


def _check_told(network: Network, slots: int, limits: Limits) -> None:
    """Checks that there are not more needs than an answer can tell of.

    Raises:
        Refusal: there are.
    """
    asked = int(np.count_nonzero(network.needed.any(axis=1))) * slots * NODE_BYTES
    if asked > limits.message_bytes:
        what = "bytes of the figures of nodes with needs"
        raise refusal.too_large("problem.network.need_kw", what, asked, limits.message_bytes)


def _check_names(checks: Checks, path: str, names: Sequence[str]) -> None:
    """Notes names that stand a second time."""
    if len(set(names)) == len(names):
        return
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        before = first.setdefault(name, index)
        if before != index:
            said = f"{name!r} is also {path}[{before}]; each must have its own"
            checks.require(False, f"{path}[{index}]", said)


def _network(
    checks: Checks, message: pb.SupplyNetwork, count: int, slots: int, *, budget: bool
) -> Network | None:
    _check_names(checks, "network.names", message.names)
    if not count:
        return None
    parents = np.array(message.parents or [-1] * count, dtype=np.int64)
    if parents.size != count:
        said = f"has {parents.size} values; must have one for each of {count} nodes"
        checks.require(False, "network.parents", said)
    has_sd = message.HasField("need_sd_kw")
    low = -1e9 if has_sd else 0.0
    need = table(checks, "network.need_kw", message.need_kw, count, slots, low=low)
    spread = None
    if has_sd:
        spread = table(checks, "network.need_sd_kw", message.need_sd_kw, count, slots)
    confidence = column(
        checks, "network.confidence", message.confidence, count, CONFIDENCE, high=1.0
    )
    headroom = profile = None
    if message.HasField("headroom_kw") or message.rebound_profile:
        profile = np.array(message.rebound_profile)
        its = message.headroom_kw
        headroom = table(
            checks, "network.headroom_kw", its, count, max(profile.size, 1), infinite=True
        )
        headroom = np.broadcast_to(headroom, (count, profile.size))
        checks.require(profile.size > 0, "network.rebound_profile", "is missing")
    if checks.violations:
        return None
    shape = (count, slots)
    return Network(
        parent=parents,
        need_kw=np.broadcast_to(need, shape).copy(),
        confidence=np.asarray(CONFIDENCE) if budget else confidence,
        need_spread_kw=None if spread is None else np.broadcast_to(spread, shape).copy(),
        headroom_kw=headroom,
        rebound_profile=profile,
        names=tuple(message.names),
    )


def _customers(
    checks: Checks,
    message: pb.ResponseCustomers,
    names: tuple[str, ...],
    count: int,
    node_count: int,
) -> Customers:
    def at(name: str) -> str:
        return f"customers.{name}"

    must = chosen(checks, at("must_call"), message.must_call, count)
    never = chosen(checks, at("never_call"), message.never_call, count)
    both = np.intersect1d(must, never)
    if both.size:
        said = f"has {both[0]}, which must_call has too; a customer is called or not"
        checks.require(False, at("never_call"), said)
    left = None
    if message.calls_left:
        left = places(checks, at("calls_left"), message.calls_left, count, 2**32, 0)
        left = np.broadcast_to(left, (count,)).copy()
    groups = None
    if message.group_names or message.groups:
        most = len(message.group_names)
        groups = places(checks, at("groups"), message.groups, count, most, -1, low=-1)
        groups = np.broadcast_to(groups, (count,)).copy()
    return Customers(
        count=count,
        node=places(checks, at("nodes"), message.nodes, count, max(node_count, 1), 0),
        must_call=flags(must, count),
        never_call=flags(never, count),
        calls_left=left,
        group=groups,
        rebound_share=column(
            checks, at("rebound_share"), message.rebound_share, count, 0.0, high=1.0
        ),
        names=names or None,
    )


def _offers(
    checks: Checks,
    message: pb.ResponseCustomers,
    count: int,
    axis: Grid,
    shares: FloatArray,
    promised: FloatArray,
) -> tuple[FloatArray, Offers | None]:
    """The reductions of customers that accept, and the offers that can be made to them."""

    def at(name: str) -> str:
        return f"customers.{name}"

    slots = axis.horizon.count
    prices = np.array(message.price_per_kwh or [0.0])
    checks.numbers(at("price_per_kwh"), prices, low=0.0)
    size_kw = table(checks, at("size_kw"), message.size_kw, count, slots)
    size_sd_kw = np.zeros((1, 1))
    if message.HasField("size_sd_kw"):
        size_sd_kw = table(checks, at("size_sd_kw"), message.size_sd_kw, count, slots)
    acceptance = np.ones((1, 1))
    if message.HasField("acceptance"):
        its = message.acceptance
        acceptance = table(checks, at("acceptance"), its, count, prices.size, high=1.0)
    shocks = None
    if message.HasField("shock_share"):
        its = message.shock_share
        shocks = table(checks, at("shock_share"), its, count, its.cols, low=-1e3, high=1e3)
        said = f"must be at most {MOST_SHOCKS}"
        checks.require(its.cols <= MOST_SHOCKS, f"{at('shock_share')}.cols", said)
    contact = column(checks, at("contact_cost"), message.contact_cost, count, 0.0)
    fatigue = column(checks, at("fatigue_cost"), message.fatigue_cost, count, 0.0)
    if checks.violations:
        return size_kw, None
    cols = max(size_kw.shape[1], size_sd_kw.shape[1])
    offers = offers_of(
        prices,
        np.broadcast_to(acceptance, (count, prices.size)),
        size_kw=np.broadcast_to(size_kw, (count, cols)) * shares[:, None],
        size_sd_kw=np.broadcast_to(size_sd_kw, (count, cols)),
        hours=axis.horizon.step_h,
        contact_cost=contact,
        fatigue_cost=fatigue,
        loading=None if shocks is None else np.broadcast_to(shocks, (count, shocks.shape[1])),
        fixed_payment=promised,
    )
    return size_kw, offers


def _quotas(
    checks: Checks, messages: Sequence[pb.GroupQuota], group_count: int
) -> tuple[Quota, ...]:
    for index, message in enumerate(messages):
        said = f"is {message.group}; must be the place of one of {group_count} group names"
        checks.require(message.group < group_count, f"quotas[{index}].group", said)
    return tuple(
        Quota(
            group=message.group,
            call_min=message.call_min,
            call_max=message.call_max if message.HasField("call_max") else None,
            cost_min=message.cost_min,
            cost_max=message.cost_max if message.HasField("cost_max") else inf,
        )
        for message in messages
    )


def _renamed(violation: Violation) -> Violation:
    """The violation at the path of the message."""
    path = violation.path
    for pattern, name in _PATHS:
        path = pattern.sub(name, path)
    return Violation(path, violation.message)
