"""Simulated annealing beside the oracle: windows written out once, runs from any answer."""

from collections.abc import Callable

import numpy as np

from loadloom.solvers.coupled.oracle import Answer, Oracle, Rows
from loadloom.solvers.kernels.anneal import anneal
from loadloom.solvers.kernels.choosers import NOTHING, PRICE, Flags, Floats, gains_at
from loadloom.solvers.kernels.listing import (
    Windows,
    count_windows,
    places_of,
    stands,
    written_out,
)
from loadloom.solvers.kernels.responses import turn_cost

MOST_WINDOWS = 1_500_000
"""More windows than these are not written out: their reliefs would fill memory."""

_LOOK_ANYWHERE = 0.02  # how often to look at a step without price, relative to the dearest
_LEAST_SOFT = 0.3  # what a unit of lacking costs softly at least, as a share of the dearest price


def can_anneal(oracle: Oracle) -> bool:
    """Whether windows are few enough to be written out, and no limit holds over turns."""
    if np.isfinite(oracle.turns.limit).any():
        return False
    return 0 < int(count_windows(oracle.turns)[-1]) <= MOST_WINDOWS


class Annealer:
    """Runs of annealing on one set of choosers."""

    def __init__(self, oracle: Oracle, rows: Rows, prices: Floats) -> None:
        self._oracle, self._rows = oracle, rows
        price = gains_at(oracle.by_line(prices), oracle.tolls(prices)).table[:, PRICE]
        self._windows: Windows = written_out(oracle.turns, price)
        worth = oracle.by_line(prices).sum(axis=0)
        self._worthy = np.cumsum(worth + _LOOK_ANYWHERE * max(float(worth.max()), 1e-12))
        common = oracle.by_line(prices)
        dearest = float(common.max())
        self._soft = np.maximum(common, _LEAST_SOFT * dearest) if dearest > 0.0 else np.inf

    def run(
        self,
        answer: Answer,
        seed: int,
        heats: Floats,
        steepness: Floats,
        steps_per_heat: int,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """The best answer met from a start on, at falling temperatures, or until stopped.

        At heat k lacking costs `steepness[k]` times the prices, at most its penalty: a search that
        pays the whole penalty at once cannot pass from one answer to another through a third that
        lacks a little. What is best is judged by the penalties.
        """
        oracle, rows, windows, turns = self._oracle, self._rows, self._windows, self._oracle.turns
        patterns = answer.patterns.copy()
        places, pauses = places_of(turns, windows, patterns)
        stays = np.repeat(self._stays(), places.shape[1] // turns.mode.shape[1], axis=1)
        places[stays] = NOTHING
        state = np.array([(seed * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D) % 2**64 or 1], np.uint64)
        amounts, over, dear = oracle.budgets(answer, rows)
        held, held_pauses, totals = places.copy(), pauses.copy(), np.zeros(2)
        lack = oracle.by_line(rows.demand - answer.activity).copy()
        penalty, locked, fixed = (
            oracle.by_line(rows.penalty),
            self._locked_pauses(),
            self._fixed(answer),
        )
        for heat, steep in zip(heats, steepness, strict=True):
            soft = np.minimum(penalty, steep * self._soft)
            if stopped():
                break
            anneal(
                windows.start,
                windows.cost,
                windows.amount,
                windows.budget,
                windows.first,
                windows.last,
                windows.begin,
                windows.at,
                windows.relief,
                windows.pause_base,
                turns.pause_start,
                turns.pause_turn,
                locked,
                turns.line,
                turns.most_turns,
                turns.most_windows,
                turns.gap,
                turns.rank[turns.rank_class],
                fixed,
                turns.step_count,
                lack,
                penalty,
                soft,
                amounts,
                over,
                dear,
                self._worthy,
                places,
                pauses,
                held,
                held_pauses,
                totals,
                state,
                heat,
                steps_per_heat,
            )
        codes = np.where(held >= 0, windows.code[held], NOTHING)
        patterns[:, :-1] = np.where(stays, patterns[:, :-1], codes)
        patterns[:, -1] = held_pauses
        return oracle.weighed(patterns)

    def _locked_pauses(self) -> Flags:
        turns = self._oracle.turns
        owner = np.repeat(np.arange(self._oracle.count), np.diff(turns.pause_start))
        locked = np.zeros(self._oracle.count, np.bool_)
        np.logical_or.at(locked, owner, turns.pause_forced)
        return locked

    def _stays(self) -> Flags:
        """Which turns stay as they are, (N, D): what they hold is forced, or several are listed."""
        turns = self._oracle.turns
        several = np.diff(turns.listed_start) > 1
        return stands(turns) | several.reshape(turns.mode.shape)

    def _fixed(self, answer: Answer) -> Floats:
        """The cost of each turn that stays and has windows in it, -1 where windows may change."""
        turns = self._oracle.turns
        fixed = np.full(turns.mode.shape, -1.0)
        room = (self._oracle.size - 1) // turns.mode.shape[1]
        for i, d in zip(*np.nonzero(self._stays()), strict=True):
            mine = answer.patterns[i, d * room : (d + 1) * room]
            if (mine >= 0).any():
                fixed[i, d] = turn_cost(turns, i, d, mine)
        return fixed
