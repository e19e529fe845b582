"""What a caller says about the electric devices of a site beyond loads, plants and batteries.

Times are aware instants, at which intervals begin or end. A price of a breach makes a rule give way
at that price; without one the rule is kept in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True)
class WindTurbine:
    """A wind turbine.

    Attributes:
        name: the name, unique within the site.
        power_kw: the power forecast, in kW.
        curtailable: whether it may produce less than it could.
    """

    power_kw: ArrayLike
    name: str = ""
    curtailable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSession:
    """A stay of a vehicle at its charger.

    Attributes:
        arrival_time: the instant of arrival, a boundary of the grid; the start of the horizon when
            left out.
        departure_time: the instant of departure, a boundary of the grid; the end of the horizon
            when left out.
        consumption_kwh: the energy that driving took since the departure before, in kWh. For the
            first session it is zero: `initial_energy_kwh` of the vehicle is what it arrives with.
        wanted_kwh: the energy wanted at departure, in kWh.
        breach_price_per_kwh: the price of each kWh that is missing at departure; none may be
            missing when left out.
    """

    arrival_time: datetime | None = None
    departure_time: datetime | None = None
    consumption_kwh: float = 0.0
    wanted_kwh: float = 0.0
    breach_price_per_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """An electric vehicle with its charger.

    Attributes:
        name: the name, unique within the site.
        capacity_kwh: the most energy it holds, in kWh.
        initial_energy_kwh: the energy at the arrival of the first session, in kWh.
        charge_limit_kw: the most power to charge with, measured at the meter side, in kW.
        discharge_limit_kw: the most power to give back, measured at the meter side, in kW; none
            when left out.
        charge_min_kw: the least power to charge with, unless it does not charge at all, in kW.
        charge_efficiency: the share of charged energy that is stored, from 0.001 to 1; 1 when left
            out.
        discharge_efficiency: the share of energy taken out that reaches the meter side, from 0.001
            to 1; 1 when left out.
        wear_cost_per_kwh: the cost of wear for each kWh that moves into or out of the vehicle at
            its charger.
        end_value_per_kwh: the value of each kWh left at the end.
        sessions: the stays, in order of time.
        energy_min_kwh: the least energy it holds at any time, in kWh.
        public_price_per_kwh: the price of each kWh charged elsewhere on a trip that would take more
            than it holds; it must hold enough when left out.
    """

    charge_limit_kw: ArrayLike
    capacity_kwh: float
    name: str = ""
    initial_energy_kwh: float = 0.0
    discharge_limit_kw: ArrayLike | None = None
    charge_min_kw: float = 0.0
    charge_efficiency: float | None = None
    discharge_efficiency: float | None = None
    wear_cost_per_kwh: float = 0.0
    end_value_per_kwh: float = 0.0
    sessions: Sequence[ChargingSession] = ()
    energy_min_kwh: float = 0.0
    public_price_per_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapBooking:
    """A booking of batteries at a swapping station.

    Attributes:
        time: the instant of the swap, a boundary of the grid.
        returned_kwh: the energy of each battery that is handed in for a full one, in kWh: as many
            are swapped as there are values.
    """

    time: datetime
    returned_kwh: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapStation:
    """A station where vehicles swap empty batteries for full ones, first in, first out.

    Attributes:
        name: the name, unique within the site.
        capacity_kwh: the most energy that a battery holds, in kWh: it is full then.
        initial_energy_kwh: the energy of each battery in stock at the start, in kWh: there are as
            many as values.
        slot_count: the number of charging slots.
        slot_limit_kw: the most power to charge with in one slot, measured at the meter side, in kW.
        charge_efficiency: the share of charged energy that is stored, from 0.001 to 1; 1 when left
            out.
        bookings: the bookings, in order of time.
        missed_swap_price: the price of a booked swap that is missed; none may be missed when left
            out.
        end_value_per_kwh: the value of each kWh left at the end.
    """

    capacity_kwh: float
    initial_energy_kwh: Sequence[float]
    slot_count: int
    slot_limit_kw: float
    name: str = ""
    charge_efficiency: float | None = None
    bookings: Sequence[SwapBooking] = ()
    missed_swap_price: float | None = None
    end_value_per_kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnOffRules:
    """The rules of what is on or off, and its state before the horizon.

    Attributes:
        start_cost: the cost of a start.
        min_on_h: the least time that it stays on, in h.
        min_off_h: the least time that it stays off, in h.
        most_starts: the largest number of starts; no limit when left out.
        initially_on: whether it is on before the horizon.
        initial_h: the time that it has been on, or off, for, in h; long enough when left out.
    """

    start_cost: float = 0.0
    min_on_h: float = 0.0
    min_off_h: float = 0.0
    most_starts: int | None = None
    initially_on: bool = False
    initial_h: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRun:
    """Runs with a fixed course, as those of a washing machine.

    Attributes:
        profile_kw: the power in each step of a run, in kW, from its start on.
        profile_step_h: the length of a step, in h.
        run_count: the number of runs, one after the other; 1 when left out.
        carried_h: the time that a run begun before the horizon has come, in h: it is finished
            first, and is none of `run_count`. Zero when none was begun.
        breach_price_per_run: the price of a run that is left out; none may be left out when there
            is no price.
    """

    profile_kw: Sequence[float]
    profile_step_h: float
    run_count: int | None = None
    carried_h: float = 0.0
    breach_price_per_run: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptibleRun:
    """Running that may be interrupted, as that of a pump.

    Attributes:
        power_kw: the power while it runs, in kW.
        running_min_h: the least time that it runs in all, in h.
        running_max_h: the longest time that it runs in all, in h; no limit when left out.
        breach_price_per_h: the price of each hour less than the least; none may be missed when left
            out.
        on_off: the rules of being on and off.
    """

    power_kw: float
    running_min_h: float = 0.0
    running_max_h: float | None = None
    breach_price_per_h: float | None = None
    on_off: OnOffRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """An appliance that can choose when to run.

    Attributes:
        name: the name, unique within the site.
        earliest_time: the instant from which it may run, a boundary of the grid; its start when
            left out.
        latest_time: the instant by which it must be done, a boundary of the grid; its end when left
            out.
        fixed: runs with a fixed course.
        interruptible: running that may be interrupted.
    """

    name: str = ""
    earliest_time: datetime | None = None
    latest_time: datetime | None = None
    fixed: FixedRun | None = None
    interruptible: InterruptibleRun | None = None
