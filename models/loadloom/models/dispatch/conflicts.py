"""Why a site has no plan, and what least change gives it one.

First comes the least change of named rules. Then, conflict by conflict, a smallest set of rules is
sought that cannot be kept together, whatever the others say: rules are dropped one by one, and stay
dropped if the rest still has no plan. The rules looked at are those that the duals of the least
change say take part, or all where these are not enough.
"""

from dataclasses import replace

import numpy as np

from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.conflict_words import conflict
from loadloom.models.dispatch.elastic import Elastic
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.programme import BoolArray, Limit
from loadloom.models.dispatch.smallest_sets import Part, smallest_sets
from loadloom.models.dispatch.solution import Conflict

TAKES_PART = 1e-7
"""A dual below this is rounding."""


def conflicts(problem: Problem, time_limit_s: float = 5.0) -> list[Conflict]:
    """The rules in conflict by time, each over a run of intervals; none if the site has a plan.

    Those that give way in the least change come with their amounts, the others of each conflict
    with zero. When the time is over the changes still cure, but may not be the least, nor the sets
    the smallest.
    """
    problem = _without_tariffs(problem)
    elastic = Elastic(build(problem), time_limit_s)
    duals = elastic.least()
    if not any(change.any() for change in elastic.change):
        return []
    givers, others, beside = [], [], []
    for index, (limit, change) in enumerate(zip(elastic.limits, elastic.change, strict=True)):
        givers += [Part(index, run) for run in runs_of(limit, change > 0.0)]
        kept = change == 0.0
        taking = kept & (np.abs(duals[index]) > TAKES_PART)
        others += [Part(index, taking)] if taking.any() else []
        beside += [Part(index, kept)] if kept.any() else []
    if elastic.possible(others + givers):
        others = beside
    told = [
        conflict(
            problem.horizon,
            elastic.limits[part.rule],
            elastic.numbers(part.rule),
            elastic.change[part.rule],
            run,
        )
        for part in smallest_sets(elastic, others, givers)
        for run in runs_of(elastic.limits[part.rule], part.mask)
    ]
    return sorted(dict.fromkeys(told), key=lambda conflict: conflict.interval)


def _without_tariffs(problem: Problem) -> Problem:
    """The site without what costs and rules nothing out.

    The tiers of demand charges and the shares of wear by depth have sizes that follow from limits:
    left in, they would hold back what gives way.
    """
    meter = replace(problem.meter, demand_charges=(), commitment=None)
    storages = tuple(replace(each, depth_wear=()) for each in problem.storages)
    return replace(problem, meter=meter, storages=storages, risk=None)


def runs_of(limit: Limit, mask: BoolArray) -> list[BoolArray]:
    """The runs of consecutive intervals in which a mask marks a limit, each as a mask."""
    where = np.flatnonzero(mask)
    if not where.size:
        return []
    cuts = np.flatnonzero(np.diff(limit.intervals[where]) != 1) + 1
    found = []
    for run in np.split(where, cuts):
        found.append(np.zeros(mask.size, np.bool_))
        found[-1][run] = True
    return found
