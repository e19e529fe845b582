"""The reference model is the formulation, and every faster road agrees with it."""

import numpy as np
import pytest

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.linear import solve_linear
from loadloom.models.dispatch.referee import cost, violations
from loadloom.models.dispatch.reference import solve_reference
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.sites import battery, site

TIGHT = SolveOptions(relative_gap=1e-9)


@pytest.mark.parametrize("convex", [True, False])
@pytest.mark.parametrize("stores", [0, 1, 2])
def test_the_linear_road_agrees_with_the_reference(stores, convex):
    for seed in range(10):
        rng = np.random.default_rng([seed, stores, convex])
        problem = random_problem(rng, count=12, stores=stores, convex=convex)
        textbook, linear = solve_reference(problem, TIGHT), solve_linear(problem, TIGHT)
        assert textbook.termination.reason is linear.termination.reason
        if textbook.schedule is None or linear.schedule is None:
            continue
        assert violations(problem, textbook.schedule) == []
        best = cost(problem, textbook.schedule).total
        assert best == pytest.approx(textbook.termination.objective, rel=1e-8, abs=1e-8)
        assert linear.termination.objective == pytest.approx(best, rel=1e-7, abs=1e-7)


def test_the_answer_says_what_made_it():
    solution = solve_reference(site(battery(2), buy=[0.1, 0.3], load=1.0), TIGHT)
    assert solution.method is Method.REFERENCE
    assert solution.road == "reference model"
    assert solution.proof is Proof.BRANCH_AND_BOUND
    assert solution.termination.bound == pytest.approx(solution.termination.objective)


def test_no_time_leaves_an_honest_answer():
    problem = random_problem(np.random.default_rng(1), count=48, stores=3, convex=False)
    best = solve_linear(problem, SolveOptions()).termination.objective
    hasty = solve_reference(problem, SolveOptions(time_limit_s=1e-3)).termination
    assert hasty.reason in {Reason.FEASIBLE, Reason.NO_SOLUTION_FOUND}
    assert hasty.bound <= best + 1e-5
    assert hasty.detail == "stopped by maxTimeLimit"
