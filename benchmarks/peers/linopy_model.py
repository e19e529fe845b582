# pyright: reportMissingImports=false
# linopy lives in the environment of the peers only.
"""linopy with HiGHS through its direct interface: built for each solve, or held and re-priced.

The held one follows linopy's persistent solvers: the objective is replaced, the solver finds what
changed and starts from its last basis.
"""

import linopy
import pandas as pd
from linopy.solvers import Solver

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

HIGHS_OPTIONS = {"output_flag": False, "threads": 1}


def _model(site: Site) -> linopy.Model:
    """The linear programme of a site, one variable and one constraint an equation."""
    battery, hours = site.battery, site.step_h
    time = pd.RangeIndex(site.count, name="time")
    m = linopy.Model()

    def column(name: str, upper: object, lower: object = 0) -> linopy.Variable:
        bounds = (pd.Series(bound, index=time) for bound in (lower, upper))
        return m.add_variables(*bounds, name=name)

    charge = column("charge", battery.charge_limit_kw)
    discharge = column("discharge", battery.discharge_limit_kw)
    bought = column("bought", site.import_limit_kw)
    sold = column("sold", site.export_limit_kw)
    curtailed = column("curtailed", site.pv_kw * site.curtailable)
    energy = column("energy", site.energy_max_kwh, site.energy_min_kwh)
    moved = battery.charge_efficiency * charge - discharge / battery.discharge_efficiency
    given = pd.Series(0.0, index=time)
    given.iloc[0] = site.keep * battery.initial_energy_kwh
    before = energy.shift(time=1).fillna(0.0)
    m.add_constraints(energy - site.keep * before - hours * moved == given, name="store")
    net_load = pd.Series(site.load_kw - site.pv_kw, index=time)
    m.add_constraints(bought - sold - charge + discharge - curtailed == net_load, name="meter")
    m.add_objective(_cost(m, site))
    return m


def _cost(m: linopy.Model, site: Site) -> linopy.LinearExpression:
    time = pd.RangeIndex(site.count, name="time")
    buy, sell = (pd.Series(p, index=time) for p in (site.buy_per_kwh, site.sell_per_kwh))
    v = m.variables
    trade = buy * v["bought"] - sell * v["sold"]
    wear = site.charge_wear * v["charge"] + site.discharge_wear * v["discharge"]
    return site.step_h * (trade + wear).sum()


def _answer(m: linopy.Model, status: str) -> Answer:
    if status != "ok":
        return IMPOSSIBLE
    solution = m.solution
    schedule = schedule_of(
        charge_kw=solution["charge"].to_numpy(),
        discharge_kw=solution["discharge"].to_numpy(),
        energy_kwh=solution["energy"].to_numpy(),
        curtailed_kw=solution["curtailed"].to_numpy(),
        import_kw=solution["bought"].to_numpy(),
        export_kw=solution["sold"].to_numpy(),
    )
    return Answer(schedule=schedule, claimed_cost=float(m.objective.value))


def _solve(problem: Problem) -> Answer:
    m = _model(site_of(problem))
    status, _ = m.solve("highs", io_api="direct", progress=False, **HIGHS_OPTIONS)
    return _answer(m, status)


def _prepare_held(problem: Problem) -> Answerer:
    m = _model(site_of(problem))
    solver = Solver.from_name(
        "highs", m, io_api="direct", track_updates=True, options=HIGHS_OPTIONS
    )
    solver.solve(m, assign=True)

    def solve(other: Problem) -> Answer:
        m.objective = _cost(m, site_of(other))
        result = solver.solve(m, assign=True, disallow_rebuild=True)
        return _answer(m, result.status.status.value)

    return solve


PLAIN = fresh("linopy + HiGHS", _solve)
HELD = Peer(name="linopy + HiGHS, held", prepare=_prepare_held)
