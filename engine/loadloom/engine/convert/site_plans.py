"""What each site of a fleet does between the model's columns and the messages of pages."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from loadloom.engine.store.fleets import Part
from loadloom.models.dispatch.fleet.problem import NodeArray
from loadloom.models.dispatch.fleet.solution import Plan
from loadloom.models.horizon import FloatArray
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.wire.arrays import from_series, packed
from loadloom.wire.columns import PLAN_MATRICES

PART_SITES, PART_BYTES = 2_000, 2**20
"""The most sites of a part, and about its size: to read one of them costs some milliseconds."""

AMOUNTS = {
    "cost": "objective",
    "bought_cost": "bought_cost",
    "sold_revenue": "sold_revenue",
    "wear_cost": "wear_cost",
    "end_value": "end_value",
    "baseline_cost": "baseline_cost",
}
"""The series of the message, and their names in the model."""

_MATRICES = frozenset(PLAN_MATRICES[:6])
_LENGTH = struct.Struct("<I")


def parts(
    names: Sequence[str],
    nodes: NodeArray,
    plan: Plan,
    columns: Sequence[str],
    mixed: Iterable[pb.MixedSitePlan],
) -> Iterator[bytes]:
    """The plans of all sites, some at a time, as a solve hands them over."""
    sites, count = plan.columns.shape[1:]
    size = max(1, min(PART_SITES, PART_BYTES // (8 * (len(AMOUNTS) + len(columns) * count))))
    for first in range(0, sites, size):
        rows = slice(first, min(first + size, sites))
        figures = pb.SitePlans(
            first_site=first,
            site_count=rows.stop - first,
            names=names[rows],
            nodes=nodes[rows].tolist(),
        )
        for name, ours in AMOUNTS.items():
            getattr(figures, name).MergeFromString(packed(plan.amount(ours)[rows]))
        whole = pb.SitePlans()
        for name in columns:
            _extend(getattr(whole, name), plan.column(name)[rows])
        yield _joined(figures, whole)
    yield from _mixed_parts(sites, mixed)


def _mixed_parts(first: int, mixed: Iterable[pb.MixedSitePlan]) -> Iterator[bytes]:
    """The plans of mixed sites, which are numbered from `first` on."""
    figures, whole, size = pb.SitePlans(first_site=first), pb.SitePlans(), 0
    for its in mixed:
        light = figures.mixed_sites.add()
        light.CopyFrom(its)
        light.ClearField("schedule")
        whole.mixed_sites.add().schedule.CopyFrom(its.schedule)
        figures.site_count += 1
        size += its.ByteSize()
        if size > PART_BYTES or figures.site_count == PART_SITES:
            yield _joined(figures, whole)
            first += figures.site_count
            figures, whole, size = pb.SitePlans(first_site=first), pb.SitePlans(), 0
    if figures.site_count:
        yield _joined(figures, whole)


def _joined(figures: pb.SitePlans, columns: pb.SitePlans) -> bytes:
    told = figures.SerializeToString()
    return _LENGTH.pack(len(told)) + told + columns.SerializeToString()


def part(raw: bytes) -> Part:
    """A part that a solve handed over, as it is kept."""
    start = _LENGTH.size
    end = start + _LENGTH.unpack(raw[:start])[0]
    figures = pb.SitePlans.FromString(raw[start:end])
    return Part(
        first_site=figures.first_site,
        site_count=figures.site_count,
        figures=raw[start:end],
        columns=raw[end:],
    )


def page(kept: Iterable[Part], first: int, size: int, most_bytes: int) -> pb.SitePlans:
    """The plans of sites from one on, of the parts that hold them: of one at least, if there is.

    They are fewer than asked for where more would have more than about `most_bytes`.
    """
    found = pb.SitePlans(first_site=first)
    for its in kept:
        begin = max(0, first - its.first_site)
        room = (most_bytes - found.ByteSize()) * its.site_count // its.size
        more = min(size - found.site_count, max(room, 0 if found.site_count else 1))
        end = min(its.site_count, begin + more)
        if end > begin:
            _append(found, _message(its), slice(begin, end))
        if end < its.site_count:
            break
    return found


def _message(part: Part) -> pb.SitePlans:
    """The plans of a part: bytes of messages that follow each other are merged."""
    found = pb.SitePlans.FromString(part.figures + part.columns)
    many = len(found.mixed_sites)
    if part.columns and many:  # repeated messages are not merged one by one
        half = many // 2
        for place in range(half):
            found.mixed_sites[place].schedule.CopyFrom(found.mixed_sites[half + place].schedule)
        del found.mixed_sites[half:]
    return found


def _append(found: pb.SitePlans, its: pb.SitePlans, rows: slice) -> None:
    """Appends rows of some plans to others that have the same columns."""
    found.site_count += rows.stop - rows.start
    found.names.extend(its.names[rows])
    found.nodes.extend(its.nodes[rows])
    found.mixed_sites.extend(its.mixed_sites[rows])
    for name in AMOUNTS:
        chosen = from_series(getattr(its, name))[rows]
        getattr(found, name).MergeFromString(packed(chosen))
    for field, matrix in its.ListFields():
        if field.name in _MATRICES:
            values = from_series(matrix.values).reshape(matrix.rows, matrix.cols)
            _extend(getattr(found, field.name), values[rows])


def _extend(matrix: Any, rows: FloatArray) -> None:  # noqa: ANN401 -- a message's own field
    """Appends rows to a matrix."""
    matrix.rows, matrix.cols = matrix.rows + rows.shape[0], rows.shape[1]
    matrix.values.MergeFromString(packed(rows))
