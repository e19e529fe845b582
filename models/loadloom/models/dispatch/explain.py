"""Why each store does what it does, interval by interval, in words and numbers.

Energy is followed first in, first out: what is charged now is kept for the first later discharge
that has not been served yet. That gives each action its counterpart and shows what it earns. What
the stored kWh is worth at the margin, the dual of the store, is what its next best use would earn.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from loadloom.models.dispatch.problem import Problem, Storage
from loadloom.models.dispatch.solution import Solution
from loadloom.models.horizon import FloatArray, Horizon

IDLE_KW = 1e-9
"""Power up to this is rounding, not an action."""


class Action(Enum):
    """What a store does in an interval."""

    CHARGE = "charge"
    DISCHARGE = "discharge"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """The reason for what a store does from `interval` on, for `interval_count` intervals.

    Attributes:
        storage: the name of the store.
        energy_kwh: the energy moved, at the meter side.
        site_value_per_kwh: what a kWh at the meter is worth during the action.
        counterpart_interval: where the charged energy goes, or the discharged energy came from;
        None if
            that lies outside the horizon.
        counterpart_value_per_kwh: what a kWh at the meter is worth there.
        worth_per_kwh: what a meter-side kWh of the action brings after losses and wear; when
        holding, the
            value at the meter below which charging would pay.
        next_best_per_kwh: what the same kWh would bring at the margin; when holding, the value at
        the
            meter above which discharging would pay.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """The reason of one interval, before equal neighbours are joined and put in words."""

    action: Action
    energy_kwh: float
    here: float
    counterpart: int | None
    there: float | None
    worth: float
    next_best: float

    def continues(self, other: "_Step") -> bool:
        """Whether the same sentence would do for both, its figures the same to a thousandth."""
        figures = ((self.here, other.here), (self.worth, other.worth))
        figures += ((self.next_best, other.next_best),)
        return self.action is other.action and all(
            abs(a - b) <= 1e-3 * abs(a) + 5e-5 for a, b in figures
        )


def reasons(problem: Problem, solution: Solution) -> list[Reason]:
    """The reasons of a plan, in order of store and time; none if there is no plan or no values."""
    if solution.schedule is None or solution.values is None:
        return []
    site = solution.values.site_per_kwh
    found: list[Reason] = []
    for s, storage in enumerate(problem.storages):
        charge_kw, discharge_kw = solution.schedule.charge_kw[s], solution.schedule.discharge_kw[s]
        to, origin = _counterparts(problem, storage, charge_kw, discharge_kw)
        fading = _fading(storage, problem.horizon)
        steps = [
            _step(
                problem, storage, fading, t, charge_kw[t], discharge_kw[t], site, stored, to, origin
            )
            for t, stored in enumerate(solution.values.stored_per_kwh[s])
        ]
        found += _joined(problem, storage, steps)
    return found


def _counterparts(
    problem: Problem, storage: Storage, charge_kw: FloatArray, discharge_kw: FloatArray
) -> tuple[list[int | None], list[int | None]]:
    """Where most of each interval's charge goes and where most of its discharge comes from."""
    count, step_h = problem.horizon.count, problem.horizon.step_h
    fading = _fading(storage, problem.horizon)
    charged = charge_kw * step_h * storage.charge_efficiency
    taken = discharge_kw * step_h / storage.discharge_efficiency
    # Each lot is the energy at its own boundary; how much is left of it later, `fading` tells.
    lots: deque[tuple[int | None, int, float]] = deque([(None, 0, storage.initial_energy_kwh)])
    flows: dict[tuple[int | None, int], float] = {}
    for t in range(count):
        if charge_kw[t] > IDLE_KW:
            lots.append((t, t + 1, charged[t]))
        wanted = taken[t] if discharge_kw[t] > IDLE_KW else 0.0
        while wanted > 1e-12 and lots:
            source, since, size = lots.popleft()
            left = size * float(np.exp(fading[t + 1] - fading[since]))
            used = min(left, wanted)
            flows[source, t] = flows.get((source, t), 0.0) + used
            wanted -= used
            if left > used:
                lots.appendleft((source, t + 1, left - used))
    to: list[int | None] = [None] * count
    origin: list[int | None] = [None] * count
    largest_out, largest_in = np.zeros(count), np.zeros(count)
    for (source, t), size in flows.items():
        if source is not None and size > largest_out[source]:
            to[source], largest_out[source] = t, size
        if size > largest_in[t]:
            origin[t], largest_in[t] = source, size
    return to, origin


def _fading(storage: Storage, horizon: Horizon) -> FloatArray:
    """The logarithm of what is left at each boundary of a kWh held from the start."""
    kept = np.maximum(storage.keep(horizon), 1e-30)
    return np.concatenate(([0.0], np.cumsum(np.log(kept))))


def _step(
    problem: Problem,
    storage: Storage,
    fading: FloatArray,
    t: int,
    charge_kw: float,
    discharge_kw: float,
    site: FloatArray,
    stored: float,
    to: list[int | None],
    origin: list[int | None],
) -> _Step:
    wear, into, out = (
        storage.wear_cost_per_kwh,
        storage.charge_efficiency,
        storage.discharge_efficiency,
    )
    hours, here = float(problem.horizon.step_h[t]), float(site[t])
    pays_below, pays_above = into * (stored - wear), (stored + wear) / out
    if charge_kw > IDLE_KW:
        then = to[t]
        until = problem.horizon.count if then is None else then + 1
        kept = float(np.exp(fading[until] - fading[t + 1]))
        earned = storage.end_value_per_kwh if then is None else out * site[then] - wear
        return _Step(
            action=Action.CHARGE,
            energy_kwh=charge_kw * hours,
            here=here,
            counterpart=then,
            there=None if then is None else float(site[then]),
            worth=float(into * (kept * earned - wear)),
            next_best=float(pays_below),
        )
    if discharge_kw > IDLE_KW:
        since = origin[t]
        return _Step(
            action=Action.DISCHARGE,
            energy_kwh=discharge_kw * hours,
            here=here,
            counterpart=since,
            there=None if since is None else float(site[since]),
            worth=here - wear / out,
            next_best=float(stored / out),
        )
    return _Step(
        action=Action.HOLD,
        energy_kwh=0.0,
        here=here,
        counterpart=None,
        there=None,
        worth=float(pays_below),
        next_best=float(pays_above),
    )


def _joined(problem: Problem, storage: Storage, steps: list[_Step]) -> list[Reason]:
    """The reasons of one store, neighbours with the same sentence joined."""
    found: list[Reason] = []
    first = 0
    for t in range(1, len(steps) + 1):
        if t < len(steps) and steps[t].continues(steps[first]):
            continue
        step = steps[first]
        found.append(
            Reason(
                storage=storage.name,
                interval=first,
                interval_count=t - first,
                action=step.action,
                energy_kwh=sum(s.energy_kwh for s in steps[first:t]),
                site_value_per_kwh=step.here,
                counterpart_interval=step.counterpart,
                counterpart_value_per_kwh=step.there,
                worth_per_kwh=step.worth,
                next_best_per_kwh=step.next_best,
                text=_words(problem.horizon, step),
            )
        )
        first = t
    return found


def _words(horizon: Horizon, step: _Step) -> str:
    """The reason in a sentence."""
    if step.action is Action.CHARGE:
        use = "the end" if step.counterpart is None else horizon.clock(step.counterpart)
        against = "" if step.there is None else f" against {step.there:.4f} there"
        return (
            f"charging now for {use}: {step.here:.4f} here{against}, worth {step.worth:.4f} after"
            f" losses and wear; the next best use would bring {step.next_best:.4f}"
        )
    if step.action is Action.DISCHARGE:
        source = "the start" if step.counterpart is None else horizon.clock(step.counterpart)
        against = "" if step.there is None else f", charged at {step.there:.4f}"
        return (
            f"discharging energy from {source}{against}: it displaces {step.here:.4f} here, "
            f"{step.worth:.4f} after wear; kept, it would bring {step.next_best:.4f}"
        )
    return (
        f"holding: {step.here:.4f} here; charging pays below {step.worth:.4f}, "
        f"discharging above {step.next_best:.4f}"
    )
