"""Plans of fleets as tables for people at a terminal."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadloom.client.command.terminal import bare_table, no_plan_below, proven
from loadloom.client.fleet_charts import RULES
from loadloom.client.fleet_plan import EXPORT, IMPORT, Binding, FleetPlan
from loadloom.client.plan import Outcome
from loadloom.client.response_charts import tree

BINDINGS_TOLD, NODES_TOLD, BREACHES_TOLD, CONFLICTS_TOLD = 12, 25, 8, 10
"""The rows of tables that are told at a terminal; --out and --json tell all."""

Place = Callable[[str], str]
"""What tells where the caller wrote down the rule that a field path names."""


def fleet_report(plan: FleetPlan, place: Place = str) -> RenderableType:
    """The report of a plan: costs, proof, limits that bind, nodes, and what gave way."""
    parts: list[RenderableType] = [heading(plan), ""]
    if not plan.exists:
        return Group(*parts, _no_plan(plan, place))
    parts += [_costs(plan), "", _proof(plan), ""]
    if plan.bindings:
        parts += [_bindings(plan), ""]
    else:
        parts += [Text("No limit binds: every site does what is best for it alone.\n")]
    if plan.breaches:
        parts += [_breaches(plan, place), ""]
    return Group(*parts, _nodes(plan))


def heading(plan: FleetPlan) -> Text:
    """How many sites there are, and when the plan is for."""
    grid = plan.grid
    first, last = grid.boundaries[0], grid.boundaries[-1]
    steps = {step / timedelta(minutes=1) for step in grid.steps}
    step = f"{steps.pop():g} min" if len(steps) == 1 else "uneven steps"
    below = f" below {len(plan.nodes):,} nodes" if plan.nodes else ""
    text = Text(f"{plan.site_count:,} sites{below}", style="bold")
    said = (
        f"\n{first:%a %d %b %Y %H:%M} to {last:%a %d %b %Y %H:%M}, {grid.time_zone}, "
        f"{grid.count} x {step}"
    )
    return text.append(said, style="not bold dim")


def _costs(plan: FleetPlan) -> Table:
    table = bare_table()
    table.add_column("")
    table.add_column(plan.currency_code or "cost", justify="right", no_wrap=True)
    if plan.comparable:
        table.add_row("if no store moved, whatever limits that breaks", _money(plan.baseline_cost))
    table.add_row("if every site chose alone, without limits", _money(plan.unlimited_cost))
    table.add_row("with this plan", Text(_money(plan.objective), style="bold"))
    for name, amount in plan.costs.items():
        if amount:
            table.add_row(f"  {name}", _money(amount), style="dim")
    table.add_row("what the limits cost", _money(plan.objective - plan.unlimited_cost))
    if plan.comparable:
        share = plan.saving / abs(plan.baseline_cost) if plan.baseline_cost else 0.0
        style = "bold green" if plan.saving > 0 else "bold"
        saving = Text(_money(plan.saving), style=style)
        table.add_row(Text(f"saving, {share:.1%}", style=style), saving)
    return table


def _proof(plan: FleetPlan) -> Text:
    origin = plan.provenance
    text = Text("Proof  ", style="bold")
    text.append(no_plan_below(plan.bound, _money(plan.bound)), style="not bold")
    text.append(f" (gap {proven(plan.bound, f'{plan.relative_gap:.1e}')})\n", style="not bold dim")
    text.append("Road   ", style="bold")
    text.append(f"{origin.road or origin.method}", style="not bold")
    text.append(f", {origin.solve_time_s:,.2f} s", style="not bold dim")
    if plan.outcome is not Outcome.OPTIMAL:
        text.append("\nA limit of time came before the proof.", style="not bold yellow")
    return text


def _bindings(plan: FleetPlan) -> RenderableType:
    """The limits that bind, when, and at which price."""
    unit = plan.currency_code or "price"
    table = bare_table("Limits that bind, those first of which more would save most")
    for name in ("node", "limit", "when"):
        table.add_column(name, overflow="fold")
    for name in ("dearest at", f"{unit} per kWh", "one more kW saves"):
        table.add_column(name, justify="right")
    for one in plan.bindings[:BINDINGS_TOLD]:
        table.add_row(
            one.node,
            RULES[one.rule],
            when(plan, one),
            f"{one.dearest:%a %H:%M}",
            f"{one.dearest_price_per_kwh:,.4f}",
            f"{one.saving_per_kw:,.4f}",
        )
    return _told(table, len(plan.bindings) - BINDINGS_TOLD, "limits; --out tells all")


def when(plan: FleetPlan, one: Binding) -> str:
    """The stretches of time in which a limit binds."""
    place = {start: index for index, start in enumerate(plan.grid.boundaries[:-1])}
    binds = [place[start] for start in one.starts]
    ends = [b for b, following in zip(binds, [*binds[1:], -1], strict=True) if following != b + 1]
    first = [b for b, before in zip(binds, [-2, *binds], strict=False) if before != b - 1]
    moments = plan.grid.boundaries
    words = [
        f"{moments[a]:%a %H:%M}-{moments[b + 1]:%H:%M}" for a, b in zip(first, ends, strict=True)
    ]
    more = f" and {len(words) - 2} more" if len(words) > 2 else ""
    return ", ".join(words[:2]) + more


def _nodes(plan: FleetPlan) -> RenderableType:
    """The peaks of each node, coordinated and not, and its limits at their lowest."""
    table = bare_table("Nodes, kW")
    table.add_column("node", overflow="fold")
    for name in ("import peak", "if alone", "limit", "export peak", "if alone", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    power, alone = plan.power_kw, plan.unlimited_power_kw
    depths = tree(plan.nodes, plan.parents)
    for name in [*depths][:NODES_TOLD]:
        cells = []
        for sign, rule in ((1.0, IMPORT), (-1.0, EXPORT)):
            most = float(plan.limit(name, rule).min())
            peaks = [max(0.0, float(np.max(sign * kw))) for kw in (power[name], alone[name])]
            over = peaks[1] > most * (1.0 + 1e-9)
            cells += [
                f"{peaks[0]:,.1f}",
                Text(f"{peaks[1]:,.1f}", style="red" if over else ""),
                f"{most:,.1f}" if np.isfinite(most) else "",
            ]
        table.add_row("  " * depths[name] + name, *cells)
    return _told(table, len(depths) - NODES_TOLD, "nodes; --out tells all")


def _breaches(plan: FleetPlan, place: Place) -> RenderableType:
    """The limits that gave way, when, how much, and what it costs."""
    table = bare_table("Limits that gave way at their price")
    table.add_column("limit", overflow="fold")
    for name in ("beyond", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    for breach in plan.breaches[:BREACHES_TOLD]:
        at = f", {breach.starts[0]:%a %H:%M}" if breach.starts else ""
        more = f" and {len(breach.starts) - 1} more" if len(breach.starts) > 1 else ""
        beyond = f"{sum(breach.amounts):,.2f} {breach.unit}"
        table.add_row(f"{place(breach.rule)}{at}{more}", beyond, _money(breach.cost))
    return _told(table, len(plan.breaches) - BREACHES_TOLD, "limits; --json tells all")


def _no_plan(plan: FleetPlan, place: Place) -> RenderableType:
    """Why there is no plan."""
    conflicts, sites = plan.conflicts, plan.site_conflicts
    if not (conflicts or sites):
        return Text(plan.message.termination.detail or f"There is no plan: {plan.outcome}.")
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(overflow="fold")  # a place in a file is told whole
    for number, one in enumerate(conflicts[:CONFLICTS_TOLD], start=1):
        grid.add_row(f"{number}.", one.what)
        grid.add_row("", Text(f"rule  {place(one.rule)}", style="dim"))
        if one.cure:
            grid.add_row("", Text(f"cure  {one.cure}", style="bold"))
    for one in sites[:CONFLICTS_TOLD]:
        rule = place(f"sites.names[{one.site}]")
        grid.add_row("", one.text or f"{one.name or one.site} cannot keep its own rules")
        grid.add_row("", Text(f"site  {rule}", style="dim"))
    more = max(0, len(conflicts) - CONFLICTS_TOLD) + max(0, len(sites) - CONFLICTS_TOLD)
    title = Text("No plan can keep every rule.\n", style="bold red")
    return Group(title, grid, f"and {more} more; --json tells them" if more else "")


def _told(table: Table, more: int, words: str) -> RenderableType:
    return Group(table, Text(f"and {more:,} more {words}", style="dim")) if more > 0 else table


def _money(amount: float) -> str:
    return f"{amount:z,.2f}"
