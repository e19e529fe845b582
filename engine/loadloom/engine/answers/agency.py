"""The answers of an agency that are found in one call; what runs in a worker process."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from loadloom.engine.task import RejectedPlan, Task
from loadloom.models.agency.assess import Assessment, assess
from loadloom.models.agency.cost import PooledCost, total
from loadloom.models.agency.prices import PriceSchedule, affine
from loadloom.models.agency.problem import Curves, Peak, Purchase, SharingRule
from loadloom.models.agency.share_report import ShareReport, report
from loadloom.models.agency.sharing import Shares, share
from loadloom.models.certificate import Certificate
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method
from loadloom.solvers.termination import Reason, Termination

A = TypeVar("A")

BALANCE = 1e-6
"""By how much shares may miss their cost, as a share of it, before they are rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a computation ended, in the words of a solve."""

    termination: Termination
    method: Method
    road: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[A]):
    """What was found, and how."""

    solution: Ended
    found: A
    certificate: Certificate | None = None
    solve_s: float


def ended(road: str, method: Method = Method.KERNEL, *, is_exact: bool = True) -> Ended:
    """The end of what always has an answer."""
    reason = Reason.OPTIMAL if is_exact else Reason.FEASIBLE
    return Ended(
        termination=Termination(reason=reason, objective=0.0, bound=0.0), method=method, road=road
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A price schedule, and users to try it on if there are any."""

    schedule: PriceSchedule
    curves: Curves | None
    peak: Peak


def assessed(task: Task[Trial]) -> Answer[Assessment]:
    """The diagnosis of a price schedule."""
    started = perf_counter()
    found = assess(task.problem.schedule, task.problem.curves, task.problem.peak)
    return Answer(solution=ended("assessment"), found=found, solve_s=perf_counter() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """A cost to be shared by some rules.

    Attributes:
        curves: the users.
        schedule: the price; None with a purchase.
        purchase: what a purchase cost; None with a price.
        rules: the rules.
        peak: the peak that counts.
        reports: whether to report on the shares.
    """

    curves: Curves
    schedule: PriceSchedule | None
    purchase: Purchase | None
    rules: Sequence[SharingRule]
    peak: Peak
    reports: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """Shares, what is known of them, and the prices that prove what no complaint exceeds."""

    shares: Shares
    report: ShareReport | None
    audit_price_per_kwh: FloatArray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A cost, shared.

    Attributes:
        pooled: the cost of any load.
        total_kw: the load of all, (T,).
        alone: what each user would pay alone, (n,); None for a purchase.
        shares: by rule.
    """

    pooled: PooledCost
    total_kw: FloatArray
    alone: FloatArray | None
    shares: tuple[Reported, ...]


def shared(task: Task[Sharing]) -> Answer[Shared]:
    """A cost, shared by each of the rules.

    Raises:
        InvalidProblem: a rule is not defined for these users.
        RejectedPlan: shares do not add up to the cost.
    """
    started = perf_counter()
    asked, seed = task.problem, task.options.seed
    load_kw = asked.curves.load_kw
    pooled = PooledCost.of(asked.schedule or affine(0.0, 0.0), asked.curves, asked.peak)
    shares = []
    for rule in asked.rules:
        found = share(load_kw, pooled, rule, purchase=asked.purchase, seed=seed)
        _check_balance(found, asked.purchase)
        its = prices = None
        if asked.reports:
            its, prices = reported(asked.curves, pooled, found, asked.purchase, seed)
        shares.append(Reported(shares=found, report=its, audit_price_per_kwh=prices))
    is_exact = all(one.shares.is_exact for one in shares)
    return Answer(
        solution=ended("; ".join(rule.value for rule in asked.rules), is_exact=is_exact),
        found=Shared(
            pooled=pooled,
            total_kw=total(load_kw),
            alone=None if asked.purchase else pooled.standalone(load_kw),
            shares=tuple(shares),
        ),
        solve_s=perf_counter() - started,
    )


def _check_balance(found: Shares, purchase: Purchase | None) -> None:
    """Raises unless shares add up; those of a purchase do if its cost and rent are right."""
    brought, due = float(found.share.sum()), found.cost + found.rent
    if abs(brought - due) <= BALANCE * max(1.0, abs(found.cost), abs(found.rent)):
        return
    if purchase is None:
        raise RejectedPlan(f"{found.rule.value}: shares add up to {brought!r}, not to {due!r}")
    said = (
        f"is {purchase.rent:g}; the slot prices bring in {brought:g} for a cost of "
        f"{purchase.cost:g}, so the rent must be {brought - purchase.cost:g}"
    )
    raise InvalidProblem([Violation("purchase.rent", said)])


def reported(
    curves: Curves, pooled: PooledCost, shares: Shares, purchase: Purchase | None, seed: int
) -> tuple[ShareReport, FloatArray | None]:
    """The report on shares, and the prices that prove its bound where it was not enumerated."""
    found = report(curves.load_kw, pooled, shares, purchase=purchase, names=curves.names, seed=seed)
    if purchase is not None or found.excess.is_exact:
        return found, None
    return found, found.excess.slot_price_per_kwh
