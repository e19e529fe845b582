"""Explanations and figures, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.orderly import explain, figures, referee
from loadloom.models.orderly.ability import ability
from loadloom.models.orderly.problem import AbilityRule, WarningLevel, empty_plan
from loadloom.models.orderly.solution import OrderlyOptions
from loadloom.models.orderly.solve import solve
from tests.models.orderly import cases

SHORT = OrderlyOptions(work_limit=5, threads=1)


def evenings(days, power):
    load = np.zeros((days, 24))
    load[:, 18] = power
    return load


def two_users(short, **options):
    load = np.array([evenings(2, 100.0)] * 2)
    return cases.simple(load, evenings(2, short), costs=[5, 3], **options)


def test_a_user_is_told_its_next_best_and_what_excusing_it_costs():
    problem = two_users(100)
    solution = solve(problem, SHORT)
    reason = explain.why(problem, solution, 1)
    assert reason.cost == pytest.approx(600)
    assert reason.exemption_cost <= 400 + 1e-6
    assert all(other.extra_cost >= -1e-6 for other in reason.alternatives)
    low, high = explain.exemption_cost(problem, solution, 1, SHORT, None)
    assert low <= 400 + 1e-3
    assert high >= 400 - 1e-3


def test_prices_say_what_a_megawatt_is_worth():
    problem = two_users(50)
    solution = solve(problem, SHORT)
    assert solution.prices is not None
    worth = explain.one_more_mw(problem, solution.prices)
    assert worth[0, 18] == pytest.approx(3_000, rel=0.01)
    assert worth[0, 12] == 0


def test_what_stays_unserved_is_told_with_what_was_kept_out():
    problem = two_users(250, max_days=np.array(1))
    solution = solve(problem, SHORT)
    words = explain.shortage_words(problem, solution.plan)
    assert words.startswith("Mon, Tue need 0.5 MWh")
    falls = explain.shortfalls(problem, solution.plan)
    assert sum(fall.unserved_kw for fall in falls) == pytest.approx(300)
    assert explain.shortage_words(two_users(0), empty_plan(2)) == ""
    best = explain.relaxations(problem, solution, SHORT)[0]
    assert best.rule == "one more curtailed day"
    assert best.saved > 0


def test_binding_rules_are_named():
    problem = two_users(200, max_days=np.array(1), min_gap_days=np.array(1))
    solution = solve(problem, SHORT)
    found = explain.binding(problem, solution.plan, int(solution.plan.user[0]))
    assert found == ("at most 1 curtailed days", "1 free days between curtailed days")


def test_spreads_by_hand():
    even = figures.spread(np.full(4, 0.2))
    assert (even.jain, even.gini, even.max_over_mean) == pytest.approx((1, 0, 1))
    one = figures.spread(np.array([0.0, 0, 0, 1]))
    assert (one.jain, one.gini, one.max_over_mean) == pytest.approx((0.25, 0.75, 4))
    none = figures.spread(np.zeros(3))
    assert (none.jain, none.gini, none.max_over_mean) == (1, 0, 1)


def test_fairness_is_told_by_class_and_industry():
    problem = two_users(100, industry=("steel", "food"), priority_class=("a", "a"))
    found = figures.fairness(problem, solve(problem, SHORT).plan)
    assert list(found.by_industry) == ["food", "steel"]
    assert found.by_class["a"] == found.everyone
    assert found.by_industry["steel"].mean == 0


def test_warning_levels_go_by_the_share_of_the_peak():
    levels = tuple(
        WarningLevel(name=name, least_share=share)
        for name, share in (("blue", 0.05), ("yellow", 0.1), ("orange", 0.2), ("red", 0.3))
    )
    problem = two_users(50, warning_levels=levels)  # a quarter of 200 kW
    assert figures.warning_levels(problem) == ("orange", "orange")
    assert figures.warning_levels(two_users(0, warning_levels=levels)) == ("", "")


def test_the_ability_is_the_mean_of_its_parts():
    problem = two_users(
        50,
        telemetry=np.array([1.0, 0.0]),
        control=np.array([0.5, 0.5]),
        past_compliance=np.array([0.9, 0.3]),
        notice=np.array([3, 0]),
        protected_kw=np.array([evenings(2, 50.0), evenings(2, 0.0)]),
    )
    found = ability(problem)
    np.testing.assert_allclose(found.parts[0], [0.5, 1.0, 1.0, 0.9, 1.0, 0.5])
    np.testing.assert_allclose(found.parts[1], [1.0, 0.25, 1.0, 0.3, 0.0, 0.5])
    rule = AbilityRule()
    weights = [rule.curtailable_weight, rule.notice_weight, rule.ramp_weight]
    weights += [rule.past_compliance_weight, rule.telemetry_weight, rule.control_weight]
    np.testing.assert_allclose(found.score, found.parts @ np.array(weights) / sum(weights))


def test_a_user_with_too_low_a_score_is_not_called():
    problem = two_users(50, telemetry=np.array([1.0, 0.0]))
    rule = AbilityRule(telemetry_weight=10.0, least_score=(0.5, 0.5, 0.5, 0.5))
    problem = replace(problem, ability=rule)
    solution = solve(problem, SHORT)
    assert set(solution.plan.user.tolist()) == {0}
    assert referee.violations(problem, solution.plan) == []
