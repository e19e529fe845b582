"""The statements of a settlement between columns and messages, some thousand at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from google.protobuf.message import Message

from loadloom.engine.convert import common
from loadloom.engine.convert.agency import MODES, RULES, peak, purchase, schedule
from loadloom.engine.settings import Limits
from loadloom.engine.store.settlements import Chunk
from loadloom.models.agency.cost import Rates
from loadloom.models.agency.figures import Figures
from loadloom.models.agency.problem import (
    Currency,
    Curves,
    IntArray,
    Problem,
    Purchase,
    SharingRule,
)
from loadloom.models.agency.settle import Settlement
from loadloom.models.agency.sheet import Line
from loadloom.models.agency.statement import Statement, statement
from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import from_series, packed, to_matrix

CHUNK, CHUNK_BYTES = 2_000, 2**20
"""The statements of a chunk, and about its size: to read one of them costs some milliseconds."""

MOST_PRICED = 20_000_000
"""The most energies at single prices that a settlement keeps, of all users: 160 MB."""

MOST_PRICES = 10_000
"""The most prices that a statement has a line for: a year of hours, some megabytes of text."""

AT_ONCE = 4_000_000
"""The values of curves that are sorted by price at once: 32 MB."""

_KEPT = Limits(intervals=2**32)
"""What was settled is told, whatever this server takes by now."""

_OTHERS = "all others"

_COLUMNS = {
    "energy_kwh": "energy_kwh",
    "contribution": "contribution",
    "unit_contribution_per_kwh": "unit_contribution",
    "cost_share": "share",
    "bill": "bill",
    "benefit_per_kwh": "benefit_per_kwh",
    "price_per_kwh": "price_per_kwh",
}
"""The columns of numbers of the message, and their names in the model."""

_MINOR = {
    "cost_share_minor": "share_minor",
    "bill_minor": "bill_minor",
    "prepaid_minor": "prepaid_minor",
    "refund_minor": "refund_minor",
}
"""The columns of minor units of the message, and their names in the model."""

_SERIES = (*_COLUMNS, "coincident_kw", "highest_price_per_kwh", "alone")
_UNITS = (*_MINOR, "bill_change_minor")
_MATRICES = ("span_energy_kwh", "span_coincident_kw", "price_energy_kwh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the statements said that a correction follows, by the names of the users.

    Attributes:
        users: the names, in order.
        prepaid_minor, bill_minor: what each had paid and owed, in minor units.
    """

    users: tuple[str, ...]
    prepaid_minor: IntArray
    bill_minor: IntArray


def in_order(names: Sequence[str]) -> IntArray:
    """The indices of names in the order of their characters, which is that of their bytes."""
    if all(a < b for a, b in pairwise(names)):
        return np.arange(len(names))
    return np.array(sorted(range(len(names)), key=names.__getitem__))


def chunks(
    problem: Problem, settlement: Settlement, alone: FloatArray | None, before: Before | None
) -> list[Chunk]:
    """The statements of a settlement by the names of the users, as they are kept."""
    names = problem.curves.names
    order = in_order(names)
    columns = _numbers(problem, settlement, alone)
    units = {name: getattr(settlement, ours) for name, ours in _MINOR.items()}
    if before is not None:
        change = np.empty(order.size, np.int64)
        change[order] = settlement.bill_minor[order] - before.bill_minor
        units["bill_change_minor"] = change
    matrices = _matrices(problem, settlement)
    figures = len(columns) + len(units) + sum(matrix.shape[1] for matrix in matrices.values())
    size = max(1, min(CHUNK, CHUNK_BYTES // (8 * figures)))
    found = []
    for first in range(0, order.size, size):
        place = order[first : first + size]
        users = pb.Statements(users=[names[user] for user in place.tolist()])
        message = pb.Statements()
        for name, column in columns.items():
            getattr(message, name).MergeFromString(packed(column[place]))
        for name, column in units.items():
            getattr(message, name).extend(column[place].tolist())
        for name, matrix in matrices.items():
            getattr(message, name).CopyFrom(to_matrix(matrix[place]))
        found.append(
            Chunk(
                first_place=first,
                user_count=place.size,
                first_user=users.users[0].encode(),
                last_user=users.users[-1].encode(),
                users=users.SerializeToString(),
                statements=message.SerializeToString(),
            )
        )
    return found


def _numbers(
    problem: Problem, settlement: Settlement, alone: FloatArray | None
) -> dict[str, FloatArray]:
    found = {name: getattr(settlement, ours) for name, ours in _COLUMNS.items()}
    found["coincident_kw"] = settlement.figures.user_peak_kw.mean(axis=1)
    found["highest_price_per_kwh"] = problem.highest_prices_per_kwh
    return found if alone is None else {**found, "alone": alone}


def _matrices(problem: Problem, settlement: Settlement) -> dict[str, FloatArray]:
    figures, found = settlement.figures, {}
    if figures.hours.size > 1:
        found["span_energy_kwh"] = figures.user_energy_kwh
        found["span_coincident_kw"] = figures.user_peak_kw
    if tells_prices(problem):
        found["price_energy_kwh"] = _energy_by_price(problem)
    return found


def tells_prices(problem: Problem) -> bool:
    """Whether statements tell the energy at each slot price of a purchase."""
    if problem.purchase is None:
        return False
    count = np.unique(problem.purchase.slot_price_per_kwh).size
    return count <= MOST_PRICES and count * problem.curves.count <= MOST_PRICED


def _energy_by_price(problem: Problem) -> FloatArray:
    """The energy of each user at each price, in the order of the prices, (n, prices).

    Slots are sorted by price and added up where it stays the same: a matrix that says which slot
    has which price would be as wide as the slots are many, and as high.
    """
    if problem.purchase is None:
        raise ValueError("a settlement without a purchase has no slot prices")
    curves = problem.curves
    price, index = np.unique(problem.purchase.slot_price_per_kwh, return_inverse=True)
    order = np.argsort(index, kind="stable")
    first = np.searchsorted(index[order], np.arange(price.size))
    step_h = curves.horizon.step_h[order]
    found = np.empty((curves.count, price.size))
    rows = max(1, AT_ONCE // order.size)
    for user in range(0, curves.count, rows):
        energy = curves.load_kw[user : user + rows, order] * step_h
        np.add.reduceat(energy, first, axis=1, out=found[user : user + rows])
    return found


def page(kept: Iterable[Chunk], first: int, size: int, most_bytes: int) -> pb.Statements:
    """The statements from a place on, of the chunks that hold them: one at least, if there is one.

    They are fewer than asked for where more would have more than about `most_bytes`.
    """
    found = pb.Statements()
    for chunk in kept:
        begin = max(0, first - chunk.first_place)
        room = (most_bytes - found.ByteSize()) * chunk.user_count // chunk.size
        more = min(size - len(found.users), max(room, 0 if found.users else 1))
        end = min(chunk.user_count, begin + more)
        if end > begin:
            _append(found, _message(chunk), slice(begin, end))
        if end < chunk.user_count:
            break
    return found


def _message(chunk: Chunk) -> pb.Statements:
    """The statements of a chunk: bytes of messages that follow each other are merged."""
    return pb.Statements.FromString(chunk.users + chunk.statements)


def _append(found: pb.Statements, its: pb.Statements, rows: slice) -> None:
    found.users.extend(its.users[rows])
    for name in _SERIES:
        if _has(its, name):
            chosen = from_series(getattr(its, name))[rows]
            getattr(found, name).MergeFromString(packed(chosen))
    for name in _UNITS:
        getattr(found, name).extend(getattr(its, name)[rows])
    for name in _MATRICES:
        if _has(its, name):
            chosen = _matrix(its, name)[rows]
            matrix = getattr(found, name)
            matrix.rows, matrix.cols = matrix.rows + chosen.shape[0], chosen.shape[1]
            matrix.values.MergeFromString(packed(chosen))


def _has(message: Message, name: str) -> bool:
    """Whether a field of that name is there."""
    return message.HasField(name)


def _matrix(its: pb.Statements, name: str) -> FloatArray:
    matrix = getattr(its, name)
    return from_series(matrix.values).reshape(matrix.rows, matrix.cols)


def before(kept: Iterable[Chunk]) -> Before:
    """What all statements of a settlement said, for a correction of it."""
    users: list[str] = []
    prepaid, bills = [], []
    for chunk in kept:
        its = _message(chunk)
        users.extend(its.users)
        prepaid.append(np.array(its.prepaid_minor, np.int64))
        bills.append(np.array(its.bill_minor, np.int64))
    return Before(
        users=tuple(users),
        prepaid_minor=np.concatenate(prepaid),
        bill_minor=np.concatenate(bills),
    )


def holds(users: bytes, user: str) -> bool:
    """Whether a user is among those of a chunk."""
    return user in pb.Statements.FromString(users).users


def of_user(header: pb.Settlement, chunk: Chunk, user: str) -> pb.Statement | None:
    """The statement of a user with its formulas, if its chunk holds it."""
    if not holds(chunk.users, user):
        return None
    its = _message(chunk)
    row = pb.Statements()
    place = list(its.users).index(user)
    _append(row, its, slice(place, place + 1))
    view = _View(header=header, row=row)
    alone = from_series(row.alone)
    found = statement(view.problem(), view.settlement(), 0, float(alone[0]) if alone.size else None)
    return _rendered(header, row, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A settlement as its statements tell it: two users, one and all others.

    Loads are not kept, so the curves are stand-ins: of a purchase, curves with the same energy at
    each price. All other figures are those that were kept.
    """

    header: pb.Settlement
    row: pb.Statements

    def settlement(self) -> Settlement:
        """The settlement, with a row for the user and one for the others."""
        header, row = self.header, self.row
        spans = header.spans
        energy = self._spanned("span_energy_kwh", "energy_kwh")
        at_peak = self._spanned("span_coincident_kw", "coincident_kw")
        start = [span.first_interval for span in spans]
        start.append(spans[-1].first_interval + spans[-1].interval_count)
        pooled = np.array([span.energy_kwh for span in spans])
        weighed = np.array([span.weighed_peak_kw for span in spans])
        scale = self._currency().scale
        numbers: dict[str, Any] = {
            ours: self._pair(from_series(getattr(row, n))[0]) for n, ours in _COLUMNS.items()
        }
        units: dict[str, Any] = {
            ours: self._units(getattr(row, name)[0]) for name, ours in _MINOR.items()
        }
        rates = Rates(
            price_per_kwh=np.array([span.price_per_kwh for span in spans]),
            per_kwh=np.array([span.rate_per_kwh for span in spans]),
            per_kw=np.array([span.rate_per_kw for span in spans]),
        )
        return Settlement(
            rule=RULES[header.terms.rule],
            rule_words=header.rule_detail,
            is_exact=not header.is_estimate,
            figures=Figures(
                total_kw=from_series(header.total_kw),
                first_slot=np.array(start),
                hours=np.array([span.hours for span in spans]),
                energy_kwh=pooled,
                peak_kw=np.array([span.peak_kw for span in spans]),
                load_factor=np.array([span.load_factor for span in spans]),
                user_energy_kwh=np.array([energy, pooled - energy]),
                user_peak_kw=np.array([at_peak, weighed - at_peak]),
            ),
            rates=rates if RULES[header.terms.rule] is SharingRule.AUMANN_SHAPLEY else None,
            cost=header.cost,
            rent=header.purchase.rent,
            profit=header.profit_minor / scale,
            benefit=header.benefit_minor / scale,
            cost_minor=header.cost_minor,
            rent_minor=header.rent_minor,
            profit_minor=header.profit_minor,
            **numbers,
            **units,
        )

    def problem(self) -> Problem:
        """The problem: its terms, with curves that stand in."""
        header, row, terms = self.header, self.row, self.header.terms
        axis = common.grid(header.grid, _KEPT).horizon
        highest = from_series(row.highest_price_per_kwh)[0]
        name = row.users[0]
        found: list[Violation] = []
        prepaid = np.array([row.prepaid_minor[0], 0], np.int64)
        return Problem(
            curves=Curves(
                names=(name, _OTHERS if name != _OTHERS else f"{_OTHERS} of them"),
                load_kw=self._curves(axis),
                horizon=axis,
            ),
            highest_price_per_kwh=np.array([highest, highest]),
            currency=self._currency(),
            schedule=schedule("price", header.price, found) if header.HasField("price") else None,
            purchase=self._purchase(axis.count),
            profit_rate=terms.profit_rate,
            prepaid_minor=None if header.prepaid_by_price else prepaid,
            mode=MODES[terms.mode],
            rule=RULES[terms.rule],
            peak=peak(terms.sharing),
        )

    def _purchase(self, count: int) -> Purchase | None:
        if not self.header.HasField("purchase"):
            return None
        return purchase("purchase", self.header.purchase, count, [])

    def _curves(self, axis: Horizon) -> FloatArray:
        """Loads of the user that have its energy at each price; zeros where that is not told."""
        load_kw = np.zeros((2, axis.count))
        if self.row.HasField("price_energy_kwh"):
            energy = from_series(self.row.price_energy_kwh.values)
            price = from_series(self.header.purchase.slot_price_per_kwh)
            _, index = np.unique(np.broadcast_to(price, (axis.count,)), return_inverse=True)
            hours = np.bincount(index, weights=axis.step_h)
            load_kw[0] = (energy / hours)[index]
        return load_kw

    def _spanned(self, matrix: str, column: str) -> FloatArray:
        """A figure of the user in each span."""
        name = matrix if _has(self.row, matrix) else column
        its = getattr(self.row, name)
        return from_series(its.values if name == matrix else its)

    def _currency(self) -> Currency:
        terms = self.header.terms
        return Currency(code=terms.currency_code, minor_digits=terms.minor_digits)

    def _pair(self, value: float) -> FloatArray:
        return np.array([value, 0.0])

    def _units(self, value: int) -> IntArray:
        return np.array([value, 0], np.int64)


def _rendered(header: pb.Settlement, row: pb.Statements, found: Statement) -> pb.Statement:
    """The statement as a message."""
    single = {name: from_series(getattr(row, name))[0] for name in _SERIES if _has(row, name)}
    units = {name: getattr(row, name)[0] for name in _UNITS if getattr(row, name)}
    del single["bill"]
    units.pop("cost_share_minor", None)
    peak_kw = np.mean([span.weighed_peak_kw for span in header.spans])
    return pb.Statement(
        settlement=header.name,
        user=row.users[0],
        currency_code=header.terms.currency_code,
        minor_digits=header.terms.minor_digits,
        energy_share=_share(single["energy_kwh"], header.energy_kwh),
        peak_share=_share(single["coincident_kw"], float(peak_kw)),
        corrects=header.corrects,
        lines=[_line(line) for line in (*found.public, *found.own)],
        text=found.text,
        **single,
        **units,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0


def _line(line: Line) -> pb.FormulaLine:
    return pb.FormulaLine(
        term=line.term, expression=line.expression, value=line.value, unit=line.unit
    )
