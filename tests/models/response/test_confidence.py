"""The confidence of a call list by simulation: what the normal model covers, and what it misses."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.response.confidence import check, law_of
from loadloom.models.response.incentives import offers_of
from loadloom.models.response.normal import probability
from loadloom.models.response.problem import NOT_CALLED, Problem
from loadloom.models.response.referee import figures
from tests.models.response import calls

COUNT = 200


def everybody(z=1.6448536269514722, shocks=None, spread=None):
    """Many customers, all called, and exactly the need that the normal model secures at z."""
    offers = offers_of(
        np.array([0.3]),
        np.full((COUNT, 1), 0.6),
        size_kw=np.linspace(1.0, 3.0, COUNT),
        size_sd_kw=np.full(COUNT, 0.5),
        hours=1.0,
        loading=None if shocks is None else np.full((COUNT, 1), shocks),
    )
    tree = {} if spread is None else {"need_spread_kw": [[spread]]}
    problem = Problem(
        offers=offers,
        customers=calls.customers(COUNT),
        network=calls.network([1.0], confidence=0.95, **tree),
    )
    offer = np.arange(COUNT, dtype=np.int32)
    need = (
        figures(problem, offer).mean_kw[0, 0]
        - z * figures(problem, offer).variance_kw2[0, 0] ** 0.5
    )
    network = calls.network([need], confidence=0.95, **tree)
    return replace(problem, network=network), offer


def test_the_own_law_of_a_problem_is_covered():
    problem, offer = everybody()
    found = check(problem, offer, samples=20_000, seed=1)
    assert found.normal_probability[0, 0] == pytest.approx(0.95)
    assert found.probability[0, 0] == pytest.approx(0.95, abs=0.01)
    assert found.half_width[0, 0] < 0.005
    assert found.joint_probability == found.probability[0, 0]
    assert found.warnings == ()
    assert found.quantile_kw[0, 0] == pytest.approx(problem.network.need_kw[0, 0], rel=0.01)


def test_a_shock_that_is_not_declared_is_warned_of_and_covered_once_it_is():
    problem, offer = everybody()
    law = replace(law_of(problem), loading=np.full((COUNT, 1), 0.15))
    found = check(problem, offer, law, samples=10_000)
    assert found.probability[0, 0] < 0.85
    (warned,) = found.warnings
    assert (warned.node, warned.slot, warned.target) == (0, 0, pytest.approx(0.95))
    assert "not declared" in warned.message
    assert warned.missing_kw > 10.0

    declared, offer = everybody(shocks=0.15)
    assert law_of(declared).loading is not None
    found = check(declared, offer, samples=10_000)
    assert found.probability[0, 0] == pytest.approx(0.95, abs=0.01)
    assert found.warnings == ()


def test_messages_that_reach_nobody_are_warned_of():
    problem, offer = everybody()
    law = replace(law_of(problem), outage_probability=0.04)
    found = check(problem, offer, law, samples=10_000)
    assert found.probability[0, 0] == pytest.approx(0.96 * 0.95, abs=0.012)
    assert len(found.warnings) == 1
    # Where each has messages of its own, an outage is a refusal more and costs mean instead.
    alone = replace(law, outage_group=np.arange(COUNT))
    found = check(problem, offer, alone, samples=10_000)
    assert found.probability[0, 0] < 0.9
    assert "mean" in found.warnings[0].message


def test_heavy_tails_of_a_shared_shock_are_warned_of():
    # Far out, at 99.9 %, Student's t with 3 degrees of freedom misses what a normal shock covers.
    problem, offer = everybody(shocks=0.3)
    far = figures(problem, offer)
    need = far.mean_kw - 3.0902323061678132 * np.sqrt(far.variance_kw2)
    network = calls.network(np.maximum(need, 1.0), confidence=0.999)
    problem = replace(problem, network=network)
    law = replace(law_of(problem), shock_degrees_of_freedom=3.0)
    found = check(problem, offer, law, samples=40_000)
    (warned,) = found.warnings
    assert "heavier" in warned.message
    assert check(problem, offer, samples=40_000).warnings == ()


def test_many_independent_heavy_tails_even_out():
    problem, offer = everybody()
    law = replace(law_of(problem), degrees_of_freedom=3.0)
    found = check(problem, offer, law, samples=10_000)
    assert found.probability[0, 0] == pytest.approx(0.95, abs=0.012)


def test_the_spread_of_the_need_is_drawn_too():
    problem, offer = everybody(spread=30.0)
    found = check(problem, offer, samples=10_000)
    assert found.probability[0, 0] == pytest.approx(0.95, abs=0.01)
    certain = replace(problem, network=replace(problem.network, need_spread_kw=None))
    assert check(certain, offer, samples=10_000).probability[0, 0] > 0.99


def test_nodes_and_slots_have_probabilities_of_their_own():
    random = np.random.default_rng(2)
    mean = random.uniform(1.0, 3.0, (60, 2))
    offers = calls.offers(mean_kw=mean, variance_kw2=0.2 * mean**2, cost=np.ones(60))
    node = random.integers(1, 3, 60)
    needs = [[100.0, 0.0], [45.0, 50.0], [0.0, 48.0]]
    problem = Problem(
        offers=offers,
        customers=calls.customers(60, node=node),
        network=calls.network(needs, (-1, 0, 0), 0.9),
    )
    offer = np.where(random.random(60) < 0.85, np.arange(60), NOT_CALLED).astype(np.int32)
    found = check(problem, offer, samples=20_000)
    normal = figures(problem, offer)
    assert found.probability == pytest.approx(normal.probability, abs=0.015)
    assert np.isnan(found.quantile_kw).tolist() == (~problem.network.needed).tolist()
    assert found.joint_probability <= found.probability.min()


def test_a_common_confidence_is_what_is_checked_within_a_budget():
    problem, offer = everybody(z=1.0)
    found = check(replace(problem, budget=1e6), offer, common_z=1.0, samples=10_000)
    assert found.probability[0, 0] == pytest.approx(float(probability(np.array(1.0))), abs=0.015)
    assert found.warnings == ()


def test_it_is_repeatable_by_its_seed():
    problem, offer = everybody()
    same = [check(problem, offer, samples=500, seed=3).quantile_kw for _ in range(2)]
    assert same[0].tobytes() == same[1].tobytes()
    assert check(problem, offer, samples=500, seed=4).quantile_kw.tobytes() != same[0].tobytes()


def test_samples_are_fewer_where_they_would_be_too_many_draws():
    problem, offer = everybody()
    assert check(problem, offer, samples=5_000, most_draws=COUNT * 1_000).samples == 1_000
    assert check(problem, offer, samples=5_000, most_draws=1).samples == 200


def test_nobody_called_meets_no_need():
    problem, _ = everybody()
    found = check(problem, np.full(COUNT, NOT_CALLED, np.int32))
    assert found.probability.tolist() == [[0.0]]
    assert found.warnings == ()  # the normal model says the same


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"degrees_of_freedom": 2.0}, "law.degrees_of_freedom"),
        ({"shock_degrees_of_freedom": float("nan")}, "law.shock_degrees_of_freedom"),
        ({"outage_probability": 1.5}, "law.outage_probability"),
        ({"acceptance": np.array([2.0])}, "law.acceptance[0]"),
        ({"size_kw": np.array([[inf]])}, "law.size_kw[0]"),
        ({"size_sd_kw": np.array([[-1.0]])}, "law.size_sd_kw[0]"),
        ({"loading": np.array([[inf]])}, "law.loading[0]"),
        ({"outage_group": np.array([-1])}, "law.outage_group[0]"),
    ],
)
def test_a_bad_law_is_refused_by_its_path(change, path):
    problem, _ = everybody()
    with pytest.raises(InvalidProblem) as refused:
        replace(law_of(problem), **change)
    assert path in {violation.path for violation in refused.value.violations}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"acceptance": np.ones(3)}, "law.acceptance"),
        ({"size_kw": np.ones((COUNT, 2))}, "law.size_kw"),
        ({"size_sd_kw": np.ones((3, 1))}, "law.size_sd_kw"),
        ({"mean_kw": np.ones(COUNT)}, "law.mean_kw"),
        ({"loading": np.ones((3, 1))}, "law.loading"),
        ({"outage_group": np.zeros(3, int)}, "law.outage_group"),
    ],
)
def test_a_law_of_other_offers_is_refused(change, path):
    problem, offer = everybody()
    with pytest.raises(InvalidProblem) as refused:
        check(problem, offer, replace(law_of(problem), **change))
    assert [violation.path for violation in refused.value.violations] == [path]
