"""Calendars of weekly plans, read back as calendars."""

from datetime import datetime, timedelta

from icalendar import Calendar

from loadloom.client.orderly_calendar import calendar, write_calendars
from tests.clients.orderly_cases import ZONE, plan


def test_a_calendar_goes_round():
    found = Calendar.from_ical(calendar(plan(), "bakery"))
    first, second = found.walk("VEVENT")
    assert first.start == datetime(2026, 10, 21, 18, tzinfo=ZONE)
    assert first.end == datetime(2026, 10, 21, 20, tzinfo=ZONE)
    assert second.end.timestamp() - second.start.timestamp() == 4 * 3600
    assert str(first["summary"]) == "Shift 60 kW of load to other hours"
    assert first["sequence"] == 3
    assert first["uid"] != second["uid"]
    assert [a["trigger"].dt for a in first.walk("VALARM")] == [
        timedelta(days=-1),
        timedelta(minutes=-15),
    ]
    assert [a["trigger"].dt for a in second.walk("VALARM")] == [timedelta(minutes=-15)]
    assert [str(zone["tzid"]) for zone in found.walk("VTIMEZONE")] == ["Europe/Berlin"]


def test_the_same_plan_gives_the_same_calendar_and_its_events_keep_their_ids():
    assert calendar(plan(), "bakery") == calendar(plan(), "bakery")
    later = plan()
    later.message.revision = 4
    uids = [
        [str(e["uid"]) for e in Calendar.from_ical(calendar(p, "bakery")).walk("VEVENT")]
        for p in (plan(), later)
    ]
    assert uids[0] == uids[1]


def test_a_user_without_events_has_an_empty_calendar():
    assert not Calendar.from_ical(calendar(plan(), "quiet")).walk("VEVENT")


def test_calendars_have_names_that_files_can_have(tmp_path):
    files = write_calendars(plan(), tmp_path / "calendars")
    assert [file.name for file in files] == ["bakery.ics", "a-b-c.ics"]
    twins = write_calendars(plan(names=("a:b", "a/b", "q")), tmp_path / "twins")
    assert [file.name for file in twins] == ["a-b.ics", "a-b 2.ics"]


def test_a_calendar_holds_that_of_its_user_alone():
    assert b"bakery" not in calendar(plan(), "a/b:c")


def released(revision=4):
    """The plan with the events of its first user released, but for the last."""
    found = plan()
    later = plan(names=found.users)
    later.message.revision = later.message.published_revision = revision
    events = later.message.events
    for name in ("users", "days", "measures", "first_slots", "slot_counts"):
        del getattr(events, name)[0]
    for column, count in ((events.relief_kw, 2), (events.energy_kwh, 1), (events.cost, 1)):
        del column.values[:count]
    del later.message.rest_moves[:]
    return later


def states(file):
    """The states and revisions of the entries of a calendar, by their ids."""
    entries = Calendar.from_ical(file.read_bytes()).walk("VEVENT")
    return {str(e["uid"]): (str(e["status"]), int(e["sequence"])) for e in entries}


def test_what_is_released_is_cancelled_where_it_was_handed_out(tmp_path):
    first, rest = write_calendars(plan(), tmp_path)
    before = states(first), states(rest)
    assert {state for file in before for state in file.values()} == {("TENTATIVE", 3)}
    assert write_calendars(released(), tmp_path) == [first, rest]
    after = states(first)
    assert after.keys() == before[0].keys()
    assert sorted(after.values()) == [("CANCELLED", 4), ("TENTATIVE", 4)]
    assert [*states(rest).values()] == [("CANCELLED", 4)]
    assert not Calendar.from_ical(rest.read_bytes()).walk("VALARM")


def test_a_cancelled_entry_keeps_its_revision_and_a_called_one_comes_back(tmp_path):
    write_calendars(plan(), tmp_path)
    _, rest = write_calendars(released(4), tmp_path)
    write_calendars(released(5), tmp_path)
    assert [*states(rest).values()] == [("CANCELLED", 4)]
    again = plan()
    again.message.revision = 6
    write_calendars(again, tmp_path)
    assert [*states(rest).values()] == [("TENTATIVE", 6)]


def test_a_calendar_of_another_schedule_or_another_maker_is_no_earlier_one(tmp_path):
    (file, _) = write_calendars(plan(), tmp_path)
    other = released()
    other.message.name = f"schedules/{'cd' * 16}"
    (tmp_path / "notes.ics").write_text("not a calendar")
    write_calendars(other, tmp_path)
    assert len(states(file)) == 1
    assert (tmp_path / "notes.ics").read_text() == "not a calendar"


def test_a_draft_says_so():
    found = plan()
    assert b"a draft that is not announced" in calendar(found, "bakery").replace(b"\r\n ", b"")
    found.message.published_revision = found.message.revision
    assert b"a draft that is" not in calendar(found, "bakery").replace(b"\r\n ", b"")


def test_files_differ_on_disks_that_do_not_tell_capitals_apart(tmp_path):
    files = write_calendars(plan(names=("Mill", "mill", "q")), tmp_path)
    assert [file.name for file in files] == ["Mill.ics", "mill 2.ics"]
