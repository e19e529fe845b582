"""What an operator says who calls customers for less load: network, customers, rules, answers.

    network = Network(names=["north"], need_kw=[18.0], confidence=0.95)
    customers = Customers.of(frame)      # names in its index, a row for each customer
    plan = client.plan_targets(network, customers, grid)

Columns have one value for each customer or node, in the order of their names, or a single one that
holds for all. What changes with time is a table with a row for each and a column for each interval.
Something of pandas with names in its index is put into the order of the names; a DataFrame with
times in its index and a column for each name is turned. Nodes, groups and customers are told by
their names, or by their places from 0. Defaults and rules are those of the API.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from loadloom.client.errors import InvalidRequest, Violation

if TYPE_CHECKING:
    import pandas as pd

ForecastMethod = Literal["similar days", "regression"]
BaselineMethod = Literal["last days", "highest days", "regression", "control group"]
AdjustmentKind = Literal["none", "ratio", "difference"]
AnswerWord = Literal["accepted", "opted out", "no answer"]
CallWord = Literal["pending", "accepted", "opted out", "no answer", "cancelled"]

Place: TypeAlias = str | int
"""The name of something, or its place from 0."""

OFFER = "acceptance_at_"
"""How a column of a DataFrame begins that tells acceptance at a price per kWh, which follows."""

MUST, NEVER = "must", "never"
"""What a column `call` may say."""

ALIASES = {"node": "nodes", "group": "groups"}
"""Columns of a DataFrame that have another name than the fields of Customers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The part of a supply network that is in question: a tree, or several, of nodes.

    Attributes:
        names: the names of the nodes, such as transformers, feeders and substations.
        need_kw: the reduction that each node needs, by node and interval; 0 where it needs none.
            With `need_sd_kw` it is the expected load above the rating, which may be negative.
        parents: the node above each; None or "" where there is none. All are roots when left out.
        confidence: the probability with which needs are to be met, one or one for each; 0.95.
        need_sd_kw: the standard deviation of each need, in the form of `need_kw`.
        headroom_kw: the room below each node's limit after the event, by node and interval.
        rebound_profile: the rebound in each interval after the event, in kW for each kW of mean
            reduction during it.
    """

    names: Sequence[str]
    need_kw: "ArrayLike | pd.DataFrame"
    parents: Sequence[Place | None] = ()
    confidence: ArrayLike | None = None
    need_sd_kw: "ArrayLike | pd.DataFrame | None" = None
    headroom_kw: "ArrayLike | pd.DataFrame | None" = None
    rebound_profile: ArrayLike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customers:
    """What is known of customers before they are called.

    Attributes:
        size_kw: the reduction of a customer that accepts, by customer and interval.
        names: the names; for plans that are not kept they may be left out.
        count: how many there are; needless where names or another column tell it.
        nodes: the node at which each is, or all are; the first node when left out.
        size_sd_kw: the standard deviation of what is delivered of it.
        price_per_kwh: the prices that may be offered, one level each.
        acceptance: the probability that each accepts, by customer and level; 1.
        contact_cost: the cost of calling each, whatever it answers.
        fatigue_cost: the cost of having asked each once more this season.
        calls_left: the calls that may still be made to each this season.
        must_call: customers that must be called.
        never_call: customers that must not be called.
        groups: the group of each; None or "" for none.
        shock_share: what a shock of one standard deviation changes of each reduction, as a share
            of its mean, by customer and shock.
        rebound_share: the share of the rebound profile that each shows.
        delivered_share: the share of its reduction that each is expected to deliver; 1.
        fixed_payment: what is promised for taking part beside the price, one amount or one for each
            level.
    """

    size_kw: "ArrayLike | pd.DataFrame"
    names: Sequence[str] = ()
    count: int = 0
    nodes: "Sequence[Place] | Place" = ()
    size_sd_kw: "ArrayLike | pd.DataFrame | None" = None
    price_per_kwh: ArrayLike | None = None
    acceptance: ArrayLike | None = None
    contact_cost: ArrayLike | None = None
    fatigue_cost: ArrayLike | None = None
    calls_left: ArrayLike | None = None
    must_call: Sequence[Place] = ()
    never_call: Sequence[Place] = ()
    groups: "Sequence[Place | None] | Place" = ()
    shock_share: ArrayLike | None = None
    rebound_share: ArrayLike | None = None
    delivered_share: ArrayLike | None = None
    fixed_payment: ArrayLike | None = None

    @classmethod
    def of(cls, said: "Customers | pd.DataFrame") -> "Customers":
        """The customers of a DataFrame with a row for each.

        Names are in its index, or in a column `customer`. Columns have the names of the fields, but
        for `node` and `group`; `call` is "must", "never" or empty; `acceptance_at_0.25` is the
        acceptance at a price of 0.25 per kWh, a level for each such column.

        Raises:
            InvalidRequest: it is no DataFrame, or has a column that means nothing.
        """
        if isinstance(said, Customers):
            return said
        if not hasattr(said, "columns"):
            told = f"is a {type(said).__name__}; must be Customers or a DataFrame"
            raise InvalidRequest.of([Violation("customers", told)])
        frame = said.set_index("customer") if "customer" in said.columns else said
        columns: Any = {str(name): frame[name] for name in frame.columns}
        if len(columns) < frame.shape[1]:
            raise InvalidRequest.of([Violation("customers", "has two columns of one name")])
        return cls(**_of_columns(columns, _names(frame)))


CustomersLike: TypeAlias = "Customers | pd.DataFrame"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuota:
    """Bounds on how a group of customers is treated; a limit that is left out is none."""

    group: Place
    call_min: int = 0
    call_max: int | None = None
    cost_min: float = 0.0
    cost_max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLaw:
    """The law of what customers do, where it is not the normal one with which plans are made.

    Attributes:
        degrees_of_freedom: of Student's law of the size of each reduction, above 2; 0 for a normal
            law.
        shock_degrees_of_freedom: the same for the shocks.
        shock_share: the shares that shocks have in truth, by customer and shock.
        outage_probability: the probability that messages fail for an outage group as a whole.
        outage_groups: the number of the outage group of each customer, from 0.
    """

    degrees_of_freedom: float = 0.0
    shock_degrees_of_freedom: float = 0.0
    shock_share: ArrayLike | None = None
    outage_probability: float = 0.0
    outage_groups: ArrayLike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """How often a customer may be called, counted over kept events that begin from `start` on."""

    start: datetime
    call_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadDriver:
    """Something that drives the load of nodes, such as the air conditioners below them.

    Attributes:
        name: the name.
        past: its value on each past day, by node and day; one row holds for all nodes.
        ahead: its value on each day ahead, in the same form.
        per_degree: whether it acts by its value times the degrees of cooling.
    """

    name: str
    past: ArrayLike
    ahead: ArrayLike
    per_degree: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRule:
    """How baselines are made; zeros stand for the defaults of the API.

    Attributes:
        method: the mean of the last similar days (10 of 10), of the highest among them (5 of 10), a
            regression on temperature and kind of day, or the mean of matched controls.
        last: the number of similar days that are looked at.
        kept: the number of days that are kept of them.
        fewest: the least number of days with readings.
        lookback_days: the days that are looked back at most.
        adjustment: the way to adjust a baseline to the day of the event.
        adjustment_start_minutes, adjustment_end_minutes: the span before the event that is compared
            for it; 180 to 60.
        adjustment_min, adjustment_max: between which ratios an adjustment stays; 1/1.2 and 1.2.
        matches: the number of controls that are matched with a customer.
        rebound_share: the share of what is used above the baseline after the event that is taken
            off what was delivered.
        rebound_intervals: the number of intervals after the event in which that is looked at.
    """

    method: BaselineMethod = "last days"
    last: int = 0
    kept: int = 0
    fewest: int = 0
    lookback_days: int = 0
    adjustment: AdjustmentKind = "none"
    adjustment_start_minutes: int = 0
    adjustment_end_minutes: int | None = None
    adjustment_min: float = 0.0
    adjustment_max: float = 0.0
    matches: int = 0
    rebound_share: float = 0.0
    rebound_intervals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a customer answers; without `accepted_kw` it accepts what it was asked for."""

    customer: str
    answer: AnswerWord
    accepted_kw: float | None = None


def _names(frame: "pd.DataFrame") -> tuple[str, ...]:
    """The names in an index; none where it only counts the rows."""
    if frame.index.name is None and frame.index.equals(_counting(len(frame))):
        return ()
    return tuple(map(str, frame.index))


def _counting(count: int) -> "pd.RangeIndex":
    import pandas as pd

    return pd.RangeIndex(count)


def _of_columns(columns: "dict[str, pd.Series]", names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of Customers that columns tell."""
    known = {one.name for one in fields(Customers)} - {"names", "count", "price_per_kwh"}
    known -= {"must_call", "never_call", "fixed_payment", *ALIASES.values()}
    said: dict[str, Any] = {"names": names, "count": len(next(iter(columns.values()), ()))}
    offers: dict[float, Any] = {}
    faults = []
    for name, column in columns.items():
        if name.startswith(OFFER):
            try:
                offers[float(name.removeprefix(OFFER))] = column.to_numpy(np.float64)
            except ValueError:
                told = "must end in a price per kWh and hold numbers, such as acceptance_at_0.25"
                faults.append(Violation(f"customers.{name}", told))
        elif name == "call":
            faults += _called(column, said)
        elif name in ALIASES:
            said[ALIASES[name]] = [_word(cell) for cell in column]
        elif name in known:
            said[name] = column.to_numpy()
        else:
            told = f"is not known; there are {', '.join(sorted({*known, *ALIASES, 'call'}))}"
            faults.append(Violation(f"customers.{name}", told))
    if "size_kw" not in said:
        faults.append(Violation("customers.size_kw", "is missing"))
    if offers:
        prices = sorted(offers)
        said["price_per_kwh"] = prices
        said["acceptance"] = np.column_stack([offers[price] for price in prices])
    if faults:
        raise InvalidRequest.of(faults)
    return said


def _called(column: "pd.Series", said: dict[str, Any]) -> list[Violation]:
    """The faults in a column that tells who must and who must not be called."""
    words = [_word(cell) for cell in column]
    said["must_call"] = [place for place, word in enumerate(words) if word == MUST]
    said["never_call"] = [place for place, word in enumerate(words) if word == NEVER]
    right = f'must be "{MUST}", "{NEVER}" or empty'
    return [
        Violation(f"customers.call[{place}]", f"is {word!r}; {right}")
        for place, word in enumerate(words)
        if word not in ("", MUST, NEVER)
    ]


def _word(cell: object) -> Place:
    """The name in a cell, or its place; empty where there is none."""
    if cell is None or cell != cell:
        return ""
    return int(cell) if isinstance(cell, np.integer) else str(cell)
