"""The peers that need no environment of their own answer as they should."""

from dataclasses import replace

import pytest

from benchmarks import instances, ours
from benchmarks.check import disagreements
from benchmarks.peers import highs_arrays, pyomo_model
from benchmarks.peers.peer import IMPOSSIBLE, Peer, fresh, site_of
from loadloom.models.dispatch.referee import violations

LOCAL = (
    highs_arrays.LINEAR,
    highs_arrays.MIXED_INTEGER,
    highs_arrays.WARM,
    pyomo_model.PLAIN,
    pyomo_model.HELD,
    *ours.ROADS,
    ours.PLANNER,
)


@pytest.mark.parametrize("peer", LOCAL, ids=lambda peer: peer.name)
def test_every_peer_finds_the_optimum_of_a_convex_site(peer: Peer):
    assert disagreements([peer]) == []


def test_the_check_names_whoever_claims_too_little():
    def boast(problem):
        answer = highs_arrays.LINEAR.prepare(problem)(problem)
        return replace(answer, claimed_cost=answer.claimed_cost - 0.01)

    (word,) = disagreements([fresh("boaster", boast)])
    assert word.startswith("boaster: claims")


def test_the_check_names_whoever_is_too_dear():
    def idle(problem):
        dear = replace(problem, storages=(replace(problem.storages[0], wear_cost_per_kwh=5.0),))
        return highs_arrays.LINEAR.prepare(dear)(dear)

    assert any("the optimum is" in word for word in disagreements([fresh("idler", idle)]))


def test_the_check_names_whoever_finds_nothing():
    assert "no schedule" in disagreements([fresh("quitter", lambda _: IMPOSSIBLE)])[0]


@pytest.mark.parametrize("peer", [highs_arrays.WARM, pyomo_model.HELD, ours.PLANNER])
def test_whoever_keeps_a_model_answers_the_prices_asked_last(peer: Peer):
    problems = instances.variants(lambda v: instances.business(96, v), 4)
    solve = peer.prepare(problems[0])
    for problem in (*problems, problems[0]):
        assert solve(problem).claimed_cost == pytest.approx(ours.optimum(problem), rel=1e-7)


def test_linear_programmes_overstate_what_negative_prices_bring():
    problem = instances.negative_prices(96)
    best = ours.optimum(problem)
    for peer in (highs_arrays.LINEAR, pyomo_model.PLAIN):
        answer = peer.prepare(problem)(problem)
        assert answer.claimed_cost < best - 0.1
        assert violations(problem, answer.schedule)
    exact = highs_arrays.MIXED_INTEGER.prepare(problem)(problem)
    assert exact.claimed_cost == pytest.approx(best, rel=1e-4)


def test_linear_programmes_plan_the_impossible():
    problem = instances.trapped_pv()
    assert highs_arrays.LINEAR.prepare(problem)(problem).schedule is not None
    for peer in (highs_arrays.MIXED_INTEGER, *ours.ROADS):
        assert peer.prepare(problem)(problem).schedule is None, peer.name


def test_peers_refuse_what_they_would_get_wrong():
    problem = instances.business(96)
    valued = replace(problem, storages=(replace(problem.storages[0], end_value_per_kwh=0.1),))
    with pytest.raises(ValueError, match="end value"):
        site_of(valued)
