"""The weekly schedule in CP-SAT, rule by rule, as the textbook would write it.

Every event is a binary for each place that its day may have among its user's curtailed days. Powers
and money become whole numbers, fine enough that what rounding may change is far below a cent; the
objective is the referee's. Only for problems without stages; meant for some users, to hold faster
roads to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, inf

import numpy as np
from ortools.sat.python import cp_model

from loadloom.models.certificate import Proof
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.orderly import referee
from loadloom.models.orderly.events import Event, plan_from, rest_events, user_events
from loadloom.models.orderly.problem import FairnessMode, LegalOrder, Problem
from loadloom.models.orderly.solution import OrderlyOptions, Road, Solution
from loadloom.solvers.termination import Reason, Termination

POWER_UNITS, PRICE_UNITS = 10**5, 10**3
"""Whole numbers for each kW, and for each unit of money that a kW costs in a slot."""


@dataclass(kw_only=True)
class _Model:
    """The model under construction: every event with the variable of each rank."""

    problem: Problem
    cp: cp_model.CpModel = field(default_factory=cp_model.CpModel)
    events: list[tuple[Event, cp_model.IntVar]] = field(default_factory=list)
    cost: list[cp_model.LinearExprT] = field(default_factory=list)


def solve_reference(problem: Problem, options: OrderlyOptions) -> Solution:
    """The best plan by CP-SAT within the time limit, on one thread.

    Raises:
        InvalidProblem: the problem has stages, which this road does not know.
    """
    unstaged(problem, "the reference")
    model = _Model(problem=problem)
    for user in range(problem.users.count):
        _add_user(model, user)
    _cover(model)
    model.cp.minimize(sum(model.cost))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = options.seed % 2**31
    solver.parameters.relative_gap_limit = min(options.relative_gap, 1e-9)
    if options.time_limit_s < inf:
        solver.parameters.max_time_in_seconds = options.time_limit_s
    status = solver.solve(model.cp)
    found = status in {cp_model.OPTIMAL, cp_model.FEASIBLE}
    chosen = [event for event, taken in model.events if found and solver.value(taken)]
    return _solution(problem, options, chosen, solver, optimal=status == cp_model.OPTIMAL)


def unstaged(problem: Problem, road: str) -> None:
    """Raises InvalidProblem if something is to be made least before the loss."""
    found = []
    if problem.legal_order is LegalOrder.STRICT:
        found.append(Violation("legal_order", f"is strict; {road} takes priced orders alone"))
    if problem.fairness.mode is not FairnessMode.CONVEX:
        found.append(Violation("fairness.mode", f"is not convex; {road} takes no other"))
    if found:
        raise InvalidProblem(found)


def _add_user(model: _Model, user: int) -> None:
    """Adds the events of a user, with the rules that hold between them."""
    problem, cp, days = model.problem, model.cp, model.problem.week.day_count
    most = min(int(problem.users.max_days[user]), days)
    # place[d][j]: day d is the j-th curtailed day.
    place = [[cp.new_bool_var("") for _ in range(most)] for _ in range(days)]
    used = [sum(place[d]) for d in range(days)]
    for d in range(days):
        cp.add(used[d] <= 1)
        for j in range(most):
            # The j-th curtailed day comes after exactly j others.
            cp.add(sum(used[:d]) == j).only_enforce_if(place[d][j])
    gap = int(problem.users.min_gap_days[user])
    for d in range(days - 1):
        cp.add(sum(used[d : d + gap + 1]) <= 1)
    by_day: list[list[Event]] = [[] for _ in range(days)]
    for event in user_events(problem, user):
        by_day[event.day].append(event)
    for d in range(days):
        _add_day(model, user, by_day[d], place[d])
    _add_rest(model, user, used)


def _add_day(model: _Model, user: int, events: list[Event], place: list[cp_model.IntVar]) -> None:
    cp, problem = model.cp, model.problem
    gamma = problem.fairness.gamma
    taken: list[cp_model.LinearExprT] = []
    for event in events:
        ranked = [cp.new_bool_var("") for _ in place]
        for j, variable in enumerate(ranked):
            cp.add_implication(variable, place[j])
            factor = gamma[min(j, len(gamma) - 1)]
            model.cost.append(_money(factor * event.cost) * variable)
            model.events.append((event, variable))
        taken.append(sum(ranked))
        cp.add(sum(ranked) == 1) if event.forced else cp.add(sum(ranked) <= 1)
    cp.add(sum(taken) <= int(problem.users.max_events_per_day[user]))
    cp.add(sum(taken) >= sum(place))
    for slot in range(problem.week.slot_count):
        # An event also holds the slot after it, so that one stays free before the next.
        holding = [
            t
            for event, t in zip(events, taken, strict=True)
            if event.first_slot <= slot <= event.first_slot + event.slot_count
        ]
        cp.add(sum(holding) <= 1)


def _add_rest(model: _Model, user: int, used: Sequence[cp_model.LinearExprT]) -> None:
    cp = model.cp
    moves = [(event, cp.new_bool_var("")) for event in rest_events(model.problem, user)]
    for event, moved in moves:
        model.cost.append(_money(event.cost) * moved)
        cp.add(used[event.day] == 0).only_enforce_if(moved)
        if event.forced:
            cp.add(moved == 1)
    cp.add(sum(moved for _, moved in moves) <= 1)
    model.events += moves


def _cover(model: _Model) -> None:
    """Adds the rows: relief and what is left unserved cover every shortage."""
    problem = model.problem
    hours = problem.week.slot_h.reshape(-1)
    short = [problem.shortage.shortage_kw.reshape(-1)]
    if problem.shortage.feeder_shortage_kw is not None:
        short += [f.reshape(-1) for f in problem.shortage.feeder_shortage_kw]
    powers = [(e, np.round(e.relief_kw * POWER_UNITS).astype(np.int64), x) for e, x in model.events]
    for row, shortage in enumerate(short):
        mine = [p for p in powers if row == 0 or problem.users.feeder[p[0].user] == row - 1]
        for t in np.flatnonzero(hours > 0.0):
            demand = ceil(shortage[t] * POWER_UNITS - 1e-3)
            relief = [int(power[t]) * x for _, power, x in mine if power[t]]
            most = demand + sum(-int(power[t]) for _, power, _ in mine if power[t] < 0)
            if most <= 0:
                continue
            unserved = model.cp.new_int_var(0, most, "")
            model.cp.add(sum(relief) + unserved >= demand)
            price = problem.shortage.unserved_price_per_kwh * hours[t]
            model.cost.append(round(price * PRICE_UNITS) * unserved)


def _money(amount: float) -> int:
    return round(amount * POWER_UNITS * PRICE_UNITS)


def _solution(
    problem: Problem,
    options: OrderlyOptions,
    chosen: list[Event],
    solver: cp_model.CpSolver,
    *,
    optimal: bool,
) -> Solution:
    plan = plan_from(problem, chosen)
    whole, feeders = referee.unserved_kw(problem, plan)
    objective = referee.cost(problem, plan).total
    bound = solver.best_objective_bound / (POWER_UNITS * PRICE_UNITS)
    reason = Reason.OPTIMAL if optimal else Reason.FEASIBLE
    return Solution(
        termination=Termination(
            reason=reason,
            objective=objective,
            bound=objective if optimal else min(bound, objective),
        ),
        road=Road.REFERENCE,
        proof=Proof.BRANCH_AND_BOUND,
        plan=plan,
        unserved_kw=whole,
        feeder_unserved_kw=feeders,
        seed=options.seed,
    )
