"""Coupled choices: the bound is below the optimum, the plan above it, on every small instance."""

from math import inf

import numpy as np
import pytest

from loadloom.solvers.coupled.annealing import Annealer, can_anneal
from loadloom.solvers.coupled.budget import Budget, Race
from loadloom.solvers.coupled.dual import evaluate
from loadloom.solvers.coupled.oracle import Oracle, Rows
from loadloom.solvers.coupled.sample import sampled, subset
from loadloom.solvers.coupled.search import value_of
from loadloom.solvers.coupled.solve import solve_coupled
from loadloom.solvers.highs import Model, Program, compressed
from tests.solvers import turns_cases as cases


def drawn(seed, *, most=6, plain=False, count=None, announced=False, budgeted=False):
    """Random choosers and rows.

    If `announced`, some turns and pauses are given, or may be left; if `budgeted`, what some
    options amount to has a budget.
    """
    rng = np.random.default_rng(seed)
    count = count or int(rng.integers(1, most + 1))
    days, steps = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    turns = cases.ranked(
        cases.choosers(rng, count=count, days=days, steps=steps, lines=2, plain=plain)
    )
    if days == 3:  # keeps the enumeration short
        turns = turns._replace(most_turns=np.minimum(turns.most_turns, 2))
    if announced:
        turns = cases.with_lists(turns, rng, forced=True)
    t = days * steps
    demand = rng.uniform(-3, 4 * count, 2 * t) * (rng.random(2 * t) < 0.7)
    demand[t:] *= 0.3
    penalty = np.tile(30.0 * turns.length, 2)
    if budgeted:
        turns = turns._replace(budget=rng.integers(-1, 1, turns.cap.size))
        demand = np.append(demand, -rng.uniform(0.0, 10.0 * count))
        penalty = np.append(penalty, rng.choice([5.0, 1_000.0]))
    oracle = Oracle(turns=turns, line_count=2, budget_count=int(budgeted))
    return oracle, Rows(demand=demand, penalty=penalty)


def optimum(oracle, rows, legal=None):
    """The least value over all legal patterns, by a programme with a binary for each of them."""
    costs, columns, owner = [], [], []
    for i in range(oracle.count):
        for pattern in cases.patterns(oracle.turns, i):
            if legal is not None and not legal(i, pattern):
                continue
            cost, relief = cases.weighed(oracle.turns, i, pattern)
            use = np.zeros((2, relief.size))
            use[0] = relief
            use[1] = relief if oracle.turns.line[i] == 1 else 0.0
            costs.append(cost)
            columns.append(np.append(use.reshape(-1), counted(oracle, i, pattern)))
            owner.append(i)
    made, size = len(costs), rows.demand.size
    matrix = np.zeros((size + oracle.count, made + size))
    matrix[:size, :made] = np.array(columns).T
    matrix[:size, made:] = np.eye(size)
    matrix[size + np.array(owner), np.arange(made)] = 1.0
    at, column = np.nonzero(matrix)
    program = Program(
        cost=np.concatenate((costs, rows.penalty)),
        low=np.zeros(made + size),
        high=np.full(made + size, inf),
        row_low=np.concatenate((rows.demand, np.ones(oracle.count))),
        row_high=np.concatenate((np.full(size, inf), np.ones(oracle.count))),
        matrix=compressed(at, column, matrix[at, column], made + size),
        integer=np.arange(made + size) < made,
    )
    return Model(program).solve(relative_gap=1e-10).termination.objective


def counted(oracle, i, pattern):
    """What a pattern does to the rows of budgets."""
    if not oracle.budget_count:
        return np.zeros(0)
    return oracle.weighed(cases.coded(oracle, i, pattern)).activity[oracle.line_rows :]


def race(rounds=2, gap=1e-9, **options):
    return Race(budget=Budget(rounds=rounds), relative_gap=gap, **options)


@pytest.mark.parametrize("block", range(15))
def test_bound_optimum_and_plan_are_in_order(block):
    for seed in range(20 * block, 20 * block + 20):
        oracle, rows = drawn(seed, announced=seed % 3 == 0, budgeted=seed % 4 == 0)
        outcome = solve_coupled(oracle, rows, race(1), seed=seed)
        best = optimum(oracle, rows)
        off = 1e-7 * max(1.0, best)
        assert outcome.bound <= best + off, seed
        assert best <= outcome.value + off, seed
        assert value_of(outcome.answer, rows) == pytest.approx(outcome.value), seed
        proven, _ = evaluate(oracle, rows, outcome.prices)
        assert proven <= best + off, seed


def test_any_prices_prove_a_bound():
    rng = np.random.default_rng(3)
    for seed in range(10):
        oracle, rows = drawn(seed)
        best = optimum(oracle, rows)
        for _ in range(10):
            prices = rng.uniform(0, 1, rows.demand.size) * rows.penalty
            assert evaluate(oracle, rows, prices)[0] <= best + 1e-7 * max(1.0, best)


def test_the_same_seed_and_work_give_the_same_answer():
    outcomes = []
    for _ in range(2):
        oracle, rows = drawn(12, count=30)
        outcomes.append(solve_coupled(oracle, rows, race(6), seed=5))
    np.testing.assert_array_equal(outcomes[0].answer.patterns, outcomes[1].answer.patterns)
    assert outcomes[0].bound == outcomes[1].bound


def test_more_work_is_never_worse():
    values = []
    for rounds in (0, 3, 12):
        oracle, rows = drawn(21, count=25)
        values.append(solve_coupled(oracle, rows, race(rounds), seed=1).value)
    assert values == sorted(values, reverse=True)


def test_progress_is_told_and_can_stop_the_search():
    heard = []

    def listen(_, value, bound, phase):
        heard.append((value, bound, phase))
        return len(heard) < 3

    oracle, rows = drawn(21, count=25)
    solve_coupled(oracle, rows, race(None, listener=listen), seed=1)
    values, bounds = [h[0] for h in heard], [h[1] for h in heard]
    assert values == sorted(values, reverse=True)
    assert bounds == sorted(bounds)


def test_a_clock_ends_the_search():
    ticks = iter(range(10**9))
    budget = Budget(clock=lambda: next(ticks) * 1e-3, time_limit_s=0.15)
    oracle, rows = drawn(21, count=25)
    outcome = solve_coupled(oracle, rows, Race(budget=budget, relative_gap=0.0), seed=1)
    assert budget.spent()
    assert outcome.value < inf


def test_annealing_weighs_as_the_oracle_does():
    for seed in range(30):
        oracle, rows = drawn(seed, count=8, announced=seed % 2 == 0)
        if not can_anneal(oracle):
            continue
        _, patterns = oracle.priced(0.2 * rows.penalty)
        start = oracle.weighed(patterns)
        annealer = Annealer(oracle, rows, 0.2 * rows.penalty)
        heats, steepness = np.geomspace(10.0, 0.1, 5), np.geomspace(1.0, 8.0, 5)
        answer = annealer.run(start, seed, heats, steepness, 500)
        assert value_of(answer, rows) <= value_of(start, rows) + 1e-6
        for i in range(oracle.count):
            legal = [
                (tuple(map(tuple, map(sorted, plan))), pause)
                for plan, pause in cases.patterns(oracle.turns, i)
            ]
            plan, pause = cases.read(oracle.turns, answer.patterns[i])
            assert (tuple(map(tuple, map(sorted, plan))), pause) in legal


def test_a_part_of_the_choosers_answers_as_it_does_within_all():
    oracle, rows = drawn(5, count=12)
    some = np.array([1, 4, 9])
    part = Oracle(turns=subset(oracle.turns, some), line_count=2)
    prices = 0.3 * rows.penalty
    values, patterns = oracle.priced(prices)
    own, same = part.priced(prices)
    np.testing.assert_allclose(own, values[some])
    np.testing.assert_array_equal(same, patterns[some])
    few, scaled = sampled(oracle, rows, 4)
    assert few.count == 3
    np.testing.assert_allclose(scaled.demand, rows.demand / 4)


def test_a_budget_is_kept_where_it_can_be():
    oracle, rows = drawn(8, count=20, plain=True)
    free = solve_coupled(oracle, rows, race(4), seed=1)
    amounts = Oracle(
        turns=oracle.turns._replace(budget=np.zeros(oracle.turns.cap.size, np.int64)),
        line_count=2,
        budget_count=1,
    )
    used = -amounts.weighed(free.answer.patterns).activity[-1]
    tight = Rows(
        demand=np.append(rows.demand, -0.5 * used), penalty=np.append(rows.penalty, 1_000.0)
    )
    outcome = solve_coupled(amounts, tight, race(4), seed=1)
    assert -outcome.answer.activity[-1] <= 0.5 * used + 1e-6
    assert outcome.bound <= outcome.value
    assert outcome.value >= free.bound - 1e-6
