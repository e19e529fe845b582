"""What the verbs of `loadloom orderly` do; `orderly_app` tells their options."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer
from google.protobuf.json_format import MessageToJson

from loadloom.client.command import orderly_report as report
from loadloom.client.command.orderly_input import (
    Planning,
    changed_shortage,
    day,
    instant,
    numbers,
    read,
    rules_of,
    tracer,
)
from loadloom.client.command.orderly_output import (
    Written,
    write_coverage,
    write_events,
    write_table,
)
from loadloom.client.command.orderly_place import REFUSED, Place, chosen, named, opened
from loadloom.client.command.orderly_progress import followed
from loadloom.client.command.orderly_proof import abilities
from loadloom.client.command.terminal import Terminal
from loadloom.client.command.verbs import (
    NO_PLAN,
    TABLE_SUFFIXES,
    WRONG_INPUT,
    check_output,
    check_time_limit,
    fail,
    note,
)
from loadloom.client.orderly import Fairness, Technique
from loadloom.client.orderly_charts import SUFFIXES, write_weekly_chart
from loadloom.client.orderly_plan import WeeklyPlan
from loadloom.client.orderly_request import ScheduleWishes, SolveWishes
from loadloom.client.orderly_week import Week


@dataclass(frozen=True, slots=True, kw_only=True)
class Revising:
    """What changed in a week that is planned already."""

    schedule: str | None
    shortage: Path
    unserved_price: float | None
    tolerance: float
    at: datetime | None
    late_notice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Solving:
    """The limits of a solve."""

    time_limit_s: float | None
    relative_gap: float
    seed: int
    work_limit: int | None = None
    priority: int = 0
    deadline_s: float | None = None
    method: Technique | None = None

    def wishes(self, plan_time: datetime | None, *, late_notice: bool) -> SolveWishes:
        """The limits as a request has them, and the time for which to plan, maybe a past one."""
        return {
            "plan_time": plan_time,
            "late_notice": late_notice,
            "time_limit_s": self.time_limit_s,
            "relative_gap": self.relative_gap,
            "seed": self.seed,
            "work_limit": self.work_limit,
            "priority": self.priority,
            "deadline_s": self.deadline_s,
            "method": self.method,
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
    levels, ability_rule = rules_of(said.rules)
    found, shortage, week = read(said)
    wishes: ScheduleWishes = {
        "title": said.title,
        "fairness": Fairness(
            mode=said.mode,
            gamma=numbers("--gamma", said.gamma),
            history_strength=said.history,
            leximin_levels=said.leximin_levels,
        ),
        "warning_levels": levels,
        "legal_order": said.legal_order,
        "currency_code": said.currency_code,
        **solving.wishes(_plan_time(said, week), late_notice=said.late_notice),
    }
    if ability_rule is not None:
        wishes["ability"] = ability_rule
    with opened(place, tracer(said, found)) as client:
        operation = client.create_schedule(week, found.users, shortage, **wishes)
        made = followed(operation, place, quiet=outputs.as_json)
    _tell(made, outputs, place)
    if late := len(made.late_events(datetime.now(UTC))):
        note(f"{late} events need notice that can no longer be given; publish with --late-notice")


def _plan_time(said: Planning, week: Week) -> datetime | None:
    """The instant for which to plan: now, or for late notice as if there was time for all."""
    if said.at is None:
        return None if said.late_notice else datetime.now(UTC)
    return instant(said.at, week)


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
            **solving.wishes(instant(said.at, before.week), late_notice=said.late_notice),
        )
        made = followed(operation, place, quiet=outputs.as_json)
        if made.published_revision:
            before = client.get_schedule(before.name, revision=made.published_revision)
    _tell(made, outputs, place, before=before)


def show(place: Place, schedule: str | None, user: str, revision: int, outputs: Outputs) -> None:
    """Tells a schedule and writes what was asked for."""
    place.check()
    outputs.check()
    with opened(place) as client:
        name = chosen(client, schedule, place, whole=False).name
        found = announced = client.get_schedule(name, user=user, revision=revision)
        if not revision and found.published_revision not in (0, found.revision):
            announced = client.get_schedule(name, user=user, revision=found.published_revision)
    _tell(found, outputs, place, handed_out=announced)


def list_schedules(place: Place) -> None:
    """Tells which schedules there are."""
    place.check()
    with opened(place) as client:
        found = list(client.list_schedules())
    if found:
        Terminal().print(report.schedules(found))
    note(f"{len(found)} schedules in {place.words}")


def publish(place: Place, schedule: str | None, *, late_notice: bool = False) -> None:
    """Announces the latest plan of a schedule."""
    place.check()
    with opened(place) as client:
        found = chosen(client, schedule, place)
        if not found.revision:
            told = f"{found.name} has no plan yet: its solve goes on or failed; plan it again"
            raise fail(REFUSED, told)
        found = client.publish_schedule(found, late_notice=late_notice)
        notices = list(client.list_notices(found))
    Terminal().print(report.published(found, notices))


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
    Terminal().print(report.reasons(known, found))


def ability(place: Place, schedule: str | None, user: str, out: Path | None) -> None:
    """Tells the interaction abilities of the users, and what they are made of."""
    place.check()
    check_output("--out", out, TABLE_SUFFIXES)
    with opened(place) as client:
        found = chosen(client, schedule, place)
    if user and user not in found.users:
        raise fail(WRONG_INPUT, f"there is no user {user!r} in {found.name}")
    written = Written()
    written.add("Abilities", out, lambda file: write_table(found.abilities.reset_index(), file))
    Terminal().print(abilities(found, user))
    written.tell()


def delete(place: Place, schedule: str) -> None:
    """Deletes a schedule."""
    place.check()
    with opened(place) as client:
        found = named(client, schedule, place)
        client.delete_schedule(found)
    note(f"{found.name} is deleted")


def _tell(
    made: WeeklyPlan,
    outputs: Outputs,
    place: Place,
    *,
    before: WeeklyPlan | None = None,
    handed_out: WeeklyPlan | None = None,
) -> None:
    """Writes and tells a plan; the calendars are those of the plan that is handed out."""
    written = Written()
    if made.exists:
        plan = handed_out or made
        draft = "" if plan.revision == plan.published_revision else ", which is not announced"
        calendars = f"Calendars of revision {plan.revision}{draft},"
        written.add("Events", outputs.out, lambda file: write_events(made, file))
        written.add("Coverage", outputs.coverage, lambda file: write_coverage(made, file))
        written.add("Chart", outputs.plot, lambda file: write_weekly_chart(made, file))
        written.add(calendars, outputs.calendars, lambda folder: _write_calendars(plan, folder))
    if outputs.as_json:
        print(MessageToJson(made.message, preserving_proto_field_name=True))
    else:
        Terminal().print(report.plan_report(made, before))
    if not made.exists:
        raise typer.Exit(NO_PLAN)
    written.tell()
    note(f"{made.name} is kept in {place.words}")


def _write_calendars(made: WeeklyPlan, folder: Path) -> None:
    from loadloom.client.orderly_calendar import write_calendars

    write_calendars(made, folder)
