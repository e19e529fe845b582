"""The referee of a bus, and the one whose demand is met as it comes."""

import numpy as np

from loadloom.models.dispatch.devices.heat import BusPlan, HeatBus
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.horizon import FloatArray, Horizon


def judge(sheet: Sheet, path: str, bus: HeatBus, plan: BusPlan) -> None:
    """Charges what is unmet and notes every rule of the bus that a plan breaks."""
    hours = sheet.hours
    unmet, dumped = plan.unmet_kw * hours, plan.dumped_kw * hours
    soft = np.isfinite(bus.breach_price_per_kwh)
    sheet.within(f"{path}.unmet_kw", unmet, 0.0, bus.demand_kw * hours if soft else 0.0)
    sheet.within(f"{path}.dumped_kw", dumped, 0.0, np.inf if bus.dump else 0.0)
    if soft:
        sheet.breach(f"{path}.demand_kw", unmet, bus.breach_price_per_kwh)
    sheet.draws(bus.name, bus.demand_kw - plan.unmet_kw + plan.dumped_kw, bus=bus.name)


def idle(horizon: Horizon, bus: HeatBus, needs: dict[str, FloatArray]) -> BusPlan:
    """The plan that asks for the demand; what no unit gives of it stays unmet."""
    needs[bus.name] = needs.get(bus.name, np.zeros(horizon.count)) + bus.demand_kw
    # Units take what they give out of the needs in place, so this is what is left in the end.
    return BusPlan(dumped_kw=np.zeros(horizon.count), unmet_kw=needs[bus.name])
