"""Streams of load curves: chunk by chunk, cut short, out of order, beyond the room there is."""

import tempfile
from collections.abc import Iterator
from threading import Event

import grpc
import numpy as np
import pytest

from loadloom.engine.settings import Limits
from loadloom.v1 import agency_pb2 as pb
from tests.engine.conftest import eventually
from tests.engine.services.agency_calls import Agent, chunks, curves, grid, settling, values

BAD = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def agent(new_url) -> Iterator[Agent]:
    with settling(new_url("sqlite"), limits=Limits(points_under_way=1_000)) as found:
        yield found


def setup(**options: object) -> pb.AggregateLoadStreamRequest:
    return next(chunks(**options))


def chunk(*args: object, **words: object) -> pb.AggregateLoadStreamRequest:
    return pb.AggregateLoadStreamRequest(curves=curves(*args, **words))


def test_floats_and_doubles_add_up(agent):
    parts = [curves(((3, 1),), ("a",), single=True), curves(((1, 2),), ("b",))]
    found = agent.stub.AggregateLoadStream(chunks(*parts))
    assert values(found.aggregate.total_kw) == [4.0, 3.0]
    assert found.aggregate.sum_of_peaks_kw == 5.0
    assert not found.aggregate.users.names


def test_a_chunk_larger_than_the_room_is_added_all_the_same(agent):
    loads = np.ones((2_000, 2))
    names = [str(number) for number in range(2_000)]
    found = agent.stub.AggregateLoadStream(chunks(curves(loads, names)))
    assert values(found.aggregate.total_kw) == [2_000.0, 2_000.0]


def test_figures_at_the_peak_are_right_wherever_it_is(agent):
    """The first users have their peaks in the first slots, all others in the last."""
    early = np.zeros((5, 48))
    early[:, :12] = np.linspace(2.0, 1.0, 12)
    late = np.zeros((50, 48))
    late[:, -1] = 3.0
    parts = [curves(early, list("abcde")), curves(late, [f"u{n}" for n in range(50)])]
    found = agent.stub.AggregateLoadStream(chunks(*parts, users=True)).aggregate
    assert list(found.peak_intervals) == [47]
    assert values(found.users.coincident_kw) == [0.0] * 5 + [3.0] * 50
    assert values(found.users.peak_without_kw) == [150.0] * 5 + [147.0] * 50


def test_gaps_are_filled_within_chunks(agent):
    rules = pb.ReadingRules(fills=[pb.FillStep(rule=pb.FILL_RULE_LINEAR)])
    parts = [curves(((1, np.nan, 3),), ("a",)), curves(((1, 1, 1),), ("b",))]
    found = agent.stub.AggregateLoadStream(chunks(*parts, rules=rules)).aggregate
    assert values(found.total_kw) == [2.0, 3.0, 4.0]
    assert found.completeness.total.missing_count == 1


WRONG = [
    ("nothing", [], set()),
    ("no setup", [chunk()], set()),
    ("two setups", [setup(), setup()], set()),
    ("an empty message", [setup(), pb.AggregateLoadStreamRequest()], {"message"}),
    ("no users", [setup()], {"curves.load_kw"}),
    ("a user twice", [setup(), chunk(), chunk()], {"curves.names"}),
    ("a user twice in a chunk", [setup(), chunk(names=("a", "a"))], {"curves.names"}),
    ("other intervals", [setup(), chunk(((1, 2, 3),), ("a",))], {"curves.load_kw.cols"}),
    ("a gap", [setup(), chunk(((1, np.nan),), ("a",))], {"curves.load_kw[0][1]"}),
    ("infinite", [setup(), chunk(((1, np.inf),), ("a",))], {"curves.load_kw[0][1]"}),
    (
        "a profile",
        [setup(rules=pb.ReadingRules(fills=[pb.FillStep(rule=pb.FILL_RULE_AREA_PROFILE)]))],
        {"setup.options.rules.fills[0].rule"},
    ),
    (
        "no grid",
        [pb.AggregateLoadStreamRequest(setup=pb.AggregateLoadStreamSetup())],
        {"setup.grid"},
    ),
]


@pytest.mark.parametrize(
    ("messages", "paths"), [row[1:] for row in WRONG], ids=[r[0] for r in WRONG]
)
def test_a_stream_that_is_wrong_is_told_why(agent, failure, messages, paths):
    told = failure(lambda: agent.stub.AggregateLoadStream(iter(messages), timeout=20))
    assert told.code is BAD
    assert set(told.paths) == paths


def test_figures_of_more_users_than_fit_an_answer_are_refused_early(new_url, failure):
    with settling(new_url("sqlite"), limits=Limits(message_bytes=4096)) as agent:
        names = [str(number) for number in range(60)]
        part = curves(np.ones((60, 2)), names, single=True)
        told = failure(lambda: agent.stub.AggregateLoadStream(chunks(part, users=True)))
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert agent.stub.AggregateLoadStream(chunks(part)).aggregate.user_count == 60


def test_what_is_kept_of_a_stream_has_limits(new_url, failure):
    with settling(new_url("sqlite"), limits=Limits(points=6, curve_points=6)) as agent:

        def told(*names: str, **options: object):
            parts = [curves(((1, 2),), (name,)) for name in names]
            for name, part in zip(names, parts, strict=True):
                part.areas.append(name)
            return agent.stub.AggregateLoadStream(chunks(*parts, **options), timeout=60)

        assert [area.name for area in told("a", "b", "c").aggregate.areas] == ["a", "b", "c"]
        found = failure(lambda: told("a", "b", "c", "d"))
        assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert set(found.paths) == {"curves.areas"}
        one_area = [curves(((1, 2), (1, 2)), pair) for pair in ("ab", "cd")]
        assert agent.stub.AggregateLoadStream(chunks(*one_area)).aggregate.user_count == 4
        found = failure(lambda: agent.stub.AggregateLoadStream(chunks(*one_area, users=True)))
        assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert set(found.paths) == {"setup.options.users"}


def test_figures_of_users_are_found_by_a_worker_in_time(new_url, failure):
    """Without figures of users nothing is left to do at the end of a stream."""
    limits = Limits(solve_seconds=1e-9)
    with settling(new_url("sqlite"), limits=limits, overrun_s=1e-9) as agent:
        assert agent.stub.AggregateLoadStream(chunks(curves()), timeout=60).chunk_count == 1
        ask = chunks(curves(), users=True)
        told = failure(lambda: agent.stub.AggregateLoadStream(ask, timeout=60))
        assert told.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_stream_that_is_cut_gives_its_room_back(start, connect):
    with start(limits=Limits(points_under_way=1_000)) as engine, connect(engine.address) as channel:
        agent, sending = Agent(channel), Event()

        def endless() -> Iterator[pb.AggregateLoadStreamRequest]:
            yield setup()
            yield chunk()
            sending.set()
            yield from iter(lambda: chunk(((1, 1),), ("x",)), None)

        call = agent.stub.AggregateLoadStream.future(endless())
        assert sending.wait(20)
        call.cancel()
        taken = engine.metrics.registry.get_sample_value
        eventually(lambda: taken("loadloom_stream_values_under_way"), lambda found: found == 0.0)
        assert agent.stub.AggregateLoadStream(chunks(curves())).chunk_count == 1
        assert engine.metrics.registry.get_sample_value("loadloom_calls_in_flight") == 0.0


def test_a_stream_without_a_setup_is_ended(new_url, failure):
    with settling(new_url("sqlite"), setup_s=0.2) as agent:
        stop = Event()

        def silent() -> Iterator[pb.AggregateLoadStreamRequest]:
            stop.wait(20)
            yield from ()

        told = failure(lambda: agent.stub.AggregateLoadStream(silent(), timeout=20))
        stop.set()
        assert (told.code, told.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "SETUP_MISSING")


def test_the_grid_is_that_of_the_setup():
    """The helper's chunks have as many columns as its setup has intervals."""
    first = next(chunks(curves(((1, 2, 3),), ("a",))))
    assert first.setup.grid == grid(3)


@pytest.mark.parametrize("users", [False, True])
def test_a_stream_that_falls_silent_is_ended_and_what_it_sent_is_deleted(
    new_url, failure, monkeypatch, tmp_path, users
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with settling(new_url("sqlite"), silence_s=0.3) as agent:
        stop, kept = Event(), []

        def falling_silent() -> Iterator[pb.AggregateLoadStreamRequest]:
            yield from chunks(curves(), users=users)
            kept.extend(
                eventually(lambda: list(tmp_path.iterdir()), lambda found: found or not users)
            )
            stop.wait(20)

        told = failure(lambda: agent.stub.AggregateLoadStream(falling_silent(), timeout=20))
        stop.set()
        assert (told.code, told.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "STREAM_SILENT")
        assert bool(kept) == users
        eventually(lambda: list(tmp_path.iterdir()), lambda found: not found)
