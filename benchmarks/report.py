"""What was found, for people: on the terminal as it comes, and as Markdown to keep."""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from math import isfinite, isnan
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.harness import Measured, Unrefereed
from benchmarks.registry import Bar, BenchSpec, Findings, Table

PACKAGES = (
    "loadloom",
    "numpy",
    "numba",
    "highspy",
    "ortools",
    "grpcio",
    "protobuf",
    "pyomo",
    "linopy",
    "pypsa",
    "oemof-solph",
    "pandas",
    "pyCoopGame",
    "PySCIPOpt",
)


def machine() -> str:
    """The machine, its cores and memory, and the Python that runs, in a line."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {system}, {python}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def versions() -> str:
    """The versions of what takes part, in a line."""
    return ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def number(value: float, digits: int = 3) -> str:
    """A number as people read it: few digits, thousands set apart, a dash where there is none."""
    if isnan(value):
        return "—"
    if not isfinite(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def timing_table(
    title: str, measured: Iterable[Measured], against: Measured | None = None
) -> Table:
    """The times of contenders, each with what the referee said, and as multiples of one of them."""
    multiple = f"CPU against {against.name}" if against else ""
    headings = ("method", "runs", "wall ms", "CPU ms", multiple, "cost", "gap", "broken rules")
    kept = [i for i, heading in enumerate(headings) if heading]
    rows = (_timing_row(one, against) for one in measured)
    return Table(
        title=title,
        headings=tuple(headings[i] for i in kept),
        rows=tuple(tuple(row[i] for i in kept) for row in rows),
    )


def _timing_row(one: Measured, against: Measured | None) -> tuple[str, ...]:
    try:
        wall, cpu = _figure(1e3 * one.median_wall_s), _figure(1e3 * one.median_cpu_s)
        multiple = _figure(one.median_cpu_s / against.median_cpu_s) if against else ""
    except Unrefereed:
        wall = cpu = multiple = "not reported"
    word = one.judgement
    gap = "—" if isnan(word.gap) else f"{word.gap:.1e}"
    broken = f"{len(word.broken)}, such as {word.broken[0]}" if word.broken else "0"
    runs = str(len(one.wall_s))
    return one.name, runs, wall, cpu, multiple, f"{word.cost:.4f}", gap, broken


def _figure(value: float) -> str:
    """A measured number with three digits that count, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def bar_table(bars: Sequence[Bar]) -> Table:
    """The bars and whether they are cleared."""
    return Table(
        title="Bars",
        headings=("bar", "measured", "limit", "aim", "met"),
        rows=tuple(_bar_row(bar) for bar in bars),
    )


def _bar_row(bar: Bar) -> tuple[str, ...]:
    sign = "≥" if bar.at_least else "≤"
    aim = "" if bar.aim is None else f"{sign} {number(bar.aim)}"
    met = (
        ("yes" if bar.aim is None or bar.aim_met else "yes, short of the aim") if bar.met else "NO"
    )
    measured = f"{number(bar.measured)} {bar.unit}".strip()
    return bar.what, measured, f"{sign} {number(bar.limit)}", aim, met


def show(console: Console, spec: BenchSpec, findings: Findings) -> None:
    """Prints what one benchmark found."""
    console.rule(spec.question)
    for table in _tables(findings):
        grid = RichTable(*table.headings, title=table.title)
        for row in table.rows:
            grid.add_row(*row, style="red" if row[-1] == "NO" else None)
        console.print(grid)


def markdown(results: Sequence[tuple[BenchSpec, Findings]], command: str) -> str:
    """The whole run as a page of Markdown."""
    missed = [bar for _, findings in results for bar in findings.bars if not bar.met]
    count = sum(len(findings.bars) for _, findings in results)
    lines = [
        "# Benchmarks",
        "",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, on {machine()}.",
        f"Versions: {versions()}.",
        "",
        "Times are medians of runs taken in turns. Every answer behind them was judged by the "
        "referee; whoever broke a rule has no time here.",
        "",
        f"**{count - len(missed)} of {count} bars are met.**",
    ]
    for spec, findings in results:
        lines += ["", f"## {spec.question}", "", spec.why, "", f"Bar: {spec.bar}."]
        for table in _tables(findings):
            lines += ["", f"### {table.title}", "", *_markdown_table(table)]
    return "\n".join(lines) + "\n"


def _tables(findings: Findings) -> tuple[Table, ...]:
    return findings.tables + ((bar_table(findings.bars),) if findings.bars else ())


def _markdown_table(table: Table) -> list[str]:
    cells = [table.headings, ("---",) * len(table.headings), *table.rows]
    return ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in cells]
