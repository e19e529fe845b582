"""What an agent says who buys power for many users: curves, prices, plants, contracts, data sets.

    curves = Curves.of(frame)            # times in its index, a column in kW for each user
    price = AffinePrice(base_per_kwh=0.05, slope_per_kwh=0.03)  # 0.05 + 0.03 / load factor
    settlement = client.create_settlement(curves, price, highest_price_per_kwh=0.20, ...)

Wherever curves are asked for, a pandas DataFrame serves as well. Names, defaults and rules are
those of the API, unless told otherwise. A limit that is left out is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadloom.client.errors import InvalidRequest, Violation
from loadloom.client.grid import Grid

if TYPE_CHECKING:
    import pandas as pd

Rule = Literal[
    "aumann-shapley",
    "coincident peak",
    "owen duals",
    "energy",
    "saving",
    "leave one out",
    "shapley",
    "nucleolus",
    "least core",
]
Mode = Literal["benefit share", "cost plus"]
PeakMode = Literal["monthly peak", "mean of top peaks", "daily"]
DataSetFormat = Literal["parquet", "csv"]
DataSetLayout = Literal["wide list", "wide columns", "long"]
ReadingUnit = Literal["kw", "w", "mw", "kwh"]
FillRule = Literal["linear", "previous day", "previous week", "area profile"]
ReadingMark = Literal["missing", "duplicate", "late", "negative", "spike"]
RollUp = Literal["day", "month"]
PortfolioMethod = Literal["prices", "exact", "reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The load curves of some users.

    Attributes:
        names: the name of each user, each one once.
        load_kw: a row for each user, a column for each interval, in kW; NaN for a reading that is
            missing, which only aggregation takes. It travels as it is: float32 in half the bytes,
            which is enough to add up, and too little to settle with large users.
        grid: the intervals.
        areas: the area of each user; none when left out.
    """

    names: tuple[str, ...]
    load_kw: NDArray[np.float64] | NDArray[np.float32]
    grid: Grid
    areas: tuple[str, ...] = ()

    @classmethod
    def of(cls, said: "Curves | pd.DataFrame") -> "Curves":
        """The curves in a DataFrame: times with a zone in its index, a column in kW for each user.

        Raises:
            InvalidRequest: its index is not one of even times, or some cells are no numbers.
        """
        if isinstance(said, Curves):
            return said
        if not hasattr(said, "columns"):
            told = f"is a {type(said).__name__}; must be Curves or a DataFrame"
            raise InvalidRequest.of([Violation("curves", told)])
        grid = Grid.of_index(said.index)
        kind = np.float32 if set(said.dtypes) == {np.dtype(np.float32)} else np.float64
        try:
            load_kw = np.ascontiguousarray(said.to_numpy(dtype=kind).T)
        except (TypeError, ValueError) as error:
            raise InvalidRequest.of([Violation("curves.load_kw", str(error))]) from None
        return cls(names=tuple(map(str, said.columns)), load_kw=load_kw, grid=grid)

    @property
    def step_h(self) -> NDArray[np.float64]:
        """The hours of each interval."""
        return np.array([step.total_seconds() for step in self.grid.steps]) / 3600.0

    @property
    def energy_kwh(self) -> NDArray[np.float64]:
        """The energy of each user."""
        return self.load_kw.astype(np.float64, copy=False) @ self.step_h

    @property
    def total_kw(self) -> NDArray[np.float64]:
        """The load of all users together in each interval."""
        return self.load_kw.sum(axis=0, dtype=np.float64)

    @property
    def frame(self) -> "pd.DataFrame":
        """The curves as a DataFrame: local times in the index, a column for each user."""
        import pandas as pd

        return pd.DataFrame(self.load_kw.T, index=self.grid.index, columns=pd.Index(self.names))


CurvesLike: TypeAlias = "Curves | pd.DataFrame"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Load curves in files below one of the server's roots.

    Attributes:
        root: the name of the root.
        path: the path of a file or folder below it, with slashes.
        grid: the intervals.
        layout: "wide list": a row for each user, with a list of loads; "wide columns": a row for
            each user, with a column for each interval; "long": a row for each reading.
        format: "parquet" or "csv"; told by the ends of the files' names when left out.
        user_column: the column with the user's name; "user" when empty.
        load_column: the column of lists or loads; "load_kw" when empty.
        slot_columns: the columns of the intervals, in order; all others when left out.
        time_column: the column with the time of a reading; "time" when empty.
        arrival_column: the column with the time at which it arrived; none when empty.
        area_column: the column with the user's area; none when empty.
        unit_column: the column with the unit, the same in all rows; none when empty.
        currency_column: the column with the currency, likewise.
        unit: the unit of the readings: mean power, or the energy of each interval.
    """

    root: str
    path: str
    grid: Grid
    layout: DataSetLayout
    format: DataSetFormat | None = None
    user_column: str = ""
    load_column: str = ""
    slot_columns: Sequence[str] = ()
    time_column: str = ""
    arrival_column: str = ""
    area_column: str = ""
    unit_column: str = ""
    currency_column: str = ""
    unit: ReadingUnit = "kw"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBand:
    """A kind of hour of the day, such as the peak: a name, and its clock times.

    `windows` is such as "08:00-12:00 18:00-22:00"; one that ends at or before its start ends on the
    next day.
    """

    name: str
    windows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeRule:
    """What counts as a spike: more than `times` what the meter usually reads.

    What is usual is the "median" or the "mean" of its readings; up to `least_kw` nothing is a
    spike.
    """

    times: float
    of: Literal["median", "mean"] = "median"
    least_kw: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRules:
    """What counts as a fault of a reading, and how gaps are filled.

    Attributes:
        fills: the ways to fill, one after the other, each with the most intervals of a gap that it
            fills, 0 for any. Gaps stay gaps, and count as no load, when there are none.
        spike: what counts as a spike; nothing when left out.
        replace: the marks of readings to replace as if they were missing; "negative" and "spike"
            when empty.
        cut_off: the instant after which a reading is late; none when left out.
    """

    fills: Sequence[tuple[FillRule, int]] = ()
    spike: SpikeRule | None = None
    replace: Sequence[ReadingMark] = ()
    cut_off: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinePrice:
    """The price base + slope / LF per kWh, LF being the load factor: one of energy and one of peak.

    It is stable: no coalition of users would pay less alone.
    """

    base_per_kwh: float
    slope_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PiecewisePrice:
    """The price on the lines between points of 1 / LF and price per kWh, ascending."""

    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFactorPrice:
    """The price base - slope * LF per kWh. Under it pooling can lose money."""

    base_per_kwh: float
    slope_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPrice:
    """The price in steps: pairs of a load factor, the first 0, and the price from it on."""

    tiers: Sequence[tuple[float, float]]


Price = AffinePrice | PiecewisePrice | LoadFactorPrice | TierPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseCost:
    """The cost of a purchase, and the price that it puts on each interval.

    Attributes:
        cost: the cost of all.
        slot_price_per_kwh: the price of one more kWh in each interval.
        rent: what these prices bring in above the cost.
    """

    cost: float
    slot_price_per_kwh: ArrayLike
    rent: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseBlock:
    """A block of a plant: so much power or energy at a price."""

    price_per_kwh: float
    power_limit_kw: float | None = None
    energy_limit_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A plant or a contract that power is bought from; all its prices add up.

    Attributes:
        name: the name.
        price_per_kwh: the price of energy, one number or one for each interval.
        power_max_kw: the most power, likewise.
        power_min_kw: the least power, likewise.
        load_factor_price: a price by the load factor of what is bought here; it must be stable.
        blocks: blocks, whose prices must not fall.
        capacity_price_per_kw: the price of each kW of the largest power.
        energy_min_kwh: the least energy.
        energy_max_kwh: the most energy.
    """

    name: str
    price_per_kwh: ArrayLike | None = None
    power_max_kw: ArrayLike | None = None
    power_min_kw: ArrayLike | None = None
    load_factor_price: Price | None = None
    blocks: Sequence[PurchaseBlock] = ()
    capacity_price_per_kw: float = 0.0
    energy_min_kwh: float = 0.0
    energy_max_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A market where power is bought, and sold if there is a price for it."""

    buy_price_per_kwh: ArrayLike
    sell_price_per_kwh: ArrayLike | None = None
    buy_max_kw: ArrayLike | None = None
    sell_max_kw: ArrayLike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseStore:
    """A storage that the agent may use; at its end it holds what it began with, or more."""

    energy_max_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    initial_energy_kwh: float = 0.0
    end_energy_min_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioContract:
    """A contract to which users can be taken; its price must be stable."""

    name: str
    price: Price
    energy_min_kwh: float = 0.0
    energy_max_kwh: float | None = None
    peak_max_kw: float | None = None
    user_count_min: int = 0
    user_count_max: int | None = None
