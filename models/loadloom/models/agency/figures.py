"""What the load curves of a settlement amount to: energies, loads at the peak, load factors."""

from dataclasses import dataclass

import numpy as np

from loadloom.models.agency.cost import PooledCost
from loadloom.models.agency.prices import affine
from loadloom.models.agency.problem import IntArray, Problem
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.spans import chosen_sums, span_sums


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """The loads of all users and of each, over D spans with a load factor of their own.

    D is 1 but for daily peaks, where it is the number of days.

    Attributes:
        total_kw: the pooled load, (T,).
        first_slot: the first slot of each span and, last, the number of slots, (D + 1,).
        hours: the length of each span, (D,).
        energy_kwh, peak_kw, load_factor: of the pooled load, (D,); a span without energy has a load
            factor of 1.
        user_energy_kwh: the energy of each user, (n, D).
        user_peak_kw: each user's load at the peak, (n, D).
    """

    total_kw: FloatArray
    first_slot: IntArray
    hours: FloatArray
    energy_kwh: FloatArray
    peak_kw: FloatArray
    load_factor: FloatArray
    user_energy_kwh: FloatArray
    user_peak_kw: FloatArray

    @property
    def contribution(self) -> FloatArray:
        """The load-rate contribution k of each user, (n,); over days, its mean by their energy."""
        energy, peak = self.energy_kwh, self.peak_kw
        weight = self.load_factor * energy / max(float(energy.sum()), np.finfo(np.float64).tiny)
        by_energy = np.divide(weight, energy, out=np.zeros_like(weight), where=energy > 0.0)
        by_peak = np.divide(weight, peak, out=np.zeros_like(weight), where=peak > 0.0)
        return _weighted(self.user_energy_kwh, by_energy) - _weighted(self.user_peak_kw, by_peak)


def figures(problem: Problem, pooled: PooledCost) -> Figures:
    """The figures of a problem's curves under its `pooled_cost`, in two passes over them."""
    curves = problem.curves
    count, spans = curves.count, pooled.block_starts.size
    start = np.append(pooled.block_starts, curves.horizon.count)
    total, energy = np.zeros(curves.horizon.count), np.empty((count, spans))
    span_sums(curves.load_kw, pooled.step_h, start, total, energy)
    weights = pooled.peak_weights(total)
    column = np.flatnonzero(weights)
    at_peak = np.empty((count, spans))
    span = pooled.block_of_slot[column]
    chosen_sums(curves.load_kw, column, weights[column], span, at_peak)
    return Figures(
        total_kw=total,
        first_slot=start,
        hours=pooled.block_h,
        energy_kwh=pooled.energy_kwh(total),
        peak_kw=pooled.peak_kw(total),
        load_factor=1.0 / pooled.inverse_load_factor(total),
        user_energy_kwh=energy,
        user_peak_kw=at_peak,
    )


def pooled_cost(problem: Problem) -> PooledCost:
    """The cost of the pooled load; of a purchase, only what it says of peaks and spans."""
    schedule = problem.schedule or affine(0.0, 0.0)
    return PooledCost.of(schedule, problem.curves, problem.peak)


def _weighted(columns: FloatArray, weight: FloatArray) -> FloatArray:
    """The columns (n, D) times their weights, added up in one order for every row, (n,)."""
    return sum((columns[:, d] * weight[d] for d in range(weight.size)), np.zeros(len(columns)))
