"""Smallest sets of rules that cannot be kept together, found by dropping rules one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A rule in some of the places it holds in, in the order of time, given as a mask."""

    rule: int
    mask: BoolArray


class Oracle(Protocol):
    """What knows which rules can be kept together."""

    @property
    def left_s(self) -> float:
        """The time left; when it is over, everything counts as possible."""
        ...

    def possible(self, parts: list[Part]) -> bool:
        """Whether a plan keeps these parts, all others dropped."""
        ...

    def cure(self, part: Part) -> None:
        """Lets a part give way, from now on, by what the least change asks of it."""
        ...


def smallest_sets(oracle: Oracle, others: list[Part], givers: list[Part]) -> list[Part]:
    """The parts of every set, each cured before the next is sought; givers first."""
    found: list[Part] = []
    left = list(givers)
    while left and oracle.left_s > 0.0 and not oracle.possible(others + givers):
        smallest = _smallest(oracle, others, givers)
        giving = [part for part in smallest if part in left]
        if not giving:
            break
        for part in giving:
            oracle.cure(part)
            left.remove(part)
        found += giving + [part for part in smallest if part not in givers]
    return found + left


def runs(mask: BoolArray) -> list[BoolArray]:
    """The runs of consecutive places of a mask, each as a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    index = np.arange(mask.size)
    pairs = edges.reshape(-1, 2)
    return [(index >= first) & (index < end) for first, end in pairs]


def _smallest(oracle: Oracle, others: list[Part], givers: list[Part]) -> list[Part]:
    """A smallest set; a rule that does not give way is narrowed to the places that count."""
    kept = _filtered(oracle, others + givers)
    for part in [part for part in kept if part not in givers]:
        rest = [other for other in kept if other is not part]
        kept = [Part(part.rule, run) for run in runs(_narrowed(oracle, part, rest))] + rest
    return _filtered(oracle, kept)


def _filtered(oracle: Oracle, parts: list[Part]) -> list[Part]:
    """The parts that remain when each in turn is dropped unless a plan is possible then."""
    kept = parts
    for part in parts:
        rest = [other for other in kept if other is not part]
        if not oracle.possible(rest):
            kept = rest
    return kept


def _narrowed(oracle: Oracle, part: Part, rest: list[Part]) -> BoolArray:
    """The shortest stretch of a part that leaves no plan beside the rest, found by halving."""
    where = np.flatnonzero(part.mask)

    def enough(first: int, end: int) -> bool:
        mask = np.zeros_like(part.mask)
        mask[where[first:end]] = True
        return not oracle.possible([*rest, Part(part.rule, mask)])

    end = _least(1, where.size, lambda size: enough(0, size))
    begin = end - _least(1, end, lambda size: enough(end - size, end))
    mask = np.zeros_like(part.mask)
    mask[where[begin:end]] = True
    return mask


def _least(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """The least number from `low` to `high` that is enough; `high` is known to be."""
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high
