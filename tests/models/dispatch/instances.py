"""Random sites for the tests of every road: small, repeatable, and full of awkward corners."""

from datetime import UTC, datetime

import numpy as np

from loadloom.models.dispatch.problem import (
    EnergyTarget,
    Load,
    Meter,
    Photovoltaic,
    Problem,
    Storage,
)
from loadloom.models.horizon import FloatArray, Horizon

START = datetime(2024, 6, 1, tzinfo=UTC)


def random_problem(
    rng: np.random.Generator, *, count: int, stores: int = 1, convex: bool = True
) -> Problem:
    """A random site with `count` intervals, most often feasible.

    Convex means 0 <= sell <= buy and free curtailment, where a linear programme is exact; otherwise
    prices have any sign, selling may pay more than buying costs, and photovoltaic surplus may be
    trapped. Steps may be uneven; there are one or two loads, up to two plants, and `stores` stores
    with losses, wear, end values, targets and blocked intervals.
    """
    step_h = _steps(rng, count)
    storages = tuple(_storage(rng, index, count, step_h) for index in range(stores))
    return Problem(
        horizon=Horizon(start=START, step_h=step_h),
        meter=_meter(rng, count, convex, sum(s.charge_limit_kw.max() for s in storages)),
        loads=tuple(
            Load(name=f"load {index}", power_kw=rng.gamma(2.0, 1.0, count))
            for index in range(rng.integers(1, 3))
        ),
        photovoltaics=tuple(
            _plant(rng, index, step_h, convex) for index in range(rng.integers(0, 3))
        ),
        storages=storages,
        name="random",
    )


def _steps(rng: np.random.Generator, count: int) -> FloatArray:
    if rng.random() < 0.3:
        return rng.choice([0.25, 0.5, 1.0, 2.0], count)
    return np.full(count, rng.choice([0.25, 0.5, 1.0]))


def _meter(rng: np.random.Generator, count: int, convex: bool, charge_kw: float) -> Meter:
    buy, sell = _prices(rng, count, convex)
    return Meter(
        buy_price_per_kwh=buy,
        sell_price_per_kwh=sell,
        import_limit_kw=np.full(count, rng.choice([np.inf, 1000.0, 15.0 + charge_kw])),
        export_limit_kw=np.full(count, rng.choice([np.inf, 1000.0, 5.0, 0.0])),
        currency_code="EUR",
    )


def _prices(rng: np.random.Generator, count: int, convex: bool) -> tuple[FloatArray, FloatArray]:
    """Buying and selling prices: smooth, in blocks, or from a tariff with ties."""
    kind = rng.integers(3)
    if kind == 0:
        buy = rng.normal(0.2, 0.15, count)
    elif kind == 1:
        buy = np.repeat(rng.normal(0.2, 0.15, count // 4 + 1), 4)[:count]
    else:
        buy = rng.choice([0.1, 0.2, 0.35], count)
    if convex:
        buy = np.abs(buy)
        return buy, buy * rng.choice([0.0, 0.6, 1.0])
    spread = rng.choice([0.0, 0.02, 0.1]) * rng.random(count)
    above = rng.random(count) < rng.choice([0.0, 0.2])
    return buy, np.where(above, buy + 0.05, buy - spread)


def _plant(rng: np.random.Generator, index: int, step_h: FloatArray, convex: bool) -> Photovoltaic:
    hour = np.cumsum(step_h) % 24.0
    sun = np.maximum(0.0, np.sin((hour - 6.0) * np.pi / 12.0)) if step_h.sum() > 6.0 else 1.0
    power = sun * rng.uniform(0.0, 6.0) * rng.uniform(0.5, 1.0, step_h.size)
    return Photovoltaic(
        name=f"plant {index}", power_kw=power, curtailable=bool(convex or rng.random() < 0.7)
    )


def _storage(rng: np.random.Generator, index: int, count: int, step_h: FloatArray) -> Storage:
    capacity = rng.uniform(2.0, 20.0)
    power = capacity / rng.uniform(0.5, 8.0)
    lowest = rng.choice([0.0, 0.1]) * capacity
    loss = float(rng.choice([0.0, 0.0001, 0.005]))
    initial = rng.uniform(lowest / (1.0 - loss) ** step_h[0], capacity)
    left = initial * (1.0 - loss) ** step_h.sum()
    open_, blocked = np.ones(count), rng.random(count) > 0.2
    gates = (blocked, open_) if rng.random() < 0.3 else (open_, open_)
    return Storage(
        name=f"store {index}",
        energy_min_kwh=np.full(count, min(lowest, left)),
        energy_max_kwh=np.full(count, capacity),
        initial_energy_kwh=initial,
        charge_limit_kw=power * gates[0],
        discharge_limit_kw=power * rng.uniform(0.5, 1.0) * gates[1],
        charge_efficiency=float(rng.choice([1.0, rng.uniform(0.85, 1.0)], p=[0.2, 0.8])),
        discharge_efficiency=float(rng.choice([1.0, rng.uniform(0.85, 1.0)], p=[0.2, 0.8])),
        self_discharge_per_h=loss,
        wear_cost_per_kwh=float(rng.choice([0.0, 0.01, 0.05])),
        end_value_per_kwh=float(rng.choice([0.0, rng.uniform(0.0, 0.3)])),
        targets=_targets(rng, count, min(lowest, left), left),
    )


def _targets(
    rng: np.random.Generator, count: int, lowest: float, left: float
) -> tuple[EnergyTarget, ...]:
    """No target, or ranges and fixed values about the energy that would be left unused."""
    kind = rng.integers(4)
    last = EnergyTarget(interval=count - 1, min_kwh=max(lowest, 0.9 * left), max_kwh=np.inf)
    middle = EnergyTarget(interval=count // 2, min_kwh=-np.inf, max_kwh=1.1 * left)
    fixed = max(lowest, 0.95 * left)
    exact = EnergyTarget(interval=count - 1, min_kwh=fixed, max_kwh=fixed)
    return ((), (last,), (exact,), (middle, last))[kind]
