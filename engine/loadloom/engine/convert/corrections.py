"""Requests to settle again with corrected readings, read into problems.

What corrections of one settlement changed is kept with each of them as if a single one had: the
last readings of every user who was corrected, and the last purchase. So a correction needs the
first request and the last correction, however many there were between.
"""

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
from loadloom.wire.arrays import from_floats, from_series, to_floats, to_matrix


def parse(
    message: pb.CorrectSettlementRequest,
    limits: Limits,
    *,
    roots: Roots,
    first: bytes,
    changes: bytes,
    before: Before,
) -> Task[Settling]:
    """What a request for a correction asks for.

    Args:
        message: the request.
        limits: what it must keep.
        roots: where files may be.
        first: what the first settlement was asked with.
        changes: what corrections have changed since, as `since` tells it.
        before: what the last of them said.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    request = pb.CreateSettlementRequest.FromString(first)
    changed = pb.CorrectSettlementRequest.FromString(changes)
    axis = agency.horizon(request.grid, limits, found)
    check_users("curves.names", len(message.curves.names), limits)
    curves = files = None
    if message.HasField("data_set"):
        currency = request.terms.currency_code
        files = data_set(message.data_set, roots, found, currency=currency)
    elif message.HasField("curves"):
        curves = _corrected(message.curves, axis, _known(request, changed, axis), before, found)
    _take_purchase(request, changed, message, found)
    asked = asked_for(request, axis, curves, files, limits, before)
    if curves is not None and not found:
        found.extend(faults_of(asked))
    return task_of(common.accepted(asked, common.declared(message), found))


def _take_purchase(
    request: pb.CreateSettlementRequest,
    changed: pb.CorrectSettlementRequest,
    message: pb.CorrectSettlementRequest,
    found: list[Violation],
) -> None:
    """Puts the last cost of the purchase into the request."""
    if changed.HasField("purchase"):
        request.purchase.CopyFrom(changed.purchase)
    if message.HasField("purchase"):
        if request.HasField("price"):
            said = "must be left out: what the settlement shares is a price schedule"
            found.append(Violation("purchase", said))
        else:
            request.purchase.CopyFrom(message.purchase)


def _corrected(
    message: pb.Curves,
    axis: Grid,
    known: "_Readings | None",
    before: Before,
    found: list[Violation],
) -> Curves | None:
    """The readings of all users, those of the message in place of what was known."""
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


def _known(
    request: pb.CreateSettlementRequest, changed: pb.CorrectSettlementRequest, axis: Grid
) -> _Readings | None:
    """The last readings of all users; None if they were in files."""
    if changed.HasField("data_set"):
        return None
    known = _merged(None, request.curves, axis, []) if request.HasField("curves") else None
    return _merged(known, changed.curves, axis, []) if changed.HasField("curves") else known


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


def since(changes: bytes, message: pb.CorrectSettlementRequest) -> bytes:
    """What corrections have changed since the first settlement, with one more that was accepted.

    Args:
        changes: what those before it have changed; empty where it is the first of them.
        message: the correction.
    """
    before = pb.CorrectSettlementRequest.FromString(changes)
    found = pb.CorrectSettlementRequest()
    for its in (before, message):
        if its.HasField("purchase"):
            found.purchase.CopyFrom(its.purchase)
    if message.HasField("curves"):
        found.curves.CopyFrom(_united(before.curves, message.curves))
    elif message.HasField("data_set"):
        found.data_set.CopyFrom(message.data_set)  # all readings, so none of before counts
    return found.SerializeToString()


def _united(before: pb.Curves, message: pb.Curves) -> pb.Curves:
    """The curves of the users of both messages; the later ones of who is in both."""
    names = list(dict.fromkeys((*before.names, *message.names)))
    place = {name: index for index, name in enumerate(names)}
    loads = [(its.names, _loads(its)) for its in (before, message) if its.names]
    load_kw = np.empty(
        (len(names), loads[-1][1].shape[1]), np.result_type(*(load for _, load in loads))
    )
    for its, load in loads:
        load_kw[[place[name] for name in its]] = load
    if load_kw.dtype == np.float32:
        return pb.Curves(names=names, load_kw_float32=to_floats(load_kw))
    return pb.Curves(names=names, load_kw=to_matrix(load_kw))


def _loads(message: pb.Curves) -> LoadArray:
    """The loads of curves that were accepted."""
    if message.HasField("load_kw"):
        return from_series(message.load_kw.values).reshape(message.load_kw.rows, -1)
    return from_floats(message.load_kw_float32).reshape(message.load_kw_float32.rows, -1)
