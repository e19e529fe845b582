"""Charts of plans: prices, powers and stored energy over local time."""

import re
import warnings
from collections.abc import Sequence
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadloom.client.charts_devices import NAMED, column, panels
from loadloom.client.plan import Plan
from loadloom.client.site import Load, Photovoltaic, Site, Storage
from loadloom.client.site_devices import WindTurbine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
"""The kinds of files that a chart can be written to."""

INK, FAINT = "#3b4252", "#d8dee9"
BUY, SELL, NEGATIVE = "#5e548e", "#be95c4", "#e5383b"
LOAD, PV, IMPORT, EXPORT = "#3b4252", "#f4a100", "#8d99ae", "#52b788"
CHARGE, DISCHARGE = "#2a9d8f", "#e76f51"
ENERGIES = ("#1d3557", "#2a9d8f", "#e76f51", "#8338ec")

RC: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "font.size": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",  # letters stay letters, in the fonts of whoever looks
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "xtick.color": INK,
    "ytick.color": INK,
}


FALLBACKS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "PingFang HK",
    "Hiragino Sans GB",
    "Heiti TC",
    "Microsoft YaHei",
    "SimHei",
    "SimSun",
    "Malgun Gothic",
    "Arial Unicode MS",
    "Unifont",
)
"""Fonts with Chinese letters, and mostly Japanese and Korean ones, that systems come with."""

GLYPH = re.compile(r"Glyph (\d+) .*missing from font", re.DOTALL)
"""How matplotlib warns of a letter that no font has."""


def style() -> dict[Any, Any]:
    """The style of all charts, with the fonts for other scripts that this machine has."""
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    return RC | {"font.family": ["sans-serif", *(name for name in FALLBACKS if name in known)]}


def save(figure: "Figure", file: Path | StringIO, **options: Any) -> None:  # noqa: ANN401 -- as savefig has them
    """Writes a figure to a file or a text, as SVG if it is a text.

    Warns once if no font of this machine has some of its letters, unless it is SVG, where letters
    are drawn by whoever looks.
    """
    import matplotlib as mpl

    with mpl.rc_context(style()), warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        figure.savefig(file, **options)
    missing = dict.fromkeys(map(_letter, found))
    drawn = isinstance(file, Path) and file.suffix.lower() != ".svg"
    if drawn and (letters := "".join(filter(None, missing))):
        told = f"no font here has {letters}; install one such as Noto Sans CJK, or write .svg"
        warnings.warn(told, stacklevel=2)
    for warning in found:
        if not _letter(warning):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def plan_chart(site: Site, plan: Plan) -> "Figure":
    """The chart of a plan with a schedule: prices, powers at the meter, devices, energies."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(style()):
        further = panels(site, plan)
        stored = _stored(site)
        moved = [storage for storage in site.storages if not storage.heat_bus]
        rows = 2 + bool(moved) + bool(stored) + len(further)
        figure = Figure(figsize=(11, 2.25 * max(rows, 3)), layout="constrained")
        every = figure.subplots(rows, 1, sharex=True, height_ratios=(3, 4, *[3] * (rows - 2)))
        _draw_prices(every[0], site, plan)
        _draw_powers(every[1], site, plan)
        if moved:
            _draw_stores(every[2], moved, plan)
        if stored:
            _draw_energies(every[2 + bool(moved)], stored, plan)
        for draw, axes in zip(further, every[rows - len(further) :], strict=True):
            draw(axes, _edges(plan))
        _label_time(every[-1], plan)
        for axes in every:
            _finish(axes, floor=axes.get_ylabel() != "°C")
        figure.suptitle(_title(plan), x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def write_chart(site: Site, plan: Plan, file: Path) -> None:
    """Writes the chart of a plan to a file, PNG, SVG or PDF by its suffix."""
    save(plan_chart(site, plan), file, dpi=150)


def _letter(warning: warnings.WarningMessage) -> str:
    """The letter that a warning says is in no font; empty if it says anything else."""
    said = GLYPH.match(str(warning.message))
    return chr(int(said[1])) if said else ""


def _draw_prices(axes: "Axes", site: Site, plan: Plan) -> None:
    times, meter = _edges(plan), site.meter
    buy = _row(meter.buy_price_per_kwh, plan)
    sell = _row(0.0 if meter.sell_price_per_kwh is None else meter.sell_price_per_kwh, plan)
    lowest = np.minimum(np.minimum(buy, sell), 0.0)
    if np.array_equal(buy, sell):
        axes.stairs(buy, times, baseline=None, color=BUY, linewidth=1.6, label="price")
    else:
        axes.stairs(sell, times, baseline=None, color=SELL, linewidth=1.2, label="sell")
        axes.stairs(buy, times, baseline=None, color=BUY, linewidth=1.6, label="buy")
    if lowest.min() < 0:
        axes.stairs(lowest, times, fill=True, color=NEGATIVE, alpha=0.3, label="negative")
    axes.set_ylabel(f"{plan.currency_code or 'price'} per kWh")


def _draw_powers(axes: "Axes", site: Site, plan: Plan) -> None:
    times, columns = _edges(plan), plan.columns
    axes.stairs(columns["import_kw"], times, fill=True, color=IMPORT, alpha=0.5, label="import")
    axes.stairs(-columns["export_kw"], times, fill=True, color=EXPORT, alpha=0.6, label="export")
    load = _total(site.loads, plan) - _sum(plan, "shed_kw")
    axes.stairs(load, times, baseline=None, color=LOAD, linewidth=1.4, label="load")
    plants = [*site.photovoltaics, *site.wind_turbines]
    if plants:
        forecast = _total(plants, plan)
        used = forecast - _sum(plan, "curtailed_kw")
        source = "PV" if not site.wind_turbines else "sun and wind"
        axes.stairs(used, times, baseline=None, color=PV, linewidth=1.4, label=source)
        if np.any(forecast - used > 1e-6):
            axes.stairs(
                forecast, times, baseline=used, fill=True, color=PV, alpha=0.3, label="curtailed"
            )
    axes.set_ylabel("kW at the meter")


def _draw_stores(axes: "Axes", stores: Sequence[Storage], plan: Plan) -> None:
    times = _edges(plan)
    charge, discharge = np.zeros(plan.grid.count), np.zeros(plan.grid.count)
    for storage in stores:
        charge = charge + column(plan, "storages", storage.name, "charge_kw")
        discharge = discharge + column(plan, "storages", storage.name, "discharge_kw")
    axes.stairs(charge, times, fill=True, color=CHARGE, label="charge")
    axes.stairs(-discharge, times, fill=True, color=DISCHARGE, label="discharge")
    axes.set_ylabel("kW of stores")


def _stored(site: Site) -> list[tuple[str, str, float, ArrayLike]]:
    """What holds energy: its kind, name, energy at the start, and the most it holds."""
    found: list[tuple[str, str, float, ArrayLike]] = [
        ("storages", each.name, each.initial_energy_kwh, each.energy_max_kwh)
        for each in site.storages
    ]
    if len(site.vehicles) <= NAMED:
        found += [
            ("vehicles", each.name, each.initial_energy_kwh, each.capacity_kwh)
            for each in site.vehicles
        ]
    for each in site.swap_stations:
        held = list(each.initial_energy_kwh)
        found.append(("swap_stations", each.name, sum(held), len(held) * each.capacity_kwh))
    return found


def _draw_energies(
    axes: "Axes", stored: Sequence[tuple[str, str, float, ArrayLike]], plan: Plan
) -> None:
    times = _edges(plan)
    for (kind, name, initial, capacity), color in zip(stored, cycle(ENERGIES), strict=False):
        energy = column(plan, kind, name, "state_of_charge_kwh")
        path = np.concatenate(([initial], energy))
        most = _row(capacity, plan)
        axes.stairs(most, times, baseline=None, color=color, linewidth=0.8, linestyle=":")
        axes.plot(times, path, color=color, linewidth=1.6, label=name or "stored")
        axes.fill_between(times, path, color=color, alpha=0.12, linewidth=0)
    axes.set_ylabel("kWh stored")
    axes.set_ylim(bottom=0)


def _finish(axes: "Axes", floor: bool = True) -> None:
    if floor:
        axes.axhline(0, color=INK, linewidth=0.8)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _label_time(axes: "Axes", plan: Plan) -> None:
    """Labels the axis in local time, with days and hours where they fit."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone = ZoneInfo(plan.grid.time_zone)
    locator = AutoDateLocator(tz=zone, minticks=5, maxticks=13)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.set_xlim(*_edges(plan)[[0, -1]])
    axes.set_xlabel(f"local time, {plan.grid.time_zone}")


def _title(plan: Plan) -> str:
    name = f"{plan.site_name}: " if plan.site_name else ""
    money = f"cost {plan.objective:,.2f} {plan.currency_code}".rstrip()
    saving = f", saving {plan.saving:,.2f}" if plan.comparable else ""
    return f"{name}{money}{saving}"


def _edges(plan: Plan) -> NDArray[np.float64]:
    from matplotlib.dates import date2num

    return np.asarray(date2num(plan.grid.boundaries), dtype=np.float64)


def _row(values: ArrayLike, plan: Plan) -> NDArray[np.float64]:
    """One value for each interval."""
    return np.broadcast_to(np.asarray(values, dtype=np.float64), (plan.grid.count,))


def _total(devices: Sequence[Load | Photovoltaic | WindTurbine], plan: Plan) -> NDArray[np.float64]:
    return sum((_row(d.power_kw, plan) for d in devices), start=np.zeros(plan.grid.count))


def _sum(plan: Plan, quantity: str) -> NDArray[np.float64]:
    """The total of a quantity over all devices that have it."""
    found = [values for name, values in plan.columns.items() if name.split(".")[-1] == quantity]
    return sum(found, start=np.zeros(plan.grid.count))
