"""Baselines of a million customers from ninety days of readings: against the speed of memory."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import date, timedelta
from statistics import median

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.agency_curves import plainly_read
from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from benchmarks.response_runs import Wrong
from loadloom.models.agency.problem import Currency
from loadloom.models.response import settlement_referee
from loadloom.models.response.baseline import baselines
from loadloom.models.response.baseline_rule import (
    Adjust,
    Adjustment,
    BaselineRule,
    Baselines,
    Event,
    Method,
)
from loadloom.models.response.measure import measure
from loadloom.models.response.pay import Terms, pay
from loadloom.models.response.settle import Settlement, SettlementRequest
from loadloom.models.response.similar_days import Readings, Span

CUSTOMERS, DAYS, SLOTS = 1_000_000, 90, 96
DATES = tuple(date(2026, 6, 1) + timedelta(days=k) for k in range(DAYS))

ROOM = 2.0
"""The memory that must be free, as a multiple of the readings."""

BLOCK = 2_000
"""Customers that are drawn at a time, and the fewest."""

OF_PANDAS = 20_000
"""The customers of whom pandas is asked; its time is told by customer."""

LOOKED_AT = 100
"""The customers whose baselines the referee looks at."""

TIMES_READ = 4.0

EVENT = Event(day=DAYS - 3, window=Span(first=68, count=12), after_count=8)
"""Five to eight in the evening of a Thursday, and two hours after it."""

WHOLE_DAY = Event(day=DAYS - 3, window=Span(first=0, count=SLOTS))

MORNING = Adjustment(kind=Adjust.RATIO, span=Span(first=40, count=12))

Loads = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of baseline that is asked for."""

    name: str
    rule: BaselineRule
    event: Event = EVENT


CASES = (
    Case("10 of 10, three hours", BaselineRule(adjustment=MORNING)),
    Case("5 of 10, three hours", BaselineRule(method=Method.HIGHEST_DAYS, adjustment=MORNING)),
    Case("10 of 10, the whole day", BaselineRule(), WHOLE_DAY),
    Case("5 of 10, the whole day", BaselineRule(method=Method.HIGHEST_DAYS), WHOLE_DAY),
    Case("regression, three hours", BaselineRule(method=Method.REGRESSION, adjustment=MORNING)),
)


def drawn(count: int) -> Loads:
    """Readings of a summer, (count, DAYS, SLOTS); one in 500 is missing.

    They are those of the same customers again and again, which is all the same to work that looks
    at no customer twice.
    """
    random = np.random.default_rng(11)
    hour = np.arange(SLOTS) / 4.0
    shape = 0.3 + np.exp(-0.5 * ((hour - 19.0) / 2.5) ** 2)
    rest = np.array([1.2 if day.weekday() >= 5 else 1.0 for day in DATES])
    warmth = 1.0 + 0.1 * (temperature().max(axis=1) - 28.0) / 5.0
    block = random.random((BLOCK, DAYS, SLOTS), dtype=np.float32)
    block += 0.5
    block *= ((rest * warmth)[:, None] * shape).astype(np.float32)
    block *= random.lognormal(0.0, 0.5, (BLOCK, 1, 1)).astype(np.float32)
    block[random.random(block.shape, dtype=np.float32) < 0.002] = np.nan
    load = np.empty((count, DAYS, SLOTS), np.float32)
    for at in range(0, count, BLOCK):
        load[at : at + BLOCK] = block[: count - at]
    return load


def temperature() -> NDArray[np.float64]:
    """The temperature of the air, (DAYS, SLOTS)."""
    random = np.random.default_rng(12)
    day = 26.0 + 4.0 * np.sin(np.arange(DAYS) / 9.0) + random.normal(0.0, 1.5, DAYS)
    return day[:, None] + 5.0 * np.sin((np.arange(SLOTS) - 36) * 2.0 * np.pi / SLOTS)


def readings_of(load: Loads) -> Readings:
    """The readings with their days and the air."""
    return Readings(load_kw=load, dates=DATES, temperature_c=temperature())


def judge(readings: Readings, case: Case, found: Baselines) -> None:
    """Has the referee of settled events look at some customers, spread evenly over all.

    Raises:
        Wrong: it finds another baseline.
    """
    rows = np.unique(np.linspace(0, len(found.kw) - 1, LOOKED_AT).astype(int))
    some = Baselines(**{each.name: getattr(found, each.name)[rows] for each in fields(found)})
    request = SettlementRequest(
        readings=readings_of(readings.load_kw[rows]),
        event=case.event,
        terms=Terms(currency=Currency(code="EUR"), price_per_kwh=np.array([[0.4]])),
        baseline_rule=case.rule,
    )
    measured = measure(request.readings, case.event, some)
    answer = Settlement(baselines=some, measured=measured, payments=pay(measured, request.terms))
    if broken := settlement_referee.violations(request, answer):
        raise Wrong(f"{case.name}: {broken[0]}")


def by_pandas(load: Loads, event: Event) -> NDArray[np.float64]:
    """The mean of the last ten whole days alike in an event's slots, unadjusted, by pandas.

    A table with a row a customer and day, and a column a slot, as meters' data are kept.
    """
    import pandas as pd

    days = pd.DatetimeIndex(DATES)
    index = pd.MultiIndex.from_product([range(len(load)), days], names=["customer", "day"])
    frame = pd.DataFrame(load.reshape(-1, SLOTS), index=index)
    rest, today = np.asarray(days.day_of_week >= 5), days[event.day]
    back = today - days
    recent = (back > pd.Timedelta(0)) & (back <= pd.Timedelta(days=60)) & (rest == rest[event.day])
    some = frame.loc[np.tile(recent, len(load)), list(range(SLOTS)[event.measured.slots])]
    window = list(range(SLOTS)[event.window.slots])
    whole = some[some[window].notna().all(axis=1)]
    last = whole.groupby(level="customer").tail(10)
    return last.groupby(level="customer").mean().to_numpy(np.float64)


def _customers(effort: Effort) -> int:
    """The customers of a run: fewer than are asked for where memory does not hold them."""
    if effort.budget_s < FULL.budget_s:
        return BLOCK
    held = int(psutil.virtual_memory().available / (ROOM * 4 * DAYS * SLOTS))
    return max(BLOCK, min(CUSTOMERS, held // BLOCK * BLOCK))


def against_memory(effort: Effort) -> Findings:
    """A season's readings are too many to be looked at twice: how far is this from reading them?

    A plain read of all ninety days in as many threads, in turns with baselines of an evening, with
    the same-day adjustment, and of a whole day. They read no more than the days and slots that
    count, which may be less than all. As many customers as memory holds; time is in proportion.
    """
    threads = len(os.sched_getaffinity(0))
    load = drawn(_customers(effort))
    readings = readings_of(load)
    pieces = np.array_split(load.reshape(len(load), -1).view(np.int64), 8 * threads)

    def read() -> object:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(plainly_read, pieces))

    contenders: dict[str, Callable[[], object]] = {"plain read of all days": read}
    for case in CASES:
        contenders[case.name] = lambda case=case: baselines(
            readings, case.event, case.rule, threads=threads
        )
        judge(readings, case, baselines(readings, case.event, case.rule, threads=threads))
    seconds = _in_turns(contenders, min(3, effort.rounds))
    read_s = seconds["plain read of all days"]
    pandas_s = _of_pandas(load[:OF_PANDAS])
    per_customer = {name: 1e6 * taken / len(load) for name, taken in seconds.items()}
    per_customer["pandas, 10 of 10, three hours, not adjusted"] = (
        1e6 * pandas_s / min(OF_PANDAS, len(load))
    )
    read_us = per_customer["plain read of all days"]
    rows = [(name, number(taken), number(taken / read_us)) for name, taken in per_customer.items()]
    size = f"{len(load):,} x {DAYS} x {SLOTS}, {threads} threads"
    table = Table(
        title=f"{size}, {load.nbytes / 1e9:.1f} GB",
        headings=("what", "us a customer", "times the read"),
        rows=tuple(rows),
    )
    bars = [
        Bar(
            what=f"{size}: {case.name}, times a plain read",
            measured=seconds[case.name] / read_s,
            limit=TIMES_READ,
        )
        for case in CASES
    ]
    bars.append(
        Bar(
            what=f"{len(load):,} customers: times faster than pandas, by customer",
            measured=per_customer["pandas, 10 of 10, three hours, not adjusted"]
            / per_customer[CASES[0].name],
            limit=1.0,
            at_least=True,
        )
    )
    return Findings(tables=(table,), bars=tuple(bars))


def _of_pandas(load: Loads) -> float:
    """The seconds of pandas, whose answer is ours.

    Raises:
        Wrong: it is another.
    """
    begun = time.perf_counter()
    theirs = by_pandas(load, EVENT)
    seconds = time.perf_counter() - begun
    due = baselines(readings_of(load), EVENT, BaselineRule()).kw
    if not np.allclose(theirs, due, rtol=1e-5, atol=1e-6, equal_nan=True):
        raise Wrong("pandas has other baselines")
    return seconds


def _in_turns(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each; they run in turns, once more beforehand."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            begun = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - begun)
    return {name: median(taken) for name, taken in times.items()}


SPECS = (
    BenchSpec(
        name="response-baselines",
        question="How much more than reading them does it take to make baselines of all customers?",
        bar="1,000,000 x 90 x 96 float32, or what memory holds: at most 4 times a plain read",
        run=against_memory,
    ),
)
