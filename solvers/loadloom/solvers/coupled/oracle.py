"""The choosers of `kernels.turns` behind rows: priced, weighed and improved, in threads.

Row activity is one column: lines by steps first, then the budgets. A budget's row takes the
negative of what counts against it, so that all rows alike ask for at least their demand.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loadloom.solvers.kernels.choosers import (
    LACK,
    NOTHING,
    Codes,
    Floats,
    Gains,
    Indices,
    Turns,
    Work,
    gains_at,
    gains_where,
    pattern_size,
    room,
)
from loadloom.solvers.kernels.responses import respond, weigh_range
from loadloom.solvers.kernels.turns import choose_range

CHUNKS = 16
"""The ranges into which choosers are divided; fixed, so that sums do not depend on threads."""

SMALL = 200
"""Up to as many choosers are not worth a hand-over to a thread."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What the rows demand, and what each unit that is missing costs, (R,) each."""

    demand: Floats
    penalty: Floats

    def cost(self, activity: Floats) -> float:
        """What the rows cost at an activity."""
        return float(self.penalty @ np.maximum(self.demand - activity, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """A pattern for every chooser, (N, P), what each costs, (N,), and the activity of all, (R,).

    `by_part` is the activity of each range of choosers, (parts, R), where it has been added up.
    """

    patterns: Codes
    costs: Floats
    activity: Floats
    by_part: Floats | None = None

    @property
    def cost(self) -> float:
        """What the patterns cost."""
        return float(self.costs.sum())


@dataclass(kw_only=True)
class Oracle:
    """Exact answers of choosers to prices or to each other."""

    turns: Turns
    line_count: int
    budget_count: int = 0
    pool: Executor | None = None

    @cached_property
    def count(self) -> int:
        """The number of choosers."""
        return self.turns.height.shape[0]

    @cached_property
    def line_rows(self) -> int:
        """The number of rows that lines have, before the budgets."""
        return self.line_count * self.turns.length.size

    @cached_property
    def row_count(self) -> int:
        """The number of rows."""
        return self.line_rows + self.budget_count

    @cached_property
    def size(self) -> int:
        """The number of codes of a pattern."""
        return pattern_size(self.turns)

    @cached_property
    def chunks(self) -> list[tuple[int, int]]:
        """The ranges of choosers that are worked on at once."""
        parts = min(self.count, CHUNKS)
        edges = np.linspace(0, self.count, parts + 1).astype(int)
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))

    @cached_property
    def rooms(self) -> list[Work]:
        """Room for each range."""
        return [room(self.turns) for _ in self.chunks]

    @cached_property
    def work(self) -> Work:
        """Room for one chooser after the other."""
        return room(self.turns)

    def tolls(self, prices: Floats) -> Floats:
        """The toll on each option's amounts at row prices."""
        budget = self.turns.budget
        if not self.budget_count:
            return np.zeros(budget.size)
        return np.where(budget >= 0, prices[self.line_rows :][budget], 0.0)

    def nobody(self) -> Codes:
        """Patterns in which nothing is chosen."""
        return np.full((self.count, self.size), NOTHING, np.int32)

    def by_line(self, rows: Floats) -> Floats:
        """The rows of lines, (L, T), of a column of all rows."""
        return rows[: self.line_rows].reshape(self.line_count, -1)

    def priced(self, prices: Floats) -> tuple[Floats, Codes]:
        """The least value of every chooser at row prices, and its pattern."""
        gains = gains_at(self.by_line(prices), self.tolls(prices))
        values, patterns = np.zeros(self.count), self.nobody()

        def work(part: int) -> None:
            begin, end = self.chunks[part]
            choose_range(self.turns, gains, begin, end, self.rooms[part], values, patterns)

        self._each(work)
        return values, patterns

    def weighed(self, patterns: Codes) -> Answer:
        """What patterns cost and do."""
        costs = np.zeros(self.count)
        parts = len(self.chunks)
        activity = np.zeros((parts, self.line_count, self.turns.length.size))
        amounts = np.zeros((parts, max(1, self.budget_count)))

        def work(part: int) -> None:
            begin, end = self.chunks[part]
            weigh_range(self.turns, begin, end, patterns, costs, activity[part], amounts[part])

        self._each(work)
        rows = np.zeros((parts, self.row_count))
        rows[:, : self.line_rows] = activity.reshape(parts, -1)
        rows[:, self.line_rows :] = -amounts[:, : self.budget_count]
        return Answer(patterns=patterns, costs=costs, activity=rows.sum(axis=0), by_part=rows)

    def respond(
        self, answer: Answer, rows: Rows, order: Indices, soft: tuple[Floats, Floats] | None = None
    ) -> Answer:
        """The answer after choosers have responded in turn to all others.

        With `soft`, prices and their steepness, missing and spare activity near the demand are
        priced by how far away it is, which leaves those who come later room to agree.
        """
        patterns, costs = answer.patterns.copy(), answer.costs.copy()
        missing = rows.demand - answer.activity
        low, high, toll = self._softness(rows, soft)
        gains = gains_where(self.by_line(missing), self.by_line(rows.penalty), low, high, toll)
        amounts, over, dear = self.budgets(answer, rows)
        respond(self.turns, gains, order, self.work, patterns, costs, amounts, over, dear)
        activity = np.empty(self.row_count)
        lack = gains.table[:, LACK].reshape(-1)
        activity[: self.line_rows] = rows.demand[: self.line_rows] - lack
        activity[self.line_rows :] = -amounts[: self.budget_count]
        return Answer(patterns=patterns, costs=costs, activity=activity)

    def _softness(
        self, rows: Rows, soft: tuple[Floats, Floats] | None
    ) -> tuple[Floats, Floats, Floats]:
        penalty = self.by_line(rows.penalty)
        none = np.zeros_like(penalty)
        if soft is None:
            return none, none, self.tolls(np.zeros(self.row_count))
        prices, steepness = soft
        price, steep = self.by_line(prices), self.by_line(steepness)
        return -price / steep, (penalty - price) / steep, self.tolls(prices)

    def budgets(self, answer: Answer, rows: Rows) -> tuple[Floats, Floats, Floats]:
        """What counts against the budgets, from where on it costs, and how much."""
        amounts = np.zeros(max(1, self.budget_count))
        over, dear = np.zeros(amounts.size), np.zeros(amounts.size)
        amounts[: self.budget_count] = -answer.activity[self.line_rows :]
        over[: self.budget_count] = -rows.demand[self.line_rows :]
        dear[: self.budget_count] = rows.penalty[self.line_rows :]
        return amounts, over, dear

    def gains_of_lack(self, answer: Answer, rows: Rows) -> Gains:
        """What relief spares beside an answer."""
        lack = self.by_line(rows.demand - answer.activity)
        low, high, toll = self._softness(rows, None)
        return gains_where(lack, self.by_line(rows.penalty), low, high, toll)

    def _each(self, work: Callable[[int], None]) -> None:
        parts: Iterable[int] = range(len(self.chunks))
        if self.pool is None or self.count <= SMALL:
            for part in parts:
                work(part)
        else:
            list(self.pool.map(work, parts))
