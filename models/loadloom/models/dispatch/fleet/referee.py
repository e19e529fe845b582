"""The referee of fleets: what all plans cost and which rules they break, from the columns alone.

Each site is judged by the referee of batches, and each node by the sum of what is below it.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.dispatch.audit import ABSOLUTE_KWH, RELATIVE
from loadloom.models.dispatch.fleet.audit import audit_range
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.kernel import singles
from loadloom.models.horizon import FloatArray

TOLD_SITES = 20
"""The most sites that are told of by name."""

_CHUNK_SITES = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The referee's word on the plans of a fleet.

    Attributes:
        cost: of all sites, with all breaches that have a price.
        breach_cost: the cost of those breaches.
        amounts: `solution.AMOUNTS` of each site, (sites, 7).
        power_kw: what each node draws, (nodes, count).
        over_kwh, under_kwh: by how much hard limits on import and on export are broken,
            (nodes, count), zero within the tolerance.
        violations: every rule that is broken.
    """

    cost: float
    breach_cost: float
    amounts: FloatArray
    power_kw: FloatArray
    over_kwh: FloatArray
    under_kwh: FloatArray
    violations: tuple[Violation, ...]


def judge(fleet: Fleet, columns: FloatArray, threads: int = 1) -> Judgement:
    """What the plans of all sites, (6, sites, count), cost and break."""
    sites, nodes = fleet.sites, len(fleet.network.names)
    count, hours = sites.horizon.count, sites.horizon.step_h
    amounts, breaches = np.empty((sites.site_count, 7)), np.empty(sites.site_count)
    matrices = sites.matrices()
    single = singles(matrices, 0, sites.site_count)

    def audit(first: int) -> tuple[FloatArray, FloatArray]:
        last = min(first + _CHUNK_SITES, sites.site_count)
        power, moved = np.zeros((nodes, count)), np.zeros((nodes, count))
        audit_range(
            matrices, single, hours, fleet.site_nodes, first, last, columns, amounts, breaches,
            power, moved,
        )  # fmt: skip
        return power, moved

    begins = range(0, sites.site_count, _CHUNK_SITES)
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(audit, begins))
    power, moved = np.zeros((nodes, count)), np.zeros((nodes, count))
    for own, all_own in parts:
        power += own
        moved += all_own
    tree, network = fleet.network.tree, fleet.network
    power, moved = tree.totals(power), tree.totals(moved)
    over = np.maximum(power - network.import_limit_kw, 0.0) * hours
    under = np.maximum(-network.export_limit_kw - power, 0.0) * hours
    price = network.breach_price_per_kwh
    soft = np.isfinite(price)
    breach_cost = float(price[soft] @ (over + under)[soft].sum(axis=1))
    slack = ABSOLUTE_KWH + RELATIVE * moved * hours
    hard = ~soft[:, None]
    over, under = (np.where(hard & ~(side <= slack), side, 0.0) for side in (over, under))
    return Judgement(
        cost=float(amounts[:, 0].sum()) + breach_cost,
        breach_cost=breach_cost,
        amounts=amounts,
        power_kw=power,
        over_kwh=over,
        under_kwh=under,
        violations=_violations(fleet, breaches, over, under),
    )


def _violations(
    fleet: Fleet, breaches: FloatArray, over: FloatArray, under: FloatArray
) -> tuple[Violation, ...]:
    found = []
    broken = np.flatnonzero(~(breaches <= 1.0))
    for row in broken[:TOLD_SITES]:
        more = f" (and {broken.size - TOLD_SITES} more sites)" if broken.size > TOLD_SITES else ""
        told = f"breaks rules of its own by {breaches[row]:g} times the tolerance{more}"
        found.append(Violation(f"sites[{row}]", told))
    for name, side in (("import_limit_kw", over), ("export_limit_kw", under)):
        for node in np.flatnonzero(side.any(axis=1)):
            t = int(np.argmax(side[node]))
            path = f"nodes[{node}].{name}[{t}]"
            who = fleet.network.names[node]
            found.append(Violation(path, f"{who!r} is beyond it by {side[node, t]:g} kWh"))
    return tuple(found)
