"""What a caller wishes of a solve."""

from dataclasses import dataclass
from enum import Enum
from math import inf


class Method(Enum):
    """A technique; the values are the words in which an answer names it."""

    KERNEL = "kernel"
    LINEAR = "linear"
    MIXED_INTEGER = "mixed-integer"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveOptions:
    """The limits of a solve; `method` None means the fastest exact one that fits."""

    time_limit_s: float = inf
    relative_gap: float = 1e-6
    seed: int = 0
    method: Method | None = None
