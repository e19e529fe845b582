"""Whether a price schedule is fit for buying together, before the contract is signed.

Where the price g is convex and non-decreasing in u = 1 / load factor, pooling never costs more, and
there are shares that no coalition can improve on. Otherwise there are loads that lose by pooling,
and they are constructed here:

    not convex          u = m * u1 + (1 - m) * u2 with g(u) > m * g(u1) + (1 - m) * g(u2): two users
                        with energies m and 1 - m whose peaks fall together
    convex, but falling g(max(1, u / 2)) > g(u): two users alike whose peaks take turns

For given curves the same is asked of these users alone: what pooling saves, which coalition would
do better by itself, and the least excess, the largest complaint that no way of sharing can avoid.
It is 0 or less exactly if some shares are stable.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.models.agency.audit import TOLERANCE
from loadloom.models.agency.cost import PooledCost, total
from loadloom.models.agency.games import coalition_costs
from loadloom.models.agency.games import least_core as exact_least_core
from loadloom.models.agency.least_core import MOST_GENERATED, generated_least_core
from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.agency.problem import Curves, Peak, SharingRule
from loadloom.models.agency.share_report import MOST_ENUMERATED, Excess, largest_excess, who
from loadloom.models.agency.sharing import share
from loadloom.models.horizon import FloatArray

_GRID = 161
"""The values of u among which a counterexample is looked for, besides kinks and steps."""

_NO_PRICE = 1e-12
"""A price below this is none that a loss could be a share of."""

_GENERATED_VALUES = 40_000
"""The most numbers of load for which a least core is searched for here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """Loads that lose by pooling.

    Attributes:
        step_h: the hours of each slot, (T,); three at most, however low a load factor is.
        load_kw: the users' loads, (n, T).
        alone: what each would pay alone, (n,).
        together: what they pay together.
        text: the same in words.
    """

    step_h: FloatArray
    load_kw: FloatArray
    alone: FloatArray
    together: float
    text: str

    @property
    def loss(self) -> float:
        """What pooling costs them."""
        return self.together - float(self.alone.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """What buying together does for given users.

    Attributes:
        together: what all pay together, F1.
        alone: the sum of what each would pay alone.
        excess: the largest complaint of a coalition at Aumann-Shapley shares.
        coalition_alone: what that coalition would pay alone.
        coalition_shares: what it pays at these shares.
        least_excess_low: no way of sharing has a largest complaint below this.
        least_excess_high: some way of sharing has no larger complaint than this.
        text: the same in words.
    """

    together: float
    alone: float
    excess: Excess
    coalition_alone: float
    coalition_shares: float
    least_excess_low: float
    least_excess_high: float
    text: tuple[str, ...]

    @property
    def saving(self) -> float:
        """What pooling saves all of them; below 0 it loses."""
        return self.alone - self.together


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The diagnosis of a price schedule, for any loads and for those given.

    Attributes:
        reasons: why the schedule is stable, or what makes it unstable.
        counterexample: loads that lose by pooling; None if there are none.
        pooling: what pooling does for the curves given; None without any.
    """

    is_convex: bool
    is_nondecreasing: bool
    reasons: tuple[str, ...]
    counterexample: Counterexample | None
    pooling: Pooling | None

    @property
    def is_stable(self) -> bool:
        """Whether no coalition can ever do better alone."""
        return self.is_convex and self.is_nondecreasing

    @property
    def text(self) -> tuple[str, ...]:
        """The diagnosis in sentences."""
        verdict = "stable" if self.is_stable else "not stable"
        said = [f"The schedule is {verdict}: {reason}." for reason in self.reasons]
        if self.counterexample is not None:
            said.append(self.counterexample.text)
        return (*said, *(() if self.pooling is None else self.pooling.text))


def assess(
    schedule: PriceSchedule, curves: Curves | None = None, peak: Peak | None = None
) -> Assessment:
    """The diagnosis of a price schedule, and of pooling given users under it."""
    pooling = None
    if curves is not None:
        pooling = pool(PooledCost.of(schedule, curves, peak), curves)
    return Assessment(
        is_convex=schedule.is_convex,
        is_nondecreasing=schedule.is_nondecreasing,
        reasons=schedule.reasons,
        counterexample=None if schedule.is_stable else counterexample(schedule),
        pooling=pooling,
    )


def counterexample(schedule: PriceSchedule) -> Counterexample | None:
    """Loads that lose by pooling under a schedule that is not stable, or None if none was found.

    Of all mixtures of two loads on a grid of load factors, kinks and steps, the one that loses most
    of what it costs.
    """
    u = _grid(schedule)
    step_h, loads = _uneven_pair(schedule, u) or _taking_turns(schedule, u)
    cost = PooledCost(schedule=schedule, step_h=step_h)
    alone, together = cost.value(loads), float(cost.value(loads.sum(axis=0)))
    if together <= float(alone.sum()) * (1.0 + TOLERANCE):
        return None
    factors = 1.0 / cost.inverse_load_factor(loads)[:, 0]
    pooled = 1.0 / float(cost.inverse_load_factor(loads.sum(axis=0))[0])
    if np.ptp(factors) <= TOLERANCE:
        users = f"{factors.size} users with a load factor of {factors[0]:.4g} each"
    else:
        users = f"users with load factors of {factors[0]:.4g} and {factors[1]:.4g}"
    costs = " + ".join(f"{one:.4g}" for one in alone)
    return Counterexample(
        step_h=step_h,
        load_kw=loads,
        alone=alone,
        together=together,
        text=f"For example, {users} pay {costs} = {alone.sum():.4g} apart, and {together:.4g}"
        f" together, at a load factor of {pooled:.4g}.",
    )


def _grid(schedule: PriceSchedule) -> FloatArray:
    breaks = np.array([u for u in schedule.breaks if u >= 1.0])
    most = max(4.0, 1.5 * float(breaks.max(initial=1.0)))
    # A step belongs to the side before it; just behind it is where pooling loses most.
    return np.unique(np.concatenate((np.linspace(1.0, most, _GRID), breaks, breaks * (1 + 1e-6))))


def _uneven_pair(schedule: PriceSchedule, u: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Hours and loads of two users whose peaks fall together, their mixture dearest by the energy.

    The peak has a slot of an hour, and what is left of their energy another that is as long as the
    larger u needs.
    """
    price, worst = schedule.value(u), (TOLERANCE, 0, 0, 0.0)
    for mix in np.linspace(0.1, 0.9, 17).tolist():
        apart = mix * price[:, None] + (1.0 - mix) * price
        together = schedule.value(mix * u[:, None] + (1.0 - mix) * u)
        lost = (together - apart) / np.maximum(np.abs(apart), _NO_PRICE)
        one, other = np.unravel_index(int(np.argmax(lost)), lost.shape)
        worst = max(worst, (float(lost[one, other]), int(one), int(other), mix))
    _, one, other, mix = worst
    if mix == 0.0:
        return None
    both = u[[one, other]]
    hours = max(2.0, float(both.max()))
    energy = np.array([mix, 1.0 - mix]) * hours
    at_peak = energy * both / hours
    return np.array([1.0, hours - 1.0]), np.stack(
        (at_peak, (energy - at_peak) / (hours - 1.0)), axis=1
    )


def _taking_turns(schedule: PriceSchedule, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Hours and loads of two users alike but for the slot of their peak, in a slot of an hour each.

    Together they are even up to a u of 2; beyond it they use nothing in a third slot, and their u
    is half of what each has.
    """
    price = schedule.value(u)
    lost = schedule.value(np.maximum(1.0, u / 2.0)) - price
    cheapest = float(u[int(np.argmax(lost / np.maximum(np.abs(price), _NO_PRICE)))])
    high = min(1.0, cheapest / 2.0)
    load = np.array([[high, 1.0 - high, 0.0], [1.0 - high, high, 0.0]])
    if cheapest <= 2.0:
        return np.ones(2), load[:, :2]
    return np.array([1.0, 1.0, cheapest - 2.0]), load


def pool(cost: PooledCost, curves: Curves) -> Pooling:
    """What buying together does for given users."""
    load = curves.load_kw
    shares = share(load, cost, SharingRule.AUMANN_SHAPLEY)
    excess = largest_excess(load, cost, shares)
    low, high = least_excess(cost, curves, excess)
    alone = float(cost.standalone(load).sum())
    theirs = float(shares.share[excess.coalition].sum())
    return Pooling(
        together=shares.cost,
        alone=alone,
        excess=excess,
        coalition_alone=theirs - excess.complaint,
        coalition_shares=theirs,
        least_excess_low=low,
        least_excess_high=high,
        text=(
            _saving_words(shares.cost, alone),
            _coalition_words(excess, theirs, shares.cost, curves),
            _least_words(low, high, shares.cost),
        ),
    )


def least_excess(cost: PooledCost, curves: Curves, excess: Excess) -> tuple[float, float]:
    """Bounds on the largest complaint that no way of sharing can avoid, low and high.

    Both are the same for up to 16 users. For up to 300 the lower one is that of the coalitions that
    matter most, and the upper one an audit of the shares that are best for these; for more, any two
    halves and the Aumann-Shapley shares give bounds. Beyond 16 users the upper one is never below
    0, which is the complaint of nobody.
    """
    load, count = curves.load_kw, curves.count
    if count <= MOST_ENUMERATED:
        found = exact_least_core(coalition_costs(load, cost)).excess
        return found, found
    high = max(0.0, excess.bound)
    low = _of_halves(cost, curves, excess)
    if count <= MOST_GENERATED and load.size <= _GENERATED_VALUES:
        generated = generated_least_core(load, cost)
        high = min(high, max(0.0, generated.bound))
        low = max(low, generated.lowest_excess)
    return min(low, high), high


def _of_halves(cost: PooledCost, curves: Curves, excess: Excess) -> float:
    """What a coalition or all others must complain of, since both together pay for all."""
    everybody, count = total(curves.load_kw), curves.count
    amount = float(cost.value(everybody))
    low = (amount - float(cost.standalone(curves.load_kw).sum())) / count
    if 0 < excess.coalition.size < count:
        theirs = total(curves.load_kw[excess.coalition])
        others = np.maximum(everybody - theirs, 0.0)
        low = max(low, (amount - float(cost.value(theirs)) - float(cost.value(others))) / 2.0)
    return low


def _saving_words(together: float, alone: float) -> str:
    saved = alone - together
    share_ = abs(saved) / abs(alone) if alone else 0.0
    verb = "saves" if saved >= 0.0 else "loses"
    return (
        f"Together these users pay {together:.6g}, and {alone:.6g} if each buys alone: pooling"
        f" {verb} {abs(saved):.6g}, {share_:.2%}."
    )


def _coalition_words(excess: Excess, theirs: float, amount: float, curves: Curves) -> str:
    if excess.bound <= TOLERANCE * abs(amount):
        return "At Aumann-Shapley shares no coalition of them would do better alone, as is proven."
    if excess.complaint <= TOLERANCE * abs(amount):
        return (
            "At Aumann-Shapley shares no coalition was found that would do better alone; none would"
            f" by more than {excess.bound:.6g}."
        )
    return (
        f"At Aumann-Shapley shares {who(excess.coalition, curves.names)} pay {theirs:.6g} and would"
        f" pay {theirs - excess.complaint:.6g} alone, {excess.complaint:.6g} less."
    )


def _least_words(low: float, high: float, amount: float) -> str:
    rounding = TOLERANCE * abs(amount)
    if high <= rounding:
        return "There are shares that no coalition can improve on."
    if low <= rounding:
        return (
            "Whether any shares are stable is not known; some leave no coalition a complaint above"
            f" {high:.6g}."
        )
    between = f"{low:.6g}" if high - low <= 1e-6 * high else f"between {low:.6g} and {high:.6g}"
    return (
        "No shares are stable: however the cost is shared, some coalition pays more than alone, at"
        f" best by {between} (the least excess)."
    )
