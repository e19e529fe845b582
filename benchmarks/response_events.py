"""Events over gRPC: how soon a call list stands again after customers have opted out."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import TypeVar

import grpc
import numpy as np

from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from benchmarks.response_instances import CONFIDENCE, OF_TRANSFORMER, nested
from benchmarks.response_runs import Wrong
from benchmarks.servers import LOADLOOM, running, settle
from loadloom.models.response.events import Answers, State, retargeted, size_variance
from loadloom.models.response.problem import NOT_CALLED, Problem
from loadloom.models.response.referee import figures
from loadloom.v1 import common_pb2
from loadloom.v1 import response_pb2 as pb
from loadloom.v1.response_pb2_grpc import ResponseServiceStub
from loadloom.wire.arrays import to_floats, to_matrix

TRANSFORMERS = {True: 2_000, False: 40}
"""In a whole run and in a quick look; 2,000 have 100,000 customers."""

RETARGET_S = 1.0

HOURS, PRICE_PER_KWH = 2, 0.4
"""Of the events of `response_instances`."""

OPTING_OUT, ACCEPTING = 0.1, 0.5
"""The shares of those who wait that answer before each new plan."""

PAGE = 10_000

STATES = {
    pb.CALL_STATE_PENDING: State.PENDING,
    pb.CALL_STATE_ACCEPTED: State.ACCEPTED,
    pb.CALL_STATE_OPTED_OUT: State.OPTED_OUT,
    pb.CALL_STATE_CANCELLED: State.PENDING,
}

T = TypeVar("T")


def retarget(effort: Effort) -> Findings:
    """On a hot evening a tenth of those who are called opt out, and the rest cannot wait.

    An event calls customers in a network in which transformers, feeders and substations need
    relief. Again and again some answer, half of those who wait with yes and a tenth with no, and
    the rest is planned anew. The time is from the call of RetargetEvent until its answer, the new
    list being on the disk; the referee judges it from the listed calls.
    """
    count = TRANSFORMERS[effort.budget_s >= FULL.budget_s]
    problem = nested(count)
    random = np.random.default_rng(0)
    seconds, solves, called = [], [], 0
    with running(LOADLOOM) as server, grpc.insecure_channel(server.address, OPTIONS) as channel:
        stub = ResponseServiceStub(channel)
        stub.CreateEvent(_asked(nested(OF_TRANSFORMER), "warm"), timeout=300)
        settle(server)
        create_s, made = _timed(lambda: stub.CreateEvent(_asked(problem, "big"), timeout=120))
        called = made.event.counts.pending
        for turn in range(max(2, min(5, effort.rounds))):
            waiting = [call for call in _calls(stub, made) if call.state == pb.CALL_STATE_PENDING]
            drawn = random.random(len(waiting))
            answers = [
                pb.Answer(
                    customer=call.customer,
                    state=pb.CALL_STATE_OPTED_OUT if draw < OPTING_OUT else pb.CALL_STATE_ACCEPTED,
                )
                for call, draw in zip(waiting, drawn.tolist(), strict=True)
                if draw < OPTING_OUT + ACCEPTING
            ]
            stub.RecordAnswers(pb.RecordAnswersRequest(name=made.event.name, answers=answers))
            before = _calls(stub, made)
            change = pb.RetargetEventRequest(name=made.event.name, request_id=f"turn {turn}")
            took_s, found = _timed(lambda c=change: stub.RetargetEvent(c, timeout=60))
            seconds.append(took_s)
            solves.append(found.event.plan.provenance.solve_time.ToNanoseconds() / 1e9)
            _judge(problem, before, _calls(stub, made), found.event.plan)
    customers = count * OF_TRANSFORMER
    table = Table(
        title=f"{customers:,} customers under {count:,} transformers",
        headings=("called", "create s", "new plans", "median s", "most s", "of which worker s"),
        rows=(
            (
                f"{called:,}",
                number(create_s),
                str(len(seconds)),
                number(median(seconds)),
                number(max(seconds)),
                number(median(solves)),
            ),
        ),
    )
    bar = Bar(
        what=f"the rest of {called:,} calls planned anew: most seconds",
        measured=max(seconds),
        limit=RETARGET_S,
        unit="s",
    )
    return Findings(tables=(table,), bars=(bar,))


OPTIONS = [("grpc.max_receive_message_length", -1)]


def _timed(ask: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    found = ask()
    return time.perf_counter() - begun, found


def _asked(problem: Problem, request_id: str) -> pb.CreateEventRequest:
    """A question of `response_instances` as the request for an event tomorrow."""
    network, offers = problem.network, problem.offers
    chance = np.broadcast_to(offers.acceptance, offers.cost.shape)[:, None]
    grid = common_pb2.TimeGrid(count=1, time_zone="Europe/Amsterdam")
    day = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    grid.start_time.FromSeconds(int(day.timestamp()) + 86_400)
    grid.step.seconds = HOURS * 3600
    asked = pb.TargetProblem(grid=grid, currency_code="EUR")
    asked.network.names.extend(map(network.name, range(network.count)))
    asked.network.parents.extend(network.parent.tolist())
    asked.network.need_kw.CopyFrom(to_matrix(network.need_kw))
    asked.network.confidence.append(CONFIDENCE)
    its = asked.customers
    its.names.extend(f"customer {place}" for place in range(problem.customers.count))
    its.nodes.extend(problem.customers.nodes.tolist())
    its.size_kw.CopyFrom(to_floats(offers.mean_kw / chance))
    spread = np.sqrt(size_variance(offers.mean_kw, offers.variance_kw2, chance))
    its.size_sd_kw.CopyFrom(to_floats(spread))
    its.acceptance.CopyFrom(to_floats(chance))
    its.price_per_kwh.append(PRICE_PER_KWH)
    its.contact_cost.extend(np.broadcast_to(offers.fixed_cost, offers.cost.shape).tolist())
    return pb.CreateEventRequest(request_id=request_id, problem=asked)


def _calls(stub: ResponseServiceStub, made: pb.CreateEventResponse) -> list[pb.Call]:
    """All calls of an event."""
    request, found = pb.ListCallsRequest(name=made.event.name, page_size=PAGE), []
    while True:
        page = stub.ListCalls(request)
        found.extend(page.calls)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def _judge(
    problem: Problem, before: list[pb.Call], after: list[pb.Call], plan: pb.TargetPlan
) -> None:
    """Checks a new call list against the question and the answers alone.

    Raises:
        Wrong: an answer was touched, or a need is neither met nor told to be out of reach.
    """
    count = problem.customers.count
    offer = np.full((2, count), NOT_CALLED, np.int32)
    state = np.full(count, State.PENDING, np.int8)
    answered = {}
    for row, calls in enumerate((before, after)):
        for call in calls:
            if call.state in {pb.CALL_STATE_PENDING, pb.CALL_STATE_ACCEPTED}:
                offer[row, call.place] = call.place
            if row == 0:
                state[call.place] = STATES[call.state]
                answered[call.place] = call.state
            elif answered.get(call.place) == pb.CALL_STATE_OPTED_OUT != call.state:
                raise Wrong(f"{call.customer} opted out and is called")
            elif answered.get(call.place) == pb.CALL_STATE_ACCEPTED != call.state:
                raise Wrong(f"{call.customer} accepted and is not called")
    said = Answers(state=state, accepted_kw=np.full(count, np.nan))
    left = retargeted(problem, offer[0], said)
    found = figures(left.problem, left.start(offer[1]))
    short = found.probability < left.problem.network.confidence - 1e-6
    told = {(need.node, need.interval) for need in plan.unsecured}
    wrong = [place for place in zip(*np.nonzero(short), strict=True) if tuple(place) not in told]
    if wrong:
        raise Wrong(f"{len(wrong)} needs are not met, such as {wrong[0]}")


SPECS = (
    BenchSpec(
        name="response-retarget",
        question="How soon is the rest of an event planned anew when customers opt out?",
        bar="some 30,000 calls among 100,000 customers: 1 s from call to answer, on the disk",
        run=retarget,
    ),
)
