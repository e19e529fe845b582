"""The schedule of an earlier plan in a message, read into that of a problem's devices.

Devices are found by their names. What it does not name, and what lies outside of its own horizon,
is NaN: there it says nothing.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from loadloom.engine.convert.dispatch_paths import Paths
from loadloom.engine.convert.dispatch_plans import turbine, unit_field
from loadloom.models.checks import MAGNITUDE, Violation
from loadloom.models.dispatch.devices.appliance import AppliancePlan
from loadloom.models.dispatch.devices.heat import BusPlan
from loadloom.models.dispatch.devices.room import RoomPlan
from loadloom.models.dispatch.devices.swapping import SwappingPlan
from loadloom.models.dispatch.devices.unit import UnitPlan
from loadloom.models.dispatch.devices.vehicle import VehiclePlan
from loadloom.models.dispatch.overlap import Overlap
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Exchange, Schedule
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.wire.arrays import from_series

IDLE_KW = 1e-9
"""Power up to this is none."""


class Unfit(Exception):  # noqa: N818 -- it names the schedule's state
    """A part of the schedule does not fit its horizon."""


def read(
    message: pb.Schedule, horizon: Horizon, problem: Problem, paths: Paths, found: list[Violation]
) -> Schedule | None:
    """The schedule of an earlier horizon on that of a problem; None with what is wrong noted."""
    try:
        return _Reader(message, Overlap.of(horizon, problem.horizon), problem, paths).schedule()
    except Unfit as error:
        path, right = error.args
        found.append(Violation(f"earlier_schedule.{path}", right))
    return None


@dataclass(frozen=True, slots=True)
class _Told:
    """What the schedule tells of a device, None for nothing, and the path of it."""

    path: str
    message: Any


class _Reader:
    """Reads the parts of an earlier schedule, each by its place in the problem."""

    def __init__(
        self, message: pb.Schedule, overlap: Overlap, problem: Problem, paths: Paths
    ) -> None:
        self._message, self._overlap = message, overlap
        self._problem, self._paths = problem, paths
        self._count, self._known = problem.horizon.count, overlap.earlier.count

    def schedule(self) -> Schedule:
        """The whole schedule."""
        problem, site = self._problem, _Told("", self._message)
        stores = self._devices("storages", [storage.name for storage in problem.storages])
        scenes = self._devices("scenarios", [scenario.name for scenario in problem.scenarios])
        return Schedule(
            charge_kw=self._rows([self._powers(x, "charge_kw") for x in stores]),
            discharge_kw=self._rows([self._powers(x, "discharge_kw") for x in stores]),
            energy_kwh=self._rows([self._states(x, "state_of_charge_kwh") for x in stores]),
            curtailed_kw=self._curtailed(site),
            import_kw=self._powers(site, "import_kw"),
            export_kw=self._powers(site, "export_kw"),
            shed_kw=self._shed(site),
            scenarios=tuple(map(self._exchange, scenes)),
            **({} if problem.plain else self._plans()),
        )

    def _plans(self) -> dict[str, tuple[Any, ...]]:
        problem = self._problem
        readers: dict[str, tuple[str, Sequence[Any], Callable[[_Told, Any], Any]]] = {
            "vehicles": ("vehicles", problem.vehicles, self._vehicle),
            "swappings": ("swap_stations", problem.swappings, self._station),
            "appliances": ("appliances", problem.appliances, self._appliance),
            "buses": ("heat_buses", problem.buses, self._bus),
            "rooms": ("rooms", problem.rooms, self._room),
        }
        found: dict[str, tuple[Any, ...]] = {}
        for family, (field, devices, take) in readers.items():
            told = self._devices(field, [device.name for device in devices])
            found[family] = tuple(take(*pair) for pair in zip(told, devices, strict=True))
        return found | {"units": tuple(self._units())}

    def _vehicle(self, told: _Told, vehicle: Any) -> VehiclePlan:  # noqa: ANN401
        sessions = len(vehicle.sessions)
        return VehiclePlan(
            charge_kw=self._powers(told, "charge_kw"),
            discharge_kw=self._powers(told, "discharge_kw"),
            energy_kwh=self._states(told, "state_of_charge_kwh"),
            missed_kwh=self._parts(told, "missed_kwh", sessions),
            public_kwh=self._parts(told, "public_kwh", sessions),
        )

    def _station(self, told: _Told, station: Any) -> SwappingPlan:  # noqa: ANN401
        batteries, swaps = station.battery_count, len(station.swaps())
        return SwappingPlan(
            charge_kw=self._matrix(told, "battery_charge_kw", batteries, self._overlap.means),
            energy_kwh=self._matrix(
                told, "battery_state_of_charge_kwh", batteries, self._overlap.ends
            ),
            missed=self._parts(told, "missed", swaps),
        )

    def _appliance(self, told: _Told, _: Any) -> AppliancePlan:  # noqa: ANN401
        missed = nan
        if told.message is not None and self._overlap.whole:
            missed = told.message.missed
            self._finite(f"{told.path}missed", np.array([missed]))
        return AppliancePlan(
            power_kw=self._powers(told, "power_kw"),
            starts=self._powers(told, "starts"),
            missed=missed,
        )

    def _bus(self, told: _Told, _: Any) -> BusPlan:  # noqa: ANN401
        return BusPlan(
            dumped_kw=self._powers(told, "surplus_kw"), unmet_kw=self._powers(told, "unmet_kw")
        )

    def _room(self, told: _Told, _: Any) -> RoomPlan:  # noqa: ANN401
        return RoomPlan(
            heating_kw=self._powers(told, "heating_kw"),
            cooling_kw=self._powers(told, "cooling_kw"),
            temperature_c=self._states(told, "temperature_c"),
        )

    def _units(self) -> list[UnitPlan]:
        units, found = self._problem.units, []
        fields = [unit_field(self._paths, u) for u in range(len(units))]
        told = {
            field: iter(
                self._devices(
                    field, [u.name for u, of in zip(units, fields, strict=True) if of == field]
                )
            )
            for field in dict.fromkeys(fields)
        }
        for unit, field in zip(units, fields, strict=True):
            one = next(told[field])
            power = self._powers(one, "power_kw")
            drawn = power if unit.electric else self._powers(one, "fuel_kw")
            heat = self._powers(one, "heat_kw") if unit.bus else 0.0 * power
            if unit.continuous:
                on = (drawn > IDLE_KW).astype(np.float64)
            else:
                on = self._powers(one, "running")
            given = 0.0 * power if unit.electric else 0.0 - power
            found.append(UnitPlan(on=on, input_kw=drawn, electricity_kw=given, heat_kw=heat))
        return found

    def _exchange(self, told: _Told) -> Exchange:
        return Exchange(
            import_kw=self._powers(told, "import_kw"),
            export_kw=self._powers(told, "export_kw"),
            curtailed_kw=self._curtailed(told),
            shed_kw=self._shed(told),
        )

    def _curtailed(self, told: _Told) -> FloatArray:
        plants = self._problem.photovoltaics
        blown = [turbine(self._paths, p) for p in range(len(plants))]
        rows = []
        for field, wind in (("photovoltaics", False), ("wind_turbines", True)):
            names = [plant.name for plant, w in zip(plants, blown, strict=True) if w == wind]
            rows += [self._powers(x, "curtailed_kw") for x in self._devices(field, names, told)]
        return self._rows(rows)

    def _shed(self, told: _Told) -> FloatArray | None:
        loads = self._problem.loads
        names = [load.name for load in loads if load.shed_share > 0.0]
        if not names:
            return None
        found = iter([self._powers(x, "shed_kw") for x in self._devices("loads", names, told)])
        still = np.zeros(self._count)
        return self._rows([next(found) if load.shed_share > 0.0 else still for load in loads])

    def _devices(self, field: str, names: list[str], within: _Told | None = None) -> list[_Told]:
        """What is told of the devices with these names in a field of the schedule, or of a part."""
        whole = within or _Told("", self._message)
        given = [] if whole.message is None else list(getattr(whole.message, field))
        paths = [f"{whole.path}{field}[{i}]." for i in range(len(given))]
        counts = Counter(each.name for each in given)
        for path, each in zip(paths, given, strict=True):
            if counts[each.name] > 1:
                raise Unfit(f"{path}name", f"{each.name!r} stands there more than once")
        told = {each.name: _Told(path, each) for path, each in zip(paths, given, strict=True)}
        return [told.get(name, _Told("", None)) for name in names]

    def _powers(self, told: _Told, name: str) -> FloatArray:
        """A series of what holds through intervals, (count,)."""
        return self._overlap.means(self._series(told, name))

    def _states(self, told: _Told, name: str) -> FloatArray:
        """A series of what holds at the ends of intervals, (count,)."""
        return self._overlap.ends(self._series(told, name))

    def _series(self, told: _Told, name: str) -> FloatArray:
        """A series over the schedule's own horizon."""
        if told.message is None or not told.message.HasField(name):
            return np.full(self._known, nan)
        series: common_pb2.Series = getattr(told.message, name)
        path = f"{told.path}{name}"
        if len(series.values) != self._known:
            raise Unfit(path, f"has {len(series.values)} values; must have {self._known}")
        return self._finite(path, from_series(series))

    def _matrix(
        self, told: _Told, name: str, rows: int, take: Callable[[FloatArray], FloatArray]
    ) -> FloatArray:
        """A row of `_series` for each part of a device, taken over; (rows, count)."""
        if told.message is None or not told.message.HasField(name):
            return np.full((rows, self._count), nan)
        matrix: common_pb2.Matrix = getattr(told.message, name)
        path = f"{told.path}{name}"
        if matrix.cols != self._known or len(matrix.values.values) != matrix.rows * matrix.cols:
            raise Unfit(path, f"must have rows of {self._known} values")
        if matrix.rows != rows:
            return np.full((rows, self._count), nan)
        return take(self._finite(path, from_series(matrix.values)).reshape(rows, self._known))

    def _parts(self, told: _Told, name: str, size: int) -> FloatArray:
        """A number for each session or swap, (size,), as far as they are the same ones."""
        if told.message is None or not told.message.HasField(name):
            return np.full(size, nan)
        values = self._finite(f"{told.path}{name}", from_series(getattr(told.message, name)))
        same = self._overlap.whole and values.size == size
        return values if same else np.full(size, nan)

    def _finite(self, path: str, values: FloatArray) -> FloatArray:
        if not np.all(np.abs(values) <= MAGNITUDE):
            raise Unfit(path, "must be made of numbers")
        return values

    def _rows(self, rows: list[FloatArray]) -> FloatArray:
        return np.array(rows).reshape(-1, self._count)
