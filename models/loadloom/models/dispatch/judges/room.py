"""The referee of a room, and the one that is kept at the near end of its band."""

import numpy as np

from loadloom.models.dispatch.devices.room import Room, RoomPlan
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.horizon import FloatArray, Horizon


def judge(sheet: Sheet, path: str, room: Room, plan: RoomPlan) -> None:
    """Charges what is out of the band and notes every rule of the room that a plan breaks."""
    hours, horizon = sheet.hours, sheet.horizon
    for name, bus, power, most in (
        ("heating_kw", room.heat_bus, plan.heating_kw, room.heating_limit_kw),
        ("cooling_kw", room.cold_bus, plan.cooling_kw, room.cooling_limit_kw),
    ):
        sheet.within(f"{path}.{name}", power * hours, 0.0, (most if bus else 0.0) * hours)
        if bus:
            sheet.draws(room.name, power, bus=bus)
    outdoor = room.outdoor_temperature_c
    before = np.append(room.initial_temperature_c, plan.temperature_c[:-1])
    warming = plan.heating_kw - plan.cooling_kw + room.gains_kw
    after = outdoor + room.decay(horizon) * (before - outdoor)
    after = after + room.rise_k_per_kw(horizon) * warming
    size = np.abs(before) + np.abs(outdoor) + np.abs(after)
    sheet.equal(f"{path}.temperature_c", plan.temperature_c, after, size)
    low, high = room.temperature_min_c, room.temperature_max_c
    if np.isinf(room.breach_price_per_k_h):
        sheet.within(f"{path}.temperature_c", plan.temperature_c, low, high)
        return
    outside_kh = (
        ("temperature_min_c", np.maximum(low - plan.temperature_c, 0.0) * hours),
        ("temperature_max_c", np.maximum(plan.temperature_c - high, 0.0) * hours),
    )
    for name, amount in outside_kh:
        sheet.breach(f"{path}.{name}", amount, room.breach_price_per_k_h, unit="K h")


def idle(horizon: Horizon, room: Room, needs: dict[str, FloatArray]) -> RoomPlan:
    """The plan of a thermostat: it heats to the low end of the band and cools to the high one."""
    decay, rise = room.decay(horizon), room.rise_k_per_kw(horizon)
    heating, cooling, temperature = np.zeros((3, horizon.count))
    held, outdoor = room.initial_temperature_c, room.outdoor_temperature_c
    for t in range(horizon.count):
        alone = outdoor[t] + decay[t] * (held - outdoor[t]) + rise[t] * room.gains_kw[t]
        if room.heat_bus:
            wanted = (room.temperature_min_c[t] - alone) / rise[t]
            heating[t] = min(max(0.0, wanted), room.heating_limit_kw)
        if room.cold_bus:
            wanted = (alone - room.temperature_max_c[t]) / rise[t]
            cooling[t] = min(max(0.0, wanted), room.cooling_limit_kw)
        held = alone + rise[t] * (heating[t] - cooling[t])
        temperature[t] = held
    for bus, power in ((room.heat_bus, heating), (room.cold_bus, cooling)):
        if bus:
            needs.setdefault(bus, np.zeros(horizon.count))
            needs[bus] += power
    return RoomPlan(heating_kw=heating, cooling_kw=cooling, temperature_c=temperature)
