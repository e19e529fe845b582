"""The store: what is acknowledged is kept, and ends once, on both kinds of database."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Connection, select, text, update

from loadloom.engine.jobs import keep_nothing
from loadloom.engine.store import claims, quotas
from loadloom.engine.store import operations as store
from loadloom.engine.store.claims import Errors, LostClaim
from loadloom.engine.store.migrate import prepared
from loadloom.engine.store.operations import (
    Filter,
    NewOperation,
    NoSuchOperation,
    NotEnded,
    OtherRequest,
    Standing,
)
from loadloom.engine.store.quotas import OverQuota, Quota
from loadloom.engine.store.schedule_tables import counters
from loadloom.engine.store.schema import State, operation_events, operations

METHODS = ["test/Run"]
ERRORS = Errors(cancelled=b"cancelled", died=b"died", late=b"late")
LEASE_S = 30.0


def new(**changes: object) -> NewOperation:
    plain = NewOperation(
        tenant="", method="test/Run", request=b"request", digest="d", response_type="test.Response"
    )
    return replace(plain, **changes)


def claimed(database, worker="w"):
    found = claims.claim(database, METHODS, worker, LEASE_S)
    assert found is not None
    return found


def found(database, operation):
    return store.find(database, "", operation.name)


def lapse(database) -> None:
    """Has every lease end."""
    with database.writing() as connection:
        connection.execute(update(operations).values(lease_end=0.0))


def states(database, operation) -> list[State]:
    return [event.state for event in store.events(database, operation.number, 0, 100)]


def test_an_operation_is_as_it_was_asked_for(database):
    made = store.create(database, new(priority=3))
    assert made == found(database, made)
    assert (made.state, made.attempt, made.event, made.priority) == (State.QUEUED, 0, 1, 3)
    assert made.create_time == made.update_time
    assert store.latest(database, [made.number]) == {made.number: (1, False)}
    assert made.start_time is made.end_time is made.response is made.error is None


def test_a_commit_to_a_file_is_on_the_disk(new_url):
    database = prepared(new_url("sqlite"))
    with database.reading() as connection:
        told = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert told == ["wal", 2, 1]  # 2 is FULL
    database.close()


def test_a_request_id_from_64_callers_makes_one_operation(database):
    with ThreadPoolExecutor(64) as pool:
        asked = pool.map(lambda _: store.create(database, new(request_id="one")), range(64))
        assert len({operation.name for operation in asked}) == 1
    assert len(store.page(database, "", Filter(), before=None, size=10)) == 1


def test_a_request_id_of_another_request_is_refused(database):
    store.create(database, new(request_id="one"))
    for other in (new(request_id="one", digest="e"), new(request_id="one", method="test/Other")):
        with pytest.raises(OtherRequest):
            store.create(database, other)


def test_requests_without_an_id_are_all_different(database):
    assert store.create(database, new()).name != store.create(database, new()).name


def test_tenants_do_not_see_each_other(database):
    mine = store.create(database, new(tenant="a", request_id="one"))
    theirs = store.create(database, new(tenant="b", request_id="one", digest="e"))
    assert mine.name != theirs.name
    assert [o.name for o in store.page(database, "a", Filter(), before=None, size=9)] == [mine.name]
    for ask in (
        lambda: store.find(database, "b", mine.name),
        lambda: store.cancel(database, "b", mine.name, b""),
        lambda: store.remove(database, "b", mine.name),
    ):
        with pytest.raises(NoSuchOperation):
            ask()


def test_claims_follow_priority_and_then_age(database):
    asked = [store.create(database, new(priority=p)).name for p in (0, 5, 0, 5, -1)]
    order = [claimed(database).name for _ in asked]
    assert order == [asked[i] for i in (1, 3, 0, 2, 4)]
    assert claims.claim(database, METHODS, "w", LEASE_S) is None
    assert not claims.waiting(database, METHODS)


def test_only_known_methods_are_claimed(database):
    store.create(database, new(method="test/Unknown"))
    assert not claims.waiting(database, METHODS)
    assert claims.claim(database, METHODS, "w", LEASE_S) is None


def test_many_workers_claim_every_operation_once(database):
    asked = {store.create(database, new()).name for _ in range(60)}
    with ThreadPoolExecutor(12) as pool:
        names = list(pool.map(lambda _: claimed(database).name, range(60)))
    assert set(names) == asked
    assert len(names) == 60


def test_a_claim_brings_what_the_solve_needs(database):
    store.create(database, new(request=b"abc", limit_s=7.0, deadline_s=100.0, tenant="t"))
    claim = claimed(database)
    assert (claim.request, claim.limit_s, claim.attempt, claim.tenant) == (b"abc", 7.0, 1, "t")
    assert 99.0 < claim.left_s <= 100.0


def test_an_operation_ends_once(database):
    made = store.create(database, new())
    claim = claimed(database)
    claims.succeed(database, claim, b"response", keep_nothing)
    ended = found(database, made)
    assert (ended.state, ended.response, ended.error) == (State.SUCCEEDED, b"response", None)
    assert ended.end_time >= ended.start_time >= ended.create_time
    for end in (
        lambda: claims.succeed(database, claim, b"other", keep_nothing),
        lambda: claims.fail(database, claim, b"other"),
        lambda: claims.end_cancelled(database, claim, b"other"),
        lambda: claims.hand_back(database, claim, None, ERRORS),
        lambda: claims.drop(database, claim, 3, ERRORS),
        lambda: claims.keep(database, claim, LEASE_S),
        lambda: claims.report(database, claim, Standing(), None, LEASE_S),
        lambda: claims.cancel_asked(database, claim),
    ):
        with pytest.raises(LostClaim):
            end()
    assert found(database, made) == ended
    assert states(database, made) == [State.QUEUED, State.RUNNING, State.SUCCEEDED]


def test_the_end_of_a_lease_gives_the_operation_to_the_next_and_refuses_the_late(database):
    made = store.create(database, new())
    late = claimed(database, "late")
    assert claims.tidy(database, 3, ERRORS) == 0
    lapse(database)
    assert claims.tidy(database, 3, ERRORS) == 1
    with pytest.raises(LostClaim):
        claims.keep(database, late, LEASE_S)
    second = claimed(database, "second")
    assert second.attempt == 2
    with pytest.raises(LostClaim):
        claims.succeed(database, late, b"late", keep_nothing)
    claims.succeed(database, second, b"second", keep_nothing)
    assert found(database, made).response == b"second"


def test_a_lease_that_is_kept_does_not_lapse(database):
    store.create(database, new())
    claim = claimed(database)
    lapse(database)
    claims.keep(database, claim, LEASE_S)
    assert claims.tidy(database, 3, ERRORS) == 0


def test_an_operation_whose_attempts_are_spent_has_failed(database):
    made = store.create(database, new())
    for attempt in (1, 2, 3):
        claim = claimed(database)
        assert claim.attempt == attempt
        claims.drop(database, claim, 3, ERRORS)
    ended = found(database, made)
    assert (ended.state, ended.error) == (State.FAILED, b"died")
    assert claims.claim(database, METHODS, "w", LEASE_S) is None


def test_what_is_handed_back_does_not_count(database):
    made = store.create(database, new())
    for _ in range(5):
        claims.hand_back(database, claimed(database), None, ERRORS)
    for _ in range(2):
        claims.drop(database, claimed(database), 3, ERRORS)
    assert found(database, made).state is State.QUEUED
    claims.drop(database, claimed(database), 3, ERRORS)
    assert found(database, made).state is State.FAILED


def test_what_a_dead_worker_had_goes_back_at_once(database):
    for _ in range(4):
        store.create(database, new())
    mine = [claimed(database, "mine") for _ in range(2)]
    theirs = claimed(database, "theirs")
    assert claims.drop_all_of(database, "mine", 3, ERRORS) == 2
    assert not claims.cancel_asked(database, theirs)
    assert {claimed(database).number for _ in range(3)} > {claim.number for claim in mine}


def test_cancelling_ends_what_waits_and_asks_for_what_runs(database):
    runs, waits = (store.create(database, new()) for _ in range(2))
    claim = claimed(database)
    for operation in (runs, waits, runs, waits):
        store.cancel(database, "", operation.name, b"cancelled")
    ended = found(database, waits)
    assert (ended.state, ended.error, ended.cancel_asked) == (State.CANCELLED, b"cancelled", True)
    assert claims.cancel_asked(database, claim)
    assert found(database, runs).state is State.RUNNING
    claims.end_cancelled(database, claim, b"cancelled")
    assert found(database, runs).state is State.CANCELLED
    assert states(database, waits) == [State.QUEUED, State.CANCELLED]


@pytest.mark.parametrize("leave", ["lapse", "drop", "hand_back"])
def test_what_is_to_be_cancelled_is_not_queued_again(database, leave):
    made = store.create(database, new())
    claim = claimed(database)
    store.cancel(database, "", made.name, b"cancelled")
    if leave == "lapse":
        lapse(database)
        claims.tidy(database, 3, ERRORS)
    elif leave == "drop":
        claims.drop(database, claim, 3, ERRORS)
    else:
        claims.hand_back(database, claim, None, ERRORS)
    ended = found(database, made)
    assert (ended.state, ended.error) == (State.CANCELLED, b"cancelled")
    assert ended.end_time is not None


def test_cancelling_what_has_ended_changes_nothing(database):
    made = store.create(database, new())
    claims.succeed(database, claimed(database), b"r", keep_nothing)
    before = found(database, made)
    store.cancel(database, "", made.name, b"cancelled")
    assert found(database, made) == before


def test_what_waits_beyond_its_deadline_has_failed(database):
    late, best, none = (store.create(database, new(deadline_s=d)) for d in (50.0, 60.0, None))
    claims.claim(database, METHODS, "w", LEASE_S)
    with_best = claimed(database)
    claims.hand_back(database, with_best, b"best", ERRORS)
    claims.drop_all_of(database, "w", 3, ERRORS)
    with database.writing() as connection:
        connection.execute(update(operations).values(deadline=operations.c.deadline - 100.0))
    assert claims.tidy(database, 3, ERRORS) == 1
    assert (found(database, late).state, found(database, late).error) == (State.FAILED, b"late")
    assert found(database, none).state is State.QUEUED
    again = claimed(database)
    assert (again.number, again.best) == (best.number, b"best")
    assert again.left_s < 0.0


def test_progress_is_told_in_numbered_events(database):
    made = store.create(database, new())
    claim = claimed(database)
    for value in (3.0, 2.0):
        standing = Standing(value=value, bound=1.0, relative_gap=value - 1.0, phase="search")
        claims.report(database, claim, standing, b"best", LEASE_S)
    assert found(database, made).standing == standing
    events = store.events(database, made.number, 0, 100)
    assert [event.number for event in events] == [1, 2, 3, 4]
    assert [event.standing.value for event in events] == [None, None, 3.0, 2.0]
    assert [e.number for e in store.events(database, made.number, 2, 100)] == [3, 4]
    assert [e.number for e in store.events(database, made.number, 0, 2)] == [1, 2]
    assert store.latest(database, [made.number, 10**6]) == {made.number: (4, False)}


def test_what_a_family_keeps_is_written_once_and_with_the_end(database):
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE kept (name VARCHAR)"))

    def keep(connection: Connection, claim: claims.Claim, response: bytes) -> None:
        connection.execute(text("INSERT INTO kept VALUES (:name)"), {"name": claim.name})
        if response == b"bad":
            raise ZeroDivisionError

    made = store.create(database, new())
    claim = claimed(database)
    with pytest.raises(ZeroDivisionError):
        claims.succeed(database, claim, b"bad", keep)
    assert found(database, made).state is State.RUNNING
    claims.succeed(database, claim, b"good", keep)
    with pytest.raises(LostClaim):
        claims.succeed(database, claim, b"good", keep)
    with database.reading() as connection:
        assert connection.execute(text("SELECT name FROM kept")).all() == [(made.name,)]


def test_pages_are_complete_and_filtered(database):
    asked = [store.create(database, new(method=f"test/{i % 2}")).number for i in range(10)]
    claim = claims.claim(database, ["test/0"], "w", LEASE_S)
    claims.fail(database, claim, b"error")

    def numbers(wanted: Filter, size: int = 3) -> list[int]:
        seen, before = [], None
        while page := store.page(database, "", wanted, before=before, size=size):
            seen += [operation.number for operation in page]
            before = seen[-1]
        return seen

    latest = asked[::-1]
    assert numbers(Filter()) == latest
    assert numbers(Filter(method="test/1")) == [n for n in latest if asked.index(n) % 2]
    assert numbers(Filter(state=State.FAILED)) == numbers(Filter(ended=True)) == [claim.number]
    assert numbers(Filter(ended=False, method="test/0")) == [asked[8], asked[6], asked[4], asked[2]]


def test_deleting_takes_what_has_ended_with_its_events(database):
    made = store.create(database, new(request_id="one"))
    with pytest.raises(NotEnded):
        store.remove(database, "", made.name)
    claims.succeed(database, claimed(database), b"r", keep_nothing)
    store.remove(database, "", made.name)
    with pytest.raises(NoSuchOperation):
        store.remove(database, "", made.name)
    with database.reading() as connection:
        assert connection.execute(select(operation_events)).all() == []
    assert store.create(database, new(request_id="one")).name != made.name


def test_the_sweep_takes_what_ended_before_the_retention(database):
    names = [store.create(database, new()).name for _ in range(4)]
    for _ in range(3):
        claims.succeed(database, claimed(database), b"r", keep_nothing)
    with database.writing() as connection:
        old = operations.c.name.in_(names[:2])
        connection.execute(
            update(operations).where(old).values(end_time=operations.c.end_time - 1000.0)
        )
    assert store.sweep(database, 500.0) == 2
    left = store.page(database, "", Filter(), before=None, size=9)
    assert [operation.name for operation in left] == [names[3], names[2]]
    assert store.sweep(database, 500.0) == 0


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_each_operation_ends_at_most_once(database, seed):
    """Random workers that die, freeze and finish late; the events must tell one end each."""
    generator = random.Random(seed)
    asked = [store.create(database, new()) for _ in range(12)]
    held = []
    for _ in range(150):
        act = generator.randrange(6)
        if act <= 1 and (claim := claims.claim(database, METHODS, "w", LEASE_S)) is not None:
            held.append(claim)
        elif act == 2:
            lapse(database)
            claims.tidy(database, 4, ERRORS)
        elif act == 3:
            store.cancel(database, "", generator.choice(asked).name, b"cancelled")
        elif held:
            claim = generator.choice(held)
            ends = (
                lambda c=claim: claims.succeed(database, c, str(c.attempt).encode(), keep_nothing),
                lambda c=claim: claims.drop(database, c, 4, ERRORS),
                lambda c=claim: claims.hand_back(database, c, None, ERRORS),
                lambda c=claim: claims.fail(database, c, b"error"),
            )
            try:
                generator.choice(ends)()
            except LostClaim:
                held.remove(claim)
    for operation in asked:
        events = store.events(database, operation.number, 0, 1000)
        ends = [event.number for event in events if event.state in {*State} - {"QUEUED", "RUNNING"}]
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert ends in ([], [len(events)])
        now = found(database, operation)
        assert (now.state, now.event) == (events[-1].state, len(events))
        assert (now.response is not None) == (now.state is State.SUCCEEDED)


def test_a_tenant_has_no_more_operations_under_way_than_its_quota(database):
    quota = Quota(operations=2)

    def create(**asked):
        return store.create(database, new(quota=quota, **asked))

    first, _ = create(request_id="one"), create()
    with pytest.raises(OverQuota, match="2 operations") as told:
        create(request_id="two")
    assert told.value.retry_s > 0.0
    assert create(request_id="one").name == first.name
    assert create(tenant="other").state is State.QUEUED
    assert len(store.page(database, "", Filter(), before=None, size=9)) == 2
    claims.fail(database, claimed(database), b"error")
    assert create(request_id="two").state is State.QUEUED


def test_the_seconds_of_a_day_are_counted_for_each_tenant(database):
    quota = Quota(cpu_s=10.0)

    def create(tenant):
        return store.create(database, new(tenant=tenant, quota=quota))

    for tenant in ("busy", "busy", "calm"):
        create(tenant)
        quotas.charge(database, tenant, 6.0)
    with pytest.raises(OverQuota, match="10 CPU seconds") as told:
        create("busy")
    assert 0.0 < told.value.retry_s <= quotas.DAY_S
    assert create("calm").state is State.QUEUED
    with database.writing() as connection:  # a day passes
        gone = update(counters).values(name=quotas._name(0.0))
        connection.execute(gone)
    assert create("busy").state is State.QUEUED
    quotas.charge(database, "busy", 1.0)
    with database.reading() as connection:
        left = connection.execute(select(counters.c.tenant, counters.c.value)).all()
    assert sorted(left) == [("busy", 1_000), ("calm", 6_000)]
