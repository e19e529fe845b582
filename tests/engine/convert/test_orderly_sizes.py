"""The size of weekly schedules, counted from messages: at the limit, and one beyond."""

import pytest

from loadloom.engine.convert.orderly import week_of
from loadloom.engine.convert.orderly_sizes import MEASURES_PER_USER, check_size
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from tests.engine.services.orderly_weeks import week_request

USERS, SLOTS = 4, 56


def feeders(request, count):
    for number in range(count):
        request.shortage.feeders.add(name=str(number)).shortage_kw.values.append(1.0)


def measures(request, count):
    request.measures.allowed.rows = request.measures.allowed.cols = 1
    request.measures.allowed.values.append(True)
    del request.measures.user[:]
    request.measures.user.extend([0] * count)


def many(request, count):
    del request.measures.user[:]
    request.measures.user.extend([0] * count)


CASES = [
    (feeders, 3, Limits(schedule_points=(1 + USERS + 3) * SLOTS), "shortage.feeders"),
    (measures, 9, Limits(schedule_points=9 * SLOTS), "measures.allowed"),
    (many, USERS * MEASURES_PER_USER, Limits(users=USERS), "measures.user"),
]


@pytest.mark.parametrize(("make", "count", "limits", "path"), CASES)
def test_what_is_repeated_is_counted(make, count, limits, path):
    request = week_request()
    make(request, count)
    check_size(request, week_of(request.week), limits)
    request = week_request()
    make(request, count + 1)
    with pytest.raises(Refusal) as caught:
        check_size(request, week_of(request.week), limits)
    assert [violation.path for violation in caught.value.violations] == [path]
