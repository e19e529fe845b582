"""What is said of a fleet: its sites in columns, and the network whose limits they share.

    sites = FleetSites.of(homes, profiles)  # DataFrames: a row for each home, a column a profile
    network = [Node(name="town", import_limit_kw=900.0), Node(name="north", parent="town")]
    operation = client.plan_fleet(sites, network, prices.index, buy_price_per_kwh=prices)

Columns are those of `loadloom.client.fleet`: a load, a plant and a store behind each meter. Beside
arrays they may be Scaled: rows that sites share, so that a hundred thousand homes with standard
profiles stay a small message. Sites with other devices are told one by one, each a FleetSite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from loadloom.client.agency import DataSet
from loadloom.client.errors import InvalidRequest, Violation
from loadloom.client.site import Site
from loadloom.wire.columns import SITE_MATRICES

if TYPE_CHECKING:
    import pandas as pd

PROFILE, SCALE = "_profile", "_scale"
"""How columns of a DataFrame end that name the profile of a site, and what it is multiplied by."""

PROFILED = {"load": "load_kw", "pv": "pv_kw"}
"""What begins such a column, by the column of sites that it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of a network, such as a transformer, a feeder or a substation.

    Attributes:
        name: its name, unique within the network.
        parent: the name of the node above it; empty where there is none.
        import_limit_kw: the most that all sites below it may draw together, one number or one for
            each interval; no limit when left out.
        export_limit_kw: the most that they may feed in together; no limit when left out.
        breach_price_per_kwh: the price of each kWh beyond a limit; limits are kept in any case when
            left out.
    """

    name: str
    parent: str = ""
    import_limit_kw: ArrayLike | None = None
    export_limit_kw: ArrayLike | None = None
    breach_price_per_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """Rows that sites share: each site has one of them, times a factor.

    Attributes:
        rows: the rows, (rows, intervals), or a DataFrame with times in its index and a column for
            each.
        which: the row of each site, by its number, or by its name in a DataFrame.
        scale: the factor of each site, or of all.
    """

    rows: "ArrayLike | pd.DataFrame"
    which: Sequence[int] | Sequence[str] | ArrayLike
    scale: ArrayLike = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSite:
    """A site of a fleet with devices of any kind, and the node it is below, by name or place."""

    site: Site
    node: str | int


SiteColumn: TypeAlias = "ArrayLike | Scaled"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSites:
    """The sites of a fleet, in columns.

    Attributes:
        nodes: the node that each site hangs below, by its name or its place from 0.
        columns: the columns by name, such as "load_kw"; see `loadloom.client.fleet`.
        names: the names of the sites; their numbers where there are none.
        load_data_set: files of the server with the load of each site, which is a user there,
            instead of `load_kw`; sites then have names.
        pv_data_set: the same of photovoltaic power, instead of `pv_kw`.
    """

    nodes: Sequence[str] | Sequence[int]
    columns: Mapping[str, SiteColumn] = field(default_factory=dict)
    names: Sequence[str] = ()
    load_data_set: DataSet | None = None
    pv_data_set: DataSet | None = None

    @classmethod
    def of(cls, frame: "pd.DataFrame", profiles: "pd.DataFrame | None" = None) -> "FleetSites":
        """The sites of a DataFrame with a row for each.

        Names are in its index, or in a column `site`. A column `node` names the node of each. All
        others are columns of sites, but for `load_profile` and `load_scale`, `pv_profile` and
        `pv_scale`: a column of `profiles` and what it is multiplied by.

        Args:
            frame: the sites.
            profiles: the profiles, by time and name.

        Raises:
            InvalidRequest: the frame lacks something, or has a column that means nothing.
        """
        sites = frame.set_index("site") if "site" in frame.columns else frame
        said: dict[str, Any] = {str(name): sites[name] for name in sites.columns}
        faults = []
        if "node" not in said:
            faults.append(Violation("sites.node", "is missing; it names the node of each site"))
        nodes = [str(name) for name in said.pop("node", ())]
        columns: dict[str, SiteColumn] = {}
        for stem, target in PROFILED.items():
            which, scale = said.pop(stem + PROFILE, None), said.pop(stem + SCALE, 1.0)
            if which is None:
                continue
            if profiles is None:
                faults.append(Violation(f"sites.{stem}{PROFILE}", "has no profiles; give them"))
                continue
            names = [str(name) for name in which]
            columns[target] = Scaled(rows=profiles, which=names, scale=np.asarray(scale, float))
        for name, column in said.items():
            if name not in SITE_MATRICES:
                known = ", ".join(("node", *(s + PROFILE for s in PROFILED), *SITE_MATRICES))
                faults.append(Violation(f"sites.{name}", f"is not known; there are {known}"))
            else:
                columns[name] = np.asarray(column, dtype=np.float64)[:, np.newaxis]
        if faults:
            raise InvalidRequest.of(faults)
        counting = sites.index.name is None and type(sites.index).__name__ == "RangeIndex"
        return cls(nodes=nodes, columns=columns, names=() if counting else [*map(str, sites.index)])


def nodes_of(frame: "pd.DataFrame") -> list[Node]:
    """The nodes of a DataFrame with a row for each: `node` or the index, and the fields of Node.

    Cells that hold nothing are no limit, no price, or no parent.
    """
    rows = frame if "node" in frame.columns else frame.rename_axis("node").reset_index()
    found = []
    for row in rows.to_dict("records"):
        said = {str(name): cell for name, cell in row.items() if cell == cell and cell is not None}
        found.append(Node(name=str(said.pop("node")), **said))
    return found
