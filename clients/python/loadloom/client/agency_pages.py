"""Statements as files: CSV for programs, a page of HTML for people, each with every formula."""

import csv
from collections.abc import Iterable
from html import escape
from pathlib import Path

from loadloom.client.agency_settlement import Settlement, Statement
from loadloom.client.charts import FAINT, INK
from loadloom.client.files.formulas import guarded
from loadloom.client.files.user_files import user_file

COLUMNS = ("term", "expression", "value", "unit")
"""The columns of a statement: what a figure is called, how it comes about, and the figure."""

FORMULAS = {
    "benefit share": (
        "bill = alpha * f2 * e + (1 - alpha) * x",
        "price = f2 - p_r, with the benefit p_r = (1 - alpha) * (f2 - x / e)",
    ),
    "cost plus": ("bill = (1 + alpha) * x", "price = (1 + alpha) * x / e"),
}
"""How a bill comes about, by the mode."""

LETTERS = (
    "refund = prepaid - bill",
    "e: your energy; x: your share of the cost; f2: the highest price that was announced; "
    "alpha: the agent's profit rate",
)

SHARES = {
    "aumann-shapley": "x = e * a + p * b: a rate a = g - u * s on your energy, a rate b = H * s on "
    "your load p at the peak of all; g: the price at u = 1 / load factor; s: its slope; H: the "
    "hours",
    "owen duals": "x = the sum of your energy in each interval times the price of the interval",
    "energy": "x = the cost times your share of the energy",
    "coincident peak": "x = the cost times your share of the peak",
}
"""How the share of the cost comes about, by the rule."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 14px sans-serif; color: {ink}; margin: 2em; max-width: 70em; }}
table {{ border-collapse: collapse; margin: 1em 0; }}
th, td {{ padding: 3px 12px 3px 0; text-align: left; vertical-align: top; }}
th {{ border-bottom: 1px solid {ink}; }} td {{ border-bottom: 1px solid {faint}; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.due td {{ font-size: 18px; font-weight: bold; border: 0; }}
code {{ font: 12px monospace; overflow-wrap: anywhere; }}</style></head>
<body><h1>{title}</h1><p>{what}</p>
<table class="due">
{due}
</table>
<h2>How it comes about</h2>
<ul>
{formulas}
</ul>
<p>{how}</p>
<table><tr><th>figure</th><th>formula</th><th class="number">result</th><th></th></tr>
{lines}
</table>
<p>{name}</p>
</body></html>
"""

HOW = "Every line can be checked with a pocket calculator."


def write_statement(statement: Statement, settlement: Settlement, file: Path) -> None:
    """Writes a statement to a file, CSV or HTML by its suffix."""
    if file.suffix.lower() == ".html":
        file.write_text(page(statement, settlement), encoding="utf-8")
    else:
        _write_csv(statement, file)


def write_statements(
    statements: Iterable[Statement], settlement: Settlement, folder: Path
) -> list[Path]:
    """Writes a page for each user to a folder, and gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    files = []
    for statement in statements:
        file = user_file(folder, statement.user, ".html", taken)
        write_statement(statement, settlement, file)
        files.append(file)
    return files


def page(statement: Statement, settlement: Settlement) -> str:
    """A page of HTML that stands alone: what is due, and how every figure comes about."""
    due = [("Bill", statement.bill), ("Prepaid", statement.prepaid)]
    due.append(
        ("Refund", statement.refund) if statement.refund >= 0 else ("Owed", -statement.refund)
    )
    if statement.corrects:
        due.append(("Bill changes by", statement.bill_change))
    rows = [(words, escape(statement.words(amount))) for words, amount in due]
    return PAGE.format(
        title=escape(f"Statement of {statement.user}"),
        what=escape(about(settlement)),
        due="\n".join(f'<tr><td>{w}</td><td class="number">{a}</td></tr>' for w, a in rows),
        how=HOW,
        formulas="\n".join(f"<li>{escape(one)}</li>" for one in formulas(settlement)),
        lines="\n".join(
            f"<tr><td>{escape(line.term)}</td><td><code>{escape(line.expression)}</code></td>"
            f'<td class="number">{escape(line.value)}</td><td>{escape(line.unit)}</td></tr>'
            for line in statement.lines
        ),
        name=escape(statement.settlement),
        ink=INK,
        faint=FAINT,
    )


def formulas(settlement: Settlement) -> list[str]:
    """How every bill of a settlement comes about, in letters."""
    share = SHARES.get(settlement.rule)
    return [*FORMULAS.get(settlement.mode, ()), *([share] if share else []), *LETTERS]


def about(settlement: Settlement) -> str:
    """What a settlement is of, in a sentence."""
    first, last = settlement.grid.boundaries[0], settlement.grid.boundaries[-1]
    title = f"{settlement.title}: " if settlement.title else ""
    correction = f" Correction {settlement.correction}" if settlement.correction else ""
    reason = f": {settlement.reason}." if correction and settlement.reason else ""
    return (
        f"{title}{first:%d %b %Y %H:%M} to {last:%d %b %Y %H:%M}, {settlement.grid.time_zone}. "
        f"{settlement.user_count:,} users bought {settlement.energy_kwh:,.0f} kWh together, at a "
        f"load factor of {settlement.load_factor:.4f}, for {settlement.words(settlement.cost)}."
        f"{correction}{reason or ('.' if correction else '')}"
    )


def _write_csv(statement: Statement, file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in statement.lines:
            writer.writerow([guarded(getattr(line, name)) for name in COLUMNS])
