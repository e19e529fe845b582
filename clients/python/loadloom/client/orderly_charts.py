"""Charts of weekly plans: who is off when, what covers the shortage, and what each user bears."""

import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.charts import FAINT, INK, RC
from loadloom.client.orderly_plan import WeeklyPlan
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

    rows = _called(plan)
    height = 0.17 * max(len(rows), 4)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(13, 5.5 + height), layout="constrained")
        grid = figure.add_gridspec(2, 2, height_ratios=(3.5, 1 + height), width_ratios=(4, 1))
        cover = figure.add_subplot(grid[0, 0])
        turns = figure.add_subplot(grid[1, 0], sharex=cover)
        burdens = figure.add_subplot(grid[1, 1], sharey=turns)
        _draw_coverage(cover, plan)
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
        weekly_chart(plan).savefig(file, dpi=150)


def page(plan: WeeklyPlan) -> str:
    """A page of HTML that stands alone: the chart, the events and how fair they are."""
    import matplotlib as mpl

    drawn = io.StringIO()
    # Without a date and with names of its own in it, the same plan gives the same page.
    with mpl.rc_context({"svg.hashsalt": "loadloom"}):
        weekly_chart(plan).savefig(drawn, format="svg", metadata={"Date": None})
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
    return f"{name}: cost {money}, {plan.unserved_kwh:,.0f} kWh uncovered"


def proof(plan: WeeklyPlan) -> str:
    """The proof of the plan in a sentence."""
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


def _draw_coverage(axes: "Axes", plan: WeeklyPlan) -> None:
    said, times = plan.message.coverage[0], _edges(plan)
    short = np.maximum(from_series(said.shortage_kw), 0.0) / 1000.0
    unserved = from_series(said.unserved_kw) / 1000.0
    covered = np.minimum(from_series(said.covered_kw) / 1000.0, short)
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
    handles = [*axes.get_legend_handles_labels()[0], *_kinds(plan)]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))


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


def _edges(plan: WeeklyPlan) -> NDArray[np.float64]:
    from matplotlib.dates import date2num

    return np.asarray(date2num(plan.week.boundaries), dtype=np.float64)
