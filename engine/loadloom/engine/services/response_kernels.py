"""The kernels of response, compiled or loaded as this module is; see `orderly_kernels`."""

from datetime import date, timedelta

import numpy as np

from loadloom.models.response import solve
from loadloom.models.response.baseline import baselines
from loadloom.models.response.baseline_rule import BaselineRule, Event, Method
from loadloom.models.response.need import Ahead, ForecastMethod, NodeHistory, forecast
from loadloom.models.response.network import Network
from loadloom.models.response.problem import Customers, Offers, Problem
from loadloom.models.response.similar_days import Readings, Span
from loadloom.models.response.solution import PlanOptions

_DAYS = 40

TREES = (200, 200, 200, 200, 200, 12, 20, 40)
"""The customers of networks that are planned for: what prices choose must be mended in some of the
large ones, and the small ones are searched as a whole."""


def warm() -> None:
    """Plans call lists, forecasts a node and measures a customer, of each precision."""
    solve.warm()
    for seed, count in enumerate(TREES):
        solve.plan(_tree(count, seed), PlanOptions(relative_gap=0.01))
    dates = tuple(date(2026, 1, 1) + timedelta(days=day) for day in range(_DAYS + 1))
    event = Event(day=_DAYS, window=Span(first=1, count=1))
    for kind in (np.float32, np.float64):
        load_kw = np.add.outer(np.arange(_DAYS + 1.0) % 7, np.ones(2))[None].astype(kind)
        past = NodeHistory(load_kw=load_kw[:, :_DAYS], dates=dates[:_DAYS])
        for way in ForecastMethod:
            forecast(past, Ahead(dates=dates[_DAYS:]), method=way)
        air = np.tile(np.array([20.0, 25.0]), (_DAYS + 1, 1))
        readings = Readings(load_kw=load_kw, dates=dates, temperature_c=air)
        for method in Method:
            baselines(readings, event, BaselineRule(method=method), controls=readings)


def _tree(count: int, seed: int) -> Problem:
    """Transformers under a feeder under a substation, which need some of so many customers."""
    random = np.random.default_rng(seed)
    mean_kw = random.lognormal(0.0, 0.7, count)
    offers = Offers(
        mean_kw=mean_kw,
        variance_kw2=mean_kw**2 * random.uniform(0.1, 1.0, count),
        cost=0.8 * mean_kw + random.uniform(0.1, 1.0, count),
    )
    parent, share = np.array([-1, 0, 1, 1, 1, 1]), np.array([0.35, 0.3, 0.2, 0.0, 0.4, 0.1])
    node = 2 + np.arange(count) % 4
    below_kw = np.bincount(node, mean_kw, parent.size).astype(np.float64)
    below_kw[:2] = mean_kw.sum()
    network = Network(parent=parent, need_kw=(share * below_kw)[:, None], confidence=np.array(0.95))
    return Problem(customers=Customers(count=count, node=node), offers=offers, network=network)


warm()
