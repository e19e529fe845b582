"""Appliances: a fixed profile that starts when it is best, or hours of running in any pieces.

A shiftable appliance runs its profile `run_count` times in its window, one run after the other:

    minimise   breach_price * missed
    subject to sum_a start[a] + missed = run_count,  start binary,  missed = 0, 1, ...
               sum of start[a] over the a that run in t <= 1    (none with a run carried in)
               power[t] = sum_a start[a] * profile[t - a]

with the profile spread over the intervals from boundary a on, in proportion to time. An
interruptible one draws `power_kw` or nothing:

    minimise   start_cost * sum_t start[t] + breach_price * missed_h
    subject to running_min_h - missed_h <= sum_t step_h[t] * on[t] <= running_max_h
               on[t] = 0 outside of its window
               on and off for their least times, runs ending within the window
               sum_t start[t] <= most_starts
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.dispatch.switching import NEAR_H, Switching, check_switching
from loadloom.models.horizon import LONGEST_STEP_H, FloatArray, Horizon

MOST_RUNS = 1_000
"""The most runs that can be asked of an appliance."""

MOST_PLACES = 10_000_000
"""The most pairs of a start and an interval in which its run draws, of one appliance."""

LEAST_KW = 1e-3
"""The least power by which one can tell that an appliance runs: a watt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftableAppliance:
    """An appliance with a fixed profile: `profile_kw` for one `profile_step_h` after the other.

    Runs start at boundaries from `earliest` on and end by boundary `latest`. `carried_h` is how far
    a run has come that was started before the horizon; it is finished first and is none of
    `run_count`. A run that is left out costs `breach_price_per_run`; inf lets none be.
    """

    name: str
    profile_kw: FloatArray
    profile_step_h: float
    earliest: int
    latest: int
    run_count: int = 1
    carried_h: float = 0.0
    breach_price_per_run: float = inf

    @property
    def duration_h(self) -> float:
        """The length of a run."""
        return self.profile_kw.size * self.profile_step_h

    def run_kw(self, horizon: Horizon, boundary: int, from_h: float = 0.0) -> FloatArray:
        """The mean power in each interval of a run that goes on from `from_h` there, (count,)."""
        steps = np.arange(self.profile_kw.size + 1) * self.profile_step_h
        used = np.concatenate(([0.0], np.cumsum(self.profile_kw) * self.profile_step_h))
        run_h = from_h + horizon.boundaries_h - horizon.boundaries_h[boundary]
        # Nothing has run before the boundary; interp holds the ends beyond the profile.
        drawn = np.interp(np.maximum(run_h, from_h), steps, used)
        power = np.diff(drawn) / horizon.step_h
        return np.where(np.abs(power) < 1e-12 * (1.0 + self.profile_kw.max()), 0.0, power)

    def part_kwh(self, horizon: Horizon, boundary: int, end: int) -> FloatArray:
        """The energy of a run in each interval from the boundary it starts at up to `end`."""
        steps = np.arange(self.profile_kw.size + 1) * self.profile_step_h
        used = np.concatenate(([0.0], np.cumsum(self.profile_kw) * self.profile_step_h))
        run_h = horizon.boundaries_h[boundary : end + 1] - horizon.boundaries_h[boundary]
        energy = np.diff(np.interp(run_h, steps, used))
        return np.where(energy < 1e-12 * (1.0 + used[-1]), 0.0, energy)

    def carried_kw(self, horizon: Horizon) -> FloatArray:
        """The power of what is left of a run carried in, shape (count,)."""
        if self.carried_h <= 0.0:
            return np.zeros(horizon.count)
        return self.run_kw(horizon, 0, self.carried_h)

    def start_boundaries(self, horizon: Horizon) -> np.ndarray:
        """The boundaries at which a run may start, in order."""
        boundaries = horizon.boundaries_h
        first = np.arange(self.earliest, self.latest)
        done = boundaries[first] + self.duration_h <= boundaries[self.latest] + NEAR_H
        left_h = self.duration_h - self.carried_h if self.carried_h > 0.0 else 0.0
        return first[done & (boundaries[first] >= left_h - NEAR_H)]

    def ends(self, horizon: Horizon, first: np.ndarray) -> np.ndarray:
        """For each start the first interval that its run does not touch."""
        boundaries = horizon.boundaries_h
        done = np.searchsorted(boundaries, boundaries[first] + self.duration_h - NEAR_H)
        return np.maximum(done, first + 1)

    def check(self, checks: Checks, path: str, horizon: Horizon, _: Collection[str]) -> None:
        """Notes what is wrong with an appliance."""
        known = len(checks.violations)
        _check_window(checks, path, self, horizon)
        _check_shiftable(checks, path, self)
        if len(checks.violations) == known:
            must = self.run_count > 0 and np.isinf(self.breach_price_per_run)
            _check_room(checks, path, self, horizon, self.duration_h if must else 0.0)
            first = self.start_boundaries(horizon)
            places = int((self.ends(horizon, first) - first).sum())
            checks.require(
                places <= MOST_PLACES,
                f"{path}.profile_kw",
                f"runs through {places} intervals over all its starts; must be at most "
                f"{MOST_PLACES}: a shorter window, or a coarser grid",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptibleAppliance:
    """An appliance that draws `power_kw` or nothing, between boundaries `earliest` and `latest`.

    It runs for at least `running_min_h` and at most `running_max_h`; each hour less than the least
    costs `breach_price_per_h`; inf lets none be missed.
    """

    name: str
    power_kw: float
    earliest: int
    latest: int
    running_min_h: float
    running_max_h: float = inf
    breach_price_per_h: float = inf
    switching: Switching = field(default_factory=Switching)

    def check(self, checks: Checks, path: str, horizon: Horizon, _: Collection[str]) -> None:
        """Notes what is wrong with an appliance."""
        known = len(checks.violations)
        _check_window(checks, path, self, horizon)
        _check_interruptible(checks, path, self, horizon)
        if len(checks.violations) == known:
            must = np.isinf(self.breach_price_per_h)
            _check_room(checks, path, self, horizon, self.running_min_h if must else 0.0)


Appliance = ShiftableAppliance | InterruptibleAppliance


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliancePlan:
    """What an appliance does: its mean power and where it starts, each (count,).

    `missed` counts the runs that are left out, or the hours.
    """

    power_kw: FloatArray
    starts: FloatArray
    missed: float


def _check_window(checks: Checks, path: str, appliance: Appliance, horizon: Horizon) -> None:
    checks.require(
        0 <= appliance.earliest < appliance.latest <= horizon.count,
        f"{path}.earliest",
        "must be before the latest, both at boundaries of the grid",
    )


def _check_room(
    checks: Checks, path: str, appliance: Appliance, horizon: Horizon, needed_h: float
) -> None:
    """Notes a window that is shorter than what must run in it."""
    boundaries = horizon.boundaries_h
    window_h = float(boundaries[appliance.latest] - boundaries[appliance.earliest])
    checks.require(
        needed_h <= window_h + 2 * NEAR_H,
        f"{path}.latest",
        f"comes {window_h:g} h after the earliest start; it must run for {needed_h:g} h",
    )


def _check_shiftable(checks: Checks, path: str, appliance: ShiftableAppliance) -> None:
    profile = appliance.profile_kw
    good = profile.ndim == 1 and profile.size > 0
    checks.require(good, f"{path}.profile_kw", "has no values; must have at least 1")
    checks.numbers(f"{path}.profile_kw", profile, low=0.0)
    step_h = appliance.profile_step_h
    checks.require(
        NEAR_H < step_h <= LONGEST_STEP_H,
        f"{path}.profile_step_h",
        f"is {step_h:g}; must be above half a second and at most {LONGEST_STEP_H:g} h",
    )
    checks.require(
        0 <= appliance.run_count <= MOST_RUNS,
        f"{path}.run_count",
        f"is {appliance.run_count}; must be from 0 to {MOST_RUNS}",
    )
    most = appliance.duration_h if good and step_h > 0.0 else 0.0
    checks.numbers(f"{path}.carried_h", appliance.carried_h, low=0.0, high=most)
    checks.breach_price(f"{path}.breach_price_per_run", appliance.breach_price_per_run)


def _check_interruptible(
    checks: Checks, path: str, appliance: InterruptibleAppliance, horizon: Horizon
) -> None:
    checks.numbers(f"{path}.power_kw", appliance.power_kw, low=LEAST_KW)
    checks.numbers(f"{path}.running_min_h", appliance.running_min_h, low=0.0)
    checks.numbers(f"{path}.running_max_h", appliance.running_max_h, low=0.0, infinite=True)
    checks.require(
        not appliance.running_min_h > appliance.running_max_h,
        f"{path}.running_min_h",
        f"is {appliance.running_min_h:g}; must not exceed running_max_h, "
        f"{appliance.running_max_h:g}",
    )
    checks.breach_price(f"{path}.breach_price_per_h", appliance.breach_price_per_h)
    check_switching(checks, f"{path}.switching", appliance.switching)
    left_h = appliance.switching.least_on_h - appliance.switching.initial_h
    must_go_on = appliance.switching.initially_on and left_h > NEAR_H
    if must_go_on and 0 < appliance.latest <= horizon.count:
        checks.require(
            appliance.earliest == 0 and left_h <= horizon.boundaries_h[appliance.latest] + NEAR_H,
            f"{path}.earliest",
            "must be the start and latest late enough, as it is on and must stay on",
        )
