"""Why a solve stopped, in MathOpt's words."""

from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """The reason a solve stopped."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    NO_SOLUTION_FOUND = "no solution found"

    @property
    def has_solution(self) -> bool:
        """Whether there is a solution to look at."""
        return self in {Reason.OPTIMAL, Reason.FEASIBLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """How a solve ended: the reason, the value of what was found, and the proven bound on it."""

    reason: Reason
    objective: float
    bound: float
    detail: str = ""
