"""Requests for the plan of a fleet, made from what a caller says; every fault is found first."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadloom.client.agency_fields import set_data_set
from loadloom.client.errors import InvalidRequest, LimitExceeded
from loadloom.client.fleet import PER_SITE, matrices
from loadloom.client.fleet_parts import (
    FleetSite,
    FleetSites,
    Node,
    Scaled,
    SiteColumn,
    nodes_of,
)
from loadloom.client.grid import Grid
from loadloom.client.request import (
    LONGEST_S,
    Reading,
    Times,
    check_names,
    compare_times,
    fill,
    fits,
    grid_of,
    index_of,
    set_series,
)
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.v1.dispatch_pb2 import PlanColumn
from loadloom.wire.arrays import packed, to_matrix

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "PLAN_COLUMN_"
"""How the names of columns begin in the API."""

STRANGERS_TOLD = 5
"""The names told of those that are not known; the rest are left out."""

PRICES = ("buy_price_per_kwh", "sell_price_per_kwh")


class FleetWishes(TypedDict, total=False):
    """What may be said of a fleet beside its sites and nodes; all of it may be left out.

    Attributes:
        buy_price_per_kwh: the price of a kWh drawn from the grid, for sites that bring none.
        sell_price_per_kwh: the price of a kWh fed into the grid; zero.
        currency_code: the currency of all prices.
        columns: the columns of the sites' plans to keep, such as "import_kw"; all of them.
        time_limit_s: the longest time to solve; a minute.
        relative_gap: the gap, 0..1, at which the search may stop; 1e-4.
        threads: the threads to solve with; one a core.
        seed: the seed of every random choice.
        request_id: the caller's id of the request: the same id brings the same operation.
        mixed_sites: sites with devices of any kind, numbered after those in columns.
    """

    buy_price_per_kwh: ArrayLike
    sell_price_per_kwh: ArrayLike
    currency_code: str
    columns: Iterable[str]
    time_limit_s: float | None
    relative_gap: float
    threads: int
    seed: int
    request_id: str
    mixed_sites: Iterable[FleetSite]


Network = Sequence[Node]


def fleet_request(
    sites: "FleetSites | pd.DataFrame | None",
    network: "Network | pd.DataFrame",
    times: Times,
    wishes: FleetWishes,
) -> pb.PlanFleetRequest:
    """The request for the plan of a fleet.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, FleetWishes)
    nodes = nodes_of(network) if hasattr(network, "columns") else [*network]  # type: ignore[arg-type] -- a DataFrame is the one with columns
    names = [node.name for node in nodes]
    said = FleetSites.of(sites) if hasattr(sites, "index") else sites  # type: ignore[arg-type] -- as above
    columns: dict[str, SiteColumn] = {} if said is None else dict(said.columns)  # type: ignore[union-attr] -- FleetSites by now
    for name in PRICES:
        if (price := wishes.get(name)) is not None:
            columns.setdefault(name, price)
    grid = grid_of(times if times is not None else _index(columns))
    request, reading = pb.PlanFleetRequest(grid=grid.message()), Reading(grid)
    _set_nodes(request, nodes, reading)
    if isinstance(said, FleetSites):
        _set_places(request.sites, said, names, reading)
        _set_columns(request.sites, columns, len(said.nodes), grid, reading)
        for name in ("load_data_set", "pv_data_set"):
            if (files := getattr(said, name)) is not None:
                if files.grid.message() != request.grid:
                    reading.fault(f"sites.{name}", "is for other intervals than the fleet")
                set_data_set(getattr(request.sites, name), files, reading)
    _set_mixed(request, [*wishes.get("mixed_sites", ())], names, reading)
    _set_wishes(request, wishes, reading)
    reading.finish()
    return request


def check_size(size: int, most_bytes: float) -> None:
    """Checks that a request of a size is a message that a server takes.

    Raises:
        LimitExceeded: it is too large.
    """
    if size > most_bytes:
        raise LimitExceeded(
            f"the request has {size / 2**20:,.1f} MiB and this server takes {most_bytes / 2**20:g} "
            "MiB; let sites share profiles (Scaled), or start the server with "
            f"--limits.message-bytes {2 ** (size - 1).bit_length()}",
            code="RESOURCE_EXHAUSTED",
        )


def column_names(columns: Iterable[int]) -> list[str]:
    """The names of columns as the client has them."""
    return [PlanColumn.Name(one).removeprefix(COLUMN).lower() for one in columns]  # type: ignore[arg-type] -- numbers of the API


def _index(columns: dict[str, SiteColumn]) -> "pd.Index | None":
    """The times that a column tells; None if none does."""
    for column in columns.values():
        index = index_of(column.rows if isinstance(column, Scaled) else column)
        if type(index).__name__ == "DatetimeIndex":
            return index
    return None


def _set_nodes(request: pb.PlanFleetRequest, nodes: Sequence[Node], reading: Reading) -> None:
    for place, node in enumerate(nodes):
        target = request.nodes.add(name=node.name, parent=node.parent)
        for rule in ("import_limit_kw", "export_limit_kw"):
            if (limit := getattr(node, rule)) is not None:
                set_series(getattr(target, rule), limit, f"nodes[{place}].{rule}", reading)
        if node.breach_price_per_kwh is not None:
            target.breach_price_per_kwh = node.breach_price_per_kwh


def _set_places(
    target: pb.FleetSites, said: FleetSites, nodes: Sequence[str], reading: Reading
) -> None:
    """Fills the names of the sites, and the node of each."""
    count = len(said.nodes)
    if said.names and len(said.names) != count:
        told = f"has {len(said.names)} values; must have one for each of {count} sites"
        reading.fault("sites.names", told)
    target.names.extend(map(str, said.names))
    target.nodes.extend(_places(said.nodes, nodes, "sites.nodes", "node", reading))


def _places(
    said: Sequence[Any] | ArrayLike, known: Sequence[str], path: str, what: str, reading: Reading
) -> list[int]:
    """The places of things told by name or place; strangers are noted."""
    by_name = {name: place for place, name in enumerate(known)}
    found, strangers = [], 0
    for index, one in enumerate(np.asarray(said, dtype=object).tolist()):
        place = by_name.get(one, -1) if isinstance(one, str) else int(one)
        if not 0 <= place < len(known):
            strangers += 1
            if strangers <= STRANGERS_TOLD:
                reading.fault(f"{path}[{index}]", f"is {one!r}; there is no such {what}")
            place = 0
        found.append(place)
    return found


def _set_columns(
    target: pb.FleetSites,
    columns: dict[str, SiteColumn],
    count: int,
    grid: Grid,
    reading: Reading,
) -> None:
    plain = {name: each for name, each in columns.items() if not isinstance(each, Scaled)}
    shaped: dict[str, NDArray[np.float64]] = {}
    try:
        shaped, rows = matrices(plain, grid, "sites.columns") if plain else ({}, 1)
        if rows not in {1, count}:
            told = f"have {rows} rows; must have one for each of {count} sites, or one"
            reading.fault("sites.columns", told)
    except InvalidRequest as error:
        reading.violations += error.violations
    target.columns.site_count = count
    for name, matrix in shaped.items():
        getattr(target.columns, name).CopyFrom(to_matrix(matrix))
    for name, column in columns.items():
        if isinstance(column, Scaled):
            _set_shared(target, name, column, count, grid, reading)


def _set_shared(
    target: pb.FleetSites, name: str, said: Scaled, count: int, grid: Grid, reading: Reading
) -> None:
    """Fills a column whose rows sites share."""
    path = f"sites.columns.{name}"
    rows, names = np.asarray(said.rows, dtype=np.float64), None
    if (index := index_of(said.rows)) is not None:
        compare_times(index, path, reading)
        rows, names = rows.T, [str(one) for one in getattr(said.rows, "columns", ())]
    if rows.ndim != 2 or rows.shape[1] not in {1, 1 if name in PER_SITE else grid.count}:
        reading.fault(path, f"has shape {rows.shape}; must have {grid.count} values a row, or one")
        return
    known = names or [str(place) for place in range(len(rows))]
    which = _places(said.which, known, f"{path}.which", "profile", reading)
    scale = np.asarray(said.scale, dtype=np.float64).reshape(-1)
    for word, size in (("which", len(which)), ("scale", scale.size)):
        if size not in {1, count}:
            told = f"has {size} values; must have one for each of {count} sites, or one"
            reading.fault(f"{path}.{word}", told)
    getattr(target.columns, name).CopyFrom(to_matrix(rows))
    shared = target.shared_rows.add(matrix=name)
    shared.rows.extend(which)
    shared.factors.MergeFromString(packed(scale))


def _set_mixed(
    request: pb.PlanFleetRequest,
    sites: Sequence[FleetSite],
    nodes: Sequence[str],
    reading: Reading,
) -> None:
    """Fills the sites with devices of any kind."""
    places = _places([each.node for each in sites], nodes, "mixed_sites.node", "node", reading)
    for index, (each, place) in enumerate(zip(sites, places, strict=True)):
        target, path = request.mixed_sites.add(node=place), f"mixed_sites[{index}].site"
        if fits(target.site, each.site, path, reading):
            fill(target.site, each.site, path, reading)


def _set_wishes(request: pb.PlanFleetRequest, wishes: FleetWishes, reading: Reading) -> None:
    known = {name.removeprefix(COLUMN).lower(): number for name, number in PlanColumn.items()}
    for place, name in enumerate(wishes.get("columns", ())):
        if name in known:
            request.columns.append(known[name])
        else:
            told = f"is {name!r}; must be one of {', '.join([*known][1:7])}"
            reading.fault(f"columns[{place}]", told)
    request.currency_code = wishes.get("currency_code", "")
    request.request_id = wishes.get("request_id", "")
    options = request.options
    for name in ("relative_gap", "threads", "seed"):
        try:
            setattr(options, name, wishes.get(name, 0))
        except (TypeError, ValueError):
            reading.fault(f"options.{name}", f"is {wishes.get(name)!r}; must be a number")
    limit_s = wishes.get("time_limit_s")
    if limit_s is not None and not 0.0 < limit_s <= LONGEST_S:
        told = f"is {limit_s!r}; must be a number of seconds above 0, at most {LONGEST_S:g}"
        reading.fault("options.time_limit", told)
    elif limit_s is not None:
        options.time_limit.FromNanoseconds(round(limit_s * 1e9))
