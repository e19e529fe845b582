"""Why customers are called: prices, ranks, what ranking by mean costs, equity, reserve."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.certificate import Proof
from loadloom.models.checks import InvalidProblem
from loadloom.models.response import referee
from loadloom.models.response.explain import Cause, equity, explain, mean_ranking
from loadloom.models.response.problem import NOT_CALLED, Problem, Quota
from loadloom.models.response.ranking import ranked_by_mean, reserve
from loadloom.models.response.solution import Road, Solution
from loadloom.models.response.solve import plan
from loadloom.models.response.worth import worth
from loadloom.solvers.termination import Reason, Termination
from tests.models.response import calls


def planned(problem, offer, price):
    """An answer with a call list and the prices of its needs."""
    offer = np.array(offer, dtype=np.int32)
    cost = referee.cost(problem, offer)
    return Solution(
        termination=Termination(reason=Reason.OPTIMAL, objective=cost, bound=cost),
        road=Road.PRICES,
        proof=Proof.DUAL,
        offer=offer,
        price_per_kw=np.array(price, dtype=float).reshape(problem.network.need_kw.shape),
        rebound_price_per_kw=np.zeros((problem.network.count, problem.network.after_count)),
    )


def test_worth_by_hand():
    problem = calls.hand()
    at = worth(problem, planned(problem, [0, NOT_CALLED, 2], 0.25))
    # The plan deviates by 3, so that variance 9 counts 9 / (2 * 3) = 1.5 kW at one sigma.
    assert at.adjusted_kw == pytest.approx([4.0, 4.0, 5.5])
    assert at.value == pytest.approx([1.0, 1.0, 1.375])
    assert at.price_per_kw.tolist() == [0.25] * 3


def test_worth_is_the_slope_of_what_is_secured():
    random = np.random.default_rng(12)
    for _ in range(20):
        problem = calls.random_problem(random, shocks=True, count=8)
        called = random.random(8) < 0.7
        called[0] = True
        offer = np.where(called, np.arange(8), NOT_CALLED).astype(np.int32)
        price = random.random(problem.network.need_kw.shape)
        at = worth(problem, planned(problem, offer, price))
        for i in np.flatnonzero(~called).tolist():
            # A small part of an offer: its mean and loadings by that part, its variance too.
            part = 1e-6
            small = replace(
                problem.offers,
                mean_kw=problem.offers.mean_kw * np.where(np.arange(8) == i, part, 1.0)[:, None],
                variance_kw2=problem.offers.variance_kw2
                * np.where(np.arange(8) == i, part, 1.0)[:, None],
            )
            more = offer.copy()
            more[i] = i
            after = referee.figures(replace(problem, offers=small), more).secured_kw
            before = referee.figures(problem, offer).secured_kw
            has_some = referee.figures(problem, offer).variance_kw2 > 0.0
            path = problem.network.path(int(problem.customers.nodes[i]))
            if not has_some[path].all():
                continue
            slope = float((price * (after - before)).sum()) / part
            assert slope == pytest.approx(at.value[i], rel=1e-3, abs=1e-3)


def test_prices_of_headroom_are_taken_off():
    tree = calls.network([7.0], headroom_kw=[[8.0]], rebound_profile=[0.5])
    problem = calls.hand(network=tree, customers=calls.customers(3, rebound_share=1.0))
    plan = replace(planned(problem, [0, 1, 2], 0.25), rebound_price_per_kw=np.array([[0.1]]))
    # The rebound deviates by 1.5: variance 2.25 counts 0.75.
    taken = 0.1 * np.array([2.0, 2.0, 3.5 + 0.75])
    assert worth(problem, plan).value == pytest.approx(np.array([1.0, 1.0, 1.375]) - taken)


def test_what_rebound_takes_is_the_slope_of_what_it_may_be():
    random = np.random.default_rng(13)
    offer = np.array([0, 1, 2, NOT_CALLED], np.int32)
    price = np.array([[0.3, 0.0], [0.2, 0.4]])

    def problem(part):
        last = np.array([1.0, 1.0, 1.0, part])
        return Problem(
            offers=calls.offers(
                mean_kw=mean * last, variance_kw2=variance * last, cost=np.ones(4), loading=loading
            ),
            customers=calls.customers(4, node=[0, 1, 1, 1], rebound_share=share),
            network=calls.network(
                [[0.0], [0.0]], (-1, 0), headroom_kw=np.ones((2, 2)), rebound_profile=[0.7, 0.4]
            ),
        )

    for _ in range(10):
        mean, variance, share = random.random(4), random.random(4), random.random(4)
        loading = random.normal(0.0, 0.3, (4, 2))
        small = problem(1e-6)
        found = [
            referee.figures(small, np.array([0, 1, 2, last], np.int32)) for last in (NOT_CALLED, 3)
        ]
        before, after = (f.rebound_kw + f.rebound_sd_kw for f in found)
        whole = problem(1.0)
        plan = replace(planned(whole, offer, [0.0, 0.0]), rebound_price_per_kw=price)
        slope = float((price * (after - before)).sum()) / 1e-6
        assert worth(whole, plan).value[3] == pytest.approx(-slope, rel=1e-4)


def test_a_customer_is_explained_with_numbers():
    problem = calls.hand()
    called, spare, other = explain(problem, planned(problem, [0, NOT_CALLED, 2], 0.26), [0, 1, 2])
    assert (called.cause, spare.cause, other.cause) == (Cause.CHEAP, Cause.SPARE, Cause.FILLS)
    assert called.cost_per_kw == pytest.approx(0.25)
    assert other.cost_per_kw == pytest.approx(1.5 / 5.5)
    assert (called.rank, other.rank, other.rank_by_mean, other.ranked) == (1, 3, 1, 3)
    assert "0.2727 per risk-adjusted kW against 0.26" in other.sentence
    assert "number 3 of 3; ranking by mean alone puts it at 1" in other.sentence


@pytest.mark.parametrize(
    ("columns", "offer", "price", "causes"),
    [
        (
            {"must_call": [True, False, False]},
            [0, 1, -1],
            0.2,
            (Cause.MUST, Cause.FILLS, Cause.DEAR),
        ),
        (
            {"never_call": [False, False, True]},
            [0, 1, -1],
            0.3,
            (Cause.CHEAP, Cause.CHEAP, Cause.BARRED),
        ),
        (
            {"calls_left": [1, 1, 0]},
            [0, 1, -1],
            0.3,
            (Cause.CHEAP, Cause.CHEAP, Cause.NO_CALLS_LEFT),
        ),
        ({}, [0, 1, -1], 0.0, (Cause.FILLS, Cause.FILLS, Cause.DEAR)),
        (
            {"must_call": [True, True, False]},
            [0, 1, -1],
            0.0,
            (Cause.MUST, Cause.MUST, Cause.NO_NEED),
        ),
    ],
)
def test_each_cause_is_named(columns, offer, price, causes):
    problem = calls.hand(customers=calls.customers(3, **columns))
    told = explain(problem, planned(problem, offer, price), [0, 1, 2])
    assert tuple(why.cause for why in told) == causes
    assert all(why.sentence.startswith(f"customer {k} is ") for k, why in enumerate(told))


@pytest.mark.parametrize(
    "rules",
    [
        {"quotas": (Quota(group=1, call_max=0),)},
        {"quotas": (Quota(group=1, cost_max=0.5),)},
        {"budget": 2.5},
        {},
    ],
)
def test_who_is_kept_out_by_a_quota_or_the_budget_is_no_spare(rules):
    problem = calls.hand(customers=calls.customers(3, group=[0, 0, 1]), **rules)
    told = explain(problem, planned(problem, [0, 1, -1], 0.5), [2])[0]
    assert told.cause is (Cause.NO_ROOM if rules else Cause.SPARE)


def test_a_customer_without_an_offer_says_so():
    offers = calls.offers(**calls.HAND, customer=[0, 1, 3])
    problem = calls.hand(offers=offers, customers=calls.customers(4))
    (why,) = explain(problem, planned(problem, [0, 1, -1, -1], 0.3), [2])
    assert why.cause is Cause.NO_OFFER


def test_what_cannot_be_explained_is_refused():
    problem = calls.hand()
    with pytest.raises(InvalidProblem, match=r"customers\[1\]: is 3"):
        explain(problem, planned(problem, [0, 1, -1], 0.3), [0, 3])
    nothing = replace(planned(problem, [0, 1, -1], 0.3), offer=None)
    with pytest.raises(InvalidProblem, match="no call list"):
        explain(problem, nothing, [0])


def test_ranking_by_mean_takes_the_risky_customer():
    problem = calls.hand()
    offer = ranked_by_mean(problem)
    assert offer is not None
    # 1.5 / 7 is below 1 / 4, but the third alone secures 4 of 7 kW.
    assert offer.tolist() == [0, NOT_CALLED, 2]
    compared = mean_ranking(problem, planned(problem, [0, 1, NOT_CALLED], 0.25))
    assert compared.cost == 2.5
    assert compared.excess == pytest.approx(0.25)


def test_ranking_by_mean_meets_every_need_it_can():
    random = np.random.default_rng(5)
    met = 0
    for k in range(200):
        problem = calls.random_problem(random, levels=k % 2 == 1, shocks=k % 3 == 0)
        offer = ranked_by_mean(problem)
        if offer is not None:
            assert referee.broken(problem, offer) == []
            met += 1
    assert met > 100


def test_ranking_by_mean_fails_where_nobody_is_left():
    problem = calls.hand(network=calls.network([20.0]))
    assert ranked_by_mean(problem) is None
    assert mean_ranking(problem, planned(problem, [0, 1, 2], 0.0)).cost == np.inf


def test_equity_by_group():
    problem = calls.hand(customers=calls.customers(3, group=[0, 1, 1]))
    first, second = equity(problem, np.array([0, NOT_CALLED, 2], np.int32))
    assert (first.customer_count, first.called_count, first.called_share) == (1, 1, 1.0)
    assert (second.customer_count, second.called_count, second.called_share) == (2, 1, 0.5)
    assert (second.mean_kw, second.cost) == (7.0, 1.5)
    assert equity(calls.hand(), np.array([0, 1, -1], np.int32)) == ()
    nobody = calls.hand(customers=calls.customers(3, group=[-1, -1, -1]))
    assert equity(nobody, np.array([0, 1, -1], np.int32)) == ()


def test_the_reserve_is_the_cheapest_who_are_left():
    offers = calls.offers(
        mean_kw=[4.0, 4.0, 4.0, 4.0, 0.0, 4.0],
        variance_kw2=[4.0, 0.0, 9.0, 1.0, 0.0, 0.0],
        cost=[1.0, 3.0, 1.0, 1.1, 0.1, 1.0],
    )
    who = calls.customers(6, never_call=[False] * 5 + [True])
    problem = Problem(offers=offers, customers=who, network=calls.network([2.0]))
    plan = planned(problem, [0, -1, -1, -1, -1, -1], 0.5)
    (told,) = reserve(problem, plan)
    # The plan deviates by 2: adjusted 4 - 9/4, 4 - 1/4, 4; whoever gives nothing stands by no one.
    assert told.customers.tolist() == [3, 2, 1]
    assert told.adjusted_kw == pytest.approx([3.75, 1.75, 4.0])
    assert told.cost_per_kw == pytest.approx([1.1 / 3.75, 1.0 / 1.75, 0.75])
    (first,) = reserve(problem, plan, count=1)
    assert first.customers.tolist() == [3]
    assert reserve(problem, replace(plan, offer=None)) == ()


def test_each_node_has_a_reserve_of_its_own_and_each_customer_one_offer():
    offers = calls.offers(
        mean_kw=[2.0, 3.0, 2.0, 3.0, 2.0],
        variance_kw2=[0.0] * 5,
        cost=[1.0, 1.2, 1.0, 2.0, 0.5],
        customer=[0, 0, 1, 1, 2],
    )
    problem = Problem(
        offers=offers,
        customers=calls.customers(3, node=[1, 1, 2]),
        network=calls.network([[1.0], [1.0], [0.0]], (-1, 0, 0)),
    )
    root, leaf = reserve(problem, planned(problem, [-1, -1, -1], [0.0, 0.0, 0.0]))
    assert (root.node, leaf.node) == (0, 1)
    assert root.offer.tolist() == [4, 1, 2]
    assert leaf.offer.tolist() == [1, 2]


def test_whoever_has_no_need_above_would_not_be_called_without_one_either():
    random = np.random.default_rng(29)
    told = 0
    for turn in range(120):
        problem = calls.random_problem(random, rules=turn % 3 == 0, levels=turn % 2 == 0)
        found = plan(problem)
        if found.offer is None:
            continue
        cost = referee.cost(problem, found.offer)
        for why in explain(problem, found, range(problem.customers.count)):
            if why.cause is not Cause.NO_NEED:
                continue
            above = problem.network.path(int(problem.customers.nodes[why.customer]))
            need = problem.network.need_kw.copy()
            need[above] = 0.0
            spread = problem.network.spread_kw.copy()
            spread[above] = 0.0
            tree = replace(problem.network, need_kw=need, need_spread_kw=spread)
            without = plan(replace(problem, network=tree))
            assert without.termination.objective >= cost - 1e-3
            told += 1
    assert told > 10
