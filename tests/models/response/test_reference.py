"""The reference model: exact where every call list can be looked at."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from loadloom.models.response import referee
from loadloom.models.response.problem import NOT_CALLED
from loadloom.models.response.reference import reference_plan
from loadloom.models.response.solution import PlanOptions, Road
from loadloom.models.response.solve import plan
from loadloom.solvers.termination import Reason
from tests.models.response import calls


def test_the_hand_worked_case():
    found = reference_plan(calls.hand())
    assert found.termination.reason is Reason.OPTIMAL
    assert found.termination.objective == 2.0
    assert found.offer is not None
    assert found.offer.tolist() == [0, 1, NOT_CALLED]


def test_it_finds_the_cheapest_of_all_call_lists():
    random = np.random.default_rng(21)
    infeasible = 0
    for k in range(60):
        problem = calls.random_problem(
            random, flat=k % 4 == 0, levels=k % 2 == 1, shocks=k % 3 == 0, rules=k % 5 < 2
        )
        least, found = calls.cheapest(problem), reference_plan(problem)
        if least == inf:
            infeasible += 1
            assert found.termination.reason is Reason.INFEASIBLE
        else:
            assert found.termination.objective == pytest.approx(least, rel=1e-7, abs=1e-7)
            assert found.termination.bound <= least + 1e-6
            assert referee.violations(problem, found) == []
    assert 0 < infeasible < 40


def test_with_a_budget_it_finds_the_most_confident_of_all_call_lists():
    random = np.random.default_rng(22)
    seen = 0
    for k in range(20):
        problem = calls.random_problem(random, shocks=k % 2 == 0, count=5)
        budget = float(problem.offers.cost.sum()) * 0.7
        problem = replace(problem, budget=budget)
        found = reference_plan(problem)
        taken = calls.choices(problem)
        taken = taken[taken @ problem.offers.cost <= budget]
        if found.common_z is None:
            assert not calls.kept(problem, taken, 0.0).any()
            continue
        assert referee.violations(problem, found) == []
        assert calls.kept(problem, taken, found.common_z - 1e-6).any()
        if found.common_z < 5.9:
            assert not calls.kept(problem, taken, found.common_z + 1e-5).any()
            seen += 1
    assert seen > 5


def test_a_limit_of_time_ends_it_and_a_wide_one_changes_nothing():
    problem = calls.hand()
    ticks = iter(range(1_000))
    hurried = PlanOptions(road=Road.REFERENCE, time_limit_s=0.5)
    ended = plan(problem, hurried, clock=lambda: float(next(ticks)))
    assert ended.termination.reason is Reason.NO_SOLUTION_FOUND
    assert ended.offer is None
    wide = plan(problem, PlanOptions(road=Road.REFERENCE, time_limit_s=1e6), clock=lambda: 0.0)
    assert wide.termination.reason is Reason.OPTIMAL
    assert wide.termination.objective == 2.0
