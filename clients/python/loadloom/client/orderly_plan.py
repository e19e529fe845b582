"""A weekly plan: who does what and when, what it covers, what proves it, and how fair it is."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.any_pb2 import Any as Packed

from loadloom.client.orderly import AbilityRule, WarningLevel
from loadloom.client.orderly_parts import (
    Certificate,
    Event,
    FairnessFigures,
    ScheduleState,
    Stage,
    enum_word,
    instant,
    kind_word,
)
from loadloom.client.orderly_week import Week
from loadloom.client.plan import Outcome
from loadloom.v1 import common_pb2
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class WeeklyPlan:
    """A schedule with its plan; amounts are in `currency_code`.

    Attributes:
        message: the schedule as the API has it.
    """

    message: pb.WeeklySchedule

    def __repr__(self) -> str:
        """The schedule in a line: its week, state, cost and proof."""
        said = f"{self.title!r} " if self.title else ""
        costs = f", costs {self.objective:,.2f}, gap {self.relative_gap:.2%}" if self.exists else ""
        return (
            f"<WeeklyPlan {said}{self.week.name} {self.name}: {self.state}, "
            f"revision {self.revision}{costs}>"
        )

    @property
    def name(self) -> str:
        """The name, by which it can be found again."""
        return self.message.name

    @property
    def title(self) -> str:
        """What it is called among people."""
        return self.message.title

    @property
    def state(self) -> ScheduleState:
        """Where its life stands."""
        return ScheduleState[enum_word(pb.ScheduleState, "SCHEDULE_STATE_", self.message.state)]

    @property
    def revision(self) -> int:
        """The number of the plan: 1 for the first, one more for each revision."""
        return self.message.revision

    @property
    def published_revision(self) -> int:
        """The number of the plan that was announced last; 0 before."""
        return self.message.published_revision

    @property
    def confirmed_days(self) -> tuple[int, ...]:
        """The days that are confirmed."""
        return tuple(self.message.confirmed_days)

    @property
    def create_time(self) -> datetime:
        """When it was asked for."""
        return instant(self.message.create_time)

    @property
    def publish_time(self) -> datetime | None:
        """When it was announced last; None before."""
        said = self.message.HasField("publish_time")
        return instant(self.message.publish_time) if said else None

    @cached_property
    def week(self) -> Week:
        """The days and their slots."""
        return Week.of_message(self.message.week)

    @property
    def users(self) -> tuple[str, ...]:
        """The names of the users; that of one alone where it is as this one sees it."""
        return tuple(self.message.users)

    @property
    def currency_code(self) -> str:
        """The currency of all costs; empty when the request named none."""
        return self.message.currency_code

    @property
    def outcome(self) -> Outcome:
        """The way the solve ended."""
        return Outcome.of(self.message.termination.reason)

    @property
    def exists(self) -> bool:
        """Whether there is a plan that keeps every rule."""
        return self.outcome in {Outcome.OPTIMAL, Outcome.FEASIBLE}

    @property
    def method(self) -> str:
        """The technique that made it."""
        word = enum_word(pb.OrderlyMethod, "ORDERLY_METHOD_", self.message.method)
        return word.lower()

    @property
    def certificate(self) -> Certificate:
        """The proof."""
        said = self.message.certificate
        proof = common_pb2.Proof.Name(said.proof).removeprefix("PROOF_")
        return Certificate(
            objective=said.objective,
            bound=said.bound,
            relative_gap=said.relative_gap,
            proof=proof.replace("_", " ").lower(),
            duals={dual.name: from_series(dual.values) for dual in said.duals},
        )

    @property
    def objective(self) -> float:
        """What the plan costs, with what it does not cover."""
        return self.message.certificate.objective

    @property
    def bound(self) -> float:
        """The cost that no plan can beat."""
        return self.message.certificate.bound

    @property
    def relative_gap(self) -> float:
        """The gap between objective and bound, relative to the objective."""
        return self.message.certificate.relative_gap

    @property
    def stages(self) -> list[Stage]:
        """The aims that came before the least loss."""
        return [
            Stage(name=stage.name, unit=stage.unit, value=stage.value, bound=stage.bound)
            for stage in self.message.stages
        ]

    @property
    def notes(self) -> list[str]:
        """What a planner should know about the request, in sentences."""
        return list(self.message.notes)

    @property
    def costs(self) -> dict[str, float]:
        """The cost by cause."""
        return {item.name: item.amount for item in self.message.costs}

    @cached_property
    def events(self) -> list[Event]:
        """The events and the moved rest days, by user and time."""
        order = {user: place for place, user in enumerate(self.users)}
        found = [*self._windows(), *self._rests()]
        return sorted(found, key=lambda event: (order.get(event.user, 0), event.start))

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each event, with local times and the mean relief."""
        import pandas as pd

        rows = [asdict(event) | {"relief_kw": event.mean_kw} for event in self.events]
        names = list(Event.__slots__)
        table = pd.DataFrame(rows, columns=pd.Index(names))
        for name in ("start", "end"):
            table[name] = pd.to_datetime(table[name], utc=True).dt.tz_convert(self.week.time_zone)
        table.insert(2, "date", [self.week.date(event.day) for event in self.events])
        return table

    @property
    def coverage(self) -> "pd.DataFrame":
        """Shortage, what covers it, what it does not, and the price, in each slot of the week."""
        table = self._covered(0)
        levels = list(self.message.slot_levels)
        if len(levels) == len(table):
            table["level"] = levels
        return table

    @property
    def feeders(self) -> "dict[str, pd.DataFrame]":
        """The coverage of each feeder, by its name."""
        places = range(1, len(self.message.coverage))
        return {self.message.coverage[i].feeder: self._covered(i) for i in places}

    @property
    def unserved_kwh(self) -> float:
        """The energy that stays uncovered and is paid for as unserved, of the whole and of feeders.

        What is missing in a feeder and in the whole counts twice, as each is short by itself.
        """
        return sum(self.unserved_kwh_by_feeder.values())

    @property
    def unserved_kwh_by_feeder(self) -> dict[str, float]:
        """The energy that stays uncovered, by the name of the feeder; the whole has no name."""
        slot_h = self.week.slot_h
        return {
            said.feeder: float((from_series(said.unserved_kw) * slot_h).sum())
            for said in self.message.coverage
            if said.HasField("unserved_kw")
        }

    @property
    def burdens(self) -> "pd.Series":
        """The burden of each user after this week, as a share of a week's contract."""
        import pandas as pd

        values = from_series(self.message.burdens)
        index = pd.Index(self.users, name="user")
        return pd.Series(np.broadcast_to(values, len(index)), index, name="burden")

    @property
    def fairness(self) -> "pd.DataFrame":
        """How the burdens spread: over all, then by industry, priority class, group and feeder."""
        import pandas as pd

        figures = [asdict(FairnessFigures.of_message(f)) for f in self.message.fairness]
        names = pd.Index(FairnessFigures.__slots__)
        return pd.DataFrame(figures, columns=names).set_index("scope")

    @property
    def abilities(self) -> "pd.DataFrame":
        """The interaction ability of each user, and its parts."""
        import pandas as pd

        names = [field.name for field in pb.Ability.DESCRIPTOR.fields]
        rows = [[getattr(ability, name) for name in names] for ability in self.message.abilities]
        table = pd.DataFrame(rows, columns=pd.Index(names))
        table["user"] = [self.users[place] for place in table["user"]]
        return table.set_index("user")

    @property
    def ability_rule(self) -> AbilityRule:
        """The formula of the abilities, with weights that sum to 1."""
        said = self.message.ability_rule
        names = [name for name in AbilityRule.__slots__ if name != "least_scores"]
        weights = {name: getattr(said, name) for name in names}
        return AbilityRule(**weights, least_scores=tuple(said.least_scores))

    @property
    def warning_levels(self) -> list[WarningLevel]:
        """The levels of warning, the mildest first."""
        found = [
            WarningLevel(name=level.name, least_share=level.least_share)
            for level in self.message.warning_levels
        ]
        return sorted(found, key=lambda level: level.least_share)

    def of_user(self, user: str) -> list[Event]:
        """The events of a user."""
        return [event for event in self.events if event.user == user]

    def late_events(self, now: datetime) -> list[Event]:
        """The events that need a notice which at an aware instant can no longer be given."""
        # A moved rest day changes its user's week from the usual day of rest on, if that is first.
        begin = {
            self.users[move.user]: self.week.begin(min(move.day, move.usual_day), 0)
            for move in self.message.rest_moves
            if move.HasField("usual_day")
        }
        late = []
        for event in self.events:
            start = begin.get(event.user, event.start) if event.kind == "rest" else event.start
            # With the zone's clock, so that a day ahead is the same time across a clock change.
            if (start - NOTICE_LEADS[event.notice]).timestamp() < now.timestamp():
                late.append(event)
        return late

    def _windows(self) -> Iterator[Event]:
        said, week = self.message.events, self.week
        relief_kw = from_series(said.relief_kw)
        energies, costs = from_series(said.energy_kwh), from_series(said.cost)
        kinds, notices = _per_measure(self.message.measures)
        place = 0
        for k, user in enumerate(said.users):
            day, first, count = said.days[k], said.first_slots[k], said.slot_counts[k]
            yield Event(
                user=self.users[user],
                kind=kinds[said.measures[k]],
                day=day,
                first_slot=first,
                slot_count=count,
                start=week.begin(day, first),
                end=week.begin(day, first + count),
                notice=notices[said.measures[k]],
                relief_kw=tuple(relief_kw[place : place + count].tolist()),
                energy_kwh=float(energies[k]),
                cost=float(costs[k]),
            )
            place += count

    def _rests(self) -> Iterator[Event]:
        week = self.week
        slots = week.slot_count
        _, notices = _per_measure(self.message.measures)
        for move in self.message.rest_moves:
            start, end = week.begin(move.day, 0), week.begin(move.day, slots)
            hours = (end.timestamp() - start.timestamp()) / 3600.0
            yield Event(
                user=self.users[move.user],
                kind="rest",
                day=move.day,
                first_slot=0,
                slot_count=slots,
                start=start,
                end=end,
                notice=notices[move.measure],
                relief_kw=(move.energy_kwh / hours if hours else 0.0,) * slots,
                energy_kwh=move.energy_kwh,
                cost=move.cost,
            )

    def _covered(self, place: int) -> "pd.DataFrame":
        import pandas as pd

        names = ("shortage_kw", "covered_kw", "unserved_kw", "price_per_kwh")
        if place >= len(self.message.coverage):
            return pd.DataFrame(columns=pd.Index(names), dtype=np.float64)
        said = self.message.coverage[place]
        columns = {name: from_series(getattr(said, name)) for name in names}
        known = {name: values for name, values in columns.items() if values.size}
        return pd.DataFrame(known, index=self.week.index)


NOTICE_LEADS = {
    "week": timedelta(days=7),
    "day": timedelta(days=1),
    "quarter hour": timedelta(minutes=15),
    "immediate": timedelta(0),
    "unspecified": timedelta(days=7),
}
"""How long before it begins a user must be told, by the notice of a measure."""


def read_plan(packed: Packed) -> WeeklyPlan:
    """The plan in the response of an operation."""
    return WeeklyPlan(pb.WeeklySchedule.FromString(packed.value))


def day_number(week: Week, day: int | date | str) -> int:
    """The number of the one day that is meant.

    Raises:
        ValueError: it means none or several.
    """
    found = week.days(day)
    if len(found) > 1:
        raise ValueError(f"{day!s} means {len(found)} days of {week.name}; give the date")
    return found[0]


def _per_measure(measures: pb.Measures) -> tuple[list[str], list[str]]:
    """The kind and the notice of each measure."""
    kinds = [kind_word(kind) for kind in measures.kind]
    notices = [
        enum_word(pb.NoticeClass, "NOTICE_CLASS_", notice).replace("_", " ").lower()
        for notice in measures.notice
    ]
    if len(notices) == len(kinds):
        return kinds, notices
    return kinds, (notices or ["week"]) * len(kinds)
