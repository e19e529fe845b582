import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from loadloom.client.aio import AsyncClient
from loadloom.client.client import Client
from loadloom.client.errors import ClientClosed, InvalidRequest, Unavailable
from loadloom.client.fleet import gather
from loadloom.client.grid import Grid
from loadloom.client.plan import Outcome
from loadloom.client.site import Load, Meter, Site, Storage

COUNT = 24
GRID = Grid(start=datetime(2024, 6, 1, tzinfo=UTC), step=timedelta(hours=1), count=COUNT)
PRICE = 0.2 + 0.15 * np.sin(np.arange(COUNT) / 3)
WISHES = {"buy_price_per_kwh": PRICE, "sell_price_per_kwh": PRICE - 0.05}


def homes(count, seed=0):
    """Columns of homes that differ in load, size and state."""
    random = np.random.default_rng(seed)
    size = random.uniform(2, 12, (count, 1))
    return {
        "load_kw": random.uniform(0, 4, (count, COUNT)),
        "energy_max_kwh": size,
        "initial_energy_kwh": size[:, 0] / 2,
        "charge_limit_kw": 3.0,
        "discharge_limit_kw": 3.0,
        "charge_efficiency": 0.95,
    }


def home(columns, index):
    """One of the homes as a site of its own."""
    return Site(
        meter=Meter(buy_price_per_kwh=PRICE, sell_price_per_kwh=PRICE - 0.05),
        loads=[Load(power_kw=columns["load_kw"][index])],
        storages=[
            Storage(
                energy_max_kwh=columns["energy_max_kwh"][index],
                initial_energy_kwh=columns["initial_energy_kwh"][index],
                charge_limit_kw=3,
                discharge_limit_kw=3,
                charge_efficiency=0.95,
            )
        ],
    )


def batches(count, size=10):
    return [(f"batch {i}", homes(size, seed=i)) for i in range(count)]


def test_a_large_set_is_split_and_put_back_in_order(client):
    columns, seen = homes(2500), []
    fleet = client.plan_sites(
        columns, GRID, **WISHES, progress=lambda done, total: seen.append((done, total))
    )
    assert len(fleet.columns["objective"]) == 2500
    assert len(seen) == 3
    assert seen[-1] == (2500, 2500)
    assert set(fleet.outcomes) == {Outcome.OPTIMAL}
    for index in (0, 1500, 2499):
        plan = client.plan_dispatch(home(columns, index), GRID)
        assert fleet.columns["objective"][index] == pytest.approx(plan.objective, abs=1e-9)
        assert fleet.columns["baseline_cost"][index] == pytest.approx(plan.baseline_cost)
        saved = fleet.summary["saving"][index]
        assert saved == pytest.approx(plan.saving, abs=1e-9)
    assert list(fleet.schedule(7).columns) == [
        "charge_kw",
        "discharge_kw",
        "state_of_charge_kwh",
        "curtailed_kw",
        "import_kw",
        "export_kw",
    ]


def test_only_the_columns_asked_for_come(client):
    wishes = {**WISHES, "columns": ["stored_value_per_kwh"]}
    (plans,) = client.stream_plan_dispatch(batches(1), GRID, **wishes)
    profiles = [name for name, values in plans.columns.items() if values.ndim == 2]
    assert profiles == ["stored_value_per_kwh"]


def test_every_batch_is_answered_under_its_key(client):
    sent = batches(9)
    answers = list(client.stream_plan_dispatch(iter(sent), GRID, **WISHES, under_way=3))
    assert sorted(answer.key for answer in answers) == sorted(key for key, _ in sent)
    for answer in answers:
        assert sent[answer.position][0] == answer.key
        assert len(answer.columns["objective"]) == 10


def test_no_more_batches_are_drawn_than_may_be_under_way(client):
    drawn = []

    def source():
        for batch in batches(12):
            drawn.append(batch[0])
            yield batch

    for answered, _ in enumerate(
        client.stream_plan_dispatch(source(), GRID, **WISHES, under_way=2)
    ):
        assert len(drawn) <= answered + 1 + 2


def test_a_bad_batch_does_not_end_the_stream(client):
    bad = {**homes(10), "charge_limit_kw": -1.0}
    sent = [*batches(2), ("bad", bad), *[(f"late {k}", c) for k, c in batches(2)]]
    answers = {a.key: a for a in client.stream_plan_dispatch(sent, GRID, **WISHES)}
    assert len(answers) == 5
    error = answers["bad"].error
    assert isinstance(error, InvalidRequest)
    assert "charge_limit_kw" in error.violations[0].path
    assert answers["bad"].columns == {}
    assert [key for key, answer in answers.items() if answer.error] == ["bad"]
    with pytest.raises(InvalidRequest, match="charge_limit_kw"):
        gather(answers.values(), GRID)


def test_sites_without_a_plan_are_told_and_are_not_numbers(client):
    columns = homes(3)
    columns["import_limit_kw"] = np.array([[9.0], [0.001], [9.0]])
    fleet = client.plan_sites(columns, GRID, **WISHES)
    assert fleet.outcomes == [Outcome.OPTIMAL, Outcome.INFEASIBLE, Outcome.OPTIMAL]
    assert np.isnan(fleet.columns["objective"]).tolist() == [False, True, False]
    assert fleet.columns["conflict_intervals"][1] >= 0


def test_a_stream_of_nothing_is_empty(client):
    assert list(client.stream_plan_dispatch([], GRID, **WISHES)) == []


def test_a_stream_that_is_left_early_can_be_followed_by_another(client):
    for answer in client.stream_plan_dispatch(batches(20), GRID, **WISHES):
        assert answer.error is None
        break
    assert len(list(client.stream_plan_dispatch(batches(2), GRID, **WISHES))) == 2


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ([("a", {"load_kw": np.ones((2, 5))})], "batch 'a'.load_kw: is 2 x 5"),
        ([("a", homes(2))] * 2, "'a' is under way already"),
        ({"power_kw": 1.0}, "is no column of sites"),
    ],
)
def test_what_cannot_be_sent_is_refused(client, sent, words):
    with pytest.raises(InvalidRequest, match=words):
        list(client.stream_plan_dispatch(sent, GRID, **WISHES))


def test_a_wrong_setup_is_told_with_its_path(client):
    with pytest.raises(InvalidRequest, match="buy_price_per_kwh"):
        list(client.stream_plan_dispatch(batches(1), GRID, buy_price_per_kwh=np.ones(5)))


def test_a_stream_to_a_server_that_is_not_there_is_unavailable():
    with Client("127.0.0.1:1") as client, pytest.raises(Unavailable):
        list(client.stream_plan_dispatch(batches(1), GRID, **WISHES))


def test_a_wish_that_there_is_not_is_refused(client):
    with pytest.raises(TypeError, match="unexpected keyword argument 'colums'"):
        list(client.stream_plan_dispatch(batches(1), GRID, **WISHES, colums=["import_kw"]))


def waited(target, work):
    """What an async function of a client brings."""

    async def run():
        async with AsyncClient(target) as client:
            return await work(client)

    return asyncio.run(run())


def test_async_calls_bring_the_same_answers(target, client):
    site = home(homes(1), 0)

    async def work(client):
        bad = Site(meter=Meter(buy_price_per_kwh=-1), loads=[Load(power_kw=-1)])
        return await asyncio.gather(
            client.plan_dispatch(site, GRID),
            client.batch_plan_dispatch([site, bad], GRID),
            client.system_info(),
        )

    plan, (first, second), info = waited(target, work)
    expected = client.plan_dispatch(site, GRID)
    assert plan.objective == first.objective == expected.objective
    assert isinstance(second, InvalidRequest)
    assert info == client.system_info()


def test_async_errors_are_typed(target):
    async def work(client):
        await client.plan_dispatch(Site(meter=Meter(buy_price_per_kwh=[1, 2])), GRID)

    with pytest.raises(InvalidRequest, match=r"site\.meter\.buy_price_per_kwh"):
        waited(target, work)


def test_an_async_fleet_equals_a_sync_one(target, client):
    columns = homes(1200)

    async def work(client):
        return await client.plan_sites(columns, GRID, **WISHES)

    fleet, expected = waited(target, work), client.plan_sites(columns, GRID, **WISHES)
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(fleet.columns[name], values)


def test_async_batches_may_come_from_an_async_source_that_waits_for_answers(target):
    async def work(client):
        answered = asyncio.Semaphore(1)

        async def source():
            for batch in batches(5):
                await answered.acquire()
                yield batch

        keys = []
        async for answer in client.stream_plan_dispatch(source(), GRID, **WISHES):
            keys.append(answer.key)
            answered.release()
        return keys

    assert waited(target, work) == [key for key, _ in batches(5)]


def test_an_error_of_an_async_source_reaches_the_caller(target):
    async def work(client):
        async def source():
            yield batches(1)[0]
            raise KeyError("no more meters")

        return [answer async for answer in client.stream_plan_dispatch(source(), GRID, **WISHES)]

    with pytest.raises(KeyError, match="no more meters"):
        waited(target, work)


def test_an_async_stream_that_is_left_early_can_be_followed_by_another(target):
    async def work(client):
        first = client.stream_plan_dispatch(batches(20), GRID, **WISHES)
        await anext(first)
        await first.aclose()
        return [a async for a in client.stream_plan_dispatch(batches(2), GRID, **WISHES)]

    assert len(waited(target, work)) == 2


def test_an_async_stream_to_a_server_that_is_not_there_is_unavailable():
    async def work(client):
        return [a async for a in client.stream_plan_dispatch(batches(1), GRID, **WISHES)]

    with pytest.raises(Unavailable):
        waited("127.0.0.1:1", work)


def test_async_and_sync_refuse_the_same_batches(target):
    async def work(client):
        sent = [("a", {"load_kw": np.ones((2, 5))})]
        return [a async for a in client.stream_plan_dispatch(sent, GRID, **WISHES)]

    with pytest.raises(InvalidRequest, match=r"batch 'a'\.load_kw: is 2 x 5"):
        waited(target, work)


def test_a_fault_in_a_fleet_is_told_at_the_site_of_the_callers_whole_set(client):
    """Site 2,345 is row 345 of the third message."""
    columns, names = homes(3_000), pd.Index([f"home {i}" for i in range(3_000)])
    loads = np.ones((3_000, GRID.count))
    loads[2_345, 1] = -7.0
    columns["load_kw"] = pd.DataFrame(loads, names, GRID.index)
    with pytest.raises(InvalidRequest) as raised:
        client.plan_sites(columns, GRID, **WISHES)
    (found,) = raised.value.violations
    assert found.path == "columns.load_kw[2345,1]"
    assert found.message.startswith("is -7; must be from 0")
    assert found.message.endswith(" at site 'home 2345'")


def test_a_fault_that_all_sites_share_is_told_once_where_it_stands(client):
    columns = {**homes(3_000), "charge_efficiency": 1.5}
    with pytest.raises(InvalidRequest) as raised:
        client.plan_sites(columns, GRID, **WISHES)
    assert raised.value.violations[0].path == "columns.charge_efficiency[0,0]"
    assert "is 1.5; must be" in raised.value.violations[0].message


def test_a_stream_on_a_closed_client_says_so(target):
    client = Client(target)
    client.close()
    with pytest.raises(ClientClosed, match="closed"):
        client.stream_plan_dispatch(batches(1), GRID, **WISHES)
