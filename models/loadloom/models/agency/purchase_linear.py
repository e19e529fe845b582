"""The least cost of a purchase by linear programming, its slot prices, and what limits earn."""

import numpy as np

from loadloom.models.agency.purchase import (
    PurchaseConflict,
    PurchaseProblem,
    PurchaseSolution,
    Rent,
)
from loadloom.models.agency.purchase_model import (
    LOAD,
    Group,
    PurchaseModel,
    elastic,
    model_of,
    with_directions,
)
from loadloom.models.certificate import Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.options import SolveOptions
from loadloom.solvers.highs import Model, Outcome, Program
from loadloom.solvers.termination import Reason, Termination

_GIVEN = 1e-7  # a rule that gives way by less is kept, in units of the highest load
_BOTH = 1e-9  # the power below which nothing runs both ways, in the same units
_EARNED = 1e-9  # the share of the cost below which a rent is rounding


def plan_purchase(
    problem: PurchaseProblem, options: SolveOptions | None = None
) -> PurchaseSolution:
    """The cheapest purchase with its slot prices, or what stands in the way of any."""
    options = options or SolveOptions()
    model = model_of(problem)
    program = model.program()
    outcome = Model(program, seed=options.seed).solve(time_limit_s=options.time_limit_s)
    termination = _in_currency(outcome.termination, model.unit_kw)
    if outcome.primal is None:
        infeasible = termination.reason is Reason.INFEASIBLE
        return PurchaseSolution(
            termination=termination, conflicts=conflicts(problem) if infeasible else ()
        )
    if _wastes(model, outcome.primal):
        return _without_waste(problem, model, options)
    return _solution(problem, model, program, outcome, termination, Proof.DUAL)


def _in_currency(termination: Termination, unit_kw: float) -> Termination:
    return Termination(
        reason=termination.reason,
        objective=termination.objective * unit_kw,
        bound=termination.bound * unit_kw,
        detail=termination.detail,
    )


def _wastes(model: PurchaseModel, primal: FloatArray) -> bool:
    """Whether the store charges and discharges at once."""
    if not model.store.size:
        return False
    charged, discharged, _ = primal[model.store]
    return bool(np.minimum(charged, discharged).max() > _BOTH)


def _without_waste(
    problem: PurchaseProblem, relaxed: PurchaseModel, options: SolveOptions
) -> PurchaseSolution:
    """The cheapest purchase in which the store never runs both ways, found with binaries.

    Its slot prices are those with the directions as they were found.
    """
    model = model_of(problem, exclusive=True)
    found = Model(model.program(), seed=options.seed).solve(
        time_limit_s=options.time_limit_s, relative_gap=options.relative_gap
    )
    termination = _in_currency(found.termination, model.unit_kw)
    if found.primal is None:
        return PurchaseSolution(
            termination=termination,
            conflicts=conflicts(problem) if termination.reason is Reason.INFEASIBLE else (),
        )
    program = with_directions(problem, model, found.primal)
    outcome = Model(program, seed=options.seed).solve()
    if outcome.row_dual is None:
        plan = model.plan(found.primal, problem.horizon.count)
        return PurchaseSolution(termination=termination, proof=Proof.BRANCH_AND_BOUND, plan=plan)
    told = Termination(
        reason=termination.reason,
        objective=outcome.termination.objective * model.unit_kw,
        bound=min(termination.bound, outcome.termination.objective * model.unit_kw),
        detail=termination.detail,
    )
    return _solution(problem, relaxed, program, outcome, told, Proof.BRANCH_AND_BOUND)


def _solution(
    problem: PurchaseProblem,
    model: PurchaseModel,
    program: Program,
    outcome: Outcome,
    termination: Termination,
    proof: Proof,
) -> PurchaseSolution:
    primal, dual = outcome.primal, outcome.row_dual
    plan = None if primal is None else model.plan(primal, problem.horizon.count)
    if dual is None:
        return PurchaseSolution(termination=termination, plan=plan)
    return PurchaseSolution(
        termination=termination,
        proof=proof,
        plan=plan,
        slot_price_per_kwh=dual[model.balance] / problem.horizon.step_h,
        rents=_rents(model, program, dual, abs(termination.objective)),
    )


def _rents(
    model: PurchaseModel, program: Program, dual: FloatArray, cost: float
) -> tuple[Rent, ...]:
    """What limits other than the load earn: less their dual times the limit, summed by rule."""
    matrix = program.matrix
    owner = np.repeat(np.arange(program.cost.size), np.diff(matrix.starts))
    paid = np.bincount(owner, matrix.entries * dual[matrix.rows], minlength=program.cost.size)
    reduced = program.cost - paid
    earned: dict[tuple[str, str], float] = {}

    def note(group: Group, prices: FloatArray, low: FloatArray, high: FloatArray) -> None:
        # A dual above 0 belongs to the limit from below, one below 0 to that from above.
        for rule, binding, limit in (
            (group.low_rule, prices > 0.0, low),
            (group.high_rule, prices < 0.0, high),
        ):
            binding = binding & np.isfinite(limit) & (limit != 0.0)
            amount = -float(prices[binding] @ limit[binding]) * model.unit_kw
            key = (group.source, rule)
            earned[key] = earned.get(key, 0.0) + amount

    for group in model.arrays.column_groups:
        note(group, reduced[group.at], program.low[group.at], program.high[group.at])
    for group in model.arrays.row_groups:
        if group.source != LOAD:
            note(group, dual[group.at], program.row_low[group.at], program.row_high[group.at])
    return tuple(
        Rent(source=source, rule=rule, amount=amount)
        for (source, rule), amount in earned.items()
        if rule and abs(amount) > _EARNED * max(1e-6, cost)
    )


def conflicts(problem: PurchaseProblem) -> tuple[PurchaseConflict, ...]:
    """The rules that cannot be kept together, by the least energy by which they give way."""
    model, program, lifted, lowered = elastic(problem)
    primal = Model(program).solve().primal
    if primal is None:
        return ()
    found: list[PurchaseConflict] = []
    for group in model.arrays.row_groups:
        for rule, given, short in (
            (group.low_rule, lifted[group.at], True),
            (group.high_rule, lowered[group.at], False),
        ):
            if given[0] >= 0:
                found += _runs(problem, group, rule, primal[given] * model.unit_kw, short=short)
    return tuple(found)


def _runs(
    problem: PurchaseProblem, group: Group, rule: str, given: FloatArray, *, short: bool
) -> list[PurchaseConflict]:
    """A conflict for each run of slots in which a rule gives way."""
    least = _GIVEN * max(1.0, float(problem.load_kw.max()))
    if given.size != problem.horizon.count:
        if given[0] <= least:
            return []
        side = "short of" if short else "beyond"
        return [
            PurchaseConflict(
                source=group.source,
                rule=rule,
                slot=0,
                slot_count=problem.horizon.count,
                amount_kwh=float(given[0]),
                peak_kw=0.0,
                message=f"{group.source} is {given[0]:.6g} kWh {side} {rule} in any plan",
            )
        ]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], given > least, [0]))))
    return [
        _run(problem, group, rule, given, int(begin), int(end), short=short)
        for begin, end in edges.reshape(-1, 2)
    ]


def _run(
    problem: PurchaseProblem,
    group: Group,
    rule: str,
    given: FloatArray,
    begin: int,
    end: int,
    *,
    short: bool,
) -> PurchaseConflict:
    horizon = problem.horizon
    amount = float(given[begin:end] @ horizon.step_h[begin:end])
    peak = float(given[begin:end].max())
    when = f"from {horizon.clock(begin)} to {horizon.clock(end)}"
    size = f"by up to {peak:.6g} kW, {amount:.6g} kWh in all"
    if group.source != LOAD:
        message = f"{group.source} cannot keep {rule} {when}, {size}"
    elif short:
        message = f"the load {when} is above all that can be delivered {size}"
    else:
        message = f"what must be taken {when} is above the load {size}"
    return PurchaseConflict(
        source=group.source,
        rule=rule,
        slot=begin,
        slot_count=end - begin,
        amount_kwh=amount,
        peak_kw=peak,
        message=message,
    )
