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

from dataclasses import dataclass
from math import gcd

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import referee
from loadloom.models.orderly.ability import offered
from loadloom.models.orderly.problem import Kind, LegalOrder, Plan, Problem
from loadloom.models.orderly.solution import OrderlyOptions, Road, Solution, Stage
from loadloom.models.orderly.week import BoolArray, IntArray
from loadloom.solvers.termination import Reason, Termination

_OPTIMAL_GAP = 1e-9


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Group:
    """Equals: the users, and in each slot of the week what one of them relieves and loses by it.

    `relief_kw` is what is expected, (T,), and 0 where nobody may be called; `loss` the cost of the
    lost load of a whole slot, (T,).
    """

    users: IntArray
    relief_kw: FloatArray
    loss: FloatArray


def solve_rota(problem: Problem, options: OrderlyOptions) -> Solution:
    """The rota of equal users that covers the shortage: in every slot as few off as suffice.

    Users of a group take turns among themselves; without groups all are one. Where burdens are
    carried, those who carry least come first.

    Raises:
        InvalidProblem: users of a group are not equal, or a rule does not let them take turns slot
            by slot.
    """
    numbers = _numbers(problem)
    of_group = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    _check(problem, of_group)
    measures, may = _measures(problem), offered(problem)
    groups = [_group(problem, users, int(measures[users[0]]), may) for users in of_group]
    counts, least = _cover(problem, groups)
    off = np.zeros((problem.users.count, counts.shape[1]), np.bool_)
    for group, needed in zip(groups, counts, strict=True):
        rows = _off(needed, group.users.size)
        off[_first_come(problem, group.users, rows)] = rows
    plan = _plan(problem, off)
    whole, feeders = referee.unserved_kw(problem, plan)
    objective = referee.cost(problem, plan).total
    bound = min(least, objective)
    closed = objective - bound <= _OPTIMAL_GAP * max(1.0, abs(objective))
    return Solution(
        termination=Termination(
            reason=Reason.OPTIMAL if closed else Reason.FEASIBLE, objective=objective, bound=bound
        ),
        road=Road.ROTA,
        proof=Proof.DYNAMIC_PROGRAM,
        plan=plan,
        unserved_kw=whole,
        feeder_unserved_kw=feeders,
        stages=(spread_stage(problem, plan),),
        seed=options.seed,
    )


def spread_stage(problem: Problem, plan: Plan) -> Stage:
    """By how many slots users of a group differ at most, and the least that is possible."""
    off = np.zeros(problem.users.count, np.int64)
    np.add.at(off, plan.user, plan.slot_count)
    numbers = _numbers(problem)
    slots = [off[numbers == number] for number in np.unique(numbers)]
    widest = max((int(mine.max() - mine.min()) for mine in slots), default=0)
    least = max((int(mine.sum() % mine.size > 0) for mine in slots), default=0)
    return Stage(name="spread of slots off", unit="slots", value=float(widest), bound=float(least))


def _numbers(problem: Problem) -> IntArray:
    """The number of each user's group, (N,), in the order of their names."""
    if not problem.users.group:
        return np.zeros(problem.users.count, np.int64)
    return np.unique(np.array(problem.users.group), return_inverse=True)[1].reshape(-1)


def _group(problem: Problem, users: IntArray, measure: int, may: BoolArray) -> _Group:
    """What one of some equal users relieves and loses in each slot, by the measure of the first."""
    first, hours = int(users[0]), problem.week.slot_h.reshape(-1)
    free = np.maximum(problem.users.load_kw[first] - problem.users.protected_kw[first], 0.0)
    power = np.minimum(free.reshape(-1), problem.measures.cap_kw[measure])
    power = np.where(_open(problem, first, measure) & may[measure], power, 0.0)
    return _Group(
        users=users,
        relief_kw=power * problem.users.compliance[first],
        loss=power * hours * problem.measures.cost_per_kwh[measure],
    )


def _open(problem: Problem, user: int, measure: int) -> BoolArray:
    """The slots of the week, (T,), in which a user may be called by its measure."""
    slots = problem.week.slot_h > 0.0
    slots &= problem.users.callable_days[user][:, None]
    if problem.measures.allowed is not None:
        slots &= problem.measures.allowed[measure]
    if problem.now is not None:
        notice = problem.measures.notice[measure]
        slots &= problem.notice_deadline_h[notice] >= problem.week.hours_until(problem.now) - 1e-9
    return slots.reshape(-1)


def _cover(problem: Problem, groups: list[_Group]) -> tuple[IntArray, float]:
    """How many of each group are off in each slot, (G, T), and what that costs without starts.

    A slot's covers are built up group by group; of those that relieve no more for no less, none is
    kept.
    """
    hours = problem.week.slot_h.reshape(-1)
    short = problem.shortage.shortage_kw.reshape(-1)
    price = problem.shortage.unserved_price_per_kwh
    counts, total = np.zeros((len(groups), hours.size), np.int64), 0.0
    for t in np.flatnonzero((short > 0.0) & (hours > 0.0)).tolist():
        relief, loss = np.zeros(1), np.zeros(1)
        chosen = np.zeros((1, 0), np.int64)
        for group in groups:
            power = group.relief_kw[t]
            most = min(group.users.size, _ceil(short[t] / power)) if power > 0.0 else 0
            number = np.tile(np.arange(most + 1), relief.size)
            before = np.repeat(np.arange(relief.size), most + 1)
            relief = np.minimum(relief[before] + number * power, short[t])
            loss = loss[before] + number * group.loss[t]
            chosen = np.column_stack((chosen[before], number))
            kept = _undominated(relief, loss)
            relief, loss, chosen = relief[kept], loss[kept], chosen[kept]
        cost = loss + price * hours[t] * np.maximum(short[t] - relief, 0.0)
        best = int(np.argmin(cost))
        counts[:, t] = chosen[best]
        total += float(cost[best])
    return counts, total


def _undominated(relief: FloatArray, loss: FloatArray) -> IntArray:
    """The covers than which none relieves more for no more, most relief first."""
    order = np.lexsort((loss, -relief))
    cheapest = np.minimum.accumulate(np.concatenate(([np.inf], loss[order][:-1])))
    return order[loss[order] < cheapest]


def _ceil(number: float) -> int:
    return int(np.ceil(number - 1e-9))


def _off(needed: IntArray, user_count: int) -> BoolArray:
    stages = np.unique(needed)
    if stages.size == 1:
        return rota(user_count, needed.size) < stages[0]
    return balanced(needed, user_count)


def _first_come(problem: Problem, users: IntArray, rows: BoolArray) -> IntArray:
    """The user of each row of a rota: whoever carries least has a row with most slots off."""
    carried = problem.users.carried_burden[users]
    found = np.empty_like(users)
    if np.ptp(carried) == 0.0:  # the stages of a published rota lie within each other
        return users
    found[np.argsort(-rows.sum(axis=1), kind="stable")] = users[np.argsort(carried, kind="stable")]
    return found


def _measures(problem: Problem) -> IntArray:
    """The one measure of each user, (N,)."""
    measure = np.empty(problem.users.count, np.int64)
    measure[problem.measures.user] = np.arange(problem.users.count)
    return measure


def _plan(problem: Problem, off: BoolArray) -> Plan:
    """Runs of slots off, day by day, as events of each user's one measure."""
    count = problem.users.count
    shaped = off.reshape(count, *problem.week.shape)
    padded = np.pad(shaped.astype(np.int8), ((0, 0), (0, 0), (1, 1)))
    change = np.diff(padded, axis=2)
    user, day, first = np.nonzero(change == 1)
    _, _, end = np.nonzero(change == -1)
    nobody = np.full(count, -1)
    return Plan(
        user=user,
        day=day,
        measure=_measures(problem)[user],
        first_slot=first,
        slot_count=end - first,
        rest_day=nobody,
        rest_measure=nobody.copy(),
    )


def _check(problem: Problem, of_group: list[IntArray]) -> None:
    """Raises InvalidProblem unless users of a group are equal and may take turns slot by slot."""
    checks, users, measures = Checks(), problem.users, problem.measures
    checks.require(
        measures.count == users.count and np.unique(measures.user).size == users.count,
        "measures",
        "must be one for each user of a rota",
    )
    checks.finish()
    its = _measures(problem)
    allowed = np.ones((users.count, 1), np.bool_)
    if measures.allowed is not None:
        allowed = measures.allowed[its].reshape(users.count, -1)
    equal = {
        "users.load_kw": users.load_kw.reshape(users.count, -1),
        "users.protected_kw": users.protected_kw.reshape(users.count, -1),
        "users.compliance": users.compliance[:, None],
        "users.callable_days": users.callable_days,
        "measures.cap_kw": measures.cap_kw[its][:, None],
        "measures.cost_per_kwh": measures.cost_per_kwh[its][:, None],
        "measures.notice": measures.notice[its][:, None],
        "measures.allowed": allowed,
        "ability.least_scores": offered(problem)[its][:, None],
    }
    where = " of a group" if problem.users.group else ""
    for path, column in equal.items():
        values = column.astype(np.float64)
        same = all(_same(values[mine]) for mine in of_group)
        checks.require(same, path, f"differs between users{where}; a rota is for equals")
    days, slots = problem.week.shape
    mixed = problem.legal_order is LegalOrder.STRICT and np.unique(measures.kind).size > 1
    free = {
        "users.max_days": np.all(users.max_days >= days),
        "users.min_gap_days": np.all(users.min_gap_days == 0),
        "users.max_events_per_day": np.all(users.max_events_per_day >= (slots + 1) // 2),
        "users.feeder": np.all(users.feeder < 0),
        "measures.kind": np.all(measures.kind != Kind.REST),
        "measures.min_slots": np.all(measures.min_slots == 1),
        "measures.max_slots": np.all(measures.max_slots >= slots),
        "measures.ramp_kw": np.all(np.isinf(measures.ramp_kw)),
        "measures.rebound_share": np.all(measures.rebound_share == 0.0),
        "legal_order": not mixed,
    }
    for path, good in free.items():
        message = "sets a rule that a rota, whose users take turns slot by slot, cannot keep"
        checks.require(bool(good), path, message)
    checks.finish()


def _same(values: FloatArray) -> bool:
    """Whether all rows are those of the first, but for rounding; infinite ones are alike."""
    first = np.broadcast_to(values[:1], values.shape)
    return bool(np.all((values == first) | (np.abs(values - first) <= 1e-9 * np.abs(first))))
