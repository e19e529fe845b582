"""The general programme of a site: columns and rows that blocks add, joined by buses.

All columns are kWh of an interval, or kWh held at its end, unless their block says otherwise. On
every bus the sum of what everybody draws is zero; giving is drawing a negative amount. Devices do
the same in every scene, so what they draw stands in the balance of each.

Limits that a user could wish to relax carry the name of their rule. Two ways that never run at once
are a pair; a pair has no binary until the road asks for one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

import numpy as np

from loadloom.models.dispatch.devices.meter import Carbon, Island
from loadloom.models.dispatch.layout import Layout
from loadloom.models.dispatch.pairs import BoolArray, IntArray, Pair
from loadloom.models.dispatch.scenarios import Scene
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.solvers.highs import Entries, Program

ELECTRIC = ""
"""The name of the bus behind the meter."""

FAR_KWH = 1e9
"""More than any site moves in an interval, for binaries where nothing else bounds a way."""

FACT = 10.0
"""The weight of rules that are facts: how much more their change counts than one of a limit."""

WHOLE = -1
"""The interval of what holds for the whole horizon."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """A limit in the caller's words.

    Attributes:
        path: that of the rule in the site of the request.
        number: the name of its number below the path, if it is not the path itself.
        says: what it asks, with `{limit}` for its number and unit.
        unit: the unit of the number.
        scale: how many units of the row or column make one unit of the number.
        at_end: whether it holds at the ends of intervals, not over them.
        shift: what is added to the side of a row or column, over the scale, to give the number.
        cure: what to do, with `{by}` for the change; if empty, to raise or lower the number.
        weight: what a unit of its row or column counts in the least change; facts count more.
        beyond: what becomes of what is beyond it: it is needed, or left over.
    """

    path: str
    says: str
    number: str = ""
    unit: str = "kW"
    scale: FloatArray | float = 1.0
    at_end: bool = False
    shift: FloatArray | float = 0.0
    cure: str = ""
    weight: float = 1.0
    beyond: str = "needed"

    @property
    def field(self) -> str:
        """The path of the number."""
        return f"{self.path}.{self.number}" if self.number else self.path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """A rule and the sides it names: those of columns or of rows, the high ones or the low ones."""

    rule: Rule
    where: IntArray
    intervals: IntArray
    of_columns: bool
    high: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draw:
    """What a device draws from a bus in some intervals for each unit of some columns.

    The meter's own have no name.
    """

    name: str | None
    bus: str
    columns: IntArray
    kwh: FloatArray
    intervals: IntArray
    scene: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demand:
    """What a device draws from a bus whatever is planned, in kWh of each interval, (count,)."""

    name: str
    bus: str
    kwh: FloatArray
    scene: int | None


@dataclass(slots=True, kw_only=True, eq=False)
class _Columns:
    """Columns under construction, block by block; `cut` bounds what a plan can use of a column."""

    count: int = 0
    low: list[FloatArray] = field(default_factory=list)
    high: list[FloatArray] = field(default_factory=list)
    cut: list[FloatArray] = field(default_factory=list)
    cost: list[FloatArray] = field(default_factory=list)
    integer: list[BoolArray] = field(default_factory=list)
    scene: list[IntArray] = field(default_factory=list)


class Programme:
    """A programme that blocks add to."""

    def __init__(
        self,
        horizon: Horizon,
        scenes: tuple[Scene, ...],
        *,
        carbon: Carbon | None = None,
        island: Island | None = None,
    ) -> None:
        self.horizon, self.scenes = horizon, scenes
        self.count, self.hours = horizon.count, horizon.step_h
        self.carbon, self.reserve = carbon, island
        self.reserved = np.flatnonzero(
            np.zeros(self.count) if island is None else island.intervals * island.reserve_kw
        )
        self.offset = 0.0
        self.limits: list[Limit] = []
        self.pairs: list[Pair] = []
        self.draws_by_device: list[Draw] = []
        self.demands_by_device: list[Demand] = []
        self.spares: list[tuple[IntArray, IntArray]] = []
        self.emissions: list[tuple[IntArray, FloatArray, int | None]] = []
        self.worths: dict[str, tuple[IntArray, float, IntArray]] = {}
        self.column_layout, self.row_layout = Layout(horizon.count), Layout(horizon.count)
        self._columns = _Columns()
        self._entries = Entries()

    def begin(self, owner: str) -> None:
        """Notes whose the columns and rows from here on are, by the path of a device."""
        self.column_layout.owner = self.row_layout.owner = owner

    def columns(
        self,
        size: int,
        low: FloatArray | float = 0.0,
        high: FloatArray | float = inf,
        cost: FloatArray | float = 0.0,
        *,
        integer: bool = False,
        at_least: Rule | None = None,
        at_most: Rule | None = None,
        intervals: IntArray | None = None,
        cut: FloatArray | float = inf,
        scene: int | None = None,
    ) -> IntArray:
        """New columns with these bounds and costs, whole numbers only if they are `integer`.

        `cut` bounds what a plan can use anyway. The cost is that of one scene if one is named.
        """
        made = self._columns
        first, made.count = made.count, made.count + size
        self.column_layout.add(size, intervals)
        for values, value in (
            (made.low, low),
            (made.high, high),
            (made.cut, cut),
            (made.cost, cost),
        ):
            values.append(np.full(size, value, np.float64))
        made.integer.append(np.full(size, integer))
        made.scene.append(np.full(size, -1 if scene is None else scene))
        where = np.arange(first, first + size)
        for rule, upper in ((at_least, False), (at_most, True)):
            if rule is not None:
                self.limit(rule, where, intervals, of_columns=True, high=upper)
        return where

    def rows(
        self,
        size: int,
        low: FloatArray | float,
        high: FloatArray | float,
        *,
        at_least: Rule | None = None,
        at_most: Rule | None = None,
        intervals: IntArray | None = None,
    ) -> IntArray:
        """New rows with these sides."""
        first = self._entries.block(low, high, size)
        self.row_layout.add(size, intervals)
        where = np.arange(first, first + size)
        for rule, upper in ((at_least, False), (at_most, True)):
            if rule is not None:
                self.limit(rule, where, intervals, of_columns=False, high=upper)
        return where

    def entries(self, rows: IntArray, columns: IntArray, values: FloatArray | float = 1.0) -> None:
        """Adds entries of the matrix; the three are broadcast against each other."""
        if rows.ndim == columns.ndim == 1 and rows.shape == columns.shape:
            self._entries.add(rows, columns, values)
            return
        rows, columns, numbers = np.broadcast_arrays(rows, columns, values)
        self._entries.add(rows.ravel(), columns.ravel(), numbers.ravel())

    def reprice(self, columns: IntArray, cost: FloatArray) -> None:
        """Gives columns that were added at once, with costs of their own, other ones."""
        starts = np.cumsum([0, *(part.size for part in self._columns.cost)])
        self._columns.cost[int(np.searchsorted(starts, columns[0], "right")) - 1] = cost

    def constant(self, cost: float) -> None:
        """Adds a cost that no column changes."""
        self.offset += cost

    def draws(
        self,
        name: str | None,
        columns: IntArray,
        kwh: FloatArray | float = 1.0,
        *,
        bus: str = ELECTRIC,
        intervals: IntArray | None = None,
        scene: int | None = None,
    ) -> None:
        """Lets a device draw so many kWh from a bus for each unit of each column."""
        at = np.arange(self.count) if intervals is None else intervals
        if columns.shape != at.shape:
            columns, at = np.broadcast_arrays(columns, at)
        amounts = np.empty(columns.shape)
        amounts[...] = kwh
        self.draws_by_device.append(
            Draw(
                name=name,
                bus=bus,
                columns=columns.ravel(),
                kwh=amounts.ravel(),
                intervals=at.ravel(),
                scene=scene,
            )
        )

    def demands(
        self, name: str, kwh: FloatArray, *, bus: str = ELECTRIC, scene: int | None = None
    ) -> None:
        """Lets a device draw so many kWh from a bus in each interval, whatever is planned."""
        self.demands_by_device.append(Demand(name=name, bus=bus, kwh=kwh, scene=scene))

    def pair(
        self,
        one: IntArray,
        other: IntArray,
        *,
        intervals: IntArray | None = None,
        most_one: FloatArray | None = None,
        most_other: FloatArray | None = None,
        rate: FloatArray | float = 1.0,
    ) -> None:
        """Lets `one` and `other` never be above zero together."""
        at = np.arange(self.count) if intervals is None else intervals
        self.pairs.append(
            Pair(
                one=one,
                other=other,
                intervals=at,
                most_one=most_one,
                most_other=most_other,
                rate=np.broadcast_to(np.asarray(rate, np.float64), one.size),
            )
        )

    def emits(self, columns: IntArray, kg: FloatArray | float, *, scene: int | None = None) -> None:
        """Lets each unit of the columns emit so many kg."""
        columns, amounts = np.broadcast_arrays(columns, kg)
        self.emissions.append((columns, np.asarray(amounts, np.float64), scene))

    def spare(self, columns: IntArray, intervals: IntArray) -> None:
        """Lets columns be kW of reserve in intervals, of those that are `reserved`."""
        self.spares.append((columns, intervals))

    def worth(
        self, path: str, rows: IntArray, sign: float = 1.0, intervals: IntArray | None = None
    ) -> None:
        """Lets the duals of rows tell what a kWh in a device is worth, always or in intervals."""
        at = np.arange(self.count) if intervals is None else intervals
        self.worths[path] = rows, sign, at

    @property
    def column_count(self) -> int:
        """The number of columns so far."""
        return self._columns.count

    @property
    def low(self) -> FloatArray:
        """The lower bounds of all columns."""
        return _joined(self._columns.low)

    @property
    def high(self) -> FloatArray:
        """The upper bounds of all columns, as their rules have them."""
        return _joined(self._columns.high)

    @property
    def reach(self) -> FloatArray:
        """The most that a plan can use of all columns."""
        return np.minimum(self.high, self.cut)

    @property
    def cut(self) -> FloatArray:
        """What plans can use of columns anyway; a programme gives twice that, so it never binds."""
        return _joined(self._columns.cut)

    @property
    def sides(self) -> tuple[FloatArray, FloatArray]:
        """The low and the high sides of all rows."""
        return self._entries.low, self._entries.high

    def scene_costs(self) -> tuple[IntArray, FloatArray]:
        """The scene of each column's cost, -1 for all, and the cost with the price of carbon."""
        scene = np.concatenate(self._columns.scene)
        cost = np.concatenate(self._columns.cost)
        if self.carbon is not None:
            for columns, kg, _ in self.emissions:
                np.add.at(cost, columns, kg * self.carbon.price_per_kg)
        return scene, cost

    def flows(self, bus: str, scene: int | None = None) -> Iterator[Draw]:
        """What columns draw from a bus, in one scene or in those that have none."""
        for draw in self.draws_by_device:
            if draw.bus == bus and draw.scene in {None, scene}:
                yield draw

    def demand(
        self, bus: str, scene: int | None = None, names: set[str] | None = None
    ) -> FloatArray:
        """The kWh that is drawn from a bus in any case, by all or by those named, (count,)."""
        total = np.zeros(self.count)
        for each in self.demands_by_device:
            named = names is None or each.name in names
            if each.bus == bus and each.scene in {None, scene} and named:
                total += each.kwh
        return total

    def most_drawn(self, bus: str, scene: int | None) -> tuple[FloatArray, FloatArray]:
        """The most kWh that all together can draw from a bus, and give to it, shapes (count,)."""
        most, least = self.demand(bus, scene), self.demand(bus, scene)
        low, high = self.low, self.reach
        for draw in self.flows(bus, scene):
            with np.errstate(invalid="ignore"):
                ends = np.stack((draw.kwh * low[draw.columns], draw.kwh * high[draw.columns]))
            ends = np.nan_to_num(ends, nan=0.0, posinf=inf, neginf=-inf)
            np.add.at(most, draw.intervals, ends.max(axis=0))
            np.add.at(least, draw.intervals, ends.min(axis=0))
        return np.maximum(most, 0.0), np.maximum(-least, 0.0)

    def balance(self, bus: str, scene: int | None = None) -> IntArray:
        """The rows (count,) that let all draw zero from a bus in sum."""
        fixed = -self.demand(bus, scene)
        rows = self.rows(self.count, fixed, fixed)
        for draw in self.flows(bus, scene):
            self.entries(rows[draw.intervals], draw.columns, draw.kwh)
        return rows

    def program(
        self,
        cost: FloatArray,
        binaries: list[BoolArray] | None = None,
        *,
        bounds: tuple[FloatArray, FloatArray] | None = None,
    ) -> Program:
        """The programme as arrays; with a binary for each marked pair, after the other columns.

        `binaries` has a mask for each of `pairs`. With `bounds` columns have these in place of
        their own, and nothing else bounds the ways of pairs.
        """
        entries, made = self._entries.copy(), self._columns
        low, high = bounds or (self.low, np.minimum(self.high, 2.0 * self.cut))
        most = self.reach if bounds is None else high
        added = 0
        for pair, mask in zip(self.pairs, binaries or [], strict=False):
            size = int(np.count_nonzero(mask))
            chosen = np.arange(made.count + added, made.count + added + size)
            added += size
            known = (pair.most_one, pair.most_other) if bounds is None else (None, None)
            most_one = _most(known[0], most[pair.one])[mask]
            most_other = _most(known[1], most[pair.other])[mask]
            rows = np.arange(size) + entries.block(-inf, 0.0, size)
            entries.add(rows, pair.one[mask], 1.0)
            entries.add(rows, chosen, -most_one)
            rows = np.arange(size) + entries.block(-inf, most_other, size)
            entries.add(rows, pair.other[mask], 1.0)
            entries.add(rows, chosen, most_other)
        more = np.zeros(added)
        return Program(
            cost=np.append(cost, more),
            low=np.append(low, more),
            high=np.append(high, more + 1.0),
            row_low=entries.low,
            row_high=entries.high,
            matrix=entries.matrix(made.count + added),
            integer=np.append(np.concatenate(made.integer), more == 0.0),
            offset=self.offset,
        )

    def limit(
        self,
        rule: Rule,
        where: IntArray,
        intervals: IntArray | None = None,
        *,
        of_columns: bool,
        high: bool = True,
    ) -> None:
        """Names a side of columns or rows by the rule it comes from."""
        at = np.arange(self.count) if intervals is None else intervals
        if where.size:
            at = np.broadcast_to(at, where.size)
            named = Limit(rule=rule, where=where, intervals=at, of_columns=of_columns, high=high)
            self.limits.append(named)


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros(0)


def _most(known: FloatArray | None, high: FloatArray) -> FloatArray:
    """The most that a column of a pair can be in a plan."""
    return np.minimum(high if known is None else np.minimum(known, high), FAR_KWH)
