"""The reason for what a device does."""

from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What a store does in an interval, or whether another device draws or gives energy."""

    CHARGE = "charge"
    DISCHARGE = "discharge"
    HOLD = "hold"
    DRAW = "draw"
    GIVE = "give"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """The reason for what a store does from `interval` on, for `interval_count` intervals.

    Attributes:
        storage: the name of the store.
        energy_kwh: the energy moved, at the meter side.
        site_value_per_kwh: what a kWh charged costs at the meter, or a kWh discharged displaces or
            earns there; when holding, what one more kWh is worth.
        counterpart_interval: where the charged energy goes, or the discharged energy came from;
            None if that lies outside the horizon.
        counterpart_value_per_kwh: what a kWh of the counterpart displaces or earns, or cost.
        worth_per_kwh: what a meter-side kWh of the action brings after losses and wear; when
            holding, the value at the meter below which charging would pay.
        next_best_per_kwh: what the same kWh would bring at the margin; when holding, the value at
            the meter above which discharging would pay.
    """

    storage: str
    interval: int
    interval_count: int
    action: Action
    energy_kwh: float
    site_value_per_kwh: float
    counterpart_interval: int | None
    counterpart_value_per_kwh: float | None
    worth_per_kwh: float
    next_best_per_kwh: float
    text: str
