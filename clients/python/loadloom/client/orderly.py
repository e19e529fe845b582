"""What a planner says about a week that is short of power: users, measures, shortage, fairness.

    week = Week.of_name("2026-W50", time_zone="Asia/Shanghai")
    bakery = User(
        name="bakery",
        load_kw=load_kw,
        measures=[Measure(kind="shift", cap_kw=80, cost_per_kwh=0.4, max_slots=3, notice="day")],
    )
    operation = client.create_schedule(week, [bakery, ...], Shortage(shortage_kw=missing_kw))
    print(operation.result().frame)

A profile is a number that holds in every slot, a row with one number for each slot of a day or of
the week, an array of days and slots, or a pandas Series over time, which is averaged over slots.
Names, defaults and rules are those of the API, unless told otherwise. A day is its number from 0
on, a date, or the name of a weekday, such as "Wed".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from numpy.typing import ArrayLike

Kind = Literal["shift", "avoid", "limit", "cut", "rest"]
Notice = Literal["week", "day", "quarter hour", "immediate"]
Mode = Literal["convex", "leximin", "equal hours"]
LegalOrder = Literal["priced", "strict"]
Technique = Literal["coupled", "reference", "flat", "rota"]
Day = int | str | date


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something a user can do when power is short.

    Attributes:
        kind: "shift" moves load to other hours, "avoid" keeps it from the peak, "limit" limits it,
            "cut" cuts it, "rest" moves the weekly rest day.
        cap_kw: the most relief.
        cost_per_kwh: the value of the lost load.
        start_cost: the cost of every event.
        min_slots: the least slots of an event.
        max_slots: the most slots of an event; a whole day when left out.
        notice: how long before it begins a user must be told.
        ramp_kw: by how much the relief can grow from one slot to the next; at once when left out.
        rebound_share: the share of the energy that returns afterwards, 0..1.
        rebound_slots: the slots over which it returns.
        burden_weight: how much a kWh counts in the burden.
        allowed: the hours in which events may lie, such as "17:00-22:00" or several with spaces
            between; or yes and no for each slot of a day or of the week; all when left out.
    """

    kind: Kind
    cap_kw: float
    cost_per_kwh: float
    start_cost: float = 0.0
    min_slots: int = 1
    max_slots: int | None = None
    notice: Notice = "week"
    ramp_kw: float | None = None
    rebound_share: float = 0.0
    rebound_slots: int = 0
    burden_weight: float = 1.0
    allowed: str | ArrayLike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user: its load, what it offers, and the rules that protect it.

    Attributes:
        name: the name, each one once.
        load_kw: the forecast load, a profile. Users with the same one share it in the request, so
            that a week of many users with standard profiles stays a small message.
        load_scale: what multiplies it.
        measures: what it offers.
        protected_kw: the load that is never cut, a profile.
        contract_kwh: the contracted energy of a week; when left out, the energy of the forecast.
        max_days: the most curtailed days of the schedule; no limit when left out.
        max_events_per_day: the most events of a day.
        min_gap_days: the least free days between two curtailed days.
        callable_days: the days on which it may be called; all when left out.
        rest_days: the days to which its weekly rest day may move.
        usual_rest_day: the rest day that is in the forecast, to which work returns when it moves.
        carried_burden: the burden from earlier weeks, as a share of a week's contract. Left out for
            all users, it is taken from the ledger.
        compliance: the share of a relief that is expected to come, above 0 up to 1.
        feeder: the name of its feeder, one of those of the shortage; none when empty.
        telemetry: how well it is measured, 0..1.
        control: how well it can be controlled, 0..1.
        past_compliance: the share of past calls that it followed, 0..1.
        industry: the industry, for the reports.
        priority_class: the priority class, for the reports.
        group: the rotation group, whose users are equals.
    """

    name: str
    load_kw: ArrayLike
    load_scale: float = 1.0
    measures: Sequence[Measure] = ()
    protected_kw: ArrayLike = 0.0
    contract_kwh: float | None = None
    max_days: int | None = None
    max_events_per_day: int = 1
    min_gap_days: int = 0
    callable_days: Sequence[Day] | None = None
    rest_days: Sequence[Day] = ()
    usual_rest_day: Day | None = None
    carried_burden: float | None = None
    compliance: float = 1.0
    feeder: str = ""
    telemetry: float = 1.0
    control: float = 1.0
    past_compliance: float = 1.0
    industry: str = ""
    priority_class: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """What is short, as such or as capacity and reserve, and what it costs not to cover it.

    Attributes:
        shortage_kw: the shortage, a profile; negative where there is room for rebounds.
        capacity_kw: the capacity, a profile; the shortage is load plus reserve less capacity.
        reserve_kw: the reserve beside the capacity, a profile.
        unserved_price_per_kwh: the cost of a kWh that is not covered. When left out, ten times
            that of the dearest measure, since below it a plan would rather not cover.
        feeders: the shortage of each feeder that is short by itself, a profile by its name.
    """

    shortage_kw: ArrayLike | None = None
    capacity_kw: ArrayLike | None = None
    reserve_kw: ArrayLike | None = None
    unserved_price_per_kwh: float | None = None
    feeders: Mapping[str, ArrayLike] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """What fair means, and how strongly.

    Attributes:
        mode: "convex": each further curtailed day of a user costs more, and past burdens weigh;
            "leximin": the largest burden is as low as can be, then the next; "equal hours": a rota.
        gamma: what the first, second and each further curtailed day costs, as a multiple, ascending
            from 1.
        history_strength: how much a carried burden of a week's contract adds to a user's weight.
        leximin_levels: how many of the largest burdens are lowered in turn.
    """

    mode: Mode = "convex"
    gamma: Sequence[float] = (1.0,)
    history_strength: float = 0.0
    leximin_levels: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AbilityRule:
    """The formula of the interaction ability: a mean of six parts by these weights.

    `least_scores` is the score that a measure of each notice asks of its user: a week, a day,
    fifteen minutes, at once; none is asked when left out.
    """

    curtailable_weight: float = 0.3
    notice_weight: float = 0.2
    ramp_weight: float = 0.1
    past_compliance_weight: float = 0.2
    telemetry_weight: float = 0.1
    control_weight: float = 0.1
    least_scores: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningLevel:
    """A level of warning that holds from a shortage of `least_share` of the peak load on."""

    name: str
    least_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a user delivered in the event that begins in a slot, or by a moved rest at slot 0."""

    user: str
    day: int
    first_slot: int
    energy_kwh: float
