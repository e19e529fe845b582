"""The answer to a weekly schedule, and what a caller wishes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import inf

from loadloom.models.certificate import Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.problem import Plan
from loadloom.solvers.termination import Termination


class Road(Enum):
    """A technique; the values are the words in which an answer names it."""

    COUPLED = "coupled choices"
    REFERENCE = "constraint programme"
    FLAT = "flat mixed-integer programme"
    ROTA = "rota"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderlyOptions:
    """The limits of a solve; a solve ends at the gap, the time or the work, whichever comes first.

    Attributes:
        time_limit_s: the seconds it may take by the clock it is given; inf for no limit.
        work_limit: the rounds of search it may take after the first plan; repeatable to the last
            bit where no time limit is set. None for no limit, or, where time has none either, for
            `stages.USUAL_ROUNDS`.
        relative_gap: the gap at which it may stop.
        seed: the seed of all that is drawn.
        threads: the threads that may work at once.
        road: the technique; None for the one that fits.
    """

    time_limit_s: float = inf
    work_limit: int | None = None
    relative_gap: float = 1e-4
    seed: int = 0
    threads: int = 2
    road: Road | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a solve has come: seconds by the caller's clock, 0 without one.

    `objective` is inf before the first plan, `bound` -inf before the first bound; both of the stage
    that `phase` names, in its unit. `unserved_kwh` is told with the answer alone, 0 before it.
    Whoever is told while the loss is made least may ask for the `solution` if nothing better is
    found; it takes as long as to weigh a plan.
    """

    seconds: float
    objective: float
    bound: float
    unserved_kwh: float
    phase: str
    solution: "Callable[[], Solution] | None" = None

    @property
    def relative_gap(self) -> float:
        """The gap (objective - bound) / max(1, |objective|); inf before plan and bound exist."""
        if self.objective == inf or self.bound == -inf:
            return inf
        return max(0.0, self.objective - self.bound) / max(1.0, abs(self.objective))


Report = Callable[[Progress], bool]
"""Told of progress; answers whether to go on. Called from one thread at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of the lexicographic order: what was least, what was found and what is proven."""

    name: str
    unit: str
    value: float
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What one more kWh of shortage costs in each slot: the dual prices, never negative.

    `slot_per_kwh` is (D, S), `feeder_per_kwh` (F, D, S). They prove the bound that
    `values.dual_bound` evaluates anew.
    """

    slot_per_kwh: FloatArray
    feeder_per_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """How the solve ended, the plan, and what proves it.

    `termination.objective` is the whole objective in money: loss and unserved energy. It is what
    the road claims; the referee's is what counts. The `bound` holds for every plan that keeps the
    rules and what the `stages` before the loss found (their caps and budgets).

    Attributes:
        termination: reason, objective, bound.
        road: the technique.
        proof: the kind of argument behind the bound.
        plan: the events; never None, since calling nobody is a plan.
        unserved_kw: what is not covered in each slot, (D, S).
        feeder_unserved_kw: the same by feeder, (F, D, S).
        prices: the dual prices; None where a road has none.
        stages: the stages of the lexicographic order that were solved before the loss.
        burden_cap: the largest burden allowed to each user by leximin, (N,); None in other modes.
        progress: the course of the search; the last entry is the answer.
        threads: how many threads worked.
        seed: the seed.
    """

    termination: Termination
    road: Road
    proof: Proof
    plan: Plan
    unserved_kw: FloatArray
    feeder_unserved_kw: FloatArray
    prices: Prices | None = None
    stages: tuple[Stage, ...] = ()
    burden_cap: FloatArray | None = None
    progress: tuple[Progress, ...] = ()
    threads: int = 1
    seed: int = 0
