"""Runs the benchmarks.

    python -m benchmarks.run [--only NAME] [--quick] [--seeds N] [--out FILE.md] [--strict]
                             [--check]

First every peer is checked to find the optimum of a small site, or nothing is timed; with --check
that is all. --quick takes few and small measurements to see that all runs; its times mean little.
--strict exits with 1 if a bar is missed.
"""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks import (
    agency,
    agency_games,
    agency_portfolio,
    agency_settle,
    dispatch,
    dispatch_fleet,
    dispatch_homes,
    dispatch_replan,
    operations,
    operations_strain,
    orderly,
    orderly_rota,
    orderly_small,
    ours,
    response,
    response_baselines,
    response_events,
    response_small,
    service,
)
from benchmarks.check import disagreements
from benchmarks.peers import highs_arrays
from benchmarks.registry import FULL, QUICK, Bar, BenchSpec, Findings
from benchmarks.report import machine, markdown, show, versions
from loadloom.engine.run.memory import keep_freed

SPECS: tuple[BenchSpec, ...] = (
    *dispatch.SPECS,
    *dispatch_fleet.SPECS,
    *dispatch_homes.SPECS,
    *dispatch_replan.SPECS,
    *service.SPECS,
    *operations.SPECS,
    *operations_strain.SPECS,
    *orderly.SPECS,
    *orderly_small.SPECS,
    *orderly_rota.SPECS,
    *agency.SPECS,
    *agency_settle.SPECS,
    *agency_portfolio.SPECS,
    *agency_games.SPECS,
    *response.SPECS,
    *response_small.SPECS,
    *response_baselines.SPECS,
    *response_events.SPECS,
)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    names = [spec.name for spec in SPECS]
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--sizes", type=int, nargs="+", choices=FULL.sizes, help="horizons of the storage question"
    )
    parser.add_argument(
        "--seeds", type=int, help="how many weeks of each size are drawn for small parks"
    )
    parser.add_argument("--out", type=Path, help="the Markdown file to write")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args(words)


def missed(results: Sequence[tuple[BenchSpec, Findings]]) -> list[Bar]:
    """The bars that were not cleared."""
    return [bar for _, findings in results for bar in findings.bars if not bar.met]


def main(words: Sequence[str]) -> int:
    """The exit code of a run."""
    asked = arguments(words)
    keep_freed()  # as the engine's process does; it holds for everybody here
    logging.basicConfig(level=logging.WARNING)  # before peers that log to a root of their own
    console = Console(width=160 if not sys.stdout.isatty() else None)
    console.print(f"{machine()}\n{versions()}")
    from benchmarks.peers import everyone  # needs the environment of the peers

    peers = (*everyone.FRESH, *everyone.HELD, highs_arrays.MIXED_INTEGER, *ours.ROADS, ours.PLANNER)
    if wrong := disagreements(peers):
        console.print("Peers do not agree, so nothing is timed:", *wrong, sep="\n  ", style="red")
        return 1
    console.print("Every peer finds the optimum of a small site.")
    if asked.check:
        return 0
    effort = QUICK if asked.quick else FULL
    if asked.sizes:
        effort = replace(effort, sizes=tuple(asked.sizes))
    if asked.seeds:
        effort = replace(effort, seeds=asked.seeds)
    results: list[tuple[BenchSpec, Findings]] = []
    for spec in SPECS:
        if not asked.only or spec.name in asked.only:
            results.append((spec, spec.run(effort)))
            show(console, *results[-1])
    if asked.out:
        command = shlex.join(["python", "-m", "benchmarks.run", *words])
        asked.out.write_text(markdown(results, command), encoding="utf-8")
    return int(asked.strict and bool(missed(results)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
