"""What the verbs of `loadloom operations` do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from itertools import islice
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from loadloom.client.command.orderly_place import REFUSED, Place, opened
from loadloom.client.command.orderly_progress import line
from loadloom.client.command.terminal import Terminal
from loadloom.client.command.verbs import WRONG_INPUT, fail
from loadloom.client.operations import Operation, State

PREFIX = "operations/"


def list_(place: Place, wanted: str, most: int) -> None:
    """Lists the latest operations."""
    place.check()
    with opened(place) as client:
        found = list(islice(client.operations(wanted), most))
    table = Table(box=SIMPLE_HEAD)
    for heading in ("operation", "method", "state", "since", "gap"):
        table.add_column(heading, min_width=32 if heading == "operation" else None)
    for one in found:
        gap = one.progress.relative_gap
        method = one.method.rpartition("/")[2]
        told = "" if gap is None else f"{gap:.2%}"
        begun = one.create_time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(one.name.removeprefix(PREFIX), method, one.state.value, begun, told)
    Terminal().print(table if found else f"There are no such operations in {place.words}.")


def show(place: Place, name: str) -> None:
    """Tells how an operation is, and with what error it ended if it did."""
    with _meant(place, name) as operation:
        updated = operation.metadata.update_time.ToDatetime(UTC)
        seconds = (updated - operation.create_time).total_seconds()
        told = line(operation.state.value, operation.progress, seconds)
        Terminal().print(f"{operation.name}  {operation.method}", told, sep="\n")
        if operation.state in {State.FAILED, State.CANCELLED}:
            operation.result()


def watch(place: Place, name: str) -> None:
    """Tells each event of an operation in a line, up to its end."""
    with _meant(place, name) as operation:
        state, console = operation.state, Terminal()
        for event in operation.events():
            state, seconds = event.state, (event.time - operation.create_time).total_seconds()
            console.print(line(event.state.value, event.progress, seconds))
    if state is not State.SUCCEEDED:
        raise typer.Exit(REFUSED)


def cancel(place: Place, name: str) -> None:
    """Asks the server to stop working on an operation."""
    with _meant(place, name) as operation:
        operation.cancel()
        Terminal().print(f"{operation.name}: asked to stop")


def delete(place: Place, name: str) -> None:
    """Has the server forget an operation."""
    with _meant(place, name) as operation:
        operation.delete()
        Terminal().print(f"{operation.name}: forgotten")


@contextmanager
def _meant(place: Place, name: str) -> Iterator[Operation[Any]]:
    """The operation of a name, or of the start of its id; ends the program if there is not one."""
    place.check()
    start = name.removeprefix(PREFIX)
    with opened(place) as client:
        if len(start) == 32:
            yield client.operation(PREFIX + start)
            return
        found = [one for one in client.operations() if one.name.startswith(PREFIX + start)]
        if len(found) != 1:
            many = f"{len(found)} operations begin" if found else "no operation begins"
            raise fail(WRONG_INPUT, f"{many} with {start!r} in {place.words}")
        yield client.operation(found[0].name)
