"""Call lists that draws confirm: what the normal model overstates is asked for on top."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.response_instances import transformers
from loadloom.models.response import referee
from loadloom.models.response.calibrated import calibrated
from loadloom.models.response.confidence import check, law_of
from loadloom.models.response.normal import probability
from loadloom.models.response.problem import Problem
from loadloom.models.response.solution import PlanOptions
from loadloom.models.response.solve import plan
from loadloom.solvers.termination import Reason
from tests.models.response import calls

EXACT = PlanOptions(relative_gap=0.0)


def skewed(count=40, share=0.25, seed=0):
    """One node of customers who mostly come, all or nothing: few do for a small need."""
    random = np.random.default_rng(seed)
    p, size = random.uniform(0.85, 0.97, count), random.lognormal(0.5, 0.5, count)
    mean = p * size
    return Problem(
        offers=calls.offers(
            mean_kw=mean,
            variance_kw2=size**2 * p * (1.0 - p),
            cost=mean * random.uniform(0.8, 1.2, count),
            acceptance=p,
        ),
        customers=calls.customers(count),
        network=calls.network([share * mean.sum()], confidence=0.95),
    )


def test_a_need_that_draws_miss_is_raised_until_they_confirm_it():
    problem = skewed()
    first = plan(problem, EXACT)
    assert check(problem, first.offer).warnings
    found = calibrated(problem, EXACT)
    assert found.check.warnings == ()
    assert found.raised_kw[0, 0] > 0.0
    afresh = check(problem, found.solution.offer, samples=20_000, seed=99)
    assert afresh.probability[0, 0] > 0.945
    assert referee.violations(problem, found.solution) == []


def test_what_it_costs_more_stands_in_the_gap_and_the_bound_is_that_of_the_needs():
    problem = skewed()
    first, found = plan(problem, EXACT), calibrated(problem, EXACT).solution
    assert found.termination.bound == first.termination.bound
    assert found.termination.objective > first.termination.objective
    assert found.termination.reason is Reason.FEASIBLE


def test_many_transformers_hold_their_confidence_and_few_are_left_short():
    problem = transformers(60, seed=3)
    before = check(problem, plan(problem, EXACT).offer, seed=77).probability
    after = check(problem, calibrated(problem, EXACT).solution.offer, seed=77).probability
    assert before.mean() < 0.945
    assert 0.945 < after.mean() < 0.96
    assert (after < 0.935).mean() < 0.05


def test_a_plan_that_draws_confirm_is_left_as_it_is():
    problem = calls.hand(network=calls.network([7.0], confidence=0.6))
    sure = replace(problem.offers, variance_kw2=np.zeros(3))
    problem = replace(problem, offers=sure)
    found = calibrated(problem, EXACT)
    assert found.solution.termination == plan(problem, EXACT).termination
    assert found.raised_kw.max() == 0.0
    assert found.check.probability[0, 0] == 1.0


def test_a_need_that_nobody_can_raise_keeps_its_plan_and_its_warning():
    problem = skewed(12, share=0.5)
    attainable = referee.figures(problem, np.arange(12, dtype=np.int32)).secured_kw
    everybody = replace(problem, network=replace(problem.network, need_kw=attainable - 1e-6))
    law = replace(law_of(problem), acceptance=0.8 * problem.offers.acceptance)
    found = calibrated(everybody, EXACT, law)
    assert found.solution.termination == plan(everybody, EXACT).termination
    assert len(found.check.warnings) == 1


def test_without_a_plan_there_is_nothing_to_try():
    problem = skewed(8, share=2.0)
    found = calibrated(problem, EXACT)
    assert found.solution.termination.reason is Reason.INFEASIBLE
    assert found.check is None


def test_best_effort_and_budget_are_judged_but_nothing_is_asked_beyond_them():
    problem = replace(skewed(8, share=2.0), best_effort=True)
    found = calibrated(problem, EXACT)
    assert len(found.solution.unsecured) == 1
    assert referee.violations(problem, found.solution) == []
    within = replace(skewed(), budget=30.0)
    found = calibrated(within, PlanOptions(relative_gap=1e-3))
    assert found.raised_kw.max() == 0.0
    assert found.check.probability[0, 0] == pytest.approx(
        probability(np.array(found.solution.common_z)), abs=0.05
    )
