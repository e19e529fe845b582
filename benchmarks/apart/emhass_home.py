"""Plans homes with EMHASS, in an environment of its own: a home a line in, its plan a line out.

    python emhass_home.py GAP

A home is a JSON object as `benchmarks.peers.apart` writes it; a plan has columns in kW, and the
seconds of the processor that it took to build the problem and to solve it. The gap is that of the
solver; "default" leaves EMHASS its own.
"""

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from emhass.optimization import Optimization

DEFAULTS = {
    "set_total_pv_sell": False,
    "lp_solver_timeout": 120,
    "lp_solver_mip_rel_gap": 0.01,
    "num_threads": 1,
    "set_nocharge_from_grid": False,
    "set_nodischarge_to_grid": False,
    "set_battery_dynamic": False,
    "weight_battery_discharge": 0.0,
    "weight_battery_charge": 0.0,
    "set_use_pv": True,
    "set_use_battery": True,
    "delta_forecast_daily": 1,
}


def configured(home: dict, gap: str) -> tuple[dict, dict, dict]:
    """How EMHASS is told of a home: its appliances, car and heat pump are deferrable loads."""
    step_h, count = home["step_h"], len(home["buy_per_kwh"])
    dish, pump, car, heat = (home[name] for name in ("dishwasher", "pump", "car", "heat_pump"))
    optimisation = DEFAULTS | {
        "number_of_deferrable_loads": 4,
        "nominal_power_of_deferrable_loads": [
            [1000.0 * kw for kw in dish["profile_kw"]],
            1000.0 * pump["kw"],
            1000.0 * car["limit_kw"],
            1000.0 * heat["limit_kw"],
        ],
        "minimum_power_of_deferrable_loads": [0.0, 0.0, 0.0, 1000.0 * heat["least_kw"]],
        "operating_hours_of_each_deferrable_load": [
            step_h * len(dish["profile_kw"]),
            pump["hours"],
            car["drawn_kwh"] / car["limit_kw"],
            step_h * count,
        ],
        "start_timesteps_of_each_deferrable_load": [dish["earliest"], 0, car["arrival"], 0],
        "end_timesteps_of_each_deferrable_load": [
            dish["latest"],
            pump["latest"],
            car["departure"],
            0,
        ],
        "treat_deferrable_load_as_semi_cont": [False, True, False, False],
        "set_deferrable_load_single_constant": [False] * 4,
        "set_deferrable_startup_penalty": [0.0] * 4,
        "set_deferrable_max_startups": [0, pump["most_starts"], 0, 0],
        "def_minimum_on_time": [0, round(pump["least_on_h"] / step_h), 0, 0],
        "def_load_config": [
            {},
            {},
            {},
            {
                "thermal_config": {
                    "start_temperature": heat["initial_c"],
                    "cooling_constant": heat["lost_per_step"] / step_h,
                    "heating_rate": heat["kelvin_per_kwh"] * heat["limit_kw"],
                    "min_temperatures": [heat["initial_c"], *heat["least_c"][:-1]],
                    "max_temperatures": [heat["initial_c"], *heat["most_c"][:-1]],
                }
            },
        ],
    }
    if gap != "default":
        optimisation["lp_solver_mip_rel_gap"] = float(gap)
    battery = home["battery"]
    plant = {
        "maximum_power_from_grid": 1000.0 * home["import_kw"],
        "maximum_power_to_grid": 1000.0 * home["export_kw"],
        "inverter_is_hybrid": False,
        "compute_curtailment": False,
        "battery_discharge_power_max": 1000.0 * battery["limit_kw"],
        "battery_charge_power_max": 1000.0 * battery["limit_kw"],
        "battery_discharge_efficiency": battery["efficiency"],
        "battery_charge_efficiency": battery["efficiency"],
        "battery_nominal_energy_capacity": 1000.0 * battery["size_kwh"],
        "battery_minimum_state_of_charge": 0.0,
        "battery_maximum_state_of_charge": 1.0,
        "battery_target_state_of_charge": battery["begin_kwh"] / battery["size_kwh"],
    }
    retrieving = {
        "optimization_time_step": pd.Timedelta(hours=step_h),
        "time_zone": "UTC",
        "sensor_power_photovoltaics": "pv",
        "sensor_power_load_no_var_loads": "load",
    }
    return retrieving, optimisation, plant


def planned(home: dict, gap: str, folder: Path) -> pd.DataFrame:
    """The frame that EMHASS answers with, its problem built anew."""
    retrieving, optimisation, plant = configured(home, gap)
    times = pd.date_range("2024-05-15", periods=len(home["buy_per_kwh"]), freq="15min", tz="UTC")
    frame = pd.DataFrame(
        {
            "unit_load_cost": home["buy_per_kwh"],
            "unit_prod_price": home["sell_per_kwh"],
            "outdoor_temperature_forecast": home["heat_pump"]["outdoor_c"],
        },
        index=times,
    )
    quiet = logging.getLogger("emhass")
    quiet.setLevel(logging.ERROR)
    optimiser = Optimization(
        retrieving,
        optimisation,
        plant,
        "unit_load_cost",
        "unit_prod_price",
        "profit",
        {"data_path": folder},
        quiet,
    )
    begin = home["battery"]["begin_kwh"] / home["battery"]["size_kwh"]
    pv = pd.Series(home["pv_kw"], index=times) * 1000.0
    load = pd.Series(home["load_kw"], index=times) * 1000.0
    return optimiser.perform_dayahead_forecast_optim(
        frame, pv, load, soc_init=begin, soc_final=begin
    )


def main() -> None:
    """Answers line after line; what libraries print goes elsewhere."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    gap = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            home = json.loads(line)
            wall, cpu = time.perf_counter(), time.process_time()
            plan = planned(home, gap, Path(folder))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            names = {
                "dishwasher": "P_deferrable0",
                "pump": "P_deferrable1",
                "car": "P_deferrable2",
                "heat_pump": "P_deferrable3",
                "battery": "P_batt",  # positive when it gives
            }
            columns = {name: (plan[column] / 1000.0).tolist() for name, column in names.items()}
            out.write(json.dumps({"wall_s": wall, "cpu_s": cpu, **columns}) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
