"""The rota of a city: equal areas taking turns for a month, as Cape Town publishes it."""

import time
from datetime import UTC, datetime

import numpy as np

from benchmarks.registry import Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import (
    Fairness,
    FairnessMode,
    Kind,
    Measures,
    Plan,
    Problem,
    Shortage,
    Users,
)
from loadloom.models.orderly.solve import solve
from loadloom.models.orderly.week import BoolArray, Week

AREAS, DAYS, SLOTS, STAGES = 16, 31, 12, 8
"""Sixteen areas, a month of two-hour slots, and the stages of load shedding."""

AREA_KW = 100.0


def month(stage: int) -> Problem:
    """A month in which `stage` of the areas must be off in every slot."""
    return Problem(
        week=Week(start=datetime(2026, 12, 1, tzinfo=UTC), day_count=DAYS, slot_count=SLOTS),
        users=Users(
            names=tuple(f"area {i + 1:02d}" for i in range(AREAS)),
            load_kw=np.full((AREAS, DAYS, SLOTS), AREA_KW),
            max_days=np.full(AREAS, DAYS),
            max_events_per_day=np.full(AREAS, SLOTS),
        ),
        measures=Measures(
            user=np.arange(AREAS),
            kind=np.full(AREAS, Kind.CUT),
            cap_kw=np.full(AREAS, AREA_KW),
            cost_per_kwh=np.ones(AREAS),
        ),
        shortage=Shortage(
            shortage_kw=np.full((DAYS, SLOTS), stage * AREA_KW), unserved_price_per_kwh=1_000.0
        ),
        fairness=Fairness(mode=FairnessMode.EQUAL_HOURS),
    )


def off(plan: Plan) -> BoolArray:
    """Which area is off in which slot, (areas, days * slots)."""
    found = np.zeros((AREAS, DAYS, SLOTS), np.bool_)
    for user, day, first, count in zip(
        plan.user, plan.day, plan.first_slot, plan.slot_count, strict=True
    ):
        found[user, day, first : first + count] = True
    return found.reshape(AREAS, -1)


def rota(_: Effort) -> Findings:
    """Who lives in a city under load shedding asks for a rota that is fair to the slot.

    At every stage exactly as many areas are off as the stage says, no area is off for more than one
    slot longer than another, and whoever is off at a stage is off at all higher ones.
    """
    rows, before = [], np.zeros((AREAS, DAYS * SLOTS), np.bool_)
    widest = wrong = freed = broken = 0
    for stage in range(1, STAGES + 1):
        problem, begun = month(stage), time.perf_counter()
        solution = solve(problem)
        seconds = time.perf_counter() - begun
        now = off(solution.plan)
        hours = now.sum(axis=1)
        spread = int(hours.max() - hours.min())
        widest, wrong = max(widest, spread), wrong + int((now.sum(axis=0) != stage).sum())
        freed += int((before & ~now).sum())
        broken += len(referee.violations(problem, solution.plan))
        before = now
        rows.append((str(stage), str(int(hours.min())), str(int(hours.max())), number(seconds)))
    headings = ("stage", "fewest slots off", "most slots off", "seconds")
    title = f"{AREAS} areas, {DAYS} days of {SLOTS} slots"
    return Findings(
        tables=(Table(title=title, headings=headings, rows=tuple(rows)),),
        bars=(
            Bar(what="spread of slots off, any stage", measured=widest, limit=1),
            Bar(what="slots in which not exactly the stage is off", measured=wrong, limit=0),
            Bar(what="slots off at a stage and on at the next", measured=freed, limit=0),
            Bar(what="rules broken", measured=broken, limit=0),
        ),
    )


SPECS = (
    BenchSpec(
        name="orderly-rota",
        question="And a city's rota of equal hours?",
        bar="16 areas, 31 days, stages 1 to 8: at most one slot apart, nested, exact",
        run=rota,
    ),
)
