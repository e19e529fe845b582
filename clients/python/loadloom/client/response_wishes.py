"""What may be asked of the verbs that call customers; all of it may be left out."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from numpy.typing import ArrayLike

from loadloom.client import response
from loadloom.client.agency import CurvesLike
from loadloom.client.response import (
    BaselineRule,
    GroupQuota,
    LoadDriver,
    Place,
    ResponseLaw,
    Season,
)


class TargetWishes(TypedDict, total=False):
    """What may be said of a plan beside its network and customers; all of it may be left out.

    Attributes:
        quotas: bounds on how groups are treated.
        budget: the most that calls may be expected to cost: the greatest confidence that all needs
            can have in common is planned for.
        best_effort: whether to plan the most that can be had where a need cannot be met.
        currency_code: the currency of all prices and costs; events need one.
        reasons: customers for which to tell why they are called or not.
        reserve_count: the customers to name for each need as the next to call.
        mean_ranking: whether to tell what ranking by the mean alone would have cost.
        samples: the draws with which to check the confidence.
        law: the law to draw from; that of the plan when left out.
        time_limit_s: the longest time to solve.
        relative_gap: the gap, 0..1, at which a search may stop.
        seed: the seed of every random choice.
    """

    quotas: Iterable[GroupQuota]
    budget: float | None
    best_effort: bool
    currency_code: str
    reasons: Iterable[Place]
    reserve_count: int | None
    mean_ranking: bool
    samples: int
    law: ResponseLaw | None
    time_limit_s: float | None
    relative_gap: float
    seed: int


class EventWishes(TargetWishes, total=False):
    """What may be said of an event beside its network and customers.

    Attributes:
        request_id: the caller's id of the request: the same id brings the same event.
        title: what it is called among people.
        answer_time: the instant until which answers are waited for; the beginning of the event.
        use_reliabilities: whether what is known of customers from settled events takes the place of
            what is said of their acceptance and delivery.
        season: how often a customer may be called.
        program: the name of the OpenADR program.
        fixed_from_share: the share of the energy that it accepted which a customer must deliver to
            be due its fixed payment.
    """

    request_id: str
    title: str
    answer_time: datetime | None
    use_reliabilities: bool
    season: Season | None
    program: str
    fixed_from_share: float


class RestWishes(TypedDict, total=False):
    """What may be asked of a new plan of an event; see TargetWishes.

    Attributes:
        answer_time: the instant until which answers are waited for from now on; as it was while
            that is ahead, else the beginning of the event, or its end where it has begun.
    """

    answer_time: datetime | None
    reasons: Iterable[Place]
    reserve_count: int | None
    mean_ranking: bool
    samples: int
    law: ResponseLaw | None
    time_limit_s: float | None
    relative_gap: float
    seed: int


class ForecastWishes(TypedDict, total=False):
    """What may be said of a forecast beside loads and ratings.

    Attributes:
        days_ahead: the local days ahead that are foretold; 1.
        temperature_c: the temperature of the past, by interval.
        temperature_ahead_c: that of the days ahead.
        drivers: what else drives loads.
        holidays: the local days that are holidays, as dates or "2026-08-15".
        quantiles: the shares of outcomes that stay below the loads to tell; 0.05, 0.5 and 0.95.
        confidence: the probability with which the rating is to be kept; 0.95.
        method: the way to foretell; for each node the better one when left out.
    """

    days_ahead: int
    temperature_c: ArrayLike | None
    temperature_ahead_c: ArrayLike | None
    drivers: Iterable[LoadDriver]
    holidays: Iterable[object]
    quantiles: Iterable[float]
    confidence: float
    method: response.ForecastMethod | None


class MeasureWishes(TypedDict, total=False):
    """What may be said of readings that are measured.

    Attributes:
        rule: how baselines are made.
        controls: the readings of customers that were not called, on the same grid.
        holidays: the local days that are holidays.
        event_days: the local days on which customers were called before.
        temperature_c: the temperature in each interval of the readings.
    """

    rule: BaselineRule | None
    controls: "CurvesLike | None"
    holidays: Iterable[object]
    event_days: Iterable[object]
    temperature_c: ArrayLike | None
