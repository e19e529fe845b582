"""Plans homes with FlexMeasures' scheduler of devices, in an environment of its own.

    python flexmeasures_home.py SOLVER

A home a line in, its plan a line out, as in `emhass_home.py`. It is the function to which
FlexMeasures' storage scheduler hands a site once it is read from its database, so what is timed
leaves the database out.
"""

import json
import os
import sys
import time

import numpy as np
import pandas as pd
from flask import Flask
from flexmeasures.data.models.planning.linear_optimization import device_scheduler
from flexmeasures.data.models.planning.utils import initialize_df

COLUMNS = [
    "equals",
    "max",
    "min",
    "efficiency",
    "derivative equals",
    "derivative max",
    "derivative min",
    "derivative down efficiency",
    "derivative up efficiency",
    "stock delta",
]


def planned(home: dict) -> list[pd.Series]:
    """The power of each device: what cannot be moved, battery, car, heat pump with its tank.

    Stocks are in units of a flow through one step.
    """
    count, step_h = len(home["buy_per_kwh"]), home["step_h"]
    start = pd.Timestamp("2024-05-15T00:00", tz="UTC")
    step = pd.Timedelta(hours=step_h)
    span = (start, start + count * step, step)

    def frame(columns: list[str], **values: object) -> pd.DataFrame:
        table = initialize_df(columns, *span)
        for name, value in values.items():
            table[name.replace("_", " ")] = value
        return table

    fixed = frame(COLUMNS, derivative_equals=np.array(home["load_kw"]) - np.array(home["pv_kw"]))
    battery, car, heat = home["battery"], home["car"], home["heat_pump"]
    kept = np.full(count, np.nan)
    kept[-1] = 0.0  # relative to the initial stock
    store = frame(
        COLUMNS,
        max=(battery["size_kwh"] - battery["begin_kwh"]) / step_h,
        min=-battery["begin_kwh"] / step_h,
        equals=kept,
        derivative_max=battery["limit_kw"],
        derivative_min=-battery["limit_kw"],
        derivative_up_efficiency=battery["efficiency"],
        derivative_down_efficiency=battery["efficiency"],
    )
    here = np.zeros(count)
    here[car["arrival"] : car["departure"]] = 1.0
    least = np.zeros(count)
    least[car["departure"] - 1 :] = car["wanted_kwh"] / step_h
    plugged = frame(
        COLUMNS,
        max=car["wanted_kwh"] / step_h,
        min=least,
        derivative_max=car["limit_kw"] * here,
        derivative_min=0.0,
        derivative_up_efficiency=car["efficiency"],
    )
    tank = frame(
        COLUMNS,
        max=(heat["size_kwh"] - heat["begin_kwh"]) / step_h,
        min=-heat["begin_kwh"] / step_h,
        equals=kept,
        derivative_max=heat["limit_kw"],
        derivative_min=0.0,
        derivative_up_efficiency=heat["cop"],
        stock_delta=-np.array(heat["demand_kw"]),
    )
    limits = frame(
        ["derivative max", "derivative min"],
        derivative_max=home["import_kw"],
        derivative_min=-home["export_kw"],
    )
    index = limits.index
    # Prices are those of a flow through one step.
    series = [pd.Series(np.array(home[name]) * step_h, index) for name in PRICES]
    powers, _, results, _ = device_scheduler(
        [fixed, store, plugged, tank],
        limits,
        commitment_quantities=[pd.Series(0.0, index)],
        commitment_downwards_deviation_price=[series[1]],
        commitment_upwards_deviation_price=[series[0]],
    )
    if results.solver.termination_condition != "optimal":
        raise SystemExit(f"FlexMeasures: {results.solver.termination_condition}")
    return powers


PRICES = ("buy_per_kwh", "sell_per_kwh")


def main() -> None:
    """Answers line after line; what libraries print goes elsewhere."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    app = Flask("flexmeasures")
    app.config.update(FLEXMEASURES_LP_SOLVER=sys.argv[1], LOGGING_LEVEL="INFO")
    with app.app_context():
        for line in sys.stdin:
            home = json.loads(line)
            wall, cpu = time.perf_counter(), time.process_time()
            _, battery, car, heat = planned(home)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            columns = {"battery": (-battery).tolist(), "car": car.tolist()}
            columns["heat_pump"] = heat.tolist()
            out.write(json.dumps({"wall_s": wall, "cpu_s": cpu, **columns}) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
