"""The need: loads of nodes ahead, how likely they are above the rating, and by how much.

    P(load ahead <= mean + g(z) spread) = Phi(z)
    overload probability = P(load > rating)         excess = mean - rating
    need                 = max(0, mean + g(z) spread - rating)

for each node, day and slot, z being the normal quantile of the confidence and g what the errors of
held-out days say (`tails`): loads may be skewed, and errors last for days. The need has the
forecast's own spread on top of the excess. Who plans reductions under one root takes excess and
the spread g(z) / z * spread instead: mean.x - z sqrt(variance.x + spread^2) >= excess needs less
than both apart.

Two forecasts, of which each node takes the one that would have done better on its last days:

    similar days    mean of the k days of the same kind that are nearest by the temperature of the
                    day and by date; its spread is that of the same rule's errors on the days before
    regression      x.beta by least squares, recent days weighing more, with x = 1, rest day, trend,
                    degrees (see `weather`) and drivers such as the appliances sold so far in the
                    node's supply range; its spread is that of the residuals and of beta

"Better" is the lower continuous ranked probability score, the pinball loss of all quantiles, which
rewards the mean and the spread alike. The least squares are a kernel of ours: 20,000 nodes by 96
slots with gaps and drivers of their own are two million small fits, and forecasting libraries make
two million models of them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.node_forecast import (
    FEWEST_DAYS,
    Days,
    by_regression,
    by_similar_days,
)
from loadloom.models.response.normal import probability, quantile
from loadloom.models.response.similar_days import (
    COLDEST_C,
    HOTTEST_C,
    WEEKEND,
    BoolArray,
    LoadArray,
    Span,
    check_dates,
    check_powers,
    check_shape,
    check_slots,
    day_kinds,
)
from loadloom.models.response.tails import shrunk, stretched, tails
from loadloom.solvers.kernels.scores import normal_scores

TESTED_DAYS = 14
"""The last days, on which the two forecasts are compared."""

_FEWEST_TAUGHT = 56
"""With so many days those before the last ones teach the errors, too, and the last ones test it."""

_FEWEST_FITTED = 6
"""A regression has three features at least, and its spread needs three errors more."""

_LEAST_SPREAD = 1e-9
_SILENT = 1e-3  # a spread below this share of the node's mean load is none to measure errors in
_MEDIAN = 0.1  # up to this z a confidence is taken for the median


class ForecastMethod(Enum):
    """How loads are forecast; BEST takes for each node what did better on its last days."""

    BEST = "the better on the last days"
    SIMILAR_DAYS = "similar days"
    REGRESSION = "regression"


@dataclass(frozen=True, kw_only=True)
class Driver:
    """What else drives loads, known for the past and the days ahead: appliances sold, for one.

    Attributes:
        name: in the user's words.
        past: (D,), (m, D) or (m, D, S).
        ahead: (H,), (m, H) or (m, H, S).
        per_degree: whether it acts by cooling degrees, as air conditioners do.
    """

    name: str
    past: FloatArray
    ahead: FloatArray
    per_degree: bool = False


@dataclass(frozen=True, kw_only=True)
class NodeHistory:
    """What m nodes carried, valid once made.

    Attributes:
        load_kw: (m, D, S), NaN where it was not measured.
        dates: D distinct days in order.
        holidays, weekend: rest days, as in `Readings`.
        temperature_c: (D, S) or (m, D, S), or None.
        drivers: see there.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths below `history`.
    """

    load_kw: LoadArray
    dates: tuple[date, ...]
    holidays: Collection[date] = frozenset()
    weekend: Collection[int] = WEEKEND
    temperature_c: FloatArray | None = None
    drivers: tuple[Driver, ...] = ()

    def __post_init__(self) -> None:
        checks = Checks()
        good = self.load_kw.ndim == 3 and self.load_kw.dtype in (np.float32, np.float64)
        message = f"has shape {self.load_kw.shape}; must be floats of (nodes, days, slots)"
        checks.require(good, "history.load_kw", message)
        checks.finish()
        nodes, days, slots = self.load_kw.shape
        checks.require(nodes > 0, "history.load_kw", "has no node; must have at least 1")
        check_slots(checks, "history.load_kw", slots)
        check_dates(checks, "history.dates", self.dates, days)
        check_powers(checks, "history.load_kw", self.load_kw)
        shapes = ((days, slots), (nodes, days, slots))
        _check_weather(checks, "history", self.temperature_c, shapes)
        for k, driver in enumerate(self.drivers):
            path = f"history.drivers[{k}].past"
            _check_driver(checks, path, driver.past, (nodes, days, slots))
            message = "is true; then temperatures must be known"
            known = self.temperature_c is not None or not driver.per_degree
            checks.require(known, f"history.drivers[{k}].per_degree", message)
        checks.finish()

    @property
    def shape(self) -> tuple[int, int, int]:
        """The number of nodes, of days and of a day's slots."""
        nodes, days, slots = self.load_kw.shape
        return nodes, days, slots


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """The days ahead and what is known of them.

    Attributes:
        dates: H distinct days in order, after those of the history.
        temperature_c: (H, S) or (m, H, S) as forecast; None if the history has none.
        span: the slots that are asked for; None for all.
    """

    dates: tuple[date, ...]
    temperature_c: FloatArray | None = None
    span: Span | None = None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Loads ahead, of m nodes, H days and T slots.

    Attributes:
        mean_kw: (m, H, T).
        spread_kw: (m, H, T) standard deviation.
        regression: (m,) whether each node's is by regression; else by similar days.
        score_kw: (2, m) the continuous ranked probability score of similar days and regression on
            the last days, lower is better; NaN where it could not be found.
        below_share: (m,) the share of loads of the last days that were below the 95 % quantile of
            the forecast taken, as the days before them taught it; NaN likewise.
        tail: (m, K) what quantiles are in units of the spread; see `tails`. None for a normal law.
    """

    mean_kw: FloatArray
    spread_kw: FloatArray
    regression: BoolArray
    score_kw: FloatArray
    below_share: FloatArray
    tail: FloatArray | None = None

    def quantile_kw(self, levels: FloatArray) -> FloatArray:
        """The load that each is below with each of q probabilities, (q, m, H, T)."""
        z = quantile(np.asarray(levels, dtype=np.float64))
        each = np.broadcast_to(stretched(self.tail, z), (len(self.mean_kw), z.size))
        return self.mean_kw + each.T[:, :, None, None] * self.spread_kw


@dataclass(frozen=True, kw_only=True)
class Need:
    """What must be reduced; all (m, H, T), see the module's formulas.

    Attributes:
        overload_probability: without any reduction.
        excess_kw: mean load less rating, negative where there is room.
        spread_kw: the deviation of a normal law with the same quantile at the confidence.
        need_kw: the reduction that is enough with the confidence, if it is certain.
    """

    overload_probability: FloatArray
    excess_kw: FloatArray
    spread_kw: FloatArray
    need_kw: FloatArray


def need(forecast: Forecast, rating_kw: FloatArray, confidence: FloatArray | float) -> Need:
    """The overloads ahead.

    Args:
        forecast: of m nodes.
        rating_kw: (m,) or (m, T).
        confidence: with which ratings are to be kept, () or (m,), 0.5 up to but without 1.

    Raises:
        InvalidProblem: a shape, a rating or a confidence that cannot be used.
    """
    checks = Checks()
    nodes, _, slots = forecast.mean_kw.shape
    shapes = ((nodes,), (nodes, slots))
    message = f"has shape {rating_kw.shape}; must have shape {shapes[0]} or {shapes[1]}"
    checks.require(rating_kw.shape in shapes, "rating_kw", message)
    checks.numbers("rating_kw", rating_kw.reshape(-1), low=0.0)
    level = np.asarray(confidence, dtype=np.float64)
    message = f"has shape {level.shape}; must be one number or {nodes}"
    checks.require(level.shape in {(), (nodes,)}, "confidence", message)
    good = bool(((level >= 0.5) & (level < 1.0)).all())
    checks.require(good, "confidence", "must be from 0.5 up to but without 1")
    checks.finish()
    rating = rating_kw[:, None, None] if rating_kw.ndim == 1 else rating_kw[:, None, :]
    z = np.broadcast_to(quantile(level), (nodes,))[:, None]
    by_law = stretched(forecast.tail, z)
    # Near the median a spread has no part in a need, and no ratio of quantiles tells anything.
    ratio = np.divide(by_law, z, out=np.ones(z.shape), where=z > _MEDIAN)
    excess = forecast.mean_kw - rating
    over = (-excess / forecast.spread_kw).reshape(nodes, -1)
    return Need(
        overload_probability=probability(-shrunk(forecast.tail, over)).reshape(excess.shape),
        excess_kw=excess,
        spread_kw=np.maximum(ratio, 0.0)[:, :, None] * forecast.spread_kw,
        need_kw=np.maximum(0.0, excess + by_law[:, :, None] * forecast.spread_kw),
    )


def forecast(
    history: NodeHistory, ahead: Ahead, *, method: ForecastMethod = ForecastMethod.BEST
) -> Forecast:
    """The loads of nodes on the days ahead, with their spread.

    Raises:
        InvalidProblem: the days ahead do not fit the history, or a node has too few readings.
    """
    _check_ahead(history, ahead)
    span = ahead.span or Span(first=0, count=history.shape[2])
    days, load_kw = _all_days(history, ahead), history.load_kw
    few = FEWEST_DAYS + 1 if method is ForecastMethod.SIMILAR_DAYS else _FEWEST_FITTED
    known = np.count_nonzero(~np.isnan(load_kw[:, :, span.slots]), axis=1)
    _check_found(np.where(known < few, np.nan, 0.0)[:, None], span)
    count = len(history.dates)
    asked = np.arange(count, count + len(ahead.dates))
    similar = by_similar_days(load_kw, days, count, asked, span)
    fitted = by_regression(load_kw, days, count, asked, span)
    last = _tested(load_kw, days, span, count)
    score, below = last.score, last.below
    if method is ForecastMethod.BEST:
        regression = score[1] < score[0]  # not so with NaN
        regression |= ~np.isfinite(similar[0] + similar[1]).all(axis=(1, 2))
    else:
        regression = np.full(len(load_kw), method is ForecastMethod.REGRESSION)
    mean, spread = np.where(regression[:, None, None], fitted, similar)
    _check_found(mean + spread, span)
    before = None
    if count >= _FEWEST_TAUGHT:
        before = _tested(load_kw, days, span, count - TESTED_DAYS).taken(regression)
    tail, below = _taught(before, last.taken(regression), np.where(regression, below[1], below[0]))
    return Forecast(
        mean_kw=mean,
        spread_kw=np.maximum(spread, _LEAST_SPREAD),
        regression=regression,
        score_kw=score,
        below_share=below,
        tail=tail,
    )


def _all_days(history: NodeHistory, ahead: Ahead) -> Days:
    """The days of the history and those ahead in one table."""
    dates = history.dates + ahead.dates
    temperature = None
    if history.temperature_c is not None and ahead.temperature_c is not None:
        nodes = history.shape[0]
        both = [history.temperature_c, ahead.temperature_c]
        if max(each.ndim for each in both) == 3:
            both = [np.broadcast_to(each, (nodes, *each.shape[-2:])) for each in both]
        temperature = np.concatenate(both, axis=-2)
    drivers = []
    for driver in history.drivers:
        past, after = _by_node(driver.past), _by_node(driver.ahead)
        shape = np.broadcast_shapes(past[:, :1].shape, after[:, :1].shape)
        parts = [np.broadcast_to(x, (shape[0], x.shape[1], shape[2])) for x in (past, after)]
        size = max(float(np.abs(past).max()), 1e-12)
        drivers.append(np.concatenate(parts, axis=1) / size)
    return Days(
        kinds=day_kinds(dates, history.holidays, history.weekend),
        ordinals=np.array([each.toordinal() for each in dates]),
        temperature_c=temperature,
        drivers=tuple(drivers),
        per_degree=tuple(each.per_degree for each in history.drivers),
    )


def _by_node(values: FloatArray) -> FloatArray:
    """A driver's values as (1 or m, days, 1 or S)."""
    if values.ndim == 1:
        return values[None, :, None]
    return values[:, :, None] if values.ndim == 2 else values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """Both forecasts on days that were held out.

    Attributes:
        score, below: as in `Forecast`, (2, m).
        errors: what each was wrong by, in units of its spread, (2, m, A, T); NaN where a node did
            not vary before, so that its spread says nothing.
    """

    score: FloatArray
    below: FloatArray
    errors: NDArray[np.float32]

    def taken(self, regression: BoolArray) -> NDArray[np.float32]:
        """The errors of each node's forecast, (m, A, T)."""
        return np.where(regression[:, None, None], self.errors[1], self.errors[0])


def _tested(load_kw: LoadArray, days: Days, span: Span, count: int) -> _Tested:
    """The forecasts of the last of so many days, each made of the days before them."""
    nodes, until = len(load_kw), count - TESTED_DAYS
    score, below = np.full((2, nodes), np.nan), np.full((2, nodes), np.nan)
    if until < 1:
        return _Tested(
            score=score, below=below, errors=np.zeros((2, nodes, 0, span.count), np.float32)
        )
    asked = np.arange(until, count)
    actual = load_kw[:, until:count, span.slots]
    z = float(quantile(np.array(0.95)))
    errors = np.empty((2, *actual.shape), np.float32)
    least = _SILENT * _size(load_kw[:, :count, span.slots])[:, None, None]
    for k, road in enumerate((by_similar_days, by_regression)):
        mean, spread = road(load_kw, days, until, asked, span)
        normal_scores(actual, mean, spread, _LEAST_SPREAD, z, score[k], below[k])
        tells = spread > np.maximum(least, _LEAST_SPREAD)
        errors[k] = np.where(tells, actual - mean, np.nan) / np.where(tells, spread, 1.0)
    return _Tested(score=score, below=below, errors=errors)


def _size(load_kw: LoadArray) -> FloatArray:
    """The mean size of each node's loads, (m,)."""
    known = ~np.isnan(load_kw)
    total = np.abs(np.where(known, load_kw, 0.0)).sum(axis=(1, 2), dtype=np.float64)
    return total / np.maximum(known.sum(axis=(1, 2)), 1)


def _taught(
    before: NDArray[np.float32] | None, last: NDArray[np.float32], below: FloatArray
) -> tuple[FloatArray | None, FloatArray]:
    """What errors say of quantiles, (m, K), and the share below the 95 % quantile, (m,).

    The share is that of the last days by what the days before them taught, where there are any.
    """
    if last.size == 0:
        return None, below
    if before is None:
        return tails(last), below
    known = stretched(tails(before), quantile(np.array([0.95])))
    seen = np.isfinite(last)
    under = (seen & (last <= known[:, :, None])).sum(axis=(1, 2))
    count = seen.sum(axis=(1, 2))
    share = np.divide(under, count, out=below.copy(), where=count > 0)
    return tails(np.concatenate((before, last), axis=1)), share


def _check_ahead(history: NodeHistory, ahead: Ahead) -> None:
    checks = Checks()
    nodes, _, slots = history.shape
    days = len(ahead.dates)
    check_dates(checks, "ahead.dates", ahead.dates, days)
    if days:
        message = f"is {ahead.dates[0]}; must come after the last day of the history"
        checks.require(ahead.dates[0] > history.dates[-1], "ahead.dates[0]", message)
    if ahead.span is not None:
        ahead.span.check(checks, "ahead.span", slots)
    both = (history.temperature_c is None) == (ahead.temperature_c is None)
    message = "must be known for the history and the days ahead, or for neither"
    checks.require(both, "ahead.temperature_c", message)
    shapes = ((days, slots), (nodes, days, slots))
    _check_weather(checks, "ahead", ahead.temperature_c, shapes)
    for k, driver in enumerate(history.drivers):
        _check_driver(checks, f"history.drivers[{k}].ahead", driver.ahead, (nodes, days, slots))
    checks.finish()


def _check_weather(
    checks: Checks, path: str, values: FloatArray | None, shapes: tuple[tuple[int, ...], ...]
) -> None:
    if values is not None:
        check_shape(checks, f"{path}.temperature_c", values, shapes)
        flat = values.reshape(-1)
        checks.numbers(f"{path}.temperature_c", flat, low=COLDEST_C, high=HOTTEST_C)


def _check_driver(
    checks: Checks, path: str, values: FloatArray, shape: tuple[int, int, int]
) -> None:
    nodes, days, slots = shape
    check_shape(checks, path, values, ((days,), (nodes, days), (nodes, days, slots)))
    checks.numbers(path, values.reshape(-1))


def _check_found(values: FloatArray, span: Span) -> None:
    """Raises InvalidProblem at the first node of which nothing can be said."""
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        i, _, t = bad[0]
        checks = Checks()
        nodes = np.unique(bad[:, 0]).size
        more = f"; so have {nodes - 1} more nodes" if nodes > 1 else ""
        message = f"has too few readings in slot {span.first + t} to forecast it{more}"
        checks.require(False, f"history.load_kw[{i}]", message)
        checks.finish()
