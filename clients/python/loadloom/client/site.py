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


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """The connection to the grid.

    Attributes:
        buy_price_per_kwh: the price of a kWh drawn from the grid.
        sell_price_per_kwh: the price of a kWh fed into it; zero when left out.
        import_limit_kw: the most that may be drawn; no limit when left out.
        export_limit_kw: the most that may be fed in; no limit when left out.
        currency_code: the ISO 4217 code of all prices, such as "EUR"; it may be empty.
    """

    buy_price_per_kwh: ArrayLike
    sell_price_per_kwh: ArrayLike | None = None
    import_limit_kw: ArrayLike | None = None
    export_limit_kw: ArrayLike | None = None
    currency_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A demand that must be met as it comes; names are unique within the site."""

    name: str = ""
    power_kw: ArrayLike


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site: its meter, loads, photovoltaic plants and stores."""

    name: str = ""
    meter: Meter
    loads: Sequence[Load] = ()
    photovoltaics: Sequence[Photovoltaic] = ()
    storages: Sequence[Storage] = ()
