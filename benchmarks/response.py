"""Whom to call among a million: seconds to a call list, and what is proven of its cost."""

from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.response_instances import OF_TRANSFORMER, flat, nested
from benchmarks.response_runs import HEADINGS, ours, timed
from loadloom.models.response.solve import warm

FLAT = {100_000: (0.05, None), 1_000_000: (0.5, 0.25)}
"""Customers below one node: the seconds that are the limit, and the aim."""

FLAT_GAP, NESTED_GAP = 1e-4, 1e-2

TRANSFORMERS, NESTED_S = 20_000, 5.0

ROUNDS = 7


def flat_large(effort: Effort) -> Findings:
    """A retailer or a system operator calls whom it likes, in a whole city: one need, one sum.

    The time is that from columns in memory to the call list with its proof and prices; checking the
    columns is not in it, nor is the referee's judgement.
    """
    warm()
    sizes = FLAT if effort.budget_s >= FULL.budget_s else {10_000: FLAT[100_000]}
    rows, bars = [], []
    for count, (limit_s, aim_s) in sizes.items():
        run = timed(flat(count), ours(FLAT_GAP), min(ROUNDS, effort.rounds))
        rows.append((f"{count:,}", *run.words))
        what = f"{count:,} customers of one node"
        bars += [
            Bar(what=f"{what}: seconds", measured=run.seconds, limit=limit_s, aim=aim_s, unit="s"),
            Bar(what=f"{what}: gap", measured=100.0 * run.gap, limit=100.0 * FLAT_GAP, unit="%"),
        ]
    table = Table(title="One node", headings=HEADINGS, rows=tuple(rows))
    return Findings(tables=(table,), bars=tuple(bars))


def nested_large(effort: Effort) -> Findings:
    """A network operator needs relief where it lacks capacity: at transformers and above them.

    Half of the transformers, all feeders and all substations need a share of what those below
    them are expected to give. The time is up when the bar says so.
    """
    warm()
    full = effort.budget_s >= FULL.budget_s
    count = TRANSFORMERS if full else 400
    timed(nested(40), ours(NESTED_GAP), 1)  # compiles what a tree needs
    run = timed(nested(count), ours(NESTED_GAP, time_limit_s=NESTED_S), min(3, effort.rounds))
    customers = count * OF_TRANSFORMER
    table = Table(
        title=f"{count:,} transformers under feeders under substations",
        headings=HEADINGS,
        rows=((f"{customers:,}", *run.words),),
    )
    what = f"{customers:,} customers under {count:,} transformers"
    return Findings(
        tables=(table,),
        bars=(
            Bar(what=f"{what}: seconds", measured=run.seconds, limit=NESTED_S, unit="s"),
            Bar(what=f"{what}: gap", measured=100.0 * run.gap, limit=100.0 * NESTED_GAP, unit="%"),
        ),
    )


SPECS = (
    BenchSpec(
        name="response-flat",
        question="How long does it take to choose whom to call among a million customers?",
        bar="1,000,000: 0.5 s (aim 0.25 s); 100,000: 0.05 s; proven gap at most 0.01 %",
        run=flat_large,
    ),
    BenchSpec(
        name="response-nested",
        question="And in a network, where transformers, feeders and substations all need relief?",
        bar="1,000,000 customers under 20,000 transformers: 5 s, proven gap at most 1 %",
        run=nested_large,
    ),
)
