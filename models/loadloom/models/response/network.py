"""The network that customers hang in: a forest of nodes, what each needs, and what it can bear."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import MAGNITUDE, Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.normal import quantile

IndexArray = NDArray[np.int64]
FlagArray = NDArray[np.bool_]

NO_NODE = -1
"""The parent of a root."""

LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.5, 1.0 - 1e-9
"""Below one half, uncertainty would help; above the other end the normal model says nothing."""

LEAST_NEED_KW = 1e-6
"""A need of a milliwatt or less is what rounding leaves of a forecast, and counts as none."""

MOST_LEVELS = 64
"""The most nodes from a root downwards; grids have some five."""

_COLUMNS = ("need_kw", "confidence", "need_spread_kw", "headroom_kw", "rebound_profile")


@dataclass(frozen=True, kw_only=True)
class Network:
    """A forest of V nodes with a need in each of S slots, valid once made.

    Attributes:
        parent: the node above each node, or `NO_NODE`, (V,).
        need_kw: the reduction that the customers below each node have to give, (V, S); 0 for none.
            With a spread it may be negative: the mean of load above rating.
        confidence: with what probability it is to be given, 0.5 up to but without 1, (V,) or ().
        need_spread_kw: the standard deviation of each need itself, as of a forecast, (V, S); None
            for certain needs.
        headroom_kw: what customers below each node may draw more in each of U slots after the
            event, by rebound, (V, U); inf for no limit, None for none at all.
        rebound_profile: the rebound in each of the U slots per kW of reduction, (U,).
        names: V distinct names; None for numbers.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths below `network`.
    """

    parent: IndexArray
    need_kw: FloatArray
    confidence: FloatArray
    need_spread_kw: FloatArray | None = None
    headroom_kw: FloatArray | None = None
    rebound_profile: FloatArray | None = None
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        checks = Checks()
        object.__setattr__(self, "parent", np.asarray(self.parent, dtype=np.int64))
        for name in _COLUMNS:
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.asarray(values, dtype=np.float64))
        _check_forest(checks, self.parent)
        _check_needs(checks, self)
        _check_rebound(checks, self)
        if self.names is not None:
            _check_names(checks, self.names, self.count)
        checks.finish()

    @property
    def count(self) -> int:
        """The number of nodes, V."""
        return self.parent.size

    @property
    def slot_count(self) -> int:
        """The number of slots in which there may be a need, S."""
        return self.need_kw.shape[1]

    @property
    def after_count(self) -> int:
        """The number of slots after the event, U; 0 without headroom."""
        return 0 if self.headroom_kw is None else self.headroom_kw.shape[1]

    def name(self, node: int) -> str:
        """What a node is called."""
        return f"node {node}" if self.names is None else self.names[node]

    @cached_property
    def z(self) -> FloatArray:
        """The normal quantile of each node's confidence, (V,)."""
        return np.broadcast_to(quantile(self.confidence), (self.count,)).copy()

    @property
    def spread_kw(self) -> FloatArray:
        """The standard deviation of each need, (V, S)."""
        spread = self.need_spread_kw
        return np.zeros(self.need_kw.shape) if spread is None else spread

    @cached_property
    def needed(self) -> FlagArray:
        """Whether there is a need: whether calling nobody would miss the confidence, (V, S)."""
        return self.need_kw + self.z[:, None] * self.spread_kw > LEAST_NEED_KW

    @cached_property
    def levels(self) -> tuple[IndexArray, ...]:
        """The nodes by their distance from the root, the roots first."""
        return _levels(self.parent)

    @cached_property
    def span(self) -> tuple[IndexArray, IndexArray]:
        """The place of each node in an order in which all below it follow it, and where they end.

        Both are (V,): what is below node v, itself with it, stands at first[v] up to last[v].
        """
        size = self.sum_up(np.ones(self.count)).astype(np.int64)
        first = np.zeros(self.count, np.int64)
        for nodes in self.levels:
            above = self.parent[nodes]
            order = np.argsort(above, kind="stable")
            nodes, above = nodes[order], above[order]
            before = np.cumsum(size[nodes]) - size[nodes]
            # Siblings stand in a row, so what was before the first of them is taken off again.
            starts = np.concatenate(([True], above[1:] != above[:-1]))[: nodes.size]
            before -= before[np.maximum.accumulate(np.where(starts, np.arange(nodes.size), 0))]
            base = np.where(above >= 0, first[above] + 1, 0)
            if nodes.size and above[0] < 0:
                before = np.cumsum(size[nodes]) - size[nodes]
            first[nodes] = base + before
        return first, first + size

    def sum_up(self, values: FloatArray) -> FloatArray:
        """What stands at each node and all nodes below it, of the shape of `values`, (V, ...)."""
        total = np.array(values, dtype=np.float64)
        for nodes in self.levels[:0:-1]:
            np.add.at(total, self.parent[nodes], total[nodes])
        return total

    def path(self, node: int) -> list[int]:
        """A node and all above it, upwards."""
        found = []
        while node != NO_NODE:
            found.append(node)
            node = int(self.parent[node])
        return found


def _levels(parent: IndexArray) -> tuple[IndexArray, ...]:
    """The nodes that a root leads to, by their distance from it."""
    order = np.argsort(parent, kind="stable")
    sorted_parent = parent[order]
    nodes, found = np.flatnonzero(parent == NO_NODE), []
    while nodes.size:
        found.append(nodes)
        begin = np.searchsorted(sorted_parent, nodes)
        count = np.searchsorted(sorted_parent, nodes, side="right") - begin
        ends = np.cumsum(count)
        nodes = order[np.arange(count.sum()) + np.repeat(begin - (ends - count), count)]
    return tuple(found)


def _check_forest(checks: Checks, parent: IndexArray) -> None:
    path = "network.parent"
    if parent.ndim != 1 or parent.size == 0:
        checks.require(False, path, "is empty; must have one value for each node, one at least")
        return
    wrong = np.flatnonzero((parent < NO_NODE) | (parent >= parent.size))
    if wrong.size:
        first = int(wrong[0])
        message = f"is {parent[first]}; must be {NO_NODE} or below {parent.size}"
        checks.require(False, f"{path}[{first}]", message)
        return
    reached = np.zeros(parent.size, np.bool_)
    levels = _levels(parent)
    for nodes in levels:
        reached[nodes] = True
    if len(levels) > MOST_LEVELS:
        first = int(levels[MOST_LEVELS][0])
        message = f"lies below {MOST_LEVELS} nodes, one above the other; must be below fewer"
        checks.require(False, f"{path}[{first}]", message)
    if not reached.all():
        first = int(np.argmin(reached))
        message = "is above itself; going up from a node must end at a root"
        checks.require(False, f"{path}[{first}]", message)


def _check_needs(checks: Checks, network: Network) -> None:
    count, need, confidence = network.count, network.need_kw, network.confidence
    if need.ndim == 2 and need.shape[0] == count and need.shape[1] > 0:
        low = 0.0 if network.need_spread_kw is None else -MAGNITUDE
        checks.numbers("network.need_kw", need, low=low)
    else:
        message = f"has shape {need.shape}; must have one row a node ({count}) and a column a slot"
        checks.require(False, "network.need_kw", message)
    spread = network.need_spread_kw
    if spread is not None and spread.shape != need.shape:
        message = f"has shape {spread.shape}; must have that of need_kw, {need.shape}"
        checks.require(False, "network.need_spread_kw", message)
    elif spread is not None:
        checks.numbers("network.need_spread_kw", spread, low=0.0)
    if confidence.shape in ((), (count,)):
        checks.numbers("network.confidence", confidence, low=LEAST_CONFIDENCE, high=MOST_CONFIDENCE)
    else:
        message = f"has {confidence.size} values; must have 1 or {count}"
        checks.require(False, "network.confidence", message)


def _check_rebound(checks: Checks, network: Network) -> None:
    headroom, profile = network.headroom_kw, network.rebound_profile
    if (headroom is None) != (profile is None):
        lacking = "headroom_kw" if headroom is None else "rebound_profile"
        message = "is missing; headroom and rebound profile are given together"
        checks.require(False, f"network.{lacking}", message)
        return
    if headroom is None or profile is None:
        return
    if headroom.ndim == 2 and headroom.shape[0] == network.count:
        checks.numbers("network.headroom_kw", headroom, low=0.0, infinite=True)
    else:
        message = f"has shape {headroom.shape}; must have one row a node ({network.count})"
        checks.require(False, "network.headroom_kw", message)
        return
    if checks.length("network.rebound_profile", profile, headroom.shape[1]):
        checks.numbers("network.rebound_profile", profile, low=0.0)


def _check_names(checks: Checks, names: tuple[str, ...], count: int) -> None:
    message = f"has {len(names)} names; must have one for each of {count} nodes"
    checks.require(len(names) == count, "network.names", message)
    repeated = len(names) - len(set(names))
    checks.require(repeated == 0, "network.names", f"has {repeated} names twice; must be distinct")
