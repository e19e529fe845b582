"""A week of a park as the request for its schedule."""

from datetime import UTC, datetime, timedelta

import numpy as np

from loadloom.models.orderly.problem import Kind, Notice, Problem
from loadloom.v1 import orderly_pb2 as pb

AHEAD_DAYS = 14
"""The least time from now to the week, so that all notices can be kept."""


def request(problem: Problem, title: str) -> pb.CreateScheduleRequest:
    """The request for a schedule of the problem, for a Monday some weeks ahead."""
    asked = pb.CreateScheduleRequest(title=title, currency_code="EUR")
    asked.week.start_time.FromDatetime(_monday())
    asked.week.slot_count = problem.week.slot_count
    asked.week.time_zone = "UTC"
    _fill_users(asked.users, problem)
    _fill_measures(asked.measures, problem)
    asked.shortage.CopyFrom(shortage(problem, 1.0))
    asked.fairness.gamma.extend(problem.fairness.gamma)
    asked.fairness.history_strength = problem.fairness.history_strength
    return asked


def shortage(problem: Problem, factor: float) -> pb.Shortage:
    """The shortage of the problem, with what is short multiplied by the factor."""
    found = problem.shortage.shortage_kw
    told = pb.Shortage(unserved_price_per_kwh=problem.shortage.unserved_price_per_kwh)
    told.shortage_kw.values.extend(np.where(found > 0.0, factor * found, found).ravel())
    return told


def _monday() -> datetime:
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=AHEAD_DAYS + (-day.weekday()) % 7)


def _fill_users(users: pb.Users, problem: Problem) -> None:
    known = problem.users
    users.names.extend(known.names)
    users.industry.extend(known.industry)
    for name in ("load_kw", "protected_kw"):
        column, matrix = getattr(known, name), getattr(users, name)
        matrix.rows, matrix.cols = known.load_kw.shape[0], known.load_kw[0].size
        matrix.values.values.extend(column.ravel())
    for name in ("contract_kwh", "compliance", "telemetry", "control", "past_compliance"):
        getattr(users, name).values.extend(getattr(known, name))
    users.max_days.extend(known.max_days)
    users.min_gap_days.extend(known.min_gap_days)


def _fill_measures(measures: pb.Measures, problem: Problem) -> None:
    known = problem.measures
    names = ("user", "min_slots", "max_slots", "rebound_slots")
    for name in names:
        getattr(measures, name).extend(getattr(known, name).tolist())
    # Their numbers differ from the model's; their names do not.
    kinds = (pb.MeasureKind.Value(f"MEASURE_KIND_{Kind(one).name}") for one in known.kind)
    notices = (pb.NoticeClass.Value(f"NOTICE_CLASS_{Notice(one).name}") for one in known.notice)
    measures.kind.extend(kinds)
    measures.notice.extend(notices)
    for name in ("cap_kw", "cost_per_kwh", "start_cost", "rebound_share"):
        getattr(measures, name).values.extend(getattr(known, name))
