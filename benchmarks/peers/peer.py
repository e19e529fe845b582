"""What every peer is asked, and what it answers.

A peer is prepared outside the clock and answers problems inside it. Most are prepared by doing
nothing: from the columns to the schedule, everything they do is timed. Those whose users keep a
model between solves build it when prepared, and are then asked the same site with other prices.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadloom.models.dispatch.problem import Problem, Storage
from loadloom.models.dispatch.solution import Schedule
from loadloom.models.horizon import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A schedule and the cost its maker says it has; None where the maker calls it impossible."""

    schedule: Schedule | None
    claimed_cost: float


Answerer = Callable[[Problem], Answer]
IMPOSSIBLE = Answer(schedule=None, claimed_cost=np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A tool under test: `prepare` returns, outside the clock, what answers inside it."""

    name: str
    prepare: Callable[[Problem], Answerer]


def fresh(name: str, answer: Answerer) -> Peer:
    """A peer that keeps nothing between solves."""
    return Peer(name=name, prepare=lambda _: answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A problem in the columns that modelling tools start from, every array of shape (count,)."""

    step_h: float
    count: int
    buy_per_kwh: FloatArray
    sell_per_kwh: FloatArray
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    load_kw: FloatArray
    pv_kw: FloatArray
    curtailable: bool
    battery: Storage
    energy_min_kwh: FloatArray
    energy_max_kwh: FloatArray
    keep: float

    @property
    def charge_wear(self) -> float:
        """The wear of a kWh drawn for charging."""
        return self.battery.wear_cost_per_kwh * self.battery.charge_efficiency

    @property
    def discharge_wear(self) -> float:
        """The wear of a kWh delivered by discharging."""
        return self.battery.wear_cost_per_kwh / self.battery.discharge_efficiency


def site_of(problem: Problem) -> Site:
    """The columns of a problem with one load, one plant and one store on an even grid.

    Raises:
        ValueError: the problem has more, or values the energy left at the end.
    """
    (load,), (plant,), (battery,) = problem.loads, problem.photovoltaics, problem.storages
    if np.ptp(problem.horizon.step_h) > 0 or battery.end_value_per_kwh:
        msg = "peers are asked even grids without an end value only"
        raise ValueError(msg)
    low, high = battery.energy_bounds_kwh()
    return Site(
        step_h=float(problem.horizon.step_h[0]),
        count=problem.horizon.count,
        buy_per_kwh=problem.meter.buy_price_per_kwh,
        sell_per_kwh=problem.meter.sell_price_per_kwh,
        import_limit_kw=problem.meter.import_limit_kw,
        export_limit_kw=problem.meter.export_limit_kw,
        load_kw=load.power_kw,
        pv_kw=plant.power_kw,
        curtailable=plant.curtailable,
        battery=battery,
        energy_min_kwh=low,
        energy_max_kwh=high,
        keep=float(battery.keep(problem.horizon)[0]),
    )


def schedule_of(
    *,
    charge_kw: FloatArray,
    discharge_kw: FloatArray,
    energy_kwh: FloatArray,
    curtailed_kw: FloatArray,
    import_kw: FloatArray,
    export_kw: FloatArray,
) -> Schedule:
    """The schedule of a site with one store and one plant, from columns of shape (count,)."""
    return Schedule(
        charge_kw=charge_kw[None, :],
        discharge_kw=discharge_kw[None, :],
        energy_kwh=energy_kwh[None, :],
        curtailed_kw=curtailed_kw[None, :],
        import_kw=import_kw,
        export_kw=export_kw,
    )
