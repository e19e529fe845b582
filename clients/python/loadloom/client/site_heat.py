"""What a caller says about what burns fuel, or makes, takes and stores heat or cold.

A tank is a `Storage` with a `heat_bus`.
"""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from loadloom.client.site_devices import OnOffRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """The speed at which the power of a unit may change while it is on.

    Attributes:
        limit_kw_per_h: the most by which the power changes in an hour, in kW.
        initial_power_kw: the power just before the horizon, in kW: 0 for a unit that is off then,
            and no less than its least power for one that is on. A unit without `on_off` is on then
            if this is above 0.
    """

    limit_kw_per_h: float
    initial_power_kw: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuel:
    """A fuel, such as gas or diesel.

    Attributes:
        price_per_kwh: the price of a kWh of fuel.
        carbon_kg_per_kwh: the carbon of a kWh of fuel, in kg.
    """

    price_per_kwh: ArrayLike
    carbon_kg_per_kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A generator that turns fuel into electricity.

    Attributes:
        name: the name, unique within the site.
        fuel: the fuel.
        power_limit_kw: the most electric power, in kW.
        power_min_kw: the least electric power while it is on, in kW.
        efficiency: the share of the fuel's energy that becomes electricity, from 0.001 to 1.
        on_off: the rules of being on and off.
        ramp: the speed at which its electric power may change; any when left out.
    """

    fuel: Fuel
    power_limit_kw: ArrayLike
    efficiency: float
    name: str = ""
    power_min_kw: float = 0.0
    on_off: OnOffRules | None = None
    ramp: Ramp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedHeatAndPower:
    """A plant that turns fuel into electricity and heat at once (CHP).

    Attributes:
        name: the name, unique within the site.
        fuel: the fuel.
        power_limit_kw: the most electric power, in kW.
        power_min_kw: the least electric power while it is on, in kW.
        electric_efficiency: the share of the fuel's energy that becomes electricity, from 0.001 to
            1.
        heat_efficiency: the share of the fuel's energy that becomes heat, from 0 to 1.
        heat_bus: the heat bus that takes the heat.
        on_off: the rules of being on and off.
        ramp: the speed at which its electric power may change; any when left out.
    """

    fuel: Fuel
    power_limit_kw: ArrayLike
    electric_efficiency: float
    heat_efficiency: float
    heat_bus: str
    name: str = ""
    power_min_kw: float = 0.0
    on_off: OnOffRules | None = None
    ramp: Ramp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Boiler:
    """A boiler that turns fuel, or electricity, into heat.

    Attributes:
        name: the name, unique within the site.
        fuel: the fuel; it takes electricity when left out.
        heat_limit_kw: the most heat, in kW.
        heat_min_kw: the least heat while it is on, in kW.
        efficiency: the share of the energy taken that becomes heat, from 0.001 to 2; 1 when left
            out. That of a boiler that condenses may exceed 1, by the lower heating value.
        heat_bus: the heat bus that takes the heat.
        on_off: the rules of being on and off.
        ramp: the speed at which its heat may change; any when left out.
    """

    heat_limit_kw: ArrayLike
    heat_bus: str
    name: str = ""
    fuel: Fuel | None = None
    heat_min_kw: float = 0.0
    efficiency: float | None = None
    on_off: OnOffRules | None = None
    ramp: Ramp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatPump:
    """A heat pump.

    Attributes:
        name: the name, unique within the site.
        power_limit_kw: the most electric power, in kW.
        power_min_kw: the least electric power while it is on, in kW.
        coefficient_of_performance: the heat per electric energy (COP), in each interval.
        heat_bus: the heat bus that takes the heat.
        on_off: the rules of being on and off.
        ramp: the speed at which its electric power may change; any when left out.
    """

    power_limit_kw: ArrayLike
    coefficient_of_performance: ArrayLike
    heat_bus: str
    name: str = ""
    power_min_kw: float = 0.0
    on_off: OnOffRules | None = None
    ramp: Ramp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chiller:
    """A chiller: a heat pump that makes cold.

    Attributes:
        name: the name, unique within the site.
        power_limit_kw: the most electric power, in kW.
        power_min_kw: the least electric power while it is on, in kW.
        energy_efficiency_ratio: the cold per electric energy (EER), in each interval.
        heat_bus: the heat bus that takes the cold.
        on_off: the rules of being on and off.
        ramp: the speed at which its electric power may change; any when left out.
    """

    power_limit_kw: ArrayLike
    energy_efficiency_ratio: ArrayLike
    heat_bus: str
    name: str = ""
    power_min_kw: float = 0.0
    on_off: OnOffRules | None = None
    ramp: Ramp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatBus:
    """A bus of heat, or of cold, where what is made equals what is used in each interval.

    Attributes:
        name: the name, unique within the site.
        demand_kw: the demand for heat, or cold, in kW; none when left out.
        surplus_allowed: whether more may be made than is used.
        breach_price_per_kwh: the price of each kWh of demand that is not met; all must be met when
            left out.
    """

    name: str
    demand_kw: ArrayLike | None = None
    surplus_allowed: bool = False
    breach_price_per_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room, or a building, that is kept within a band of temperature.

    Attributes:
        name: the name, unique within the site.
        heat_bus: the bus that heats it; nothing does when empty.
        cold_bus: the bus of cold that cools it; nothing does when empty.
        heating_limit_kw: the most heat that it takes, in kW; no limit when left out.
        cooling_limit_kw: the most cold that it takes, in kW; no limit when left out.
        capacity_kwh_per_k: the heat that warms it by a kelvin, in kWh.
        loss_kw_per_k: the heat that it loses for each kelvin that it is warmer than outdoors, in
            kW.
        outdoor_temperature_c: the temperature outdoors, in degrees Celsius.
        gains_kw: the heat of the sun, of people and of machines, in kW; none when left out.
        temperature_min_c: the least temperature at the end of each interval, in degrees Celsius.
        temperature_max_c: the highest temperature at the end of each interval, in degrees Celsius.
        initial_temperature_c: the temperature at the start, in degrees Celsius.
        breach_price_per_k_h: the price of each kelvin outside of the band for an hour; it is kept
            in any case when left out.
    """

    outdoor_temperature_c: ArrayLike
    temperature_min_c: ArrayLike
    temperature_max_c: ArrayLike
    capacity_kwh_per_k: float
    name: str = ""
    heat_bus: str = ""
    cold_bus: str = ""
    heating_limit_kw: float | None = None
    cooling_limit_kw: float | None = None
    loss_kw_per_k: float = 0.0
    gains_kw: ArrayLike | None = None
    initial_temperature_c: float = 0.0
    breach_price_per_k_h: float | None = None
