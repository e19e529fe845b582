from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from loadloom.client.errors import InvalidRequest, LimitExceeded, Violation
from loadloom.client.orderly import Fairness, Measure, Shortage, User, WarningLevel
from loadloom.client.orderly_request import check_size, schedule_request
from loadloom.client.orderly_week import Week
from loadloom.client.orderly_words import Words, callers_words
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import from_series
from tests.clients.orderly_cases import shortage, users, week

WEEK = week()


def faults(said_users=(), said_shortage=None, **wishes):
    with pytest.raises(InvalidRequest) as caught:
        schedule_request(WEEK, said_users, said_shortage or shortage(), wishes)
    return {violation.path: violation.message for violation in caught.value.violations}


def test_columns_hold_the_users_and_measures_row_by_row():
    request = schedule_request(WEEK, users(), shortage(), {"title": "park"})
    assert list(request.users.names) == ["user 0", "user 1", "user 2"]
    assert (request.users.load_kw.rows, request.users.load_kw.cols) == (1, 1)
    assert list(request.users.load_profile) == [0, 0, 0]
    assert list(request.users.max_days) == [3, 3, 3]
    assert list(request.measures.user) == [0, 1, 2]
    assert list(request.measures.kind) == [pb.MEASURE_KIND_LIMIT] * 3
    assert list(request.measures.notice) == [pb.NOTICE_CLASS_DAY] * 3
    assert from_series(request.measures.cost_per_kwh).tolist() == [1.0, 2.0, 3.0]
    assert from_series(request.shortage.shortage_kw).size == 168


def test_users_with_the_same_load_share_it_and_others_have_rows_of_their_own():
    day, night = np.arange(24.0), np.arange(24.0)[::-1]
    said = [
        User(name="a", load_kw=night),
        User(name="b", load_kw=day, load_scale=2.5),
        User(name="c", load_kw=night.copy(), load_scale=3.0),
    ]
    sent = schedule_request(WEEK, said, shortage(), {}).users
    assert (sent.load_kw.rows, sent.load_kw.cols) == (2, 24)
    assert from_series(sent.load_kw.values).tolist() == [*night, *day]
    assert list(sent.load_profile) == [0, 1, 0]
    assert from_series(sent.load_scale).tolist() == [1.0, 2.5, 3.0]
    assert from_series(sent.contract_kwh).tolist() == [7 * 276, 7 * 276 * 2.5, 7 * 276 * 3]
    alone = schedule_request(WEEK, [said[0], User(name="d", load_kw=day)], shortage(), {}).users
    assert (alone.load_kw.rows, list(alone.load_profile)) == (2, [])


def test_a_request_that_a_server_does_not_take_is_told_with_what_would_help():
    request = schedule_request(WEEK, users(), shortage(), {})
    check_size(request, request.ByteSize())
    with pytest.raises(LimitExceeded, match=r"load_scale .* --limits.message-bytes \d+$") as caught:
        check_size(request, request.ByteSize() - 1)
    assert caught.value.code == "RESOURCE_EXHAUSTED"
    assert int(str(caught.value).split()[-1]) >= request.ByteSize()


def test_what_is_usual_is_not_sent():
    request = schedule_request(WEEK, users(), shortage(), {})
    for name in ("compliance", "telemetry", "protected_kw", "carried_burden", "callable_days"):
        assert not request.users.HasField(name)
    assert not request.measures.HasField("ramp_kw")
    assert not request.users.feeder


def test_wishes_that_are_not_usual_are_sent_when_they_are_asked_for():
    usual = schedule_request(WEEK, users(), shortage(), {})
    assert not usual.late_notice
    assert usual.options.work_limit == 0
    assert not usual.options.HasField("deadline")
    asked = {"late_notice": True, "work_limit": 12, "priority": 3, "deadline_s": 90.0}
    request = schedule_request(WEEK, users(), shortage(), asked)
    assert request.late_notice
    assert request.options.work_limit == 12
    assert request.options.priority == 3
    assert request.options.deadline.seconds == 90


def test_every_request_has_an_id_of_its_own_unless_one_is_given():
    ids = {schedule_request(WEEK, users(), shortage(), {}).request_id for _ in range(3)}
    assert len(ids) == 3
    given = schedule_request(WEEK, users(), shortage(), {"request_id": "mine"})
    assert given.request_id == "mine"


@pytest.mark.parametrize(
    "profile",
    [7.0, np.full(24, 7.0), np.full(168, 7.0), np.full((7, 24), 7.0), [7] * 24],
    ids=["number", "day", "week", "days and slots", "list"],
)
def test_a_profile_comes_in_many_shapes(profile):
    request = schedule_request(WEEK, [User(name="a", load_kw=profile)], shortage(), {})
    assert from_series(request.users.load_kw.values).tolist() == [7.0]


@pytest.mark.parametrize(
    ("profile", "cols"), [(np.arange(168), 168), (np.tile(np.arange(24), 7), 24), (5, 1)]
)
def test_what_repeats_is_sent_once(profile, cols):
    some = [User(name=name, load_kw=profile) for name in "ab"]
    load_kw = schedule_request(WEEK, some, shortage(), {}).users.load_kw
    assert (load_kw.rows, load_kw.cols) == (1, cols)
    week_kw = np.broadcast_to(np.asarray(profile).reshape(-1), (168,)) if cols < 24 else profile
    sent = np.tile(from_series(load_kw.values), 168 // cols)
    assert sent.tolist() == np.asarray(week_kw).tolist()


def test_a_pandas_profile_is_averaged_over_the_slots_by_its_times():
    times = pd.date_range("2030-03-03", "2030-03-12", freq="15min", tz="Europe/Berlin")
    profile = pd.Series(times.tz_convert("Europe/Berlin").hour * 1.0, times)
    request = schedule_request(WEEK, [User(name="a", load_kw=profile)], shortage(), {})
    assert from_series(request.users.load_kw.values).tolist() == [*map(float, range(24))]


def test_the_contract_is_the_energy_of_the_forecast_unless_it_is_given():
    some = [User(name="a", load_kw=2.0), User(name="b", load_kw=2.0, contract_kwh=5.0)]
    request = schedule_request(WEEK, some, shortage(), {})
    assert from_series(request.users.contract_kwh).tolist() == [336.0, 5.0]


def test_days_and_hours_become_masks():
    rest = Measure(kind="rest", cap_kw=9.0, cost_per_kwh=1.0)
    evening = Measure(kind="cut", cap_kw=9.0, cost_per_kwh=1.0, allowed="17:00-19:00 23:00-24:00")
    user = User(
        name="a",
        load_kw=9.0,
        callable_days=["Mon", 2],
        rest_days=["Tue"],
        usual_rest_day="Sun",
        measures=[rest, evening],
    )
    message = schedule_request(WEEK, [user], shortage(), {})
    assert list(message.users.callable_days.values) == [True, False, True, *[False] * 4]
    assert list(message.users.rest_days.values) == [False, True, *[False] * 5]
    assert list(message.users.usual_rest_day) == [6]
    allowed = np.array(message.measures.allowed.values).reshape(2, 7, 24)
    assert allowed[0].all()
    assert np.flatnonzero(allowed[1, 3]).tolist() == [17, 18, 23]


def test_a_ramp_of_one_leaves_the_others_at_once():
    slow = Measure(kind="cut", cap_kw=9.0, cost_per_kwh=1.0, ramp_kw=3.0)
    quick = Measure(kind="rest", cap_kw=9.0, cost_per_kwh=1.0)
    request = schedule_request(
        WEEK, [User(name="a", load_kw=9.0, measures=[slow, quick])], shortage(), {}
    )
    assert from_series(request.measures.ramp_kw).tolist() == [3.0, np.inf]


def test_unserved_energy_is_dearer_than_the_dearest_measure_unless_its_price_is_given():
    short = Shortage(shortage_kw=1.0)
    measure = Measure(kind="cut", cap_kw=10.0, cost_per_kwh=2.0, start_cost=20.0, min_slots=2)
    user = User(name="a", load_kw=9.0, measures=[measure])
    request = schedule_request(WEEK, [user], short, {})
    assert request.shortage.unserved_price_per_kwh == pytest.approx(10 * (2.0 + 20.0 / 20.0))


def test_wishes_reach_the_request():
    request = schedule_request(
        WEEK,
        users(),
        shortage(),
        {
            "fairness": Fairness(mode="equal hours", gamma=(1.0, 2.0), history_strength=0.5),
            "legal_order": "strict",
            "warning_levels": [WarningLevel(name="IV blue", least_share=0.05)],
            "plan_time": datetime(2030, 3, 1, tzinfo=UTC),
            "method": "rota",
            "time_limit_s": 2.5,
            "seed": 4,
        },
    )
    assert request.fairness.mode == pb.FAIRNESS_MODE_EQUAL_HOURS
    assert request.legal_order == pb.LEGAL_ORDER_STRICT
    assert request.warning_levels[0].name == "IV blue"
    assert request.plan_time.ToDatetime(UTC) == datetime(2030, 3, 1, tzinfo=UTC)
    assert request.options.method == pb.ORDERLY_METHOD_ROTA
    assert request.options.time_limit.ToMilliseconds() == 2500


def test_all_faults_are_told_at_once_in_the_words_of_the_caller():
    measure = Measure(kind="shft", cap_kw="much", cost_per_kwh=1.0, min_slots=-1, allowed="9-10")
    some = [User(name="a", load_kw=np.zeros(5), max_days=1.5, callable_days=["Foo"])]
    some += [User(name="b", load_kw="x", carried_burden=0.1, measures=[measure])]
    found = faults(some, Shortage(), time_limit_s=-1.0, plan_time=datetime(2030, 1, 1))
    assert "must be a number, 24 for the slots of a day" in found["users[0].load_kw"]
    assert "must be a whole number" in found["users[0].max_days"]
    assert "Foo is no day of 2030-W10" in found["users[0].callable_days"]
    assert "for every user, or for none" in found["users[0].carried_burden"]
    assert "users[1].load_kw" in found
    assert "must be one of shift, avoid" in found["users[1].measures[0].kind"]
    assert "must be a number" in found["users[1].measures[0].cap_kw"]
    assert "users[1].measures[0].min_slots" in found
    assert "write it as 17:00-22:00" in found["users[1].measures[0].allowed"]
    assert "seconds above 0" in found["options.time_limit"]
    assert "has no time zone" in found["plan_time"]
    assert "or the capacity in capacity_kw" in found["shortage.shortage_kw"]


def test_a_series_that_does_not_cover_the_week_is_told():
    times = pd.date_range("2030-03-04", periods=24, freq="h", tz="Europe/Berlin")
    found = faults([User(name="a", load_kw=pd.Series(1.0, times))])
    assert "the week is 2030-03-04 00:00:00+01:00" in found["users[0].load_kw"]


def test_nobody_is_told_of_too():
    assert faults([]) == {"users": "is empty; give at least one user"}


def test_an_unknown_wish_is_an_error_of_the_program():
    with pytest.raises(TypeError, match="'titel'"):
        schedule_request(WEEK, users(), shortage(), {"titel": "x"})


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("users.compliance[1]", "users[1].compliance"),
        ("users.load_kw[1][2][3]", "users[1].load_kw[2][3]"),
        ("users.names[2]", "users[2].name"),
        ("measures.cap_kw[3]", "users[2].measures[1].cap_kw"),
        ("shortage.feeders[0].shortage_kw", "shortage.feeders['west'].shortage_kw"),
        ("week.start_time", "week.start_time"),
        ("users.compliance[9]", "users.compliance[9]"),
    ],
)
def test_paths_of_columns_become_those_of_rows(path, told):
    one = Measure(kind="cut", cap_kw=1.0, cost_per_kwh=1.0)
    some = [User(name=n, load_kw=1.0, measures=[one] * (i and 2)) for i, n in enumerate("abc")]
    assert Words(some, ("west",)).told(Violation(path, "is wrong")).path == told


def test_the_name_of_the_user_is_told_with_the_fault():
    told = pytest.raises(InvalidRequest, match=r"users\[1\].compliance: is 2 \(user 1\)")
    with told, callers_words(users(), ()):
        raise InvalidRequest.of([Violation("users.compliance[1]", "is 2")])


def test_a_week_of_quarter_hours():
    fine = Week.of_name("2030-W10", slot_count=96)
    request = schedule_request(fine, [User(name="a", load_kw=np.ones(96))], shortage_of(96), {})
    assert len(request.measures.user) == 0
    assert from_series(request.shortage.shortage_kw).size == 672


def shortage_of(slots):
    return Shortage(shortage_kw=np.ones(slots))
