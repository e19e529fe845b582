"""The least change that gives a site a plan: how far each rule gives way, and when.

Every rule may be broken at a cost of 1 for each kWh: energy of the interval for limits of power,
energy missing or too much at the end of each interval for limits of what is held.
"""

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from loadloom.models.dispatch.flows import NEGLIGIBLE_KWH, breach, settled
from loadloom.models.dispatch.linear_model import (
    Arrays,
    Pairs,
    all_pairs,
    matrix,
    no_pairs,
    program,
)
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.rules import Kind, Rule, relaxed
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Model, Outcome, Program, with_columns

WITHIN_KWH = 1e-7
"""What counts as rounding in a plan."""

DIGITS = 1e6
"""Changes are rounded up to a millionth of a kWh, so that they cure for certain."""


BUILDING_S = 1e-6
"""The time that it takes to state one interval of one store to the solver."""


@dataclass(slots=True)
class Clock:
    """What is left of the time, by the solver's own measure and the work of stating its models."""

    left_s: float

    def solve(self, site: Arrays, model: Model) -> Outcome:
        """How a run of a site's model ends within the time left."""
        outcome = model.solve(time_limit_s=max(0.0, self.left_s), relative_gap=1e-6)
        self.left_s -= outcome.seconds + BUILDING_S * (site.keep.size + site.buy.size)
        return outcome


def store_pairs(site: Arrays) -> Pairs:
    """Every binary that can matter to what is possible; drawing and feeding in at once cannot."""
    pairs = all_pairs(site)
    return replace(pairs, meter=np.zeros_like(pairs.meter))


def least_change(problem: Problem, rules: list[Rule], clock: Clock) -> FloatArray:
    """The kWh by which each rule gives way in each interval, shape (rules, count).

    When the time is over it is what must give way if no store moves: a cure, but not the least.
    """
    shape = (len(rules), problem.horizon.count)
    free = relaxed(problem, rules, np.full(shape, inf))
    tight = relaxed(problem, rules, np.zeros(shape))
    for pairs in (no_pairs(free), store_pairs(free)):
        outcome = clock.solve(free, Model(_elastic(free, tight, pairs)))
        if outcome.primal is None:
            break
        energy = _energy(free, outcome.primal, pairs)
        change = _changes(rules, energy, _beyond(free, outcome.primal, pairs))
        site = relaxed(problem, rules, change)
        if pairs.count or breach(site, settled(site, energy)).max() <= WITHIN_KWH:
            return change
    return _idle_change(free, tight, rules)


def _idle_change(free: Arrays, tight: Arrays, rules: list[Rule]) -> FloatArray:
    """By how much each rule is broken if no store moves."""
    energy = free.initial * np.cumprod(free.keep, axis=1)
    still = np.zeros(free.shape)
    over = {
        Kind.CHARGE: still,
        Kind.DISCHARGE: still,
        Kind.EXPORT: (-tight.net_load - tight.curtailable - tight.export_limit)[None],
        Kind.IMPORT: (tight.net_load - tight.import_limit)[None],
    }
    return _changes(rules, energy, over)


def _elastic(free: Arrays, tight: Arrays, pairs: Pairs) -> Program:
    """The programme in which limits may be passed, at a cost of 1 for each kWh, by further columns:
    charge, taken, energy above, energy below (all by store), export, import.
    """  # noqa: D205
    cells, count = free.keep.size, free.buy.size
    low, high = np.minimum(tight.energy_min, tight.energy_max), tight.energy_max
    high = np.maximum(tight.energy_min, high)
    cell, interval = np.arange(cells), 3 * cells + np.arange(count)
    sources = (cell, cells + cell, 2 * cells + cell, 2 * cells + cell, interval, count + interval)
    signs = np.repeat([1.0, 1.0, 1.0, -1.0, 1.0, -1.0], [part.size for part in sources])
    room = (
        (free.charge_limit - tight.charge_limit).ravel(),
        (free.taken_limit - tight.taken_limit).ravel(),
        (free.energy_max - high).ravel(),
        low.ravel(),
        free.export_limit - tight.export_limit,
        free.import_limit - tight.import_limit,
    )
    tight = replace(tight, energy_min=low, energy_max=high)
    # The binaries need the far limits, all other columns the near ones.
    far = program(free, pairs, matrix(free, pairs))
    near = program(tight, no_pairs(tight), far.matrix)
    width = near.cost.size
    extra = np.concatenate(room)
    price = np.ones(extra.size)
    price[cells : 2 * cells] = np.repeat(free.discharge_efficiency, count)
    row_high = far.row_high.copy()
    row_high[: near.row_high.size] = near.row_high
    return replace(
        far,
        cost=np.append(np.zeros(far.cost.size), price),
        low=np.concatenate((near.low, far.low[width:], np.zeros(extra.size))),
        high=np.concatenate((near.high, far.high[width:], np.maximum(extra, 0.0))),
        row_high=row_high,
        matrix=with_columns(far.matrix, np.concatenate(sources), signs),
        integer=np.append(far.integer, np.zeros(extra.size, bool)),
        offset=0.0,
    )


def _parts(free: Arrays, primal: FloatArray, pairs: Pairs) -> list[FloatArray]:
    """The further columns of the elastic programme, in order."""
    cells, count = free.keep.size, free.buy.size
    extra = primal[3 * cells + 2 * count + pairs.count :]
    return np.split(extra, [cells, 2 * cells, 3 * cells, 4 * cells, 4 * cells + count])


def _energy(free: Arrays, primal: FloatArray, pairs: Pairs) -> FloatArray:
    """The energy held in an elastic solution, shape (stores, count)."""
    cells = free.keep.size
    _, _, above, below, _, _ = _parts(free, primal, pairs)
    return (primal[2 * cells : 3 * cells] + above - below).reshape(free.shape)


def _beyond(free: Arrays, primal: FloatArray, pairs: Pairs) -> dict[Kind, FloatArray]:
    """By how much an elastic solution passes the limits of power, by store or for the meter."""
    charge, taken, _, _, export, drawn = _parts(free, primal, pairs)
    return {
        Kind.CHARGE: charge.reshape(free.shape),
        Kind.DISCHARGE: taken.reshape(free.shape) * free.discharge_efficiency,
        Kind.EXPORT: export[None],
        Kind.IMPORT: drawn[None],
    }


def _changes(rules: list[Rule], energy: FloatArray, over: dict[Kind, FloatArray]) -> FloatArray:
    """By how much each rule is broken, rounded up, shape (rules, count)."""
    change = np.zeros((len(rules), energy.shape[1]))
    for row, rule in zip(change, rules, strict=True):
        if rule.kind is Kind.LEAST:
            row[:] = rule.limit - energy[rule.store]
        elif rule.kind is Kind.MOST:
            row[:] = energy[rule.store] - rule.limit
        else:
            row[:] = over[rule.kind][rule.store]
    return np.where(change > NEGLIGIBLE_KWH, np.ceil(change * DIGITS) / DIGITS, 0.0)
