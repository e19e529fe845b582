"""What may be asked of the verbs of an agent; all of it may be left out."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from numpy.typing import ArrayLike

from loadloom.client import agency
from loadloom.client.agency import Price, ReadingRules, Rule, TimeBand


class AggregateWishes(TypedDict, total=False):
    """What to tell of load curves beside their sum.

    Attributes:
        users: whether to tell the figures of every user; told unless False.
        price: the price by which a user's leaving is weighed in money.
        quantiles: the shares of users, 0..1, that stay below the load to tell in each interval.
        bands: the kinds of hours whose energies to tell, such as peak and valley.
        other_band: the name of all other times; "other" when empty.
        roll_ups: the spans to roll up: "day", "month".
        rules: what counts as a fault of a reading, and how gaps are filled.
        tie_tolerance: the share of the peak within which an interval ties with it; 1e-9 when zero.
    """

    users: bool
    price: Price | None
    quantiles: Sequence[float]
    bands: Sequence[TimeBand]
    other_band: str
    roll_ups: Sequence[agency.RollUp]
    rules: ReadingRules | None
    tie_tolerance: float


class SharingWishes(TypedDict, total=False):
    """How to share a cost.

    Attributes:
        peak_mode: which peak counts: of the horizon, the mean of the highest days, of each day.
        peak_count: the days of "mean of top peaks"; one when zero.
        seed: the seed of the orders of joining that are drawn where there are too many for all.
        report: whether to report on balance, the complaints of all coalitions and monotonicity,
            which takes longer than the shares themselves.
    """

    peak_mode: agency.PeakMode
    peak_count: int
    seed: int
    report: bool


class PurchaseWishes(TypedDict, total=False):
    """What may be said of a purchase beside its load and plants.

    Attributes:
        spot: the market.
        store: the storage.
        currency_code: the ISO 4217 code of the currency of all prices.
        time_limit_s: the longest time to solve.
    """

    spot: agency.Spot | None
    store: agency.PurchaseStore | None
    currency_code: str
    time_limit_s: float | None


class PortfolioWishes(TypedDict, total=False):
    """What may be said of a portfolio beside its candidates and contracts.

    Attributes:
        request_id: the caller's id of the request: the same id and content give the same operation.
        fee: what a candidate costs in itself: one number, one for each, or a column a contract.
        must_take: the names of candidates that must be taken.
        never_take: the names of those that must not.
        currency_code: the ISO 4217 code of the currency.
        time_limit_s: the longest time to solve; a minute when left out.
        relative_gap: the gap, 0..1, at which a search may stop; 1e-4 when zero.
        seed: the seed of every random choice.
        method: the technique to use; the one that fits when left out.
        recruit_count: how many to name to recruit next; 20 when zero.
        explain_users: the candidates whose being taken or not to explain.
        without_names: whether to leave out the names of those that are taken.
    """

    request_id: str
    fee: ArrayLike | None
    must_take: Sequence[str]
    never_take: Sequence[str]
    currency_code: str
    time_limit_s: float | None
    relative_gap: float
    seed: int
    method: agency.PortfolioMethod | None
    recruit_count: int
    explain_users: Sequence[str]
    without_names: bool


class SettlementWishes(SharingWishes, total=False):
    """What may be said of a settlement beside its curves and cost.

    Attributes:
        request_id: the caller's id of the request: the same id brings the same settlement.
        title: what it is called among people.
        highest_price_per_kwh: the highest price that was announced, one for all or one for each.
        profit_rate: the agent's profit rate, 0..1.
        currency_code: the ISO 4217 code of the currency.
        digits: the digits after the point of the currency; those of ISO 4217 when left out.
        mode: "benefit share" or "cost plus".
        rule: the rule by which the cost is shared; the default of the cost when left out.
        prepaid: what each user paid in advance, in the currency: by name, or in the order of the
            curves; the highest price times the energy when left out. Amounts are exact: of floats
            what Python prints.
        prepaid_minor: the same in minor units.
    """

    request_id: str
    title: str
    highest_price_per_kwh: ArrayLike
    profit_rate: float
    currency_code: str
    digits: int | None
    mode: agency.Mode
    rule: Rule | None
    prepaid: Mapping[str, object] | Sequence[object] | None
    prepaid_minor: ArrayLike | None
