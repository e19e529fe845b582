"""Whether a coalition would do better alone: a bound on the complaint of all 2^n of them at once.

A coalition S that pays x(S) and would pay F1(S) alone complains by x(S) - F1(S). With lines
a[k] + b[k] * u nowhere above the price schedule, b[k] >= 0, every coalition pays at least

    F1(S) >= sum_{i in S} sum_t lambda[t] * step_h[t] * load_kw[i, t],
    lambda[t] = a + H * q[t] / step_h[t],   q >= 0,   sum_t q[t] <= b

for any (a, b) that mixes the lines, since weights on slots find no more than the peak. Hence

    complaint(S) <= sum_i max(0, x[i] - sum_t lambda[t] * step_h[t] * load_kw[i, t])     for all S,

and the least such bound is a convex problem in T + K variables. Where each day, or some of the
days' peaks, are billed, each span has its own (a, b) and each day its share of q. For a convex,
non-decreasing schedule the lines are the schedule itself, and the bound is off by no more than what
whole users are worth: as they grow in number it becomes exact.

Every evaluation is one pass over the users, and gives cuts, one for each of some parts of the
users: coalitions of theirs. Prices that are best for the cuts so far, within reach of the best
prices yet, come from a linear programme (a bundle method with a box for a trust region). With few
users each is a part of its own, and one programme is the whole problem.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.cost import PooledCost, total, widened
from loadloom.models.agency.problem import IntArray, PeakMode
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Model, Program, compressed
from loadloom.solvers.kernels.coalitions import best_members

TOLERANCE = 1e-9
"""A complaint up to this share of what all pay is rounding."""

_DIRECT = 40_000
"""With up to so many numbers of load, one linear programme is the whole problem."""

_PARTS = 16
"""The parts of the users with cuts of their own."""

_KEPT = 12
"""The latest cuts, which are kept even if they do not bind."""

_SLOTS = 200
"""The most slots that are all in the programme from the begin; of more the highest, and whichever
would lower its value."""

_LEAST_FALL = 1e-6
"""A search ends when the bound can fall by no more than this share of what all pay."""

_UNBOXED = 15
"""The evaluations without a box at the end, which are for the coalition more than the bound."""

_JOINING = 64
"""The most slots that join a programme at a time."""

_NEAR = 1024
"""The users nearest to being undecided that are tried in and out of a coalition."""

_DRAWS = 4
"""How often a coalition is drawn from the mixture of the cuts' coalitions."""

_Bools = NDArray[np.bool_]
_Loads = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What is known of the complaints of all coalitions at some shares.

    Attributes:
        bound: no coalition's complaint is above this; 0 if none complains.
        slot_price_per_kwh: the prices lambda that prove the bound, (T,).
        complaint: the complaint of the worst coalition found; 0 if none complains.
        coalition: the users of that coalition, ascending; empty if none complains.
        rounding: a complaint up to this is none.
        evaluations: the number of passes over the users.
    """

    bound: float
    slot_price_per_kwh: FloatArray
    complaint: float
    coalition: IntArray
    rounding: float
    evaluations: int

    @property
    def is_certificate(self) -> bool:
        """Whether it is proven that no coalition would do better alone."""
        return self.bound <= self.rounding


def audit(
    load_kw: _Loads,
    share: FloatArray,
    cost: PooledCost,
    *,
    most_evaluations: int = 100,
    tolerance: float = 1e-2,
) -> Audit:
    """A bound on every coalition's complaint at shares (n,) of loads (n, T), and the worst found.

    The search ends when the bound can fall by no more than a share `tolerance` of itself, or by a
    millionth of what all pay, or after so many passes over the users; whatever its end, the bound
    holds.
    """
    search = _Search(load_kw, np.asarray(share, dtype=np.float64), cost)
    if search.bound > TOLERANCE * search.scale:
        search.improve(most_evaluations, tolerance)
        search.round()
    return Audit(
        bound=search.bound,
        slot_price_per_kwh=search.slot_price_per_kwh,
        complaint=search.complaint,
        coalition=np.flatnonzero(search.coalition),
        rounding=TOLERANCE * search.scale,
        evaluations=search.evaluations,
    )


def bound_at(
    load_kw: _Loads, share: FloatArray, cost: PooledCost, slot_price_per_kwh: FloatArray
) -> float:
    """The sum of what users pay above given slot prices: with an audit's prices, its bound."""
    over = share - cost.at_prices(load_kw, slot_price_per_kwh)
    return float(np.maximum(over, 0.0).sum())


@dataclass(slots=True)
class _Cut:
    """The members that pay too much at some prices, and each part's sums of shares and loads."""

    members: _Bools
    worths: FloatArray
    totals: FloatArray


@dataclass(slots=True)
class _Search:
    """Where the search stands: the best prices yet, the worst coalition yet, and the cuts."""

    load_kw: _Loads
    share: FloatArray
    cost: PooledCost
    bound: float = np.inf
    complaint: float = 0.0
    evaluations: int = 0
    scale: float = 0.0
    slot_price_per_kwh: FloatArray = field(init=False)
    coalition: _Bools = field(init=False)
    _margins: FloatArray = field(init=False)
    _edges: IntArray = field(init=False)
    _lines: tuple[FloatArray, FloatArray] = field(init=False)
    _q: FloatArray = field(init=False)
    _slots: IntArray = field(init=False)
    _cuts: list[_Cut] = field(default_factory=list)
    _belonging: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        count = self.load_kw.shape[0]
        everybody = total(self.load_kw)
        self.scale = float(np.abs(self.share).sum()) or 1.0
        parts = count if self.load_kw.size <= _DIRECT else min(count, _PARTS)
        self._edges = np.linspace(0, count, parts + 1).astype(np.int64)
        self.coalition = np.zeros(count, np.bool_)
        self._margins, self._belonging = np.zeros(count), np.zeros(count)
        schedule = self.cost.schedule
        most_u = 1.0 if schedule.is_stable else _most_u(self.load_kw, self.cost)
        self._lines = schedule.supports(most_u)
        # The prices that the shares would have by their own gradient are a good begin.
        a, b = self._lines
        u = self.cost.inverse_load_factor(everybody)
        line = np.argmax(a + b * u[:, None], axis=1)
        weights = self.cost.peak_weights(everybody)
        self._q = b[line][self.cost.block_of_slot] * weights
        self._slots = _highest(everybody, self.cost, weights)
        self._evaluate(a[line], self._q)
        self._cut_everybody()

    def improve(self, most: int, tolerance: float) -> None:
        """Lowers the bound until the cuts promise little more."""
        whole = self._edges.size - 1 == self.share.size
        reach = np.inf if whole else 0.2 * float(self._lines[1].max())
        failed, left = 0, most
        while left > 0:
            left -= 1
            a, q, promised = self._next(reach)
            fall = self.bound - promised
            if fall <= max(tolerance * self.bound, _LEAST_FALL * self.scale):
                if reach == np.inf:
                    break
                # Only cuts that promise little anywhere mix to a coalition that complains as much.
                reach, failed, left = np.inf, 0, min(left, _UNBOXED)
                continue
            before = self.bound
            value = self._evaluate(a, q)
            gained = before - value
            if gained >= 0.5 * fall:
                reach, failed = 2.0 * reach, 0
            elif gained < 0.1 * fall:
                failed += 1
                reach *= 0.5 if failed % 2 == 0 or gained < -fall else 1.0

    def round(self) -> None:
        """Looks for coalitions that complain as much as the mixture of those of the cuts.

        Each user's belonging to the mixture is the probability with which it is drawn, in random
        order at equal distances, so that sums come out almost as they are in the mixture. Then the
        users nearest to being undecided are tried in and out.
        """
        over = self.share - self.cost.at_prices(self.load_kw, self.slot_price_per_kwh)
        near = np.argsort(np.abs(over), kind="stable")[:_NEAR]
        generator = np.random.default_rng(0)
        starts = [self.coalition, over > 0.0, self._belonging > 0.5]
        for _ in range(_DRAWS):
            order = generator.permutation(over.size)
            passed = np.floor(np.cumsum(self._belonging[order]) + generator.random())
            drawn = np.zeros(over.size, np.bool_)
            drawn[order] = np.diff(passed, prepend=0.0) > 0.0
            starts.append(drawn)
        for start in starts:
            ended = climb(self.load_kw, self.share, self.cost, start, near)
            self._offer(ended, complaint(self.load_kw, self.share, self.cost, ended))

    def _evaluate(self, a: FloatArray, q: FloatArray) -> float:
        """The bound that numbers of the cut's programme prove; keeps the best, and the cuts."""
        cost = self.cost
        price = a[cost.block_of_slot] + cost.block_h[cost.block_of_slot] * q / cost.step_h
        parts, slots = self._edges.size - 1, q.size
        worths, totals = np.empty(parts), np.empty((parts, slots))
        value = best_members(
            self.load_kw,
            self.share,
            price * cost.step_h,
            self._edges,
            self._margins,
            totals,
            worths,
        )
        self.evaluations += 1
        members = self._margins > 0.0
        self._cuts.append(_Cut(members=members, worths=worths, totals=totals))
        if value < self.bound:
            self.bound, self.slot_price_per_kwh, self._q = value, price, q
        self._offer(members, float(worths.sum() - cost.value(totals.sum(axis=0))))
        return value

    def _cut_everybody(self) -> None:
        edges = self._edges[:-1]
        totals = np.add.reduceat(self.load_kw, edges, axis=0, dtype=np.float64)
        members, worths = np.ones(self.share.size, np.bool_), np.add.reduceat(self.share, edges)
        self._cuts.append(_Cut(members=members, worths=worths, totals=totals))

    def _offer(self, coalition: _Bools, found: float) -> None:
        """Keeps a coalition if it complains more than the worst one yet."""
        if found > max(self.complaint, TOLERANCE * self.scale):
            self.complaint, self.coalition = found, coalition.copy()

    def _next(self, reach: float) -> tuple[FloatArray, FloatArray, float]:
        """The line's price a of each span, q, and the value that the cuts promise there."""
        while True:
            outcome = Model(self._program(reach)).solve()
            if outcome.primal is None or outcome.row_dual is None:
                return self._lines[0][:1], self._q, self.bound
            missing = self._missing(outcome.row_dual)
            if missing.size == 0:
                break
            self._slots = np.union1d(self._slots, missing)
        a_lines, b_lines = self._lines
        spans, slots = self.cost.block_starts.size, self._slots
        mix = np.maximum(outcome.primal[: spans * a_lines.size].reshape(spans, -1), 0.0)
        mix /= mix.sum(axis=1, keepdims=True)
        q = np.zeros(self.cost.step_h.size)
        q[slots] = outcome.primal[mix.size : mix.size + slots.size]
        self._forget(outcome.row_dual)
        promised = outcome.termination.objective * self.scale
        return mix @ a_lines, self._sound(q, mix @ b_lines), promised

    def _missing(self, row_dual: FloatArray) -> IntArray:
        """The slots that are not in the programme and would lower its value most."""
        cost, spans = self.cost, self.cost.block_starts.size
        if self._slots.size == cost.step_h.size:
            return np.zeros(0, np.int64)
        totals = np.concatenate([cut.totals for cut in self._cuts]) / self.scale
        first = row_dual.size - totals.shape[0]
        reduced = -(row_dual[first:] @ totals) * cost.block_h[cost.block_of_slot]
        reduced -= row_dual[spans + cost.block_of_slot] + row_dual[2 * spans + cost.day_of_slot]
        reduced[self._slots] = 0.0
        order = np.argsort(reduced, kind="stable")[:_JOINING]
        return order[reduced[order] < -TOLERANCE]

    def _sound(self, q: FloatArray, b: FloatArray) -> FloatArray:
        """The q with what the programme left beyond its limits by rounding taken off."""
        cost = self.cost
        q = np.maximum(q, 0.0)
        each = b[cost.block_of_slot[cost.day_starts]] / self._top_count
        for starts, of_slot, most in (
            (cost.day_starts, cost.day_of_slot, each),
            (cost.block_starts, cost.block_of_slot, b),
        ):
            sums = np.add.reduceat(q, starts)
            q = q * np.minimum(1.0, most / np.where(sums > 0.0, sums, 1.0))[of_slot]
        return q

    @property
    def _top_count(self) -> int:
        peak = self.cost.peak
        return peak.count if peak.mode is PeakMode.MEAN_OF_TOP_PEAKS else 1

    def _forget(self, row_dual: FloatArray) -> None:
        """Drops cuts without a dual, but for the latest ones and the one of everybody.

        The duals are the weights of the cuts' coalitions in the mixture that complains most.
        """
        parts = self._edges.size - 1
        duals = np.abs(row_dual[row_dual.size - len(self._cuts) * parts :])
        duals = duals.reshape(len(self._cuts), parts)
        used = duals.max(axis=1) > 0.0
        self._belonging[:] = 0.0
        for cut, weights in zip(self._cuts, duals, strict=True):
            self._belonging += np.repeat(weights, np.diff(self._edges)) * cut.members
        used[1] = used[-_KEPT:] = True
        self._cuts = [cut for cut, keep in zip(self._cuts, used, strict=True) if keep]

    def _program(self, reach: float) -> Program:
        """Minimise the sum of all parts' values subject to the cuts, money as shares of the cost.

        Columns: the mix of lines of each span, q of each slot, the value of each part. Rows: each
        span's mix, each span's q, each day's q, then all cuts.
        """
        cost, (a, b) = self.cost, self._lines
        spans, days, slots = cost.block_starts.size, cost.day_starts.size, self._slots.size
        parts, lines = self._edges.size - 1, a.size
        mixed, valued = spans * lines, spans * lines + slots
        head = np.zeros((2 * spans + days, valued + parts))
        span_of_line = np.repeat(np.arange(spans), lines)
        head[span_of_line, np.arange(mixed)] = 1.0
        head[spans + span_of_line, np.arange(mixed)] = -np.tile(b, spans)
        head[spans + cost.block_of_slot[self._slots], mixed + np.arange(slots)] = 1.0
        head[2 * spans + cost.day_of_slot[self._slots], mixed + np.arange(slots)] = 1.0
        span_of_day = cost.block_of_slot[cost.day_starts]
        of_day = head[2 * spans :, :mixed]
        own_line = span_of_day[:, None] == span_of_line
        of_day[:] = own_line * -np.tile(b, spans) / self._top_count
        totals = np.concatenate([cut.totals for cut in self._cuts]) / self.scale
        energy = cost.energy_kwh(totals)
        tail = np.zeros((totals.shape[0], valued + parts))
        tail[:, :mixed] = energy[:, span_of_line] * np.tile(a, spans)
        tail[:, mixed:valued] = (totals * cost.block_h[cost.block_of_slot])[:, self._slots]
        tail[np.arange(totals.shape[0]), valued + np.tile(np.arange(parts), len(self._cuts))] = 1.0
        worths = np.concatenate([cut.worths for cut in self._cuts]) / self.scale
        matrix = np.concatenate((head, tail))
        at, column = np.nonzero(matrix)
        columns = matrix.shape[1]
        low, high = np.zeros(columns), np.full(columns, np.inf)
        low[mixed:valued] = np.maximum(0.0, self._q[self._slots] - reach)
        high[mixed:valued] = self._q[self._slots] + reach
        ones, none = np.ones(spans), np.full(spans + days, -np.inf)
        return Program(
            cost=np.append(np.zeros(valued), np.ones(parts)),
            low=low,
            high=high,
            row_low=np.concatenate((ones, none, worths)),
            row_high=np.concatenate((ones, np.zeros(spans + days), np.full(worths.size, np.inf))),
            matrix=compressed(at, column, matrix[at, column], columns),
            integer=np.zeros(columns, np.bool_),
        )


def complaint(load_kw: _Loads, share: FloatArray, cost: PooledCost, coalition: _Bools) -> float:
    """What the users of a coalition, marked (n,), pay above what they would pay alone."""
    return float(share[coalition].sum() - cost.value(total(load_kw[coalition])))


def climb(
    load_kw: _Loads, share: FloatArray, cost: PooledCost, coalition: _Bools, candidates: IntArray
) -> _Bools:
    """The coalition after letting one candidate at a time in or out, as long as it complains more.

    It never becomes empty, nor all users unless it was.
    """
    chosen = coalition.copy()
    own, pays = load_kw[candidates].astype(np.float64), share[candidates]
    together, paid = total(load_kw[chosen]), float(share[chosen].sum())
    best = paid - float(cost.value(together))
    for _ in range(4 * candidates.size):
        sign = np.where(chosen[candidates], -1.0, 1.0)
        # Rounding must not leave a little less than nothing.
        totals = np.maximum(together + sign[:, None] * own, 0.0)
        found = paid + sign * pays - cost.value(totals)
        size = int(chosen.sum())
        found[(size + sign == 0) | (size + sign == share.size)] = -np.inf
        at = int(np.argmax(found))
        if found[at] <= best + 1e-12 * abs(best):
            break
        best, together, paid = float(found[at]), totals[at], paid + float(sign[at] * pays[at])
        chosen[candidates[at]] ^= True
    return chosen


def _most_u(load_kw: _Loads, cost: PooledCost) -> float:
    """The largest 1 / load factor of a user, which no coalition's exceeds."""
    return max(float(cost.inverse_load_factor(own).max()) for _, own in widened(load_kw))


def _highest(total_kw: FloatArray, cost: PooledCost, weights: FloatArray) -> IntArray:
    """The slots that a programme begins with, ascending: each day's peaks among them."""
    if total_kw.size <= _SLOTS:
        return np.arange(total_kw.size)
    peaks = np.maximum.reduceat(total_kw, cost.day_starts)[cost.day_of_slot]
    wanted = (total_kw >= peaks) | (weights > 0.0)
    wanted[np.argsort(total_kw, kind="stable")[-_SLOTS // 2 :]] = True
    return np.flatnonzero(wanted)
