"""The verbs of `loadloom agency` and their options; what they do is loaded when one is called.

Exit codes are those of `app`; 1 also when the server refuses, as to settle twice under one id.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from loadloom.client.command.orderly_options import gathered, placed

agency = typer.Typer(
    help="Buying for many users: load curves added up, prices assessed, users chosen and settled.",
    no_args_is_help=True,
)


class Mode(StrEnum):
    """How the benefit is divided."""

    BENEFIT_SHARE = "benefit-share"
    COST_PLUS = "cost-plus"


class PeakMode(StrEnum):
    """Which peak counts."""

    MONTHLY = "monthly-peak"
    TOP = "mean-of-top-peaks"
    DAILY = "daily"


class Rule(StrEnum):
    """The rules by which a cost can be shared."""

    AUMANN_SHAPLEY = "aumann-shapley"
    COINCIDENT_PEAK = "coincident-peak"
    OWEN_DUALS = "owen-duals"
    ENERGY = "energy"
    SAVING = "saving"
    LEAVE_ONE_OUT = "leave-one-out"
    SHAPLEY = "shapley"
    NUCLEOLUS = "nucleolus"
    LEAST_CORE = "least-core"


class RollUp(StrEnum):
    """The spans that can be told."""

    DAY = "day"
    MONTH = "month"


class Mark(StrEnum):
    """What a reading can be beside good, missing apart."""

    DUPLICATE = "duplicate"
    LATE = "late"
    NEGATIVE = "negative"
    SPIKE = "spike"


class Layout(StrEnum):
    """How curves stand in files that the server reads."""

    WIDE_LIST = "wide-list"
    WIDE_COLUMNS = "wide-columns"
    LONG = "long"


class Unit(StrEnum):
    """What readings in files that the server reads are in."""

    KW = "kw"
    W = "w"
    MW = "mw"
    KWH = "kwh"


REMOTE: dict[str, Any] = {
    "root": Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Let the server read the curves: CURVES is a file or folder below this root of "
            "its setting data_roots. For what is too large to send.",
        ),
    ],
    "layout": Annotated[
        Layout | None,
        typer.Option(
            help="With --root: a row for each user with a list of loads, or with a column for each "
            "interval; or a row for each reading."
        ),
    ],
    "column": Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=NAME",
            help="With --root: a column that is not called user, load_kw or time; also arrival, "
            "area, unit, currency. Such as load=power.",
        ),
    ],
    "unit": Annotated[Unit | None, typer.Option(help="With --root: what readings are in; kw.")],
    "start": Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --root: when the first interval begins."),
    ],
    "end": Annotated[
        str | None, typer.Option(metavar="TIME", help="With --root: when the last one ends.")
    ],
    "step": Annotated[
        float | None, typer.Option(metavar="MINUTES", help="With --root: how long each is.")
    ],
}
"""The options of verbs that take curves from files of the server."""

CurvesFile = Annotated[
    Path,
    typer.Argument(
        help="The load curves, CSV or Parquet: time and a column for each user; or user, time and "
        "load_kw or energy_kwh."
    ),
]
UsersFile = Annotated[
    Path | None,
    typer.Option(
        "--users",
        help="The users, CSV: user, area, load_profile and load_scale, prepaid_eur, fee_eur, "
        "highest_price_eur_per_kwh.",
    ),
]
PricesFile = Annotated[
    Path, typer.Option("--prices", help="The prices, plants and contracts, YAML.")
]
Zone = Annotated[
    str | None,
    typer.Option("--time-zone", help="The IANA zone of all times; that of this machine."),
]
Currency = Annotated[
    str, typer.Option(metavar="CODE", help="The currency, ISO 4217; that of the files.")
]
HighestPrice = Annotated[
    float | None,
    typer.Option(
        metavar="PRICE", help="The highest price per kWh that was announced; that of the users."
    ),
]
Plot = Annotated[Path | None, typer.Option(help="Write a chart here, .png, .svg or .pdf.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
StatementsOut = Annotated[
    Path | None, typer.Option("--out", help="Write the statements here, .csv or .parquet.")
]
StatementPages = Annotated[
    Path | None,
    typer.Option("--statements", metavar="FOLDER", help="Write a page of HTML for each user here."),
]
Which = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The settlement: its name as `list` tells it, or its title."
    ),
]


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Makes a function a verb, with the options of `PLACES`, which it gets as its `place`."""
    return placed(agency)(function)


def verb_of_curves(function: Callable[..., None]) -> Callable[..., None]:
    """The same with the options of `REMOTE`, which it gets as its `remote`, None without a root."""

    def remote(**said: Any) -> Any:  # noqa: ANN401 -- as the options have them; a Remote
        from loadloom.client.command.agency_remote import remote_of

        return remote_of(**said)

    return verb(gathered(function, REMOTE, "remote", remote))


@verb_of_curves
def aggregate(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verbs
    remote: Any,  # noqa: ANN401 -- a Remote, or None
    curves: CurvesFile,
    users: UsersFile = None,
    time_zone: Zone = None,
    prices: Annotated[
        Path | None, typer.Option(help="The price by which a user's leaving is weighed, YAML.")
    ] = None,
    band: Annotated[
        list[str] | None,
        typer.Option(metavar="BAND", help="A kind of hour, such as 'peak 08:00-12:00'."),
    ] = None,
    quantile: Annotated[
        list[float] | None,
        typer.Option(min=0.0, max=1.0, help="A share of users whose load to tell, 0.5 the median."),
    ] = None,
    roll_up: Annotated[list[RollUp] | None, typer.Option(help="A span to roll up.")] = None,
    fill: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="A way to fill gaps, and the most intervals it fills: 'linear 4', 'previous day', "
            "'previous week', 'area profile'. Several are tried in turn.",
        ),
    ] = None,
    spike: Annotated[
        float | None,
        typer.Option(metavar="TIMES", help="Replace readings above this multiple of the median."),
    ] = None,
    replace: Annotated[
        list[Mark] | None,
        typer.Option(help="Fill such readings as if they were missing; negative ones and spikes."),
    ] = None,
    cut_off: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --root: readings that arrived later are late."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the users' figures here, .csv or .parquet.")
    ] = None,
    total: Annotated[
        Path | None, typer.Option(help="Write the load of all here, .csv or .parquet.")
    ] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Add up load curves: peak, load factor, what each user adds, how complete the readings are."""
    from loadloom.client.command import agency_verbs as verbs

    said = verbs.Aggregating(
        reading=verbs.Reading(curves, users, time_zone, remote),
        prices=prices,
        bands=band or [],
        quantiles=quantile or [],
        roll_ups=[one.value for one in roll_up or []],
        fills=fill or [],
        spike=spike,
        replaced=[one.value for one in replace or []],
        cut_off=cut_off,
    )
    outputs = verbs.Outputs(out=out, total=total, plot=plot, as_json=as_json)
    verbs.aggregate(place, said, outputs)


@verb
def assess(
    place: Any,  # noqa: ANN401
    prices: Annotated[Path, typer.Argument(help="The price, YAML.")],
    curves: Annotated[
        Path | None, typer.Option(help="Load curves among which to look for a coalition.")
    ] = None,
    users: UsersFile = None,
    time_zone: Zone = None,
    as_json: AsJson = False,
) -> None:
    """Tell whether a price can be shared without anybody having a reason to leave."""
    from loadloom.client.command import agency_verbs as verbs

    verbs.assess(place, prices, verbs.Reading(curves, users, time_zone), as_json)


@verb_of_curves
def portfolio(
    place: Any,  # noqa: ANN401
    remote: Any,  # noqa: ANN401
    curves: CurvesFile,
    prices: PricesFile,
    users: UsersFile = None,
    highest_price: HighestPrice = None,
    time_zone: Zone = None,
    currency: Currency = "",
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="The longest time to solve; a minute.")
    ] = None,
    gap: Annotated[float, typer.Option(help="The relative gap at which a search may stop.")] = 0.0,
    recruits: Annotated[int, typer.Option(min=1, help="How many to name to recruit next.")] = 10,
    explain: Annotated[
        list[str] | None, typer.Option(metavar="USER", help="A user whose choice to explain.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write who is taken where here, .csv or .parquet.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose the users to take, and the contract of each, with a proven gap."""
    from loadloom.client.command import agency_verbs as verbs

    said = verbs.Choosing(
        reading=verbs.Reading(curves, users, time_zone, remote),
        prices=prices,
        highest_price=highest_price,
        currency=currency,
        time_limit_s=time_limit,
        relative_gap=gap,
        recruit_count=recruits,
        explain=explain or [],
    )
    verbs.portfolio(place, said, out, as_json)


@verb_of_curves
def settle(
    place: Any,  # noqa: ANN401
    remote: Any,  # noqa: ANN401
    curves: CurvesFile,
    prices: PricesFile,
    users: UsersFile = None,
    highest_price: HighestPrice = None,
    profit_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The agent's profit rate, 0..1.")
    ] = 0.0,
    mode: Annotated[Mode, typer.Option(help="How the benefit is divided.")] = Mode.BENEFIT_SHARE,
    rule: Annotated[
        Rule | None, typer.Option(help="How the cost is shared; the default of the cost.")
    ] = None,
    peak: Annotated[PeakMode, typer.Option(help="Which peak counts.")] = PeakMode.MONTHLY,
    peak_count: Annotated[
        int, typer.Option(min=1, help="With mean-of-top-peaks: of how many days.")
    ] = 1,
    report: Annotated[
        bool, typer.Option("--report", help="Report on the shares: who might complain, and why.")
    ] = False,
    time_zone: Zone = None,
    currency: Currency = "",
    title: Annotated[str, typer.Option(help="What the settlement is called among people.")] = "",
    request_id: Annotated[
        str,
        typer.Option(metavar="ID", help="The same id brings the same settlement; a new one."),
    ] = "",
    out: StatementsOut = None,
    statements: StatementPages = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Settle with every user to the cent: cost, shares, bills and refunds, kept for good."""
    from loadloom.client.command import agency_verbs as verbs

    said = verbs.Settling(
        reading=verbs.Reading(curves, users, time_zone, remote),
        prices=prices,
        highest_price=highest_price,
        profit_rate=profit_rate,
        mode=mode.value.replace("-", " "),
        rule=None if rule is None else rule_word(rule),
        peak_mode=peak.value.replace("-", " "),
        peak_count=peak_count,
        report=report,
        currency=currency,
        title=title,
        request_id=request_id,
    )
    outputs = verbs.Outputs(out=out, statements=statements, plot=plot, as_json=as_json)
    verbs.settle(place, said, outputs)


@verb_of_curves
def correct(
    place: Any,  # noqa: ANN401
    remote: Any,  # noqa: ANN401
    settlement: Which,
    curves: Annotated[
        Path, typer.Argument(help="The corrected curves of the users that change, CSV or Parquet.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "",
    request_id: Annotated[
        str,
        typer.Option(metavar="ID", help="The same id brings the same correction; a new one."),
    ] = "",
    time_zone: Zone = None,
    out: StatementsOut = None,
    statements: StatementPages = None,
    as_json: AsJson = False,
) -> None:
    """Settle again with corrected readings, in a settlement that refers to the first."""
    from loadloom.client.command import agency_verbs as verbs

    outputs = verbs.Outputs(out=out, statements=statements, as_json=as_json)
    reading = verbs.Reading(curves, None, time_zone, remote)
    verbs.correct(place, settlement, reading, reason, request_id, outputs)


@verb
def show(
    place: Any,  # noqa: ANN401
    settlement: Which,
    out: StatementsOut = None,
    statements: StatementPages = None,
    as_json: AsJson = False,
) -> None:
    """Show a settlement, and write its statements."""
    from loadloom.client.command import agency_verbs as verbs

    outputs = verbs.Outputs(out=out, statements=statements, as_json=as_json)
    verbs.show(place, settlement, outputs)


@verb
def statement(
    place: Any,  # noqa: ANN401
    settlement: Which,
    user: Annotated[str, typer.Argument(help="The user; a member's own when left out.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write it here, .csv or .html, instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell the statement of a user, with the formula of every figure."""
    from loadloom.client.command import agency_verbs as verbs

    verbs.statement(place, settlement, user, out, as_json)


@verb
def list_(place: Any) -> None:  # noqa: ANN401
    """List the settlements there are."""
    from loadloom.client.command import agency_verbs as verbs

    verbs.list_settlements(place)


def rule_word(rule: Rule) -> str:
    """A rule as the client names it."""
    return rule.value if rule is Rule.AUMANN_SHAPLEY else rule.value.replace("-", " ")
