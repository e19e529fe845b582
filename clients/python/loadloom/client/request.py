"""Requests made from what a caller says: every fault is found before any is told."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, get_args

import numpy as np
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import ArrayLike

from loadloom.client.errors import InvalidRequest, Violation
from loadloom.client.grid import Grid
from loadloom.client.site import Site
from loadloom.v1.common_pb2 import Method, Series, SolveOptions
from loadloom.v1.dispatch_pb2 import BatchPlanDispatchRequest, PlanDetail, PlanDispatchRequest
from loadloom.wire.arrays import packed

if TYPE_CHECKING:
    import pandas as pd
    from _typeshed import DataclassInstance

    from loadloom.client.plan import Plan

LONGEST_S = 1e9
"""The longest time limit: some thirty years."""

Times: TypeAlias = "Grid | pd.DatetimeIndex | pd.Series | pd.DataFrame | None"
Detail = Literal["cost", "schedule", "values", "reasons"]
Technique = Literal["kernel", "linear", "mixed-integer", "reference"]


class Wishes(TypedDict, total=False):
    """What may be asked of a plan and its making; all of it may be left out.

    Attributes:
        detail: the amount of detail, each including the ones before: "cost", "schedule" (the
            default), "values", "reasons".
        method: the technique to use; the fastest exact one that fits when left out.
        time_limit_s: the longest time to solve.
        relative_gap: the gap, 0..1, at which a search may stop.
        seed: the seed of every random choice.
        earlier: an earlier plan of the same site and intervals; among plans of equal cost it is
            kept, or else the nearest to it. For one site alone.
    """

    detail: Detail
    method: Technique | None
    time_limit_s: float | None
    relative_gap: float
    seed: int
    earlier: "Plan | None"


@dataclass(slots=True)
class Reading:
    """The reading of a request: the faults so far, and the times that its Series agree on."""

    times: Times
    index: "pd.Index | None" = None
    index_path: str = "the grid"
    violations: list[Violation] = field(default_factory=list)

    def fault(self, path: str, message: str) -> None:
        """Notes that what stands at `path` breaks a rule."""
        self.violations.append(Violation(path, message))

    def finish(self) -> None:
        """Raises InvalidRequest if anything was noted."""
        if self.violations:
            raise InvalidRequest.of(self.violations)


def plan_request(site: Site, times: Times, wishes: Wishes) -> tuple[PlanDispatchRequest, Grid]:
    """The request for the plan of a site, and its grid.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    request, reading = PlanDispatchRequest(), Reading(times)
    if fits(request.site, site, "site", reading):
        fill(request.site, site, "site", reading)
    earlier = wishes.get("earlier")
    if earlier is not None:
        request.site.earlier_schedule.CopyFrom(earlier.message.schedule)
    return request, _finish(request, wishes, reading)


def batch_request(
    sites: Sequence[Site], times: Times, wishes: Wishes
) -> tuple[BatchPlanDispatchRequest, Grid]:
    """The request for the plans of many sites, and their grid.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    request, reading = BatchPlanDispatchRequest(), Reading(times)
    if wishes.get("earlier") is not None:
        reading.fault("earlier", "goes with one site; it cannot be given for a batch")
    fill_all(request.sites, sites, "Site", "sites", reading)
    return request, _finish(request, wishes, reading)


def grid_of(times: "Times | pd.Index") -> Grid:
    """The grid that a Grid, or the index of something of pandas, tells.

    Raises:
        InvalidRequest: it tells none.
    """
    if isinstance(times, Grid):
        return times
    index = index_of(times)
    if index is None:
        violation = Violation("grid", "is missing; give a Grid, an index, or pandas Series")
        raise InvalidRequest.of([violation])
    return Grid.of_index(index)


def check_names(wishes: Mapping[str, object], known: type) -> None:
    """Raises TypeError for a wish that there is not, as Python does for an unknown argument."""
    for name in wishes.keys() - known.__annotations__.keys():
        raise TypeError(f"unexpected keyword argument {name!r}")


def _finish(
    request: PlanDispatchRequest | BatchPlanDispatchRequest,
    wishes: Wishes,
    reading: Reading,
) -> Grid:
    _wish(request, wishes, reading)
    reading.finish()
    grid = grid_of(reading.index if reading.times is None else reading.times)
    request.grid.CopyFrom(grid.message())
    return grid


def _wish(
    request: PlanDispatchRequest | BatchPlanDispatchRequest, wishes: Wishes, reading: Reading
) -> None:
    check_names(wishes, Wishes)
    detail = wishes.get("detail", "schedule")
    if detail in get_args(Detail):
        request.detail = PlanDetail.Value(f"PLAN_DETAIL_{detail.upper()}")
    else:
        reading.fault("detail", f"is {detail!r}; must be one of {', '.join(get_args(Detail))}")
    options = SolveOptions()
    for name in ("relative_gap", "seed"):
        _set_number_or_word(options, name, wishes.get(name, 0), f"options.{name}", reading)
    method = wishes.get("method")
    if method is not None and method not in get_args(Technique):
        known = ", ".join(get_args(Technique))
        reading.fault("options.method", f"is {method!r}; must be one of {known}")
    elif method is not None:
        options.method = Method.Value("METHOD_" + method.upper().replace("-", "_"))
    time_limit_s = wishes.get("time_limit_s")
    if time_limit_s is not None and not 0.0 < time_limit_s <= LONGEST_S:
        told = f"is {time_limit_s!r}; must be a number of seconds above 0, at most {LONGEST_S:g}"
        reading.fault("options.time_limit", told)
    elif time_limit_s is not None:
        options.time_limit.FromNanoseconds(round(time_limit_s * 1e9))
    request.options.CopyFrom(options)


def fill(message: Message, said: "DataclassInstance", path: str, reading: Reading) -> None:
    """Puts a dataclass into the message whose fields have the same names."""
    for name in (entry.name for entry in fields(said)):
        content, where = getattr(said, name), f"{path}.{name}"
        if content is None:
            continue
        described = message.DESCRIPTOR.fields_by_name[name]
        kind, target = described.message_type, getattr(message, name)
        if kind is None and described.is_repeated:
            _set_list(target, content, where, reading)
        elif kind is None:
            _set_number_or_word(message, name, content, where, reading)
        elif kind is Series.DESCRIPTOR:
            set_series(target, content, where, reading)
        elif kind is Timestamp.DESCRIPTOR:
            _set_instant(target, content, where, reading)
        elif isinstance(target, Message):
            if fits(target, content, where, reading):
                target.SetInParent()
                fill(target, content, where, reading)
        else:
            fill_all(target, content, kind.name, where, reading)


def fill_all(
    target: Any,  # noqa: ANN401 -- protobuf's container of messages has no public name
    content: object,
    kind: str,
    path: str,
    reading: Reading,
) -> None:
    """Puts each of several dataclasses into a message of its own."""
    if not isinstance(content, Iterable) or isinstance(content, (str, bytes)):
        found = type(content).__name__
        reading.fault(path, f"is a {found}; must be a list, such as [{kind}(...)]")
        return
    for index, item in enumerate(content):
        message, where = target.add(), f"{path}[{index}]"
        if fits(message, item, where, reading):
            fill(message, item, where, reading)


def fits(message: Message, said: object, path: str, reading: Reading) -> bool:
    """Whether what is said is of the class that has the message's name; notes it if not."""
    wanted = message.DESCRIPTOR.name
    if any(kind.__name__ == wanted for kind in type(said).__mro__):
        return True
    reading.fault(path, f"is a {type(said).__name__}; must be a {wanted}")
    return False


def _set_number_or_word(
    message: Message, name: str, content: object, path: str, reading: Reading
) -> None:
    value = content.item() if isinstance(content, np.generic) else content
    try:
        setattr(message, name, value)
    except (TypeError, ValueError):
        kind = type(getattr(message, name)).__name__
        reading.fault(path, f"is {content!r}; must be a {kind}")


def _set_list(
    target: Any,  # noqa: ANN401 -- protobuf's container of numbers has no public name
    content: object,
    path: str,
    reading: Reading,
) -> None:
    """Puts a row of numbers or words into a field that holds many."""
    if not isinstance(content, Iterable) or isinstance(content, (str, bytes)):
        reading.fault(path, f"is a {type(content).__name__}; must be a list")
        return
    for index, item in enumerate(content):
        value = item.item() if isinstance(item, np.generic) else item
        try:
            target.append(value)
        except (TypeError, ValueError):
            reading.fault(f"{path}[{index}]", f"is {item!r}, which does not belong here")


def _set_instant(target: Timestamp, moment: object, path: str, reading: Reading) -> None:
    if not isinstance(moment, datetime):
        reading.fault(path, f"is {moment!r}; must be a datetime")
    elif moment.tzinfo is None:
        reading.fault(path, "has no time zone; give it one, such as that of the site")
    else:
        target.FromDatetime(moment.astimezone(UTC))


def set_series(target: Series, content: ArrayLike, path: str, reading: Reading) -> None:
    """Fills a series with a number or a row of numbers; what cannot be one is noted."""
    _compare_index(content, path, reading)
    try:
        array = np.asarray(content, dtype=np.float64)
    except (TypeError, ValueError) as error:
        reading.fault(path, f"is not made of numbers: {error}")
        return
    if array.ndim > 1:
        reading.fault(path, f"has {array.ndim} dimensions; must be a number or a row of numbers")
        return
    target.SetInParent()  # an empty array is not the same as one left out
    target.MergeFromString(packed(array))


def _compare_index(content: object, path: str, reading: Reading) -> None:
    """Notes a Series whose times are not those of the request, the first Series deciding them."""
    compare_times(index_of(content), path, reading)


def compare_times(index: "pd.Index | None", path: str, reading: Reading) -> None:
    """Notes an index that is not that of the request, the first one deciding it."""
    if index is None:
        return
    if reading.index is None and reading.times is not None:
        reading.index = grid_of(reading.times).index
    if reading.index is None:
        reading.index, reading.index_path = index, path
    elif len(index) != len(reading.index) or not (index == reading.index).all():
        reading.fault(
            path,
            f"has other times than {reading.index_path}: {_span(index)} "
            f"against {_span(reading.index)}",
        )


def index_of(times: Any) -> "pd.Index | None":  # noqa: ANN401 -- whatever a caller gives
    """The index of something of pandas, or None; nobody has one who never imported pandas."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return None
    if isinstance(times, (pandas.Series, pandas.DataFrame)):
        return times.index
    return times if isinstance(times, pandas.Index) else None


def _span(index: "pd.Index") -> str:
    return f"{len(index)} from {index[0]} to {index[-1]}" if len(index) else "none"
