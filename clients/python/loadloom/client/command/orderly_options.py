"""The options that verbs of `loadloom orderly` share, and what gives each verb its place."""

import inspect
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Order(StrEnum):
    """Whether kinds of measures wait for others."""

    PRICED = "priced"
    STRICT = "strict"


class Mode(StrEnum):
    """What fair means."""

    CONVEX = "convex"
    LEXIMIN = "leximin"
    EQUAL_HOURS = "equal-hours"


class Technique(StrEnum):
    """The techniques that can be forced."""

    COUPLED = "coupled"
    REFERENCE = "reference"
    FLAT = "flat"
    ROTA = "rota"


PLACES: dict[str, Any] = {
    "server": Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="A running server; an own engine when left out."),
    ],
    "store": Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where an own engine keeps what lasts; where `loadloom serve` does when left out.",
        ),
    ],
    "tls_ca": Annotated[
        Path | None, typer.Option(help="Use TLS and trust the authorities in this PEM file.")
    ],
    "tls_certificate": Annotated[
        Path | None, typer.Option(help="The certificate to show a server that asks for one, PEM.")
    ],
    "tls_key": Annotated[Path | None, typer.Option(help="The key of that certificate, PEM.")],
    "token_file": Annotated[
        Path | None,
        typer.Option(help="The file with the token for the server; LOADLOOM_TOKEN when left out."),
    ],
}
"""The options that every verb has: where the schedules are."""

Which = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="NAME",
        help="The schedule: its name as `list` tells it, its title or week; the newest of several.",
    ),
]
ShortageFile = Annotated[
    Path,
    typer.Argument(help="What is short, CSV: time, shortage_kw or capacity_kw, reserve_kw."),
]
Out = Annotated[Path | None, typer.Option(help="Write the events here, .csv or .parquet.")]
CoverageOut = Annotated[
    Path | None, typer.Option("--coverage", help="Write the coverage here, .csv or .parquet.")
]
Plot = Annotated[Path | None, typer.Option(help="Write a chart here, .html, .png, .svg or .pdf.")]
Calendars = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Write a calendar for each user here.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
TimeLimit = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="The longest time to solve; a minute.")
]
Gap = Annotated[float, typer.Option(help="The relative gap at which a search may stop.")]
Method = Annotated[
    Technique | None, typer.Option(help="The technique; the one that fits when left out.")
]
Seed = Annotated[int, typer.Option(min=0, help="The seed of every random choice.")]
UnservedPrice = Annotated[
    float | None,
    typer.Option(
        metavar="PRICE",
        help="What a kWh costs that is not covered; ten times the dearest measure.",
    ),
]
At = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        parser=datetime.fromisoformat,
        metavar="TIME",
        help="Plan as of this time, ISO 8601, local without an offset: call only whom notice "
        "can still reach; now when left out.",
    ),
]
LateNotice = Annotated[
    bool,
    typer.Option(
        "--late-notice",
        help="Also call users to whom their notice can no longer be given, as in a past week.",
    ),
]
WorkLimit = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="ROUNDS", help="End the search after these rounds, so that it is repeatable."
    ),
]
Priority = Annotated[
    int,
    typer.Option(min=-100, max=100, help="Of weeks that wait for a server, higher ones go first."),
]
Deadline = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Have the best plan so far by then, waiting for a server's other weeks included.",
    ),
]
UserName = Annotated[str, typer.Option(metavar="NAME", help="As this user sees it.")]


def placed(app: typer.Typer) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What makes a function a verb of an app, with the options of `PLACES` as its `place`."""

    def place(**said: Any) -> Any:  # noqa: ANN401 -- as the options have them; a Place
        from loadloom.client.command.orderly_place import Place

        return Place(**said)

    def verb(function: Callable[..., None]) -> Callable[..., None]:
        run = gathered(function, PLACES, "place", place)
        app.command(function.__name__.replace("_", "-").rstrip("-"))(run)
        return function

    return verb


def gathered(
    function: Callable[..., None], options: dict[str, Any], name: str, make: Callable[..., Any]
) -> Callable[..., None]:
    """A function with some options of its own, which the function gets as one argument.

    Args:
        function: what gets them.
        options: the options by name, with their types; None when left out.
        name: the argument.
        make: what makes the argument of the options.
    """

    def run(**said: Any) -> None:  # noqa: ANN401 -- as the verb has them
        values = {option: said.pop(option) for option in options}
        function(**said, **{name: make(**values)})

    signature = inspect.signature(function, eval_str=True)
    own = [p for one, p in signature.parameters.items() if one != name]
    more = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for option, kind in options.items()
    ]
    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    run.__signature__ = signature.replace(parameters=[*named, *more])  # type: ignore[attr-defined] -- inspect's own protocol
    run.__annotations__ = {p.name: p.annotation for p in (*named, *more)}
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return run
