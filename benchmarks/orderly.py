"""Weekly schedules of regions: proven gaps at large sizes, and what others find there."""

from math import inf

from benchmarks.orderly_instances import park
from benchmarks.orderly_runs import cp_sat, highs, ours, planned, warm, words
from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from loadloom.models.orderly.choices import choices
from loadloom.models.orderly.problem import Problem
from loadloom.solvers.kernels.listing import count_windows

LARGE = (
    # users, slots, seconds, the proven gap to reach in them
    (2_000, 8, 10.0, 0.01),
    (10_000, 8, 5.0, 0.005),
    (50_000, 8, 30.0, 0.001),
    (200, 96, 60.0, inf),
    (2_000, 96, 60.0, inf),
    (10_000, 96, 60.0, 0.01),
)
"""The large weeks, and what is asked of them; inf for no bar."""


def large(effort: Effort) -> Findings:
    """A region's planner waits for a proof, not for a promise, and has up to 50,000 users.

    The bar is the proven gap when time is up. Every plan is judged by the referee.
    """
    warm()
    sizes = LARGE if effort.budget_s >= FULL.budget_s else LARGE[:1]
    rows, bars = [], []
    for users, slots, limit_s, limit in sizes:
        found = ours(park(users, slots), limit_s)
        rows.append((f"{users:,} x {slots}", *words(found)))
        if limit < inf:
            bars.append(
                Bar(
                    what=f"{users:,} users x {slots} slots: proven gap after {limit_s:g} s",
                    measured=100.0 * found.gap,
                    limit=100.0 * limit,
                    unit="%",
                )
            )
    headings = ("users x slots", "cost", "proven gap", "seconds", "broken rules")
    table = Table(title="Proven gaps", headings=headings, rows=tuple(rows))
    return Findings(tables=(table,), bars=tuple(bars))


BESIDE = ((2_000, 8), (10_000, 8), (200, 96), (2_000, 96), (10_000, 96))
"""The users and slots of weeks that are also given to others."""

LIMIT_S = 60.0
"""The seconds that everybody has."""

MOST_BINARIES = 2_500_000
"""A flat model of more is not built: its columns alone take minutes and gigabytes in Python."""


def beside(effort: Effort) -> Findings:
    """Whoever has a solver already asks why it should not plan the region's week.

    HiGHS and CP-SAT are given the flat model of every window, from nothing and with our plan as
    their hint. Every plan is judged by the referee.
    """
    warm()
    full = effort.budget_s >= FULL.budget_s
    limit_s = LIMIT_S * effort.budget_s / FULL.budget_s
    rows = []
    for users, slots in BESIDE if full else [(60, 8)]:
        problem, size = park(users, slots), f"{users:,} x {slots}"
        solution, mine = planned(problem, limit_s)
        rows.append((size, "ours", *words(mine)))
        if (count := binaries(problem)) > MOST_BINARIES:
            rows.append((size, "the others", f"not tried: {1e-6 * count:.1f} million binaries"))
            continue
        for name, hint in (("", None), (" from our plan", solution.plan)):
            for solver, search in (("HiGHS", highs), ("CP-SAT", cp_sat)):
                found = search(problem, limit_s, hint)
                rows.append((size, f"{solver}{name}", *words(found)))
    headings = ("users x slots", "method", "cost", "proven gap", "seconds", "broken rules")
    width = len(headings)
    table = Table(
        title=f"After {limit_s:g} s",
        headings=headings,
        rows=tuple((*row, *[""] * (width - len(row))) for row in rows),
    )
    return Findings(tables=(table,), bars=())


def binaries(problem: Problem) -> int:
    """The number of windows of the flat model, each once for every rank."""
    turns = choices(problem).oracle.turns
    return int(count_windows(turns)[-1]) * turns.rank.size


SPECS = (
    BenchSpec(
        name="orderly-large",
        question="How close to the optimum is a region's week, provably?",
        bar="10,000 users: 0.5 % in 5 s; 50,000: 0.1 % in 30 s; 10,000 x 96 slots: 1 % in 60 s",
        run=large,
    ),
    BenchSpec(
        name="orderly-large-others",
        question="And what do HiGHS and CP-SAT find of a region's week?",
        bar="none; a week whose flat model others can still be given is no region's",
        run=beside,
    ),
)
