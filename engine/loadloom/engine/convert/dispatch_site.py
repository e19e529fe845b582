"""A site in a message, read into a problem: its meter, loads, plants and stores, and scenarios."""

from collections.abc import Iterator
from math import inf
from typing import Any

from google.protobuf.message import Message

from loadloom.engine.convert import common, dispatch_devices
from loadloom.engine.convert.dispatch_reader import Reader, given
from loadloom.models.checks import Violation
from loadloom.models.dispatch.devices.meter import (
    Carbon,
    Circuit,
    Commitment,
    DemandCharge,
    Island,
    Load,
    Meter,
    Photovoltaic,
    Tier,
)
from loadloom.models.dispatch.devices.storage import DepthWear, EnergyTarget, Storage
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.scenarios import Risk, Scenario
from loadloom.models.horizon import FloatArray
from loadloom.v1 import dispatch_devices_pb2 as devices
from loadloom.v1 import dispatch_pb2 as pb

PLAIN_METER, PLAIN_STORAGE, PLAIN_SITE = 5, 12, 5
"""The highest numbers of the fields of a plain meter, store and site: with none beyond them, there
is nothing else to look for."""

STORAGE = {
    "least_charge_kw": "charge_min_kw",
    "least_discharge_kw": "discharge_min_kw",
    "depth_wear": "wear_steps",
    "bus": "heat_bus",
}
"""The names of a store's fields in the request, by those in its model, where they differ."""


def problem(reader: Reader, site: pb.Site) -> Problem:
    """The problem of a site.

    Raises:
        InvalidProblem: the site breaks rules, told by the paths of the model.
    """
    storages = tuple(_storage(reader, i, x) for i, x in enumerate(site.storages))
    plain = _plain(site, PLAIN_SITE)
    return Problem(
        horizon=reader.horizon,
        meter=_meter(reader, site.meter),
        loads=tuple(_load(reader, load) for load in site.loads),
        photovoltaics=tuple(_plants(reader, site)),
        storages=storages,
        name=site.name,
        **({} if plain else _others(reader, site)),
    )


def _plain(message: Message, most: int) -> bool:
    """Whether a message has no field beyond a number."""
    fields = message.ListFields()  # in the order of their numbers
    return not fields or fields[-1][0].number <= most


def _others(reader: Reader, site: pb.Site) -> dict[str, Any]:
    scenarios = tuple(_scenario(reader, i, x) for i, x in enumerate(site.scenarios))
    risk = None
    if site.HasField("risk"):
        risk = Risk(weight=site.risk.weight, level=site.risk.confidence)
        reader.name("risk.level", "risk.confidence")
        if not scenarios:
            reader.fault("risk", "says how to weigh scenarios, and there are none")
    return {"scenarios": scenarios, "risk": risk, **dispatch_devices.families(reader, site)}


def _meter(reader: Reader, meter: pb.Meter) -> Meter:
    return Meter(
        buy_price_per_kwh=reader.column(meter, "buy_price_per_kwh"),
        sell_price_per_kwh=reader.column(meter, "sell_price_per_kwh"),
        import_limit_kw=reader.column(meter, "import_limit_kw", inf),
        export_limit_kw=reader.column(meter, "export_limit_kw", inf),
        currency_code=meter.currency_code,
        **({} if _plain(meter, PLAIN_METER) else _tariff(reader, meter)),
    )


def _tariff(reader: Reader, meter: pb.Meter) -> dict[str, Any]:
    """What a meter has beyond prices and limits."""
    charges = enumerate(meter.demand_charges)
    circuits = enumerate(meter.circuits)
    return {
        "import_breach_price_per_kwh": given(meter, "import_breach_price_per_kwh"),
        "export_breach_price_per_kwh": given(meter, "export_breach_price_per_kwh"),
        "demand_charges": tuple(
            _charge(reader, f"meter.demand_charges[{i}]", x) for i, x in charges
        ),
        "carbon": _carbon(reader, meter.carbon) if meter.HasField("carbon") else None,
        "commitment": _promise(reader, meter.commitment) if meter.HasField("commitment") else None,
        "island": _island(reader, meter.island) if meter.HasField("island") else None,
        "circuits": tuple(_circuit(reader, circuit) for _, circuit in circuits),
    }


def _charge(reader: Reader, path: str, charge: devices.DemandCharge) -> DemandCharge:
    reader.name(path, path, {"intervals": "active"})
    first = Tier(from_kw=0.0, price_per_kw=charge.price_per_kw)
    reader.name(f"{path}.tiers[0]", path)
    tiers = [first]
    for index, tier in enumerate(charge.tiers):
        reader.name(f"{path}.tiers[{index + 1}]", f"{path}.tiers[{index}]")
        if tier.from_kw <= tiers[-1].from_kw:
            told = f"is {tier.from_kw:g}; must be above that of the tier before, or 0"
            reader.fault(f"{path}.tiers[{index}].from_kw", told)
        else:
            tiers.append(Tier(from_kw=tier.from_kw, price_per_kw=tier.price_per_kw))
    return DemandCharge(
        name=charge.name,
        intervals=reader.mask(path, charge, "active", 1.0),
        tiers=tuple(tiers),
        reached_peak_kw=charge.reached_peak_kw,
    )


def _carbon(reader: Reader, carbon: devices.Carbon) -> Carbon:
    return Carbon(
        intensity_kg_per_kwh=reader.column(carbon, "intensity_kg_per_kwh"),
        price_per_kg=carbon.price_per_kg,
        cap_kg=given(carbon, "cap_kg"),
    )


def _promise(reader: Reader, promise: devices.Commitment) -> Commitment:
    return Commitment(
        committed_kw=reader.column(promise, "committed_kw"),
        more_price_per_kwh=reader.column(promise, "more_price_per_kwh"),
        less_price_per_kwh=reader.column(promise, "less_price_per_kwh"),
    )


def _island(reader: Reader, island: devices.Island) -> Island:
    reader.name("meter.island.intervals", "meter.island.off_grid")
    return Island(
        intervals=reader.mask("meter.island", island, "off_grid", 0.0),
        reserve_kw=reader.column(island, "reserve_kw"),
        reserve_h=given(island, "reserve_h", 0.25),
    )


def _circuit(reader: Reader, circuit: devices.Circuit) -> Circuit:
    return Circuit(
        name=circuit.name,
        devices=tuple(circuit.devices),
        parent=circuit.parent,
        import_limit_kw=reader.column(circuit, "import_limit_kw", inf),
        export_limit_kw=reader.column(circuit, "export_limit_kw", inf),
        breach_price_per_kwh=given(circuit, "breach_price_per_kwh"),
    )


def _load(reader: Reader, load: pb.Load) -> Load:
    power_kw = reader.column(load, "power_kw")
    if not load.HasField("shed_price_per_kwh"):
        share = given(load, "shed_share", 0.0)
        if share > 0.0:
            # Without a price nothing tells how dear it is to be without.
            return Load(name=load.name, power_kw=power_kw, shed_share=share)
        return Load(name=load.name, power_kw=power_kw)
    return Load(
        name=load.name,
        power_kw=power_kw,
        shed_price_per_kwh=load.shed_price_per_kwh,
        shed_share=given(load, "shed_share", 1.0),
    )


def _plants(reader: Reader, site: pb.Site) -> Iterator[Photovoltaic]:
    """The photovoltaic plants, and after them the wind turbines, which are the same to a model."""
    for plant in site.photovoltaics:
        yield _plant(reader, plant)
    for index, turbine in enumerate(site.wind_turbines):
        ours = f"photovoltaics[{len(site.photovoltaics) + index}]"
        reader.name(ours, f"wind_turbines[{index}]")
        yield _plant(reader, turbine)


def _plant(reader: Reader, plant: pb.Photovoltaic | devices.WindTurbine) -> Photovoltaic:
    return Photovoltaic(
        name=plant.name,
        power_kw=reader.column(plant, "power_kw"),
        curtailable=plant.curtailable,
    )


def _storage(reader: Reader, index: int, storage: pb.Storage) -> Storage:
    path, targets = f"storages[{index}]", enumerate(storage.targets)
    return Storage(
        name=storage.name,
        energy_min_kwh=reader.column(storage, "energy_min_kwh"),
        energy_max_kwh=reader.column(storage, "energy_max_kwh"),
        initial_energy_kwh=storage.initial_energy_kwh,
        charge_limit_kw=reader.column(storage, "charge_limit_kw"),
        discharge_limit_kw=reader.column(storage, "discharge_limit_kw"),
        charge_efficiency=given(storage, "charge_efficiency", 1.0),
        discharge_efficiency=given(storage, "discharge_efficiency", 1.0),
        self_discharge_per_h=storage.self_discharge_per_h,
        wear_cost_per_kwh=storage.wear_cost_per_kwh,
        end_value_per_kwh=storage.end_value_per_kwh,
        targets=tuple(_target(reader, f"{path}.targets[{i}]", x) for i, x in targets),
        **({} if _plain(storage, PLAIN_STORAGE) else _uses(reader, path, storage)),
    )


def _uses(reader: Reader, path: str, storage: pb.Storage) -> dict[str, Any]:
    """What a store has beyond bounds, losses and costs."""
    reader.name(path, path, STORAGE)
    steps = storage.wear_steps
    return {
        "bus": storage.heat_bus,
        "breach_price_per_kwh": given(storage, "breach_price_per_kwh"),
        "least_charge_kw": storage.charge_min_kw,
        "least_discharge_kw": storage.discharge_min_kw,
        "depth_wear": tuple(
            DepthWear(from_share=step.from_depth, cost_per_kwh=step.cost_per_kwh) for step in steps
        ),
    }


def _target(reader: Reader, path: str, target: pb.EnergyTarget) -> EnergyTarget:
    return EnergyTarget(
        interval=_interval(reader, path, target),
        min_kwh=given(target, "min_kwh", -inf),
        max_kwh=given(target, "max_kwh", inf),
    )


def _interval(reader: Reader, path: str, target: pb.EnergyTarget) -> int:
    """The interval that ends at the target's time; -1, which the model refuses, if none."""
    if not target.HasField("time"):
        return 0
    when = common.instant(target.time)
    if when is None:
        reader.found.append(Violation(f"{path}.time", "must lie within the years 1 to 9999"))
    if when is None or not reader.placed:
        return 0
    return (reader.horizon.boundary_index(when) or 0) - 1


def _scenario(reader: Reader, index: int, scenario: devices.Scenario) -> Scenario:
    path = f"scenarios[{index}]"
    prices = {
        name: reader.column(scenario, name)
        for name in ("buy_price_per_kwh", "sell_price_per_kwh")
        if scenario.HasField(name)
    }
    return Scenario(
        name=scenario.name,
        probability=scenario.probability,
        **prices,
        loads_kw=_powers(reader, path, "loads_kw", scenario, "loads"),
        photovoltaics_kw={
            **_powers(reader, path, "photovoltaics_kw", scenario, "photovoltaics"),
            **_powers(reader, path, "photovoltaics_kw", scenario, "wind_turbines"),
        },
    )


def _powers(
    reader: Reader, path: str, ours: str, scenario: devices.Scenario, field: str
) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    for index, power in enumerate(getattr(scenario, field)):
        place = f"{path}.{field}[{index}]"
        reader.name(f"{path}.{ours}[{power.name!r}]", f"{place}.power_kw")
        if power.name in found:
            reader.fault(f"{place}.name", f"{power.name!r} stands here a second time")
        found[power.name] = reader.column(power, "power_kw")
    return found
