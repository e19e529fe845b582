"""Cells of CSV files that spreadsheets would run as formulas.

Spreadsheets run a cell that begins with one of = + - @, a tab or a return, wherever it came from.
As OWASP's page on CSV injection asks, such a cell is written with an apostrophe before it, which
spreadsheets take for text. Reading takes the apostrophe away again; one that was there before gets
a second, so that every word comes back as it was.
"""

import re

RUN = re.compile(r"'*[=+\-@\t\r]")


def guarded(cell: object) -> object:
    """The cell, with an apostrophe before it if it is a text that a spreadsheet would run."""
    return f"'{cell}" if isinstance(cell, str) and RUN.match(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before it was guarded."""
    return cell[1:] if cell.startswith("'") and RUN.match(cell) else cell
