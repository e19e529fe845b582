"""Days and months of a curve, by the local calendar: a day of a clock change has 23 or 25 hours."""

from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from loadloom.models.horizon import FloatArray, Horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class RollUp:
    """Spans of the calendar, each a run of slots; (D,) columns.

    Attributes:
        label: the day, 2026-10-25, or the month, 2026-10.
        first_slot: the first slot that begins in the span.
        slot_count: how many of them the horizon has.
        energy_kwh: the energy of those slots.
        peak_kw: the largest load.
        peak_slot: the first slot that has it.
        load_factor: their mean load as a share of it; 0 if it is not above 0.
    """

    label: tuple[str, ...]
    first_slot: NDArray[np.int64]
    slot_count: NDArray[np.int64]
    energy_kwh: FloatArray
    peak_kw: FloatArray
    peak_slot: NDArray[np.int64]
    load_factor: FloatArray


def roll_up(horizon: Horizon, load_kw: FloatArray, span: str) -> RollUp:
    """The spans of a curve (T,), named by `span`, a format of `strftime`."""
    labels = [horizon.boundary(t).strftime(span) for t in range(horizon.count)]
    first = [t for t in range(horizon.count) if t == 0 or labels[t] != labels[t - 1]]
    ends = [*first[1:], horizon.count]
    runs = [slice(begin, end) for begin, end in zip(first, ends, strict=True)]
    energy_kwh = np.array([fsum(horizon.step_h[run] * load_kw[run]) for run in runs])
    hours = np.array([fsum(horizon.step_h[run]) for run in runs])
    peak_kw = np.array([load_kw[run].max() for run in runs])
    full_kwh = hours * peak_kw
    return RollUp(
        label=tuple(labels[t] for t in first),
        first_slot=np.array(first),
        slot_count=np.array(ends) - np.array(first),
        energy_kwh=energy_kwh,
        peak_kw=peak_kw,
        peak_slot=np.array([run.start + int(load_kw[run].argmax()) for run in runs]),
        load_factor=np.divide(
            energy_kwh, full_kwh, out=np.zeros_like(full_kwh), where=full_kwh > 0.0
        ),
    )
