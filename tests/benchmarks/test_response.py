"""The call lists and readings of the benchmark, and the answers of peers that are at hand."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.peers.scip_cone import scip_plan
from benchmarks.registry import QUICK
from benchmarks.response import nested_large
from benchmarks.response_baselines import (
    BLOCK,
    CASES,
    DATES,
    EVENT,
    by_pandas,
    drawn,
    judge,
    readings_of,
)
from benchmarks.response_instances import CONFIDENCE, flat, fresh, nested, transformers
from benchmarks.response_runs import Wrong, ours, timed
from benchmarks.response_small import by_mean
from loadloom.models.response.baseline import baselines
from loadloom.models.response.baseline_rule import BaselineRule
from loadloom.models.response.problem import NOT_CALLED
from loadloom.models.response.reference import reference_plan
from loadloom.models.response.solution import PlanOptions
from loadloom.models.response.solve import plan


def test_customers_are_drawn_alike_and_acceptance_explains_their_variance():
    one, again = flat(500, 3), flat(500, 3)
    np.testing.assert_array_equal(one.offers.cost, again.offers.cost)
    assert not np.array_equal(one.offers.cost, flat(500, 4).offers.cost)
    p, mean = one.offers.acceptance, one.offers.mean_kw[:, 0]
    refusals = mean**2 * (1.0 - p) / p
    assert np.all(one.offers.variance_kw2[:, 0] >= refusals)


def test_a_network_has_its_customers_at_its_lowest_nodes_and_needs_what_can_be_had():
    problem = nested(120)
    network = problem.network
    leaves = np.setdiff1d(np.arange(network.count), network.parent)
    assert set(problem.customers.nodes.tolist()) == set(leaves.tolist())
    assert len(network.levels) == 3
    at_node = np.bincount(problem.customers.nodes, problem.offers.mean_kw[:, 0], network.count)
    below_kw = network.sum_up(at_node)
    assert np.all(network.need_kw[:, 0] <= 0.4 * below_kw + 1e-9)
    above = network.parent < 0
    assert np.all(network.need_kw[above, 0] >= 0.3 * below_kw[above] - 1e-9)


def test_a_fresh_problem_asks_the_same_and_has_derived_nothing():
    problem = transformers(3)
    problem.customers.nodes  # noqa: B018 -- derives it
    again = fresh(problem)
    assert "nodes" not in again.customers.__dict__
    assert again.offers.cost is problem.offers.cost
    assert plan(again).termination == plan(problem).termination


def test_an_answer_that_breaks_a_rule_has_no_time():
    def nobody(problem):
        found = plan(problem)
        return replace(found, offer=np.full_like(found.offer, NOT_CALLED))

    with pytest.raises(Wrong, match="is not secured"):
        timed(flat(10), nobody, 1)
    with pytest.raises(Wrong, match="no call list"):
        timed(flat(10), lambda problem: replace(plan(problem), offer=None), 1)


def test_all_agree_on_the_optimum_of_a_node():
    problem = flat(15, 5)
    own = timed(problem, ours(0.0), 2)
    assert own.gap <= 1e-9
    assert reference_plan(problem).termination.objective == pytest.approx(own.cost)
    pytest.importorskip("pyscipopt")
    theirs = timed(problem, scip_plan, 1)
    assert theirs.cost == pytest.approx(own.cost)
    assert theirs.gap <= 1e-6


def test_scip_says_that_a_need_cannot_be_had():
    pytest.importorskip("pyscipopt")
    assert scip_plan(flat(8, share=1.5)).offer is None


def test_a_quick_look_clears_the_bars_that_do_not_hang_on_the_machine():
    gap = next(bar for bar in nested_large(QUICK).bars if bar.what.endswith("gap"))
    saved, confidence = by_mean(QUICK).bars
    assert gap.met
    assert saved.measured > 0.0
    assert confidence.met
    assert CONFIDENCE == 0.95


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_referee_finds_the_baselines_of_the_readings(case):
    load = drawn(BLOCK)
    readings = readings_of(load)
    found = baselines(readings, case.event, case.rule)
    judge(readings, case, found)
    wrong = replace(found, kw=found.kw + 0.01)
    with pytest.raises(Wrong, match=case.name):
        judge(readings, case, wrong)


def test_pandas_has_the_same_baselines():
    load = drawn(BLOCK)[:300]
    assert np.isnan(load).any()
    assert DATES[EVENT.day].weekday() == 3
    due = baselines(readings_of(load), EVENT, BaselineRule()).kw
    np.testing.assert_allclose(by_pandas(load, EVENT), due, rtol=1e-5)


def test_a_plan_at_a_gap_is_what_a_run_tells():
    problem = flat(2_000)
    run = timed(problem, ours(1e-3), 2)
    found = plan(problem, PlanOptions(relative_gap=1e-3))
    assert run.cost == found.termination.objective
    assert run.called == (found.offer >= 0).sum()
    assert run.words[0] == f"{run.called:,}"
