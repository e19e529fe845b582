"""Plans as the API has them, made by hand: what they say, and their tables."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from google.protobuf.any_pb2 import Any

from loadloom.client.command.orderly_output import coverage_table, write_coverage, write_events
from loadloom.client.files.orderly_deliveries import read_deliveries
from loadloom.client.orderly_notices import LedgerEntry, Notice, NoticeKind, NoticeState, reasons
from loadloom.client.orderly_parts import ScheduleState
from loadloom.client.orderly_plan import WeeklyPlan, day_number, read_plan
from loadloom.client.orderly_week import Week
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import to_series
from tests.clients.orderly_cases import NAME, ZONE, plan


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
    assert found.unserved_kwh_by_feeder == {"": pytest.approx(7 * 50.0)}
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


def test_what_a_feeder_lacks_counts_as_it_is_priced():
    found = plan()
    missing = np.where(np.arange(168) == 18, 30.0, 0.0)
    found.message.coverage[1].unserved_kw.CopyFrom(to_series(missing))
    assert found.unserved_kwh == pytest.approx(7 * 50.0 + 30.0)
    assert found.unserved_kwh_by_feeder == pytest.approx({"": 350.0, "west": 30.0})
    written = coverage_table(found)
    assert written[written["feeder"] == "west"]["unserved_kw"].sum() == pytest.approx(30.0)


@pytest.mark.parametrize(("week", "slots"), [("2027-W12", 167), ("2026-W43", 168)])
def test_slots_that_last_no_time_have_no_row(tmp_path, week, slots):
    write_coverage(plan(week), tmp_path / "c.csv")
    table = pd.read_csv(tmp_path / "c.csv", keep_default_na=False)
    for feeder in ("", "west"):
        times = pd.to_datetime(table[table["feeder"] == feeder]["time"], utc=True)
        assert len(times) == slots
        assert times.is_unique
        assert times.is_monotonic_increasing


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


@pytest.mark.parametrize(
    "name", ["=1+1", "+49", "-a", "@x", "\tx", "'=1", "''=1", "'quoted'", "a=b"]
)
def test_no_cell_is_run_by_a_spreadsheet_and_names_come_back(tmp_path, name):
    found = plan(names=(name, "b", "c"))
    write_events(found, tmp_path / "p.csv")
    written = pd.read_csv(tmp_path / "p.csv", dtype=str)["user"][0]
    assert written[0] not in "=+-@\t"
    assert written.lstrip("'") == name.lstrip("'")
    deliveries = read_deliveries(tmp_path / "p.csv", found.week).deliveries
    assert {one.user for one in deliveries} == {name, "b"}
    write_events(found, tmp_path / "p.parquet")
    assert set(pd.read_parquet(tmp_path / "p.parquet")["user"]) == {name, "b"}


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


@pytest.mark.parametrize("zone", ["Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_date_that_the_server_tells_is_not_guessed(zone):
    message = pb.LedgerEntry(user="a", week_date="2026-12-07")
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
