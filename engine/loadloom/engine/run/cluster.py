"""Passes over parts on the workers of a Dask cluster: the code of one machine, part by part.

What comes back is in the order of the parts, and totals are exact, so a result does not depend on
which worker did what. A part whose worker is lost is done again by another one. Workers read the
files of data sets themselves, and need to see them under the same paths, and this package.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from loadloom.models.crew import Crew, Found, Item, Run

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 4
"""The parts under way for each thread of the cluster; results that wait are held by the workers."""

CONNECT_S = 5.0
"""The time in which a scheduler must answer."""


class NoCluster(RuntimeError):  # noqa: N818 -- it names the state of the cluster
    """There is no cluster at an address, or nobody in it, or nothing here that speaks with one."""


@contextmanager
def connected(address: str) -> Iterator["Client"]:
    """A client of the cluster whose scheduler is at an address such as tcp://10.0.0.5:8786.

    Raises:
        NoCluster: it cannot be reached any more, or a part was lost with as many workers as its
            settings allow (`distributed.scheduler.allowed-failures`), or they do not see a file of
            this machine, or the extra `cluster` is not installed.
    """
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        words = "needs the extra `cluster` of this package, which is not installed"
        raise NoCluster(words) from error
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:  # the last for an address that is none
        said = str(error).split("\n", 1)[0] or f"no answer within {CONNECT_S:g} s"
        raise NoCluster(f"no Dask scheduler can be reached at {address!r}: {said}") from error
    with client:
        try:
            yield client
        except KilledWorker as error:
            raise NoCluster(f"workers died one after the other over a part: {error}") from error
        except FileNotFoundError as error:  # files below roots that lack are the caller's fault
            words = "its workers do not see what lies in the folder of the setting cluster_folder"
            raise NoCluster(words) from error
        except (CancelledError, OSError) as error:
            raise NoCluster(f"the Dask scheduler at {address!r} went away: {error}") from error


def on_cluster(client: "Client") -> Run:
    """A run on the workers of a cluster.

    Raises:
        NoCluster: there are no workers.
    """

    def run(function: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
        threads = client.nthreads().values()  # pyright: ignore[reportAttributeAccessIssue] -- not async
        if not threads:
            raise NoCluster("the cluster has no workers")
        most = AHEAD * sum(threads)
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


def crew_of(client: "Client") -> Crew:
    """The workers of a cluster, who keep parts that they are asked about again and again.

    The scheduler knows what each part is made of, so that a part whose worker is lost is made again
    for another one.
    """

    def hold(parts: Sequence[object]) -> list["Future"]:
        return [client.submit(_itself, part, pure=False) for part in parts]

    return Crew(run=on_cluster(client), hold=hold)


def _itself(part: Item) -> Item:
    return part
