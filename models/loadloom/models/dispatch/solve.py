"""The choice of road: the fastest exact one that fits the site.

kernel          at most one store; a dynamic programme, convex or not, in microseconds
linear          any number of stores; a linear programme, with binaries where the plan needs them
mixed-integer   the same with every binary from the start
single          one vehicle, one appliance, or one heat bus with its tank; dynamic programmes
general         every other site: further devices, tariffs and soft limits, in one programme
reference       the textbook model in Pyomo; asked for, never chosen
"""

from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.dispatch import kernel, linear
from loadloom.models.dispatch.linear import solve_mixed_integer
from loadloom.models.dispatch.planners import SitePlanner
from loadloom.models.dispatch.problem import Load, Meter, Problem, Storage
from loadloom.models.dispatch.replan import settle_on
from loadloom.models.dispatch.single import road as single_road
from loadloom.models.dispatch.solution import Schedule, Solution, Values
from loadloom.models.dispatch.values import site_values
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason, Termination

INLINE_KERNEL_INTERVALS, INLINE_GENERAL_INTERVALS, INLINE_LINEAR_CELLS = 8_760, 192, 200
INLINE_SINGLE_INTERVALS = 192
"""Up to these a solve takes some 5 ms: intervals of the convex kernel, of the non-convex one, whose
work grows faster than the horizon, intervals x stores of the linear programme, and intervals of a
site with a single device."""


def solve(
    problem: Problem,
    options: SolveOptions | None = None,
    earlier: Schedule | None = None,
    planner: SitePlanner | None = None,
) -> Solution:
    """The best plan of a site by the road that fits, or by the one the caller asks for.

    Of several best plans it is the earlier one, if there is one and it still is among them, or else
    the one nearest to it in what each device draws. Where none is found in time, the earlier one is
    the plan as long as it keeps every rule. It is stated on the same horizon, NaN where it says
    nothing. With a `planner` of the site the solve goes on from its last one, where its road can.

    Raises:
        InvalidProblem: the method asked for cannot take the problem.
    """
    options, began_s = options or SolveOptions(), perf_counter()
    planner = planner or SitePlanner(linear=linear.Planner(options.seed))
    planner.general.search = None
    solution = _solve(problem, options, planner)
    if earlier is None:
        return solution
    left_s = max(0.0, options.time_limit_s - (perf_counter() - began_s))
    left = replace(options, time_limit_s=left_s)
    return settle_on(problem, left, solution, earlier, planner.general.search)


def _solve(problem: Problem, options: SolveOptions, planner: SitePlanner) -> Solution:
    method = _method(problem, options)
    if method is Method.KERNEL:
        solution = solve_kernel(problem)
        if solution is not None:
            return solution
        if options.method is Method.KERNEL:
            return _undecided()
    if method is Method.REFERENCE:
        # Pyomo takes a second to import, and few ask for it.
        from loadloom.models.dispatch.reference import solve_reference

        return solve_reference(problem, options)
    if not problem.plain:
        single = solve_single(problem) if options.method is None else None
        return single or planner.general.solve(problem, options)
    if method is Method.MIXED_INTEGER:
        return solve_mixed_integer(problem, options)
    return planner.linear.solve(problem, options)


def fits_inline(problem: Problem, options: SolveOptions | None = None) -> bool:
    """Whether the solve is short enough to run beside others in a thread of the server."""
    options = options or SolveOptions()
    if not problem.plain:
        short = problem.horizon.count <= INLINE_SINGLE_INTERVALS
        return short and options.method is None and single_road.stands_alone(problem)
    method = _method(problem, options)
    count, meter = problem.horizon.count, problem.meter
    convex = bool(
        np.all(meter.sell_price_per_kwh >= 0.0)
        and np.all(meter.sell_price_per_kwh <= meter.buy_price_per_kwh)
    )
    if method is Method.KERNEL:
        return count <= (INLINE_KERNEL_INTERVALS if convex else INLINE_GENERAL_INTERVALS)
    return (
        method is Method.LINEAR and convex and count * len(problem.storages) <= INLINE_LINEAR_CELLS
    )


def solve_single(problem: Problem) -> Solution | None:
    """The best plan of a site with a single device by a short road; None if it takes another."""
    return single_road.solve_single(problem, solve_kernel)


def solve_kernel(problem: Problem) -> Solution | None:
    """The best plan of a site with at most one store by dynamic programming.

    None if it cannot: too many pieces to hold, too little energy kept for its digits, or a plan
    that the audit refused. Another road must decide then.
    """
    count = problem.horizon.count
    columns = np.empty((7, 1, count))
    amounts, outcomes = np.empty((1, 7)), np.zeros(1, np.int8)
    conflicts, kernels = np.zeros(1, np.int32), np.zeros(1, np.int8)
    kernel.solve_range(
        _matrices(problem),
        _row(problem.horizon.step_h)[0],
        0,
        1,
        columns,
        amounts,
        outcomes,
        conflicts,
        kernels,
    )
    general = kernels[0] == kernel.GENERAL
    road = "non-convex kernel" if general else "convex kernel"
    if outcomes[0] == kernel.UNDECIDED:
        return None
    if outcomes[0] == kernel.INFEASIBLE:
        when = problem.horizon.clock(int(conflicts[0]))
        detail = f"looking back from the end, the rules first conflict in the interval from {when}"
        termination = Termination(
            reason=Reason.INFEASIBLE, objective=np.inf, bound=np.inf, detail=detail
        )
        return Solution(termination=termination, method=Method.KERNEL, road=road)
    objective, bound = float(amounts[0, 0]), float(amounts[0, 1])
    schedule = _schedule(problem, columns)
    stored = columns[6] if problem.storages else np.zeros((0, count))
    site = site_values(problem, schedule, stored)
    return Solution(
        termination=Termination(reason=Reason.OPTIMAL, objective=objective, bound=bound),
        method=Method.KERNEL,
        road=road,
        proof=Proof.DYNAMIC_PROGRAM if general else Proof.DUAL,
        schedule=schedule,
        values=Values(site_per_kwh=site, stored_per_kwh=stored),
    )


def warm() -> None:
    """Compiles every kernel, or loads it from the cache, and loads the linear road's library."""
    hours = np.ones(2)
    for sell in (0.0, 1.0):  # the second pays more than buying costs, which is not convex
        site = Problem(
            horizon=Horizon(start=datetime(2024, 1, 1, tzinfo=UTC), step_h=hours),
            meter=Meter(
                buy_price_per_kwh=0.5 * hours,
                sell_price_per_kwh=sell * hours,
                import_limit_kw=hours,
                export_limit_kw=hours,
            ),
            loads=(Load(name="load", power_kw=0.5 * hours),),
            storages=(_no_store(2),),
        )
        for method in (Method.KERNEL, Method.LINEAR):
            solve(site, SolveOptions(method=method))
    single_road.warm(site, _no_store(2))


def _method(problem: Problem, options: SolveOptions) -> Method:
    fits_kernel = problem.plain and len(problem.storages) <= 1
    if options.method is Method.KERNEL and not fits_kernel:
        message = "the kernel takes a plain site with at most one storage"
        if problem.plain:
            message = f"the kernel takes at most one storage; the site has {len(problem.storages)}"
        raise InvalidProblem([Violation("options.method", message)])
    return options.method or (Method.KERNEL if fits_kernel else Method.LINEAR)


def _undecided() -> Solution:
    return Solution(
        termination=Termination(
            reason=Reason.NO_SOLUTION_FOUND,
            objective=np.inf,
            bound=-np.inf,
            detail="the kernel cannot settle this site to the last digit; choose another method",
        ),
        method=Method.KERNEL,
        road="non-convex kernel",
    )


def _no_store(count: int) -> Storage:
    nothing = np.zeros(count)
    return Storage(
        name="none",
        energy_min_kwh=nothing,
        energy_max_kwh=nothing,
        initial_energy_kwh=0.0,
        charge_limit_kw=nothing,
        discharge_limit_kw=nothing,
    )


def _row(values: FloatArray | float) -> FloatArray:
    row = np.array(values, dtype=np.float64, ndmin=2)
    row.flags.writeable = False
    return row


def _matrices(problem: Problem) -> tuple[FloatArray, ...]:
    """The site as a batch of one row: all plants as one to curtail, the rest taken off the load."""
    meter = problem.meter
    store = problem.storages[0] if problem.storages else _no_store(problem.horizon.count)
    low, high = store.energy_bounds_kwh()
    free = problem.curtailable_kw
    rows = (
        problem.net_load_kw + free,
        free,
        1.0,
        meter.buy_price_per_kwh,
        meter.sell_price_per_kwh,
        meter.import_limit_kw,
        meter.export_limit_kw,
        low,
        high,
        store.initial_energy_kwh,
        store.charge_limit_kw,
        store.discharge_limit_kw,
        store.charge_efficiency,
        store.discharge_efficiency,
        store.self_discharge_per_h,
        store.wear_cost_per_kwh,
        store.end_value_per_kwh,
        -np.inf,
        np.inf,
    )
    return tuple(map(_row, rows))


def _schedule(problem: Problem, columns: FloatArray) -> Schedule:
    """The columns as a schedule, what is curtailed shared among the plants in proportion."""
    stores = slice(0, len(problem.storages))
    plants = [p.power_kw if p.curtailable else 0.0 * p.power_kw for p in problem.photovoltaics]
    free = np.array(plants).reshape(-1, problem.horizon.count)
    total = np.maximum(problem.curtailable_kw, 1e-300)
    return Schedule(
        charge_kw=columns[0][stores],
        discharge_kw=columns[1][stores],
        energy_kwh=columns[2][stores],
        curtailed_kw=columns[3][0] * (free / total),
        import_kw=columns[4][0],
        export_kw=columns[5][0],
    )
