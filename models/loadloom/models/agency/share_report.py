"""What is to be known of shares: whether they balance, who would go, and what more load does.

The largest complaint of a coalition, what it pays above what it would pay alone, is found exactly
by looking at all of up to 16 users, and bounded by an audit for more. Under a purchase it is
bounded by the slot prices, if these are the duals of a linear programme that any coalition could
make its own: by duality it pays no less than its load at these prices, less the rent of limits that
it would have for itself. Whether they are is not known here, since a purchase is told by its cost
and prices alone; so nothing is called proven that rests on it.

Whether more load ever lowers a user's share is tried, not proven: users and slots are drawn, the
load there is raised, and the share is found anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadloom.models.agency.audit import audit, bound_at
from loadloom.models.agency.cost import PooledCost, total
from loadloom.models.agency.games import coalition_costs, largest_complaint, members
from loadloom.models.agency.problem import IntArray, LoadArray, Purchase, SharingRule
from loadloom.models.agency.sharing import Shares, share
from loadloom.models.agency.words import MOST_NAMED, listed
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import FloatArray

MOST_ENUMERATED = 16
"""The most users whose coalitions are all looked at for a report."""

TRIALS = 60
"""How often a load is raised to see whether its share falls."""

_GAME_TRIALS, _GAME_USERS = 6, 12
"""The same where each trial solves a game again, and the most users for which it is done."""

_AGAIN = 4_000_000
"""The most numbers of load for which all shares are found again in each trial."""

_ADDITIVE = {SharingRule.AUMANN_SHAPLEY, SharingRule.COINCIDENT_PEAK, SharingRule.ENERGY}
_GAMES = {SharingRule.SHAPLEY, SharingRule.NUCLEOLUS, SharingRule.LEAST_CORE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """The largest complaint of a coalition: what it pays above what it would pay alone.

    Attributes:
        complaint: that of the worst coalition known; below 0 it would lose by going.
        bound: no coalition's complaint is above this; under a purchase only if its slot prices are
            the duals of one that any coalition could make.
        coalition: the users of that coalition, ascending; empty if none was found that complains.
        is_exact: whether all coalitions were looked at.
        slot_price_per_kwh: the prices that prove the bound, by `audit.bound_at`, (T,); None where
            all coalitions were looked at.
    """

    complaint: float
    bound: float
    coalition: IntArray
    is_exact: bool
    slot_price_per_kwh: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monotonicity:
    """Whether more load ever lowered its user's share, as far as was tried.

    Attributes:
        trial_count: how often a load was raised; 0 if it was not tried.
        fall_count: how often the share fell.
        worst_fall: by how much at most, in the currency.
        user: the user of the worst fall; -1 if there was none.
        slot: the slot of the worst fall; -1 if there was none.
        added_kw: the load that was added there.
        how: what was tried, in words.
    """

    trial_count: int
    fall_count: int
    worst_fall: float
    user: int
    slot: int
    added_kw: float
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareReport:
    """What is known of some shares: balance, the largest complaint, monotonicity, and all in words.

    Attributes:
        imbalance: by how much the shares miss cost and rent, relative to them.
        is_stable: whether no coalition would do better alone; None if that is not known.
    """

    rule: SharingRule
    imbalance: float
    excess: Excess
    is_stable: bool | None
    monotonicity: Monotonicity
    text: tuple[str, ...]


def report(
    load_kw: LoadArray,
    cost: PooledCost,
    shares: Shares,
    *,
    purchase: Purchase | None = None,
    names: Sequence[str] = (),
    trials: int = TRIALS,
    seed: int = 0,
) -> ShareReport:
    """The report on shares of users with loads (n, T), found under the same cost or purchase."""
    excess = largest_excess(load_kw, cost, shares, purchase)
    stable = True if purchase is None and excess.bound <= shares.rounding else None
    if excess.complaint > shares.rounding:
        stable = False
    if purchase is None:
        stability = _stability_words(shares, excess, stable, names)
        monotone = monotonicity(load_kw, cost, shares, trials=trials, seed=seed)
    else:
        stability = _purchase_words(shares, excess)
        monotone = _at_given_prices(cost, shares, purchase)
    return ShareReport(
        rule=shares.rule,
        imbalance=shares.imbalance,
        excess=excess,
        is_stable=stable,
        monotonicity=monotone,
        text=(
            _balance_words(shares),
            stability,
            _monotonicity_words(monotone, names),
        ),
    )


def largest_excess(
    load_kw: LoadArray, cost: PooledCost, shares: Shares, purchase: Purchase | None = None
) -> Excess:
    """The largest complaint of a coalition at some shares, exact or with a bound."""
    nobody = np.zeros(0, np.int64)
    if purchase is not None:
        bound = bound_at(load_kw, shares.share, cost, purchase.slot_price_per_kwh)
        bound += max(0.0, purchase.rent)
        price = purchase.slot_price_per_kwh
        return Excess(
            complaint=0.0,
            bound=bound,
            coalition=nobody,
            is_exact=False,
            slot_price_per_kwh=price,
        )
    count = load_kw.shape[0]
    if count <= MOST_ENUMERATED:
        worst, coalition = largest_complaint(coalition_costs(load_kw, cost), shares.share)
        who = members(coalition, count)
        return Excess(complaint=worst, bound=worst, coalition=who, is_exact=True)
    found = audit(load_kw, shares.share, cost)
    return Excess(
        complaint=found.complaint,
        bound=found.bound,
        coalition=found.coalition,
        is_exact=False,
        slot_price_per_kwh=found.slot_price_per_kwh,
    )


def monotonicity(
    load_kw: LoadArray, cost: PooledCost, shares: Shares, *, trials: int = TRIALS, seed: int = 0
) -> Monotonicity:
    """Whether the share of a drawn user falls when its load in a drawn slot is raised."""
    count, game = load_kw.shape[0], shares.rule in _GAMES
    if not total(load_kw).any():
        return _untried("nobody used anything")
    again = game or shares.rule is SharingRule.LEAVE_ONE_OUT
    if (game and count > _GAME_USERS) or (again and load_kw.size > _AGAIN):
        return _untried("all shares would have to be found again for each trial")
    trials = min(trials, _GAME_TRIALS) if again else trials
    generator, everybody = np.random.default_rng(seed), total(load_kw)
    peak, highest = float(everybody.max()), np.argsort(everybody)[::-1]
    alone = cost.standalone(load_kw) if shares.rule is SharingRule.SAVING else np.zeros(0)
    falls, worst = 0, (shares.rounding, -1, -1, 0.0)
    for trial in range(trials):
        user = int(generator.integers(count))
        drawn = int(generator.integers(everybody.size))
        slot = (int(highest[0]), int(highest[min(1, highest.size - 1)]), drawn)[trial % 3]
        # One hundredth of the peak, one tenth, or what moves the peak to this slot.
        to_peak = 1.001 * peak - float(everybody[slot])
        added = (0.01 * peak, 0.1 * peak, to_peak)[trial // 3 % 3]
        after = _share_after(load_kw, cost, shares, everybody, alone, (user, slot, added))
        fall = float(shares.share[user]) - after
        falls += fall > shares.rounding
        worst = max(worst, (fall, user, slot, added))
    fall, user, slot, added = worst
    return Monotonicity(
        trial_count=trials,
        fall_count=falls,
        worst_fall=fall if falls else 0.0,
        user=user,
        slot=slot,
        added_kw=added,
        how="users and slots were drawn, the highest two slots among them, and the load there"
        " raised by 1 % or 10 % of the peak, or by what moves the peak there",
    )


def _share_after(
    load_kw: LoadArray,
    cost: PooledCost,
    shares: Shares,
    everybody: FloatArray,
    alone: FloatArray,
    change: tuple[int, int, float],
) -> float:
    """A user's share after a slot's load was raised; infinite where the rule has none any more."""
    user, slot, added = change
    before = load_kw[user].astype(np.float64)
    own = before.copy()
    own[slot] += added
    if shares.rule in _ADDITIVE:  # all others together pay what they pay apart
        pair = np.stack((own, np.maximum(everybody - before, 0.0)))
        return float(share(pair, cost, shares.rule).share[0])
    if shares.rule is SharingRule.SAVING:
        mine = float(cost.value(own))
        amount = float(cost.value(everybody - before + own))
        return amount * mine / float(alone.sum() - alone[user] + mine)
    changed = load_kw.astype(np.float64)
    changed[user] = own
    try:
        return float(share(changed, cost, shares.rule).share[user])
    except InvalidProblem:  # nobody's leaving saves anything now
        return np.inf


def _untried(why: str) -> Monotonicity:
    return Monotonicity(
        trial_count=0, fall_count=0, worst_fall=0.0, user=-1, slot=-1, added_kw=0.0, how=why
    )


def _at_given_prices(cost: PooledCost, shares: Shares, purchase: Purchase) -> Monotonicity:
    """At the prices of a purchase a share falls with more load where a price is below 0."""
    if shares.rule is not SharingRule.OWEN_DUALS:
        return _untried("what the purchase would cost with more load is not known")
    per_kw = purchase.slot_price_per_kwh * cost.step_h
    slot, falls = int(np.argmin(per_kw)), int((per_kw < 0.0).sum())
    return Monotonicity(
        trial_count=per_kw.size,
        fall_count=falls,
        worst_fall=-float(per_kw[slot]) if falls else 0.0,
        user=-1,
        slot=slot if falls else -1,
        added_kw=1.0 if falls else 0.0,
        how="one more kW in each slot, at the purchase's prices",
    )


def _balance_words(shares: Shares) -> str:
    rent = f" and the rent of {shares.rent:.6g}" if shares.rent else ""
    drawn = (
        ""
        if shares.half_width is None
        else "; no share is off by more than" + (f" {shares.half_width.max():.3g} at its interval")
    )
    return (
        f"{shares.rule.value} shares, found {shares.method}{drawn}. They add up to the cost of"
        f" {shares.cost:.6g}{rent}, but for {shares.imbalance:.1e} of it."
    )


def _stability_words(
    shares: Shares, excess: Excess, stable: bool | None, names: Sequence[str]
) -> str:
    if stable is False:
        alone = float(shares.share[excess.coalition].sum()) - excess.complaint
        rest = "" if excess.is_exact else f", and none by more than {excess.bound:.6g}"
        return (
            f"{who(excess.coalition, names)} would do better alone: they pay"
            f" {excess.complaint:.6g} above the {alone:.6g} they would pay alone{rest}."
        )
    if stable is None:
        return (
            "No coalition was found that would do better alone, and none would by more than"
            f" {excess.bound:.6g}."
        )
    if not excess.is_exact:
        return "No coalition would do better alone; this is proven for all of them."
    if excess.coalition.size == shares.share.size:
        return "There is a single user, who bears the cost."
    return (
        f"No coalition would do better alone; {who(excess.coalition, names)} come nearest and"
        f" would lose {max(0.0, -excess.complaint):.6g}."
    )


def _purchase_words(shares: Shares, excess: Excess) -> str:
    """What its slot prices say of leaving a purchase, and what that rests on."""
    by = "" if excess.bound <= shares.rounding else f" by more than {excess.bound:.6g}"
    return (
        "If the slot prices are the duals of a linear purchase that any coalition could make for"
        f" itself, none would do better alone{by}. Whether they are is not known here."
    )


def _monotonicity_words(found: Monotonicity, names: Sequence[str]) -> str:
    if found.trial_count == 0:
        return f"Whether more load can lower a share was not tried: {found.how}."
    tried = f"In {found.trial_count} trials ({found.how}) "
    if found.fall_count == 0:
        return tried + "more load never lowered its user's share."
    user = "a share" if found.user < 0 else f"the share of {_name(found.user, names)}"
    return tried + (
        f"more load lowered its user's share {found.fall_count} times, at most"
        f" {user} by {found.worst_fall:.6g} for {found.added_kw:.6g} kW more in slot {found.slot}."
    )


def who(coalition: IntArray, names: Sequence[str] = ()) -> str:
    """The users of a coalition in words: all of a few, else the first ones and how many more."""
    said = [_name(int(user), names) for user in coalition[:MOST_NAMED]]
    return listed(said, coalition.size - len(said))


def _name(user: int, names: Sequence[str]) -> str:
    return names[user] if user < len(names) else f"user {user}"
