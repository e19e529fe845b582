"""Terminals to print on: names and titles are data, and never instructions to a terminal."""

from collections.abc import Iterable
from math import isfinite

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

CONTROLS = dict.fromkeys(
    (*range(10), *range(11, 32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}"
)
"""What stands for each control character but a new line: the controls of C0 and C1."""


class Terminal(Console):
    """A console on which words are told as they are.

    Square brackets and colons mean nothing, so a user may be called "[/b]"; what would move the
    cursor, ring, or write to the clipboard is replaced by a sign that it was there.
    """

    def __init__(self, *, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments to print, those of our own control alone being control."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(segment.text.translate(CONTROLS), segment.style)


NOT_PROVEN = "not proven"
"""What stands in place of a bound or gap where time ended a search before any proof."""


def proven(value: float, words: str) -> str:
    """A bound or gap in words, or that none was proven."""
    return words if isfinite(value) else NOT_PROVEN


def no_plan_below(bound: float, words: str) -> str:
    """What no plan can cost less than, in words, or that this was not proven."""
    return f"no plan can cost less than {words}" if isfinite(bound) else NOT_PROVEN


def bare_table(title: str = "") -> Table:
    """A table without edges, with a line below its headings."""
    return Table(
        box=SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
        title=title or None,
        title_justify="left",
        title_style="bold",
    )
