"""Answers to a call list, and the problem that is left after them."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.response import referee
from loadloom.models.response.events import Answers, State, retargeted, spent
from loadloom.models.response.incentives import offers_of
from loadloom.models.response.problem import NOT_CALLED, Problem, Quota
from loadloom.models.response.reference import reference_plan
from loadloom.models.response.solution import PlanOptions, Road
from loadloom.models.response.solve import plan
from tests.models.response import calls


def two_levels():
    """Four customers with two levels each, the first three of whom are called."""
    offers = offers_of(
        np.array([0.2, 0.5]),
        np.array([[0.4, 0.5]] * 4),
        size_kw=np.array([2.0, 3.0, 4.0, 5.0]),
        size_sd_kw=np.array([0.5, 0.5, 1.0, 1.0]),
        hours=1.0,
        contact_cost=0.1,
    )
    problem = Problem(
        offers=offers,
        customers=calls.customers(4, calls_left=[1, 2, 2, 2]),
        network=calls.network([2.0]),
    )
    return problem, np.array([1, 2, 5, NOT_CALLED], np.int32)


def answers(*states, kw=None):
    told = np.full(len(states), np.nan) if kw is None else np.array(kw)
    return Answers(state=np.array(states, np.int8), accepted_kw=told)


def test_who_accepted_is_kept_and_certain_but_for_size():
    problem, offer = two_levels()
    left = retargeted(problem, offer, answers(State.ACCEPTED, State.PENDING, State.OPTED_OUT, 0))
    after = left.problem
    assert after.customers.musts.tolist() == [True, False, False, False]
    assert after.customers.callable.tolist() == [True, True, False, True]
    assert left.origin.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert after.offers.mean_kw[0, 0] == pytest.approx(2.0)
    assert after.offers.variance_kw2[0, 0] == pytest.approx(0.25)
    assert after.offers.cost[0] == pytest.approx(0.1 + 0.5 * 2.0)
    assert np.asarray(after.offers.acceptance)[:2].tolist() == [1.0, 0.4]
    assert after.offers.mean_kw[1:] == pytest.approx(problem.offers.mean_kw[2:])
    assert after.best_effort


def test_a_part_that_is_accepted_is_a_part_of_the_fixed_payment():
    problem, offer = two_levels()
    promising = offers_of(
        np.array([0.2, 0.5]),
        np.array([[0.4, 0.5]] * 4),
        size_kw=np.array([2.0, 3.0, 4.0, 5.0]),
        size_sd_kw=np.array([0.5, 0.5, 1.0, 1.0]),
        hours=1.0,
        contact_cost=0.1,
        fixed_payment=np.array([1.0, 3.0]),
    )
    problem = replace(problem, offers=promising)
    for kw, cost in ((np.nan, 0.1 + 3.0 + 0.5 * 2.0), (1.0, 0.1 + 1.5 + 0.5), (0.0, 0.1)):
        told = answers(State.ACCEPTED, 0, 0, 0, kw=[kw, np.nan, np.nan, np.nan])
        after = retargeted(problem, offer, told).problem
        assert after.offers.cost[0] == pytest.approx(cost)
        assert after.offers.cost[1] == problem.offers.cost[2]


def test_a_reduction_that_was_told_scales_mean_deviation_and_payment():
    problem, offer = two_levels()
    told = answers(State.ACCEPTED, 0, 0, 0, kw=[3.0, np.nan, np.nan, np.nan])
    after = retargeted(problem, offer, told).problem
    assert after.offers.mean_kw[0, 0] == pytest.approx(3.0)
    assert after.offers.variance_kw2[0, 0] == pytest.approx((0.5 * 1.5) ** 2)
    assert after.offers.cost[0] == pytest.approx(0.1 + 0.5 * 3.0)


def test_what_was_told_is_a_mean_over_hours():
    """1 kW for a quarter of an hour and 3 kW for three hours are 2.846 kW."""
    size = np.array([[1.0, 3.0]])
    hours = np.array([0.25, 3.0])
    offers = offers_of(
        np.array([0.5]), np.array([[0.5]]), size_kw=size, size_sd_kw=0.1 * size, hours=hours
    )
    problem = Problem(
        offers=offers, customers=calls.customers(1), network=calls.network([0.5, 0.5])
    )
    asked = float(size[0] @ hours / hours.sum())
    told = Answers(state=np.array([1], np.int8), accepted_kw=np.array([asked]), hours=hours)
    after = retargeted(problem, np.zeros(1, np.int32), told).problem
    assert after.offers.mean_kw[0] == pytest.approx(size[0])
    assert after.offers.cost[0] == pytest.approx(0.5 * (size[0] @ hours))


def test_who_did_not_answer_is_not_called_again():
    problem, offer = two_levels()
    after = retargeted(problem, offer, answers(State.NO_ANSWER, 0, 0, 0)).problem
    assert after.customers.callable.tolist() == [False, True, True, True]


def test_a_call_list_is_told_by_the_offers_before():
    problem, offer = two_levels()
    left = retargeted(problem, offer, answers(State.ACCEPTED, 0, 0, 0))
    anew = left.offer(np.array([0, NOT_CALLED, 4, 6], np.int32))
    assert anew.tolist() == [1, NOT_CALLED, 5, 7]


def test_the_call_list_before_is_where_the_next_begins():
    problem, offer = two_levels()
    left = retargeted(problem, offer, answers(State.ACCEPTED, State.PENDING, State.OPTED_OUT, 0))
    begun = left.start(offer)
    assert begun.tolist() == [0, 1, NOT_CALLED, NOT_CALLED]
    assert left.offer(begun).tolist() == [1, 2, NOT_CALLED, NOT_CALLED]


def test_accepted_on_the_last_call_of_the_season_stays_called():
    problem, offer = two_levels()
    used = replace(problem.customers, calls_left=np.array([0, 1, 1, 1]))
    after = retargeted(
        replace(problem, customers=used), offer, answers(State.ACCEPTED, 0, 0, 0)
    ).problem
    assert after.customers.callable[0]


def test_an_offer_that_is_already_certain_stays_as_it_is():
    problem = calls.hand()
    offer = np.array([0, NOT_CALLED, 2], np.int32)
    after = retargeted(problem, offer, answers(0, 0, State.ACCEPTED)).problem
    assert after.offers.mean_kw == pytest.approx(problem.offers.mean_kw)
    assert after.offers.variance_kw2 == pytest.approx(problem.offers.variance_kw2)
    assert after.offers.cost == pytest.approx(problem.offers.cost)


def test_with_a_budget_there_is_no_best_effort():
    problem, offer = two_levels()
    after = retargeted(replace(problem, budget=9.0), offer, answers(1, 0, 0, 0)).problem
    assert not after.best_effort


def test_calls_are_spent_by_being_made():
    problem, offer = two_levels()
    left = spent(problem, offer)
    assert left is not None
    assert left.tolist() == [0, 1, 1, 2]
    assert spent(calls.hand(), np.array([0, 1, -1], np.int32)) is None


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (answers(0, 0, 0), "answers.state"),
        (answers(0, 0, 0, State.ACCEPTED), "answers.state[3]"),
        (answers(0, 4, 0, 0), "answers.state[1]"),
        (answers(0, -1, 0, 0), "answers.state[1]"),
        (answers(1, 0, 0, 0, kw=[-1.0, 0.0, 0.0, 0.0]), "answers.accepted_kw[0]"),
        (answers(1, 0, 0, 0, kw=[np.inf, 0.0, 0.0, 0.0]), "answers.accepted_kw[0]"),
    ],
)
def test_bad_answers_are_refused_by_their_path(given, path):
    problem, offer = two_levels()
    with pytest.raises(InvalidProblem) as refused:
        retargeted(problem, offer, given)
    assert path in {violation.path for violation in refused.value.violations}


@pytest.mark.parametrize(
    ("need", "states", "rules", "kept"),
    [
        (1.0, (1, 1, 1, 0), {"budget": 4.0}, [0, 1, 2]),
        (2.0, (1, 1, 1, 0), {"quotas": (Quota(group=0, cost_max=4.0),)}, [0, 1, 2]),
        (0.5, (2, 2, 1, 0), {"quotas": (Quota(group=0, call_min=3),)}, [2, 3]),
        (2.0, (1, 1, 1, 0), {"headroom_kw": [[5.0]]}, [0, 1, 2]),
    ],
)
def test_limits_give_way_to_what_was_promised(need, states, rules, kept):
    """Half of four customers are expected to accept; then three do, or two opt out."""
    tree = {"headroom_kw": rules.pop("headroom_kw", [[np.inf]]), "rebound_profile": [1.0]}
    offers = calls.offers(
        mean_kw=[1.0] * 4, variance_kw2=[1.0] * 4, cost=[1.0] * 4, acceptance=[0.5] * 4
    )
    problem = Problem(
        offers=offers,
        customers=calls.customers(4, group=[0] * 4, rebound_share=1.0),
        network=calls.network([need], confidence=0.6, **tree),
        **rules,
    )
    given = answers(*states)
    was = np.where(given.state == State.PENDING, NOT_CALLED, np.arange(4)).astype(np.int32)
    after = retargeted(problem, was, given).problem
    found = plan(after)
    assert np.flatnonzero(found.offer != NOT_CALLED).tolist() == kept
    assert referee.violations(after, found) == []


def stand_and_spare(*costs, need=2.0, standing=(0, 1), **changes):
    """Customers of 1 kW for certain at these costs, of whom some are called already."""
    m = len(costs)
    offer = np.full(m, NOT_CALLED, np.int32)
    offer[list(standing)] = standing
    given = calls.offers(mean_kw=[1.0] * m, variance_kw2=[0.0] * m, cost=costs)
    problem = Problem(
        offers=given, customers=calls.customers(m), network=calls.network([need]), **changes
    )
    return retargeted(problem, offer, answers(*[State.PENDING] * m)).problem


@pytest.mark.parametrize("road", [None, Road.COVERS, Road.PRICES])
@pytest.mark.parametrize(
    ("costs", "need", "called", "objective"),
    [
        ((0.9, 1.0, 0.8), 2.0, [0, 1], 1.9),  # a tenth of all is not saved: nothing changes
        ((0.9, 1.0, 0.5), 2.0, [0, 2], 1.5),  # it is; who is called off counts 0.1
        ((0.9, 1.0, 0.8), 1.0, [0], 1.0),  # one of two that is not needed
        ((0.9, 1.0, 0.8), 3.0, [0, 1, 2], 2.7),
        ((0.9, 1.0, 0.8, 0.92), 3.0, [0, 1, 2], 2.7),  # 0.92 does not replace 1
        ((0.9, 1.0, 0.7, 0.7), 3.0, [0, 2, 3], 2.4),  # need changes something; so may this
    ],
)
def test_who_was_told_stays_told_unless_it_saves_more(road, costs, need, called, objective):
    problem = stand_and_spare(*costs, need=need)
    found = plan(problem, PlanOptions(road=road))
    assert found.offer is not None
    assert np.flatnonzero(found.offer != NOT_CALLED).tolist() == called
    assert found.termination.objective == pytest.approx(objective)
    assert found.termination.bound <= objective + 1e-9
    assert referee.violations(problem, found) == []


def test_a_share_of_nothing_brings_the_cheapest_plan():
    found = plan(stand_and_spare(1.0, 1.0, 0.95, change_share=0.0))
    assert found.termination.objective == pytest.approx(1.95)


def test_with_a_budget_calls_that_stand_change_for_clearly_more_confidence():
    """The third customer varies less than the second; all cost the same."""
    for spread in (0.99, 0.5):
        given = calls.offers(mean_kw=[1.0] * 3, variance_kw2=[1.0, 1.0, spread**2], cost=[1.0] * 3)
        problem = Problem(
            offers=given,
            customers=calls.customers(3),
            network=calls.network([1.0]),
            budget=2.0,
            standing=np.array([0, 1, NOT_CALLED], np.int32),
        )
        found = plan(problem)
        assert found.offer is not None
        who = np.flatnonzero(found.offer != NOT_CALLED).tolist()
        assert who == [0, 1] if spread == 0.99 else 2 in who
        assert referee.violations(problem, found) == []


@pytest.mark.parametrize("rules", [False, True])
def test_a_list_that_stands_is_kept_or_changed_at_the_least_count(rules):
    """Against all there are; where a list that stands keeps all rules, against its parts."""
    random, seen, secured = np.random.default_rng(30), 0, 0
    for k in range(40):
        problem = calls.random_problem(random, levels=k % 2 == 1, shocks=k % 3 == 0, rules=rules)
        taken = calls.choices(problem)
        taken = taken[calls.kept(problem, taken)]
        if not len(taken):
            continue
        # Of call lists that keep all rules, and of those that keep some.
        among = taken if k % 2 else calls.choices(problem)
        stands = among[random.integers(len(among))]
        standing = np.full(problem.customers.count, NOT_CALLED, np.int32)
        standing[problem.offers.customers[stands]] = np.flatnonzero(stands)
        problem = replace(problem, standing=standing, change_share=0.2)
        counts = taken @ problem.offers.cost + 0.2 * (stands & ~taken) @ problem.offers.cost
        least, parts = counts.min(), counts[~(taken & ~stands).any(axis=1)]
        secure = (taken == stands).all(axis=1).any()
        if secure and not least < 0.8 * parts.min():
            least = parts.min()
        secured += secure
        found = plan(problem)
        assert found.termination.objective == pytest.approx(least, rel=1e-4, abs=1e-4)
        assert found.termination.bound <= counts.min() + 1e-6
        if k < 10:
            exact = reference_plan(problem).termination
            assert exact.objective == pytest.approx(counts.min(), rel=1e-7, abs=1e-7)
            assert exact.bound == pytest.approx(counts.min(), rel=1e-4, abs=1e-4)
        assert referee.violations(problem, found) == []
        again = plan(replace(problem, standing=found.offer))
        assert found.offer is not None
        assert again.offer is not None
        assert again.offer.tolist() == found.offer.tolist()
        seen += 1
    assert 3 < secured < seen


def test_calls_that_stand_must_be_of_their_own_customers():
    for standing in ([0, 1], [0, 1, 3], [1, 0, NOT_CALLED], [0, -2, 2]):
        with pytest.raises(InvalidProblem, match="standing"):
            calls.hand(standing=np.array(standing, np.int32))


@pytest.mark.parametrize("road", [Road.PRICES, None])
def test_a_bound_is_there_however_little_time_there_was(road):
    problem, offer = two_levels()
    after = retargeted(problem, offer, answers(State.ACCEPTED, State.OPTED_OUT, 0, 0)).problem
    ticks = count()
    options = PlanOptions(time_limit_s=0.5, road=road)
    found = plan(replace(after, standing=None), options, clock=lambda: float(next(ticks)))
    least = plan(replace(after, standing=None)).termination.objective
    assert 0.5 * least < found.termination.bound <= least + 1e-9
