"""Charts of curves bought together: stacked curves, their load duration, who gains what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.agency import Curves
from loadloom.client.charts import FAINT, INK, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
"""The kinds of files that a chart can be written to."""

GROUPS = ("#1d3557", "#2a9d8f", "#e9c46a", "#e76f51", "#8338ec", "#5e9bc0", "#8ab17d", "#be95c4")
OTHERS, PEAK, POOLED, ALONE = "#d8dee9", "#e5383b", "#2a9d8f", "#8d99ae"
GAIN, LOSS = "#2a9d8f", "#e76f51"

MOST_GROUPS = len(GROUPS)
"""The groups, or users, that a chart shows apart; of more, those with the most energy."""

MOST_BARS = 40
"""The users whose gain has a bar of its own; more are drawn as one rising line."""

OTHERS_NAME = "others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What power costs users, alone and together, in the currency.

    Attributes:
        names: the users.
        energy_kwh: the energy of each.
        alone: what each pays alone.
        together: what each pays of what is bought together.
        currency_code: the currency; empty when none is named.
        alone_words: what paying alone means, such as "at the highest price".
    """

    names: Sequence[str]
    energy_kwh: NDArray[np.float64]
    alone: NDArray[np.float64]
    together: NDArray[np.float64]
    currency_code: str = ""
    alone_words: str = "alone"

    @property
    def gain(self) -> NDArray[np.float64]:
        """What each gains."""
        return self.alone - self.together


def pool_chart(curves: Curves, groups: Sequence[str] = (), gain: Gain | None = None) -> "Figure":
    """The chart of curves bought together: the stacked curves, their duration, and who gains what.

    Args:
        curves: the curves.
        groups: the group of each user, such as its area; the largest users apart when left out.
        gain: what users pay alone and together; no panel of it when left out.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(style()):
        figure = Figure(figsize=(12, 10 if gain else 7.5), layout="constrained")
        grid = figure.add_gridspec(3 if gain else 2, 2, height_ratios=(4, 3, 3)[: 3 if gain else 2])
        draw_stack(figure.add_subplot(grid[0, :]), curves, groups)
        draw_duration(figure.add_subplot(grid[1, 0]), curves)
        draw_day(figure.add_subplot(grid[1, 1]), curves, groups)
        if gain is not None:
            draw_gains(figure.add_subplot(grid[2, 0]), gain)
            draw_prices(figure.add_subplot(grid[2, 1]), gain)
        figure.suptitle(title(curves), x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def write_pool_chart(
    curves: Curves, file: Path | StringIO, groups: Sequence[str] = (), gain: Gain | None = None
) -> None:
    """Writes the chart of curves to a file, PNG, SVG or PDF by its suffix, or to a text as SVG."""
    figure = pool_chart(curves, groups, gain)
    if isinstance(file, Path):
        save(figure, file, dpi=150)
    else:
        save(figure, file, format="svg", metadata={"Date": None})


def title(curves: Curves) -> str:
    """The curves in a line: how many, how much energy, their peak and load factor."""
    total_kw = curves.total_kw
    energy_kwh = float(total_kw @ curves.step_h)
    hours = float(curves.step_h.sum())
    factor = energy_kwh / (hours * total_kw.max()) if total_kw.max() > 0.0 else 0.0
    return (
        f"{len(curves.names):,} users, {energy_kwh:,.0f} kWh, peak {total_kw.max():,.0f} kW, "
        f"load factor {factor:.3f}"
    )


def draw_stack(axes: "Axes", curves: Curves, groups: Sequence[str] = ()) -> None:
    """Draws the curves of groups on top of each other over local time, and their peak."""
    times, rows = _edges(curves), grouped(curves, groups)
    below = np.zeros(curves.grid.count)
    for (name, load_kw), color in zip(rows.items(), _colors(rows), strict=True):
        above = below + load_kw
        axes.stairs(above, times, baseline=below, fill=True, color=color, label=name)
        below = above
    place = int(below.argmax())
    middle = (times[place] + times[place + 1]) / 2.0
    moment = curves.grid.boundaries[place].astimezone(ZoneInfo(curves.grid.time_zone))
    axes.plot(middle, below[place], "v", color=PEAK, label=f"peak, {moment:%a %d %b %H:%M}")
    axes.set_ylabel("kW together")
    axes.set_xlim(times[0], times[-1])
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True)
    _label_time(axes, curves)


def draw_duration(axes: "Axes", curves: Curves) -> None:
    """Draws for how many hours the load is how high, and what the peaks of all would add up to."""
    total_kw, step_h = curves.total_kw, curves.step_h
    order = np.argsort(-total_kw, kind="stable")
    hours = np.concatenate(([0.0], np.cumsum(step_h[order])))
    own_kw = float(curves.load_kw.max(axis=1).sum(dtype=np.float64))
    mean_kw = float(total_kw @ step_h) / hours[-1]
    axes.stairs(total_kw[order], hours, fill=True, color=POOLED, alpha=0.35)
    axes.stairs(total_kw[order], hours, baseline=None, color=POOLED, linewidth=1.6)
    for level_kw, color, words in (
        (own_kw, ALONE, "sum of own peaks"),
        (float(total_kw.max()), PEAK, "peak together"),
        (mean_kw, INK, "mean"),
    ):
        axes.axhline(level_kw, color=color, linewidth=1.0, linestyle="--")
        axes.text(hours[-1], level_kw, f"{words} {level_kw:,.0f}", ha="right", va="bottom")
    axes.set_xlim(0.0, hours[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("hours at this load or more")
    axes.set_ylabel("kW")
    _grid(axes)


def draw_day(axes: "Axes", curves: Curves, groups: Sequence[str] = ()) -> None:
    """Draws the mean load of each group by the hour of the local day, as a share of its own peak.

    It shows whose peaks fall into the valleys of others.
    """
    hours = np.array([moment.hour for moment in _local(curves)])
    present = np.unique(hours)
    rows = grouped(curves, groups)
    for (name, load_kw), color in zip(rows.items(), _colors(rows), strict=True):
        means = np.array([load_kw[hours == hour].mean() for hour in present])
        if means.max() > 0.0:
            axes.plot(present, means / means.max(), color=color, linewidth=1.4, label=name)
    axes.set_xlabel("hour of the local day")
    axes.set_ylabel("mean load, share of its highest")
    axes.set_ylim(0.0, 1.05)
    axes.margins(x=0)
    _grid(axes)


def draw_gains(axes: "Axes", gain: Gain) -> None:
    """Draws what each user gains: a bar for each of a few, one rising line for many."""
    order = np.argsort(gain.gain, kind="stable")
    values = gain.gain[order]
    if len(values) <= MOST_BARS:
        names = [str(gain.names[place]) for place in order.tolist()]
        axes.barh(range(len(values)), values, color=[GAIN if v >= 0.0 else LOSS for v in values])
        axes.set_yticks(range(len(values)), names, fontsize=7)
        axes.set_xlabel(f"gain, {_currency(gain)}")
    else:
        places = np.arange(len(values) + 1)
        for color, shown in ((GAIN, values.clip(min=0.0)), (LOSS, values.clip(max=0.0))):
            axes.stairs(shown, places, fill=True, color=color, alpha=0.8)
        axes.set_xlim(0, len(values))
        axes.set_yscale("symlog", linthresh=max(1.0, float(np.abs(values).max()) / 1000.0))
        # The ticks of a scale of its own would be formulas, which charts do not parse.
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel(f"users, who gain {gain.gain.sum():,.0f} {_currency(gain)} together")
        axes.set_ylabel(f"gain, {_currency(gain)}")
    axes.axhline(0.0, color=INK, linewidth=0.8)
    _grid(axes)


def draw_prices(axes: "Axes", gain: Gain) -> None:
    """Draws the price of a kWh for each user, alone against together."""
    used = gain.energy_kwh > 0.0
    alone, together = (cost[used] / gain.energy_kwh[used] for cost in (gain.alone, gain.together))
    sizes = gain.energy_kwh[used] / gain.energy_kwh.max() * 150.0 + 6.0
    colors = np.where(alone >= together, GAIN, LOSS)
    axes.scatter(alone, together, s=sizes, c=colors.tolist(), alpha=0.6, linewidths=0)
    ends = [min(alone.min(), together.min()), max(alone.max(), together.max())]
    axes.plot(ends, ends, color=INK, linewidth=0.8, linestyle="--")
    axes.set_xlabel(f"{_currency(gain)} per kWh {gain.alone_words}")
    axes.set_ylabel("together")
    _grid(axes)


def grouped(curves: Curves, groups: Sequence[str] = ()) -> Mapping[str, NDArray[np.float64]]:
    """The load of each group, that with the most energy first, and of all others together."""
    names = list(groups) if len(groups) == len(curves.names) else list(curves.names)
    known = list(dict.fromkeys(names))
    energy_kwh = np.zeros(len(known))
    places = {name: place for place, name in enumerate(known)}
    owners = np.array([places[name] for name in names])
    np.add.at(energy_kwh, owners, curves.energy_kwh)
    order = np.argsort(-energy_kwh, kind="stable").tolist()
    apart = order if len(order) <= MOST_GROUPS else order[: MOST_GROUPS - 1]
    rows = {
        known[place] or "no group": curves.load_kw[owners == place].sum(axis=0, dtype=np.float64)
        for place in apart
    }
    if len(apart) < len(order):
        rest = np.isin(owners, apart, invert=True)
        rows[OTHERS_NAME] = curves.load_kw[rest].sum(axis=0, dtype=np.float64)
    return rows


def _colors(rows: Mapping[str, object]) -> list[str]:
    return [OTHERS if name == OTHERS_NAME else color for name, color in zip(rows, cycle(GROUPS))]


def _currency(gain: Gain) -> str:
    return gain.currency_code or "money"


def _label_time(axes: "Axes", curves: Curves) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone = ZoneInfo(curves.grid.time_zone)
    locator = AutoDateLocator(tz=zone, minticks=5, maxticks=16)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.set_xlabel(f"local time, {curves.grid.time_zone}")
    _grid(axes)


def _local(curves: Curves) -> list:
    zone = ZoneInfo(curves.grid.time_zone)
    return [moment.astimezone(zone) for moment in curves.grid.boundaries[:-1]]


def _grid(axes: "Axes") -> None:
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _edges(curves: Curves) -> NDArray[np.float64]:
    from matplotlib.dates import date2num

    return np.asarray(date2num(curves.grid.boundaries), dtype=np.float64)
