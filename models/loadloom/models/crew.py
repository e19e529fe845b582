"""Who works on the parts of a problem: this thread, several of them, or a cluster."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


class Run(Protocol):
    """What applies a function to items, in whatever way, and gives the results in order."""

    def __call__(
        self, function: Callable[[Item], Found], items: Sequence[Item], /
    ) -> Iterable[Found]:
        """The results, as `map` gives them."""
        ...


def in_threads(count: int) -> Run:
    """A run in that many threads, which begins at most two items a thread ahead of what is used."""

    def run(function: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
        with ThreadPoolExecutor(count) as pool:
            yield from _in_pool(pool, 2 * count, function, items)

    return run


def _in_pool(
    pool: ThreadPoolExecutor, ahead: int, function: Callable[[Item], Found], items: Sequence[Item]
) -> Iterator[Found]:
    waiting = deque(pool.submit(function, item) for item in items[:ahead])
    for item in islice(items, ahead, None):
        found = waiting.popleft().result()
        waiting.append(pool.submit(function, item))
        yield found
    while waiting:
        yield waiting.popleft().result()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Workers who are asked about the same parts again and again.

    Attributes:
        run: applies a function to items in order.
        hold: takes parts to where they will be needed. What it gives stands for them as an element
            of a tuple that is an item, where the function finds the part itself.
    """

    run: Run
    hold: Callable[[Sequence[Any]], Sequence[Any]] = list


@contextmanager
def of_threads(count: int) -> Iterator[Crew]:
    """That many threads of this process, which are there as long as the crew is needed."""
    if count == 1:
        yield Crew(run=map)
        return
    with ThreadPoolExecutor(count) as pool:

        def run(function: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
            return _in_pool(pool, 2 * count, function, items)

        yield Crew(run=run)
