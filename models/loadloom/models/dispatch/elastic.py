"""The elastic programme of a site: every named rule may give way, by a column of its own.

A rule gives way at the cost of its weight, 1 for most, for each unit of its row or column: kWh for
limits of power and energy. What is physics has no name and holds.
"""

from dataclasses import replace

import numpy as np

from loadloom.models.dispatch.blocks.site import Site
from loadloom.models.dispatch.programme import BoolArray, IntArray, Limit, Programme
from loadloom.models.dispatch.smallest_sets import Part
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Model, Outcome, Program
from loadloom.solvers.termination import Reason

LEAST_FAR = 1e4
"""What rules may give way by at least, in the unit of their rows, where a site is small."""

BEYOND_DIGITS = 1e-6
"""Changes are rounded up to a multiple of this, so that they cure for certain."""

LEAST_GIVEN = 1e-9
"""A rule that gives way by less is kept; the rest is rounding, as the solver has it."""

GIVEN = 1e-7
"""What is off by less is whole, and costs nothing."""

IDLE_S = 1.0
"""The time for a cure in which no store moves, where the time for the least one is over."""

BUILDING_S = 2e-7
"""The time that it takes to state one column to the solver."""


_DECIDED = {Reason.OPTIMAL, Reason.FEASIBLE, Reason.INFEASIBLE}


class Elastic:
    """What knows which named rules of a site can be kept together.

    `change` is by how much each limit gives way in the least change, `left_s` the time left.
    """

    def __init__(self, site: Site, time_limit_s: float) -> None:
        programme = site.programme
        self.limits, self.left_s = programme.limits, time_limit_s
        self.change = [np.zeros(limit.where.size) for limit in self.limits]
        self._cured = [np.zeros(limit.where.size) for limit in self.limits]
        self._programme = programme
        low, high = programme.low, programme.high
        far = _far(programme, low)
        given = [_give(programme, limit, low, high) for limit in self.limits]
        for limit in self.limits:
            if limit.of_columns and limit.high:
                stated = high[limit.where]
                high[limit.where] = np.where(np.isfinite(stated), np.maximum(stated, far), far)
            elif limit.of_columns:
                physical = limit.rule.unit in {"kW", "kWh"} and bool(
                    (low[limit.where] >= 0.0).all()
                )
                low[limit.where] = 0.0 if physical else -far
        for pair in programme.pairs:
            for way in (pair.one, pair.other):
                high[way] = np.where(np.isfinite(high[way]), high[way], far)
        self._slack, self._rows = [slack for slack, _ in given], [rows for _, rows in given]
        more = programme.column_count - low.size
        self._low, self._high = np.append(low, np.zeros(more)), np.append(high, np.zeros(more))
        sides = programme.sides
        for limit, slack, rows in zip(self.limits, self._slack, self._rows, strict=True):
            self._high[slack] = np.where(np.isfinite(sides[int(limit.high)][rows]), far, 0.0)
        # What runs both ways without losses can as well run one way only.
        self._lossy = [np.broadcast_to(pair.rate < 1.0, pair.one.size) for pair in programme.pairs]
        self._whole = programme.program(
            np.zeros(programme.column_count), bounds=(self._low, self._high)
        )
        none = np.zeros_like(self._whole.integer)
        self._linear = Model(replace(self._whole, integer=none))

    def least(self) -> list[FloatArray]:
        """The duals of each limit in the least change.

        When the time is over the change is what must give way if no store moves: a cure, but not
        the least; where that is not found either nothing gives way.
        """
        cost = np.zeros(self._low.size)
        for limit, slack in zip(self.limits, self._slack, strict=True):
            cost[slack] = limit.rule.weight
        outcome = self._solve(cost, self._high, exact=True) if self.left_s > 0.0 else None
        if outcome is None or outcome.primal is None:
            outcome = self._idle(cost)
        if outcome.primal is None:
            return [np.zeros(rows.size) for rows in self._rows]
        for index, slack in enumerate(self._slack):
            given = outcome.primal[slack]
            # A thousandth of it is the solver's rounding, of which nothing is asked.
            up = np.ceil(np.round(given / BEYOND_DIGITS, 3)) * BEYOND_DIGITS
            self.change[index] = np.where(given > LEAST_GIVEN, up, 0.0)
        if outcome.row_dual is None:
            return [np.ones(rows.size) for rows in self._rows]
        return [outcome.row_dual[rows] for rows in self._rows]

    def possible(self, parts: list[Part]) -> bool:
        """Whether a plan keeps these parts, all others dropped; so also when the time is over."""
        if self.left_s <= 0.0:
            return True
        high = self._high.copy()
        for part in parts:
            slack, cured = self._slack[part.rule][part.mask], self._cured[part.rule][part.mask]
            high[slack] = np.minimum(high[slack], cured)
        cost = np.zeros(self._low.size)
        for pair in self._programme.pairs:
            cost[pair.one] = cost[pair.other] = 1.0
        outcome = self._solve(cost, high, exact=False)
        return outcome is None or outcome.termination.reason is not Reason.INFEASIBLE

    def cure(self, part: Part) -> None:
        """Lets a part give way by what the least change asks of it."""
        self._cured[part.rule][part.mask] = self.change[part.rule][part.mask]

    def numbers(self, index: int) -> FloatArray:
        """The numbers of a limit as the request has them."""
        limit = self.limits[index]
        sides = self._programme.sides[int(limit.high)][self._rows[index]]
        return sides / limit.rule.scale + limit.rule.shift

    def _solve(self, cost: FloatArray, high: FloatArray, *, exact: bool) -> Outcome | None:
        """A solution in which nothing runs both ways, the best one if it is to be exact.

        Its duals are those of the linear programme with all that is whole fixed. It is None where
        time ends before there is one; but where whole numbers are sought, the exact one is then
        that of the linear programme.
        """
        linear = replace(
            self._whole,
            cost=cost,
            low=self._low,
            high=high,
            integer=np.zeros_like(self._whole.integer),
        )
        outcome = self._run(self._linear, linear)
        if outcome.primal is None or self._fits(outcome.primal):
            return outcome if outcome.termination.reason in _DECIDED else None
        whole = bool(self._whole.integer.any())
        undecided = outcome if exact and whole else None
        if not whole and self.left_s > 0.0:
            clash = [pair.both(outcome.primal) for pair in self._programme.pairs]
            closed = self._run(self._linear, self._closed(linear, outcome.primal, clash))
            allowed = outcome.termination.objective + GIVEN if exact else np.inf
            near = closed.primal is not None and self._fits(closed.primal)
            if near and closed.termination.objective <= allowed:
                return closed
        if self.left_s <= 0.0:
            return undecided
        bounds = (self._low, high)
        search = self._run(Model(self._programme.program(cost, self._lossy, bounds=bounds)))
        if search.termination.reason not in _DECIDED:
            return undecided
        if search.primal is None or not exact or self.left_s <= 0.0:
            return search
        primal = search.primal[: cost.size]
        fixed = self._run(self._linear, self._closed(linear, primal, self._lossy))
        return search if fixed.primal is None else fixed

    def _idle(self, cost: FloatArray) -> Outcome:
        """The least change if no device runs one of two ways, such as charging and discharging."""
        high = self._high.copy()
        draws = self._programme.draws_by_device
        meter = np.concatenate([draw.columns for draw in draws if draw.name is None])
        for pair in self._programme.pairs:
            for way in (pair.one, pair.other):
                moving = way[~np.isin(way, meter)]
                high[moving] = np.maximum(self._low[moving], 0.0)
        none = np.zeros_like(self._whole.integer)
        program = replace(self._whole, cost=cost, low=self._low, high=high, integer=none)
        return Model(program).solve(time_limit_s=IDLE_S, relative_gap=1e-6)

    def _fits(self, primal: FloatArray) -> bool:
        """Whether a solution can be run: whole where it must be, nothing running both ways."""
        whole = primal[self._whole.integer]
        if np.abs(whole - np.round(whole)).max(initial=0.0) > GIVEN:
            return False
        pairs = zip(self._programme.pairs, self._lossy, strict=True)
        return not any((pair.both(primal) & lossy).any() for pair, lossy in pairs)

    def _closed(self, linear: Program, primal: FloatArray, masks: list[BoolArray]) -> Program:
        """The linear programme with all that is whole fixed, and marked pairs to one way."""
        low, high = linear.low.copy(), linear.high.copy()
        whole = self._whole.integer
        low[whole] = high[whole] = np.round(primal[whole])
        for pair, mask in zip(self._programme.pairs, masks, strict=True):
            pair.close(low, high, primal, mask)
        return replace(linear, low=low, high=high)

    def _run(self, model: Model, program: Program | None = None) -> Outcome:
        if program is not None:
            model.change(program)
        outcome = model.solve(time_limit_s=max(0.0, self.left_s), relative_gap=1e-6)
        self.left_s -= outcome.seconds + BUILDING_S * self._low.size
        return outcome


def _give(
    programme: Programme, limit: Limit, low: FloatArray, high: FloatArray
) -> tuple[IntArray, IntArray]:
    """The columns by which a rule gives way, and its rows; bounds of columns become rows."""
    size, sign = limit.where.size, -1.0 if limit.high else 1.0
    slack, rows = programme.columns(size), limit.where
    if limit.of_columns:
        sides = (-np.inf, high[rows]) if limit.high else (low[rows], np.inf)
        rows = programme.rows(size, *sides)
        programme.entries(rows, limit.where)
    programme.entries(rows, slack, sign)
    return slack, rows


def _far(programme: Programme, low: FloatArray) -> float:
    """More than any flow that a site needs, from the sizes of all that it must do."""
    rows = [np.abs(side[np.isfinite(side)]).sum() for side in programme.sides]
    return max(2.0 * float(sum(rows) + np.abs(low[np.isfinite(low)]).sum()), LEAST_FAR)
