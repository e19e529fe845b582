"""Laws of the optimum: what a change of a site must do to its cost, whatever its numbers."""

from dataclasses import fields, replace

import numpy as np
import pytest

from loadloom.models.dispatch.referee import cost
from loadloom.models.dispatch.solve import solve_kernel
from loadloom.models.horizon import Horizon
from tests.models.dispatch.instances import random_problem


def cases():
    rng = np.random.default_rng(11)
    for _ in range(60):
        problem = random_problem(rng, count=24, convex=bool(rng.integers(2)))
        solution = solve_kernel(problem)
        if solution.schedule is not None:
            yield problem, cost(problem, solution.schedule).total


def paid(problem):
    solution = solve_kernel(problem)
    assert solution.schedule is not None
    return cost(problem, solution.schedule).total


def test_more_capacity_never_costs_more():
    for problem, before in cases():
        storage = problem.storages[0]
        larger = replace(storage, energy_max_kwh=1.5 * storage.energy_max_kwh)
        assert paid(replace(problem, storages=(larger,))) <= before + 1e-9


def test_more_power_never_costs_more():
    for problem, before in cases():
        storage = problem.storages[0]
        stronger = replace(
            storage,
            charge_limit_kw=1.3 * storage.charge_limit_kw,
            discharge_limit_kw=1.3 * storage.discharge_limit_kw,
        )
        assert paid(replace(problem, storages=(stronger,))) <= before + 1e-9


def test_twice_the_prices_cost_twice():
    for problem, before in cases():
        meter, storage = problem.meter, problem.storages[0]
        dearer = replace(
            meter,
            buy_price_per_kwh=2 * meter.buy_price_per_kwh,
            sell_price_per_kwh=2 * meter.sell_price_per_kwh,
        )
        worn = replace(
            storage,
            wear_cost_per_kwh=2 * storage.wear_cost_per_kwh,
            end_value_per_kwh=2 * storage.end_value_per_kwh,
        )
        after = paid(replace(problem, meter=dearer, storages=(worn,)))
        assert after == pytest.approx(2 * before, rel=1e-9, abs=1e-9)


def test_a_site_of_twice_the_size_costs_twice():
    for problem, before in cases():
        if problem.storages[0].targets:
            continue
        twice = {
            family: tuple(replace(d, **doubled(d)) for d in getattr(problem, family))
            for family in ("loads", "photovoltaics", "storages")
        }
        meter = replace(problem.meter, **doubled(problem.meter))
        larger = paid(replace(problem, meter=meter, **twice))
        assert larger == pytest.approx(2 * before, rel=1e-9, abs=1e-9)


def test_another_day_costs_the_same():
    for problem, before in cases():
        later = Horizon(
            start=problem.horizon.start.replace(year=2025),
            step_h=problem.horizon.step_h,
            time_zone="Asia/Tokyo",
        )
        assert paid(replace(problem, horizon=later)) == before


def test_splitting_every_interval_never_costs_more():
    for problem, before in cases():
        storage = problem.storages[0]
        # With self-discharge, half of a charge comes earlier and loses more.
        if storage.targets or storage.self_discharge_per_h > 0.0:
            continue
        assert paid(halved(problem)) <= before + 1e-9


def doubled(part):
    """The powers and energies of a part of a site, doubled, but no price per kWh."""
    names = [f.name for f in fields(part) if f.name.endswith(("_kw", "_kwh"))]
    return {name: 2 * getattr(part, name) for name in names if "_per_" not in name}


def halved(problem):
    """The same site on intervals half as long; a plan of the whole ones still fits."""
    twice = lambda values: np.repeat(values, 2)  # noqa: E731
    storage = problem.storages[0]
    low = np.zeros(2 * problem.horizon.count)
    low[1::2] = storage.energy_min_kwh
    high = np.full(2 * problem.horizon.count, 1e6)
    high[1::2] = storage.energy_max_kwh
    return replace(
        problem,
        horizon=replace(problem.horizon, step_h=twice(problem.horizon.step_h) / 2),
        meter=replace(
            problem.meter,
            buy_price_per_kwh=twice(problem.meter.buy_price_per_kwh),
            sell_price_per_kwh=twice(problem.meter.sell_price_per_kwh),
            import_limit_kw=twice(problem.meter.import_limit_kw),
            export_limit_kw=twice(problem.meter.export_limit_kw),
        ),
        loads=tuple(replace(x, power_kw=twice(x.power_kw)) for x in problem.loads),
        photovoltaics=tuple(replace(x, power_kw=twice(x.power_kw)) for x in problem.photovoltaics),
        storages=(
            replace(
                storage,
                # Half an interval may end anywhere that the next half can mend.
                energy_min_kwh=low,
                energy_max_kwh=high,
                charge_limit_kw=twice(storage.charge_limit_kw),
                discharge_limit_kw=twice(storage.discharge_limit_kw),
            ),
        ),
    )
