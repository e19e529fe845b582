"""The referee's rules for the sites of a fleet, compiled: it sees request and answer alone."""

import numpy as np
from numba import njit

from loadloom.models.dispatch.audit import audit_row
from loadloom.models.dispatch.kernel import every_series, expand, numbers_of


@njit(nogil=True, cache=True, error_model="numpy")
def audit_range(
    matrices, single, step_h, node, first, last, columns, amounts, breaches, power, moved
):  # fmt: skip
    """Audits the sites from `first` up to `last`.

    Writes `amounts` (sites, 7) as `audit_row` does, the breach of each site's own rules as a
    multiple of the tolerance to `breaches` (sites,), and adds what each node's own sites draw, and
    what they draw and feed in together, to `power` and `moved` (nodes, T), in kW.
    """
    count = step_h.size
    sites, keep, wanted = np.empty((10, 1, count)), np.ones((1, count)), every_series()
    known = 0.0
    for row in range(first, last):
        expand(matrices, row, step_h, wanted, 0, sites)
        numbers = numbers_of(single, row)
        if numbers[4] != known:
            known = numbers[4]
            for t in range(count):
                keep[0, t] = (1.0 - known) ** step_h[t]
        breaches[row] = audit_row(0, sites, numbers, step_h, keep, row, columns, amounts)
        amounts[row, 1] = np.nan
        at = node[row]
        for t in range(count):
            drawn, fed = columns[4, row, t], columns[5, row, t]
            power[at, t] += drawn - fed
            moved[at, t] += drawn + fed
