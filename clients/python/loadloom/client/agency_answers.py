"""Answers to an agent: diagnoses of prices, shared costs, purchases, portfolios."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.any_pb2 import Any as Packed
from numpy.typing import NDArray

from loadloom.client.agency import PurchaseCost
from loadloom.client.agency_parts import Pooling, PoolingLoss, SharingReport, rule_word, table
from loadloom.client.grid import Grid
from loadloom.client.plan import Outcome
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd

PRICE_DECIMALS = 10
"""The decimals of the prices of intervals by which a purchase is settled."""


@dataclass(frozen=True, repr=False)
class Assessment:
    """What is to be said of a price before a contract is signed.

    Attributes:
        message: the answer as the API has it.
    """

    message: pb.AssessPricesResponse

    def __repr__(self) -> str:
        """The diagnosis in a line."""
        return f"<Assessment: {'stable' if self.is_stable else 'not stable'}>"

    @property
    def is_stable(self) -> bool:
        """Whether no coalition can ever do better alone."""
        return self.message.is_stable

    @property
    def is_convex(self) -> bool:
        """Whether the price is convex in one over the load factor."""
        return self.message.is_convex

    @property
    def is_non_decreasing(self) -> bool:
        """Whether it does not fall as that grows."""
        return self.message.is_non_decreasing

    @property
    def reasons(self) -> list[str]:
        """Why, in words."""
        return list(self.message.reasons)

    @property
    def sentences(self) -> list[str]:
        """The diagnosis, in sentences."""
        return list(self.message.sentences)

    @property
    def counterexample(self) -> PoolingLoss | None:
        """Loads that lose by pooling; None if there are none."""
        found = self.message.HasField("counterexample")
        return PoolingLoss.of_message(self.message.counterexample) if found else None

    @property
    def pooling(self) -> Pooling | None:
        """What pooling does for the users that were given; None without any."""
        found = self.message.HasField("pooling")
        return Pooling.of_message(self.message.pooling) if found else None


@dataclass(frozen=True, repr=False)
class SharedCost:
    """A cost shared by one rule or several; amounts are in the currency of the prices.

    Attributes:
        message: the answer as the API has it.
    """

    message: pb.ShareCostResponse

    def __repr__(self) -> str:
        """The cost and the rules in a line."""
        rules = ", ".join(self.shares)
        return f"<SharedCost {self.cost:,.2f} of {len(self.message.names):,} users by {rules}>"

    @property
    def cost(self) -> float:
        """The cost of all."""
        return self.message.cost

    @property
    def price_per_kwh(self) -> float:
        """The price of a kWh of all."""
        return self.message.price_per_kwh

    @property
    def load_factor(self) -> float:
        """The load factor of all."""
        return self.message.load_factor

    @property
    def alone(self) -> NDArray[np.float64]:
        """What each user would cost alone; empty where that is not known."""
        return from_series(self.message.alone)

    @cached_property
    def shares(self) -> dict[str, NDArray[np.float64]]:
        """The share of each user, by rule."""
        return {rule_word(one.rule): from_series(one.share) for one in self.message.shares}

    @property
    def reports(self) -> dict[str, SharingReport]:
        """What is known of the shares, by rule, if it was asked for."""
        return {
            rule_word(one.rule): SharingReport.of_message(one.report)
            for one in self.message.shares
            if one.HasField("report")
        }

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each user: its contribution, its cost alone, and its share by each rule."""
        import pandas as pd

        names = pd.Index(list(self.message.names), name="user")
        said = {"contribution": from_series(self.message.contribution), "alone": self.alone}
        columns = {name: values for name, values in (said | self.shares).items() if values.size}
        return pd.DataFrame(columns, index=names)


@dataclass(frozen=True, repr=False)
class Purchase:
    """The cheapest purchase of a load.

    Attributes:
        message: the answer as the API has it.
        grid: the intervals.
    """

    message: pb.PlanPurchaseResponse
    grid: Grid

    def __repr__(self) -> str:
        """The purchase in a line."""
        costs = f", costs {self.cost:,.2f}" if self.exists else ""
        return f"<Purchase: {self.outcome}{costs}>"

    @property
    def outcome(self) -> Outcome:
        """The way the solve ended."""
        return Outcome.of(self.message.termination.reason)

    @property
    def exists(self) -> bool:
        """Whether there is a purchase that covers the load."""
        return self.outcome in {Outcome.OPTIMAL, Outcome.FEASIBLE}

    @property
    def cost(self) -> float:
        """What it costs."""
        return self.message.certificate.objective

    @property
    def plants(self) -> "pd.DataFrame":
        """Energy, peak and costs of each plant."""
        return table(self.message.plants, "name")

    @property
    def slot_price_per_kwh(self) -> NDArray[np.float64]:
        """The price of one more kWh in each interval."""
        return from_series(self.message.slot_price_per_kwh)

    @property
    def price_reasons(self) -> list[str]:
        """Why the prices are what they are, in sentences, one for each run of intervals alike."""
        return [reason.text for reason in self.message.price_reasons]

    @property
    def rents(self) -> dict[tuple[str, str], float]:
        """What each limit is worth, by its owner and name."""
        return {(rent.name, rent.rule): rent.amount for rent in self.message.rents}

    @property
    def conflicts(self) -> list[str]:
        """What stands in the way of any purchase, in sentences."""
        return [conflict.what for conflict in self.message.conflicts]

    @property
    def price(self) -> PurchaseCost:
        """Its cost and prices, as settlements and shares take them.

        Prices are rounded to ten decimals: beyond them a solver leaves noise, which would stand in
        the formulas of statements.
        """
        return PurchaseCost(
            cost=self.cost,
            slot_price_per_kwh=np.round(self.slot_price_per_kwh, PRICE_DECIMALS),
            rent=sum(self.rents.values()),
        )

    @property
    def frame(self) -> "pd.DataFrame":
        """What is bought where in each interval, and its price, by local time."""
        import pandas as pd

        said = self.message
        columns = {f"{plant.name}_kw": from_series(plant.power_kw) for plant in said.plants}
        names = ("spot_buy_kw", "spot_sell_kw", "charge_kw", "discharge_kw", "energy_kwh")
        columns |= {name: from_series(getattr(said, name)) for name in names}
        columns["slot_price_per_kwh"] = self.slot_price_per_kwh
        known = {name: values for name, values in columns.items() if values.size}
        return pd.DataFrame(known, index=self.grid.index)


@dataclass(frozen=True, repr=False)
class Portfolio:
    """The users to take; amounts are in `currency_code`.

    Attributes:
        message: the portfolio as the API has it.
    """

    message: pb.Portfolio

    def __repr__(self) -> str:
        """The portfolio in a line: how many users, the profit and its proof."""
        if not self.exists:
            return f"<Portfolio: {self.outcome}>"
        money = f"{self.profit:,.2f} {self.currency_code}".rstrip()
        return f"<Portfolio of {self.user_count:,} users: profit {money}, gap {self.gap:.2%}>"

    @property
    def outcome(self) -> Outcome:
        """The way the solve ended."""
        return Outcome.of(self.message.termination.reason)

    @property
    def exists(self) -> bool:
        """Whether there is a portfolio that keeps every rule."""
        return self.outcome in {Outcome.OPTIMAL, Outcome.FEASIBLE}

    @property
    def profit(self) -> float:
        """The profit."""
        return self.message.profit

    @property
    def bound(self) -> float:
        """The profit that no portfolio can exceed."""
        return -self.message.certificate.bound

    @property
    def gap(self) -> float:
        """The gap between profit and bound, relative to the profit."""
        return self.message.certificate.relative_gap

    @property
    def currency_code(self) -> str:
        """The currency of all amounts; empty when the request named none."""
        return self.message.currency_code

    @property
    def user_count(self) -> int:
        """The number of users that are taken."""
        return self.message.user_count

    @property
    def users(self) -> tuple[str, ...]:
        """The names of those that are taken, in the order of the candidates."""
        return tuple(self.message.users)

    @property
    def contract_of(self) -> NDArray[np.int64]:
        """The place of the contract of each candidate, from 0; -1 for those not taken."""
        return np.array(self.message.contract, dtype=np.int64) - 1

    @property
    def contracts(self) -> "pd.DataFrame":
        """What each contract comes to."""
        return table(self.message.contracts, "name")

    @property
    def recruits(self) -> "pd.DataFrame":
        """Whom to recruit next, the best first."""
        return table(self.message.recruits, "user")

    @property
    def reasons(self) -> "pd.DataFrame":
        """Why candidates are taken or not, for those that were asked for."""
        return table(self.message.reasons, "user")

    @property
    def rules(self) -> "pd.DataFrame":
        """What simple rules would have come to."""
        return table(self.message.rules, "rule")

    @property
    def conflicts(self) -> list[str]:
        """What stands in the way of any portfolio, in sentences."""
        return [conflict.what for conflict in self.message.conflicts]


def read_portfolio(packed: Packed) -> Portfolio:
    """The portfolio in the response of an operation."""
    return Portfolio(pb.Portfolio.FromString(packed.value))
