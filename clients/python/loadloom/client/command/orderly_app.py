"""The verbs of `loadloom orderly` and their options; what they do is loaded when one is called.

Exit codes are those of `app`; 1 also when the server refuses, as to publish an outdated plan.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from loadloom.client.command.orderly_options import (
    AsJson,
    At,
    Calendars,
    CoverageOut,
    Deadline,
    Gap,
    LateNotice,
    Method,
    Mode,
    Order,
    Out,
    Plot,
    Priority,
    Seed,
    ShortageFile,
    TimeLimit,
    UnservedPrice,
    UserName,
    Which,
    WorkLimit,
    placed,
)

orderly = typer.Typer(
    help="Weekly schedules for when power is short: planned, announced, revised, settled.",
    no_args_is_help=True,
)


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Makes a function a verb, with the options of `PLACES`, which it gets as its `place`."""
    return placed(orderly)(function)


@verb
def plan(
    place: Any,  # noqa: ANN401 -- a Place, which is loaded with the verbs
    users: Annotated[
        Path, typer.Argument(help="The users, CSV: a row for each user and measure it offers.")
    ],
    shortage: ShortageFile,
    week: Annotated[str, typer.Option(metavar="WEEK", help="The week, such as 2026-W50.")],
    loads: Annotated[
        Path | None,
        typer.Option(help="The forecast loads, CSV: time, and a column for each user."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="The IANA zone of all times; that of this machine.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(help="The slots of a day; by the step of the shortage.")
    ] = None,
    title: Annotated[str, typer.Option(help="What the schedule is called among people.")] = "",
    fairness: Annotated[Mode, typer.Option(help="What fair means.")] = Mode.CONVEX,
    gamma: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS",
            help="What the first, second and further curtailed days cost, as multiples.",
        ),
    ] = "1,1.3,1.7",
    leximin_levels: Annotated[
        int, typer.Option(min=1, help="With leximin: how many of the largest burdens to lower.")
    ] = 3,
    history: Annotated[
        float, typer.Option(min=0.0, help="How much a carried burden of a week weighs.")
    ] = 1.0,
    legal_order: Annotated[
        Order, typer.Option(help="Whether kinds of measures wait for others.")
    ] = Order.PRICED,
    rules: Annotated[
        Path | None,
        typer.Option(help="The place's levels of warning and formula of the ability, YAML."),
    ] = None,
    unserved_price: UnservedPrice = None,
    currency: Annotated[str, typer.Option(metavar="CODE", help="The currency, ISO 4217.")] = "",
    at: At = None,
    late_notice: LateNotice = False,
    time_limit: TimeLimit = None,
    method: Method = None,
    gap: Gap = 0.0,
    seed: Seed = 0,
    work_limit: WorkLimit = None,
    priority: Priority = 0,
    deadline: Deadline = None,
    out: Out = None,
    coverage: CoverageOut = None,
    plot: Plot = None,
    calendars: Calendars = None,
    as_json: AsJson = False,
) -> None:
    """Plan a week: who gives up power, how, on which day and when, at the least loss."""
    from loadloom.client.command import orderly_verbs as verbs
    from loadloom.client.command.orderly_input import Planning

    said = Planning(
        users=users,
        shortage=shortage,
        week=week,
        loads=loads,
        time_zone=time_zone,
        slot_count=slots,
        unserved_price=unserved_price,
        title=title,
        mode="equal hours" if fairness is Mode.EQUAL_HOURS else fairness.value,
        gamma=gamma,
        history=history,
        legal_order=legal_order.value,
        currency_code=currency,
        at=at,
        late_notice=late_notice,
        rules=rules,
        leximin_levels=leximin_levels,
    )
    solving = verbs.Solving(
        time_limit_s=time_limit,
        relative_gap=gap,
        seed=seed,
        work_limit=work_limit,
        priority=priority,
        deadline_s=deadline,
        method=None if method is None else method.value,
    )
    outputs = verbs.Outputs(
        out=out, coverage=coverage, plot=plot, calendars=calendars, as_json=as_json
    )
    verbs.plan(place, said, solving, outputs)


@verb
def revise(
    place: Any,  # noqa: ANN401
    shortage: ShortageFile,
    schedule: Which = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="The share of cost to give up for fewer changes."),
    ] = 0.0,
    unserved_price: UnservedPrice = None,
    at: At = None,
    late_notice: LateNotice = False,
    time_limit: TimeLimit = None,
    method: Method = None,
    gap: Gap = 0.0,
    seed: Seed = 0,
    work_limit: WorkLimit = None,
    priority: Priority = 0,
    deadline: Deadline = None,
    out: Out = None,
    coverage: CoverageOut = None,
    plot: Plot = None,
    calendars: Calendars = None,
    as_json: AsJson = False,
) -> None:
    """Plan a week again under another shortage: call whom notice still reaches, release others."""
    from loadloom.client.command import orderly_verbs as verbs

    said = verbs.Revising(
        schedule=schedule,
        shortage=shortage,
        unserved_price=unserved_price,
        tolerance=tolerance,
        at=at,
        late_notice=late_notice,
    )
    solving = verbs.Solving(
        time_limit_s=time_limit,
        relative_gap=gap,
        seed=seed,
        work_limit=work_limit,
        priority=priority,
        deadline_s=deadline,
        method=None if method is None else method.value,
    )
    outputs = verbs.Outputs(
        out=out, coverage=coverage, plot=plot, calendars=calendars, as_json=as_json
    )
    verbs.revise(place, said, solving, outputs)


@verb
def show(
    place: Any,  # noqa: ANN401
    schedule: Which = None,
    user: UserName = "",
    revision: Annotated[int, typer.Option(min=0, help="The number of the plan; the latest.")] = 0,
    out: Out = None,
    coverage: CoverageOut = None,
    plot: Plot = None,
    calendars: Calendars = None,
    as_json: AsJson = False,
) -> None:
    """Show a schedule, and write its tables, charts and calendars."""
    from loadloom.client.command import orderly_verbs as verbs

    outputs = verbs.Outputs(
        out=out, coverage=coverage, plot=plot, calendars=calendars, as_json=as_json
    )
    verbs.show(place, schedule, user, revision, outputs)


@verb
def list_(place: Any) -> None:  # noqa: ANN401
    """List the schedules there are."""
    from loadloom.client.command import orderly_verbs as verbs

    verbs.list_schedules(place)


@verb
def publish(
    place: Any,  # noqa: ANN401
    schedule: Which = None,
    late_notice: LateNotice = False,
) -> None:
    """Announce the latest plan of a schedule to its users: their notices fall due from now on."""
    from loadloom.client.command import orderly_verbs as verbs

    verbs.publish(place, schedule, late_notice=late_notice)


@verb
def confirm(
    place: Any,  # noqa: ANN401
    day: Annotated[str, typer.Argument(help="The day: a date, or a weekday such as Wed.")],
    schedule: Which = None,
) -> None:
    """Confirm a day: from then on a revision may only release its events."""
    from loadloom.client.command import orderly_verbs as verbs

    verbs.confirm(place, schedule, day)


@verb
def explain(
    place: Any,  # noqa: ANN401
    user: Annotated[str, typer.Argument(help="The user; the slots and rules when left out.")] = "",
    schedule: Which = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Solve without the user for its exact price.")
    ] = False,
    time_limit: TimeLimit = None,
) -> None:
    """Tell why: for a user, for each slot, for what is not covered."""
    from loadloom.client.command import orderly_verbs as verbs

    verbs.explain(place, schedule, user, exact, time_limit)


@verb
def ability(
    place: Any,  # noqa: ANN401
    user: Annotated[str, typer.Argument(help="The user; all when left out.")] = "",
    schedule: Which = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the scores here, .csv or .parquet.")
    ] = None,
) -> None:
    """Tell the interaction ability of users: its formula, and the parts of each score."""
    from loadloom.client.command import orderly_verbs as verbs

    verbs.ability(place, schedule, user, out)


@verb
def notices(
    place: Any,  # noqa: ANN401
    schedule: Which = None,
    user: UserName = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Tell notices as they fall due, until Ctrl-C.")
    ] = False,
    after: Annotated[int, typer.Option(min=0, help="With --follow: begin after this number.")] = 0,
) -> None:
    """List the notices of a schedule, or follow them as they fall due."""
    from loadloom.client.command import orderly_notice_verbs as verbs

    verbs.notices(place, schedule, user, follow, after)


@verb
def acknowledge(
    place: Any,  # noqa: ANN401
    number: Annotated[int, typer.Argument(min=1, help="The number of the notice.")],
    user: Annotated[str, typer.Argument(help="The user whom it has reached.")],
) -> None:
    """Say that a notice has reached its user."""
    from loadloom.client.command import orderly_notice_verbs as verbs

    verbs.acknowledge(place, number, user)


@verb
def deliver(
    place: Any,  # noqa: ANN401
    deliveries: Annotated[
        Path | None,
        typer.Argument(help="What was delivered, CSV: user, day, first_slot, energy_kwh."),
    ] = None,
    schedule: Which = None,
    as_planned: Annotated[
        bool, typer.Option("--as-planned", help="Record every event as it was planned.")
    ] = False,
) -> None:
    """Record what users delivered; a table written by --out serves, with its energies corrected."""
    from loadloom.client.command import orderly_notice_verbs as verbs

    verbs.deliver(place, schedule, deliveries, as_planned)


@verb
def settle(
    place: Any,  # noqa: ANN401
    schedule: Which = None,
    missing_as_zero: Annotated[
        bool,
        typer.Option("--missing-as-zero", help="Count events without a record as not delivered."),
    ] = False,
) -> None:
    """Close a schedule whose week is over, and carry what was delivered to the ledger."""
    from loadloom.client.command import orderly_notice_verbs as verbs

    verbs.settle(place, schedule, missing_as_zero)


@verb
def ledger(
    place: Any,  # noqa: ANN401
    user: Annotated[list[str] | None, typer.Option(help="A user; several times for more.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write it here, .csv or .parquet.")] = None,
) -> None:
    """Show the burdens of users over the weeks."""
    from loadloom.client.command import orderly_notice_verbs as verbs

    verbs.ledger(place, user or [], out)


@verb
def delete(
    place: Any,  # noqa: ANN401
    schedule: Annotated[
        str, typer.Argument(metavar="NAME", help="The schedule, by its name as `list` tells it.")
    ],
) -> None:
    """Delete a schedule that was never published, or that is settled."""
    from loadloom.client.command import orderly_verbs as verbs

    verbs.delete(place, schedule)
