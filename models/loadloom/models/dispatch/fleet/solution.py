"""The answer to a fleet: every site's plan, and the prices of the limits that sites share."""

from dataclasses import dataclass, field

import numpy as np

from loadloom.models.dispatch import batch
from loadloom.models.dispatch.referee import Verdict
from loadloom.models.dispatch.solution import Conflict, Schedule
from loadloom.models.horizon import FloatArray
from loadloom.solvers.termination import Reason, Termination

COLUMNS = batch.COLUMNS[:6]
"""The names of the columns of a site's plan, in order."""

AMOUNTS = batch.AMOUNTS
"""The names of the amounts of a site, in order; a site alone has no bound, so that one is NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every site does, and what the referee found it to cost.

    Attributes:
        columns: COLUMNS of plain sites in order, (6, plain, count).
        amounts: AMOUNTS of each plain site, (plain, 7).
        power_kw: what each node draws, negative where it feeds in, (nodes, count).
        breach_cost: the cost of all breaches of limits that have a price.
        singled: the sites that take one whole answer, as a mean would cost them more.
        schedules: the plan of each mixed site.
        verdicts: what the referee says of each of them.
    """

    columns: FloatArray
    amounts: FloatArray
    power_kw: FloatArray
    breach_cost: float
    singled: int
    schedules: tuple[Schedule, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    def column(self, name: str) -> FloatArray:
        """The column of that name, (plain, count)."""
        return self.columns[COLUMNS.index(name)]

    def amount(self, name: str) -> FloatArray:
        """The amounts of that name, (plain,)."""
        return self.amounts[:, AMOUNTS.index(name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConflict:
    """A site whose own rules conflict, and the interval in which they do, looking back, or -1."""

    site: int
    interval: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSolution:
    """How the solve ended, the plan if there is one, and why there is none otherwise.

    Attributes:
        termination: the reason, the refereed cost of the plan, and the bound on any plan's.
        plan: every site's plan.
        import_price_per_kwh, export_price_per_kwh: what a kWh more of each limit would save,
            (nodes, count). They are the prices that prove the bound.
        conflicts: the least change of limits that would let the fleet keep its own rules.
        site_conflicts: sites that cannot keep their own rules.
        passes: how often all sites were solved.
    """

    termination: Termination
    plan: Plan | None = None
    import_price_per_kwh: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    export_price_per_kwh: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    conflicts: tuple[Conflict, ...] = ()
    site_conflicts: tuple[SiteConflict, ...] = ()
    passes: int = 0

    @property
    def relative_gap(self) -> float:
        """The gap between the plan's cost and the bound, relative to the cost or to 1."""
        if not self.termination.reason.has_solution or self.termination.reason is Reason.UNBOUNDED:
            return np.inf
        value = self.termination.objective
        return max(0.0, value - self.termination.bound) / max(1.0, abs(value))
