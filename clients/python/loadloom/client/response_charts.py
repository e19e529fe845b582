"""Charts of events: the tree of the network with its needs, and load with and without the event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.agency_charts import SUFFIXES
from loadloom.client.charts import FAINT, INK, save, style
from loadloom.client.grid import Grid
from loadloom.client.response_answers import TargetPlan

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SUFFIXES", "EventLoad", "event_chart", "write_event_chart", "write_loads_chart"]

NEED, SECURED, SHORT, LIMIT = "#e5383b", "#2a9d8f", "#e9c46a", "#e5383b"
WITHOUT, WITH = "#8d99ae", "#1d3557"

MOST_NODES = 40
"""The nodes that a chart shows; of more, those with the highest needs and what is above them."""

INDENT = "    "
"""What the name of a node is moved by for each node above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLoad:
    """A load over an evening, with the event and as it would be without.

    Attributes:
        title: whose load it is.
        grid: the intervals.
        without_kw: the load without the event: a forecast or baseline.
        with_kw: the load with it, as expected or measured.
        limit_kw: the rating; none when left out.
        start: the interval at which the event begins, and `stop` that at which it is over.
    """

    title: str
    grid: Grid
    without_kw: NDArray[np.float64]
    with_kw: NDArray[np.float64]
    start: int
    stop: int
    limit_kw: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBar:
    """A node of the tree: its depth, and its need, secured kW and probability where it has one."""

    name: str
    depth: int
    need_kw: float = 0.0
    secured_kw: float = 0.0
    probability: float | None = None


def event_chart(
    plan: TargetPlan, parents: Mapping[str, str] | None = None, loads: Sequence[EventLoad] = ()
) -> "Figure":
    """The chart of a plan: the tree with need, secured kW and probability, and loads.

    Args:
        plan: the plan.
        parents: the name of the node above each; a flat list of nodes when left out.
        loads: loads to show beside it, with and without the event.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    bars = node_bars(plan, parents or {})
    with mpl.rc_context(style()):
        height = max(3.0, 1.2 + 0.3 * len(bars))
        figure = Figure(figsize=(12, max(height, 2.8 * len(loads))), layout="constrained")
        grid = figure.add_gridspec(max(1, len(loads)), 2 if loads else 1)
        draw_tree(figure.add_subplot(grid[:, 0]), bars)
        for row, load in enumerate(loads):
            draw_load(figure.add_subplot(grid[row, 1]), load)
        figure.suptitle(title(plan), x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def write_event_chart(
    plan: TargetPlan,
    file: Path | StringIO,
    parents: Mapping[str, str] | None = None,
    loads: Sequence[EventLoad] = (),
) -> None:
    """Writes the chart to a file, PNG, SVG or PDF by its suffix, or to a text as SVG."""
    figure = event_chart(plan, parents, loads)
    if isinstance(file, Path):
        save(figure, file, dpi=150)
    else:
        save(figure, file, format="svg", metadata={"Date": None})


def write_loads_chart(words: str, loads: Sequence[EventLoad], file: Path) -> None:
    """Writes a chart of loads alone, under a title in words, to a PNG, SVG or PDF."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(style()):
        figure = Figure(figsize=(8, max(3.0, 2.8 * len(loads))), layout="constrained")
        for axes, load in zip(figure.subplots(len(loads), squeeze=False)[:, 0], loads, strict=True):
            draw_load(axes, load)
        figure.suptitle(words, x=0.01, ha="left", fontsize=13, fontweight="bold")
    save(figure, file, dpi=150)


def title(plan: TargetPlan) -> str:
    """The plan in a line."""
    start, end = plan.grid.boundaries[0], plan.grid.boundaries[-1]
    needs = len(plan.message.nodes.nodes)
    return (
        f"{start:%a %d %b %H:%M} to {end:%H:%M}: {plan.called_count:,} customers called for "
        f"{needs:,} nodes in need"
    )


def node_bars(plan: TargetPlan, parents: Mapping[str, str]) -> list[NodeBar]:
    """The nodes to draw, from the top, those in need at the interval in which that is highest."""
    worst = worst_interval(plan.node_figures)
    depths = tree(list(parents) or list(worst.index), parents)
    needy = set(worst.nlargest(MOST_NODES, "need_kw").index) if len(worst) else set()
    keep = needy | {above for name in needy for above in _above(name, parents)}
    shown = [name for name in depths if len(depths) <= MOST_NODES or name in keep]
    bars = []
    for name in shown:
        bar = NodeBar(name=name, depth=depths[name])
        if name in worst.index:
            row = worst.loc[name]
            bar = NodeBar(
                name=name,
                depth=depths[name],
                need_kw=float(row["need_kw"]),
                secured_kw=float(row["secured_kw"]),
                probability=float(row["probability"]),
            )
        bars.append(bar)
    return bars


def worst_interval(figures: "pd.DataFrame") -> "pd.DataFrame":
    """A row for each node: that of the interval with the highest need, with its time."""
    flat = figures.reset_index("time")
    if not len(flat):
        return flat
    order = flat.sort_values("need_kw", ascending=False, kind="stable")
    first = order[~order.index.duplicated()]
    return first.loc[flat.index.unique()]


def draw_tree(axes: "Axes", bars: Sequence[NodeBar]) -> None:
    """Draws a line for each node: how much it needs, how much is secured, and how sure it is."""
    places = np.arange(len(bars))
    need = np.array([bar.need_kw for bar in bars])
    secured = np.array([max(bar.secured_kw, 0.0) for bar in bars])
    met = [SECURED if bar.secured_kw >= bar.need_kw - 1e-6 else SHORT for bar in bars]
    axes.barh(places, secured, height=0.62, color=met)
    has_need = np.array([bar.probability is not None for bar in bars], dtype=bool)
    axes.plot(need[has_need], places[has_need], "|", color=NEED, markersize=13, markeredgewidth=2.2)
    for place, bar in enumerate(bars):
        if bar.probability is not None:
            right = max(bar.need_kw, bar.secured_kw, 0.0)
            told = f"  {bar.secured_kw:,.1f} of {bar.need_kw:,.1f} kW, {bar.probability:.1%}"
            axes.text(right, place, told, va="center", fontsize=8, color=INK)
    axes.set_yticks(places, [INDENT * bar.depth + bar.name for bar in bars], fontsize=8)
    for label in axes.get_yticklabels():
        label.set_horizontalalignment("left")
    longest = max((4 * bar.depth + len(bar.name) for bar in bars), default=1)
    axes.tick_params(axis="y", length=0, pad=5.2 * longest)
    axes.invert_yaxis()
    top = max(float(need.max(initial=0.0)), float(secured.max(initial=0.0)), 1e-9)
    axes.set_xlim(0.0, 1.7 * top)
    axes.set_xlabel("kW; the bar is secured, the mark is needed, at the hour of the highest need")
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def draw_load(axes: "Axes", load: EventLoad) -> None:
    """Draws a load with and without the event over local time, and its limit."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    times = np.asarray(date2num(load.grid.boundaries), dtype=np.float64)
    for values, color, words in (
        (load.without_kw, WITHOUT, "without the event"),
        (load.with_kw, WITH, "with it"),
    ):
        axes.stairs(values, times, baseline=None, color=color, linewidth=1.6, label=words)
    inside = slice(load.start, load.stop)
    axes.stairs(
        load.without_kw[inside],
        times[load.start : load.stop + 1],
        baseline=load.with_kw[inside],
        fill=True,
        color=SECURED,
        alpha=0.35,
        label="less by it",
    )
    if load.limit_kw is not None:
        axes.axhline(load.limit_kw, color=LIMIT, linewidth=1.0, linestyle="--", label="rating")
    zone = ZoneInfo(load.grid.time_zone)
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.set_xlim(times[0], times[-1])
    # The area would hold the axis at its lowest value, where no line can be told from it.
    axes.use_sticky_edges = False
    axes.autoscale(axis="y")
    axes.set_title(load.title, loc="left", fontsize=10)
    axes.set_ylabel("kW")
    axes.legend(loc="best", fontsize=8)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _above(name: str, parents: Mapping[str, str]) -> list[str]:
    """The nodes above one, the nearest first."""
    found: list[str] = []
    while (name := parents.get(name, "")) and name not in found:
        found.append(name)
    return found


def tree(names: Sequence[str], parents: Mapping[str, str]) -> dict[str, int]:
    """The nodes in the order of a tree that is read from the top, with their depths."""
    below: dict[str, list[str]] = {}
    for name in names:
        below.setdefault(parents.get(name, ""), []).append(name)
    depths: dict[str, int] = {}
    stack = [(name, 0) for name in reversed(below.get("", []))]
    while stack:
        name, depth = stack.pop()
        depths[name] = depth
        stack += [(child, depth + 1) for child in reversed(below.get(name, []))]
    return depths
