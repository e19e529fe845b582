"""What a pooled load costs under a price schedule, and what it charges for each slot.

With A[t] the total load, E = sum_t step_h[t] * A[t], H = sum_t step_h[t], P the peak and
u = H * P / E = 1 / load factor, the cost is

    F1 = E * g(u)

and grows in proportion to the load, whatever the price schedule g is. Its gradient therefore shares
it out without remainder (Euler; Aumann and Shapley 1974, ch. 7; Billera and Heath 1982):

    slot_price[t] = g(u) - u * g'(u) + H * g'(u) * weight[t] / step_h[t]
    share[i]      = sum_t slot_price[t] * step_h[t] * load_kw[i, t],      sum_i share[i] = F1

where `weight` is 1 at the slot of the peak. Slots that tie for it share the weight by their hours,
so that a slot cut in two changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np

from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.agency.problem import Curves, IntArray, LoadArray, Peak, PeakMode
from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.spans import products

PEAK_TOLERANCE = 1e-9
"""Slots, and days, whose load is short of the peak by no more than this share tie for it."""

_CHUNK_VALUES = 1 << 18
"""How many numbers of a matrix are widened to float64 at a time: 2 MB, which the cache keeps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rates:
    """The tariff of two parts that sharing by gradient amounts to, in each span, (B,).

    Attributes:
        price_per_kwh: what the plant asked on average; all are 0 in a span without energy.
        per_kwh: the rate on energy, g - u * g'.
        per_kw: the rate on load at the peak, H * g'.
    """

    price_per_kwh: FloatArray
    per_kwh: FloatArray
    per_kw: FloatArray


@dataclass(frozen=True, kw_only=True)
class PooledCost:
    """The cost of a total load under a price schedule.

    Attributes:
        step_h: the hours of each slot, (T,).
        day: the number of each slot's day, (T,), never falling; without it all is one day.
        peak: the peak that is billed.

    Raises:
        InvalidProblem: hours are not above 0, days fall, or there are fewer days than peaks.
    """

    schedule: PriceSchedule
    step_h: FloatArray
    day: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    peak: Peak = field(default_factory=Peak)

    def __post_init__(self) -> None:
        checks = Checks()
        hours = np.asarray(self.step_h, dtype=np.float64)
        object.__setattr__(self, "step_h", hours)
        checks.require(hours.ndim == 1 and hours.size > 0, "step_h", "must be a list of hours")
        checks.require(bool(np.all(hours > 0.0)), "step_h", "must be above 0 everywhere")
        day = np.asarray(self.day, dtype=np.int64)
        if day.size == 0:
            day = np.zeros(hours.size, np.int64)
        object.__setattr__(self, "day", day)
        fits = day.shape == hours.shape
        checks.require(fits, "day", f"has {day.size} values; must have {hours.size}")
        checks.require(bool(np.all(np.diff(day) >= 0)), "day", "must never fall")
        if self.peak.mode is PeakMode.MEAN_OF_TOP_PEAKS:
            days, count = np.unique(day).size, self.peak.count
            message = f"is {count}; must be from 1 to the {days} days"
            checks.require(1 <= count <= days, "peak.count", message)
        checks.finish()

    @classmethod
    def of(cls, schedule: PriceSchedule, curves: Curves, peak: Peak | None = None) -> Self:
        """The cost of loads on the horizon of some curves, whose local days are the days."""
        days = np.repeat(np.arange(curves.day_first.size - 1), np.diff(curves.day_first))
        return cls(schedule=schedule, step_h=curves.horizon.step_h, day=days, peak=peak or Peak())

    @cached_property
    def day_starts(self) -> IntArray:
        """The first slot of each group of which one peak is taken, ascending."""
        if self.peak.mode is PeakMode.MONTHLY_PEAK:
            return np.zeros(1, np.int64)
        return np.append(0, np.flatnonzero(np.diff(self.day)) + 1)

    @cached_property
    def block_starts(self) -> IntArray:
        """The first slot of each span that has a load factor of its own, ascending."""
        return self.day_starts if self.peak.mode is PeakMode.DAILY else np.zeros(1, np.int64)

    @cached_property
    def block_of_slot(self) -> IntArray:
        """The span of each slot, (T,)."""
        return self._of_slot(self.block_starts)

    @cached_property
    def day_of_slot(self) -> IntArray:
        """The group of each slot, (T,)."""
        return self._of_slot(self.day_starts)

    @cached_property
    def block_h(self) -> FloatArray:
        """The hours of each span, (B,)."""
        return np.add.reduceat(self.step_h, self.block_starts)

    def energy_kwh(self, load_kw: FloatArray) -> FloatArray:
        """The energy of each span, (..., B), of loads (..., T)."""
        if self.block_starts.size == 1:  # several times as fast
            return (load_kw @ self.step_h)[..., None]
        return np.add.reduceat(load_kw * self.step_h, self.block_starts, axis=-1)

    def peak_kw(self, load_kw: FloatArray) -> FloatArray:
        """The peak that is billed in each span, (..., B), of loads (..., T)."""
        if self.day_starts.size == 1:
            return load_kw.max(axis=-1, keepdims=True)
        peaks = np.maximum.reduceat(load_kw, self.day_starts, axis=-1)
        if self.peak.mode is not PeakMode.MEAN_OF_TOP_PEAKS:
            return peaks
        first = peaks.shape[-1] - self.peak.count
        top = np.partition(peaks, first, axis=-1)[..., first:] if first else peaks
        return top.mean(axis=-1, keepdims=True)

    def inverse_load_factor(self, load_kw: FloatArray) -> FloatArray:
        """The u = H * P / E of each span, (..., B); 1 where there is no energy."""
        return inverse_load_factor(self.block_h, self.peak_kw(load_kw), self.energy_kwh(load_kw))

    def value(self, load_kw: FloatArray) -> FloatArray:
        """What loads (..., T) cost when each is bought alone, (...); nothing costs nothing."""
        energy, peak = self.energy_kwh(load_kw), self.peak_kw(load_kw)
        price = self.schedule.value(inverse_load_factor(self.block_h, peak, energy))
        return np.where(energy > 0.0, energy * price, 0.0).sum(axis=-1)

    def standalone(self, load_kw: LoadArray) -> FloatArray:
        """What each of many users would pay alone, (n,), of a matrix (n, T) of any precision."""
        found = np.empty(load_kw.shape[0])
        for rows, own in widened(load_kw):
            found[rows] = self.value(own)
        return found

    def without(self, load_kw: LoadArray, total_kw: FloatArray) -> FloatArray:
        """What all but each one user would pay together, (n,)."""
        found = np.empty(load_kw.shape[0])
        for rows, own in widened(load_kw):
            # A user's own rounding must not leave a little less than nothing.
            found[rows] = self.value(np.maximum(total_kw - own, 0.0))
        return found

    def at_prices(self, load_kw: LoadArray, slot_price_per_kwh: FloatArray) -> FloatArray:
        """What each of many users pays at a price per kWh in each slot, (n,)."""
        found = np.empty(load_kw.shape[0])
        products(load_kw, slot_price_per_kwh * self.step_h, found)
        return found

    def peak_weights(self, total_kw: FloatArray) -> FloatArray:
        """How much each slot of a total load (T,) counts for the peak, (T,); 1 for each span."""
        peaks = np.maximum.reduceat(total_kw, self.day_starts)
        counted = self._day_weights(peaks)
        tied = total_kw >= peaks[self.day_of_slot] * (1.0 - PEAK_TOLERANCE)
        hours = np.where(tied, self.step_h, 0.0)
        share = hours / np.add.reduceat(hours, self.day_starts)[self.day_of_slot]
        return share * counted[self.day_of_slot]

    def slot_prices(self, total_kw: FloatArray) -> FloatArray:
        """The gradient of the cost at a total load (T,): a price per kWh in each slot, (T,)."""
        rates, span = self.rates(total_kw), self.block_of_slot
        per_kw = rates.per_kw[span] * self.peak_weights(total_kw)
        return rates.per_kwh[span] + per_kw / self.step_h

    def rates(self, total_kw: FloatArray) -> Rates:
        """The gradient of the cost at a total load (T,) as a tariff of two parts in each span."""
        energy, peak = self.energy_kwh(total_kw), self.peak_kw(total_kw)
        u = inverse_load_factor(self.block_h, peak, energy)
        price = self.schedule.value(u)
        slope = np.array([self.schedule.slope(float(one)) for one in u])
        # Ties within the tolerance weigh a peak that is a little lower; this keeps the balance.
        weighed = np.add.reduceat(self.peak_weights(total_kw) * total_kw, self.block_starts)
        lift = np.where(weighed > 0.0, peak / np.where(weighed > 0.0, weighed, 1.0), 1.0)
        used = energy > 0.0
        return Rates(
            price_per_kwh=np.where(used, price, 0.0),
            per_kwh=np.where(used, price - u * slope, 0.0),
            per_kw=np.where(used, self.block_h * slope * lift, 0.0),
        )

    def _day_weights(self, peaks: FloatArray) -> FloatArray:
        """How much each day's peak counts; days that tie for the last place share it."""
        if self.peak.mode is not PeakMode.MEAN_OF_TOP_PEAKS:
            return np.ones(peaks.size)
        last = float(np.sort(peaks)[peaks.size - self.peak.count])
        above = peaks > last * (1.0 + PEAK_TOLERANCE)
        tied = ~above & (peaks >= last * (1.0 - PEAK_TOLERANCE))
        left = self.peak.count - int(above.sum())
        return (above + tied * (left / tied.sum())) / self.peak.count

    def _of_slot(self, starts: IntArray) -> IntArray:
        return np.searchsorted(starts, np.arange(self.step_h.size), side="right") - 1


def inverse_load_factor(
    hours: FloatArray | float, peak_kw: FloatArray, energy_kwh: FloatArray
) -> FloatArray:
    """The u = H * P / E of loads, elementwise; 1 where there is no energy."""
    used = energy_kwh > 0.0
    u = hours * peak_kw / np.where(used, energy_kwh, 1.0)
    # A flat load's u can come out a rounding below 1.
    return np.where(used, np.maximum(u, 1.0), 1.0)


def widened(
    load_kw: LoadArray, users: IntArray | None = None
) -> Iterator[tuple[slice, FloatArray]]:
    """The loads (n, T) of some users, or of all, in float64, a few at a time with their places."""
    count = load_kw.shape[0] if users is None else users.size
    rows = max(1, _CHUNK_VALUES // load_kw.shape[1])
    for begin in range(0, count, rows):
        part = slice(begin, min(begin + rows, count))
        yield part, load_kw[part if users is None else users[part]].astype(np.float64, copy=False)


def total(load_kw: LoadArray) -> FloatArray:
    """The sum of all users' loads (n, T) in float64, (T,)."""
    return load_kw.sum(axis=0, dtype=np.float64)
