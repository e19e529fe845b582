"""Every method is sent valid requests a little off: never UNKNOWN nor INTERNAL, in no part of them.

Mutating bytes, as the tests of the edge do, breaks the message sooner than it finds a fault behind
the parsing; these mutants are all messages.
"""

import random
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from loadloom.engine.guard.roles import TABLE
from loadloom.engine.settings import Limits
from loadloom.v1 import agency_pb2, common_pb2, orderly_pb2, response_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.wire.columns import Plans, decode_response
from tests.engine.mutants import mutant, singles
from tests.engine.services.agency_calls import (
    assess_request,
    chunks,
    curves,
    portfolio_request,
    purchase_request,
    settlement_request,
    sharing_request,
    sum_request,
)
from tests.engine.services.fleet_calls import fleet_request
from tests.engine.services.orderly_weeks import SHORT, Planner, planning, shortage, week_request
from tests.engine.services.response_calls import (
    accepts,
    event_request,
    problem_by_hand,
    problem_of_homes,
    readings,
)
from tests.models.dispatch.fleet.fleets import homes

FAULTS = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
FAULT_NUMBERS = {code.value[0] for code in FAULTS}

PATHS = [f"{service}/{name}" for service, methods in TABLE.items() for name in methods]
DISPATCH = "loadloom.v1.DispatchService/"
AGENT = "loadloom.v1.AgencyService/"
CALLER = "loadloom.v1.ResponseService/"
TURNS = {DISPATCH: 100, AGENT: 60, CALLER: 30}
"""The mutants of each method; of the others 15."""

LIMITS = Limits(intervals=2_000, points=50_000, solve_seconds=1.0)
"""Small enough for a request that is large by chance to be refused, or solved, in a moment."""


def site_request() -> pb.PlanDispatchRequest:
    """A site with all that a site can have."""
    request = pb.PlanDispatchRequest(detail=pb.PLAN_DETAIL_REASONS)
    request.grid.start_time.FromJsonString("2024-05-13T00:00:00Z")
    request.grid.step.seconds, request.grid.count = 3600, 4
    request.grid.time_zone = "Europe/Amsterdam"
    site, meter = request.site, request.site.meter
    meter.currency_code = "EUR"
    meter.buy_price_per_kwh.values.extend([0.1, -0.2, 0.3, 0.1])
    meter.sell_price_per_kwh.values.append(0.05)
    meter.import_limit_kw.values.append(20.0)
    site.loads.add(name="load").power_kw.values.extend([1.0, 2.0, 3.0, 4.0])
    plant = site.photovoltaics.add(name="roof", curtailable=True)
    plant.power_kw.values.extend([0.0, 5.0, 1.0, 0.0])
    for name in ("one", "two"):
        store = site.storages.add(name=name, charge_efficiency=0.9, initial_energy_kwh=1.0)
        store.self_discharge_per_h, store.wear_cost_per_kwh = 0.01, 0.01
        store.energy_max_kwh.values.append(5.0)
        store.charge_limit_kw.values.append(3.0)
        store.discharge_limit_kw.values.append(3.0)
        store.targets.add(min_kwh=1.0).time.seconds = request.grid.start_time.seconds + 4 * 3600
    return request


def one_store(request: pb.PlanDispatchRequest, turn: int) -> pb.PlanDispatchRequest:
    """Every other time a site for the kernel."""
    if turn % 2:
        del request.site.storages[1:]
    return request


def batch_request(turn: int) -> pb.BatchPlanDispatchRequest:
    """Two sites, on uneven steps every third time."""
    first, second = one_store(site_request(), turn), one_store(site_request(), turn)
    if turn % 3 == 0:
        uneven(first.grid)
    return pb.BatchPlanDispatchRequest(
        grid=first.grid, sites=[first.site, second.site], detail=first.detail
    )


def uneven(grid: common_pb2.TimeGrid) -> None:
    grid.ClearField("step")
    grid.ClearField("count")
    for seconds in (900, 1800, 3600, 7200):
        grid.steps.add(seconds=seconds)


def setup_message(turn: int) -> pb.StreamPlanDispatchRequest:
    request = site_request()
    if turn % 3 == 0:
        uneven(request.grid)
    meter = request.site.meter
    setup = pb.StreamSetup(grid=request.grid, buy_price_per_kwh=meter.buy_price_per_kwh)
    return pb.StreamPlanDispatchRequest(setup=setup)


def sites_message() -> pb.StreamPlanDispatchRequest:
    sites = pb.SiteBatch(key="k", site_count=2)
    for name in ("energy_max_kwh", "charge_limit_kw", "discharge_limit_kw"):
        matrix = getattr(sites, name)
        matrix.rows = matrix.cols = 1
        matrix.values.values.append(5.0)
    sites.load_kw.rows, sites.load_kw.cols = 2, 4
    sites.load_kw.values.values.extend(range(8))
    return pb.StreamPlanDispatchRequest(sites=sites)


def requests_of(path: str, turn: int, names: dict[str, str]) -> list[Message]:
    """Valid messages for a method, about the schedule and the operation that are there."""
    method = path.rpartition("/")[2]
    if method == "PlanDispatch":
        request = one_store(site_request(), turn)
        if turn % 3 == 0:
            uneven(request.grid)
        return [request]
    if method == "BatchPlanDispatch":
        return [batch_request(turn)]
    if method == "StreamPlanDispatch":
        return [setup_message(turn), sites_message(), sites_message()]
    if method == "CreateSchedule":
        return [week_request()]
    if method in WORKING:
        return list(WORKING[method]())
    kind = descriptor_pool.Default().FindMethodByName(path.replace("/", ".")).input_type
    message = GetMessageClass(kind)()
    for field, value in names.items():
        if field in kind.fields_by_name:
            setattr(message, field, value)
    if method in ("WaitOperation", "GetOperation", "CancelOperation", "DeleteOperation"):
        message.name = names["operation"]
    if method == "ListOperations":
        message.name = "operations"
    if method == "ReviseSchedule":
        message.shortage.CopyFrom(shortage(SHORT))
    return [message]


def correction_request() -> agency_pb2.CorrectSettlementRequest:
    name = f"settlements/{'0' * 32}"
    return agency_pb2.CorrectSettlementRequest(request_id="fix", name=name, curves=curves())


def need_request() -> response_pb2.ForecastNeedRequest:
    """Three weeks of a node, and its day ahead."""
    past = readings(["north"])
    request = response_pb2.ForecastNeedRequest(grid=past.grid, names=["north"], rating_kw=[2.0])
    load = past.curves.load_kw
    request.load_kw.rows, request.load_kw.cols = load.rows, load.cols
    request.load_kw.values.extend(load.values.values)
    return request


def measure_request() -> response_pb2.MeasureResponseRequest:
    """An evening of two homes, measured and paid."""
    request = response_pb2.MeasureResponseRequest(readings=readings(["anna", "bert"], 3.0, (1, 2)))
    grid = event_request().problem.grid
    request.start_time.CopyFrom(grid.start_time)
    request.end_time.seconds = grid.start_time.seconds + 2 * 3600
    request.terms.price_per_kwh.append(0.2)
    request.terms.currency_code = "EUR"
    return request


def small_fleet() -> Message:
    """A fleet with shared rows and a site of its own."""
    request = fleet_request(homes(6, 4, 1))
    request.sites.names.extend(f"home {number}" for number in range(6))
    request.sites.shared_rows.add(matrix="load_kw", rows=range(6)).factors.values.append(1.0)
    request.mixed_sites.add(node=1).site.CopyFrom(site_request().site)
    return request


WORKING = {
    "PlanFleet": lambda: [small_fleet()],
    "AggregateLoads": lambda: [sum_request()],
    "AggregateLoadStream": lambda: chunks(curves(), curves(((1, 1),), ("cora",)), users=True),
    "AssessPrices": lambda: [assess_request()],
    "ShareCost": lambda: [sharing_request()],
    "PlanPurchase": lambda: [purchase_request()],
    "FormPortfolio": lambda: [portfolio_request()],
    "CreateSettlement": lambda: [settlement_request()],
    "CorrectSettlement": lambda: [correction_request()],
    "ForecastNeed": lambda: [need_request()],
    "PlanTargets": lambda: [response_pb2.PlanTargetsRequest(problem=problem_of_homes(8, (4, 3)))],
    "CheckConfidence": lambda: [
        response_pb2.CheckConfidenceRequest(problem=problem_by_hand(), called=[0, 1], samples=100)
    ],
    "CreateEvent": lambda: [event_request()],
    "RecordAnswers": lambda: [
        response_pb2.RecordAnswersRequest(name=EVENT, answers=[accepts("home 01")])
    ],
    "RetargetEvent": lambda: [response_pb2.RetargetEventRequest(request_id="anew", name=EVENT)],
    "MeasureResponse": lambda: [measure_request()],
    "SettleEvent": lambda: [
        response_pb2.SettleEventRequest(request_id="pay", name=EVENT, readings=readings(["anna"]))
    ],
}
"""Valid messages for the methods of agencies and of response that work."""

EVENT = f"events/{'0' * 32}"


def sent(channel: grpc.Channel, path: str, messages: list[Message]) -> Iterator[int]:
    """The codes of all that comes of messages: of the call, of items, and of batches."""
    raw = [message.SerializeToString() for message in messages]
    try:
        if path == DISPATCH + "StreamPlanDispatch":
            for answer in channel.stream_stream(f"/{path}")(iter(raw), timeout=20):
                read = decode_response(answer)
                if isinstance(read, Plans) and read.error is not None:
                    yield read.error.code
        elif path.endswith("/AggregateLoadStream"):
            channel.stream_unary(f"/{path}")(iter(raw), timeout=20)
        elif path.endswith(("/StreamNotices", "/WatchOperation", "/WatchCalls")):
            next(channel.unary_stream(f"/{path}")(raw[0], timeout=0.2), None)
        else:
            limit_s = 0.5 if path.endswith("WaitOperation") else 20
            answer = channel.unary_unary(f"/{path}")(raw[0], timeout=limit_s)
            if path == DISPATCH + "BatchPlanDispatch":
                for item in pb.BatchPlanDispatchResponse.FromString(answer).items:
                    yield item.error.code
        yield grpc.StatusCode.OK.value[0]
    except grpc.RpcError as error:
        yield error.code().value[0]


def changed(messages: list[Message], generator: random.Random) -> list[Message]:
    """The messages, one or more of them a little off."""
    chosen = generator.randrange(len(messages))
    found = [
        mutant(message, generator) if index == chosen or generator.random() < 0.2 else message
        for index, message in enumerate(messages)
    ]
    return [without_reference(message) for message in found]


def without_reference(message: Message) -> Message:
    """The message, the textbook's road, which takes seconds to load, not asked for."""
    options = getattr(message, "options", None)
    asked = isinstance(options, common_pb2.SolveOptions) and options.method
    if asked == common_pb2.METHOD_REFERENCE:
        options.ClearField("method")
    return message


def faults(planner: Planner, operation: str, path: str, count: int) -> list[str]:
    """What a server answered with a fault of its own, of so many mutants sent to a method."""
    generator = random.Random(path)
    draft = planner.stub.ListSchedules(orderly_pb2.ListSchedulesRequest()).schedules
    names = {"user": "anna", "operation": operation}
    names |= {"name": draft[0].name, "schedule": draft[0].name} if draft else {}
    found, seen = [], set()
    for turn in range(count):
        messages = changed(requests_of(path, turn, names), generator)
        codes = set(sent(planner.channel, path, messages))
        seen |= codes
        if codes & FAULT_NUMBERS:
            found.append(f"{path}: {codes} of {messages}")
    assert seen
    return found


@pytest.fixture(scope="module")
def waiting(new_url) -> Iterator[tuple[Planner, str]]:
    """A planner with a schedule, and its operation, which waits for ever."""
    with planning(new_url("sqlite"), job_workers=0, limits=LIMITS) as planner:
        yield planner, planner.stub.CreateSchedule(week_request()).name


@pytest.mark.parametrize("path", PATHS)
def test_mutants_are_never_unknown_nor_internal(waiting, path):
    service = path.rpartition("/")[0] + "/"
    assert not faults(*waiting, path, TURNS.get(service, 15))


EVEN, UNEVEN = 1, 3
"""Turns of requests with one store."""

SINGLE = [("PlanDispatch", EVEN), ("StreamPlanDispatch", UNEVEN)]
SINGLE_TOO = [("PlanDispatch", UNEVEN), ("StreamPlanDispatch", EVEN)]
SINGLE_TOO += [("BatchPlanDispatch", EVEN), ("BatchPlanDispatch", UNEVEN)]


@pytest.mark.parametrize(
    ("method", "turn"),
    [*SINGLE, *(pytest.param(*row, marks=pytest.mark.slow) for row in SINGLE_TOO)],
)
def test_no_field_with_any_odd_value_is_a_fault_of_the_server(waiting, method, turn):
    planner, path = waiting[0], DISPATCH + method
    messages, found = requests_of(path, turn, {})[:2], []
    for index, message in enumerate(messages):
        for odd in singles(message):
            sending = [*messages[:index], without_reference(odd), *messages[index + 1 :]]
            if FAULT_NUMBERS & set(sent(planner.channel, path, sending)):
                found.append(str(odd))
    assert not found


@pytest.mark.parametrize("method", ["ShareCost", "CreateSettlement", "AggregateLoads"])
def test_no_field_of_the_agency_with_any_odd_value_is_a_fault_of_the_server(waiting, method):
    (message,) = WORKING[method]()
    channel, path = waiting[0].channel, AGENT + method
    assert not [str(odd) for odd in singles(message) if faulty(channel, path, odd)]


def faulty(channel: grpc.Channel, path: str, message: Message) -> bool:
    """Whether a server answers a message with a fault of its own."""
    return bool(FAULT_NUMBERS & set(sent(channel, path, [message])))


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_many_mutants_are_never_unknown_nor_internal(waiting, path):
    assert not faults(*waiting, path, 4_000 if path.startswith(DISPATCH) else 400)


def test_mutants_reach_beyond_the_parsing():
    """A mutator that broke everything, or nothing, would find nothing."""
    from loadloom.engine.convert import dispatch as convert
    from loadloom.engine.guard.refusal import Refusal

    generator, outcomes = random.Random(0), []
    for turn in range(300):
        request = mutant(one_store(site_request(), turn), generator)
        try:
            convert.parse(request, LIMITS)
            outcomes.append(True)
        except Refusal:
            outcomes.append(False)
    assert 0.2 < sum(outcomes) / len(outcomes) < 0.9
