"""Plans as tables for people at a terminal."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from math import isfinite, isnan

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadloom.client.command.device_report import (
    Quantity,
    breaches,
    constant,
    electric_quantities,
    heat_quantities,
    hours,
    last,
    limit_prices,
    peaks,
)
from loadloom.client.command.terminal import no_plan_below
from loadloom.client.grid import Grid
from loadloom.client.plan import Conflict, Outcome, Plan
from loadloom.client.site import Load, Photovoltaic, Site
from loadloom.client.site_devices import WindTurbine
from loadloom.client.system import SystemInfo

HOURLY_UP_TO = timedelta(hours=49)
"""The longest horizon that is summed up by the hour; longer ones are by the day."""

PAD = 3
"""The space between two columns of a table."""

CONFLICTS_TOLD = 10
"""The rules in conflict that are told at a terminal."""

ACTION_STYLES = {"charge": "green", "draw": "green", "discharge": "yellow", "give": "yellow"}


def plan_report(site: Site, plan: Plan, place: Callable[[str], str] = str) -> RenderableType:
    """The report of a plan: costs, proof, schedule, and reasons where they were asked for.

    `place` tells where the caller wrote down the rule that a field path names.
    """
    parts: list[RenderableType] = [_heading(plan), ""]
    if plan.outcome is Outcome.INFEASIBLE:
        return Group(*parts, _conflicts(plan, place))
    if not plan.exists:
        return Group(*parts, Text(plan.message.termination.detail or "There is no plan."))
    parts += [_costs(site, plan), "", _proof(plan)]
    if site.meter.demand_charges:
        parts += ["", peaks(site, plan)]
    if plan.message.breaches:
        parts += ["", breaches(plan, place)]
    if plan.columns:
        parts += ["", _schedule("Schedule", _quantities(site, plan), plan)]
        if devices := electric_quantities(site, plan):
            parts += ["", _schedule("Devices", devices, plan)]
        if heat := heat_quantities(site, plan):
            parts += ["", _schedule("Heat", heat, plan)]
    if plan.message.limit_prices:
        parts += ["", limit_prices(plan, place)]
    if plan.message.reasons:
        parts += ["", _reasons(plan)]
    return Group(*parts)


def system_report(info: SystemInfo, heading: str) -> RenderableType:
    """The report of what a server is, which the heading names: versions, families, limits."""
    table = _table("", "")
    table.show_header = False
    table.add_row("engine", info.engine_version)
    table.add_row("families", ", ".join(info.families))
    for name, version in sorted(info.solvers.items()):
        table.add_row(name, version)
    for name, limit in info.limits.items():
        table.add_row(f"most {name.replace('_', ' ')}", f"{limit:,.10g}")
    return Group(Text(heading, style="bold"), "", table)


def _heading(plan: Plan) -> Text:
    grid = plan.grid
    first, last = grid.boundaries[0], grid.boundaries[-1]
    steps = set(grid.steps)
    step = _duration(steps.pop()) if len(steps) == 1 else "uneven steps"
    heading = Text(plan.site_name or "Site", style="bold")
    heading.append(
        f"\n{first:%a %d %b %Y %H:%M} to {last:%a %d %b %Y %H:%M}, {grid.time_zone}, "
        f"{grid.count} x {step}",
        style="not bold dim",
    )
    return heading


def _costs(site: Site, plan: Plan) -> Table:
    table = _table("", plan.currency_code or "cost")
    money = _money(plan)
    if not isnan(plan.baseline_cost):
        beyond = "" if plan.baseline_within_limits else " (which breaks limits)"
        plainly = "with nothing clever" if plan.columns and _many(site) else "without storage"
        table.add_row(f"{plainly}{beyond}", money(plan.baseline_cost))
    table.add_row("with this plan", Text(money(plan.objective), style="bold"))
    for name, amount in plan.costs.items():
        if amount:
            table.add_row(f"  {name}", money(amount), style="dim")
    if plan.comparable:
        seen = plan.baseline_cost and money(plan.saving) != money(0.0)
        share = plan.saving / abs(plan.baseline_cost) if seen else 0.0
        style = "bold green" if plan.saving > 0 else "bold"
        saving = Text(money(plan.saving), style=style)
        table.add_row(Text(f"saving, {share:.1%}", style=style), saving)
    return table


def _proof(plan: Plan) -> Text:
    origin, money = plan.provenance, _money(plan)
    text = Text("Proof  ", style="bold")
    text.append(no_plan_below(plan.bound, money(plan.bound)), style="not bold")
    if plan.outcome is not Outcome.OPTIMAL and isfinite(plan.bound):
        most = plan.objective - plan.bound
        text.append(f"; this one may be up to {most:.4g} from the best", style="not bold")
    gap = f" (gap {plan.relative_gap:.1e}, by {plan.proof})" if isfinite(plan.bound) else ""
    text.append(f"{gap}\n", style="not bold dim")
    text.append("Road   ", style="bold")
    text.append(f"{origin.road or origin.method}", style="not bold")
    solve_ms = origin.solve_time_s * 1000
    digits = f"{solve_ms:,.0f}" if solve_ms >= 100.0 else f"{solve_ms:.3g}"
    text.append(f", {digits} ms", style="not bold dim")
    return text


def _many(site: Site) -> bool:
    """Whether a site has devices that decide beyond its stores."""
    kinds = ("vehicles", "swap_stations", "appliances", "heat_buses", "generators", "rooms")
    return any(getattr(site, kind) for kind in kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    """Columns by hour or day, in as many tables below each other as it takes to show all whole."""

    title: str
    columns: list[tuple[str, list[str]]]
    starts: Sequence[datetime]
    hourly: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """The tables, for the width that there is."""
        shown: list[tuple[str, list[str]]] = []
        width = free = options.max_width - len("Mon 01 Jan") - PAD - 1
        for column in self.columns:
            needed = max(map(cell_len, (column[0], *column[1]))) + PAD
            if shown and needed > width:
                yield self._table(shown)
                shown, width = [], free
            shown.append(column)
            width -= needed
        yield self._table(shown)

    def _table(self, columns: list[tuple[str, list[str]]]) -> Table:
        table = _table("local time", *(name for name, _ in columns))
        table.title = f"{self.title} by the {'hour' if self.hourly else 'day'}, kWh"
        day = None
        for start, *row in zip(self.starts, *(cells for _, cells in columns), strict=True):
            if self.hourly:
                day = _add_day(table, start, day)
            table.add_row(f"{start:%H:%M}" if self.hourly else f"{start:%a %d %b}", *row)
        return table


def _schedule(title: str, columns: Sequence[Quantity], plan: Plan) -> _Schedule:
    boundaries = plan.grid.boundaries
    hourly = boundaries[-1] - boundaries[0] <= HOURLY_UP_TO
    starts, blocks = zip(*_blocks(plan.grid, hourly), strict=True)
    cells = [(name, _cells(values, combine, blocks)) for name, values, combine in columns]
    return _Schedule(title=title, columns=cells, starts=starts, hourly=hourly)


def _cells(
    values: NDArray[np.float64], combine: Callable[..., float], blocks: Sequence[list[int]]
) -> list[str]:
    combined = [combine(values[where]) for where in blocks]
    digits = 4 if combine is np.mean else 1 if max(map(abs, combined)) < 1000 else 0
    return [f"{value:z,.{digits}f}" for value in combined]


def _add_day(table: Table, moment: datetime, before: date | None) -> date:
    """The day of the moment, which gets a line of its own if it is another one than before."""
    if moment.date() != before:
        table.add_row(Text(f"{moment:%a %d %b}", style="bold"))
    return moment.date()


def _quantities(site: Site, plan: Plan) -> list[Quantity]:
    """The columns of the schedule: name, value in each interval, and how several become one."""
    step_h = hours(plan.grid)
    columns, total = plan.columns, np.sum
    grid_kw = columns["import_kw"] - columns["export_kw"]
    buy = constant(site.meter.buy_price_per_kwh, plan.grid)
    quantities: list[Quantity] = [("price", buy, np.mean)]
    if site.loads:
        quantities.append(("load", _total(site.loads, plan.grid) * step_h, total))
        shed_kw = [v for name, v in columns.items() if name.endswith("shed_kw")]
        if np.any(np.asarray(shed_kw) > 1e-6):
            quantities.append(("shed", np.sum(shed_kw, axis=0) * step_h, total))
    if plants := [*site.photovoltaics, *site.wind_turbines]:
        name = "sun, wind" if site.wind_turbines else "PV"
        quantities.append((name, _total(plants, plan.grid) * step_h, total))
        lost_kw = [v for name, v in columns.items() if name.endswith("curtailed_kw")]
        if np.any(np.asarray(lost_kw) > 1e-6):
            quantities.append(("curtailed", np.sum(lost_kw, axis=0) * step_h, total))
    quantities.append(("grid", grid_kw * step_h, total))
    for storage in site.storages:
        if storage.heat_bus:
            continue
        prefix = f"{storage.name}." if storage.name else ""
        moved_kw = columns[f"{prefix}charge_kw"] - columns[f"{prefix}discharge_kw"]
        quantities.append((storage.name or "store", moved_kw * step_h, total))
        quantities.append(("stored", columns[f"{prefix}state_of_charge_kwh"], last))
    return quantities


def _blocks(grid: Grid, hourly: bool) -> Iterator[tuple[datetime, list[int]]]:
    """The hours or days of local time: when each starts, and its intervals."""

    def block(index: int) -> tuple[object, ...]:
        moment = grid.boundaries[index]
        return (moment.date(), moment.hour, moment.utcoffset()) if hourly else (moment.date(),)

    for _, found in groupby(range(grid.count), block):
        where = list(found)
        yield grid.boundaries[where[0]], where


def _reasons(plan: Plan) -> Table:
    table = _table("local time")
    table.title = "Reasons"
    several = len({reason.storage for reason in plan.reasons}) > 1
    table.add_column("does", no_wrap=True)
    table.add_column("kWh", justify="right")
    table.add_column("because", overflow="fold")
    day = None
    for reason in plan.reasons:
        day = _add_day(table, reason.start, day)
        action = Text(reason.action, style=ACTION_STYLES.get(reason.action, ""))
        table.add_row(
            f"{reason.start:%H:%M}-{reason.end:%H:%M}",
            Text(f"{reason.storage} ").append(action) if several else action,
            f"{reason.energy_kwh:z,.1f}",
            reason.text,
        )
    return table


def _conflicts(plan: Plan, place: Callable[[str], str]) -> RenderableType:
    title = Text("No plan can keep every rule.\n", style="bold red")
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(overflow="fold")  # a place in a file is told whole
    groups: dict[tuple[str, bool], list[Conflict]] = {}
    for conflict in plan.conflicts:
        groups.setdefault((conflict.rule, conflict.amount > 0.0), []).append(conflict)
    for number, group in enumerate([*groups.values()][:CONFLICTS_TOLD], start=1):
        grid.add_row(f"{number}.", group[0].what)
        if len(group) > 1:
            grid.add_row("", _others(group))
        grid.add_row("", Text(f"rule  {place(group[0].rule)}", style="dim"))
        if group[0].cure:
            # Fields in a site file stand below no "site".
            grid.add_row("", Text(f"cure  {group[0].cure.replace('site.', '')}", style="bold"))
        grid.add_row()
    more = len(groups) - CONFLICTS_TOLD
    return Group(title, grid, f"and {more} more; --json tells all" if more > 0 else "")


def _others(group: list[Conflict]) -> str:
    """The conflicts of a rule after its first one, in a line."""
    last, amount = group[-1], sum(conflict.amount for conflict in group)
    stretches = "another stretch" if len(group) == 2 else f"{len(group) - 1} more stretches"
    total = f", {amount:,.1f} {last.unit} in all" if amount else ""
    return f"and in {stretches} up to {last.end:%a %d %b %H:%M}{total}; --json tells each"


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _money(plan: Plan) -> Callable[[float], str]:
    """How to write amounts: in cents, or in hundredths of them when all of them are small."""
    amounts = (plan.objective, plan.baseline_cost, *plan.costs.values())
    digits = 2 if max(map(abs, amounts)) >= 10 else 4
    return lambda amount: f"{amount:z,.{digits}f}"


def _duration(step: timedelta) -> str:
    minutes = step / timedelta(minutes=1)
    return f"{minutes / 60:g} h" if minutes % 60 == 0 else f"{minutes:g} min"


def _total(devices: Sequence[Load | Photovoltaic | WindTurbine], grid: Grid) -> NDArray[np.float64]:
    return sum((constant(d.power_kw, grid) for d in devices), start=np.zeros(grid.count))
