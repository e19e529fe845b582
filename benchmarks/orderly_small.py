"""Weekly schedules of parks: our plan and bound beside HiGHS and CP-SAT on the flat model."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from statistics import median

from benchmarks.orderly_instances import park
from benchmarks.orderly_runs import Run, cp_sat, highs, part_way, planned, warm, words
from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table

SIZES = {20: 2.0, 50: 1.5, 100: 1.0, 200: 0.7, 500: inf}
"""The sizes of real parks, and the proven gap in % that we aim for; inf for no bar at a size."""

HINTED = (50, 200)
"""The sizes at which the others are also given our plan, on the first week."""

LACKING, LACKING_MORE = 0.1, 0.2
"""What is missing in the worst slot, as a share of the peak."""

EARLY_S, LATE_S = 10.0, 60.0
"""The seconds after which our cost is compared, and those that everybody has."""

EARLY_GAP, LATE_GAP = 1.7, 1.3
"""The proven gaps in % to reach with 200 users after these times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """What was found for one week: by us early and late, by the others late."""

    early: Run
    late: Run
    others: dict[str, Run]

    @property
    def cost_ratio(self) -> float:
        """Our early cost as a multiple of the better one of the others."""
        return self.early.cost / min(run.cost for run in self.others.values())

    @property
    def least_gap(self) -> float:
        """The least gap that one of the others proves."""
        return min(run.gap for run in self.others.values())


def _parks(users: int, lacking: float) -> Callable[[Effort], Findings]:
    def run(effort: Effort) -> Findings:
        """A real park has some tens of users, where whole numbers are what is hard.

        Our cost after some seconds beside those of HiGHS and CP-SAT after six times as many, each
        given the flat model, over several weeks; and the gaps that all have proven in the end. With
        HiGHS and CP-SAT given our plan as their hint, what is left is how much better they prove
        it. The more is lacking, the more users are called, and the less one window decides.
        """
        warm()
        full = effort.budget_s >= FULL.budget_s
        share = effort.budget_s / FULL.budget_s
        aim = SIZES[users]
        count = effort.seeds if aim < inf else 1
        weeks = [_week(users, seed + 1, share, lacking) for seed in range(count)]
        rows = [row for seed, week in enumerate(weeks) for row in _rows(seed + 1, week)]
        if full and users in HINTED and lacking == LACKING:
            rows += _hinted(users)
        headings = ("week", "method", "cost", "proven gap", "seconds", "broken rules")
        table = Table(title=f"{users} users x 8 slots", headings=headings, rows=tuple(rows))
        return Findings(tables=(table,), bars=_bars(users, weeks, aim) if aim < inf else ())

    return run


def _week(users: int, seed: int, share: float, lacking: float) -> Week:
    problem = park(users, 8, seed, share=lacking)
    solution, late = planned(problem, share * LATE_S)
    return Week(
        early=part_way(solution, share * EARLY_S, late.broken),
        late=late,
        others={
            "HiGHS": highs(problem, share * LATE_S),
            "CP-SAT": cp_sat(problem, share * LATE_S),
        },
    )


def _rows(seed: int, week: Week) -> list[tuple[str, ...]]:
    runs = {"ours, early": week.early, "ours": week.late} | week.others
    return [(f"{seed}", name, *words(run)) for name, run in runs.items()]


def _hinted(users: int) -> list[tuple[str, ...]]:
    """The others on the first week, from our plan on."""
    problem = park(users, 8, 1)
    plan = planned(problem, EARLY_S)[0].plan
    runs = {
        "HiGHS from our plan": highs(problem, LATE_S, plan),
        "CP-SAT from our plan": cp_sat(problem, LATE_S, plan),
    }
    return [("1", name, *words(run)) for name, run in runs.items()]


def _bars(users: int, weeks: list[Week], aim: float) -> tuple[Bar, ...]:
    over = f"{len(weeks)} weeks" if len(weeks) > 1 else "1 week"
    ratios = [week.cost_ratio for week in weeks]
    bars = [
        Bar(
            what=f"{users} users: our early cost by the better other's, median of {over}",
            measured=median(ratios),
            limit=0.99,
        ),
        Bar(
            what=f"{users} users: the same, worst of {over}",
            measured=max(ratios),
            limit=1.0,
        ),
        Bar(
            what=f"{users} users: our proven gap, median of {over}; limit: the better other's",
            measured=100.0 * median(week.late.gap for week in weeks),
            limit=100.0 * median(week.least_gap for week in weeks),
            aim=aim,
            unit="%",
        ),
    ]
    if users == 200:
        early = 100.0 * median(week.early.gap for week in weeks)
        late = 100.0 * median(week.late.gap for week in weeks)
        for gap, limit, seconds in ((early, EARLY_GAP, EARLY_S), (late, LATE_GAP, LATE_S)):
            bars.append(
                Bar(
                    what=f"200 users: proven gap after {seconds:g} s, median of {over}",
                    measured=gap,
                    limit=limit,
                    aim=aim,
                    unit="%",
                )
            )
    return tuple(bars)


SPECS = tuple(
    BenchSpec(
        name=f"{name}-{users}",
        question=question.format(users=users),
        bar="cost after 10 s at most 0.99 of the better of both after 60 s, and a smaller gap",
        run=_parks(users, lacking),
    )
    for name, lacking, question in (
        ("orderly-park", LACKING, "And a park of {users} users, beside HiGHS and CP-SAT?"),
        ("orderly-shorter", LACKING_MORE, "And when a fifth of the peak of {users} is missing?"),
    )
    for users in SIZES
)
