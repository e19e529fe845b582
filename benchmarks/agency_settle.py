"""Settlements of a million users: how long, and whether to the cent."""

import time
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from statistics import median

import numpy as np

from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from loadloom.models.agency import referee
from loadloom.models.agency.prices import affine
from loadloom.models.agency.problem import Currency, Curves, LoadArray, Problem
from loadloom.models.agency.settle import Settlement, settle
from loadloom.models.agency.solve import warm
from loadloom.models.agency.statement import statement
from loadloom.models.horizon import Horizon

USERS, SLOTS, STEP_H = 1_000_000, 96, 0.25
"""A million users, and a day of quarter hours each."""

MONTH_USERS, MONTH_SLOTS = 100_000, 744
"""And a month of hours, of fewer users, so that the curves stay in memory."""

LIMIT_S = 2.0

BY_HAND = 20_000
"""Users of the loop over decimals, which takes too long for more."""

TOLD = 200
"""Statements that are printed for their time."""


def loads(users: int, slots: int) -> LoadArray:
    """Load curves (users, slots) in float32, of any level and with evening peaks."""
    rng = np.random.default_rng(0)
    level = rng.lognormal(0.0, 1.0, (users, 1)).astype(np.float32)
    days = np.linspace(0.0, 2.0 * np.pi * slots * STEP_H / 24.0, slots, dtype=np.float32)
    load = rng.random((users, slots), dtype=np.float32)
    load *= level
    load *= 1.0 - 0.6 * np.sin(days)
    return load


def settled(names: tuple[str, ...], load_kw: LoadArray) -> tuple[Problem, Settlement]:
    """A settlement from curves in memory to every user's amounts, checks of the data included."""
    step_h = np.full(load_kw.shape[1], STEP_H)
    horizon = Horizon(start=datetime(2026, 3, 1, tzinfo=UTC), step_h=step_h)
    problem = Problem(
        curves=Curves(names=names, load_kw=load_kw, horizon=horizon),
        schedule=affine(0.3, 0.1),
        highest_price_per_kwh=np.array(0.6),
        profit_rate=0.1,
        currency=Currency(code="EUR"),
    )
    return problem, settle(problem)


def by_decimals(problem: Problem, settlement: Settlement, users: int) -> tuple[float, int]:
    """The seconds of a loop over decimals, and the cents by which its bills miss their total.

    It is what a billing script does: each bill from the shares, rounded by itself.
    """
    rate, highest = Decimal("0.1"), Decimal("0.6")
    share, energy = settlement.share[:users].tolist(), settlement.energy_kwh[:users].tolist()
    begun, total = time.perf_counter(), Decimal(0)
    exact = Decimal(0)
    for x, e in zip(share, energy, strict=True):
        bill = rate * highest * Decimal(e) + (1 - rate) * Decimal(x)
        exact += bill
        total += bill.quantize(Decimal("0.01"), ROUND_HALF_UP)
    seconds = time.perf_counter() - begun
    return seconds, int(abs(total - exact) * problem.currency.scale)


def million(effort: Effort) -> Findings:
    """An agent of a city settles over night, and nobody may be a cent short.

    The time is from the curves in memory to every user's figures and amounts. The referee judges
    each settlement after the clock stopped. Beside it a loop over decimals in Python that rounds
    each bill by itself, as billing scripts do; its rest is what nobody pays or gets.
    """
    part = 1 if effort.budget_s >= FULL.budget_s else 50
    warm()
    rounds = min(7, effort.rounds)
    _, _, month_row, _, _ = timed(MONTH_USERS // part, MONTH_SLOTS, rounds)
    problem, found, row, taken, broken = timed(USERS // part, SLOTS, rounds)
    users = problem.curves.count
    loop_users = min(users, BY_HAND)
    loop_s, loop_rest = by_decimals(problem, found, loop_users)
    begun = time.perf_counter()
    for user in range(TOLD):
        _ = statement(problem, found, user).text
    told_s = (time.perf_counter() - begun) / TOLD
    rest = left_over(found)
    words = "decimals, bill by bill, shares given"
    loop = (f"{loop_users:,}", number(loop_s), number(1e6 * loop_s / loop_users), str(loop_rest))
    told = ("1", number(told_s), number(1e6 * told_s), "")
    rows = (row, month_row, (words, *loop), ("statement of a user, printed", *told))
    table = Table(
        title="Settlement from curves in memory",
        headings=("what", "users", "seconds", "us a user", "cents left over"),
        rows=rows,
    )
    return Findings(
        tables=(table,),
        bars=(
            Bar(what=f"{users:,} users settled", measured=taken, limit=LIMIT_S, unit="s"),
            Bar(what="cents left over", measured=rest, limit=0),
            Bar(what="rules broken", measured=broken, limit=0),
        ),
    )


def timed(
    users: int, slots: int, rounds: int
) -> tuple[Problem, Settlement, tuple[str, ...], float, int]:
    """The last settlement, its row, the median seconds, and the rules that any of them broke."""
    names = tuple(f"user {i:07d}" for i in range(users))
    load_kw = loads(users, slots)
    problem, found = settled(names, load_kw)
    seconds, broken = [], 0
    for _ in range(rounds):
        begun = time.perf_counter()
        problem, found = settled(names, load_kw)
        seconds.append(time.perf_counter() - begun)
        broken += len(referee.violations(problem, found))
    taken = median(seconds)
    each = number(1e6 * taken / users)
    words = f"settled, {slots} slots each"
    row = (words, f"{users:,}", number(taken), each, str(left_over(found)))
    return problem, found, row, taken, broken


def left_over(found: Settlement) -> int:
    """The minor units by which bills miss cost, rent and profit."""
    due = found.cost_minor + found.rent_minor + found.profit_minor
    return abs(int(found.bill_minor.sum()) - due)


SPECS = (
    BenchSpec(
        name="agency-settle",
        question="How long does it take to settle a million users, to the cent?",
        bar="1 million users x 96 slots from curves to statements: 2 s, no cent left over",
        run=million,
    ),
)
