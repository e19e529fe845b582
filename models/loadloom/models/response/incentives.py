"""Incentives: who would accept at which level, made into offers."""

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response.problem import Offers


def logistic(
    incentive: FloatArray,
    *,
    intercept: FloatArray | float,
    slope: FloatArray | float,
    ceiling: FloatArray | float = 1.0,
) -> FloatArray:
    """The probability that each customer accepts at each level, (n, L), by a logistic curve.

        acceptance = ceiling / (1 + exp(-(intercept + slope * incentive)))

    `intercept`, `slope` and `ceiling` are one for all, (), or one for each, (n,).
    """
    at = np.asarray(intercept, dtype=np.float64)[..., None]
    by, most = np.asarray(slope)[..., None], np.asarray(ceiling)[..., None]
    # By the hyperbolic tangent, which cannot overflow.
    return np.atleast_2d(most * 0.5 * (1.0 + np.tanh(0.5 * (at + by * incentive))))


def offers_of(
    incentive: FloatArray,
    acceptance: FloatArray,
    *,
    size_kw: FloatArray,
    size_sd_kw: FloatArray,
    hours: FloatArray | float,
    contact_cost: FloatArray | float = 0.0,
    fatigue_cost: FloatArray | float = 0.0,
    loading: FloatArray | None = None,
    fixed_payment: FloatArray | float = 0.0,
) -> Offers:
    """An offer for each of n customers at each of L incentives, by customer.

    A reduction R is the size, if the call is accepted, or else nothing:

        mean = p * a                    variance = p * sd^2 + p * (1 - p) * a^2
        payment = incentive * mean * hours + p * fixed_payment

    Args:
        incentive: what is promised per kWh at each level, (L,).
        acceptance: the probability that each customer accepts, (n, L).
        size_kw: what a customer gives who accepts, a, (n,), or (n, S) if slots differ.
        size_sd_kw: its deviation, of the same shape.
        hours: the length of each slot, (S,), or of all of them together, ().
        contact_cost: what a call costs, accepted or not, () or (n,).
        fatigue_cost: what a customer's patience is worth, () or (n,).
        loading: see `Offers`; (n, F).
        fixed_payment: what is promised to who accepts, beside it, () or at each level, (L,).

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths.
    """
    size, sd = (v[:, None] if v.ndim == 1 else v for v in (size_kw, size_sd_kw))
    hours = np.atleast_1d(np.asarray(hours, dtype=np.float64))
    _check(incentive, acceptance, size, sd, hours)
    count, levels = acceptance.shape
    for_all = np.repeat(np.arange(count), levels)
    p = acceptance.reshape(-1, 1)
    a, sd = size[for_all], sd[for_all]
    mean = p * a
    energy = mean @ hours if hours.size == mean.shape[1] else mean[:, 0] * hours.sum()
    paid = np.tile(incentive, count)
    promised = np.tile(np.broadcast_to(np.asarray(fixed_payment, np.float64), levels), count)
    fixed = np.broadcast_to(np.asarray(contact_cost) + np.asarray(fatigue_cost), (count,))[for_all]
    return Offers(
        mean_kw=mean,
        variance_kw2=p * sd**2 + p * (1.0 - p) * a**2,
        cost=fixed + paid * energy + p[:, 0] * promised,
        fixed_cost=fixed,
        customer=for_all,
        acceptance=p[:, 0],
        incentive=paid,
        fixed_payment=promised,
        loading=None if loading is None else loading[for_all],
    )


def _check(
    incentive: FloatArray,
    acceptance: FloatArray,
    size: FloatArray,
    sd: FloatArray,
    hours: FloatArray,
) -> None:
    checks = Checks()
    checks.numbers("incentive", incentive, low=0.0)
    shape = (size.shape[0], incentive.size)
    message = f"has shape {acceptance.shape}; must have one row a customer and a column a level"
    if acceptance.shape == shape:
        checks.numbers("acceptance", acceptance, low=0.0, high=1.0)
    else:
        checks.require(False, "acceptance", f"{message}, {shape}")
    checks.numbers("size_kw", size, low=0.0)
    checks.numbers("size_sd_kw", sd, low=0.0)
    same = size.shape == sd.shape
    checks.require(same, "size_sd_kw", f"has shape {sd.shape}; must have {size.shape}")
    checks.numbers("hours", hours, low=0.0)
    fits = size.shape[1] in {1, hours.size}
    message = f"has {size.shape[1]} columns; must have 1 or one for each of {hours.size} slots"
    checks.require(fits, "size_kw", message)
    checks.finish()
