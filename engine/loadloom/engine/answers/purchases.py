"""The refereed answer to a purchase; what runs in a worker process."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from loadloom.engine.answers.agency import Answer, Ended
from loadloom.engine.task import RejectedPlan, Task
from loadloom.models.agency import purchase_referee as referee
from loadloom.models.agency.purchase import (
    PurchaseConflict,
    PurchasePlan,
    PurchaseProblem,
    PurchaseSolution,
    Rent,
)
from loadloom.models.agency.purchase_explain import SlotReason, slot_reasons
from loadloom.models.agency.purchase_referee import PurchaseCost
from loadloom.models.certificate import Certificate, Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method

ROUNDING = 1e-6
"""The share of the cost by which a bound may exceed it before it counts as a contradiction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """A purchase with what the referee says it costs; none where nothing is feasible or found."""

    plan: PurchasePlan | None
    cost: PurchaseCost | None
    slot_price_per_kwh: FloatArray | None
    slot_reasons: Sequence[SlotReason]
    rents: tuple[Rent, ...]
    conflicts: tuple[PurchaseConflict, ...]


def bought(task: Task[PurchaseProblem]) -> Answer[Bought]:
    """The cheapest purchase, or what stands in the way of any.

    Raises:
        RejectedPlan: the referee found it to break rules, or to cost less than its bound.
    """
    started, problem = perf_counter(), task.problem
    by_reference = task.options.method is Method.REFERENCE
    solution = _solved(task, by_reference=by_reference)
    solve_s = perf_counter() - started
    cost = certificate = None
    if (plan := solution.plan) is not None:
        if broken := referee.violations(problem, plan):
            raise RejectedPlan(f"purchase: {'; '.join(map(str, broken[:20]))}")
        cost = referee.cost(problem, plan)
        certificate = _certificate(solution, cost.total)
    return Answer(
        solution=Ended(
            termination=solution.termination,
            method=Method.REFERENCE if by_reference else Method.LINEAR,
            road="reference model" if by_reference else "linear programme",
        ),
        found=Bought(
            plan=plan,
            cost=cost,
            slot_price_per_kwh=solution.slot_price_per_kwh,
            slot_reasons=slot_reasons(problem, solution),
            rents=solution.rents,
            conflicts=solution.conflicts,
        ),
        certificate=certificate,
        solve_s=solve_s,
    )


def _solved(task: Task[PurchaseProblem], *, by_reference: bool) -> PurchaseSolution:
    # Solvers take a second to load, and the server only hands purchases on.
    if by_reference:
        from loadloom.models.agency.reference import reference_purchase

        return reference_purchase(task.problem, task.options)
    from loadloom.models.agency.purchase_linear import plan_purchase

    return plan_purchase(task.problem, task.options)


def _certificate(solution: PurchaseSolution, objective: float) -> Certificate:
    """The certificate at the referee's cost; rounding may leave a bound a hair above it."""
    bound = solution.termination.bound
    if bound > objective + ROUNDING * max(1.0, abs(objective)):
        raise RejectedPlan(f"purchase: costs {objective!r}, below its bound of {bound!r}")
    return Certificate(objective=objective, bound=min(bound, objective), proof=Proof.DUAL)
