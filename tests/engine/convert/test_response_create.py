"""Requests for events that could never be measured or paid, or grow too large, are refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from loadloom.engine.convert import response_create
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.v1 import response_pb2 as pb
from tests.engine.services.response_calls import EVENING, event_request

PRICES = "problem.customers.price_per_kwh"


def priced(*prices: float) -> Callable[[pb.CreateEventRequest], None]:
    def change(request: pb.CreateEventRequest) -> None:
        request.problem.customers.price_per_kwh[:] = prices

    return change


def timed(start: datetime, *steps_s: int) -> Callable[[pb.CreateEventRequest], None]:
    def change(request: pb.CreateEventRequest) -> None:
        grid = request.problem.grid
        grid.start_time.FromDatetime(start)
        grid.ClearField("step")
        grid.count = 0
        for seconds in steps_s:
            grid.steps.add(seconds=seconds)

    return change


def answered(seconds: int, nanos: int) -> Callable[[pb.CreateEventRequest], None]:
    def change(request: pb.CreateEventRequest) -> None:
        request.answer_time.seconds = request.problem.grid.start_time.seconds + seconds
        request.answer_time.nanos = nanos

    return change


def paths(change: Callable[[pb.CreateEventRequest], None]) -> set[str]:
    """The paths of what is wrong with a request for an event."""
    request = event_request()
    change(request)
    try:
        response_create.parse(request, Limits())
    except Refusal as error:
        return {violation.path for violation in error.violations}
    return set()


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (f"{PRICES}[0]", priced(0.1234567, 0.4)),
        (f"{PRICES}[1]", priced(0.4, 1.0 / 3.0)),
        (f"{PRICES}[1]", priced(0.4, 1_000_001.0)),
        ("problem.grid", timed(EVENING, 86_400, 3600)),
        ("problem.grid", timed(datetime(2026, 10, 25, 12, tzinfo=UTC), 86_400, 60)),
        ("problem.grid", timed(EVENING + timedelta(seconds=30), 3600, 3600)),
        ("problem.grid", timed(EVENING, 3600, 1830)),
        ("answer_time", answered(0, 1)),
    ],
)
def test_an_event_that_could_never_be_settled_is_refused(path, change):
    assert paths(change) == {path}


@pytest.mark.parametrize(
    "change",
    [
        priced(0.1 + 0.2, 999_999.999999),
        timed(EVENING + timedelta(hours=4), 3600, 3600),
        timed(EVENING - timedelta(hours=18), 86_400),
        timed(EVENING + timedelta(hours=5), 3600, 3600),
        timed(EVENING, 86_400),
        timed(datetime(2026, 10, 24, 12, tzinfo=UTC), 90_000),  # a day of 25 hours
        timed(EVENING, 300, 900, 60),
        # On the last Sunday of October 02:00 comes twice.
        timed(datetime(2026, 10, 25, 0, tzinfo=UTC), 3600),
        timed(datetime(2026, 10, 25, 0, tzinfo=UTC), 3600, 3600),
        answered(0, 0),
    ],
)
def test_an_event_of_a_day_at_most_and_whole_prices_is_taken(change):
    assert paths(change) == set()


def test_an_event_that_grows_too_large_by_what_is_known_is_refused():
    request = event_request()
    request.problem.customers.price_per_kwh[:] = [0.25] * 500
    limits = Limits(message_bytes=8192)
    response_create.check_size(request, limits)
    request.use_reliabilities = True
    with pytest.raises(Refusal) as caught:
        response_create.check_size(request, limits)
    assert caught.value.reason == "LIMIT_EXCEEDED"
    response_create.check_size(request, Limits())
    with pytest.raises(Refusal):
        response_create.check_size(request, Limits(customer_points=39_999))
