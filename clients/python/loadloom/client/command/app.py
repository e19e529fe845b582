"""The verbs of the command line and their options; what they do is loaded when one is called.

Exit codes: 0 for a plan, 1 when there is none, 2 for wrong input, 3 for trouble with the server.
"""

from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadloom.client.command.agency_app import agency
from loadloom.client.command.fleet_app import add_fleet
from loadloom.client.command.operations_app import operations
from loadloom.client.command.orderly_app import orderly
from loadloom.client.command.response_app import response
from loadloom.client.command.serve import serve_with, token_with, work_with

if TYPE_CHECKING:
    from loadloom.client.request import Wishes

app = typer.Typer(
    help="Plans storage, photovoltaics and load, fleets under shared limits, weeks short of power, "
    "buying together, and who is called for less load.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.add_typer(orderly, name="orderly")
app.add_typer(agency, name="agency")
app.add_typer(response, name="response")
app.add_typer(operations, name="operations")


class Detail(StrEnum):
    """The amount of detail in a plan."""

    SCHEDULE = "schedule"
    VALUES = "values"
    REASONS = "reasons"


class Technique(StrEnum):
    """The techniques that can be forced."""

    KERNEL = "kernel"
    LINEAR = "linear"
    MIXED_INTEGER = "mixed-integer"
    REFERENCE = "reference"


Server = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="A running server; an own engine when left out."),
]
TlsCa = Annotated[
    Path | None, typer.Option(help="Use TLS and trust the authorities in this PEM file.")
]
TlsCertificate = Annotated[
    Path | None, typer.Option(help="The certificate to show a server that asks for one, PEM.")
]
TlsKey = Annotated[Path | None, typer.Option(help="The key of that certificate, PEM.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="The file with the token for the server; LOADLOOM_TOKEN when left out."),
]


@app.command()
def dispatch(
    site: Annotated[Path, typer.Argument(help="The site, YAML; its schema: loadloom schema.")],
    prices: Annotated[
        Path | None,
        typer.Option(
            help="The prices, CSV or Parquet: a column such as price_eur_per_mwh for buying and "
            "selling, or buy_price_... alone, and sell_price_... if what is sold earns something.",
        ),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            parser=datetime.fromisoformat,
            metavar="TIME",
            help="The start of the horizon, ISO 8601, local without an offset; that of the prices.",
        ),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option(
            "--to",
            parser=datetime.fromisoformat,
            metavar="TIME",
            help="The end of the horizon; that of the prices.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the schedule here, .csv or .parquet.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write a chart here, .png, .svg or .pdf.")
    ] = None,
    detail: Annotated[Detail, typer.Option(help="How much to tell.")] = Detail.SCHEDULE,
    method: Annotated[
        Technique | None, typer.Option(help="The technique; the fastest exact one when left out.")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="The longest time to solve.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    server: Server = None,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
) -> None:
    """Plan one site: when to charge and discharge, what it costs and saves, and the proof."""
    from loadloom.client.command import verbs

    wishes: Wishes = {
        "detail": detail.value,
        "method": None if method is None else method.value,
        "time_limit_s": time_limit,
    }
    address = verbs.Address(
        server=server,
        tls_ca=tls_ca,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        token_file=token_file,
    )
    files = verbs.Files(site=site, prices=prices, start=start, end=end, out=out, plot=plot)
    verbs.dispatch(files, address, wishes, as_json)


add_fleet(app)


@app.command()
def info(
    server: Server = None,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
) -> None:
    """Tell the versions, limits and solvers of a server, of the one on this machine if it runs."""
    from loadloom.client.command import verbs

    verbs.info(
        verbs.Address(
            server=server,
            tls_ca=tls_ca,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            token_file=token_file,
        )
    )


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def serve(context: typer.Context) -> None:
    """Run a server; `loadloom serve --help` tells its settings."""
    serve_with(context.args)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def worker(context: typer.Context) -> None:
    """Solve jobs for servers on a database; `loadloom worker --help` tells the settings."""
    work_with(context.args)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def token(context: typer.Context) -> None:
    """Make, list and revoke the tokens of a server's callers; `loadloom token --help`."""
    token_with(context.args)


@app.command()
def schema() -> None:
    """Print the JSON Schema of site files."""
    print(files("loadloom.client.files").joinpath("site.schema.json").read_text("utf-8"), end="")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Plan storage and load, weeks that are short of power, and buying together, with proof."""
    if show_version:
        print(f"loadloom {version('loadloom')}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
