"""What planners read at a terminal of 80 columns."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from loadloom.client.command import orderly_report as report
from loadloom.client.command.terminal import Terminal
from loadloom.client.orderly_notices import Ledger, LedgerEntry, Notice, reasons
from loadloom.client.orderly_parts import FairnessFigures
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import to_series
from tests.clients.orderly_cases import plan

EVIL = "[/b][red]x"


@pytest.fixture
def told(monkeypatch, capsys):
    """What a terminal shows of a report."""
    monkeypatch.setenv("COLUMNS", "80")

    def shown(part):
        Terminal().print(part)
        return capsys.readouterr().out

    return shown


def notice(user="riverside works-04", **said):
    """A call for an event on the Wednesday, due nine days before."""
    message = pb.Notice(
        number=41,
        user=user,
        kind=pb.NOTICE_KIND_ANNOUNCEMENT,
        state=pb.NOTICE_STATE_ACKNOWLEDGED,
        day=2,
        first_slot=18,
        slot_count=3,
        relief_kw=1183.0,
        **said,
    )
    message.due_time.FromDatetime(datetime(2026, 10, 12, 12, tzinfo=UTC))
    return Notice.of_message(message)


def ledger(user):
    """A ledger of one user and week."""
    message = pb.LedgerEntry(user=user, week_date="2026-10-19", burden=0.01)
    fairness = FairnessFigures.of_message(pb.FairnessFigures(user_count=1))
    return Ledger(entries=[LedgerEntry.of_message(message)], fairness=fairness)


def why(user):
    """The reasons for a user, and a slot of a feeder that is not covered."""
    message = pb.ExplainScheduleResponse(
        user=pb.UserReasons(user=user, words=[user], binding_rules=[user]),
        worth_per_mw=to_series(np.zeros(168)),
        uncovered=[pb.Uncovered(feeder=user, day=2, slot=18, missing_kw=5.0, excluded=[user])],
        shortfall=[user],
        relaxations=[user],
    )
    return reasons(message, plan().week)


@pytest.mark.parametrize(
    ("part", "times"),
    [
        (lambda p: report.turns(p), 1),
        (lambda p: report.schedules([p]), 1),
        (lambda p: report.heading(p), 1),
        (lambda p: report.published(p, []), 1),
        (lambda p: report.changes(p, plan(names=("other", "b", "c"))), 2),
        (lambda p: report.notice_rows([notice(EVIL)], p), 1),
        (lambda p: report.notice_line(notice(EVIL), p), 1),
        (lambda _: report.ledger_report(ledger(EVIL)), 1),
        (lambda p: report.reasons(why(EVIL), p), 7),
        (lambda p: report.plan_report(p), 4),
    ],
)
def test_names_are_told_as_they_are(told, part, times):
    found = plan(names=(EVIL, "b", "c"))
    found.message.title = EVIL
    found.message.coverage[1].feeder = EVIL
    found.message.fairness[0].scope = EVIL
    assert told(part(found)).count(EVIL) >= times


def test_a_feeder_that_is_short_has_a_table_of_its_own(told):
    found = plan()
    missing = np.where(np.arange(168) == 18, 30.0, 0.0)
    found.message.coverage[1].unserved_kw.CopyFrom(to_series(missing))
    text = told(report.plan_report(found)).split("Feeder west")[1]
    monday, tuesday = (
        next(line.split()[3:] for line in text.splitlines() if day in line)
        for day in ("Mon 19 Oct", "Tue 20 Oct")
    )
    assert monday == ["100", "100", "70", "30"]
    assert tuesday == ["100", "100", "100", "0"]
    found.message.coverage[1].shortage_kw.CopyFrom(to_series(np.full(168, -1.0)))
    assert "Feeder west" not in told(report.plan_report(found))


def test_the_worst_level_of_a_day_is_that_of_the_largest_share(told):
    found = plan()
    levels = [*[""] * 15, "IV blue", "IV blue", "I red", "IV blue", *[""] * 149]
    found.message.slot_levels[:] = levels
    for name, share in (("IV blue", 0.05), ("I red", 0.2)):
        found.message.warning_levels.add(name=name, least_share=share)
    text = told(report.plan_report(found)).split("Shortage and coverage")[1]
    monday, tuesday = (
        next(line for line in text.splitlines() if day in line)
        for day in ("Mon 19 Oct", "Tue 20 Oct")
    )
    assert monday.rstrip().endswith("I red")
    assert "blue" not in tuesday


def test_notices_tell_their_dates_and_whole_names(told):
    rows = told(report.notice_rows([notice("riverside wks-4")], plan())).splitlines()
    (row,) = (row for row in rows if "announcement" in row)
    assert "riverside wks-4  announcement" in row
    assert "12 Oct 14:00" in row
    assert "Wed 21 Oct 18-21" in row


def test_the_days_of_users_fit_beside_their_names(told):
    found = plan(names=("riverside works", "b", "c"))
    assert "riverside works  " in told(report.turns(found))
    assert max(map(len, told(report.turns(found)).splitlines())) <= 80


def test_parts_of_a_report_are_one_blank_line_apart(told):
    lines = [line.strip() for line in told(report.plan_report(plan())).splitlines()]
    assert not any(not a and not b for a, b in pairwise(lines))


def explained(worth, feeder_worth=(), **user):
    """The reasons with these prices of the slots, and for a user."""
    message = pb.ExplainScheduleResponse(
        user=pb.UserReasons(user="bakery", **user),
        worth_per_mw=None if worth is None else to_series(worth),
        feeder_worth_per_mw=[to_series(row) for row in feeder_worth],
    )
    return reasons(message, plan().week)


def test_the_worth_of_a_feeder_is_told_beside_that_of_the_whole(told):
    worth, west = np.zeros(168), np.zeros(168)
    worth[18], west[42] = 100.0, 900.0
    rows = told(report.reasons(explained(worth, [west]), plan())).splitlines()
    first = next(k for k, row in enumerate(rows) if row.startswith("Tue 20 Oct 18:00-19:00"))
    assert rows[first].split()[-2:] == ["900.00", "west"]
    assert rows[first + 1].split()[-2:] == ["18:00-19:00", "100.00"]


def test_where_there_are_no_prices_none_are_told(told):
    text = told(report.reasons(explained(None, exemption_estimate=0.0), plan()))
    assert "There are no prices of the slots" in text
    assert "would cost" not in text
    zero = told(report.reasons(explained(np.zeros(168)), plan()))
    assert "One more MW would cost nothing in any slot" in zero
    assert "excusing it would cost about 0.00" in zero


def test_an_exemption_that_was_solved_is_told_with_its_bounds(told):
    known = explained(
        np.zeros(168), exemption_price=12.0, exemption_least=10.0, exemption_most=14.0
    )
    assert "excusing it costs 12.00 CNY, proven to be from 10.00 to 14.00" in told(
        report.reasons(known, plan())
    )
