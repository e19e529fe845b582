"""The service over gRPC: server and client are processes of their own on the same cores."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import nan
from statistics import median

import numpy as np

from benchmarks.client_report import READY, Report, heard
from benchmarks.harness import Measured, Unrefereed
from benchmarks.registry import Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from benchmarks.servers import LOADLOOM, PYOMO, ROOT, Server, running, settle

STREAM, UNARY = "benchmarks.stream_client", "benchmarks.unary_client"
STREAM_RUNS = 3
IMPORTS = 7
PYOMO_CALLS_SHARE = 10
"""The calls to the Pyomo service are this many times fewer: each takes that much longer."""

IMPORT_CLIENT = (
    "import time; start = time.perf_counter(); import loadloom.client.client; "
    "print(time.perf_counter() - start)"
)


@contextmanager
def _client(module: str, server: Server, words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A client whose first pass is through; it is stopped afterwards if it still runs."""
    command = [sys.executable, "-m", module, server.address, str(server.pid), *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if line.strip() != READY:
                msg = f"{module} failed before its clock started"
                raise RuntimeError(msg)
            yield process
        finally:
            process.terminate()


def _report(module: str, server: Server, *words: str) -> Report:
    """What a client measured."""
    with _client(module, server, words) as process:
        line = process.stdout.readline() if process.stdout else ""
        if process.wait() != 0:
            msg = f"{module} ended with {process.returncode}"
            raise RuntimeError(msg)
        return heard(line)


def _measured(name: str, reports: Sequence[Report]) -> Measured:
    """Reports as the harness keeps times: of one site, each with its judgement."""
    return Measured(
        name=name,
        wall_s=[one.wall_s / one.sites for one in reports],
        cpu_s=[one.cpu_s / one.sites for one in reports],
        judgements=[one.judgement for one in reports],
    )


def stream(effort: Effort) -> Findings:
    """A fleet is planned as fast as the slowest of reading, solving and writing.

    Batches of 1,000 homes of 96 intervals, all six columns of every plan brought back. Homes send
    either one value for each of their limits, or a full profile for each, with load and sun eight
    in all. By our client, and by the stub that protoc generates for anyone.
    """
    modes = {
        "our client, one value a limit": (),
        "our client, eight full profiles": ("--full",),
        "generated stub, one value a limit": ("--stub",),
        "generated stub, eight full profiles": ("--stub", "--full"),
    }
    batches = str(effort.stream_batches)
    reports: dict[str, list[Report]] = {name: [] for name in modes}
    with running(LOADLOOM) as server:
        settle(server)
        for _ in range(min(STREAM_RUNS, effort.rounds // 3)):
            for name, words in modes.items():
                reports[name].append(_report(STREAM, server, *words, "--batches", batches))
    measured = {name: _measured(name, kept) for name, kept in reports.items()}
    ours, ours_full, stub, _ = map(_pace, measured.values())
    bars = [
        _speed_bar("our client, one value a limit", ours, 50_000.0, 100_000.0),
        _speed_bar("our client, eight full profiles", ours_full, 30_000.0, 70_000.0),
        _speed_bar("generated stub, one value a limit", stub, 20_000.0),
        *(
            Bar(what=f"{name}: CPU a site", measured=pace[1], limit=limit, unit="µs")
            for name, pace, limit in (
                ("our client, one value a limit", ours, 20.0),
                ("our client, eight full profiles", ours_full, 30.0),
            )
        ),
    ]
    return Findings(
        tables=(_pace_table("1,000 sites a message", measured.values()),), bars=tuple(bars)
    )


def _pace(one: Measured) -> tuple[float, float]:
    """The sites a second, and the processor time of client and server a site in microseconds."""
    try:
        return 1.0 / one.median_wall_s, 1e6 * one.median_cpu_s
    except Unrefereed:
        return nan, nan


def _speed_bar(what: str, pace: tuple[float, float], limit: float, aim: float | None = None) -> Bar:
    return Bar(what=what, measured=pace[0], limit=limit, aim=aim, at_least=True, unit="sites/s")


def _pace_table(title: str, measured: Iterable[Measured]) -> Table:
    headings = ("way", "runs", "sites/s", "CPU µs a site", "gap", "broken rules")
    rows = []
    for one in measured:
        word, (speed, cpu_us) = one.judgement, _pace(one)
        broken = f"{len(word.broken)}: {word.broken[0]}" if word.broken else "0"
        rows.append(
            (
                one.name,
                str(len(one.wall_s)),
                number(speed),
                number(cpu_us),
                f"{word.gap:.1e}",
                broken,
            )
        )
    return Table(title=title, headings=headings, rows=tuple(rows))


def unary(effort: Effort) -> Findings:
    """A site controller asks and waits; it must not notice that a fleet is planned beside it.

    One caller asks for different homes of 96 intervals by our client, alone and while another
    process streams batches of 1,000. The same calls go to a small service around Pyomo, then to
    both from four callers at once.
    """
    calls = str(effort.calls)
    with running(LOADLOOM) as server:
        settle(server)
        reports = {"alone": _report(UNARY, server, "--calls", calls)}
        with _client(STREAM, server, ()):
            reports["beside a stream"] = _report(UNARY, server, "--calls", calls)
        reports["four callers"] = _report(UNARY, server, "--calls", calls, "--callers", "4")
    fewer = str(max(20, effort.calls // PYOMO_CALLS_SHARE))
    with running(PYOMO) as server:
        settle(server)
        reports["Pyomo service, alone"] = _report(UNARY, server, "--calls", fewer)
        words = ("--calls", fewer, "--callers", "4")
        reports["Pyomo service, four callers"] = _report(UNARY, server, *words)
    bars = (
        Bar(what="p99 alone", measured=_quantile_ms(reports["alone"], 99), limit=3.0, unit="ms"),
        Bar(
            what="p99 beside a stream",
            measured=_quantile_ms(reports["beside a stream"], 99),
            limit=25.0,
            unit="ms",
        ),
    )
    return Findings(tables=(_latency_table(reports),), bars=bars)


def _quantile_ms(report: Report, percent: float) -> float:
    """The latency that so many calls do not exceed; NaN unless every plan behind them is sound."""
    if not report.judgement.sound:
        return nan
    return 1e3 * float(np.percentile(report.latencies_s, percent))


def _latency_table(reports: dict[str, Report]) -> Table:
    headings = ("calls", "number", "p50 ms", "p99 ms", "sites/s", "gap", "broken rules")
    rows = []
    for name, report in reports.items():
        p50, p99 = (number(_quantile_ms(report, percent)) for percent in (50, 99))
        speed, _ = _pace(_measured(name, [report]))
        word = report.judgement
        broken = f"{len(word.broken)}: {word.broken[0]}" if word.broken else "0"
        count, gap = f"{report.sites:,}", f"{word.gap:.1e}"
        rows.append((name, count, p50, p99, number(speed), gap, broken))
    return Table(title="PlanDispatch, 96 intervals", headings=headings, rows=tuple(rows))


def start(effort: Effort) -> Findings:
    """A client slow to import is not put into scripts, a server slow to start is not restarted.

    Both in new processes with warm caches, the first start left out.
    """
    count = min(IMPORTS, effort.rounds)
    imports_s = [_import_s() for _ in range(count + 1)][1:]
    readies_s = [_ready_s() for _ in range(min(3, count) + 1)][1:]
    measured = {
        "import loadloom.client.client": (median(imports_s), len(imports_s), 0.5),
        "server ready to answer": (median(readies_s), len(readies_s), 10.0),
    }
    rows = tuple(
        (what, str(runs), number(seconds)) for what, (seconds, runs, _) in measured.items()
    )
    bars = (
        Bar(what=what, measured=seconds, limit=limit, unit="s")
        for what, (seconds, _, limit) in measured.items()
    )
    table = Table(title="Starting", headings=("what", "runs", "seconds"), rows=rows)
    return Findings(tables=(table,), bars=tuple(bars))


def _import_s() -> float:
    command = [sys.executable, "-c", IMPORT_CLIENT]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _ready_s() -> float:
    with running(LOADLOOM) as server:
        return server.ready_s


SPECS = (
    BenchSpec(
        name="stream",
        question="How many homes a second over gRPC?",
        bar="50,000 sites/s with one value a limit and 30,000 with full profiles by our client "
        "(aims 100,000 and 70,000) in 20 and 30 µs of CPU a site; 20,000 by a generated stub",
        run=stream,
    ),
    BenchSpec(
        name="unary",
        question="How long does one caller wait?",
        bar="p99 at most 3 ms alone and 25 ms beside a running stream",
        run=unary,
    ),
    BenchSpec(
        name="start",
        question="How long does it take to start?",
        bar="client import below 0.5 s, server ready below 10 s with warm caches",
        run=start,
    ),
)
