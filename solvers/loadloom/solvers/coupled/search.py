"""Plans near the bound: choosers respond to each other while what is missing grows dear.

At the best prices many choosers are all but indifferent, and each decides alone; together they
overshoot some rows and miss others. So every row is given a price that rises with what it lacks,
gently at first, so that those who come later find room to agree, and ever more steeply, until
missing costs its penalty and spare is worth nothing. Each response is exact. Seen: 0.04 % above the
bound with 10,000 choosers and 56 rows after 16 passes, where steep prices at once end at 2.7 %.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.coupled.dual import Bundle
from loadloom.solvers.coupled.oracle import Answer, Oracle, Rows
from loadloom.solvers.kernels.choosers import Codes, Floats

COOLEST, COOLING = 0.2, 0.7
"""How far away from its demand a row is last priced softly, in units of a typical relief, and by
how much less so from pass to pass."""

MANY, QUICK_COOLING = 4_000, 0.5
"""From so many choosers on a pass takes long, and each row has more of them to even out errors."""

_AT_ONCE = 1_000  # choosers between two looks at the clock
_SETTLED = 1e-7
_LEAST_PRICE = 1e-3  # of a row, as a share of its penalty, for its softness


@dataclass(slots=True, kw_only=True)
class Search:
    """A search for plans: what it works on, and the best answer yet.

    `unit` is a typical relief, `step_s` the seconds that a step of annealing took in the last run,
    `steps` those of all runs.
    """

    oracle: Oracle
    rows: Rows
    race: Race
    prices: Floats
    random: np.random.Generator
    best: Answer
    value: float
    unit: float = 0.0
    step_s: float = 0.0
    steps: int = 0

    def keep(self, answer: Answer, phase: str) -> bool:
        """Whether an answer is the best yet."""
        value = answer.cost + self.rows.cost(answer.activity)
        if value >= self.value:
            return False
        self.best, self.value = answer, value
        self.race.found(value, phase, answer)
        return True


def hottest(count: int) -> float:
    """How far away from its demand a row of so many choosers is first priced softly.

    Seen with 10,000 choosers: 0.30 % above the bound from 32 reliefs on, 0.12 % from 128, 0.04 %
    from 2,048.
    """
    return max(64.0, 0.2 * count)


def value_of(answer: Answer, rows: Rows) -> float:
    """What an answer and the rows it leaves short cost."""
    return answer.cost + rows.cost(answer.activity)


def typical_relief(answer: Answer, oracle: Oracle) -> float:
    """About how much one window relieves one row."""
    taken = int((answer.patterns >= 0).sum())
    turns = max(1, oracle.turns.mode.shape[1])
    rows = answer.activity[: oracle.line_rows]
    if not taken or not rows.size:
        return max(1e-9, float(oracle.turns.cap.mean()) if oracle.turns.cap.size else 1.0)
    return max(1e-9, float(rows.max()) * turns / taken / 4.0)


def mixed(bundle: Bundle, count: int, random: np.random.Generator) -> Codes:
    """A pattern for every chooser, drawn from the cuts by their weights."""
    parts = bundle.weights.shape[0]
    ends = np.linspace(0, count, parts + 1).astype(int)
    edges = np.repeat(np.cumsum(bundle.weights, axis=1), np.diff(ends), axis=0)
    drawn = (edges <= random.random((count, 1)) * edges[:, -1:]).sum(axis=1)
    drawn = np.minimum(drawn, edges.shape[1] - 1)
    patterns = np.empty_like(bundle.cuts[0].patterns)
    for cut in np.unique(drawn):
        mine = drawn == cut
        patterns[mine] = bundle.cuts[cut].patterns[mine]
    return patterns


def cooled(search: Search, answer: Answer, heat: float) -> Answer:
    """An answer after passes of responses to ever steeper prices, then to the penalties alone."""
    oracle, rows = search.oracle, search.rows
    price = np.clip(search.prices, _LEAST_PRICE * rows.penalty, rows.penalty)
    price = np.maximum(price, 1e-12)
    cooling = QUICK_COOLING if oracle.count >= MANY else COOLING
    while heat > COOLEST and not search.race.over:
        begun_s = search.race.budget.seconds
        steep = price / (heat * search.unit)
        answer = _passed(search, answer, (np.minimum(price, rows.penalty), steep))
        heat *= min(cooling, _in_time(search, heat, search.race.budget.seconds - begun_s))
    return settled(search, answer)


def _in_time(search: Search, heat: float, pass_s: float) -> float:
    """The cooling with which the passes that are left fit into most of the time that is left."""
    budget = search.race.budget
    if not budget.timed or pass_s <= 0.0:
        return 1.0
    passes = max(2.0, 0.7 * budget.left_s / pass_s)
    return float((COOLEST / heat) ** (1.0 / passes)) if heat > COOLEST else 1.0


def _passed(search: Search, answer: Answer, soft: tuple[Floats, Floats] | None) -> Answer:
    """The answer after every chooser has responded once, or as many as time allowed."""
    order = search.random.permutation(search.oracle.count)
    for begin in range(0, order.size, _AT_ONCE):
        if begin and search.race.budget.spent():
            break
        part = order[begin : begin + _AT_ONCE]
        answer = search.oracle.respond(answer, search.rows, part, soft)
    return answer


def settled(search: Search, answer: Answer) -> Answer:
    """An answer to which no chooser alone knows a better response."""
    before = value_of(answer, search.rows)
    while True:
        answer = _passed(search, answer, None)
        after = value_of(answer, search.rows)
        if before - after <= _SETTLED * max(1.0, abs(after)) or search.race.over:
            return answer
        before = after
