"""The options of `loadloom fleet`; what it does is loaded when it is called.

Exit codes are those of `app`.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from loadloom.client.command.orderly_options import PLACES, gathered

Moment = typer.Option(
    "--from",
    parser=datetime.fromisoformat,
    metavar="TIME",
    help="The start of the horizon, ISO 8601, local without an offset; that of the prices.",
)


def _place(**said: Any) -> Any:  # noqa: ANN401 -- as the options have them; a Place
    from loadloom.client.command.orderly_place import Place

    return Place(**said)


def add_fleet(app: typer.Typer) -> None:
    """Gives an app the verb `fleet`."""
    app.command("fleet")(gathered(fleet, PLACES, "place", _place))


def fleet(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verb
    sites: Annotated[
        Path,
        typer.Argument(
            help="The sites, CSV or Parquet, a line each: site, node, load_profile, load_scale, "
            "pv_profile, pv_scale, energy_max_kwh, charge_limit_kw, plugged, wanted_kwh, ..."
        ),
    ],
    network: Annotated[
        Path,
        typer.Option(
            help="The nodes, CSV or Parquet: node, parent, import_limit_kw, export_limit_kw or "
            "rating_kw, breach_price_per_kwh."
        ),
    ],
    prices: Annotated[
        Path,
        typer.Option(
            help="The prices, CSV or Parquet: a column such as price_eur_per_mwh for buying and "
            "selling, or buy_price_... alone, and sell_price_... if what is sold earns something.",
        ),
    ],
    profiles: Annotated[
        Path | None,
        typer.Option(help="The profiles, CSV or Parquet: time and a column for each."),
    ] = None,
    limits: Annotated[
        Path | None,
        typer.Option(help="Limits that change with time: node, time, import_limit_kw, ..."),
    ] = None,
    start: Annotated[datetime | None, Moment] = None,
    end: Annotated[
        datetime | None,
        typer.Option(
            "--to",
            parser=datetime.fromisoformat,
            metavar="TIME",
            help="The end of the horizon; that of the prices.",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option("--time-zone", help="The IANA zone of all times; that of this machine."),
    ] = None,
    gap: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The relative gap at which to stop; 1e-4.")
    ] = 0.0,
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="The longest time to solve; a minute.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write what each node draws and pays here, .csv or .parquet."),
    ] = None,
    costs: Annotated[
        Path | None, typer.Option(help="Write what each site costs here, .csv or .parquet.")
    ] = None,
    schedules: Annotated[
        Path | None, typer.Option(help="Write what each site does here, .csv or .parquet.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write a chart here, .html, .png, .svg or .pdf.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Plan many sites below transformers and feeders whose limits they share, with proof."""
    from loadloom.client.command import fleet_verbs as verbs

    files = verbs.Files(
        sites=sites,
        network=network,
        prices=prices,
        profiles=profiles,
        limits=limits,
        start=start,
        end=end,
        time_zone=time_zone,
    )
    outputs = verbs.Outputs(out=out, costs=costs, schedules=schedules, plot=plot, as_json=as_json)
    verbs.fleet(place, files, outputs, gap, time_limit)
