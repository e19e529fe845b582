"""How reliable customers are: what to expect of the next call, learned from those before.

A call is accepted with probability p, and who accepts delivers a share x of what was agreed, more
or less:

    p ~ Beta(accepted, declined)
    x ~ Normal(m, v),  m | v ~ Normal(share_mean, v / share_weight),
                       v ~ InverseGamma(share_shape, share_scale)

Both laws are conjugate: what is known stays of the same kind. With answers a in {0, 1} and shares x
of those who accepted, after weighing the past with `keep` < 1, since customers change:

    accepted += a    declined += 1 - a    d = x - share_mean    k = share_weight
    share_mean += d / (k + 1)    share_weight += 1    share_shape += 1/2
    share_scale += d^2 k / (2 (k + 1))

What comes of the next call of o kW is R = a x o, with s^2 = scale / (shape - 1) (1 + 1 / weight):

    E[R] = o p m       Var[R] = o^2 (p (s^2 + m^2) - p^2 m^2)

A share that was measured with noise of variance n counts as v / (v + n) of one without, v being
scale / (shape - 1).
"""

from dataclasses import dataclass, replace

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.similar_days import BoolArray, IntArray

LOWEST_SHARE, HIGHEST_SHARE = -1.0, 3.0
"""Shares beyond say more of the baseline than of the customer, and count as these."""

LEAST_KEEP = 0.6
"""From 0.5 downward the spread of shares would no longer have a mean."""

LEAST_SPREAD = 0.02
"""Nobody is taken to be steadier than this share of what was agreed."""

_START_SHAPE = 2.0


@dataclass(frozen=True, kw_only=True)
class Reliabilities:
    """What is known of n customers, valid once made; the names are those of the module's laws.

    Attributes:
        accepted, declined: (n,) above 0.
        share_mean: (n,) of what was agreed.
        share_weight, share_scale: (n,) above 0.
        share_shape: (n,) above 1.
        call_count: (n,) the calls that taught this, all with the same weight.
    """

    accepted: FloatArray
    declined: FloatArray
    share_mean: FloatArray
    share_weight: FloatArray
    share_shape: FloatArray
    share_scale: FloatArray
    call_count: IntArray

    def __post_init__(self) -> None:
        checks = Checks()
        count = self.accepted.shape
        for name in ("accepted", "declined", "share_weight", "share_shape", "share_scale"):
            values = getattr(self, name)
            lowest = 1.0 if name == "share_shape" else 0.0
            good = values.shape == count and bool((values > lowest).all())
            message = f"must have {count[0]} values above {lowest:g}"
            checks.require(good, f"reliabilities.{name}", message)
            checks.numbers(f"reliabilities.{name}", values)
        checks.numbers("reliabilities.share_mean", self.share_mean)
        for name in ("share_mean", "call_count"):
            shape = getattr(self, name).shape
            message = f"has shape {shape}; must have shape {count}"
            checks.require(shape == count, f"reliabilities.{name}", message)
        checks.finish()

    @property
    def count(self) -> int:
        """The number of customers."""
        return self.accepted.size

    @property
    def acceptance(self) -> FloatArray:
        """(n,) the probability that the next call is accepted."""
        return self.accepted / (self.accepted + self.declined)

    @property
    def share_variance(self) -> FloatArray:
        """(n,) the variance of the next share, that of what is not known of its mean with it."""
        return self.share_scale / (self.share_shape - 1.0) * (1.0 + 1.0 / self.share_weight)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an event showed of n customers.

    Attributes:
        called: (n,) whether the customer was called and its time to answer is over.
        accepted: (n,) whether it accepted; who opted out or did not answer did not.
        offered_kw: (n,) what was agreed; read of those who accepted.
        net_kw: (n,) baseline less load, not cut off at 0; NaN where it was not measured.
        noise_kw: (n,) or () the standard deviation of net_kw by its baseline alone; NaN, where
            nobody knows it, counts as none.
    """

    called: BoolArray
    accepted: BoolArray
    offered_kw: FloatArray
    net_kw: FloatArray
    noise_kw: FloatArray | float = 0.0


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What to expect of calls.

    Attributes:
        acceptance: (n,) the probability of R's first factor.
        size_kw, size_spread_kw: (n,) mean and standard deviation of who accepts.
        mean_kw, variance_kw2: (n,) of the reduction R.
    """

    acceptance: FloatArray
    size_kw: FloatArray
    size_spread_kw: FloatArray
    mean_kw: FloatArray
    variance_kw2: FloatArray


def start(
    count: int,
    *,
    acceptance: float = 0.5,
    acceptance_weight: float = 2.0,
    share: float = 0.9,
    share_spread: float = 0.3,
    share_weight: float = 2.0,
) -> Reliabilities:
    """What is assumed of customers nobody has called.

    Args:
        count: n.
        acceptance: the probability, above 0 and below 1.
        acceptance_weight: the calls that this is worth.
        share: of what is agreed.
        share_spread: the standard deviation of the next share.
        share_weight: the shares that this is worth.

    Raises:
        InvalidProblem: a number that is none of its kind.
    """
    checks = Checks()
    message = f"is {acceptance:g}; must be above 0 and below 1"
    checks.require(0.0 < acceptance < 1.0, "acceptance", message)
    for name, value in (
        ("acceptance_weight", acceptance_weight),
        ("share_spread", share_spread),
        ("share_weight", share_weight),
    ):
        good = 0.0 < value <= 1e6
        checks.require(good, name, f"is {value:g}; must be above 0 and at most 1e+06")
    checks.numbers("share", share, low=0.0, high=HIGHEST_SHARE)
    checks.finish()
    scale = share_spread**2 * (_START_SHAPE - 1.0) * share_weight / (share_weight + 1.0)
    return Reliabilities(
        accepted=np.full(count, acceptance * acceptance_weight),
        declined=np.full(count, (1.0 - acceptance) * acceptance_weight),
        share_mean=np.full(count, share),
        share_weight=np.full(count, share_weight),
        share_shape=np.full(count, _START_SHAPE),
        share_scale=np.full(count, scale),
        call_count=np.zeros(count, dtype=np.int64),
    )


def fitted_start(known: Reliabilities, count: int) -> Reliabilities:
    """What is to be assumed of new customers, after those who were called.

    By the law of total variance a trait varies among customers by the variance of its estimates
    plus the mean of what each still leaves open: one step of expectation and maximisation. Without
    customers that were called, it is `start`.
    """
    taught = known.call_count > 0
    if not taught.any():
        return start(count)
    one = replace(known, **{name: getattr(known, name)[taught] for name in _COLUMNS})
    rate = one.acceptance
    total = one.accepted + one.declined
    mean = float(rate.mean())
    varies = float(rate.var() + (rate * (1.0 - rate) / (total + 1.0)).mean())
    weight = min(max(mean * (1.0 - mean) / max(varies, 1e-12) - 1.0, 1.0), 200.0)
    within = one.share_scale / (one.share_shape - 1.0)
    noise = float(within.mean())
    between = float(one.share_mean.var() + (within / one.share_weight).mean())
    share_weight = min(max(noise / between, 0.1), 200.0)
    return start(
        count,
        acceptance=min(max(mean, 1e-3), 1.0 - 1e-3),
        acceptance_weight=weight,
        share=min(max(float(one.share_mean.mean()), 0.0), HIGHEST_SHARE),
        share_spread=float(np.sqrt(noise * (1.0 + 1.0 / share_weight))),
        share_weight=share_weight,
    )


def update(known: Reliabilities, outcome: Outcome, *, keep: float = 0.98) -> Reliabilities:
    """What is known after an event.

    Args:
        known: what was known before.
        outcome: of the same customers.
        keep: the weight of the past at each call, 0.6 to 1.

    Raises:
        InvalidProblem: data that breaks a rule.
    """
    _check(known, outcome, keep)
    called = outcome.called
    yes = called & outcome.accepted
    past = np.where(called, keep, 1.0)
    found = yes & ~np.isnan(outcome.net_kw) & (outcome.offered_kw > 0.0)
    offered = np.where(found, outcome.offered_kw, 1.0)
    share = np.clip(np.where(found, outcome.net_kw, 0.0) / offered, LOWEST_SHARE, HIGHEST_SHARE)
    own = known.share_scale / (known.share_shape - 1.0)
    counts = np.where(found, own / (own + (np.nan_to_num(outcome.noise_kw) / offered) ** 2), 0.0)
    faded = 1.0 - (1.0 - keep) * counts  # noise alone makes nobody forget
    weight, shape = known.share_weight * faded, known.share_shape * faded + 0.5 * counts
    change = share - known.share_mean
    scale = known.share_scale * faded + 0.5 * counts * change**2 * weight / (weight + counts)
    return Reliabilities(
        accepted=known.accepted * past + yes,
        declined=known.declined * past + (called & ~outcome.accepted),
        share_mean=known.share_mean + counts * change / (weight + counts),
        share_weight=weight + counts,
        share_shape=shape,
        share_scale=np.maximum(scale, LEAST_SPREAD**2 * (shape - 1.0)),
        call_count=known.call_count + called,
    )


def expected(known: Reliabilities, offered_kw: FloatArray) -> Expected:
    """What to expect of calls for these powers, (n,); nobody is expected to draw more.

    Raises:
        InvalidProblem: the powers are not n numbers from 0.
    """
    checks = Checks()
    good = offered_kw.shape == (known.count,)
    message = f"has shape {offered_kw.shape}; must have shape {(known.count,)}"
    checks.require(good, "offered_kw", message)
    checks.numbers("offered_kw", offered_kw, low=0.0)
    checks.finish()
    rate, share = known.acceptance, np.maximum(0.0, known.share_mean)
    second = known.share_variance + share**2
    return Expected(
        acceptance=rate,
        size_kw=share * offered_kw,
        size_spread_kw=np.sqrt(known.share_variance) * offered_kw,
        mean_kw=rate * share * offered_kw,
        variance_kw2=(rate * second - (rate * share) ** 2) * offered_kw**2,
    )


_COLUMNS = (
    "accepted",
    "declined",
    "share_mean",
    "share_weight",
    "share_shape",
    "share_scale",
    "call_count",
)


def _check(known: Reliabilities, outcome: Outcome, keep: float) -> None:
    checks = Checks()
    for name in ("called", "accepted", "offered_kw", "net_kw"):
        shape = getattr(outcome, name).shape
        message = f"has shape {shape}; must have shape {(known.count,)}"
        checks.require(shape == (known.count,), f"outcome.{name}", message)
    checks.finish()
    yes = outcome.called & outcome.accepted
    checks.numbers("outcome.offered_kw", np.where(yes, outcome.offered_kw, 0.0), low=0.0)
    net = outcome.net_kw
    checks.numbers("outcome.net_kw", np.where(yes & ~np.isnan(net), net, 0.0))
    noise = np.asarray(outcome.noise_kw, dtype=np.float64)
    message = f"has shape {noise.shape}; must be one number or {known.count}"
    checks.require(noise.shape in {(), (known.count,)}, "outcome.noise_kw", message)
    checks.numbers("outcome.noise_kw", np.where(np.isnan(noise), 0.0, noise), low=0.0)
    checks.numbers("keep", keep, low=LEAST_KEEP, high=1.0)
    checks.finish()
