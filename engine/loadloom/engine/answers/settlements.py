"""The refereed settlement with its statements; what runs in a worker process."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from loadloom.engine.answers.agency import Answer, Ended, reported
from loadloom.engine.convert import settlements as convert
from loadloom.engine.convert.settlements import Settling
from loadloom.engine.convert.shares import render_report
from loadloom.engine.convert.statements import chunks, of_user
from loadloom.engine.store.settlements import Chunk
from loadloom.engine.task import RejectedPlan, Task
from loadloom.models.agency import referee
from loadloom.models.agency.explain import outcome
from loadloom.models.agency.figures import pooled_cost
from loadloom.models.agency.problem import Curves, Problem
from loadloom.models.agency.settle import Settlement
from loadloom.models.agency.solve import solve
from loadloom.models.checks import InvalidProblem
from loadloom.v1 import agency_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A settlement as it is kept: a message without its name and time, and its statements."""

    header: bytes
    chunks: Sequence[Chunk]


def settled(task: Task[Settling]) -> Answer[Settled]:
    """A settlement, refereed, with its statements.

    Raises:
        InvalidProblem: the readings in files break rules, or amounts are too large to be settled.
        RejectedPlan: the referee found the settlement to be wrong.
    """
    started = perf_counter()
    asked = task.problem
    try:
        problem = asked.problem(_curves(asked))
        solution = solve(problem, task.options)
    except InvalidProblem as error:
        raise InvalidProblem(map(asked.renamed, error.violations)) from error
    settlement = solution.settlement
    if broken := referee.violations(problem, settlement):
        raise RejectedPlan(f"{solution.road}: {'; '.join(map(str, broken[:20]))}")
    solve_s = perf_counter() - started
    said = outcome(problem, settlement)
    header = convert.header(asked, problem, settlement, said)
    if asked.request.terms.sharing.report:
        header.report.CopyFrom(_report(problem, settlement, task.options.seed))
    kept = chunks(problem, settlement, said.alone, asked.before)
    # A settlement is kept for ever: one whose statements cannot be made ends here.
    of_user(header, kept[0], kept[0].first_user.decode())
    return Answer(
        solution=Ended(
            termination=solution.termination, method=solution.method, road=solution.road
        ),
        found=Settled(header=header.SerializeToString(), chunks=kept),
        solve_s=solve_s,
    )


def _curves(asked: Settling) -> Curves:
    """The readings of the users, who in a correction are those of the settlement before."""
    curves = asked.curves
    if curves is None and asked.files is not None:
        curves = asked.files.curves(asked.axis.horizon, asked.most_points, asked.most_users)
    if curves is None:
        raise ValueError("a settlement is asked for without readings")
    asked.check_users(curves.names)
    return curves


def _report(problem: Problem, settlement: Settlement, seed: int) -> pb.SharingReport:
    """What is known of the shares of a settlement."""
    pooled, purchase = pooled_cost(problem), problem.purchase
    found, prices = reported(problem.curves, pooled, settlement.shares, purchase, seed)
    return render_report(found, prices, problem.curves.names, convert.MOST_NAMED)
