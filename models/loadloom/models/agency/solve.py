"""The choice of road of the agency: who is taken, what is bought, who pays what.

settlement   `solve`: by the gradient of the schedule or the slot prices of a purchase, in closed
             form; by games where the rule is one (`sharing`)
portfolio    `portfolio.form_portfolio`: which users, and under which contract
purchase     `purchase_linear.plan_purchase`: the power at least cost, and what a kWh is worth in
             each slot; `bought` hands it on to a settlement
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from loadloom.models.agency.aggregate import Task, aggregate
from loadloom.models.agency.completeness import Fill, FillRule, Rules
from loadloom.models.agency.curves import Chunk, Pass, Rows, in_memory
from loadloom.models.agency.percentiles import Spread
from loadloom.models.agency.prices import affine
from loadloom.models.agency.problem import (
    Currency,
    Curves,
    LoadArray,
    Problem,
    Purchase,
    SharingRule,
)
from loadloom.models.agency.purchase import PurchaseSolution
from loadloom.models.agency.settle import Settlement, settle
from loadloom.models.agency.windows import TimeWindows
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import Horizon
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason, Termination

ROADS = {
    SharingRule.AUMANN_SHAPLEY: "two-part tariff",
    SharingRule.OWEN_DUALS: "slot prices",
}
"""The words for the roads in closed form; the others are called by their rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A settlement and how it was found.

    `termination.objective` is the cost that was shared; it is FEASIBLE where shares are estimates
    from samples, and OPTIMAL where they are the rule's own.
    """

    termination: Termination
    method: Method
    road: str
    settlement: Settlement


def solve(problem: Problem, options: SolveOptions | None = None) -> Solution:
    """The settlement of a problem.

    Raises:
        InvalidProblem: see `settle.settle`.
    """
    options = options or SolveOptions()
    settlement = settle(problem, options.seed)
    cost = settlement.cost
    reason = Reason.OPTIMAL if settlement.is_exact else Reason.FEASIBLE
    in_closed_form = settlement.rule in ROADS
    return Solution(
        termination=Termination(reason=reason, objective=cost, bound=cost),
        method=Method.KERNEL if in_closed_form else Method.LINEAR,
        road=ROADS.get(settlement.rule, settlement.rule.value),
        settlement=settlement,
    )


def bought(solution: PurchaseSolution) -> Purchase:
    """What was bought, as settlements share it: the cost, the slot prices and their rent.

    Raises:
        InvalidProblem: nothing could be bought, so that nothing can be shared.
    """
    if solution.slot_price_per_kwh is None:
        message = f"ended as {solution.termination.reason.value}; there is no cost to share"
        raise InvalidProblem([Violation("purchase", message)])
    return Purchase(
        cost=solution.cost, slot_price_per_kwh=solution.slot_price_per_kwh, rent=solution.rent
    )


def warm() -> None:
    """Compiles the kernels of settlements and sums, or loads them from the cache."""
    horizon = Horizon(start=datetime(2024, 1, 1, tzinfo=UTC), step_h=np.ones(2))
    loads: tuple[LoadArray, ...] = (np.ones((2, 2), np.float32), np.ones((2, 2)))
    for load_kw in loads:
        _warm_sums(load_kw, horizon)
        curves = Curves(names=("one", "other"), load_kw=load_kw, horizon=horizon)
        settle(
            Problem(
                curves=curves,
                currency=Currency(code="EUR"),
                highest_price_per_kwh=np.array(1.0),
                schedule=affine(0.3, 0.1),
            )
        )


def _warm_sums(load_kw: LoadArray, horizon: Horizon) -> None:
    """Goes over loads (n, T) by every pass: without and with gaps, and over the users again."""
    rules = Rules(fills=(FillRule(fill=Fill.LINEAR), FillRule(fill=Fill.AREA_PROFILE)))
    for judged in (None, rules):
        aggregate(in_memory(load_kw), horizon, rules=judged)
    chunk = Chunk(load_kw=load_kw)
    first = Pass(weight_h=horizon.step_h[None])
    seen = first.of(chunk, np.zeros(0, np.int64))  # no slot was watched, so users are looked at
    Task(
        horizon=horizon,
        windows=TimeWindows(names=("all",), index=np.zeros(horizon.count, np.int64)),
    ).concluded(seen, [Rows(chunk)])
    Spread.of(load_kw).counted()
