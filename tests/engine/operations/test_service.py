"""Operations over gRPC, through a real server and its worker, on both kinds of database."""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.longrunning import operations_pb2 as longrunning
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo

from loadloom.engine.settings import Limits
from loadloom.v1 import operations_pb2 as pb
from tests.engine.operations.processes import (
    CANCELLED,
    FAILED,
    QUEUED,
    RUNNING,
    SLACK_S,
    SUCCEEDED,
    answer,
    eventually,
    metadata,
)
from tests.pace import Stopwatch, slowness

NOBODY = "operations/" + "0" * 32


def reason(operation: longrunning.Operation) -> str:
    info = ErrorInfo()
    assert next(detail for detail in operation.error.details if detail.Unpack(info))
    return info.reason


def test_an_operation_ends_with_the_answer_of_its_solve(caller):
    made = caller.submit(key="mine", seconds=0.3)
    assert not made.done
    assert metadata(made).state == QUEUED
    assert metadata(made).method == "loadloom.test.ProbeService/Run"
    ended = caller.wait(made.name)
    assert answer(ended)["done"] == "mine"
    told = metadata(ended)
    assert (told.state, told.attempt, told.cancel_asked) == (SUCCEEDED, 1, False)
    assert told.create_time.seconds <= told.start_time.seconds <= told.end_time.seconds
    assert told.progress.phase == "working"
    assert told.progress.bound == 1.0
    assert not told.progress.HasField("relative_gap")
    assert caller.get(made.name) == ended


def test_one_request_id_from_64_callers_is_one_operation(caller):
    asked = {"key": "same", "request_id": "id of 64"}
    with ThreadPoolExecutor(64) as pool:
        names = {one.name for one in pool.map(lambda _: caller.submit(**asked), range(64))}
    assert len(names) == 1
    ended = caller.wait(names.pop())
    assert caller.submit(**asked) == ended


def test_a_request_id_of_another_request_is_refused(caller, failure):
    caller.submit(key="one", request_id="used")
    told = failure(lambda: caller.submit(key="two", request_id="used"))
    assert (told.code, told.reason) == (grpc.StatusCode.ALREADY_EXISTS, "OTHER_REQUEST")
    assert "request_id" in told.paths


@pytest.mark.parametrize("bad", ["x" * 201, "a\0b", "ä"])
def test_an_odd_request_id_is_refused(caller, failure, bad):
    told = failure(lambda: caller.submit(request_id=bad))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(told.paths) == {"request_id"}


def test_waiting_ends_with_the_time_and_tells_how_it_is(caller):
    made = caller.submit(do="work", seconds=20)
    caller.running(made.name)
    watch = Stopwatch()
    assert not caller.wait(made.name, 0.3).done
    request = longrunning.WaitOperationRequest(name=made.name)
    assert not caller.operations.WaitOperation(request, timeout=3.0).done
    assert watch.clock_s > 2.5
    assert watch.seconds < 5.0
    caller.cancel(made.name)


def test_a_watcher_gets_every_event_and_may_resume(caller):
    made = caller.submit(key="watched", seconds=0.6)
    events = list(caller.watch(made.name))
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [event.state for event in events[:2]] == [QUEUED, RUNNING]
    assert events[-1].state == SUCCEEDED
    values = [event.progress.value for event in events[2:]]
    assert len(set(values)) >= 4
    assert values == sorted(values, reverse=True)
    assert list(caller.watch(made.name, after=3)) == events[3:]
    assert list(caller.watch(made.name, after=len(events))) == []
    assert metadata(caller.get(made.name)).event == len(events)


def test_a_thousand_watchers_and_waiters_are_all_told_and_cost_little(serve, new_url):
    with serve(new_url("sqlite"), job_workers=0) as caller:
        name = caller.submit().name
        streams = [caller.watch(name) for _ in range(1_000)]
        for stream in streams:
            assert next(stream).state == QUEUED
        waits = [
            caller.operations.WaitOperation.future(longrunning.WaitOperationRequest(name=name))
            for _ in range(100)
        ]
        began, used = time.monotonic(), time.process_time()
        assert not caller.wait(name, 1.0).done
        assert (time.process_time() - used) / (time.monotonic() - began) < 0.5
        caller.cancel(name)
        assert all(list(stream)[-1].state == CANCELLED for stream in streams)
        assert all(wait.result().error.code == Code.CANCELLED for wait in waits)


def test_a_cancelled_solve_that_heeds_it_ends_at_once(caller):
    made = caller.submit(do="work", seconds=60)
    caller.running(made.name)
    watch = Stopwatch()
    caller.cancel(made.name)
    ended = caller.wait(made.name)
    assert watch.seconds < 0.45
    assert ended.error.code == Code.CANCELLED
    assert (metadata(ended).state, metadata(ended).cancel_asked) == (CANCELLED, True)
    caller.cancel(made.name)
    assert caller.get(made.name) == ended


def test_a_cancelled_solve_that_hears_nothing_is_killed(caller):
    busy = [caller.submit(do="deaf") for _ in range(2)]
    for made in busy:
        caller.running(made.name)
    probe = caller.submit(key="probe")
    watch = Stopwatch()
    for made in busy:
        caller.cancel(made.name)
    assert caller.wait(probe.name).done
    assert watch.seconds < 3.0
    assert {caller.wait(made.name).error.code for made in busy} == {Code.CANCELLED}


def test_what_waits_is_cancelled_without_a_worker(caller):
    busy = [caller.submit(do="work", seconds=60) for _ in range(2)]
    waits = caller.submit(key="waits")
    caller.cancel(waits.name)
    assert metadata(caller.get(waits.name)).state == CANCELLED
    for made in busy:
        caller.cancel(made.name)


@pytest.mark.parametrize("poison", ["segfault", "exit", "raise"])
def test_a_poison_job_has_failed_after_three_attempts_and_hits_no_other(caller, poison):
    other = caller.submit(key="other", seconds=0.5)
    made = caller.submit(do=poison)
    ended = caller.wait(made.name)
    assert (metadata(ended).state, metadata(ended).attempt) == (FAILED, 3)
    assert (ended.error.code, reason(ended)) == (Code.INTERNAL, "SOLVE_DIED")
    done = caller.wait(other.name)
    assert answer(done)["done"] == "other"
    assert metadata(done).attempt == 1


@pytest.mark.parametrize("poison", ["segfault", "memory", "deaf"])
def test_the_job_after_one_that_dies_is_done_soon_whatever_it_dies_of(serve, new_url, poison):
    """Within two seconds, as a rule; slower machines have their slack."""
    limit_s = 100.0 if poison == "memory" else 1.0  # slow machines take seconds to fill a gibibyte
    settings = {"job_workers": 1, "job_memory_mib": 1024, "job_limit_s": limit_s, "overrun_s": 0.2}
    with serve(new_url("sqlite"), **settings) as caller:
        made, after = caller.submit(do=poison), caller.submit(key="after")
        ended, done = caller.wait(made.name), caller.wait(after.name)
        attempts = 1 if poison == "memory" else 3
        assert (metadata(ended).state, metadata(ended).attempt) == (FAILED, attempts)
        assert (answer(done)["done"], metadata(done).attempt) == ("after", 1)
        ends = [metadata(one).end_time.ToNanoseconds() / 1e9 for one in (ended, done)]
        assert 0.0 < (ends[1] - ends[0]) / slowness() < 2.0 + SLACK_S


def test_a_refusal_of_the_solve_is_the_operations_error(caller):
    ended = caller.wait(caller.submit(do="refuse").name)
    assert (ended.error.code, ended.error.message) == (Code.INVALID_ARGUMENT, "the probe refuses")
    assert metadata(ended).attempt == 1


@pytest.mark.parametrize(("limit", "limit_s"), [("limit_s", 0.5), ("deadline_s", 1.0)])
def test_a_solve_that_heeds_its_limit_returns_in_time(caller, limit, limit_s):
    made = caller.submit(key="short", seconds=60, **{limit: limit_s})
    ended = caller.wait(made.name)
    assert answer(ended)["done"] == "short"
    told = metadata(ended)
    begin = told.start_time if limit == "limit_s" else told.create_time
    spent_s = told.end_time.ToNanoseconds() / 1e9 - begin.ToNanoseconds() / 1e9
    assert spent_s > limit_s - 0.2
    assert spent_s / slowness() < limit_s + 0.4


def test_a_solve_that_hears_nothing_of_its_limit_ends_with_the_best_plan_so_far(caller):
    made = caller.submit(do="deaf", key="best", value=7, limit_s=0.2)
    ended = caller.wait(made.name)
    assert (answer(ended)["done"], answer(ended)["value"]) == ("best", 7)
    assert metadata(ended).progress.value == 7


def test_a_solve_without_a_plan_by_its_deadline_is_out_of_time_and_not_tried_again(caller):
    ended = caller.wait(caller.submit(do="deaf", deadline_s=0.5).name)
    assert (ended.error.code, reason(ended)) == (Code.DEADLINE_EXCEEDED, "OUT_OF_TIME")
    assert metadata(ended).attempt == 1


def test_what_waits_beyond_its_deadline_has_failed(caller):
    busy = [caller.submit(do="work", seconds=60) for _ in range(2)]
    for made in busy:
        caller.running(made.name)
    ended = caller.wait(caller.submit(deadline_s=0.2).name)
    assert ended.error.code == Code.DEADLINE_EXCEEDED
    for made in busy:
        caller.cancel(made.name)


def test_higher_priorities_are_solved_first(serve, new_url):
    with serve(new_url("sqlite"), job_workers=1) as caller:
        first = caller.submit(do="work", seconds=60)
        caller.running(first.name)
        names = [caller.submit(key=str(p), priority=p).name for p in (0, 2, 1)]
        caller.cancel(first.name)
        ends = [metadata(caller.wait(name)).end_time.ToNanoseconds() for name in names]
    assert ends[1] < ends[2] < ends[0]


def test_operations_are_listed_by_page_and_filter(serve, new_url):
    with serve(new_url("sqlite"), job_workers=0) as caller:
        names = [caller.submit(key=str(i)).name for i in range(7)][::-1]
        caller.cancel(names[2])
        pages, token = [], ""
        while True:
            page = caller.page(page_size=3, page_token=token)
            pages.append([operation.name for operation in page.operations])
            if not (token := page.next_page_token):
                break
        assert pages == [names[:3], names[3:6], names[6:]]

        def listed(wanted: str) -> list[str]:
            return [operation.name for operation in caller.page(filter=wanted).operations]

        method = "loadloom.test.ProbeService/Run"
        assert listed("state = CANCELLED") == listed("done=true") == [names[2]]
        assert listed(f'method = "{method}" AND done = true') == [names[2]]
        assert listed(f"done = false AND method={method}") == names[:2] + names[3:]
        assert listed("method = other/Run") == []
        assert listed("  ") == names


BAD_LISTS = [
    ({"filter": "colour = red"}, "filter"),
    ({"filter": "state = RUNNING AND"}, "filter"),
    ({"filter": "state = RUNNING AND state = QUEUED"}, "filter"),
    ({"filter": "state = AWAKE"}, "filter"),
    ({"filter": "done = maybe"}, "filter"),
    ({"filter": "method = \0"}, "filter"),
    ({"page_size": -1}, "page_size"),
    ({"page_token": "guess"}, "page_token"),
    ({"page_token": "AAAA"}, "page_token"),
    ({"page_token": "_" * 40}, "page_token"),
    ({"name": "projects/x"}, "name"),
]


@pytest.mark.parametrize(("wanted", "path"), BAD_LISTS)
def test_a_bad_list_is_told_by_its_field(caller, failure, wanted, path):
    told = failure(lambda: caller.page(**wanted))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(told.paths) == {path}


@pytest.mark.parametrize("name", ["", "operations/", "operations/\0", "x", NOBODY + "0"])
def test_a_name_that_is_none_is_told_by_its_field(caller, failure, name):
    for call in (caller.get, caller.wait, caller.cancel, caller.delete):
        told = failure(lambda call=call: call(name))
        assert told.code is grpc.StatusCode.INVALID_ARGUMENT
        assert set(told.paths) == {"name"}
    assert "name" in failure(lambda: list(caller.watch(name))).paths


def test_an_operation_that_is_not_there_is_not_found(caller, failure):
    for call in (caller.get, caller.wait, caller.cancel, caller.delete):
        assert failure(lambda call=call: call(NOBODY)).code is grpc.StatusCode.NOT_FOUND
    assert failure(lambda: list(caller.watch(NOBODY))).code is grpc.StatusCode.NOT_FOUND


def test_a_negative_timeout_and_a_negative_event_are_refused(caller, failure):
    request = longrunning.WaitOperationRequest(name=NOBODY)
    request.timeout.seconds = -1
    told = failure(lambda: caller.operations.WaitOperation(request))
    assert set(told.paths) == {"timeout"}
    huge = pb.WatchOperationRequest(name=NOBODY, after_event=2**63)
    assert "after_event" in failure(lambda: list(caller.events.WatchOperation(huge))).paths


def test_deleting_forgets_what_has_ended_only(caller, failure):
    made = caller.submit(do="work", seconds=60)
    told = failure(lambda: caller.delete(made.name))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_ENDED")
    caller.cancel(made.name)
    caller.wait(made.name)
    caller.delete(made.name)
    assert failure(lambda: caller.get(made.name)).code is grpc.StatusCode.NOT_FOUND


def test_what_is_deleted_while_it_is_watched_is_not_found(serve, new_url, failure):
    with serve(new_url("sqlite"), job_workers=0, retention_days=1e-9) as caller:
        made = caller.submit()
        stream = caller.watch(made.name)
        next(stream)
        caller.cancel(made.name)
        assert list(stream)[-1].state == CANCELLED
        caller.delete(made.name)
        assert failure(lambda: list(caller.watch(made.name))).code is grpc.StatusCode.NOT_FOUND


def test_calls_that_wait_beyond_the_limit_are_shed(serve, new_url, failure):
    with serve(new_url("sqlite"), job_workers=0, waiting_calls=3) as caller:
        name = caller.submit().name
        streams = [caller.watch(name) for _ in range(3)]
        for stream in streams:
            next(stream)
        for call in (lambda: next(caller.watch(name)), lambda: caller.wait(name)):
            told = failure(call)
            assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert told.retry_s > 0
        caller.cancel(name)
        assert {list(stream)[-1].state for stream in streams} == {CANCELLED}
        eventually(lambda: caller.wait(name).done)


def test_a_response_too_large_for_a_message_is_told(serve, new_url, failure):
    from loadloom.engine.settings import Limits

    with serve(new_url("sqlite"), limits=Limits(message_bytes=4096)) as caller:
        made = caller.submit(key="k" * 3500)
        told = failure(lambda: caller.wait(made.name))
        assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")


def test_memory_is_limited_to_what_the_settings_say(serve, new_url):
    with serve(new_url("sqlite"), job_memory_mib=1024, job_attempts=2) as caller:
        other = caller.submit(key="other", seconds=0.5)
        ended = caller.wait(caller.submit(do="memory").name)
        # It would lack it again, so there is no other attempt.
        assert (metadata(ended).state, metadata(ended).attempt) == (FAILED, 1)
        assert (ended.error.code, reason(ended)) == (Code.RESOURCE_EXHAUSTED, "OUT_OF_MEMORY")
        assert "job_memory_mib" in ended.error.message
        assert answer(caller.wait(other.name))["done"] == "other"


def test_a_hang_is_killed_at_the_servers_limit_and_has_failed_after_its_attempts(serve, new_url):
    settings = {"job_limit_s": 0.1, "overrun_s": 0.1, "job_attempts": 3}
    with serve(new_url("sqlite"), **settings) as caller:
        ended = caller.wait(caller.submit(do="deaf").name)
        assert (reason(ended), metadata(ended).attempt) == ("SOLVE_DIED", 3)


def test_a_tenant_that_has_used_its_seconds_is_told_when_to_try_again(serve, new_url, failure):
    limits = Limits(tenant_cpu_seconds=0.5)
    with serve(new_url("sqlite"), limits=limits) as caller:
        caller.wait(caller.submit(do="deaf", limit_s=0.5, value=1.0).name)
        told = failure(lambda: caller.submit(key="next"))
        assert told.reason == "QUOTA_EXCEEDED"
        assert 0.0 < told.retry_s <= 86_400.0
