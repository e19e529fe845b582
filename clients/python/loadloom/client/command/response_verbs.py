"""What the verbs of `loadloom response` do; `response_app` tells their options."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from loadloom.client import response
from loadloom.client.client import Client
from loadloom.client.command import response_report as report
from loadloom.client.command.agency_verbs import tell
from loadloom.client.command.orderly_output import Written, write_table
from loadloom.client.command.orderly_place import Place, opened
from loadloom.client.command.response_input import (
    Span,
    TargetInput,
    of_option,
    read_driver,
    read_history,
    read_targets,
    read_temperature,
    tried,
)
from loadloom.client.command.response_report import ID_LETTERS, PREFIX
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
from loadloom.client.files.response_customers import read_answers
from loadloom.client.response import Answer
from loadloom.client.response_answers import Needs, TargetPlan
from loadloom.client.response_charts import (
    SUFFIXES,
    EventLoad,
    worst_interval,
    write_event_chart,
)
from loadloom.client.response_events import Event, calls_frame
from loadloom.client.response_wishes import EventWishes, ForecastWishes, TargetWishes

LOADS_DRAWN = 3
"""The nodes whose loads a chart shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targeting:
    """What is said of customers to call."""

    network: Path
    customers: Path
    needs: Path | None
    span: Span
    price: float | None
    fixed_payment: float | None
    currency: str
    budget: float | None
    best_effort: bool
    samples: int
    time_limit_s: float | None
    explain: Sequence[str] = ()

    def read(self) -> TargetInput:
        """What the files say; ends the program if they cannot be used."""
        check_time_limit(self.time_limit_s)
        found = read_targets(self.network, self.customers, self.needs, self.span)
        if self.price is not None and found.said.customers.price_per_kwh is not None:
            told = f"--price: {self.customers} has prices of its own; keep one of them"
            raise fail(WRONG_INPUT, told)
        return found

    def wishes(self) -> TargetWishes:
        """What is asked for beside the files."""
        return {
            "budget": self.budget,
            "best_effort": self.best_effort,
            "currency_code": self.currency.upper(),
            "mean_ranking": self.budget is None,
            "samples": self.samples,
            "time_limit_s": self.time_limit_s,
            "reasons": self.explain,
        }

    def offers(self, found: TargetInput) -> response.Customers:
        """The customers, with the one price and the fixed payment of options that are given."""
        its = found.said.customers
        if self.price is not None:
            its = replace(its, price_per_kwh=[self.price])
        if self.fixed_payment is not None:
            its = replace(its, fixed_payment=[self.fixed_payment])
        return its


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What to write, and whether to print JSON."""

    out: Path | None = None
    plot: Path | None = None
    as_json: bool = False

    def check(self) -> None:
        """Ends the program if a file could not be written in the end."""
        check_output("--out", self.out, TABLE_SUFFIXES)
        check_output("--plot", self.plot, SUFFIXES)


def need(
    place: Place,
    history: Path,
    network: Path,
    temperature: Path | None,
    span: Span,
    days_ahead: int,
    confidence: float,
    holidays: Sequence[str],
    outputs: Outputs,
    *,
    drivers: Sequence[Path] = (),
    cooling_drivers: Sequence[Path] = (),
) -> None:
    """Foretells the needs of nodes from their past loads, and tells and writes them."""
    place.check()
    outputs.check()
    curves, nodes = read_history(history, network, span)
    air = read_temperature(temperature, span.zone)
    known = dict(zip(nodes.names, cast("np.ndarray", nodes.rating_kw).tolist(), strict=True))
    wishes: ForecastWishes = {
        "days_ahead": days_ahead,
        "confidence": confidence,
        "holidays": holidays,
    }
    if air is not None:
        begin, end = curves.grid.boundaries[0], curves.grid.boundaries[-1]
        most = days_ahead * _day_count(curves.grid.steps[0])
        wishes["temperature_c"] = between(air, begin, end)
        wishes["temperature_ahead_c"] = between(air, end, None)[:most]
    its = curves, days_ahead, span.zone
    wishes["drivers"] = [
        read_driver(file, *its, per_degree=per_degree)
        for files, per_degree in ((drivers, False), (cooling_drivers, True))
        for file in files
    ]
    ratings = [known[name] for name in curves.names]
    with opened(place, of_option) as client:
        found = client.forecast_need(curves, ratings, **wishes)
    written = Written()
    written.add("Needs", outputs.out, lambda file: write_table(needs_table(found), file))
    tell(found.message, report.needs_report(found, known), as_json=outputs.as_json)
    written.tell()


def between(series: pd.Series, start: datetime, end: datetime | None) -> NDArray[np.float64]:
    """The values of a series from one instant until another, or to its end."""
    times = pd.DatetimeIndex(series.index)
    inside = times >= start
    if end is not None:
        inside &= times < end
    return series.to_numpy()[inside]


def needs_table(found: Needs) -> pd.DataFrame:
    """A row for each node and time ahead, as `target --needs` reads it."""
    columns = {
        name: getattr(found, name).T.stack()
        for name in ("mean_kw", "sd_kw", "overload_probability", "need_kw", "excess_kw")
    }
    return pd.DataFrame(columns).rename_axis(["node", "time"]).reset_index()


def target(place: Place, said: Targeting, outputs: Outputs) -> None:
    """Tells whom to call, and writes it."""
    place.check()
    outputs.check()
    question = said.read()
    with opened(place, question.trace) as client:
        found = client.plan_targets(
            question.network, said.offers(question), question.grid, **said.wishes()
        )
    written = Written()
    if found.exists:
        written.add("Calls", outputs.out, lambda f: write_table(found.calls.reset_index(), f))
        written.add("Chart", outputs.plot, lambda file: draw(found, question, file))
    tell(found.message, report.plan_report(found, said.currency.upper()), as_json=outputs.as_json)
    _end_without_plan(found)
    written.tell()


def draw(plan: TargetPlan, question: TargetInput, file: Path) -> None:
    """Writes the chart of a plan: its tree, and the loads of the nodes that need most."""
    write_event_chart(plan, file, question.parents, expected_loads(plan, question))


def expected_loads(plan: TargetPlan, question: TargetInput) -> list[EventLoad]:
    """The loads of the nodes that need most, with the event and without, where they are known.

    A forecast tells what exceeds the rating, and with it the load.
    """
    excess, ratings = question.network.need_kw, question.nodes.rating_kw
    if question.network.need_sd_kw is None or ratings is None:
        return []
    if not isinstance(excess, pd.DataFrame):
        return []
    saved = plan.node_figures["mean_kw"]
    worst = worst_interval(plan.node_figures).nlargest(LOADS_DRAWN, "need_kw")
    limits = dict(zip(question.nodes.names, ratings.tolist(), strict=True))
    without = {node: excess[node].to_numpy() + limits[node] for node in worst.index}
    return [
        EventLoad(
            title=str(node),
            grid=plan.grid,
            without_kw=load_kw,
            with_kw=load_kw - np.asarray(saved.loc[node]),
            start=0,
            stop=plan.grid.count,
            limit_kw=limits[node],
        )
        for node, load_kw in without.items()
    ]


def create(
    place: Place,
    said: Targeting,
    title: str,
    request_id: str,
    known: bool,
    fixed_from_share: float,
    outputs: Outputs,
) -> None:
    """Makes an event, and tells and writes its calls."""
    place.check()
    outputs.check()
    question = said.read()
    wishes: EventWishes = {
        **said.wishes(),
        "title": title,
        "request_id": request_id,
        "use_reliabilities": known,
        "fixed_from_share": fixed_from_share,
    }
    with opened(place, question.trace) as client:
        event = client.create_event(
            question.network, said.offers(question), question.grid, **wishes
        )
        written = Written()
        _write_calls(client, event, outputs, written)
    written.add("Chart", outputs.plot, lambda file: draw(event.plan, question, file))
    tell(event.message, report.event_report(event), as_json=outputs.as_json)
    written.tell()
    note(f"{event.name} is kept in {place.words}")


def answer(
    place: Place, said: str, file: Path | None, accept: Sequence[str], opt_out: Sequence[str],
    close: bool,
) -> None:  # fmt: skip
    """Records answers of a file, or of options, and tells how the calls stand."""
    place.check()
    answers = [] if file is None else tried(lambda: read_answers(file))
    answers += [Answer(customer=who, answer="accepted") for who in accept]
    answers += [Answer(customer=who, answer="opted out") for who in opt_out]
    if not answers and not close:
        raise fail(WRONG_INPUT, "give a file of answers, --accept, --opt-out or --close")
    with opened(place) as client:
        event = named(client, said, place)
        counts = client.record_answers(event, answers, close=close)
    note(f"{event.name}: {counts}")


def retarget(
    place: Place, said: str, reason: str, request_id: str, limit_s: float | None, outputs: Outputs
) -> None:
    """Plans the rest of an event anew, and tells and writes its calls."""
    place.check()
    outputs.check()
    check_time_limit(limit_s)
    with opened(place) as client:
        event = named(client, said, place)
        event = client.retarget_event(
            event, reason=reason, request_id=request_id, time_limit_s=limit_s
        )
        written = Written()
        _write_calls(client, event, outputs, written)
    written.add("Chart", outputs.plot, lambda file: write_event_chart(event.plan, file))
    tell(event.message, report.event_report(event), as_json=outputs.as_json)
    written.tell()


def calls(
    place: Place, said: str, states: Sequence[str], customer: str, follow: bool, after: int,
    out: Path | None,
) -> None:  # fmt: skip
    """Tells the calls of an event, or follows them as they change."""
    place.check()
    check_output("--out", out, TABLE_SUFFIXES)
    with opened(place) as client:
        event = named(client, said, place)
        if follow:
            note(f"Following the calls of {event.name}; Ctrl-C ends it")
            for call in client.watch_calls(event=event, customer=customer, after=after):
                Terminal().print(report.call_line(call), soft_wrap=True)
            return
        found = calls_frame(client.list_calls(event, [word.replace("-", " ") for word in states]))
    if customer:
        found = found.loc[found.index == customer]
    written = Written()
    written.add("Calls", out, lambda file: write_table(found.reset_index(), file))
    Terminal().print(report.calls_table(found, event.currency_code))
    written.tell()


def cancel(place: Place, said: str, reason: str) -> None:
    """Cancels an event."""
    place.check()
    with opened(place) as client:
        event = client.cancel_event(named(client, said, place), reason)
    note(f"{event.name} is {event.state}; {event.counts.cancelled:,} calls are cancelled")


def export(place: Place, said: str, out: Path | None, program_id: str) -> None:
    """Prints an event as OpenADR 3 objects, or writes them."""
    place.check()
    check_output("--out", out, (".json",))
    with opened(place) as client:
        event = named(client, said, place)
        found = client.export_event(event, program_id=program_id)
    whole = {
        "version": found.version,
        "program": json.loads(found.program),
        "events": [json.loads(one) for one in found.events],
    }
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    if out is None:
        print(text)
        return
    written = Written()
    written.add("OpenADR objects", out, lambda file: file.write_text(text, encoding="utf-8"))
    written.tell()


def show(place: Place, said: str, as_json: bool) -> None:
    """Tells an event."""
    place.check()
    with opened(place) as client:
        event = named(client, said, place)
    tell(event.message, report.event_report(event), as_json=as_json)


def list_events(place: Place) -> None:
    """Tells which events there are."""
    place.check()
    with opened(place) as client:
        found = list(client.list_events())
    if found:
        Terminal().print(report.events_table(found))
    note(f"{len(found)} events in {place.words}")


def named(client: Client, said: str, place: Place) -> Event:
    """The event of an id, or the newest of a title; ends the program if there is not one."""
    start = said.removeprefix(PREFIX).lower()
    known = list(client.list_events())
    found = [one for one in known if said and one.title == said][:1]
    if not found and len(start) >= ID_LETTERS:
        found = [one for one in known if one.name.startswith(PREFIX + start)]
    if len(found) != 1:
        many = f"{len(found)} events are" if found else "there is no event"
        told = f"{many} {said!r} in {place.words}; see `loadloom response event list`"
        raise fail(WRONG_INPUT, told)
    return client.get_event(found[0])


def _write_calls(client: Client, event: Event, outputs: Outputs, written: Written) -> None:
    if outputs.out is not None:
        table = calls_frame(client.list_calls(event)).reset_index()
        written.add("Calls", outputs.out, lambda file: write_table(table, file))


def _end_without_plan(found: TargetPlan) -> None:
    if not found.exists:
        raise typer.Exit(NO_PLAN)


def _day_count(step: object) -> int:
    """The number of steps in a day."""
    return round(pd.Timedelta("1D") / pd.Timedelta(step))  # type: ignore[arg-type] -- a timedelta
