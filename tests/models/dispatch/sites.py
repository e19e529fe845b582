"""Small sites written out by hand."""

from datetime import UTC, datetime

import numpy as np

from loadloom.models.dispatch.problem import Load, Meter, Photovoltaic, Problem, Storage
from loadloom.models.horizon import FloatArray, Horizon

START = datetime(2024, 6, 1, 18, tzinfo=UTC)


def site(
    *storages: Storage,
    buy,
    sell=0.0,
    load=0.0,
    pv=0.0,
    curtailable=False,
    import_limit=np.inf,
    export_limit=np.inf,
    step_h=1.0,
) -> Problem:
    """A site with a load, a plant and stores; single numbers hold for every interval."""
    count = max(np.size(value) for value in (buy, sell, load, pv, import_limit, step_h))

    def series(values) -> FloatArray:
        return np.broadcast_to(np.asarray(values, dtype=float), count).copy()

    return Problem(
        horizon=Horizon(start=START, step_h=series(step_h)),
        meter=Meter(
            buy_price_per_kwh=series(buy),
            sell_price_per_kwh=series(sell),
            import_limit_kw=series(import_limit),
            export_limit_kw=series(export_limit),
        ),
        loads=(Load(name="load", power_kw=series(load)),),
        photovoltaics=(Photovoltaic(name="pv", power_kw=series(pv), curtailable=curtailable),),
        storages=storages,
    )


def battery(
    count: int,
    *,
    capacity=10.0,
    initial=0.0,
    charge=5.0,
    discharge=5.0,
    efficiency=1.0,
    least=0.0,
    name="battery",
    **others,
) -> Storage:
    """A store whose limits hold for every interval, with the same efficiency either way."""

    def series(value) -> FloatArray:
        return np.broadcast_to(np.asarray(value, dtype=float), count).copy()

    return Storage(
        name=name,
        energy_min_kwh=series(least),
        energy_max_kwh=series(capacity),
        initial_energy_kwh=initial,
        charge_limit_kw=series(charge),
        discharge_limit_kw=series(discharge),
        charge_efficiency=efficiency,
        discharge_efficiency=efficiency,
        **others,
    )
