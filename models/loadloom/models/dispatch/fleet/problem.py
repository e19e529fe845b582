"""Dispatch of a fleet: many sites, each behind its meter, under limits that they share.

    minimise   sum_i cost_i + sum_n,t breach_price[n] * (over[n,t] + under[n,t]) * step_h[t]
    subject to every rule of each site i, as in `dispatch.problem`
               -export_limit[n,t] - under[n,t] <= sum of (import_i[t] - export_i[t]) over sites i
                                                  below n <= import_limit[n,t] + over[n,t]

Nodes are transformers, feeders, substations: each may hang below another one, and each site below
one of them. Without a breach price a limit is hard. Powers are in kW and become kWh by the step.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.dispatch.batch import MATRICES, Batch
from loadloom.models.dispatch.problem import Problem
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.solvers.coupled.limits import Limits, Tree

NodeArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Network:
    """Nodes with limits on what all sites below them draw and feed in together.

    Attributes:
        names: a name for each node.
        parents: the number of the node above each one, or -1, (nodes,).
        import_limit_kw, export_limit_kw: (nodes, count), inf where there is none.
        breach_price_per_kwh: what a kWh beyond a limit costs, inf where limits are hard, (nodes,).
    """

    names: tuple[str, ...]
    parents: NodeArray
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    breach_price_per_kwh: FloatArray

    @cached_property
    def tree(self) -> Tree:
        """The nodes without their limits."""
        return Tree(parent=self.parents)


def _no_nodes() -> NodeArray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Sites, the node that each hangs below, and the network; valid once made.

    Plain sites stand in columns, sites with any mix of devices as problems of their own. All are
    numbered, the plain ones first.

    Attributes:
        sites: the plain sites, if there are any.
        site_nodes: the number of the node of each of them, (plain,).
        network: the nodes.
        mixed: the other sites, without scenarios, on the same horizon.
        mixed_nodes: the number of the node of each of them, (mixed,).

    Raises:
        InvalidProblem: data that breaks a rule, all of it, by paths such as "nodes[3].parent".
    """

    sites: Batch | None
    site_nodes: NodeArray
    network: Network
    mixed: tuple[Problem, ...] = ()
    mixed_nodes: NodeArray = field(default_factory=_no_nodes)
    name: str = field(default="")

    def __post_init__(self) -> None:
        checks = Checks()
        checks.require(self.site_count > 0, "sites", "is empty; must have at least one")
        checks.finish()
        _check_network(checks, self.network, self.horizon.count)
        nodes = len(self.network.names)
        _check_places(checks, "site_nodes", self.site_nodes, self.plain_count, nodes)
        _check_places(checks, "mixed_nodes", self.mixed_nodes, len(self.mixed), nodes)
        for number, problem in enumerate(self.mixed):
            _check_mixed(checks, f"mixed[{number}]", problem, self.horizon)
        checks.finish()

    @property
    def plain_count(self) -> int:
        """The number of plain sites."""
        return 0 if self.sites is None else self.sites.site_count

    @property
    def site_count(self) -> int:
        """The number of all sites."""
        return self.plain_count + len(self.mixed)

    @property
    def horizon(self) -> Horizon:
        """The intervals of all sites."""
        return self.mixed[0].horizon if self.sites is None else self.sites.horizon

    @cached_property
    def all_nodes(self) -> NodeArray:
        """The number of the node of each site, plain or not, (sites,)."""
        return np.concatenate((self.site_nodes, self.mixed_nodes))

    @cached_property
    def limits(self) -> Limits:
        """The limits in kWh of each interval."""
        hours, network = self.horizon.step_h, self.network
        return Limits(
            tree=network.tree,
            low=-network.export_limit_kw * hours,
            high=network.import_limit_kw * hours,
            breach=network.breach_price_per_kwh,
        )

    @cached_property
    def net_load_kwh(self) -> FloatArray:
        """The load less photovoltaic power of all sites below each node, (nodes, count)."""
        own = np.zeros((len(self.network.names), self.horizon.count))
        for node, problem in zip(self.mixed_nodes, self.mixed, strict=True):
            own[node] += problem.net_load_kw
        if self.sites is not None:
            self._add_plain(self.sites, own)
        return self.network.tree.totals(own) * self.horizon.step_h

    def _add_plain(self, sites: Batch, own: FloatArray) -> None:
        """Adds the net load of plain sites to that of their nodes, (nodes, count), in kW."""
        rows = sites.site_count
        for name, sign in (("load_kw", 1.0), ("pv_kw", -1.0)):
            matrix = getattr(sites, name)
            if matrix.shape[0] == rows:
                order = np.argsort(self.site_nodes, kind="stable")
                nodes, begin = np.unique(self.site_nodes[order], return_index=True)
                ends = np.append(begin[1:], rows)
                for node, first, last in zip(nodes, begin, ends, strict=True):
                    own[node] += sign * matrix[order[first:last]].sum(axis=0)
            else:
                number = np.bincount(self.site_nodes, minlength=own.shape[0])
                own += sign * number[:, None] * matrix[0]

    def part(self, rows: NodeArray, mixed: NodeArray) -> "Fleet":
        """The fleet of some plain and some mixed sites, under limits that leave them their share.

        What loads and plants of these sites take of a limit is theirs; of what is left for devices
        they have a share by their number.
        """
        sites = None if self.sites is None or not rows.size else _rows_of(self.sites, rows)
        bare = Fleet(
            sites=sites,
            site_nodes=self.site_nodes[rows],
            network=self.network,
            mixed=tuple(self.mixed[number] for number in mixed),
            mixed_nodes=self.mixed_nodes[mixed],
        )
        size = len(self.network.names)
        counts = [
            self.network.tree.totals(np.bincount(which, minlength=size).astype(float))
            for which in (bare.all_nodes, self.all_nodes)
        ]
        share = (counts[0] / np.maximum(counts[1], 1.0))[:, None]
        shift = (bare.net_load_kwh - share * self.net_load_kwh) / self.horizon.step_h
        network = Network(
            names=self.network.names,
            parents=self.network.parents,
            import_limit_kw=_share_of(self.network.import_limit_kw, share, shift),
            export_limit_kw=_share_of(self.network.export_limit_kw, share, -shift),
            breach_price_per_kwh=self.network.breach_price_per_kwh,
        )
        return replace(bare, network=network)


def _rows_of(sites: Batch, rows: NodeArray) -> Batch:
    """Some sites of a batch."""
    columns = {
        name: matrix[rows] if len(matrix) == sites.site_count else matrix
        for name, matrix in ((name, getattr(sites, name)) for name in MATRICES)
    }
    return Batch(horizon=sites.horizon, site_count=rows.size, **columns)


def _share_of(limit: FloatArray, share: FloatArray, shift: FloatArray) -> FloatArray:
    """A share of a limit, moved; infinite where the limit is."""
    finite = np.where(np.isfinite(limit), limit, 0.0)
    return np.where(np.isfinite(limit), np.maximum(share * finite + shift, 0.0), np.inf)


def _check_network(checks: Checks, network: Network, count: int) -> None:
    nodes = len(network.names)
    checks.require(nodes > 0, "nodes", "is empty; must have at least one")
    checks.distinct("nodes", list(network.names))
    _check_parents(checks, network, nodes)
    for name in ("import_limit_kw", "export_limit_kw"):
        limit = getattr(network, name)
        for node in range(nodes if limit.shape == (nodes, count) else 0):
            path = f"nodes[{node}].{name}"
            checks.numbers(path, limit[node], low=0.0, infinite=True)
        wanted = f"has the shape {limit.shape}; must be {(nodes, count)}"
        checks.require(limit.shape == (nodes, count), f"nodes.{name}", wanted)
    breach = network.breach_price_per_kwh
    good = breach.shape == (nodes,)
    checks.require(good, "nodes.breach_price_per_kwh", f"must have {nodes} values")
    for node in range(nodes if good else 0):
        path = f"nodes[{node}].breach_price_per_kwh"
        checks.numbers(path, float(breach[node]), low=0.0, infinite=True)


def _check_parents(checks: Checks, network: Network, nodes: int) -> None:
    parents = network.parents
    if parents.shape != (nodes,):
        checks.require(False, "nodes.parent", f"has {parents.size} values; must have {nodes}")
        return
    outside = np.flatnonzero((parents < -1) | (parents >= nodes))
    for node in outside[:1]:
        told = f"is {parents[node]}; must be a node from 0 to {nodes - 1}, or -1 for none"
        checks.require(False, f"nodes[{node}].parent", told)
    if not outside.size and nodes:
        try:
            _ = network.tree.levels
        except ValueError as circle:
            checks.require(False, "nodes.parent", f"{circle}; one of them must be a root")


def _check_places(checks: Checks, path: str, places: NodeArray, sites: int, nodes: int) -> None:
    """Notes sites that do not hang below a node."""
    checks.require(places.shape == (sites,), path, f"has {places.size} values; must have {sites}")
    outside = np.flatnonzero((places < 0) | (places >= nodes))
    if outside.size:
        row = int(outside[0])
        told = f"is {places[row]}; must be a node from 0 to {nodes - 1}"
        checks.require(False, f"{path}[{row}]", told)


def _check_mixed(checks: Checks, path: str, problem: Problem, horizon: Horizon) -> None:
    """Notes what a fleet cannot take of a site."""
    wanted = "has any; sites of a fleet are planned for their forecast alone"
    checks.require(not problem.scenarios, f"{path}.scenarios", wanted)
    own = problem.horizon
    same = own.start == horizon.start and np.array_equal(own.step_h, horizon.step_h)
    checks.require(same, f"{path}.horizon", "is not that of the other sites")
