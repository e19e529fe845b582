"""Users under a cap on their burden: the compiled oracle against the textbook, week by week."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.orderly.choices import choices
from loadloom.solvers.kernels.capped import MOST_LABELS, Knapsack, best_under_cap
from tests.models.orderly import cases


def least_under_cap(problem, user, worth, cap):
    """The least value of any week of a user whose burden does not pass a cap."""
    weight = problem.measures.burden_weight
    gamma = problem.fairness.gamma
    best = np.inf
    for week in cases.weeks(problem, user):
        kwh = sum(e.kwh * weight[e.measure] for e in week)
        burden = problem.users.carried_burden[user] + kwh / problem.users.contract_kwh[user]
        if burden > cap + 1e-9 and kwh > 0.0:
            continue
        days = sorted({e.day for e in week if e.slot_count})
        factor = {day: gamma[min(j, len(gamma) - 1)] for j, day in enumerate(days)}
        value = sum((factor[e.day] if e.slot_count else 1.0) * e.cost for e in week)
        best = min(best, value - sum(float(worth @ e.relief_kw) for e in week))
    return best


@pytest.mark.parametrize("seed", range(25))
def test_the_best_week_under_a_cap_is_that_of_the_textbook(seed):
    problem = cases.drawn(seed, users=3, feeders=1)
    users = replace(problem.users, max_events_per_day=np.array(1))
    problem = replace(problem, users=users)
    rng = np.random.default_rng(seed)
    worth = rng.uniform(0.0, 20.0, (2, problem.week.start_h.size))
    for theta in (0.0, 0.2, 0.5, 1.0, 3.0):
        made = choices(problem, burden_cap=np.full(3, theta))
        values, patterns = made.oracle.priced(worth.reshape(-1))
        answer = made.oracle.weighed(patterns)
        for place, user in enumerate(made.user):
            seen = worth[0] + (worth[1] if problem.users.feeder[user] >= 0 else 0.0)
            least = least_under_cap(problem, user, seen, theta)
            assert values[place] == pytest.approx(least, rel=1e-9, abs=1e-6)
        told = float(answer.cost - worth.reshape(-1) @ answer.activity)
        assert told == pytest.approx(values.sum(), rel=1e-9, abs=1e-6)


def test_with_too_many_labels_the_value_is_still_a_bound():
    # Values and uses that no label dominates: every sum of them is on the frontier.
    days, items = 6, 60
    rng = np.random.default_rng(1)
    use = rng.uniform(0.1, 1.0, days * items)
    rest = -(use + 1e-3 * rng.uniform(size=use.size))
    start = np.arange(days + 1) * items
    pattern = np.full(days + 1, -1, np.int32)
    cap = 2.0
    sack = Knapsack(
        start,
        np.zeros(use.size),
        rest,
        use,
        np.arange(use.size, dtype=np.int32),
        np.zeros(days, np.bool_),
        np.zeros(0, np.int64),
        np.zeros(0),
        np.zeros(0),
        False,
        days,
        0,
        np.ones(days),
    )
    value = best_under_cap(sack, cap, 1, pattern)
    taken = pattern[:-1][pattern[:-1] >= 0]
    assert use[taken].sum() <= cap + 1e-8
    assert value <= rest[taken].sum() + 1e-12
    assert value >= -cap * (1.0 + 1e-2)
    assert items**days > MOST_LABELS
