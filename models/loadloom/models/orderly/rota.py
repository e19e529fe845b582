"""Equal users taking turns: the rota, by construction and with its proof.

Of N equal users, `stage` are off in each slot: those whose place in the slot's order is below
`stage`. The order of slot t is that of users cyclically moved on by shift[t], so a user's place in
it is (user - shift[t]) mod N, and what stage k switches off, stage k + 1 switches off as well.

Whole rounds of N slots take every shift once, so that each user is off exactly k times a round. The
R slots left over take the shifts floor(j * N / R): such points are spread so evenly over the
circle that any k places in a row hold floor or ceil of k * R / N of them. Hours off therefore
differ by at most one slot between users, at every stage. Within rounds shifts advance by the whole
number nearest below N / 2 that shares no factor with N, so that nobody is off twice in a row while
few are.
"""

from math import gcd

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.checks import Checks
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import Kind, Plan, Problem
from loadloom.models.orderly.solution import OrderlyOptions, Road, Solution
from loadloom.models.orderly.week import BoolArray, IntArray
from loadloom.solvers.termination import Reason, Termination


def rota(user_count: int, slot_count: int) -> IntArray:
    """The place of each user in the order of each slot, (users, slots); off if below the stage."""
    rounds, left = divmod(slot_count, user_count)
    step = next(s for s in range(max(1, user_count // 2), 0, -1) if gcd(s, user_count) == 1)
    whole = (np.arange(rounds * user_count) * step) % user_count
    rest = (np.arange(left) * user_count) // max(left, 1)
    shift = np.concatenate((whole, rest))
    return (np.arange(user_count)[:, None] - shift[None, :]) % user_count


def balanced(needed: IntArray, user_count: int) -> BoolArray:
    """Who is off in each slot, (users, slots), if `needed` differ from slot to slot.

    Those who were off least go first, in cyclic order; counts never differ by more than one, since
    whoever is at the higher count waits until nobody is at the lower.
    """
    off = np.zeros((user_count, needed.size), np.bool_)
    counts, turn = np.zeros(user_count, np.int64), 0
    for t, number in enumerate(needed):
        order = np.lexsort(((np.arange(user_count) - turn) % user_count, counts))
        chosen = order[:number]
        off[chosen, t] = True
        counts[chosen] += 1
        if number:
            turn = (int(chosen[-1]) + 1) % user_count
    return off


def solve_rota(problem: Problem, options: OrderlyOptions) -> Solution:
    """The rota of equal users that covers the shortage: in every slot as few off as suffice.

    Raises:
        InvalidProblem: users are not equal, or a rule does not let them take turns slot by slot.
    """
    _check(problem)
    users, hours = problem.users, problem.week.slot_h.reshape(-1)
    power = (users.load_kw[0] - users.protected_kw[0]).reshape(-1).clip(0.0)
    power = np.minimum(power, problem.measures.cap_kw[0]) * users.compliance[0]
    short = problem.shortage.shortage_kw.reshape(-1)
    needed = np.where(
        (short > 0.0) & (power > 0.0) & (hours > 0.0),
        np.ceil(short / np.maximum(power, 1e-12) - 1e-9),
        0.0,
    )
    needed = np.minimum(needed, users.count).astype(np.int64)
    off = _off(needed, users.count)
    plan = _plan(problem, off)
    whole, feeders = referee.unserved_kw(problem, plan)
    objective = referee.cost(problem, plan).total
    return Solution(
        termination=Termination(reason=Reason.FEASIBLE, objective=objective, bound=_bound(problem)),
        road=Road.ROTA,
        proof=Proof.NONE,
        plan=plan,
        unserved_kw=whole,
        feeder_unserved_kw=feeders,
        seed=options.seed,
    )


def _off(needed: IntArray, user_count: int) -> BoolArray:
    stages = np.unique(needed)
    if stages.size == 1:
        return rota(user_count, needed.size) < stages[0]
    return balanced(needed, user_count)


def _bound(problem: Problem) -> float:
    """What even all users off in every slot would leave unserved, priced."""
    users = problem.users
    free = np.maximum(users.load_kw - users.protected_kw, 0.0)
    relief = np.minimum(free, problem.measures.cap_kw[0]) * users.compliance[0]
    least = np.maximum(problem.shortage.shortage_kw - relief.sum(axis=0), 0.0)
    kwh = float((least * problem.week.slot_h).sum())
    return problem.shortage.unserved_price_per_kwh * kwh


def _plan(problem: Problem, off: BoolArray) -> Plan:
    """Runs of slots off, day by day, as events of each user's one measure."""
    count = problem.users.count
    shaped = off.reshape(count, *problem.week.shape)
    padded = np.pad(shaped.astype(np.int8), ((0, 0), (0, 0), (1, 1)))
    change = np.diff(padded, axis=2)
    user, day, first = np.nonzero(change == 1)
    _, _, end = np.nonzero(change == -1)
    measure = np.empty(count, np.int64)
    measure[problem.measures.user] = np.arange(count)
    nobody = np.full(count, -1)
    return Plan(
        user=user,
        day=day,
        measure=measure[user],
        first_slot=first,
        slot_count=end - first,
        rest_day=nobody,
        rest_measure=nobody.copy(),
    )


def _check(problem: Problem) -> None:
    """Raises InvalidProblem unless users are equal and may take turns slot by slot."""
    checks, users, measures = Checks(), problem.users, problem.measures
    checks.require(
        measures.count == users.count and np.unique(measures.user).size == users.count,
        "measures",
        "must be one for each user of a rota",
    )
    checks.finish()
    equal = {
        "users.load_kw": users.load_kw,
        "users.protected_kw": users.protected_kw,
        "users.compliance": users.compliance,
        "measures.cap_kw": measures.cap_kw,
    }
    for path, values in equal.items():
        same = bool(np.all(np.abs(values - values[:1]) <= 1e-9 * np.abs(values[:1])))
        checks.require(same, path, "differs between users; a rota is for equals")
    days, slots = problem.week.shape
    free = {
        "users.max_days": np.all(users.max_days >= days),
        "users.min_gap_days": np.all(users.min_gap_days == 0),
        "users.max_events_per_day": np.all(users.max_events_per_day >= (slots + 1) // 2),
        "users.callable_days": np.all(users.callable_days),
        "users.feeder": np.all(users.feeder < 0),
        "measures.kind": np.all(measures.kind != Kind.REST),
        "measures.min_slots": np.all(measures.min_slots == 1),
        "measures.max_slots": np.all(measures.max_slots >= slots),
        "measures.ramp_kw": np.all(np.isinf(measures.ramp_kw)),
        "measures.rebound_share": np.all(measures.rebound_share == 0.0),
        "measures.allowed": measures.allowed is None or np.all(measures.allowed),
        "announced": problem.announced is None,
        "now": problem.now is None,
    }
    for path, good in free.items():
        message = "sets a rule that a rota, whose users take turns slot by slot, cannot keep"
        checks.require(bool(good), path, message)
    checks.finish()
