"""The progress of a solve at a terminal: the best value so far, the proven bound and the gap."""

from time import perf_counter

from rich.console import Console
from rich.live import Live
from rich.text import Text

from loadloom.client.operations import Operation, OperationProgress
from loadloom.client.orderly_plan import WeeklyPlan


def followed(operation: Operation[WeeklyPlan], *, quiet: bool = False) -> WeeklyPlan:
    """The plan that an operation ends with; how far it is is told on the way.

    Raises:
        LoadloomError: it ended with this error, or the server was away for too long.
    """
    console, start = Console(stderr=True, quiet=quiet), perf_counter()
    with Live(console=console, transient=True, refresh_per_second=8) as live:
        for event in operation.events():
            seconds = perf_counter() - start
            live.update(line(event.state.value, event.progress, seconds))
    return operation.result()


def line(state: str, progress: OperationProgress, seconds: float) -> Text:
    """How far a solve is, in a line."""
    parts = [progress.phase or state]
    if progress.value is not None:
        parts.append(f"value {progress.value:,.2f}")
    if progress.bound is not None:
        parts.append(f"bound {progress.bound:,.2f}")
    if progress.relative_gap is not None:
        parts.append(f"gap {progress.relative_gap:.2%}")
    return Text(f"{'  '.join(parts)}  {seconds:.1f} s", style="bold")
