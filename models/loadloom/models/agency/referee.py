"""The referee of settlements: figures, shares and money, from the request and the answer alone.

It knows nothing of how the answer was made. Shares are recomputed in the other form of the formula,

    x[i] = pi(LF) * e[i] + E * pi'(LF) * k[i],    pi(LF) = g(1 / LF),  pi' = -g' / LF^2

and integers are held to identities without any tolerance. Of rules that are games it knows that
their shares add up to the cost; what else makes them what they are is tested where they are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.cost import PEAK_TOLERANCE
from loadloom.models.agency.money import REMAINDER_STEPS
from loadloom.models.agency.problem import IntArray, Mode, PeakMode, Problem, SharingRule
from loadloom.models.agency.settle import Settlement
from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray

RELATIVE = 1e-9
"""The share of the largest figure of a column by which its figures may be off."""

RELATIVE_TOTAL = 1e-13
"""The share of all amounts by which a total may be off: what adding up a million floats costs."""

ROUNDED = 1e-6
"""By how much more than a minor unit an amount may be off, for what floats make of it."""

_CHUNK_VALUES = 1 << 18
"""How many loads are looked at together: they stay in the cache."""

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

    energy_kwh: float
    peak_kw: float
    load_factor: float
    user_energy_kwh: FloatArray
    user_peak_kw: FloatArray


def cost(problem: Problem) -> float:
    """What all loads cost together, F1, in the currency."""
    if problem.purchase is not None:
        return problem.purchase.cost
    return sum((_price(problem, span) * span.energy_kwh for span in _spans(problem)), 0.0)


def violations(problem: Problem, settlement: Settlement) -> list[Violation]:
    """Everything in which a settlement breaks the rules of `problem`; none if it is right."""
    shapes = _shapes(problem, settlement)
    if shapes:
        return shapes
    spans = _spans(problem)
    found = [
        *_figures(problem, settlement, spans),
        *_shares(problem, settlement, spans),
        *_prices(problem, settlement),
        *_identities(problem, settlement),
        *_rounding(problem, settlement),
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


def _spans(problem: Problem) -> list[_Span]:
    """The spans, from the loads, slot by slot and day by day."""
    curves, peak = problem.curves, problem.peak
    days = curves.day_first
    daily = list(zip(days[:-1].tolist(), days[1:].tolist(), strict=True))
    whole = [(0, curves.horizon.count)]
    total = np.zeros(curves.horizon.count)
    for rows in _chunks(problem):
        total += rows.sum(axis=0)
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
    own = np.concatenate([rows @ np.stack((by_hour, weight), axis=1) for rows in _chunks(problem)])
    return _Span(
        energy_kwh=energy,
        peak_kw=peak,
        load_factor=min(1.0, energy / (length * peak)) if energy > 0.0 else 1.0,
        user_energy_kwh=own[:, 0],
        user_peak_kw=own[:, 1],
    )


def _chunks(problem: Problem) -> Iterator[FloatArray]:
    """Some users' loads at a time in float64, so that the whole never stands in it."""
    load = problem.curves.load_kw
    rows = max(1, _CHUNK_VALUES // load.shape[1])
    for begin in range(0, load.shape[0], rows):
        yield load[begin : begin + rows].astype(np.float64, copy=False)


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
        ("figures.energy_kwh", figures.energy_kwh, [span.energy_kwh for span in spans]),
        ("figures.peak_kw", figures.peak_kw, [span.peak_kw for span in spans]),
        ("figures.load_factor", figures.load_factor, [span.load_factor for span in spans]),
    ]
    if any(values.shape != (len(spans),) for _, values, _ in by_span):
        return [Violation("figures", f"must have {len(spans)} spans")]
    by_user = [span.user_energy_kwh for span in spans], [span.user_peak_kw for span in spans]
    return [
        *(_near(path, values, np.array(own)) for path, values, own in by_span),
        _near("figures.user_energy_kwh", figures.user_energy_kwh, np.stack(by_user[0], axis=1)),
        _near("figures.user_peak_kw", figures.user_peak_kw, np.stack(by_user[1], axis=1)),
        _near("energy_kwh", settlement.energy_kwh, energy),
        _near("contribution", settlement.contribution, contribution, size=largest),
        _near("unit_contribution", unit, contribution, size=largest),
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
    own = _share(problem, settlement.rule, spans)
    if own is None:
        return found
    return [*found, _near("share", settlement.share, own, size=each * settlement.energy_kwh.max())]


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
        return np.concatenate([rows @ worth for rows in _chunks(problem)])
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
    slope = -problem.schedule.slope(1.0 / span.load_factor) / span.load_factor**2
    by_energy = _price(problem, span) * span.user_energy_kwh
    return by_energy + span.energy_kwh * slope * _contribution(span)


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
    gained, size = float((highest * energy - share).sum()), _size(settlement)
    each = _largest(highest) + _largest(price)
    return [
        _near("bill", settlement.bill, bill, size=_largest(highest * energy) + _largest(share)),
        _near("benefit_per_kwh", settlement.benefit_per_kwh, benefit, size=each),
        _near("price_per_kwh", settlement.price_per_kwh, price, size=each),
        _near("profit", np.array(settlement.profit), np.array(profit), size=size),
        _near("benefit", np.array(settlement.benefit), np.array(gained), size=size),
    ]


def _identities(problem: Problem, settlement: Settlement) -> list[Violation]:
    """What must add up in whole minor units, without a rest."""
    s, found = settlement, []
    shared, billed = int(s.share_minor.sum()), int(s.bill_minor.sum())
    prepaid, refunded = int(s.prepaid_minor.sum()), int(s.refund_minor.sum())
    due = s.cost_minor + s.rent_minor
    if shared != due:
        found.append(Violation("share_minor", f"adds up to {shared}; cost and rent are {due}"))
    if billed != due + s.profit_minor:
        what = f"adds up to {billed}; cost, rent and profit are {due + s.profit_minor}"
        found.append(Violation("bill_minor", what))
    if prepaid != billed + refunded:
        what = f"adds up to {prepaid}; bills and refunds are {billed + refunded}"
        found.append(Violation("prepaid_minor", what))
    wrong = np.flatnonzero(s.refund_minor != s.prepaid_minor - s.bill_minor)
    if wrong.size:
        found.append(Violation(f"refund_minor[{wrong[0]}]", "is not prepaid less bill"))
    if problem.prepaid_minor is not None:
        other = np.flatnonzero(s.prepaid_minor != problem.prepaid_minor)
        if other.size:
            found.append(Violation(f"prepaid_minor[{other[0]}]", "is not what was prepaid"))
    return found


def _rounding(problem: Problem, settlement: Settlement) -> list[Violation | None]:
    """Amounts within a minor unit of what they were, the largest remainders rounded up."""
    s, scale, names = settlement, problem.currency.scale, problem.curves.names
    totals = RELATIVE_TOTAL * scale * _size(settlement)
    found = [
        _within("share_minor", s.share_minor, s.share * scale, 1.0),
        _within("bill_minor", s.bill_minor, s.bill * scale, 1.0),
        _within("rent_minor", np.array([s.rent_minor]), np.array([s.rent * scale]), 0.5 + totals),
        _within("cost_minor", np.array([s.cost_minor]), np.array([s.cost * scale]), 1.0 + totals),
        _within(
            "profit_minor", np.array([s.profit_minor]), np.array([s.profit * scale]), 1.0 + totals
        ),
        _ordered("share_minor", s.share_minor, s.share * scale, names),
        _ordered("bill_minor", s.bill_minor, s.bill * scale, names),
    ]
    if problem.prepaid_minor is None:
        worth = problem.highest_prices_per_kwh * s.energy_kwh * scale
        found.append(_within("prepaid_minor", s.prepaid_minor, worth, 0.5))
    return found


def _size(settlement: Settlement) -> float:
    """What all amounts come to, whatever their signs."""
    return float(np.abs(settlement.bill).sum() + np.abs(settlement.share).sum())


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


def _within(path: str, minor: IntArray, amounts: FloatArray, most: float) -> Violation | None:
    """The amount that rounding moved furthest, if that is too far."""
    off = np.abs(minor - amounts)
    allowed = most + ROUNDED + 1e-15 * np.abs(amounts)
    if (off <= allowed).all():
        return None
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off - allowed)))
    return Violation(f"{path}[{worst}]", f"is {minor[worst]}; it comes from {amounts[worst]:.6f}")


def _ordered(
    path: str, minor: IntArray, amounts: FloatArray, names: tuple[str, ...]
) -> Violation | None:
    """Whom the last minor units went to, if somebody else had lost more or comes first by name."""
    down = np.floor(amounts)
    rest = ((amounts - down) * REMAINDER_STEPS).astype(np.int64)
    up: NDArray[np.bool_] = minor > down
    if up.all() or not up.any():
        return None
    least, most = int(rest[up].min()), int(rest[~up].max())
    if least > most:
        return None
    last = np.flatnonzero(up & (rest == least))
    first = np.flatnonzero(~up & (rest == most))
    given = max(last.tolist(), key=names.__getitem__)
    passed = min(first.tolist(), key=names.__getitem__)
    if least == most and names[given] < names[passed]:
        return None
    return Violation(f"{path}[{given}]", f"was rounded up before {path}[{passed}]")
