"""What a plant asks per kWh, by how evenly power is drawn.

A schedule is a function g of u = 1 / load factor, which is at least 1: the plant's price per kWh is
g(u), and a total load of E kWh in H hours with its peak at P kW costs E * g(H * P / E). The kinds
are

    affine         g(u) = base + slope * u
    piecewise      g goes straight from point to point; beyond them the outer pieces go on
    load factor    g(u) = base - slope / u, a price linear in the load factor itself
    tiers          one price from each of some load factors up

Pooling is stable where g is convex and non-decreasing: then E * g(H * P / E) is convex in the load
and grows with its scale alone, so that shares by its gradient leave no coalition a reason to go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray

NEARLY = 1e-12
"""Numbers this near to each other, relative to their size, are the same."""


class PriceKind(Enum):
    """The form of a price schedule."""

    AFFINE = "affine"
    PIECEWISE = "piecewise"
    LOAD_FACTOR = "load factor"
    TIERS = "tiers"


@dataclass(frozen=True, kw_only=True)
class PriceSchedule:
    """A price per kWh by u = 1 / load factor.

    Attributes:
        base_per_kwh, slope_per_kwh: the two numbers of the kinds AFFINE and LOAD_FACTOR.
        at: the points in u, ascending, of PIECEWISE; the load factors of TIERS, from 0 ascending.
        price_per_kwh: the prices at these points, or from these load factors up.

    Raises:
        InvalidProblem: a number is none, or the points are too few or not ascending.
    """

    kind: PriceKind
    base_per_kwh: float = 0.0
    slope_per_kwh: float = 0.0
    at: tuple[float, ...] = ()
    price_per_kwh: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        checks = Checks()
        if self.kind in {PriceKind.AFFINE, PriceKind.LOAD_FACTOR}:
            checks.numbers("base_per_kwh", self.base_per_kwh)
            checks.numbers("slope_per_kwh", self.slope_per_kwh)
        else:
            self._check_points(checks)
        checks.finish()

    def _check_points(self, checks: Checks) -> None:
        tiers = self.kind is PriceKind.TIERS
        at, price = np.array(self.at), np.array(self.price_per_kwh)
        fewest = 1 if tiers else 2
        checks.require(at.size >= fewest, "at", f"has {at.size}; must have at least {fewest}")
        same = at.size == price.size
        checks.require(same, "price_per_kwh", f"has {price.size}; must have one for each of `at`")
        good = checks.numbers("at", at, low=0.0, high=1.0 if tiers else 1e9)
        checks.numbers("price_per_kwh", price)
        if good and at.size:
            checks.require(bool(np.all(np.diff(at) > 0.0)), "at", "must be strictly ascending")
            if tiers:
                checks.require(at[0] == 0.0, "at[0]", f"is {at[0]:g}; must be 0")

    def value(self, u: FloatArray | float) -> FloatArray:
        """The price per kWh at each u, of the shape of `u`."""
        at = np.asarray(u, dtype=np.float64)
        match self.kind:
            case PriceKind.AFFINE:
                return self.base_per_kwh + self.slope_per_kwh * at
            case PriceKind.LOAD_FACTOR:
                return self.base_per_kwh - self.slope_per_kwh / at
            case PriceKind.PIECEWISE:
                points, prices, slopes = self._pieces
                piece = np.clip(np.searchsorted(points, at) - 1, 0, slopes.size - 1)
                return prices[piece] + slopes[piece] * (at - points[piece])
        return np.asarray(np.array(self.price_per_kwh)[self._tier(at)])

    def slopes(self, u: float) -> tuple[float, float]:
        """How fast the price rises with u just before and just after it; infinite at a step."""
        match self.kind:
            case PriceKind.AFFINE:
                return self.slope_per_kwh, self.slope_per_kwh
            case PriceKind.LOAD_FACTOR:
                slope = self.slope_per_kwh / (u * u)
                return slope, slope
            case PriceKind.PIECEWISE:
                points, _, slopes = self._pieces
                last = slopes.size - 1
                before = np.searchsorted(points, u * (1.0 - NEARLY)) - 1
                after = np.searchsorted(points, u * (1.0 + NEARLY)) - 1
                return float(slopes[np.clip(before, 0, last)]), float(
                    slopes[np.clip(after, 0, last)]
                )
        here = float(self.value(u))
        step = float(self.value(u * (1.0 + 4.0 * NEARLY))) - here
        return 0.0, float(np.copysign(np.inf, step)) if step else 0.0

    def slope(self, u: float) -> float:
        """The slope that shares are taken by: the mean of both sides at a kink, 0 at a step.

        At u = 1 it is the one behind, since no load has a smaller u.
        """
        before, after = self.slopes(u)
        if not np.isfinite(after):
            return before
        return after if u <= 1.0 + NEARLY else (before + after) / 2.0

    @property
    def is_convex(self) -> bool:
        """Whether the price is convex in u from 1 on."""
        match self.kind:
            case PriceKind.AFFINE:
                return True
            case PriceKind.LOAD_FACTOR:
                return self.slope_per_kwh <= 0.0
            case PriceKind.PIECEWISE:
                slopes = self._relevant_slopes
                return bool(np.all(np.diff(slopes) >= -_size(slopes) * NEARLY))
        return len(set(self.price_per_kwh)) == 1

    @property
    def is_nondecreasing(self) -> bool:
        """Whether the price never falls as u grows from 1 on."""
        match self.kind:
            case PriceKind.AFFINE | PriceKind.LOAD_FACTOR:
                return self.slope_per_kwh >= 0.0
            case PriceKind.PIECEWISE:
                return bool(np.all(self._relevant_slopes >= 0.0))
        return bool(np.all(np.diff(self.price_per_kwh) <= 0.0))

    @property
    def is_stable(self) -> bool:
        """Whether no coalition can ever do better alone, whatever its load curves are."""
        return self.is_convex and self.is_nondecreasing

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the schedule is stable, or each of what makes it unstable."""
        found = []
        if not self.is_convex:
            found.append(_NOT_CONVEX[self.kind])
        if not self.is_nondecreasing:
            found.append("the price falls as 1/load factor grows, so a more even load pays more")
        return tuple(found) or (
            "the price is convex and non-decreasing in 1/load factor, so pooling never costs more"
            " and shares by marginal cost leave no coalition a reason to go",
        )

    def supports(self, most_u: float) -> tuple[FloatArray, FloatArray]:
        """The lines a[k] + b[k] * u whose maximum is the best stable schedule nowhere dearer.

        That is the largest convex, non-decreasing function below the price on 1 <= u <= `most_u`:
        the price itself if it is stable. All b are 0 or more.
        """
        if self.is_stable:
            return self._own_lines()
        u, price = self._corners(max(1.0, most_u))
        u, price = _lower_hull(u, price)
        slopes = np.diff(price) / np.diff(u)
        rising = slopes > 0.0
        # Where the hull falls, the best that never falls is its least value.
        least = np.array([price.min()])
        a = (price[:-1] - slopes * u[:-1])[rising]
        return np.concatenate((least, a)), np.concatenate(([0.0], slopes[rising]))

    def _own_lines(self) -> tuple[FloatArray, FloatArray]:
        match self.kind:
            case PriceKind.AFFINE:
                return np.array([self.base_per_kwh]), np.array([self.slope_per_kwh])
            case PriceKind.LOAD_FACTOR:
                return np.array([self.base_per_kwh]), np.zeros(1)
            case PriceKind.PIECEWISE:
                points, prices, slopes = self._pieces
                first = slopes.size - self._relevant_slopes.size
                a = (prices[:-1] - slopes * points[:-1])[first:]
                return a, slopes[first:]
        return np.array([self.price_per_kwh[0]]), np.zeros(1)

    def _corners(self, most_u: float) -> tuple[FloatArray, FloatArray]:
        """Points of the schedule whose lower hull is that of all of it, ends included."""
        inner = np.array([u for u in self.breaks if 1.0 < u < most_u])
        u = np.concatenate(([1.0], inner, [most_u]))
        price = self.value(u)
        if self.kind is PriceKind.TIERS:  # a step belongs to both of its sides
            price = np.minimum(price, self.value(u * (1.0 + 4.0 * NEARLY)))
        if self.kind is PriceKind.LOAD_FACTOR and self.slope_per_kwh < 0.0:
            return u[-1:], price[-1:]  # convex and falling
        return u, price

    @property
    def breaks(self) -> tuple[float, ...]:
        """Where the schedule has a kink or a step, in u, ascending."""
        if self.kind is PriceKind.TIERS:
            return tuple(1.0 / factor for factor in reversed(self.at) if factor > 0.0)
        return self.at

    @cached_property
    def _pieces(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        points, prices = np.array(self.at), np.array(self.price_per_kwh)
        return points, prices, np.diff(prices) / np.diff(points)

    @property
    def _relevant_slopes(self) -> FloatArray:
        """The slopes of the pieces that reach beyond u = 1; the last one always does."""
        points, _, slopes = self._pieces
        return slopes[min(int(np.searchsorted(points[1:], 1.0, "right")), slopes.size - 1) :]

    def _tier(self, u: FloatArray) -> NDArray[np.intp]:
        # A load factor that rounding left just short of a tier has reached it.
        reached = (1.0 + NEARLY) / u
        return np.searchsorted(np.array(self.at), reached, side="right") - 1


_NOT_CONVEX = {
    PriceKind.LOAD_FACTOR: "a price linear in the load factor is concave in 1/load factor, so that"
    " an even and an uneven load can cost more together than apart",
    PriceKind.PIECEWISE: "the pieces grow less steep as 1/load factor grows, so that an even and an"
    " uneven load can cost more together than apart",
    PriceKind.TIERS: "prices in steps are not convex in 1/load factor: a load just within a tier"
    " leaves it as soon as it joins a less even one",
}


def affine(base_per_kwh: float, slope_per_kwh: float) -> PriceSchedule:
    """The schedule g(u) = base + slope * u: a two-part tariff."""
    return PriceSchedule(
        kind=PriceKind.AFFINE, base_per_kwh=base_per_kwh, slope_per_kwh=slope_per_kwh
    )


def load_factor(base_per_kwh: float, slope_per_kwh: float) -> PriceSchedule:
    """The schedule base - slope * load factor, which pools badly."""
    return PriceSchedule(
        kind=PriceKind.LOAD_FACTOR, base_per_kwh=base_per_kwh, slope_per_kwh=slope_per_kwh
    )


def piecewise(u: Sequence[float], price_per_kwh: Sequence[float]) -> PriceSchedule:
    """The schedule that goes straight from point to point."""
    return PriceSchedule(
        kind=PriceKind.PIECEWISE,
        at=tuple(map(float, u)),
        price_per_kwh=tuple(map(float, price_per_kwh)),
    )


def tiers(load_factors: Sequence[float], price_per_kwh: Sequence[float]) -> PriceSchedule:
    """The schedule of one price from each load factor up; the first load factor is 0."""
    return PriceSchedule(
        kind=PriceKind.TIERS,
        at=tuple(map(float, load_factors)),
        price_per_kwh=tuple(map(float, price_per_kwh)),
    )


def _size(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _lower_hull(u: FloatArray, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The corners of the lower convex hull of points given in ascending u."""
    kept: list[int] = []
    for k in range(u.size):
        if kept and u[k] <= u[kept[-1]]:
            continue
        while len(kept) > 1 and _above(u, price, kept[-2], kept[-1], k):
            kept.pop()
        kept.append(k)
    return u[kept], price[kept]


def _above(u: FloatArray, price: FloatArray, left: int, middle: int, right: int) -> bool:
    """Whether the middle point lies on or above the line between the others."""
    rise = (price[right] - price[left]) * (u[middle] - u[left])
    return bool((price[middle] - price[left]) * (u[right] - u[left]) >= rise)
