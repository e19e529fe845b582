"""Call lists by every road: known optima, all call lists looked at, laws, events."""

from dataclasses import replace
from itertools import pairwise
from math import inf, sqrt

import numpy as np
import pytest

from loadloom.models.response import referee
from loadloom.models.response.confidence import check, law_of
from loadloom.models.response.events import Answers, State, retargeted, spent
from loadloom.models.response.explain import explain, mean_ranking
from loadloom.models.response.incentives import logistic, offers_of
from loadloom.models.response.problem import NOT_CALLED, Offers, Problem, one_node
from loadloom.models.response.reference import reference_plan
from loadloom.models.response.solution import PlanOptions, Road
from loadloom.models.response.solve import plan
from loadloom.solvers.termination import Reason
from tests.models.response import calls

ROADS = [Road.COVER, Road.COVERS, Road.PRICES, Road.REFERENCE]
EXACT = PlanOptions(relative_gap=1e-9)


def flat(random, count, z=1.5, share=0.4):
    """Customers at one node, of whom a share has to be called about."""
    mean = random.lognormal(1.0, 0.5, count)
    offers = Offers(
        mean_kw=mean,
        variance_kw2=(mean * random.uniform(0.1, 1.0, count)) ** 2,
        cost=mean * random.uniform(0.5, 1.5, count),
    )
    confidence = 0.5 if z == 0.0 else 0.9331927987311419 if z == 1.5 else z
    return one_node(offers, need_kw=share * float(mean.sum()), confidence=confidence)


@pytest.mark.parametrize("road", ROADS)
def test_the_hand_worked_case_by_every_road(road):
    problem = calls.hand()
    found = calls.planned(problem, road)
    assert found.road is road
    assert found.termination.reason is Reason.OPTIMAL
    assert found.termination.objective == 2.0
    assert found.offer is not None
    assert found.offer.tolist() == [0, 1, NOT_CALLED]


def test_without_uncertainty_it_is_a_knapsack():
    random = np.random.default_rng(1)
    for zero_z in (True, False):
        for _ in range(20):
            problem = flat(random, 12, z=0.0 if zero_z else 1.5)
            if not zero_z:
                certain = replace(problem.offers, variance_kw2=np.zeros(12))
                problem = replace(problem, offers=certain)
            taken = calls.choices(problem)
            enough = taken @ problem.offers.mean_kw[:, 0] >= problem.network.need_kw[0, 0]
            least = (taken @ problem.offers.cost)[enough].min()
            assert calls.planned(problem).termination.objective == pytest.approx(least)


@pytest.mark.parametrize("need", [3.0, 10.0, 40.0])
def test_of_identical_customers_the_smallest_number_is_called(need):
    offers = Offers(mean_kw=np.full(60, 1.0), variance_kw2=np.full(60, 0.5), cost=np.full(60, 2.0))
    problem = one_node(offers, need_kw=need, confidence=calls.ONE_SIGMA)
    least = next(n for n in range(61) if n - sqrt(0.5 * n) >= need)
    assert calls.planned(problem).termination.objective == pytest.approx(2.0 * least)


@pytest.mark.parametrize("kind", range(8))
def test_bound_and_plan_enclose_the_cheapest_of_all_call_lists(kind):
    random = np.random.default_rng(100 + kind)
    exact = feasible = 0
    for _ in range(45):
        problem = calls.random_problem(
            random,
            flat=kind in (0, 1),
            levels=kind in (1, 3, 6),
            shocks=kind in (4, 6, 7),
            rules=kind in (5, 7),
        )
        least = calls.cheapest(problem)
        found = plan(problem, EXACT)
        assert referee.violations(problem, found, EXACT) == []
        assert found.termination.bound <= least + 1e-7 * max(1.0, abs(least))
        if least == inf:
            assert found.offer is None
            continue
        feasible += 1
        assert found.termination.reason is not Reason.INFEASIBLE
        if found.offer is not None:
            assert found.termination.objective >= least - 1e-7
            exact += found.termination.objective <= least + 1e-7
    assert feasible > 10
    # One row is solved exactly; the plan of many rows is the cheapest nearly always.
    assert exact == feasible if kind == 0 else exact >= 0.9 * feasible


@pytest.mark.parametrize("road", [Road.COVER, Road.COVERS, Road.PRICES])
def test_roads_agree_with_the_reference(road):
    random = np.random.default_rng(30)
    for _ in range(2):
        problem = flat(random, 40)
        exact = reference_plan(problem)
        assert exact.termination.reason is Reason.OPTIMAL
        found = calls.planned(problem, road, relative_gap=1e-9)
        assert found.termination.bound <= exact.termination.objective + 1e-6
        slack = 0.01 if road is Road.PRICES else 1e-9
        assert found.termination.objective <= exact.termination.objective * (1.0 + slack)


@pytest.mark.parametrize("road", [Road.COVER, Road.COVERS, Road.PRICES])
@pytest.mark.parametrize("barred", [False, True])
def test_a_power_plant_among_customers_excuses_no_shortfall(road, barred):
    offers = Offers(
        mean_kw=np.append(np.ones(10), 1e9),
        variance_kw2=np.zeros(11),
        cost=np.append(np.ones(10), 1e6),
    )
    who = calls.customers(11, never_call=np.append(np.zeros(10, bool), barred))
    problem = one_node(offers, need_kw=7.0, confidence=0.9, customers=who)
    assert calls.planned(problem, road).termination.objective == 7.0


def test_more_need_or_confidence_never_costs_less():
    random = np.random.default_rng(4)
    for _ in range(10):
        problem = flat(random, 25)
        for column, values in (
            ("need_kw", [np.array([[share]]) * 60.0 for share in (0.1, 0.2, 0.3, 0.4)]),
            ("confidence", [np.array(p) for p in (0.5, 0.8, 0.95, 0.99)]),
        ):
            costs = []
            for value in values:
                tree = replace(problem.network, **{column: value})
                costs.append(plan(replace(problem, network=tree), EXACT).termination.objective)
            assert all(a <= b + 1e-9 for a, b in pairwise(costs))


def test_one_more_customer_never_costs_more():
    random = np.random.default_rng(5)
    for _ in range(10):
        problem = flat(random, 20, share=0.3)
        few = replace(
            problem,
            customers=replace(problem.customers, never_call=np.arange(20) >= 18),
        )
        fewer = plan(few, EXACT).termination.objective
        assert plan(problem, EXACT).termination.objective <= fewer + 1e-9


def test_units_do_not_matter():
    random = np.random.default_rng(6)
    problem = flat(random, 40)
    watts = replace(
        problem,
        offers=replace(
            problem.offers,
            mean_kw=problem.offers.mean_kw * 1e3,
            variance_kw2=problem.offers.variance_kw2 * 1e6,
            cost=problem.offers.cost * 100.0,
        ),
        network=replace(problem.network, need_kw=problem.network.need_kw * 1e3),
    )
    one, other = plan(problem, EXACT), plan(watts, EXACT)
    assert other.termination.objective == pytest.approx(100.0 * one.termination.objective)
    assert one.offer is not None
    assert other.offer is not None
    assert one.offer.tolist() == other.offer.tolist()


def test_a_parent_without_need_costs_the_sum_of_its_children():
    random = np.random.default_rng(7)
    parts = [flat(random, 15) for _ in range(4)]
    offers = Offers(
        **{
            name: np.concatenate([getattr(part.offers, name) for part in parts])
            for name in ("mean_kw", "variance_kw2", "cost")
        }
    )
    needs = [[0.0], *(part.network.need_kw[0].tolist() for part in parts)]
    node = np.repeat(np.arange(1, 5), 15)
    # Customers need not stand in the order of their nodes.
    shuffled = random.permutation(60)
    problem = Problem(
        offers=Offers(
            mean_kw=offers.mean_kw[shuffled],
            variance_kw2=offers.variance_kw2[shuffled],
            cost=offers.cost[shuffled],
        ),
        customers=calls.customers(60, node=node[shuffled]),
        network=calls.network(needs, (-1, 0, 0, 0, 0), 0.9331927987311419),
    )
    found = calls.planned(problem, relative_gap=1e-9)
    assert found.road is Road.COVERS
    alone = sum(plan(part, EXACT).termination.objective for part in parts)
    assert found.termination.objective == pytest.approx(alone)
    assert found.price_per_kw is not None
    assert (found.price_per_kw[1:] > 0.0).all()
    assert found.price_per_kw[0, 0] == 0.0


def test_customers_outside_of_every_need_are_called_only_if_they_must_be():
    offers = Offers(mean_kw=np.full(6, 2.0), variance_kw2=np.full(6, 0.1), cost=np.ones(6))
    tree = calls.network([[0.0], [3.0], [0.0]], (-1, 0, 0), 0.9)
    node = [1, 1, 1, 2, 2, 0]
    must = [False, False, False, True, False, False]
    for road in (Road.COVER, Road.COVERS, Road.PRICES):
        problem = Problem(
            offers=offers, customers=calls.customers(6, node=node, must_call=must), network=tree
        )
        found = calls.planned(problem, road, relative_gap=1e-9)
        assert found.offer is not None
        called = found.offer != NOT_CALLED
        assert called[3:].tolist() == [True, False, False]
        assert found.termination.objective == 3.0
        assert found.termination.bound == pytest.approx(3.0)


def test_the_largest_need_of_equal_slots_decides():
    problem = calls.hand(network=calls.network([[5.0, 7.0, 6.0]]))
    found = calls.planned(problem)
    assert found.road is Road.COVER
    assert found.termination.objective == 2.0
    assert found.price_per_kw is not None
    assert (found.price_per_kw[0, [0, 2]] == 0.0).all()


def test_several_levels_are_one_choice_each():
    random = np.random.default_rng(9)
    levels = np.array([0.1, 0.2, 0.4])
    offers = offers_of(
        levels,
        logistic(levels, intercept=random.normal(-1.0, 0.5, 30), slope=8.0, ceiling=0.9),
        size_kw=random.uniform(1.0, 4.0, 30),
        size_sd_kw=np.full(30, 0.4),
        hours=2.0,
        contact_cost=0.05,
    )
    problem = Problem(
        offers=offers,
        customers=calls.customers(30),
        network=calls.network([20.0], confidence=0.95),
    )
    found = calls.planned(problem)
    assert found.road is Road.PRICES
    assert found.offer is not None
    called = found.offer[found.offer != NOT_CALLED]
    assert offers.incentive is not None
    only = [replace_levels(problem, k) for k in range(3)]
    alone = min(plan(one).termination.objective for one in only)
    assert found.termination.objective <= alone * 1.02
    assert found.termination.bound <= alone
    assert called.size > 0


def replace_levels(problem, level):
    """The problem with one of three levels alone."""
    of = np.arange(level, problem.offers.count, 3)
    o = problem.offers
    return replace(
        problem,
        offers=Offers(mean_kw=o.mean_kw[of], variance_kw2=o.variance_kw2[of], cost=o.cost[of]),
    )


def test_a_shock_costs_more_and_restores_the_confidence():
    random = np.random.default_rng(10)
    problem = flat(random, 200, share=0.3)
    shocked = replace(problem, offers=replace(problem.offers, loading=np.full((200, 1), 0.15)))
    law = law_of(shocked)
    naive = calls.planned(problem)
    assert naive.offer is not None
    assert len(check(problem, naive.offer, law, samples=10_000).warnings) == 1
    wise = calls.planned(shocked)
    assert wise.offer is not None
    assert wise.termination.objective > naive.termination.objective
    assert check(shocked, wise.offer, law, samples=10_000).warnings == ()


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_simulated_confidence_is_within_a_point_of_what_was_asked(confidence):
    random = np.random.default_rng(18)
    offers = offers_of(
        np.array([0.3]),
        random.uniform(0.3, 0.9, (2_000, 1)),
        size_kw=random.lognormal(0.5, 0.4, 2_000),
        size_sd_kw=np.full(2_000, 0.3),
        hours=1.0,
        contact_cost=random.uniform(0.05, 0.2, 2_000),
    )
    problem = one_node(offers, need_kw=500.0, confidence=confidence)
    found = calls.planned(problem, relative_gap=1e-6)
    assert found.offer is not None
    drawn = check(problem, found.offer, samples=20_000)
    assert drawn.probability[0, 0] == pytest.approx(confidence, abs=0.01)
    assert drawn.warnings == ()


def test_rebound_stays_below_the_headroom():
    random = np.random.default_rng(11)
    problem = flat(random, 40)
    shares = random.uniform(0.0, 1.0, 40)
    free = calls.planned(problem)
    assert free.offer is not None

    def limited(headroom):
        tree = replace(
            problem.network,
            headroom_kw=np.array([[headroom, 2.0 * headroom]]),
            rebound_profile=np.array([0.5, 0.6]),
        )
        who = replace(problem.customers, rebound_share=shares)
        return replace(problem, network=tree, customers=who)

    used = referee.figures(limited(1e6), free.offer)
    most = float((used.rebound_kw + 1.5 * used.rebound_sd_kw)[0, 0])
    tight = calls.planned(limited(0.8 * most), relative_gap=0.01)
    assert tight.offer is not None
    assert tight.termination.objective > free.termination.objective
    loose = calls.planned(limited(1.2 * most), relative_gap=0.01)
    assert loose.termination.objective <= tight.termination.objective * 1.01


def test_a_budget_buys_the_most_confidence():
    random = np.random.default_rng(12)
    seen = 0
    for k in range(25):
        problem = calls.random_problem(random, shocks=k % 2 == 0, count=6)
        if not (problem.network.need_kw > 0.0).any():
            continue
        problem = replace(problem, budget=0.6 * float(problem.offers.cost.sum()))
        found = plan(problem, EXACT)
        best = reference_plan(problem)
        assert referee.violations(problem, found) == []
        if best.common_z is None:
            assert found.offer is None
            continue
        assert found.termination.bound >= min(best.common_z, 5.0) - 1e-6
        if found.common_z is not None:
            assert found.common_z <= best.termination.bound + 1e-6
            seen += found.common_z >= min(best.common_z, 5.0) - 1e-3
    assert seen > 10


def test_the_same_request_gives_the_same_plan():
    problem = calls.random_problem(np.random.default_rng(13), shocks=True, levels=True, count=8)
    one, other = plan(problem), plan(problem)
    assert one.termination == other.termination
    assert one.offer is not None
    assert other.offer is not None
    assert one.offer.tobytes() == other.offer.tobytes()


def test_a_report_hears_of_progress_and_may_stop():
    random = np.random.default_rng(14)
    problem = replace(flat(random, 300), quotas=())
    heard = []
    found = plan(
        problem,
        PlanOptions(road=Road.PRICES, relative_gap=0.0),
        report=lambda step: heard.append(step) or False,
    )
    assert heard
    assert tuple(heard) == found.progress
    assert referee.violations(problem, found) == []


def test_calls_over_a_season_run_out():
    random = np.random.default_rng(15)
    problem = flat(random, 30, share=0.25)
    problem = replace(problem, customers=replace(problem.customers, calls_left=np.full(30, 2)))
    made = np.zeros(30, int)
    reasons = []
    for _ in range(9):
        found = plan(problem, EXACT)
        reasons.append(found.termination.reason)
        if found.offer is None:
            break
        made += found.offer != NOT_CALLED
        left = spent(problem, found.offer)
        problem = replace(problem, customers=replace(problem.customers, calls_left=left))
    assert reasons[-1] is Reason.INFEASIBLE
    assert len(reasons) > 2
    assert made.max() == 2


def test_an_event_is_targeted_anew_with_who_accepted_and_without_who_opted_out():
    random = np.random.default_rng(16)
    levels = np.array([0.2, 0.5])
    offers = offers_of(
        levels,
        logistic(levels, intercept=0.0, slope=np.full(80, 2.0)),
        size_kw=random.uniform(1.0, 4.0, 80),
        size_sd_kw=np.full(80, 0.3),
        hours=1.0,
    )
    node = np.repeat([1, 2], 40)
    problem = Problem(
        offers=offers,
        customers=calls.customers(80, node=node),
        network=calls.network([[40.0], [10.0], [12.0]], (-1, 0, 0), 0.9),
    )
    first = calls.planned(problem, relative_gap=0.01)
    assert first.offer is not None
    called = np.flatnonzero(first.offer != NOT_CALLED)
    state = np.zeros(80, np.int8)
    state[called[::3]] = State.ACCEPTED
    state[called[1::3]] = State.OPTED_OUT
    answers = Answers(state=state, accepted_kw=np.full(80, np.nan))
    left = retargeted(problem, first.offer, answers)
    options = PlanOptions(relative_gap=0.01)
    second = plan(left.problem, options, start=left.start(first.offer))
    assert referee.violations(left.problem, second, options) == []
    assert second.offer is not None
    anew = left.offer(second.offer)
    assert (anew[called[::3]] == first.offer[called[::3]]).all()
    assert (anew[called[1::3]] == NOT_CALLED).all()
    assert second.unsecured == ()
    assert np.isin(np.flatnonzero(anew != NOT_CALLED), called, invert=True).any()


def test_a_plan_is_explained():
    random = np.random.default_rng(17)
    problem = flat(random, 50, z=0.95)
    found = calls.planned(problem)
    told = explain(problem, found, range(50))
    assert found.offer is not None
    for why in told:
        assert (found.offer[why.customer] != NOT_CALLED) == why.cause.value.startswith("called")
        assert why.sentence.startswith(problem.customers.name(why.customer))
    cheap = sum(why.cause.name in {"CHEAP", "DEAR"} for why in told)
    assert cheap >= 40  # few stand on the wrong side of the price
    assert mean_ranking(problem, found).excess >= -1e-9
