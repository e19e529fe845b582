"""Settlements and statements: who pays what, and the formula of every figure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from loadloom.client.agency_money import money, of_minor
from loadloom.client.agency_parts import SharingReport, grid_of_message, rule_word
from loadloom.client.grid import Grid
from loadloom.client.orderly_parts import enum_word, instant
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = (
    "energy_kwh",
    "coincident_kw",
    "contribution",
    "unit_contribution_per_kwh",
    "cost_share",
    "alone",
    "highest_price_per_kwh",
    "benefit_per_kwh",
    "price_per_kwh",
)
"""The columns of statements that are numbers."""

AMOUNTS = ("bill", "prepaid", "refund", "bill_change")
"""The columns of statements that are money, in minor units behind `_minor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeRefund:
    """A user whose prepayment was too small.

    Attributes:
        user: its name.
        owed: what it still owes, in the currency.
        curing_price_per_kwh: the lowest highest price found with which it would owe nothing; 0 if
            none helps.
    """

    user: str
    owed: Decimal
    curing_price_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FormulaLine:
    """A figure of a statement, its formula with the numbers put in, and what comes out."""

    term: str
    expression: str
    value: str
    unit: str


@dataclass(frozen=True, repr=False)
class Settlement:
    """A settlement; amounts are exact, in the currency of its terms.

    Attributes:
        message: the settlement as the API has it.
    """

    message: pb.Settlement

    def __repr__(self) -> str:
        """The settlement in a line: for how many, the cost, the bills and the refunds."""
        said = f"{self.title!r} " if self.title else ""
        return (
            f"<Settlement {said}{self.name}: {self.user_count:,} users, cost {self.cost:,}, "
            f"bills {self.bill:,}, refunds {self.refund:,} {self.currency_code}>"
        )

    @property
    def name(self) -> str:
        """The name, by which it can be found again."""
        return self.message.name

    @property
    def title(self) -> str:
        """What it is called among people."""
        return self.message.title

    @property
    def create_time(self) -> datetime:
        """When it was made."""
        return instant(self.message.create_time)

    @cached_property
    def grid(self) -> Grid:
        """The intervals."""
        return grid_of_message(self.message.grid)

    @property
    def currency_code(self) -> str:
        """The currency of all prices and amounts."""
        return self.message.terms.currency_code

    @property
    def digits(self) -> int:
        """The digits after the point of the currency."""
        terms = self.message.terms
        return terms.minor_digits if terms.HasField("minor_digits") else 2

    @property
    def mode(self) -> str:
        """How the benefit is divided: "benefit share" or "cost plus"."""
        word = enum_word(pb.SettlementMode, "SETTLEMENT_MODE_", self.message.terms.mode)
        return word.replace("_", " ").lower()

    @property
    def rule(self) -> str:
        """The rule by which the cost was shared."""
        return rule_word(self.message.terms.rule)

    @property
    def profit_rate(self) -> float:
        """The agent's profit rate."""
        return self.message.terms.profit_rate

    @property
    def user_count(self) -> int:
        """The number of users."""
        return self.message.user_count

    @property
    def energy_kwh(self) -> float:
        """The energy of all."""
        return self.message.energy_kwh

    @property
    def peak_kw(self) -> float:
        """The peak of all."""
        return self.message.peak_kw

    @property
    def peak_times(self) -> list[datetime]:
        """The starts of the intervals that count as the peak, in local time."""
        return [self.grid.boundaries[place] for place in self.message.peak_intervals]

    @property
    def load_factor(self) -> float:
        """The load factor of all."""
        return self.message.load_factor

    @property
    def price_per_kwh(self) -> float:
        """The price at which power was bought."""
        return self.message.price_per_kwh

    @property
    def cost(self) -> Decimal:
        """The actual cost F1."""
        return self._money(self.message.cost_minor)

    @property
    def rent(self) -> Decimal:
        """What the limits of a purchase are worth, which users pay beside the cost."""
        return self._money(self.message.rent_minor)

    @property
    def highest(self) -> Decimal:
        """What all would have paid at the highest price."""
        return self._money(self.message.highest_minor)

    @property
    def benefit(self) -> Decimal:
        """What all would have paid at the highest price, less cost and rent."""
        return self._money(self.message.benefit_minor)

    @property
    def profit(self) -> Decimal:
        """The agent's profit."""
        return self._money(self.message.profit_minor)

    @property
    def bill(self) -> Decimal:
        """The sum of the bills."""
        return self._money(self.message.bill_minor)

    @property
    def prepaid(self) -> Decimal:
        """The sum of the prepayments."""
        return self._money(self.message.prepaid_minor)

    @property
    def refund(self) -> Decimal:
        """The sum of the refunds."""
        return self._money(self.message.refund_minor)

    @property
    def negative_refund_count(self) -> int:
        """The number of users who owe more than they prepaid."""
        return self.message.negative_refund_count

    @property
    def negative_refunds(self) -> list[NegativeRefund]:
        """Those of them that owe most."""
        return [
            NegativeRefund(
                user=one.user,
                owed=self._money(one.owed_minor),
                curing_price_per_kwh=one.curing_price_per_kwh,
            )
            for one in self.message.negative_refunds
        ]

    @property
    def curing_price_per_kwh(self) -> float | None:
        """The lowest highest price found with which nobody would owe anything, if one was told.

        None if nobody owes, or if no price helps.
        """
        return self.message.curing_price_per_kwh or None

    @property
    def report(self) -> SharingReport | None:
        """What is known of the shares; None if it was not asked for."""
        said = self.message.HasField("report")
        return SharingReport.of_message(self.message.report) if said else None

    @property
    def is_estimate(self) -> bool:
        """Whether the shares are estimates from orders of joining that were drawn."""
        return self.message.is_estimate

    @property
    def notes(self) -> list[str]:
        """More to be said, in sentences."""
        return list(self.message.notes)

    @property
    def corrects(self) -> str:
        """The name of the first settlement, if this is a correction; empty otherwise."""
        return self.message.corrects

    @property
    def correction(self) -> int:
        """The number of the correction; 0 for the first settlement."""
        return self.message.correction

    @property
    def reason(self) -> str:
        """Why there is a correction."""
        return self.message.reason

    @property
    def bill_change(self) -> Decimal:
        """The sum of the bills less that of the settlement before, of corrections."""
        return self._money(self.message.bill_change_minor)

    @property
    def corrections(self) -> list[str]:
        """The names of all corrections of this settlement, if it is the first."""
        return list(self.message.corrections)

    def words(self, amount: Decimal) -> str:
        """An amount in words: "1,234.50 EUR"."""
        return money(int(amount.scaleb(self.digits)), self.digits, self.currency_code)

    def _money(self, minor: int) -> Decimal:
        return of_minor(minor, self.digits)


@dataclass(frozen=True, repr=False)
class Statement:
    """What a user is told; amounts are exact, in `currency_code`.

    Attributes:
        message: the statement as the API has it.
    """

    message: pb.Statement

    def __repr__(self) -> str:
        """The statement in a line: whose, the bill and the refund."""
        return (
            f"<Statement of {self.user!r}: {self.energy_kwh:,.2f} kWh, bill {self.bill:,}, "
            f"refund {self.refund:,} {self.currency_code}>"
        )

    @property
    def settlement(self) -> str:
        """The name of the settlement."""
        return self.message.settlement

    @property
    def user(self) -> str:
        """The name of the user."""
        return self.message.user

    @property
    def currency_code(self) -> str:
        """The currency of all prices and amounts."""
        return self.message.currency_code

    @property
    def energy_kwh(self) -> float:
        """The energy."""
        return self.message.energy_kwh

    @property
    def energy_share(self) -> float:
        """The share of all energy."""
        return self.message.energy_share

    @property
    def coincident_kw(self) -> float:
        """The load at the peak of all."""
        return self.message.coincident_kw

    @property
    def peak_share(self) -> float:
        """The share of the peak."""
        return self.message.peak_share

    @property
    def contribution(self) -> float:
        """The load-rate contribution: above zero for whoever evens out the load of all."""
        return self.message.contribution

    @property
    def cost_share(self) -> float:
        """The share of the cost."""
        return self.message.cost_share

    @property
    def highest_price_per_kwh(self) -> float:
        """The highest price that was announced."""
        return self.message.highest_price_per_kwh

    @property
    def benefit_per_kwh(self) -> float:
        """What the price lies below it."""
        return self.message.benefit_per_kwh

    @property
    def price_per_kwh(self) -> float:
        """The price."""
        return self.message.price_per_kwh

    @property
    def alone(self) -> float | None:
        """What the user would have paid alone; None where that is not known."""
        return self.message.alone if self.message.HasField("alone") else None

    @property
    def bill(self) -> Decimal:
        """The bill."""
        return self._money(self.message.bill_minor)

    @property
    def prepaid(self) -> Decimal:
        """The prepayment."""
        return self._money(self.message.prepaid_minor)

    @property
    def refund(self) -> Decimal:
        """The refund; negative for what is owed."""
        return self._money(self.message.refund_minor)

    @property
    def corrects(self) -> str:
        """The name of the first settlement, if this is of a correction; empty otherwise."""
        return self.message.corrects

    @property
    def bill_change(self) -> Decimal:
        """The bill less that of the settlement before, of corrections."""
        return self._money(self.message.bill_change_minor)

    @property
    def lines(self) -> list[FormulaLine]:
        """Every figure with its formula, to be checked with a pocket calculator."""
        return [
            FormulaLine(**{name: getattr(line, name) for name in FormulaLine.__slots__})
            for line in self.message.lines
        ]

    @property
    def text(self) -> str:
        """The statement as a text, a line for each figure."""
        return self.message.text

    def words(self, amount: Decimal) -> str:
        """An amount in words: "1,234.50 EUR"."""
        digits = self.message.minor_digits
        return money(int(amount.scaleb(digits)), digits, self.currency_code)

    def _money(self, minor: int) -> Decimal:
        return of_minor(minor, self.message.minor_digits)


def statements_frame(pages: Iterable[pb.Statements], digits: int) -> "pd.DataFrame":
    """The statements of pages as a DataFrame: a row for each user, amounts exact Decimals."""
    import pandas as pd

    frames = []
    for page in pages:
        columns: dict[str, object] = {"user": list(page.users)}
        for name in NUMBERS:
            values = from_series(getattr(page, name))
            if values.size:
                columns[name] = np.broadcast_to(values, (len(page.users),))
        for name in AMOUNTS:
            minor = list(getattr(page, f"{name}_minor"))
            if minor:
                columns[name] = [of_minor(amount, digits) for amount in minor]
        frames.append(pd.DataFrame(columns))
    if not frames:
        return pd.DataFrame({"user": [], **{name: [] for name in (*NUMBERS, *AMOUNTS)}})
    return pd.concat(frames, ignore_index=True).set_index("user")
