"""The plan of a fleet: what its nodes draw, what their limits cost, and what each site does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loadloom.client.agency_parts import grid_of_message
from loadloom.client.fleet_request import column_names
from loadloom.client.grid import Grid
from loadloom.client.plan import (
    Columns,
    Conflict,
    Outcome,
    Provenance,
    columns_of,
    conflict_of,
)
from loadloom.client.plan_rules import Breach, breaches_of
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.v1.common_pb2 import Series
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd

IMPORT, EXPORT = "import_limit_kw", "export_limit_kw"

BINDS = 1e-6
"""A price per kWh above this says that a limit binds."""

AMOUNTS = ("cost", "bought_cost", "sold_revenue", "wear_cost", "end_value", "baseline_cost")
"""What is told of each site."""

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A limit that binds.

    Attributes:
        node: the name of the node.
        rule: "import_limit_kw" or "export_limit_kw".
        starts: the start of each interval in which it has a price.
        saving_per_kw: what one more kW of it in all of these would save, to first order.
        dearest: the start of the interval in which its price is highest.
        dearest_price_per_kwh: that price.
    """

    node: str
    rule: str
    starts: tuple[datetime, ...]
    saving_per_kw: float
    dearest: datetime
    dearest_price_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConflict:
    """A site that cannot keep its own rules: its number, its name, and why."""

    site: int
    name: str
    text: str


@dataclass(frozen=True, repr=False)
class FleetPlan:
    """The answer for a fleet; amounts are in `currency_code`.

    Attributes:
        message: the plan as the API has it.
        operation: the name of the operation that made it, which knows the plans of the sites.
    """

    message: pb.FleetPlan
    operation: str

    def __repr__(self) -> str:
        """The plan in a line: how it ended, what it costs and saves, and when."""
        money = f"{self.objective:,.4g} {self.currency_code}".rstrip()
        costs = f", costs {money}, saves {self.saving:,.4g}" if self.exists else ""
        span = f"{self.grid.count} intervals from {self.grid.start.isoformat()}"
        return f"<FleetPlan of {self.site_count:,} sites: {self.outcome}{costs}; {span}>"

    @cached_property
    def grid(self) -> Grid:
        """The intervals."""
        return grid_of_message(self.message.grid)

    @property
    def currency_code(self) -> str:
        """The currency of all amounts; empty when the request named none."""
        return self.message.currency_code

    @property
    def site_count(self) -> int:
        """The number of sites."""
        return self.message.site_count

    @property
    def outcome(self) -> Outcome:
        """The way the solve ended."""
        return Outcome.of(self.message.termination.reason)

    @property
    def exists(self) -> bool:
        """Whether there is a plan."""
        return self.outcome in {Outcome.OPTIMAL, Outcome.FEASIBLE}

    @property
    def objective(self) -> float:
        """The cost of the plan; NaN when there is none."""
        return self.message.certificate.objective if self.exists else nan

    @property
    def bound(self) -> float:
        """The cost that no plan can beat; NaN when there is no plan."""
        return self.message.certificate.bound if self.exists else nan

    @property
    def relative_gap(self) -> float:
        """The gap between them, relative to the cost; NaN when there is no plan."""
        return self.message.certificate.relative_gap if self.exists else nan

    @property
    def costs(self) -> dict[str, float]:
        """The cost by cause; earnings are negative."""
        return {item.name: item.amount for item in self.message.costs}

    @property
    def baseline_cost(self) -> float:
        """The cost if no store moved, whatever limits of nodes that breaks; NaN without a plan."""
        return self.message.baseline_cost if self.message.HasField("baseline_cost") else nan

    @property
    def unlimited_cost(self) -> float:
        """The least cost if no node had a limit; NaN when there is no plan."""
        return self.message.unlimited_cost if self.message.HasField("unlimited_cost") else nan

    @property
    def baseline_breaking_count(self) -> int:
        """The number of sites whose own rules it would break that no store moved."""
        return self.message.baseline_breaking_count

    @property
    def saving(self) -> float:
        """The baseline cost less the cost of the plan; NaN when there is no plan."""
        return self.baseline_cost - self.objective

    @property
    def comparable(self) -> bool:
        """Whether the saving is one: every site could also have left its store as it was."""
        return self.exists and not self.baseline_breaking_count

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes."""
        return [node.name for node in self.message.nodes]

    @property
    def parents(self) -> dict[str, str]:
        """The name of the node above each; empty where there is none."""
        return {node.name: node.parent for node in self.message.nodes}

    @property
    def columns(self) -> list[str]:
        """The columns of the sites' plans that are kept."""
        return column_names(self.message.columns)

    @property
    def power_kw(self) -> "pd.DataFrame":
        """What all sites below each node draw together, by time and node; negative is fed in."""
        return self._frame("power_kw")

    @property
    def unlimited_power_kw(self) -> "pd.DataFrame":
        """What they would draw if no node had a limit, by time and node."""
        return self._frame("unlimited_power_kw")

    @property
    def import_price_per_kwh(self) -> "pd.DataFrame":
        """What one more kWh of each import limit would save, by time and node."""
        return self._frame("import_price_per_kwh")

    @property
    def export_price_per_kwh(self) -> "pd.DataFrame":
        """What one more kWh of each export limit would save, by time and node."""
        return self._frame("export_price_per_kwh")

    @property
    def frame(self) -> "pd.DataFrame":
        """All that is known of nodes, a row for each node and interval."""
        import pandas as pd

        times, parts = self.grid.index, []
        for node in self.message.nodes:
            said = {"node": node.name, "time": times}
            for name in ("power_kw", "unlimited_power_kw"):
                said[name] = self._row(getattr(node, name))
            for rule, price in ((IMPORT, "import"), (EXPORT, "export")):
                said[rule] = self.limit(node.name, rule)
                said[f"{price}_price_per_kwh"] = self._row(getattr(node, f"{price}_price_per_kwh"))
            parts.append(pd.DataFrame(said))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def limit(self, node: str, rule: str) -> Rows:
        """A limit of a node in each interval, in kW; inf where there is none."""
        found = next(one for one in self.message.nodes if one.name == node)
        values = from_series(getattr(found, rule))
        return np.broadcast_to(values if values.size else np.inf, (self.grid.count,))

    @cached_property
    def bindings(self) -> list[Binding]:
        """The limits that bind, those first of which more would save most."""
        hours = np.array([step.total_seconds() / 3600 for step in self.grid.steps])
        starts, found = self.grid.boundaries, []
        for node in self.message.nodes:
            for rule, said in (
                (IMPORT, node.import_price_per_kwh),
                (EXPORT, node.export_price_per_kwh),
            ):
                prices = self._row(said)
                binds = np.flatnonzero(prices > BINDS)
                if not binds.size:
                    continue
                dearest = int(np.argmax(prices))
                found.append(
                    Binding(
                        node=node.name,
                        rule=rule,
                        starts=tuple(starts[place] for place in binds),
                        saving_per_kw=float(prices[binds] @ hours[binds]),
                        dearest=starts[dearest],
                        dearest_price_per_kwh=float(prices[dearest]),
                    )
                )
        return sorted(found, key=lambda one: -one.saving_per_kw)

    @property
    def breaches(self) -> list[Breach]:
        """The limits that gave way at their price: when, by how much, and for how much."""
        return breaches_of(self.message, self.grid)

    @property
    def conflicts(self) -> list[Conflict]:
        """The limits that cannot be kept, the largest change first, if there is no plan."""
        return [conflict_of(conflict, self.grid) for conflict in self.message.conflicts]

    @property
    def site_conflicts(self) -> list[SiteConflict]:
        """The sites that cannot keep their own rules, at most a hundred."""
        return [
            SiteConflict(site=one.site, name=one.name, text=one.what)
            for one in self.message.site_conflicts
        ]

    @property
    def passes(self) -> int:
        """The number of times that all sites were solved."""
        return self.message.passes

    @property
    def provenance(self) -> Provenance:
        """The origin of the plan."""
        return Provenance.of(self.message.provenance)

    def _row(self, said: Series) -> Rows:
        """A value for each interval; zeros where it is left out."""
        values = from_series(said)
        return values if values.size else np.zeros(self.grid.count)

    def _frame(self, name: str) -> "pd.DataFrame":
        import pandas as pd

        rows = {node.name: self._row(getattr(node, name)) for node in self.message.nodes}
        return pd.DataFrame(rows, index=self.grid.index)


@dataclass(frozen=True, repr=False)
class SitePlans:
    """The plans of sites that follow each other, a page of a fleet's.

    Attributes:
        message: the plans as the API has them.
        grid: the intervals.
        nodes: the names of the nodes of the fleet.
    """

    message: pb.SitePlans
    grid: Grid
    nodes: Sequence[str]

    def __repr__(self) -> str:
        """The page in a line."""
        last = self.message.first_site + len(self) - 1
        return f"<SitePlans: sites {self.message.first_site:,} to {last:,}>"

    def __len__(self) -> int:
        """The number of sites, those with devices of any kind after those in columns."""
        return self.message.site_count

    @property
    def _mixed(self) -> "Sequence[pb.MixedSitePlan]":
        return self.message.mixed_sites

    @property
    def names(self) -> list[str]:
        """The names of the sites; their numbers where they have none."""
        first = self.message.first_site
        known = [*self.message.names] or [""] * (len(self) - len(self._mixed))
        known += [one.name for one in self._mixed]
        return [name or str(first + place) for place, name in enumerate(known)]

    @property
    def summary(self) -> "pd.DataFrame":
        """The node, costs and saving of each site, a row for each; NaN for what is not told."""
        import pandas as pd

        said: dict[str, Any] = {name: from_series(getattr(self.message, name)) for name in AMOUNTS}
        for name in AMOUNTS:
            own = [_amount(one, name) for one in self._mixed]
            said[name] = np.append(said[name], own)
        nodes = [*self.message.nodes, *(one.node for one in self._mixed)]
        said = {"node": [self.nodes[place] for place in nodes]} | said
        frame = pd.DataFrame(said, index=pd.Index(self.names, name="site"))
        frame["saving"] = frame["baseline_cost"] - frame["cost"]
        return frame

    @cached_property
    def columns(self) -> Columns:
        """The columns that are kept of the sites in columns, each (sites, intervals)."""
        return {
            field.name: from_series(matrix.values).reshape(matrix.rows, matrix.cols)
            for field, matrix in self.message.ListFields()
            if field.message_type is not None and field.message_type.name == "Matrix"
        }

    @property
    def frame(self) -> "pd.DataFrame":
        """The schedules, a row for each site and interval.

        Of sites with devices of any kind it has what the meter does; `schedules` has the rest.
        """
        import pandas as pd

        times, count = self.grid.index, self.grid.count
        said = {
            "site": np.repeat(np.array(self.names, dtype=object), count),
            "time": times.take(np.tile(np.arange(count), len(self))),
        }
        own = [columns_of(one.schedule) for one in self._mixed]
        none, missing = np.zeros((0, count)), np.full(count, nan)
        for name in self.columns or dict.fromkeys(("import_kw", "export_kw") if own else ()):
            rows = self.columns.get(name, none).ravel()
            said[name] = np.concatenate([rows, *(one.get(name, missing) for one in own)])
        return pd.DataFrame(said)

    def schedules(self) -> "Iterator[tuple[str, pd.DataFrame]]":
        """The name and the schedule of each site, by time."""
        import pandas as pd

        rows = len(self) - len(self._mixed)
        every: list[Columns] = [
            {column: values[place] for column, values in self.columns.items()}
            for place in range(rows)
        ]
        every += [columns_of(one.schedule) for one in self._mixed]
        for name, columns in zip(self.names, every, strict=True):
            yield name, pd.DataFrame(columns, index=self.grid.index)


def _amount(plan: pb.MixedSitePlan, name: str) -> float:
    """An amount of a site; NaN where it is not told."""
    if name == "baseline_cost" and not plan.HasField(name):
        return nan
    return getattr(plan, name, nan)
