"""What `loadloom response settle` does: measures an event and pays for it."""

from collections.abc import Iterable
from pathlib import Path

from loadloom.client.command import response_report as report
from loadloom.client.command.agency_remote import Remote
from loadloom.client.command.agency_verbs import tell
from loadloom.client.command.orderly_output import Written, write_table
from loadloom.client.command.orderly_place import Place, opened
from loadloom.client.command.response_input import (
    Span,
    of_option,
    read_meters,
    read_temperature,
)
from loadloom.client.command.response_verbs import Outputs, between, named
from loadloom.client.errors import Violation
from loadloom.client.grid import Grid
from loadloom.client.response import BaselineRule
from loadloom.client.response_charts import EventLoad, write_loads_chart
from loadloom.client.response_events import Event, EventSettlement


def settle(
    place: Place,
    said: str,
    readings: Path,
    rule: BaselineRule,
    temperature: Path | None,
    holidays: Iterable[str],
    span: Span,
    outputs: Outputs,
    *,
    remote: Remote | None,
    allow_missing: bool,
) -> None:
    """Measures and pays an event, tells it, and writes the payments."""
    place.check()
    outputs.check()
    source = (
        read_meters(readings, span.zone)
        if remote is None
        else remote.data_set(readings.as_posix(), span.zone.key)
    )
    air = read_temperature(temperature, span.zone)
    its = None
    if air is not None:
        times = source.grid.boundaries
        its = between(air, times[0], times[-1])

    def trace(violation: Violation) -> str:
        bare = Violation(violation.path.removeprefix("readings."), violation.message)
        if remote is None:
            return f"{readings}: {of_option(violation)}"
        if bare.path.startswith(("data_set", "grid")):
            return remote.trace(readings.as_posix(), bare)
        return of_option(violation)

    with opened(place, trace) as client:
        event = named(client, said, place)
        made = client.settle_event(
            event,
            source,
            allow_missing=allow_missing,
            rule=rule,
            temperature_c=its,
            holidays=holidays,
        )
        payments = client.event_payments(made)
    written = Written()
    written.add("Payments", outputs.out, lambda file: write_table(payments.reset_index(), file))
    written.add(
        "Chart",
        outputs.plot,
        lambda file: write_loads_chart(chart_title(made, event), [delivered(made, event)], file),
    )
    tell(made.message, report.settlement_report(made, event, payments), as_json=outputs.as_json)
    written.tell()


def chart_title(made: EventSettlement, event: Event) -> str:
    """What an event came to in a line; the plan's needs are of calls that nobody had answered."""
    return (
        f"{event.start:%a %d %b %H:%M} to {event.end:%H:%M}: {made.delivering_count:,} of "
        f"{made.customer_count:,} that accepted delivered {made.delivered_kwh:,.1f} kWh"
    )


def delivered(made: EventSettlement, event: Event) -> EventLoad:
    """The load of all who accepted, as it was and as it would have been."""
    power = made.power(event)
    step = (event.end - event.start) / len(power)
    zone = event.grid.time_zone
    return EventLoad(
        title="Customers that accepted",
        grid=Grid(start=event.start, step=step, count=len(power), time_zone=zone),
        without_kw=power["baseline_kw"].to_numpy(),
        with_kw=power["load_kw"].to_numpy(),
        start=0,
        stop=len(power),
    )
