"""The weekly schedule: who gives up power, by which measure, on which day and in which window.

    minimise   sum_i history_weight[i] * sum_j gamma[j] * (cost_per_kwh * kWh + start_cost)
                                        of the events on the j-th curtailed day of user i
               + the same without gamma for a moved rest day
               + unserved_price_per_kwh * sum_r,d,t unserved[r,d,t] * slot_h[d,t]
    subject to sum_i compliance[i] * net_relief[i,d,t] + unserved[r,d,t] >= shortage[r,d,t]
               unserved >= 0, one row r for the whole and one for each feeder with its own users
    and for every user
               an event is a window of one measure: min_slots <= its slots <= max_slots, inside one
                   day, in allowed slots, and at its begin the notice it needs can still be given
               at most max_events_per_day events a day, one slot or more between two of them
               at most max_days curtailed days, min_gap_days free days or more between two of them
               at most one moved rest day, on one of its rest_days; no event on that day

with, for the k-th slot t of an event of measure m,

    curtailable[i,m,t] = clip(load[i,t] - protected[i,t], 0, cap[m])
    relief[k] = min(curtailable[t], relief[k-1] + ramp[m]),  relief before the event 0
    kWh = sum_k relief[k] * slot_h

net_relief is the sum of the reliefs, less what returns: rebound_share[m] * kWh, as a constant power
over the rebound_slots[m] slots after the window, across midnight; what would return after the last
day returns outside. A slot of zero hours has no energy; powers there count for nothing.

A moved rest day is a measure of kind REST: on the new rest day every slot is relieved by its
curtailable power (no ramp, no rebound, no window; min_slots, max_slots and allowed are not read).
With a usual rest day, the same powers come back there, slot by slot: the work moves. A rest day is
no curtailed day: gamma, max_days and min_gap_days do not see it.

The j-th curtailed day is counted in the order of time, and gamma's last entry holds for all further
days. history_weight[i] = 1 + history_strength * carried_burden[i]. The burden of a user is
carried_burden[i] + sum burden_weight[m] * kWh / contract_kwh[i].

Lexicographic order: protected load is never cut; least unserved energy; with `LegalOrder.STRICT`
least kWh of CUT, then LIMIT, then AVOID, so that a higher kind is called only for what the lower
ones cannot cover (SHIFT and REST, the first resort, are what is left); fairness; least loss; least
change to what was announced; a seeded tie-break by ability and name. With a priced order and convex
fairness, unserved energy counts by its price: it comes first if that is dear enough.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum
from functools import cached_property, partial

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.week import BoolArray, IntArray, Week, days_before


class Kind(IntEnum):
    """The kind of a measure; the first four in legal order."""

    SHIFT = 0
    AVOID = 1
    LIMIT = 2
    CUT = 3
    REST = 4

    @property
    def tier(self) -> int:
        """The place in the legal order: moving the rest day shifts load."""
        return 0 if self is Kind.REST else int(self)


class Notice(IntEnum):
    """How long before its begin a user must be told of an event."""

    WEEK = 0
    DAY = 1
    QUARTER_HOUR = 2
    IMMEDIATE = 3


CALENDAR_DAYS = {Notice.WEEK: 7, Notice.DAY: 1}
"""The notices that are counted by the calendar, and not in hours that pass."""


def notice_deadline(begin: datetime, notice: Notice) -> datetime:
    """The last instant at which the notice can be given of what begins at an aware instant.

    A week and a day ahead it is the same clock time in the zone of `begin`, so that a clock change
    between them takes no hour away.
    """
    if notice in CALENDAR_DAYS:
        return days_before(begin, CALENDAR_DAYS[notice])
    minutes = 15 if notice is Notice.QUARTER_HOUR else 0
    return (begin.astimezone(UTC) - timedelta(minutes=minutes)).astimezone(begin.tzinfo)


class FairnessMode(Enum):
    """What fair means.

    CONVEX: the j-th curtailed day of a user costs gamma[j] times as much, and past burdens weigh.
    LEXIMIN: the largest burden is as low as can be without more unserved energy, then the next.
    EQUAL_HOURS: a rota; the slots off of the users of a group differ by at most one.
    """

    CONVEX = "convex"
    LEXIMIN = "leximin"
    EQUAL_HOURS = "equal hours"


class LegalOrder(Enum):
    """Whether a higher kind of measure waits until the lower ones do not suffice, or only costs."""

    STRICT = "strict"
    PRICED = "priced"


# One value for all: numpy columns have no plain default.
_NONE, _FULL, _AT_ONCE = partial(np.array, 0.0), partial(np.array, 1.0), partial(np.array, np.inf)
_NO, _YES = partial(np.array, False), partial(np.array, True)
_NOWHERE, _ZERO, _ONE = partial(np.array, -1), partial(np.array, 0), partial(np.array, 1)
_EVERY_DAY, _DAY_LONG = partial(np.array, 31), partial(np.array, 96)


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """The users in columns; all but names and load may be given as one value for all users.

    N users, D days, S slots. In a `Problem` every column has its full shape.

    Attributes:
        names: N distinct names.
        load_kw: the forecast load, (N, D, S).
        protected_kw: the load that is never cut, broadcast to (N, D, S).
        contract_kwh: the contracted energy of a week, above 0, (N,).
        max_days: the most curtailed days of the schedule, (N,).
        max_events_per_day: the most events of a day, (N,); any number is exact.
        min_gap_days: the least number of free days between two curtailed days, (N,).
        callable_days: the days on which events may lie and to which rest may move, (N, D).
        rest_days: the days to which the rest day may move, (N, D); not its usual one.
        usual_rest_day: the day of rest that is in the forecast, to which work returns when the rest
            day moves; -1 if there is none, (N,).
        carried_burden: the burden from earlier weeks, as a share of a week's contract, (N,).
        compliance: the share of the relief that is expected to come, above 0 up to 1, (N,).
        feeder: the index of the feeder, -1 for none, (N,).
        telemetry, control: how well the user is measured and controlled, 0..1, (N,).
        past_compliance: the share of past calls that were followed, 0..1, (N,).
        industry, priority_class: categories for the reports, N words or none.
        group: the rotation group, N words or none; users of a group are equals.
    """

    names: tuple[str, ...]
    load_kw: FloatArray
    protected_kw: FloatArray = field(default_factory=_NONE)
    contract_kwh: FloatArray = field(default_factory=_FULL)
    max_days: IntArray = field(default_factory=_EVERY_DAY)
    max_events_per_day: IntArray = field(default_factory=_ONE)
    min_gap_days: IntArray = field(default_factory=_ZERO)
    callable_days: BoolArray = field(default_factory=_YES)
    rest_days: BoolArray = field(default_factory=_NO)
    usual_rest_day: IntArray = field(default_factory=_NOWHERE)
    carried_burden: FloatArray = field(default_factory=_NONE)
    compliance: FloatArray = field(default_factory=_FULL)
    feeder: IntArray = field(default_factory=_NOWHERE)
    telemetry: FloatArray = field(default_factory=_FULL)
    control: FloatArray = field(default_factory=_FULL)
    past_compliance: FloatArray = field(default_factory=_FULL)
    industry: tuple[str, ...] = ()
    priority_class: tuple[str, ...] = ()
    group: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The number of users."""
        return len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The measures that users offer, in columns of length M, in any order.

    Attributes:
        user: the index of the user that offers it, (M,).
        kind: a `Kind`, (M,).
        cap_kw: the most relief, (M,).
        cost_per_kwh: the value of the lost load, (M,).
        start_cost: the cost of every event, (M,).
        min_slots, max_slots: the least and most slots of an event, (M,).
        notice: a `Notice`, (M,).
        ramp_kw: by how much the relief can grow from slot to slot; inf for at once, (M,).
        rebound_share: the share of the energy that returns afterwards, 0..1, (M,).
        rebound_slots: the slots over which it returns; at least 1 where a share returns, (M,).
        burden_weight: how much a kWh counts in the burden, (M,).
        allowed: the slots in which events may lie, broadcast to (M, D, S); None for all.
    """

    user: IntArray
    kind: IntArray
    cap_kw: FloatArray
    cost_per_kwh: FloatArray
    start_cost: FloatArray = field(default_factory=_NONE)
    min_slots: IntArray = field(default_factory=_ONE)
    max_slots: IntArray = field(default_factory=_DAY_LONG)
    notice: IntArray = field(default_factory=_ZERO)
    ramp_kw: FloatArray = field(default_factory=_AT_ONCE)
    rebound_share: FloatArray = field(default_factory=_NONE)
    rebound_slots: IntArray = field(default_factory=_ZERO)
    burden_weight: FloatArray = field(default_factory=_FULL)
    allowed: BoolArray | None = None

    @property
    def count(self) -> int:
        """The number of measures."""
        return self.user.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """What is short in each slot, and what it costs not to cover it.

    A negative shortage is spare capacity, which rebounds may use; zero leaves no room for them.

    Attributes:
        shortage_kw: load plus reserve less capacity, (D, S); `from_capacity` computes it.
        unserved_price_per_kwh: what a kWh not covered costs; it must exceed what the dearest
            relief costs, or a plan would rather leave load unserved.
        feeder_shortage_kw: the same by feeder, (F, D, S).
        feeders: the names of the F feeders.
    """

    shortage_kw: FloatArray
    unserved_price_per_kwh: float
    feeder_shortage_kw: FloatArray | None = None
    feeders: tuple[str, ...] = ()

    @property
    def feeder_count(self) -> int:
        """The number of feeders."""
        return len(self.feeders)


def from_capacity(
    load_kw: FloatArray, capacity_kw: FloatArray, reserve_kw: FloatArray | float = 0.0
) -> FloatArray:
    """The shortage, negative where there is room, of loads (N, D, S) under a capacity."""
    return load_kw.sum(axis=0) + reserve_kw - capacity_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningLevel:
    """A named level that is reached when the shortage is this share of the peak load."""

    name: str
    least_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """What fair means, and how strongly.

    Attributes:
        mode: see `FairnessMode`.
        gamma: what the j-th curtailed day costs, as a multiple; ascending from 1, its last entry
            holds for all further days. Read in every mode.
        history_strength: how much a carried burden of 1 adds to a user's weight.
        leximin_levels: how many largest burdens are lowered in turn before least loss decides.
    """

    mode: FairnessMode = FairnessMode.CONVEX
    gamma: tuple[float, ...] = (1.0,)
    history_strength: float = 0.0
    leximin_levels: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AbilityRule:
    """How the interaction ability is scored, and what it takes to be called at short notice.

    The weights are of curtailable share, notice, ramp, past compliance, telemetry and control; the
    score is their mean so weighted, 0..1. `least_score` holds for each `Notice` in its order: a
    measure is offered in vain if its user's score is below that of its notice.
    """

    curtailable_weight: float = 0.3
    notice_weight: float = 0.2
    ramp_weight: float = 0.1
    past_compliance_weight: float = 0.2
    telemetry_weight: float = 0.1
    control_weight: float = 0.1
    least_score: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Events in columns, by user, day and first slot ascending, and the rest days that moved.

    Attributes:
        user, day, measure, first_slot, slot_count: one entry for each event, (K,).
        rest_day: the day to which a user's rest moved, -1 if it did not, (N,).
        rest_measure: the measure of kind REST by which it moved, -1 if it did not, (N,).
    """

    user: IntArray
    day: IntArray
    measure: IntArray
    first_slot: IntArray
    slot_count: IntArray
    rest_day: IntArray
    rest_measure: IntArray

    @property
    def event_count(self) -> int:
        """The number of events."""
        return self.user.size


def empty_plan(user_count: int) -> Plan:
    """The plan in which nobody is called."""
    none, nobody = np.zeros(0, np.int64), np.full(user_count, -1)
    return Plan(
        user=none,
        day=none,
        measure=none,
        first_slot=none,
        slot_count=none,
        rest_day=nobody,
        rest_measure=nobody.copy(),
    )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A week, its users and its shortage, valid once made; columns then have their full shapes.

    With `now`, an event may only be called whose notice can still be given, and a rest day only
    move if it and the usual one are that far ahead. With `announced`, an earlier plan, each of its
    events is kept as it is or released, a day with announced events takes no others, and an event
    that has begun is kept. The same holds for rest days that moved: they are kept or released
    while neither they nor the usual one have begun, and kept from then on. All else is free within
    its notice. An event on a day that is no longer callable is released unless it has begun.

    Attributes:
        week, users, measures, shortage: see there.
        fairness, legal_order, ability, warning_levels: the planner's rules.
        now: the aware instant of planning; None for early enough for everything.
        announced: the plan that has been published; needs `now`.
        change_tolerance: the share of the cost that may be given up for fewer changes to it, 0..1.
        currency_code: the currency of all prices and costs; for the reports.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths.
    """

    week: Week
    users: Users
    measures: Measures
    shortage: Shortage
    fairness: Fairness = field(default_factory=Fairness)
    legal_order: LegalOrder = LegalOrder.PRICED
    ability: AbilityRule = field(default_factory=AbilityRule)
    warning_levels: tuple[WarningLevel, ...] = ()
    now: datetime | None = None
    announced: Plan | None = None
    change_tolerance: float = 0.0
    currency_code: str = ""

    def __post_init__(self) -> None:
        # The rules fill a file of their own, which needs the classes of this one.
        from loadloom.models.orderly.rules import checked

        users, measures, shortage = checked(self)
        object.__setattr__(self, "users", users)
        object.__setattr__(self, "measures", measures)
        object.__setattr__(self, "shortage", shortage)

    @cached_property
    def history_weight(self) -> FloatArray:
        """The factor on each user's costs that its carried burden brings, (N,)."""
        return 1.0 + self.fairness.history_strength * self.users.carried_burden

    @cached_property
    def notice_deadline_h(self) -> FloatArray:
        """The last instant at which each `Notice` can be given of what begins in a slot, (4, D, S).

        In hours from the start of the week; negative where it comes before.
        """
        week, (days, slots) = self.week, self.week.shape
        deadlines = [
            week.hours_until(notice_deadline(week.begin(day, slot), notice))
            for notice in Notice
            for day in range(days)
            for slot in range(slots)
        ]
        return np.array(deadlines).reshape(len(Notice), days, slots)

    @cached_property
    def gamma(self) -> FloatArray:
        """The factor on the cost of each user's j-th curtailed day, (D,)."""
        gamma = np.array(self.fairness.gamma, dtype=np.float64)
        days = np.minimum(np.arange(self.week.day_count), gamma.size - 1)
        return gamma[days]
