"""A week as choosers and rows for `solvers.coupled`, and their patterns as a plan.

Users come in the order of the published tie-break, best ability first and then by a hash of seed
and name, so that the order in which a caller lists them decides nothing.
"""

from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.ability import ability, offered
from loadloom.models.orderly.problem import Kind, Plan, Problem
from loadloom.models.orderly.week import BoolArray, IntArray
from loadloom.solvers.coupled.oracle import Oracle, Rows
from loadloom.solvers.kernels.choosers import CLOSED, FREE, LISTED, Codes, Turns

_SCORE_DIGITS = 9  # scores that differ by rounding alone are equal


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """The oracle and rows of a problem, and whose they are.

    `user` is the index of each chooser's user, (N,); `measure` that of each option, (M,).
    """

    oracle: Oracle
    rows: Rows
    user: IntArray
    measure: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lists:
    """What an announced plan leaves to choose."""

    mode: NDArray[np.uint8]
    start: IntArray
    codes: Codes
    forced: BoolArray


def tie_break(problem: Problem, seed: int) -> IntArray:
    """The users in the order of the published tie-break, (N,)."""
    score = np.round(ability(problem).score, _SCORE_DIGITS)
    key = seed.to_bytes(8, "little", signed=True)
    digests = [
        int.from_bytes(blake2b(name.encode(), key=key, digest_size=8).digest(), "little")
        for name in problem.users.names
    ]
    return np.lexsort((np.array(digests, np.uint64), -score))


def choices(
    problem: Problem,
    *,
    seed: int = 0,
    pool: Executor | None = None,
    budget: IntArray | None = None,
    budgets_kwh: FloatArray | None = None,
    budget_price: float = 0.0,
    counted: Kind | None = None,
    unserved_price: float | None = None,
    burden_cap: FloatArray | None = None,
    nothing_costs: bool = False,
) -> Choices:
    """The choosers and rows of a problem.

    `budget` names for each measure the budget that its energy counts against, -1 for none; those of
    `budgets_kwh` may be passed at `budget_price` a kWh. With `counted`, a kWh of that kind costs 1
    and all else nothing, with `nothing_costs` not even that; `unserved_price` takes the place of
    the problem's. No week may bring a burden above its user's `burden_cap`.
    """
    user = tie_break(problem, seed)
    place = np.empty_like(user)
    place[user] = np.arange(user.size)
    measure = np.argsort(place[problem.measures.user], kind="stable")
    counts = np.bincount(place[problem.measures.user], minlength=user.size)
    start = np.concatenate(([0], np.cumsum(counts)))
    turns = _turns(problem, user, measure, start, budget)
    if counted is not None or nothing_costs:
        which = -1 if counted is None else int(counted)
        turns = _counting(turns, problem.measures.kind[measure] == which)
    if burden_cap is not None:
        left = np.maximum(burden_cap - problem.users.carried_burden, 0.0)
        turns = turns._replace(limit=np.ascontiguousarray(left[user]))
    most = np.zeros(0) if budgets_kwh is None else budgets_kwh
    rows = _rows(problem, most, budget_price, unserved_price)
    oracle = Oracle(
        turns=turns,
        line_count=1 + problem.shortage.feeder_count,
        budget_count=most.size,
        pool=pool,
    )
    return Choices(oracle=oracle, rows=rows, user=user, measure=measure)


def _counting(turns: Turns, counted: BoolArray) -> Turns:
    """The same where nothing costs but the energy of some options."""
    return turns._replace(
        factor=np.ones_like(turns.factor),
        rank=np.ones(1),
        rank_class=np.zeros_like(turns.rank_class),
        rate=counted.astype(np.float64),
        start=np.zeros_like(turns.start),
    )


def _rows(
    problem: Problem, budgets_kwh: FloatArray, budget_price: float, unserved_price: float | None
) -> Rows:
    hours = problem.week.slot_h.reshape(-1)
    lines = 1 + problem.shortage.feeder_count
    price = unserved_price or problem.shortage.unserved_price_per_kwh
    demand = [problem.shortage.shortage_kw.reshape(-1)]
    demand += [feeder.reshape(-1) for feeder in _feeders(problem)]
    return Rows(
        demand=np.concatenate((*demand, -budgets_kwh)),
        penalty=np.concatenate(
            (np.tile(price * hours, lines), np.full(budgets_kwh.size, budget_price))
        ),
    )


def _feeders(problem: Problem) -> FloatArray:
    feeders = problem.shortage.feeder_shortage_kw
    return np.zeros((0, *problem.week.shape)) if feeders is None else feeders


def _turns(
    problem: Problem, user: IntArray, measure: IntArray, start: IntArray, budget: IntArray | None
) -> Turns:
    users, measures, week = problem.users, problem.measures, problem.week
    days, slots = week.shape
    free = np.maximum(users.load_kw - users.protected_kw, 0.0)
    rank = np.unique(problem.gamma)
    lists = _lists(problem, user, measure, start)
    pauses = _pauses(problem, user, measure, start)
    if measures.allowed is None:
        allowed = np.zeros((0, days * slots), np.bool_)
    else:
        allowed = np.ascontiguousarray(measures.allowed.reshape(-1, days * slots)[measure])

    def of_user(column: NDArray) -> NDArray:
        return np.ascontiguousarray(column[user])

    def of_measure(column: NDArray) -> NDArray:
        return np.ascontiguousarray(column[measure])

    none = np.full(measure.size, -1)
    return Turns(
        step_count=slots,
        length=week.slot_h.reshape(-1),
        usual_length=week.usual_slot_h,
        height=of_user(free.reshape(users.count, -1)),
        weight=of_user(users.compliance),
        line=of_user(users.feeder) + 1,
        most_turns=of_user(np.minimum(users.max_days, days)),
        most_windows=of_user(np.minimum(users.max_events_per_day, (slots + 1) // 2)),
        gap=of_user(users.min_gap_days),
        factor=of_user(problem.history_weight),
        rank=rank,
        rank_class=np.searchsorted(rank, problem.gamma),
        mode=lists.mode,
        option_start=start,
        cap=of_measure(measures.cap_kw),
        rate=of_measure(measures.cost_per_kwh),
        start=of_measure(measures.start_cost),
        shortest=of_measure(measures.min_slots),
        longest=of_measure(np.minimum(measures.max_slots, slots)),
        rise=of_measure(measures.ramp_kw),
        back_share=of_measure(measures.rebound_share),
        back_steps=of_measure(measures.rebound_slots),
        earliest=of_measure(earliest_slots(problem)),
        pausing=of_measure(measures.kind == Kind.REST),
        budget=none if budget is None else of_measure(budget),
        use=of_measure(measures.burden_weight / users.contract_kwh[measures.user]),
        limit=np.full(user.size, np.inf),
        allowed=allowed,
        listed_start=lists.start,
        listed=lists.codes,
        listed_forced=lists.forced,
        **pauses,
    )


def earliest_slots(problem: Problem) -> IntArray:
    """The first slot of the week in which an event of each measure may begin."""
    starts = problem.week.start_h.reshape(-1)
    if problem.now is None:
        first = np.zeros(problem.measures.count, np.int64)
    else:
        now_h = problem.week.hours_until(problem.now)
        deadlines_h = problem.notice_deadline_h.reshape(-1, starts.size)
        first = np.array([np.searchsorted(row, now_h - 1e-9) for row in deadlines_h])
        first = first[problem.measures.notice]
    return np.where(offered(problem), first, starts.size)


def _lists(problem: Problem, user: IntArray, measure: IntArray, start: IntArray) -> _Lists:
    days, slots = problem.week.shape
    count, plan = user.size, problem.announced
    mode = np.where(problem.users.callable_days[user], FREE, CLOSED).astype(np.uint8)
    none = np.zeros(0, np.int64)
    if plan is None or problem.now is None or not plan.event_count:
        start_of = np.zeros(count * days + 1, np.int64)
        return _Lists(
            mode=mode, start=start_of, codes=none.astype(np.int32), forced=none.astype(np.bool_)
        )
    place = np.empty_like(user)
    place[user] = np.arange(count)
    option = np.empty_like(measure)
    option[measure] = np.arange(measure.size)
    who = place[plan.user]
    begin_h = problem.week.start_h[plan.day, plan.first_slot]
    begun = begin_h <= problem.week.hours_until(problem.now) + 1e-9
    kept = begun | problem.users.callable_days[plan.user, plan.day]
    mode[who, plan.day] = LISTED
    local = option[plan.measure] - start[who]
    codes = (local * slots + plan.first_slot) * slots + plan.slot_count - 1
    order = np.lexsort((plan.first_slot, who * days + plan.day))
    order = order[kept[order]]
    sizes = np.bincount((who * days + plan.day)[order], minlength=count * days)
    return _Lists(
        mode=mode,
        start=np.concatenate(([0], np.cumsum(sizes))),
        codes=codes[order].astype(np.int32),
        forced=begun[order],
    )


def _pauses(
    problem: Problem, user: IntArray, measure: IntArray, start: IntArray
) -> dict[str, NDArray]:
    """The rest days to which each chooser may move, in the columns of `Turns`."""
    measures, users, week = problem.measures, problem.users, problem.week
    resting = np.flatnonzero(measures.kind[measure] == Kind.REST)
    who = np.searchsorted(start, resting, side="right") - 1
    turn, entry = _crossed(week.day_count, resting)
    owner = user[who[entry]]
    option = resting[entry]
    usual = users.usual_rest_day[owner]
    begins = week.start_h[:, 0]
    first_h = np.minimum(begins[turn], np.where(usual >= 0, begins[usual], np.inf))
    may = users.rest_days[owner, turn] & users.callable_days[owner, turn]
    may &= offered(problem)[measure[option]]
    forced = np.zeros(may.size, np.bool_)
    if problem.now is not None:
        now_h = problem.week.hours_until(problem.now)
        first_day = np.where(usual >= 0, np.minimum(turn, usual), turn)
        notice = measures.notice[measure[option]]
        may &= problem.notice_deadline_h[notice, first_day, 0] >= now_h - 1e-9
        if problem.announced is not None:
            plan = problem.announced
            has = plan.rest_day[owner] >= 0
            same = has & (plan.rest_day[owner] == turn)
            same &= plan.rest_measure[owner] == measure[option]
            forced = same & (first_h <= now_h + 1e-9)
            keep = same & users.callable_days[owner, turn]
            may = np.where(has, keep | forced, may)
    chosen = np.flatnonzero(may)
    sizes = np.bincount(who[entry[chosen]], minlength=user.size)
    return {
        "pause_start": np.concatenate(([0], np.cumsum(sizes))),
        "pause_turn": turn[chosen],
        "pause_back": usual[chosen],
        "pause_option": option[chosen],
        "pause_forced": forced[chosen],
    }


def _crossed(days: int, resting: IntArray) -> tuple[IntArray, IntArray]:
    """Every pair of a day and a place in `resting`, places in order."""
    return np.tile(np.arange(days), resting.size), np.repeat(np.arange(resting.size), days)


def plan_of(problem: Problem, made: Choices, patterns: Codes) -> Plan:
    """The plan that patterns stand for."""
    turns, slots = made.oracle.turns, problem.week.slot_count
    days = problem.week.day_count
    windows = (patterns.shape[1] - 1) // days
    who, at = np.nonzero(patterns[:, :-1] >= 0)
    code = patterns[who, at].astype(np.int64)
    option = turns.option_start[who] + code // (slots * slots)
    columns = np.stack(
        (
            made.user[who],
            at // windows,
            made.measure[option],
            (code // slots) % slots,
            code % slots + 1,
        )
    )
    order = np.lexsort((columns[3], columns[1], columns[0]))
    rest_day, rest_measure = np.full(made.user.size, -1), np.full(made.user.size, -1)
    resting = np.flatnonzero(patterns[:, -1] >= 0)
    entry = turns.pause_start[resting] + patterns[resting, -1]
    rest_day[made.user[resting]] = turns.pause_turn[entry]
    rest_measure[made.user[resting]] = made.measure[turns.pause_option[entry]]
    user, day, measure, first, count = columns[:, order]
    return Plan(
        user=user,
        day=day,
        measure=measure,
        first_slot=first,
        slot_count=count,
        rest_day=rest_day,
        rest_measure=rest_measure,
    )


def patterns_of(problem: Problem, made: Choices, plan: Plan) -> Codes:
    """The patterns that stand for a plan; a rest day that cannot be chosen is left out."""
    turns, slots = made.oracle.turns, problem.week.slot_count
    patterns = made.oracle.nobody()
    windows = (patterns.shape[1] - 1) // problem.week.day_count
    place, option = np.empty_like(made.user), np.empty_like(made.measure)
    place[made.user] = np.arange(made.user.size)
    option[made.measure] = np.arange(made.measure.size)
    who = place[plan.user]
    local = option[plan.measure] - turns.option_start[who]
    code = (local * slots + plan.first_slot) * slots + plan.slot_count - 1
    turn = who * problem.week.day_count + plan.day
    at = _within_turn(turn)
    patterns[who, plan.day * windows + at] = code
    for i in np.flatnonzero(plan.rest_day >= 0):
        c = place[i]
        span = slice(turns.pause_start[c], turns.pause_start[c + 1])
        same = (turns.pause_turn[span] == plan.rest_day[i]) & (
            made.measure[turns.pause_option[span]] == plan.rest_measure[i]
        )
        if same.any():
            patterns[c, -1] = int(np.argmax(same))
    return patterns


def _within_turn(turn: IntArray) -> IntArray:
    """The number of each entry among those of the same turn."""
    order = np.argsort(turn, kind="stable")
    held = turn[order]
    number = np.empty_like(turn)
    number[order] = np.arange(turn.size) - np.searchsorted(held, held)
    return number
