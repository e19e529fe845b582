"""What may be recorded of deliveries, and what stays when a settled schedule is deleted."""

from datetime import UTC, datetime, timedelta
from functools import partial

import grpc
import pytest

from loadloom.v1 import orderly_pb2 as pb
from tests.engine.operations.processes import eventually
from tests.engine.services.orderly_weeks import MONDAY, Clock, keys, planning

OVER = MONDAY + timedelta(days=7)


def delivery(schedule: pb.WeeklySchedule, *energies: float) -> pb.RecordDeliveryRequest:
    """Deliveries of these energies, each in the first event."""
    events, request = schedule.events, pb.RecordDeliveryRequest(name=schedule.name)
    for energy in energies:
        request.deliveries.add(
            user=schedule.users[events.users[0]],
            day=events.days[0],
            first_slot=events.first_slots[0],
            energy_kwh=energy,
        )
    return request


def test_a_delivery_is_bounded_by_the_load_of_its_window(shared, failure):
    schedule = shared.published(short={0: 70.0})
    # A shift of three hours at 100 kW.
    assert list(schedule.events.load_kwh.values) == [300.0]
    shared.clock.time = OVER
    told = failure(lambda: shared.stub.RecordDelivery(delivery(schedule, 600.1)))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(told.paths) == {"deliveries[0].energy_kwh"}
    assert "must be at most 600.0" in told.paths["deliveries[0].energy_kwh"]
    assert shared.stub.RecordDelivery(delivery(schedule, 600.0)).recorded_count == 1


def test_one_event_has_one_delivery_in_a_request(shared, failure):
    schedule = shared.published(short={0: 70.0})
    shared.clock.time = OVER
    told = failure(lambda: shared.stub.RecordDelivery(delivery(schedule, 10.0, 20.0)))
    assert set(told.paths) == {"deliveries[1]"}
    # A later request replaces an earlier one.
    for energy in (10.0, 20.0):
        shared.stub.RecordDelivery(delivery(schedule, energy))
    shared.settle(schedule.name)
    assert shared.ledger(users=shared.names[:1]).entries[0].energy_kwh == 20.0


def test_deliveries_of_users_who_were_not_reached_are_counted_apart(shared):
    schedule = shared.published(short={1: 150.0})
    assert len(keys(schedule)) == 2
    shared.clock.time = MONDAY - timedelta(days=3)
    (reached,) = shared.due(1, schedule=schedule.name)
    shared.acknowledge(reached)
    shared.clock.time = OVER
    said = shared.deliver(schedule)
    assert (said.recorded_count, said.missing_count, said.missed_count) == (2, 0, 1)


def test_a_settled_schedule_can_be_deleted_and_the_ledger_stays(planner, failure):
    schedule = planner.published(short={0: 70.0})
    delete = pb.DeleteScheduleRequest(name=schedule.name)
    planner.clock.time = OVER
    told = failure(lambda: planner.stub.DeleteSchedule(delete))
    assert "until it is settled" in told.message
    planner.deliver(schedule)
    planner.settle(schedule.name)
    ledger = planner.ledger(users=planner.names)
    planner.stub.DeleteSchedule(delete)
    for call in (lambda: planner.get(schedule.name), lambda: planner.notices(schedule.name)):
        assert failure(call).code is grpc.StatusCode.NOT_FOUND
    assert planner.ledger(users=planner.names) == ledger


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Pacific/Chatham", datetime(2026, 12, 6, 10, 15, tzinfo=UTC)),
        ("Pacific/Kiritimati", datetime(2026, 12, 6, 10, tzinfo=UTC)),
        ("Pacific/Pago_Pago", datetime(2026, 12, 7, 11, tzinfo=UTC)),
    ],
)
def test_the_ledger_tells_the_local_date_of_the_week(shared, zone, midnight):
    shared.clock.time = midnight - timedelta(days=10)
    schedule = shared.published(start=midnight, zone=zone, short={0: 70.0})
    shared.clock.time = midnight + timedelta(days=8)
    shared.settle(schedule.name, missing_as_zero=True)
    dates = {entry.week_date for entry in shared.ledger(users=shared.names).entries}
    assert dates == {"2026-12-07"}


def test_a_plan_is_explained_that_is_not_the_latest(shared):
    schedule = shared.published(short={0: 70.0})
    shared.revise(schedule.name, {0: 400.0})
    question = pb.ExplainScheduleRequest(name=schedule.name, user=shared.names[0])
    question.time_limit.seconds = 8
    assert shared.stub.ExplainSchedule(question, timeout=60).uncovered
    question.revision = 1
    assert not shared.stub.ExplainSchedule(question, timeout=60).uncovered


def test_a_price_below_that_of_measures_is_noted(shared):
    assert not shared.create(short={0: 70.0}).notes
    request = shared.request(short={0: 70.0})
    request.shortage.unserved_price_per_kwh = 2.5
    (note,) = shared.solved(shared.stub.CreateSchedule(request)).notes
    assert "costs 2.5" in note
    assert "2 of the 4 measures" in note


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_settled_schedules_are_kept_as_long_as_the_setting_says(new_url, failure, kind):
    url = new_url(kind)
    with planning(url) as planner:
        kept, settled = (planner.published(short={0: 70.0}) for _ in range(2))
        planner.clock.time = OVER
        planner.settle(settled.name, missing_as_zero=True)
        ledger = planner.ledger()
    week_end = MONDAY + timedelta(days=7)
    for days, found in ((29.9, True), (30.1, False)):
        clock = Clock(week_end + timedelta(days=days))
        with planning(url, clock, schedule_days=30.0) as planner:
            look = partial(planner.get, settled.name)
            if found:
                assert look().state == pb.SCHEDULE_STATE_SETTLED
            else:
                eventually(lambda look=look: _is_gone(look))
                assert failure(look).code is grpc.StatusCode.NOT_FOUND
            assert planner.get(kept.name).name == kept.name
            assert planner.ledger() == ledger


def _is_gone(look) -> bool:
    try:
        look()
    except grpc.RpcError:
        return True
    return False
