"""Load sums, prices, portfolios, settlements and statements as tables for people at a terminal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadloom.client.agency_answers import Assessment, Portfolio, Purchase
from loadloom.client.agency_charts import Gain
from loadloom.client.agency_pages import about
from loadloom.client.agency_parts import Pooling
from loadloom.client.agency_settlement import Settlement, Statement
from loadloom.client.agency_sums import LoadAggregate
from loadloom.client.command.orderly_place import ID_LETTERS
from loadloom.client.command.terminal import bare_table, proven

ROWS_TOLD = 20
"""The users, days and the like that are told at a terminal; files hold all."""

NAME_WIDTH = 24
"""The letters of a name that are never folded."""

NOISE = 1e-9
"""What is below it is zero, but for rounding."""

NAMES_TOLD = 8
"""The names of a coalition that are told."""

PREFIX = "settlements/"

DAY_S = 86_400.0


def aggregate_report(found: LoadAggregate) -> RenderableType:
    """The report of a load sum: its figures, bands, spans, areas, and what is wrong with it."""
    peaks = ", ".join(f"{moment:%a %d %b %H:%M}" for moment in found.peak_times[:3])
    more = f" and {len(found.peak_times) - 3} more" if len(found.peak_times) > 3 else ""
    parts: list[RenderableType] = [
        facts(
            ("users", f"{found.user_count:,}"),
            ("energy", f"{found.energy_kwh:,.0f} kWh"),
            ("peak", f"{found.peak_kw:,.1f} kW, {peaks}{more}"),
            ("sum of own peaks", f"{found.sum_of_peaks_kw:,.1f} kW"),
            ("load factor", f"{found.load_factor:.4f}"),
        )
    ]
    frames = (
        ("Kinds of hours", found.bands),
        ("Days and months", found.roll_ups.drop(columns=["peak_interval"], errors="ignore")),
        ("Areas", found.areas),
    )
    parts += [part for title, frame in frames if len(frame) for part in ("", rows(title, frame))]
    if found.message.HasField("completeness"):
        parts += ["", *_completeness(found)]
    users = found.users
    if len(users):
        order = users.sort_values("energy_kwh", ascending=False)
        shown = order.drop(columns=["peak_without_kw", "load_factor_without"], errors="ignore")
        parts += ["", rows("Users, those with most energy", shown)]
    return Group(*parts)


def load_table(found: LoadAggregate) -> pd.DataFrame:
    """The load of all by time, with the quantiles over users beside it."""
    table = found.total_kw.to_frame()
    for share, column in found.quantiles.items():
        table[f"quantile_{share:g}_kw"] = column
    return table.reset_index()


def assessment(found: Assessment, currency: str) -> RenderableType:
    """What is to be said of a price: stable or not, why, and who would leave."""
    words = ("stable", "bold green") if found.is_stable else ("not stable", "bold red")
    parts: list[RenderableType] = [Text.assemble(("The price is ", ""), words)]
    parts += [Text(sentence) for sentence in found.sentences]
    unit = f" {currency}".rstrip()
    if (loss := found.counterexample) is not None:
        told = ", ".join(map(_curve, loss.load_kw))
        hours = _curve(loss.hours)
        said = f"The example has the curves {told}, in kW, in intervals of {hours} hours."
        parts.append(Text(said, style="dim"))
    if (pool := found.pooling) is not None:
        parts += ["", pooling(pool, unit)]
    return Group(*parts)


def pooling(pool: Pooling, unit: str) -> RenderableType:
    """What buying together does for users, and who complains most."""
    low, high = pool.least_excess_low, pool.least_excess_high
    most = proven(pool.complaint_bound, f"at most {pool.complaint_bound:,.4g}")
    lines = [
        ("together", f"{pool.together:,.2f}{unit}"),
        ("each alone", f"{pool.alone:,.2f}{unit}"),
        ("saved", f"{pool.saving:,.2f}{unit}"),
        ("largest complaint", f"{pool.complaint:,.4g}{unit}, {most}"),
    ]
    if pool.complaint > 0.0 and pool.coalition:
        charged, alone = pool.coalition_charged, pool.coalition_alone
        told = f"{some(pool.coalition)}: charged {charged:,.2f}{unit}, alone {alone:,.2f}"
        lines.append(("who would leave", told))
    if high > 0.0:
        told = f"{high:,.4g}{unit}" if low == high else f"from {low:,.4g} to {high:,.4g}{unit}"
        lines.append(("least excess of any sharing", told))
    return facts(*lines)


def portfolio_report(found: Portfolio) -> RenderableType:
    """The report of a portfolio: profit and proof, its contracts, whom to recruit, simple rules."""
    if not found.exists:
        told = found.conflicts or [f"There is no portfolio: {found.outcome}."]
        return Group(*map(Text, told))
    unit = found.currency_code
    parts: list[RenderableType] = [
        facts(
            ("users taken", f"{found.user_count:,} of {found.contract_of.size:,}"),
            ("profit", f"{found.profit:,.2f} {unit}".rstrip()),
            ("no portfolio more than", proven(found.bound, f"{found.bound:,.2f} {unit}".rstrip())),
            ("gap", proven(found.gap, f"{found.gap:.4%}")),
        ),
        "",
        rows("Contracts", found.contracts.drop(columns=["energy_price_per_kwh"], errors="ignore")),
    ]
    for title, frame in (
        (
            "Simple rules would have come to",
            found.rules.drop(columns=["best_user_count"], errors="ignore"),
        ),
        ("Whom to recruit next", found.recruits),
        ("Why", found.reasons),
    ):
        if len(frame):
            parts += ["", rows(title, frame)]
    return Group(*parts)


def choice_table(
    found: Portfolio, contracts: Sequence[str], names: Sequence[str] | None = None
) -> pd.DataFrame:
    """The contract of each candidate, empty for those not taken; without names, of those taken."""
    places = found.contract_of
    if names is None:
        places, names = places[places >= 0], found.users
    chosen = [contracts[place] if place >= 0 else "" for place in places.tolist()]
    return pd.DataFrame({"user": list(names), "contract": chosen})


def settlement_report(
    made: Settlement, table: pd.DataFrame, purchase: Purchase | None
) -> RenderableType:
    """The report of a settlement: the balance, the purchase, the proof, who owes, who gains."""
    parts: list[RenderableType] = [Text(about(made), style="bold"), ""]
    if purchase is not None:
        parts += [bought(purchase), ""]
    parts += [balance(made), "", *shares(made)]
    if made.negative_refunds:
        parts += ["", owed(made)]
    parts += [Text(note, style="dim") for note in made.notes]
    columns = ["energy_kwh", "coincident_kw", "contribution", "price_per_kwh"]
    amounts = ["bill", "prepaid", "refund"] + (["bill_change"] if made.corrects else [])
    shown = table.loc[:, [*columns, *(name for name in amounts if name in table)]]
    if made.corrects and "bill_change" in table:
        order = np.argsort([-abs(change) for change in shown["bill_change"]], kind="stable")
        shown = shown.iloc[order]
        title = "Statements, those that change most"
    else:
        shown = shown.iloc[np.argsort(-shown["contribution"].to_numpy(), kind="stable")]
        title = "Statements, those who even out the load most"
    return Group(*parts, "", rows(title, shown))


def balance(made: Settlement) -> Table:
    """Where the money comes from and goes to: every line exact, both sides the same."""
    table = bare_table("Balance")
    table.add_column("")
    table.add_column(made.currency_code, justify="right")
    digits = made.digits
    lines = [
        ("at the highest price", made.highest, "dim"),
        ("cost of what was bought", made.cost, ""),
        *([("rent of limits", made.rent, "")] if made.rent else []),
        (f"agent's profit, {made.profit_rate:.4g} by {made.mode}", made.profit, ""),
        ("bills", made.bill, "bold"),
        ("prepaid", made.prepaid, ""),
        ("refunds", made.refund, "bold green" if made.refund >= 0 else "bold red"),
        *([("bills change by", made.bill_change, "bold")] if made.corrects else []),
    ]
    for name, amount, style in lines:
        table.add_row(name, f"{amount:,.{digits}f}", style=style)
    return table


def shares(made: Settlement) -> list[RenderableType]:
    """How the cost was shared, and what is known of the shares, in lines."""
    detail = made.message.rule_detail
    lines = [Text(f"Shared by {made.rule}" + (f": {detail}" if detail else ""))]
    report = made.report
    if report is not None:
        style = {True: "green", False: "yellow", None: ""}[report.is_stable]
        lines += [Text(sentence, style=style) for sentence in report.sentences]
    return [*lines]


def owed(made: Settlement) -> RenderableType:
    """Who owes more than was prepaid; the notes of a settlement tell what would cure it."""
    table = bare_table(f"{made.negative_refund_count:,} users prepaid too little")
    table.add_column("user", overflow="fold")
    table.add_column(f"owes, {made.currency_code}", justify="right")
    for one in made.negative_refunds[:ROWS_TOLD]:
        table.add_row(one.user, f"{one.owed:,}")
    return table


def statement_report(found: Statement) -> RenderableType:
    """A statement: what is due, and every figure with its formula."""
    table = bare_table()
    table.add_column("figure", overflow="fold")
    table.add_column("formula with the numbers", overflow="fold")
    table.add_column("result", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for line in found.lines:
        table.add_row(line.term, line.expression, line.value, line.unit)
    due = facts(
        ("bill", found.words(found.bill)),
        ("prepaid", found.words(found.prepaid)),
        ("refund", found.words(found.refund)),
        *([("bill changes by", found.words(found.bill_change))] if found.corrects else []),
    )
    heading = Text(f"Statement of {found.user}", style="bold")
    return Group(heading, Text(found.settlement, style="dim"), "", due, "", table)


def settlements(found: Sequence[Settlement]) -> Table:
    """The settlements there are."""
    table = bare_table("Settlements")
    table.add_column("name", no_wrap=True, min_width=ID_LETTERS)
    table.add_column("title", overflow="fold")
    table.add_column("from", no_wrap=True)
    for name in ("days", "users", "bills"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("correction", justify="right")
    for one in found:
        first, last = one.grid.boundaries[0], one.grid.boundaries[-1]
        table.add_row(
            one.name.removeprefix(PREFIX)[:ID_LETTERS],
            one.title,
            f"{first:%d %b %Y}",
            f"{(last - first).total_seconds() / DAY_S:,.4g}",
            f"{one.user_count:,}",
            one.words(one.bill),
            str(one.correction or ""),
        )
    return table


def gain(table: pd.DataFrame, currency_code: str) -> Gain:
    """What users gain against buying alone, or if that is not known against the highest price."""
    energy_kwh = table["energy_kwh"].to_numpy(np.float64)
    known = "alone" in table
    highest = energy_kwh * table["highest_price_per_kwh"].to_numpy(np.float64)
    return Gain(
        names=list(table.index),
        energy_kwh=energy_kwh,
        alone=table["alone"].to_numpy(np.float64) if known else highest,
        together=np.array([float(amount) for amount in table["bill"]]),
        currency_code=currency_code,
        alone_words="alone" if known else "at the highest price",
    )


def facts(*pairs: tuple[str, str]) -> Table:
    """Names and values, a line each."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value)
    return table


def rows(title: str, frame: pd.DataFrame) -> RenderableType:
    """The first rows of a DataFrame as a table, and how many more there are."""
    table = bare_table(title)
    longest = max((len(str(name)) for name in frame.index[:ROWS_TOLD]), default=0)
    width = min(longest, NAME_WIDTH)
    table.add_column(str(frame.index.name or ""), overflow="fold", min_width=width)
    for name, column in frame.items():
        words = column.dtype == object and column.map(lambda cell: isinstance(cell, str)).any()
        words = words or isinstance(column.dtype, pd.StringDtype)
        table.add_column(
            str(name).replace("_", " "),
            justify="left" if words else "right",
            overflow="fold",
        )
    for index, *cells in frame.head(ROWS_TOLD).itertuples(name=None):
        table.add_row(str(index), *map(_cell, cells))
    more = len(frame) - ROWS_TOLD
    return Group(table, Text(f"and {more:,} more", style="dim")) if more > 0 else table


def some(names: Sequence[str]) -> str:
    """Some names in words, the first of many."""
    more = len(names) - NAMES_TOLD
    return ", ".join(names[:NAMES_TOLD]) + (f" and {more:,} more" if more > 0 else "")


def _completeness(found: LoadAggregate) -> list[RenderableType]:
    table = found.completeness
    total = table[table["scope"] == "all"].iloc[0]
    marks = [f"{total[mark]:,} {mark}" for mark in table.columns[2:] if total[mark]]
    said = ", ".join(marks) or "all good"
    told = [Text(f"Of {found.reading_count:,} readings: {said}", style="bold")]
    if found.left_count:
        told.append(Text(f"{found.left_count:,} are still missing and count as no load"))
    worst = table.loc[table["scope"] != "all"].set_index("name").drop(columns="scope")
    worst = worst.loc[worst.sum(axis=1) > 0]
    return [*told, *([rows("Where", worst)] if len(worst) else [])]


def bought(purchase: Purchase) -> RenderableType:
    """What is bought where, and what it costs."""
    table = purchase.plants
    if purchase.message.spot_bought or purchase.message.spot_sold:
        table.loc["spot", "energy_cost"] = purchase.message.spot_bought
    told = [name for name in table if np.any(table[name].to_numpy() != 0.0)]
    return rows("Bought from", table.loc[:, told])


def _curve(row: Any) -> str:  # noqa: ANN401 -- an array
    return "(" + ", ".join(f"{value:g}" for value in row) + ")"


def _cell(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        value = 0.0 if abs(value) < NOISE else value
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return str(value)
