"""The harness takes times in turns and gives none away without a refereed answer."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from math import nan

import numpy as np
import pytest

from benchmarks import instances, ours
from benchmarks.harness import (
    FEWEST_ROUNDS,
    GAP_LIMIT,
    Contender,
    Judgement,
    Measured,
    Unrefereed,
    combined,
    contender,
    cpu_seconds,
    judge,
    race,
    silenced,
)
from benchmarks.peers import highs_arrays
from benchmarks.peers.peer import IMPOSSIBLE, fresh

SOUND = Judgement(cost=1.0, claimed_cost=1.0, gap=0.0)
BROKEN = replace(SOUND, broken=("balance[0]: does not add up by 1 kWh",))
DEAR = replace(SOUND, gap=2 * GAP_LIMIT)


def measured(*judgements: Judgement) -> Measured:
    times = [float(turn) for turn in range(len(judgements))]
    return Measured(name="x", wall_s=times, cpu_s=times, judgements=list(judgements))


def test_the_median_of_judged_runs_is_reported():
    kept = measured(SOUND, SOUND, SOUND)
    assert kept.median_wall_s == kept.median_cpu_s == 1.0


@pytest.mark.parametrize("worst", [BROKEN, DEAR, replace(SOUND, gap=nan), replace(DEAR, gap=-0.1)])
def test_no_time_is_given_when_one_answer_does_not_hold(worst):
    kept = measured(SOUND, worst, SOUND)
    with pytest.raises(Unrefereed):
        _ = kept.median_wall_s
    with pytest.raises(Unrefereed):
        _ = kept.median_cpu_s


def test_no_time_is_given_without_a_judgement():
    kept = Measured(name="x", wall_s=[1.0], cpu_s=[1.0])
    with pytest.raises(Unrefereed):
        _ = kept.median_wall_s
    kept.judgements = [SOUND]
    kept.wall_s.append(2.0)
    with pytest.raises(Unrefereed):
        _ = kept.median_wall_s


def test_the_word_on_many_answers_is_the_worst_of_them():
    word = combined([SOUND, replace(DEAR, cost=2.0, gap=-0.2), BROKEN])
    assert word.cost == 1.0
    assert word.gap == -0.2
    assert word.broken == BROKEN.broken


def test_a_gap_that_is_no_number_is_never_outvoted():
    assert not combined([SOUND, replace(SOUND, gap=nan), SOUND]).sound
    assert not combined([replace(SOUND, gap=nan), SOUND]).sound


def test_contenders_run_in_turns():
    order = []

    def one(name: str) -> Contender:
        return Contender(
            name=name, run=lambda turn: order.append((turn, name)), judge=lambda *_: SOUND
        )

    race([one("a"), one("b")], rounds=2, budget_s=1.0)
    assert order == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_a_slow_contender_stops_at_its_budget_but_not_before_a_median_means_something():
    slow = Contender(name="slow", run=lambda _: time.sleep(0.01), judge=lambda *_: SOUND)
    fast = Contender(name="fast", run=lambda _: None, judge=lambda *_: SOUND)
    kept = race([slow, fast], rounds=6, budget_s=0.005)
    assert len(kept["slow"].wall_s) == FEWEST_ROUNDS
    assert len(kept["fast"].wall_s) == 6


def test_times_are_those_of_one_solve():
    many = Contender(name="x", run=lambda _: time.sleep(0.02), judge=lambda *_: SOUND, solves=10)
    kept = race([many], rounds=1, budget_s=1.0)["x"]
    assert 0.002 <= kept.median_wall_s < 0.02


def test_the_referee_refuses_a_schedule_that_burns_energy():
    problem = instances.negative_prices(96)
    answer = highs_arrays.LINEAR.prepare(problem)(problem)
    word = judge(problem, answer, ours.optimum(problem))
    assert "runs together" in word.broken[0]
    assert not word.sound


def test_an_optimum_that_is_too_high_is_noticed():
    problem = instances.business(96)
    answer = highs_arrays.LINEAR.prepare(problem)(problem)
    assert judge(problem, answer, ours.optimum(problem)).sound
    assert not judge(problem, answer, ours.optimum(problem) + 1.0).sound


def test_calling_a_solvable_problem_impossible_is_no_answer():
    problem = instances.business(96)
    assert not judge(problem, IMPOSSIBLE, 0.0).sound


def test_a_contender_is_never_asked_what_it_was_prepared_with():
    problems = instances.variants(lambda v: instances.business(96, v), 3)
    seen = []

    def answer(problem):
        seen.append(problem)
        return IMPOSSIBLE

    asked = contender(fresh("x", answer), problems, [0.0] * 3)
    for turn in range(4):
        asked.run(turn)
    assert seen == [problems[1], problems[2], problems[1], problems[2]]


def test_a_batch_is_judged_row_by_row():
    batch = instances.business_batch(96, 3)
    asked = ours.batch_contender("batch", batch)
    solution = asked.run(0)
    assert asked.judge(0, solution).sound
    solution.column("import_kw")[2, 5] += 1.0
    word = asked.judge(0, solution)
    assert [rule for rule in word.broken if rule.startswith("balance[5]")]


def test_the_time_of_children_counts():
    before = cpu_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert cpu_seconds() - before > 0.01


def test_native_output_is_silenced_and_comes_back(capfd):
    with silenced():
        os.write(1, b"hidden")
    os.write(1, b"shown")
    assert capfd.readouterr().out == "shown"


def test_costs_of_arrays_are_floats():
    word = judge(instances.business(96), IMPOSSIBLE, 0.0)
    assert np.isnan(word.cost)
