"""Asks a server for one home at a time and prints a report.

    python -m benchmarks.unary_client ADDRESS SERVER_PID [--calls N] [--callers N]

Each caller sends its next request when the answer to the last has come. The plans of a first pass
are judged, and later answers must repeat their costs to the last bit, or the run counts as broken.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np

from benchmarks import instances
from benchmarks.client_report import READY, Clock, Report, told
from benchmarks.harness import Judgement, combined, judge
from benchmarks.ours import optimum
from benchmarks.peers.peer import Answer, schedule_of
from loadloom.client import site as words
from loadloom.client.client import Client
from loadloom.client.grid import Grid
from loadloom.client.plan import Plan
from loadloom.models.dispatch.problem import Problem
from loadloom.models.horizon import FloatArray
from loadloom.v1.common_pb2 import Series

DISTINCT = 16
GRID = Grid(start=instances.DAY, step=timedelta(minutes=15), count=96, time_zone="Europe/Amsterdam")


def spoken(problem: Problem) -> words.Site:
    """A problem with one load, one plant and one store in the words of the client."""
    (load,), (plant,), (store,) = problem.loads, problem.photovoltaics, problem.storages
    end = GRID.start + timedelta(minutes=15) * GRID.count
    return words.Site(
        name=problem.name,
        meter=words.Meter(
            buy_price_per_kwh=problem.meter.buy_price_per_kwh,
            sell_price_per_kwh=problem.meter.sell_price_per_kwh,
            import_limit_kw=problem.meter.import_limit_kw,
            export_limit_kw=problem.meter.export_limit_kw,
        ),
        loads=[words.Load(name="load", power_kw=load.power_kw)],
        photovoltaics=[
            words.Photovoltaic(name="pv", power_kw=plant.power_kw, curtailable=plant.curtailable)
        ],
        storages=[
            words.Storage(
                name="battery",
                energy_min_kwh=store.energy_min_kwh,
                energy_max_kwh=store.energy_max_kwh,
                initial_energy_kwh=store.initial_energy_kwh,
                charge_limit_kw=store.charge_limit_kw,
                discharge_limit_kw=store.discharge_limit_kw,
                charge_efficiency=store.charge_efficiency,
                discharge_efficiency=store.discharge_efficiency,
                wear_cost_per_kwh=store.wear_cost_per_kwh,
                targets=[words.EnergyTarget(time=end, min_kwh=store.targets[0].min_kwh)],
            )
        ],
    )


def judge_plan(problem: Problem, plan: Plan) -> Judgement:
    """The referee's word on a plan."""
    schedule = plan.message.schedule
    (store,), (plant,) = schedule.storages, schedule.photovoltaics
    answer = schedule_of(
        charge_kw=_values(store.charge_kw),
        discharge_kw=_values(store.discharge_kw),
        energy_kwh=_values(store.state_of_charge_kwh),
        curtailed_kw=_values(plant.curtailed_kw),
        import_kw=_values(schedule.import_kw),
        export_kw=_values(schedule.export_kw),
    )
    claimed = Answer(schedule=answer, claimed_cost=plan.objective)
    return judge(problem, claimed, optimum(problem))


def _values(series: Series) -> FloatArray:
    return np.array(series.values)


def report(asked: argparse.Namespace) -> Report:
    """The report on a number of calls."""
    batch = instances.street_batch(DISTINCT, seed=0)
    problems = [batch.site(row) for row in range(DISTINCT)]
    sites = [spoken(problem) for problem in problems]
    with Client(asked.address) as client, ThreadPoolExecutor(asked.callers) as pool:

        def call(turn: int) -> tuple[float, float]:
            started = time.perf_counter()
            plan = client.plan_dispatch(sites[turn % DISTINCT], GRID)
            return time.perf_counter() - started, plan.objective

        first = [client.plan_dispatch(site, GRID) for site in sites]
        print(READY, flush=True)
        clock = Clock.now(asked.server_pid)
        calls = list(pool.map(call, range(asked.calls)))
        wall_s, cpu_s = clock.passed()
    word = combined([judge_plan(*pair) for pair in zip(problems, first, strict=True)])
    changed = [
        f"home {turn % DISTINCT} has another cost than before"
        for turn, (_, objective) in enumerate(calls)
        if objective != first[turn % DISTINCT].objective
    ]
    return Report(
        sites=asked.calls,
        wall_s=wall_s,
        cpu_s=cpu_s,
        latencies_s=tuple(seconds for seconds, _ in calls),
        gap=word.gap,
        broken=(*word.broken, *changed),
    )


def main() -> None:
    """Prints the report that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("server_pid", type=int)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--callers", type=int, default=1)
    print(told(report(parser.parse_args())), flush=True)


if __name__ == "__main__":
    main()
