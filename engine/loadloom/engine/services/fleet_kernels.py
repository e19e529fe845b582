"""The kernels of fleets, there once this module is loaded; see `orderly_kernels`."""

from datetime import UTC, datetime

import numpy as np

from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.fleet.explain import explain
from loadloom.models.dispatch.fleet.problem import Fleet, Network
from loadloom.models.dispatch.fleet.referee import judge
from loadloom.models.dispatch.fleet.solve import solve
from loadloom.models.horizon import FloatArray, Horizon


def warm() -> None:
    """Plans, referees and explains a fleet that keeps its limit, and one that cannot."""
    for limit_kw in (12.0, 0.0):
        fleet = _fleet(np.full((1, 2), limit_kw))
        found = solve(fleet)
        if found.plan is not None:
            judge(fleet, found.plan.columns)
            explain(fleet, found)


def _fleet(limit_kw: FloatArray) -> Fleet:
    """Some sites that charge when it is cheap, of both kinds of kernel."""
    price = np.array([[0.1, 0.3], [-0.1, 0.3]])
    one = np.ones((1, 1))
    sites = Batch(
        horizon=Horizon(start=datetime(2026, 1, 1, tzinfo=UTC), step_h=np.ones(2)),
        site_count=12,
        load_kw=0.5 * one,
        buy_price_per_kwh=price[np.arange(12) // 6],
        sell_price_per_kwh=np.array([[-0.1]]),
        energy_max_kwh=one,
        charge_limit_kw=one,
        discharge_limit_kw=one,
        charge_efficiency=0.9 * one,
    )
    network = Network(
        names=("all",),
        parents=np.array([-1]),
        import_limit_kw=limit_kw,
        export_limit_kw=np.full((1, 2), np.inf),
        breach_price_per_kwh=np.array([np.inf]),
    )
    return Fleet(sites=sites, site_nodes=np.zeros(12, np.int64), network=network)


warm()
