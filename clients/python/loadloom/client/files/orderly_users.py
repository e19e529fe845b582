"""Files of users: a row for each user and measure, and their loads in columns of another file.

    user,load_kw,contract_kwh,max_days,kind,cap_kw,cost_per_kwh,max_slots,notice
    bakery,120,18000,2,shift,60,0.4,3,day
    bakery,,,,cut,100,2.5,,immediate
    foundry,900,140000,1,limit,400,0.9,4,week

What is said of a user stands in one of its rows, or the same in several. The forecast loads come
from a file of loads, with a column of times and one for each user, named after it with or without
`_kw`, or after its `load_profile`, which users may share; it is multiplied by `load_scale`. Or they
stand in `load_kw`, as one number, one for each slot of a day, or one for each of the week, with
spaces between them. The end of a name is its unit: `cap_mw`, `cost_eur_per_mwh`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from loadloom.client.errors import Violation
from loadloom.client.files import orderly_cells as cells
from loadloom.client.files.faults import Fault, InputError
from loadloom.client.files.orderly_cells import Cells, Column
from loadloom.client.files.orderly_series import read_loads
from loadloom.client.files.tables import Table, read_table
from loadloom.client.orderly import Measure, User
from loadloom.client.orderly_profiles import clock_slots
from loadloom.client.orderly_week import Week

if TYPE_CHECKING:
    import pandas as pd

NAME = "user"

MEASURE_COLUMNS = {
    "kind": Column(parse=cells.kind),
    "cap_kw": Column(parse=cells.real(0.0), unit=True),
    "cost_per_kwh": Column(parse=cells.real(0.0), unit=True),
    "start_cost": Column(parse=cells.real(0.0)),
    "min_slots": Column(parse=cells.whole(1)),
    "max_slots": Column(parse=cells.whole(1)),
    "notice": Column(parse=cells.notice),
    "ramp_kw": Column(parse=cells.real(1e-6), unit=True),
    "rebound_share": Column(parse=cells.real(0.0, 1.0)),
    "rebound_slots": Column(parse=cells.whole(0)),
    "burden_weight": Column(parse=cells.real(0.0)),
    "allowed": Column(parse=cells.text),
}
"""What a row says of a measure."""

USER_COLUMNS = {
    "load_kw": Column(parse=cells.profile, unit=True),
    "load_profile": Column(parse=cells.text),
    "load_scale": Column(parse=cells.real(0.0)),
    "protected_kw": Column(parse=cells.profile, unit=True),
    "contract_kwh": Column(parse=cells.real(1e-6), unit=True),
    "max_days": Column(parse=cells.whole(0)),
    "max_events_per_day": Column(parse=cells.whole(1)),
    "min_gap_days": Column(parse=cells.whole(0)),
    "callable_days": Column(parse=cells.words),
    "rest_days": Column(parse=cells.words),
    "usual_rest_day": Column(parse=cells.text),
    "carried_burden": Column(parse=cells.real(0.0)),
    "compliance": Column(parse=cells.real(1e-3, 1.0)),
    "feeder": Column(parse=cells.text),
    "telemetry": Column(parse=cells.real(0.0, 1.0)),
    "control": Column(parse=cells.real(0.0, 1.0)),
    "past_compliance": Column(parse=cells.real(0.0, 1.0)),
    "industry": Column(parse=cells.text),
    "priority_class": Column(parse=cells.text),
    "group": Column(parse=cells.text),
}
"""What a row says of its user."""

COLUMNS = {NAME: Column(parse=cells.text), **MEASURE_COLUMNS, **USER_COLUMNS}
DAYS = ("callable_days", "rest_days")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersInput:
    """The users of a file, and where it says what about them.

    Attributes:
        users: the users, in the order of the file.
        table: the table.
        rows: the rows of each user.
        offered: the row of each measure of each user.
    """

    users: list[User]
    table: Table
    rows: list[list[int]]
    offered: list[list[int]]

    def fault(self, violation: Violation) -> Fault | None:
        """A fault at a path such as "users[3].measures[0].cap_kw", traced to the file."""
        found = violation.path.removeprefix("users[").partition("]")
        if not violation.path.startswith("users[") or not found[0].isdigit():
            return None
        user, rest = int(found[0]), found[2].removeprefix(".")
        index = self.rows[user][0]
        if rest.startswith("measures["):
            measure, _, rest = rest.removeprefix("measures[").partition("].")
            index = self.offered[user][int(measure)]
        name = rest.partition("[")[0]
        header = NAME if name == "name" else name
        return self.table.fault(violation.message, column=header, index=index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """Where loads are: in words, and what reads those of some users or raises InputError."""

    what: str
    read: Callable[[list[str]], Mapping[str, ArrayLike]]


def read_users(file: Path, week: Week, loads: Path | None = None) -> UsersInput:
    """The users in a file, with their loads over a week.

    Raises:
        InputError: the files cannot be used; everything that is wrong with them is named.
    """
    given = None if loads is None else Loads(what=str(loads), read=partial(read_loads, loads, week))
    return users_of_table(read_table(file), week, given)


def users_of_frame(
    frame: "pd.DataFrame", week: Week, loads: "pd.DataFrame | None" = None
) -> list[User]:
    """The users in a frame with the columns of a file of users.

    Args:
        frame: a row for each user and measure.
        week: the days and their slots.
        loads: a column in kW for each user, named after it, by time.

    Raises:
        InputError: the frames cannot be used; rows are counted from 1.
    """
    given = None if loads is None else Loads(what="the frame", read=partial(_columns, loads))
    empty = frame.isna()
    columns: dict[str, list[object]] = {
        str(name): [None if gone else cell for cell, gone in zip(column, empty[name], strict=True)]
        for name, column in frame.items()
    }
    table = Table(
        file=Path("frame"),
        cells=columns,
        lines=list(range(1, len(frame) + 1)),
        line_word="row",
    )
    return users_of_table(table, week, given).users


def users_of_table(table: Table, week: Week, loads: "Loads | None") -> UsersInput:
    """The users in a table, with their loads over a week.

    Raises:
        InputError: the table or the loads cannot be used.
    """
    found = Cells(table, COLUMNS)
    found.require(NAME, "kind", "cap_kw", "cost_per_kwh")
    reading = _Reading(found, week)
    if not found.has(NAME):
        raise InputError(cells.told(found.faults))
    rows = reading.rows()
    offered = {name: list(reading.offered(indices)) for name, indices in rows.items()}
    reading.check_repeats(rows)
    users = [reading.user(name, indices, offered[name]) for name, indices in rows.items()]
    users = reading.loaded(users, rows, loads)
    if found.faults:
        raise InputError(cells.told(found.faults))
    return UsersInput(users=users, table=table, rows=[*rows.values()], offered=[*offered.values()])


@dataclass(slots=True)
class _Reading:
    """The reading of a table of users."""

    cells: Cells
    week: Week

    def rows(self) -> dict[str, list[int]]:
        """The rows of each user, by its name."""
        found: dict[str, list[int]] = {}
        spelt: dict[str, str] = {}
        for index in range(len(self.cells.table.lines)):
            name = self.cells.text(NAME, index)
            if not name:
                self.cells.fault("the name of the user is missing", NAME, index)
                continue
            usual = spelt.setdefault(name.lower(), name)
            if usual != name:
                first = self.cells.line(found[usual][0])
                told = f"{name!r} is written {usual!r} on {first}; write a user's name one way"
                self.cells.fault(told, NAME, index)
            found.setdefault(name, []).append(index)
        if not found and not self.cells.faults:
            self.cells.faults.append(self.cells.table.fault("has no users"))
        return found

    def offered(self, indices: list[int]) -> Iterator[int]:
        """The rows that say a measure."""
        for index in indices:
            given = [name for name in MEASURE_COLUMNS if self.cells.text(name, index)]
            if "kind" in given:
                yield index
            elif given:
                told = f"is missing, though {given[0]} is given"
                self.cells.fault(f"the kind of the measure {told}", "kind", index)

    def check_repeats(self, rows: dict[str, list[int]]) -> None:
        """Notes rows that say the same twice: a user that stands there a second time."""
        names = [NAME, *MEASURE_COLUMNS]
        for name, indices in rows.items():
            seen: dict[tuple[str, ...], int] = {}
            for index in indices:
                said = tuple(self.cells.text(column, index) for column in names)
                first = seen.setdefault(said, index)
                if first != index:
                    told = f"{name!r} stands here a second time with the same measure"
                    self.cells.fault(f"{told}; first on {self.cells.line(first)}", NAME, index)

    def user(self, name: str, indices: list[int], offered: list[int]) -> User:
        """The user in some rows; its load is a number or list if one stands there, else 0."""
        said = {column: self._once(column, indices) for column in USER_COLUMNS}
        for column in (*DAYS, "usual_rest_day"):
            self._check_days(column, said[column], indices)
        given: dict[str, Any] = {"load_kw": 0.0}
        known = {column: value for column, value in said.items() if value is not None}
        given |= {column: known[column] for column in known if column != "load_profile"}
        for column in ("load_kw", "protected_kw"):
            if said[column] is not None:
                given[column] = self._profile(column, said[column], indices)
        measures = [self._measure(index) for index in offered]
        return User(name=name, measures=measures, **given)

    def loaded(
        self, users: list[User], rows: dict[str, list[int]], loads: Loads | None
    ) -> list[User]:
        """The users with the given loads, or with those of their rows if there are none."""
        if loads is None:
            if self.cells.has("load_profile"):
                told = "names columns of a file of loads; give the file, with --loads"
                self.cells.fault(told, "load_profile")
            self.cells.require("load_kw")
            if self.cells.has("load_kw"):
                for user, indices in zip(users, rows.values(), strict=True):
                    if not any(self.cells.text("load_kw", index) for index in indices):
                        told = f"{user.name!r} has no load; give it here, or a file of loads"
                        self.cells.fault(told, "load_kw", indices[0])
            return users
        if self.cells.has("load_kw"):
            told = f"the loads are in {loads.what}; leave this column out, or that"
            self.cells.fault(told, "load_kw")
        try:
            columns = [
                self._profile_of(user.name, indices)
                for user, indices in zip(users, rows.values(), strict=True)
            ]
            series = loads.read(list(dict.fromkeys(columns)))
        except InputError as error:
            self.cells.faults.extend(error.faults)
            return users
        pairs = zip(users, columns, strict=True)
        return [replace(user, load_kw=series[column]) for user, column in pairs]

    def _profile_of(self, user: str, indices: list[int]) -> str:
        """The column of the loads that a user follows: that of its profile, or else its own."""
        said = (self.cells.text("load_profile", index) for index in indices)
        return next(filter(None, said), user)

    def _once(self, column: str, indices: list[int]) -> Any:  # noqa: ANN401
        """What the rows of a user say in a column, which must be one thing; None for nothing."""
        said = [index for index in indices if self.cells.text(column, index)]
        for index in said[1:]:
            first = self.cells.text(column, said[0])
            if self.cells.text(column, index) != first:
                where = self.cells.line(said[0])
                other = self.cells.text(column, index)
                told = f"is {other} here and {first} on {where}, of the same user"
                self.cells.fault(told, column, index)
        return self.cells.value(column, said[0]) if said else None

    def _profile(self, column: str, values: list[float], indices: list[int]) -> np.ndarray:
        days, slots = self.week.shape
        if len(values) == 1:
            return np.full(days * slots, values[0])
        if len(values) not in {slots, days * slots}:
            right = f"must have 1, {slots} for the slots of a day, or {days * slots}"
            index = next(i for i in indices if self.cells.text(column, i))
            self.cells.fault(f"has {len(values)} numbers; {right}", column, index)
            return np.zeros(days * slots)
        return np.tile(values, days * slots // len(values))

    def _check_days(self, column: str, said: Any, indices: list[int]) -> None:  # noqa: ANN401
        for word in [said] if isinstance(said, str) else said or ():
            try:
                self.week.days(word)
            except ValueError as error:
                index = next(i for i in indices if self.cells.text(column, i))
                self.cells.fault(str(error), column, index)

    def _measure(self, index: int) -> Measure:
        said = {name: self.cells.value(name, index) for name in MEASURE_COLUMNS}
        for name in ("cap_kw", "cost_per_kwh"):
            if self.cells.has(name) and not self.cells.text(name, index):
                self.cells.fault(f"{name} of the measure is missing", name, index)
        if said["allowed"]:
            try:
                clock_slots(said["allowed"], self.week)
            except ValueError as error:
                self.cells.fault(str(error), "allowed", index)
        if (said["min_slots"] or 1) > (said["max_slots"] or self.week.slot_count):
            told = f"is less than min_slots, {said['min_slots']}"
            self.cells.fault(told, "max_slots", index)
        if said["rebound_share"] and not said["rebound_slots"]:
            told = "what rebounds must return over at least 1 slot"
            self.cells.fault(told, "rebound_slots", index)
        known = {name: value for name, value in said.items() if value is not None}
        return Measure(**{"kind": "cut", "cap_kw": 0.0, "cost_per_kwh": 0.0} | known)


def _columns(loads: "pd.DataFrame", users: list[str]) -> Mapping[str, ArrayLike]:
    """The columns of a frame of loads."""
    if missing := [user for user in users if user not in loads]:
        told = f"has no column for {', '.join(map(repr, missing[: cells.MOST_TOLD]))}"
        raise InputError([Fault(file=Path("loads"), message=told)])
    return {user: loads[user] for user in users}
