"""Why each store does what it does, interval by interval, in words and numbers.

Energy is followed first in, first out: what is charged now is kept for the first later discharge
that has not been served yet. That gives each action its counterpart and shows what it earns.
An action costs or saves what the meter pays with it less what the meter would pay without: that of
all the energy moved, where the value of one more kWh is already what the plan has made of it. The
next best use is at the margin: it earns the dual of the store.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.dispatch.device_reasons import device_reasons
from loadloom.models.dispatch.devices.storage import EnergyTarget
from loadloom.models.dispatch.problem import Problem, Storage
from loadloom.models.dispatch.reason import Action, Reason
from loadloom.models.dispatch.solution import Schedule, Solution, Values
from loadloom.models.horizon import FloatArray, Horizon

IDLE_KW = 1e-9
"""Power up to this is rounding, not an action."""

ROUNDING_KWH = 1e-9
"""A difference of energies up to this is rounding."""

NEARLY = 1e-6
"""A share this near to nothing or all is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """The reason of one interval, before equal neighbours are joined and put in words.

    `verb` says what charging is, or what discharging does at the meter.
    """

    action: Action
    verb: str
    energy_kwh: float
    here: float
    counterpart: int | None
    there: float | None
    worth: float
    next_best: float
    target: EnergyTarget | None = None

    def continues(self, other: "_Step") -> bool:
        """Whether the same sentence would do for both, its figures the same to a thousandth."""
        figures = ((self.here, other.here), (self.worth, other.worth))
        figures += ((self.next_best, other.next_best),)
        same = (self.action, self.verb, self.target) == (other.action, other.verb, other.target)
        return same and all(abs(a - b) <= 1e-3 * abs(a) + 5e-5 for a, b in figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """What one store does, its columns of shape (count,).

    Attributes:
        charge_kwh: the energy charged, at the meter side.
        discharge_kwh: the energy discharged, at the meter side.
        price: what a kWh moved costs or saves at the meter.
        fed_in: the share of the energy discharged that the meter feeds in, 0..1.
        topping_up: whether charging only makes up for self-discharge.
        site: what one more kWh behind the meter is worth.
        stored: what one more kWh in the store is worth.
        wear: what a kWh taken out of the store wears it down by.
        energy: what the store holds at the end of each interval.
        fading: the logarithm of what is left at each boundary of a kWh held from the start.
        to: the interval that most of what is charged is kept for.
        origin: the interval that most of what is discharged comes from.
    """

    storage: Storage
    charge_kwh: FloatArray
    discharge_kwh: FloatArray
    price: FloatArray
    fed_in: FloatArray
    topping_up: NDArray[np.bool_]
    site: FloatArray
    stored: FloatArray
    wear: FloatArray
    energy: FloatArray
    fading: FloatArray
    to: list[int | None]
    origin: list[int | None]


def reasons(problem: Problem, solution: Solution) -> list[Reason]:
    """The reasons of a plan, in order of store and time; none if there is no plan or no values."""
    if solution.schedule is None or solution.values is None:
        return []
    courses = [
        _course(problem, solution.schedule, solution.values, s)
        for s in range(len(problem.storages))
    ]
    told = [reason for course in courses for reason in _joined(problem, course)]
    return told if problem.plain else [*told, *device_reasons(problem, solution)]


def _course(problem: Problem, schedule: Schedule, values: Values, s: int) -> _Course:
    """What store `s` does."""
    storage, hours = problem.storages[s], problem.horizon.step_h
    # Less than this is rounding, not an action.
    charge_kw, discharge_kw = (
        np.where(kw > IDLE_KW, kw, 0.0) for kw in (schedule.charge_kw[s], schedule.discharge_kw[s])
    )
    to, origin = _counterparts(problem, storage, charge_kw, discharge_kw)
    energy = schedule.energy_kwh[s]
    before = np.append(storage.initial_energy_kwh, energy[:-1])
    fed_in = np.minimum(schedule.export_kw, discharge_kw)
    return _Course(
        storage=storage,
        charge_kwh=charge_kw * hours,
        discharge_kwh=discharge_kw * hours,
        price=_prices(problem, schedule, charge_kw - discharge_kw)
        if problem.plain
        else values.on_bus(storage.bus),
        fed_in=fed_in / np.where(discharge_kw > 0.0, discharge_kw, 1.0),
        topping_up=(charge_kw > 0.0) & (energy <= before + ROUNDING_KWH),
        site=values.on_bus(storage.bus),
        stored=values.stored_per_kwh[s],
        wear=_wear(storage, values, s),
        energy=energy,
        fading=_fading(storage, problem.horizon),
        to=to,
        origin=origin,
    )


def _wear(storage: Storage, values: Values, s: int) -> FloatArray:
    """What a kWh taken out of store `s` wears it down by, with what its depth adds, (count,)."""
    depth = values.depth_wear_per_kwh
    more = np.zeros_like(values.site_per_kwh) if depth is None else depth[s]
    return storage.wear_cost_per_kwh + more


def _prices(problem: Problem, schedule: Schedule, moved_kw: FloatArray) -> FloatArray:
    """What a kWh that a store draws costs, or one that it gives saves, at the meter, (count,)."""
    demand_kw = schedule.import_kw - schedule.export_kw - schedule.curtailed_kw.sum(axis=0)
    dearer = _paid(problem, demand_kw) - _paid(problem, demand_kw - moved_kw)
    return dearer / np.where(moved_kw == 0.0, 1.0, moved_kw)


def _paid(problem: Problem, demand_kw: FloatArray) -> FloatArray:
    """What an hour of each demand costs at the meter, plants curtailed as is cheapest, (count,).

    Beyond the limits of the meter its prices go on.
    """
    meter, most_kw = problem.meter, demand_kw + problem.curtailable_kw
    least = np.maximum(demand_kw, np.minimum(-meter.export_limit_kw, most_kw))
    most = np.maximum(least, np.minimum(meter.import_limit_kw, most_kw))
    ways = np.stack((least, np.clip(0.0, least, most), most))
    price = np.where(ways > 0.0, meter.buy_price_per_kwh, meter.sell_price_per_kwh)
    return (price * ways).min(axis=0)


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


def _step(course: _Course, t: int) -> _Step:
    """The reason of interval `t`."""
    if course.charge_kwh[t] > 0.0:
        return _charging(course, t)
    if course.discharge_kwh[t] > 0.0:
        return _discharging(course, t)
    storage, stored = course.storage, float(course.stored[t])
    low, high = storage.energy_bounds_kwh()
    verb = "holding"
    if course.energy[t] <= low[t] + ROUNDING_KWH:
        verb = "holding the least it may"
    elif course.energy[t] >= high[t] - ROUNDING_KWH:
        verb = "holding the most it may"
    return _Step(
        action=Action.HOLD,
        verb=verb,
        energy_kwh=0.0,
        here=float(course.site[t]),
        counterpart=None,
        there=None,
        worth=storage.charge_efficiency * (stored - storage.wear_cost_per_kwh),
        next_best=(stored + float(course.wear[t])) / storage.discharge_efficiency,
    )


def _charging(course: _Course, t: int) -> _Step:
    storage, then = course.storage, course.to[t]
    wear, into = storage.wear_cost_per_kwh, storage.charge_efficiency
    there = None if then is None else float(course.price[then])
    earned = storage.end_value_per_kwh
    if there is not None:
        earned = storage.discharge_efficiency * there - float(course.wear[then])
    until = len(course.to) if then is None else then + 1
    kept = float(np.exp(course.fading[until] - course.fading[t + 1]))
    next_best = into * (float(course.stored[t]) - wear)
    target = _target(course, t) if then is None else None
    return _Step(
        action=Action.CHARGE,
        verb="making up for self-discharge" if course.topping_up[t] else "charging now",
        target=target,
        energy_kwh=float(course.charge_kwh[t]),
        here=float(course.price[t]),
        counterpart=then,
        there=there,
        worth=next_best if target else into * (kept * earned - wear),
        next_best=next_best,
    )


def _target(course: _Course, t: int) -> EnergyTarget | None:
    """The first target from `t` on that asks for all that the store then holds."""
    for target in sorted(course.storage.targets, key=lambda each: each.interval):
        wanted = target.min_kwh + NEARLY * max(1.0, target.min_kwh)
        if target.interval >= t and course.energy[target.interval] <= wanted:
            return target
    return None


def _discharging(course: _Course, t: int) -> _Step:
    storage, since = course.storage, course.origin[t]
    here, fed_in = float(course.price[t]), float(course.fed_in[t])
    verb = "earns" if fed_in > 1.0 - NEARLY else "displaces"
    if NEARLY < fed_in <= 1.0 - NEARLY:
        verb = "displaces and earns"
    return _Step(
        action=Action.DISCHARGE,
        verb=verb,
        energy_kwh=float(course.discharge_kwh[t]),
        here=here,
        counterpart=since,
        there=None if since is None else float(course.price[since]),
        worth=here - float(course.wear[t]) / storage.discharge_efficiency,
        next_best=float(course.stored[t]) / storage.discharge_efficiency,
    )


def _joined(problem: Problem, course: _Course) -> list[Reason]:
    """The reasons of one store, neighbours with the same sentence joined."""
    steps = [_step(course, t) for t in range(problem.horizon.count)]
    found: list[Reason] = []
    first = 0
    for t in range(1, len(steps) + 1):
        if t < len(steps) and steps[t].continues(steps[first]):
            continue
        step = steps[first]
        found.append(
            Reason(
                storage=course.storage.name,
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
    if step.target is not None:
        by = horizon.clock(step.target.interval + 1)
        return (
            f"{step.verb} for its target of {step.target.min_kwh:g} kWh at {by}: "
            f"{step.here:.4f} here, up to {step.worth:.4f} for this target"
        )
    if step.action is Action.CHARGE:
        use = "the end" if step.counterpart is None else horizon.clock(step.counterpart)
        against = "" if step.there is None else f" against {step.there:.4f} there"
        return (
            f"{step.verb} for {use}: {step.here:.4f} here{against}, worth {step.worth:.4f} after"
            f" losses and wear; the next best use would bring {step.next_best:.4f}"
        )
    if step.action is Action.DISCHARGE:
        source = "the start" if step.counterpart is None else horizon.clock(step.counterpart)
        against = "" if step.there is None else f", charged at {step.there:.4f}"
        return (
            f"discharging energy from {source}{against}: it {step.verb} {step.here:.4f} here, "
            f"{step.worth:.4f} after wear; kept, it would bring {step.next_best:.4f}"
        )
    return (
        f"{step.verb}: {step.here:.4f} here; charging pays below {step.worth:.4f}, "
        f"discharging above {step.next_best:.4f}"
    )
