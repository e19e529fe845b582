"""The verbs of `loadloom response` and their options; what they do is loaded when one is called.

Exit codes are those of `app`; 1 also when the server refuses, as to settle a cancelled event.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from loadloom.client.command.agency_app import REMOTE
from loadloom.client.command.orderly_options import gathered, placed

response = typer.Typer(
    help="Calling customers for less load: the need, whom to call, answers, payment.",
    no_args_is_help=True,
)
event = typer.Typer(help="Events: made, answered, planned anew, followed.", no_args_is_help=True)
response.add_typer(event, name="event")


class State(StrEnum):
    """The states of a call."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    OPTED_OUT = "opted-out"
    NO_ANSWER = "no-answer"
    CANCELLED = "cancelled"


class Baseline(StrEnum):
    """The ways to find what a customer would have used."""

    LAST_DAYS = "last-days"
    HIGHEST_DAYS = "highest-days"
    REGRESSION = "regression"


class Adjustment(StrEnum):
    """The ways to adjust a baseline to the day of the event."""

    NONE = "none"
    RATIO = "ratio"
    DIFFERENCE = "difference"


NetworkFile = Annotated[
    Path,
    typer.Option(
        "--network",
        help="The nodes, CSV or Parquet: node, parent, rating_kw, need_kw, confidence.",
    ),
]
CustomersFile = Annotated[
    Path,
    typer.Argument(
        help="The customers, CSV or Parquet: customer, node, size_kw, size_sd_kw, acceptance or "
        "acceptance_at_0.25, contact_cost, fatigue_cost, calls_left, group, call."
    ),
]
Zone = Annotated[
    str | None,
    typer.Option("--time-zone", help="The IANA zone of all times; that of this machine."),
]
Temperature = Annotated[
    Path | None,
    typer.Option(help="The temperature, CSV: time and temperature_c, the days ahead with it."),
]
Holidays = Annotated[
    list[str] | None, typer.Option("--holiday", metavar="DATE", help="A holiday: 2026-08-15.")
]
Plot = Annotated[Path | None, typer.Option(help="Write a chart here, .png, .svg or .pdf.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
CallsOut = Annotated[
    Path | None, typer.Option("--out", help="Write the calls here, .csv or .parquet.")
]
Which = Annotated[
    str,
    typer.Argument(metavar="EVENT", help="The event: its name as `list` tells it, or its title."),
]
RequestId = Annotated[
    str, typer.Option(metavar="ID", help="The same id brings the same answer; a new one.")
]
TimeLimit = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="The longest time to solve.")
]

TARGETING: dict[str, Any] = {
    "needs": Annotated[
        Path | None,
        typer.Option(help="The needs by node and time, as `need --out` writes them, CSV."),
    ],
    "start": Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="When the event begins.")
    ],
    "end": Annotated[str | None, typer.Option("--to", metavar="TIME", help="When it ends.")],
    "step": Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="Without --needs: how long an interval is; all."),
    ],
    "time_zone": Zone,
    "price": Annotated[
        float | None,
        typer.Option(help="The price per kWh that is offered, if the customers have none."),
    ],
    "fixed_payment": Annotated[
        float | None,
        typer.Option(metavar="AMOUNT", help="What who accepts is paid beside the price."),
    ],
    "currency": Annotated[
        str | None, typer.Option(metavar="CODE", help="The currency, ISO 4217; EUR.")
    ],
    "budget": Annotated[
        float | None,
        typer.Option(help="The most that it may cost: plan the greatest common confidence."),
    ],
    "best_effort": Annotated[
        bool | None,
        typer.Option("--best-effort", help="Plan the most there is where a need cannot be met."),
    ],
    "samples": Annotated[
        int | None, typer.Option(min=0, help="Check the confidence by so many draws.")
    ],
    "explain": Annotated[
        list[str] | None, typer.Option(metavar="CUSTOMER", help="A customer to explain.")
    ],
    "time_limit": TimeLimit,
}
"""The options of verbs that plan whom to call."""

verb, event_verb = placed(response), placed(event)


def targeting(add: Callable[..., Any]) -> Callable[..., Callable[..., None]]:
    """What makes a function a verb with the options of `TARGETING`, which it gets as `asked`."""

    def made(function: Callable[..., None]) -> Callable[..., None]:
        return add(gathered(function, TARGETING, "asked", lambda **said: said))

    return made


@verb
def need(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verbs
    history: Annotated[
        Path, typer.Argument(help="Past loads, CSV: time and a column for each node; whole days.")
    ],
    network: NetworkFile,
    temperature: Temperature = None,
    time_zone: Zone = None,
    days_ahead: Annotated[int, typer.Option(min=1, max=31, help="The days to foretell.")] = 1,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="How surely ratings are to be kept.")
    ] = 0.95,
    holiday: Holidays = None,
    driver: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="What else drives loads, such as sales of appliances, CSV: date and one column, "
            "or one for each node; all past days and those ahead. May be repeated.",
        ),
    ] = None,
    cooling_driver: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The same of what draws more the hotter it is, such as air conditioners.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the needs here, .csv or .parquet.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Foretell how much less load each node needs, and how sure that is."""
    from loadloom.client.command import response_verbs as verbs

    outputs = verbs.Outputs(out=out, as_json=as_json)
    span = verbs.Span(time_zone=time_zone)
    verbs.need(
        *(place, history, network, temperature, span),
        *(days_ahead, confidence, holiday or [], outputs),
        drivers=driver or [],
        cooling_drivers=cooling_driver or [],
    )


@targeting(verb)
def target(
    place: Any,  # noqa: ANN401
    asked: Any,  # noqa: ANN401 -- the options by name
    customers: CustomersFile,
    network: NetworkFile,
    out: CallsOut = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Tell whom to call, so that every need is met with its confidence at the least cost."""
    from loadloom.client.command import response_verbs as verbs

    said = _targeting(customers, network, asked)
    verbs.target(place, said, verbs.Outputs(out=out, plot=plot, as_json=as_json))


@targeting(event_verb)
def create(
    place: Any,  # noqa: ANN401
    asked: Any,  # noqa: ANN401
    customers: CustomersFile,
    network: NetworkFile,
    title: Annotated[str, typer.Option(help="What the event is called among people.")] = "",
    request_id: RequestId = "",
    use_reliabilities: Annotated[
        bool, typer.Option("--use-reliabilities", help="Use what settled events taught.")
    ] = False,
    fixed_from_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="The share of what it accepted that a customer must deliver for its "
            "--fixed-payment.",
        ),
    ] = 0.0,
    out: CallsOut = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Plan an event and keep it: its customers are called from then on."""
    from loadloom.client.command import response_verbs as verbs

    said = _targeting(customers, network, asked)
    outputs = verbs.Outputs(out=out, plot=plot, as_json=as_json)
    verbs.create(place, said, title, request_id, use_reliabilities, fixed_from_share, outputs)


@event_verb
def answer(
    place: Any,  # noqa: ANN401
    event: Which,
    answers: Annotated[
        Path | None, typer.Argument(help="The answers, CSV: customer, answer, accepted_kw.")
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option(metavar="CUSTOMER", help="One that accepts.")
    ] = None,
    opt_out: Annotated[
        list[str] | None, typer.Option(metavar="CUSTOMER", help="One that opts out.")
    ] = None,
    close: Annotated[
        bool, typer.Option("--close", help="All others that were called have not answered.")
    ] = False,
) -> None:
    """Record what customers answer."""
    from loadloom.client.command import response_verbs as verbs

    verbs.answer(place, event, answers, accept or [], opt_out or [], close)


@event_verb
def retarget(
    place: Any,  # noqa: ANN401
    event: Which,
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "",
    request_id: RequestId = "",
    time_limit: TimeLimit = None,
    out: CallsOut = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Plan the rest anew: who accepted is kept, who opted out is not called."""
    from loadloom.client.command import response_verbs as verbs

    outputs = verbs.Outputs(out=out, plot=plot, as_json=as_json)
    verbs.retarget(place, event, reason, request_id, time_limit, outputs)


@event_verb
def calls(
    place: Any,  # noqa: ANN401
    event: Which,
    state: Annotated[list[State] | None, typer.Option(help="A state of calls to tell.")] = None,
    customer: Annotated[str, typer.Option(metavar="NAME", help="The calls of one alone.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Follow the calls as they are made and change.")
    ] = False,
    after: Annotated[
        int, typer.Option(min=0, metavar="NUMBER", help="With --follow: those beyond this number.")
    ] = 0,
    out: CallsOut = None,
) -> None:
    """Tell the calls of an event, or follow them."""
    from loadloom.client.command import response_verbs as verbs

    states = [one.value for one in state or []]
    verbs.calls(place, event, states, customer, follow, after, out)


@event_verb
def cancel(
    place: Any,  # noqa: ANN401
    event: Which,
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "",
) -> None:
    """Cancel an event and all its calls."""
    from loadloom.client.command import response_verbs as verbs

    verbs.cancel(place, event, reason)


@event_verb
def export(
    place: Any,  # noqa: ANN401
    event: Which,
    out: Annotated[Path | None, typer.Option(help="Write them here, .json, instead.")] = None,
    program_id: Annotated[
        str, typer.Option(metavar="ID", help="The identifier of the program at its server.")
    ] = "",
) -> None:
    """Print an event as OpenADR 3 objects."""
    from loadloom.client.command import response_verbs as verbs

    verbs.export(place, event, out, program_id)


@event_verb
def show(place: Any, event: Which, as_json: AsJson = False) -> None:  # noqa: ANN401
    """Show an event: its plan, and how its calls stand."""
    from loadloom.client.command import response_verbs as verbs

    verbs.show(place, event, as_json)


@event_verb
def list_(place: Any) -> None:  # noqa: ANN401
    """List the events there are."""
    from loadloom.client.command import response_verbs as verbs

    verbs.list_events(place)


def _remote(**said: Any) -> Any:  # noqa: ANN401 -- as the options have them; a Remote
    from loadloom.client.command.agency_remote import remote_of

    return remote_of(**said)


def of_readings(function: Callable[..., None]) -> Callable[..., None]:
    """Makes a function a verb that takes readings from here or from files of the server."""
    return verb(gathered(function, REMOTE, "remote", _remote))


@of_readings
def settle(
    place: Any,  # noqa: ANN401
    remote: Any,  # noqa: ANN401 -- a Remote, or None
    event: Which,
    readings: Annotated[
        Path,
        typer.Argument(
            help="The readings of the customers over whole days, that of the event among them, "
            "CSV or Parquet: time and a column for each; or user, time and load_kw. With --root, "
            "a file or folder below that root of the server."
        ),
    ],
    baseline: Annotated[Baseline, typer.Option(help="How baselines are made.")] = (
        Baseline.LAST_DAYS
    ),
    adjustment: Annotated[
        Adjustment, typer.Option(help="How they are adjusted to the day.")
    ] = Adjustment.NONE,
    temperature: Temperature = None,
    holiday: Holidays = None,
    time_zone: Zone = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Pay nothing to who accepted and has no readings."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the payments here, .csv or .parquet.")
    ] = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Measure an event and pay for it, for good."""
    from loadloom.client.command import response_settle_verb as verbs

    rule = verbs.BaselineRule(
        method=baseline.value.replace("-", " "),  # type: ignore[arg-type] -- one of its words
        adjustment=adjustment.value,
    )
    outputs = verbs.Outputs(out=out, plot=plot, as_json=as_json)
    span = verbs.Span(time_zone=time_zone)
    its = place, event, readings, rule, temperature, holiday or [], span, outputs
    verbs.settle(*its, remote=remote, allow_missing=allow_missing)


def _targeting(customers: Path, network: Path, asked: dict[str, Any]) -> Any:  # noqa: ANN401 -- a Targeting
    from loadloom.client.command import response_verbs as verbs

    span = verbs.Span(
        start=asked["start"],
        end=asked["end"],
        step_minutes=asked["step"],
        time_zone=asked["time_zone"],
    )
    return verbs.Targeting(
        network=network,
        customers=customers,
        needs=asked["needs"],
        span=span,
        price=asked["price"],
        fixed_payment=asked["fixed_payment"],
        currency=asked["currency"] or "EUR",
        budget=asked["budget"],
        best_effort=bool(asked["best_effort"]),
        samples=asked["samples"] or 0,
        time_limit_s=asked["time_limit"],
        explain=asked["explain"] or [],
    )
