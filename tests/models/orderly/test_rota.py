"""The rota: as many off as the stage says, everybody equally often, higher stages on top."""

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import Fairness, FairnessMode
from loadloom.models.orderly.rota import balanced, rota
from loadloom.models.orderly.solution import Road
from loadloom.models.orderly.solve import solve
from tests.models.orderly import cases


@pytest.mark.parametrize("stage", range(1, 9))
def test_sixteen_areas_for_a_month_at_every_stage(stage):
    place = rota(16, 31 * 12)
    off = place < stage
    assert (off.sum(axis=0) == stage).all()
    counts = off.sum(axis=1)
    assert counts.max() - counts.min() <= 1
    assert (off <= (place < stage + 1)).all()


@pytest.mark.parametrize("users", range(1, 20))
def test_counts_differ_by_at_most_one_whatever_the_size(users):
    for slots in range(1, 40):
        place = rota(users, slots)
        for stage in range(1, users + 1):
            counts = (place < stage).sum(axis=1)
            assert counts.max() - counts.min() <= 1


def test_counts_stay_balanced_when_needs_change():
    needed = np.random.default_rng(1).integers(0, 8, 300)
    off = balanced(needed, 7 + 1)
    np.testing.assert_array_equal(off.sum(axis=0), needed)
    for t in range(300):
        counts = off[:, :t].sum(axis=1)
        assert counts.max() - counts.min() <= 1


def areas(stage, **columns):
    columns = {"max_days": np.array(31), "max_events_per_day": np.array(12)} | columns
    return cases.simple(
        np.full((16, 31, 12), 100.0),
        np.full((31, 12), 100.0 * stage),
        costs=[1.0] * 16,
        fairness=Fairness(mode=FairnessMode.EQUAL_HOURS),
        **columns,
    )


@pytest.mark.parametrize("stage", [1, 4, 8])
def test_a_rota_is_a_plan_that_keeps_every_rule(stage):
    problem = areas(stage)
    solution = solve(problem)
    assert solution.road is Road.ROTA
    assert referee.violations(problem, solution.plan) == []
    assert solution.unserved_kw.sum() == 0
    burdens = referee.burden(problem, solution.plan)
    assert burdens.max() - burdens.min() <= 200 + 1e-6  # one slot of two hours at 100 kW


def test_rules_that_a_rota_cannot_keep_are_all_told():
    with pytest.raises(InvalidProblem) as told:
        solve(areas(2, max_days=np.array(5), max_events_per_day=np.array(1)))
    assert [v.path for v in told.value.violations] == [
        "users.max_days",
        "users.max_events_per_day",
    ]
