"""Money in minor units, exactly: 12.50 EUR are 1,250 cents."""

from decimal import Decimal, InvalidOperation

import numpy as np

WITHOUT_MINOR_UNITS = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
"""The currencies of ISO 4217 that have no minor unit."""

WITH_THREE_DIGITS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
"""The currencies of ISO 4217 with a thousand minor units."""

MOST_MINOR = 2**63 - 1
"""The largest amount that a number of the API holds."""


def minor_digits(currency_code: str) -> int:
    """The decimals of a currency by ISO 4217; two where it names none that differs."""
    if currency_code in WITHOUT_MINOR_UNITS:
        return 0
    return 3 if currency_code in WITH_THREE_DIGITS else 2


def to_minor(amount: object, digits: int) -> int:
    """An amount in minor units; what is finer than those is refused, not rounded.

    Raises:
        ValueError: it is no amount of money.
    """
    # A number is taken as Python writes it: 0.1 is a tenth.
    text = str(amount.item() if isinstance(amount, np.generic) else amount).strip()
    try:
        exact = Decimal(text).scaleb(digits)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount of money") from None
    if not exact.is_finite() or abs(exact) > MOST_MINOR:
        raise ValueError(f"{text!r} is not an amount of money")
    if exact != exact.to_integral_value():
        raise ValueError(f"is {text}; the currency has {digits} decimals")
    return int(exact)


def of_minor(amount: int, digits: int) -> Decimal:
    """An amount of minor units as a decimal number with all its digits: 1250 is 12.50."""
    return Decimal(int(amount)).scaleb(-digits)


def money(amount: int, digits: int, currency_code: str = "") -> str:
    """An amount of minor units in words: "1,234.50 EUR"."""
    return f"{of_minor(amount, digits):,.{digits}f} {currency_code}".rstrip()
