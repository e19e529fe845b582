"""The proof that comes with an answer."""

from dataclasses import dataclass
from enum import Enum


class Proof(Enum):
    """The kind of argument that proves a bound."""

    NONE = "none"
    DUAL = "dual"
    DYNAMIC_PROGRAM = "dynamic program"
    BRANCH_AND_BOUND = "branch and bound"
    RELAXATION = "relaxation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The value of a plan as the referee finds it, and the bound that no plan can beat."""

    objective: float
    bound: float
    proof: Proof

    @property
    def relative_gap(self) -> float:
        """The gap (objective - bound) / max(1, |objective|), never negative."""
        return max(0.0, self.objective - self.bound) / max(1.0, abs(self.objective))
