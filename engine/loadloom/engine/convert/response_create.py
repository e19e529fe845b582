"""Requests for events, completed and read; their calls, and what is left of them to plan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadloom.engine.answers.response_measure import within_a_day
from loadloom.engine.answers.response_settle import reliabilities
from loadloom.engine.convert import common, response
from loadloom.engine.convert.response import (
    RESERVES,
    Targeting,
    limited,
    question,
    task,
    wished,
    without_missing,
)
from loadloom.engine.convert.response_columns import table
from loadloom.engine.convert.response_detail import detail_of
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.store.event_accounts import Known
from loadloom.engine.store.event_rows import Stand
from loadloom.engine.store.event_tables import CallState
from loadloom.engine.store.events import NewCall
from loadloom.engine.task import Task
from loadloom.models.checks import Checks, InvalidProblem, Violation
from loadloom.models.response.events import Answers, State, retargeted
from loadloom.models.response.pay import HIGHEST_PRICE, payable
from loadloom.models.response.problem import NOT_CALLED, OfferArray
from loadloom.v1 import common_pb2
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_floats

RETARGET_S = 0.25
"""The longest time to search for a new plan of the rest of an event unless asked otherwise.

A quarter of the second in which that is to be done: some 20,000 calls are also read and written."""

MESSAGES, FLOAT_BYTES = 4, 8
"""The size of the request of an event that is kept, in that of the largest message; and that of a
number in it."""

LEAST_CHANCE = 1e-3
"""Prior probabilities are taken to be at least this far from 0 and 1 where history moves them."""

STATES = {
    CallState.PENDING: State.PENDING,
    CallState.ACCEPTED: State.ACCEPTED,
    CallState.OPTED_OUT: State.OPTED_OUT,
    CallState.NO_ANSWER: State.NO_ANSWER,
    CallState.CANCELLED: State.PENDING,
}
"""What a plan makes of the states of calls; one that was cancelled may be made again."""

LIVE = frozenset({CallState.PENDING, CallState.ACCEPTED})
"""The states of calls whose customers are reckoned with."""


def check_size(message: pb.CreateEventRequest, limits: Limits) -> None:
    """Checks that a request is not too large, also with what is known of its customers.

    Raises:
        Refusal: it is.
    """
    problem = message.problem
    response.check_size(problem, limits)
    if not message.use_reliabilities:
        return
    its, count = problem.customers, len(problem.customers.names)
    values = its.size_kw.cols + its.size_sd_kw.cols + len(its.price_per_kwh) + 1
    asked, most = message.ByteSize() + count * values * FLOAT_BYTES, MESSAGES * limits.message_bytes
    if asked > most:
        what = "bytes of an event with what is known of its customers"
        raise refusal.too_large("problem.customers", what, asked, most)


def write_known(
    message: pb.CreateEventRequest, known: dict[str, Known], called: dict[str, int]
) -> None:
    """Writes into a request what is known of its customers, as far as it asks for that.

    A request that does not make sense stays as it is, and is refused when it is read.

    Args:
        message: the request.
        known: what is known of customers.
        called: how often customers are called this season.
    """
    customers = message.problem.customers
    if message.HasField("season"):
        counts = np.array([called.get(name, 0) for name in customers.names], dtype=np.int64)
        left = np.maximum(0, message.season.call_max - counts)
        given = np.array(customers.calls_left, dtype=np.int64)
        if given.size in {0, 1, left.size}:
            left = np.minimum(left, given) if given.size else left
            customers.calls_left[:] = left.tolist()
    if message.use_reliabilities and known:
        _learn(customers, known, message.problem.grid)


def write_left(
    message: pb.CreateEventRequest, called: dict[str, int], standing: Sequence[int]
) -> None:
    """Writes into the request of an event how many calls its customers have left by now.

    Args:
        message: the request, completed when the event was made, with a season.
        called: how often customers are called this season, by this event too.
        standing: the places of those whom this event calls; their calls may stay.
    """
    customers = message.problem.customers
    counts = np.array([called.get(name, 0) for name in customers.names], dtype=np.int64)
    left = np.minimum(customers.calls_left, np.maximum(0, message.season.call_max - counts))
    left[list(standing)] = np.maximum(1, left[list(standing)])
    customers.calls_left[:] = left.tolist()


def _learn(
    customers: pb.ResponseCustomers, known: dict[str, Known], grid: common_pb2.TimeGrid
) -> None:
    """Writes what is known of customers in place of what the request assumes."""
    names, slots = customers.names, len(grid.steps) or grid.count
    count, levels = len(names), max(1, len(customers.price_per_kwh))
    checks = Checks()
    size_kw = table(checks, "", customers.size_kw, count, slots)
    acceptance, share, sd_kw = np.ones((1, 1)), np.ones(count), np.zeros((1, 1))
    if customers.HasField("acceptance"):
        acceptance = table(checks, "", customers.acceptance, count, levels, high=1.0)
    if customers.HasField("size_sd_kw"):
        sd_kw = table(checks, "", customers.size_sd_kw, count, slots)
    if len(customers.delivered_share) in {1, count}:
        share = np.broadcast_to(np.array(customers.delivered_share), (count,)).copy()
    if checks.violations:
        return
    rows = np.array([index for index, name in enumerate(names) if name in known], dtype=np.int64)
    if not rows.size:
        return
    found = reliabilities([names[row] for row in rows.tolist()], known, ())
    cols = max(size_kw.shape[1], sd_kw.shape[1])
    size_kw = np.broadcast_to(size_kw, (count, cols))
    sd_kw = np.broadcast_to(sd_kw, (count, cols)).copy()
    acceptance = np.broadcast_to(acceptance, (count, levels)).copy()
    share[rows] = np.maximum(0.0, found.share_mean)
    sd_kw[rows] = np.sqrt(found.share_variance)[:, None] * size_kw[rows]
    acceptance[rows] = moved(acceptance[rows], found.acceptance)
    customers.delivered_share[:] = share.tolist()
    customers.size_sd_kw.CopyFrom(to_floats(sd_kw))
    customers.acceptance.CopyFrom(to_floats(acceptance))


def moved(acceptance: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Probabilities of accepting at each level, (k, L), moved so that they agree with a rate, (k,).

    The logarithm of the odds moves by the same at all levels, so that a higher price stays better.
    """
    prior = np.clip(acceptance, LEAST_CHANCE, 1.0 - LEAST_CHANCE)
    odds = np.log(prior / (1.0 - prior))
    shift = np.log(rate / (1.0 - rate)) - odds.mean(axis=1)
    return 1.0 / (1.0 + np.exp(-(odds + shift[:, None])))


def parse(message: pb.CreateEventRequest, limits: Limits) -> Task[Targeting]:
    """What the plan of an event is asked for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    problem = message.problem
    if problem.HasField("customers") and not problem.customers.names:
        found.append(
            Violation("problem.customers.names", "are missing; customers called need them")
        )
    if not problem.currency_code:
        found.append(Violation("problem.currency_code", "is missing; events have prices"))
    for path, stamp in (
        ("answer_time", message.answer_time),
        ("season.start_time", message.season.start_time),
    ):
        if common.instant(stamp) is None:
            found.append(Violation(path, "must lie within the years 1 to 9999"))
    _check_settling(problem, limits, found)
    start, latest = problem.grid.start_time, message.answer_time
    late = (latest.seconds, latest.nanos) > (start.seconds, start.nanos)
    if message.HasField("answer_time") and late:
        found.append(Violation("answer_time", "must not be after the event has begun"))
    return task(
        message,
        problem,
        message.detail,
        message.options,
        limits,
        *found,
        reserve_count=RESERVES,
    )


def _check_settling(problem: pb.TargetProblem, limits: Limits, found: list[Violation]) -> None:
    """Notes what would keep the event from being measured or paid once it is over."""
    for name in ("price_per_kwh", "fixed_payment"):
        prices = np.array(getattr(problem.customers, name))
        for index in np.flatnonzero(~payable(prices)).tolist():
            path, price = f"problem.customers.{name}[{index}]", float(prices[index])
            said = f"is {price!r}; must be from 0 to {HIGHEST_PRICE:g}, with at most 6 decimals"
            found.append(Violation(path, said))
    axis = common.grid(problem.grid, limits)
    if axis.violations or axis.count is None:  # told with the rest of the question
        return
    start, end = axis.horizon.boundary(0), axis.horizon.boundary(axis.count)
    whole_minutes = all(each.second == each.microsecond == 0 for each in (start, end))
    if not (whole_minutes and within_a_day(start, end)):
        said = (
            f"is from {start:%Y-%m-%d %H:%M:%S %Z} to {end:%Y-%m-%d %H:%M:%S %Z}; must begin and "
            "end on whole minutes, a day apart at most by the clock, as it is measured by days"
        )
        found.append(Violation("problem.grid", said))


def new_calls(asked: Targeting, offer: OfferArray) -> list[NewCall]:
    """The calls that a plan makes."""
    problem, names = asked.problem, asked.problem.customers.names or ()
    called = np.flatnonzero(offer != NOT_CALLED)
    taken = offer[called]
    levels = asked.levels(taken)
    promised = asked.fixed_payment.tolist()
    whole = np.broadcast_to(asked.size_kw, (problem.customers.count, asked.size_kw.shape[1]))
    columns = zip(
        called.tolist(),
        levels.tolist(),
        asked.price_per_kwh[levels].tolist(),
        asked.mean_kw(whole[called]).tolist(),
        asked.mean_kw(problem.offers.mean_kw[taken]).tolist(),
        strict=True,
    )
    return [
        NewCall(
            place=place,
            customer=names[place],
            level=level,
            price_per_kwh=price,
            fixed_payment=promised[level],
            asked_kw=asked_kw,
            expected_kw=expected_kw,
        )
        for place, level, price, asked_kw, expected_kw in columns
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an event stands when its rest is planned anew.

    Attributes:
        request: what it was asked with, completed.
        stand: how its calls stand.
        need: the needs of its latest plan, if they are not those of the request.
        answer_time: until when answers are waited for from now on, in seconds since 1970.
        late: whether those who have not answered by now have no answer.
    """

    request: pb.CreateEventRequest
    stand: Stand
    need: common_pb2.Matrix | None
    answer_time: float
    late: bool


def parse_rest(
    message: pb.RetargetEventRequest, limits: Limits, *, standing: Standing
) -> Task[Targeting]:
    """What is left to plan of an event.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    problem = pb.TargetProblem()
    problem.CopyFrom(standing.request.problem)
    if message.HasField("need_kw"):
        problem.network.need_kw.CopyFrom(message.need_kw)
    elif standing.need is not None:
        problem.network.need_kw.CopyFrom(standing.need)
    found: list[Violation] = []
    wishes = wished(message.options, found, RETARGET_S)
    faults: list[Violation] = []
    asked = question(problem, limits, faults)
    found.extend(replace_path(fault, "problem.network.need_kw", "need_kw") for fault in faults)
    checks = Checks()
    count = 1 if asked is None else asked.problem.customers.count
    detail = detail_of(checks, message.detail, count, RESERVES)
    found.extend(checks.violations)
    declared = common.declared(message)
    asked = common.accepted(asked, without_missing(found, declared), declared)
    left = _left(asked, standing.stand, late=standing.late)
    return limited(replace(left, detail=detail), wishes)


def replace_path(violation: Violation, path: str, name: str) -> Violation:
    """The violation, at `name` if it is at `path` or below."""
    return Violation(violation.path.replace(path, name), violation.message)


def _left(asked: Targeting, stand: Stand, *, late: bool) -> Targeting:
    """The question that is left once calls were answered; late, whoever did not has no answer."""
    problem, levels = asked.problem, asked.price_per_kwh.size
    count = problem.customers.count
    offer = np.full(count, NOT_CALLED, np.int32)
    state = np.zeros(count, np.int8)
    accepted_kw = np.full(count, np.nan)
    if stand.place:
        place = np.array(stand.place)
        state[place] = [STATES[each] for each in stand.state]
        live = np.array([each in LIVE for each in stand.state])
        if late:
            silent = np.array([each is CallState.PENDING for each in stand.state])
            state[place[silent]] = State.NO_ANSWER
            live &= ~silent
        offer[place] = np.where(live, place * levels + np.array(stand.level), NOT_CALLED)
        told_kw = np.array(stand.accepted_kw, dtype=np.float64)  # None becomes NaN
        accepted_kw[place] = told_kw * asked.shares[place]
    try:
        hours = asked.horizon.step_h
        answers = Answers(state=state, accepted_kw=accepted_kw, hours=hours)
        left = retargeted(problem, offer, answers)
    except InvalidProblem as error:  # rows of the store make a problem that fits
        raise ValueError(f"the calls of an event do not fit it: {error}") from error
    return replace(asked, problem=left.problem, origin=left.origin)
