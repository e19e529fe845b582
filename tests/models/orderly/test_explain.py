"""Explanations and figures, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.orderly import explain, figures, referee, shortfall
from loadloom.models.orderly.ability import ability
from loadloom.models.orderly.choices import choices
from loadloom.models.orderly.problem import (
    AbilityRule,
    Fairness,
    FairnessMode,
    LegalOrder,
    WarningLevel,
    empty_plan,
)
from loadloom.models.orderly.solution import OrderlyOptions
from loadloom.models.orderly.solve import solve
from loadloom.models.orderly.values import least_week
from tests.models.orderly import cases, enumeration

SHORT = OrderlyOptions(work_limit=5, threads=1)


def evenings(days, power):
    load = np.zeros((days, 24))
    load[:, 18] = power
    return load


def two_users(short, **options):
    load = np.array([evenings(2, 100.0)] * 2)
    options = {"max_slots": np.array(1)} | options
    return cases.simple(load, evenings(2, short), costs=[5, 3], **options)


def test_a_user_is_told_its_next_best_and_what_excusing_it_costs():
    problem = two_users(100)
    solution = solve(problem, SHORT)
    assert solution.termination.objective == pytest.approx(600)
    reason = explain.why(problem, solution, 1)
    assert reason.cost == pytest.approx(600)
    # At the price of the slots, between 3 and 5, a day less saves 300 and lacks 300 to 500.
    assert [other.words for other in reason.alternatives] == [
        "no Mon 02 Nov 18:00-19:00",
        "no Tue 03 Nov 18:00-19:00",
        "not called",
    ]
    assert all(-1e-6 <= other.extra_cost <= 400 + 1e-6 for other in reason.alternatives)
    assert reason.alternatives[-1].extra_cost == pytest.approx(reason.exemption_cost)
    excused = explain.exemption(problem, solution, 1, SHORT, None)
    assert (excused.least, excused.cost, excused.most) == pytest.approx((400, 400, 400))


def test_an_alternative_is_another_day_where_that_is_cheaper_than_none():
    load = np.array([evenings(2, 100.0)] * 2)
    short = evenings(2, 100.0)
    short[1] = 0.4 * short[1]
    problem = cases.simple(
        load, short, costs=[3, 5], max_days=np.array([1, 2]), max_slots=np.array(1)
    )
    solution = solve(problem, SHORT)
    (only,) = explain.why(problem, solution, 0).alternatives
    assert only.words == "Tue 03 Nov 18:00-19:00 instead of Mon 02 Nov 18:00-19:00"


def test_many_events_a_day_are_explained_as_fast_as_one():
    load = np.full((3, 3, 24), 100.0)
    short = np.zeros((3, 24))
    short[:, ::3] = 150.0
    problem = cases.simple(
        load, short, costs=[3, 4, 5], max_events_per_day=np.array(12), max_slots=np.array([2] * 3)
    )
    solution = solve(problem, SHORT)
    reason = explain.why(problem, solution, 0)
    assert reason.alternatives


def test_the_oracle_of_one_user_finds_what_the_textbook_finds():
    for seed in range(20):
        problem = cases.drawn(seed, users=3, feeders=1)
        rng = np.random.default_rng(seed)
        worth = rng.uniform(0.0, 20.0, problem.week.shape)
        for user in range(3):
            alone = explain._alone(problem, user)
            values, _ = choices(alone).oracle.priced(worth.reshape(-1))
            least = least_week(problem, user, worth.reshape(-1))
            assert values[0] == pytest.approx(least, rel=1e-9, abs=1e-6)


def test_prices_say_what_a_megawatt_is_worth():
    problem = two_users(50)
    solution = solve(problem, SHORT)
    assert solution.prices is not None
    worth = explain.one_more_mw(problem, solution.prices)
    assert worth[0, 18] == pytest.approx(3_000, rel=0.01)
    assert worth[0, 12] == 0


def test_what_cannot_be_covered_is_proven_and_told():
    problem = two_users(250, max_days=np.array(1))
    solution = solve(problem, SHORT)
    proof = shortfall.shortage_proof(problem, solution.plan, SHORT)
    assert proof is not None
    # Two evenings lack 250 kWh each, and each of two users may give 100 kWh once.
    assert (proof.need_kwh, proof.permitted_kwh) == pytest.approx((500, 200))
    words = shortfall.shortage_words(problem, solution.plan, proof)
    assert words == (
        "2 evenings (Mon 02 Nov, Tue 03 Nov; 2 slots) need 0.5 MWh, the rules permit 0.2 MWh: at "
        "least 0.3 MWh stay unserved, and the plan leaves 0.3 MWh unserved"
    )
    falls = shortfall.shortfalls(problem, solution.plan)
    assert sum(fall.unserved_kw for fall in falls) == pytest.approx(300)
    rules = {one.rule: one for fall in falls for one in fall.excluded}
    assert set(rules) == {"curtailed days"}
    assert sum(one.power_kw for fall in falls for one in fall.excluded) == pytest.approx(200)


def test_nothing_is_told_of_a_week_that_is_covered():
    assert shortfall.shortage_words(two_users(0), empty_plan(2), None) == ""
    assert shortfall.shortfalls(two_users(0), empty_plan(2)) == ()
    free = two_users(150)
    assert shortfall.shortage_proof(free, empty_plan(2), SHORT) is None
    assert "not proven" in shortfall.shortage_words(free, empty_plan(2), None)


@pytest.mark.parametrize("seed", range(15))
def test_what_is_proven_to_lack_is_never_covered(seed):
    problem = enumeration.drawn(seed, legal_order=LegalOrder.STRICT)
    least = enumeration.plans(problem)[:, 0].min()
    plan = solve(problem, SHORT).plan
    proof = shortfall.shortage_proof(problem, plan, SHORT)
    if proof is not None:
        assert 0 < proof.missing_kwh <= least + 1e-6
        weight = proof.slots * problem.week.slot_h
        short = np.concatenate(
            (problem.shortage.shortage_kw[None], problem.shortage.feeder_shortage_kw)
        )
        assert proof.need_kwh == pytest.approx(float((weight * short).sum()))
        free = replace(problem, fairness=Fairness(), measures=_free_of_cost(problem))
        permitted = sum(
            -least_week(free, user, _seen_by(problem, weight, user))
            for user in range(problem.users.count)
        )
        assert proof.permitted_kwh == pytest.approx(permitted, rel=1e-9, abs=1e-6)


def _free_of_cost(problem):
    none = np.zeros(problem.measures.count)
    return replace(problem.measures, cost_per_kwh=none, start_cost=none)


def _seen_by(problem, weight, user):
    feeder = problem.users.feeder[user]
    seen = weight[0] + (weight[1 + feeder] if feeder >= 0 else 0.0)
    return seen.reshape(-1)


def test_each_rule_that_keeps_power_out_is_named():
    short = evenings(2, 900.0)
    load = np.array([evenings(2, 100.0)] * 6)
    protected = np.zeros_like(load)
    protected[0] = load[0]
    callable_days = np.ones((6, 2), bool)
    callable_days[1] = False
    allowed = np.ones((6, 2, 24), bool)
    allowed[2, :, 18] = False
    allowed[3, :, :16] = allowed[3, :, 20:] = False
    problem = cases.simple(
        load,
        short,
        costs=[2] * 6,
        protected_kw=protected,
        callable_days=callable_days,
        allowed=allowed,
        min_slots=np.array([1, 1, 1, 9, 1, 1]),
        notice=np.array([3, 3, 3, 3, 0, 3]),
        max_days=np.array([2, 2, 2, 2, 2, 1]),
        min_gap_days=np.array([0, 0, 0, 0, 0, 0]),
    )
    problem = replace(problem, now=problem.week.start)
    plan = solve(problem, SHORT).plan
    falls = shortfall.shortfalls(problem, plan)
    told = {(one.rule, one.largest[0][0]) for fall in falls for one in fall.excluded}
    assert told == {
        ("protected load", 0),
        ("days on which a user is not callable", 1),
        ("slots that are not allowed", 2),
        ("the least length of a window", 3),
        ("notice", 4),
        ("curtailed days", 5),
    }


def test_the_cheapest_rule_to_relax_is_found_by_solving_without_it():
    problem = two_users(250, max_days=np.array(1))
    solution = solve(problem, SHORT)
    tried = [rule for rule, _ in shortfall.relaxed(problem)]
    assert tried == ["one more curtailed day", "one more event a day", "windows of any length"]
    best, *others = shortfall.relaxations(problem, solution, SHORT)
    assert best.rule == "one more curtailed day"
    assert best.saved == pytest.approx(200 * 1_000 - 100 * 5 - 100 * 3)
    assert best.unserved_kwh == pytest.approx(100)
    assert [other.saved for other in others] == pytest.approx([0, 0])


def test_binding_rules_are_named():
    problem = two_users(200, max_days=np.array(1), min_gap_days=np.array(1))
    solution = solve(problem, SHORT)
    found = explain.binding(problem, solution.plan, int(solution.plan.user[0]))
    assert found == ("at most 1 curtailed day", "1 free day between curtailed days")


def test_the_cap_of_leximin_binds():
    fair = Fairness(mode=FairnessMode.LEXIMIN)
    problem = two_users(100, fairness=fair, contract_kwh=np.array(1_000.0))
    solution = solve(problem, SHORT)
    for user in (0, 1):
        found = explain.binding(problem, solution.plan, user, solution.burden_cap)
        assert "a burden of at most 0.1" in found


def test_spreads_by_hand():
    even = figures.spread(np.full(4, 0.2))
    assert (even.jain, even.gini, even.max_over_mean) == pytest.approx((1, 0, 1))
    one = figures.spread(np.array([0.0, 0, 0, 1]))
    assert (one.jain, one.gini, one.max_over_mean) == pytest.approx((0.25, 0.75, 4))
    none = figures.spread(np.zeros(3))
    assert (none.jain, none.gini, none.max_over_mean) == (1, 0, 1)


def test_fairness_is_told_by_class_and_industry():
    problem = two_users(100, industry=("steel", "food"), priority_class=("a", "a"))
    burdens = referee.burden(problem, solve(problem, SHORT).plan)
    found = figures.fairness(problem, burdens)
    assert list(found) == ["all", "industry food", "industry steel", "priority class a"]
    assert found["priority class a"] == found["all"]
    assert found["industry steel"].mean == 0


def test_warning_levels_go_by_the_share_of_the_peak():
    levels = tuple(
        WarningLevel(name=name, least_share=share)
        for name, share in (("blue", 0.05), ("yellow", 0.1), ("orange", 0.2), ("red", 0.3))
    )
    problem = two_users(50, warning_levels=levels)  # a quarter of 200 kW
    short = problem.shortage.shortage_kw.reshape(-1) > 0
    assert figures.slot_levels(problem) == np.where(short, "orange", "").tolist()
    assert set(figures.slot_levels(two_users(0, warning_levels=levels))) == {""}


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
