# pyright: reportMissingImports=false
# oemof lives in the environment of the peers only.
"""oemof-solph: one bus, the grid as a source and a sink, the battery as a generic storage.

HiGHS is called in the process (`solver="highs"`), not through the files that are its default.
"""

import logging
import warnings

import numpy as np
import pandas as pd
from oemof import solph

from benchmarks.peers.peer import IMPOSSIBLE, Answer, Site, fresh, schedule_of, site_of
from loadloom.models.dispatch.problem import Problem

# solph cannot tell the solver to be silent, and a line of log for each of its lines costs time.
logging.getLogger("pyomo.contrib.appsi.solvers.highs").setLevel(logging.ERROR)


def _system(site: Site) -> solph.EnergySystem:
    """The energy system of a site.

    Its limits of energy have one value more: solph has one for the start too.
    """
    battery = site.battery
    start = pd.Timestamp("2025-01-01")
    step = pd.Timedelta(hours=site.step_h)
    index = pd.date_range(start, periods=site.count + 1, freq=step)
    system = solph.EnergySystem(timeindex=index, infer_last_interval=False)
    bus = solph.Bus(label="site")
    flow = solph.Flow
    grid_in = flow(
        nominal_capacity=1, maximum=site.import_limit_kw, variable_costs=site.buy_per_kwh
    )
    grid_out = flow(
        nominal_capacity=1, maximum=site.export_limit_kw, variable_costs=-site.sell_per_kwh
    )
    pv = {"maximum": site.pv_kw} if site.curtailable else {"fix": site.pv_kw}
    capacity = float(site.energy_max_kwh.max())
    start_level = battery.initial_energy_kwh / capacity
    system.add(
        bus,
        solph.components.Source(label="bought", outputs={bus: grid_in}),
        solph.components.Sink(label="sold", inputs={bus: grid_out}),
        solph.components.Source(label="pv", outputs={bus: flow(nominal_capacity=1, **pv)}),
        solph.components.Sink(
            label="load", inputs={bus: flow(nominal_capacity=1, fix=site.load_kw)}
        ),
        solph.components.GenericStorage(
            label="battery",
            inputs={
                bus: flow(
                    nominal_capacity=1,
                    maximum=battery.charge_limit_kw,
                    variable_costs=site.charge_wear,
                )
            },
            outputs={
                bus: flow(
                    nominal_capacity=1,
                    maximum=battery.discharge_limit_kw,
                    variable_costs=site.discharge_wear,
                )
            },
            nominal_capacity=capacity,
            initial_storage_level=start_level,
            min_storage_level=np.append(0.0, site.energy_min_kwh / capacity),
            max_storage_level=np.append(1.0, site.energy_max_kwh / capacity),
            balanced=False,
            loss_rate=battery.self_discharge_per_h,
            inflow_conversion_factor=battery.charge_efficiency,
            outflow_conversion_factor=battery.discharge_efficiency,
        ),
    )
    return system


def _solve(problem: Problem) -> Answer:
    site = site_of(problem)
    model = solph.Model(_system(site))
    try:
        model.solve(solver="highs", cmdline_options={"threads": 1})
    except RuntimeError:
        return IMPOSSIBLE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its results class calls itself experimental
        results = solph.Results(model)
        flow, energy = results["flow"], results["storage_content"]
    schedule = schedule_of(
        charge_kw=flow["site", "battery"].to_numpy(),
        discharge_kw=flow["battery", "site"].to_numpy(),
        energy_kwh=energy["battery"].to_numpy()[1:],
        curtailed_kw=site.pv_kw - flow["pv", "site"].to_numpy(),
        import_kw=flow["bought", "site"].to_numpy(),
        export_kw=flow["site", "sold"].to_numpy(),
    )
    return Answer(schedule=schedule, claimed_cost=float(results["objective"]))


PLAIN = fresh("oemof-solph", _solve)
