"""Events from call to payment and back: what was delivered makes the next targeting better."""

import numpy as np

from loadloom.models.response.problem import NOT_CALLED, Offers, one_node
from loadloom.models.response.reliability import Outcome, expected, fitted_start, start, update
from loadloom.models.response.solve import plan

COUNT, OFFERED_KW, NEED_KW, CONFIDENCE = 120, 5.0, 120.0, 0.9


def called_for(known):
    """Whom to call for the need, and what that costs, after what is known of customers."""
    ahead = expected(known, np.full(COUNT, OFFERED_KW))
    offers = Offers(mean_kw=ahead.mean_kw, variance_kw2=ahead.variance_kw2, cost=np.ones(COUNT))
    found = plan(one_node(offers, need_kw=NEED_KW, confidence=CONFIDENCE))
    assert found.offer is not None
    return found.offer != NOT_CALLED


def answers(rng, rate, share, called):
    """Who accepts, and baseline less load of those."""
    accepted = called & (rng.random(COUNT) < rate)
    net_kw = OFFERED_KW * (share + 0.15 * rng.standard_normal(COUNT))
    return accepted, np.where(accepted, net_kw, np.nan)


def season(rng, rate, share):
    """The outcomes of twelve test calls of everybody."""
    everybody = np.ones(COUNT, np.bool_)
    for _ in range(12):
        accepted, net_kw = answers(rng, rate, share, everybody)
        yield Outcome(
            called=everybody,
            accepted=accepted,
            offered_kw=np.full(COUNT, OFFERED_KW),
            net_kw=net_kw,
        )


def learned(known, outcomes):
    for outcome in outcomes:
        known = update(known, outcome, keep=1.0)
    return known


def test_after_a_season_fewer_calls_secure_the_need_and_as_surely_as_they_say():
    # Of one population the called may all be worse than they looked; over several it evens out.
    before, after, reached = [], [], []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        rate, share = rng.beta(2.0, 2.0, COUNT), rng.normal(0.9, 0.2, COUNT)
        outcomes = list(season(rng, rate, share))
        first = learned(start(COUNT), outcomes)
        known = learned(fitted_start(first, COUNT), outcomes)
        called = called_for(known)
        before.append(called_for(start(COUNT)).sum())
        after.append(called.sum())
        draws = [np.nansum(answers(rng, rate, share, called)[1]) for _ in range(300)]
        reached.append(np.mean(np.array(draws) >= NEED_KW))
    assert np.mean(after) < 0.75 * np.mean(before)
    assert np.mean(reached) >= CONFIDENCE - 0.03
