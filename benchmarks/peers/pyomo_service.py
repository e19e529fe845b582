"""A small gRPC service around Pyomo and HiGHS, as a team would write it in an afternoon.

It speaks PlanDispatch of the same API for sites with one load, one plant and one store. Since Pyomo
holds the interpreter's lock, requests go to one process a core. Each builds its model anew: sites
differ in loads, limits and losses, which stand all over the model.
"""

import json
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC
from multiprocessing import get_context

import grpc
import numpy as np

from loadloom.models.dispatch.problem import (
    EnergyTarget,
    Load,
    Meter,
    Photovoltaic,
    Problem,
    Storage,
)
from loadloom.models.dispatch.solution import Schedule
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.v1.common_pb2 import (
    TERMINATION_REASON_INFEASIBLE,
    TERMINATION_REASON_OPTIMAL,
    Series,
)
from loadloom.v1.dispatch_pb2 import (
    DispatchPlan,
    PlanDispatchRequest,
    PlanDispatchResponse,
)
from loadloom.v1.dispatch_pb2_grpc import (
    DispatchServiceServicer,
    add_DispatchServiceServicer_to_server,
)


def plan(raw: bytes) -> bytes:
    """The answer to a request, both as bytes, so that they pass between processes cheaply."""
    from benchmarks.peers import pyomo_model

    request = PlanDispatchRequest.FromString(raw)
    found = pyomo_model.solve(problem_of(request))
    message = DispatchPlan(site_name=request.site.name)
    if found.schedule is None:
        message.termination.reason = TERMINATION_REASON_INFEASIBLE
    else:
        message.termination.reason = TERMINATION_REASON_OPTIMAL
        message.certificate.objective = message.certificate.bound = found.claimed_cost
        _write(message, found.schedule)
    return PlanDispatchResponse(plan=message).SerializeToString()


def problem_of(request: PlanDispatchRequest) -> Problem:
    """The problem in a request."""
    grid, site = request.grid, request.site
    (load,), (plant,), (store,) = site.loads, site.photovoltaics, site.storages
    count = grid.count

    def column(series: Series) -> FloatArray:
        return np.broadcast_to(np.array(series.values), count)

    return Problem(
        horizon=Horizon(
            start=grid.start_time.ToDatetime(UTC),
            step_h=np.full(count, grid.step.ToTimedelta().total_seconds() / 3600.0),
        ),
        meter=Meter(
            buy_price_per_kwh=column(site.meter.buy_price_per_kwh),
            sell_price_per_kwh=column(site.meter.sell_price_per_kwh),
            import_limit_kw=column(site.meter.import_limit_kw),
            export_limit_kw=column(site.meter.export_limit_kw),
        ),
        loads=(Load(name=load.name, power_kw=column(load.power_kw)),),
        photovoltaics=(
            Photovoltaic(
                name=plant.name, power_kw=column(plant.power_kw), curtailable=plant.curtailable
            ),
        ),
        storages=(
            Storage(
                name=store.name,
                energy_min_kwh=column(store.energy_min_kwh),
                energy_max_kwh=column(store.energy_max_kwh),
                initial_energy_kwh=store.initial_energy_kwh,
                charge_limit_kw=column(store.charge_limit_kw),
                discharge_limit_kw=column(store.discharge_limit_kw),
                charge_efficiency=store.charge_efficiency,
                discharge_efficiency=store.discharge_efficiency,
                wear_cost_per_kwh=store.wear_cost_per_kwh,
                targets=tuple(
                    EnergyTarget(interval=count - 1, min_kwh=target.min_kwh, max_kwh=np.inf)
                    for target in store.targets
                ),
            ),
        ),
    )


def _write(message: DispatchPlan, schedule: Schedule) -> None:
    out = message.schedule
    store, plant = out.storages.add(), out.photovoltaics.add()
    for series, values in (
        (out.import_kw, schedule.import_kw),
        (out.export_kw, schedule.export_kw),
        (store.charge_kw, schedule.charge_kw[0]),
        (store.discharge_kw, schedule.discharge_kw[0]),
        (store.state_of_charge_kwh, schedule.energy_kwh[0]),
        (plant.curtailed_kw, schedule.curtailed_kw[0]),
    ):
        series.values.extend(values.tolist())


def _load(_: int) -> None:
    """Imports Pyomo, which takes long enough for every process of the pool to get one to do."""
    from benchmarks.peers import pyomo_model  # noqa: F401


class Service(DispatchServiceServicer):
    """PlanDispatch by a pool of processes."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool

    def PlanDispatch(  # noqa: N802 -- gRPC's name
        self,
        request: PlanDispatchRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> PlanDispatchResponse:
        """The plan of one site."""
        answer = self.pool.submit(plan, request.SerializeToString()).result()
        return PlanDispatchResponse.FromString(answer)


def main() -> None:
    """Serves until told to stop, after a line that tells the address."""
    cores = len(os.sched_getaffinity(0))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(_load, range(cores)))
        server = grpc.server(ThreadPoolExecutor(2 * cores))
        # The other methods answer UNIMPLEMENTED by themselves.
        service = Service(pool)  # pyright: ignore[reportAbstractUsage]
        add_DispatchServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        print(json.dumps({"event": "listening", "address": f"127.0.0.1:{port}"}), flush=True)
        stop.wait()
        server.stop(1.0).wait()


if __name__ == "__main__":
    main()
