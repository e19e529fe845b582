"""Requests to settle, read into problems, and what settlements come to, written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from loadloom.engine.answers.files import Files
from loadloom.engine.convert import agency, common
from loadloom.engine.convert.common import Grid
from loadloom.engine.convert.data_sets import data_set
from loadloom.engine.convert.statements import Before, tells_prices
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.store import settlements as store
from loadloom.engine.task import Task
from loadloom.models.agency.explain import Outcome
from loadloom.models.agency.figures import pooled_cost
from loadloom.models.agency.money import to_nearest
from loadloom.models.agency.prices import affine
from loadloom.models.agency.problem import (
    Currency,
    Curves,
    Mode,
    Problem,
    SharingRule,
    check_prepaid,
    check_prices,
)
from loadloom.models.agency.refunds import NO_PRICE
from loadloom.models.agency.settle import Settlement
from loadloom.models.checks import Checks, InvalidProblem, Violation
from loadloom.models.options import SolveOptions
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import from_series, to_series

DIGITS = 2
"""The digits after the point of a currency that does not say."""

MOST_NAMED = 100
"""The most users that a settlement names for one reason: negative refunds, or a coalition."""

_PATHS = (
    (re.compile(r"^(highest_price_per_kwh|profit_rate|rule)(?=\[|$)"), r"terms.\1"),
    (re.compile(r"^currency\.code$"), "terms.currency_code"),
    (re.compile(r"^currency\.minor_digits$"), "terms.minor_digits"),
    (re.compile(r"^peak\.count$"), "terms.sharing.peak_count"),
    (re.compile(r"^schedule$"), "price"),
    (re.compile(r"^prepaid$"), "prepaid_minor"),
    (re.compile(r"^(shares|bills|rent)$"), "terms"),
)
"""Where a field of the model has another name than that of the message."""

_CURVES = re.compile(r"^curves(\.(names|load_kw)(\[.*)?)?$")
"""The paths of curves in the model; one of a file may begin with the same word."""

_UNTOLD = (
    "The statements do not tell the energy at each of the slot prices, as there would be too many "
    "figures: they tell the cost share without its formula."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What a request to settle asks for.

    Attributes:
        request: the request of the first settlement, without its curves.
        axis: its intervals.
        curves: the readings; None where files have them.
        files: the files; None where the request has the readings.
        before: what the settlement before said, of a correction.
        most_points, most_users: how much files may hold.
        single: whether the message has its loads as floats.
    """

    request: pb.CreateSettlementRequest
    axis: Grid
    curves: Curves | None
    files: Files | None
    before: Before | None = None
    most_points: int
    most_users: int
    single: bool = False

    @property
    def user_count(self) -> int:
        """The number of users; 0 where files have them."""
        return 0 if self.curves is None else self.curves.count

    def problem(self, curves: Curves) -> Problem:
        """The problem with these curves.

        Raises:
            InvalidProblem: it breaks rules, with the paths of the message.
        """
        request, terms = self.request, self.request.terms
        found: list[Violation] = []
        price = its = None
        if request.HasField("purchase"):
            count = self.axis.horizon.count
            its = agency.purchase("purchase", request.purchase, count, found)
        else:  # one that is left out is refused by the rules of the proto, in better words
            price = agency.schedule("price", request.price, found) or affine(0.0, 0.0)
        digits = terms.minor_digits if terms.HasField("minor_digits") else DIGITS
        if found:
            raise InvalidProblem(found)
        highest = from_series(terms.highest_price_per_kwh)
        try:
            return Problem(
                curves=curves,
                highest_price_per_kwh=highest[0] if highest.size == 1 else highest,
                currency=Currency(code=terms.currency_code, minor_digits=digits),
                schedule=price,
                purchase=its,
                profit_rate=terms.profit_rate,
                prepaid_minor=self._prepaid(curves),
                mode=agency.MODES.get(terms.mode, Mode.BENEFIT_SHARE),
                rule=agency.shared_by([terms.rule], its is None)[0],
                peak=agency.peak(terms.sharing),
            )
        except InvalidProblem as error:
            raise InvalidProblem(map(self.renamed, error.violations)) from error

    def _prepaid(self, curves: Curves) -> np.ndarray | None:
        """What each user paid beforehand; of a correction, what the statements before say."""
        if self.before is not None:
            place = {name: index for index, name in enumerate(self.before.users)}
            return self.before.prepaid_minor[[place[name] for name in curves.names]]
        given = self.request.prepaid_minor
        return np.array(given, np.int64) if given else None

    def check_users(self, names: Sequence[str]) -> None:
        """Checks that a correction is of the users of the settlement before.

        Raises:
            InvalidProblem: it is not.
        """
        if self.before is None or set(names) == set(self.before.users):
            return
        missing = len(set(self.before.users) - set(names))
        more = len(set(names) - set(self.before.users))
        said = (
            f"are not those of the settlement: {missing} are missing, and {more} are new; a "
            "correction has the same users"
        )
        raise InvalidProblem([Violation("data_set" if self.files else "curves.names", said)])

    def renamed(self, violation: Violation) -> Violation:
        """The violation at the path of the message."""
        path = violation.path
        for pattern, name in _PATHS:
            path = pattern.sub(name, path)
        if self.files is not None:
            path = _CURVES.sub("data_set", path)
        elif self.single:
            path = path.replace("curves.load_kw", "curves.load_kw_float32")
        return Violation(path, violation.message)


def parse(message: pb.CreateSettlementRequest, limits: Limits, *, roots: Roots) -> Task[Settling]:
    """What a request to settle asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    axis = agency.horizon(message.grid, limits, found)
    prices = message.terms.highest_price_per_kwh.values
    check_users("curves.names", len(message.curves.names), limits)
    check_users("terms.highest_price_per_kwh", len(prices), limits)
    check_users("prepaid_minor", len(message.prepaid_minor), limits)
    curves = files = None
    if message.HasField("curves"):
        curves = agency.curves("curves", message.curves, axis, found)
    elif message.HasField("data_set"):
        currency = message.terms.currency_code
        files = data_set(message.data_set, roots, found, currency=currency)
    asked = asked_for(message, axis, curves, files, limits)
    if axis.count is not None:
        found.extend(faults_of(asked))
    for name in ("grid", "terms"):
        found = found if message.HasField(name) else agency.without(name, found)
    return task_of(common.accepted(asked, common.declared(message), found))


def check_users(path: str, count: int, limits: Limits) -> None:
    """Checks that there are not too many users, or values of theirs, for a settlement.

    Raises:
        Refusal: there are.
    """
    most = limits.settlement_users
    if count > most:
        raise refusal.too_large(path, "users of a settlement", count, most)


def asked_for(
    request: pb.CreateSettlementRequest,
    axis: Grid,
    curves: Curves | None,
    files: Files | None,
    limits: Limits,
    before: Before | None = None,
) -> Settling:
    """What is asked for, the request without its readings."""
    its = pb.CreateSettlementRequest()
    for name in ("title", "grid", "price", "purchase", "terms"):
        if name == "title":
            its.title = request.title
        elif request.HasField(name):
            getattr(its, name).CopyFrom(getattr(request, name))
    if before is None:
        its.prepaid_minor.extend(request.prepaid_minor)
    single = request.curves.HasField("load_kw_float32")
    return Settling(
        request=its,
        axis=axis,
        curves=curves,
        files=files,
        before=before,
        most_points=limits.curve_points,
        most_users=limits.settlement_users,
        single=single,
    )


def task_of(asked: Settling) -> Task[Settling]:
    """The task that settles."""
    seed = asked.request.terms.sharing.seed
    return Task(problem=asked, options=SolveOptions(seed=seed), detail=0)


def faults_of(asked: Settling) -> list[Violation]:
    """What is wrong with a settlement; of readings in files, or at fault themselves, nothing."""
    if asked.curves is not None:
        return _faults(asked, asked.curves)
    return [*_faults_of_columns(asked), *_faults(_without_columns(asked), _stand_in(asked))]


def _faults(asked: Settling, curves: Curves) -> list[Violation]:
    try:
        asked.problem(curves)
    except InvalidProblem as error:
        return list(error.violations)
    return []


def _faults_of_columns(asked: Settling) -> list[Violation]:
    """What is wrong with prices and prepayments of users who are not known yet."""
    request, checks = asked.request, Checks()
    prices = from_series(request.terms.highest_price_per_kwh)
    count = max(prices.size, len(request.prepaid_minor), 1)
    check_prices(checks, prices[0] if prices.size == 1 else prices, count)
    if request.prepaid_minor:
        check_prepaid(checks, np.array(request.prepaid_minor, np.int64), count)
    return [asked.renamed(violation) for violation in checks.violations]


def _without_columns(asked: Settling) -> Settling:
    """The same for a single user: curves of as many as there are prices may not fit in memory."""
    request = pb.CreateSettlementRequest()
    request.CopyFrom(asked.request)
    request.ClearField("prepaid_minor")
    request.terms.highest_price_per_kwh.values[:] = [0.0]
    return replace(asked, request=request)


def _stand_in(asked: Settling) -> Curves:
    """The curve of a user without a load."""
    horizon = asked.axis.horizon
    return Curves(names=("nobody",), load_kw=np.zeros((1, horizon.count)), horizon=horizon)


def header(
    asked: Settling,
    problem: Problem,
    settlement: Settlement,
    outcome: Outcome,
) -> pb.Settlement:
    """What a settlement comes to, without its statements, its name and the time it was made."""
    figures, scale = settlement.figures, problem.currency.scale
    energy, hours = float(figures.energy_kwh.sum()), float(figures.hours.sum())
    peak_kw = float(figures.total_kw.max())
    benefit = int(to_nearest(np.array(settlement.benefit * scale)))
    found = pb.Settlement(
        title=asked.request.title,
        grid=asked.request.grid,
        user_count=problem.curves.count,
        energy_kwh=energy,
        peak_kw=peak_kw,
        peak_intervals=np.flatnonzero(pooled_cost(problem).peak_weights(figures.total_kw)).tolist(),
        load_factor=energy / (hours * peak_kw) if peak_kw > 0.0 else 1.0,
        price_per_kwh=settlement.cost / energy if energy > 0.0 else 0.0,
        total_kw=to_series(figures.total_kw),
        cost=settlement.cost,
        cost_minor=settlement.cost_minor,
        rent_minor=settlement.rent_minor,
        highest_minor=benefit + settlement.cost_minor + settlement.rent_minor,
        benefit_minor=benefit,
        profit_minor=settlement.profit_minor,
        bill_minor=int(settlement.bill_minor.sum()),
        prepaid_minor=int(settlement.prepaid_minor.sum()),
        refund_minor=int(settlement.refund_minor.sum()),
        rule_detail=settlement.rule_words,
        is_estimate=not settlement.is_exact,
        prepaid_by_price=problem.prepaid_minor is None,
        notes=outcome.sentences,
    )
    if problem.sharing_rule is SharingRule.OWEN_DUALS and not tells_prices(problem):
        found.notes.append(_UNTOLD)
    _write_terms(found, asked, problem)
    _write_spans(found, settlement)
    _write_cure(found, problem, outcome)
    if asked.before is not None:
        found.bill_change_minor = found.bill_minor - int(asked.before.bill_minor.sum())
    return found


def _write_terms(found: pb.Settlement, asked: Settling, problem: Problem) -> None:
    request, terms = asked.request, found.terms
    terms.CopyFrom(request.terms)
    if not problem.has_one_price:
        terms.ClearField("highest_price_per_kwh")
    terms.minor_digits = problem.currency.minor_digits
    terms.rule = agency.RULE_NUMBERS[problem.sharing_rule]
    terms.mode = agency.MODE_NUMBERS[problem.mode]
    terms.sharing.peak_mode = agency.PEAK_NUMBERS[problem.peak.mode]
    terms.sharing.peak_count = problem.peak.count
    if request.HasField("price"):
        found.price.CopyFrom(request.price)
    else:
        found.purchase.CopyFrom(request.purchase)


def _write_spans(found: pb.Settlement, settlement: Settlement) -> None:
    figures, rates = settlement.figures, settlement.rates
    weighed = figures.user_peak_kw.sum(axis=0)
    for d, first in enumerate(figures.first_slot[:-1].tolist()):
        span = found.spans.add(
            first_interval=first,
            interval_count=int(figures.first_slot[d + 1]) - first,
            hours=figures.hours[d],
            energy_kwh=figures.energy_kwh[d],
            peak_kw=figures.peak_kw[d],
            load_factor=figures.load_factor[d],
            weighed_peak_kw=weighed[d],
        )
        if rates is not None:
            span.price_per_kwh = rates.price_per_kwh[d]
            span.rate_per_kwh = rates.per_kwh[d]
            span.rate_per_kw = rates.per_kw[d]


def _write_cure(found: pb.Settlement, problem: Problem, outcome: Outcome) -> None:
    """Names those who owe most, and the price that would have cured it."""
    cure, scale = outcome.cure, problem.currency.scale
    if cure is None:
        return
    known = cure.highest_price_minor != NO_PRICE
    owing = cure.refund_minor < 0
    found.negative_refund_count = int(np.count_nonzero(owing))
    if problem.has_one_price and known.all():
        found.curing_price_per_kwh = int(cure.highest_price_minor.max()) / scale
    order = np.argsort(cure.refund_minor, kind="stable")[:MOST_NAMED]
    for index in order[owing[order]].tolist():
        price = int(cure.highest_price_minor[index])
        found.negative_refunds.add(
            user=problem.curves.names[int(cure.user[index])],
            owed_minor=-int(cure.refund_minor[index]),
            curing_price_per_kwh=0.0 if price == NO_PRICE else price / scale,
        )


def current(row: store.Settlement, names: Sequence[str], *, whole: bool = True) -> pb.Settlement:
    """A settlement as it is told now.

    Args:
        row: the settlement.
        names: the names of the first settlement and of its corrections, in order.
        whole: whether its load, and what else is as long as the intervals or the users, is told.
    """
    found = pb.Settlement.FromString(row.response)
    found.name = row.name
    found.create_time.CopyFrom(Timestamp())
    found.create_time.FromMicroseconds(round(row.create_time * 1e6))
    found.correction = row.correction
    if row.correction:
        found.corrects = names[0]
    else:
        found.corrections.extend(names[1:])
    if not whole:
        _clear(found, "total_kw", "spans")
        if found.HasField("purchase"):
            _clear(found.purchase, "slot_price_per_kwh")
        if found.HasField("report"):
            _clear(found.report, "coalition", "audit_price_per_kwh")
    return found


def public(found: pb.Settlement) -> pb.Settlement:
    """What every user of a settlement sees of it: nothing that names others, or may name them."""
    _clear(found, "negative_refunds", "notes", "reason")
    if found.HasField("report"):
        _clear(found.report, "coalition", "sentences")
    return found


def _clear(found: Message, *names: str) -> None:
    for name in names:
        found.ClearField(name)
