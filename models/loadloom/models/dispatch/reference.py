# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""The formulation in the textbook's words, for readers and as the oracle of every faster road.

The names of variables and rules are those of `problem`; each kind of device has its chapter in
`textbook`, and a pair that never runs together has a binary in every interval. Energies are in kWh.
Pyomo redirects the process's standard output while it solves, so a process takes one of these at a
time.
"""

from math import inf

from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.solvers.highs import Highs

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.problem import FAMILIES, Problem
from loadloom.models.dispatch.scaled import enlarged, scaled, unit_kwh
from loadloom.models.dispatch.solution import Schedule, Solution
from loadloom.models.dispatch.textbook import meter
from loadloom.models.dispatch.textbook.book import Book
from loadloom.models.dispatch.textbook.kinds import TEXTBOOK
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason, Termination

_TOLERANCE = 1e-9
_REASONS = {
    TerminationCondition.convergenceCriteriaSatisfied: Reason.OPTIMAL,
    TerminationCondition.provenInfeasible: Reason.INFEASIBLE,
    # Every cost is bounded from below, so nothing is unbounded.
    TerminationCondition.infeasibleOrUnbounded: Reason.INFEASIBLE,
}


def solve_reference(problem: Problem, options: SolveOptions) -> Solution:
    """The best plan by the reference model, of a large site in a larger unit than the kWh."""
    unit = unit_kwh(problem)
    return enlarged(_solve(scaled(problem, 1.0 / unit), options), unit)


def _solve(problem: Problem, options: SolveOptions) -> Solution:
    book = Book(problem)
    readers = {
        family: [TEXTBOOK[family].add(book, device) for device in getattr(problem, family)]
        for family in FAMILIES
    }
    read_meter = meter.add(book, problem)
    results = Highs().solve(
        book.model,
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
        threads=1,
        time_limit=options.time_limit_s if options.time_limit_s < inf else None,
        rel_gap=options.relative_gap,
        abs_gap=options.relative_gap,
        solver_options={
            "random_seed": options.seed,
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
            "mip_feasibility_tolerance": _TOLERANCE,
        },
    )
    found = results.solution_status in {SolutionStatus.feasible, SolutionStatus.optimal}
    schedule = None
    if found:
        results.solution_loader.load_vars()
        plans = {family: tuple(read() for read in each) for family, each in readers.items()}
        schedule = Schedule.of(problem.horizon.count, plans, read_meter())
    return Solution(
        termination=_termination(results, found),
        method=Method.REFERENCE,
        road="reference model",
        proof=Proof.BRANCH_AND_BOUND if found else Proof.NONE,
        schedule=schedule,
    )


def _termination(results: Results, found: bool) -> Termination:
    short = Reason.FEASIBLE if found else Reason.NO_SOLUTION_FOUND
    reason = _REASONS.get(results.termination_condition, short)
    objective = results.incumbent_objective if found else inf
    bound = inf if reason is Reason.INFEASIBLE else results.objective_bound
    return Termination(
        reason=reason,
        objective=objective,
        bound=min(bound, objective) if bound is not None else -inf,
        detail="" if reason is not short else f"stopped by {results.termination_condition.name}",
    )
