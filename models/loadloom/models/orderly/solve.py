"""The choice of road, and the lexicographic order in which a week is solved.

coupled     any size: prices, a bound, plans near it (`solvers.coupled`); the smallest weeks are
            then settled by the reference
flat        every window a binary, in HiGHS; exact; asked for, never chosen
reference   the rules word by word in CP-SAT; exact, for some users
rota        equal users taking turns; a construction, revised by coupled choices

With a strict legal order or leximin, least unserved energy is a stage of its own, and kept by all
that follow. With a strict order, the kWh of CUT, LIMIT and AVOID are made least in turn, each then
a budget for all further stages; with leximin the largest burdens are lowered in turn, each a cap;
last comes the loss. Without either, unserved energy counts by its price alone: it comes first as
long as that price is above what any relief costs.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.orderly.problem import (
    FairnessMode,
    Kind,
    Measures,
    Problem,
    Shortage,
    Users,
)
from loadloom.models.orderly.solution import OrderlyOptions, Report, Road, Solution
from loadloom.models.orderly.week import Week
from loadloom.solvers.coupled.budget import Clock


def solve(
    problem: Problem,
    options: OrderlyOptions | None = None,
    report: Report | None = None,
    clock: Clock | None = None,
) -> Solution:
    """The best plan within the limits; there is always one, since calling nobody is a plan.

    `report` hears of progress and may stop the search; `clock` tells seconds, and without one the
    time limit is not read.

    Raises:
        InvalidProblem: the road asked for cannot take the problem, or the rules of a rota do not
            fit; or what was announced cannot be kept.
    """
    options = options or OrderlyOptions()
    if problem.fairness.mode is FairnessMode.EQUAL_HOURS:
        return _solve_turns(problem, options, report, clock)
    if options.road is Road.ROTA:
        message = "is the rota; it fits equal hours alone"
        raise InvalidProblem([Violation("options.road", message)])
    if options.road is Road.REFERENCE:
        # CP-SAT takes a second to import, and few ask for it.
        from loadloom.models.orderly.reference import solve_reference

        return solve_reference(problem, options, clock)
    if options.road is Road.FLAT:
        from loadloom.models.orderly.flat import solve_flat

        return solve_flat(problem, options)
    from loadloom.models.orderly.stages import solve_stages

    return solve_stages(problem, options, report, clock)


def _solve_turns(
    problem: Problem, options: OrderlyOptions, report: Report | None, clock: Clock | None
) -> Solution:
    """The rota; once turns are announced, which stay where they are, the cheapest revision."""
    from loadloom.models.orderly.rota import solve_rota, spread_stage

    if problem.announced is None:
        return solve_rota(problem, options)
    from loadloom.models.orderly.stages import solve_stages

    solution = solve_stages(problem, replace(options, road=None), report, clock)
    spread = spread_stage(problem, solution.plan)
    return replace(solution, stages=(*solution.stages, spread))


WARM_ROUNDS = 4
"""Rounds of search that meet every kernel: prices, responses and annealing."""


def warm() -> None:
    """Compiles every kernel of the coupled road, or loads it from the cache.

    The week is too large to be settled at once, and has a gap, so that the search goes on. It is
    solved, and then revised for half the shortage. No thread is left behind, so that processes can
    be forked from this one.
    """
    count, slots = 12, 8
    rng = np.random.default_rng(0)
    short = np.zeros((7, slots))
    short[:, 5:7] = 150.0
    week = Problem(
        week=Week(start=datetime(2024, 1, 1, tzinfo=UTC), slot_count=slots),
        users=Users(
            names=tuple(map(str, range(count))),
            load_kw=np.full((count, 7, slots), 100.0),
            contract_kwh=np.full(count, 1e4),
            max_days=np.full(count, 2),
        ),
        measures=Measures(
            user=np.arange(count),
            kind=np.full(count, Kind.LIMIT),
            cap_kw=rng.uniform(20.0, 60.0, count),
            cost_per_kwh=rng.uniform(1.0, 3.0, count),
            start_cost=np.full(count, 50.0),
        ),
        shortage=Shortage(shortage_kw=short, unserved_price_per_kwh=50.0),
    )
    options = OrderlyOptions(road=Road.COUPLED, work_limit=WARM_ROUNDS)
    announced = solve(week, options).plan
    less = replace(week.shortage, shortage_kw=0.5 * short)
    before = week.week.start - timedelta(days=9)  # time enough for the notice of all other windows
    solve(replace(week, shortage=less, announced=announced, now=before), options)
