"""Charts of fleets: what nodes draw against their limits, what limits cost, how the proof went."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.charts import FAINT, INK, save, style
from loadloom.client.fleet_plan import EXPORT, IMPORT, Binding, FleetPlan
from loadloom.client.orderly_charts import SUFFIXES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SUFFIXES", "Point", "bindings_frame", "fleet_chart", "write_fleet_chart"]

PLAN, FREE, LIMIT = "#1d3557", "#8d99ae", "#e5383b"
VALUE, BOUND = "#1d3557", "#2a9d8f"
PRICES = ("#5e548e", "#e76f51", "#2a9d8f", "#e9c46a", "#1d3557", "#be95c4", "#52b788", "#8338ec")

MOST_NODES = 4
"""The nodes that a chart shows; of more, those whose limits cost most."""

MOST_PRICES = len(PRICES)
"""The limits whose prices a chart shows."""

RULES = {IMPORT: "import", EXPORT: "export"}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 14px sans-serif; color: {ink}; margin: 2em; }}
table {{ border-collapse: collapse; }} th, td {{ padding: 2px 12px; text-align: right; }}
th {{ border-bottom: 1px solid {ink}; }} svg {{ max-width: 100%; height: auto; }}</style></head>
<body><h1>{title}</h1><p>{proof}</p>
{chart}
<h2>Costs</h2>
{costs}
<h2>Limits that bind</h2>
{bindings}
</body></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """How far a solve was after some seconds; None where it was not known yet."""

    seconds: float
    value: float | None
    bound: float | None


def fleet_chart(plan: FleetPlan, points: Sequence[Point] = ()) -> "Figure":
    """The chart of a plan: its nodes, the prices of their limits, and the way to the proof.

    Args:
        plan: the plan.
        points: how the solve went, if that is to be shown.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    nodes, priced = shown_nodes(plan), plan.bindings[:MOST_PRICES]
    proven = [point for point in points if point.bound is not None]
    rows = len(nodes) + bool(priced) + bool(proven)
    with mpl.rc_context(style()):
        figure = Figure(figsize=(11, 0.8 + 2.6 * max(rows, 1)), layout="constrained")
        panels = list(figure.subplots(max(rows, 1), 1, squeeze=False)[:, 0])
        for node, axes in zip(nodes, panels, strict=False):
            _draw_node(axes, plan, node)
        if priced:
            _draw_prices(panels[len(nodes)], plan, priced)
        for axes in panels[: len(nodes) + bool(priced)]:
            _label_time(axes, plan)
        if proven:
            _draw_progress(panels[rows - 1], plan, proven)
        for axes in panels:
            axes.grid(color=FAINT, linewidth=0.6)
            axes.set_axisbelow(True)
        figure.suptitle(title(plan), x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def write_fleet_chart(plan: FleetPlan, file: Path, points: Sequence[Point] = ()) -> None:
    """Writes the chart of a plan to a file: PNG, SVG, PDF, or a page with tables by its suffix."""
    if file.suffix.lower() == ".html":
        file.write_text(page(plan, points), encoding="utf-8")
    else:
        save(fleet_chart(plan, points), file, dpi=150)


def page(plan: FleetPlan, points: Sequence[Point] = ()) -> str:
    """A page of HTML that stands alone: the chart, the costs, and the limits that bind."""
    import matplotlib as mpl

    drawn = io.StringIO()
    # Without a date and with names of its own in it, the same plan gives the same page.
    with mpl.rc_context({"svg.hashsalt": "loadloom"}):
        save(fleet_chart(plan, points), drawn, format="svg", metadata={"Date": None})
    return PAGE.format(
        title=escape(title(plan)),
        proof=escape(proof(plan)),
        ink=INK,
        chart=drawn.getvalue()[drawn.getvalue().index("<svg") :],
        costs=costs_frame(plan).round(2).to_html(border=0),
        bindings=bindings_frame(plan).round(4).to_html(index=False, border=0),
    )


def title(plan: FleetPlan) -> str:
    """The plan in a line."""
    money = f"{plan.objective:,.2f} {plan.currency_code}".rstrip()
    start = plan.grid.boundaries[0]
    return (
        f"{plan.site_count:,} sites from {start:%a %d %b %Y %H:%M}: cost {money}, "
        f"{plan.objective - plan.unlimited_cost:,.2f} of it for limits"
    )


def proof(plan: FleetPlan) -> str:
    """The proof of the plan in a sentence."""
    return (
        f"No plan that keeps these limits can cost less than {plan.bound:,.2f}; this one is within "
        f"{plan.relative_gap:.1e} of that."
    )


def costs_frame(plan: FleetPlan) -> "pd.DataFrame":
    """What the fleet costs with and without limits, and if no store moved."""
    import pandas as pd

    said = {
        "if every site chose alone, without limits": plan.unlimited_cost,
        "with this plan": plan.objective,
        "what the limits cost": plan.objective - plan.unlimited_cost,
    }
    if plan.comparable:
        said |= {"if no store moved": plan.baseline_cost, "saving": plan.saving}
    unit = plan.currency_code or "cost"
    return pd.DataFrame({unit: said})


def bindings_frame(plan: FleetPlan) -> "pd.DataFrame":
    """The limits that bind: how long, what a kW more would save, and when they are dearest."""
    import pandas as pd

    rows = [
        {
            "node": one.node,
            "limit": RULES[one.rule],
            "intervals": len(one.starts),
            "first": f"{one.starts[0]:%a %H:%M}",
            "last": f"{one.starts[-1]:%a %H:%M}",
            "dearest": f"{one.dearest:%a %H:%M}",
            "price per kWh": one.dearest_price_per_kwh,
            "a kW more saves": one.saving_per_kw,
        }
        for one in plan.bindings
    ]
    return pd.DataFrame(rows)


def shown_nodes(plan: FleetPlan) -> list[str]:
    """The nodes to draw: those whose limits cost most, or else the first that have limits."""
    priced = list(dict.fromkeys(one.node for one in plan.bindings))
    limited = [
        name
        for name in plan.nodes
        if any(np.isfinite(plan.limit(name, rule)).any() for rule in RULES)
    ]
    return (priced or limited or plan.nodes)[:MOST_NODES]


def _draw_node(axes: "Axes", plan: FleetPlan, node: str) -> None:
    """Draws what a node draws, with and without limits, against its limits."""
    times = _edges(plan)
    with_kw = plan.power_kw[node].to_numpy()
    free_kw = plan.unlimited_power_kw[node].to_numpy()
    label = "sites alone, without limits"
    axes.stairs(free_kw, times, baseline=None, color=FREE, linewidth=1.4, label=label)
    axes.stairs(with_kw, times, baseline=None, color=PLAN, linewidth=1.8, label="coordinated")
    most, least = plan.limit(node, IMPORT), -plan.limit(node, EXPORT)
    over = np.minimum(np.maximum(free_kw, least), most)
    axes.stairs(
        free_kw, times, baseline=over, fill=True, color=LIMIT, alpha=0.25, label="beyond a limit"
    )
    for row, words in ((most, "limit"), (least, None)):
        if np.isfinite(row).any():
            shown = np.where(np.isfinite(row), row, np.nan)
            axes.stairs(
                *(shown, times),
                baseline=None,
                color=LIMIT,
                linewidth=1.2,
                linestyle="--",
                label=words,
            )
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_title(node, loc="left")
    axes.set_ylabel("kW")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_prices(axes: "Axes", plan: FleetPlan, priced: Sequence[Binding]) -> None:
    """Draws the prices of limits in each interval."""
    times = _edges(plan)
    for one, color in zip(priced, PRICES, strict=False):
        frame = plan.import_price_per_kwh if one.rule == IMPORT else plan.export_price_per_kwh
        label = f"{one.node}, {RULES[one.rule]}"
        prices = frame[one.node].to_numpy()
        axes.stairs(prices, times, baseline=None, color=color, linewidth=1.4, label=label)
    axes.set_title("Prices of the limits", loc="left")
    axes.set_ylabel(f"{plan.currency_code or 'price'} per kWh")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_progress(axes: "Axes", plan: FleetPlan, points: Sequence[Point]) -> None:
    """Draws how value and bound came together."""
    for name, color, label in (
        ("value", VALUE, "best plan so far"),
        ("bound", BOUND, "proven bound"),
    ):
        known = [point for point in points if getattr(point, name) is not None]
        seconds = [point.seconds for point in known]
        amounts = [getattr(point, name) for point in known]
        axes.step(seconds, amounts, ".-", where="post", color=color, linewidth=1.6, label=label)
    axes.set_title("The way to the proof", loc="left")
    axes.set_ylabel(plan.currency_code or "cost")
    axes.set_xlabel("seconds since it was asked for")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _label_time(axes: "Axes", plan: FleetPlan) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone, times = ZoneInfo(plan.grid.time_zone), _edges(plan)
    locator = AutoDateLocator(tz=zone, minticks=5, maxticks=13)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.set_xlim(times[0], times[-1])


def _edges(plan: FleetPlan) -> NDArray[np.float64]:
    from matplotlib.dates import date2num

    return np.asarray(date2num(plan.grid.boundaries), dtype=np.float64)
