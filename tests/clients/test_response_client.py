"""The verbs of an operator who calls customers, sync and async, against a real server."""

import asyncio
import threading

import numpy as np
import pandas as pd
import pytest

from loadloom.client.aio import AsyncClient
from loadloom.client.errors import AlreadyExists, InvalidRequest, LoadloomError, NotFound
from loadloom.client.response import Answer, BaselineRule, Customers, ResponseLaw
from loadloom.client.response_events import CallState, EventState, calls_frame
from tests.clients import response_cases as cases


def created(client, **wishes):
    known_as = f"{cases.serial()}-"
    said = {"title": known_as, "currency_code": "EUR"} | wishes
    return client.create_event(cases.tree(), cases.homes(known_as=known_as), cases.grid(), **said)


def test_the_plan_that_is_worked_by_hand(client):
    plan = client.plan_targets(
        cases.transformer(),
        cases.three(),
        cases.grid(1),
        reasons=["anna", "cora"],
        mean_ranking=True,
        samples=2000,
        reserve_count=2,
    )
    assert plan.exists
    assert list(plan.calls.index) == ["anna", "bert"]
    assert (plan.cost, plan.bound) == (2.0, pytest.approx(2.0))
    figures = plan.node_figures.loc["transformer"].iloc[0]
    assert (figures["need_kw"], figures["mean_kw"], figures["probability"]) == (7.0, 8.0, 1.0)
    assert plan.reasons["called"].to_dict() == {"anna": True, "cora": False}
    assert plan.message.mean_ranking.cost > plan.cost
    assert list(plan.reserves["customer"]) == ["cora"]
    assert plan.confidence is not None
    assert plan.confidence.joint_probability == 1.0
    assert "2 of 3" in plan.sentences[0]
    assert repr(plan) == "<TargetPlan: optimal, 2 called, cost 2.00>"


def test_levels_are_told_by_their_prices(client):
    plan = client.plan_targets(cases.tree(), cases.homes(), cases.grid())
    assert set(plan.calls["price_per_kwh"]) <= {0.2, 0.4}
    assert set(plan.node_figures.index.get_level_values("node")) == {"north", "south"}
    assert (plan.node_figures["probability"] >= 0.9 - 1e-9).all()
    assert set(plan.groups.index) == {"old town", "new town"}


def test_what_cannot_be_met_is_an_answer(client):
    plan = client.plan_targets(cases.transformer(20.0), cases.three(), cases.grid(1))
    assert not plan.exists
    assert "transformer" in plan.unsecured[0]
    most = client.plan_targets(
        cases.transformer(20.0), cases.three(), cases.grid(1), best_effort=True
    )
    assert most.called_count == 3


def test_a_budget_buys_a_common_confidence(client):
    whole = client.plan_targets(cases.tree(), cases.homes(), cases.grid())
    less = client.plan_targets(cases.tree(), cases.homes(), cases.grid(), budget=0.95 * whole.cost)
    assert less.cost <= 0.95 * whole.cost + 1e-9
    assert 0.5 < less.common_confidence < 0.9


def test_the_confidence_of_a_choice_is_checked_under_a_law(client):
    asked = (cases.tree((0.0, 10.0, 8.0)), cases.homes())
    plan = client.plan_targets(*asked, cases.grid())
    called = {name: [0.2, 0.4].index(price) for name, price in plan.calls["price_per_kwh"].items()}
    calm = client.check_confidence(*asked, called, cases.grid(), samples=4000)
    assert not calm.warnings
    shaken = client.check_confidence(
        *asked, called, cases.grid(), law=ResponseLaw(shock_share=0.4), samples=4000
    )
    assert shaken.warnings
    assert shaken.frame["probability"].min() < calm.frame["probability"].min()


def test_needs_follow_from_past_loads(client):
    loads = cases.readings(["north", "south"], usual_kw=10.0)
    noise = np.random.default_rng(3).normal(0.0, 0.3, loads.shape)
    daily = 3.0 * np.sin((loads.index.hour.to_numpy() - 12) * np.pi / 12)
    loads = loads + noise + daily[:, np.newaxis]
    needs = client.forecast_need(loads, pd.Series({"south": 30.0, "north": 12.0}))
    assert needs.grid.count == 24
    assert (needs.need_kw["north"].max(), needs.need_kw["south"].max()) == (
        pytest.approx(1.6, abs=0.8),
        0.0,
    )
    assert needs.summary.loc["north", "overload_probability"] > 0.9
    assert list(needs.quantiles) == [0.05, 0.5, 0.95]
    assert set(needs.methods) <= {"similar days", "regression"}
    day = needs.grid.index[0]
    network = needs.network(day + pd.Timedelta("17h"), day + pd.Timedelta("18h"))
    plan = client.plan_targets(
        network, Customers(size_kw=np.full(30, 0.5), nodes="north", contact_cost=1.0)
    )
    assert plan.exists
    assert plan.grid.count == 1
    assert plan.node_figures.index.get_level_values("node").tolist() == ["north"]


def test_an_event_goes_from_call_to_payment(client):
    event = created(client, samples=500)
    assert (event.state, event.revision, event.customer_count) == (EventState.OPEN, 1, 40)
    calls = calls_frame(client.list_calls(event))
    assert event.counts.pending == len(calls) == event.plan.called_count
    assert set(event.plan.node_figures.index.get_level_values("node")) == {"north", "south"}
    yes, no = list(calls.index[:6]), list(calls.index[6:9])
    said = [Answer(customer=yes[0], answer="accepted", accepted_kw=1.0)]
    client.record_answers(event, said)
    counts = client.record_answers(
        event, dict.fromkeys(yes[1:], "accepted") | dict.fromkeys(no, "opted out")
    )
    assert (counts.accepted, counts.opted_out) == (6, 3)
    after = client.retarget_event(event, reason="three opted out")
    assert after.revision == 2
    assert after.revisions.loc[2, "reason"] == "three opted out"
    again = calls_frame(client.list_calls(event))
    assert set(again.index[again["state"] == "accepted"]) == set(yes)
    assert set(again.index[again["state"] == "opted out"]) == set(no)
    assert client.get_event(event, revision=1).plan.called_count == len(calls)
    client.record_answers(event, close=True)
    assert calls_frame(client.list_calls(event, ["pending"])).empty
    saved = [2.0, 1.0, 0.0, 1.0, 1.0, 1.0]
    made = client.settle_event(event, cases.readings(yes, saved))
    payments = client.event_payments(made)
    assert list(payments.index) == yes
    assert (made.customer_count, made.delivering_count) == (6, 5)
    assert made.delivered_kwh == pytest.approx(12.0)
    assert made.paid == payments["payment"].sum()
    first = payments.iloc[0]
    assert str(first["payment"]) == f"{4.0 * calls['price_per_kwh'].iloc[0]:.2f}"
    assert first["baseline_kwh"] == pytest.approx(6.0)
    power = made.power(event)
    np.testing.assert_allclose(power["reduction_kw"], [6.0, 6.0])
    assert client.settle_event(event, cases.readings(yes, saved)).message == made.message
    assert client.get_event_settlement(event).message == made.message
    assert client.get_event(event).state == EventState.SETTLED
    known = client.reliabilities(yes)
    assert list(known.index) == sorted(yes)
    assert known.loc[yes[0], "delivered_share"] > known.loc[yes[2], "delivered_share"]
    assert event.name in [one.name for one in client.list_events()]


def test_the_same_request_brings_the_same_event(client):
    homes = cases.homes(known_as=f"{cases.serial()}-")
    asked = {"currency_code": "EUR", "request_id": f"again {cases.serial()}"}
    first = client.create_event(cases.tree(), homes, cases.grid(), **asked)
    assert client.create_event(cases.tree(), homes, cases.grid(), **asked).name == first.name
    with pytest.raises(AlreadyExists):
        client.create_event(cases.tree((0.0, 9.0, 9.0)), homes, cases.grid(), **asked)


def test_calls_are_watched_and_a_watch_goes_on_where_it_was(client):
    event = created(client)
    watch = client.watch_calls(event=event)
    first = [next(watch) for _ in range(3)]
    watch.close()
    numbers = [call.number for call in first]
    assert numbers == sorted(numbers)
    assert {call.state for call in first} == {CallState.PENDING}
    resumed = client.watch_calls(event=event, after=numbers[1])
    assert next(resumed) == first[2]
    later = threading.Timer(0.2, client.cancel_event, (event,))
    later.start()
    changed = next(call for call in resumed if call.state is CallState.CANCELLED)
    resumed.close()
    later.join()
    assert changed.number > event.counts.pending
    assert changed.number > numbers[-1]


def test_a_cancelled_event_is_over(client):
    event = created(client)
    over = client.cancel_event(event, "clouds")
    assert (over.state, over.cancel_reason) == (EventState.CANCELLED, "clouds")
    assert {call.state for call in client.list_calls(event)} == {CallState.CANCELLED}
    with pytest.raises(LoadloomError):
        client.retarget_event(event)


def test_an_event_is_exported_and_reports_are_read(client):
    event = created(client)
    found = client.export_event(event, program_id="program-1")
    assert '"program-1"' in found.events[0]
    assert found.version.startswith("3")
    with pytest.raises(InvalidRequest) as error:
        client.import_reports(event, ["{"])
    assert error.value.violations[0].path.startswith("reports[0]")


def test_readings_alone_are_measured(client):
    start, end = cases.grid().boundaries[0], cases.grid().boundaries[-1]
    found = client.measure_response(
        cases.readings(["anna", "bert"], [1.0, 0.125]),
        start,
        end,
        price_per_kwh=0.25,
        currency_code="EUR",
        rule=BaselineRule(method="highest days"),
    )
    assert found.customers["delivered_kwh"].tolist() == [pytest.approx(2.0), pytest.approx(0.25)]
    assert [str(one) for one in found.customers["payment"]] == ["0.50", "0.06"]
    assert str(found.paid) == "0.56"
    assert found.baseline_kw.index[0] == start
    np.testing.assert_allclose(found.load_kw["anna"], [2.0, 2.0])


def test_faults_of_the_server_name_who_is_meant(client):
    frame = cases.three()
    frame.loc["bert", "size_kw"] = -1.0
    with pytest.raises(InvalidRequest) as error:
        client.plan_targets(cases.transformer(), frame, cases.grid(1))
    assert [one.path for one in error.value.violations] == ["customers.size_kw['bert']"]
    network = cases.tree((0.0, -3.0, 1.0))
    with pytest.raises(InvalidRequest) as error:
        client.plan_targets(network, cases.homes(), cases.grid())
    assert [one.path for one in error.value.violations] == ["network.need_kw['north']"]


def test_what_is_not_there_is_not_found(client):
    with pytest.raises(NotFound):
        client.get_event(f"events/{'0' * 32}")


def test_the_async_client_does_the_same(target, client):
    async def run():
        async with AsyncClient(target) as aio:
            plan = await aio.plan_targets(cases.transformer(), cases.three(), cases.grid(1))
            assert list(plan.calls.index) == ["anna", "bert"]
            check = await aio.check_confidence(
                cases.transformer(), cases.three(), ["anna", "bert"], cases.grid(1)
            )
            assert check.joint_probability == 1.0
            homes = cases.homes(known_as=f"{cases.serial()}-")
            event = await aio.create_event(cases.tree(), homes, cases.grid(), currency_code="EUR")
            watched = []
            async for call in aio.watch_calls(event=event):
                watched.append(call)
                if len(watched) == event.counts.pending:
                    break
            calls = [call async for call in aio.list_calls(event)]
            assert {call.customer for call in watched} == {call.customer for call in calls}
            yes = [call.customer for call in calls]
            counts = await aio.record_answers(event, dict.fromkeys(yes[:-1], "accepted"))
            assert counts.accepted == len(yes) - 1
            assert (await aio.retarget_event(event)).revision == 2
            assert (await aio.export_event(event)).events
            made = await aio.settle_event(event.name, cases.readings(yes, [1.0] * len(yes)))
            assert (await aio.get_event_settlement(event)).message == made.message
            assert len(await aio.event_payments(made)) == len(yes) - 1
            assert len(await aio.reliabilities(yes)) >= len(yes) - 1
            assert event.name in [one.name async for one in aio.list_events()]
            with pytest.raises(LoadloomError):
                await aio.cancel_event(event)
            needs = await aio.forecast_need(cases.readings(["north"]), 5.0)
            assert not needs.need_kw.to_numpy().any()
            start, end = cases.grid().boundaries[0], cases.grid().boundaries[-1]
            measured = await aio.measure_response(cases.readings(["a"], [1.0]), start, end)
            assert measured.customers["delivered_kwh"].tolist() == [pytest.approx(2.0)]
            return await aio.get_event(event)

    event = asyncio.run(run())
    assert client.get_event(event).message == event.message
