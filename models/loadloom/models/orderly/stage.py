"""One stage of the lexicographic order: what it may not give up, its search, and its proof.

After the stage of least unserved energy, a kWh unserved has a price at which the plan leaves no
more unserved; if it does all the same, the price is raised, and if nothing helps, the plan of the
stage before stands, since it keeps it all. The proof takes off what that price may have added: a
bound on amount + price * unserved, less price * the unserved energy found, is one on the amount of
all plans that keep what was found.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

import numpy as np

from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import order
from loadloom.models.orderly.changes import announced_patterns
from loadloom.models.orderly.choices import Choices, choices, plan_of
from loadloom.models.orderly.problem import Kind, Plan, Problem
from loadloom.models.orderly.solution import (
    OrderlyOptions,
    Progress,
    Report,
    Solution,
    Stage,
)
from loadloom.solvers.coupled import dual
from loadloom.solvers.coupled.budget import Budget, Clock, Race
from loadloom.solvers.coupled.oracle import Answer, Oracle
from loadloom.solvers.coupled.solve import Outcome, solve_coupled
from loadloom.solvers.kernels.choosers import FAR, Codes

_KIND_PRICE = 100.0
"""The first price of a kWh unserved, in kWh of the kind that a stage makes least."""

_RAISES = (1.0, 30.0, 1_000.0)
"""By what the price of unserved energy is raised while a plan leaves more than was found."""

_FIRST_SHARE = 0.85
"""The share of a stage's time after which its price may still be raised."""

_BUDGET_PRICE = 10.0
"""What a kWh beyond a budget costs, in kWh unserved: more than it could serve."""

_STAGE_GAP = 1e-6
"""The relative gap at which stages before the loss end."""

USUAL_ROUNDS = 20
"""The rounds of search where neither work nor time is limited: every search ends."""

Stop = Callable[[float, float], bool]
"""Whether a search may end, by its value and its bound."""

Best = Callable[["Kept", Choices, Answer, float], Solution]
"""The solution of what was kept, the choosers, an answer of theirs, and a bound."""


@dataclass(kw_only=True)
class Course:
    """What a solve has been through: the clock and limits, stages done, progress told.

    `limit_s` is for prices and search, `longest_s` the most that a search took beyond its time.
    `best` makes the solution of an answer and a bound, if nothing better is found; None before the
    loss is made least.
    """

    problem: Problem
    options: OrderlyOptions
    report: Report | None
    clock: Clock | None
    pool: ThreadPoolExecutor | None
    stages: list[Stage] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    limit_s: float = inf
    begun_s: float = 0.0
    longest_s: float = 0.0
    stopped: bool = False
    best: Callable[[Answer, float], Solution] | None = None

    @property
    def passed_s(self) -> float:
        """The seconds since the solve began."""
        return self.clock() - self.begun_s if self.clock else 0.0

    @property
    def left_s(self) -> float:
        """The seconds that are left for prices and search; inf without a limit."""
        return max(0.0, self.limit_s - self.passed_s) if self.limit_s < inf else inf

    def race(
        self, phase: str, seconds: float, gap: float, shift: float = 0.0, stop: Stop | None = None
    ) -> Race:
        """The race of a search of at most so many seconds; it tells of values less a shift."""
        work = self.options.work_limit
        if work is None and (self.clock is None or self.limit_s == inf):
            work = USUAL_ROUNDS
        budget = Budget(clock=self.clock, time_limit_s=seconds, rounds=work, stopped=self.stopped)

        def tell(_: float, value: float, bound: float, kind: str) -> bool:
            step = Progress(
                seconds=self.passed_s,
                objective=value - shift,
                bound=bound - shift,
                unserved_kwh=0.0,
                phase=f"{phase}: {kind}",
            )
            self.progress.append(step)
            if self.best is not None and race.answer is not None:
                step = replace(step, solution=partial(self.best, race.answer, bound - shift))
            if self.report is not None and not self.report(step):
                self.stopped = True
            return not self.stopped and (stop is None or not stop(value, bound))

        race = Race(budget=budget, relative_gap=gap, listener=tell)
        return race


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """What the stages so far found, which all further ones keep.

    Attributes:
        unserved_kwh: the most energy unserved; inf where its price decides.
        kinds, kinds_kwh: the kinds that were made least, and the most energy of each.
        cap: the most burden of each user, (N,); None for any.
        patterns: a plan that keeps all of it; None before the first stage.
    """

    unserved_kwh: float = inf
    kinds: tuple[Kind, ...] = ()
    kinds_kwh: tuple[float, ...] = ()
    cap: FloatArray | None = None
    patterns: Codes | None = None

    def holds(self, problem: Problem, plan: Plan) -> bool:
        """Whether a plan keeps it; burdens are kept by the oracle."""
        if self.unserved_kwh < inf and order.unserved_kwh(problem, plan) > self.unserved_kwh:
            return False
        pairs = zip(self.kinds, self.kinds_kwh, strict=True)
        return all(order.kind_kwh(problem, plan, kind) <= most for kind, most in pairs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a stage found: a plan that keeps what was kept, and a bound on the stage's amount."""

    made: Choices
    outcome: Outcome
    patterns: Codes
    plan: Plan
    bound: float


def run_stage(
    course: Course,
    phase: str,
    kept: Kept,
    seconds: float,
    *,
    counted: Kind | None = None,
    nothing_costs: bool = False,
    stop: Stop | None = None,
    prices: FloatArray | None = None,
    best: Best | None = None,
) -> Found:
    """What a stage finds within some seconds that makes something least, and keeps what was kept.

    That is the energy of the kind `counted`, the unserved energy if `nothing_costs`, or else the
    loss. `stop` may end the search early, `prices` are some that are thought to be good, and `best`
    makes the solution of the best answer so far for whoever hears of progress.
    """
    problem, options = course.problem, course.options
    price = problem.shortage.unserved_price_per_kwh
    base = 0.0 if counted is not None else price
    first = 1.0 if nothing_costs else _KIND_PRICE if counted is not None else price
    is_bound = not nothing_costs and kept.unserved_kwh < inf
    gap = options.relative_gap if phase == "loss" else min(options.relative_gap, _STAGE_GAP)
    end_s, bound, found = course.passed_s + seconds, -inf, None
    for number, raised in enumerate(_RAISES if is_bound else (1.0,)):
        made = choices_of(
            course, kept, first * raised, counted=counted, nothing_costs=nothing_costs
        )
        _possible(made)
        left_s = max(0.0, end_s - course.passed_s) if seconds < inf else inf
        further = is_bound and number < len(_RAISES) - 1
        # What may have to be tried again leaves time for it.
        race = course.race(
            phase,
            left_s * (_FIRST_SHARE if further else 1.0),
            gap,
            (first * raised - base) * kept.unserved_kwh if is_bound else 0.0,
            stop,
        )
        course.best = best and partial(best, kept, made)
        if prices is None and kept.cap is not None:
            prices = _uncapped_prices(made, race)
        start = _start(problem, made, kept)
        begun_s = course.passed_s
        outcome = solve_coupled(
            made.oracle, made.rows, race, seed=options.seed, start=start, prices=prices
        )
        late_s = course.passed_s - begun_s - race.budget.time_limit_s
        course.longest_s = max(course.longest_s, late_s)
        proven = outcome.bound
        if is_bound:
            proven = _without_unserved(problem, made, outcome, first * raised, base, kept)
        bound = max(bound, proven)
        plan = plan_of(problem, made, outcome.answer.patterns)
        found = Found(
            made=made, outcome=outcome, patterns=outcome.answer.patterns, plan=plan, bound=bound
        )
        if not is_bound or kept.holds(problem, plan):
            return found
        prices = None
    if found is None or kept.patterns is None:
        raise ValueError("a stage that keeps something begins with a plan that keeps it")
    plan = plan_of(problem, found.made, kept.patterns)
    return replace(found, patterns=kept.patterns, plan=plan)


def choices_of(
    course: Course,
    kept: Kept,
    unserved_price: float,
    *,
    counted: Kind | None = None,
    nothing_costs: bool = False,
) -> Choices:
    """The choosers and rows of a stage."""
    problem, budgeted = course.problem, bool(kept.kinds)
    return choices(
        problem,
        seed=course.options.seed,
        pool=course.pool,
        budget=_budget_of(problem, kept.kinds) if budgeted else None,
        budgets_kwh=np.array(kept.kinds_kwh) if budgeted else None,
        budget_price=_BUDGET_PRICE * unserved_price,
        counted=counted,
        nothing_costs=nothing_costs,
        unserved_price=unserved_price,
        burden_cap=kept.cap,
    )


def _uncapped_prices(made: Choices, race: Race) -> FloatArray:
    """Prices that are good without caps: close to those under them, and found much faster."""
    turns = made.oracle.turns
    oracle = Oracle(
        turns=turns._replace(limit=np.full_like(turns.limit, np.inf)),
        line_count=made.oracle.line_count,
        budget_count=made.oracle.budget_count,
        pool=made.oracle.pool,
    )
    quiet = Race(budget=race.budget, relative_gap=0.0)
    return dual.bundle(oracle, made.rows, quiet, most=100, tolerance=1e-4, share=0.3).prices


def _without_unserved(
    problem: Problem, made: Choices, outcome: Outcome, price: float, base: float, kept: Kept
) -> float:
    """The bound on a stage's amount of all plans that leave no more unserved than was found.

    In the amount a kWh unserved counts `base`. At given prices of the slots the bound holds for any
    price of unserved energy as high as the highest of them.
    """
    any_bound = outcome.bound - (price - base) * kept.unserved_kwh
    value, _ = dual.evaluate(made.oracle, made.rows, outcome.prices)
    dearer = max(0.0, _highest(problem, made, outcome.prices) - base)
    return max(any_bound, value - dearer * kept.unserved_kwh)


def _highest(problem: Problem, made: Choices, prices: FloatArray) -> float:
    """The highest price of a kWh in any slot of any line."""
    hours = np.tile(problem.week.slot_h.reshape(-1), made.oracle.line_count)
    rows = prices[: made.oracle.line_rows]
    return float(np.divide(rows, hours, out=np.zeros_like(rows), where=hours > 0.0).max())


def _budget_of(problem: Problem, tiers: tuple[Kind, ...]) -> np.ndarray:
    """The budget that each measure counts against, -1 for none."""
    budget = np.full(problem.measures.count, -1)
    for place, kind in enumerate(tiers):
        budget[problem.measures.kind == kind] = place
    return budget


def _start(problem: Problem, made: Choices, kept: Kept) -> Answer | None:
    """An answer to begin with: the plan of the stage before, or what was announced."""
    patterns = announced_patterns(problem, made) if kept.patterns is None else kept.patterns
    return None if patterns is None else made.oracle.weighed(patterns)


def _possible(made: Choices) -> None:
    """Raises InvalidProblem if a user cannot keep both what has begun and its rules."""
    values, _ = made.oracle.priced(np.zeros(made.rows.demand.size))
    stuck = np.flatnonzero(values >= FAR / 2)
    message = "has announced events that have begun and break the user's rules"
    if stuck.size:
        raise InvalidProblem([Violation(f"users[{made.user[i]}]", message) for i in stuck.tolist()])


def exempting(
    problem: Problem, made: Choices, prices: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[float, FloatArray]:
    """The bound at prices with low caps on burdens, and how much a high one takes off it, (N,).

    The second is told by user, the high cap for that user alone.
    """
    capped, freer = (_values(problem, made, prices, cap) for cap in (low, high))
    worth = np.empty_like(capped)
    worth[made.user] = capped - freer
    return float(capped.sum() + prices @ made.rows.demand), np.maximum(worth, 0.0)


def _values(problem: Problem, made: Choices, prices: FloatArray, cap: FloatArray) -> FloatArray:
    """The least value of every chooser at prices with caps on burdens, (N,)."""
    left = np.maximum(cap - problem.users.carried_burden, 0.0)[made.user]
    oracle = Oracle(
        turns=made.oracle.turns._replace(limit=left),
        line_count=made.oracle.line_count,
        budget_count=made.oracle.budget_count,
        pool=made.oracle.pool,
    )
    return oracle.priced(prices)[0]


def bound_for_any_exempt(problem: Problem, kept: Kept, found: Found) -> float:
    """The bound on the loss whoever has the largest burdens, and not only if it is those found."""
    if kept.cap is None:
        return found.bound
    made, prices = found.made, found.outcome.prices
    levels = np.unique(kept.cap)[::-1]
    exempt = int(np.count_nonzero(kept.cap > levels[-1]))
    if not exempt:
        return found.bound
    least = order.least_burdens(problem)
    low, high = np.maximum(levels[-1], least), np.maximum(levels[0], least)
    value, worth = exempting(problem, made, prices, low, high)
    less = float(np.sort(worth)[::-1][:exempt].sum())
    over = _highest(problem, made, prices) - problem.shortage.unserved_price_per_kwh
    return value - less - max(0.0, over) * kept.unserved_kwh
