"""Dispatch of a fleet: many sites, each behind its meter, under limits that they share.

    minimise   sum_i cost_i + sum_n,t breach_price[n] * (over[n,t] + under[n,t]) * step_h[t]
    subject to every rule of each site i, as in `dispatch.problem`
               -export_limit[n,t] - under[n,t] <= sum of (import_i[t] - export_i[t]) over sites i
                                                  below n <= import_limit[n,t] + over[n,t]

Nodes are transformers, feeders, substations: each may hang below another one, and each site below
one of them. Without a breach price a limit is hard. Powers are in kW and become kWh by the step.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.dispatch.batch import MATRICES, Batch
from loadloom.models.horizon import FloatArray
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


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Sites in columns, the node that each hangs below, and the network; valid once made.

    Attributes:
        sites: the sites.
        site_nodes: the number of the node of each site, (sites,).
        network: the nodes.

    Raises:
        InvalidProblem: data that breaks a rule, all of it, by paths such as "nodes[3].parent".
    """

    sites: Batch
    site_nodes: NodeArray
    network: Network
    name: str = field(default="")

    def __post_init__(self) -> None:
        checks = Checks()
        _check_network(checks, self.network, self.sites.horizon.count)
        nodes = len(self.network.names)
        good = self.site_nodes.shape == (self.sites.site_count,)
        wanted = f"has {self.site_nodes.size} values; must have {self.sites.site_count}"
        checks.require(good, "site_nodes", wanted)
        outside = np.flatnonzero((self.site_nodes < 0) | (self.site_nodes >= nodes))
        if outside.size:
            row = int(outside[0])
            told = f"is {self.site_nodes[row]}; must be a node from 0 to {nodes - 1}"
            checks.require(False, f"site_nodes[{row}]", told)
        checks.finish()

    @cached_property
    def limits(self) -> Limits:
        """The limits in kWh of each interval."""
        hours, network = self.sites.horizon.step_h, self.network
        return Limits(
            tree=network.tree,
            low=-network.export_limit_kw * hours,
            high=network.import_limit_kw * hours,
            breach=network.breach_price_per_kwh,
        )

    @cached_property
    def net_load_kwh(self) -> FloatArray:
        """The load less photovoltaic power of all sites below each node, (nodes, count)."""
        rows, count = self.sites.site_count, self.sites.horizon.count
        own = np.zeros((len(self.network.names), count))
        for name, sign in (("load_kw", 1.0), ("pv_kw", -1.0)):
            matrix = getattr(self.sites, name)
            if matrix.shape[0] == rows:
                order = np.argsort(self.site_nodes, kind="stable")
                nodes, begin = np.unique(self.site_nodes[order], return_index=True)
                ends = np.append(begin[1:], rows)
                for node, first, last in zip(nodes, begin, ends, strict=True):
                    own[node] += sign * matrix[order[first:last]].sum(axis=0)
            else:
                sites = np.bincount(self.site_nodes, minlength=own.shape[0])
                own += sign * sites[:, None] * matrix[0]
        return self.network.tree.totals(own) * self.sites.horizon.step_h

    def part(self, rows: NodeArray) -> "Fleet":
        """The fleet of some sites, under limits that leave them their share.

        What loads and plants of these sites take of a limit is theirs; of what is left for stores
        they have a share by their number.
        """
        columns = {
            name: matrix[rows] if len(matrix) == self.sites.site_count else matrix
            for name, matrix in ((name, getattr(self.sites, name)) for name in MATRICES)
        }
        sites = Batch(horizon=self.sites.horizon, site_count=rows.size, **columns)
        nodes = self.site_nodes[rows]
        bare = Fleet(sites=sites, site_nodes=nodes, network=self.network)
        size = len(self.network.names)
        counts = [
            self.network.tree.totals(np.bincount(which, minlength=size).astype(float))
            for which in (nodes, self.site_nodes)
        ]
        share = (counts[0] / np.maximum(counts[1], 1.0))[:, None]
        shift = (bare.net_load_kwh - share * self.net_load_kwh) / self.sites.horizon.step_h
        network = Network(
            names=self.network.names,
            parents=self.network.parents,
            import_limit_kw=_share_of(self.network.import_limit_kw, share, shift),
            export_limit_kw=_share_of(self.network.export_limit_kw, share, -shift),
            breach_price_per_kwh=self.network.breach_price_per_kwh,
        )
        return Fleet(sites=sites, site_nodes=nodes, network=network)


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
