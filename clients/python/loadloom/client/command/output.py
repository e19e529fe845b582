"""Plans as tables for programs: one row an interval, with what the plan was made from."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loadloom.client.plan import Plan
from loadloom.client.site import Site

if TYPE_CHECKING:
    import pandas as pd


def plan_table(site: Site, plan: Plan) -> "pd.DataFrame":
    """Prices, loads, forecasts, the schedule, and the values of energy where they came."""
    import pandas as pd

    said = {"buy_price_per_kwh": site.meter.buy_price_per_kwh}
    if site.meter.sell_price_per_kwh is not None:
        said["sell_price_per_kwh"] = site.meter.sell_price_per_kwh
    for device in (*site.loads, *site.photovoltaics, *site.wind_turbines):
        said[f"{device.name}.power_kw" if device.name else "power_kw"] = device.power_kw
    for bus in site.heat_buses:
        if bus.demand_kw is not None:
            said[f"{bus.name}.demand_kw" if bus.name else "demand_kw"] = bus.demand_kw
    shape = (plan.grid.count,)
    inputs = {name: np.broadcast_to(np.asarray(v, float), shape) for name, v in said.items()}
    return pd.DataFrame({**inputs, **plan.columns, **plan.value_columns}, index=plan.grid.index)


def write_table(site: Site, plan: Plan, file: Path) -> None:
    """Writes the table of a plan as Parquet or, with times in ISO 8601, as CSV."""
    table = plan_table(site, plan)
    if file.suffix.lower() == ".parquet":
        table.to_parquet(file)
    else:
        table.index = table.index.map(datetime.isoformat)
        table.to_csv(file, index_label="time")
