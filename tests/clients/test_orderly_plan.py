"""Plans as the API has them, made by hand: tables, charts, calendars."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from google.protobuf.any_pb2 import Any
from icalendar import Calendar

from loadloom.client.command.orderly_output import coverage_table, write_coverage, write_events
from loadloom.client.orderly_calendar import calendar, write_calendars
from loadloom.client.orderly_charts import page, weekly_chart, write_weekly_chart
from loadloom.client.orderly_notices import LedgerEntry, Notice, NoticeKind, NoticeState, reasons
from loadloom.client.orderly_parts import ScheduleState
from loadloom.client.orderly_plan import WeeklyPlan, day_number, read_plan
from loadloom.client.orderly_week import Week
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.common_pb2 import Certificate, Termination
from loadloom.wire.arrays import to_series

ZONE = ZoneInfo("Europe/Berlin")
NAME = f"schedules/{'ab' * 16}"


def plan(name="2026-W43", names=("bakery", "a/b:c", "quiet")):
    """A plan of a week in which clocks go back: an event on that day, one before, and a rest."""
    week = Week.of_name(name, time_zone="Europe/Berlin")
    short = np.where(np.arange(168) % 24 == 18, 100.0, -10.0)
    events = pb.ScheduleEvents(
        users=[0, 0],
        days=[2, 6],
        measures=[0, 1],
        first_slots=[18, 1],
        slot_counts=[2, 3],
        relief_kw=to_series([50.0, 70.0, 10.0, 20.0, 30.0]),
        energy_kwh=to_series([120.0, 80.0]),
        cost=to_series([24.0, 8.0]),
    )
    measures = pb.Measures(
        user=[0, 0, 1],
        kind=[pb.MEASURE_KIND_SHIFT, pb.MEASURE_KIND_CUT, pb.MEASURE_KIND_REST],
        notice=[pb.NOTICE_CLASS_DAY, pb.NOTICE_CLASS_QUARTER_HOUR, pb.NOTICE_CLASS_WEEK],
    )
    message = pb.WeeklySchedule(
        name=NAME,
        title="park",
        state=pb.SCHEDULE_STATE_PUBLISHED,
        revision=3,
        week=week.message(),
        users=names,
        events=events,
        rest_moves=[pb.RestMove(user=1, day=3, measure=2, energy_kwh=48.0, cost=5.0)],
        coverage=[
            pb.Coverage(
                shortage_kw=to_series(short),
                covered_kw=to_series(short.clip(0) / 2),
                unserved_kw=to_series(short.clip(0) / 2),
                price_per_kwh=to_series(np.ones(168)),
            ),
            pb.Coverage(feeder="west", shortage_kw=to_series(short)),
        ],
        slot_levels=["IV blue" if value > 0 else "" for value in short],
        termination=Termination(reason="TERMINATION_REASON_FEASIBLE"),
        certificate=Certificate(objective=1234.5, bound=1200.0, relative_gap=0.028),
        burdens=to_series([0.1, 0.2, 0.0]),
        fairness=[pb.FairnessFigures(scope="all", user_count=3, mean_burden=0.1, jain_index=0.6)],
        abilities=[pb.Ability(user=1, score=0.5, notice=0.3)],
        measures=measures,
        currency_code="CNY",
    )
    message.create_time.FromDatetime(datetime(2026, 10, 1, tzinfo=ZONE))
    message.publish_time.FromDatetime(datetime(2026, 10, 2, tzinfo=ZONE))
    return WeeklyPlan(message)


def test_the_frame_has_a_row_for_each_event_in_local_time():
    frame = plan().frame
    assert frame["user"].tolist() == ["bakery", "bakery", "a/b:c"]
    assert frame["kind"].tolist() == ["shift", "cut", "rest"]
    assert frame["start"].tolist() == [
        pd.Timestamp("2026-10-21 18:00", tz=ZONE),
        pd.Timestamp("2026-10-25 01:00", tz=ZONE),
        pd.Timestamp("2026-10-22 00:00", tz=ZONE),
    ]
    assert frame["relief_kw"].tolist() == [60.0, 20.0, 2.0]
    assert frame["notice"].tolist() == ["day", "quarter hour", "week"]
    assert str(frame["date"][0]) == "2026-10-21"


def test_an_event_over_the_hour_that_comes_twice_lasts_longer():
    event = plan().of_user("bakery")[1]
    assert (event.end - event.start) == timedelta(hours=3)  # on the clock
    assert event.end.timestamp() - event.start.timestamp() == 4 * 3600


def test_what_the_plan_says_of_itself():
    found = plan()
    assert found.state is ScheduleState.PUBLISHED
    assert (found.revision, found.currency_code, found.exists) == (3, "CNY", True)
    assert found.certificate.bound == found.bound == 1200.0
    assert found.unserved_kwh == pytest.approx(7 * 50.0)
    assert found.burdens.to_dict() == {"bakery": 0.1, "a/b:c": 0.2, "quiet": 0.0}
    assert found.fairness.loc["all", "jain_index"] == 0.6
    assert found.abilities.loc["a/b:c", "score"] == 0.5
    assert "2026-W43" in repr(found)
    assert "gap 2.80%" in repr(found)


def test_the_coverage_has_a_row_for_each_slot_and_one_table_for_each_feeder():
    found = plan()
    assert len(found.coverage) == 168
    assert found.coverage["level"].value_counts().to_dict() == {"": 161, "IV blue": 7}
    assert [*found.feeders] == ["west"]
    assert coverage_table(found)["feeder"].value_counts().to_dict() == {"": 168, "west": 168}


def test_a_plan_that_is_empty_has_empty_tables():
    week = Week.of_name("2026-W50")
    bare = WeeklyPlan(pb.WeeklySchedule(name=NAME, week=week.message(), users=["a"]))
    assert bare.frame.empty
    assert bare.coverage.empty
    assert bare.fairness.empty
    assert (bare.exists, bare.unserved_kwh, bare.publish_time) == (False, 0.0, None)


def test_what_a_later_server_adds_is_unspecified():
    message = pb.WeeklySchedule(week=Week.of_name("2026-W50").message())
    message.ParseFromString(message.SerializeToString() + b"\x18\x63")  # state 99
    assert WeeklyPlan(message).state is ScheduleState.UNSPECIFIED


def test_a_day_that_means_several_is_refused():
    with pytest.raises(ValueError, match="means 2 days"):
        day_number(Week(start=datetime(2026, 12, 1).date(), day_count=10), "Tue")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_written_and_read_back(tmp_path, suffix):
    events, cover = tmp_path / f"plan{suffix}", tmp_path / f"coverage{suffix}"
    write_events(plan(), events)
    write_coverage(plan(), cover)
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    start = pd.to_datetime(read(events)["start"], utc=True)
    assert start.tolist() == plan().frame["start"].tolist()
    assert read(cover)["time"].nunique() == 168


def test_the_chart_shows_turns_coverage_and_burdens():
    figure = weekly_chart(plan())
    cover, turns, burdens = figure.axes
    legend = [text.get_text() for text in cover.get_legend().get_texts()]
    assert legend == ["covered", "uncovered", "shortage", "shift", "cut", "rest"]
    assert [label.get_text() for label in turns.get_yticklabels()] == ["bakery", "a/b:c"]
    assert len(turns.patches) == 3
    assert [bar.get_width() for bar in burdens.patches] == pytest.approx([10.0, 20.0])
    assert turns.get_xlabel() == "local time, Europe/Berlin"


@pytest.mark.parametrize(
    ("suffix", "head"),
    [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".html", b"<!doctype html>")],
)
def test_a_chart_is_written_in_the_kind_of_its_suffix(tmp_path, suffix, head):
    write_weekly_chart(plan(), tmp_path / f"plan{suffix}")
    assert (tmp_path / f"plan{suffix}").read_bytes().startswith(head)


def test_a_page_stands_alone_is_the_same_every_time_and_trusts_no_name():
    text = page(plan(names=("<script>x</script>", "b", "c")))
    assert text == page(plan(names=("<script>x</script>", "b", "c")))
    assert "<script" not in text
    assert "<svg" in text
    assert "src=" not in text


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


def test_a_notice_is_read():
    message = pb.Notice(
        number=4,
        user="bakery",
        kind=pb.NOTICE_KIND_CALL,
        state=pb.NOTICE_STATE_MISSED,
        measure=pb.MEASURE_KIND_SHIFT,
    )
    notice = Notice.of_message(message)
    assert (notice.kind, notice.state) == (NoticeKind.CALL, NoticeState.MISSED)
    assert (notice.measure, notice.acknowledged) == ("shift", None)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC", "Pacific/Honolulu", "Pacific/Auckland"])
def test_an_entry_of_the_ledger_knows_its_local_date(zone):
    message = pb.LedgerEntry(user="a")
    message.week_start_time.FromDatetime(Week.of_name("2026-W50", time_zone=zone).boundaries[0])
    assert LedgerEntry.of_message(message).week_date.isoformat() == "2026-12-07"


def test_reasons_without_a_user_have_none():
    week = Week.of_name("2026-W50")
    found = reasons(pb.ExplainScheduleResponse(worth_per_mw=to_series(np.ones(168))), week)
    assert found.user is None
    assert found.worth.index[0] == pd.Timestamp("2026-12-07", tz="UTC")


def test_the_response_of_an_operation_is_a_plan():
    packed = Any()
    packed.Pack(plan().message)
    assert read_plan(packed).name == NAME
