"""Requests to settle again with corrected readings, read into problems."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadloom.engine.convert import agency, common
from loadloom.engine.convert.common import Grid
from loadloom.engine.convert.data_sets import data_set
from loadloom.engine.convert.settlements import (
    Settling,
    asked_for,
    check_users,
    faults_of,
    task_of,
)
from loadloom.engine.convert.statements import Before
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.settings import Limits
from loadloom.engine.task import Task
from loadloom.models.agency.problem import Curves, LoadArray
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.v1 import agency_pb2 as pb


def parse(
    message: pb.CorrectSettlementRequest,
    limits: Limits,
    *,
    roots: Roots,
    chain: Sequence[bytes],
    before: Before,
) -> Task[Settling]:
    """What a request for a correction asks for.

    Args:
        message: the request.
        limits: what it must keep.
        roots: where files may be.
        chain: what the first settlement and its corrections were asked with, in order.
        before: what the last of them said.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    request = pb.CreateSettlementRequest.FromString(chain[0])
    axis = agency.horizon(request.grid, limits, found)
    check_users("curves.names", len(message.curves.names), limits)
    curves = files = None
    if message.HasField("data_set"):
        currency = request.terms.currency_code
        files = data_set(message.data_set, roots, found, currency=currency)
    elif message.HasField("curves"):
        curves = _corrected(message.curves, axis, chain, before, found)
    _take_purchase(request, chain[1:], message, found)
    asked = asked_for(request, axis, curves, files, limits, before)
    if curves is not None and not found:
        found.extend(faults_of(asked))
    return task_of(common.accepted(asked, common.declared(message), found))


def _take_purchase(
    request: pb.CreateSettlementRequest,
    corrections: Sequence[bytes],
    message: pb.CorrectSettlementRequest,
    found: list[Violation],
) -> None:
    """Puts the last cost of the purchase into the request."""
    for raw in corrections:
        earlier = pb.CorrectSettlementRequest.FromString(raw)
        if earlier.HasField("purchase"):
            request.purchase.CopyFrom(earlier.purchase)
    if message.HasField("purchase"):
        if request.HasField("price"):
            said = "must be left out: what the settlement shares is a price schedule"
            found.append(Violation("purchase", said))
        else:
            request.purchase.CopyFrom(message.purchase)


def _corrected(
    message: pb.Curves,
    axis: Grid,
    chain: Sequence[bytes],
    before: Before,
    found: list[Violation],
) -> Curves | None:
    """The readings of all users, those of the message in place of what was known."""
    known: _Readings | None = None
    for index, raw in enumerate(chain):
        kind = pb.CorrectSettlementRequest if index else pb.CreateSettlementRequest
        its = kind.FromString(raw)
        known = _merged(known, its.curves, axis, []) if its.HasField("curves") else None
    merged = _merged(known, message, axis, found)
    if merged is None:
        return None
    lacking = [name for name in before.users if name not in merged.place]
    if lacking:
        said = (
            f"lack {len(lacking)} users, {lacking[0]!r} among them: their readings were in files, "
            "which are read once; give a data set with all readings"
        )
        found.append(Violation("curves.names", said))
        return None
    users = set(before.users)
    for index, name in enumerate(message.names):
        if name not in users:
            said = f"{name!r} is no user of the settlement"
            found.append(Violation(f"curves.names[{index}]", said))
    if found:
        return None
    try:
        return Curves(names=tuple(merged.place), load_kw=merged.load_kw, horizon=axis.horizon)
    except InvalidProblem as error:
        found.extend(error.violations)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readings:
    """The loads of users, a row each, and the row of each of them by its name."""

    place: dict[str, int]
    load_kw: LoadArray


def _merged(
    known: _Readings | None, message: pb.Curves, axis: Grid, found: list[Violation]
) -> _Readings | None:
    """What was known, with the readings of a message in its place."""
    before = len(found)
    curves = agency.curves("curves", message, axis, found)
    if curves is None or len(found) > before:
        return None
    if known is None:
        place = {name: index for index, name in enumerate(curves.names)}
        return _Readings(place=place, load_kw=curves.load_kw)
    load_kw = known.load_kw.astype(np.result_type(known.load_kw, curves.load_kw))
    rows = [known.place.get(name, -1) for name in curves.names]
    good = np.array(rows) >= 0
    load_kw[np.array(rows)[good]] = curves.load_kw[good]
    return _Readings(place=known.place, load_kw=load_kw)
