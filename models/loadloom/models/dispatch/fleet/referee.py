"""The referee of fleets: what all plans cost and which rules they break, from the columns alone.

Plain sites are judged by the referee of batches, mixed ones by that of any site, and each node by
the sum of what is below it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.crew import of_threads
from loadloom.models.dispatch.audit import ABSOLUTE_KWH, RELATIVE
from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.fleet.audit import audit_range
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.kernel import singles
from loadloom.models.dispatch.referee import Verdict, verdict
from loadloom.models.dispatch.solution import Schedule
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
        amounts: `solution.AMOUNTS` of each plain site, (plain, 7).
        power_kw: what each node draws, (nodes, count).
        over_kwh, under_kwh: by how much hard limits on import and on export are broken,
            (nodes, count), zero within the tolerance.
        verdicts: what is said of the plan of each mixed site.
        violations: every rule that is broken.
    """

    cost: float
    breach_cost: float
    amounts: FloatArray
    power_kw: FloatArray
    over_kwh: FloatArray
    under_kwh: FloatArray
    verdicts: tuple[Verdict, ...]
    violations: tuple[Violation, ...]


def judge(
    fleet: Fleet, columns: FloatArray, schedules: Sequence[Schedule] = (), threads: int = 1
) -> Judgement:
    """What the plans of plain sites, (6, plain, count), and of mixed ones cost and break."""
    hours, nodes = fleet.horizon.step_h, len(fleet.network.names)
    power, moved = np.zeros((nodes, hours.size)), np.zeros((nodes, hours.size))
    amounts, breaches = np.empty((fleet.plain_count, 7)), np.empty(fleet.plain_count)
    if fleet.sites is not None:
        for own, all_own in _audited(fleet, fleet.sites, columns, amounts, breaches, threads):
            power += own
            moved += all_own
    verdicts, cost = [], float(amounts[:, 0].sum())
    for node, problem, schedule in zip(fleet.mixed_nodes, fleet.mixed, schedules, strict=True):
        word = verdict(problem, schedule)
        verdicts.append(word)
        cost += word.cost.total
        power[node] += schedule.import_kw - schedule.export_kw
        moved[node] += schedule.import_kw + schedule.export_kw
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
        cost=cost + breach_cost,
        breach_cost=breach_cost,
        amounts=amounts,
        power_kw=power,
        over_kwh=over,
        under_kwh=under,
        verdicts=tuple(verdicts),
        violations=_violations(fleet, breaches, over, under)
        + tuple(
            Violation(f"mixed[{number}].{each.path}", each.message)
            for number, word in enumerate(verdicts)
            for each in word.violations
        ),
    )


def _audited(
    fleet: Fleet,
    sites: Batch,
    columns: FloatArray,
    amounts: FloatArray,
    breaches: FloatArray,
    threads: int,
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """What the plain sites of each node draw, and draw and feed in, part by part, (nodes, count).

    Writes their amounts and by how much they break rules of their own.
    """
    nodes, count = len(fleet.network.names), fleet.horizon.count
    matrices, hours = sites.matrices(), sites.horizon.step_h
    single = singles(matrices, 0, sites.site_count)

    def audit(first: int) -> tuple[FloatArray, FloatArray]:
        last = min(first + _CHUNK_SITES, sites.site_count)
        power, moved = np.zeros((nodes, count)), np.zeros((nodes, count))
        audit_range(
            matrices, single, hours, fleet.site_nodes, first, last, columns, amounts, breaches,
            power, moved,
        )  # fmt: skip
        return power, moved

    with of_threads(threads) as crew:
        yield from crew.run(audit, range(0, sites.site_count, _CHUNK_SITES))


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
