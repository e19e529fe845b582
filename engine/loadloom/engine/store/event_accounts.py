"""Settlements of events: payments and what is learned of customers, written at once for good."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, and_, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from loadloom.engine.store.database import Database
from loadloom.engine.store.event_rows import COUNTER, Call, Event, find, standing
from loadloom.engine.store.event_tables import (
    EventState,
    event_payments,
    event_settlements,
    events,
    reliabilities,
)
from loadloom.engine.store.notices import lock
from loadloom.engine.store.operations import OtherRequest
from loadloom.engine.store.schedules import Clock, Overtaken

SETTLED = event_settlements.c
PAID = event_payments.c
KNOWN = reliabilities.c

AT_ONCE = 500
"""The customers that one statement names; SQLite has a limit on the values in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What a customer delivered and is paid, in minor units."""

    place: int
    customer: str
    baseline_kwh: float
    load_kwh: float
    delivered_kwh: float
    rebound_kwh: float
    price_per_kwh: float
    payment_minor: int
    fixed_minor: int
    formula: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a customer: see `models.response.reliability.Reliabilities`."""

    customer: str
    event_count: int
    accepted: float
    declined: float
    share_mean: float
    share_weight: float
    share_shape: float
    share_scale: float
    update_time: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSettlement:
    """A settlement to be written: its message, payments, and what is known after it."""

    request_id: str
    digest: str
    response: bytes
    payments: Sequence[Payment]
    known: Sequence[Known]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A settlement; `create_time` in seconds since 1970."""

    create_time: float
    response: bytes


def settle(
    database: Database,
    event: Event,
    calls: Sequence[Call],
    new: NewSettlement,
    clock: Clock,
    last: int,
) -> Settlement:
    """The settlement of an event, which is on the disk with all that belongs to it.

    Args:
        database: where to write.
        event: the event as it was when it was measured.
        calls: its standing calls as they were then.
        new: what to write.
        clock: tells the time.
        last: the number of settlements of the tenant that `new.known` builds on.

    Raises:
        OtherRequest: the request id was used for another request.
        Overtaken: the event, an answer to it, or what is known of customers, was changed at the
            same time.
        StoreAway: the database cannot be used now; whether it is settled is not known.
    """
    with database.writing() as connection:
        lock(database, connection, event.tenant, COUNTER)
        found = of_request(connection, event.tenant, new.request_id, new.digest)
        if found is not None:
            return found
        now = find(connection, event.tenant, event.name)
        if now != event or settled_count(connection, event.tenant) != last:
            raise Overtaken(event.name)
        if standing(connection, now) != list(calls):
            raise Overtaken(f"the calls of {event.name}")
        time_s = clock(connection)
        moved = {"state": EventState.SETTLED, "update_time": time_s}
        connection.execute(update(events).where(events.c.number == event.number).values(moved))
        values = {
            "event": event.number,
            "tenant": event.tenant,
            "request_id": new.request_id,
            "digest": new.digest,
            "create_time": time_s,
            "response": new.response,
        }
        connection.execute(insert(event_settlements).values(values))
        for part in _parts(new.payments):
            rows = [{"event": event.number, **asdict(each)} for each in part]
            connection.execute(insert(event_payments), rows)
        _learn(database, connection, event.tenant, new.known, time_s)
        return Settlement(create_time=time_s, response=new.response)


def _learn(
    database: Database,
    connection: Connection,
    tenant: str,
    known: Sequence[Known],
    time_s: float,
) -> None:
    made = sqlite.insert(reliabilities) if database.is_sqlite else postgresql.insert(reliabilities)
    names = [field.name for field in fields(Known) if field.name != "customer"]
    replaced = made.on_conflict_do_update(
        index_elements=["tenant", "customer"],
        set_={name: made.excluded[name] for name in names},
    )
    for part in _parts(known):
        rows = [{**asdict(each), "tenant": tenant, "update_time": time_s} for each in part]
        connection.execute(replaced, rows)


def of_request(
    connection: Connection, tenant: str, request_id: str, digest: str
) -> Settlement | None:
    """The settlement that a request brought before; None if it is new.

    Raises:
        OtherRequest: the request id was used for another request.
    """
    mine = and_(SETTLED.tenant == tenant, SETTLED.request_id == request_id)
    row = connection.execute(select(event_settlements).where(mine)).one_or_none()
    if row is None:
        return None
    if row.digest != digest:
        raise OtherRequest(request_id)
    return Settlement(create_time=row.create_time, response=bytes(row.response))


def settlement(connection: Connection, event: Event) -> Settlement:
    """The settlement of an event that is settled."""
    chosen = select(event_settlements).where(SETTLED.event == event.number)
    row = connection.execute(chosen).one()
    return Settlement(create_time=row.create_time, response=bytes(row.response))


def settled_count(connection: Connection, tenant: str) -> int:
    """The number of settlements of a tenant."""
    counted = select(func.count()).where(SETTLED.tenant == tenant)
    return connection.execute(counted).scalar_one()


def payments(
    connection: Connection, event: Event, after: int, size: int, customer: str = ""
) -> list[Payment]:
    """The payments of an event beyond a place; with a customer, its own."""
    chosen = select(event_payments).where(PAID.event == event.number, PAID.place > after)
    if customer:
        chosen = chosen.where(PAID.customer == customer)
    rows = connection.execute(chosen.order_by(PAID.place).limit(size))
    names = [field.name for field in fields(Payment)]
    return [Payment(**{name: getattr(row, name) for name in names}) for row in rows]


def known(connection: Connection, tenant: str, customers: Iterable[str]) -> dict[str, Known]:
    """What is known of customers; none for those that were in no settled event."""
    found: dict[str, Known] = {}
    for part in _parts(list(customers)):
        chosen = select(reliabilities).where(KNOWN.tenant == tenant, KNOWN.customer.in_(part))
        found |= {row.customer: _known(row) for row in connection.execute(chosen)}
    return found


def known_latest(connection: Connection, tenant: str, most: int) -> list[Known]:
    """What is known of the customers of whom something was learned last."""
    chosen = select(reliabilities).where(KNOWN.tenant == tenant)
    ordered = chosen.order_by(KNOWN.update_time.desc(), KNOWN.customer).limit(most)
    return [_known(row) for row in connection.execute(ordered)]


def known_page(
    connection: Connection, tenant: str, customers: Sequence[str], after: str, size: int
) -> list[Known]:
    """What is known of customers beyond a name, by their names; of some of them, or all."""
    chosen = select(reliabilities).where(KNOWN.tenant == tenant)
    if customers:
        chosen = chosen.where(KNOWN.customer.in_(list(customers)))
    if after:
        chosen = chosen.where(KNOWN.customer > after)
    return [_known(row) for row in connection.execute(chosen.order_by(KNOWN.customer).limit(size))]


def _known(row) -> Known:  # noqa: ANN001 -- a row of the table
    return Known(**{field.name: getattr(row, field.name) for field in fields(Known)})


def _parts(rows: Sequence):  # noqa: ANN202 -- slices of whatever there is
    return (rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE))
