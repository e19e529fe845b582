"""Dispatch of one site: the roads beside each other and beside the tools that would do the same."""

from collections.abc import Callable, Sequence
from math import inf, isfinite, isinf, nan
from statistics import median

from benchmarks import instances, ours
from benchmarks.harness import (
    Contender,
    Measured,
    Unrefereed,
    contender,
    race,
    silenced,
)
from benchmarks.peers import highs_arrays
from benchmarks.peers.peer import Answer, Peer
from benchmarks.registry import Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number, timing_table
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.referee import baseline, violations

VARIANTS = 6
"""The problems that one contender is asked in turn, with the first, which it is prepared with."""

BATCH_SITES = {96: 4_000, 672: 800, 8_760: 40, 35_040: 10}
"""The sites in a batch of each size: some tens of milliseconds of work."""

DAY_ROUNDS = 7
"""The rounds of each day of negative prices: a median that one slow run does not move."""

STREET_SITES = 2_000
"""The homes in the batches of the throughput: two of the stream's messages."""

Make = Callable[[int], Problem]


def _peers(*, held: bool = False) -> tuple[Peer, ...]:
    """The peers, imported only now: they need an environment of their own."""
    from benchmarks.peers import everyone

    return everyone.HELD if held else everyone.FRESH


def _contenders(peers: Sequence[Peer], make: Make) -> list[Contender]:
    """The peers with a few variants of a problem to solve."""
    problems = instances.variants(make, VARIANTS)
    optima = [ours.optimum(problem) for problem in problems]
    return [contender(peer, problems, optima) for peer in peers]


def _cpu_s(one: Measured) -> float:
    """The processor time of a solve; NaN where there is none to report."""
    try:
        return one.median_cpu_s
    except Unrefereed:
        return nan


def _ratio(one: Measured, other: Measured) -> float:
    """The processor time of one as a multiple of another's; NaN where one has none to report."""
    return _cpu_s(one) / _cpu_s(other)


def storage(effort: Effort) -> Findings:
    """Who plans a battery for a day must not wait, who plans it for a year must not give up.

    The same site at four horizons, from its columns to its schedule, building included. The bar
    holds for the kernel in batches, where a caller with many sites has it; one call from Python
    costs more than the kernel itself and is shown beside it.
    """
    findings = [_storage(count, effort) for count in effort.sizes]
    return Findings(
        tables=tuple(table for one in findings for table in one.tables),
        bars=tuple(bar for one in findings for bar in one.bars),
    )


def _storage(count: int, effort: Effort) -> Findings:
    name = f"Loadloom kernel, batch of {BATCH_SITES[count]:,}"
    batch = ours.batch_contender(name, instances.business_batch(count, BATCH_SITES[count]))
    peers = (ours.KERNEL, ours.LINEAR, *_peers())
    contenders = [batch, *_contenders(peers, lambda variant: instances.business(count, variant))]
    measured = race(contenders, rounds=effort.rounds, budget_s=effort.budget_s)
    highs = measured[highs_arrays.LINEAR.name]
    return Findings(
        tables=(timing_table(f"{count:,} intervals", measured.values(), highs),),
        bars=(
            Bar(
                what=f"{count:,} intervals: HiGHS fresh as a multiple of the kernel",
                measured=_ratio(highs, measured[name]),
                limit=400.0,
                aim=1_000.0,
                at_least=True,
            ),
            Bar(
                what=f"{count:,} intervals: linear road as a multiple of HiGHS fresh",
                measured=_ratio(measured[ours.LINEAR.name], highs),
                limit=1.5,
            ),
        ),
    )


def replan(effort: Effort) -> Findings:
    """Prices change every quarter of an hour, the battery does not.

    Whoever keeps a model between solves is given new prices for the same site. Peers that keep
    nothing start anew, as plain HiGHS does here for comparison.
    """
    tables, bars = [], []
    for count in (size for size in effort.sizes if size <= 672):
        peers = (highs_arrays.LINEAR, ours.KERNEL, ours.PLANNER, *_peers(held=True))
        contenders = _contenders(
            peers, lambda variant, count=count: instances.business(count, variant)
        )
        measured = race(contenders, rounds=effort.rounds, budget_s=effort.budget_s)
        highs = measured[highs_arrays.LINEAR.name]
        tables.append(timing_table(f"{count:,} intervals", measured.values(), highs))
        bars.append(
            Bar(
                what=f"{count:,} intervals: linear road's re-plan as a multiple of HiGHS fresh",
                measured=_ratio(measured[ours.PLANNER.name], highs),
                limit=0.4,
            )
        )
    return Findings(tables=tuple(tables), bars=tuple(bars))


def negative_prices(effort: Effort) -> Findings:
    """When prices are negative, wasting energy pays, and only what is physically possible counts.

    A linear programme charges and discharges at once to draw more than it can. We say what each
    tool claims to earn against what can be earned, and what it costs to be right: the full
    mixed-integer programme is the price that others would have to pay.
    """
    tables, bars = [], []
    for count in (size for size in effort.sizes if size <= 672):
        peers = (*ours.ROADS, highs_arrays.MIXED_INTEGER, *_peers())
        make: Make = lambda variant, count=count: instances.negative_prices(count, variant)  # noqa: E731
        tables.append(_claims(f"Who is right, {count:,} intervals", peers, make(1)))
        exact = (*ours.ROADS, highs_arrays.MIXED_INTEGER)
        measured = race(_contenders(exact, make), rounds=effort.rounds, budget_s=effort.budget_s)
        full = measured[highs_arrays.MIXED_INTEGER.name]
        tables.append(
            timing_table(f"What being right costs, {count:,} intervals", measured.values(), full)
        )
        bars += [
            Bar(
                what=f"{count:,} intervals: {peer.name} as a multiple of the full MILP",
                measured=_ratio(measured[peer.name], full),
                limit=1.0,
            )
            for peer in (ours.KERNEL, ours.LINEAR)
        ]
    days = _negative_days(effort)
    return Findings(tables=(*tables, *days.tables), bars=(*bars, *days.bars))


def _negative_days(effort: Effort) -> Findings:
    """The linear road beside the full MILP on every such day, as no search is like another.

    HiGHS stops at a gap of 1e-4, which on a day when energy is hardly a burden it reaches at once.
    Whose search is dearer day by day is asked to the same gap; our own default is 1e-6.
    """
    full = highs_arrays.MIXED_INTEGER
    roads = (ours.LINEAR, ours.LINEAR_TO_GAP)
    spent_s: dict[str, list[float]] = {peer.name: [] for peer in (*roads, full)}
    days = []
    for problem in instances.negative_days()[: effort.rounds]:
        best = ours.optimum(problem)
        asked = [contender(peer, [problem] * 2, [best] * 2) for peer in (*roads, full)]
        measured = race(asked, rounds=min(effort.rounds, DAY_ROUNDS), budget_s=effort.budget_s)
        days.append(f"{problem.horizon.start:%d %B}")
        for name, times in spent_s.items():
            times.append(_cpu_s(measured[name]))
    what = "as a multiple of the full MILP"
    rows, most = [], {}
    for road in roads:
        ratios = [a / b for a, b in zip(spent_s[road.name], spent_s[full.name], strict=True)]
        most[road.name] = max(ratios)
        dearest = days[ratios.index(most[road.name])]
        in_all = sum(spent_s[road.name]) / sum(spent_s[full.name])
        shares = (in_all, median(ratios), most[road.name])
        rows.append((road.name, str(len(days)), *(f"{share:.2f}" for share in shares), dearest))
    table = Table(
        title=f"Every day of negative prices, 96 intervals: {what}",
        headings=("method", "days", "in all", "median", "most", "on"),
        rows=tuple(rows),
    )
    in_all = sum(spent_s[ours.LINEAR.name]) / sum(spent_s[full.name])
    bars = (
        Bar(
            what=f"96 intervals, {len(days)} days in all: linear road {what}",
            measured=in_all,
            limit=1.0,
        ),
        Bar(
            what=f"96 intervals, dearest of {len(days)} days, to the same gap: linear road {what}",
            measured=most[ours.LINEAR_TO_GAP.name],
            limit=1.0,
        ),
    )
    return Findings(tables=(table,), bars=bars)


def _claims(title: str, peers: Sequence[Peer], problem: Problem) -> Table:
    """What each tool says a problem costs and saves, beside what can be saved at most."""
    best, idle = ours.optimum(problem), baseline(problem).cost.total
    with silenced():
        answers = {peer.name: peer.prepare(problem)(problem) for peer in peers}
    known = (
        f"optimum {best:.4f}, without the battery {idle:.4f}" if isfinite(best) else "none exists"
    )
    return Table(
        title=f"{title}; {known}",
        headings=("method", "claimed cost", "saving overstated by", "broken rules"),
        rows=tuple(_claim(name, problem, a, best, idle) for name, a in answers.items()),
    )


def _claim(
    name: str, problem: Problem, answer: Answer, best: float, idle: float
) -> tuple[str, str, str, str]:
    if answer.schedule is None:
        return name, "no plan", "—", "—"
    share = 100.0 * (best - answer.claimed_cost) / (idle - best) if isfinite(best) else inf
    overstated = "all of it" if isinf(share) else f"{max(0.0, share):.2f} %"
    broken = violations(problem, answer.schedule)
    words = f"{len(broken)}: {broken[0]}" if broken else "none"
    return name, f"{answer.claimed_cost:.4f}", overstated, words


def trapped_pv(_: Effort) -> Findings:
    """A surplus with nowhere to go makes a site infeasible, and its owner should hear of it.

    Export is shut, the plant cannot be curtailed and the battery is too small. A linear programme
    burns the surplus in the battery's losses and calls the result optimal.
    """
    problem = instances.trapped_pv()
    peers = (*ours.ROADS, highs_arrays.MIXED_INTEGER, *_peers())
    table = _claims("Whose plan", peers, problem)
    fooled = sum(road.prepare(problem)(problem).schedule is not None for road in ours.ROADS)
    bar = Bar(what="our roads that plan the impossible", measured=float(fooled), limit=0.0)
    return Findings(tables=(table,), bars=(bar,))


def throughput(effort: Effort) -> Findings:
    """A retailer plans all its customers when prices come: how many a second, do cores help?

    Whole refereed answers for different homes, all columns of the schedule written.
    """
    contenders = [
        ours.batch_contender(
            f"{kind}, {threads} thread{'s' if threads > 1 else ''}",
            instances.street_batch(STREET_SITES, seed=1, full=full),
            threads,
        )
        for kind, full in (("one limit a home", False), ("all eight profiles full", True))
        for threads in (1, 2)
    ]
    measured = race(contenders, rounds=min(effort.rounds, 11), budget_s=effort.budget_s)
    rows = tuple(_throughput_row(one) for one in measured.values())
    headings = ("batch", "sites/s", "CPU µs a site", "gap", "broken rules")
    return Findings(tables=(Table(title="96 intervals", headings=headings, rows=rows),))


def _throughput_row(one: Measured) -> tuple[str, ...]:
    word = one.judgement
    try:
        speed, effort_us = number(1.0 / one.median_wall_s), number(1e6 * one.median_cpu_s)
    except Unrefereed:
        speed = effort_us = "not reported"
    return one.name, speed, effort_us, f"{word.gap:.1e}", str(len(word.broken))


SPECS = (
    BenchSpec(
        name="storage",
        question="How long does one battery take?",
        bar="the kernel at most 1/400 of HiGHS fresh (aim 1/1,000), the linear road at most 1.5",
        run=storage,
    ),
    BenchSpec(
        name="replan",
        question="And again, with new prices?",
        bar="re-planning at most 0.4 of HiGHS fresh",
        run=replan,
    ),
    BenchSpec(
        name="negative-prices",
        question="Who is right when prices are negative?",
        bar="an exact answer no dearer than the full mixed-integer programme",
        run=negative_prices,
    ),
    BenchSpec(
        name="trapped-pv",
        question="Who notices that there is no plan?",
        bar="none of our roads plans the impossible",
        run=trapped_pv,
    ),
    BenchSpec(
        name="throughput",
        question="How many homes a second on one machine?",
        bar="none; the stream's bars are over gRPC",
        run=throughput,
    ),
)
