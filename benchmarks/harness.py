"""How times are taken, and why each can be believed.

Contenders run in turns, so that whatever else the machine does falls on all of them alike. What
each answers is judged by the referee after the clock stopped, and a contender whose answer breaks a
rule has no time to report.
"""

import ctypes
import gc
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf, isnan
from statistics import median
from typing import Any

from benchmarks.peers.peer import Answer, Peer
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.referee import cost, violations

FEWEST_ROUNDS = 3
"""Each contender runs at least this often, however slow: the median then forgets the first run."""

GAP_LIMIT = 1e-4
"""A schedule this much dearer than the optimum is no answer; HiGHS stops searching here."""


class Unrefereed(RuntimeError):  # noqa: N818 -- it names the state of the time asked for
    """A time was asked for that no refereed answer stands behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the referee says of an answer: cost, claim, gap to the optimum, what it breaks.

    The gap is relative to the optimum's size, or to 1 where that is smaller.
    """

    cost: float
    claimed_cost: float
    gap: float
    broken: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether the answer keeps every rule and is as cheap as can be."""
        return not self.broken and abs(self.gap) <= GAP_LIMIT


def judge(problem: Problem, answer: Answer, optimum: float) -> Judgement:
    """What the referee says of a peer's answer, given the proven optimum of the problem."""
    if answer.schedule is None:
        none = float("nan")
        return Judgement(cost=none, claimed_cost=none, gap=none, broken=("no schedule",))
    total = cost(problem, answer.schedule).total
    return Judgement(
        cost=total,
        claimed_cost=answer.claimed_cost,
        gap=relative(total, optimum),
        broken=tuple(str(violation) for violation in violations(problem, answer.schedule)),
    )


def combined(judgements: Sequence[Judgement]) -> Judgement:
    """The word on many answers at once: the first one's cost, the worst gap, all that is broken."""
    return Judgement(
        cost=judgements[0].cost,
        claimed_cost=judgements[0].claimed_cost,
        gap=max((j.gap for j in judgements), key=_severity),
        broken=tuple(rule for j in judgements for rule in j.broken),
    )


def _severity(gap: float) -> float:
    """How bad a gap is on either side; one that is no number is worst."""
    return inf if isnan(gap) else abs(gap)


def relative(value: float, optimum: float) -> float:
    """By how much a value is above the optimum, relative to the optimum's size or to 1."""
    return (value - optimum) / max(1.0, abs(optimum))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One of those who run in turns.

    Attributes:
        run: what is timed, given the number of the round.
        judge: the referee's word on what `run` returned in that round.
        solves: the number of solves in one run; times are given for one of them.
    """

    name: str
    run: Callable[[int], Any]
    judge: Callable[[int, Any], Judgement]
    solves: int = 1


def contender(peer: Peer, problems: Sequence[Problem], optima: Sequence[float]) -> Contender:
    """A peer, prepared with the first problem, that is asked the others in turn.

    The first is left out: whoever kept its answer would have nothing to do.
    """
    solve = peer.prepare(problems[0])
    asked, best = problems[1:], optima[1:]
    return Contender(
        name=peer.name,
        run=lambda turn: solve(asked[turn % len(asked)]),
        judge=lambda turn, answer: judge(asked[turn % len(asked)], answer, best[turn % len(asked)]),
    )


@dataclass(slots=True, kw_only=True)
class Measured:
    """The times and judgements of one contender."""

    name: str
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)

    @property
    def judgement(self) -> Judgement:
        """The word on all its answers.

        Raises:
            Unrefereed: no answer was judged.
        """
        if not self.judgements:
            raise Unrefereed(f"{self.name} has no refereed answer")
        return combined(self.judgements)

    @property
    def median_wall_s(self) -> float:
        """The median elapsed time of a solve, in seconds.

        Raises:
            Unrefereed: an answer was not judged, or broke a rule, or is too dear.
        """
        return self._median(self.wall_s)

    @property
    def median_cpu_s(self) -> float:
        """The median processor time of a solve, children included, in seconds.

        Raises:
            Unrefereed: an answer was not judged, or broke a rule, or is too dear.
        """
        return self._median(self.cpu_s)

    def _median(self, times: list[float]) -> float:
        if len(times) != len(self.judgements) or not self.judgement.sound:
            raise Unrefereed(f"{self.name} has no time to report: its answers do not hold")
        return median(times)


def race(contenders: Sequence[Contender], *, rounds: int, budget_s: float) -> dict[str, Measured]:
    """The times of contenders that run in turns, each until its rounds or budget are used up."""
    measured = {c.name: Measured(name=c.name) for c in contenders}
    with silenced(), _apart_from_garbage():
        for turn in range(rounds):
            for c in contenders:
                kept = measured[c.name]
                if turn < FEWEST_ROUNDS or sum(kept.wall_s) * c.solves < budget_s:
                    _run(c, turn, kept)
    return measured


def _run(c: Contender, turn: int, kept: Measured) -> None:
    """Times one run and has it judged."""
    gc.collect()
    cpu, wall = cpu_seconds(), time.perf_counter()
    answer = c.run(turn)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    kept.wall_s.append(wall / c.solves)
    kept.cpu_s.append(cpu / c.solves)
    kept.judgements.append(c.judge(turn, answer))


@contextmanager
def _apart_from_garbage() -> Iterator[None]:
    """Takes what exists out of the collector's sight: nobody pays for what others have loaded."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def cpu_seconds() -> float:
    """The processor time of this process and of those it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@contextmanager
def silenced() -> Iterator[None]:
    """Sends standard output nowhere, native code's too: linopy lets HiGHS greet each time."""
    native = ctypes.CDLL(None)
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        sys.stdout.flush()
        native.fflush(None)  # what C still holds would appear later
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
