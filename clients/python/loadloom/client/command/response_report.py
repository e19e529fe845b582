"""Needs, plans, events, calls and settlements of events as tables for people at a terminal."""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from loadloom.client.command.agency_report import facts, rows
from loadloom.client.command.terminal import bare_table, proven
from loadloom.client.response_answers import Needs, TargetPlan
from loadloom.client.response_charts import worst_interval
from loadloom.client.response_events import Call, Event, EventSettlement

HOUR = timedelta(hours=1)

ROWS_TOLD = 20
"""The nodes that are told at a terminal; files hold all."""

LEAST_BELOW = 0.93
"""If fewer loads were below what 95 % should be below, overloads are likelier than foretold."""

PREFIX = "events/"
ID_LETTERS = 8
"""The letters of an event's id that are told in a list, enough to tell them apart."""


def needs_report(found: Needs, ratings: Mapping[str, float] | None = None) -> RenderableType:
    """A row for each node at its hardest time, those with the highest needs first."""
    summary = found.summary.assign(method=found.methods)
    order = summary.sort_values(["need_kw", "overload_probability"], ascending=False)
    table = bare_table("Needs, at the time when each node's is highest")
    for name in ("node", "when", "rating", "load kW", "+/-", "overload", "need kW", "by"):
        left = name in ("node", "when", "by")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "node")
    for node, row in order.head(ROWS_TOLD).to_dict("index").items():
        rating = (ratings or {}).get(str(node))
        table.add_row(
            str(node),
            f"{row['time']:%d %b %H:%M}",
            "" if rating is None else f"{rating:,.0f}",
            f"{row['mean_kw']:,.1f}",
            f"{row['sd_kw']:,.1f}",
            f"{row['overload_probability']:.1%}",
            Text(f"{row['need_kw']:,.1f}", style="bold red" if float(row["need_kw"]) > 0.0 else ""),
            str(row["method"]),
        )
    parts: list[RenderableType] = [table]
    if (more := len(order) - ROWS_TOLD) > 0:
        parts.append(Text(f"and {more:,} more", style="dim"))
    shares = found.scores["below_95_share"].to_numpy()
    if (known := shares[~np.isnan(shares)]).size:
        below = float(known.mean())
        words = f"On their last days {below:.1%} of loads were below what 95 % should be below."
        parts.append(Text(words, style="yellow" if below < LEAST_BELOW else "dim"))
    return Group(*parts)


def plan_report(found: TargetPlan, currency: str = "") -> RenderableType:
    """The report of a plan: cost and proof, what each node gets, what is not met, reserves."""
    unit = f" {currency}".rstrip()
    parts: list[RenderableType] = []
    if not found.exists:
        parts.append(Text(f"There is no plan: {found.outcome}.", style="bold red"))
    elif found.common_confidence:
        parts.append(
            facts(
                ("customers called", f"{found.called_count:,}"),
                ("expected cost", f"{found.cost:,.2f}{unit}"),
                ("confidence", f"{found.common_confidence:.2%}"),
                ("no plan more than", proven(found.bound, f"{-found.bound:.2%}")),
            )
        )
    else:
        parts.append(
            facts(
                ("customers called", f"{found.called_count:,}"),
                ("expected cost", f"{found.cost:,.2f}{unit}"),
                ("no plan less than", proven(found.bound, f"{found.bound:,.2f}{unit}")),
                ("cost at 95 %", f"{found.cost_95:,.2f}{unit}"),
            )
        )
    if found.exists:
        parts += ["", nodes_table(found)]
    parts += [Text(sentence, style="red") for sentence in found.unsecured]
    if (drawn := found.confidence) is not None:
        met = f"All needs are met in {drawn.joint_probability:.1%} of {drawn.samples:,} draws."
        parts.append(Text(met))
        parts += [Text(sentence, style="yellow") for sentence in drawn.warnings]
    if found.message.HasField("mean_ranking") and found.exists:
        parts.append(Text(_ranking(found, unit), style="dim"))
    if len(found.message.groups):
        parts += ["", rows("Groups", found.groups)]
    if len(found.message.reasons):
        parts += ["", rows("Why", found.reasons.filter(["called", "mean_rank", "text"]))]
    return Group(*parts)


def nodes_table(found: TargetPlan) -> RenderableType:
    """What each node needs and gets, at the interval in which it needs most."""
    worst = worst_interval(found.node_figures).sort_values("need_kw", ascending=False)
    table = bare_table("Nodes, at the time when each one's need is highest")
    for name in ("node", "when", "need kW", "expected", "secured", "sure", "price per kW"):
        table.add_column(name, justify="left" if name in ("node", "when") else "right")
    for node, row in worst.head(ROWS_TOLD).to_dict("index").items():
        price = row.get("price_per_kw")
        table.add_row(
            str(node),
            f"{row['time']:%H:%M}",
            f"{row['need_kw']:,.1f}",
            f"{row['mean_kw']:,.1f} +/- {row['sd_kw']:,.1f}",
            f"{row['secured_kw']:,.1f}",
            f"{row['probability']:.1%}",
            "" if price is None else f"{price:,.3f}",
        )
    more = len(worst) - ROWS_TOLD
    return Group(table, Text(f"and {more:,} more", style="dim")) if more > 0 else table


def event_report(event: Event) -> RenderableType:
    """The report of an event: when, how its calls stand, its plan."""
    parts: list[RenderableType] = [
        facts(
            ("event", f"{event.title or event.name}, {event.state}, plan {event.revision}"),
            ("when", f"{event.start:%a %d %b %H:%M} to {event.end:%H:%M}"),
            ("answers until", f"{event.answer_until.astimezone(event.start.tzinfo):%d %b %H:%M}"),
            ("calls", str(event.counts)),
        )
    ]
    if event.message.HasField("plan"):
        parts += ["", plan_report(event.plan, event.currency_code)]
    if len(event.revisions) > 1:
        parts += ["", rows("Plans", event.revisions.drop(columns="create_time"))]
    return Group(*parts)


def calls_table(calls: pd.DataFrame, currency: str = "") -> RenderableType:
    """The first calls: who is asked for what at which price, and what is expected of it."""
    named = ["state", "asked_kw", "price_per_kwh", "fixed_payment", "expected_kw", "accepted_kw"]
    shown = calls.filter([*named, "number"]).dropna(axis=1, how="all")
    if "fixed_payment" in shown and not shown["fixed_payment"].to_numpy().any():
        shown = shown.drop(columns="fixed_payment")
    title = f"Calls, prices in {currency}" if currency else "Calls"
    return rows(title, shown)


def call_line(call: Call) -> Text:
    """A call in a line, as it is followed."""
    said = f"accepted {call.accepted_kw:.2f} of " if call.accepted_kw is not None else ""
    return Text.assemble(
        (f"{call.number:>8}  ", "dim"),
        f"{call.customer}  {call.state}  {said}{call.asked_kw:.2f} kW at {call.price_per_kwh:g}",
        (f"  {call.event.removeprefix(PREFIX)[:ID_LETTERS]}", "dim"),
    )


def settlement_report(
    made: EventSettlement, event: Event, payments: pd.DataFrame
) -> RenderableType:
    """The report of a settlement: what was delivered and paid, and the largest payments."""
    accepted_kwh = event.counts.accepted_kw * (event.end - event.start) / HOUR
    parts: list[RenderableType] = [
        facts(
            ("customers", f"{made.customer_count:,} accepted, {made.delivering_count:,} delivered"),
            ("without measurement", f"{made.unmeasured_count:,}"),
            ("delivered", f"{made.delivered_kwh:,.1f} kWh of {accepted_kwh:,.1f} kWh accepted"),
            ("expected of all called", f"{made.expected_kwh:,.1f} kWh"),
            ("paid", f"{made.paid:,} {made.currency_code}".rstrip()),
        )
    ]
    if len(payments):
        order = payments.sort_values("payment", ascending=False, kind="stable")
        told = ["baseline_kwh", "load_kwh", "delivered_kwh", "price_per_kwh", "payment"]
        if any(payments["fixed_payment"]):
            told.append("fixed_payment")
        noted = [*told, "note"] if any(payments["note"]) else told
        parts += ["", rows("Payments, the largest", order.filter(noted))]
    return Group(*parts)


def events_table(events: list[Event]) -> RenderableType:
    """A row for each event."""
    table = bare_table()
    for name in ("event", "title", "when", "state", "plan", "accepted kW", "waiting kW"):
        table.add_column(name, justify="right" if name.endswith(("kW", "plan")) else "left")
    for event in events:
        counts = event.counts
        table.add_row(
            event.name.removeprefix(PREFIX)[:ID_LETTERS],
            event.title,
            f"{event.start:%a %d %b %Y %H:%M} to {event.end:%H:%M}",
            str(event.state),
            str(event.revision),
            f"{counts.accepted_kw:,.1f}",
            f"{counts.pending_kw:,.1f}",
        )
    return table


def _ranking(found: TargetPlan, unit: str) -> str:
    """What ranking by the mean alone would have come to, in a sentence."""
    said = found.message.mean_ranking
    if not said.meets_needs:
        return "Ranking by the mean alone would not have met the needs."
    return (
        f"Ranking by the mean alone would have cost {said.cost:,.2f}{unit}, "
        f"{said.extra_share:.1%} more, and called {said.called_count:,}."
    )
