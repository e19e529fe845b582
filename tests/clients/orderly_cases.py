"""Small weeks for the tests of the orderly client, and a plan that no server made."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from loadloom.client.orderly import Measure, Shortage, User
from loadloom.client.orderly_plan import WeeklyPlan
from loadloom.client.orderly_week import Week
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.common_pb2 import Certificate, Termination
from loadloom.wire.arrays import to_series

ZONE = ZoneInfo("Europe/Berlin")
NAME = f"schedules/{'ab' * 16}"

EVENING = np.where((np.arange(24) >= 17) & (np.arange(24) < 21), 100.0, -500.0)
"""100 kW short from 17:00 to 21:00, much room at all other times."""


def week(name="2030-W10", time_zone="Europe/Berlin"):
    """A week that is far enough ahead for every notice."""
    return Week.of_name(name, time_zone=time_zone)


def users(prefix="", count=3):
    """Users of 200 kW of whom one covers an evening; each may be called on three days."""
    return [
        User(
            name=f"{prefix}user {i}",
            load_kw=200.0,
            max_days=3,
            measures=[
                Measure(kind="limit", cap_kw=100.0, cost_per_kwh=1.0 + i, max_slots=4, notice="day")
            ],
        )
        for i in range(count)
    ]


def shortage():
    """A shortage on every evening of the week."""
    return Shortage(shortage_kw=EVENING, unserved_price_per_kwh=50.0)


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
