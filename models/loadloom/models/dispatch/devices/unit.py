"""A dispatchable converter: generator, combined heat and power, boiler, heat pump or chiller.

What goes in is fuel, or electricity drawn behind the meter; what comes out is electricity, heat (or
cold) on a bus, or both, in proportion to it:

    minimise   sum_t (input_cost[t] * input[t] * step_h[t] + start_cost * start[t])
    subject to input_least[t] * on[t] <= input[t] <= input_limit[t] * on[t],  on binary
               start[t] >= on[t] - on[t-1], on and off for their least times
               input[t] - input[t-1] <= rise[t] * on[t-1] + max(input_least[t], rise[t]) * start[t]
               input[t-1] - input[t] <= rise[t] * on[t]
                                        + max(input_least[t-1], rise[t]) * (1 - on[t])
               electricity[t] = electricity_per_input[t] * input[t]
               heat[t] = heat_per_input[t] * input[t]

with rise[t] = ramp_kw_per_h * (step_h[t-1] + step_h[t]) / 2, and step_h[0] before the first. The
start-up form of Rajan and Takriti (IBM RC23628, 2005) is the convex hull of on and start.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf

import numpy as np

from loadloom.models.checks import MAGNITUDE, Checks
from loadloom.models.dispatch.devices.meter import MOST_KG_PER_KWH
from loadloom.models.dispatch.switching import Switching, check_switching
from loadloom.models.horizon import FloatArray, Horizon

MOST_PER_INPUT = 1_000.0
"""The most heat or electricity for each unit of input: far beyond any device, and little enough for
all digits to count."""

LEAST_RATED = 1e-3
"""The least rating of a kW of input; below it a limit's number means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A converter; every array has shape (count,), powers are those of the input.

    `electric` tells whether the input is drawn behind the meter. `input_cost_per_kwh` is the price
    of the fuel, or the wear of what runs on electricity; `carbon_kg_per_kwh` is that of the input.
    `bus` names the heat bus; it is empty where no heat comes out. `initial_input_kw` is what
    the ramp begins with: 0 for a unit that is off at the start. `rated` is by how many kW the
    request states a kW of input; limits are told in these.
    """

    name: str
    electric: bool
    input_limit_kw: FloatArray
    input_least_kw: FloatArray
    input_cost_per_kwh: FloatArray
    electricity_per_input: FloatArray
    heat_per_input: FloatArray
    bus: str = ""
    carbon_kg_per_kwh: float = 0.0
    ramp_kw_per_h: float = inf
    initial_input_kw: float = 0.0
    rated: float = 1.0
    switching: Switching = field(default_factory=Switching)

    def since_h(self, horizon: Horizon) -> FloatArray:
        """The hours from the middle of the interval before to that of each, shape (count,)."""
        before = np.append(horizon.step_h[0], horizon.step_h[:-1])
        return 0.5 * (before + horizon.step_h)

    def rise_kw(self, horizon: Horizon) -> FloatArray:
        """The most by which the input may change from the interval before, shape (count,)."""
        return self.ramp_kw_per_h * self.since_h(horizon)

    @property
    def continuous(self) -> bool:
        """Whether nothing depends on its being on, so that the input alone describes it."""
        return self.switching.idle and not np.any(self.input_least_kw > 0.0)

    def check(self, checks: Checks, path: str, horizon: Horizon, buses: Collection[str]) -> None:
        """Notes what is wrong with a unit."""
        _check_unit(checks, path, self, horizon)
        known = ", ".join(buses) or "none"
        checks.require(
            self.bus == "" or self.bus in buses,
            f"{path}.bus",
            f"is {self.bus!r}; must be a heat bus: {known}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPlan:
    """What a unit does: whether it is on, and its powers, each (count,).

    `electricity_kw` and `heat_kw` are what it gives out.
    """

    on: FloatArray
    input_kw: FloatArray
    electricity_kw: FloatArray
    heat_kw: FloatArray


def _check_unit(checks: Checks, path: str, unit: Unit, horizon: Horizon) -> None:
    """Notes what is wrong with a unit."""
    sized = True
    for name, most in (
        ("input_limit_kw", MAGNITUDE),
        ("input_least_kw", MAGNITUDE),
        ("electricity_per_input", MOST_PER_INPUT),
        ("heat_per_input", MOST_PER_INPUT),
    ):
        values = getattr(unit, name)
        sized &= checks.length(f"{path}.{name}", values, horizon.count) and checks.numbers(
            f"{path}.{name}", values, low=0.0, high=most
        )
    prices = unit.input_cost_per_kwh
    if checks.length(f"{path}.input_cost_per_kwh", prices, horizon.count):
        checks.numbers(f"{path}.input_cost_per_kwh", prices)
    if sized:
        _check_outputs(checks, path, unit)
    carbon = unit.carbon_kg_per_kwh
    checks.numbers(f"{path}.carbon_kg_per_kwh", carbon, low=0.0, high=MOST_KG_PER_KWH)
    checks.numbers(f"{path}.ramp_kw_per_h", unit.ramp_kw_per_h, low=0.0, infinite=True)
    checks.numbers(f"{path}.rated", unit.rated, low=LEAST_RATED)
    checks.numbers(f"{path}.initial_input_kw", unit.initial_input_kw, low=0.0)
    check_switching(checks, f"{path}.switching", unit.switching)
    if sized and np.isfinite(unit.ramp_kw_per_h):
        _check_before(checks, f"{path}.initial_input_kw", unit)


def _check_before(checks: Checks, path: str, unit: Unit) -> None:
    """Notes a power before the horizon that the unit cannot have had, as no ramp leads from it."""
    power_kw, on = unit.initial_input_kw, unit.switching.initially_on
    checks.require(on or not power_kw > 0.0, path, "must be 0 for what is off before the horizon")
    checks.require(
        not on or not power_kw < unit.input_least_kw[0],
        path,
        "must be no less than the least power for what is on before the horizon",
    )


def _check_outputs(checks: Checks, path: str, unit: Unit) -> None:
    checks.require(
        bool(unit.bus) or not unit.heat_per_input.any(),
        f"{path}.bus",
        "is empty; must name the heat bus of a unit that gives heat",
    )
    checks.require(
        not (unit.electric and unit.electricity_per_input.any()),
        f"{path}.electricity_per_input",
        "must be 0 for a unit that runs on electricity",
    )
