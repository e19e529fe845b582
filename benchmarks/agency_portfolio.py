"""Portfolios of users: proven gaps and times at 20,000 and a million candidates, beside others."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, nan
from statistics import median

import numpy as np

from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from loadloom.models.agency import portfolio_referee as referee
from loadloom.models.agency.contracts import Contract
from loadloom.models.agency.portfolio import (
    PortfolioOptions,
    PortfolioProblem,
    PortfolioRoad,
    PortfolioSolution,
    form_portfolio,
)
from loadloom.models.agency.portfolio_explain import naive_rules
from loadloom.models.agency.prices import affine, piecewise
from loadloom.models.agency.problem import Curves
from loadloom.models.horizon import Horizon

MEDIUM, LARGE = 20_000, 1_000_000
"""The candidates of the two bars."""

MEDIUM_S, LARGE_S = 5.0, 60.0
"""The seconds that each may take."""

GAP = 0.2
"""The proven gap in % that each must reach."""

FITTING = 0.9
"""The share of these that we give a search; the rest is for what its clock does not see."""

PEER_S = 60.0
"""The seconds that HiGHS has for the same model, twelve times as long as we."""

_START = datetime(2026, 1, 5, tzinfo=UTC)
_QUICK = 2_000
_ROWS = 50_000  # candidates that are drawn at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a contender found: refereed profit, proven bound, seconds, broken rules, users taken."""

    profit: float
    bound: float
    seconds: float
    broken: int
    taken: int

    @property
    def gap(self) -> float:
        """The proven gap in %; NaN if a rule is broken or nothing was found."""
        if self.broken or not self.profit > 0.0:
            return nan
        return 100.0 * (self.bound - self.profit) / self.profit


def candidates(
    count: int, *, steps: int = 96, contracts: int = 1, limited: bool = False, seed: int = 1
) -> PortfolioProblem:
    """Users of one bump a day each, whose highest prices are around what they cost.

    About half of them pay; the profit is a few percent of what they pay in all.
    """
    random = np.random.default_rng(seed)
    load = np.empty((count, steps), np.float32)
    hours = np.arange(steps) * (24.0 / 96) % 24.0
    season = 1.0 + 0.3 * np.sin(np.arange(steps) / 300.0)
    for begin in range(0, count, _ROWS):
        part = load[begin : begin + _ROWS]
        rows = (part.shape[0], 1)
        away = np.abs(hours - random.uniform(0.0, 24.0, rows))
        away = np.minimum(away, 24.0 - away)
        bump = np.exp(-((away / random.uniform(1.0, 8.0, rows)) ** 2))
        base = random.uniform(0.0, 1.0, rows) + 0.3 * random.random(part.shape)
        part[:] = random.lognormal(0.0, 1.0, rows) * (base + bump) * season
    horizon = Horizon(start=_START, step_h=np.full(steps, 0.25))
    energy = float(load.sum(dtype=np.float64)) * 0.25
    shape = count if contracts == 1 else (count, contracts)
    return PortfolioProblem(
        curves=Curves(
            names=tuple(f"user {i}" for i in range(count)), load_kw=load, horizon=horizon
        ),
        contracts=tuple(_contract(k, contracts, energy, limited) for k in range(contracts)),
        highest_price_per_kwh=random.uniform(0.42, 0.62, shape),
        fee=random.uniform(0.0, 0.5, count),
    )


def _contract(k: int, count: int, energy_kwh: float, limited: bool) -> Contract:
    """Every second contract is by a curve instead of a line; limits bind from both sides."""
    schedule = affine(0.4, 0.1)
    if k % 2:
        schedule = piecewise([1.0, 1.2, 1.6, 3.0], [0.49, 0.50, 0.56, 0.90])
    if not limited:
        return Contract(name=f"contract {k}", schedule=schedule)
    return Contract(
        name=f"contract {k}",
        schedule=schedule,
        energy_min_kwh=0.3 * energy_kwh / count,
        energy_max_kwh=0.301 * energy_kwh / count,
    )


def ours(problem: PortfolioProblem, limit_s: float) -> tuple[PortfolioSolution, Run]:
    """What slot prices and exchanges find."""
    options = PortfolioOptions(time_limit_s=limit_s)
    begun = time.perf_counter()
    solution = form_portfolio(problem, options, clock=time.perf_counter)
    return solution, _judged(problem, solution, time.perf_counter() - begun)


def highs(problem: PortfolioProblem, limit_s: float) -> Run:
    """What HiGHS finds unaided in the mixed-integer programme of all users.

    Its time holds that of our relaxation, which answers come with on every road.
    """
    options = PortfolioOptions(time_limit_s=limit_s, road=PortfolioRoad.WHOLE)
    begun = time.perf_counter()
    solution = form_portfolio(problem, options, clock=time.perf_counter)
    return _judged(problem, solution, time.perf_counter() - begun)


def _judged(problem: PortfolioProblem, solution: PortfolioSolution, seconds: float) -> Run:
    bound, contract = solution.termination.bound, solution.contract
    if contract is None:
        return Run(profit=-inf, bound=bound, seconds=seconds, broken=0, taken=0)
    return Run(
        profit=referee.profit(problem, contract),
        bound=bound,
        seconds=seconds,
        broken=len(referee.violations(problem, contract)),
        taken=int((contract >= 0).sum()),
    )


def _row(name: str, run: Run) -> tuple[str, ...]:
    gap = f"{run.gap:.4f} %" if np.isfinite(run.gap) else "—"
    return name, f"{run.taken:,}", number(run.profit, 6), gap, number(run.seconds), str(run.broken)


_HEADINGS = ("method", "users taken", "profit", "proven gap", "seconds", "broken rules")


def medium(effort: Effort) -> Findings:
    """An agent wants to know within seconds whom to take, and what a better choice could bring.

    Beside us HiGHS has the same model in whole numbers and twelve times as long. Simple rules rank
    users and take the best first; they are told how many pay best, which they could not know.
    """
    full = effort.budget_s >= FULL.budget_s
    count = MEDIUM if full else _QUICK
    _warm()
    tables, bars = [], []
    for title, asked in (
        (f"{count:,} x 96", candidates(count)),
        (f"{count:,} x 96, energy within 0.3 %", candidates(count, limited=True)),
        (f"{count:,} x 96, 4 contracts", candidates(count, contracts=4)),
        (f"{count // 4:,} x 2,976, a month", candidates(count // 4, steps=2_976)),
    ):
        found = [ours(asked, FITTING * MEDIUM_S) for _ in range(3 if full else 1)]
        solution, first = found[0]
        seconds = median(run.seconds for _, run in found)
        rows = [_row("ours", first)]
        if title.endswith("x 96"):
            rows.append(_row("HiGHS unaided", highs(asked, PEER_S if full else 5.0)))
            rows += _naive(asked, solution)
        tables.append(Table(title=title, headings=_HEADINGS, rows=tuple(rows)))
        bars += [
            Bar(what=f"{title}: seconds", measured=seconds, limit=MEDIUM_S, unit="s"),
            Bar(what=f"{title}: proven gap", measured=first.gap, limit=GAP, unit="%"),
        ]
    return Findings(tables=tuple(tables), bars=tuple(bars))


def _naive(asked: PortfolioProblem, solution: PortfolioSolution) -> list[tuple[str, ...]]:
    """Simple rules as rows: with as many users as we take, and where they had best stopped."""
    rows = []
    for rule in naive_rules(asked, solution):
        words, broken = rule.name.value, "0" if rule.keeps_limits else "limits"
        rows.append((words, f"{rule.user_count:,}", number(rule.profit, 6), "—", "—", broken))
        if rule.best_user_count >= 0:
            words, count = f"{words}, stopped in time", f"{rule.best_user_count:,}"
            rows.append((words, count, number(rule.best_profit, 6), "—", "—", "0"))
    return rows


def large(effort: Effort) -> Findings:
    """A country's retailer has a million candidates; a programme of 96 million entries has to wait.

    The whole of them is priced in passes over memory, and few are ever in a programme.
    """
    full = effort.budget_s >= FULL.budget_s
    count = LARGE if full else 10 * _QUICK
    _warm()
    asked = candidates(count)
    solution, run = ours(asked, FITTING * LARGE_S)
    title = f"{count:,} x 96"
    rows = (_row("ours", run), *_naive(asked, solution))
    return Findings(
        tables=(Table(title=title, headings=_HEADINGS, rows=rows),),
        bars=(
            Bar(what=f"{title}: seconds", measured=run.seconds, limit=LARGE_S, unit="s"),
            Bar(what=f"{title}: proven gap", measured=run.gap, limit=GAP, unit="%"),
        ),
    )


def _warm() -> None:
    """Compiles what is compiled, so that nobody is timed with it."""
    for contracts in (1, 2):
        ours(candidates(300, contracts=contracts), 1.0)


SPECS = (
    BenchSpec(
        name="agency-portfolio",
        question="Which of 20,000 users should an agent take, and how sure is that?",
        bar="20,000 candidates: at most 5 s and a proven gap of 0.2 %",
        run=medium,
    ),
    BenchSpec(
        name="agency-portfolio-large",
        question="And of a million?",
        bar="1,000,000 candidates: at most 60 s and a proven gap of 0.2 %",
        run=large,
    ),
)
