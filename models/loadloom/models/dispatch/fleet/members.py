"""The sites of a fleet as members that answer prices, group by group, whoever works on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadloom.models.crew import Crew
from loadloom.models.dispatch.fleet.answer import Answer, Mixed
from loadloom.models.dispatch.fleet.mixed import MixedSites
from loadloom.models.dispatch.fleet.plain import PlainSites
from loadloom.models.dispatch.fleet.problem import Fleet, NodeArray
from loadloom.models.dispatch.kernel import OPTIMAL, singles
from loadloom.models.dispatch.solution import Schedule
from loadloom.models.horizon import FloatArray
from loadloom.solvers.coupled.limits import Response

BoolArray = NDArray[np.bool_]

CHUNK_SITES = 1_024
"""The most plain sites that are worked on at once; the chunks do not depend on who works on them,
so that sums are the same to the last bit."""

CHUNKS = 8
"""The least number of chunks of a large fleet, so that nobody waits long for the last one."""

MIXED_SITES = 4
"""The mixed sites of a chunk, which take some milliseconds each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chunk:
    """Some sites, what stands for them among those who work, their numbers and their groups."""

    held: Any
    sites: NodeArray
    groups: NodeArray


@dataclass(kw_only=True, eq=False)
class Members:
    """The sites of a fleet in groups: each group's sites hang below the same node.

    Groups of plain sites come first, then each mixed site is one.

    Attributes:
        group: the number of each site's group, (sites,).
        node: the node of each group, (groups,).
        site_gap: the relative gap to which mixed sites are solved.
        outcomes: how each site's last solve ended, in the kernel's numbers, int8 (sites,).
        conflicts: the interval where its own rules conflict, or -1, int32 (sites,).
    """

    fleet: Fleet
    crew: Crew
    group: NodeArray
    node: NodeArray
    site_gap: float
    outcomes: NDArray[np.int8] = field(init=False)
    conflicts: NDArray[np.int32] = field(init=False)
    _plain: list[_Chunk] = field(init=False)
    _mixed: list[_Chunk] = field(init=False)
    _known: dict[int, tuple[bytes, Schedule | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outcomes = np.full(self.fleet.site_count, OPTIMAL, np.int8)
        self.conflicts = np.full(self.fleet.site_count, -1, np.int32)
        plain, mixed = list(_plain_parts(self)), list(_mixed_parts(self))
        self._plain = self._held([part for part, _ in plain], [sites for _, sites in plain])
        self._mixed = self._held([part for part, _ in mixed], [sites for _, sites in mixed])

    def _held(
        self, parts: Sequence[PlainSites | MixedSites], sites: Sequence[NodeArray]
    ) -> list[_Chunk]:
        return [
            _Chunk(held=held, sites=own, groups=part.groups)
            for held, part, own in zip(self.crew.hold(parts), parts, sites, strict=True)
        ]

    @cached_property
    def mixed_groups(self) -> NodeArray:
        """The groups that are mixed sites."""
        return self.group[self.fleet.plain_count :]

    @property
    def sound(self) -> bool:
        """Whether every site has a plan that keeps its own rules."""
        return bool((self.outcomes == OPTIMAL).all())

    def respond(self, prices: FloatArray, asked: BoolArray) -> Response:
        """What the groups that are asked answer to prices of their own, (groups, T)."""
        return self._respond(prices, asked, free=False)

    def respond_free(self, prices: FloatArray, asked: BoolArray) -> Response:
        """What they answer if nothing costs but these prices."""
        return self._respond(prices, asked, free=True)

    def _respond(self, prices: FloatArray, asked: BoolArray, *, free: bool) -> Response:
        # Mixed sites first: they take longest.
        chunks = [one for one in (*self._mixed, *self._plain) if asked[one.groups].any()]
        items = [(one.held, prices[one.groups], asked[one.groups], free) for one in chunks]
        groups = self.node.size
        flow, cost, value = np.zeros(prices.shape), np.zeros(groups), np.zeros(groups)
        for one, answer in zip(chunks, self.crew.run(_answer, items), strict=True):
            flow[one.groups] += answer.flow
            cost[one.groups] += answer.cost
            value[one.groups] += answer.value
            self.outcomes[one.sites] = answer.outcomes
            self.conflicts[one.sites] = answer.conflicts
        return Response(flow=flow, cost=cost, value=value)

    def plans(self, mixed: Sequence[Mixed]) -> tuple[FloatArray, int]:
        """The plans of all plain sites, (6, plain, T), and how many are not mixed.

        `mixed` is what each group takes of its answers.
        """
        columns = np.empty((6, self.fleet.plain_count, self.fleet.horizon.count))
        items = [(one.held, [mixed[group] for group in one.groups]) for one in self._plain]
        whole = 0
        for one, (own, number) in zip(self._plain, self.crew.run(_plans, items), strict=True):
            columns[:, one.sites] = own
            whole += number
        return columns, whole

    def schedules(self, mixed: Sequence[Mixed], wanted: BoolArray) -> dict[int, Schedule | None]:
        """The plans of those mixed sites whose groups are `wanted`, by group, (groups,).

        None where what the group takes of its answers is no plan.
        """
        changed = wanted.copy()
        for group in np.flatnonzero(wanted):
            known = self._known.get(int(group))
            changed[group] = known is None or known[0] != _key(mixed[int(group)])
        chunks = [one for one in self._mixed if changed[one.groups].any()]
        items = [
            (one.held, [mixed[group] if changed[group] else None for group in one.groups])
            for one in chunks
        ]
        for one, found in zip(chunks, self.crew.run(_schedules, items), strict=True):
            for group, schedule in zip(one.groups, found, strict=True):
                if changed[group]:
                    self._known[int(group)] = _key(mixed[group]), schedule
        return {int(group): self._known[int(group)][1] for group in np.flatnonzero(wanted)}


def _answer(item: tuple[PlainSites | MixedSites, FloatArray, BoolArray, bool]) -> Answer:
    sites, prices, asked, free = item
    return sites.respond(prices, asked, free)


def _plans(item: tuple[PlainSites, list[Mixed]]) -> tuple[FloatArray, int]:
    sites, mixed = item
    return sites.plans(mixed)


def _schedules(item: tuple[MixedSites, list[Mixed | None]]) -> list[Schedule | None]:
    sites, mixed = item
    return sites.schedules(mixed)


def _key(one: Mixed) -> bytes:
    return one.prices.tobytes() + one.share.tobytes()


def _plain_parts(members: Members) -> Iterator[tuple[PlainSites, NodeArray]]:
    """The plain sites in chunks, those of a group one after the other, with their numbers."""
    sites = members.fleet.sites
    if sites is None:
        return
    group = members.group[: sites.site_count]
    order = np.argsort(group, kind="stable")
    matrices = sites.matrices()
    single = singles(matrices, 0, sites.site_count)
    edges = _edges(sites.site_count)
    for first, last in pairwise(edges):
        rows = order[first:last].copy()
        groups, own = np.unique(group[rows], return_inverse=True)
        part = PlainSites(
            matrices=matrices,
            rows=rows,
            single=single[rows],
            group=own,
            groups=groups,
            step_h=np.array(sites.horizon.step_h),
        )
        yield part, rows


def _mixed_parts(members: Members) -> Iterator[tuple[MixedSites, NodeArray]]:
    """The mixed sites in chunks, with their numbers."""
    fleet = members.fleet
    for first in range(0, len(fleet.mixed), MIXED_SITES):
        problems = fleet.mixed[first : first + MIXED_SITES]
        sites = fleet.plain_count + np.arange(first, first + len(problems))
        groups = members.group[sites]
        yield MixedSites(problems=problems, groups=groups, gap=members.site_gap), sites


def grouped(fleet: Fleet, crew: Crew, wanted: int, site_gap: float) -> Members:
    """The sites of a fleet in groups.

    Plain ones are in about so many, at least one for each node that has any; mixed ones are one
    each, and are solved to a relative gap.
    """
    nodes, of_node = np.unique(fleet.site_nodes, return_inverse=True)
    each = max(1, wanted // max(nodes.size, 1))
    order = np.argsort(of_node, kind="stable")
    begin = np.searchsorted(of_node[order], np.arange(nodes.size))
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size) - begin[of_node[order]]
    parts = of_node * each + place % each
    found, group = np.unique(parts, return_inverse=True)
    return Members(
        fleet=fleet,
        crew=crew,
        group=np.concatenate((group, found.size + np.arange(len(fleet.mixed)))),
        node=np.concatenate((nodes[found // each], fleet.mixed_nodes)),
        site_gap=site_gap,
    )


def _edges(sites: int) -> NodeArray:
    chunks = max(min(CHUNKS, -(-sites // 64)), -(-sites // CHUNK_SITES))
    return np.linspace(0, sites, chunks + 1).astype(np.int64)
