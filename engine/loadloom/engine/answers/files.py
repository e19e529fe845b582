"""Load curves in files, as a worker process reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loadloom.engine.datasets.data_set import DataSet
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.guard import refusal
from loadloom.models.agency.curves import Part
from loadloom.models.agency.problem import Curves, LoadArray
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import Horizon

if TYPE_CHECKING:
    from loadloom.engine.datasets.read import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A data set, and the roots below which it may lie.

    Readings that arrived after the `cut_off` are late. Where there is a column of currencies, all
    of it must say `currency`, or one and the same if that is empty.
    """

    data_set: DataSet
    roots: Roots
    cut_off: datetime | None = None
    currency: str = ""

    def parts(
        self, horizon: Horizon, *, with_names: bool = True, folder: Path | None = None
    ) -> "Parts":
        """The curves, piece by piece; without their users' names, less is read.

        Readings in any order are spread out in the `folder`, or in one of this machine.

        Raises:
            InvalidProblem: the files are not there, or not such a data set.
        """
        # It brings pyarrow, which a server without files never needs.
        from loadloom.engine.datasets.read import open_parts

        return open_parts(
            self.data_set,
            self.roots,
            horizon,
            cut_off=self.cut_off,
            currency=self.currency,
            with_names=with_names,
            folder=folder,
        )

    def check_names(self, parts: Sequence[Part]) -> None:
        """Checks that each user comes once.

        Raises:
            InvalidProblem: one comes twice.
        """
        from loadloom.engine.datasets.read import check_names

        check_names(parts)

    def curves(self, horizon: Horizon, most_points: int, most_users: int) -> Curves:
        """All curves, in memory.

        Raises:
            InvalidProblem: the files are not such a data set, or readings are missing.
            Refusal: there are too many users or readings.
        """
        names, load_kw = self.loads(horizon, most_points, most_users)
        missing = np.isnan(load_kw)
        if missing.any():
            users = np.flatnonzero(missing.any(axis=1))
            said = (
                f"has no reading of {names[users[0]]!r} in interval "
                f"{int(np.argmax(missing[users[0]]))}; {int(missing.sum())} readings of "
                f"{users.size} users are missing, and all are needed here"
            )
            raise InvalidProblem([Violation("data_set", said)])
        return Curves(names=names, load_kw=load_kw, horizon=horizon)

    def loads(
        self, horizon: Horizon, most_points: int, most_users: int
    ) -> tuple[tuple[str, ...], LoadArray]:
        """The users and all their loads, in memory; NaN where a reading is missing.

        Raises:
            InvalidProblem: the files are not such a data set.
            Refusal: there are too many users or readings.
        """
        names: list[str] = []
        pieces: list[np.ndarray] = []
        for part in self.parts(horizon):
            for chunk in part.chunks():
                if chunk.names is None:
                    said = "has no column with the users' names"
                    raise InvalidProblem([Violation("data_set.user_column", said)])
                names.extend(chunk.names)
                # A chunk may be a view of memory that the next one is read into.
                pieces.append(np.array(chunk.load_kw))
                _check_size(len(names), horizon.count, most_points, most_users)
        load_kw = np.concatenate(pieces) if pieces else np.zeros((0, horizon.count))
        return tuple(names), load_kw


def _check_size(users: int, intervals: int, most_points: int, most_users: int) -> None:
    if users > most_users:
        raise refusal.too_large("data_set", "users of a data set in memory", users, most_users)
    if users * intervals > most_points:
        asked = users * intervals
        raise refusal.too_large("data_set", "values of a data set in memory", asked, most_points)
