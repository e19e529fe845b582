"""The aggregate of many load curves, and what each user has to do with it.

    A[t] = sum_i l[i, t]      P = max_t A[t]      E = sum_t step_h[t] A[t]      H = sum_t step_h[t]
    load factor LF = E / (H P)                    u = 1 / LF

A slot is a peak slot if its total is within `tie_tolerance` of P, relative to P; a user's
coincident load is the mean of its loads over the peak slots by their hours. Without user i the
peak is max_t (A[t] - l[i, t]), exactly; load factor and cost E g(u) without it follow.

Two passes, of which the second is seldom made: while the first goes over the curves, it keeps each
user's loads in the few slots where the peak is likely. Where these do not settle coincident load
and peak without a user, the part is gone over again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import chain
from math import fsum

import numpy as np

from loadloom.models.agency.completeness import Completeness, Rules, completed
from loadloom.models.agency.cost import PEAK_TOLERANCE, inverse_load_factor
from loadloom.models.agency.curves import (
    Part,
    Partial,
    Pass,
    Rows,
    UserColumns,
    merge,
)
from loadloom.models.agency.percentiles import Percentiles
from loadloom.models.agency.problem import IntArray, LoadArray
from loadloom.models.agency.rollup import RollUp, roll_up
from loadloom.models.agency.totals import LARGEST_KW
from loadloom.models.agency.windows import TimeWindows
from loadloom.models.checks import Checks, InvalidProblem, Violation
from loadloom.models.crew import Run
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.solvers.kernels.curves import FINE_BITS, figures_at_peak

Price = Callable[[FloatArray], FloatArray]
"""The price per kWh g(u) at u = 1 / load factor."""


@dataclass(frozen=True, kw_only=True)
class UserFigures:
    """The users' figures, (n,) columns in the order of the parts, made when they are asked for.

    Attributes:
        kept: what the first pass kept of the users, chunk by chunk.
        figures: each chunk's (n, 2): a user's load at the common peak, and the peak of all others.
        hours: the length of all slots.
        total_kwh: the energy of all users.
        cost_effect: (n,) by how much the purchase would be cheaper without the user; None if there
            is no price.
    """

    kept: tuple[UserColumns, ...]
    figures: tuple[FloatArray, ...]
    hours: float
    total_kwh: float
    cost_effect: FloatArray | None = None

    @cached_property
    def window_kwh(self) -> FloatArray:
        """What each uses in each window, (n, K)."""
        return np.concatenate([columns.own_table for columns in self.kept], axis=1).T

    @cached_property
    def energy_kwh(self) -> FloatArray:
        """What each uses."""
        return reduce(np.add, self.window_kwh.T)

    @cached_property
    def highest_kw(self) -> FloatArray:
        """Each one's own peak."""
        return np.concatenate([columns.highest_kw for columns in self.kept]).astype(np.float64)

    @cached_property
    def load_factor(self) -> FloatArray:
        """Each one's own load factor; 0 without load."""
        return _load_factor(self.energy_kwh, self.hours, self.highest_kw)

    @cached_property
    def coincident_kw(self) -> FloatArray:
        """Each one's load at the common peak."""
        return np.concatenate([figures[:, 0] for figures in self.figures])

    @cached_property
    def peak_without_kw(self) -> FloatArray:
        """The peak of all others."""
        return np.concatenate([figures[:, 1] for figures in self.figures])

    @cached_property
    def load_factor_without(self) -> FloatArray:
        """The load factor of all others; 0 if they have no load."""
        return _load_factor(self.total_kwh - self.energy_kwh, self.hours, self.peak_without_kw)


def _load_factor(energy_kwh: FloatArray, hours: float, peak_kw: FloatArray) -> FloatArray:
    """Energy as a share of what the peak would be over all hours; 0 if it is not above 0."""
    full = hours * peak_kw
    return np.divide(energy_kwh, full, out=np.zeros(full.shape), where=~(full <= 0.0))


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """What many curves come to.

    Attributes:
        horizon: the slots.
        user_count: the number of users.
        total_kw: (T,) the exact sum of all loads, correctly rounded.
        group_names: the areas, in the order of their first user.
        group_count: (G,) their users.
        group_kw: (G, T) their totals.
        peak_slots: the slots of the peak, in order, (m,).
        peak_weight: what each of them counts for the peak, by its hours, (m,).
        window_names: the windows.
        window_kwh: (K,) the energy in each window.
        own_peaks_kw: the sum of the users' own peaks.
        cost: E g(u); None without a price.
        users: what each user has to do with it.
        percentiles: of the users' loads in every slot, if asked for.
        completeness: what was missing and how it was filled, if rules were given.
    """

    horizon: Horizon
    user_count: int
    total_kw: FloatArray
    group_names: tuple[str, ...]
    group_count: IntArray
    group_kw: FloatArray
    peak_slots: IntArray
    peak_weight: FloatArray
    window_names: tuple[str, ...]
    window_kwh: FloatArray
    own_peaks_kw: float
    cost: float | None
    users: UserFigures
    percentiles: Percentiles | None = None
    completeness: Completeness | None = None

    @cached_property
    def energy_kwh(self) -> float:
        """The energy of all users."""
        return fsum(self.horizon.step_h * self.total_kw)

    @property
    def peak_kw(self) -> float:
        """The largest total."""
        return float(self.total_kw.max())

    @property
    def load_factor(self) -> float:
        """The mean total as a share of the peak; 0 if the peak is not above 0."""
        hours = fsum(self.horizon.step_h)
        return self.energy_kwh / (hours * self.peak_kw) if self.peak_kw > 0.0 else 0.0

    @property
    def window_share(self) -> FloatArray:
        """(K,) the share of each window in all energy; 0 where there is none."""
        return self.window_kwh / self.energy_kwh if self.energy_kwh else 0.0 * self.window_kwh

    def daily(self, group: str | None = None) -> RollUp:
        """The days of all users, or of an area."""
        return roll_up(self.horizon, self._of(group), "%Y-%m-%d")

    def monthly(self, group: str | None = None) -> RollUp:
        """The months of all users, or of an area."""
        return roll_up(self.horizon, self._of(group), "%Y-%m")

    def _of(self, group: str | None) -> FloatArray:
        return self.total_kw if group is None else self.group_kw[self.group_names.index(group)]


def aggregate(
    parts: Sequence[Part],
    horizon: Horizon,
    *,
    windows: TimeWindows | None = None,
    tie_tolerance: float = PEAK_TOLERANCE,
    levels: Sequence[float] = (),
    price: Price | None = None,
    rules: Rules | None = None,
    run: Run = map,
    local: Run = map,
) -> Aggregate:
    """What the curves of all parts come to, and each user's figures.

    Args:
        parts: the curves; gone over once, and again where the peak was not where it seemed.
        horizon: the slots of every curve.
        windows: windows of the day, for the users' and the common shares of energy.
        tie_tolerance: slots short of the peak by no more than this share are all peak slots.
        levels: percentiles wanted in every slot, 0..100; counting them costs a pass by itself.
        price: g(u), for the cost and each user's effect on it.
        rules: how readings are judged and gaps are filled; without rules a gap is a fault.
        run: who applies the passes to the parts: `map`, `in_threads(n)`, a cluster.
        local: who concludes on the users of each part, in this process: `map`, `in_threads(n)`.

    Raises:
        InvalidProblem: a load is no number, or too large, or a curve has other slots; a percentile
            or the tolerance is out of range; there are no curves.
    """
    windows = windows or TimeWindows(names=("all",), index=np.zeros(horizon.count, np.int64))
    task = Task(
        horizon=horizon,
        windows=windows,
        tie_tolerance=tie_tolerance,
        levels=tuple(levels),
        price=price,
        rules=rules,
    )
    judged = parts if rules is None else completed(parts, horizon, rules, run)
    judged = task.first_pass.with_room(judged)
    seen = task.first_pass.nothing()
    for found in run(task.first_pass, judged):
        seen = merge(seen, found)
        task.first_pass.learn(seen)
    return task.concluded(seen, judged, run, local)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is asked of an aggregate; see `aggregate`."""

    horizon: Horizon
    windows: TimeWindows
    tie_tolerance: float = PEAK_TOLERANCE
    levels: tuple[float, ...] = ()
    price: Price | None = None
    rules: Rules | None = None

    def __post_init__(self) -> None:
        checks = Checks()
        checks.numbers("tie_tolerance", self.tie_tolerance, low=0.0, high=0.1)
        checks.numbers("levels", np.array(self.levels), low=0.0, high=100.0)
        slots = self.windows.index.size
        words = f"has {slots} slots; must have {self.horizon.count}"
        checks.require(slots == self.horizon.count, "windows.index", words)
        checks.finish()

    @cached_property
    def first_pass(self) -> Pass:
        """The pass that finds totals and what can be known of users without them."""
        weight_h = self.windows.weight_h(self.horizon)
        return Pass(weight_h=weight_h, with_spread=bool(self.levels))

    def concluded(
        self, seen: Partial, parts: Sequence[Part | None], run: Run = map, local: Run = map
    ) -> Aggregate:
        """The aggregate, given what the first pass saw; goes over parts again where it must.

        A part that is gone is None; its users' figures at the peak are NaN if they are not known.
        """
        if not seen.totals.user_count.sum():
            raise InvalidProblem([Violation("load_kw", "is empty; must have at least 1 user")])
        _check_sum(seen.reach_kw)
        total_kw = seen.totals.total_kw
        ties = np.flatnonzero(total_kw >= total_kw.max() * (1.0 - self.tie_tolerance))
        ties = ties if ties.size else np.array([total_kw.argmax()])
        weight = np.zeros(total_kw.size)
        weight[ties] = self.horizon.step_h[ties] / self.horizon.step_h[ties].sum()
        energy_kwh = fsum(self.horizon.step_h * total_kw)
        cost = None if self.price is None else float(self._cost(energy_kwh, total_kw.max()))
        second = Second(total_kw=total_kw, peak_weight=weight)
        kept, figures = second.figures(seen.parts, parts, run, local)
        users = UserFigures(
            kept=kept, figures=figures, hours=fsum(self.horizon.step_h), total_kwh=energy_kwh
        )
        if cost is not None:
            without = self._cost(energy_kwh - users.energy_kwh, users.peak_without_kw)
            users = replace(users, cost_effect=cost - without)
        spread, tally, names = seen.spread, seen.tally, seen.totals.group_names
        return Aggregate(
            horizon=self.horizon,
            user_count=int(seen.totals.user_count.sum()),
            total_kw=total_kw,
            group_names=names,
            group_count=seen.totals.user_count,
            group_kw=seen.totals.group_kw,
            peak_slots=ties,
            peak_weight=weight[ties],
            window_names=self.windows.names,
            window_kwh=np.array([fsum(row) for row in self.first_pass.weight_h * total_kw]),
            own_peaks_kw=seen.own_peaks / 2**FINE_BITS,
            cost=cost,
            users=users,
            percentiles=spread.percentiles(np.array(self.levels)) if spread else None,
            completeness=Completeness.of(self.rules, tally, names)
            if tally and self.rules
            else None,
        )

    def _cost(self, energy_kwh: FloatArray | float, peak_kw: FloatArray | float) -> FloatArray:
        """E g(H P / E), 0 where there is no energy."""
        energy, peak = np.asarray(energy_kwh), np.asarray(peak_kw)
        if self.price is None:
            return np.zeros(energy.shape)
        u = inverse_load_factor(fsum(self.horizon.step_h), peak, energy)
        return np.where(energy > 0.0, energy * self.price(u), 0.0)


def _check_sum(reach_kw: float) -> None:
    """Raises InvalidProblem where loads, each within limits, may add up beyond what totals hold."""
    if reach_kw > LARGEST_KW:
        message = f"adds up to peaks of {reach_kw:g} kW in all; must be at most {LARGEST_KW:g} kW"
        raise InvalidProblem([Violation("load_kw", message)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """The second pass: what each user has to do with the peak.

    Attributes:
        total_kw: (T,).
        peak_weight: (T,) what each slot counts for the peak, by its hours; 0 but for peak slots.
    """

    total_kw: FloatArray
    peak_weight: FloatArray

    def figures(
        self,
        seen: Sequence[tuple[UserColumns, ...]],
        parts: Sequence[Part | None],
        run: Run,
        local: Run,
    ) -> tuple[tuple[UserColumns, ...], tuple[FloatArray, ...]]:
        """What was kept of the users, and their figures, chunk by chunk.

        They come from the slots that were watched where those settle everything. Where they do not,
        a part is gone over again; of one that is gone, what follows from the peak is NaN.
        """
        found: list[tuple[FloatArray, ...] | None] = list(local(self.of_watched, seen))
        again = []
        for k, part in enumerate(parts):
            if found[k] is None and part is None:
                found[k] = self._unknown(seen[k])
            elif found[k] is None:
                again.append(k)
        at_hand = all(isinstance(parts[k], Rows) for k in again)
        pairs = [(seen[k], part) for k in again if (part := parts[k]) is not None]
        for k, its in zip(again, (local if at_hand else run)(self, pairs), strict=True):
            found[k] = its
        settled = (its for its in found if its is not None)
        return tuple(chain.from_iterable(seen)), tuple(chain.from_iterable(settled))

    def of_watched(self, kept: tuple[UserColumns, ...]) -> tuple[FloatArray, ...] | None:
        """The users' figures, from what was watched, or None if that does not settle them."""
        found = []
        for columns in kept:
            watch = columns.watch
            if not np.isin(np.flatnonzero(self.peak_weight), watch).all():
                return None
            rest_kw = float(np.delete(self.total_kw, watch).max(initial=-np.inf))
            figures = columns.figures
            if self._fill(columns, columns.watched_kw, watch, rest_kw, figures):
                return None
            found.append(figures)
        return tuple(found)

    def _unknown(self, kept: tuple[UserColumns, ...]) -> tuple[FloatArray, ...]:
        """The users' figures in a part that is gone."""
        return tuple(np.full((columns.highest_kw.size, 2), np.nan) for columns in kept)

    def __call__(self, pair: tuple[tuple[UserColumns, ...], Part]) -> tuple[FloatArray, ...]:
        """The users' figures in a part, from the curves themselves, whose chunks are the same."""
        kept, part = pair
        slots = np.arange(self.total_kw.size)
        found = []
        chunks = (chunk for chunk in part.chunks() if chunk.user_count)
        somebody = (columns for columns in kept if columns.highest_kw.size)
        for columns, chunk in zip(somebody, chunks, strict=True):
            figures = np.empty((chunk.user_count, 2))
            self._fill(columns, chunk.load_kw, slots, -np.inf, figures)
            found.append(figures)
        return tuple(found)

    def _fill(
        self,
        columns: UserColumns,
        load_kw: LoadArray,
        slots: IntArray,
        rest_kw: float,
        figures: FloatArray,
    ) -> int:
        """The number of users that could not be settled by their loads (n, m) in some slots."""
        order = np.argsort(-self.total_kw[slots], kind="stable")
        ties = np.flatnonzero(self.peak_weight[slots])
        ties = ties[np.argsort(slots[ties])]  # the sum over them has one order, as its bits have
        return figures_at_peak(
            load_kw,
            order,
            self.total_kw[slots][order],
            ties,
            self.peak_weight[slots[ties]],
            columns.lowest_kw,
            rest_kw,
            figures,
        )
