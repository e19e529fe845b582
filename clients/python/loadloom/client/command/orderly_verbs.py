"""What the verbs of `loadloom orderly` do; `orderly_app` tells their options."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import typer
from google.protobuf.json_format import MessageToJson
from rich.console import Console

from loadloom.client.command import orderly_report as report
from loadloom.client.command.orderly_input import (
    Planning,
    changed_shortage,
    day,
    instant,
    numbers,
    read,
    tracer,
)
from loadloom.client.command.orderly_output import write_coverage, write_events
from loadloom.client.command.orderly_place import REFUSED, Place, chosen, opened
from loadloom.client.command.orderly_progress import followed
from loadloom.client.command.verbs import (
    NO_PLAN,
    TABLE_SUFFIXES,
    WRONG_INPUT,
    check_output,
    check_time_limit,
    fail,
    note,
)
from loadloom.client.orderly import Fairness
from loadloom.client.orderly_charts import SUFFIXES, write_weekly_chart
from loadloom.client.orderly_plan import WeeklyPlan
from loadloom.client.orderly_request import ScheduleWishes, SolveWishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Revising:
    """What changed in a week that is planned already."""

    schedule: str | None
    shortage: Path
    unserved_price: float | None
    tolerance: float
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Solving:
    """The limits of a solve."""

    time_limit_s: float | None
    relative_gap: float
    seed: int

    def wishes(self, plan_time: datetime | None) -> SolveWishes:
        """The limits as a request has them, and the time for which to plan."""
        return {
            "plan_time": plan_time,
            "time_limit_s": self.time_limit_s,
            "relative_gap": self.relative_gap,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What to write, and whether to print JSON."""

    out: Path | None
    coverage: Path | None
    plot: Path | None
    calendars: Path | None
    as_json: bool

    def check(self) -> None:
        """Ends the program if a file could not be written in the end."""
        check_output("--out", self.out, TABLE_SUFFIXES)
        check_output("--coverage", self.coverage, TABLE_SUFFIXES)
        check_output("--plot", self.plot, SUFFIXES)


def plan(place: Place, said: Planning, solving: Solving, outputs: Outputs) -> None:
    """Plans the week in the files, tells the plan, and writes what was asked for."""
    place.check()
    outputs.check()
    check_time_limit(solving.time_limit_s)
    found, shortage, week = read(said)
    wishes: ScheduleWishes = {
        "title": said.title,
        "fairness": Fairness(
            mode=said.mode, gamma=numbers("--gamma", said.gamma), history_strength=said.history
        ),
        "legal_order": said.legal_order,
        "currency_code": said.currency_code,
        **solving.wishes(instant(said.at, week)),
    }
    with opened(place, tracer(said, found)) as client:
        operation = client.create_schedule(week, found.users, shortage, **wishes)
        made = followed(operation, quiet=outputs.as_json)
    _tell(made, outputs, place)


def revise(place: Place, said: Revising, solving: Solving, outputs: Outputs) -> None:
    """Plans a week again under the shortage in a file, and tells what changed."""
    place.check()
    outputs.check()
    check_time_limit(solving.time_limit_s)
    with opened(place) as client:
        before = chosen(client, said.schedule, place)
        shortage = changed_shortage(said.shortage, before.week, said.unserved_price)
        operation = client.revise_schedule(
            before,
            shortage,
            change_tolerance=said.tolerance,
            **solving.wishes(instant(said.at, before.week)),
        )
        made = followed(operation, quiet=outputs.as_json)
        if made.published_revision:
            before = client.get_schedule(before.name, revision=made.published_revision)
    _tell(made, outputs, place, before)


def show(place: Place, schedule: str | None, user: str, revision: int, outputs: Outputs) -> None:
    """Tells a schedule and writes what was asked for."""
    place.check()
    outputs.check()
    with opened(place) as client:
        name = chosen(client, schedule, place, whole=False).name
        found = client.get_schedule(name, user=user, revision=revision)
    _tell(found, outputs, place)


def list_schedules(place: Place) -> None:
    """Tells which schedules there are."""
    place.check()
    with opened(place) as client:
        found = list(client.list_schedules())
    if found:
        Console().print(report.schedules(found))
    note(f"{len(found)} schedules in {place.words}")


def publish(place: Place, schedule: str | None) -> None:
    """Announces the latest plan of a schedule."""
    place.check()
    with opened(place) as client:
        found = chosen(client, schedule, place)
        if not found.revision:
            told = f"{found.name} has no plan yet: its solve goes on or failed; plan it again"
            raise fail(REFUSED, told)
        found = client.publish_schedule(found)
        notices = list(client.list_notices(found))
    Console().print(report.published(found, notices))


def confirm(place: Place, schedule: str | None, word: str) -> None:
    """Confirms a day of a schedule."""
    place.check()
    with opened(place) as client:
        found = chosen(client, schedule, place)
        try:
            found = client.confirm_day(found, day(word))
        except ValueError as error:
            raise fail(WRONG_INPUT, str(error)) from None
    days = ", ".join(f"{found.week.date(d):%a %d %b}" for d in found.confirmed_days)
    note(f"{found.name}: confirmed {days}")


def explain(
    place: Place, schedule: str | None, user: str, exact: bool, limit_s: float | None
) -> None:
    """Tells the reasons behind a schedule."""
    place.check()
    check_time_limit(limit_s)
    with opened(place) as client:
        found = chosen(client, schedule, place)
        known = client.explain_schedule(found, user, exact_exemption=exact, time_limit_s=limit_s)
    Console().print(report.reasons(known, found))


def delete(place: Place, schedule: str) -> None:
    """Deletes a schedule."""
    place.check()
    with opened(place) as client:
        found = chosen(client, schedule, place, whole=False)
        client.delete_schedule(found)
    note(f"{found.name} is deleted")


def write(file: Path | None, what: str, writer: Callable[[Path], object]) -> None:
    """Writes a file if it was asked for; ends the program if that cannot be done."""
    if file is None:
        return
    try:
        writer(file)
    except OSError as error:
        told = f"{file}: cannot be written: {error.strerror or error}"
        raise fail(WRONG_INPUT, told) from None
    note(f"{what} in {file}")


def _tell(
    made: WeeklyPlan, outputs: Outputs, place: Place, before: WeeklyPlan | None = None
) -> None:
    if outputs.as_json:
        print(MessageToJson(made.message, preserving_proto_field_name=True))
    else:
        Console().print(report.plan_report(made, before))
    if not made.exists:
        raise typer.Exit(NO_PLAN)
    write(outputs.out, "Events", lambda file: write_events(made, file))
    write(outputs.coverage, "Coverage", lambda file: write_coverage(made, file))
    write(outputs.plot, "Chart", lambda file: write_weekly_chart(made, file))
    write(outputs.calendars, "Calendars", lambda folder: _write_calendars(made, folder))
    note(f"{made.name} is kept in {place.words}")


def _write_calendars(made: WeeklyPlan, folder: Path) -> None:
    from loadloom.client.orderly_calendar import write_calendars

    write_calendars(made, folder)
