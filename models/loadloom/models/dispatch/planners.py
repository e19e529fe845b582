"""What is remembered of sites between their solves, so that the next one takes less time."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from loadloom.models.dispatch.general import Planner as GeneralPlanner
from loadloom.models.dispatch.linear import Planner as LinearPlanner


@dataclass(slots=True)
class SitePlanner:
    """The planners of one site, one for each road that goes on from where it ended."""

    general: GeneralPlanner = field(default_factory=GeneralPlanner)
    linear: LinearPlanner = field(default_factory=LinearPlanner)

    @property
    def size(self) -> int:
        """The entries of the programmes that are held."""
        return self.general.size + self.linear.size


class Planners:
    """The planners of the sites that were solved last, up to a number and a total size.

    They go on for whoever brings the key of a site; a solve that fails is forgotten.
    """

    def __init__(self, sites: int, entries: int) -> None:
        self._sites, self._entries = sites, entries
        self._held: OrderedDict[tuple[str, int], SitePlanner] = OrderedDict()
        self._sizes: dict[tuple[str, int], int] = {}

    @contextmanager
    def of(self, key: str, seed: int) -> Iterator[SitePlanner]:
        """The planner of a site, for the time of a solve with a seed; a new one without a key."""
        place = key, seed  # what a seed decides is in the models that are held
        planner = self._held.pop(place, None) or SitePlanner(linear=LinearPlanner(seed))
        self._sizes.pop(place, None)
        yield planner
        planner.general.search = None
        if not key:
            return
        self._held[place], self._sizes[place] = planner, planner.size
        while len(self._held) > self._sites or sum(self._sizes.values()) > self._entries:
            last, _ = self._held.popitem(last=False)
            del self._sizes[last]

    def __len__(self) -> int:
        """The number of sites that are remembered."""
        return len(self._held)
