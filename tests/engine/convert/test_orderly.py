"""Requests for schedules read into problems: shapes, defaults, commissions, confirmed days."""

from datetime import UTC, datetime

import numpy as np
import pytest

from loadloom.engine.convert.commissions import Commission, head_of, plan_of, unpacked
from loadloom.engine.convert.notices import occasions
from loadloom.engine.convert.orderly import parse, parse_commission
from loadloom.engine.convert.schedules import seen_by
from loadloom.models.orderly.problem import FairnessMode, Kind, LegalOrder, Notice
from loadloom.models.orderly.solution import Road
from loadloom.v1 import orderly_pb2 as pb
from tests.engine.services.orderly_weeks import shortage, week_request


def test_what_is_left_out_has_its_default():
    request = week_request()
    request.week.ClearField("slot_count")
    for name in ("contract_kwh", "max_days"):
        request.users.ClearField(name)
    for name in ("max_slots", "notice"):
        request.measures.ClearField(name)
    request.ClearField("options")
    del request.shortage.shortage_kw.values[1:]
    asked = parse(request)
    problem, options = asked.problem, asked.options
    assert problem.week.shape == (7, 24)
    assert problem.week.time_zone == "UTC"
    assert set(problem.users.contract_kwh) == {1.0}
    assert set(problem.users.max_days) == {7}
    assert set(problem.users.usual_rest_day) == {-1}
    assert problem.users.callable_days.all()
    assert not problem.users.rest_days.any()
    assert set(problem.measures.max_slots) == {24}
    assert set(problem.measures.notice) == {Notice.WEEK}
    assert np.isinf(problem.measures.ramp_kw).all()
    assert problem.fairness.mode is FairnessMode.CONVEX
    assert problem.legal_order is LegalOrder.PRICED
    assert problem.ability.curtailable_weight == 0.3
    assert (options.time_limit_s, options.relative_gap, options.road) == (60.0, 1e-4, None)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("cols", [1, 8, 56])
def test_a_matrix_holds_for_all_users_days_or_slots_that_it_does_not_tell_apart(rows, cols):
    request = week_request()
    values = np.arange(1.0, rows * cols + 1)
    request.users.load_kw.rows, request.users.load_kw.cols = rows, cols
    request.users.load_kw.values.values[:] = values
    load = parse(request).problem.users.load_kw
    shape = {1: (rows, 1, 1), 8: (rows, 1, 8), 56: (rows, 7, 8)}[cols]
    assert np.array_equal(load, np.broadcast_to(values.reshape(shape), (4, 7, 8)))


@pytest.mark.parametrize("cols", [1, 8, 56])
@pytest.mark.parametrize("scale", [[], [2.0], [1.0, 0.0, 0.5, 3.0]])
def test_users_that_share_profiles_have_their_rows_times_their_scale(cols, scale):
    request, profile = week_request(), [1, 0, 1, 1]
    rows = np.arange(1.0, 2 * cols + 1).reshape(2, cols)
    request.users.load_kw.rows, request.users.load_kw.cols = rows.shape
    request.users.load_kw.values.values[:] = rows.ravel()
    request.users.load_profile.extend(profile)
    if scale:
        request.users.load_scale.values.extend(scale)
    shared = parse(request).problem
    each = rows[profile] * (np.broadcast_to(scale, 4)[:, None] if scale else 1.0)
    request.users.ClearField("load_profile")
    request.users.ClearField("load_scale")
    request.users.load_kw.rows = 4
    request.users.load_kw.values.values[:] = each.ravel()
    assert np.array_equal(shared.users.load_kw, parse(request).problem.users.load_kw)


@pytest.mark.parametrize("cols", [1, 8, 56])
def test_masks_and_capacities_are_read_as_matrices_are(cols):
    request = week_request()
    request.measures.allowed.rows, request.measures.allowed.cols = 1, cols
    request.measures.allowed.values.extend(i % 2 == 0 for i in range(cols))
    request.shortage.ClearField("shortage_kw")
    request.shortage.capacity_kw.values.extend(300.0 + np.arange(cols))
    request.shortage.reserve_kw.values.append(20.0)
    problem = parse(request).problem
    assert problem.measures.allowed.shape == (4, 7, 8)
    assert problem.measures.allowed.sum() == 4 * {1: 56, 8: 28, 56: 28}[cols]
    assert problem.shortage.shortage_kw[0, 0] == 400.0 + 20.0 - 300.0
    assert problem.shortage.shortage_kw[6, 7] == 120.0 - {1: 0, 8: 7, 56: 55}[cols]


def test_every_word_finds_its_meaning():
    request = week_request()
    del request.measures.kind[:]
    request.measures.kind.extend([1, 2, 4, 5])
    request.users.feeder.extend(["", "b", "a", "b"])
    for name in ("a", "b"):
        request.shortage.feeders.add(name=name).shortage_kw.values.append(5.0)
    request.fairness.mode = pb.FAIRNESS_MODE_LEXIMIN
    request.legal_order = pb.LEGAL_ORDER_STRICT
    request.options.method = pb.ORDERLY_METHOD_COUPLED
    request.ability.least_scores.extend([0.0, 0.1, 0.2, 0.3])
    request.plan_time.FromJsonString("2026-12-01T00:00:00Z")
    asked = parse(request)
    problem = asked.problem
    assert list(problem.measures.kind) == [Kind.SHIFT, Kind.AVOID, Kind.CUT, Kind.REST]
    notices = [Notice.WEEK, Notice.DAY, Notice.QUARTER_HOUR, Notice.IMMEDIATE]
    assert list(problem.measures.notice) == notices
    assert list(problem.users.feeder) == [-1, 1, 0, 1]
    assert problem.shortage.feeder_shortage_kw.shape == (2, 7, 8)
    assert problem.fairness.mode is FairnessMode.LEXIMIN
    assert problem.legal_order is LegalOrder.STRICT
    assert asked.options.road is Road.COUPLED
    assert problem.ability.least_score == (0.0, 0.1, 0.2, 0.3)
    assert problem.ability.notice_weight == 0.2
    assert problem.now == datetime(2026, 12, 1, tzinfo=UTC)


def revision(**head: object) -> Commission:
    """A revision under a plan with a moved rest day of anna, and an event of bert."""
    request = week_request()
    request.measures.user.append(0)
    del request.measures.kind[:]
    request.measures.kind.extend([3, 3, 3, 3, 5])
    request.measures.cost_per_kwh.values.append(1.0)
    request.measures.notice.append(pb.NOTICE_CLASS_WEEK)
    request.users.rest_days.rows = request.users.rest_days.cols = 1
    request.users.rest_days.values.append(True)
    schedule = pb.WeeklySchedule(name="schedules/x", revision=2, published_revision=1, **head)
    schedule.rest_moves.add(user=0, day=4, measure=4)
    for name, value in (
        ("users", 1), ("days", 4), ("measures", 1), ("first_slots", 6), ("slot_counts", 1)
    ):  # fmt: skip
        getattr(schedule.events, name).append(value)
    asked = pb.ReviseScheduleRequest(
        name="schedules/" + "0" * 32, shortage=shortage({4: 100.0}), change_tolerance=0.1
    )
    asked.plan_time.FromJsonString("2026-12-08T00:00:00Z")
    return Commission(head=schedule, revise=asked, request=request)


def test_a_commission_survives_the_way_to_its_worker():
    made = revision()
    raw = made.packed()
    assert unpacked(raw) == made
    assert head_of(raw) == made.head
    first = Commission(
        head=pb.WeeklySchedule(), revise=pb.ReviseScheduleRequest(), request=week_request()
    )
    assert unpacked(first.packed()) == first


def test_a_revision_is_planned_under_what_was_announced():
    asked = parse_commission(revision())
    problem = asked.problem
    assert problem.now == datetime(2026, 12, 8, tzinfo=UTC)
    assert problem.change_tolerance == 0.1
    assert problem.shortage.shortage_kw[4, 6] == 100.0
    assert problem.shortage.shortage_kw[0, 6] == -100.0
    announced = problem.announced
    assert list(announced.rest_day) == [4, -1, -1, -1]
    assert list(announced.rest_measure) == [4, -1, -1, -1]
    assert (announced.user[0], announced.day[0], announced.first_slot[0]) == (1, 4, 6)


def test_on_a_confirmed_day_only_what_was_announced_stays():
    problem = parse_commission(revision(confirmed_days=[4])).problem
    assert problem.users.callable_days[:, 4].tolist() == [True, True, False, False]
    assert problem.users.callable_days[:, :4].all()
    # Who rests that day gets no window on it if the rest day is released.
    assert not problem.measures.allowed[0, 4].any()
    assert problem.measures.allowed[1:4, 4].all()


def test_a_plan_is_read_back_from_its_schedule():
    schedule = revision().head
    plan = plan_of(schedule, 4)
    assert plan.event_count == 1
    assert plan.rest_day[0] == 4


def test_of_a_schedule_a_user_sees_its_own_measures_whole():
    commission = revision()
    schedule = pb.WeeklySchedule(users=commission.request.users.names)
    schedule.MergeFrom(commission.head)
    schedule.measures.CopyFrom(commission.request.measures)
    schedule.events.relief_kw.values.append(80.0)
    schedule.events.energy_kwh.values.append(240.0)
    schedule.events.cost.values.append(480.0)
    anna, bert = seen_by(schedule, 0), seen_by(schedule, 1)
    assert list(anna.measures.kind) == [pb.MEASURE_KIND_LIMIT, pb.MEASURE_KIND_REST]
    assert (anna.rest_moves[0].user, anna.rest_moves[0].measure) == (0, 1)
    assert not anna.events.users
    assert list(bert.events.measures) == [0]
    assert list(bert.events.relief_kw.values) == [80.0]
    assert not bert.rest_moves


def test_a_rest_on_a_day_that_is_left_out_is_no_relief():
    # Samoa went from 29 to 31 December 2011.
    midnight = datetime(2011, 12, 26, 10, tzinfo=UTC)
    week = week_request(start=midnight, zone="Pacific/Apia").week
    schedule = pb.WeeklySchedule(week=week, users=["anna"])
    schedule.measures.kind.append(pb.MEASURE_KIND_REST)
    schedule.rest_moves.add(user=0, day=4, measure=0, usual_day=2, energy_kwh=0.0)
    (rest,) = occasions(schedule).values()
    assert rest.start == rest.end
    assert rest.relief_kw == 0.0
    assert rest.reach.isoformat() == "2011-12-28T00:00:00-10:00"
