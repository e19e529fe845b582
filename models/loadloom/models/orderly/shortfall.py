"""What cannot be covered, in the planner's words: a proof from prices, and what keeps power out.

For any set of slots of the whole or of feeders,

    unserved energy >= what they are short of - sum_i the most that user i's weeks can relieve them

since whatever a user does, it relieves them by no more. The prices of a week in which unserved
energy alone costs say which slots to take: those that no week relieves enough.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import order, referee
from loadloom.models.orderly.choices import choices, earliest_slots
from loadloom.models.orderly.problem import FairnessMode, Kind, Notice, Plan, Problem
from loadloom.models.orderly.solution import OrderlyOptions, Solution
from loadloom.models.orderly.solve import solve
from loadloom.models.orderly.week import BoolArray, IntArray
from loadloom.solvers.coupled import dual
from loadloom.solvers.coupled.budget import Budget, Clock, Race

LARGEST = 3
"""So many of the largest powers that a rule keeps out are told by user."""

_SETS = 24  # of slots that are tried for a proof
_EVALUATIONS = 150  # of prices
_SLIGHT_KW = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """The power that a rule keeps out of a slot, and the users to whom most of it belongs."""

    rule: str
    power_kw: float
    largest: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A slot in which something stays unserved; `feeder` is -1 for the whole."""

    feeder: int
    day: int
    slot: int
    unserved_kw: float
    excluded: tuple[Excluded, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShortageProof:
    """Slots that need more than the rules permit: whatever is planned, the rest stays unserved.

    Attributes:
        slots: the slots, the whole first and then each feeder, (1 + F, D, S).
        need_kwh: what is short in them.
        permitted_kwh: the most that the weeks of all users can relieve them by.
    """

    slots: BoolArray
    need_kwh: float
    permitted_kwh: float

    @property
    def missing_kwh(self) -> float:
        """What stays unserved in them at least."""
        return self.need_kwh - self.permitted_kwh


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """A rule, what the week costs without it, how much less that is, and what stays unserved."""

    rule: str
    objective: float
    saved: float
    unserved_kwh: float


def shortage_proof(
    problem: Problem, plan: Plan, options: OrderlyOptions, clock: Clock | None = None
) -> ShortageProof | None:
    """The slots that most surely cannot be covered; None if no set of slots was found to prove it.

    Takes at most the time limit of the options for prices, and some passes over all users.
    """
    made = choices(problem, seed=options.seed, nothing_costs=True, unserved_price=1.0)
    oracle, rows = made.oracle, made.rows
    budget = Budget(clock=clock, time_limit_s=options.time_limit_s if clock else inf)
    race = Race(budget=budget, relative_gap=0.0)
    prices = dual.bundle(oracle, rows, race, most=_EVALUATIONS, tolerance=1e-6).prices
    weight = np.divide(prices, rows.penalty, out=np.zeros_like(prices), where=rows.penalty > 0.0)
    best: ShortageProof | None = None
    for chosen in _sets(problem, plan, weight):
        at = np.where(chosen, rows.penalty, 0.0)
        values, _ = oracle.priced(at)
        proof = ShortageProof(
            slots=chosen.reshape(-1, *problem.week.shape),
            need_kwh=float(at @ rows.demand),
            permitted_kwh=float(-values.sum()),
        )
        if best is None or proof.missing_kwh > best.missing_kwh:
            best = proof
    return best if best is not None and best.missing_kwh > order.EVEN_KWH else None


def _sets(problem: Problem, plan: Plan, weight: FloatArray) -> Iterator[BoolArray]:
    """The sets of short slots to try: all, the unserved, and those of at least some price."""
    whole, feeders = referee.unserved_kw(problem, plan)
    unserved = np.concatenate((whole[None], feeders)).reshape(-1)
    short = _short_kw(problem).reshape(-1) > 0.0
    yield short & (unserved > _SLIGHT_KW)
    yield short
    levels = np.unique(np.round(weight[short & (weight > 1e-6)], 6))
    if levels.size > _SETS:
        levels = levels[np.linspace(0, levels.size - 1, _SETS).astype(np.int64)]
    for level in levels:
        yield short & (weight >= level - 1e-6)


def _short_kw(problem: Problem) -> FloatArray:
    """What is short of the whole and of each feeder, (1 + F, D, S)."""
    whole = problem.shortage.shortage_kw[None]
    feeders = problem.shortage.feeder_shortage_kw
    return whole if feeders is None else np.concatenate((whole, feeders))


def shortage_words(problem: Problem, plan: Plan, proof: ShortageProof | None) -> str:
    """What the week lacks, as a planner would say it; empty if nothing is unserved."""
    left_kwh = order.unserved_kwh(problem, plan)
    if left_kwh <= order.EVEN_KWH:
        return ""
    left = f"the plan leaves {_energy(left_kwh)} unserved"
    if proof is None:
        return f"{left}; whether another could cover more is not proven"
    count = int(np.count_nonzero(proof.slots))
    verb = "needs" if count == 1 else "need"
    return (
        f"{_slots_words(problem, proof.slots)} {verb} {_energy(proof.need_kwh)}, the rules permit "
        f"{_energy(proof.permitted_kwh)}: at least {_energy(proof.missing_kwh)} stay unserved, and "
        f"{left}"
    )


def _slots_words(problem: Problem, slots: BoolArray) -> str:
    """Some slots in words: "6 evenings (Mon, Tue, ..., 18 slots)"."""
    days = np.flatnonzero(slots.any(axis=(0, 2)))
    used = np.flatnonzero(slots.any(axis=(0, 1)))
    first_h, last_h = (used[[0, -1]] + [0.0, 1.0]) * problem.week.usual_slot_h
    part = "evening" if first_h >= 16.0 else "morning" if last_h <= 12.0 else "day"
    names = ", ".join(f"{problem.week.date(int(day)):%a %d %b}" for day in days)
    count = int(np.count_nonzero(slots))
    feeders = [problem.shortage.feeders[f] for f in np.flatnonzero(slots[1:].any(axis=(1, 2)))]
    also = f", feeders {', '.join(feeders)}" if feeders else ""
    plural = "s" if days.size > 1 else ""
    return f"{days.size} {part}{plural} ({names}; {count} slot{'s' * (count > 1)}{also})"


def _energy(kwh: float) -> str:
    return f"{kwh / 1_000.0:,.1f} MWh" if kwh >= 100.0 else f"{kwh:,.1f} kWh"


def shortfalls(problem: Problem, plan: Plan) -> tuple[Shortfall, ...]:
    """Every slot in which something stays unserved, and what is kept out of it by which rule."""
    whole, feeders = referee.unserved_kw(problem, plan)
    unserved = np.concatenate((whole[None], feeders))
    calls = _Calls.of(problem, plan)
    found = []
    for line, day, slot in zip(*np.nonzero(unserved > _SLIGHT_KW), strict=True):
        mine = np.ones(problem.users.count, np.bool_)
        if line:
            mine = problem.users.feeder == line - 1
        found.append(
            Shortfall(
                feeder=int(line) - 1,
                day=int(day),
                slot=int(slot),
                unserved_kw=float(unserved[line, day, slot]),
                excluded=_excluded(problem, calls, mine, int(day), int(slot)),
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Calls:
    """When users are called: relief in each slot, (N, D, S), days with events, (N, D)."""

    relief_kw: FloatArray
    used: BoolArray
    rest_day: IntArray
    earliest: IntArray

    @staticmethod
    def of(problem: Problem, plan: Plan) -> "_Calls":
        used = np.zeros((problem.users.count, problem.week.day_count), np.bool_)
        used[plan.user, plan.day] = True
        return _Calls(
            relief_kw=referee.effect(problem, plan).relief_kw,
            used=used,
            rest_day=plan.rest_day,
            earliest=earliest_slots(problem),
        )


def _excluded(
    problem: Problem, calls: _Calls, mine: BoolArray, day: int, slot: int
) -> tuple[Excluded, ...]:
    """The powers of users that are not called in a slot, by the first rule that keeps them out."""
    users, found = problem.users, []
    idle = mine & (calls.relief_kw[:, day, slot] <= 0.0)

    def told(rule: str, powers: FloatArray) -> None:
        total = float(powers.sum())
        if total > _SLIGHT_KW:
            ranked = np.argsort(-powers, kind="stable")[:LARGEST]
            largest = tuple((int(i), float(powers[i])) for i in ranked if powers[i] > _SLIGHT_KW)
            found.append(Excluded(rule=rule, power_kw=total, largest=largest))

    load = users.load_kw[:, day, slot]
    held = np.maximum(load - users.protected_kw[:, day, slot], 0.0)
    before = _best_kw(problem, load, np.ones(problem.measures.count, np.bool_))
    left = _best_kw(problem, held, np.ones(problem.measures.count, np.bool_))
    told("protected load", np.where(mine, before - left, 0.0))
    for rule, may in _measure_rules(problem, calls, day, slot):
        now = _best_kw(problem, held, may)
        told(rule, np.where(idle, left - now, 0.0))
        left = now
    left = np.where(idle, left, 0.0)
    for rule, out in _user_rules(problem, calls, day):
        told(rule, np.where(out, left, 0.0))
        left = np.where(out, 0.0, left)
    told("what it costs, or other slots that it serves", left)
    return tuple(found)


def _best_kw(problem: Problem, free_kw: FloatArray, may: BoolArray) -> FloatArray:
    """What each user's best measure of some could be expected to relieve, (N,)."""
    users, measures = problem.users, problem.measures
    best = np.zeros(users.count)
    which = np.flatnonzero(may & (measures.kind != Kind.REST))
    user = measures.user[which]
    power = np.minimum(free_kw[user], measures.cap_kw[which]) * users.compliance[user]
    np.maximum.at(best, user, power)
    return best


def _measure_rules(
    problem: Problem, calls: _Calls, day: int, slot: int
) -> Iterator[tuple[str, BoolArray]]:
    """The rules on measures one after the other, and which measures keep all of them so far."""
    measures, slots = problem.measures, problem.week.slot_count
    may = calls.earliest < problem.week.start_h.size
    if problem.now is None:
        yield "too low an ability", may
    else:
        # Without notice to give, what is left out is so by its user's ability.
        able = earliest_slots(replace(problem, now=None, announced=None)) == 0
        yield "too low an ability", able
        may = able & (calls.earliest <= day * slots + slot)
        yield "notice", may
    low = np.maximum(calls.earliest - day * slots, 0)
    high = np.full(measures.count, slots)
    if measures.allowed is not None:
        closed = ~measures.allowed[:, day]
        may = may & ~closed[:, slot]
        yield "slots that are not allowed", may
        before = closed[:, :slot]
        last = slot - np.argmax(before[:, ::-1], axis=1) if slot else np.zeros(measures.count, int)
        low = np.where(before.any(axis=1), np.maximum(low, last), low)
        after = closed[:, slot:]
        high = np.where(after.any(axis=1), slot + np.argmax(after, axis=1), high)
    yield "the least length of a window", may & (high - low >= measures.min_slots)


def _user_rules(problem: Problem, calls: _Calls, day: int) -> Iterator[tuple[str, BoolArray]]:
    """The rules on a user's week, and whom each keeps out of a day."""
    users = problem.users
    yield "days on which a user is not callable", ~users.callable_days[:, day]
    yield "the moved rest day", calls.rest_day == day
    yield "events per day and their length", calls.used[:, day]
    yield "curtailed days", calls.used.sum(axis=1) >= users.max_days
    days = np.arange(problem.week.day_count)
    near = np.abs(days - day)[None, :] <= users.min_gap_days[:, None]
    yield "free days between curtailed days", np.any(calls.used & near, axis=1)


def relaxed(problem: Problem) -> list[tuple[str, Problem]]:
    """The same week with one rule less, for each rule that could matter, and its name."""
    users, measures, (days, slots) = problem.users, problem.measures, problem.week.shape
    found = []

    def users_with(rule: str, **columns: np.ndarray) -> None:
        if any(np.any(getattr(users, name) != value) for name, value in columns.items()):
            found.append((rule, replace(problem, users=replace(users, **columns))))

    def measures_with(rule: str, **columns: np.ndarray) -> None:
        if any(np.any(getattr(measures, name) != value) for name, value in columns.items()):
            found.append((rule, replace(problem, measures=replace(measures, **columns))))

    users_with("one more curtailed day", max_days=users.max_days + (users.max_days < days))
    users_with("no free days between", min_gap_days=np.zeros_like(users.min_gap_days))
    if problem.fairness.mode is not FairnessMode.LEXIMIN:
        events = users.max_events_per_day
        more = events + (events < (slots + 1) // 2)
        users_with("one more event a day", max_events_per_day=more)
    users_with("all days callable", callable_days=np.ones_like(users.callable_days))
    if np.any(measures.kind == Kind.REST):
        users_with("all days for rest", rest_days=_all_rest_days(problem))
    measures_with(
        "windows of any length",
        min_slots=np.ones_like(measures.min_slots),
        max_slots=np.maximum(measures.max_slots, slots),
    )
    if problem.now is not None:
        notice = np.full_like(measures.notice, int(Notice.IMMEDIATE))
        measures_with("no notice", notice=notice)
    return found


def relaxations(
    problem: Problem, solution: Solution, options: OrderlyOptions, clock: Clock | None = None
) -> tuple[Relaxation, ...]:
    """What the week would cost with one rule less, each solved again, the cheapest week first.

    The time limit is that of all of them together. Where unserved energy comes before the loss, the
    week that leaves the least unserved is first.
    """
    others = relaxed(problem)
    # The road that was asked for may not take a week with other rules.
    seconds = options.time_limit_s / max(1, len(others))
    share = replace(options, time_limit_s=seconds, road=None)
    found = []
    for rule, other in others:
        then = solve(other, share, clock=clock)
        objective = then.termination.objective
        found.append(
            Relaxation(
                rule=rule,
                objective=objective,
                saved=solution.termination.objective - objective,
                unserved_kwh=order.unserved_kwh(other, then.plan),
            )
        )
    staged = order.is_staged(problem)
    return tuple(sorted(found, key=lambda r: (r.unserved_kwh if staged else 0.0, r.objective)))


def _all_rest_days(problem: Problem) -> np.ndarray:
    days = np.ones_like(problem.users.rest_days)
    has = np.flatnonzero(problem.users.usual_rest_day >= 0)
    days[has, problem.users.usual_rest_day[has]] = False
    return days
