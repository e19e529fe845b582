"""Calendars of what users are called for, in iCalendar (RFC 5545), one for each user."""

from datetime import timedelta
from pathlib import Path

from icalendar import Alarm, Calendar
from icalendar import Event as Entry

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


def calendar(plan: WeeklyPlan, user: str) -> bytes:
    """The calendar of a user: an entry for each event, with reminders.

    The entries of a later revision replace those of an earlier one in the user's calendar; those
    that are gone must be taken out there, or the calendar be subscribed to.
    """
    found = Calendar()
    found.add("prodid", PRODUCT)
    found.add("version", "2.0")
    found.add("method", "PUBLISH")
    found.add("x-wr-calname", f"{plan.title or 'Orderly electricity'}: {user}")
    for event in plan.of_user(user):
        found.add_component(_entry(plan, event))
    found.add_missing_timezones()
    return found.to_ical()


def write_calendars(plan: WeeklyPlan, folder: Path) -> list[Path]:
    """Writes the calendar of every user that is called into a folder, and tells the files.

    A user's file is named after it; what cannot be in a name of a file becomes a dash, and a
    number tells users apart whose names then are the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    called = dict.fromkeys(event.user for event in plan.events)
    files: list[Path] = []
    for user in called:
        files.append(_file(folder, user, files))
        files[-1].write_bytes(calendar(plan, user))
    return files


def _entry(plan: WeeklyPlan, event: Event) -> Entry:
    entry = Entry()
    place = f"{event.day}-{event.first_slot}"
    entry.add("uid", f"{plan.name.removeprefix('schedules/')}-{place}-{_hex(event.user)}@loadloom")
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
    return (
        f"{event.user}: {event.kind}, {event.energy_kwh:,.0f} kWh in all; kW slot by slot: "
        f"{powers}. Schedule {plan.name}, revision {plan.revision}."
    )


def _file(folder: Path, user: str, taken: list[Path]) -> Path:
    name = "".join(c if c.isalnum() or c in " ._-" else "-" for c in user).strip(" .") or "user"
    file, number = folder / f"{name}.ics", 1
    while file in taken:
        number += 1
        file = folder / f"{name} {number}.ics"
    return file


def _hex(user: str) -> str:
    return user.encode().hex()
