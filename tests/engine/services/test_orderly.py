"""The life of schedules, through a real server and its worker, on both kinds of database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from types import SimpleNamespace

import grpc
import pytest
from google.longrunning import operations_pb2 as longrunning

from loadloom.engine.services.operations import Operations
from loadloom.engine.services.orderly import OrderlyService
from loadloom.engine.services.orderly_jobs import NAME
from loadloom.engine.settings import Settings
from loadloom.v1 import orderly_pb2 as pb
from tests.engine.services.orderly_weeks import (
    MONDAY,
    SHORT,
    USERS,
    Clock,
    keys,
    planning,
    shortage,
)

METHODS = list(pb.DESCRIPTOR.services_by_name["OrderlyService"].methods)
NOBODY = "schedules/" + "0" * 32
WEDNESDAY = MONDAY + timedelta(days=2)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_has_a_handler_of_its_kind(method):
    service = OrderlyService(Operations(Settings(), database=None), runner=None, workers=None)
    found = service.handler().service(
        SimpleNamespace(method=f"/{NAME}/{method.name}", invocation_metadata=())
    )
    assert found.request_streaming == method.client_streaming
    assert found.response_streaming == method.server_streaming
    assert found.request_deserializer is found.response_serializer is None


def test_a_week_lives_from_the_draft_to_the_ledger(planner):
    made = planner.stub.CreateSchedule(planner.request(title="the draft"))
    listed = planner.stub.ListSchedules(pb.ListSchedulesRequest(page_size=500)).schedules
    (draft,) = [schedule for schedule in listed if schedule.title == "the draft"]
    assert draft.state in {pb.SCHEDULE_STATE_DRAFT, pb.SCHEDULE_STATE_SOLVED}
    solved = planner.solved(made)
    name = solved.name
    assert name == draft.name
    assert (solved.state, solved.revision) == (pb.SCHEDULE_STATE_SOLVED, 1)
    assert planner.get(name) == solved
    published = planner.publish(solved)
    assert (published.state, published.published_revision) == (pb.SCHEDULE_STATE_PUBLISHED, 1)
    assert planner.publish(solved) == published
    planner.clock.time = MONDAY - timedelta(days=1)
    confirmed = planner.stub.ConfirmDay(pb.ConfirmDayRequest(name=name, day=0)).schedule
    assert confirmed.state == pb.SCHEDULE_STATE_CONFIRMED
    assert list(confirmed.confirmed_days) == [0]
    planner.clock.time = WEDNESDAY
    assert planner.get(name).state == pb.SCHEDULE_STATE_RUNNING
    planner.clock.time = MONDAY + timedelta(days=7)
    recorded = planner.deliver(published, share=0.5)
    assert (recorded.recorded_count, recorded.missing_count) == (10, 0)
    settled = planner.settle(name)
    assert settled.state == pb.SCHEDULE_STATE_SETTLED
    assert planner.settle(name) == settled
    ledger = planner.ledger(users=planner.names)
    assert [entry.user for entry in ledger.entries] == list(planner.names)
    # A share of what was planned was delivered, and that alone is what burdens.
    for entry, burden in zip(ledger.entries, solved.burdens.values, strict=True):
        assert entry.energy_kwh == pytest.approx(0.5 * entry.planned_kwh)
        assert entry.carried_burden == entry.burden == pytest.approx(0.5 * burden)
    assert ledger.fairness.user_count >= 4


def test_the_ledger_carries_burdens_over_three_weeks(planner):
    for week in range(3):
        start = MONDAY + timedelta(days=7 * week)
        planner.clock.time = start - timedelta(days=8)
        schedule = planner.create(start=start)
        # What the plan says of burdens after the week builds on the ledger.
        planned = dict(zip(schedule.users, schedule.burdens.values, strict=True))
        planner.publish(schedule)
        planner.clock.time = start + timedelta(days=7)
        planner.deliver(schedule)
        planner.settle(schedule.name)
        entries = planner.ledger(users=planner.names[::-1]).entries
        assert len(entries) == 4 * (week + 1)
        carried = {e.user: e.carried_burden for e in entries if e.schedule == schedule.name}
        assert carried == pytest.approx(planned)
    entries = planner.ledger(users=planner.names[:1]).entries
    assert [e.week_start_time.ToDatetime() for e in entries] == [
        (MONDAY + timedelta(days=7 * week)).replace(tzinfo=None) for week in range(3)
    ]
    assert entries[2].carried_burden == pytest.approx(sum(e.burden for e in entries))
    pages, found, token = [], [], ""
    while not pages or token:
        page = planner.ledger(users=planner.names, page_size=5, page_token=token)
        pages.append([(e.user, e.week_start_time.seconds) for e in page.entries])
        found += pages[-1]
        token = page.next_page_token
    assert [len(page) for page in pages] == [5, 5, 2]
    assert found == sorted(found)
    assert page.fairness.largest_burden >= max(carried.values()) - 1e-9


def test_a_burden_of_the_request_stands_before_that_of_the_ledger(shared):
    request = shared.request()
    request.users.carried_burden.values.extend([0.5, 0.0, 0.0, 0.0])
    schedule = shared.solved(shared.stub.CreateSchedule(request))
    assert schedule.burdens.values[0] >= 0.5


def test_after_a_trip_a_revision_keeps_what_was_announced_and_calls_whom_notice_reaches(planner):
    schedule = planner.published(short={0: 150.0, 2: 60.0, 4: 150.0})
    planner.stub.ConfirmDay(pb.ConfirmDayRequest(name=schedule.name, day=4))
    planner.clock.time = WEDNESDAY + timedelta(hours=8)
    more = {0: 150.0, 2: 200.0, 3: 150.0, 4: 400.0}
    revised = planner.revise(schedule.name, more)
    assert (revised.revision, revised.published_revision) == (2, 1)
    new, old = keys(revised) - keys(schedule), keys(schedule) - keys(revised)
    assert not old
    # Nobody new on the confirmed day, and a week's notice (anna) is too late for all of it.
    assert {day for _, day, *_ in new} == {2, 3}
    assert all(user != 0 for user, *_ in new)
    # A day's notice (bert) still reaches tomorrow evening, not this one.
    assert all(day == 3 for user, day, *_ in new if user == 1)
    shown = planner.get(schedule.name)
    assert (shown.revision, shown.published_revision) == (2, 1)
    assert planner.get(schedule.name, revision=1).events == schedule.events
    before = len(planner.notices(schedule.name, page_size=1000))
    published = planner.publish(revised)
    assert published.published_revision == 2
    notices = planner.notices(schedule.name, page_size=1000)
    calls = {(n.user, n.day) for n in notices if n.revision == 2}
    assert calls == {(schedule.users[user], day) for user, day, *_ in new}
    assert len([n for n in notices if n.revision == 1]) == before


def test_a_release_tells_those_who_were_told_and_withdraws_what_was_not_said(planner):
    schedule = planner.published(short={1: 300.0, 4: 300.0})
    planner.clock.time = MONDAY
    told = {n.user for n in planner.notices(schedule.name) if n.number and n.day == 4}
    assert told == {planner.names[0]}
    revised = planner.publish(planner.revise(schedule.name, {1: 300.0}))
    assert {day for _, day, *_ in keys(schedule) - keys(revised)} == {4}
    notices = [n for n in planner.notices(schedule.name) if n.day == 4]
    released = [n for n in notices if n.kind == pb.NOTICE_KIND_RELEASE]
    assert {n.user for n in released} == told
    assert {n.state for n in released} == {pb.NOTICE_STATE_DUE}
    assert {n.state for n in notices if n.kind != pb.NOTICE_KIND_RELEASE} == {
        pb.NOTICE_STATE_WITHDRAWN
    }
    # Who is released is not missed.
    planner.clock.time = MONDAY + timedelta(days=6)
    assert not [
        n for n in planner.notices(schedule.name, states=[pb.NOTICE_STATE_MISSED]) if n.day == 4
    ]


def test_a_plan_that_others_overtook_is_not_announced(planner, failure):
    schedule = planner.published()
    one, two = (planner.revise(schedule.name, {0: 200.0}) for _ in range(2))
    assert (one.revision, two.revision) == (2, 3)
    stale = pb.PublishScheduleRequest(name=schedule.name, revision=2)
    assert set(failure(lambda: planner.stub.PublishSchedule(stale)).paths) == {"revision"}
    planner.publish(two)
    late = planner.revise(schedule.name, {0: 50.0})
    planner.clock.time = MONDAY + timedelta(days=1)
    told = failure(lambda: planner.publish(late))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    planner.stub.ConfirmDay(pb.ConfirmDayRequest(name=schedule.name, day=3))
    assert planner.get(schedule.name).published_revision == 3


def test_a_user_sees_its_own_and_what_is_public(planner, failure):
    schedule = planner.create()
    unseen = failure(lambda: planner.get(schedule.name, user=planner.names[1]))
    assert unseen.code is grpc.StatusCode.NOT_FOUND
    planner.publish(schedule)
    seen = planner.get(schedule.name, user=planner.names[1])
    assert list(seen.users) == [planner.names[1]]
    assert set(seen.events.users) == set(seen.measures.user) == {0}
    mine = [n for n, user in enumerate(schedule.events.users) if user == 1]
    assert list(seen.events.days) == [schedule.events.days[n] for n in mine]
    assert list(seen.events.cost.values) == [schedule.events.cost.values[n] for n in mine]
    assert list(seen.measures.cost_per_kwh.values) == [2.0]
    assert list(seen.measures.cap_kw.values) == [80.0]
    assert list(seen.burdens.values) == [schedule.burdens.values[1]]
    assert [found.scope for found in seen.fairness] == ["all"]
    assert [ability.user for ability in seen.abilities] == [0]
    assert seen.coverage[0].covered_kw == schedule.coverage[0].covered_kw
    hidden = ("certificate", "provenance")
    assert not [name for name in hidden if seen.HasField(name)]
    assert not seen.coverage[0].HasField("price_per_kwh")
    assert not seen.costs
    assert not seen.stages
    for other in USERS[:1] + USERS[2:]:
        assert other not in str(seen)
    for wanted in ({"user": "eve"}, {"user": planner.names[1], "revision": 2}):
        told = failure(lambda wanted=wanted: planner.get(schedule.name, **wanted))
        assert told.code is grpc.StatusCode.NOT_FOUND


def test_schedules_are_listed_by_week_and_deleted_unless_announced(planner, failure):
    names, later = {}, MONDAY + timedelta(days=700)
    for week in (1, 0, 2):
        names[week] = planner.create(start=later + timedelta(days=7 * week)).name
    first = planner.stub.ListSchedules(pb.ListSchedulesRequest(page_size=2))
    more = pb.ListSchedulesRequest(page_size=500, page_token=first.next_page_token)
    rest = planner.stub.ListSchedules(more)
    assert [s.name for s in first.schedules] == [names[2], names[1]]
    assert rest.schedules[0].name == names[0]
    assert not rest.next_page_token
    assert not first.schedules[0].users
    planner.stub.DeleteSchedule(pb.DeleteScheduleRequest(name=names[2]))
    assert failure(lambda: planner.get(names[2])).code is grpc.StatusCode.NOT_FOUND
    planner.publish(planner.get(names[1]))
    told = failure(lambda: planner.stub.DeleteSchedule(pb.DeleteScheduleRequest(name=names[1])))
    assert told.code is grpc.StatusCode.FAILED_PRECONDITION


def test_one_request_id_is_one_schedule_and_one_revision(shared, failure):
    request = shared.request(request_id="the one")
    one, two = (shared.solved(shared.stub.CreateSchedule(request)) for _ in range(2))
    assert one == two
    request.title = "other"
    told = failure(lambda: shared.stub.CreateSchedule(request))
    assert (told.code, told.reason) == (grpc.StatusCode.ALREADY_EXISTS, "OTHER_REQUEST")
    shared.publish(one)
    revise = pb.ReviseScheduleRequest(
        name=one.name, request_id="its revision", shortage=shortage(SHORT)
    )
    revise.options.method = pb.ORDERLY_METHOD_REFERENCE
    again = [shared.solved(shared.stub.ReviseSchedule(revise)) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0].revision == 2


WRONG = (
    lambda p, n: p.stub.ConfirmDay(pb.ConfirmDayRequest(name=n, day=1)),
    lambda p, n: p.settle(n),
    lambda p, n: p.stub.RecordDelivery(
        pb.RecordDeliveryRequest(name=n, deliveries=[pb.Delivery(user="anna")])
    ),
)


def test_what_a_state_does_not_allow_is_told(shared, failure):
    schedule = shared.create()
    for call in WRONG:
        told = failure(lambda call=call: call(shared, schedule.name))
        assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    published = shared.publish(schedule)
    assert failure(lambda: shared.settle(schedule.name)).reason == "WRONG_STATE"
    told = failure(lambda: shared.deliver(published))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "deliveries[0]" in told.paths
    assert "must be over" in told.paths["deliveries[0]"]
    day = pb.ConfirmDayRequest(name=schedule.name, day=7)
    assert set(failure(lambda: shared.stub.ConfirmDay(day)).paths) == {"day"}


def test_a_settlement_asks_for_every_record_or_to_do_without(planner, failure):
    schedule = planner.published(short={1: 150.0})
    assert len(keys(schedule)) == 2
    planner.clock.time = MONDAY - timedelta(days=3)
    (anna,) = planner.due(1, schedule=schedule.name)
    assert anna.user == planner.names[0]
    planner.acknowledge(anna)
    planner.clock.time = MONDAY + timedelta(days=7)
    # Who was not reached is not called, and need not have delivered.
    told = failure(lambda: planner.settle(schedule.name))
    assert told.reason == "WRONG_STATE"
    missed = planner.notices(schedule.name, states=[pb.NOTICE_STATE_MISSED])
    assert {n.user for n in missed} == {planner.names[1]}
    settled = planner.settle(schedule.name, missing_as_zero=True)
    assert settled.state == pb.SCHEDULE_STATE_SETTLED
    entries = planner.ledger(users=planner.names).entries
    assert {e.energy_kwh for e in entries} == {0.0}
    closed = failure(lambda: planner.deliver(schedule))
    assert closed.reason == "WRONG_STATE"


def test_a_schedule_that_is_not_there_is_not_found(shared, failure):
    for call in (
        lambda: shared.get(NOBODY),
        lambda: shared.notices(NOBODY),
        lambda: shared.settle(NOBODY),
        lambda: shared.due(1, schedule=NOBODY),
        lambda: shared.stub.ExplainSchedule(pb.ExplainScheduleRequest(name=NOBODY)),
        lambda: shared.stub.DeleteSchedule(pb.DeleteScheduleRequest(name=NOBODY)),
        lambda: shared.stub.PublishSchedule(pb.PublishScheduleRequest(name=NOBODY, revision=1)),
        lambda: shared.stub.ReviseSchedule(
            pb.ReviseScheduleRequest(name=NOBODY, shortage=shortage(SHORT))
        ),
    ):
        assert failure(call).code is grpc.StatusCode.NOT_FOUND


def test_a_schedule_survives_its_server(new_url):
    url, clock = new_url("sqlite"), Clock()
    with planning(url, clock) as planner:
        schedule = planner.published()
    with planning(url, clock) as planner:
        assert planner.get(schedule.name) == schedule


def test_a_draft_is_deleted_once_nobody_solves_it(new_url, failure):
    with planning(new_url("sqlite"), job_workers=0) as planner:
        made = planner.stub.CreateSchedule(planner.request())
        (draft,) = planner.stub.ListSchedules(pb.ListSchedulesRequest()).schedules
        assert draft.state == pb.SCHEDULE_STATE_DRAFT
        assert planner.get(draft.name) == draft
        delete = pb.DeleteScheduleRequest(name=draft.name)
        told = failure(lambda: planner.stub.DeleteSchedule(delete))
        assert told.code is grpc.StatusCode.FAILED_PRECONDITION
        for call in (planner.publish, lambda d: planner.revise(d.name, SHORT)):
            draft.revision = 1
            assert failure(lambda call=call: call(draft)).reason == "WRONG_STATE"
        planner.operations.CancelOperation(longrunning.CancelOperationRequest(name=made.name))
        planner.stub.DeleteSchedule(delete)
        assert not planner.stub.ListSchedules(pb.ListSchedulesRequest()).schedules


def test_of_revisions_asked_for_at_once_each_has_a_number_or_is_told_to_try_again(planner):
    schedule = planner.published()
    request = pb.ReviseScheduleRequest(name=schedule.name, shortage=shortage(SHORT))
    request.options.method = pb.ORDERLY_METHOD_REFERENCE

    def ask(_: int) -> longrunning.Operation | grpc.StatusCode:
        try:
            return planner.stub.ReviseSchedule(request, timeout=20)
        except grpc.RpcError as error:
            return error.code()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    made = [one for one in answers if not isinstance(one, grpc.StatusCode)]
    refused = {one for one in answers if isinstance(one, grpc.StatusCode)}
    assert refused <= {grpc.StatusCode.ABORTED}
    assert made
    for operation in made[2:]:
        cancel = longrunning.CancelOperationRequest(name=operation.name)
        planner.operations.CancelOperation(cancel)
    solved = [planner.solved(operation).revision for operation in made[:2]]
    assert len(solved) == len(set(solved))


def test_a_moved_rest_day_is_announced_delivered_and_settled(shared):
    request = shared.request(short={2: 80.0})
    request.measures.user.append(0)
    del request.measures.kind[:]
    request.measures.kind.extend([pb.MEASURE_KIND_LIMIT] * 4 + [pb.MEASURE_KIND_REST])
    request.measures.cost_per_kwh.values.append(0.1)
    request.measures.burden_weight.values.extend([1.0, 1.0, 1.0, 1.0, 0.5])
    request.measures.notice.append(pb.NOTICE_CLASS_DAY)
    users = request.users
    users.usual_rest_day.extend([0, -1, -1, -1])
    users.rest_days.rows, users.rest_days.cols = 4, 7
    users.rest_days.values.extend(day in {1, 2} for _ in range(4) for day in range(7))
    schedule = shared.publish(shared.solved(shared.stub.CreateSchedule(request)))
    (move,) = schedule.rest_moves
    assert (move.user, move.day, move.energy_kwh) == (0, 2, pytest.approx(80.0 * 24))
    assert not schedule.events.users
    reminder, call = shared.notices(schedule.name)
    # Its usual day of rest, on which it works instead, comes first and counts.
    assert reminder.due_time.ToDatetime(UTC) == MONDAY - timedelta(days=1)
    assert call.due_time.ToDatetime(UTC) == MONDAY - timedelta(minutes=15)
    assert reminder.event_start_time.ToDatetime(UTC) == MONDAY + timedelta(days=2)
    shared.clock.time = MONDAY + timedelta(days=7)
    record = pb.RecordDeliveryRequest(name=schedule.name)
    record.deliveries.add(user=shared.names[0], day=2, energy_kwh=1_000.0)
    done = shared.stub.RecordDelivery(record)
    assert (done.recorded_count, done.missing_count) == (1, 0)
    shared.settle(schedule.name)
    (entry,) = shared.ledger(users=shared.names[:1]).entries
    assert entry.burden == pytest.approx(0.5 * 1_000.0 / 10_000.0)
