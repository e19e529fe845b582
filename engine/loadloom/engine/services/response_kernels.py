"""The kernels of response, compiled or loaded as this module is; see `orderly_kernels`."""

from datetime import date, timedelta

import numpy as np

from loadloom.models.response import solve
from loadloom.models.response.baseline import baselines
from loadloom.models.response.baseline_rule import BaselineRule, Event, Method
from loadloom.models.response.need import Ahead, ForecastMethod, NodeHistory, forecast
from loadloom.models.response.similar_days import Readings, Span

_DAYS = 40


def warm() -> None:
    """Plans call lists, forecasts a node and measures a customer, of each precision."""
    solve.warm()
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


warm()
