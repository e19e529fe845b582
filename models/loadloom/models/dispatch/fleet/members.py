"""The sites of a fleet as members that answer prices, group by group, on several threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from loadloom.models.dispatch.fleet import kernel
from loadloom.models.dispatch.fleet.problem import Fleet, NodeArray
from loadloom.models.dispatch.kernel import OPTIMAL, singles
from loadloom.models.horizon import FloatArray
from loadloom.solvers.coupled.limits import Response

_T = TypeVar("_T")

CHUNK_SITES = 1_024
"""The most sites that a thread takes at once; the chunks do not depend on the number of threads,
so that sums are the same to the last bit."""

CHUNKS = 16
"""The least number of chunks of a large fleet, so that no thread waits long for the last one."""

_WEAR, _END_VALUE = 5, 6
"""The places of two numbers among the single ones of a site."""


@dataclass(kw_only=True, eq=False)
class Members:
    """The sites of a fleet in groups: each group's sites hang below the same node.

    Attributes:
        group: the number of each site's group, (sites,).
        node: the node of each group, (groups,).
        outcomes: how each site's last solve ended, in the kernel's numbers, int8 (sites,).
        conflicts: the interval where its own rules conflict, or -1, int32 (sites,).
    """

    fleet: Fleet
    threads: int
    group: NodeArray
    node: NodeArray
    outcomes: NDArray[np.int8] = field(init=False)
    conflicts: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self.outcomes = np.full(self.fleet.sites.site_count, OPTIMAL, np.int8)
        self.conflicts = np.full(self.fleet.sites.site_count, -1, np.int32)

    @cached_property
    def order(self) -> NodeArray:
        """The sites, those of a group one after the other."""
        return np.argsort(self.group, kind="stable")

    @cached_property
    def single(self) -> FloatArray:
        """What is a single number of each site, as `dispatch.kernel` has it."""
        return singles(self.fleet.sites.matrices(), 0, self.fleet.sites.site_count)

    @cached_property
    def _worthless(self) -> FloatArray:
        """The same without any cost."""
        single = self.single.copy()
        single[:, [_WEAR, _END_VALUE]] = 0.0
        return single

    @property
    def sound(self) -> bool:
        """Whether every site has a plan that keeps its own rules."""
        return bool((self.outcomes == OPTIMAL).all())

    def respond(self, prices: FloatArray) -> Response:
        """What the groups answer to prices of their own, (groups, T)."""
        return self._respond(prices, 1.0, self.single)

    def respond_free(self, prices: FloatArray) -> Response:
        """What they answer if nothing costs but these prices."""
        return self._respond(prices, 0.0, self._worthless)

    def _respond(self, prices: FloatArray, scale: float, single: FloatArray) -> Response:
        sites = self.fleet.sites
        matrices, groups = sites.matrices(), self.node.size
        edges = _edges(sites.site_count)

        def answer(first: int, last: int) -> Response:
            flow, cost = np.zeros((groups, sites.horizon.count)), np.zeros(groups)
            value = np.zeros(groups)
            kernel.respond(
                matrices, single, sites.horizon.step_h, first, last, prices, self.group, scale,
                flow, cost, value, self.outcomes, self.conflicts,
            )  # fmt: skip
            return Response(flow=flow, cost=cost, value=value)

        parts = self._together(answer, list(pairwise(edges)))
        return Response(
            flow=sum((part.flow for part in parts), np.zeros((groups, sites.horizon.count))),
            cost=sum((part.cost for part in parts), np.zeros(groups)),
            value=sum((part.value for part in parts), np.zeros(groups)),
        )

    def plans(
        self, mixed: Sequence[tuple[FloatArray, FloatArray]], tight: NDArray[np.bool_]
    ) -> tuple[FloatArray, int]:
        """The plans of all sites, (6, sites, T), and how many of them are not mixed.

        `mixed` holds for each group the prices (answers, T) to which it answers, and the share of
        each answer; `tight` (nodes, T) is where sites may not feed in more than these together.
        """
        sites = self.fleet.sites
        columns = np.empty((6, sites.site_count, sites.horizon.count))
        rounded = np.zeros(sites.site_count, np.bool_)
        matrices, order = sites.matrices(), self.order
        begin = np.searchsorted(self.group[order], np.arange(self.node.size + 1))

        def write(group: int) -> None:
            prices, share = mixed[group]
            kernel.mix(
                matrices, self.single, sites.horizon.step_h,
                order[begin[group] : begin[group + 1]], prices, share, tight[self.node[group]],
                columns, rounded, self.outcomes,
            )  # fmt: skip

        self._together(write, [(group,) for group in range(self.node.size)])
        return columns, int(rounded.sum())

    def _together(self, do: Callable[..., _T], tasks: Sequence[tuple[int, ...]]) -> list[_T]:
        """What `do` returns for each task, in order."""
        if self.threads == 1:
            return [do(*task) for task in tasks]
        with ThreadPoolExecutor(self.threads) as pool:
            working: list[Future[_T]] = [pool.submit(do, *task) for task in tasks]
            return [one.result() for one in working]


def grouped(fleet: Fleet, threads: int, wanted: int) -> Members:
    """The sites of a fleet in about so many groups, at least one for each node that has sites."""
    nodes, of_node = np.unique(fleet.site_nodes, return_inverse=True)
    each = max(1, wanted // nodes.size)
    order = np.argsort(of_node, kind="stable")
    begin = np.searchsorted(of_node[order], np.arange(nodes.size))
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size) - begin[of_node[order]]
    parts = of_node * each + place % each
    found, group = np.unique(parts, return_inverse=True)
    return Members(fleet=fleet, threads=threads, group=group, node=nodes[found // each])


def _edges(sites: int) -> NodeArray:
    chunks = max(min(CHUNKS, -(-sites // 64)), -(-sites // CHUNK_SITES))
    return np.linspace(0, sites, chunks + 1).astype(np.int64)
