"""The reasons behind a schedule, from its commission and its plan; made in a worker process."""

from dataclasses import dataclass, replace
from time import monotonic

from loadloom.engine.convert import explanations as convert
from loadloom.engine.convert.commissions import unpacked
from loadloom.engine.convert.common import declared, seconds
from loadloom.engine.convert.orderly import parse_commission
from loadloom.engine.convert.schedules import solution_of
from loadloom.engine.family import decoded
from loadloom.engine.guard import refusal
from loadloom.engine.services.desk import Desk
from loadloom.engine.store.schedules import NoSuchSchedule, WrongState
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import Problem
from loadloom.models.orderly.solution import Solution
from loadloom.v1 import orderly_pb2 as pb

LIMIT_S = 10.0
"""The time to spend, unless a caller says otherwise."""

_PROOF_SHARE = 0.2  # of the time, to prove what cannot be covered; the rest tries other rules

RESERVE_S = 0.3
"""The time of a call that is kept back for the way to the worker and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to explain: a commission and the schedule that answers it.

    Attributes:
        commission: what was solved.
        schedule: the schedule with the plan, a message.
        user: the name of the user; empty for the slots and rules alone.
        exact: whether to solve the week without the user.
        limit_s: the time to spend.
    """

    commission: bytes
    schedule: bytes
    user: str
    exact: bool
    limit_s: float


def asked_for(desk: Desk, raw: bytes, left_s: float) -> Question:
    """The question that a request asks, which must be answered within a time."""
    request = decoded(pb.ExplainScheduleRequest, raw)
    found = declared(request)
    given = seconds(request.time_limit) if request.HasField("time_limit") else LIMIT_S
    if given is None:
        found.append(Violation("time_limit", "must be a duration"))
    if "\0" in request.user:
        found.append(Violation("user", "holds a character of no text"))
    if found:
        raise refusal.invalid(list({v.path: v for v in found}.values()))
    row, _ = desk.found(request.name)
    if not row.revision:
        raise WrongState(f"{row.name} has no plan yet")
    plan, schedule = desk.plan(row, request.revision or row.revision)
    if request.user and request.user not in schedule.users:
        raise NoSuchSchedule(f"user of this name in {row.name}")
    return Question(
        commission=desk.commission(row, plan),
        schedule=plan.response,
        user=request.user,
        exact=request.exact_exemption,
        limit_s=max(0.1, min(given or LIMIT_S, left_s - RESERVE_S)),
    )


def explained(question: Question) -> bytes:
    """The answer to a question, as bytes.

    Raises:
        InvalidProblem: the week cannot be solved without the user.
    """
    from loadloom.models.orderly import explain, order, shortfall  # they bring the solvers

    until = monotonic() + question.limit_s
    asked = parse_commission(unpacked(question.commission))
    schedule = pb.WeeklySchedule.FromString(question.schedule)
    problem, solution = asked.problem, solution_of(schedule, asked.problem)
    solution = replace(solution, burden_cap=order.caps_of(problem, solution.plan))
    response = pb.ExplainScheduleResponse()
    if solution.prices is not None:
        worth = explain.one_more_mw(problem, solution.prices)
        on_feeders = explain.one_more_mw_on_feeders(problem, solution.prices)
        convert.write_worth(response, worth, on_feeders)
    shortfalls = shortfall.shortfalls(problem, solution.plan)
    exact = question.exact and bool(question.user)
    left_s = max(0.0, until - monotonic())
    options = replace(asked.options, time_limit_s=left_s / (1.0 + bool(shortfalls)))
    if question.user:
        user = list(schedule.users).index(question.user)
        response.user.CopyFrom(_reasons(problem, solution, user))
        if exact:
            try:
                excused = explain.exemption(problem, solution, user, options, monotonic)
            except InvalidProblem as error:  # a rota takes all users of a group, for one
                why = Violation("exact_exemption", f"the week cannot be solved so: {error}")
                raise InvalidProblem([why]) from error
            convert.write_exemption(response.user, excused)
    if shortfalls:
        left_s = max(0.0, until - monotonic())
        proving = replace(options, time_limit_s=_PROOF_SHARE * left_s)
        proof = shortfall.shortage_proof(problem, solution.plan, proving, monotonic)
        words = shortfall.shortage_words(problem, solution.plan, proof)
        solving = replace(options, time_limit_s=max(0.0, until - monotonic()))
        found = shortfall.relaxations(problem, solution, solving, monotonic)
        convert.write_shortfalls(response, problem, shortfalls, words, found)
    return response.SerializeToString()


def _reasons(problem: Problem, solution: Solution, user: int) -> pb.UserReasons:
    """The reasons for the plan of a user; alternatives are weighed where slots have prices."""
    from loadloom.models.orderly import explain

    name = problem.users.names[user]
    if solution.prices is not None:
        return convert.reasons(name, explain.why(problem, solution, user))
    cost = float(referee.cost(problem, solution.plan).by_user[user])
    return convert.unpriced_reasons(name, cost, explain.binding(problem, solution.plan, user))
