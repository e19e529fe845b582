"""The answer to a dispatch problem."""

from dataclasses import dataclass

from loadloom.models.certificate import Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method
from loadloom.solvers.termination import Termination


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What every device does: stores by row (stores, count), plants by row (plants, count).

    `energy_kwh` is the energy at the end of each interval.
    """

    charge_kw: FloatArray
    discharge_kw: FloatArray
    energy_kwh: FloatArray
    curtailed_kw: FloatArray
    import_kw: FloatArray
    export_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What one more kWh would be worth: behind the meter (count,), in each store (stores, count).

    The value in a store is that at the end of each interval. Where the problem is convex these are
    optimal duals, and `values.dual_bound` evaluates what they prove.
    """

    site_per_kwh: FloatArray
    stored_per_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """How the solve ended, and the schedule if there is one.

    `termination.objective` is what the road itself claims; the referee's is what counts.
    """

    termination: Termination
    method: Method
    road: str
    proof: Proof = Proof.NONE
    schedule: Schedule | None = None
    values: Values | None = None
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A rule that cannot be kept with the others, over a run of intervals.

    `amount` is the total by which it gives way in the least change that cures the whole, `peak` the
    most in one interval, both in `unit`; zero when other rules give way more cheaply.
    """

    what: str
    rule: str
    interval: int
    interval_count: int
    amount: float
    peak: float
    unit: str
    cure: str
