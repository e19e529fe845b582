"""Sums of curves as worker processes make them: faults at the paths of the messages."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from loadloom.engine.answers.load_sums import Adding, Summing, Wishes, added
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Task
from loadloom.models.agency import percentiles
from loadloom.models.agency.curves import Chunk
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon
from loadloom.models.options import SolveOptions

HORIZON = Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.ones(24))


def wishes(*levels: float) -> Wishes:
    return Wishes(
        users=False, price=None, levels=levels, windows=None, rules=None, tie_tolerance=1e-9
    )


def chunk(kind: type = np.float64, **more: object) -> Chunk:
    return Chunk(load_kw=np.ones((3, 24), kind), names=("a", "b", "c"), **more)


def paths(call) -> list[str]:
    with pytest.raises(InvalidProblem) as caught:
        call()
    return [violation.path for violation in caught.value.violations]


def summed(its: Chunk, *levels: float):
    asked = Summing(horizon=HORIZON, wishes=wishes(*levels), most_points=100, chunk=its)
    return added(Task(problem=asked, options=SolveOptions(), detail=0)).found


def test_quantiles_that_would_take_too_much_are_told_as_such(monkeypatch):
    monkeypatch.setattr(percentiles, "EXACT_VALUES", 10)
    monkeypatch.setattr(percentiles, "MOST_SLOTS", 23)
    assert paths(lambda: summed(chunk(), 50.0)) == ["options.quantiles"]
    adding = Adding(HORIZON, wishes(50.0), Limits())
    assert paths(lambda: adding.add(chunk())) == ["setup.options.quantiles"]
    with pytest.raises(refusal.Refusal, match="counts of loads"):
        Adding(HORIZON, wishes(50.0), Limits(points_under_way=100_000))


@pytest.mark.parametrize(
    ("kind", "name"), [(np.float64, "load_kw"), (np.float32, "load_kw_float32")]
)
def test_a_load_at_fault_is_told_at_its_place(kind, name):
    load_kw = np.ones((3, 24), kind)
    load_kw[1, 7] = np.inf
    wrong = replace(chunk(kind), load_kw=load_kw)
    assert paths(lambda: summed(wrong)) == [f"curves.{name}[1][7]"]
    adding = Adding(HORIZON, wishes(), Limits())
    assert paths(lambda: adding.add(wrong)) == [f"curves.{name}[1][7]"]


def test_users_are_counted_over_chunks():
    adding = Adding(HORIZON, wishes(), Limits())
    for first in range(4):
        adding.add(Chunk(load_kw=np.ones((2, 24)), names=(f"{first} a", f"{first} b")))
        assert adding.user_count == 2 * (first + 1)
    assert adding.left(()) is None
    assert adding.finish().aggregate.user_count == 8
