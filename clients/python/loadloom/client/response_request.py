"""Requests to call customers made from what an operator says; every fault is found first."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime

from numpy.typing import ArrayLike

from loadloom.client import response
from loadloom.client.agency import Curves, CurvesLike, DataSet
from loadloom.client.agency_fields import Source, number, set_curves, set_source, set_time_limit
from loadloom.client.agency_money import minor_digits
from loadloom.client.grid import Grid
from loadloom.client.request import Reading, Times, check_names, grid_of, index_of, set_series
from loadloom.client.response import (
    BaselineRule,
    CustomersLike,
    Network,
    Place,
    ResponseLaw,
)
from loadloom.client.response_fields import (
    column,
    days,
    place_of,
    places_of,
    set_customers,
    set_instant,
    set_law,
    set_network,
    table,
)
from loadloom.client.response_wishes import (
    EventWishes,
    ForecastWishes,
    MeasureWishes,
    RestWishes,
    TargetWishes,
)
from loadloom.v1 import response_pb2 as pb


def forecast_request(
    loads: CurvesLike, rating_kw: ArrayLike, wishes: ForecastWishes
) -> pb.ForecastNeedRequest:
    """The request for the needs of nodes.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, ForecastWishes)
    curves, reading = Curves.of(loads), Reading(None)
    request = pb.ForecastNeedRequest(
        grid=curves.grid.message(),
        names=curves.names,
        days_ahead=wishes.get("days_ahead", 0),
        holidays=days(wishes.get("holidays", ()), "holidays", reading),
        quantiles=wishes.get("quantiles", ()),
        confidence=wishes.get("confidence", 0.0),
    )
    names = list(curves.names)
    table(request.load_kw, curves.load_kw, names, "loads", reading)
    request.rating_kw.extend(column(rating_kw, names, "rating_kw", reading))
    for name, times in (("temperature_c", curves.grid), ("temperature_ahead_c", None)):
        if (content := wishes.get(name)) is not None:
            its = Reading(times)  # the past and the days ahead have times of their own
            set_series(getattr(request, name), content, name, its)
            reading.violations += its.violations
    for place, driver in enumerate(wishes.get("drivers", ())):
        path = f"drivers[{place}]"
        target = request.drivers.add(name=driver.name, per_degree=driver.per_degree)
        table(target.past, driver.past, names, f"{path}.past", reading)
        table(target.ahead, driver.ahead, names, f"{path}.ahead", reading)
    if (method := wishes.get("method")) is not None:
        known = response.ForecastMethod
        request.method = number(
            pb.ForecastMethod, "FORECAST_METHOD_", method, known, "method", reading
        )
    reading.finish()
    return request


def plan_request(
    network: Network, customers: CustomersLike, times: Times, wishes: TargetWishes
) -> tuple[pb.PlanTargetsRequest, Grid]:
    """The request for the customers to call, and the grid.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, TargetWishes)
    request, reading = pb.PlanTargetsRequest(), Reading(None)
    grid = _set_question(request, network, customers, times, wishes, reading)
    reading.finish()
    return request, grid


def event_request(
    network: Network, customers: CustomersLike, times: Times, wishes: EventWishes
) -> pb.CreateEventRequest:
    """The request for an event.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, EventWishes)
    reading = Reading(None)
    request = pb.CreateEventRequest(
        request_id=wishes.get("request_id") or str(uuid.uuid4()),
        title=wishes.get("title", ""),
        use_reliabilities=wishes.get("use_reliabilities", False),
        program=wishes.get("program", ""),
        fixed_from_share=wishes.get("fixed_from_share", 0.0),
    )
    _set_question(request, network, customers, times, wishes, reading)
    if (until := wishes.get("answer_time")) is not None:
        set_instant(request.answer_time, until, "answer_time", reading)
    if (season := wishes.get("season")) is not None:
        request.season.call_max = season.call_max
        set_instant(request.season.start_time, season.start, "season.start", reading)
    reading.finish()
    return request


def _set_question(
    request: pb.PlanTargetsRequest | pb.CreateEventRequest,
    network: Network,
    customers: CustomersLike,
    times: Times,
    wishes: TargetWishes,
    reading: Reading,
) -> Grid:
    """Fills the question, what to tell and how to solve; gives the grid."""
    grid = set_problem(request.problem, network, customers, times, wishes, reading)
    names = {name: place for place, name in enumerate(request.problem.customers.names)}
    _set_detail(request, wishes, names, reading)
    return grid


def set_problem(
    target: pb.TargetProblem,
    network: Network,
    customers: CustomersLike,
    times: Times,
    wishes: TargetWishes,
    reading: Reading,
) -> Grid:
    """Fills the question of whom to call; gives the grid, which the needs may tell."""
    told = index_of(network.need_kw)
    grid = grid_of(network.need_kw if times is None and told is not None else times)  # type: ignore[arg-type] -- it says so itself if it has no index
    target.grid.CopyFrom(grid.message())
    set_network(target.network, network, reading)
    set_customers(target.customers, response.Customers.of(customers), network, reading)
    for place, quota in enumerate(wishes.get("quotas", ())):
        path = f"quotas[{place}].group"
        group = place_of(quota.group, _places(target.customers.group_names), path, reading)
        its = target.quotas.add(group=group, call_min=quota.call_min, cost_min=quota.cost_min)
        if quota.call_max is not None:
            its.call_max = quota.call_max
        if quota.cost_max is not None:
            its.cost_max = quota.cost_max
    if (budget := wishes.get("budget")) is not None:
        target.budget = budget
    target.best_effort = wishes.get("best_effort", False)
    target.currency_code = wishes.get("currency_code", "")
    return grid


def _set_detail(
    request: pb.PlanTargetsRequest | pb.CreateEventRequest | pb.RetargetEventRequest,
    wishes: TargetWishes | RestWishes,
    names: Mapping[str, int],
    reading: Reading,
) -> None:
    detail = request.detail
    detail.reasons.extend(places_of(wishes.get("reasons", ()), names, "reasons", reading))
    detail.mean_ranking = wishes.get("mean_ranking", False)
    detail.samples = wishes.get("samples", 0)
    if (reserves := wishes.get("reserve_count")) is not None:
        detail.reserve_count = reserves
    if (law := wishes.get("law")) is not None:
        set_law(detail.law, law, list(names), "law", reading)
    request.options.relative_gap = wishes.get("relative_gap", 0.0)
    request.options.seed = wishes.get("seed", 0)
    set_time_limit(request.options, wishes.get("time_limit_s"), reading)


def check_request(
    network: Network,
    customers: CustomersLike,
    times: Times,
    called: "Mapping[Place, int] | Iterable[Place]",
    law: ResponseLaw | None,
    samples: int,
    seed: int,
) -> tuple[pb.CheckConfidenceRequest, Grid]:
    """The request to check a choice: customers, or the level that each is offered.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    request, reading = pb.CheckConfidenceRequest(samples=samples, seed=seed), Reading(None)
    grid = set_problem(request.problem, network, customers, times, {}, reading)
    names = _places(request.problem.customers.names)
    request.called.extend(places_of(called, names, "called", reading))
    if isinstance(called, Mapping):
        request.levels.extend(called.values())
    if law is not None:
        set_law(request.law, law, list(names), "law", reading)
    reading.finish()
    return request, grid


def calls_request(name: str, states: Iterable[str], page_size: int) -> pb.ListCallsRequest:
    """The request for the calls of an event.

    Raises:
        InvalidRequest: a state is none.
    """
    request, reading = pb.ListCallsRequest(name=name, page_size=page_size), Reading(None)
    for place, word in enumerate(states):
        path, known = f"states[{place}]", response.CallWord
        request.states.append(number(pb.CallState, "CALL_STATE_", word, known, path, reading))
    reading.finish()
    return request


def answers_request(
    name: str, answers: "Mapping[str, str] | Iterable[response.Answer]", *, close: bool
) -> pb.RecordAnswersRequest:
    """The request to record answers.

    Raises:
        InvalidRequest: an answer is none.
    """
    request, reading = pb.RecordAnswersRequest(name=name, close=close), Reading(None)
    for place, one in enumerate(_answers(answers)):
        path, known = f"answers[{place}].answer", response.AnswerWord
        state = number(pb.CallState, "CALL_STATE_", one.answer, known, path, reading)
        request.answers.add(customer=one.customer, state=state, accepted_kw=one.accepted_kw)
    reading.finish()
    return request


def _answers(
    said: "Mapping[str, str] | Iterable[response.Answer]",
) -> Iterable[response.Answer]:
    if isinstance(said, Mapping):
        return [response.Answer(customer=who, answer=word) for who, word in said.items()]  # type: ignore[arg-type] -- `number` checks it
    return said


def retarget_request(
    name: str,
    need_kw: ArrayLike | None,
    reason: str,
    request_id: str,
    wishes: RestWishes,
) -> pb.RetargetEventRequest:
    """The request for a new plan of an event; customers in wishes are places.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    check_names(wishes, RestWishes)
    reading = Reading(None)
    request = pb.RetargetEventRequest(
        request_id=request_id or str(uuid.uuid4()), name=name, reason=reason
    )
    if need_kw is not None:
        table(request.need_kw, need_kw, [], "need_kw", reading)
    if (until := wishes.get("answer_time")) is not None:
        set_instant(request.answer_time, until, "answer_time", reading)
    _set_detail(request, wishes, {}, reading)
    reading.finish()
    return request


def measure_request(
    readings: Source,
    start: datetime,
    end: datetime,
    price_per_kwh: ArrayLike | None,
    currency_code: str,
    wishes: MeasureWishes,
) -> pb.MeasureResponseRequest:
    """The request to measure what customers delivered.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    request, reading = pb.MeasureResponseRequest(), Reading(None)
    _set_readings(request, readings, wishes, reading)
    set_instant(request.start_time, start, "start", reading)
    set_instant(request.end_time, end, "end", reading)
    if price_per_kwh is not None:
        names = list(request.readings.curves.names)
        prices = column(price_per_kwh, names, "price_per_kwh", reading)
        request.terms.price_per_kwh.extend(prices)
        request.terms.currency_code = currency_code
        request.terms.minor_digits = minor_digits(currency_code)
    reading.finish()
    return request


def settle_request(
    name: str,
    currency_code: str,
    readings: Source,
    request_id: str,
    wishes: MeasureWishes,
    *,
    allow_missing: bool = False,
) -> pb.SettleEventRequest:
    """The request to measure and pay an event; by its name alone the same one each time.

    Raises:
        InvalidRequest: what was said cannot be put into a request.
    """
    reading = Reading(None)
    request = pb.SettleEventRequest(
        request_id=request_id or f"settle {name}",
        name=name,
        minor_digits=minor_digits(currency_code),
        allow_missing=allow_missing,
    )
    _set_readings(request, readings, wishes, reading)
    reading.finish()
    return request


def _set_readings(
    request: pb.MeasureResponseRequest | pb.SettleEventRequest,
    said: Source,
    wishes: MeasureWishes,
    reading: Reading,
) -> None:
    check_names(wishes, MeasureWishes)
    target = request.readings
    grid = set_source(target, "curves", said, reading)
    for name in ("holidays", "event_days"):
        getattr(target, name).extend(days(wishes.get(name, ()), name, reading))
    if (temperature := wishes.get("temperature_c")) is not None:
        set_series(target.temperature_c, temperature, "temperature_c", reading)
    if (controls := wishes.get("controls")) is not None:
        own = set_curves(request.controls, controls, reading)
        if not isinstance(said, DataSet) and own.grid.boundaries != grid.boundaries:
            reading.fault("controls", "has other times than the readings")
    if (rule := wishes.get("rule")) is not None:
        _set_rule(request.rule, rule, reading)


def _set_rule(target: pb.BaselineRule, rule: BaselineRule, reading: Reading) -> None:
    method, adjustment = response.BaselineMethod, response.AdjustmentKind
    target.method = number(
        pb.BaselineMethod, "BASELINE_METHOD_", rule.method, method, "rule.method", reading
    )
    target.adjustment = number(
        pb.AdjustmentKind,
        "ADJUSTMENT_KIND_",
        rule.adjustment,
        adjustment,
        "rule.adjustment",
        reading,
    )
    for name in BaselineRule.__slots__:  # pyright: ignore[reportAttributeAccessIssue]
        value = getattr(rule, name)
        if name in ("method", "adjustment") or value is None:
            continue
        try:
            setattr(target, name, value)
        except (TypeError, ValueError) as error:
            reading.fault(f"rule.{name}", f"is {value!r}: {error}")


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}
