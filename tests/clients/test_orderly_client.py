"""The verbs of weekly schedules against a real server, by both clients."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import numpy as np
import pytest

from loadloom.client.aio import AsyncClient
from loadloom.client.client import Client
from loadloom.client.errors import (
    AlreadyExists,
    ClientClosed,
    InvalidRequest,
    LimitExceeded,
    LoadloomError,
    NotFound,
)
from loadloom.client.operations import State
from loadloom.client.orderly import Delivery, Fairness, Measure, Shortage, User
from loadloom.client.orderly_aio import AsyncOrderlyCalls
from loadloom.client.orderly_calls import OrderlyCalls
from loadloom.client.orderly_notices import NoticeKind, NoticeState
from loadloom.client.orderly_parts import ScheduleState
from loadloom.client.orderly_week import Week
from tests.clients.orderly_cases import EVENING, shortage, users, week

MISSING = f"schedules/{'0' * 32}"
LIMIT_S = 60.0


def past_week(weeks=2):
    """A week that is over."""
    today = datetime.now(UTC).date()
    return Week(start=today - timedelta(days=today.weekday(), weeks=weeks))


def made(client, prefix, some=None, when=None, **wishes):
    """The plan of a small week."""
    operation = client.create_schedule(
        when or week(), some or users(prefix), shortage(), time_limit_s=LIMIT_S, **wishes
    )
    return operation.result(LIMIT_S)


@pytest.fixture(scope="module")
def plan(client):
    """A plan of a small week that nobody changes."""
    return made(client, "still ", title="small park", currency_code="CNY")


def test_a_plan_covers_the_shortage_at_the_least_cost(plan):
    assert plan.exists
    assert plan.state is ScheduleState.SOLVED
    assert (plan.revision, plan.title, plan.currency_code) == (1, "small park", "CNY")
    assert plan.unserved_kwh == pytest.approx(0.0)
    # Two users on three days each and a third on one: 400 kWh a day at 1, 2 and 3.
    assert plan.objective == pytest.approx(400.0 * (3 * 1.0 + 3 * 2.0 + 1 * 3.0))
    assert plan.bound <= plan.objective + 1e-6
    assert len(plan.frame) == 7
    assert set(plan.frame["slot_count"]) == {4}
    assert plan.coverage["covered_kw"].to_numpy() == pytest.approx(EVENING.clip(0).tolist() * 7)
    assert plan.burdens["still user 2"] == pytest.approx(400.0 / (200 * 168))


def test_progress_is_told_while_it_is_solved(client):
    operation = client.create_schedule(week(), users("told "), shortage(), time_limit_s=LIMIT_S)
    events = list(operation.events())
    assert events[-1].state is State.SUCCEEDED
    assert operation.result().name.startswith("schedules/")


def test_a_schedule_is_found_again_whole_and_as_a_user_sees_it(client, plan):
    assert client.get_schedule(plan.name).message == plan.message
    published = client.publish_schedule(made(client, "seen "))
    mine = client.get_schedule(published.name, user="seen user 2")
    assert mine.users == ("seen user 2",)
    assert {event.user for event in mine.events} == {"seen user 2"}
    assert mine.fairness.loc["all", "user_count"] == 3


def test_schedules_are_listed(client, plan):
    listed = {found.name: found for found in client.list_schedules()}
    assert listed[plan.name].title == "small park"
    assert not listed[plan.name].users


def test_the_same_request_gives_the_same_schedule(client):
    request_id = f"the same {datetime.now(UTC)}"
    operations = [
        client.create_schedule(week(), users("same "), shortage(), request_id=request_id)
        for _ in range(2)
    ]
    assert operations[0].name == operations[1].name
    with pytest.raises(AlreadyExists):
        client.create_schedule(week(), users("other "), shortage(), request_id=request_id)


def test_what_the_server_refuses_is_told_by_row_and_name(client):
    some = users("bad ")
    some[1] = replace(some[1], compliance=2.0, feeder="north")
    some[2] = replace(some[2], measures=[replace(some[2].measures[0], rebound_share=-0.5)])
    with pytest.raises(InvalidRequest) as caught:
        client.create_schedule(week(), some, shortage(), fairness=Fairness(gamma=(2.0,)))
    found = {violation.path: violation.message for violation in caught.value.violations}
    assert "(bad user 1)" in found["users[1].compliance"]
    assert "users[2].measures[0].rebound_share" in found
    assert "users[1].feeder" in found
    assert "fairness.gamma[0]" in found


def test_a_schedule_that_is_not_there(client):
    for call in (
        lambda: client.get_schedule(MISSING),
        lambda: client.delete_schedule(MISSING),
        lambda: list(client.list_notices(MISSING)),
        lambda: client.settle_schedule(MISSING),
    ):
        with pytest.raises(NotFound):
            call()


def test_an_unpublished_schedule_can_be_deleted(client):
    gone = made(client, "gone ")
    client.delete_schedule(gone)
    with pytest.raises(NotFound):
        client.get_schedule(gone.name)


def test_a_life_from_the_plan_to_a_revision(client):
    first = made(client, "life ")
    published = client.publish_schedule(first)
    assert published.state is ScheduleState.PUBLISHED
    notices = list(client.list_notices(published))
    kinds = {notice.kind for notice in notices}
    # A measure that needs a day's notice is not announced a week ahead.
    assert NoticeKind.REMINDER in kinds
    assert {notice.state for notice in notices} == {NoticeState.PLANNED}
    assert not list(client.list_notices(published, states=["missed"]))
    confirmed = client.confirm_day(published, "Mon")
    assert confirmed.confirmed_days == (0,)
    short = np.tile(EVENING, (7, 1))
    short[3] = -500.0
    noon = confirmed.week.begin(2, 12)
    operation = client.revise_schedule(
        confirmed, Shortage(shortage_kw=short), plan_time=noon, time_limit_s=LIMIT_S
    )
    revised = operation.result(LIMIT_S)
    assert revised.revision == 2
    assert 3 not in {event.day for event in revised.events}
    # On Wednesday at noon nobody can be told a day ahead of an event that begins before Thursday.
    before, after = (
        [event for event in plan.events if event.day < 3] for plan in (published, revised)
    )
    assert after == before
    again = client.publish_schedule(revised)
    assert again.published_revision == 2
    states = {notice.state for notice in client.list_notices(again)}
    assert NoticeState.WITHDRAWN in states


def test_an_outdated_plan_is_not_published(client):
    first = made(client, "late ")
    client.revise_schedule(
        first, shortage(), plan_time=first.week.boundaries[0] - timedelta(days=30)
    ).result(LIMIT_S)
    with pytest.raises(LoadloomError) as caught:
        client.publish_schedule(first)
    assert caught.value.code in {"FAILED_PRECONDITION", "ABORTED", "INVALID_ARGUMENT"}


def test_reasons_name_the_next_best_and_the_price_of_an_exemption(client, plan):
    found = client.explain_schedule(plan, "still user 0", time_limit_s=5.0)
    assert found.user.user == "still user 0"
    assert found.user.words
    assert found.user.exemption_price is None
    assert found.worth_per_mw.shape == (168,)
    with pytest.raises(NotFound):
        client.explain_schedule(plan, "nobody")


def test_a_past_week_is_recorded_settled_and_in_the_ledger(client):
    plan = client.publish_schedule(made(client, "past ", when=past_week()), late_notice=True)
    deliveries = [
        Delivery(user=e.user, day=e.day, first_slot=e.first_slot, energy_kwh=0.5 * e.energy_kwh)
        for e in plan.events
    ]
    assert client.record_delivery(plan, deliveries[:1]).recorded_count == 1
    counted = client.record_delivery(plan, deliveries)
    assert (counted.recorded_count, counted.missing_count) == (7, 0)
    assert client.settle_schedule(plan).state is ScheduleState.SETTLED
    found = client.get_ledger(["past user 0", "past user 1"])
    assert found.frame["user"].tolist() == ["past user 0", "past user 1"]
    assert found.entries[0].week_date == plan.week.start
    share = found.frame["energy_kwh"] / found.frame["planned_kwh"]
    assert share.tolist() == pytest.approx([0.5, 0.5])
    assert found.fairness.user_count >= 2
    many = [*(f"nobody {i}" for i in range(2_500)), "past user 1", "past user 0", "past user 0"]
    assert client.get_ledger(many) == found


def test_a_delivery_of_no_event_is_told_by_its_place(client):
    plan = client.publish_schedule(made(client, "no event ", when=past_week()), late_notice=True)
    wrong = Delivery(user="no event user 0", day=0, first_slot=3, energy_kwh=1.0)
    with pytest.raises(InvalidRequest) as caught:
        client.record_delivery(plan, [wrong])
    assert caught.value.violations[0].path.startswith("deliveries[0]")


def test_notices_stream_as_they_fall_due_and_go_on_from_a_number(client):
    first, last = (date.today() + timedelta(days=days) for days in (1, 2))
    soon = Week(start=first, day_count=(last - first).days)
    some = [
        replace(user, measures=[replace(user.measures[0], notice="week")])
        for user in users(f"soon {datetime.now(UTC)} ", count=2)
    ]
    plan = client.publish_schedule(made(client, "", some=some, when=soon), late_notice=True)
    assert plan.events
    stream = client.stream_notices(plan)
    notice = next(stream)
    stream.close()
    assert (notice.state, notice.kind) == (NoticeState.DUE, NoticeKind.ANNOUNCEMENT)
    assert notice.user == plan.events[0].user
    known = client.acknowledge_notice(notice.number, notice.user)
    assert known.state is NoticeState.ACKNOWLEDGED
    assert client.acknowledge_notice(notice.number, notice.user).state is NoticeState.ACKNOWLEDGED
    with pytest.raises(NotFound):
        client.acknowledge_notice(notice.number, "nobody")
    again = client.stream_notices(plan, after=notice.number - 1)
    assert next(again).number == notice.number
    again.close()


def test_both_clients_have_the_same_verbs():
    def verbs(kind):
        return {name for name in vars(kind) if not name.startswith("_")} - {"timeout_s"}

    assert verbs(OrderlyCalls) == verbs(AsyncOrderlyCalls)


def test_a_closed_client_says_so(target):
    client = Client(target)
    client.close()
    for call in (
        lambda: client.get_schedule(MISSING),
        lambda: next(client.stream_notices()),
        lambda: list(islice(client.list_schedules(), 1)),
    ):
        with pytest.raises(ClientClosed):
            call()


def test_the_life_of_a_schedule_by_the_client_that_awaits(target):
    asyncio.run(_awaited_life(target))


async def _awaited_life(target):
    async with AsyncClient(target) as client:
        operation = await client.create_schedule(
            past_week(3), users("await "), shortage(), time_limit_s=LIMIT_S
        )
        plan = await operation.result(LIMIT_S)
        assert (await client.get_schedule(plan.name)).message == plan.message
        assert plan.name in {found.name async for found in client.list_schedules()}
        reasons = await client.explain_schedule(plan.name, "await user 1")
        assert reasons.user.user == "await user 1"
        with pytest.raises(LoadloomError, match="notice can no longer be given"):
            await client.publish_schedule(plan)
        plan = await client.publish_schedule(plan, late_notice=True)
        notices = [notice async for notice in client.list_notices(plan)]
        assert {notice.schedule for notice in notices} == {plan.name}
        deliveries = [
            Delivery(user=e.user, day=e.day, first_slot=e.first_slot, energy_kwh=e.energy_kwh)
            for e in plan.events
        ]
        counted = await client.record_delivery(plan, deliveries)
        assert counted.missing_count == 0
        assert (await client.settle_schedule(plan)).state is ScheduleState.SETTLED
        ledger = await client.get_ledger(["await user 0"])
        assert ledger.entries[0].schedule == plan.name
        many = [*(f"nobody {i}" for i in range(1_500)), "await user 0"]
        assert await client.get_ledger(many) == ledger
        bad = [replace(user, compliance=2.0) for user in users("await ")]
        with pytest.raises(InvalidRequest, match=r"users\[0\].compliance"):
            await client.create_schedule(week(), bad, shortage())
        with pytest.raises(NotFound):
            await client.delete_schedule(MISSING)
        await _awaited_revision(client)


async def _awaited_revision(client):
    operation = await client.create_schedule(week(), users("await "), shortage())
    plan = await client.publish_schedule(await operation.result(LIMIT_S))
    plan = await client.confirm_day(plan, "Tue")
    assert plan.confirmed_days == (1,)
    less = Shortage(shortage_kw=-500.0)
    operation = await client.revise_schedule(plan, less, plan_time=plan.week.boundaries[0])
    assert not (await operation.result(LIMIT_S)).events


def crowd(profiles):
    """As many users as make a message too large if each has a profile of its own."""
    measure = Measure(kind="cut", cap_kw=1.0, cost_per_kwh=1.0)
    return [
        User(name=f"crowd {i}", load_kw=profile, load_scale=2.0, measures=[measure])
        for i, profile in enumerate(profiles)
    ]


def test_a_week_too_large_for_a_message_is_told_and_fits_with_shared_profiles(client, target):
    own = np.random.default_rng(0).uniform(1.0, 2.0, (12_500, 168))
    no_shortage = Shortage(shortage_kw=0.0)
    with pytest.raises(LimitExceeded, match="let users share profiles"):
        client.create_schedule(week(), crowd(own), no_shortage)

    async def refused():
        async with AsyncClient(target) as client:
            await client.create_schedule(week(), crowd(own), no_shortage)

    with pytest.raises(LimitExceeded, match="let users share profiles"):
        asyncio.run(refused())
    shared = own[np.arange(len(own)) % 20]
    operation = client.create_schedule(week(), crowd(shared), no_shortage, time_limit_s=LIMIT_S)
    operation.cancel()
    assert operation.name.startswith("operations/")
