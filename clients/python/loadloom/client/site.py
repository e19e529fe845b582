"""What a caller says about a site: one meter and what is behind it.

A series is a number that holds for every interval, or one number for each: a list, a numpy array,
or a pandas Series, whose index then is checked against the grid and can stand in for it. Power is
positive when drawn from the grid; every unit is part of its name. The names, defaults and rules are
those of the API.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from numpy.typing import ArrayLike

from loadloom.client.site_devices import Appliance, SwapStation, Vehicle, WindTurbine
from loadloom.client.site_heat import (
    Boiler,
    Chiller,
    CombinedHeatAndPower,
    Generator,
    HeatBus,
    HeatPump,
    Room,
)
from loadloom.client.site_rules import (
    Carbon,
    Circuit,
    Commitment,
    DemandCharge,
    Island,
    Risk,
    Scenario,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WearStep:
    """The cost of wear of a battery from a depth of discharge on.

    Attributes:
        from_depth: the depth of discharge from which the step counts, as a share of the most
            energy: 0 for the first step, then rising, all below 1.
        cost_per_kwh: the cost of each kWh taken out by a cycle that is so deep.
    """

    from_depth: float
    cost_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """The connection to the grid.

    Attributes:
        buy_price_per_kwh: the price of a kWh drawn from the grid.
        sell_price_per_kwh: the price of a kWh fed into it; zero when left out.
        import_limit_kw: the most that may be drawn; no limit when left out.
        export_limit_kw: the most that may be fed in; no limit when left out.
        currency_code: the ISO 4217 code of all prices, such as "EUR"; it may be empty.
        import_breach_price_per_kwh: the price of each kWh drawn beyond its limit; the limit is kept
            in any case when left out.
        export_breach_price_per_kwh: the price of each kWh fed in beyond its limit; likewise.
        demand_charges: the charges for the highest power drawn.
        carbon: the carbon of the energy drawn, and its price or cap.
        commitment: the power that was promised to be drawn, and the prices of deviations.
        island: the times without a grid, and the reserve in them.
        circuits: the circuits between the meter and its devices, each with limits of its own.
    """

    buy_price_per_kwh: ArrayLike
    sell_price_per_kwh: ArrayLike | None = None
    import_limit_kw: ArrayLike | None = None
    export_limit_kw: ArrayLike | None = None
    currency_code: str = ""
    import_breach_price_per_kwh: float | None = None
    export_breach_price_per_kwh: float | None = None
    demand_charges: Sequence[DemandCharge] = ()
    carbon: Carbon | None = None
    commitment: Commitment | None = None
    island: Island | None = None
    circuits: Sequence[Circuit] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A demand that must be met as it comes; names are unique within the site.

    With a price of shedding, up to the share `shed_share` of it, all of it when left out, may be
    left without supply at that price.
    """

    name: str = ""
    power_kw: ArrayLike
    shed_price_per_kwh: float | None = None
    shed_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Photovoltaic:
    """A photovoltaic forecast, and whether the plant may produce less."""

    name: str = ""
    power_kw: ArrayLike
    curtailable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTarget:
    """A range that the stored energy must be in at an instant, the end of an interval."""

    time: datetime
    min_kwh: float | None = None
    max_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A battery, or any store that loses energy in the same ways.

    Attributes:
        energy_max_kwh: the most energy at the end of each interval.
        charge_limit_kw: the most power to charge with, at the meter side.
        discharge_limit_kw: the most power to discharge with, at the meter side.
        energy_min_kwh: the least energy at the end of each interval; zero when left out.
        initial_energy_kwh: the energy at the start.
        charge_efficiency: the share of charged energy that is stored.
        discharge_efficiency: the share of energy taken out that reaches the meter side.
        self_discharge_per_h: the share of the stored energy lost in an hour.
        wear_cost_per_kwh: the cost of each kWh that moves into or out of the store.
        end_value_per_kwh: the value of each kWh left at the end.
        targets: the ranges at given times.
        breach_price_per_kwh: the price of each kWh by which a target or a bound is missed at the
            end of an interval; they are kept in any case when left out.
        charge_min_kw: the least power to charge with, unless it does not charge at all.
        discharge_min_kw: the least power to discharge with, unless it does not at all.
        wear_steps: the wear by depth of discharge, the shallowest part first.
        heat_bus: the heat bus it charges from and discharges to, for a tank.
    """

    name: str = ""
    energy_max_kwh: ArrayLike
    charge_limit_kw: ArrayLike
    discharge_limit_kw: ArrayLike
    energy_min_kwh: ArrayLike | None = None
    initial_energy_kwh: float = 0.0
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    self_discharge_per_h: float = 0.0
    wear_cost_per_kwh: float = 0.0
    end_value_per_kwh: float = 0.0
    targets: Sequence[EnergyTarget] = ()
    breach_price_per_kwh: float | None = None
    charge_min_kw: float = 0.0
    discharge_min_kw: float = 0.0
    wear_steps: Sequence[WearStep] = ()
    heat_bus: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site: its meter and all devices behind it.

    Scenarios are the futures that may come: devices decide once for all of them, and the meter,
    curtailment and shedding follow each. `risk` weighs the worst of them.
    """

    name: str = ""
    meter: Meter
    loads: Sequence[Load] = ()
    photovoltaics: Sequence[Photovoltaic] = ()
    storages: Sequence[Storage] = ()
    wind_turbines: Sequence[WindTurbine] = ()
    vehicles: Sequence[Vehicle] = ()
    swap_stations: Sequence[SwapStation] = ()
    appliances: Sequence[Appliance] = ()
    generators: Sequence[Generator] = ()
    combined_heat_and_powers: Sequence[CombinedHeatAndPower] = ()
    boilers: Sequence[Boiler] = ()
    heat_pumps: Sequence[HeatPump] = ()
    chillers: Sequence[Chiller] = ()
    heat_buses: Sequence[HeatBus] = ()
    rooms: Sequence[Room] = ()
    scenarios: Sequence[Scenario] = ()
    risk: Risk | None = None
