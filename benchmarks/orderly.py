"""Weekly schedules of regions: proven gaps at large sizes."""

from math import inf

from benchmarks.orderly_instances import park
from benchmarks.orderly_runs import ours, warm, words
from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table

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


SPECS = (
    BenchSpec(
        name="orderly-large",
        question="How close to the optimum is a region's week, provably?",
        bar="10,000 users: 0.5 % in 5 s; 50,000: 0.1 % in 30 s; 10,000 x 96 slots: 1 % in 60 s",
        run=large,
    ),
)
