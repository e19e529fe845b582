"""The answer to a dispatch problem."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.devices.appliance import AppliancePlan
from loadloom.models.dispatch.devices.heat import BusPlan
from loadloom.models.dispatch.devices.room import RoomPlan
from loadloom.models.dispatch.devices.storage import StoragePlan
from loadloom.models.dispatch.devices.swapping import SwappingPlan
from loadloom.models.dispatch.devices.unit import UnitPlan
from loadloom.models.dispatch.devices.vehicle import VehiclePlan
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method
from loadloom.solvers.termination import Termination

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What the meter, plants and loads do in one scenario.

    `curtailed_kw` (plants, count) is what plants leave unused, `shed_kw` (loads, count) what loads
    go without.
    """

    import_kw: FloatArray
    export_kw: FloatArray
    curtailed_kw: FloatArray
    shed_kw: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What every device does: stores by row (stores, count), plants by row (plants, count).

    `energy_kwh` is the energy at the end of each interval. `shed_kw` is what each load goes without
    (loads, count), None where none can. Where the problem has more than one scenario, `scenarios`
    holds what the meter does in each, and the meter's fields are those of the first.
    """

    charge_kw: FloatArray
    discharge_kw: FloatArray
    energy_kwh: FloatArray
    curtailed_kw: FloatArray
    import_kw: FloatArray
    export_kw: FloatArray
    shed_kw: FloatArray | None = None
    scenarios: tuple[Exchange, ...] = ()
    buses: tuple[BusPlan, ...] = ()
    rooms: tuple[RoomPlan, ...] = ()
    vehicles: tuple[VehiclePlan, ...] = ()
    swappings: tuple[SwappingPlan, ...] = ()
    appliances: tuple[AppliancePlan, ...] = ()
    units: tuple[UnitPlan, ...] = ()

    @classmethod
    def of(
        cls, count: int, plans: Mapping[str, tuple[Any, ...]], exchanges: tuple[Exchange, ...]
    ) -> "Schedule":
        """The schedule of so many intervals, made of plans by family and of exchanges by scene."""
        first, others = exchanges[0], {key: plans[key] for key in plans if key != "storages"}

        def rows(name: str) -> FloatArray:
            return np.array([getattr(plan, name) for plan in plans["storages"]]).reshape(-1, count)

        kinds: Any = others
        return cls(
            **kinds,
            charge_kw=rows("charge_kw"),
            discharge_kw=rows("discharge_kw"),
            energy_kwh=rows("energy_kwh"),
            import_kw=first.import_kw,
            export_kw=first.export_kw,
            curtailed_kw=first.curtailed_kw,
            shed_kw=first.shed_kw,
            scenarios=exchanges if len(exchanges) > 1 else (),
        )

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What the meter does in each scene of the problem."""
        return self.scenarios or (
            Exchange(
                import_kw=self.import_kw,
                export_kw=self.export_kw,
                curtailed_kw=self.curtailed_kw,
                shed_kw=self.shed_kw,
            ),
        )

    def plan(self, family: str, index: int) -> Any:  # noqa: ANN401 -- each family has its own
        """What one device does."""
        if family != "storages":
            return getattr(self, family)[index]
        return StoragePlan(
            charge_kw=self.charge_kw[index],
            discharge_kw=self.discharge_kw[index],
            energy_kwh=self.energy_kwh[index],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPrice:
    """What one unit more room in a limit would save, in each of the intervals where it binds.

    `intervals` and `price` have the same shape; interval -1 stands for the whole horizon.
    """

    path: str
    unit: str
    intervals: IntArray
    price: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What one more kWh would be worth: behind the meter (count,), in each store (stores, count).

    The value in a store is that at the end of each interval. Where the problem is convex these are
    optimal duals, and `values.dual_bound` evaluates what they prove. `buses` has the values on heat
    buses by name, `held` those in further devices by path, `limits` what limits cost. With wear by
    depth, `depth_wear_per_kwh` (stores, count) is what it makes one more kWh taken out cost.
    """

    site_per_kwh: FloatArray
    stored_per_kwh: FloatArray
    buses: Mapping[str, FloatArray] = field(default_factory=dict)
    held: Mapping[str, FloatArray] = field(default_factory=dict)
    limits: tuple[LimitPrice, ...] = ()
    depth_wear_per_kwh: FloatArray | None = None

    def on_bus(self, bus: str) -> FloatArray:
        """The value of a kWh on a heat bus, or behind the meter, (count,)."""
        return self.buses.get(bus, self.site_per_kwh) if bus else self.site_per_kwh


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """How the solve ended, and the schedule if there is one.

    `termination.objective` is what the road itself claims; the referee's is what counts.
    """

    termination: Termination
    method: Method
    road: str
    proof: Proof = Proof.NONE
    schedule: Schedule | None = None
    values: Values | None = None
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A rule that cannot be kept with the others, over a run of intervals.

    `amount` is the total by which it gives way in the least change that cures the whole, `peak` the
    most in one interval, both in `unit`; zero when other rules give way more cheaply.
    """

    what: str
    rule: str
    interval: int
    interval_count: int
    amount: float
    peak: float
    unit: str
    cure: str
