"""What is learned of customers: by hand, by law, and so that the next call goes better."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.response.reliability import (
    HIGHEST_SHARE,
    LEAST_SPREAD,
    Outcome,
    Reliabilities,
    expected,
    fitted_start,
    start,
    update,
)


def outcome(called, accepted, net_kw, offered_kw=10.0, noise_kw=0.0):
    count = len(called)
    return Outcome(
        called=np.array(called, bool),
        accepted=np.array(accepted, bool),
        offered_kw=np.full(count, offered_kw),
        net_kw=np.array(net_kw, float),
        noise_kw=noise_kw,
    )


def test_a_call_that_was_accepted_and_kept_teaches_by_hand():
    before = start(
        1, acceptance=0.5, acceptance_weight=2, share=1.0, share_spread=0.3, share_weight=2
    )
    after = update(before, outcome([1], [1], [4.0]), keep=1.0)
    assert after.accepted[0] == 2
    assert after.declined[0] == 1
    np.testing.assert_allclose(after.share_mean, 0.8)  # (2 * 1.0 + 0.4) / 3
    assert after.share_weight[0] == 3
    assert after.share_shape[0] == 2.5
    np.testing.assert_allclose(after.share_scale, 0.09 * 2 / 3 + 0.36 * 2 / 6)
    assert after.call_count[0] == 1


def test_the_past_fades_by_what_is_kept():
    after = update(start(1), outcome([1], [0], [np.nan]), keep=0.9)
    np.testing.assert_allclose([after.accepted[0], after.declined[0]], [0.9, 1.9])
    assert after.share_weight == start(1).share_weight  # nobody measured a share


def test_who_was_not_called_stays_as_it_was():
    before = start(2)
    after = update(before, outcome([0, 1], [0, 1], [5.0, 5.0]))
    for name in ("accepted", "declined", "share_mean", "share_weight", "share_scale"):
        assert getattr(after, name)[0] == getattr(before, name)[0]
    assert after.call_count.tolist() == [0, 1]


def test_who_accepted_but_was_not_measured_teaches_acceptance_alone():
    after = update(start(1), outcome([1], [1], [np.nan]), keep=1.0)
    assert after.accepted[0] == 2
    assert after.share_mean[0] == 0.9


def test_noise_of_the_baseline_teaches_less():
    clear = update(start(1), outcome([1], [1], [2.0]))
    noisy = update(start(1), outcome([1], [1], [2.0], noise_kw=5.0))
    drowned = update(start(1), outcome([1], [1], [2.0], noise_kw=1e6))
    assert clear.share_mean < noisy.share_mean < drowned.share_mean
    unknown = update(start(1), outcome([1], [1], [2.0], noise_kw=np.nan))
    assert unknown.share_mean == clear.share_mean
    np.testing.assert_allclose(drowned.share_mean, 0.9, atol=1e-6)
    np.testing.assert_allclose(drowned.share_weight, 2.0, atol=1e-6)


def test_wild_shares_count_as_the_limits():
    far = update(start(1), outcome([1], [1], [1e6]))
    edge = update(start(1), outcome([1], [1], [10.0 * HIGHEST_SHARE]))
    assert far.share_mean == edge.share_mean


@pytest.mark.parametrize("keep", [0.6, 0.9, 1.0])
def test_what_is_known_stays_a_law_however_often_it_is_taught(keep):
    rng = np.random.default_rng(1)
    known = start(50)
    for _ in range(200):
        known = update(
            known,
            outcome(rng.random(50) < 0.9, rng.random(50) < 0.7, rng.choice([10.0, 5.0, -3.0], 50),
                    noise_kw=float(rng.choice([0.0, 5.0]))),
            keep=keep,
        )  # fmt: skip
    ahead = expected(known, np.full(50, 10.0))
    assert (known.share_shape > 1.0).all()
    assert np.isfinite(ahead.variance_kw2).all()
    assert (ahead.variance_kw2 > 0).all()
    steady = start(1)
    for _ in range(300):
        steady = update(steady, outcome([1], [1], [10.0]), keep=keep)
    assert steady.share_variance[0] >= LEAST_SPREAD**2


def test_the_moments_of_a_call_are_those_of_its_law():
    known = Reliabilities(
        accepted=np.array([3.0]),
        declined=np.array([1.0]),
        share_mean=np.array([0.8]),
        share_weight=np.array([4.0]),
        share_shape=np.array([5.0]),
        share_scale=np.array([0.2]),
        call_count=np.array([4]),
    )
    found = expected(known, np.array([10.0]))
    rng = np.random.default_rng(2)
    draws = 400_000
    variance = 1 / rng.gamma(5.0, 1 / 0.2, draws)
    mean = 0.8 + np.sqrt(variance / 4.0) * rng.standard_normal(draws)
    share = mean + np.sqrt(variance) * rng.standard_normal(draws)
    reduction = (rng.random(draws) < rng.beta(3.0, 1.0, draws)) * share * 10.0
    np.testing.assert_allclose(found.mean_kw, reduction.mean(), rtol=0.01)
    np.testing.assert_allclose(found.variance_kw2, reduction.var(), rtol=0.01)
    np.testing.assert_allclose(found.acceptance, 0.75)
    np.testing.assert_allclose(found.size_kw, 8.0)
    np.testing.assert_allclose(found.size_spread_kw, share.std() * 10, rtol=0.01)


def test_nobody_is_expected_to_draw_more():
    known = replace(start(1), share_mean=np.array([-0.5]))
    found = expected(known, np.array([10.0]))
    assert found.mean_kw[0] == 0
    assert found.variance_kw2[0] > 0


def truth(rng, count):
    """Customers as they are: acceptance and share, and how one season of calls goes."""
    return rng.beta(2.0, 2.0, count), rng.normal(0.8, 0.25, count)


def season(rng, rate, share, known, calls):
    for _ in range(calls):
        accepted = rng.random(rate.size) < rate
        net = 10.0 * (share + 0.2 * rng.standard_normal(rate.size))
        known = update(known, outcome(np.ones(rate.size), accepted, net), keep=1.0)
    return known


def test_a_season_of_calls_makes_the_next_forecast_better():
    rng = np.random.default_rng(3)
    rate, share = truth(rng, 4000)
    offered = np.full(4000, 10.0)
    right = rate * share * 10.0
    errors = []
    known = start(4000)
    for _ in range(4):
        errors.append(np.abs(expected(known, offered).mean_kw - right).mean())
        known = season(rng, rate, share, known, 5)
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < 0.5 * errors[0]


def test_choosing_by_what_was_learned_delivers_more():
    rng = np.random.default_rng(4)
    rate, share = truth(rng, 2000)
    known = season(rng, rate, share, start(2000), 8)
    best = np.argsort(-expected(known, np.full(2000, 10.0)).mean_kw)[:200]
    assert (rate * share)[best].mean() > 1.5 * (rate * share).mean()


def test_what_is_expected_covers_what_comes():
    rng = np.random.default_rng(5)
    rate, share = truth(rng, 20_000)
    known = season(rng, rate, share, start(20_000, share_spread=0.4), 6)
    ahead = expected(known, np.full(20_000, 10.0))
    came = (rng.random(20_000) < rate) * 10.0 * (share + 0.2 * rng.standard_normal(20_000))
    groups = (came - ahead.mean_kw).reshape(200, 100).sum(axis=1)
    spread = np.sqrt(ahead.variance_kw2.reshape(200, 100).sum(axis=1))
    covered = (groups > -1.645 * spread).mean()
    assert 0.90 <= covered <= 0.99


def test_new_customers_are_taken_for_what_others_were():
    rng = np.random.default_rng(6)
    rate, share = truth(rng, 5000)
    known = season(rng, rate, share, start(5000), 20)
    for _ in range(3):
        fitted = fitted_start(known, 1)
        known = season(rng, rate, share, fitted_start(known, 5000), 20)
    np.testing.assert_allclose(fitted.acceptance, 0.5, atol=0.02)
    np.testing.assert_allclose(fitted.accepted + fitted.declined, 4.0, rtol=0.2)
    np.testing.assert_allclose(fitted.share_mean, 0.8, atol=0.02)
    np.testing.assert_allclose(fitted.share_weight, 0.2**2 / 0.25**2, rtol=0.25)


def test_without_calls_new_customers_are_taken_as_at_the_start():
    fitted = fitted_start(start(3, acceptance=0.9), 2)
    assert (fitted.accepted == start(2).accepted).all()


BAD = [
    (lambda: start(1, acceptance=1.0), "acceptance", "must be above 0 and below 1"),
    (lambda: start(1, acceptance_weight=0.0), "acceptance_weight", "is 0"),
    (lambda: start(1, share=-1.0), "share", "is -1"),
    (lambda: start(1, share_spread=np.nan), "share_spread", "is nan"),
    (lambda: start(1, share_weight=-1.0), "share_weight", "is -1"),
    (
        lambda: replace(start(2), share_shape=np.ones(2)),
        "reliabilities.share_shape",
        "must have 2 values above 1",
    ),
    (
        lambda: replace(start(2), declined=np.ones(3)),
        "reliabilities.declined",
        "must have 2 values above 0",
    ),
    (
        lambda: replace(start(2), call_count=np.ones(3, int)),
        "reliabilities.call_count",
        "has shape (3,)",
    ),
    (lambda: expected(start(2), np.ones(3)), "offered_kw", "has shape (3,)"),
    (lambda: expected(start(1), np.array([-1.0])), "offered_kw[0]", "is -1"),
    (lambda: update(start(2), outcome([1], [1], [1.0])), "outcome.called", "has shape (1,)"),
    (lambda: update(start(1), outcome([1], [1], [np.inf])), "outcome.net_kw[0]", "is inf"),
    (
        lambda: update(start(1), outcome([1], [1], [1.0], offered_kw=-1.0)),
        "outcome.offered_kw[0]",
        "is -1",
    ),
    (
        lambda: update(start(1), outcome([1], [1], [1.0], noise_kw=-1.0)),
        "outcome.noise_kw",
        "is -1",
    ),
    (lambda: update(start(1), outcome([1], [1], [1.0]), keep=0.5), "keep", "is 0.5"),
]


@pytest.mark.parametrize(("make", "path", "message"), BAD)
def test_what_cannot_be_learned_from_is_named(make, path, message):
    with pytest.raises(InvalidProblem) as caught:
        make()
    assert any(v.path == path and message in v.message for v in caught.value.violations)
