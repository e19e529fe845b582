"""The verbs of `loadloom operations` and their options; what they do is loaded when one is called.

Exit codes are those of `app`; 1 also when the server refuses, and when an operation that was
watched ended without a response.
"""

from typing import Annotated, Any

import typer

from loadloom.client.command.orderly_options import placed

operations = typer.Typer(
    help="Long-running operations, such as schedules being solved: seen, watched, cancelled.",
    no_args_is_help=True,
)
verb = placed(operations)

Name = Annotated[str, typer.Argument(help="The name, operations/..., or the start of its id.")]
Wanted = Annotated[
    str,
    typer.Option(
        "--filter",
        help="Only those for which this holds, such as 'state = RUNNING AND done = true'.",
    ),
]
Most = Annotated[int, typer.Option(min=1, help="The most operations to list.")]


@verb
def list_(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verbs
    wanted: Wanted = "",
    most: Most = 50,
) -> None:
    """List operations, the latest first."""
    from loadloom.client.command import operations_verbs

    operations_verbs.list_(place, wanted, most)


@verb
def show(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verbs
    name: Name,
) -> None:
    """Tell how an operation is."""
    from loadloom.client.command import operations_verbs

    operations_verbs.show(place, name)


@verb
def watch(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verbs
    name: Name,
) -> None:
    """Follow an operation to its end: value, bound and gap as they come."""
    from loadloom.client.command import operations_verbs

    operations_verbs.watch(place, name)


@verb
def cancel(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verbs
    name: Name,
) -> None:
    """Ask the server to stop working on an operation."""
    from loadloom.client.command import operations_verbs

    operations_verbs.cancel(place, name)


@verb
def delete(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verbs
    name: Name,
) -> None:
    """Have the server forget an operation that has ended."""
    from loadloom.client.command import operations_verbs

    operations_verbs.delete(place, name)
