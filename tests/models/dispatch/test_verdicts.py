"""What the kernel calls impossible is impossible, and what it plans is possible.

The sites lie about the edge of what is possible: limits are drawn around an operation that keeps
them, and then some are tightened. Numbers go up to megawatts and steps up to a day, since a verdict
on absolute tolerances would fail there first. The integer programme is the judge; possibility does
not depend on prices, so it gets none and is quick.
"""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.linear import solve_mixed_integer
from loadloom.models.dispatch.problem import Load, Meter, Photovoltaic, Problem, Storage
from loadloom.models.dispatch.referee import violations
from loadloom.models.dispatch.solve import solve_kernel
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.instances import START

MARGIN = 1e-4
"""How far, relative to a limit, a site lies on one side of the edge at the least."""


def site_at_the_edge(rng: np.random.Generator, count: int) -> Problem:
    """A site whose surplus must go through its store, up to what its limits were drawn around."""
    step_h = rng.choice([0.25, 1.0, 6.0, 24.0], count) if rng.random() < 0.6 else np.ones(count)
    scale_kw = 10.0 ** rng.uniform(0.0, 4.0)
    load = scale_kw * rng.gamma(2.0, 0.3, count)
    pv = scale_kw * np.maximum(0.0, rng.normal(0.5, 1.0, count))
    store, moved = _store(rng, count, step_h, scale_kw)
    meter = _meter(rng, load - pv + moved)
    return Problem(
        horizon=Horizon(start=START, step_h=step_h),
        meter=meter,
        loads=(Load(name="load", power_kw=load),),
        photovoltaics=(Photovoltaic(name="pv", power_kw=pv, curtailable=bool(rng.random() < 0.2)),),
        storages=(store,),
    )


def _store(
    rng: np.random.Generator, count: int, step_h: FloatArray, scale_kw: float
) -> tuple[Storage, FloatArray]:
    """A store, and what it draws (or gives, if negative) in an operation that keeps its limits."""
    into, out = rng.uniform(0.7, 1.0, 2)
    loss = float(rng.choice([0.0, 1e-4, 5e-3]))
    capacity = scale_kw * rng.uniform(1.0, 12.0)
    energy = np.empty(count)
    moved = np.empty(count)
    # A store that is nearly full all the time cannot take a surplus, only burn it by its losses.
    least = rng.choice([0.0, 0.9])
    now = initial = capacity * rng.uniform(least, 1.0)
    for t in range(count):
        kept = now * (1.0 - loss) ** step_h[t]
        now = energy[t] = capacity * rng.uniform(least, 1.0) if rng.random() < 0.7 else kept
        gain = now - kept
        moved[t] = (gain / into if gain > 0 else gain * out) / step_h[t]
    store = Storage(
        name="store",
        energy_min_kwh=np.where(rng.random(count) < 0.1, energy * (1.0 - MARGIN), 0.0),
        energy_max_kwh=np.full(count, capacity),
        initial_energy_kwh=initial,
        charge_limit_kw=np.full(count, max(moved.max(), 0.1 * scale_kw) * (1.0 + MARGIN)),
        discharge_limit_kw=np.full(count, max(-moved.min(), 0.1 * scale_kw) * (1.0 + MARGIN)),
        charge_efficiency=into,
        discharge_efficiency=out,
        self_discharge_per_h=loss,
    )
    return store, moved


def _meter(rng: np.random.Generator, net_kw: FloatArray) -> Meter:
    """Limits about what an operation exchanges, some too tight for it; prices of any kind."""
    tightened = rng.random(net_kw.size) < rng.choice([0.0, 0.05, 0.2, 0.5])
    tight = np.where(tightened, rng.uniform(0.1, 0.95), 1.0)
    room_kw = np.abs(net_kw) * tight * (1.0 + MARGIN) + MARGIN
    buy = rng.normal(0.1, 0.15, net_kw.size)
    return Meter(
        buy_price_per_kwh=buy,
        sell_price_per_kwh=buy + rng.choice([-0.05, 0.0, 0.05], net_kw.size),
        import_limit_kw=np.where(net_kw > 0, room_kw, MARGIN),
        export_limit_kw=np.where(net_kw < 0, room_kw, MARGIN),
    )


def judged(problem: Problem) -> Reason:
    """What the integer programme says of the site, with no price to look for."""
    free = np.zeros(problem.horizon.count)
    meter = replace(problem.meter, buy_price_per_kwh=free, sell_price_per_kwh=free)
    asked = replace(problem, meter=meter)
    solution = solve_mixed_integer(asked, SolveOptions(time_limit_s=20.0))
    if solution.schedule is not None:
        assert not violations(asked, solution.schedule)
    return solution.termination.reason


def check_verdicts(rng: np.random.Generator, sites: int, counts: list[int]) -> tuple[int, int]:
    """The numbers of sites found possible and impossible; asserts that both roads agree."""
    possible = impossible = 0
    for _ in range(sites):
        problem = site_at_the_edge(rng, int(rng.choice(counts)))
        solution = solve_kernel(problem)
        if solution is None:  # it leaves the verdict to the others
            continue
        if solution.schedule is None:
            assert solution.termination.reason is Reason.INFEASIBLE
            assert judged(problem) is Reason.INFEASIBLE
            impossible += 1
        else:
            assert not violations(problem, solution.schedule)
            possible += 1
    return possible, impossible


@pytest.mark.parametrize("seed", range(8))
def test_what_the_kernel_calls_impossible_is_so_for_the_integer_programme(seed):
    rng = np.random.default_rng(5_000 + seed)
    possible, impossible = check_verdicts(rng, 150, [2, 8, 24, 60])
    assert possible > 20
    assert impossible > 20


@pytest.mark.parametrize("seed", range(2))
def test_long_horizons_get_the_same_verdict(seed):
    rng = np.random.default_rng(6_000 + seed)
    possible, impossible = check_verdicts(rng, 30, [120, 200])
    assert possible > 2
    assert impossible > 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_thousands_of_verdicts_agree(seed):
    rng = np.random.default_rng(7_000 + seed)
    check_verdicts(rng, 200, [1, 3, 12, 48, 96, 200])
