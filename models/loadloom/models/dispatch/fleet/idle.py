"""What becomes of a fleet's sites if nothing clever is done: whose own rules that breaks."""

import numpy as np

from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.referee import baseline

_AT_ONCE = 1_000_000
"""The values of sites that are looked at at once."""

_SLACK = 1e-6
"""What is less beyond a bound, in kWh or kW, is rounding."""


def breaking(fleet: Fleet) -> int:
    """The number of sites whose own rules are broken if their stores do not move.

    Such a baseline costs less than any plan may, as for a car that need not be charged.
    """
    mixed = sum(not baseline(problem).within_limits for problem in fleet.mixed)
    return mixed + (0 if fleet.sites is None else _plain(fleet.sites))


def _plain(sites: Batch) -> int:
    each = max(1, _AT_ONCE // sites.horizon.count)
    broken = 0
    for first in range(0, sites.site_count, each):
        rows = slice(first, min(first + each, sites.site_count))

        def of(name: str, rows: slice = rows) -> np.ndarray:
            matrix = getattr(sites, name)
            return matrix[rows] if matrix.shape[0] == sites.site_count else matrix

        held = of("initial_energy_kwh") * _kept(of("self_discharge_per_h"), sites)
        low, high = of("energy_min_kwh"), of("energy_max_kwh")
        bad = ((held < low - _SLACK) | (held > high + _SLACK)).any(axis=1)
        last = held[:, -1:]
        bad |= (last < of("end_energy_min_kwh") - _SLACK).any(axis=1)
        bad |= (last > of("end_energy_max_kwh") + _SLACK).any(axis=1)
        net = of("load_kw") - of("pv_kw")
        spilled = np.where(of("pv_curtailable") > 0.0, of("pv_kw"), 0.0)
        bad |= (net > of("import_limit_kw") + _SLACK).any(axis=1)
        bad |= (-net - spilled > of("export_limit_kw") + _SLACK).any(axis=1)
        broken += int(np.broadcast_to(bad, rows.stop - rows.start).sum())
    return broken


def _kept(loss: np.ndarray, sites: Batch) -> np.ndarray:
    """The share of its energy that a store still holds at the end of each interval."""
    return np.cumprod((1.0 - loss) ** sites.horizon.step_h, axis=1)
