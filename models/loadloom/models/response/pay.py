"""What customers are paid for an event, in integer minor units of the currency.

    energy[i] = sum_t delivered_wh[i, t] * price[i, t] / 1000, to the nearest minor unit
    fixed[i]  = what was promised for taking part, if enough was delivered
    total[i]  = energy[i] + fixed[i]

Whole Wh times prices in millionths of the currency are exact integers, so a statement can be
checked with pencil and paper: each customer's energy is rounded once, halves away from zero. With
the largest remainder, the sum over all customers is rounded instead, and they share it without a
rest; then nobody is off by a whole minor unit, and the total does not depend on how many they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import numpy as np

from loadloom.models.agency.money import in_words
from loadloom.models.agency.problem import LARGEST_MINOR, Currency
from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.measure import WH_PER_KWH, Measured
from loadloom.models.response.similar_days import BoolArray, IntArray

PRICE_STEPS = 1_000_000
"""Prices are told to a millionth of the currency per kWh."""

HIGHEST_PRICE = 1e6

_FLOAT_NOISE = 1e-3


class Rounding(Enum):
    """How amounts become whole minor units."""

    NEAREST = "each to the nearest, halves away from zero"
    LARGEST_REMAINDER = "their sum to the nearest, shared by largest remainder"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is promised for taking part in an event.

    Attributes:
        currency: of all prices and amounts.
        price_per_kwh: for delivered energy, (1 or n, 1 or W), at most 6 decimals.
        fixed_minor: (1 or n,) minor units for taking part.
        fixed_from_share: the share of the offered energy that must be delivered for it. At 0 it is
            due to everybody who took part.
        taking_part: (n,) who did; None for all.
        rounding: see there.
    """

    currency: Currency
    price_per_kwh: FloatArray
    fixed_minor: IntArray | None = None
    fixed_from_share: float = 0.0
    taking_part: BoolArray | None = None
    rounding: Rounding = Rounding.NEAREST


@dataclass(frozen=True, kw_only=True)
class Payments:
    """What n customers are paid, in minor units.

    Attributes:
        energy_minor: (n,) for what was delivered.
        fixed_minor: (n,) for taking part.
        currency: their currency.
    """

    energy_minor: IntArray
    fixed_minor: IntArray
    currency: Currency

    @property
    def total_minor(self) -> IntArray:
        """(n,) what each is paid."""
        return self.energy_minor + self.fixed_minor

    @property
    def sum_minor(self) -> int:
        """What all are paid."""
        return int(self.total_minor.sum())


def pay(measured: Measured, terms: Terms, names: Sequence[str] | None = None) -> Payments:
    """What each customer is paid.

    Args:
        measured: what was delivered.
        terms: see there.
        names: n distinct names, by which ties of remainders are broken; None for the order given.

    Raises:
        InvalidProblem: a price, a promise or an amount that cannot be used.
    """
    _check(measured, terms)
    nano = energy_nano(measured.delivered_wh, prices_micro(terms))
    step = PRICE_STEPS * WH_PER_KWH // terms.currency.scale
    whole, rest = np.divmod(nano, step)
    if terms.rounding is Rounding.NEAREST:
        energy = whole + (2 * rest >= step)
    else:
        missing = (2 * int(rest.sum()) + step) // (2 * step)
        energy = whole + _largest(rest, missing, names)
    return Payments(
        energy_minor=energy, fixed_minor=_fixed(measured, terms), currency=terms.currency
    )


def prices_micro(terms: Terms) -> IntArray:
    """The prices in millionths of the currency per kWh, in the shape they come."""
    return np.rint(np.atleast_2d(terms.price_per_kwh) * PRICE_STEPS).astype(np.int64)


def payable(price_per_kwh: FloatArray) -> BoolArray:
    """Whether each price is from 0 to a million and has at most 6 decimals, in the shape given."""
    micro = price_per_kwh * PRICE_STEPS
    with np.errstate(invalid="ignore"):  # inf has no decimals, and is too high
        whole = np.abs(micro - np.rint(micro)) <= _FLOAT_NOISE
    return whole & (price_per_kwh >= 0.0) & (price_per_kwh <= HIGHEST_PRICE)


def energy_nano(delivered_wh: IntArray, price_micro: IntArray) -> IntArray:
    """What the delivered energy is worth in billionths of the currency, exactly, (n,)."""
    return (delivered_wh * price_micro).sum(axis=1)


def in_formula(measured: Measured, terms: Terms, payments: Payments, i: int) -> str:
    """How customer i's payment comes about, to be followed with pencil and paper.

    "3.250 kWh x 0.35 = 1.1375, to the minor unit 1.14 EUR; 2.00 EUR for taking part; 3.14 EUR in
    all"
    """
    currency = payments.currency
    micro = np.broadcast_to(prices_micro(terms), measured.delivered_wh.shape)[i]
    terms_of_prices = []
    exact = Decimal(0)
    for price in sorted(set(micro.tolist())):
        wh = int(measured.delivered_wh[i, micro == price].sum())
        energy, each = Decimal(wh) / WH_PER_KWH, Decimal(price) / PRICE_STEPS
        terms_of_prices.append(f"{energy:.3f} kWh x {each.normalize():f}")
        exact += energy * each
    paid = f"{in_words(int(payments.energy_minor[i]), currency)} {currency.code}"
    words = f"{' + '.join(terms_of_prices)} = {exact.normalize():f}, to the minor unit {paid}"
    if payments.fixed_minor[i]:
        fixed = in_words(int(payments.fixed_minor[i]), currency)
        total = in_words(int(payments.total_minor[i]), currency)
        words += f"; {fixed} {currency.code} for taking part; {total} {currency.code} in all"
    return words


def _fixed(measured: Measured, terms: Terms) -> IntArray:
    """What each is paid for taking part."""
    count = len(measured.delivered_wh)
    if terms.fixed_minor is None:
        return np.zeros(count, dtype=np.int64)
    due = np.ones(count, np.bool_) if terms.taking_part is None else terms.taking_part
    if terms.fixed_from_share > 0.0:
        least_wh = terms.fixed_from_share * measured.offered_kwh * WH_PER_KWH
        due = due & (measured.energy_wh >= least_wh - _FLOAT_NOISE)
    return np.where(due, terms.fixed_minor, 0).astype(np.int64)


def _largest(rest: IntArray, count: int, names: Sequence[str] | None) -> IntArray:
    """1 for the `count` largest rests, 0 for the others; of equals for those named first."""
    given = np.zeros(rest.size, dtype=np.int64)
    if count == 0:
        return given
    level = -np.partition(-rest, count - 1)[count - 1]
    given[rest > level] = 1
    tied = np.flatnonzero(rest == level).tolist()
    if names is not None:  # names are sorted only where they decide
        tied.sort(key=names.__getitem__)
    given[tied[: count - int(given.sum())]] = 1
    return given


def _check(measured: Measured, terms: Terms) -> None:
    checks = Checks()
    count, window = measured.delivered_wh.shape
    price = np.atleast_2d(terms.price_per_kwh)
    fits = price.ndim == 2 and price.shape[0] in {1, count} and price.shape[1] in {1, window}
    message = f"has shape {price.shape}; must be one or {count} rows of one or {window} slots"
    checks.require(fits, "terms.price_per_kwh", message)
    sound = checks.numbers("terms.price_per_kwh", price.reshape(-1), low=0.0, high=HIGHEST_PRICE)
    if fits and sound:
        _check_prices(checks, measured, terms, price)
    if terms.fixed_minor is not None:
        shape = terms.fixed_minor.shape
        message = f"has shape {shape}; must have shape (1,) or {(count,)}"
        checks.require(shape in {(1,), (count,)}, "terms.fixed_minor", message)
        good = ((terms.fixed_minor >= 0) & (terms.fixed_minor <= LARGEST_MINOR // 1000)).all()
        message = f"must be from 0 to {LARGEST_MINOR // 1000} minor units everywhere"
        checks.require(bool(good), "terms.fixed_minor", message)
    if terms.taking_part is not None:
        message = f"has shape {terms.taking_part.shape}; must have shape {(count,)}"
        checks.require(terms.taking_part.shape == (count,), "terms.taking_part", message)
    checks.numbers("terms.fixed_from_share", terms.fixed_from_share, low=0.0, high=1.0)
    unknown = terms.fixed_from_share > 0.0 and np.isnan(measured.offered_kwh).any()
    message = "is above 0; then it must be known what was offered"
    checks.require(not unknown, "terms.fixed_from_share", message)
    checks.finish()


def _check_prices(checks: Checks, measured: Measured, terms: Terms, price: FloatArray) -> None:
    """Notes prices of too many decimals, and amounts too large to be told to the minor unit."""
    path = "terms.price_per_kwh"
    fine = ~payable(price)
    if fine.any():
        first = float(price[fine][0])
        checks.require(False, path, f"is {first!r}; must have at most 6 decimals")
    worth = (measured.delivered_wh * price).sum(axis=1) / WH_PER_KWH
    most = min(LARGEST_MINOR / terms.currency.scale, 2.0**62 / (PRICE_STEPS * WH_PER_KWH))
    message = f"makes payments of {worth.sum():g}; they must be below {most:g} in all"
    checks.require(float(worth.sum()) <= most, path, message)
