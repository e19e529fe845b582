"""The referee of settlements: figures, shares and money, from the request and the answer alone.

It knows nothing of how the answer was made. Shares are recomputed in the other form of the formula,

    x[i] = pi(LF) * e[i] + E * pi'(LF) * k[i],    pi(LF) = g(1 / LF),  pi' = -g' / LF^2

and integers are held to identities without any tolerance. Shares by rules that compare coalitions
are judged by `referee_rules`. Of games of more users than that looks at, it knows only that shares
add up to the cost, that drawn values come with their intervals, and that nothing else is drawn;
what more makes them what they are is tested where they are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loadloom.models.agency import referee_money, referee_rules
from loadloom.models.agency.cost import PEAK_TOLERANCE
from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.agency.problem import Mode, PeakMode, Problem, SharingRule
from loadloom.models.agency.referee_rules import chunks
from loadloom.models.agency.settle import Settlement
from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray

RELATIVE = 1e-9
"""The share of the largest figure of a column by which its figures may be off."""

_COLUMNS = (
    "energy_kwh",
    "contribution",
    "unit_contribution",
    "share",
    "bill",
    "benefit_per_kwh",
    "price_per_kwh",
)
_MONEY = ("share_minor", "bill_minor", "prepaid_minor", "refund_minor")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Span:
    """A span with a load factor of its own, as the referee sees it."""

    begin: int
    hours: float
    energy_kwh: float
    peak_kw: float
    load_factor: float
    user_energy_kwh: FloatArray
    user_peak_kw: FloatArray


def cost(problem: Problem) -> float:
    """What all loads cost together, F1, in the currency."""
    if problem.purchase is not None:
        return problem.purchase.cost
    spans = _spans(problem, _total(problem))
    return sum((_price(problem, span) * span.energy_kwh for span in spans), 0.0)


def violations(problem: Problem, settlement: Settlement) -> list[Violation]:
    """Everything in which a settlement breaks the rules of `problem`; none if it is right."""
    shapes = _shapes(problem, settlement)
    if shapes:
        return shapes
    total = _total(problem)
    spans = _spans(problem, total)
    found = [
        _near("figures.total_kw", settlement.figures.total_kw, total),
        *_figures(problem, settlement, spans),
        *_rates(problem, settlement, spans),
        *_shares(problem, settlement, spans),
        *_prices(problem, settlement),
        *referee_money.identities(problem, settlement),
        *referee_money.rounding(problem, settlement),
    ]
    return [violation for violation in found if violation is not None]


def _shapes(problem: Problem, settlement: Settlement) -> list[Violation]:
    """Columns that are not one number a user, or that are no integers though they are money."""
    count, found = problem.curves.count, []
    for name in _COLUMNS + _MONEY:
        column = getattr(settlement, name)
        kind = np.int64 if name in _MONEY else np.float64
        if column.shape != (count,) or column.dtype != kind:
            what = f"is of shape {column.shape} and type {column.dtype}"
            found.append(Violation(name, f"{what}; must be ({count},) of {kind.__name__}"))
        elif not np.isfinite(column).all():
            found.append(Violation(name, "holds what is no number"))
    return found


def _total(problem: Problem) -> FloatArray:
    """The pooled load, (T,)."""
    total = np.zeros(problem.curves.horizon.count)
    for rows in chunks(problem):
        total += rows.sum(axis=0)
    return total


def _spans(problem: Problem, total: FloatArray) -> list[_Span]:
    """The spans, from the loads, slot by slot and day by day."""
    curves, peak = problem.curves, problem.peak
    days = curves.day_first
    daily = list(zip(days[:-1].tolist(), days[1:].tolist(), strict=True))
    whole = [(0, curves.horizon.count)]
    if peak.mode is PeakMode.DAILY:
        return [_span(problem, total, [day], 1, *day) for day in daily]
    if peak.mode is PeakMode.MEAN_OF_TOP_PEAKS:
        return [_span(problem, total, daily, peak.count, *whole[0])]
    return [_span(problem, total, whole, 1, *whole[0])]


def _span(
    problem: Problem,
    total: FloatArray,
    groups: list[tuple[int, int]],
    count: int,
    begin: int,
    end: int,
) -> _Span:
    """A span whose peak is the mean of the `count` highest peaks of some groups of its slots."""
    step_h = problem.curves.horizon.step_h
    peaks = np.array([total[a:b].max() for a, b in groups])
    top = np.sort(peaks)[::-1][:count]
    weight = np.zeros(total.size)
    above = [g for g in range(peaks.size) if peaks[g] > top[-1] * (1.0 + PEAK_TOLERANCE)]
    tied = [
        g
        for g in range(peaks.size)
        if g not in above and peaks[g] >= top[-1] * (1.0 - PEAK_TOLERANCE)
    ]
    for g in above + tied:
        part = 1.0 if g in above else (count - len(above)) / len(tied)
        a, b = groups[g]
        hours = np.where(total[a:b] >= peaks[g] * (1.0 - PEAK_TOLERANCE), step_h[a:b], 0.0)
        weight[a:b] = part / count * hours / hours.sum()
    energy, peak = float(total[begin:end] @ step_h[begin:end]), float(top.mean())
    length = float(step_h[begin:end].sum())
    by_hour = np.where((np.arange(total.size) >= begin) & (np.arange(total.size) < end), step_h, 0)
    own = np.concatenate([rows @ np.stack((by_hour, weight), axis=1) for rows in chunks(problem)])
    return _Span(
        begin=begin,
        hours=length,
        energy_kwh=energy,
        peak_kw=peak,
        load_factor=min(1.0, energy / (length * peak)) if energy > 0.0 else 1.0,
        user_energy_kwh=own[:, 0],
        user_peak_kw=own[:, 1],
    )


def _price(problem: Problem, span: _Span) -> float:
    """The plant's price per kWh at the load factor of a span."""
    if problem.schedule is None or span.energy_kwh == 0.0:
        return 0.0
    return float(problem.schedule.value(1.0 / span.load_factor))


def _contribution(span: _Span) -> FloatArray:
    if span.energy_kwh == 0.0:
        return np.zeros(span.user_energy_kwh.size)
    by_energy = span.user_energy_kwh / span.energy_kwh
    return span.load_factor * (by_energy - span.user_peak_kw / span.peak_kw)


def _figures(
    problem: Problem, settlement: Settlement, spans: list[_Span]
) -> list[Violation | None]:
    """Energies, loads at the peak, load factors and contributions."""
    figures = settlement.figures
    energy = sum((span.user_energy_kwh for span in spans), np.zeros(problem.curves.count))
    total = max(sum(span.energy_kwh for span in spans), 1e-300)
    parts = [span.energy_kwh / total * _contribution(span) for span in spans]
    contribution = sum(parts, np.zeros(problem.curves.count))
    largest = float(energy.max()) / total
    unit = np.where(energy > 0.0, energy, 1.0) * settlement.unit_contribution
    by_span = [
        ("figures.hours", figures.hours, [span.hours for span in spans]),
        ("figures.energy_kwh", figures.energy_kwh, [span.energy_kwh for span in spans]),
        ("figures.peak_kw", figures.peak_kw, [span.peak_kw for span in spans]),
        ("figures.load_factor", figures.load_factor, [span.load_factor for span in spans]),
    ]
    if any(values.shape != (len(spans),) for _, values, _ in by_span):
        return [Violation("figures", f"must have {len(spans)} spans")]
    by_user = [span.user_energy_kwh for span in spans], [span.user_peak_kw for span in spans]
    first = [*(span.begin for span in spans), problem.curves.horizon.count]
    begins = figures.first_slot.tolist() == first
    return [
        None if begins else Violation("figures.first_slot", f"must be {first}"),
        *(_near(path, values, np.array(own)) for path, values, own in by_span),
        _near("figures.user_energy_kwh", figures.user_energy_kwh, np.stack(by_user[0], axis=1)),
        _near("figures.user_peak_kw", figures.user_peak_kw, np.stack(by_user[1], axis=1)),
        _near("energy_kwh", settlement.energy_kwh, energy),
        _near("contribution", settlement.contribution, contribution, size=largest),
        _near("unit_contribution", unit, contribution, size=largest),
    ]


def _rates(problem: Problem, settlement: Settlement, spans: list[_Span]) -> list[Violation | None]:
    """The two-part tariff, in the other form of the formula: pi + LF pi' and -E pi' LF / P."""
    rates, schedule = settlement.rates, problem.schedule
    if settlement.rule is not SharingRule.AUMANN_SHAPLEY or schedule is None:
        return [Violation("rates", "are of another rule")] if rates is not None else []
    if rates is None:
        return [Violation("rates", "are missing")]
    price = np.array([_price(problem, span) for span in spans])
    per_kwh, per_kw = price.copy(), np.zeros(price.size)
    for d, span in enumerate(spans):
        if span.energy_kwh > 0.0:
            slope = _slope(schedule, span)
            per_kwh[d] += span.load_factor * slope
            per_kw[d] = -span.energy_kwh * slope * span.load_factor / span.user_peak_kw.sum()
    size = _price_size(problem, spans)
    longest = max(span.hours for span in spans)
    return [
        _near("rates.price_per_kwh", rates.price_per_kwh, price, size=size),
        _near("rates.per_kwh", rates.per_kwh, per_kwh, size=size),
        _near("rates.per_kw", rates.per_kw, per_kw, size=size * longest, loose=10.0),
    ]


def _shares(problem: Problem, settlement: Settlement, spans: list[_Span]) -> list[Violation | None]:
    """The cost, and the share of each user where the rule is a formula."""
    due, rent = cost(problem), 0.0
    each = _price_size(problem, spans)
    size = each * sum(span.energy_kwh for span in spans)
    if problem.purchase is not None and settlement.rule is SharingRule.OWEN_DUALS:
        rent = problem.purchase.rent
    found = [
        None if settlement.rule is problem.sharing_rule else Violation("rule", "is another"),
        _near("cost", np.array(settlement.cost), np.array(due), size=size),
        _near("rent", np.array(settlement.rent), np.array(rent), size=size),
        _near("share", settlement.share.sum(), np.array(due + rent), size=size, loose=1e3),
    ]
    found.extend(_manner(problem, settlement))
    found.extend(referee_rules.complaints(problem, settlement.rule, settlement.share))
    compared = referee_rules.share(problem, settlement.rule, due)
    if compared is not None:
        own, size = compared
        return [*found, _near("share", settlement.share, own, size=size)]
    own = _share(problem, settlement.rule, spans)
    if own is None:
        return found
    return [*found, _near("share", settlement.share, own, size=each * settlement.energy_kwh.max())]


def _manner(problem: Problem, settlement: Settlement) -> Iterator[Violation]:
    """What is said of how shares were found: whether they were drawn, and by which prices."""
    s, width = settlement, settlement.half_width
    drawn = width is not None
    if drawn and (s.rule is not SharingRule.SHAPLEY or s.is_exact):
        yield Violation("half_width", "is of shares that were not drawn")
    if width is not None and not (width.shape == s.share.shape and (width >= 0.0).all()):
        yield Violation("half_width", "must be a width of 0 or more for each user")
    if not s.is_exact and not drawn and s.rule is not SharingRule.LEAST_CORE:
        yield Violation("is_exact", "is false of a rule that is followed exactly")
    if problem.purchase is not None and s.rule is SharingRule.OWEN_DUALS:
        own, told = problem.purchase.slot_price_per_kwh, s.slot_price_per_kwh
        if told is None or not np.array_equal(told, own):
            yield Violation("slot_price_per_kwh", "must be those of the purchase")


def _price_size(problem: Problem, spans: list[_Span]) -> float:
    """The largest of the numbers that make a price per kWh, which may cancel in it."""
    schedule = problem.schedule
    if schedule is None:
        return 0.0 if problem.purchase is None else _largest(problem.purchase.slot_price_per_kwh)
    u = np.array([1.0 / span.load_factor for span in spans])
    slopes = u * np.array([schedule.slope(float(one)) for one in u])
    return _largest(schedule.value(u)) + _largest(slopes) + abs(schedule.base_per_kwh)


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _share(problem: Problem, rule: SharingRule, spans: list[_Span]) -> FloatArray | None:
    """The shares by a rule that is a formula of energy and load at the peak, or of slot prices."""
    nobody = np.zeros(problem.curves.count)
    if rule is SharingRule.OWEN_DUALS and problem.purchase is not None:
        worth = problem.purchase.slot_price_per_kwh * problem.curves.horizon.step_h
        brought = np.concatenate([rows @ worth for rows in chunks(problem)])
        # Slot prices come rounded: what they miss of cost and rent is borne by size.
        missing = problem.purchase.cost + problem.purchase.rent - brought.sum()
        return brought + missing * np.abs(brought) / max(float(np.abs(brought).sum()), 1e-300)
    if rule is SharingRule.ENERGY:
        total = max(sum(span.energy_kwh for span in spans), 1e-300)
        return cost(problem) / total * sum((span.user_energy_kwh for span in spans), nobody)
    if rule is SharingRule.COINCIDENT_PEAK:
        parts = [
            _price(problem, span) * span.energy_kwh * span.user_peak_kw / span.user_peak_kw.sum()
            for span in spans
            if span.energy_kwh > 0.0
        ]
        return sum(parts, nobody)
    if rule is SharingRule.AUMANN_SHAPLEY:
        return sum((_by_gradient(problem, span) for span in spans), nobody)
    return None


def _by_gradient(problem: Problem, span: _Span) -> FloatArray:
    """The design's own form of the share, by the slope of the price in the load factor."""
    if problem.schedule is None or span.energy_kwh == 0.0:
        return np.zeros(span.user_energy_kwh.size)
    slope = _slope(problem.schedule, span)
    by_energy = _price(problem, span) * span.user_energy_kwh
    return by_energy + span.energy_kwh * slope * _contribution(span)


def _slope(schedule: PriceSchedule, span: _Span) -> float:
    """The slope of the price in the load factor, pi'."""
    return -schedule.slope(1.0 / span.load_factor) / span.load_factor**2


def _prices(problem: Problem, settlement: Settlement) -> list[Violation | None]:
    """Bills before rounding, benefits and prices, from the shares as they are told."""
    rate, highest = problem.profit_rate, problem.highest_prices_per_kwh
    energy, share = settlement.energy_kwh, settlement.share
    used = energy > 0.0
    unit = np.divide(share, energy, out=np.zeros_like(share), where=used)
    if problem.mode is Mode.COST_PLUS:
        price = np.where(used, (1.0 + rate) * unit, highest)
        benefit = highest - price
        bill, profit = (1.0 + rate) * share, rate * share.sum()
    else:
        benefit = np.where(used, (1.0 - rate) * (highest - unit), 0.0)
        price = highest - benefit
        bill = rate * highest * energy + (1.0 - rate) * share
        profit = rate * float((highest * energy - share).sum())
    gained, size = float((highest * energy - share).sum()), referee_money.size(settlement)
    each = _largest(highest) + _largest(price)
    return [
        _near("bill", settlement.bill, bill, size=_largest(highest * energy) + _largest(share)),
        _near("benefit_per_kwh", settlement.benefit_per_kwh, benefit, size=each),
        _near("price_per_kwh", settlement.price_per_kwh, price, size=each),
        _near("profit", np.array(settlement.profit), np.array(profit), size=size),
        _near("benefit", np.array(settlement.benefit), np.array(gained), size=size),
    ]


def _near(
    path: str,
    values: FloatArray | float,
    own: FloatArray,
    *,
    size: float = 0.0,
    loose: float = 1.0,
) -> Violation | None:
    """The worst figure that is not what the referee finds."""
    told = np.asarray(values, dtype=np.float64)
    if told.shape != own.shape:
        return Violation(path, f"is of shape {told.shape}; must be {own.shape}")
    allowed = loose * RELATIVE * max(float(np.abs(own).max(initial=0.0)), size, 1e-300)
    off = np.abs(told - own)
    if (off <= allowed).all():  # never so with NaN
        return None
    at = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape)
    where = path + "".join(f"[{index}]" for index in at)
    return Violation(where, f"is {told[at]:.12g}; the referee finds {own[at]:.12g}")
