"""What the verbs of `loadloom agency` do; `agency_app` tells their options."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import typer
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from loadloom.client import agency
from loadloom.client.agency import Curves, DataSet, Price, ReadingRules, SpikeRule, TimeBand
from loadloom.client.agency_answers import Purchase
from loadloom.client.agency_charts import SUFFIXES, write_pool_chart
from loadloom.client.agency_fields import Source
from loadloom.client.agency_pages import write_statement, write_statements
from loadloom.client.agency_settlement import Settlement
from loadloom.client.agency_sums import LoadAggregate
from loadloom.client.agency_wishes import AggregateWishes, PortfolioWishes, SettlementWishes
from loadloom.client.client import Client
from loadloom.client.command import agency_report as report
from loadloom.client.command.agency_input import (
    Pool,
    Reading,
    cut_off,
    price_alone,
    read,
    source_of,
)
from loadloom.client.command.orderly_output import Written, write_table
from loadloom.client.command.orderly_place import ID_LETTERS, Place, opened
from loadloom.client.command.orderly_progress import followed
from loadloom.client.command.terminal import Terminal
from loadloom.client.command.verbs import (
    NO_PLAN,
    TABLE_SUFFIXES,
    WRONG_INPUT,
    check_output,
    check_time_limit,
    fail,
    note,
)

PREFIX = "settlements/"
PAGE_SUFFIXES = (".csv", ".html")

CHUNKED_VALUES = 500_000
"""The loads from which on curves are sent in chunks: some 4 MiB, well below what servers take."""

USERS_TOLD = 10_000
"""The most users whose figures are asked for, unless they are to be written."""

FILL = re.compile(r"([a-z][a-z -]*?)(?:\s+(\d+))?")
"""A way to fill gaps, and the most intervals that it fills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregating:
    """What is said of curves to add up."""

    reading: Reading
    prices: Path | None
    bands: Sequence[str] = ()
    quantiles: Sequence[float] = ()
    roll_ups: Sequence[str] = ()
    fills: Sequence[str] = ()
    spike: float | None = None
    replaced: Sequence[str] = ()
    cut_off: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing:
    """What is said of a portfolio to form."""

    reading: Reading
    prices: Path
    highest_price: float | None
    currency: str
    time_limit_s: float | None
    relative_gap: float
    recruit_count: int
    explain: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """What is said of users to settle with."""

    reading: Reading
    prices: Path
    highest_price: float | None
    profit_rate: float
    mode: str
    rule: str | None
    peak_mode: str
    peak_count: int
    report: bool
    currency: str
    title: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What to write, and whether to print JSON."""

    out: Path | None = None
    total: Path | None = None
    statements: Path | None = None
    plot: Path | None = None
    as_json: bool = False

    def check(self) -> None:
        """Ends the program if a file could not be written in the end."""
        check_output("--out", self.out, TABLE_SUFFIXES)
        check_output("--total", self.total, TABLE_SUFFIXES)
        check_output("--plot", self.plot, SUFFIXES)


def aggregate(place: Place, said: Aggregating, outputs: Outputs) -> None:
    """Adds up the curves in the files, tells the sum, and writes what was asked for."""
    place.check()
    outputs.check()
    late = cut_off(said.reading, said.cut_off)
    rules = reading_rules(said.fills, said.spike, said.replaced, late)
    bands = [time_band(text) for text in said.bands]
    pool = read(said.reading, said.prices, gaps=rules is not None)
    _check_plot(pool, outputs)
    few = isinstance(pool.source, Curves) and len(pool.source.names) <= USERS_TOLD
    wishes: AggregateWishes = {
        "users": few or outputs.out is not None,
        "bands": bands,
        "quantiles": said.quantiles,
        "roll_ups": cast("Sequence[agency.RollUp]", said.roll_ups),
        "rules": rules,
        "price": None if pool.prices is None else pool.prices.price,
    }
    with opened(place, pool.trace) as client:
        found = added_up(client, pool.source, wishes)
    written = Written()
    written.add("Users", outputs.out, lambda file: write_table(found.users.reset_index(), file))
    written.add("Load", outputs.total, lambda file: write_table(report.load_table(found), file))
    written.add(
        "Chart", outputs.plot, lambda file: write_pool_chart(_whole(pool), file, pool.groups)
    )
    tell(found.message, report.aggregate_report(found), as_json=outputs.as_json)
    written.tell()


def assess(place: Place, prices: Path, files: Reading, as_json: bool) -> None:
    """Tells whether the price in a file is stable, and who would leave if not."""
    place.check()
    if files.curves is None:
        found, curves = price_alone(prices), None
        trace = found.trace
    else:
        pool = read(files, prices)
        found, curves, trace = pool.prices, pool.curves, pool.trace
    if found is None or found.price is None:
        raise fail(WRONG_INPUT, f"{prices}: has no price to assess; give one under price")
    with opened(place, trace) as client:
        answer = client.assess_prices(found.price, curves)
    tell(answer.message, report.assessment(answer, found.currency_code), as_json=as_json)


def portfolio(place: Place, said: Choosing, out: Path | None, as_json: bool) -> None:
    """Chooses the users of the files to take, and tells them and the proof."""
    place.check()
    check_output("--out", out, TABLE_SUFFIXES)
    check_time_limit(said.time_limit_s)
    pool = read(said.reading, said.prices, currency=said.currency)
    if pool.prices is None or not pool.prices.contracts:
        raise fail(WRONG_INPUT, f"{said.prices}: has no contracts; give at least one")
    highest = pool.highest_price(said.highest_price)
    contracts = pool.prices.contracts
    wishes: PortfolioWishes = {
        "currency_code": pool.currency_code,
        "time_limit_s": said.time_limit_s,
        "relative_gap": said.relative_gap,
        "recruit_count": said.recruit_count,
        "explain_users": said.explain,
        # Of millions they would be more than a message holds.
        "without_names": out is None and not as_json,
    }
    if pool.users is not None and pool.users.fees is not None:
        wishes["fee"] = pool.users.fees
    with opened(place, pool.trace) as client:
        operation = client.form_portfolio(pool.source, contracts, highest, **wishes)
        found = followed(operation, place, quiet=as_json)
    written = Written()
    if found.exists:
        names = [contract.name for contract in contracts]
        known = pool.source.names if isinstance(pool.source, Curves) else None
        written.add(
            "Portfolio",
            out,
            lambda file: write_table(report.choice_table(found, names, known), file),
        )
    tell(found.message, report.portfolio_report(found), as_json=as_json)
    if not found.exists:
        raise typer.Exit(NO_PLAN)
    written.tell()


def settle(place: Place, said: Settling, outputs: Outputs) -> None:
    """Settles with the users of the files, tells the settlement, and writes what was asked for."""
    place.check()
    outputs.check()
    pool = read(said.reading, said.prices, currency=said.currency)
    _check_plot(pool, outputs)
    highest = pool.highest_price(said.highest_price)
    wishes: SettlementWishes = {
        "request_id": said.request_id,
        "title": said.title,
        "highest_price_per_kwh": highest,
        "profit_rate": said.profit_rate,
        "currency_code": pool.currency_code,
        "mode": cast("agency.Mode", said.mode),
        "rule": cast("agency.Rule | None", said.rule),
        "peak_mode": cast("agency.PeakMode", said.peak_mode),
        "peak_count": said.peak_count,
        "report": said.report,
    }
    if pool.users is not None and pool.users.prepaid_minor is not None:
        wishes["prepaid_minor"] = pool.users.prepaid_minor
    with opened(place, pool.trace) as client:
        cost = buy(client, pool, said.prices)
        made = client.create_settlement(pool.source, cost, **wishes)
        table = client.statements(made)
        pages = Written()
        _write_pages(client, made, list(table.index), outputs, pages)
    gain = report.gain(table, made.currency_code)
    pages.add("Statements", outputs.out, lambda file: write_table(table.reset_index(), file))
    pages.add(
        "Chart",
        outputs.plot,
        lambda file: write_pool_chart(pool.curves, file, pool.groups, gain),
    )
    tell(
        made.message,
        report.settlement_report(made, table, cost if isinstance(cost, Purchase) else None),
        as_json=outputs.as_json,
    )
    pages.tell()
    note(f"{made.name} is kept in {place.words}")


def correct(
    place: Place, said: str, files: Reading, reason: str, request_id: str, outputs: Outputs
) -> None:
    """Settles again with the curves in a file, and tells whose bill changes."""
    place.check()
    outputs.check()
    source, trace = source_of(files)
    with opened(place, trace) as client:
        before = named(client, said, place)
        made = client.correct_settlement(
            before, source(before.grid), reason=reason, request_id=request_id
        )
        table = client.statements(made)
        written = Written()
        _write_pages(client, made, list(table.index), outputs, written)
    written.add("Statements", outputs.out, lambda file: write_table(table.reset_index(), file))
    tell(made.message, report.settlement_report(made, table, None), as_json=outputs.as_json)
    written.tell()
    note(f"{made.name} is kept in {place.words}; it corrects {made.corrects}")


def show(place: Place, said: str, outputs: Outputs) -> None:
    """Tells a settlement and writes its statements."""
    place.check()
    outputs.check()
    with opened(place) as client:
        found = named(client, said, place)
        table = client.statements(found)
        written = Written()
        _write_pages(client, found, list(table.index), outputs, written)
    written.add("Statements", outputs.out, lambda file: write_table(table.reset_index(), file))
    tell(found.message, report.settlement_report(found, table, None), as_json=outputs.as_json)
    written.tell()


def statement(place: Place, said: str, user: str, out: Path | None, as_json: bool) -> None:
    """Tells the statement of a user, or writes it."""
    place.check()
    check_output("--out", out, PAGE_SUFFIXES)
    with opened(place) as client:
        settlement = named(client, said, place)
        found = client.get_statement(settlement, user)
    written = Written()
    written.add("Statement", out, lambda file: write_statement(found, settlement, file))
    if out is None or as_json:
        tell(found.message, report.statement_report(found), as_json=as_json)
    written.tell()


def list_settlements(place: Place) -> None:
    """Tells which settlements there are."""
    place.check()
    with opened(place) as client:
        found = list(client.list_settlements())
    if found:
        Terminal().print(report.settlements(found))
    note(f"{len(found)} settlements in {place.words}")


def added_up(client: Client, source: Source, wishes: AggregateWishes) -> LoadAggregate:
    """The sum of curves, which are sent in chunks where they are many.

    The profiles of areas need all curves in one request.
    """
    rules = wishes.get("rules")
    profiles = rules is not None and any(fill == "area profile" for fill, _ in rules.fills)
    many = isinstance(source, Curves) and source.load_kw.size > CHUNKED_VALUES
    if many and not profiles:
        return client.aggregate_load_stream(cast("Curves", source), **wishes)
    return client.aggregate_loads(source, **wishes)


def _whole(pool: Pool) -> Curves:
    """The curves with nothing for what is missing, as charts need them."""
    return replace(pool.curves, load_kw=np.nan_to_num(pool.curves.load_kw))


def _check_plot(pool: Pool, outputs: Outputs) -> None:
    """Ends the program if a chart is to be drawn of curves that are not here."""
    if outputs.plot is not None and isinstance(pool.source, DataSet):
        raise fail(WRONG_INPUT, "--plot: does not go with --root, as the curves stay at the server")


def buy(client: Client, pool: Pool, prices: Path) -> Price | Purchase:
    """What all cost: by the price of the file, or by the cheapest purchase from its plants.

    Ends the program if the file says neither or both, or if no purchase covers the load.
    """
    said = pool.prices
    plants = [] if said is None else said.plants(pool.grid)
    if said is None or (said.price is None) == (not plants):
        both = "has a price and plants; keep one of them" if plants else "has no price or plants"
        raise fail(WRONG_INPUT, f"{prices}: {both}")
    if said.price is not None:
        return said.price
    if isinstance(pool.source, DataSet):
        total_kw = np.asarray(client.aggregate_loads(pool.source, users=False).total_kw)
    else:
        total_kw = pool.curves.total_kw
    purchase = client.plan_purchase(total_kw, plants, pool.grid, currency_code=pool.currency_code)
    if not purchase.exists:
        raise fail(NO_PLAN, *(purchase.conflicts or [f"there is no purchase: {purchase.outcome}"]))
    return purchase


def named(client: Client, said: str, place: Place) -> Settlement:
    """The settlement of an id, or the newest of a title; ends the program if there is not one."""
    start = said.removeprefix(PREFIX).lower()
    known = list(client.list_settlements())
    found = [one for one in known if said and one.title == said][:1]
    if not found and len(start) >= ID_LETTERS:
        found = [one for one in known if one.name.startswith(PREFIX + start)]
    if len(found) != 1:
        many = f"{len(found)} settlements are" if found else "there is no settlement"
        told = f"{many} {said!r} in {place.words}; see `loadloom agency list`"
        raise fail(WRONG_INPUT, told)
    return client.get_settlement(found[0].name)


def reading_rules(
    fills: Sequence[str],
    spike: float | None,
    replaced: Sequence[str] = (),
    late: datetime | None = None,
) -> ReadingRules | None:
    """The rules that options say; None for none; ends the program if they say nothing known.

    Readings with a mark of those `replaced` are filled too; those are late that came after `late`.
    """
    if not fills and spike is None and not replaced and late is None:
        return None
    known = get_args(agency.FillRule)
    steps = []
    for said in fills:
        found = FILL.fullmatch(said.strip().lower().replace("-", " "))
        if found is None or found[1] not in known:
            right = f"must be one of {', '.join(known)}, with a number of intervals behind it"
            raise fail(WRONG_INPUT, f"--fill {said}: {right}")
        steps.append((cast("agency.FillRule", found[1]), int(found[2] or 0)))
    return ReadingRules(
        fills=steps,
        spike=None if spike is None else SpikeRule(times=spike),
        replace=cast("Sequence[agency.ReadingMark]", replaced),
        cut_off=late,
    )


def time_band(said: str) -> TimeBand:
    """The band of the day in words such as "peak 08:00-12:00"; ends the program if it is none."""
    name, _, windows = said.strip().partition(" ")
    if not name or not windows.strip():
        told = "must be a name and its hours, such as 'peak 08:00-12:00 18:00-21:00'"
        raise fail(WRONG_INPUT, f"--band {said}: {told}")
    return TimeBand(name=name, windows=windows)


def tell(message: Message, words: Any, *, as_json: bool) -> None:  # noqa: ANN401 -- what rich prints
    """Prints an answer: as JSON, or in words."""
    if as_json:
        print(MessageToJson(message, preserving_proto_field_name=True))
    else:
        Terminal().print(words)


def _write_pages(
    client: Client, made: Settlement, users: list[str], outputs: Outputs, written: Written
) -> None:
    """Writes a page for each user, if that was asked for."""
    written.add(
        "Pages of statements",
        outputs.statements,
        lambda folder: write_statements(
            (client.get_statement(made, user) for user in users), made, folder
        ),
    )
