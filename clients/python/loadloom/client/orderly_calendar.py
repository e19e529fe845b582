"""Calendars of what users are called for, in iCalendar (RFC 5545), one for each user."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

from icalendar import Alarm, Calendar, Component
from icalendar import Event as Entry

from loadloom.client.files.user_files import user_file
from loadloom.client.orderly_parts import Event
from loadloom.client.orderly_plan import WeeklyPlan

PRODUCT = "-//Loadloom//orderly electricity//EN"

REMINDERS = {
    "week": (timedelta(days=1), timedelta(minutes=15)),
    "day": (timedelta(days=1), timedelta(minutes=15)),
    "quarter hour": (timedelta(minutes=15),),
    "immediate": (),
}
"""How long before an event its calendar reminds of it, by the notice of its measure."""

DOES = {
    "shift": "Shift {kw:,.0f} kW of load to other hours",
    "avoid": "Keep {kw:,.0f} kW of load from the peak",
    "limit": "Limit load by {kw:,.0f} kW",
    "cut": "Cut {kw:,.0f} kW of load",
    "rest": "Rest day moved here, {kw:,.0f} kW less on average",
}
"""What a user does, by the kind of measure."""


def calendar(plan: WeeklyPlan, user: str, earlier: bytes = b"") -> bytes:
    """The calendar of a user: an entry for each event, with reminders.

    The entries of a later revision replace those of an earlier one in the user's calendar.

    Args:
        plan: the plan.
        user: the name of the user.
        earlier: the calendar that the user was given before; those of its entries for this schedule
            that are gone are cancelled.
    """
    return _calendar(plan, user, plan.of_user(user), _entries(plan, earlier))


def write_calendars(plan: WeeklyPlan, folder: Path) -> list[Path]:
    """Writes the calendar of every user that is called into a folder, and tells the files.

    A user's file is named after it; what cannot be in a name of a file becomes a dash, and a
    number tells users apart whose names then are the same. Calendars of this schedule that are in
    the folder from before keep their names, and what is gone since is cancelled in them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = _given(plan, folder)
    called = {user: [*events] for user, events in groupby(plan.events, lambda event: event.user)}
    taken = {file.name.lower() for file, _ in given.values()}
    files: list[Path] = []
    for user in {**called, **given}:
        file, entries = given.get(user) or (user_file(folder, user, ".ics", taken), [])
        file.write_bytes(_calendar(plan, user, called.get(user, []), entries))
        files.append(file)
    return files


def _calendar(
    plan: WeeklyPlan, user: str, events: Sequence[Event], earlier: Sequence[Entry]
) -> bytes:
    found = Calendar()
    found.add("prodid", PRODUCT)
    found.add("version", "2.0")
    found.add("method", "PUBLISH")
    found.add("x-wr-calname", f"{plan.title or 'Orderly electricity'}: {user}")
    entries = [_entry(plan, event) for event in events]
    kept = {entry.uid for entry in entries}
    gone = [_cancelled(plan, entry) for entry in earlier if entry.uid not in kept]
    for part in [*_zones(plan.week.time_zone), *entries, *gone]:
        found.add_component(part)
    return found.to_ical()


@cache
def _zones(time_zone: str) -> list[Component]:
    """The definition of a zone, if it needs one; making it takes longer than all else."""
    found, entry = Calendar(), Entry()
    entry.add("dtstart", datetime(2000, 1, 1, tzinfo=ZoneInfo(time_zone)))
    found.add_component(entry)
    found.add_missing_timezones()
    return [*found.timezones]


def _given(plan: WeeklyPlan, folder: Path) -> dict[str, tuple[Path, list[Entry]]]:
    """The users that have a calendar of this schedule in a folder: the file and its entries."""
    found: dict[str, tuple[Path, list[Entry]]] = {}
    for file in sorted(folder.glob("*.ics")):
        if entries := _entries(plan, file.read_bytes()):
            found[_user(entries[0])] = file, entries
    return found


def _entries(plan: WeeklyPlan, said: bytes) -> list[Entry]:
    """The entries for a schedule in a calendar that we made; of any other there are none."""
    if PRODUCT.encode() not in said or _id(plan).encode() not in said:
        return []
    parts = Calendar.from_ical(said).walk("VEVENT")
    return [part for part in parts if isinstance(part, Entry) and part.uid.startswith(_id(plan))]


def _cancelled(plan: WeeklyPlan, entry: Entry) -> Entry:
    """The entry of an event that is released, as RFC 5545 has it taken from calendars."""
    if entry.get("status") != "CANCELLED":
        entry["sequence"], entry["status"] = plan.revision, "CANCELLED"
        entry.subcomponents.clear()
    return entry


def _entry(plan: WeeklyPlan, event: Event) -> Entry:
    entry = Entry()
    place = f"{event.day}-{event.first_slot}"
    entry.add("uid", f"{_id(plan)}-{place}-{event.user.encode().hex()}@loadloom")
    entry.add("dtstamp", plan.publish_time or plan.create_time)
    entry.add("sequence", plan.revision)
    entry.add("dtstart", event.start)
    entry.add("dtend", event.end)
    entry.add("summary", DOES.get(event.kind, "{kw:,.0f} kW less").format(kw=event.mean_kw))
    entry.add("description", _description(plan, event))
    entry.add("status", "CONFIRMED" if event.day in plan.confirmed_days else "TENTATIVE")
    for before in REMINDERS.get(event.notice, ()):
        entry.add_component(_alarm(before))
    return entry


def _alarm(before: timedelta) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", "Orderly electricity")
    alarm.add("trigger", -before)
    return alarm


def _description(plan: WeeklyPlan, event: Event) -> str:
    powers = ", ".join(f"{power:,.0f}" for power in event.relief_kw)
    announced = plan.revision == plan.published_revision
    return (
        f"{event.user}: {event.kind}, {event.energy_kwh:,.0f} kWh in all; kW slot by slot: "
        f"{powers}. Schedule {plan.name}, revision {plan.revision}"
        f"{'' if announced else ', a draft that is not announced'}."
    )


def _id(plan: WeeklyPlan) -> str:
    return plan.name.removeprefix("schedules/")


def _user(entry: Entry) -> str:
    """The user in the id of an entry."""
    return bytes.fromhex(entry.uid.removesuffix("@loadloom").rpartition("-")[2]).decode()
