"""The cheapest mix of known responses that keeps shared limits: a restricted master in HiGHS.

    minimise   sum_k,g cost[k,g] share[k,g] + breach @ (over + under)
    subject to sum_k share[k,g] = 1 for each group g
               low - under <= sum over groups below the node of flow[k,g] * share[k,g]
                           <= high + over   for each node and interval

Rows that no response and no mix has broken yet stay out of the programme: most limits never bind.
With rows of all of 9 nodes and 96 intervals a programme took several times as long, and with rows
that mixes alone have broken it had to be solved twice as often.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from highspy import Highs, kHighsInf

from loadloom.solvers.coupled.limits import Floats, Indices, Limits, Response

_OPTIONS = {
    "output_flag": False,
    "threads": 1,  # HiGHS has one scheduler for all of a process; it must never change its size
    "presolve": "off",
    "primal_feasibility_tolerance": 1e-9,
    "dual_feasibility_tolerance": 1e-9,
}
_PRIMAL_SIMPLEX, _DUAL_SIMPLEX = 4, 1

_BROKEN = 1e-8
"""A row enters the programme when it is broken by more than this share of the limit, or of 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mix:
    """A mix of responses.

    Attributes:
        value: its cost with all breaches.
        share: the share of each response in each group, (responses, groups).
        prices: the prices of the limits, positive where the high one binds, (nodes, T).
        total: the flow of each node, (nodes, T).
        breached: by how much hard limits are broken in all.
    """

    value: float
    share: Floats
    prices: Floats
    total: Floats
    breached: float


@dataclass(kw_only=True, eq=False)
class Mixture:
    """The responses so far and the programme of them.

    `node` is that of each group, (groups,); `hard` what a breach of a hard limit costs at first;
    `fixed` the only response that a group may take, or -1, (groups,).
    """

    limits: Limits
    node: Indices
    hard: float
    responses: int = 0
    fixed: Indices = field(init=False)
    _flow: Floats = field(init=False)
    _cost: Floats = field(init=False)
    _row: Indices = field(init=False)
    _rows: list[int] = field(default_factory=list)
    _slack: list[int] = field(default_factory=list)
    _share: list[int] = field(default_factory=list)
    _highs: Highs = field(default_factory=Highs)

    def __post_init__(self) -> None:
        groups, steps = self.node.size, self.limits.low.shape[1]
        self._flow, self._cost = np.empty((8, groups, steps)), np.empty((8, groups))
        self.fixed = np.full(groups, -1)
        self._row = np.full(self.limits.low.size, -1)
        for name, value in _OPTIONS.items():
            self._highs.setOptionValue(name, value)
        none = np.zeros(0, np.int32)
        ones, begin = np.ones(groups), np.zeros(groups, np.int32)
        self._highs.addRows(groups, ones, ones, 0, begin, none, np.zeros(0))

    @property
    def groups(self) -> int:
        """The number of groups."""
        return self.node.size

    def add(self, response: Response) -> None:
        """Adds what the groups answered to one vector of prices."""
        k = self.responses
        if k == self._cost.shape[0]:
            self._flow = np.concatenate((self._flow, np.empty_like(self._flow)))
            self._cost = np.concatenate((self._cost, np.empty_like(self._cost)))
        self._flow[k], self._cost[k] = response.flow, response.cost
        self.responses += 1
        groups, parts, above = self.groups, [], self.limits.tree.above
        steps = response.flow.shape[1]
        for g in range(groups):
            rows = self._row.reshape(-1, steps)[above[self.node[g]]]
            at, t = np.nonzero(rows >= 0)
            # The rows of the groups come first.
            index = np.append(g, groups + rows[at, t])
            parts.append((index, np.append(1.0, response.flow[g, t])))
        sizes = np.array([index.size for index, _ in parts])
        begin = (np.cumsum(sizes) - sizes).astype(np.int32)
        index = np.concatenate([index for index, _ in parts]).astype(np.int32)
        values = np.concatenate([value for _, value in parts])
        first = self._highs.getNumCol()
        self._highs.addCols(
            groups, response.cost, np.zeros(groups),
            np.where(self.fixed < 0, kHighsInf, 0.0), index.size, begin, index, values,
        )  # fmt: skip
        self._share += range(first, first + groups)
        self._highs.setOptionValue("simplex_strategy", _PRIMAL_SIMPLEX)
        if (self.fixed < 0).all():
            self._add_rows(self.total_of(response.flow))

    def fix(self, group: int, response: int) -> None:
        """Lets a group take one of its responses alone."""
        self.fixed[group] = response
        own = np.array(self._share[group :: self.groups], np.int32)
        most = np.where(np.arange(own.size) == response, kHighsInf, 0.0)
        self._highs.changeColsBounds(own.size, own, np.zeros(own.size), most)
        self._highs.setOptionValue("simplex_strategy", _DUAL_SIMPLEX)

    def paid(self, along: Floats) -> Floats:
        """What groups pay for what they are fixed to, at prices (groups, T); 0 for others."""
        found = np.zeros(self.groups)
        for group in np.flatnonzero(self.fixed >= 0):
            k = self.fixed[group]
            found[group] = self._cost[k, group] + along[group] @ self._flow[k, group]
        return found

    def dearer(self, hard: float) -> None:
        """Raises what a breach of a hard limit costs."""
        self.hard = hard
        cost = self._penalty(np.array(self._rows, np.int64))
        columns = np.array(self._slack, np.int32)
        self._highs.changeColsCost(columns.size, columns, np.repeat(cost, 2))

    def tighten(self, limits: Limits) -> None:
        """Puts other limits of the same nodes in place of those there are."""
        self.limits = limits
        low, high = limits.low.reshape(-1), limits.high.reshape(-1)
        for at, row in enumerate(self._rows):
            self._highs.changeRowBounds(self.groups + at, low[row], high[row])
        self._highs.setOptionValue("simplex_strategy", _DUAL_SIMPLEX)

    def solve(self) -> Mix:
        """The cheapest mix of the responses so far."""
        while True:
            self._highs.run()
            solution = self._highs.getSolution()
            columns = np.array(solution.col_value)
            share = np.maximum(columns[self._share].reshape(-1, self.groups), 0.0)
            share /= share.sum(axis=0)
            total = self._total(share)
            if not self._add_rows(total):
                break
        prices = np.zeros(self._row.size)
        prices[self._rows] = -np.array(solution.row_dual)[self.groups :]
        prices = self.limits.possible(prices.reshape(self.limits.low.shape))
        over, under = self.limits.excess(total)
        hard = np.isinf(self.limits.breach)
        return Mix(
            value=self._highs.getInfo().objective_function_value,
            share=share,
            prices=prices,
            total=total,
            breached=float((over + under)[hard].sum()),
        )

    def _total(self, share: Floats) -> Floats:
        """The flow of all nodes, (nodes, T)."""
        return self.total_of(np.einsum("kg,kgt->gt", share, self._flow[: self.responses]))

    def total_of(self, flow: Floats) -> Floats:
        """The flow of all nodes, (nodes, T), where groups have these, (groups, T)."""
        own = np.zeros(self.limits.low.shape)
        np.add.at(own, self.node, flow)
        return self.limits.tree.totals(own)

    def _penalty(self, rows: Indices) -> Floats:
        """What a unit beyond the limit of each row costs."""
        breach = np.repeat(self.limits.breach, self.limits.low.shape[1])[rows]
        return np.where(np.isinf(breach), self.hard, breach)

    def _add_rows(self, total: Floats) -> bool:
        """Whether rows were broken that were not in the programme; adds them."""
        over, under = self.limits.excess(total)
        size = np.minimum(np.abs(self.limits.low), np.abs(self.limits.high))
        size = np.where(np.isfinite(size), size, 0.0) + np.abs(total)
        broken = (over + under > _BROKEN * (1.0 + size)).reshape(-1) & (self._row < 0)
        new = np.flatnonzero(broken)
        if not new.size:
            return False
        steps, groups = total.shape[1], self.groups
        begin, index, values = [], [], []
        filled = 0
        share = np.array(self._share).reshape(-1, groups)
        for row in new:
            node, t = divmod(int(row), steps)
            below = self._below[node]
            begin.append(filled)
            index.append(share[:, below].reshape(-1))
            values.append(self._flow[: self.responses, below, t].reshape(-1))
            filled += index[-1].size
        low, high = self.limits.low.reshape(-1)[new], self.limits.high.reshape(-1)[new]
        self._highs.addRows(
            new.size, low, high, filled, np.array(begin, np.int32),
            np.concatenate(index).astype(np.int32), np.concatenate(values),
        )  # fmt: skip
        first = groups + len(self._rows)
        self._row[new] = np.arange(len(self._rows), len(self._rows) + new.size)
        self._rows += new.tolist()
        self._add_slack(new, first)
        self._highs.setOptionValue("simplex_strategy", _DUAL_SIMPLEX)
        return True

    def _add_slack(self, new: Indices, first: int) -> None:
        """Adds what each new row, from number `first` on, may be over and under its limits."""
        count = 2 * new.size
        rows = np.repeat(np.arange(first, first + new.size), 2).astype(np.int32)
        begin, at = np.arange(count, dtype=np.int32), self._highs.getNumCol()
        cost, signs = np.repeat(self._penalty(new), 2), np.tile([-1.0, 1.0], new.size)
        none, most = np.zeros(count), np.full(count, kHighsInf)
        self._highs.addCols(count, cost, none, most, count, begin, rows, signs)
        self._slack += range(at, at + count)

    @cached_property
    def _below(self) -> list[Indices]:
        """The groups below each node."""
        found: list[list[int]] = [[] for _ in range(self.limits.low.shape[0])]
        for group, own in enumerate(self.node):
            for node in self.limits.tree.above[own]:
                found[node].append(group)
        return [np.array(groups, np.int64) for groups in found]
