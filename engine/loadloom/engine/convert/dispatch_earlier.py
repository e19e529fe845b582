"""The schedule of an earlier plan in a message, read into that of a problem's devices."""

from collections import Counter
from collections.abc import Sequence
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
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Exchange, Schedule
from loadloom.models.horizon import FloatArray
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.wire.arrays import from_series

IDLE_KW = 1e-9
"""Power up to this is none."""


class Unfit(Exception):  # noqa: N818 -- it names the schedule's state
    """A part of the schedule does not fit the site."""


def read(message: pb.Schedule, problem: Problem, paths: Paths, found: list[Violation]) -> Schedule:
    """The earlier schedule; what does not fit the site is noted, and a stand-in given."""
    reader = _Reader(message, problem, paths)
    try:
        return reader.schedule()
    except Unfit as error:
        path, right = error.args
        found.append(Violation(f"earlier_schedule.{path}", right))
    none = np.zeros((0, problem.horizon.count))
    return Schedule(
        charge_kw=none,
        discharge_kw=none,
        energy_kwh=none,
        curtailed_kw=none,
        import_kw=none,
        export_kw=none,
    )


class _Reader:
    """Reads the parts of an earlier schedule, each by its place in the problem."""

    def __init__(self, message: pb.Schedule, problem: Problem, paths: Paths) -> None:
        self._message, self._problem, self._paths = message, problem, paths
        self._count = problem.horizon.count

    def schedule(self) -> Schedule:
        message, problem = self._message, self._problem
        stores = self._devices("storages", [storage.name for storage in problem.storages])
        names = ("charge_kw", "discharge_kw", "state_of_charge_kwh")
        charge, discharge, energy = (
            self._rows([self._row(f"storages[{i}].{name}", x, name) for i, x in stores])
            for name in names
        )
        scenes = self._devices("scenarios", [scenario.name for scenario in problem.scenarios])
        return Schedule(
            charge_kw=charge,
            discharge_kw=discharge,
            energy_kwh=energy,
            curtailed_kw=self._curtailed("", message),
            import_kw=self._row("import_kw", message, "import_kw"),
            export_kw=self._row("export_kw", message, "export_kw"),
            shed_kw=self._shed("", message),
            scenarios=tuple(self._exchange(f"scenarios[{i}].", x) for i, x in scenes),
            **({} if problem.plain else self._plans()),
        )

    def _plans(self) -> dict[str, tuple[Any, ...]]:
        problem = self._problem
        readers = {
            "vehicles": ("vehicles", problem.vehicles, self._vehicle),
            "swappings": ("swap_stations", problem.swappings, self._station),
            "appliances": ("appliances", problem.appliances, self._appliance),
            "buses": ("heat_buses", problem.buses, self._bus),
            "rooms": ("rooms", problem.rooms, self._room),
        }
        found: dict[str, tuple[Any, ...]] = {
            family: tuple(
                take(f"{field}[{i}]", x, devices[i])
                for i, x in self._devices(field, [device.name for device in devices])
            )
            for family, (field, devices, take) in readers.items()
        }
        return found | {"units": tuple(self._units())}

    def _vehicle(self, path: str, plan: Any, vehicle: Any) -> VehiclePlan:  # noqa: ANN401
        sessions = len(vehicle.sessions)
        return VehiclePlan(
            charge_kw=self._row(f"{path}.charge_kw", plan, "charge_kw"),
            discharge_kw=self._row(f"{path}.discharge_kw", plan, "discharge_kw"),
            energy_kwh=self._row(f"{path}.state_of_charge_kwh", plan, "state_of_charge_kwh"),
            missed_kwh=self._row(f"{path}.missed_kwh", plan, "missed_kwh", sessions),
            public_kwh=self._row(f"{path}.public_kwh", plan, "public_kwh", sessions),
        )

    def _station(self, path: str, plan: Any, station: Any) -> SwappingPlan:  # noqa: ANN401
        shape = (station.battery_count, self._count)
        names = ("battery_charge_kw", "battery_state_of_charge_kwh")
        for name in names:
            matrix = getattr(plan, name)
            if (matrix.rows, matrix.cols) != shape or len(matrix.values.values) != np.prod(shape):
                raise Unfit(f"{path}.{name}", f"must have {shape[0]} rows of {shape[1]} values")
        charge, energy = (
            self._finite(f"{path}.{name}", from_series(getattr(plan, name).values)).reshape(shape)
            for name in names
        )
        missed = self._row(f"{path}.missed", plan, "missed", len(station.swaps()))
        return SwappingPlan(charge_kw=charge, energy_kwh=energy, missed=missed)

    def _appliance(self, path: str, plan: Any, _: Any) -> AppliancePlan:  # noqa: ANN401
        self._finite(f"{path}.missed", np.array([plan.missed]))
        return AppliancePlan(
            power_kw=self._row(f"{path}.power_kw", plan, "power_kw"),
            starts=self._row(f"{path}.starts", plan, "starts"),
            missed=plan.missed,
        )

    def _bus(self, path: str, plan: Any, _: Any) -> BusPlan:  # noqa: ANN401
        return BusPlan(
            dumped_kw=self._row(f"{path}.surplus_kw", plan, "surplus_kw"),
            unmet_kw=self._row(f"{path}.unmet_kw", plan, "unmet_kw"),
        )

    def _room(self, path: str, plan: Any, _: Any) -> RoomPlan:  # noqa: ANN401
        names = ("heating_kw", "cooling_kw", "temperature_c")
        return RoomPlan(**{name: self._row(f"{path}.{name}", plan, name) for name in names})

    def _units(self) -> list[UnitPlan]:
        fields = [unit_field(self._paths, u) for u in range(len(self._problem.units))]
        for field in dict.fromkeys(fields):
            names = [
                u.name for u, of in zip(self._problem.units, fields, strict=True) if of == field
            ]
            self._devices(field, names)
        seen: Counter[str] = Counter()
        found = []
        for unit, field in zip(self._problem.units, fields, strict=True):
            path, plan = f"{field}[{seen[field]}]", getattr(self._message, field)[seen[field]]
            seen[field] += 1
            power = self._row(f"{path}.power_kw", plan, "power_kw")
            drawn = power if unit.electric else self._row(f"{path}.fuel_kw", plan, "fuel_kw")
            heat = self._row(f"{path}.heat_kw", plan, "heat_kw") if unit.bus else 0.0 * power
            if unit.continuous:
                on = (drawn > IDLE_KW).astype(np.float64)
            else:
                on = self._row(f"{path}.running", plan, "running")
            given = 0.0 * power if unit.electric else 0.0 - power
            found.append(UnitPlan(on=on, input_kw=drawn, electricity_kw=given, heat_kw=heat))
        return found

    def _exchange(self, path: str, scenario: pb.ScenarioSchedule) -> Exchange:
        return Exchange(
            import_kw=self._row(f"{path}import_kw", scenario, "import_kw"),
            export_kw=self._row(f"{path}export_kw", scenario, "export_kw"),
            curtailed_kw=self._curtailed(path, scenario),
            shed_kw=self._shed(path, scenario),
        )

    def _curtailed(self, path: str, message: pb.Schedule | pb.ScenarioSchedule) -> FloatArray:
        plants = self._problem.photovoltaics
        blown = [turbine(self._paths, p) for p in range(len(plants))]
        rows = []
        for field, wind in (("photovoltaics", False), ("wind_turbines", True)):
            names = [plant.name for plant, w in zip(plants, blown, strict=True) if w == wind]
            rows += [
                self._row(f"{path}{field}[{i}].curtailed_kw", each, "curtailed_kw")
                for i, each in self._devices(field, names, path, getattr(message, field))
            ]
        return self._rows(rows)

    def _shed(self, path: str, message: pb.Schedule | pb.ScenarioSchedule) -> FloatArray | None:
        loads = self._problem.loads
        names = [load.name for load in loads if load.shed_share > 0.0]
        found = self._devices("loads", names, path, message.loads)
        if not names:
            return None
        told = iter([self._row(f"{path}loads[{i}].shed_kw", each, "shed_kw") for i, each in found])
        still = np.zeros(self._count)
        return self._rows([next(told) if load.shed_share > 0.0 else still for load in loads])

    def _devices(
        self, field: str, names: list[str], path: str = "", given: Sequence[Any] | None = None
    ) -> list[tuple[int, Any]]:
        """The schedules in a field, which must be those of the devices with these names."""
        found = list(getattr(self._message, field) if given is None else given)
        if [each.name for each in found] != names:
            raise Unfit(
                f"{path}{field}", f"must hold the schedules of {', '.join(names) or 'none'}"
            )
        return list(enumerate(found))

    def _row(self, path: str, message: Any, name: str, size: int | None = None) -> FloatArray:  # noqa: ANN401
        """A series of as many values as there are intervals, or of `size`."""
        series: common_pb2.Series = getattr(message, name)
        wanted = self._count if size is None else size
        if len(series.values) != wanted:
            raise Unfit(path, f"has {len(series.values)} values; must have {wanted}")
        return self._finite(path, from_series(series))

    def _finite(self, path: str, values: FloatArray) -> FloatArray:
        if not np.all(np.abs(values) <= MAGNITUDE):
            raise Unfit(path, "must be made of numbers")
        return values

    def _rows(self, rows: list[FloatArray]) -> FloatArray:
        return np.array(rows).reshape(-1, self._count)
