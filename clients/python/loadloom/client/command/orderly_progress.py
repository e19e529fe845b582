"""The progress of a solve at a terminal: the best value so far, the proven bound and the gap."""

from collections.abc import Callable
from shlex import quote
from time import perf_counter
from typing import TypeVar

from rich.live import Live
from rich.text import Text

from loadloom.client.command.interrupts import INTERRUPTED
from loadloom.client.command.orderly_place import ID_LETTERS, Place
from loadloom.client.command.terminal import Terminal
from loadloom.client.command.verbs import note
from loadloom.client.operations import Operation, OperationProgress

T = TypeVar("T")


def followed(
    operation: Operation[T],
    place: Place,
    *,
    quiet: bool = False,
    each: Callable[[float, OperationProgress], object] | None = None,
) -> T:
    """What an operation ends with; how far it is is told on the way, and to `each` with seconds.

    When the program is interrupted, it tells how the operation is followed again or stopped.

    Raises:
        LoadloomError: it ended with this error, or the server was away for too long.
    """
    console, start = Terminal(stderr=True, quiet=quiet), perf_counter()
    try:
        with Live(console=console, transient=True, refresh_per_second=8) as live:
            for event in operation.events():
                seconds = perf_counter() - start
                if each is not None:
                    each(seconds, event.progress)
                live.update(line(event.state.value, event.progress, seconds))
        return operation.result()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            note(ways_on(operation.name, place))
        raise


def ways_on(operation: str, place: Place) -> str:
    """How an operation is followed or stopped that this program follows no more."""
    name = operation.removeprefix("operations/")[:ID_LETTERS]
    if place.server is None:
        state = "the solve is kept, and goes on when an engine runs there again"
    else:
        state = f"the solve goes on at the server {place.server}"
    said = {
        "--server": place.server,
        "--store": place.store,
        "--tls-ca": place.tls_ca,
        "--tls-certificate": place.tls_certificate,
        "--tls-key": place.tls_key,
        "--token-file": place.token_file,
    }
    words = [f"{option} {quote(str(value))}" for option, value in said.items() if value]
    watch, cancel = (
        " ".join(["loadloom operations", verb, name, *words]) for verb in ("watch", "cancel")
    )
    return f"{state}\nfollow it: {watch}\nor stop it: {cancel}"


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
