"""Fields of requests to call customers, filled with what an operator says; faults are noted."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import ArrayLike, NDArray

from loadloom.client.request import Reading, index_of
from loadloom.client.response import Customers, Network, Place, ResponseLaw
from loadloom.v1 import response_pb2 as pb
from loadloom.v1.common_pb2 import FloatMatrix, Matrix
from loadloom.wire.arrays import to_floats, to_matrix

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("size_kw", "size_sd_kw", "acceptance", "shock_share")
"""The columns of customers that are tables."""

NUMBERS = ("contact_cost", "fatigue_cost", "calls_left", "rebound_share", "delivered_share")
"""The columns of customers with a number for each."""

STRANGERS_TOLD = 5
"""The names told of those that are not known; the rest are left out."""


def set_network(target: pb.SupplyNetwork, said: Network, reading: Reading) -> None:
    """Fills a network."""
    names = list(map(str, said.names))
    target.names.extend(names)
    known = {name: place for place, name in enumerate(names)}
    if len(said.parents):
        if len(said.parents) != len(names):
            told = f"has {len(said.parents)} values; must have one for each of {len(names)} nodes"
            reading.fault("network.parents", told)
        parents = [None if one != one or one == "" else one for one in said.parents]
        target.parents.extend(places_of(parents, known, "network.parents", reading, none=-1))
    for name in ("need_kw", "need_sd_kw", "headroom_kw"):
        if (content := getattr(said, name)) is not None:
            table(getattr(target, name), content, names, f"network.{name}", reading)
    if said.confidence is not None:
        target.confidence.extend(column(said.confidence, names, "network.confidence", reading))
    if said.rebound_profile is not None:
        profile = column(said.rebound_profile, [], "network.rebound_profile", reading)
        target.rebound_profile.extend(profile)


def set_customers(
    target: pb.ResponseCustomers, said: Customers, network: Network, reading: Reading
) -> None:
    """Fills the columns of customers."""
    names = list(map(str, said.names))
    target.names.extend(names)
    if not names:
        target.count = said.count or (len(np.asarray(said.size_kw)) if np.ndim(said.size_kw) else 0)
    nodes = {str(name): place for place, name in enumerate(network.names)}
    own = {name: place for place, name in enumerate(names)}
    target.nodes.extend(places_of(said.nodes, nodes, "customers.nodes", reading))
    for name in TABLES:
        if (content := getattr(said, name)) is not None:
            table(getattr(target, name), content, names, f"customers.{name}", reading)
    for name in NUMBERS:
        if (content := getattr(said, name)) is None:
            continue
        values = column(content, names, f"customers.{name}", reading)
        if name == "calls_left":
            values = _whole(values, f"customers.{name}", reading)
        getattr(target, name).extend(values)
    for name in ("price_per_kwh", "fixed_payment"):
        if (content := getattr(said, name)) is not None:
            getattr(target, name).extend(column(content, [], f"customers.{name}", reading))
    for name in ("must_call", "never_call"):
        places = places_of(getattr(said, name), own, f"customers.{name}", reading)
        getattr(target, name).extend(places)
    _set_groups(target, said.groups)


def _set_groups(target: pb.ResponseCustomers, said: Sequence[Place | None] | Place) -> None:
    """Fills the group of each customer; groups are named in the order in which they first come."""
    groups = [said] if isinstance(said, (str, int)) else list(said)
    words = [None if one is None or one != one or one == "" else str(one) for one in groups]
    known = {name: place for place, name in enumerate(dict.fromkeys(filter(None, words)))}
    target.group_names.extend(known)
    if known:
        target.groups.extend(-1 if word is None else known[word] for word in words)


def set_law(
    target: pb.ResponseLaw, said: ResponseLaw, names: list[str], path: str, reading: Reading
) -> None:
    """Fills a law."""
    for name in ("degrees_of_freedom", "shock_degrees_of_freedom", "outage_probability"):
        setattr(target, name, getattr(said, name))
    if said.shock_share is not None:
        table(target.shock_share, said.shock_share, names, f"{path}.shock_share", reading)
    if said.outage_groups is not None:
        where = f"{path}.outage_groups"
        groups = column(said.outage_groups, names, where, reading)
        target.outage_groups.extend(_whole(groups, where, reading))


def table(
    target: Matrix | FloatMatrix,
    said: Any,  # noqa: ANN401 -- whatever holds numbers
    names: list[str],
    path: str,
    reading: Reading,
) -> None:
    """Fills a table: a number, one for each name, or a row for each name.

    Where there is one name alone, one number for each column.
    """
    array = _numbers(_turned(said, names), names, path, reading)
    if array is None:
        return
    if array.ndim > 2:
        reading.fault(path, f"has {array.ndim} dimensions; must have a row for each")
        return
    if array.ndim < 2:
        array = array.reshape((1, -1) if len(names) == 1 else (-1, 1))
    if isinstance(target, FloatMatrix):
        target.CopyFrom(to_floats(array))
    else:
        target.CopyFrom(to_matrix(array))


def column(
    said: Any,  # noqa: ANN401 -- whatever holds numbers
    names: list[str],
    path: str,
    reading: Reading,
) -> NDArray[np.float64]:
    """A number, or one for each name."""
    array = _numbers(said, names, path, reading)
    if array is None:
        return np.zeros(0)
    if array.ndim > 1:
        reading.fault(path, f"has {array.ndim} dimensions; must be a number or one for each")
    return array.reshape(-1).astype(np.float64, copy=False)


def places_of(
    said: Iterable[Place | None] | Place,
    known: Mapping[str, int],
    path: str,
    reading: Reading,
    *,
    none: int | None = None,
) -> list[int]:
    """The places of names; what is a place already stays. `none` is that of None."""
    single = isinstance(said, (str, int))
    faults = len(reading.violations)
    found = []
    for index, one in enumerate([said] if single else said):
        if one is None and none is not None:
            found.append(none)
            continue
        where = path if single else f"{path}[{index}]"
        if len(reading.violations) < faults + STRANGERS_TOLD:
            found.append(place_of(one, known, where, reading))
    return found


def place_of(said: Place | None, known: Mapping[str, int], path: str, reading: Reading) -> int:
    """The place of a name; what is a place already stays, what is neither is noted."""
    if isinstance(said, (int, np.integer)) and not isinstance(said, bool) and said >= 0:
        return int(said)
    if isinstance(said, str) and said in known:
        return known[said]
    close = get_close_matches(str(said), list(known)[:10_000], 1)
    hint = f"; did you mean {close[0]}?" if close else ", and no place from 0"
    reading.fault(path, f"is {said!r}, which is no name here{hint}")
    return 0


def days(said: Iterable[object], path: str, reading: Reading) -> list[str]:
    """Local days as the API has them, such as "2026-08-15"."""
    found = []
    for index, day in enumerate(said):
        if isinstance(day, (date, datetime)):  # a Timestamp of pandas is one
            found.append(f"{day:%Y-%m-%d}")
        elif isinstance(day, str):
            found.append(day)
        else:
            reading.fault(f"{path}[{index}]", f"is {day!r}; must be a date")
    return found


def set_instant(target: Timestamp, moment: object, path: str, reading: Reading) -> None:
    """Fills an instant."""
    if not isinstance(moment, datetime):
        reading.fault(path, f"is {moment!r}; must be a datetime")
    elif moment.tzinfo is None:
        reading.fault(path, "has no time zone; give it one, such as that of the network")
    else:
        target.FromDatetime(moment.astimezone(UTC))


def _turned(said: Any, names: list[str]) -> Any:  # noqa: ANN401 -- whatever holds numbers
    """A DataFrame of times by names with a row for each name; anything else as it is."""
    return said.T if names and np.ndim(said) == 2 and _is_timed(index_of(said)) else said


def _is_timed(index: "pd.Index | None") -> bool:
    return index is not None and index.dtype.kind == "M"


def _is_named(index: "pd.Index | None") -> bool:
    """Whether an index names its rows, and does not just count them or tell their times."""
    if index is None or _is_timed(index):
        return False
    import pandas as pd

    return not index.equals(pd.RangeIndex(len(index)))


def _numbers(
    said: ArrayLike, names: list[str], path: str, reading: Reading
) -> NDArray[np.float64] | NDArray[np.float32] | None:
    """The numbers in something, in the order of the names; None, noted, if there are none."""
    index = index_of(said)
    if index is not None and names and _is_named(index):
        own = index.astype(str)
        known = set(own)
        missing = [name for name in names if name not in known]
        for name in missing[:STRANGERS_TOLD]:
            reading.fault(path, f"has no value for {name!r}")
        if missing:
            return None
        said = said.set_axis(own).loc[names]  # type: ignore[attr-defined] -- it has an index
    kind = np.float32 if getattr(said, "dtype", None) == np.float32 else np.float64
    try:
        return np.asarray(said, dtype=kind)  # type: ignore[return-value] -- of one of two kinds
    except (TypeError, ValueError) as error:
        reading.fault(path, f"is not made of numbers: {error}")
        return None


def _whole(values: NDArray[np.float64], path: str, reading: Reading) -> list[int]:
    """The whole numbers in a column, none below zero."""
    wrong = ~np.isfinite(values) | (values < 0) | (values != np.floor(values))
    if wrong.any():
        first = int(np.argmax(wrong))
        reading.fault(f"{path}[{first}]", f"is {values[first]:g}; must be a whole number from 0")
        return []
    return values.astype(np.int64).tolist()
