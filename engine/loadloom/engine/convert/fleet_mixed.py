"""The sites of a fleet with devices of any kind: read as single sites are, and told as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from loadloom.engine.convert.common import Grid
from loadloom.engine.convert.dispatch import cost_items, read_site
from loadloom.engine.convert.dispatch_plans import breaches, peaks, write_schedule
from loadloom.engine.convert.dispatch_sizes import answer_columns
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Task
from loadloom.models.checks import Violation
from loadloom.models.dispatch.fleet.problem import NodeArray
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.referee import Verdict, baseline
from loadloom.models.dispatch.solution import Schedule
from loadloom.models.options import SolveOptions
from loadloom.v1 import dispatch_fleet_pb2 as pb

NOT_IN_FLEETS = ("scenarios", "risk", "earlier_schedule", "earlier_grid", "warm_start_key")
"""What a site has for a plan of its own alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """The mixed sites of a request.

    Attributes:
        problems: the sites; None for one at fault.
        paths: where the parts of each stand in its message.
        nodes: the number of the node of each.
    """

    problems: tuple[Problem | None, ...]
    paths: tuple[Mapping[str, str], ...] = field(default=())
    nodes: NodeArray

    @property
    def whole(self) -> tuple[Problem, ...] | None:
        """The sites, or None if one is at fault."""
        sound = tuple(problem for problem in self.problems if problem is not None)
        return sound if len(sound) == len(self.problems) else None


def check_size(messages: Sequence[pb.FleetSite], count: int, limits: Limits) -> None:
    """Checks that the answer for all mixed sites is not too large.

    Raises:
        Refusal: it is.
    """
    points = count * sum(answer_columns(message.site) for message in messages)
    if points > limits.fleet_points:
        what = "values in the plans of mixed sites"
        raise refusal.too_large("mixed_sites", what, points, limits.fleet_points)


def read(
    messages: Sequence[pb.FleetSite],
    axis: Grid,
    currency: str,
    nodes: int,
    limits: Limits,
    found: list[Violation],
) -> Mixed:
    """The mixed sites of a fleet of so many nodes; what is at fault is noted."""
    problems, paths = [], []
    for index, message in enumerate(messages):
        path, site, broken = f"mixed_sites[{index}]", message.site, []
        problem, its_paths, _ = read_site(site, axis, broken, limits)
        found += [Violation(f"{path}.site.{v.path}", v.message) for v in broken]
        for name in NOT_IN_FLEETS:
            if any(one.name == name for one, _ in site.ListFields()):
                found.append(Violation(f"{path}.site.{name}", "is not for sites of a fleet"))
        if (its := site.meter.currency_code) not in {"", currency}:
            said = f"is {its!r}; must be that of the fleet, {currency!r}"
            found.append(Violation(f"{path}.site.meter.currency_code", said))
        if 0 < nodes <= message.node:
            said = f"is {message.node}; must be a node from 0 to {nodes - 1}"
            found.append(Violation(f"{path}.node", said))
        problems.append(problem)
        paths.append(its_paths.names)
    return Mixed(
        problems=tuple(problems),
        paths=tuple(paths),
        nodes=np.array([message.node for message in messages], np.int64),
    )


def render(
    problem: Problem,
    paths: Mapping[str, str],
    node: int,
    schedule: Schedule,
    verdict: Verdict,
) -> pb.MixedSitePlan:
    """The plan of a site, as the referee judged it."""
    task = Task(problem=problem, options=SolveOptions(), detail=0, paths=paths)
    found = pb.MixedSitePlan(
        name=problem.name,
        node=node,
        cost=verdict.cost.total,
        costs=cost_items(verdict.cost),
        baseline_cost=baseline(problem).cost.total,
        breaches=breaches(task, tuple(verdict.breaches)),
        demand_peaks=peaks(problem, schedule),
    )
    write_schedule(found.schedule, task, schedule)
    return found
