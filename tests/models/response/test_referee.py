"""The referee of call lists: known figures, all call lists looked at, and each rule broken."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from loadloom.models.certificate import Proof
from loadloom.models.response import referee
from loadloom.models.response.problem import NOT_CALLED, Quota
from loadloom.models.response.solution import PlanOptions, Road, Solution, Unsecured
from loadloom.models.response.unsecured import unsecured_by
from loadloom.solvers.termination import Reason, Termination
from tests.models.response import calls


def told(problem, offer, **more):
    """An answer with a call list that claims what is true of it."""
    offer = np.array(offer, dtype=np.int32)
    cost = referee.cost(problem, offer)
    given = {
        "termination": Termination(reason=Reason.OPTIMAL, objective=cost, bound=cost),
        "road": Road.PRICES,
        "proof": Proof.DUAL,
        "offer": offer,
    }
    return Solution(**(given | more))


def paths(problem, offer, **more):
    return [v.path for v in referee.violations(problem, told(problem, offer, **more))]


def test_figures_of_the_hand_worked_case():
    found = referee.figures(calls.hand(), np.array([0, NOT_CALLED, 2], np.int32))
    assert found.cost == 2.5
    assert found.called_count == 2
    assert found.mean_kw.tolist() == [[11.0]]
    assert found.variance_kw2.tolist() == [[9.0]]
    assert found.secured_kw[0, 0] == pytest.approx(8.0, abs=1e-9)
    # Phi((11 - 7) / 3)
    assert found.probability[0, 0] == pytest.approx(0.9087887802741321, abs=1e-12)
    # The whole cost of the third is paid by kW: 1.5 * 3 / 7.
    assert found.cost_sd == pytest.approx(1.5 * 3.0 / 7.0)
    assert found.cost_95 == pytest.approx(2.5 + 1.6448536269514722 * 1.5 * 3.0 / 7.0)


def test_shared_shocks_add_up_before_they_are_squared():
    shocked = calls.offers(**calls.HAND, loading=[[0.5], [0.5], [-1.0]])
    found = referee.figures(calls.hand(offers=shocked), np.array([0, 1, 2], np.int32))
    assert found.variance_kw2[0, 0] == pytest.approx(9.0 + (2.0 + 2.0 - 7.0) ** 2)


def test_rebound_is_a_share_of_the_reduction_by_the_profile():
    tree = calls.network([7.0], headroom_kw=[[5.0, np.inf]], rebound_profile=[0.5, 0.25])
    problem = calls.hand(network=tree, customers=calls.customers(3, rebound_share=[0.4, 0.0, 1.0]))
    found = referee.figures(problem, np.array([0, 1, 2], np.int32))
    assert found.rebound_kw.tolist() == [[0.5 * (1.6 + 7.0), 0.25 * (1.6 + 7.0)]]
    assert found.rebound_sd_kw[0] == pytest.approx([1.5, 0.75])
    assert found.rebound_probability[0, 1] == 1.0
    assert 0.5 < found.rebound_probability[0, 0] < 0.8


def test_a_certain_need_is_met_for_sure_or_not_at_all():
    problem = calls.hand()
    assert referee.figures(problem, np.array([0, 1, -1], np.int32)).probability[0, 0] == 1.0
    assert referee.figures(problem, np.array([0, -1, -1], np.int32)).probability[0, 0] == 0.0


def test_the_referee_agrees_with_looking_at_every_call_list():
    random = np.random.default_rng(8)
    seen = [0, 0]
    for k in range(120):
        problem = calls.random_problem(
            random, flat=k % 4 == 0, levels=k % 2 == 1, shocks=k % 3 == 0, rules=k % 5 < 2
        )
        taken = calls.choices(problem)
        good = calls.kept(problem, taken)
        tried = random.integers(0, len(taken), 20)
        if good.any():
            tried = np.append(tried, random.choice(np.flatnonzero(good), 3))
        for row in tried.tolist():
            broken = referee.broken(problem, calls.as_offer(problem, taken[row]))
            assert (not broken) == good[row], broken
            seen[int(good[row])] += 1
    assert min(seen) > 200


@pytest.mark.parametrize(
    ("offer", "path"),
    [
        ([0, 1], "offer"),
        ([0, 1, 3], "offer[2]"),
        ([0, 1, -2], "offer[2]"),
        ([0, 2, -1], "offer[1]"),
        ([-1, -1, 2], "network.need_kw[0][0]"),
    ],
)
def test_a_wrong_call_list_is_found(offer, path):
    problem = calls.hand()
    found = Solution(
        termination=Termination(reason=Reason.OPTIMAL, objective=1.5, bound=1.5),
        road=Road.COVER,
        proof=Proof.DUAL,
        offer=np.array(offer, dtype=np.int32),
    )
    assert [v.path for v in referee.violations(problem, found)] == [path]


@pytest.mark.parametrize(
    ("columns", "path"),
    [
        ({"must_call": [False, False, True]}, "offer[2]"),
        ({"never_call": [False, True, False]}, "offer[1]"),
        ({"calls_left": [0, 1, 1]}, "offer[0]"),
    ],
)
def test_who_must_and_who_must_not_be_called(columns, path):
    problem = calls.hand(customers=calls.customers(3, **columns))
    assert paths(problem, [0, 1, -1]) == [path]


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"call_min": 3}, "call_min"),
        ({"call_max": 1}, "call_max"),
        ({"cost_min": 2.1}, "cost_min"),
        ({"cost_max": 1.9}, "cost_max"),
    ],
)
def test_each_quota_is_held(limits, rule):
    grouped = calls.customers(3, group=[1, 1, 1])
    problem = calls.hand(customers=grouped, quotas=(Quota(group=1, **limits),))
    assert paths(problem, [0, 1, -1]) == [f"quotas of group 1: {rule}"]
    kept = calls.hand(customers=grouped, quotas=(Quota(group=1, call_min=2, call_max=2),))
    assert paths(kept, [0, 1, -1]) == []


def test_headroom_is_held_with_confidence():
    def problem(headroom):
        tree = calls.network([7.0], headroom_kw=[[headroom]], rebound_profile=[0.5])
        return calls.hand(network=tree, customers=calls.customers(3, rebound_share=1.0))

    # All three give 15 kW and deviate by 3: half of it comes back.
    assert paths(problem(7.5 + 1.5 - 1e-3), [0, 1, 2]) == ["network.headroom_kw[0][0]"]
    assert paths(problem(7.5 + 1.5 + 1e-3), [0, 1, 2]) == []


def test_a_budget_is_held_and_its_z_is_told():
    problem = calls.hand(budget=2.4)
    z = 4.0 / 3.0
    right = {
        "common_z": z,
        "termination": Termination(reason=Reason.OPTIMAL, objective=z, bound=z),
    }
    assert paths(problem, [0, -1, 2], **right) == ["budget"]
    affordable = replace(problem, budget=2.5)
    assert paths(affordable, [0, -1, 2], **right) == []
    assert paths(affordable, [0, -1, 2]) == ["common_z"]
    more = {
        "common_z": z + 1e-3,
        "termination": Termination(reason=Reason.OPTIMAL, objective=z + 1e-3, bound=z + 1e-3),
    }
    assert paths(affordable, [0, -1, 2], **more) == ["network.need_kw[0][0]"]


def test_false_claims_are_found():
    problem = calls.hand()
    claims = ((1.9, 1.9, "objective"), (2.0, 2.1, "bound"), (2.0, 1.99, "bound"))
    for objective, bound, path in claims:
        end = Termination(reason=Reason.OPTIMAL, objective=objective, bound=bound)
        assert paths(problem, [0, 1, -1], termination=end) == [path]


def test_a_shortfall_is_excused_only_where_it_is_told_and_allowed():
    problem = calls.hand()
    short = Unsecured(
        node=0, slot=0, need_kw=7.0, attainable_kw=4.0, missing_kw=3.0, message="short"
    )
    assert paths(problem, [0, -1, -1], unsecured=(short,)) == ["network.need_kw[0][0]"]
    effort = replace(problem, best_effort=True)
    assert paths(effort, [0, -1, -1], unsecured=(short,)) == ["unsecured: node 0"]
    unproven = Termination(reason=Reason.FEASIBLE, objective=1.0, bound=0.5)
    jointly = {"unsecured": (short,), "termination": unproven, "jointly": True}
    assert paths(effort, [0, -1, -1], **jointly) == []
    # All three secure 15 - 3 kW.
    large = replace(effort, network=calls.network([14.0]))
    most = replace(short, need_kw=14.0, attainable_kw=12.0, missing_kw=2.0)
    assert paths(large, [0, 1, 2], unsecured=(most,)) == []
    less = replace(most, attainable_kw=8.0, missing_kw=6.0)
    assert paths(large, [0, 1, -1], unsecured=(less,)) == ["unsecured: node 0"]
    assert paths(effort, [0, -1, -1]) == ["network.need_kw[0][0]"]
    other = replace(short, need_kw=8.0)
    assert "unsecured" in paths(effort, [0, -1, -1], unsecured=(other,))


def test_an_optimal_answer_is_held_to_the_gap_that_was_asked_for():
    problem = calls.hand()
    end = Termination(reason=Reason.OPTIMAL, objective=2.0, bound=1.99)
    answer = told(problem, [0, 1, -1], termination=end)
    assert referee.violations(problem, answer, PlanOptions(relative_gap=0.01)) == []
    assert len(referee.violations(problem, answer, PlanOptions(relative_gap=0.001))) == 1
    feasible = replace(answer, termination=replace(end, reason=Reason.FEASIBLE, bound=-5.0))
    assert referee.violations(problem, feasible) == []


def test_what_is_said_to_be_missing_is_what_the_calls_leave():
    problem = calls.hand(best_effort=True)
    short = Unsecured(
        node=0, slot=0, need_kw=7.0, attainable_kw=4.0, missing_kw=3.0, message="short"
    )

    def found(offer, **change):
        cost = referee.cost(problem, np.array(offer, np.int32))
        end = Termination(reason=Reason.FEASIBLE, objective=cost, bound=0.0)
        told = (replace(short, **change),)
        return paths(problem, offer, unsecured=told, termination=end, jointly=True)

    assert found([0, -1, -1]) == []
    wrong = ["unsecured: node 0"]
    assert found([0, -1, -1], attainable_kw=3.0, missing_kw=4.0) == wrong
    assert found([0, -1, -1], missing_kw=2.0) == wrong
    assert found([0, 1, -1], attainable_kw=8.0, missing_kw=-1.0) == wrong


def test_no_less_is_secured_than_some_call_list_does():
    random = np.random.default_rng(21)
    seen = 0
    for turn in range(25):
        problem = calls.random_problem(random, flat=turn % 2 == 0)
        count = problem.customers.count
        must = random.random(count) < 0.1
        who = calls.customers(count, node=problem.customers.node, must_call=must)
        tree = replace(problem.network, need_kw=problem.network.need_kw + 1e3)
        problem = replace(problem, customers=who, network=tree, best_effort=True)
        offers = [calls.as_offer(problem, taken) for taken in calls.choices(problem)]
        offers = [offer for offer in offers if (offer[must] != NOT_CALLED).all()]
        secured = [referee.figures(problem, offer).secured_kw for offer in offers]
        most = np.max(secured, axis=0)
        best = int(np.argmax([own[0, 0] for own in secured]))
        for k in (best, *range(0, len(offers), 5)):
            offer, own = offers[k], secured[k]
            wrong = paths(problem, offer, unsecured=unsecured_by(problem, offer))
            short = (own < most - 1e-6 * np.maximum(1.0, np.abs(most))).any(axis=1)
            assert set(wrong) == {f"unsecured: node {v}" for v in np.flatnonzero(short)}
            seen += not wrong
    assert seen > 10


def test_the_spread_of_a_need_counts_at_its_node_alone():
    tree = calls.network(
        [[1.0], [-2.0]], (-1, 0), need_spread_kw=[[0.0], [3.0]], confidence=calls.ONE_SIGMA
    )
    problem = calls.hand(network=tree, customers=calls.customers(3, node=[1, 1, 1]))
    found = referee.figures(problem, np.array([0, NOT_CALLED, NOT_CALLED], np.int32))
    assert found.variance_kw2.tolist() == [[0.0], [9.0]]
    assert tree.needed.tolist() == [[True], [True]]
    assert found.secured_kw == pytest.approx(np.array([[4.0], [4.0 - sqrt(9.0)]]), abs=1e-9)
    assert paths(problem, [-1, -1, -1]) == ["network.need_kw[0][0]", "network.need_kw[1][0]"]
