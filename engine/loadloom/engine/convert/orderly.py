"""The requests for weekly schedules, read into problems; `schedules` writes the answers."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from loadloom.engine.convert import common
from loadloom.engine.convert.commissions import Commission, plan_of
from loadloom.engine.convert.orderly_columns import Columns, slots_of
from loadloom.engine.convert.orderly_sizes import check_size
from loadloom.engine.settings import Limits
from loadloom.models.checks import Checks, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import problem as model
from loadloom.models.orderly.problem import (
    AbilityRule,
    Fairness,
    FairnessMode,
    Kind,
    LegalOrder,
    Measures,
    Notice,
    Plan,
    Problem,
    Shortage,
    Users,
    WarningLevel,
)
from loadloom.models.orderly.solution import OrderlyOptions, Road
from loadloom.models.orderly.week import Week
from loadloom.v1 import orderly_pb2 as pb

KINDS = {
    pb.MEASURE_KIND_SHIFT: Kind.SHIFT,
    pb.MEASURE_KIND_AVOID: Kind.AVOID,
    pb.MEASURE_KIND_LIMIT: Kind.LIMIT,
    pb.MEASURE_KIND_CUT: Kind.CUT,
    pb.MEASURE_KIND_REST: Kind.REST,
}

NOTICES = {
    pb.NOTICE_CLASS_UNSPECIFIED: Notice.WEEK,
    pb.NOTICE_CLASS_WEEK: Notice.WEEK,
    pb.NOTICE_CLASS_DAY: Notice.DAY,
    pb.NOTICE_CLASS_QUARTER_HOUR: Notice.QUARTER_HOUR,
    pb.NOTICE_CLASS_IMMEDIATE: Notice.IMMEDIATE,
}

MODES = {
    pb.FAIRNESS_MODE_LEXIMIN: FairnessMode.LEXIMIN,
    pb.FAIRNESS_MODE_EQUAL_HOURS: FairnessMode.EQUAL_HOURS,
}

ROADS = {
    pb.ORDERLY_METHOD_COUPLED: Road.COUPLED,
    pb.ORDERLY_METHOD_REFERENCE: Road.REFERENCE,
    pb.ORDERLY_METHOD_FLAT: Road.FLAT,
    pb.ORDERLY_METHOD_ROTA: Road.ROTA,
}

TIME_LIMIT_S = 60.0
"""The time to solve, unless a caller says otherwise."""

DAYS, SLOTS = 7, 24
"""The shape of a week that does not say."""

MARGIN = timedelta(days=9)
"""How far a week stays from the first and last instants: its notices come a week before it."""

_PATHS = (
    (re.compile(r"^ability\.least_score\b"), "ability.least_scores"),
    (re.compile(r"^warning_levels\.least_share(\[\d+\])$"), r"warning_levels\1.least_share"),
    (re.compile(r"^shortage\.feeders(\[\d+\])$"), r"shortage.feeders\1.name"),
    (re.compile(r"^now$"), "plan_time"),
    (re.compile(r"^(announced|options\.road)$"), "options.method"),
    (re.compile(r"^users(?=\[|$)"), "users.names"),
)
"""Where a field of the model has another name than that of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A problem, and the wishes about how to solve it."""

    problem: Problem
    options: OrderlyOptions


def parse(message: pb.CreateScheduleRequest, limits: Limits | None = None) -> Asked:
    """What a request for a schedule asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits if there are any.
    """
    return _Reader(message=message, found=[]).asked(limits)


def parse_commission(commission: Commission, limits: Limits | None = None) -> Asked:
    """What a job is to solve.

    Raises:
        Refusal: what was asked for breaks rules, or limits if there are any.
    """
    if not commission.revise.name:
        return parse(commission.request, limits)
    request = pb.CreateScheduleRequest()
    request.CopyFrom(commission.request)
    for name in ("shortage", "options", "plan_time"):
        request.ClearField(name)
        if commission.revise.HasField(name):
            getattr(request, name).CopyFrom(getattr(commission.revise, name))
    reader = _Reader(message=request, found=[], commission=commission)
    return reader.asked(limits)


def week_of(message: pb.Week) -> Week:
    """The week that a message means, which was checked when its schedule was made."""
    start = common.instant(message.start_time)
    return Week(
        start=start or common.STAND_IN_START,
        day_count=message.day_count or DAYS,
        slot_count=message.slot_count or SLOTS,
        time_zone=message.time_zone or "UTC",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads a request; where the shape of the week is open, the columns are not looked at."""

    message: pb.CreateScheduleRequest
    found: list[Violation]
    commission: Commission | None = None

    def asked(self, limits: Limits | None) -> Asked:
        message = self.message
        week = self._week(message.week)
        if limits is not None:
            check_size(message, week_of(message.week), limits)
        options = self._options(message.options)
        now = self._instant("plan_time") if message.HasField("plan_time") else None
        problem = None if week is None else self._problem(week, now)
        declared = common.declared(message)
        if self.commission is not None:
            declared = common.declared(self.commission.revise)
        asked = None if problem is None else Asked(problem=problem, options=options)
        missing = [n for n in ("week", "users", "shortage") if not message.HasField(n)]
        found = [v for v in self.found if v.path.split(".")[0] not in missing]
        return common.accepted(asked, declared, found)

    def _problem(self, week: Week, now: datetime | None) -> Problem | None:
        """The problem; or None, with all that is wrong noted."""
        message = self.message
        users = self._users(week)
        measures = self._measures(week)
        announced, tolerance = None, 0.0
        if self.commission is not None:
            tolerance = self.commission.revise.change_tolerance
            if self.commission.head.published_revision:
                announced = plan_of(self.commission.head, users.count)
                days = list(self.commission.head.confirmed_days)
                users, measures = _closed(week, users, measures, announced, days)
        try:
            return Problem(
                week=week,
                users=users,
                measures=measures,
                shortage=self._shortage(week, users.load_kw, users.count),
                fairness=_fairness(message.fairness),
                legal_order=_legal_order(message.legal_order),
                ability=self._ability(),
                warning_levels=tuple(map(_level, message.warning_levels)),
                now=now,
                announced=announced,
                change_tolerance=tolerance,
                currency_code=message.currency_code,
            )
        except InvalidProblem as error:
            self.found.extend(map(renamed, error.violations))
            return None

    def _week(self, message: pb.Week) -> Week | None:
        """The week, with a stand-in start if that is at fault; None if its shape is."""
        if not self.message.HasField("week"):
            return None
        week, checks = week_of(message), Checks()
        start = common.instant(message.start_time)
        span = timedelta(days=week.day_count)
        if (
            start is None
            or start.timestamp() - MARGIN.total_seconds() < common.EARLIEST_S
            or start.timestamp() + (span + MARGIN).total_seconds() > common.LATEST_S
        ):
            checks.require(False, "week.start_time", "must lie within the years 1 to 9999")
            week = replace(week, start=common.STAND_IN_START)
        shape = Checks()
        replace(week, start=common.STAND_IN_START, time_zone="UTC").check(shape)
        good = week.check(checks)
        self.found.extend(checks.violations)
        if shape.violations:
            return None
        good = good and not checks.violations
        return week if good else replace(week, start=common.STAND_IN_START, time_zone="UTC")

    def _users(self, week: Week) -> Users:
        message = self.message.users
        columns = self._columns("users", message, len(message.names), week)
        return Users(
            names=tuple(message.names),
            load_kw=columns.profiled("load_kw", "load_profile", "load_scale"),
            protected_kw=columns.powers("protected_kw"),
            contract_kwh=columns.numbers("contract_kwh", 1.0),
            max_days=columns.integers("max_days", week.day_count),
            max_events_per_day=columns.integers("max_events_per_day", 1),
            min_gap_days=columns.integers("min_gap_days", 0),
            callable_days=columns.days("callable_days", True),
            rest_days=columns.days("rest_days", False),
            usual_rest_day=columns.integers("usual_rest_day", -1),
            carried_burden=columns.numbers("carried_burden", 0.0),
            compliance=columns.numbers("compliance", 1.0),
            feeder=self._feeders(columns.words("feeder")),
            telemetry=columns.numbers("telemetry", 1.0),
            control=columns.numbers("control", 1.0),
            past_compliance=columns.numbers("past_compliance", 1.0),
            industry=columns.words("industry"),
            priority_class=columns.words("priority_class"),
            group=columns.words("group"),
        )

    def _feeders(self, words: tuple[str, ...]) -> np.ndarray:
        """The index of each user's feeder, -1 for none."""
        known = {feeder.name: i for i, feeder in enumerate(self.message.shortage.feeders)}
        for i, word in enumerate(words):
            if word and word not in known:
                message = f"{word!r} is none of the feeders of the shortage"
                self.found.append(Violation(f"users.feeder[{i}]", message))
        return np.array([known.get(word, -1) for word in words] or -1, dtype=np.int64)

    def _measures(self, week: Week) -> Measures:
        message = self.message.measures
        count = len(message.user)
        columns = self._columns("measures", message, count, week)
        if count and not message.kind:
            self.found.append(Violation("measures.kind", "value is required"))
        kinds = columns.integers("kind", pb.MEASURE_KIND_SHIFT)
        notices = columns.integers("notice", pb.NOTICE_CLASS_WEEK)
        return Measures(
            user=np.array(message.user, dtype=np.int64),
            kind=_mapped(kinds, KINDS, Kind.SHIFT),
            cap_kw=columns.numbers("cap_kw"),
            cost_per_kwh=columns.numbers("cost_per_kwh"),
            start_cost=columns.numbers("start_cost", 0.0),
            min_slots=columns.integers("min_slots", 1),
            max_slots=columns.integers("max_slots", week.slot_count),
            notice=_mapped(notices, NOTICES, Notice.WEEK),
            ramp_kw=columns.numbers("ramp_kw", np.inf),
            rebound_share=columns.numbers("rebound_share", 0.0),
            rebound_slots=columns.integers("rebound_slots", 0),
            burden_weight=columns.numbers("burden_weight", 1.0),
            allowed=columns.slots("allowed"),
        )

    def _shortage(self, week: Week, load_kw: FloatArray, user_count: int) -> Shortage:
        message, found = self.message.shortage, self.found
        by_capacity = message.HasField("capacity_kw")
        if by_capacity == message.HasField("shortage_kw") and self.message.HasField("shortage"):
            said = "must be given, or else capacity_kw, and not both"
            found.append(Violation("shortage.shortage_kw", said))
        if message.HasField("reserve_kw") and not by_capacity:
            found.append(Violation("shortage.reserve_kw", "needs capacity_kw beside it"))
        given = {
            name: slots_of(f"shortage.{name}", getattr(message, name), week.shape, found)
            for name in ("shortage_kw", "capacity_kw", "reserve_kw")
            if message.HasField(name)
        }
        short = given.get("shortage_kw", np.zeros(week.shape))
        if by_capacity:
            load = np.broadcast_to(load_kw, (user_count, *week.shape))
            reserve = given.get("reserve_kw", 0.0)
            short = model.from_capacity(load, given["capacity_kw"], reserve)
        feeders = [
            slots_of(f"shortage.feeders[{i}].shortage_kw", feeder.shortage_kw, week.shape, found)
            for i, feeder in enumerate(message.feeders)
        ]
        return Shortage(
            shortage_kw=short,
            unserved_price_per_kwh=message.unserved_price_per_kwh,
            feeder_shortage_kw=np.array(feeders) if feeders else None,
            feeders=tuple(feeder.name for feeder in message.feeders),
        )

    def _ability(self) -> AbilityRule:
        message, usual = self.message.ability, AbilityRule()
        names = [field.name for field in message.DESCRIPTOR.fields if field.name != "least_scores"]
        weights = {name: getattr(message, name) for name in names}
        given = weights if any(weights.values()) else {}  # all left out means the usual ones
        scores = tuple(message.least_scores) or usual.least_score
        return replace(usual, **given, least_score=scores)

    def _options(self, message: pb.OrderlyOptions) -> OrderlyOptions:
        limit_s: float | None = TIME_LIMIT_S
        if message.HasField("time_limit"):
            limit_s = common.seconds(message.time_limit)
        if limit_s is None:
            self.found.append(Violation("options.time_limit", "must be a duration"))
        if common.seconds(message.deadline) is None:
            self.found.append(Violation("options.deadline", "must be a duration"))
        return OrderlyOptions(
            time_limit_s=limit_s or TIME_LIMIT_S,
            relative_gap=message.relative_gap or OrderlyOptions().relative_gap,
            seed=message.seed,
            work_limit=message.work_limit or None,
            road=ROADS.get(message.method),
        )

    def _instant(self, name: str) -> datetime | None:
        found = common.instant(getattr(self.message, name))
        if found is None:
            self.found.append(Violation(name, "must lie within the years 1 to 9999"))
        return found

    def _columns(
        self, path: str, message: pb.Users | pb.Measures, count: int, week: Week
    ) -> Columns:
        return Columns(path=path, message=message, count=count, shape=week.shape, found=self.found)


def _closed(
    week: Week, users: Users, measures: Measures, announced: Plan, confirmed: list[int]
) -> tuple[Users, Measures]:
    """The users and measures when nobody may be called anew on the confirmed days.

    Whoever has something announced on such a day keeps it callable, as it would be released else;
    where that is a rest day, the windows of the day are closed instead.
    """
    callable_days = np.broadcast_to(users.callable_days, (users.count, week.day_count)).copy()
    closed: list[tuple[int, int]] = []
    for day in confirmed:
        kept = np.zeros(users.count, np.bool_)
        kept[announced.user[announced.day == day]] = True
        resting = announced.rest_day == day
        callable_days[~(kept | resting), day] = False
        closed += [(user, day) for user in np.flatnonzero(resting & ~kept).tolist()]
    users = replace(users, callable_days=callable_days)
    if not closed:
        return users, measures
    shape = (measures.user.size, *week.shape)
    given = True if measures.allowed is None else measures.allowed
    allowed = np.broadcast_to(given, shape).copy()
    for user, day in closed:
        allowed[measures.user == user, day] = False
    return users, replace(measures, allowed=allowed)


def _mapped(values: np.ndarray, meanings: dict, stand_in: int) -> np.ndarray:
    """What the numbers of an enum mean; a stand-in for those that the rules refuse anyway."""
    return np.array([meanings.get(v, stand_in) for v in values.reshape(-1).tolist()], np.int64)


def _fairness(message: pb.Fairness) -> Fairness:
    usual = Fairness()
    return Fairness(
        mode=MODES.get(message.mode, FairnessMode.CONVEX),
        gamma=tuple(message.gamma) or usual.gamma,
        history_strength=message.history_strength,
        leximin_levels=message.leximin_levels or usual.leximin_levels,
    )


def _legal_order(value: int) -> LegalOrder:
    return LegalOrder.STRICT if value == pb.LEGAL_ORDER_STRICT else LegalOrder.PRICED


def _level(message: pb.WarningLevel) -> WarningLevel:
    return WarningLevel(name=message.name, least_share=message.least_share)


def renamed(violation: Violation) -> Violation:
    """The violation at the path of the message."""
    path = violation.path
    for pattern, name in _PATHS:
        path = pattern.sub(name, path)
    return Violation(path, violation.message)
