"""Load curves to add up, read; their sums, written."""

from collections.abc import Sequence

import numpy as np

from loadloom.engine.answers.agency import Answer
from loadloom.engine.answers.load_sums import Areas, Summed, Summing, Wishes
from loadloom.engine.convert import agency, common
from loadloom.engine.convert.common import Grid
from loadloom.engine.convert.data_sets import data_set
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin, Task
from loadloom.models.agency.aggregate import Aggregate
from loadloom.models.agency.completeness import (
    MARKS,
    Completeness,
    Fill,
    FillRule,
    Mark,
    Rules,
    SpikeRule,
    Typical,
)
from loadloom.models.agency.cost import PEAK_TOLERANCE
from loadloom.models.agency.curves import Chunk
from loadloom.models.agency.windows import TimeWindows
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.options import SolveOptions
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import to_matrix, to_series

FILLS = {
    pb.FILL_RULE_LINEAR: Fill.LINEAR,
    pb.FILL_RULE_PREVIOUS_DAY: Fill.PREVIOUS_DAY,
    pb.FILL_RULE_PREVIOUS_WEEK: Fill.PREVIOUS_WEEK,
    pb.FILL_RULE_AREA_PROFILE: Fill.AREA_PROFILE,
}

MARK_NUMBERS = {
    pb.READING_MARK_MISSING: Mark.MISSING,
    pb.READING_MARK_DUPLICATE: Mark.DUPLICATE,
    pb.READING_MARK_LATE: Mark.LATE,
    pb.READING_MARK_NEGATIVE: Mark.NEGATIVE,
    pb.READING_MARK_SPIKE: Mark.SPIKE,
}

TYPICAL = {
    pb.SPIKE_REFERENCE_UNSPECIFIED: Typical.MEDIAN,
    pb.SPIKE_REFERENCE_MEDIAN: Typical.MEDIAN,
    pb.SPIKE_REFERENCE_MEAN: Typical.MEAN,
}

COUNTS = {
    Mark.MISSING: "missing_count",
    Mark.DUPLICATE: "duplicate_count",
    Mark.LATE: "late_count",
    Mark.NEGATIVE: "negative_count",
    Mark.SPIKE: "spike_count",
}
"""The fields of the message for each mark."""

OTHER_BAND = "other"
"""The name of the band of all other times unless a caller says otherwise."""


def parse(
    message: pb.AggregateLoadsRequest,
    limits: Limits,
    *,
    roots: Roots,
    cluster: str = "",
    cluster_folder: str = "",
) -> Task[Summing]:
    """What a request for a sum asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    axis = agency.horizon(message.grid, limits, found)
    wishes = parse_wishes(message.options, axis, found)
    chunk = files = None
    if message.HasField("curves"):
        chunk = parse_chunk("curves", message.curves, axis, wishes, found)
        agency.check_names("curves", message.curves, found)
        Areas(axis.horizon.count, limits.points).add("curves.areas", message.curves.areas)
    elif message.HasField("data_set"):
        cut_off = agency.cut_off(message.options.rules, found)
        files = data_set(message.data_set, roots, found, cut_off=cut_off)
    asked = None
    if chunk is not None or files is not None:
        asked = Summing(
            horizon=axis.horizon,
            wishes=wishes,
            most_points=limits.points,
            chunk=chunk,
            files=files,
            spans=tuple(message.options.roll_ups),
            cluster=cluster,
            cluster_folder=cluster_folder,
        )
    found = found if message.HasField("grid") else agency.without("grid", found)
    problem = common.accepted(asked, common.declared(message), found)
    return Task(problem=problem, options=SolveOptions(), detail=0)


def parse_wishes(message: pb.AggregateOptions, axis: Grid, found: list[Violation]) -> Wishes:
    """What to tell; what is at fault is noted under "options."."""
    price = None
    if message.HasField("price"):
        price = agency.schedule("options.price", message.price, found)
    return Wishes(
        users=message.users,
        price=price,
        levels=tuple(100.0 * share for share in message.quantiles),
        windows=_windows(message, axis) if message.bands else None,
        rules=_rules(message.rules, found) if message.HasField("rules") else None,
        tie_tolerance=message.tie_tolerance or PEAK_TOLERANCE,
    )


def _windows(message: pb.AggregateOptions, axis: Grid) -> TimeWindows:
    bands = [
        (band.name, window.start_minute, window.end_minute)
        for band in message.bands
        for window in band.windows
    ]
    return TimeWindows.daily(axis.horizon, bands, rest=message.other_band or OTHER_BAND)


def _rules(message: pb.ReadingRules, found: list[Violation]) -> Rules | None:
    usual = Rules()
    spike = None
    if message.HasField("spike"):
        its = message.spike
        spike = SpikeRule(
            times=its.times, of=TYPICAL.get(its.of, Typical.MEDIAN), least_kw=its.least_kw
        )
    replaced = Mark(0)
    for number in message.replace:
        replaced |= MARK_NUMBERS.get(number, Mark(0))
    try:
        return Rules(
            fills=tuple(
                FillRule(
                    fill=FILLS.get(step.rule, Fill.LINEAR),
                    longest_slots=step.longest_intervals or None,
                )
                for step in message.fills
            ),
            spike=spike,
            replace=replaced if message.replace else usual.replace,
        )
    except InvalidProblem as error:
        found.extend(
            Violation(f"options.{v.path.replace('longest_slots', 'longest_intervals')}", v.message)
            for v in error.violations
        )
    return None


def parse_chunk(
    path: str, message: pb.Curves, axis: Grid, wishes: Wishes, found: list[Violation]
) -> Chunk | None:
    """The curves of a message, whose gaps are faults if there are no rules for them."""
    load_kw = agency.loads(path, message, axis, found)
    if load_kw is None:
        return None
    agency.check_readings(path, message, load_kw, found, gaps=wishes.rules is not None)
    names = tuple(dict.fromkeys(message.areas)) or ("",)
    place = {name: index for index, name in enumerate(names)}
    areas = np.array([place[name] for name in message.areas], np.int32)
    return Chunk(
        load_kw=load_kw,
        group=areas if areas.size else None,
        group_names=names,
        names=tuple(message.names),
    )


def render(
    task: Task[Summing], answer: Answer[Summed], origin: Origin
) -> pb.AggregateLoadsResponse:
    """The sum as a message."""
    aggregate = render_sum(answer.found, users=task.problem.wishes.users, spans=task.problem.spans)
    aggregate.provenance.CopyFrom(agency.provenance(task, answer, origin))
    return pb.AggregateLoadsResponse(aggregate=aggregate)


def render_sum(found: Summed, *, users: bool, spans: Sequence[int]) -> pb.LoadAggregate:
    """The sum, with the figures of its users if they are to be told, and of its days and months."""
    its = found.aggregate
    response = pb.LoadAggregate(
        user_count=its.user_count,
        total_kw=to_series(its.total_kw),
        energy_kwh=its.energy_kwh,
        peak_kw=its.peak_kw,
        peak_intervals=its.peak_slots.tolist(),
        load_factor=its.load_factor,
        sum_of_peaks_kw=its.own_peaks_kw,
    )
    if len(its.window_names) > 1:
        for name, energy, share in zip(
            its.window_names, its.window_kwh.tolist(), its.window_share.tolist(), strict=True
        ):
            response.bands.add(name=name, energy_kwh=energy, share=share)
    if its.percentiles is not None:
        levels = its.percentiles.levels.tolist()
        for level, load_kw in zip(levels, its.percentiles.load_kw, strict=True):
            response.quantiles.add(
                share=level / 100.0,
                load_kw=to_series(load_kw),
                relative_error=its.percentiles.relative_error,
            )
    for span in spans:
        _write_spans(response, its, span)
    if any(its.group_names):
        _write_areas(response, its)
    if users:
        _write_users(response, found)
    if its.completeness is not None:
        _write_completeness(response.completeness, its.completeness, found.worst)
    return response


def _write_spans(response: pb.LoadAggregate, its: Aggregate, span: int) -> None:
    rolled = its.daily() if span == pb.ROLL_UP_DAY else its.monthly()
    for index, label in enumerate(rolled.label):
        response.roll_ups.add(
            span=span,  # pyright: ignore[reportArgumentType] -- one of its numbers
            label=label,
            energy_kwh=rolled.energy_kwh[index],
            peak_kw=rolled.peak_kw[index],
            peak_interval=int(rolled.peak_slot[index]),
            load_factor=rolled.load_factor[index],
        )


def _write_areas(response: pb.LoadAggregate, its: Aggregate) -> None:
    for index, name in enumerate(its.group_names):
        load_kw = its.group_kw[index]
        response.areas.add(
            name=name,
            user_count=int(its.group_count[index]),
            energy_kwh=float(load_kw @ its.horizon.step_h),
            peak_kw=float(load_kw.max()),
            coincident_kw=float(load_kw[its.peak_slots] @ its.peak_weight),
            load_kw=to_series(load_kw),
        )


def _write_users(response: pb.LoadAggregate, found: Summed) -> None:
    its, message = found.aggregate.users, response.users
    message.names.extend(found.names)
    columns = {
        "energy_kwh": its.energy_kwh,
        "peak_kw": its.highest_kw,
        "load_factor": its.load_factor,
        "coincident_kw": its.coincident_kw,
        "peak_without_kw": its.peak_without_kw,
        "load_factor_without": its.load_factor_without,
        "cost_effect": its.cost_effect,
    }
    for name, column in columns.items():
        if column is not None:
            getattr(message, name).CopyFrom(to_series(column))
    if len(found.aggregate.window_names) > 1:
        message.band_kwh.CopyFrom(to_matrix(its.window_kwh))


def _write_completeness(
    message: pb.Completeness, its: Completeness, worst: Sequence[tuple[int, str]]
) -> None:
    message.reading_count = its.reading_count
    _write_counts(
        message.total,
        "",
        its.slot_marks.sum(axis=1),
        its.slot_filled.sum(axis=1),
        its.slot_left.sum(),
    )
    for t in range(its.slot_left.size):
        counts = message.intervals.add()
        _write_counts(counts, "", its.slot_marks[:, t], its.slot_filled[:, t], its.slot_left[t])
    if any(its.group_names):
        for g, name in enumerate(its.group_names):
            counts = message.areas.add()
            _write_counts(counts, name, its.group_marks[g], its.group_filled[g], its.group_left[g])
    for user, name in worst:
        counts = message.worst_users.add()
        marks, filled = its.user_marks[user], its.user_filled[user]
        _write_counts(counts, name, marks, filled, its.user_left[user])


def _write_counts(
    message: pb.MarkCounts, name: str, marks: np.ndarray, filled: np.ndarray, left: int
) -> None:
    message.name = name
    for mark, count in zip(MARKS, marks.tolist(), strict=True):
        setattr(message, COUNTS[mark], int(count))
    message.filled_counts.extend(int(count) for count in filled.tolist())
    message.left_count = int(left)
