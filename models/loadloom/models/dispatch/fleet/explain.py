"""What the shared limits of a fleet cost, where they bind, and what more room would save."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from loadloom.models.crew import Crew, of_threads
from loadloom.models.dispatch.fleet.members import grouped
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.fleet.solution import FleetSolution
from loadloom.models.dispatch.referee import baseline
from loadloom.models.horizon import FloatArray

_BINDS = 1e-6
"""A price per kWh above this says that a limit binds."""

_SITE_GAP = 1e-5
"""The relative gap to which mixed sites are solved for what would be without limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A limit that binds.

    Attributes:
        node, rule: which one it is.
        intervals: those in which it has a price.
        saving_per_kw: what one more kW of it in all these intervals would save, to first order.
        dearest_interval, dearest_price_per_kwh: where its price is highest.
    """

    node: int
    rule: str
    intervals: tuple[int, ...]
    saving_per_kw: float
    dearest_interval: int
    dearest_price_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlimited:
    """What all sites would cost at least if no node had a limit, and draw, (nodes, count)."""

    cost: float
    power_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What limits do to a fleet.

    Attributes:
        bindings: the limits that bind, those first of which more would save most.
        unlimited: what would be without limits.
        site_price_per_kwh: what a kWh drawn at a node costs there on top of a site's own tariff,
            for the limits of the node and of all above it, (nodes, count).
        baseline_cost: what all sites cost if their devices do the plain thing and no store moves,
            whatever limits that breaks.
    """

    bindings: tuple[Binding, ...]
    unlimited: Unlimited
    site_price_per_kwh: FloatArray
    baseline_cost: float


def explain(
    fleet: Fleet, solution: FleetSolution, threads: int = 1, crew: Crew | None = None
) -> Explanation:
    """What the limits do, from the prices of a solution and one more solve of every site.

    Sites are solved by `crew`, or by so many threads of this process.

    Raises:
        ValueError: the solution has no plan.
    """
    if solution.plan is None:
        raise ValueError("there is no plan to explain")
    prices = solution.import_price_per_kwh - solution.export_price_per_kwh
    return Explanation(
        bindings=bindings(fleet, solution),
        unlimited=unlimited(fleet, threads, crew),
        site_price_per_kwh=fleet.network.tree.along(prices),
        baseline_cost=float(solution.plan.amount("baseline_cost").sum())
        + sum(baseline(problem).cost.total for problem in fleet.mixed),
    )


def unlimited(fleet: Fleet, threads: int = 1, crew: Crew | None = None) -> Unlimited:
    """What the sites of a fleet would do if they shared nothing.

    Raises:
        ValueError: a site cannot keep its own rules.
    """
    nodes, count = len(fleet.network.names), fleet.horizon.count
    with nullcontext(crew) if crew else of_threads(threads) as workers:
        members = grouped(fleet, workers, 1, _SITE_GAP)
        groups = members.node.size
        answer = members.respond(np.zeros((groups, count)), np.ones(groups, np.bool_))
    if not members.sound:
        raise ValueError("a site cannot keep its own rules")
    own = np.zeros((nodes, count))
    np.add.at(own, members.node, answer.flow)
    power = fleet.network.tree.totals(own) / fleet.horizon.step_h
    return Unlimited(cost=float(answer.cost.sum()), power_kw=power)


def bindings(fleet: Fleet, solution: FleetSolution) -> tuple[Binding, ...]:
    """The limits that have a price, those first of which more would save most."""
    hours, found = fleet.horizon.step_h, []
    sides = (
        ("import_limit_kw", solution.import_price_per_kwh),
        ("export_limit_kw", solution.export_price_per_kwh),
    )
    for rule, prices in sides:
        for node in np.flatnonzero((prices > _BINDS).any(axis=1)):
            binds = np.flatnonzero(prices[node] > _BINDS)
            dearest = int(binds[np.argmax(prices[node, binds])])
            found.append(
                Binding(
                    node=int(node),
                    rule=rule,
                    intervals=tuple(binds.tolist()),
                    saving_per_kw=float(prices[node, binds] @ hours[binds]),
                    dearest_interval=dearest,
                    dearest_price_per_kwh=float(prices[node, dearest]),
                )
            )
    return tuple(sorted(found, key=lambda one: -one.saving_per_kw))
