"""Homes of several devices planned anew: from where the last solve ended, and from nothing."""

from dataclasses import replace
from statistics import median

import numpy as np

from benchmarks.harness import Contender, Judgement, Measured, judge, race
from benchmarks.home_instances import stored_home, warm_home
from benchmarks.peers.peer import IMPOSSIBLE, Answer
from benchmarks.registry import Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from loadloom.models.dispatch.planners import SitePlanner
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solve import solve
from loadloom.models.options import SolveOptions

GAP = 1e-4
"""The proven gap at which both stop."""

VARIANTS = 7
"""The homes that follow one another; the first of them is the one remembered at the start."""

HOMES = {"linear programme": stored_home, "whole numbers": warm_home}
"""Battery, car, heat pump and tank; and with least powers, rooms and two appliances."""


def _forecast(home: Problem, variant: int) -> Problem:
    """The home with another forecast of its load, up to a tenth away."""
    rng = np.random.default_rng([variant, home.horizon.count])
    loads = tuple(
        replace(load, power_kw=load.power_kw * rng.uniform(0.9, 1.1, load.power_kw.size))
        for load in home.loads
    )
    return replace(home, loads=loads)


def _contender(name: str, homes: list[Problem], planner: SitePlanner | None) -> Contender:
    """The road on one home after the other, with what is remembered or without."""
    options, asked = SolveOptions(relative_gap=GAP), homes[1:]
    best = [solve(home, replace(options, relative_gap=0.1 * GAP)) for home in asked]
    if planner is not None:
        solve(homes[0], options, None, planner)

    def run(turn: int) -> Answer:
        found = solve(asked[turn % len(asked)], options, None, planner)
        if found.schedule is None:
            return IMPOSSIBLE
        return Answer(schedule=found.schedule, claimed_cost=found.termination.objective)

    def word(turn: int, answer: Answer) -> Judgement:
        place = turn % len(asked)
        return judge(asked[place], answer, best[place].termination.bound)

    return Contender(name=name, run=run, judge=word)


def replan(effort: Effort) -> Findings:
    """A home is planned anew whenever prices or forecasts come, many times a day.

    Each home differs in all prices by up to a tenth from the one before, or in its load as well.
    What is remembered is what the server keeps under a key: the programme, its last bases, and the
    decisions of the last plan. Answers are proven to the same gap either way.
    """
    tables, bars = [], []
    for what, make in HOMES.items():
        priced = [make(variant) for variant in range(VARIANTS)]
        forecast = [_forecast(home, variant) for variant, home in enumerate(priced)]
        for news, homes in (("prices", priced), ("prices and loads", forecast)):
            measured = race(
                [
                    _contender("from nothing", homes, None),
                    _contender("from the last solve", homes, SitePlanner()),
                ],
                rounds=effort.rounds,
                budget_s=effort.budget_s,
            )
            last, nothing = measured["from the last solve"], measured["from nothing"]
            tables.append(_table(f"{what}, new {news}, 96 intervals", measured))
            if homes is priced:
                told = f"home, {what}: re-plan with new prices by a solve from nothing"
                share = last.median_cpu_s / nothing.median_cpu_s
                bars.append(Bar(what=told, measured=share, limit=0.4))
    return Findings(tables=tuple(tables), bars=tuple(bars))


def _table(title: str, measured: dict[str, Measured]) -> Table:
    rows = [
        (
            one.name,
            number(1e3 * median(one.cpu_s)),
            f"{one.judgement.gap:.1e}",
            str(len(one.judgement.broken)),
        )
        for one in measured.values()
    ]
    return Table(
        title=title,
        headings=("home planned", "CPU ms a solve", "gap, worst", "broken rules"),
        rows=tuple(rows),
    )


SPECS = (
    BenchSpec(
        name="dispatch-replan",
        question="And the same home again, with new prices?",
        bar="at most 0.4 of a solve from nothing",
        run=replan,
    ),
)
