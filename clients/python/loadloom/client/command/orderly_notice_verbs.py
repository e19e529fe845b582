"""What the verbs of `loadloom orderly` do once a plan is announced: notices, deliveries, ledger."""

from pathlib import Path

from loadloom.client.command import orderly_report as report
from loadloom.client.command.orderly_output import Written, write_table
from loadloom.client.command.orderly_place import Place, announced, chosen, opened
from loadloom.client.command.terminal import Terminal
from loadloom.client.command.verbs import (
    TABLE_SUFFIXES,
    WRONG_INPUT,
    Trace,
    check_output,
    fail,
    note,
)
from loadloom.client.errors import Violation
from loadloom.client.files.faults import InputError
from loadloom.client.files.orderly_deliveries import DeliveriesInput, read_deliveries
from loadloom.client.orderly import Delivery
from loadloom.client.orderly_plan import WeeklyPlan


def notices(place: Place, schedule: str | None, user: str, follow: bool, after: int) -> None:
    """Tells the notices of a schedule, or follows them as they fall due."""
    place.check()
    with opened(place) as client:
        found = chosen(client, schedule, place)
        if not follow:
            known = list(client.list_notices(found, user=user))
            Terminal().print(report.notice_rows(known, found))
            return
        note(f"Following the notices of {found.name}; Ctrl-C ends it")
        for notice in client.stream_notices(found, user=user, after=after):
            Terminal().print(report.notice_line(notice, found), soft_wrap=True)


def acknowledge(place: Place, number: int, user: str) -> None:
    """Says that a notice has reached its user."""
    place.check()
    with opened(place) as client:
        notice = client.acknowledge_notice(number, user)
    note(f"notice {notice.number} to {notice.user} is {notice.state}")


def deliver(place: Place, schedule: str | None, file: Path | None, as_planned: bool) -> None:
    """Records what was delivered, by a file or as planned."""
    place.check()
    if (file is None) != as_planned:
        raise fail(WRONG_INPUT, "give a file of deliveries, or --as-planned, and not both")
    trace, said = str, None
    with opened(place, lambda violation: trace(violation)) as client:
        found = announced(client, schedule, place)
        if file is not None:
            said = _read(file, found)
            trace = _tracer(said)
        deliveries = planned(found) if said is None else said.deliveries
        counted = client.record_delivery(found, deliveries)
    told = f"{counted.recorded_count} events have a record, {counted.missing_count} have none"
    if counted.missed_count:
        told += f"; of those recorded, {counted.missed_count} are of users who were not reached"
    note(f"{found.name}: {told}")


def settle(place: Place, schedule: str | None, missing_as_zero: bool) -> None:
    """Closes a schedule whose week is over."""
    place.check()
    with opened(place) as client:
        found = chosen(client, schedule, place)
        client.settle_schedule(found, missing_as_zero=missing_as_zero)
    note(f"{found.name} is settled; the ledger holds what was delivered")


def ledger(place: Place, users: list[str], out: Path | None) -> None:
    """Tells the burdens over the weeks."""
    place.check()
    check_output("--out", out, TABLE_SUFFIXES)
    with opened(place) as client:
        found = client.get_ledger(users)
    written = Written()
    written.add("Ledger", out, lambda file: write_table(found.frame, file))
    if found.entries:
        Terminal().print(report.ledger_report(found))
    else:
        note(f"the ledger in {place.words} is empty; it grows as schedules are settled")
    written.tell()


def planned(plan: WeeklyPlan) -> list[Delivery]:
    """The deliveries if every event went as planned."""
    return [
        Delivery(
            user=event.user,
            day=event.day,
            first_slot=event.first_slot,
            energy_kwh=event.energy_kwh,
        )
        for event in plan.events
    ]


def _read(file: Path, plan: WeeklyPlan) -> DeliveriesInput:
    try:
        return read_deliveries(file, plan.week)
    except InputError as error:
        raise fail(WRONG_INPUT, *map(str, error.faults)) from None


def _tracer(said: DeliveriesInput) -> Trace:
    def trace(violation: Violation) -> str:
        fault = said.fault(violation)
        return str(violation if fault is None else fault)

    return trace
