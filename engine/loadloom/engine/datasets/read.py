"""The curves of a data set, in parts that are read one by one, by threads or by other machines."""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
from pandas.util import hash_array

from loadloom.engine.datasets.checks import first_currency
from loadloom.engine.datasets.data_set import DataSet, Format, Layout
from loadloom.engine.datasets.long import spread_out
from loadloom.engine.datasets.roots import Roots, refusal
from loadloom.engine.datasets.tables import table
from loadloom.engine.datasets.temporary import Folder, sweep
from loadloom.engine.datasets.wide import WidePart
from loadloom.models.agency.curves import Part
from loadloom.models.horizon import Horizon


class Parts(list[Part]):
    """The parts of a data set; the folder that long ones need is deleted when these are gone."""

    folder: Folder | None = None

    def each(self, change: Callable[[Part], Part]) -> "Parts":
        """What a change makes of each part, with the folder that they need."""
        changed = Parts(map(change, self))
        changed.folder = self.folder
        return changed


def open_parts(
    data_set: DataSet,
    roots: Roots,
    horizon: Horizon,
    *,
    cut_off: datetime | None = None,
    currency: str = "",
    with_names: bool = True,
    folder: Path | None = None,
) -> Parts:
    """The parts of a data set, of which the wide ones have not been read but for their footers.

    Args:
        data_set: where the curves are, and how.
        roots: below which they may be.
        horizon: the slots that every curve must have.
        cut_off: readings that arrived later are late.
        currency: what a currency column has to say; what its first row says if it is empty.
        with_names: whether chunks have the users' names; without, less is read and held.
        folder: where long data sets are spread out; one that other machines see if they take part.

    Raises:
        InvalidProblem: there are no such files, or not in such columns; of long ones, a row is at
            fault. The file, the row counted from 1, and the column are told.
    """
    tables = [table(location, data_set) for location in roots.files(data_set.root, data_set.path)]
    due = currency or first_currency(tables, data_set)
    parts = Parts()
    if data_set.layout is Layout.LONG:
        if folder is not None:
            sweep(folder)  # nobody else looks there for what a killed process left
        parts.folder = Folder(folder)
        parts.extend(spread_out(tables, data_set, horizon, due, cut_off, parts.folder.path))
        return parts
    users = 0
    for one in tables:
        groups = range(len(one.group_rows)) if one.format is Format.PARQUET else [None]
        for group in groups:
            part = WidePart(
                table=one,
                data_set=data_set,
                horizon=horizon,
                currency=due,
                group=group,
                first_user=users,
                with_names=with_names,
            )
            parts.append(part)
            users += 0 if group is None else one.group_rows[group]
    return parts


def check_names(parts: Iterable[Part]) -> None:
    """Raises InvalidProblem if a user comes twice; keeps 8 bytes of each user's name."""
    hashes = [
        hash_array(np.asarray(chunk.names or (), dtype=object))  # pyright: ignore[reportCallIssue] -- lazy
        for part in parts
        for chunk in part.chunks()
    ]
    every = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
    found, count = np.unique(every, return_counts=True)
    if (count > 1).any():
        rows = np.flatnonzero(every == found[np.argmax(count > 1)])
        more = f" (and {int((count > 1).sum()) - 1} more users)" if (count > 1).sum() > 1 else ""
        words = f"has one user as number {rows[0] + 1} and again as {rows[1] + 1}{more}"
        raise refusal("data_set", words)
