"""The load that all users have together, as a client sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from loadloom.client.agency_parts import table
from loadloom.client.grid import Grid
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd

MARKS = ("missing", "duplicate", "late", "negative", "spike")
"""What a reading can be beside good."""


@dataclass(frozen=True, repr=False)
class LoadAggregate:
    """The load that all users have together.

    Attributes:
        message: the sum as the API has it.
        grid: the intervals.
    """

    message: pb.LoadAggregate
    grid: Grid

    def __repr__(self) -> str:
        """The sum in a line."""
        return (
            f"<LoadAggregate of {self.user_count:,} users: {self.energy_kwh:,.0f} kWh, "
            f"peak {self.peak_kw:,.1f} kW, load factor {self.load_factor:.3f}>"
        )

    @property
    def user_count(self) -> int:
        """The number of users."""
        return self.message.user_count

    @property
    def energy_kwh(self) -> float:
        """The energy."""
        return self.message.energy_kwh

    @property
    def peak_kw(self) -> float:
        """The largest load."""
        return self.message.peak_kw

    @property
    def peak_times(self) -> list[datetime]:
        """The starts of the intervals that have it, in local time."""
        return [self.grid.boundaries[place] for place in self.message.peak_intervals]

    @property
    def load_factor(self) -> float:
        """The mean load over the largest."""
        return self.message.load_factor

    @property
    def sum_of_peaks_kw(self) -> float:
        """The sum of the users' own largest loads."""
        return self.message.sum_of_peaks_kw

    @property
    def total_kw(self) -> "pd.Series":
        """The load of all in each interval, by local time."""
        import pandas as pd

        values = from_series(self.message.total_kw)
        return pd.Series(values, self.grid.index, name="total_kw")

    @property
    def bands(self) -> "pd.DataFrame":
        """The energy of each band of the day, and its share."""
        return table(self.message.bands, "name")

    @property
    def quantiles(self) -> "pd.DataFrame":
        """The load that a share of the users do not exceed: a column for each share."""
        import pandas as pd

        found = {one.share: from_series(one.load_kw) for one in self.message.quantiles}
        return pd.DataFrame(found, index=self.grid.index)

    @property
    def roll_ups(self) -> "pd.DataFrame":
        """Energy, peak and load factor of each day and month."""
        found = table(self.message.roll_ups, "label")
        found["span"] = [
            pb.RollUp.Name(one.span).removeprefix("ROLL_UP_").lower()
            for one in self.message.roll_ups
        ]
        return found

    @property
    def areas(self) -> "pd.DataFrame":
        """Users, energy, peak and load at the peak of all, of each area."""
        return table(self.message.areas, "name")

    @property
    def area_loads(self) -> "pd.DataFrame":
        """The load of each area in each interval, by local time."""
        import pandas as pd

        found = {area.name: from_series(area.load_kw) for area in self.message.areas}
        return pd.DataFrame(found, index=self.grid.index)

    @property
    def users(self) -> "pd.DataFrame":
        """The figures of each user, with a column for the energy of each band."""
        import pandas as pd

        said = self.message.users
        names = pd.Index(list(said.names), name="user")
        columns: dict[str, object] = {}
        for field in said.DESCRIPTOR.fields:
            if field.name not in ("names", "band_kwh"):
                values = from_series(getattr(said, field.name))
                if values.size:
                    columns[field.name] = np.broadcast_to(values, (len(names),))
        if said.band_kwh.cols:
            energies = from_series(said.band_kwh.values).reshape(len(names), -1)
            known = [band.name for band in self.message.bands]
            columns |= {f"{name}_kwh": energies[:, k] for k, name in enumerate(known)}
        return pd.DataFrame(columns, index=names)

    @property
    def reading_count(self) -> int:
        """The readings that there should be."""
        return self.message.completeness.reading_count

    @property
    def left_count(self) -> int:
        """The readings that are still missing after all filling."""
        return self.message.completeness.total.left_count

    @property
    def completeness(self) -> "pd.DataFrame":
        """How many readings have which mark: of all, of each area, and of the worst users."""
        said = self.message.completeness
        parts = (("all", [said.total]), ("area", said.areas), ("user", said.worst_users))
        return _marks([(scope, one.name, one) for scope, found in parts for one in found])

    @property
    def interval_marks(self) -> "pd.DataFrame":
        """How many readings of each interval have which mark, by local time."""
        found = self.message.completeness.intervals
        marks = _marks([("interval", "", one) for one in found]).drop(columns=["scope", "name"])
        marks.index = self.grid.index[: len(marks)]
        return marks


def _marks(found: Sequence[tuple[str, str, pb.MarkCounts]]) -> "pd.DataFrame":
    import pandas as pd

    rows = [
        {"scope": scope, "name": name}
        | {mark: getattr(one, f"{mark}_count") for mark in MARKS}
        | {f"filled {place + 1}": count for place, count in enumerate(one.filled_counts)}
        | {"left": one.left_count}
        for scope, name, one in found
    ]
    return pd.DataFrame(rows, columns=None if rows else ["scope", "name", *MARKS])
