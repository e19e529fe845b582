"""Sites of several devices: homes beside EMHASS and FlexMeasures, a park of cars beside Pyomo."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import nan
from statistics import median

from benchmarks.harness import Measured, cpu_seconds, judge, silenced
from benchmarks.home_instances import car_park, stored_home, warm_home
from benchmarks.peers import pyomo_park
from benchmarks.peers.apart import running
from benchmarks.peers.peer import IMPOSSIBLE, Answer
from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.reference import solve_reference
from loadloom.models.dispatch.solution import Solution
from loadloom.models.dispatch.solve import solve
from loadloom.models.options import SolveOptions

VARIANTS = 7
"""The homes of a race, which differ in their prices; the first is not counted."""

GAP, ROUGH = 1e-4, 1e-2
"""The proven gaps at which we stop, and a peer that can be told; the rough one is EMHASS's own."""

Ask = Callable[[Problem], tuple[Answer, float, float]]
"""Answers a problem, with the seconds by the clock and those of the processor."""


def _ours(problem: Problem, gap: float = GAP) -> tuple[Answer, float, float]:
    return _timed(lambda: _answer(solve(problem, SolveOptions(relative_gap=gap))))


def _reference(problem: Problem) -> tuple[Answer, float, float]:
    return _timed(lambda: _answer(solve_reference(problem, SolveOptions(relative_gap=GAP))))


def _answer(solution: Solution) -> Answer:
    if solution.schedule is None:
        return IMPOSSIBLE
    return Answer(schedule=solution.schedule, claimed_cost=solution.termination.objective)


def _timed(run: Callable[[], Answer]) -> tuple[Answer, float, float]:
    cpu, wall = cpu_seconds(), time.perf_counter()
    answer = run()
    return answer, time.perf_counter() - wall, cpu_seconds() - cpu


def _apart(stack: ExitStack, environment: str, program: str, *arguments: str) -> Ask:
    """A tool in an environment of its own."""
    process = stack.enter_context(running(environment, program, *arguments))

    def ask(problem: Problem) -> tuple[Answer, float, float]:
        timed = process.plan(problem)
        return Answer(schedule=timed.schedule, claimed_cost=nan), timed.wall_s, timed.cpu_s

    return ask


def _race(asked: dict[str, Ask], problems: Sequence[Problem]) -> dict[str, Measured]:
    """All problems by all, in turns; the first problem warms everybody up."""
    measured = {name: Measured(name=name) for name in asked}
    with silenced():
        for turn, problem in enumerate(problems):
            optimum = solve(problem, SolveOptions(relative_gap=0.1 * GAP)).termination.objective
            for name, ask in asked.items():
                answer, wall_s, cpu_s = ask(problem)
                if turn:
                    measured[name].wall_s.append(wall_s)
                    measured[name].cpu_s.append(cpu_s)
                    measured[name].judgements.append(judge(problem, answer, optimum))
    return measured


def _table(title: str, measured: dict[str, Measured]) -> Table:
    ours = median(measured["Loadloom"].cpu_s)
    rows = [
        (
            name,
            number(1e3 * median(one.cpu_s)),
            f"{median(one.cpu_s) / ours:.1f}",
            f"{100.0 * max(j.gap for j in one.judgements):.3f} %",
            str(sum(len(j.broken) > 0 for j in one.judgements)),
        )
        for name, one in measured.items()
    ]
    headings = ("who", "CPU ms a solve", "times ours", "dearer than the best, worst", "broken")
    return Table(title=title, headings=headings, rows=tuple(rows))


def _share(
    measured: dict[str, Measured], other: str, mine: str = "Loadloom", gap: float = GAP
) -> float:
    """Our CPU as a share of another's; NaN where ours breaks a rule or is dearer by the gap."""
    ours, theirs = measured[mine], measured[other]
    pairs = zip(ours.judgements, theirs.judgements, strict=True)
    sound = all(
        not a.broken and (b.broken or a.cost <= b.cost + gap * abs(b.cost)) for a, b in pairs
    )
    return median(ours.cpu_s) / median(theirs.cpu_s) if sound else nan


def homes(effort: Effort) -> Findings:
    """What a household asks for its day, all devices together, and whole numbers among them.

    EMHASS and FlexMeasures run in environments of their own and time themselves; both are called
    below their services and data bases. EMHASS stops at the gap that it has by default and at ours.
    FlexMeasures has no appliances in its schedule and no rooms, so it is asked for a home with a
    tank instead, through both of its ways to HiGHS. What they plan is judged like ours.
    """
    variants = VARIANTS if effort is FULL else 3
    with ExitStack() as stack:
        warm = _race(
            {
                "Loadloom": _ours,
                "Loadloom, to 1 %": lambda one: _ours(one, ROUGH),
                "EMHASS": _apart(stack, EMHASS, "emhass_home.py", "default"),
                "EMHASS, to 0.01 %": _apart(stack, EMHASS, "emhass_home.py", f"{GAP}"),
                "Pyomo + HiGHS": _reference,
            },
            [warm_home(variant) for variant in range(variants)],
        )
        stored = _race(
            {
                "Loadloom": _ours,
                "FlexMeasures, highspy": _apart(stack, FLEX, "flexmeasures_home.py", "highspy"),
                "FlexMeasures, Pyomo": _apart(stack, FLEX, "flexmeasures_home.py", "appsi_highs"),
                "Pyomo + HiGHS": _reference,
            },
            [stored_home(variant) for variant in range(variants)],
        )
    return Findings(
        tables=(
            _table("home with rooms, car, battery and two appliances, 96 intervals", warm),
            _table("home with a tank, car and battery, 96 intervals", stored),
        ),
        bars=(
            Bar(
                what="home: our CPU by EMHASS's, both to 0.01 %",
                measured=_share(warm, "EMHASS, to 0.01 %"),
                limit=1 / 3,
            ),
            Bar(
                what="home: our CPU by EMHASS's, both to the gap that it has by default, 1 %",
                measured=_share(warm, "EMHASS", "Loadloom, to 1 %", ROUGH),
                limit=1 / 3,
            ),
            Bar(
                what="home: our CPU by FlexMeasures'",
                measured=_share(stored, "FlexMeasures, highspy"),
                limit=1 / 3,
            ),
        ),
    )


EMHASS, FLEX = ".venv-emhass", ".venv-flexmeasures"


def park(effort: Effort) -> Findings:
    """Fifty cars under one connection are what a modelling language spends its time on.

    Pyomo builds its model anew for every solve, as one does whose cars come and go; so do we.
    """
    variants = VARIANTS if effort is FULL else 3
    measured = _race(
        {"Loadloom": _ours, "Pyomo + HiGHS": lambda one: _timed(lambda: pyomo_park.solve(one))},
        [car_park(variant) for variant in range(variants)],
    )
    return Findings(
        tables=(_table("50 cars, 96 intervals", measured),),
        bars=(
            Bar(
                what="50 cars: our CPU by that of Pyomo and HiGHS",
                measured=_share(measured, "Pyomo + HiGHS"),
                limit=0.1,
            ),
        ),
    )


SPECS = (
    BenchSpec(
        name="dispatch-homes",
        question="And a home with a heat pump, a car, a battery and appliances?",
        bar="at most a third of the CPU of EMHASS and FlexMeasures, at no higher cost",
        run=homes,
    ),
    BenchSpec(
        name="dispatch-park",
        question="And a park of 50 cars under one connection?",
        bar="at most a tenth of Pyomo with HiGHS, built and solved",
        run=park,
    ),
)
