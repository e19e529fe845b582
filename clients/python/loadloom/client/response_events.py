"""Events and their calls, as callers see them, and what they came to."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Self

from loadloom.client.agency_money import of_minor
from loadloom.client.agency_parts import grid_of_message
from loadloom.client.grid import Grid
from loadloom.client.orderly_parts import enum_word, instant
from loadloom.client.response_answers import TargetPlan, values_of
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd


class EventState(StrEnum):
    """The state of an event."""

    UNSPECIFIED = "unspecified"
    OPEN = "open"
    CANCELLED = "cancelled"
    SETTLED = "settled"


class CallState(StrEnum):
    """The state of a call."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    ACCEPTED = "accepted"
    OPTED_OUT = "opted out"
    NO_ANSWER = "no answer"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to a customer; times are in UTC, powers means over the event."""

    number: int
    event: str
    revision: int
    customer: str
    state: CallState
    asked_kw: float
    price_per_kwh: float
    fixed_payment: float
    accepted_kw: float | None
    start: datetime
    end: datetime
    answer_until: datetime
    answered: datetime | None
    expected_kw: float

    @classmethod
    def of_message(cls, message: pb.Call) -> "Call":
        """The call as the API has it."""
        return cls(
            number=message.number,
            event=message.event,
            revision=message.revision,
            customer=message.customer,
            state=CallState[enum_word(pb.CallState, "CALL_STATE_", message.state)],
            asked_kw=message.asked_kw,
            price_per_kwh=message.price_per_kwh,
            fixed_payment=message.fixed_payment,
            accepted_kw=message.accepted_kw if message.HasField("accepted_kw") else None,
            start=instant(message.start_time),
            end=instant(message.end_time),
            answer_until=instant(message.answer_time),
            answered=(
                instant(message.answered_time) if message.HasField("answered_time") else None
            ),
            expected_kw=message.expected_kw,
        )


def calls_frame(calls: Iterable[Call]) -> "pd.DataFrame":
    """A row for each call, by customer."""
    import pandas as pd

    rows = [asdict(call) for call in calls]
    frame = pd.DataFrame(rows, columns=pd.Index(Call.__slots__)).set_index("customer")
    return frame.assign(state=frame["state"].astype(str))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How the calls of an event stand; powers in kW."""

    pending: int
    accepted: int
    opted_out: int
    no_answer: int
    cancelled: int
    accepted_kw: float
    pending_kw: float

    @classmethod
    def of_message(cls, message: pb.CallCounts) -> "Counts":
        """The counts as the API has them."""
        return cls(**{name: getattr(message, name) for name in cls.__slots__})

    def __str__(self) -> str:
        """The counts in words."""
        return (
            f"{self.accepted:,} accepted ({self.accepted_kw:,.1f} kW), {self.pending:,} wait "
            f"({self.pending_kw:,.1f} kW expected), {self.opted_out:,} opted out, "
            f"{self.no_answer:,} without an answer, {self.cancelled:,} cancelled"
        )


@dataclass(frozen=True, repr=False)
class Event:
    """An event.

    Attributes:
        message: the event as the API has it.
    """

    message: pb.ResponseEvent

    def __repr__(self) -> str:
        """The event in a line."""
        said = f"{self.title!r} " if self.title else ""
        return f"<Event {said}{self.name}: {self.state}, revision {self.revision}, {self.counts}>"

    @property
    def name(self) -> str:
        """The name, by which it can be found again."""
        return self.message.name

    @property
    def title(self) -> str:
        """What it is called among people."""
        return self.message.title

    @property
    def state(self) -> EventState:
        """The state."""
        return EventState[enum_word(pb.EventState, "EVENT_STATE_", self.message.state)]

    @property
    def revision(self) -> int:
        """The number of the latest plan, from 1."""
        return self.message.revision

    @property
    def create_time(self) -> datetime:
        """When it was made."""
        return instant(self.message.create_time)

    @cached_property
    def grid(self) -> Grid:
        """The intervals."""
        return grid_of_message(self.message.grid)

    @property
    def start(self) -> datetime:
        """When it begins, in local time."""
        return self.grid.boundaries[0]

    @property
    def end(self) -> datetime:
        """When it ends, in local time."""
        return self.grid.boundaries[-1]

    @property
    def answer_until(self) -> datetime:
        """Until when answers are waited for."""
        return instant(self.message.answer_time)

    @property
    def currency_code(self) -> str:
        """The currency of all prices and costs."""
        return self.message.currency_code

    @property
    def customer_count(self) -> int:
        """The number of customers it can choose from."""
        return self.message.customer_count

    @property
    def cancel_reason(self) -> str:
        """Why it was cancelled."""
        return self.message.cancel_reason

    @property
    def counts(self) -> Counts:
        """How its calls stand; zeros for members."""
        return Counts.of_message(self.message.counts)

    @property
    def plan(self) -> TargetPlan:
        """The plan that was asked for, without its calls; empty in lists, and for members."""
        names = tuple(self.message.plan.nodes.names)
        places = self.message.plan.nodes.nodes
        nodes = [f"node {place}" for place in range(max(places, default=-1) + 1)]
        for place, name in zip(places, names, strict=False):
            nodes[place] = name
        return TargetPlan(message=self.message.plan, grid=self.grid, nodes=tuple(nodes))

    @property
    def revisions(self) -> "pd.DataFrame":
        """Its plans in order: when and why each was made, whom it calls."""
        import pandas as pd

        columns = ("revision", "create_time", "reason", "called", "added", "cancelled")
        rows = [
            (
                one.revision,
                instant(one.create_time),
                one.reason,
                one.called_count,
                one.added_count,
                one.cancelled_count,
            )
            for one in self.message.revisions
        ]
        return pd.DataFrame(rows, columns=pd.Index(columns)).set_index("revision")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAdr:
    """An event as OpenADR 3 objects, each a text of JSON."""

    program: str
    events: tuple[str, ...]
    version: str

    @classmethod
    def of_pages(cls, pages: Iterable[pb.ExportEventResponse]) -> Self:
        """The event whose objects come in pages."""
        told = list(pages)
        events = tuple(event for page in told for event in page.events)
        return cls(program=told[0].program, events=events, version=told[0].version)


@dataclass(frozen=True, repr=False)
class Reported:
    """What OpenADR reports said.

    Attributes:
        message: the answer as the API has it.
    """

    message: pb.ImportReportsResponse

    @property
    def answers(self) -> dict[str, str]:
        """The answers that were recorded, by customer."""
        return {
            one.customer: CallState[enum_word(pb.CallState, "CALL_STATE_", one.state)].value
            for one in self.message.answers
        }

    @property
    def load_kw(self) -> "pd.DataFrame":
        """The mean loads that were read: a row for each interval, a column for each customer."""
        import pandas as pd

        values = values_of(self.message.load_kw)
        return pd.DataFrame(values.T, columns=pd.Index(list(self.message.names)))

    @property
    def counts(self) -> Counts:
        """How the calls stand."""
        return Counts.of_message(self.message.counts)


@dataclass(frozen=True, repr=False)
class EventSettlement:
    """What an event came to; amounts are exact, in its currency.

    Attributes:
        message: the settlement as the API has it.
    """

    message: pb.EventSettlement

    def __repr__(self) -> str:
        """The settlement in a line."""
        return (
            f"<EventSettlement {self.event}: {self.delivering_count:,} of "
            f"{self.customer_count:,} delivered {self.delivered_kwh:,.1f} kWh, "
            f"paid {self.paid:,} {self.currency_code}>"
        )

    @property
    def event(self) -> str:
        """The name of the event."""
        return self.message.event

    @property
    def currency_code(self) -> str:
        """The currency."""
        return self.message.currency_code

    @property
    def digits(self) -> int:
        """The decimals of the currency."""
        return self.message.minor_digits

    @property
    def customer_count(self) -> int:
        """The number of customers that accepted, who all have a payment."""
        return self.message.customer_count

    @property
    def delivering_count(self) -> int:
        """The number of those that delivered something."""
        return self.message.delivering_count

    @property
    def unmeasured_count(self) -> int:
        """The number of those without a baseline, or without readings of the event."""
        return self.message.unmeasured_count

    @property
    def delivered_kwh(self) -> float:
        """What was delivered."""
        return self.message.delivered_kwh

    @property
    def expected_kwh(self) -> float:
        """What was expected when the calls were made."""
        return self.message.expected_kwh

    @property
    def paid(self) -> Decimal:
        """The sum of the payments."""
        return of_minor(self.message.paid_minor, self.digits)

    def power(self, event: Event) -> "pd.DataFrame":
        """Baseline, load and reduction of all who accepted, by the intervals of the readings."""
        import pandas as pd

        columns = ("baseline_kw", "load_kw", "reduction_kw")
        said = {name: from_series(getattr(self.message, name)) for name in columns}
        count = len(said["load_kw"])
        times = pd.date_range(event.start, event.end, periods=count + 1, inclusive="left")
        return pd.DataFrame(said, index=times.rename("time"))


PAYMENT_NUMBERS = ("baseline_kwh", "load_kwh", "delivered_kwh", "rebound_kwh", "price_per_kwh")


def payments_frame(payments: Iterable[pb.Payment], digits: int) -> "pd.DataFrame":
    """A row for each customer: energies, price, the payment exact, and how it comes about.

    `fixed_payment` is the part of the payment that is for taking part.
    """
    import pandas as pd

    rows = [
        {
            "customer": one.customer,
            **{name: getattr(one, name) for name in PAYMENT_NUMBERS},
            "payment": of_minor(one.payment_minor, digits),
            "fixed_payment": of_minor(one.fixed_minor, digits),
            "formula": one.formula,
            "note": one.note,
        }
        for one in payments
    ]
    money = ("payment", "fixed_payment")
    columns = pd.Index(["customer", *PAYMENT_NUMBERS, *money, "formula", "note"])
    return pd.DataFrame(rows, columns=columns).set_index("customer")


KNOWN = ("event_count", "acceptance", "delivered_share", "delivered_share_sd")


def reliabilities_frame(known: Iterable[pb.Reliability]) -> "pd.DataFrame":
    """A row for each customer: what is known of it from its events."""
    import pandas as pd

    rows = [
        {
            "customer": one.customer,
            **{name: getattr(one, name) for name in KNOWN},
            "updated": instant(one.update_time),
        }
        for one in known
    ]
    return pd.DataFrame(rows, columns=pd.Index(["customer", *KNOWN, "updated"])).set_index(
        "customer"
    )
