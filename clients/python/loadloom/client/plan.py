"""A plan: what to do, what it costs, and why nothing can be better."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from math import isnan, nan
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from loadloom.client.errors import InfeasibleError
from loadloom.client.grid import Grid
from loadloom.client.plan_rules import (
    Breach,
    DemandPeak,
    breaches_of,
    demand_peaks_of,
    limit_prices_of,
)
from loadloom.v1 import common_pb2, dispatch_pb2
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd

CONFLICTS_TOLD = 5
"""The conflicts that an exception tells in words; `Plan.conflicts` has all."""

BY_EVENT = ("missed", "missed_kwh", "public_kwh")
"""The series of a schedule with a value for each session or swap instead of each interval."""

Columns = dict[str, NDArray[np.float64]]


class Outcome(StrEnum):
    """The way a solve ended."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    NO_SOLUTION_FOUND = "no solution found"
    UNSPECIFIED = "unspecified"

    @classmethod
    def of(cls, number: int) -> "Outcome":
        """The outcome that the API numbers so; UNSPECIFIED for one of a later version."""
        names = {value: name for name, value in common_pb2.TerminationReason.items()}
        name = names.get(common_pb2.TerminationReason.ValueType(number), "UNSPECIFIED")
        return cls[name.removeprefix("TERMINATION_REASON_")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The origin of a plan: the request's digest, the versions and technique that made it."""

    request_digest: str
    versions: dict[str, str]
    method: str
    road: str
    seed: int
    threads: int
    queue_time_s: float
    solve_time_s: float

    @classmethod
    def of(cls, origin: common_pb2.Provenance) -> "Provenance":
        """The origin that a message tells."""
        return cls(
            request_digest=origin.request_digest,
            versions={version.name: version.version for version in origin.versions},
            method=_words(common_pb2.Method.Name(origin.method), "METHOD_").replace(" ", "-"),
            road=origin.road,
            seed=origin.seed,
            threads=origin.threads,
            queue_time_s=origin.queue_time.ToNanoseconds() * 1e-9,
            solve_time_s=origin.solve_time.ToNanoseconds() * 1e-9,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a store does what it does from `start` to `end`; the numbers are those of the API."""

    storage: str
    start: datetime
    end: datetime
    interval: int
    interval_count: int
    action: str
    energy_kwh: float
    site_value_per_kwh: float
    counterpart: datetime | None
    counterpart_value_per_kwh: float
    worth_per_kwh: float
    next_best_per_kwh: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A rule that cannot be kept from `start` to `end`, by how much, and the least cure."""

    what: str
    rule: str
    start: datetime
    end: datetime
    interval: int
    interval_count: int
    amount: float
    peak: float
    unit: str
    cure: str


@dataclass(frozen=True, repr=False)
class Plan:
    """The answer for one site; amounts are in `currency_code`.

    Attributes:
        message: the plan as the API has it.
        grid: the intervals it is for.
    """

    message: dispatch_pb2.DispatchPlan
    grid: Grid

    def __repr__(self) -> str:
        """The plan in a line: whose it is, how it ended, what it costs and saves, and when."""
        name = f" of {self.site_name!r}" if self.site_name else ""
        money = f"{self.objective:,.4g} {self.currency_code}".rstrip()
        saves = f", saves {self.saving:,.4g}" if self.comparable else ""
        costs = f", costs {money}{saves}" if self.exists else ""
        span = f"{self.grid.count} intervals from {self.grid.start.isoformat()}"
        return f"<Plan{name}: {self.outcome}{costs}; {span}>"

    @property
    def site_name(self) -> str:
        """The name of the site."""
        return self.message.site_name

    @property
    def currency_code(self) -> str:
        """The currency of all amounts; empty when the request named none."""
        return self.message.currency_code

    @property
    def outcome(self) -> Outcome:
        """The way the solve ended."""
        return Outcome.of(self.message.termination.reason)

    @property
    def exists(self) -> bool:
        """Whether there is a schedule that keeps every rule."""
        return self.outcome in {Outcome.OPTIMAL, Outcome.FEASIBLE}

    @property
    def objective(self) -> float:
        """The cost of the plan, less the value of the energy left; NaN when there is no plan."""
        return self.message.certificate.objective if self.exists else nan

    @property
    def bound(self) -> float:
        """The cost that no plan can beat; NaN when there is no plan."""
        return self.message.certificate.bound if self.exists else nan

    @property
    def relative_gap(self) -> float:
        """The gap between objective and bound, relative to the objective; NaN without a plan."""
        return self.message.certificate.relative_gap if self.exists else nan

    @property
    def proof(self) -> str:
        """The argument that proves the bound: "dual", "dynamic program", "branch and bound"."""
        return _words(common_pb2.Proof.Name(self.message.certificate.proof), "PROOF_")

    @property
    def duals(self) -> Columns:
        """The prices that prove the bound, by name; empty below the detail "values"."""
        return {dual.name: from_series(dual.values) for dual in self.message.certificate.duals}

    @property
    def costs(self) -> dict[str, float]:
        """The cost by cause; earnings are negative."""
        return {item.name: item.amount for item in self.message.costs}

    @property
    def baseline_cost(self) -> float:
        """The cost if no store moved; NaN when there is nothing to compare with."""
        return self.message.baseline_cost if self.message.HasField("baseline_cost") else nan

    @property
    def saving(self) -> float:
        """The baseline cost less the cost of the plan; NaN when there is nothing to compare."""
        return self.baseline_cost - self.objective

    @property
    def baseline_within_limits(self) -> bool:
        """Whether doing nothing clever keeps every limit; else it is priced beyond them."""
        return self.message.baseline_within_limits

    @property
    def comparable(self) -> bool:
        """Whether the saving is one: the plan compares with what the limits would have allowed."""
        return self.baseline_within_limits and not isnan(self.saving)

    @cached_property
    def columns(self) -> Columns:
        """The schedule by column: "import_kw", "battery.charge_kw", "hall.temperature_c", ..."""
        return columns_of(self.message.schedule)

    @cached_property
    def value_columns(self) -> Columns:
        """The values of energy by column: "site_value_per_kwh", "battery.stored_value_per_kwh"."""
        return columns_of(self.message.values)

    @property
    def schedule(self) -> "pd.DataFrame":
        """The columns of the schedule, by the local time at which each interval starts."""
        return _frame(self.columns, self.grid)

    @property
    def values(self) -> "pd.DataFrame":
        """The values of energy, by the local time at which each interval starts."""
        return _frame(self.value_columns, self.grid)

    @property
    def reasons(self) -> list[Reason]:
        """Why each store does what it does, in order of store and time."""
        return [_reason(reason, self.grid) for reason in self.message.reasons]

    @property
    def conflicts(self) -> list[Conflict]:
        """The rules that rule out every plan, by time; empty unless the outcome is INFEASIBLE."""
        return [conflict_of(conflict, self.grid) for conflict in self.message.conflicts]

    @property
    def breaches(self) -> list[Breach]:
        """The limits that gave way at their price: when, by how much, and for how much."""
        return breaches_of(self.message, self.grid)

    @property
    def limit_prices(self) -> "pd.DataFrame":
        """The prices of limits that bind: rule, unit, time and price, from the detail "values"."""
        return limit_prices_of(self.message, self.grid)

    @property
    def demand_peaks(self) -> list[DemandPeak]:
        """The peaks that the demand charges look at."""
        return demand_peaks_of(self.message, self.grid)

    @property
    def scenarios(self) -> "dict[str, pd.DataFrame]":
        """What the meter does in each scenario, by its name; empty when there are none."""
        found = self.message.schedule.scenarios
        return {scenario.name: _frame(_series(scenario), self.grid) for scenario in found}

    @property
    def provenance(self) -> Provenance:
        """The origin of the plan."""
        return Provenance.of(self.message.provenance)

    def raise_if_infeasible(self) -> "Plan":
        """The plan itself, so that the call can be chained.

        Raises:
            InfeasibleError: no plan can keep every rule.
        """
        if self.outcome is Outcome.INFEASIBLE:
            words = [conflict.what for conflict in self.conflicts]
            if len(words) > CONFLICTS_TOLD:
                words[CONFLICTS_TOLD:] = [f"and {len(words) - CONFLICTS_TOLD} more"]
            raise InfeasibleError(
                "; ".join(words) or self.message.termination.detail or "no plan is possible"
            )
        return self


def _words(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).replace("_", " ").lower()


def _series(message: Message) -> Columns:
    return {
        field.name: from_series(series)
        for field, series in message.ListFields()
        if isinstance(series, common_pb2.Series) and field.name not in BY_EVENT
    }


def columns_of(message: Message) -> Columns:
    """The series of a message and of its devices, under "name.quantity" each.

    Where devices of several kinds share a name, those of the second kind are "kind.name.quantity".
    """
    found = _series(message)
    for field, devices in message.ListFields():
        if not field.is_repeated or field.name == "scenarios":
            continue
        known = set(found)
        for device in devices:
            name = f"{device.name}." if device.name else ""
            for quantity, values in _series(device).items():
                column = f"{name}{quantity}"
                found[f"{field.name}.{column}" if column in known else column] = values
    return found


def _frame(columns: Columns, grid: Grid) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(columns, index=grid.index)


def _reason(reason: dispatch_pb2.Reason, grid: Grid) -> Reason:
    counterpart = reason.counterpart_interval if reason.HasField("counterpart_interval") else None
    return Reason(
        storage=reason.storage,
        start=grid.boundaries[reason.interval],
        end=grid.boundaries[reason.interval + reason.interval_count],
        interval=reason.interval,
        interval_count=reason.interval_count,
        action=_words(dispatch_pb2.StorageAction.Name(reason.action), "STORAGE_ACTION_"),
        energy_kwh=reason.energy_kwh,
        site_value_per_kwh=reason.site_value_per_kwh,
        counterpart=None if counterpart is None else grid.boundaries[counterpart],
        counterpart_value_per_kwh=nan if counterpart is None else reason.counterpart_value_per_kwh,
        worth_per_kwh=reason.worth_per_kwh,
        next_best_per_kwh=reason.next_best_per_kwh,
        text=reason.text,
    )


def conflict_of(conflict: common_pb2.Conflict, grid: Grid) -> Conflict:
    """The conflict that a message tells."""
    return Conflict(
        what=conflict.what,
        rule=conflict.rule,
        start=grid.boundaries[conflict.interval],
        end=grid.boundaries[conflict.interval + conflict.interval_count],
        interval=conflict.interval,
        interval_count=conflict.interval_count,
        amount=conflict.amount,
        peak=conflict.peak,
        unit=conflict.unit,
        cure=conflict.cure,
    )
