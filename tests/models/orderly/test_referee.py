"""The referee names every rule that a plan breaks, and nothing in a plan that keeps them."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import (
    AbilityRule,
    Kind,
    Measures,
    Notice,
    Plan,
    Problem,
    Shortage,
    Users,
)
from tests.models.orderly import cases


def park(**changes):
    """Two users with two measures each, four days of six slots, and a rest day that may move."""
    users = {
        "names": ("a", "b"),
        "load_kw": np.full((2, 4, 6), 100.0),
        "protected_kw": np.full((2, 4, 6), 20.0),
        "contract_kwh": np.array([1_000.0, 2_000.0]),
        "max_days": np.array([2, 2]),
        "min_gap_days": np.array([1, 0]),
        "rest_days": np.array([[False, False, False, True]] * 2),
        "usual_rest_day": np.array([0, -1]),
        "carried_burden": np.array([0.1, 0.0]),
        "compliance": np.array([0.9, 1.0]),
        "feeder": np.array([0, -1]),
    }
    measures = {
        "user": np.array([0, 0, 1, 1]),
        "kind": np.array([Kind.CUT, Kind.REST, Kind.LIMIT, Kind.REST]),
        "cap_kw": np.array([50.0, 60.0, 100.0, 60.0]),
        "cost_per_kwh": np.array([5.0, 1.0, 3.0, 1.0]),
        "start_cost": np.array([10.0, 0.0, 20.0, 0.0]),
        "min_slots": np.array([1, 1, 2, 1]),
        "max_slots": np.array([2, 6, 3, 6]),
        "ramp_kw": np.array([np.inf, np.inf, 50.0, np.inf]),
        "rebound_share": np.array([0.5, 0.0, 0.0, 0.0]),
        "rebound_slots": np.array([2, 0, 0, 0]),
        "notice": np.array([Notice.DAY, Notice.DAY, Notice.IMMEDIATE, Notice.DAY]),
        "allowed": np.array([[[True] * 5 + [False]]] * 4),
    }
    options = {k: changes.pop(k) for k in list(changes) if k in Problem.__dataclass_fields__}
    users |= {k: changes.pop(k) for k in list(changes) if k in users or k == "callable_days"}
    measures |= changes
    return Problem(
        week=cases.week(4, 6),
        users=Users(**users),
        measures=Measures(**measures),
        shortage=Shortage(
            shortage_kw=np.full((4, 6), 40.0),
            unserved_price_per_kwh=100.0,
            feeder_shortage_kw=np.full((1, 4, 6), 10.0),
            feeders=("f",),
        ),
        **options,
    )


def plan(*events, rest=(-1, -1), by=(-1, -1)):
    columns = np.array(events, np.int64).reshape(-1, 5).T
    return Plan(
        user=columns[0],
        day=columns[1],
        measure=columns[2],
        first_slot=columns[3],
        slot_count=columns[4],
        rest_day=np.array(rest),
        rest_measure=np.array(by),
    )


GOOD = plan((0, 0, 0, 1, 2), (0, 2, 0, 0, 1), (1, 1, 2, 0, 3), rest=(3, -1), by=(1, -1))


def test_a_good_plan_breaks_nothing():
    assert referee.violations(park(), GOOD) == []


BREACHES = {
    "not the user's": plan((0, 0, 2, 1, 2)),
    "moves the rest day": plan((0, 0, 1, 1, 2)),
    "must last 1 to 2": plan((0, 0, 0, 1, 3)),
    "must last 2 to 3": plan((1, 0, 2, 1, 1)),
    "leaves its day": plan((0, 0, 0, 5, 2)),
    "not allowed": plan((0, 0, 0, 4, 2)),
    "at most 2": plan((1, 0, 2, 0, 2), (1, 1, 2, 0, 2), (1, 2, 2, 0, 2)),
    "must have 1": plan((0, 0, 0, 0, 1), (0, 1, 0, 0, 1)),
    "events; must have at most 1": plan((0, 0, 0, 0, 1), (0, 0, 0, 3, 1)),
    "without a free slot": plan((0, 0, 0, 0, 1), (0, 0, 0, 1, 1)),
    "which is not a rest day": plan(rest=(3, -1), by=(0, -1)),
    "to which it may not move": plan(rest=(2, -1), by=(1, -1)),
    "on which the user has an event": plan((0, 3, 0, 0, 1), rest=(3, -1), by=(1, -1)),
}


@pytest.mark.parametrize("words", BREACHES)
def test_every_breach_is_named(words):
    found = referee.violations(park(), BREACHES[words])
    assert any(words in violation.message for violation in found), found


def test_days_that_are_not_callable_are_named():
    days = np.ones((2, 4), bool)
    days[0, 0] = days[0, 3] = False
    found = referee.violations(park(callable_days=days), GOOD)
    assert [str(v) for v in found] == [
        "users[0].days[0]: lies on a day that is not callable",
        "users[0].rest_day: is day 3, which is not callable",
    ]


def test_notices_that_can_no_longer_be_given_are_named():
    now = cases.MONDAY - timedelta(hours=20)
    found = referee.violations(park(now=now), GOOD)
    assert [v.path for v in found] == ["users[0].rest_day"]
    found = referee.violations(park(now=cases.MONDAY), plan((0, 0, 0, 1, 1)))
    assert "needs a notice that is" in found[0].message


def test_an_ability_too_low_for_short_notice_is_named():
    rule = AbilityRule(least_score=(0.0, 0.0, 0.0, 1.0))
    found = referee.violations(park(ability=rule), plan((1, 1, 2, 0, 3)))
    assert "ability is too low" in found[0].message
    rule = AbilityRule(least_score=(0.0, 1.0, 0.0, 0.0))
    found = referee.violations(park(ability=rule), plan(rest=(3, -1), by=(1, -1)))
    assert [str(v) for v in found] == [
        "users[0].rest_day: moves by measure 1; the ability is too low for it"
    ]


def test_a_burden_beyond_its_cap_is_named():
    cap = referee.burden(park(), GOOD)
    assert referee.violations(park(), GOOD, cap) == []
    found = referee.violations(park(), GOOD, 0.99 * cap)
    assert [v.path for v in found] == ["users[0]", "users[1]"]


def test_what_was_announced_is_kept_or_released_and_never_moved():
    early = park(now=cases.MONDAY - timedelta(days=2), announced=GOOD)
    assert referee.violations(early, GOOD) == []
    assert referee.violations(early, plan()) == []
    moved = plan((0, 0, 0, 2, 1))
    assert "kept or released" in str(referee.violations(early, moved)[0])
    late = replace(early, now=cases.MONDAY + timedelta(hours=30))
    lost = [str(v) for v in referee.violations(late, plan())]
    assert lost == [
        "users[0].days[0]: lacks an announced event that has begun",
        "users[1].days[1]: lacks an announced event that has begun",
        "users[0].rest_day: is not day 3, which was announced",
    ]


def test_relief_cost_and_burden_by_hand():
    problem = park()
    done = referee.effect(problem, GOOD)
    # Six slots of four hours. a: 50 kW for two slots, half of it back over the next two slots.
    first = np.zeros((4, 6))
    first[0] = [0, 50, 50, -25, -25, 0]
    first[2] = [50, -12.5, -12.5, 0, 0, 0]
    first[3] = 60
    first[0] -= 60  # the usual rest day works
    np.testing.assert_allclose(done.relief_kw[0], first)
    np.testing.assert_allclose(done.relief_kw[1, 1], [50, 80, 80, 0, 0, 0])
    np.testing.assert_allclose(done.curtailed_kwh, [400, 200, 840])
    cost = referee.cost(problem, GOOD)
    assert cost.by_user[0] == pytest.approx(400 * 5 + 10 + 200 * 5 + 10 + 60 * 24)
    assert cost.by_user[1] == pytest.approx(840 * 3 + 20)
    burdens = referee.burden(problem, GOOD)
    np.testing.assert_allclose(burdens, [0.1 + (600 + 1440) / 1000, 840 / 2000])
    whole, feeders = referee.unserved_kw(problem, GOOD)
    assert whole[1].tolist() == [0, 0, 0, 40, 40, 40]
    assert whole[2, :2].tolist() == pytest.approx([0, 40 + 0.9 * 12.5])
    assert feeders[0, 1:3, 0].tolist() == [10, 0]
