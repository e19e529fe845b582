"""Every plan of a small week, and what each reaches in every stage of the lexicographic order."""

from itertools import product

import numpy as np

from loadloom.models.orderly import order
from loadloom.models.orderly.problem import FairnessMode
from tests.models.orderly import cases

MOST = 400_000
"""So many plans are still looked at one by one."""


def plans(problem):
    """The value of every plan in each stage, the loss last, (plans, stages); None if too many."""
    weeks = [cases.weeks(problem, user) for user in range(problem.users.count)]
    if np.prod([float(len(mine)) for mine in weeks]) > MOST:
        return None
    grids = np.meshgrid(*(np.arange(len(mine)) for mine in weeks), indexing="ij")
    chosen = [grid.reshape(-1) for grid in grids]
    kwh = unserved(problem, weeks, chosen)
    columns, kinds = [kwh], order.tiers(problem)
    for kind in kinds:
        amounts = [[_kwh(problem, events, kind) for events in mine] for mine in weeks]
        columns.append(sum(np.array(a)[c] for a, c in zip(amounts, chosen, strict=True)))
    if problem.fairness.mode is FairnessMode.LEXIMIN:
        burdens = [
            np.array([_burden(problem, user, events) for events in mine])[chosen[user]]
            for user, mine in enumerate(weeks)
        ]
        largest = np.sort(np.stack(burdens, axis=1), axis=1)[:, ::-1]
        columns += list(largest[:, : problem.fairness.leximin_levels].T)
    losses = [[_loss(problem, events) for events in mine] for mine in weeks]
    loss = sum(np.array(a)[c] for a, c in zip(losses, chosen, strict=True))
    columns.append(loss + problem.shortage.unserved_price_per_kwh * kwh)
    if not order.is_staged(problem):
        columns = columns[-1:]
    return np.stack(columns, axis=1)


def unserved(problem, weeks, chosen):
    """The kWh that every plan leaves unserved, of the whole and of all feeders, (plans,)."""
    hours = problem.week.slot_h.reshape(-1)
    relief = [
        np.array([sum((e.relief_kw for e in events), np.zeros(hours.size)) for events in mine])[c]
        for mine, c in zip(weeks, chosen, strict=True)
    ]
    short = [problem.shortage.shortage_kw, *problem.shortage.feeder_shortage_kw]
    total = 0.0
    for line, demand in enumerate(short):
        mine = [r for i, r in enumerate(relief) if not line or problem.users.feeder[i] == line - 1]
        total = total + np.maximum(demand.reshape(-1) - sum(mine, np.zeros(1)), 0.0) @ hours
    return np.broadcast_to(total, chosen[0].shape)


def _kwh(problem, events, kind):
    mine = [e.kwh for e in events if e.slot_count and problem.measures.kind[e.measure] == kind]
    return sum(mine)


def _burden(problem, user, events):
    weight = problem.measures.burden_weight
    kwh = sum(e.kwh * weight[e.measure] for e in events)
    return problem.users.carried_burden[user] + kwh / problem.users.contract_kwh[user]


def _loss(problem, events):
    """What a week costs: the j-th curtailed day by its factor, a moved rest day as it is."""
    gamma = problem.fairness.gamma
    days = sorted({e.day for e in events if e.slot_count})
    factors = {day: gamma[min(j, len(gamma) - 1)] for j, day in enumerate(days)}
    return sum(e.cost * (factors[e.day] if e.slot_count else 1.0) for e in events)


def best(values, units, found=None):
    """The least value of each stage among the plans that keep those before to what was found.

    Without `found`, to the least values themselves: the lexicographic optimum.
    """
    left, least = np.ones(len(values), bool), []
    for stage, unit in enumerate([*units, None]):
        least.append(float(values[left, stage].min()))
        if unit is not None:
            held = least[-1] if found is None else found[stage]
            left &= values[:, stage] <= order.enough(held, unit)
    return least


def drawn(seed, **options):
    """A random week small enough to be enumerated."""
    for users, days, slots in product((3, 2), (3, 2), (4, 3)):
        problem = cases.drawn(seed, users=users, days=days, slots=slots, **options)
        sizes = [float(len(cases.weeks(problem, user))) for user in range(users)]
        if np.prod(sizes) <= MOST:
            return problem
    return cases.drawn(seed, users=1, days=2, slots=3, **options)
