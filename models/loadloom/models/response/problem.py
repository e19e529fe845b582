"""Demand response: whom to call, at which incentive, so that a need is met with confidence.

Each offer i of a customer, at most one of which is called (x[i] = 1), brings a reduction of mean
mu[i,s] and variance s2[i,s] in slot s, and G[i,f,s] per unit of shared shock f. For node v with
customers' offers i below it, and z[v] the normal quantile of its confidence:

    minimise   sum_i cost[i] * x[i]
    subject to secured[v,s] >= need[v,s]                        where there is a need
               secured[v,s] = sum_i mu[i,s] * x[i] - z[v] * sqrt(V[v,s])
               V[v,s] = spread[v,s]^2 + sum_i s2[i,s] * x[i] + sum_f (sum_i G[i,f,s] * x[i])^2
               sum_i r[i,u] * x[i] + z[v] * sqrt(W[v,u]) <= headroom[v,u]  in slots u after it
               numbers and costs of the calls of each group within its quota
               called for certain: must_call;  never: never_call, or no calls left this season

With a budget the cost has a limit and the common z of all nodes is maximised instead. The rebound
r[i,u] is rebound_share * profile[u] times the reduction, averaged over the slots of the event; W is
made like V of deviations averaged in the same way, as if a customer's slots deviated together.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import MAGNITUDE, Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.network import FlagArray, IndexArray, Network

OfferArray = NDArray[np.int32]

NOT_CALLED = -1
"""The offer of a customer who is not called."""

_ROUNDING = 1e-6  # by what share a variance may be below the least that refusals make it

CHANGE_SHARE = 0.1
"""What calling off a standing call counts unless asked otherwise, as a share of its cost."""

NO_GROUP = -1
"""The group of a customer whom no quota counts."""


@dataclass(frozen=True, kw_only=True)
class Customers:
    """The n customers of a network.

    Attributes:
        count: n.
        node: the node each is connected to, (n,), or () for all to the same.
        must_call: whom to call in any case, (n,); None for nobody.
        never_call: whom not to call, such as those who opted out, (n,); None for nobody.
        calls_left: the calls that each may still get this season, (n,); None for no limit.
        group: the group each belongs to, `NO_GROUP` or 0, 1, ..., (n,); None for no groups.
        rebound_share: what part of its reduction each draws later instead, (n,) or ().
        names: n names; None for numbers.
    """

    count: int
    node: IndexArray
    must_call: FlagArray | None = None
    never_call: FlagArray | None = None
    calls_left: IndexArray | None = None
    group: IndexArray | None = None
    rebound_share: FloatArray | float = 0.0
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("node", "must_call", "never_call", "calls_left", "group"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.asarray(values))

    @cached_property
    def nodes(self) -> IndexArray:
        """The node of each customer, (n,)."""
        return np.ascontiguousarray(np.broadcast_to(self.node, (self.count,)), dtype=np.int64)

    @cached_property
    def callable(self) -> FlagArray:
        """Whether each customer may be called, (n,)."""
        may = np.ones(self.count, np.bool_)
        if self.never_call is not None:
            may &= ~self.never_call
        if self.calls_left is not None:
            may &= self.calls_left > 0
        return may

    @cached_property
    def musts(self) -> FlagArray:
        """Whether each customer is to be called in any case, (n,)."""
        return np.zeros(self.count, np.bool_) if self.must_call is None else self.must_call

    def name(self, customer: int) -> str:
        """What a customer is called."""
        return f"customer {customer}" if self.names is None else self.names[customer]


@dataclass(frozen=True, kw_only=True)
class Offers:
    """The m offers that can be made: a customer at an incentive each.

    Columns of the reduction have one row an offer and one column a slot, or one column, or none,
    for the same in all slots.

    Attributes:
        mean_kw: the expected reduction if called, refusals counted as none, (m,), (m, 1) or (m, S).
        variance_kw2: its variance but for shared shocks, of the same shapes.
        cost: what the call is expected to cost in all: payment, contact, fatigue, (m,).
        fixed_cost: the part of it that does not depend on the reduction, (m,) or ().
        customer: whose offer each is, never falling, (m,); None if offer i is customer i's.
        acceptance: the probability that the call is accepted, (m,) or (); mean and variance count
            it already.
        incentive: what is promised per kWh, (m,); None if nobody asks.
        fixed_payment: what is promised to who accepts, whatever it delivers, (m,) or (); the cost
            counts it, times the acceptance.
        loading: by what share of its mean a reduction changes per unit of each shared shock, which
            is standard normal, (m, F); None for no shocks.
    """

    mean_kw: FloatArray
    variance_kw2: FloatArray
    cost: FloatArray
    fixed_cost: FloatArray | float = 0.0
    customer: IndexArray | None = None
    acceptance: FloatArray | float = 1.0
    incentive: FloatArray | None = None
    fixed_payment: FloatArray | float = 0.0
    loading: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in ("mean_kw", "variance_kw2"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, values[:, None] if values.ndim == 1 else values)
        for name in ("cost", "fixed_cost", "acceptance", "incentive", "fixed_payment", "loading"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.asarray(values, dtype=np.float64))
        if self.customer is not None:
            object.__setattr__(self, "customer", np.asarray(self.customer))

    @property
    def count(self) -> int:
        """The number of offers, m."""
        return self.cost.size

    @property
    def shock_count(self) -> int:
        """The number of shared shocks, F."""
        return 0 if self.loading is None else self.loading.shape[1]

    def some(self, items: OfferArray) -> "Offers":
        """Some of the offers, given in rising order."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        part = {name: values[items] for name, values in columns.items() if np.ndim(values)}
        return replace(self, **(part | {"customer": self.customers[items]}))

    @property
    def same_in_all_slots(self) -> bool:
        """Whether every reduction is the same in all slots."""
        return self.mean_kw.shape[1] == 1 and self.variance_kw2.shape[1] == 1

    @cached_property
    def customers(self) -> IndexArray:
        """The customer of each offer, (m,)."""
        return np.arange(self.count) if self.customer is None else self.customer


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many customers of a group may be called, and at what cost together; None is no limit."""

    group: int
    call_min: int = 0
    call_max: int | None = None
    cost_min: float = 0.0
    cost_max: float = inf


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A call list that is asked for, valid once made.

    Attributes:
        customers, offers, network: see there.
        quotas: the quotas of groups, at most one each.
        budget: what the calls may cost; the largest common confidence is planned then, and that of
            the network is not read. None for the least cost.
        best_effort: whether a need that cannot be secured is replaced by the most that can.
        standing: the calls made already, that of each customer or `NOT_CALLED`, (n,), or None.
        change_share: what calling one off counts, as a share of its cost; see also `plan`.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths.
    """

    customers: Customers
    offers: Offers
    network: Network
    quotas: tuple[Quota, ...] = ()
    budget: float | None = None
    best_effort: bool = False
    standing: OfferArray | None = None
    change_share: float = CHANGE_SHARE

    def __post_init__(self) -> None:
        checks = Checks()
        _check_customers(checks, self.customers, self.network.count)
        _check_offers(checks, self.offers, self.customers.count, self.network.slot_count)
        _check_quotas(checks, self.quotas, self.customers)
        if self.budget is not None:
            checks.numbers("budget", self.budget, low=0.0)
            both = "cannot be kept with a budget, which already asks for the most confidence"
            checks.require(not self.best_effort, "best_effort", both)
        checks.numbers("change_share", self.change_share, low=0.0, high=1.0)
        if self.standing is not None and not checks.violations:
            _check_standing(checks, self.standing, self.offers, self.customers.count)
        checks.finish()

    @cached_property
    def toll(self) -> FloatArray:
        """What calling off each offer counts, (m,): 0 but for those that stand."""
        found = np.zeros(self.offers.count)
        if self.standing is not None and self.budget is None:
            stands = self.standing[self.standing != NOT_CALLED]
            found[stands] = self.change_share * self.offers.cost[stands]
        return found

    @property
    def mean_kw(self) -> FloatArray:
        """The mean of each offer in each slot, (m, S)."""
        shape = (self.offers.count, self.network.slot_count)
        return np.broadcast_to(self.offers.mean_kw, shape)

    @property
    def variance_kw2(self) -> FloatArray:
        """The variance of each offer in each slot, (m, S)."""
        shape = (self.offers.count, self.network.slot_count)
        return np.broadcast_to(self.offers.variance_kw2, shape)

    @cached_property
    def rebound_kw(self) -> FloatArray:
        """What an offer is expected to draw later at a profile of 1, (m,)."""
        return self._later * self.offers.mean_kw.mean(axis=1)

    @cached_property
    def rebound_sd_kw(self) -> FloatArray:
        """Its standard deviation but for shared shocks, (m,)."""
        return self._later * np.sqrt(self.offers.variance_kw2).mean(axis=1)

    @property
    def _later(self) -> FloatArray:
        share = np.broadcast_to(self.customers.rebound_share, (self.customers.count,))
        return share[self.offers.customers]

    @cached_property
    def first_offer(self) -> IndexArray:
        """The first offer of each customer and, last, the number of offers, (n + 1,)."""
        return np.append(0, np.cumsum(self.offer_count))

    @cached_property
    def offer_count(self) -> IndexArray:
        """How many offers there are for each customer, (n,)."""
        count = self.customers.count
        if self.offers.customer is None:
            return np.ones(count, np.int64)
        return np.bincount(self.offers.customer, minlength=count)


def one_node(
    offers: Offers, *, need_kw: float, confidence: float, customers: Customers | None = None
) -> Problem:
    """The problem of one node with one need, whose customers are all below it."""
    if customers is None:
        count = int(offers.customers[-1]) + 1 if offers.count else 0
        customers = Customers(count=count, node=np.zeros((), np.int64))
    network = Network(
        parent=np.array([-1]), need_kw=np.array([[need_kw]]), confidence=np.array(confidence)
    )
    return Problem(customers=customers, offers=offers, network=network)


def _check_customers(checks: Checks, customers: Customers, node_count: int) -> None:
    count = customers.count
    checks.require(count > 0, "customers.count", f"is {count}; must be at least 1")
    _check_indices(checks, "customers.node", customers.node, count, node_count, single=True)
    flags = ("must_call", "never_call")
    for name in flags:
        values = getattr(customers, name)
        if values is not None and not (values.shape == (count,) and values.dtype == np.bool_):
            message = f"must have one true or false for each of {count} customers"
            checks.require(False, f"customers.{name}", message)
    left = customers.calls_left
    if left is not None and checks.length("customers.calls_left", left.astype(np.float64), count):
        checks.numbers("customers.calls_left", left.astype(np.float64), low=0.0)
    if customers.group is not None:
        _check_indices(checks, "customers.group", customers.group, count, count, low=NO_GROUP)
    share = np.asarray(customers.rebound_share, dtype=np.float64)
    if share.shape in ((), (count,)):
        checks.numbers("customers.rebound_share", share, low=0.0, high=1.0)
    else:
        message = f"has {share.size} values; must have 1 or {count}"
        checks.require(False, "customers.rebound_share", message)
    if customers.names is not None and len(customers.names) != count:
        message = f"has {len(customers.names)} names; must have one for each of {count} customers"
        checks.require(False, "customers.names", message)
    if not checks.violations:
        for customer in np.flatnonzero(customers.musts & ~customers.callable)[:1].tolist():
            message = "is true of a customer who must not be called or has no calls left"
            checks.require(False, f"customers.must_call[{customer}]", message)


def _check_indices(
    checks: Checks,
    path: str,
    values: IndexArray,
    count: int,
    limit: int,
    *,
    low: int = 0,
    single: bool = False,
) -> None:
    """Notes whole numbers that are not one for each of `count`, or not from `low` below `limit`."""
    if not (values.shape == (count,) or (single and values.shape == ())):
        message = f"has {values.size} values; must have {'1 or ' if single else ''}{count}"
        checks.require(False, path, message)
    elif not np.issubdtype(values.dtype, np.integer):
        checks.require(False, path, f"is of type {values.dtype}; must be whole numbers")
    elif values.size and (values.min() < low or values.max() >= limit):
        first = int(np.argmax((values < low) | (values >= limit)))
        value = values.reshape(-1)[first]
        where = f"{path}[{first}]" if values.ndim else path
        checks.require(False, where, f"is {value}; must be from {low} to {limit - 1}")


def _check_offers(checks: Checks, offers: Offers, count: int, slots: int) -> None:
    m = offers.count
    checks.require(m > 0, "offers.cost", "is empty; must have one value for each offer")
    shapes = ((m, 1), (m, slots))
    for name in ("mean_kw", "variance_kw2"):
        values = getattr(offers, name)
        if values.shape in shapes:
            most = MAGNITUDE**2 if name == "variance_kw2" else MAGNITUDE
            checks.numbers(f"offers.{name}", values, low=0.0, high=most)
        else:
            message = f"has shape {values.shape}; must have one row for each of {m} offers"
            checks.require(False, f"offers.{name}", f"{message}, and 1 or {slots} columns")
    if checks.length("offers.cost", offers.cost, m) and checks.numbers(
        "offers.cost", offers.cost, low=0.0
    ):
        _check_fixed(checks, offers)
    _check_optional(checks, offers, m)
    if not checks.violations:
        _check_refusals(checks, offers)
    if offers.customer is None:
        message = f"has {m} values; must have one for each of {count} customers, or name them"
        checks.require(m == count, "offers.cost", message)
        return
    before = len(checks.violations)
    _check_indices(checks, "offers.customer", offers.customer, m, count)
    if len(checks.violations) == before and (falls := np.diff(offers.customer) < 0).any():
        first = int(np.argmax(falls)) + 1
        message = "is below the one before it; offers must be in the order of their customers"
        checks.require(False, f"offers.customer[{first}]", message)


def _check_standing(checks: Checks, standing: OfferArray, offers: Offers, count: int) -> None:
    own = standing.shape == (count,)
    own = own and NOT_CALLED <= int(standing.min()) <= int(standing.max()) < offers.count
    whose = offers.customers[standing] if own else standing
    own = own and bool(((standing == NOT_CALLED) | (whose == np.arange(count))).all())
    checks.require(own, "standing", f"must have an own offer for each of {count} customers")


def _check_fixed(checks: Checks, offers: Offers) -> None:
    fixed = np.asarray(offers.fixed_cost)
    if fixed.shape not in ((), offers.cost.shape):
        message = f"has {fixed.size} values; must have 1 or {offers.count}"
        checks.require(False, "offers.fixed_cost", message)
    elif checks.numbers("offers.fixed_cost", fixed, low=0.0) and (fixed > offers.cost).any():
        first = int(np.argmax(fixed > offers.cost))
        message = f"is above the whole cost, {offers.cost[first]:g}, of which it must be a part"
        checks.require(False, f"offers.fixed_cost[{first}]", message)


def _check_optional(checks: Checks, offers: Offers, m: int) -> None:
    acceptance = np.asarray(offers.acceptance)
    if acceptance.shape in ((), (m,)):
        checks.numbers("offers.acceptance", acceptance, low=0.0, high=1.0)
    else:
        message = f"has {acceptance.size} values; must have 1 or {m}"
        checks.require(False, "offers.acceptance", message)
    if offers.incentive is not None and checks.length("offers.incentive", offers.incentive, m):
        checks.numbers("offers.incentive", offers.incentive, low=0.0)
    promised = np.asarray(offers.fixed_payment)
    if promised.shape in ((), (m,)):
        checks.numbers("offers.fixed_payment", promised, low=0.0)
    else:
        message = f"has {promised.size} values; must have 1 or {m}"
        checks.require(False, "offers.fixed_payment", message)
    loading = offers.loading
    if loading is None:
        return
    if loading.ndim == 2 and loading.shape[0] == m:
        checks.numbers("offers.loading", loading)
    else:
        message = f"has shape {loading.shape}; must have one row for each of {m} offers"
        checks.require(False, "offers.loading", message)


def _check_refusals(checks: Checks, offers: Offers) -> None:
    """Notes the first offer that varies less than refusals alone make it.

    A reduction that is 0 with probability 1 - p, and has the mean m, has a variance of at least
    m^2 (1 - p) / p.
    """
    p = np.broadcast_to(offers.acceptance, (offers.count,))[:, None]
    odds = np.divide(1.0 - p, p, out=np.full(p.shape, inf), where=p > 0.0)
    square = offers.mean_kw**2
    least = np.multiply(square, odds, out=np.zeros(square.shape), where=square > 0.0)
    given, least = np.broadcast_arrays(offers.variance_kw2, least)
    low = given < least * (1.0 - _ROUNDING)
    if low.any():
        i, s = np.argwhere(low)[0].tolist()
        message = (
            f"is {given[i, s]:g}; refusals alone make it at least"
            f" mean_kw^2 (1 - acceptance) / acceptance, {least[i, s]:g}"
        )
        checks.require(False, f"offers.variance_kw2[{i}]", message)


def _check_quotas(checks: Checks, quotas: tuple[Quota, ...], customers: Customers) -> None:
    if quotas and customers.group is None:
        checks.require(False, "customers.group", "is missing; quotas are of groups")
    seen: dict[int, int] = {}
    for index, quota in enumerate(quotas):
        path = f"quotas[{index}]"
        good = 0 <= quota.group < customers.count
        message = f"is {quota.group}; must be the number of a group"
        checks.require(good, f"{path}.group", message)
        first = seen.setdefault(quota.group, index)
        checks.require(first == index, f"{path}.group", f"is also that of quotas[{first}]")
        checks.require(quota.call_min >= 0, f"{path}.call_min", "must be at least 0")
        most = inf if quota.call_max is None else quota.call_max
        message = f"is {most:g}; must be at least call_min, {quota.call_min}"
        checks.require(most >= quota.call_min, f"{path}.call_max", message)
        checks.numbers(f"{path}.cost_min", quota.cost_min, low=0.0)
        if checks.numbers(f"{path}.cost_max", quota.cost_max, low=0.0, infinite=True):
            message = f"is {quota.cost_max:g}; must be at least cost_min, {quota.cost_min:g}"
            checks.require(not quota.cost_max < quota.cost_min, f"{path}.cost_max", message)
