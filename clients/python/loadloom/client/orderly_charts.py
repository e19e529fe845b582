"""Charts of weekly plans: who is off when, what covers the shortage, and what each user bears."""

import io
from html import escape
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.charts import FAINT, INK, save, style
from loadloom.client.orderly_plan import WeeklyPlan
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.common_pb2 import Series
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

SUFFIXES = (".html", ".png", ".svg", ".pdf")
"""The kinds of files that a chart can be written to."""

KINDS = {
    "shift": "#2a9d8f",
    "avoid": "#8ab17d",
    "limit": "#e9c46a",
    "cut": "#e76f51",
    "rest": "#5e548e",
}
"""The colours of the measures, in legal order."""

SHORT, COVERED, UNSERVED = "#8d99ae", "#52b788", "#e5383b"
BURDEN = "#e9c46a"

MOST_FEEDERS = 6
"""The feeders that a chart shows; of more, those that are short of the most energy."""

MOST_ROWS = 80
"""The users that a chart shows; of more, those that are called for the most energy."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 14px sans-serif; color: {ink}; margin: 2em; }}
table {{ border-collapse: collapse; }} th, td {{ padding: 2px 12px; text-align: right; }}
th {{ border-bottom: 1px solid {ink}; }} svg {{ max-width: 100%; height: auto; }}</style></head>
<body><h1>{title}</h1><p>{proof}</p>
{chart}
<h2>Events</h2>
{events}
<h2>Fairness</h2>
{fairness}
</body></html>
"""


def weekly_chart(plan: WeeklyPlan) -> "Figure":
    """The chart of a plan: a row for each user that is called, the shortage, the burdens."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows, lines = _called(plan), _short(plan)
    height = 0.17 * max(len(rows), 4)
    heights = (3.5, *[2.0] * (len(lines) - 1), 1 + height)
    with mpl.rc_context(style()):
        figure = Figure(figsize=(13, 1.0 + sum(heights)), layout="constrained")
        grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=(4, 1))
        covers = [figure.add_subplot(grid[place, 0]) for place in range(len(lines))]
        turns = figure.add_subplot(grid[-1, 0])
        burdens = figure.add_subplot(grid[-1, 1], sharey=turns)
        for axes, line in zip(covers, lines, strict=True):
            axes.sharex(turns)
            _draw_coverage(axes, plan, line)
        handles = [*covers[0].get_legend_handles_labels()[0], *_kinds(plan)]
        covers[0].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        _draw_turns(turns, plan, rows)
        _draw_burdens(burdens, plan, rows)
        _label_days(turns, plan)
        figure.suptitle(title(plan), x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def write_weekly_chart(plan: WeeklyPlan, file: Path) -> None:
    """Writes the chart of a plan to a file: PNG, SVG, PDF, or a page with tables by its suffix."""
    if file.suffix.lower() == ".html":
        file.write_text(page(plan), encoding="utf-8")
    else:
        save(weekly_chart(plan), file, dpi=150)


def page(plan: WeeklyPlan) -> str:
    """A page of HTML that stands alone: the chart, the events and how fair they are."""
    import matplotlib as mpl

    drawn = io.StringIO()
    # Without a date and with names of its own in it, the same plan gives the same page.
    with mpl.rc_context({"svg.hashsalt": "loadloom"}):
        save(weekly_chart(plan), drawn, format="svg", metadata={"Date": None})
    events = plan.frame.drop(columns=["day", "first_slot", "slot_count"])
    for name in ("start", "end"):
        events[name] = events[name].dt.strftime("%a %d %b %H:%M")
    return PAGE.format(
        title=escape(title(plan)),
        proof=escape(proof(plan)),
        ink=INK,
        chart=drawn.getvalue()[drawn.getvalue().index("<svg") :],
        events=events.round(3).to_html(index=False, border=0),
        fairness=plan.fairness.round(4).to_html(border=0),
    )


def title(plan: WeeklyPlan) -> str:
    """The plan in a line: what it is called, when it is for, and what it costs."""
    name = f"{plan.title}, {plan.week.name}" if plan.title else f"Schedule of {plan.week.name}"
    money = f"{plan.objective:,.2f} {plan.currency_code}".rstrip()
    return f"{name}: cost {money}, {uncovered(plan)}"


def uncovered(plan: WeeklyPlan) -> str:
    """The energy that stays uncovered in words: of the whole, and of the feeders that lack some."""
    lacks = plan.unserved_kwh_by_feeder
    whole = f"{lacks.pop('', 0.0):,.0f} kWh uncovered"
    lacks = {feeder: kwh for feeder, kwh in lacks.items() if kwh > 0.5}
    if not lacks:
        return whole
    where = f"feeder {next(iter(lacks))}" if len(lacks) == 1 else f"{len(lacks)} feeders"
    return f"{whole}, {sum(lacks.values()):,.0f} kWh in {where}"


def proof(plan: WeeklyPlan) -> str:
    """The proof of the plan in a sentence."""
    if not isfinite(plan.bound):
        return "How near this is to the least cost is not proven."
    return (
        f"No plan can cost less than {plan.bound:,.2f}; this one is within "
        f"{plan.relative_gap:.2%} of that."
    )


def _called(plan: WeeklyPlan) -> list[str]:
    """The users to show, the one with the most energy first; those called alone, if any are."""
    energy = dict.fromkeys(plan.users, 0.0)
    for event in plan.events:
        energy[event.user] += event.energy_kwh
    called = [user for user in energy if energy[user] > 0.0] or [*energy]
    return sorted(called, key=lambda user: -energy[user])[:MOST_ROWS]


def _short(plan: WeeklyPlan) -> list[pb.Coverage]:
    """The coverage of the whole, and of the feeders that are short of most."""
    whole, *feeders = plan.message.coverage
    energy = [np.maximum(from_series(said.shortage_kw), 0.0).sum() for said in feeders]
    order = sorted(range(len(feeders)), key=lambda place: -energy[place])
    return [whole, *(feeders[place] for place in order[:MOST_FEEDERS] if energy[place] > 0.0)]


def _draw_coverage(axes: "Axes", plan: WeeklyPlan, said: pb.Coverage) -> None:
    times = _edges(plan)
    short = np.maximum(from_series(said.shortage_kw), 0.0) / 1000.0
    unserved = _row(said.unserved_kw, short.size) / 1000.0
    covered = np.minimum(_row(said.covered_kw, short.size) / 1000.0, short)
    if said.feeder:
        axes.set_title(f"Feeder {said.feeder}", loc="left")
    axes.stairs(covered, times, fill=True, color=COVERED, alpha=0.7, label="covered")
    if np.any(unserved > 1e-9):
        axes.stairs(
            short, times, baseline=short - unserved, fill=True, color=UNSERVED, label="uncovered"
        )
    axes.stairs(short, times, color=SHORT, linewidth=1.6, label="shortage")
    axes.set_ylabel("MW")
    axes.set_ylim(bottom=0)
    axes.tick_params(labelbottom=False)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_turns(axes: "Axes", plan: WeeklyPlan, rows: list[str]) -> None:
    from matplotlib.dates import date2num

    place = {user: row for row, user in enumerate(rows)}
    for event in plan.events:
        if event.user in place:
            start, end = (float(date2num(moment)) for moment in (event.start, event.end))
            axes.barh(
                place[event.user], end - start, 0.8, start, color=KINDS.get(event.kind, SHORT)
            )
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_burdens(axes: "Axes", plan: WeeklyPlan, rows: list[str]) -> None:
    burdens = dict(zip(plan.users, plan.burdens.tolist(), strict=True))
    known = [burdens[user] * 100.0 for user in rows]
    axes.barh(range(len(rows)), known, 0.8, color=BURDEN)
    axes.set_xlabel("burden, % of a week's contract")
    axes.tick_params(labelleft=False)
    axes.grid(color=FAINT, linewidth=0.6, axis="x")
    axes.set_axisbelow(True)


def _label_days(axes: "Axes", plan: WeeklyPlan) -> None:
    from matplotlib.dates import DateFormatter, DayLocator, HourLocator, date2num

    zone = ZoneInfo(plan.week.time_zone)
    axes.xaxis.set_major_locator(DayLocator(tz=zone))
    axes.xaxis.set_major_formatter(DateFormatter("%a %d %b", tz=zone))
    if plan.week.day_count <= 7:
        axes.xaxis.set_minor_locator(HourLocator(byhour=(6, 12, 18), tz=zone))
    first, last = plan.week.boundaries[0], plan.week.boundaries[-1]
    axes.set_xlim(float(date2num(first)), float(date2num(last)))
    axes.set_xlabel(f"local time, {plan.week.time_zone}")


def _kinds(plan: WeeklyPlan) -> "list[Patch]":
    """The colours of the kinds of measures that the plan calls for."""
    from matplotlib.patches import Patch

    kinds = {event.kind for event in plan.events}
    return [Patch(color=color, label=kind) for kind, color in KINDS.items() if kind in kinds]


def _row(said: Series, count: int) -> NDArray[np.float64]:
    """The values of a series; zeros where it is left out."""
    values = from_series(said)
    return values if values.size else np.zeros(count)


def _edges(plan: WeeklyPlan) -> NDArray[np.float64]:
    from matplotlib.dates import date2num

    return np.asarray(date2num(plan.week.boundaries), dtype=np.float64)
