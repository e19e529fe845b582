"""Loadloom's own roads, asked in the same way as the peers."""

from collections.abc import Mapping

from benchmarks.harness import GAP_LIMIT, Contender, Judgement, combined, judge
from benchmarks.peers.peer import IMPOSSIBLE, Answer, Answerer, Peer, fresh, schedule_of
from loadloom.models.dispatch.batch import COLUMNS, Batch, BatchSolution, solve_batch
from loadloom.models.dispatch.linear import Planner
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Solution
from loadloom.models.dispatch.solve import solve
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method, SolveOptions


def _answer(solution: Solution) -> Answer:
    """A solution as a peer's answer."""
    if solution.schedule is None:
        return IMPOSSIBLE
    return Answer(schedule=solution.schedule, claimed_cost=solution.termination.objective)


def _road(method: Method, relative_gap: float = SolveOptions().relative_gap) -> Answerer:
    options = SolveOptions(method=method, relative_gap=relative_gap)
    return lambda problem: _answer(solve(problem, options))


def _prepare_planner(problem: Problem) -> Answerer:
    """The linear road with its model kept between solves."""
    planner = Planner()
    planner.solve(problem, SolveOptions())
    return lambda other: _answer(planner.solve(other, SolveOptions()))


KERNEL = fresh("Loadloom kernel, one call", _road(Method.KERNEL))
LINEAR = fresh("Loadloom linear road", _road(Method.LINEAR))
LINEAR_TO_GAP = fresh("Loadloom linear road, to HiGHS's gap", _road(Method.LINEAR, GAP_LIMIT))
MIXED_INTEGER = fresh("Loadloom mixed-integer road", _road(Method.MIXED_INTEGER))
PLANNER = Peer(name="Loadloom linear road, re-planned", prepare=_prepare_planner)
ROADS = (KERNEL, LINEAR, MIXED_INTEGER)


def optimum(problem: Problem) -> float:
    """The proven bound on the cost of a problem; that it is not too high, the peers' costs show."""
    return solve(problem).termination.bound


def batch_contender(name: str, batch: Batch, threads: int = 1) -> Contender:
    """The kernel on a batch, every row refereed; times are those of one site."""
    return Contender(
        name=name,
        run=lambda _: solve_batch(batch, threads),
        judge=lambda _, solution: judge_batch(batch, solution),
        solves=batch.site_count,
    )


def judge_batch(batch: Batch, solution: BatchSolution) -> Judgement:
    """The referee's word on every row of a batch."""
    columns = {name: solution.column(name) for name in COLUMNS}
    amounts = {name: solution.amount(name) for name in ("objective", "bound")}
    return judge_columns(batch, columns | amounts)


def judge_columns(batch: Batch, columns: Mapping[str, FloatArray]) -> Judgement:
    """The referee's word on every row of the answer to a batch, in the columns of the API."""
    return combined([_judge_row(batch, columns, row) for row in range(batch.site_count)])


def _judge_row(batch: Batch, columns: Mapping[str, FloatArray], row: int) -> Judgement:
    schedule = schedule_of(
        charge_kw=columns["charge_kw"][row],
        discharge_kw=columns["discharge_kw"][row],
        energy_kwh=columns["state_of_charge_kwh"][row],
        curtailed_kw=columns["curtailed_kw"][row],
        import_kw=columns["import_kw"][row],
        export_kw=columns["export_kw"][row],
    )
    answer = Answer(schedule=schedule, claimed_cost=float(columns["objective"][row]))
    return judge(batch.site(row), answer, float(columns["bound"][row]))
