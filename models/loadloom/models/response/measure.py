"""What customers delivered in an event: their baselines less what they drew, each kWh once.

    saved[i, t] = max(0, b[i, t] - load[i, t]) h[t]    in slots of the window in which i was called
    moved[i]    = sum of max(0, load - b) h over the window's slots from i's first call on
    rebound[i]  = the same over the slots after it
    left[i]     = max(0, sum_t saved[i, t] - moved[i] - deducted_rebound_share * rebound[i]),
                  at most `most_share` of what was offered, and 0 below `least_share` of it
    delivered[i, t] = saved[i, t] * left[i] / sum_t saved[i, t]

in whole Wh, which add up to left[i] to the nearest Wh by largest remainder.

So energy that a customer only moves within the window, from one slot to the next, is not paid for:
the guard against rebound. Its other half is that slots disturbed by an event before, and by its
rebound, do not raise the baseline (`Event.spoiled`). Energy moved beyond the window is what an
event is for; it is measured, and `deducted_rebound_share` of it is taken off where a contract has
it so. A slot without a reading or without a baseline delivers nothing, and is counted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.money import apportion, to_nearest
from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.baseline_rule import Baselines, Event, check_event_powers
from loadloom.models.response.similar_days import BoolArray, IntArray, Readings

WH_PER_KWH = 1000

_FLOAT_NOISE_KWH = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRule:
    """What counts as delivered.

    Attributes:
        most_share: more than this share of the energy offered is not delivered for anybody; inf for
            no limit.
        least_share: who delivers less than this share of it has delivered nothing.
        deducted_rebound_share: the share of the energy drawn above the baseline after the window
            that is taken off.
    """

    most_share: float = np.inf
    least_share: float = 0.0
    deducted_rebound_share: float = 0.0

    @property
    def needs_offers(self) -> bool:
        """Whether it must be known what was offered."""
        return self.most_share < np.inf or self.least_share > 0.0


@dataclass(frozen=True, kw_only=True)
class Called:
    """Who was called when, and for how much.

    Attributes:
        slots: (n, W) in which slots of the window; None for all. A retargeted customer joins late.
        offered_kw: (n,) or (n, W) the reduction that was agreed; None where nobody said.
    """

    slots: BoolArray | None = None
    offered_kw: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What n customers did in W slots of a window and A after it.

    Attributes:
        actual_kw: (n, W + A) what was drawn; NaN without a reading.
        saved_kwh: (n, W) below the baseline, in slots in which the customer was called.
        moved_kwh: (n,) above the baseline within the window, from the first call on.
        rebound_kwh: (n,) above the baseline after the window.
        delivered_wh: (n, W) whole Wh that are paid for.
        net_kw: (n,) the mean of baseline less load over the slots called that have both; NaN
            without one. Not cut off at 0, so that it can teach what to expect.
        missing_count: (n,) the slots called without a reading or a baseline.
        offered_kwh: (n,) what was agreed over the slots called; NaN where nobody said.
    """

    actual_kw: FloatArray
    saved_kwh: FloatArray
    moved_kwh: FloatArray
    rebound_kwh: FloatArray
    delivered_wh: IntArray
    net_kw: FloatArray
    missing_count: NDArray[np.int64]
    offered_kwh: FloatArray

    @property
    def energy_wh(self) -> IntArray:
        """What each customer delivered in all, (n,)."""
        return self.delivered_wh.sum(axis=1)


def measure(
    readings: Readings,
    event: Event,
    baselines: Baselines,
    called: Called | None = None,
    rule: DeliveryRule | None = None,
) -> Measured:
    """What was delivered, by customer and slot of the window.

    Raises:
        InvalidProblem: shapes, offers, shares or readings of the event that are not to be used.
    """
    called, rule = called or Called(), rule or DeliveryRule()
    window = event.window.count
    slots = np.ones((readings.shape[0], window), np.bool_) if called.slots is None else called.slots
    _check(readings, event, baselines, called, rule)
    actual = readings.load_kw[:, event.day, event.measured.slots].astype(np.float64)
    hours = readings.hours[event.measured.slots]
    change_kwh = (baselines.kw - actual) * hours  # NaN where either is missing
    known = ~np.isnan(change_kwh)
    change_kwh = np.where(known, change_kwh, 0.0)
    within, after = change_kwh[:, :window], change_kwh[:, window:]
    saved = np.where(slots, np.maximum(0.0, within), 0.0)
    since = np.logical_or.accumulate(slots, axis=1)
    moved = np.where(since, np.maximum(0.0, -within), 0.0).sum(axis=1)
    rebound = np.maximum(0.0, -after).sum(axis=1)
    offered_kwh = _offered_kwh(called, slots, hours[:window])
    total = saved.sum(axis=1)
    left = np.maximum(0.0, total - moved - rule.deducted_rebound_share * rebound)
    if rule.least_share > 0.0:
        left = np.where(left < rule.least_share * offered_kwh - _FLOAT_NOISE_KWH, 0.0, left)
    if rule.most_share < np.inf:  # who was offered nothing has no infinite share of it
        left = np.minimum(left, rule.most_share * offered_kwh)
    wh = saved * (left / np.where(total > 0.0, total, 1.0))[:, None] * WH_PER_KWH
    used = slots & known[:, :window]
    count = used.sum(axis=1)
    used_h = np.where(used, hours[:window], 0.0).sum(axis=1)
    net_kw = np.where(used, within, 0.0).sum(axis=1) / np.where(used_h > 0.0, used_h, np.nan)
    return Measured(
        actual_kw=actual,
        saved_kwh=saved,
        moved_kwh=moved,
        rebound_kwh=rebound,
        delivered_wh=apportion(wh, to_nearest(wh.sum(axis=1)), _in_order(window)),
        net_kw=net_kw,
        missing_count=slots.sum(axis=1) - count,
        offered_kwh=offered_kwh,
    )


def _offered_kwh(called: Called, slots: BoolArray, hours: FloatArray) -> FloatArray:
    """What was agreed over the slots called, (n,)."""
    if called.offered_kw is None:
        return np.full(len(slots), np.nan)
    each = called.offered_kw
    power = each[:, None] if each.ndim == 1 else each
    return np.where(slots, power * hours, 0.0).sum(axis=1)


def _in_order(count: int) -> list[str]:
    """Names of slots that sort as the slots do."""
    return [f"{t:04d}" for t in range(count)]


def _check(
    readings: Readings,
    event: Event,
    baselines: Baselines,
    called: Called,
    rule: DeliveryRule,
) -> None:
    checks = Checks()
    count, window = readings.shape[0], event.window.count
    shape = (count, event.measured.count)
    message = f"has shape {baselines.kw.shape}; must have shape {shape}"
    checks.require(baselines.kw.shape == shape, "baselines.kw", message)
    check_event_powers(checks, readings, event.day, event.measured)
    if called.slots is not None:
        message = f"has shape {called.slots.shape}; must have shape {(count, window)}"
        checks.require(called.slots.shape == (count, window), "called.slots", message)
    if called.offered_kw is not None:
        shapes = ((count,), (count, window))
        message = f"has shape {called.offered_kw.shape}; must have shape {shapes[0]} or {shapes[1]}"
        checks.require(called.offered_kw.shape in shapes, "called.offered_kw", message)
        checks.numbers("called.offered_kw", called.offered_kw.reshape(-1), low=0.0)
    elif rule.needs_offers:
        message = "is missing; a rule by shares of what was offered needs it"
        checks.require(False, "called.offered_kw", message)
    checks.numbers("rule.most_share", rule.most_share, low=0.0, infinite=True)
    checks.numbers("rule.least_share", rule.least_share, low=0.0, high=1.0)
    checks.numbers("rule.deducted_rebound_share", rule.deducted_rebound_share, low=0.0, high=1.0)
    checks.finish()
