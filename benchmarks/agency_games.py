"""Sharing by game theory beside pyCoopGame, and the audit of all coalitions at scale."""

import time
from collections.abc import Callable
from functools import partial
from itertools import permutations

import numpy as np

from benchmarks.peers import coop_game
from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from loadloom.models.agency import games, prices
from loadloom.models.agency.audit import audit, bound_at
from loadloom.models.agency.cost import PooledCost, total
from loadloom.models.agency.problem import SharingRule
from loadloom.models.agency.sharing import share
from loadloom.models.horizon import FloatArray

SHAPLEY_PLAYERS, NUCLEOLUS_PLAYERS = (4, 6, 8, 10), (3, 4, 5)
"""The games that pyCoopGame is asked, too; its nucleolus grows with the square of 2^n."""

MOST_ORDERED = 8
"""The most players whose orders are all gone through."""

OURS_ALONE = (12, 16, 20)
"""The games that only we are asked."""

AUDITED = (2_000, 20_000, 200_000, 1_000_000)
"""The numbers of users whose 2^n coalitions are audited."""

SLOTS = 96

AGREEMENT = 1e-6
"""Shares this near to each other, as a part of the savings, are the same numbers."""


def savings(players: int, seed: int = 1) -> tuple[FloatArray, FloatArray]:
    """The costs of all coalitions of users with random days, and what each coalition saves."""
    load = days(players, seed)
    cost = PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.full(SLOTS, 0.25))
    costs = games.coalition_costs(load, cost)
    return costs, games.subset_sums(costs[1 << np.arange(players)]) - costs


def days(users: int, seed: int) -> FloatArray:
    """Random days of quarter hours with a peak each, (users, 96)."""
    generator = np.random.default_rng(seed)
    at = generator.random((users, 1)) * SLOTS
    away = np.abs(np.arange(SLOTS) - at)
    shape = 0.3 + np.exp(-((np.minimum(away, SLOTS - away) / 12.0) ** 2))
    return generator.gamma(2.0, 5.0, (users, 1)) * shape * generator.uniform(0.8, 1.2, shape.shape)


def small_games(effort: Effort) -> Findings:
    """Whoever shares by game theory has small games, and a package in Python for them.

    The savings of users who pool their days are shared by the Shapley value and the nucleolus; the
    numbers are set beside pyCoopGame's, or, where it is not installed, the Shapley value beside the
    plain mean over all orders of joining. The nucleolus is the one whose complaints, sorted from
    the largest down, are smaller at the first place where the two differ.
    """
    full = effort.budget_s >= FULL.budget_s
    rows: list[tuple[str, ...]] = []
    apart, better = [], True
    games.nucleolus(savings(3)[0])  # compiles
    games.shapley(savings(3)[0])
    peer = coop_game.installed()
    for players in SHAPLEY_PLAYERS if full else SHAPLEY_PLAYERS[:2]:
        costs, worths = savings(players)
        if not peer and players > MOST_ORDERED:
            continue
        asked = coop_game.table(worths)
        theirs = partial(coop_game.shapley, asked) if peer else partial(_by_orders, worths)
        ours = _against("Shapley", players, costs, worths, theirs)
        rows.append(ours[0])
        apart.append(ours[1])
    for players in (NUCLEOLUS_PLAYERS if full else NUCLEOLUS_PLAYERS[:2]) if peer else ():
        costs, worths = savings(players)
        asked = coop_game.table(worths)
        row, off, wins = _against(
            "nucleolus", players, costs, worths, partial(coop_game.nucleolus, asked)
        )
        rows.append(row)
        better = better and wins
        apart.append(off)
    for players in OURS_ALONE if full else OURS_ALONE[:1]:
        rows += [_alone(name, players) for name in ("Shapley", "nucleolus")]
    name = "pyCoopGame" if peer else "the mean over all orders"
    return Findings(
        tables=(
            Table(
                title=f"Shares of savings: we and {name}",
                headings=("share", "players", "ours, ms", "theirs, ms", "times", "apart"),
                rows=tuple(rows),
            ),
        ),
        bars=(
            Bar(
                what=f"largest difference to {name}, as a part of the savings",
                measured=max(apart),
                limit=AGREEMENT,
            ),
            Bar(
                what="our nucleolus has the smaller complaints, or the same",
                measured=float(better),
                limit=1.0,
                at_least=True,
            ),
        ),
    )


def _against(
    name: str,
    players: int,
    costs: FloatArray,
    worths: FloatArray,
    theirs: Callable[[], FloatArray],
) -> tuple[tuple[str, ...], float, bool]:
    """A row, the largest difference of a share, and whether ours complain no more."""
    solve = games.shapley if name == "Shapley" else games.nucleolus
    ours, our_s = _timed(lambda: solve(costs))
    other, their_s = _timed(theirs, fewest=1)
    alone = costs[1 << np.arange(players)]
    apart = float(np.abs(alone - ours - other).max()) / float(worths[-1])
    mine, yours = (np.sort(games.complaints(costs, x)[1:-1])[::-1] for x in (ours, alone - other))
    differ = np.flatnonzero(np.abs(mine - yours) > AGREEMENT * worths[-1])
    wins = differ.size == 0 or bool(mine[differ[0]] < yours[differ[0]])
    row = (name, f"{players}", number(1e3 * our_s), number(1e3 * their_s))
    return (*row, number(their_s / our_s), f"{apart:.1e}"), apart, wins


def _alone(name: str, players: int) -> tuple[str, ...]:
    costs, _ = savings(players)
    solve = games.shapley if name == "Shapley" else games.nucleolus
    found, seconds = _timed(lambda: solve(costs))
    off = abs(float(found.sum() - costs[-1])) / float(costs[-1])
    return (name, f"{players}", number(1e3 * seconds), "-", "-", f"balance {off:.0e}")


def _by_orders(worths: FloatArray) -> FloatArray:
    """The Shapley value by its definition."""
    count = worths.size.bit_length() - 1
    added, orders = np.zeros(count), 0
    for order in permutations(range(count)):
        coalition = 0
        for player in order:
            added[player] += worths[coalition | 1 << player] - worths[coalition]
            coalition |= 1 << player
        orders += 1
    return added / orders


def _timed(run: Callable[[], FloatArray], fewest: int = 3) -> tuple[FloatArray, float]:
    """What a run returns, and the least seconds of a few."""
    best, found = np.inf, np.zeros(0)
    for _ in range(fewest):
        begun = time.perf_counter()
        found = run()
        best = min(best, time.perf_counter() - begun)
    return found, best


def audits(effort: Effort) -> Findings:
    """An agent of a million users is asked whether any group of them would do better alone.

    Nobody can ask 2^1,000,000 groups. The audit's bound holds for all of them: it is evaluated anew
    from the slot prices that come with it, and the group that it names complains by its own costs.
    Shares by the gradient are certified in one pass; shares by energy are not in the core.
    """
    full = effort.budget_s >= FULL.budget_s
    rows, wrong, widest = [], 0, 0.0
    for users in AUDITED if full else AUDITED[:1]:
        load = days(users, 2).astype(np.float32)
        cost = PooledCost(schedule=prices.affine(0.3, 0.1), step_h=np.full(SLOTS, 0.25))
        for rule in (SharingRule.AUMANN_SHAPLEY, SharingRule.ENERGY):
            shares = share(load, cost, rule).share
            begun = time.perf_counter()
            found = audit(load, shares, cost)
            seconds = time.perf_counter() - begun
            again = bound_at(load, shares, cost, found.slot_price_per_kwh)
            members = load[found.coalition]
            alone = float(cost.value(total(members))) if members.size else 0.0
            amount = float(shares.sum())
            complaint = float(shares[found.coalition].sum()) - alone
            wrong += abs(again - found.bound) > 1e-9 * amount
            wrong += abs(complaint - found.complaint) > 1e-9 * amount
            wrong += found.is_certificate != (rule is SharingRule.AUMANN_SHAPLEY)
            widest = max(widest, (found.bound - found.complaint) / amount)
            rows.append(
                (
                    f"{users:,}",
                    rule.value,
                    number(seconds),
                    f"{found.evaluations}",
                    f"{found.bound / amount:.5f}",
                    f"{found.complaint / amount:.5f}",
                    f"{found.coalition.size:,}",
                )
            )
    headings = ("users", "shares", "s", "passes", "bound / F1", "found / F1", "coalition")
    return Findings(
        tables=(Table(title="The largest complaint", headings=headings, rows=tuple(rows)),),
        bars=(
            Bar(what="audits that do not hold when evaluated anew", measured=wrong, limit=0.0),
            Bar(
                what="widest distance of bound and complaint, of the cost",
                measured=100.0 * widest,
                limit=0.5,
                unit="%",
            ),
        ),
    )


SPECS = (
    BenchSpec(
        name="agency-games",
        question="Shapley value and nucleolus of small games: the same numbers, and how fast?",
        bar="the same numbers as pyCoopGame to 1e-6 of the savings",
        run=small_games,
    ),
    BenchSpec(
        name="agency-audit",
        question="Would any group of a million users do better alone?",
        bar="bounds that hold when evaluated anew, within 0.5 % of the cost of a named group",
        run=audits,
    ),
)
