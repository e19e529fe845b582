"""Requests for weekly schedules made from what a planner says, and faults told in its words."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Any, TypedDict, get_args

import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import ArrayLike, NDArray

from loadloom.client.errors import LimitExceeded
from loadloom.client.orderly import (
    AbilityRule,
    Fairness,
    Kind,
    LegalOrder,
    Mode,
    Notice,
    Shortage,
    Technique,
    User,
    WarningLevel,
)
from loadloom.client.orderly_plan import WeeklyPlan
from loadloom.client.orderly_profiles import Profiles, allowed_slots, mask, matrix
from loadloom.client.orderly_week import MOST_DAYS, Week
from loadloom.client.request import LONGEST_S, Reading, check_names
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.common_pb2 import Series
from loadloom.wire.arrays import from_series, to_series

DEAREST_TIMES = 10.0
"""How much dearer than the dearest relief unserved energy is, unless a price is given.

Later days and past burdens make a relief dearer than its measure says, and users who follow but a
share of the calls too; all of that together should stay below it.
"""

USER_NUMBERS = {
    "compliance": 1.0,
    "telemetry": 1.0,
    "control": 1.0,
    "past_compliance": 1.0,
}
"""The numbers of a user with their defaults, which need not be sent."""

USER_COUNTS = {"max_events_per_day": 1, "min_gap_days": 0}
USER_WORDS = ("feeder", "industry", "priority_class", "group")
MEASURE_NUMBERS = ("cap_kw", "cost_per_kwh", "start_cost", "rebound_share", "burden_weight")
MEASURE_COUNTS = ("min_slots", "rebound_slots")

SMALL_BYTES = 4 * 2**20
"""The size up to which a request fits any server; beyond it the server's limit is asked for."""

Users = Sequence[User]
Check = Callable[[Any], Any]


class SolveWishes(TypedDict, total=False):
    """What may be asked of the making of a plan.

    Attributes:
        request_id: the caller's id of the request: the same id and content give the same operation.
        method: the technique to use; the one that fits when left out.
        time_limit_s: the longest time to solve; a minute when left out.
        relative_gap: the gap, 0..1, at which a search may stop.
        seed: the seed of every random choice.
        work_limit: the rounds of search after the first plan, instead of time alone, so that the
            same request gives the same plan.
        priority: of operations that wait, the higher ones are solved first; -100 to 100.
        deadline_s: the time by which it must have ended, waiting included.
        plan_time: the instant for which to plan: only users to whom notice can still be given are
            called. When left out, all can be called, and in a revision it is now. It must not be
            past.
        late_notice: whether it may be past all the same, as for a week that is.
    """

    request_id: str
    method: Technique | None
    time_limit_s: float | None
    relative_gap: float
    seed: int
    work_limit: int | None
    priority: int
    deadline_s: float | None
    plan_time: datetime | None
    late_notice: bool


class ScheduleWishes(SolveWishes, total=False):
    """What may be said of a new schedule beside its week, users and shortage.

    Attributes:
        title: what it is called among people.
        fairness: what fair means.
        legal_order: "priced": the costs of the measures alone decide; "strict": shifting comes
            before avoiding, avoiding before limiting, limiting before cutting.
        ability: the formula of the interaction ability.
        warning_levels: the levels of warning.
        currency_code: the ISO 4217 code of the currency of all costs.
    """

    title: str
    fairness: Fairness
    legal_order: LegalOrder
    ability: AbilityRule
    warning_levels: Sequence[WarningLevel]
    currency_code: str


class RevisionWishes(SolveWishes, total=False):
    """What may be said of a revision beside its shortage.

    Attributes:
        change_tolerance: the share of the cost that may be given up for fewer changes to what was
            announced, 0..1.
    """

    change_tolerance: float


def schedule_request(
    week: Week, users: Users, shortage: Shortage, wishes: ScheduleWishes
) -> pb.CreateScheduleRequest:
    """The request for the schedule of a week.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, ScheduleWishes)
    reading = Reading(None)
    profiles = Profiles(week, reading)
    request = pb.CreateScheduleRequest(
        request_id=wishes.get("request_id") or uuid.uuid4().hex,
        title=wishes.get("title", ""),
        week=week.message(),
        users=_users(users, profiles),
        measures=_measures(users, profiles),
        legal_order=pb.LegalOrder.ValueType(
            _word(reading, "legal_order", wishes.get("legal_order", "priced"), LegalOrder)
        ),
        currency_code=wishes.get("currency_code", ""),
        options=_options(wishes, reading),
        late_notice=wishes.get("late_notice", False),
    )
    if (fairness := wishes.get("fairness")) is not None:
        request.fairness.CopyFrom(_fairness(fairness, reading))
    if (rule := wishes.get("ability")) is not None:
        request.ability.CopyFrom(_ability(rule))
    for level in wishes.get("warning_levels", ()):
        request.warning_levels.add(name=level.name, least_share=level.least_share)
    _instant(request.plan_time, "plan_time", wishes.get("plan_time"), reading)
    request.shortage.CopyFrom(_shortage(shortage, request.measures, profiles))
    reading.finish()
    return request


def check_size(request: pb.CreateScheduleRequest, most_bytes: float) -> None:
    """Checks that a request is a message that a server takes.

    Raises:
        LimitExceeded: it is too large.
    """
    size = request.ByteSize()
    if size > most_bytes:
        raise LimitExceeded(
            f"the request has {size / 2**20:,.1f} MiB and this server takes {most_bytes / 2**20:g} "
            "MiB; let users share profiles, each with a load_scale of its own, or start the server "
            f"with --limits.message-bytes {2 ** (size - 1).bit_length()}",
            code="RESOURCE_EXHAUSTED",
        )


def revision_request(
    plan: WeeklyPlan, shortage: Shortage, wishes: RevisionWishes
) -> pb.ReviseScheduleRequest:
    """The request for the plan of a week under a changed shortage.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, RevisionWishes)
    reading = Reading(None)
    profiles = Profiles(plan.week, reading)
    request = pb.ReviseScheduleRequest(
        request_id=wishes.get("request_id") or uuid.uuid4().hex,
        name=plan.name,
        shortage=_shortage(shortage, plan.message.measures, profiles),
        change_tolerance=wishes.get("change_tolerance", 0.0),
        options=_options(wishes, reading),
        late_notice=wishes.get("late_notice", False),
    )
    _instant(request.plan_time, "plan_time", wishes.get("plan_time"), reading)
    reading.finish()
    return request


def dearest_relief(measures: pb.Measures, slot_h: float) -> float:
    """What a kWh costs of the dearest measure, called for its shortest event; 1 without any."""
    cap_kw, cost, start = map(
        from_series, (measures.cap_kw, measures.cost_per_kwh, measures.start_cost)
    )
    shortest = np.array(measures.min_slots or (1,))
    with np.errstate(divide="ignore", invalid="ignore"):
        started = np.where(cap_kw > 0.0, (start if start.size else 0.0) / (cap_kw * shortest), 0.0)
        dearest = float(np.max(cost + started / slot_h, initial=0.0))
    return dearest if 0.0 < dearest < inf else 1.0


def _users(users: Users, profiles: Profiles) -> pb.Users:
    reading = profiles.reading
    message = pb.Users()
    if not users:
        reading.fault("users", "is empty; give at least one user")
        return message
    loads = profiles.rows([user.load_kw for user in users], "users", "load_kw")
    message.names.extend(user.name for user in users)
    scales = _each([u.load_scale for u in users], "users", "load_scale", float, "a number", reading)
    _loads(message, loads, scales, profiles.week)
    if any(np.any(np.asarray(user.protected_kw)) for user in users):
        rows = profiles.rows([user.protected_kw for user in users], "users", "protected_kw")
        message.protected_kw.CopyFrom(matrix(rows, profiles.week))
    energies = _contracts(users, loads * np.array(scales)[:, None], profiles.week)
    message.contract_kwh.CopyFrom(_series(energies, "users", "contract_kwh", reading))
    for name, usual in USER_NUMBERS.items():
        values = [getattr(user, name) for user in users]
        if any(value != usual for value in values):
            getattr(message, name).CopyFrom(_series(values, "users", name, reading))
    for name, unset in USER_COUNTS.items():
        values = [getattr(user, name) for user in users]
        if any(value != unset for value in values):
            _extend(getattr(message, name), values, "users", name, reading)
    if any(user.max_days is not None for user in users):
        days = [MOST_DAYS if user.max_days is None else user.max_days for user in users]
        _extend(message.max_days, days, "users", "max_days", reading)
    for name in USER_WORDS:
        if any(getattr(user, name) for user in users):
            getattr(message, name).extend(getattr(user, name) for user in users)
    _days(message, users, profiles)
    _burdens(message, users, reading)
    return message


def _loads(message: pb.Users, loads: NDArray[np.float64], scales: list[float], week: Week) -> None:
    """Puts the loads: a row for each user, or for each profile where users share them."""
    places: dict[bytes, int] = {}
    profile = [places.setdefault(row.tobytes(), len(places)) for row in loads]
    if len(places) == len(loads) and all(scale == 1.0 for scale in scales):
        message.load_kw.CopyFrom(matrix(loads, week))
        return
    rows = np.stack([np.frombuffer(row) for row in places])
    message.load_kw.CopyFrom(matrix(rows, week))
    message.load_profile.extend(profile)
    message.load_scale.CopyFrom(to_series(np.array(scales)))


def _contracts(users: Users, loads: NDArray[np.float64], week: Week) -> list[float]:
    """The contracted energies: those given, else those of the forecasts."""
    forecast_kwh = loads @ week.slot_h
    return [
        float(energy) or 1.0 if user.contract_kwh is None else user.contract_kwh
        for user, energy in zip(users, forecast_kwh, strict=True)
    ]


def _days(message: pb.Users, users: Users, profiles: Profiles) -> None:
    """Puts the days on which users may be called, or to which their rest may move."""
    if any(user.callable_days is not None for user in users):
        all_days = range(profiles.week.day_count)
        said = [all_days if u.callable_days is None else u.callable_days for u in users]
        message.callable_days.CopyFrom(mask(profiles.days(said, "callable_days")))
    if any(user.rest_days for user in users):
        rows = profiles.days([user.rest_days for user in users], "rest_days")
        message.rest_days.CopyFrom(mask(rows))
    if any(user.usual_rest_day is not None for user in users):
        said = [() if u.usual_rest_day is None else (u.usual_rest_day,) for u in users]
        rows = profiles.days(said, "usual_rest_day")
        firsts = [int(np.argmax(row)) if row.any() else -1 for row in rows]
        message.usual_rest_day.extend(firsts)


def _burdens(message: pb.Users, users: Users, reading: Reading) -> None:
    burdens = [user.carried_burden for user in users]
    known = [burden for burden in burdens if burden is not None]
    if len(known) == len(burdens):
        message.carried_burden.CopyFrom(_series(known, "users", "carried_burden", reading))
    elif known:
        first = burdens.index(None)
        told = "is missing; give it for every user, or for none to take it from the ledger"
        reading.fault(f"users[{first}].carried_burden", told)


def _measures(users: Users, profiles: Profiles) -> pb.Measures:
    reading, message = profiles.reading, pb.Measures()
    owned = [
        (f"users[{u}].measures[{m}]", u, measure)
        for u, user in enumerate(users)
        for m, measure in enumerate(user.measures)
    ]
    measures = [measure for _, _, measure in owned]
    message.user.extend(u for _, u, _ in owned)
    for path, _, measure in owned:
        kind = _word(reading, f"{path}.kind", measure.kind, Kind)
        notice = _word(reading, f"{path}.notice", measure.notice, Notice)
        message.kind.append(pb.MeasureKind.ValueType(kind))
        message.notice.append(pb.NoticeClass.ValueType(notice))
    places = [path for path, _, _ in owned]
    for name in MEASURE_NUMBERS:
        values = [getattr(measure, name) for measure in measures]
        getattr(message, name).CopyFrom(_series(values, places, name, reading))
    for name in MEASURE_COUNTS:
        values = [getattr(measure, name) for measure in measures]
        _extend(getattr(message, name), values, places, name, reading)
    day = profiles.week.slot_count
    longest = [day if measure.max_slots is None else measure.max_slots for measure in measures]
    _extend(message.max_slots, longest, places, "max_slots", reading)
    if any(measure.ramp_kw is not None for measure in measures):
        ramps = [inf if measure.ramp_kw is None else measure.ramp_kw for measure in measures]
        message.ramp_kw.CopyFrom(_series(ramps, places, "ramp_kw", reading))
    if any(measure.allowed is not None for measure in measures):
        rows = [allowed_slots(measure.allowed, path, profiles) for path, _, measure in owned]
        message.allowed.CopyFrom(mask(np.stack(rows)))
    return message


def _shortage(shortage: Shortage, measures: pb.Measures, profiles: Profiles) -> pb.Shortage:
    price_per_kwh = shortage.unserved_price_per_kwh
    if price_per_kwh is None:
        price_per_kwh = DEAREST_TIMES * dearest_relief(measures, 24.0 / profiles.week.slot_count)
    message = pb.Shortage(unserved_price_per_kwh=price_per_kwh)
    for name in ("shortage_kw", "capacity_kw", "reserve_kw"):
        if (content := getattr(shortage, name)) is not None:
            row = profiles.row(content, f"shortage.{name}")
            getattr(message, name).CopyFrom(to_series(row))
    if shortage.shortage_kw is None and shortage.capacity_kw is None:
        told = "is missing; give it, or the capacity in capacity_kw"
        profiles.reading.fault("shortage.shortage_kw", told)
    for feeder, content in shortage.feeders.items():
        row = profiles.row(content, f"shortage.feeders[{feeder!r}]")
        message.feeders.add(name=feeder, shortage_kw=to_series(row))
    return message


def _fairness(fairness: Fairness, reading: Reading) -> pb.Fairness:
    return pb.Fairness(
        mode=pb.FairnessMode.ValueType(_word(reading, "fairness.mode", fairness.mode, Mode)),
        gamma=list(fairness.gamma),
        history_strength=fairness.history_strength,
        leximin_levels=fairness.leximin_levels,
    )


def _ability(rule: AbilityRule) -> pb.AbilityRule:
    return pb.AbilityRule(
        curtailable_weight=rule.curtailable_weight,
        notice_weight=rule.notice_weight,
        ramp_weight=rule.ramp_weight,
        past_compliance_weight=rule.past_compliance_weight,
        telemetry_weight=rule.telemetry_weight,
        control_weight=rule.control_weight,
        least_scores=list(rule.least_scores),
    )


def _options(wishes: SolveWishes, reading: Reading) -> pb.OrderlyOptions:
    options = pb.OrderlyOptions(seed=wishes.get("seed", 0), priority=wishes.get("priority", 0))
    options.relative_gap = wishes.get("relative_gap", 0.0)
    if (method := wishes.get("method")) is not None:
        options.method = pb.OrderlyMethod.ValueType(
            _word(reading, "options.method", method, Technique)
        )
    if (rounds := wishes.get("work_limit")) is not None:
        options.work_limit = rounds
    _span(options.time_limit, "options.time_limit", wishes.get("time_limit_s"), reading)
    _span(options.deadline, "options.deadline", wishes.get("deadline_s"), reading)
    return options


def _span(target: Duration, path: str, seconds: float | None, reading: Reading) -> None:
    if seconds is None:
        return
    if not 0.0 < seconds <= LONGEST_S:
        told = f"is {seconds!r}; must be a number of seconds above 0, at most {LONGEST_S:g}"
        reading.fault(path, told)
    else:
        target.FromNanoseconds(round(seconds * 1e9))


def _word(reading: Reading, path: str, word: str, known: Any) -> int:  # noqa: ANN401 -- a Literal
    """The number of a word in the API, which is its place among the known ones, from 1."""
    words = get_args(known)
    if word not in words:
        reading.fault(path, f"is {word!r}; must be one of {', '.join(words)}")
        return 0
    return words.index(word) + 1


def _instant(target: Timestamp, path: str, moment: datetime | None, reading: Reading) -> None:
    if moment is None:
        return
    if moment.tzinfo is None:
        reading.fault(path, "has no time zone; give it one, such as that of the week")
    else:
        target.FromDatetime(moment.astimezone(UTC))


def _series(values: Iterable[Any], paths: str | list[str], name: str, reading: Reading) -> Series:
    """A series of numbers, one for each user or measure."""
    return to_series(_each(values, paths, name, float, "a number", reading))


def _extend(
    target: Any,  # noqa: ANN401 -- protobuf's container of numbers has no public name
    values: Iterable[Any],
    paths: str | list[str],
    name: str,
    reading: Reading,
) -> None:
    target.extend(_each(values, paths, name, _count, "a whole number from 0 on", reading))


def _count(value: ArrayLike) -> int:
    count = int(value)  # type: ignore[arg-type] -- what is none is told by the error
    if count != value or not 0 <= count < 2**32:
        raise ValueError
    return count


def _each(
    values: Iterable[Any],
    paths: str | list[str],
    name: str,
    check: Check,
    kind: str,
    reading: Reading,
) -> list[Any]:
    """The values as the check returns them; those it refuses are noted."""
    found = []
    for index, value in enumerate(values):
        try:
            found.append(check(value))
        except (TypeError, ValueError):
            path = f"{paths}[{index}]" if isinstance(paths, str) else paths[index]
            reading.fault(f"{path}.{name}", f"is {value!r}; must be {kind}")
            found.append(check(0))
    return found
