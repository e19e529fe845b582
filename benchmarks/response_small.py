"""Few customers, to the optimum: beside SCIP on the cone and HiGHS by cuts; and by mean alone."""

from statistics import median

from benchmarks.peers.scip_cone import scip_plan
from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from benchmarks.response_instances import CONFIDENCE, OF_TRANSFORMER, flat, transformers
from benchmarks.response_runs import HEADINGS, Run, Wrong, ours, timed
from loadloom.models.response import referee
from loadloom.models.response.calibrated import calibrated
from loadloom.models.response.confidence import check
from loadloom.models.response.problem import Problem
from loadloom.models.response.ranking import ranked_by_mean
from loadloom.models.response.reference import reference_plan
from loadloom.models.response.solution import PlanOptions
from loadloom.models.response.solve import warm

SIZES = (20, 50, 100, 200)
"""The customers of a node."""

BY_CUTS = 20
"""HiGHS, which solves a programme anew for each cut, is asked up to this size: 50 take minutes."""

PEER_S = 120.0
"""The seconds that SCIP has for one node."""

OWN_S, TIMES_FASTER = 0.05, 100.0

TRANSFORMERS, SAMPLES, SEED = 400, 4_000, 1_000

OWN = "ours, confirmed by draws"
"""The list that is held to the bars."""

SAVED, POINT = 8.0, 1.0
"""What a list costs less than a ranking's, in %; what its confidence may be off by, in points."""


def small(effort: Effort) -> Findings:
    """Below a transformer hang some tens of customers, and there whole numbers are what is hard.

    SCIP solves the model with a cone, and HiGHS one that is cut where it is off, solved again after
    each cut; all prove the optimum of the same nodes, and must agree on it. Each of our times is a
    median of runs.
    """
    warm()
    for solve in (scip_plan, reference_plan):  # imports what they need
        solve(flat(3))
    full = effort.budget_s >= FULL.budget_s
    rows, bars = [], []
    for count in SIZES if full else SIZES[:1]:
        own, others = [], []
        for seed in range(effort.seeds):
            runs = _runs(flat(count, seed + 1), count, max(5, effort.rounds))
            rows += [(name, f"{count}, {seed + 1}", *run.words) for name, run in runs.items()]
            own.append(runs.pop("Loadloom"))
            others.append(min(run.seconds for run in runs.values()))
        bars += _bars(count, own, others)
    table = Table(
        title="One node, to the optimum",
        headings=("who", "customers, draw", *HEADINGS[1:]),
        rows=tuple(rows),
    )
    return Findings(tables=(table,), bars=tuple(bars))


def _runs(problem: Problem, count: int, rounds: int) -> dict[str, Run]:
    """What each finds.

    Raises:
        Wrong: two that claim to have proven an optimum have different ones.
    """
    runs = {
        "Loadloom": timed(problem, ours(0.0), rounds),
        "SCIP": timed(problem, lambda asked: scip_plan(asked, PEER_S), 1),
    }
    if count <= BY_CUTS:
        runs["HiGHS by cuts"] = timed(problem, reference_plan, 1)
    least = max(run.solution.termination.bound for run in runs.values())
    for name, run in runs.items():
        if run.cost < least - 1e-6 * least:
            raise Wrong(f"{name} has a list for {run.cost}, below what is proven: {least}")
    return runs


def _bars(count: int, own: list[Run], others: list[float]) -> tuple[Bar, ...]:
    what = f"{count} customers"
    return (
        Bar(
            what=f"{what}: our worst proven gap, which is rounding",
            measured=100.0 * max(run.gap for run in own),
            limit=1e-7,
            unit="%",
        ),
        Bar(
            what=f"{what}: our slowest median",
            measured=max(run.seconds for run in own),
            limit=OWN_S,
            unit="s",
        ),
        Bar(
            what=f"{what}: times faster than the quicker of the others, median of draws",
            measured=median(
                their_s / run.seconds for run, their_s in zip(own, others, strict=True)
            ),
            limit=TIMES_FASTER,
            at_least=True,
        ),
    )


def by_mean(effort: Effort) -> Findings:
    """Who is called today is ranked by cost per expected kW, and called until the need is secured.

    That ranking does not see that ten who come half of the time are less than five who come. Both
    lists secure the same needs; what ours costs less is the worth of looking at variances while
    choosing. Both are tried by the customers' own law, by draws of who accepts and with how much. A
    sum of few who come all or nothing is skewed, which the normal law does not see: there needs are
    raised by what draws miss, and the list that is left is held to the bars.
    """
    warm()
    full = effort.budget_s >= FULL.budget_s
    count = TRANSFORMERS if full else 40
    problem = transformers(count)
    normal = timed(problem, ours(0.0), min(5, effort.rounds)).solution
    tried = calibrated(problem, PlanOptions(relative_gap=0.0))
    ranked = ranked_by_mean(problem)
    lists = {
        "ours, by the normal law": normal.offer,
        OWN: tried.solution.offer,
        "ranked by mean": ranked,
    }
    rows, cost, mean = [], {}, {}
    for name, offer in lists.items():
        if offer is None:
            raise Wrong(f"{name}: no call list")
        if broken := referee.broken(problem, offer):
            raise Wrong(f"{name}: {broken[0]}")
        # Draws by which nothing was planned.
        share = check(problem, offer, samples=SAMPLES, seed=SEED).probability
        cost[name], mean[name] = referee.cost(problem, offer), float(share.mean())
        told = (f"{100.0 * mean[name]:.2f} %", f"{100.0 * float(share.min()):.2f} %")
        rows.append((name, f"{int((offer >= 0).sum()):,}", number(cost[name], 7), *told))
    what = f"{count} transformers of {OF_TRANSFORMER} customers"
    table = Table(
        title=f"{what}: {SAMPLES:,} draws of what may happen at each",
        headings=("list", "called", "cost", "confidence, mean", "least"),
        rows=tuple(rows),
    )
    bars = (
        Bar(
            what=f"{what}: cheaper than ranking by mean",
            measured=100.0 * (1.0 - cost[OWN] / cost["ranked by mean"]),
            limit=SAVED,
            at_least=True,
            unit="%",
        ),
        Bar(
            what=f"{what}: mean confidence from its target, {100.0 * CONFIDENCE:g} %",
            measured=100.0 * abs(mean[OWN] - CONFIDENCE),
            limit=POINT,
            unit="points",
        ),
    )
    return Findings(tables=(table,), bars=bars)


SPECS = (
    BenchSpec(
        name="response-small",
        question="How long does a proven optimum take for one node, beside SCIP and HiGHS?",
        bar="up to 200 customers: at most 50 ms, and 100 times faster than the quicker of both",
        run=small,
    ),
    BenchSpec(
        name="response-mean",
        question="What is saved against ranking by the mean alone, and does the confidence hold?",
        bar="at least 8 % on transformers of 50 customers; confidence within 1 point of the target",
        run=by_mean,
    ),
)
