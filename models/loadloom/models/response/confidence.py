"""The confidence of a call list by simulation of what may happen, beside the normal model's.

The normal model adds up means and variances. What it may miss is in the law of each reduction:
refusals that are all or nothing, tails heavier than normal, shocks that were not declared, and
messages that reach nobody. Samples are drawn of

    R[i,s] = arrived[g(i)] * accepted[i] * (size[i,s] + sd[i,s] * e[i])
             + sum_f loading[i,f] * mean[i,s] * shock[f]

with e and shocks standard normal, or Student's t scaled to the same deviation.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.response import referee
from loadloom.models.response.events import size_variance
from loadloom.models.response.normal import probability
from loadloom.models.response.problem import NOT_CALLED, IndexArray, OfferArray, Problem

MARGIN = 0.1
"""By what share of it a need may be missed more often than asked for unwarned, beyond the error of
sampling: sums of few refusals are not quite normal."""

_CHUNK = 2_000_000  # numbers drawn at a time
_MOST_KEPT = 40_000_000  # sums kept, of which quantiles are taken
_LEAST_SAMPLES = 200
_WIDER = 1.05  # times the normal model's spread is wider, and not only of another shape
_QUARTILES = 1.3489795003921634  # what is between those of a standard normal number


@dataclass(frozen=True, kw_only=True)
class Law:
    """What reductions follow, given by offer.

    Attributes:
        acceptance: the probability that a call is accepted, (m,).
        size_kw, size_sd_kw: what is given then, and its deviation, (m, 1) or (m, S).
        mean_kw: what shared shocks change in proportion to, (m, 1) or (m, S).
        degrees_of_freedom: of Student's t that sizes follow, above 2; inf for normal.
        loading: the share of the mean by which a reduction changes per unit of each shock, (m, F).
        shock_degrees_of_freedom: of Student's t that shocks follow, above 2; inf for normal.
        outage_probability: how likely it is that a message does not arrive.
        outage_group: who shares messages, so that either all or none arrive, (n,); None for all.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths below `law`.
    """

    acceptance: FloatArray
    size_kw: FloatArray
    size_sd_kw: FloatArray
    mean_kw: FloatArray
    degrees_of_freedom: float = inf
    loading: FloatArray | None = None
    shock_degrees_of_freedom: float = inf
    outage_probability: float = 0.0
    outage_group: IndexArray | None = None

    def __post_init__(self) -> None:
        checks = Checks()
        checks.numbers("law.acceptance", self.acceptance, low=0.0, high=1.0)
        checks.numbers("law.size_kw", self.size_kw)
        checks.numbers("law.size_sd_kw", self.size_sd_kw, low=0.0)
        for name in ("degrees_of_freedom", "shock_degrees_of_freedom"):
            value = getattr(self, name)
            message = f"is {value:g}; must be above 2, or infinite for a normal law"
            checks.require(value > 2.0, f"law.{name}", message)
        checks.numbers("law.outage_probability", self.outage_probability, low=0.0, high=1.0)
        if self.loading is not None:
            checks.numbers("law.loading", self.loading)
        if self.outage_group is not None:
            checks.numbers("law.outage_group", self.outage_group.astype(np.float64), low=0.0)
        checks.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A need whose confidence the normal model overstates.

    Attributes:
        node, slot: whose need it is.
        target: the confidence that was asked for.
        found: that of the simulation.
        missing_kw: what the need is above what is given with the confidence asked for.
        message: the same in words, with what the normal model misses.
    """

    node: int
    slot: int
    target: float
    found: float
    missing_kw: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConfidenceCheck:
    """What a simulation finds; where there is no need, probabilities are 1 and quantiles NaN.

    Attributes:
        probability: the share of samples in which each need was met, (V, S).
        half_width: half the width of its 95 % interval, (V, S).
        normal_probability: the same by the normal model, (V, S).
        quantile_kw: the reduction that was given with the node's confidence, (V, S).
        joint_probability: the share of samples in which all needs were met.
        samples: how many samples were drawn.
        warnings: where the normal model overstates the confidence.
    """

    probability: FloatArray
    half_width: FloatArray
    normal_probability: FloatArray
    quantile_kw: FloatArray
    joint_probability: float
    samples: int
    warnings: tuple[Warned, ...]


def law_of(problem: Problem) -> Law:
    """The law that a problem's means, variances, acceptances and loadings describe."""
    offers = problem.offers
    chance = np.broadcast_to(offers.acceptance, offers.cost.shape)
    p = np.where(chance > 0.0, chance, 1.0)[:, None]
    return Law(
        acceptance=chance,
        size_kw=offers.mean_kw / p,
        size_sd_kw=np.sqrt(size_variance(offers.mean_kw, offers.variance_kw2, p)),
        mean_kw=offers.mean_kw,
        loading=offers.loading,
    )


def check(
    problem: Problem,
    offer: OfferArray,
    law: Law | None = None,
    *,
    common_z: float | None = None,
    samples: int = 4_000,
    seed: int = 0,
    most_draws: int = 100_000_000,
) -> ConfidenceCheck:
    """The confidence of a call list by simulation; the law is the problem's own if none is given.

    `common_z` is that of a plan within a budget. Fewer samples are drawn than asked for where they
    would be more than `most_draws` numbers. Repeatable by the seed.

    Raises:
        InvalidProblem: the law is not of this problem's offers, slots and customers.
    """
    law = law_of(problem) if law is None else law
    _check_law(problem, law)
    network = problem.network
    nodes, slots = np.nonzero(network.needed)
    called = np.flatnonzero(offer != NOT_CALLED)
    size = max(1, called.size)
    samples = min(samples, max(_LEAST_SAMPLES, most_draws // size))
    samples = min(samples, max(_LEAST_SAMPLES, _MOST_KEPT // max(1, nodes.size)))
    z = network.z if common_z is None else np.full(network.count, common_z)
    target = probability(z)
    given = _drawn(problem, offer, law, called, nodes, slots, samples, seed)
    over = given - network.need_kw[nodes, slots]
    share = (over >= 0.0).mean(axis=0)
    normal = referee.figures(problem, offer, z)
    least = np.array(
        [
            np.quantile(given[:, k], 1.0 - target[v], method="inverted_cdf")
            for k, v in enumerate(nodes.tolist())
        ]
    )
    shape = network.need_kw.shape
    told, width, quantiles = np.ones(shape), np.zeros(shape), np.full(shape, np.nan)
    told[nodes, slots] = share
    width[nodes, slots] = referee.NINETY_FIVE * np.sqrt(share * (1.0 - share) / samples)
    quantiles[nodes, slots] = least
    found = ConfidenceCheck(
        probability=told,
        half_width=width,
        normal_probability=normal.probability,
        quantile_kw=quantiles,
        joint_probability=float((over >= 0.0).all(axis=1).mean()),
        samples=samples,
        warnings=(),
    )
    return _warned(problem, found, given, normal, target)


def _check_law(problem: Problem, law: Law) -> None:
    """Notes columns of a law that do not have a value for each offer, slot or customer."""
    checks, m = Checks(), problem.offers.count
    slots, count = problem.network.slot_count, problem.customers.count
    shapes = {(m, 1), (m, slots)}
    for name in ("size_kw", "size_sd_kw", "mean_kw"):
        shape = getattr(law, name).shape
        message = f"has shape {shape}; must have {m} rows, and 1 or {slots} columns"
        checks.require(shape in shapes, f"law.{name}", message)
    shape = law.acceptance.shape
    checks.require(shape == (m,), "law.acceptance", f"has shape {shape}; must have {m} values")
    if law.loading is not None:
        good = law.loading.ndim == 2 and law.loading.shape[0] == m
        message = f"has shape {law.loading.shape}; must have {m} rows"
        checks.require(good, "law.loading", message)
    if law.outage_group is not None:
        shape = law.outage_group.shape
        message = f"has shape {shape}; must have {count} values"
        checks.require(shape == (count,), "law.outage_group", message)
    checks.finish()


def _drawn(
    problem: Problem,
    offer: OfferArray,
    law: Law,
    called: IndexArray,
    nodes: IndexArray,
    slots: IndexArray,
    samples: int,
    seed: int,
) -> FloatArray:
    """What is given towards each need in each sample, less what the need itself varies, (K, R)."""
    network, random = problem.network, np.random.default_rng(seed)
    first, last = network.span
    place = first[problem.customers.nodes[called]]
    order = np.argsort(place, kind="stable")
    called, place = called[order], place[order]
    taken = offer[called]
    # Those below a node stand in a row, so that a need's sum is a difference of running sums.
    edges = np.searchsorted(place, np.stack((first[nodes], last[nodes])))
    chance, loading = law.acceptance[taken], law.loading
    sizes, deviations, means = (
        np.broadcast_to(v, (v.shape[0], network.slot_count))[taken]
        for v in (law.size_kw, law.size_sd_kw, law.mean_kw)
    )
    group = np.zeros(called.size, np.int64)
    if law.outage_group is not None:
        group = law.outage_group[called]
    groups, group = np.unique(group, return_inverse=True)
    shocks = 0 if loading is None else loading.shape[1]
    shared = np.zeros((nodes.size, shocks))
    if loading is not None:
        running = _running(loading[taken][:, :, None] * means[:, None, :])
        shared = (running[edges[1], :, slots] - running[edges[0], :, slots]).reshape(-1, shocks)
    given = np.empty((samples, nodes.size))
    step = max(1, _CHUNK // max(1, called.size))
    for begin in range(0, samples, step):
        some = given[begin : begin + step]
        k = some.shape[0]
        factor = (random.random((k, called.size)) < chance).astype(np.float64)
        if law.outage_probability > 0.0:
            arrived = random.random((k, groups.size)) >= law.outage_probability
            factor *= arrived[:, group]
        e = _student(random, law.degrees_of_freedom, (k, called.size))
        shock = _student(random, law.shock_degrees_of_freedom, (k, shocks))
        some[:] = shock @ shared.T
        some -= random.standard_normal(some.shape) * network.spread_kw[nodes, slots]
        for s in np.unique(slots).tolist():
            own = slots == s
            running = _running((factor * (sizes[:, s] + deviations[:, s] * e)).T)
            some[:, own] += (running[edges[1, own]] - running[edges[0, own]]).T
    return given


def _running(values: FloatArray) -> FloatArray:
    """The sums of the first so many rows, from none to all of them."""
    sums = np.zeros((values.shape[0] + 1, *values.shape[1:]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums


def _student(random: np.random.Generator, degrees: float, shape: tuple[int, ...]) -> FloatArray:
    """Numbers of deviation 1 by Student's t, or normal ones."""
    if degrees == inf:
        return random.standard_normal(shape)
    return random.standard_t(degrees, shape) * sqrt((degrees - 2.0) / degrees)


def _warned(
    problem: Problem,
    found: ConfidenceCheck,
    given: FloatArray,
    normal: referee.Figures,
    target: FloatArray,
) -> ConfidenceCheck:
    """The check with its warnings."""
    network = problem.network
    nodes, slots = np.nonzero(network.needed)
    warnings = []
    for k, (v, s) in enumerate(zip(nodes.tolist(), slots.tolist(), strict=True)):
        share, asked = float(found.probability[v, s]), float(target[v])
        error = 3.0 * sqrt(max(share * (1.0 - share), 1.0 / found.samples) / found.samples)
        # What was not secured by the normal model either is told by the plan itself.
        asked = min(asked, float(normal.probability[v, s]))
        if share + error + MARGIN * (1.0 - asked) >= asked:
            continue
        missing = max(0.0, float(network.need_kw[v, s] - found.quantile_kw[v, s]))
        model = sqrt(float(normal.variance_kw2[v, s]))
        missed = _missed(given[:, k], model, float(normal.mean_kw[v, s]))
        message = (
            f"{network.name(v)}, slot {s}: the need is met in {share:.1%} of cases and not in"
            f" {asked:.1%}; {missing:.6g} kW are missing. {missed}"
        )
        warnings.append(
            Warned(
                node=v,
                slot=s,
                target=float(target[v]),
                found=share,
                missing_kw=missing,
                message=message,
            )
        )
    return ConfidenceCheck(
        probability=found.probability,
        half_width=found.half_width,
        normal_probability=found.normal_probability,
        quantile_kw=found.quantile_kw,
        joint_probability=found.joint_probability,
        samples=found.samples,
        warnings=tuple(warnings),
    )


def _missed(given: FloatArray, model_sd: float, model_mean: float) -> str:
    """What the normal model misses of samples, in words."""
    mean, sd = float(given.mean()), max(float(given.std()), 1e-300)
    low, high = np.quantile(given, (0.25, 0.75)).tolist()
    said = []
    # By quartiles, since the deviation of samples of a heavy tail is itself uncertain.
    spread = (high - low) / _QUARTILES
    if spread > _WIDER * model_sd:
        said.append(
            f"The reduction deviates by {spread:.4g} kW where the normal model says"
            f" {model_sd:.4g}: something shared by many is not declared as a shock."
        )
    if mean < model_mean - 3.0 * sd / sqrt(given.size):
        said.append(f"The mean is {mean:.4g} kW where the normal model says {model_mean:.4g}.")
    if not said:
        scaled = (given - mean) / sd
        tail, skew = float((scaled**4).mean()) - 3.0, float((scaled**3).mean())
        said.append(
            f"The spread is as the normal model says, but its tails are heavier (excess kurtosis"
            f" {tail:.2g}, skewness {skew:.2g})."
        )
    return " ".join(said)
