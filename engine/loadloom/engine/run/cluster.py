"""Passes over parts on the workers of a Dask cluster: the code of one machine, part by part.

What comes back is in the order of the parts, and totals are exact, so a result does not depend on
which worker did what. A part whose worker is lost is done again by another one. Workers read the
files of data sets themselves, and need to see them under the same paths.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from distributed import Client, Future

from loadloom.models.agency.curves import Found, Item, Run

AHEAD = 4
"""The parts under way for each thread of the cluster; results that wait are held by the workers."""


def on_cluster(client: Client) -> Run:
    """A run on the workers of a cluster.

    Raises:
        distributed.KilledWorker: a part was lost with as many workers as the cluster's settings
            allow (`distributed.scheduler.allowed-failures`).
    """

    def run(function: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
        threads = client.nthreads().values()  # pyright: ignore[reportAttributeAccessIssue] -- not async
        most = AHEAD * max(1, sum(threads))
        waiting: deque[Future] = deque()

        def ask(item: Item) -> None:
            # Every part is asked for by itself: equal ones are not to be taken for one.
            waiting.append(client.submit(function, item, pure=False))

        for item in islice(items, most):
            ask(item)
        for item in islice(items, most, None):
            found = waiting.popleft().result()
            ask(item)
            yield found
        while waiting:
            yield waiting.popleft().result()

    return run
