"""The answer to a call list that was asked for, and what a caller wishes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import inf

from loadloom.models.certificate import Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.response.problem import OfferArray
from loadloom.solvers.termination import Termination


class Road(Enum):
    """A technique; the values are the words in which an answer names it."""

    COVER = "one cover"
    COVERS = "covers by node"
    PRICES = "node prices"
    REFERENCE = "reference model"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The limits of a solve; it ends at the gap, the time or the work, whichever comes first.

    Attributes:
        time_limit_s: the seconds it may take by the clock it is given; inf for no limit.
        relative_gap: the gap at which it may stop.
        seed: the seed of all that is drawn.
        threads: the threads that may work at once.
        road: the technique; None for the fastest that fits.
    """

    time_limit_s: float = inf
    relative_gap: float = 1e-4
    seed: int = 0
    threads: int = 2
    road: Road | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a solve has come: seconds by the caller's clock, 0 without one.

    `cost` is inf before the first call list, `bound` -inf before the first bound.
    """

    seconds: float
    cost: float
    bound: float
    phase: str


Report = Callable[[Progress], bool]
"""Told of progress; answers whether to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsecured:
    """A need that cannot be secured: the most that can be, and what is missing, in kW."""

    node: int
    slot: int
    need_kw: float
    attainable_kw: float
    missing_kw: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """How the solve ended, and the call list if there is one.

    `termination.objective` is the expected cost, with what calling off standing calls counts, and
    `termination.bound` what no call list counts less than; with a budget they are the common z and
    what no call list within it can surpass.

    Attributes:
        termination: reason, objective, bound.
        road: the technique.
        proof: the kind of argument behind the bound.
        offer: the offer under which each customer is called, or `NOT_CALLED`, (n,).
        price_per_kw: what one more kW of need would cost at each node, (V, S); 0 where none binds.
        rebound_price_per_kw: what one kW less of headroom would cost, (V, U).
        common_z: the normal quantile of the confidence that all nodes have; None without a budget.
        unsecured: the needs that cannot be secured.
        jointly: whether needs were lowered since other rules stood in their way; the bound is then
            what no call list counts less than that secures as much of each.
        progress: the course of the search.
        seed: the seed.
    """

    termination: Termination
    road: Road
    proof: Proof
    offer: OfferArray | None = None
    price_per_kw: FloatArray | None = None
    rebound_price_per_kw: FloatArray | None = None
    common_z: float | None = None
    unsecured: tuple[Unsecured, ...] = ()
    jointly: bool = False
    progress: tuple[Progress, ...] = ()
    seed: int = 0

    @property
    def relative_gap(self) -> float:
        """The gap |objective - bound| / max(1, |objective|); inf without a call list or a bound."""
        cost, bound = self.termination.objective, self.termination.bound
        if abs(cost) == inf or abs(bound) == inf:
            return inf
        return abs(cost - bound) / max(1.0, abs(cost))
