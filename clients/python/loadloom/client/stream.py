"""Plans for a great many like sites over one stream, each batch answered as soon as it is solved.

A bounded number of batches is under way at any time, so that neither side piles them up. Nothing is
drawn from the caller's batches before there is room for it.
"""

import asyncio
import re
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast, get_args

import grpc
from numpy.typing import ArrayLike

from loadloom.client.errors import InvalidRequest, LoadloomError, Violation, from_status, told
from loadloom.client.fleet import (
    BatchPlans,
    Matrices,
    SiteColumns,
    batch_plans,
    batch_size,
    matrices,
    site_names,
    split,
)
from loadloom.client.grid import Grid
from loadloom.client.request import Reading, check_names, set_series
from loadloom.v1.dispatch_pb2 import PlanColumn, StreamReady, StreamSetup
from loadloom.wire.columns import decode_response, encode_setup, encode_sites

if TYPE_CHECKING:
    import pandas as pd

BATCHES_UNDER_WAY = 4
"""The batches under way: one being written, one solved on each of two cores, one coming back."""

CELL = re.compile(r"(?P<name>\w+)\[(?P<row>\d+),(?P<column>\d+)\]")
"""The path of a cell in a batch, such as "load_kw[3,17]"."""

Column = Literal[
    "charge_kw",
    "discharge_kw",
    "state_of_charge_kwh",
    "curtailed_kw",
    "import_kw",
    "export_kw",
    "stored_value_per_kwh",
]
Batch = tuple[str, SiteColumns]
Batches = SiteColumns | Iterable[Batch]
AsyncBatches = Batches | AsyncIterable[Batch]
Progress = Callable[[int, int | None], None]


class StreamWishes(TypedDict, total=False):
    """What may be asked of a stream; all of it may be left out.

    Attributes:
        buy_price_per_kwh: the buying price, for batches that bring none of their own.
        sell_price_per_kwh: the selling price, likewise; zero when left out.
        currency_code: the ISO 4217 code of all prices.
        columns: the columns wanted; all but the stored value when left out. Costs always come.
        provenance: whether every batch of plans tells its origin, at some microseconds a site.
        under_way: the number of batches under way; the server's limit may be lower.
        progress: called after each batch with the sites planned, and all sites if that is known.
    """

    buy_price_per_kwh: ArrayLike
    sell_price_per_kwh: ArrayLike
    currency_code: str
    columns: Sequence[Column]
    provenance: bool
    under_way: int
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A batch under way: its place in the order of sending, its sites, and the sites before it.

    `per_site` are the columns that have a row for each of its sites.
    """

    position: int
    site_count: int
    first: int
    per_site: frozenset[str]


@dataclass(slots=True)
class Session:
    """What both kinds of client keep of a stream: what is under way, and what has come back."""

    grid: Grid
    wishes: StreamWishes
    under_way: dict[str, Sent] = field(default_factory=dict)
    sent_count: int = 0
    sites_sent: int = 0
    sites_done: int = 0
    site_total: int | None = None
    names: "pd.Index | None" = None
    all_sent: bool = False

    def setup(self) -> bytes:
        """The message that opens the stream."""
        check_names(self.wishes, StreamWishes)
        wishes, columns = self.wishes, self.wishes.get("columns", ())
        if unknown := [name for name in columns if name not in get_args(Column)]:
            known = ", ".join(get_args(Column))
            fault = Violation("setup.columns", f"{unknown[0]!r} is none; must be of {known}")
            raise InvalidRequest.of([fault])
        setup = StreamSetup(
            grid=self.grid.message(),
            columns=[PlanColumn.Value(f"PLAN_COLUMN_{name.upper()}") for name in columns],
            currency_code=wishes.get("currency_code", ""),
            provenance=wishes.get("provenance", False),
        )
        reading = Reading(self.grid)
        if "buy_price_per_kwh" in wishes:
            path, prices = "setup.buy_price_per_kwh", wishes["buy_price_per_kwh"]
            set_series(setup.buy_price_per_kwh, prices, path, reading)
        if "sell_price_per_kwh" in wishes:
            path, prices = "setup.sell_price_per_kwh", wishes["sell_price_per_kwh"]
            set_series(setup.sell_price_per_kwh, prices, path, reading)
        reading.finish()
        return encode_setup(setup)

    def slots(self, ready: StreamReady) -> int:
        """The number of batches that may be under way."""
        wanted = self.wishes.get("under_way", BATCHES_UNDER_WAY)
        return max(1, min(wanted, ready.batches_under_way))

    def whole(self, columns: SiteColumns, ready: StreamReady) -> Iterator[bytes]:
        """The messages for one large set of sites."""
        shaped, self.site_total = matrices(columns, self.grid, "columns")
        self.names = site_names(columns)
        size = batch_size(shaped, self.grid.count, len(self.wishes.get("columns", ())), ready)
        for key, batch, site_count in split(shaped, self.site_total, size):
            yield self.message(key, batch, site_count)

    def one(self, batch: Batch) -> bytes:
        """The message for a batch of the caller's making."""
        key, columns = batch
        return self.message(key, *matrices(columns, self.grid, f"batch {key!r}"))

    def message(self, key: str, shaped: Matrices, site_count: int) -> bytes:
        """The message for a batch, which then counts as under way."""
        if key in self.under_way:
            fault = Violation("key", f"{key!r} is under way already; must be unique among those")
            raise InvalidRequest.of([fault])
        self.under_way[key] = Sent(
            position=self.sent_count,
            site_count=site_count,
            first=self.sites_sent,
            per_site=frozenset(name for name, array in shaped.items() if len(array) > 1),
        )
        self.sent_count += 1
        self.sites_sent += site_count
        return encode_sites(key, site_count, shaped)

    def answer(self, raw: object) -> BatchPlans:
        """The plans in a message of the server."""
        plans = decode_response(raw) if isinstance(raw, bytes) else None
        if plans is None:
            raise LoadloomError("the server ended the stream before every batch was answered")
        if isinstance(plans, StreamReady) or plans.key not in self.under_way:
            raise LoadloomError("the server answered what was not asked")
        sent = self.under_way.pop(plans.key)
        self.sites_done += sent.site_count
        if progress := self.wishes.get("progress"):
            progress(self.sites_done, self.site_total)
        error = None if plans.error is None else from_status(plans.error)
        if isinstance(error, InvalidRequest) and self.site_total is not None:
            error = InvalidRequest.of(self._placed(found, sent) for found in error.violations)
        return batch_plans(plans, sent.position, error)

    def _placed(self, found: Violation, sent: Sent) -> Violation:
        """A violation in a batch of one large set, at its place in the whole set."""
        cell = CELL.fullmatch(found.path)
        if cell is None:
            return Violation(f"columns.{found.path}", found.message)
        name, row, column = cell["name"], int(cell["row"]), cell["column"]
        if name not in sent.per_site and sent.site_count > 1:
            return Violation(f"columns.{name}[0,{column}]", found.message)
        site = sent.first + row
        known = "" if self.names is None else f" at site {self.names[site]!r}"
        return Violation(f"columns.{name}[{site},{column}]", f"{found.message}{known}")


def plans_of(
    call: Callable[[Iterator[bytes]], Any], batches: Batches, grid: Grid, wishes: StreamWishes
) -> Iterator[BatchPlans]:
    """The plans of the batches in the order in which they are solved."""
    session, outbox = Session(grid, wishes), SimpleQueue[bytes | None]()
    outbox.put(session.setup())
    replies = call(iter(outbox.get, None))
    try:
        with told():
            ready = consent(next(replies, None))
            messages = _messages(session, batches, ready)
            for _ in range(session.slots(ready)):
                outbox.put(next(messages, None))
            while session.under_way:
                plans = session.answer(next(replies, None))
                # Before the caller looks at the plans, so that the server has something to do.
                outbox.put(next(messages, None))
                yield plans
            next(replies, None)  # the end, which brings the status
    finally:
        outbox.put(None)
        replies.cancel()


async def plans_of_async(
    call: Callable[[], Any], batches: AsyncBatches, grid: Grid, wishes: StreamWishes
) -> AsyncIterator[BatchPlans]:
    """The plans of the batches in the order in which they are solved."""
    session, replies = Session(grid, wishes), call()
    sender = None
    try:
        with told():
            await replies.write(session.setup())
            ready = consent(await replies.read())
            room = asyncio.Semaphore(session.slots(ready))
            messages = _messages_async(session, batches, ready)
            sender = asyncio.create_task(_send(session, replies, messages, room))
            while True:
                raw = await replies.read()
                if not isinstance(raw, bytes) and session.all_sent and not session.under_way:
                    break
                plans = session.answer(raw)
                room.release()
                yield plans
    finally:
        replies.cancel()
        if sender is not None:
            await _stop(sender)


def consent(raw: object) -> StreamReady:
    """The server's consent to the setup, which is its first message."""
    ready = decode_response(raw) if isinstance(raw, bytes) else None
    if not isinstance(ready, StreamReady):
        raise LoadloomError("the server did not consent to the stream")
    return ready


def _messages(session: Session, batches: Batches, ready: StreamReady) -> Iterator[bytes]:
    if isinstance(batches, Mapping):
        return session.whole(cast(SiteColumns, batches), ready)
    return map(session.one, batches)


async def _messages_async(
    session: Session, batches: AsyncBatches, ready: StreamReady
) -> AsyncIterator[bytes]:
    if isinstance(batches, AsyncIterable):
        async for batch in batches:
            yield session.one(batch)
    else:
        for message in _messages(session, batches, ready):
            yield message


async def _send(
    session: Session,
    replies: grpc.aio.StreamStreamCall,
    messages: AsyncIterator[bytes],
    room: asyncio.Semaphore,
) -> None:
    """Sends each message when there is room for it; ends the call if making one fails."""
    try:
        await room.acquire()
        async for message in messages:
            await replies.write(message)
            await room.acquire()
        session.all_sent = True
        await replies.done_writing()
    except BaseException:
        replies.cancel()  # wakes the reader, who waits for answers that will not come
        raise


async def _stop(sender: asyncio.Task[None]) -> None:
    """Ends the sender, and raises what went wrong with the caller's batches, if that ended it."""
    sender.cancel()
    await asyncio.wait({sender})
    error = None if sender.cancelled() else sender.exception()
    if error is not None and not isinstance(error, (grpc.RpcError, asyncio.InvalidStateError)):
        raise error
