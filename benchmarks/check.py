"""The first step of every run: all who will be timed find the same optimum of a small site."""

from collections.abc import Iterable

from benchmarks import instances, ours
from benchmarks.harness import Judgement, judge, silenced
from benchmarks.peers.peer import Peer

TOLERANCE = 1e-7
"""How far a cost may be from the optimum, relative to it: that of the solvers."""


def disagreements(peers: Iterable[Peer]) -> list[str]:
    """What is wrong with the answers of those who do not find the optimum of the business's day."""
    first, second = instances.variants(lambda variant: instances.business(96, variant), 2)
    optimum = ours.optimum(second)
    words = []
    with silenced():
        for peer in peers:
            word = judge(second, peer.prepare(first)(second), optimum)
            words += [f"{peer.name}: {fault}" for fault in _faults(word, optimum)]
    return words


def _faults(word: Judgement, optimum: float) -> list[str]:
    faults = list(word.broken)
    if not abs(word.gap) <= TOLERANCE:
        faults.append(f"costs {word.cost:.9f}; the optimum is {optimum:.9f}")
    if not abs(word.claimed_cost - word.cost) <= TOLERANCE * max(1.0, abs(word.cost)):
        faults.append(f"claims {word.claimed_cost:.9f}, the referee finds {word.cost:.9f}")
    return faults
