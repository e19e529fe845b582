"""The weekly schedule in CP-SAT, rule by rule, as the textbook would write it.

Every event is a binary for each place that its day may have among its user's curtailed days. Powers
and money become whole numbers, fine enough that what rounding may change is far below a cent; the
objective is the referee's. Stages are solved one after the other: what each finds is a row of all
further ones. The k-th largest burden is at most theta if at most k - 1 users are above it, whoever
they are. Meant for some users, to hold faster roads to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, inf

import numpy as np
from ortools.sat.python import cp_model

from loadloom.models.certificate import Proof
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.orderly import order, referee
from loadloom.models.orderly.events import Event, plan_from, rest_events, user_events
from loadloom.models.orderly.problem import FairnessMode, LegalOrder, Plan, Problem
from loadloom.models.orderly.solution import OrderlyOptions, Road, Solution, Stage
from loadloom.solvers.coupled.budget import Clock
from loadloom.solvers.termination import Reason, Termination

POWER_UNITS, PRICE_UNITS = 10**5, 10**3
"""Whole numbers for each kW, and for each unit of money that a kW costs in a slot."""

KWH_UNITS, BURDEN_UNITS = 60 * POWER_UNITS, 10**7
"""Whole numbers for each kWh, a kW for sixty minutes, and for a burden of 1."""


@dataclass(kw_only=True)
class _Model:
    """The model under construction: every event with the variable of each rank.

    `cost` is in units of money, `unserved` in those of energy; `burdens` are those of the week.
    """

    problem: Problem
    cp: cp_model.CpModel = field(default_factory=cp_model.CpModel)
    events: list[tuple[Event, cp_model.IntVar]] = field(default_factory=list)
    cost: list[cp_model.LinearExprT] = field(default_factory=list)
    unserved: list[cp_model.LinearExprT] = field(default_factory=list)


@dataclass(kw_only=True)
class _Search:
    """A search through the stages: its limits, and the numbers of the events taken so far."""

    options: OrderlyOptions
    clock: Clock | None
    begun_s: float
    taken: list[int] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    all_optimal: bool = True


def solve_reference(
    problem: Problem, options: OrderlyOptions, clock: Clock | None = None
) -> Solution:
    """The best plan by CP-SAT within the time limit, on one thread, stage after stage.

    Without a clock each stage may take the whole limit.

    Raises:
        InvalidProblem: users are to be off for equal hours, which is the rota's.
    """
    if problem.fairness.mode is FairnessMode.EQUAL_HOURS:
        message = "is equal hours; the reference takes convex and leximin"
        raise InvalidProblem([Violation("fairness.mode", message)])
    model = _Model(problem=problem)
    for user in range(problem.users.count):
        _add_user(model, user)
    _cover(model)
    search = _Search(options=options, clock=clock, begun_s=clock() if clock else 0.0)
    if order.is_staged(problem):
        _stages(model, search)
    bound = _least(model, search, sum(model.cost)) / (POWER_UNITS * PRICE_UNITS)
    return _solution(problem, search, _plan(model, search), bound)


def _stages(model: _Model, search: _Search) -> None:
    """Solves the stages before the loss, each a row of what follows."""
    problem = model.problem
    unserved = sum(model.unserved)
    _stage(model, search, ("least unserved", "kWh", KWH_UNITS), unserved)
    for kind in order.tiers(problem):
        kwh = sum(
            round(event.kwh * KWH_UNITS) * taken
            for event, taken in model.events
            if problem.measures.kind[event.measure] == kind and event.slot_count
        )
        _stage(model, search, (f"least {kind.name.lower()}", "kWh", KWH_UNITS), kwh)
    if problem.fairness.mode is FairnessMode.LEXIMIN:
        burdens = [_burden(model, user) for user in range(problem.users.count)]
        # A tight domain, and no finer units than need be: with levels up to 2**50 and 10**8 units
        # CP-SAT 9.15 called a level optimal that was 2 % too high, in one of 320 small weeks.
        most = _most_burden(model)
        for level in range(min(problem.fairness.leximin_levels, problem.users.count)):
            theta = model.cp.new_int_var(0, most, "")
            above = [model.cp.new_bool_var("") for _ in burdens]
            for burden, is_above in zip(burdens, above, strict=True):
                model.cp.add(burden <= theta).only_enforce_if(~is_above)
            model.cp.add(sum(above) <= level)
            _stage(model, search, (f"burden {level + 1}", "share", BURDEN_UNITS), theta)


def _burden(model: _Model, user: int) -> cp_model.LinearExprT:
    """The burden of a user after the week."""
    problem = model.problem
    carried = round(problem.users.carried_burden[user] * BURDEN_UNITS)
    share = problem.measures.burden_weight / problem.users.contract_kwh[user]
    return carried + sum(
        round(event.kwh * share[event.measure] * BURDEN_UNITS) * taken
        for event, taken in model.events
        if event.user == user
    )


def _most_burden(model: _Model) -> int:
    """No user's burden is above this, in whole numbers."""
    problem, users = model.problem, model.problem.users
    total = users.carried_burden.copy()
    for event, _ in model.events:
        share = problem.measures.burden_weight[event.measure] / users.contract_kwh[event.user]
        total[event.user] += event.kwh * share
    return ceil(float(total.max()) * BURDEN_UNITS) + len(model.events) + 1


def _stage(
    model: _Model, search: _Search, what: tuple[str, str, int], amount: cp_model.LinearExprT
) -> None:
    """Makes an amount least, and keeps all further stages to it."""
    name, unit, units = what
    bound = _least(model, search, amount) / units
    plan = _plan(model, search)
    found = {standing.name: standing.value for standing in order.standings(model.problem, plan)}
    value = found[name]
    search.stages.append(
        Stage(name=name, unit=unit, value=value, bound=max(0.0, min(bound, value)))
    )
    model.cp.add(amount <= int(order.enough(value, unit) * units))


def _least(model: _Model, search: _Search, amount: cp_model.LinearExprT) -> float:
    """The proven bound on an amount, in whole numbers, that is made as small as time allows."""
    solver, options = cp_model.CpSolver(), search.options
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = options.seed % 2**31
    solver.parameters.relative_gap_limit = min(options.relative_gap, 1e-9)
    if options.time_limit_s < inf:
        passed_s = search.clock() - search.begun_s if search.clock else 0.0
        solver.parameters.max_time_in_seconds = max(0.0, options.time_limit_s - passed_s)
    model.cp.clear_hints()
    held = set(search.taken)
    for number, (_, taken) in enumerate(model.events):
        model.cp.add_hint(taken, number in held)
    model.cp.minimize(amount)
    status = solver.solve(model.cp)
    search.all_optimal &= status == cp_model.OPTIMAL
    if status not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return 0.0  # nothing is ever below it
    search.taken = [n for n, (_, taken) in enumerate(model.events) if solver.value(taken)]
    return solver.best_objective_bound


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
            model.unserved.append(round(60.0 * hours[t]) * unserved)


def _money(amount: float) -> int:
    return round(amount * POWER_UNITS * PRICE_UNITS)


def _plan(model: _Model, search: _Search) -> Plan:
    return plan_from(model.problem, [model.events[n][0] for n in search.taken])


def _solution(problem: Problem, search: _Search, plan: Plan, bound: float) -> Solution:
    whole, feeders = referee.unserved_kw(problem, plan)
    objective = referee.cost(problem, plan).total
    optimal = search.all_optimal
    return Solution(
        termination=Termination(
            reason=Reason.OPTIMAL if optimal else Reason.FEASIBLE,
            objective=objective,
            bound=objective if optimal else min(bound, objective),
        ),
        road=Road.REFERENCE,
        proof=Proof.BRANCH_AND_BOUND,
        plan=plan,
        unserved_kw=whole,
        feeder_unserved_kw=feeders,
        stages=tuple(search.stages),
        burden_cap=order.caps_of(problem, plan),
        seed=search.options.seed,
    )
