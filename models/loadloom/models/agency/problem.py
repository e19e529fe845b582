"""Settlement of an agency: who pays what of the power that was bought together, to the cent.

Users i have load curves l[i,t] over slots of h[t] hours; e[i] is a user's energy. Together

    A[t] = sum_i l[i,t]    E = sum_i e[i]    H = sum_t h[t]    P = the peak of A
    LF = E / (H * P)       u = 1 / LF        F1 = E * g(u)

with the plant's price schedule g. F1 is what was paid, homogeneous of degree 1 in (E, P), so that
its gradient shares it without a rest:

    load-rate contribution    k[i] = LF * (e[i] / E - p[i] / P),             sum_i k[i] = 0
    unit contribution         kappa[i] = k[i] / e[i]
    cost share                x[i] = e[i] * (g - u * g') + H * g' * p[i],    sum_i x[i] = F1

where p[i] is the user's load at the peak, spread evenly over slots that tie. Where the cost is that
of a general purchase, x[i] = sum_t lambda[t] * h[t] * l[i,t] with its slot prices lambda, and what
these bring in above F1, the rent of limits that the agent owns, is a line of its own. With the
announced highest prices f2[i] and the agent's profit rate alpha, B = sum_i f2[i] * e[i] - F1 - rent
and

    benefit share    p_r[i]   = (1 - alpha) * (f2[i] - x[i] / e[i])
                     price[i] = f2[i] - p_r[i]
                     bill[i]  = alpha * f2[i] * e[i] + (1 - alpha) * x[i]    profit = alpha * B
    cost plus        price[i] = (1 + alpha) * x[i] / e[i],  p_r[i] = f2[i] - price[i]
                     bill[i]  = (1 + alpha) * x[i]           profit = alpha * (F1 + rent)
    refund[i] = prepaid[i] - bill[i]

In integer minor units of the currency, without a rest:

    sum_i x[i] = F1 + rent    sum_i bill[i] = F1 + rent + profit
    sum_i prepaid[i] = sum_i bill[i] + sum_i refund[i]

Where B is negative the same formulas share the loss: the agent bears alpha of it, and users whose
x[i] / e[i] is above f2[i] pay more than their highest price; `explain` and `refunds` name them.

The highest price may differ from user to user: x[i] does not depend on it, and each user's bill on
its own alone, so that every formula above holds as it stands.
"""

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.checks import MAGNITUDE, Checks
from loadloom.models.horizon import FloatArray, Horizon

LoadArray = NDArray[np.floating]
IntArray = NDArray[np.int64]

LARGEST_MINOR = 10**15
"""The largest amount or total in minor units: floats still tell it to an eighth of a unit."""

MOST_DIGITS = 4
"""The most digits of a currency's minor unit; ISO 4217 has none with more."""


class SharingRule(Enum):
    """How the cost is shared; the values are the words in which an answer names it."""

    AUMANN_SHAPLEY = "Aumann-Shapley"
    COINCIDENT_PEAK = "coincident peak"
    OWEN_DUALS = "Owen duals"
    ENERGY = "energy"
    SAVING = "proportional saving"
    LEAVE_ONE_OUT = "leave one out"
    SHAPLEY = "Shapley"
    NUCLEOLUS = "nucleolus"
    LEAST_CORE = "least core"


class Mode(Enum):
    """What the agent earns: a share of the benefit, or a share of the cost on top of it."""

    BENEFIT_SHARE = "benefit share"
    COST_PLUS = "cost plus"


class PeakMode(Enum):
    """Which peak the load factor is of.

    MONTHLY_PEAK: the highest slot of the horizon.
    MEAN_OF_TOP_PEAKS: the mean of the highest daily peaks, as many as `Peak.count` says.
    DAILY: every local day has a load factor, a price and a peak of its own.
    """

    MONTHLY_PEAK = "monthly peak"
    MEAN_OF_TOP_PEAKS = "mean of top peaks"
    DAILY = "daily"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The peak that is priced; `count` is read for the mean of top peaks alone."""

    mode: PeakMode = PeakMode.MONTHLY_PEAK
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The load curves of all users, valid once made.

    Attributes:
        names: n distinct names, none of them empty.
        load_kw: the mean power of each user in each slot, never negative, (n, T), float32 or
            float64; kept in C order, and copied only if it is not: who made it must not change it.
        horizon: the T slots, even or not, and the zone in which days begin.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths below `curves`.
    """

    names: tuple[str, ...]
    load_kw: LoadArray
    horizon: Horizon

    def __post_init__(self) -> None:
        checks = Checks()
        _check_names(checks, self.names)
        load = np.asarray(self.load_kw)
        if load.dtype not in (np.float32, np.float64):
            load = load.astype(np.float64)
        object.__setattr__(self, "load_kw", np.ascontiguousarray(load))
        shape = (len(self.names), self.horizon.count)
        if load.shape == shape:
            _check_loads(checks, self.load_kw)
        else:
            message = f"has shape {load.shape}; must have one row a name and one column a slot"
            checks.require(False, "curves.load_kw", f"{message}, {shape}")
        checks.finish()

    @property
    def count(self) -> int:
        """The number of users."""
        return len(self.names)

    @cached_property
    def day_first(self) -> IntArray:
        """The first slot of each local day and, last, the number of slots, (D + 1,).

        A slot belongs to the day in which it begins; days without a slot do not count.
        """
        horizon = self.horizon
        days = [horizon.boundary(t).date().toordinal() for t in range(horizon.count)]
        first = np.flatnonzero(np.diff(days, prepend=-1))
        return np.append(first, horizon.count).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What a general purchase cost, and the prices by which it is shared.

    Attributes:
        cost: what was paid for all, F1, in the currency.
        slot_price_per_kwh: what one more kWh would have cost in each slot, (T,).
        rent: what the slot prices bring in above the cost.

    Nothing of this is proven here: who gives a purchase answers for it.
    """

    cost: float
    slot_price_per_kwh: FloatArray
    rent: float = 0.0


def rule_fault(rule: SharingRule, *, by_purchase: bool) -> str:
    """Why a rule cannot share the cost of a purchase, or of a price schedule; empty if it can."""
    if by_purchase and rule not in {SharingRule.OWEN_DUALS, SharingRule.ENERGY}:
        return f"is {rule.value}; a purchase is shared by Owen duals or by energy"
    if not by_purchase and rule is SharingRule.OWEN_DUALS:
        return f"is {rule.value}; a price schedule has no duals, give the purchase instead"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """A currency and the digits of its minor unit: 2 for cents, 0 for yen, 3 for fils."""

    code: str
    minor_digits: int = 2

    @property
    def scale(self) -> int:
        """How many minor units are one of the currency."""
        return 10**self.minor_digits


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A settlement that is asked for, valid once made.

    Attributes:
        curves: the metered loads.
        schedule: the plant's price by load factor; None with a purchase.
        purchase: the cost of a general purchase; None with a schedule.
        highest_price_per_kwh: the announced f2, one for all, (), or one for each user, (n,).
        profit_rate: the agent's alpha, 0..1.
        prepaid_minor: what each user paid beforehand, in minor units, (n,); None for f2 * e[i],
            rounded to the nearest unit.
        currency: the currency of all prices and amounts.
        mode, rule, peak: see there; a schedule's default rule is Aumann-Shapley, a purchase's is
            the one by its slot prices.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths.
    """

    curves: Curves
    highest_price_per_kwh: FloatArray
    currency: Currency
    schedule: PriceSchedule | None = None
    purchase: Purchase | None = None
    profit_rate: float = 0.0
    prepaid_minor: IntArray | None = None
    mode: Mode = Mode.BENEFIT_SHARE
    rule: SharingRule | None = None
    peak: Peak = field(default_factory=Peak)

    def __post_init__(self) -> None:
        checks = Checks()
        price = np.asarray(self.highest_price_per_kwh, dtype=np.float64)
        object.__setattr__(self, "highest_price_per_kwh", price)
        check_prices(checks, price, self.curves.count)
        rate = self.profit_rate
        checks.require(0.0 <= rate <= 1.0, "profit_rate", f"is {rate:g}; must be from 0 to 1")
        if self.prepaid_minor is not None:
            check_prepaid(checks, self.prepaid_minor, self.curves.count)
        _check_currency(checks, self.currency)
        both = (self.schedule is None) == (self.purchase is None)
        checks.require(not both, "schedule", "must be given, or else a purchase, and not both")
        if self.purchase is not None:
            _check_purchase(checks, self.purchase, self.curves.horizon.count)
        _check_rule(checks, self)
        checks.finish()

    @property
    def sharing_rule(self) -> SharingRule:
        """The rule asked for, or the default."""
        if self.rule is not None:
            return self.rule
        by_schedule = self.schedule is not None
        return SharingRule.AUMANN_SHAPLEY if by_schedule else SharingRule.OWEN_DUALS

    @property
    def has_one_price(self) -> bool:
        """Whether one highest price was announced to all."""
        return self.highest_price_per_kwh.ndim == 0

    @property
    def highest_prices_per_kwh(self) -> FloatArray:
        """The highest price of each user, (n,)."""
        return np.broadcast_to(self.highest_price_per_kwh, (self.curves.count,))


def _check_names(checks: Checks, names: tuple[str, ...]) -> None:
    checks.require(len(names) > 0, "curves.names", "is empty; must name at least one user")
    found = set(names)
    if "" in found:
        checks.require(False, f"curves.names[{names.index('')}]", "is empty; must be a name")
    if len(found) == len(names):
        return
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        before = first.setdefault(name, index)
        message = f"{name!r} is also curves.names[{before}]; every user must have its own"
        checks.require(before == index, f"curves.names[{index}]", message)


def _check_loads(checks: Checks, load_kw: LoadArray) -> None:
    """Notes the first load that is no number or out of range; minimum and maximum tell of NaN."""
    if load_kw.size == 0 or (load_kw.min() >= 0.0 and load_kw.max() <= MAGNITUDE):
        return
    good = (load_kw >= 0.0) & (load_kw <= MAGNITUDE)
    user, slot = np.unravel_index(int(np.argmin(good)), good.shape)
    more = int(good.size - np.count_nonzero(good)) - 1
    also = f" (and {more} more)" if more else ""
    checks.require(
        False,
        f"curves.load_kw[{user}][{slot}]",
        f"is {load_kw[user, slot]:g}{also}; must be a number from 0 to {MAGNITUDE:g}",
    )


def check_prices(checks: Checks, price: FloatArray, count: int) -> None:
    """Notes highest prices that are not one, or one for each of `count` users, or below zero."""
    path = "highest_price_per_kwh"
    if price.shape in ((), (count,)):
        checks.numbers(path, price, low=0.0)
    else:
        checks.require(False, path, f"has {price.size} values; must have 1 or {count}")


def check_prepaid(checks: Checks, prepaid: IntArray, count: int) -> None:
    """Notes prepayments that are not one for each of `count` users, or out of range."""
    path = "prepaid_minor"
    if prepaid.shape != (count,):
        message = f"has {prepaid.size} values; must have one for each of {count} users"
        checks.require(False, path, message)
    elif prepaid.dtype != np.int64:
        checks.require(False, path, f"is of type {prepaid.dtype}; must be 64-bit integers")
    elif checks.numbers(path, prepaid.astype(np.float64), low=0.0, high=float(LARGEST_MINOR)):
        total = prepaid.sum(dtype=np.float64)
        message = f"adds up to {total:g} minor units; must be at most {LARGEST_MINOR:g}"
        checks.require(bool(total <= LARGEST_MINOR), path, message)


def _check_currency(checks: Checks, currency: Currency) -> None:
    code, digits = currency.code, currency.minor_digits
    good = len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()
    checks.require(good, "currency.code", f"is {code!r}; must be three capital letters")
    message = f"is {digits}; must be from 0 to {MOST_DIGITS}"
    checks.require(0 <= digits <= MOST_DIGITS, "currency.minor_digits", message)


def _check_purchase(checks: Checks, purchase: Purchase, count: int) -> None:
    checks.numbers("purchase.cost", purchase.cost, low=-LARGEST_MINOR, high=LARGEST_MINOR)
    checks.numbers("purchase.rent", purchase.rent, low=-LARGEST_MINOR, high=LARGEST_MINOR)
    path = "purchase.slot_price_per_kwh"
    if checks.length(path, purchase.slot_price_per_kwh, count):
        checks.numbers(path, purchase.slot_price_per_kwh)


def _check_rule(checks: Checks, problem: Problem) -> None:
    """Notes a rule that the way of buying leaves undefined, and a peak that is none."""
    fault = rule_fault(problem.sharing_rule, by_purchase=problem.purchase is not None)
    checks.require(not fault, "rule", fault)
    count, mode = problem.peak.count, problem.peak.mode
    checks.require(count >= 1, "peak.count", f"is {count}; must be at least 1")
    if mode is PeakMode.MEAN_OF_TOP_PEAKS:
        days = problem.curves.day_first.size - 1
        message = f"is {count}; the horizon has only {days} days with a peak each"
        checks.require(count <= days, "peak.count", message)
