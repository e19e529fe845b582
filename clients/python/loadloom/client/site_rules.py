"""What a caller says about a site's meter and futures beyond prices and limits.

A series of 1 and 0 says in which intervals something holds. A price of a breach makes a rule give
way at that price; without one the rule is kept in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandTier:
    """A step of a demand charge.

    Attributes:
        from_kw: the power from which the step counts, in kW.
        price_per_kw: the price of each kW beyond it, up to the next step.
    """

    from_kw: float
    price_per_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandCharge:
    """A charge for the highest power drawn from the grid in some of the intervals.

    Attributes:
        name: the name, unique among the charges of the meter.
        active: the intervals that the charge looks at, 1 or 0 each; all of them when left out.
        price_per_kw: the price of each kW of the peak, up to the first tier if there are any.
        reached_peak_kw: the peak that was reached before the horizon, in kW: only what the plan
            adds to its charge counts.
        tiers: the steps of the price, in rising order of power; prices may rise or fall.
    """

    name: str = ""
    active: ArrayLike | None = None
    price_per_kw: float = 0.0
    reached_peak_kw: float = 0.0
    tiers: Sequence[DemandTier] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Carbon:
    """The carbon of the energy drawn from the grid, its price, and the most there may be.

    Attributes:
        intensity_kg_per_kwh: the carbon of a kWh drawn from the grid, in kg.
        price_per_kg: the price of a kg, of the grid and of fuels alike.
        cap_kg: the most carbon of the horizon, of the grid and of fuels together, in kg; no limit
            when left out.
    """

    intensity_kg_per_kwh: ArrayLike
    price_per_kg: float = 0.0
    cap_kg: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """What was promised to draw from the grid, such as the day ahead.

    Attributes:
        committed_kw: the power promised, in kW; negative where it is promised to be fed in.
        more_price_per_kwh: the price of each kWh drawn beyond the promise, on top of its buying
            price.
        less_price_per_kwh: the price of each kWh by which the promise is not drawn.
    """

    committed_kw: ArrayLike
    more_price_per_kwh: ArrayLike | None = None
    less_price_per_kwh: ArrayLike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Island:
    """The times without a grid, and the reserve to be kept in them.

    Attributes:
        off_grid: the intervals without a grid, 1 or 0 each.
        reserve_kw: the power that stores and running units must be able to give in these intervals
            beyond their plan, in kW; none when left out.
        reserve_h: the time that they must be able to give it for, in h; 0.25 when left out.
    """

    off_grid: ArrayLike
    reserve_kw: ArrayLike | None = None
    reserve_h: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """A circuit of the site: devices, and circuits below it, that share a line with limits.

    Attributes:
        name: the name, unique among the circuits of the site.
        parent: the circuit that feeds it; the meter when empty.
        devices: the names of the devices on it, other than those on circuits below it. A device
            stands on at most one circuit; one whose name is that of no other is told by it alone.
        import_limit_kw: the most power towards its devices, in kW; no limit when left out.
        export_limit_kw: the most power from its devices, in kW; no limit when left out.
        breach_price_per_kwh: the price of each kWh beyond either limit; they are kept in any case
            when left out.
    """

    name: str
    devices: Sequence[str]
    parent: str = ""
    import_limit_kw: ArrayLike | None = None
    export_limit_kw: ArrayLike | None = None
    breach_price_per_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioPower:
    """The power of a device in a scenario.

    Attributes:
        name: the name of the load, photovoltaic plant or wind turbine.
        power_kw: the power, in kW.
    """

    power_kw: ArrayLike
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A future that may come: what is left out is as the site says.

    Attributes:
        name: the name, unique among the scenarios.
        probability: the probability; those of all scenarios add up to 1.
        buy_price_per_kwh: the price of a kWh drawn from the grid.
        sell_price_per_kwh: the price of a kWh fed into the grid.
        loads: the power of loads.
        photovoltaics: the power of photovoltaic plants.
        wind_turbines: the power of wind turbines.
    """

    probability: float
    name: str = ""
    buy_price_per_kwh: ArrayLike | None = None
    sell_price_per_kwh: ArrayLike | None = None
    loads: Sequence[ScenarioPower] = ()
    photovoltaics: Sequence[ScenarioPower] = ()
    wind_turbines: Sequence[ScenarioPower] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The weight of bad scenarios.

    The plan minimises (1 - weight) x the expected cost + weight x the mean cost of the worst
    scenarios (CVaR).

    Attributes:
        weight: the weight of the worst scenarios, 0..1.
        confidence: the share of probability that is not the worst, at least 0 and below 1: 0.95
            looks at the worst 5 %.
    """

    weight: float
    confidence: float
