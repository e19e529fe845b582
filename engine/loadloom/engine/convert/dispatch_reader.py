"""What reading any part of a site needs: columns, masks, instants, and the names of its parts."""

from dataclasses import dataclass, field
from datetime import datetime
from math import inf

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from loadloom.engine.convert import common
from loadloom.models.checks import MAGNITUDE, Checks, Violation
from loadloom.models.dispatch.devices.storage import LEAST_EFFICIENCY
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.wire.arrays import from_series


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the parts of a site.

    Where the number of intervals is open (not `sized`), series are repeated to the length of the
    longest, and where the axis is at fault (not `placed`), instants are put where they do no harm:
    both only to find what else is wrong. `names` gathers the request's names of parts that the
    problem has under others.
    """

    horizon: Horizon
    sized: bool
    placed: bool
    found: list[Violation]
    names: dict[str, str] = field(default_factory=dict)

    def fault(self, path: str, message: str) -> None:
        """Notes that what stands at a path breaks a rule."""
        self.found.append(Violation(path, message))

    def name(self, path: str, place: str, fields: dict[str, str] | None = None) -> None:
        """Notes that a part of the problem and its fields stand elsewhere in the request."""
        self.names[path] = place
        for ours, theirs in (fields or {}).items():
            self.names[f"{path}.{ours}"] = f"{place}.{theirs}"

    def column(self, message: Message, name: str, default: float = 0.0) -> FloatArray:
        """The values over the horizon, or as they are where their number is wrong."""
        if not message.HasField(name):
            return np.full(self.horizon.count, default)
        values = from_series(getattr(message, name))
        if values.size == 1:
            return np.full(self.horizon.count, values[0])
        return values if self.sized else np.resize(values, self.horizon.count)

    def checked(
        self,
        path: str,
        message: Message,
        name: str,
        default: float = 0.0,
        low: float = -MAGNITUDE,
    ) -> FloatArray:
        """As `column`, for values that become others: what is wrong is noted, and made zero."""
        values, checks = self.column(message, name, default), Checks()
        where = f"{path}.{name}"
        good = checks.length(where, values, self.horizon.count)
        good = good and checks.numbers(where, values, low=low)
        self.found.extend(checks.violations)
        return values if good else np.zeros(self.horizon.count)

    def mask(self, path: str, message: Message, name: str, default: float) -> NDArray[np.bool_]:
        """The intervals that a series of 1 and 0 names."""
        values, checks = self.column(message, name, default), Checks()
        where = f"{path}.{name}"
        if checks.length(where, values, self.horizon.count):
            odd = np.flatnonzero((values != 0.0) & (values != 1.0))
            if odd.size:
                t = int(odd[0])
                checks.require(False, f"{where}[{t}]", f"is {values[t]:g}; must be 1 or 0")
        self.found.extend(checks.violations)
        return values == 1.0 if not checks.violations else np.zeros(self.horizon.count, bool)

    def boundary(self, path: str, message: Message, name: str, default: int) -> int:
        """The boundary at an instant; what is none is noted, and the default stands for it."""
        if not message.HasField(name):
            return default
        when = common.instant(getattr(message, name))
        if when is None:
            self.fault(f"{path}.{name}", "must lie within the years 1 to 9999")
            return default
        if not self.placed:
            return default
        index = self.horizon.boundary_index(when)
        if index is None:
            self.fault(f"{path}.{name}", self._beside(when))
        return default if index is None else index

    def _beside(self, when: datetime) -> str:
        """What is wrong with an instant that is no boundary of the grid."""
        first, last = self.horizon.boundary(0), self.horizon.boundary(self.horizon.count)
        told = f"is {when.astimezone(first.tzinfo).isoformat(' ')}"
        if when < first:
            return f"{told}, before the horizon begins at {first.isoformat(' ')}"
        if when > last:
            return f"{told}, after the horizon ends at {last.isoformat(' ')}"
        return f"{told}; must be at the start or end of an interval of the grid"


def given(message: Message, name: str, default: float = inf) -> float:
    """The number in an optional field, or the default where it is left out."""
    return getattr(message, name) if message.HasField(name) else default


def share(value: float) -> float:
    """An efficiency that something can be divided by; the proto's rules refuse a lower one."""
    return value if value >= LEAST_EFFICIENCY else LEAST_EFFICIENCY
