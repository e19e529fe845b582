# pyright: reportMissingImports=false
# PyPSA lives in the environment of the peers only.
"""PyPSA: one bus, the grid as two generators, and the battery as a store between two links.

Wear is a marginal cost per kWh that moves into or out of the store, so it stands on the links, with
which PyPSA's documentation builds batteries, and not on a StorageUnit, which has none for charging.
"""

import logging

import pandas as pd
import pypsa

from benchmarks.peers.peer import (
    IMPOSSIBLE,
    Answer,
    Answerer,
    Peer,
    Site,
    fresh,
    schedule_of,
    site_of,
)
from loadloom.models.dispatch.problem import Problem
from loadloom.models.horizon import FloatArray

# Its progress reports cost it time that a user who measures would save.
for _name in ("pypsa", "linopy"):
    logging.getLogger(_name).setLevel(logging.ERROR)
pypsa.options.api.legacy_string_dtype = False


def _per_unit(values: FloatArray) -> tuple[float, FloatArray]:
    """The largest value, and all of them as shares of it."""
    nominal = float(values.max())
    return nominal, values / nominal if nominal else values


def _network(site: Site) -> pypsa.Network:
    n = pypsa.Network()
    n.set_snapshots(pd.RangeIndex(site.count), default_snapshot_weightings=site.step_h)
    n.add("Bus", ["site", "battery"])
    n.add("Load", "load", bus="site", p_set=site.load_kw)
    imported, import_pu = _per_unit(site.import_limit_kw)
    n.add(
        "Generator",
        "bought",
        bus="site",
        p_nom=imported,
        p_max_pu=import_pu,
        marginal_cost=site.buy_per_kwh,
    )
    exported, export_pu = _per_unit(site.export_limit_kw)
    n.add(
        "Generator",
        "sold",
        bus="site",
        p_nom=exported,
        p_min_pu=-export_pu,
        p_max_pu=0.0,
        marginal_cost=site.sell_per_kwh,
    )
    installed, pv_pu = _per_unit(site.pv_kw)
    n.add(
        "Generator",
        "pv",
        bus="site",
        p_nom=installed,
        p_max_pu=pv_pu,
        p_min_pu=0.0 if site.curtailable else pv_pu,
    )
    _add_battery(n, site)
    return n


def _add_battery(n: pypsa.Network, site: Site) -> None:
    battery = site.battery
    capacity = float(site.energy_max_kwh.max())
    n.add(
        "Store",
        "energy",
        bus="battery",
        e_nom=capacity,
        e_min_pu=site.energy_min_kwh / capacity,
        e_max_pu=site.energy_max_kwh / capacity,
        e_initial=battery.initial_energy_kwh,
        standing_loss=battery.self_discharge_per_h,
    )
    charge, charge_pu = _per_unit(battery.charge_limit_kw)
    n.add(
        "Link",
        "charge",
        bus0="site",
        bus1="battery",
        p_nom=charge,
        p_max_pu=charge_pu,
        efficiency=battery.charge_efficiency,
        marginal_cost=site.charge_wear,
    )
    discharge, discharge_pu = _per_unit(battery.discharge_limit_kw / battery.discharge_efficiency)
    n.add(
        "Link",
        "discharge",
        bus0="battery",
        bus1="site",
        p_nom=discharge,
        p_max_pu=discharge_pu,
        efficiency=battery.discharge_efficiency,
        marginal_cost=battery.wear_cost_per_kwh,
    )


def _optimize(n: pypsa.Network, site: Site) -> Answer:
    status, _ = n.optimize(
        solver_name="highs",
        io_api="direct",
        solver_options={"output_flag": False, "threads": 1},
        progress=False,
        include_objective_constant=False,
    )
    if status != "ok":
        return IMPOSSIBLE
    generators = n.c.generators.dynamic.p
    links = n.c.links.dynamic
    schedule = schedule_of(
        charge_kw=links.p0["charge"].to_numpy(),
        discharge_kw=-links.p1["discharge"].to_numpy(),
        energy_kwh=n.c.stores.dynamic.e["energy"].to_numpy(),
        curtailed_kw=site.pv_kw - generators["pv"].to_numpy(),
        import_kw=generators["bought"].to_numpy(),
        export_kw=-generators["sold"].to_numpy(),
    )
    return Answer(schedule=schedule, claimed_cost=float(n.objective))


def _solve(problem: Problem) -> Answer:
    site = site_of(problem)
    return _optimize(_network(site), site)


def _prepare_held(problem: Problem) -> Answerer:
    """A network that is kept, given new prices, and optimised anew."""
    site = site_of(problem)
    n = _network(site)

    def solve(other: Problem) -> Answer:
        costs = n.c.generators.dynamic.marginal_cost
        costs["bought"] = other.meter.buy_price_per_kwh
        costs["sold"] = other.meter.sell_price_per_kwh
        return _optimize(n, site)

    return solve


PLAIN = fresh("PyPSA", _solve)
HELD = Peer(name="PyPSA, network kept", prepare=_prepare_held)
