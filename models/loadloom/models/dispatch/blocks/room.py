"""A room in the general programme: its temperature, and what warms and cools it."""

from collections.abc import Callable

import numpy as np

from loadloom.models.dispatch.devices.room import Room, RoomPlan
from loadloom.models.dispatch.programme import IntArray, Programme, Rule
from loadloom.models.horizon import FloatArray


def add(programme: Programme, path: str, room: Room) -> Callable[[FloatArray], RoomPlan]:
    """Adds a room; gives the reader of its plan."""
    heating = _add_power(programme, room, room.heat_bus, f"{path}.heating_limit_kw")
    cooling = _add_power(programme, room, room.cold_bus, f"{path}.cooling_limit_kw")
    temperature = _add_temperature(programme, path, room)
    decay, rise = room.decay(programme.horizon), room.rise_k_per_kw(programme.horizon)
    alone = (1.0 - decay) * room.outdoor_temperature_c + rise * room.gains_kw
    alone[0] += decay[0] * room.initial_temperature_c
    rows = programme.rows(programme.count, alone, alone)
    programme.entries(rows, temperature, 1.0)
    programme.entries(rows[1:], temperature[:-1], -decay[1:])
    # A kWh more is so many kelvins.
    programme.worth(path, rows, 1.0 / room.capacity_kwh_per_k)
    for power, sign in ((heating, -1.0), (cooling, 1.0)):
        if power.size:
            programme.entries(rows, power, sign * rise / programme.hours)

    def read(primal: FloatArray) -> RoomPlan:
        warmed, cooled = (
            np.maximum(primal[power], 0.0) / programme.hours
            if power.size
            else np.zeros(programme.count)
            for power in (heating, cooling)
        )
        return RoomPlan(heating_kw=warmed, cooling_kw=cooled, temperature_c=primal[temperature])

    return read


def _add_power(programme: Programme, room: Room, bus: str, path: str) -> IntArray:
    """The columns of what the room draws from a bus, none if it has no such bus."""
    if not bus:
        return np.empty(0, np.int64)
    warms = bus == room.heat_bus
    most = room.heating_limit_kw if warms else room.cooling_limit_kw
    rule = Rule(
        path=path,
        says=f"'{room.name}' may be {'heated' if warms else 'cooled'} with at most {{limit}}",
        scale=programme.hours,
    )
    limited = np.isfinite(most)
    power = programme.columns(
        programme.count, 0.0, most * programme.hours, at_most=rule if limited else None
    )
    programme.draws(room.name, power, bus=bus)
    return power


def _add_temperature(programme: Programme, path: str, room: Room) -> IntArray:
    """The columns of the temperature, kept within its band or paid for."""
    low, high = room.temperature_min_c, room.temperature_max_c
    least, most = (
        Rule(
            path=f"{path}.{name}",
            says=f"'{room.name}' must be {how} {{limit}}",
            unit="°C",
            at_end=True,
        )
        for name, how in (
            ("temperature_min_c", "no colder than"),
            ("temperature_max_c", "no warmer than"),
        )
    )
    price = room.breach_price_per_k_h
    if np.isinf(price):
        return programme.columns(programme.count, low, high, at_least=least, at_most=most)
    temperature = programme.columns(programme.count, -np.inf, np.inf)
    for side_low, side_high, sign in ((low, np.inf, 1.0), (-np.inf, high, -1.0)):
        breach = programme.columns(programme.count, 0.0, np.inf, price * programme.hours)
        rows = programme.rows(programme.count, side_low, side_high)
        programme.entries(rows, temperature, 1.0)
        programme.entries(rows, breach, sign)
    return temperature
