"""Every method of a real server, for every role, and for callers of another tenant."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.longrunning import operations_pb2 as longrunning
from google.longrunning.operations_pb2_grpc import OperationsStub
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc

from loadloom.engine.guard import tokens
from loadloom.engine.guard.roles import LEAST, RANK, Role
from loadloom.engine.server import NAMES
from loadloom.v1 import agency_pb2, dispatch_fleet_pb2, operations_pb2, response_pb2
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.agency_pb2_grpc import AgencyServiceStub
from loadloom.v1.orderly_pb2_grpc import OrderlyServiceStub
from loadloom.v1.response_pb2_grpc import ResponseServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub
from tests.engine.services.agency_calls import curves, settlement_request
from tests.engine.services.orderly_weeks import MONDAY, Planner, planning
from tests.engine.services.response_calls import event_calling, opts_out, readings
from tests.pace import slowness

TENANT, OTHER = "park", "mill"
MEMBER, NEIGHBOUR = "anna", "bert"

DENIED, GONE = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
BAD = grpc.StatusCode.INVALID_ARGUMENT
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED

METHODS = {
    f"/{name}/{method.name}": method
    for name in NAMES
    for method in descriptor_pool.Default().FindServiceByName(name).methods
}


def may(role: Role, path: str) -> bool:
    """What the design says, in words of its own."""
    name = path.rsplit("/", 1)[1]
    if name in {"AcknowledgeNotice", "RecordAnswers"} and role is not Role.MEMBER:
        return role in {Role.OPERATOR, Role.ADMIN}
    if name in {"GetSchedule", "ListSchedules", "StreamNotices", "ListNotices"} | {
        *("AcknowledgeNotice", "GetLedger", "GetSystemInfo"),
        *("GetSettlement", "ListSettlements", "GetStatement"),
        *("GetEvent", "ListEvents", "ListCalls", "RecordAnswers", "WatchCalls", "ListPayments"),
    }:
        return True
    if name in {
        *("GetOperation", "ListOperations", "WaitOperation", "WatchOperation", "ExplainSchedule"),
        *("ListStatements", "ListSitePlans", "ExportEvent", "ListReliabilities"),
        "GetEventSettlement",
    }:
        return role is not Role.MEMBER
    if "PlanDispatch" in name or name in {
        *("CreateSchedule", "ReviseSchedule", "CancelOperation"),
        *("AggregateLoads", "AggregateLoadStream", "AssessPrices", "ShareCost", "PlanPurchase"),
        *("FormPortfolio", "PlanFleet", "ForecastNeed", "PlanTargets", "CheckConfidence"),
        "MeasureResponse",
    }:
        return role in {Role.SUBMITTER, Role.OPERATOR, Role.ADMIN}
    if name == "DeleteOperation":
        return role is Role.ADMIN
    return role in {Role.OPERATOR, Role.ADMIN}


def call(channel: grpc.Channel, path: str, raw: bytes, secret: str | None) -> grpc.StatusCode:
    """The status that a call ends with; a stream's first answer is enough."""
    method, metadata = METHODS[path], ()
    if secret is not None:
        metadata = (("authorization", f"Bearer {secret}"),)
    try:
        if method.client_streaming and not method.server_streaming:
            channel.stream_unary(path)(iter([raw]), timeout=20, metadata=metadata)
        elif method.client_streaming:
            list(channel.stream_stream(path)(iter([raw]), timeout=20, metadata=metadata))
        elif method.server_streaming:
            answers = channel.unary_stream(path)(raw, timeout=2 * slowness(), metadata=metadata)
            next(answers)
            answers.cancel()
        else:
            channel.unary_unary(path)(raw, timeout=20, metadata=metadata)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@dataclass
class Guarded:
    """A server with tokens, and a schedule of one tenant that is announced."""

    planner: Planner
    secrets: dict[str, str]
    schedule: pb.WeeklySchedule
    operation: str
    notices: list[pb.Notice]
    settlement: agency_pb2.Settlement
    event: response_pb2.ResponseEvent

    @property
    def channel(self) -> grpc.Channel:
        return self.planner.channel

    def stub(self, who: str) -> OrderlyServiceStub:
        return OrderlyServiceStub(bearing(self.channel, self.secrets[who]))

    def agency(self, who: str) -> AgencyServiceStub:
        return AgencyServiceStub(bearing(self.channel, self.secrets[who]))

    def events(self, who: str) -> ResponseServiceStub:
        return ResponseServiceStub(bearing(self.channel, self.secrets[who]))


def bearing(channel: grpc.Channel, secret: str) -> grpc.Channel:
    """The channel, whose calls bear a token."""
    return grpc.intercept_channel(channel, Bearing(secret))


class Bearing(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds a token to calls."""

    def __init__(self, secret: str) -> None:
        self.metadata = (("authorization", f"Bearer {secret}"),)

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(details._replace(metadata=self.metadata), request)

    intercept_unary_stream = intercept_unary_unary


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Guarded]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    file = folder / "tokens"
    secrets = {
        f"{role}@{tenant}": tokens.make(file, role, tenant, MEMBER if role is Role.MEMBER else "")
        for role in Role
        for tenant in (TENANT, OTHER)
    }
    with planning(f"sqlite:///{folder}/db", token_hashes=file) as planner:
        plain = planner.channel
        planner.channel = bearing(plain, secrets[f"operator@{TENANT}"])
        planner.stub = OrderlyServiceStub(planner.channel)
        planner.operations = OperationsStub(planner.channel)
        schedule = planner.published()
        listed = planner.operations.ListOperations(longrunning.ListOperationsRequest())
        planner.clock.time = MONDAY - timedelta(days=2)
        notices = [notice for notice in planner.notices(schedule.name) if notice.number]
        settled = AgencyServiceStub(planner.channel).CreateSettlement(settlement_request())
        events = ResponseServiceStub(planner.channel)
        event = events.CreateEvent(event_calling(MEMBER, NEIGHBOUR), timeout=120).event
        planner.channel = plain
        operation = listed.operations[0].name
        yield Guarded(planner, secrets, schedule, operation, notices, settled.settlement, event)


def test_every_method_of_every_service_is_in_the_table():
    assert LEAST.keys() == METHODS.keys()


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_call_what_it_may(guarded, path, role):
    # Bytes that are no message: whoever is let in is told so.
    code = call(guarded.channel, path, b"\x0a\xff", guarded.secrets[f"{role}@{TENANT}"])
    assert code is (BAD if may(role, path) else DENIED)


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("secret", [None, "", "loadloom_000000000000_x", "\x7e" * 300])
def test_without_a_known_token_nobody_may_call_anything(guarded, path, secret):
    assert call(guarded.channel, path, b"", secret) is UNKNOWN


def test_the_reason_and_the_role_that_may_are_told(guarded, failure):
    told = failure(lambda: guarded.stub(f"viewer@{TENANT}").PublishSchedule(publication(guarded)))
    assert (told.code, told.reason) == (DENIED, "ROLE_LACKS")
    assert told.facts == {"role": "viewer", "least": "operator"}
    told = failure(lambda: OrderlyServiceStub(guarded.channel).GetLedger(pb.GetLedgerRequest()))
    assert (told.code, told.reason) == (UNKNOWN, "TOKEN_MISSING")
    wrong = bearing(guarded.channel, guarded.secrets[f"admin@{TENANT}"] + "x")
    told = failure(lambda: OrderlyServiceStub(wrong).GetLedger(pb.GetLedgerRequest()))
    assert (told.code, told.reason) == (UNKNOWN, "TOKEN_UNKNOWN")


def publication(guarded: Guarded) -> pb.PublishScheduleRequest:
    return pb.PublishScheduleRequest(name=guarded.schedule.name, revision=1)


def test_health_asks_for_no_token_and_reflection_is_off(guarded):
    status = health_pb2_grpc.HealthStub(guarded.channel).Check(health_pb2.HealthCheckRequest())
    assert status.status == health_pb2.HealthCheckResponse.SERVING
    reflect = guarded.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(reflect(iter([b""]), timeout=20))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def about(guarded: Guarded) -> dict[str, bytes]:
    """Requests that name what belongs to one tenant, by method."""
    name, operation = guarded.schedule.name, guarded.operation
    settlement, event = guarded.settlement.name, guarded.event.name
    notice = next(notice for notice in guarded.notices if notice.user == MEMBER)
    week = pb.ReviseScheduleRequest(name=name)
    week.shortage.shortage_kw.values.append(0.0)
    week.shortage.unserved_price_per_kwh = 100.0
    deliveries = [pb.Delivery(user=MEMBER, day=0, first_slot=6, energy_kwh=1.0)]
    found = {
        "GetSchedule": pb.GetScheduleRequest(name=name),
        "DeleteSchedule": pb.DeleteScheduleRequest(name=name),
        "PublishSchedule": pb.PublishScheduleRequest(name=name, revision=1),
        "ConfirmDay": pb.ConfirmDayRequest(name=name, day=1),
        "ReviseSchedule": week,
        "ExplainSchedule": pb.ExplainScheduleRequest(name=name),
        "StreamNotices": pb.StreamNoticesRequest(schedule=name),
        "ListNotices": pb.ListNoticesRequest(schedule=name),
        "AcknowledgeNotice": pb.AcknowledgeNoticeRequest(number=notice.number, user=MEMBER),
        "RecordDelivery": pb.RecordDeliveryRequest(name=name, deliveries=deliveries),
        "SettleSchedule": pb.SettleScheduleRequest(name=name),
        "ListSitePlans": dispatch_fleet_pb2.ListSitePlansRequest(operation=operation),
        "WatchOperation": operations_pb2.WatchOperationRequest(name=operation),
        "GetOperation": longrunning.GetOperationRequest(name=operation),
        "WaitOperation": longrunning.WaitOperationRequest(name=operation),
        "CancelOperation": longrunning.CancelOperationRequest(name=operation),
        "DeleteOperation": longrunning.DeleteOperationRequest(name=operation),
        "CorrectSettlement": agency_pb2.CorrectSettlementRequest(
            request_id="fix", name=settlement, curves=curves()
        ),
        "GetSettlement": agency_pb2.GetSettlementRequest(name=settlement),
        "ListStatements": agency_pb2.ListStatementsRequest(name=settlement),
        "GetStatement": agency_pb2.GetStatementRequest(name=settlement, user=MEMBER),
        "GetEvent": response_pb2.GetEventRequest(name=event),
        "ListCalls": response_pb2.ListCallsRequest(name=event),
        "RecordAnswers": response_pb2.RecordAnswersRequest(name=event, answers=[opts_out(MEMBER)]),
        "WatchCalls": response_pb2.WatchCallsRequest(event=event),
        "ExportEvent": response_pb2.ExportEventRequest(name=event),
        "ImportReports": response_pb2.ImportReportsRequest(name=event, reports=["{}"]),
        "RetargetEvent": response_pb2.RetargetEventRequest(request_id="rest", name=event),
        "CancelEvent": response_pb2.CancelEventRequest(name=event),
        "SettleEvent": response_pb2.SettleEventRequest(
            request_id="paid", name=event, readings=readings([MEMBER])
        ),
        "GetEventSettlement": response_pb2.GetEventSettlementRequest(name=event),
        "ListPayments": response_pb2.ListPaymentsRequest(name=event),
    }
    return {method: request.SerializeToString() for method, request in found.items()}


NAMELESS = {
    *("PlanDispatch", "BatchPlanDispatch", "StreamPlanDispatch", "PlanFleet", "GetSystemInfo"),
    *("CreateSchedule", "ListSchedules", "ListOperations", "GetLedger"),
    *("AggregateLoads", "AggregateLoadStream", "AssessPrices", "ShareCost", "PlanPurchase"),
    *("FormPortfolio", "CreateSettlement", "ListSettlements"),
    *("ForecastNeed", "PlanTargets", "CheckConfidence", "MeasureResponse"),
    *("CreateEvent", "ListEvents", "ListReliabilities"),
}
"""Methods that name nothing that could be somebody else's."""


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("role", Role)
def test_what_belongs_to_another_tenant_does_not_exist(guarded, path, role):
    method = path.rsplit("/", 1)[1]
    requests = about(guarded)
    assert (method in requests) != (method in NAMELESS)
    if method in requests and may(role, path):
        code = call(guarded.channel, path, requests[method], guarded.secrets[f"{role}@{OTHER}"])
        assert code is GONE
        mine = call(guarded.channel, path, requests[method], guarded.secrets[f"viewer@{TENANT}"])
        assert mine is not GONE


@pytest.mark.parametrize("role", Role)
def test_lists_hold_nothing_of_another_tenant(guarded, role):
    stub = guarded.stub(f"{role}@{OTHER}")
    assert not stub.ListSchedules(pb.ListSchedulesRequest()).schedules
    settlements = guarded.agency(f"{role}@{OTHER}")
    listed = settlements.ListSettlements(agency_pb2.ListSettlementsRequest())
    assert not listed.settlements
    events = guarded.events(f"{role}@{OTHER}")
    assert not events.ListEvents(response_pb2.ListEventsRequest()).events
    ledger = stub.GetLedger(pb.GetLedgerRequest())
    assert not ledger.entries
    assert not ledger.fairness.user_count
    stream = stub.StreamNotices(pb.StreamNoticesRequest(), timeout=slowness())
    assert heard(stream) == []
    if role is not Role.MEMBER:
        operations = OperationsStub(bearing(guarded.channel, guarded.secrets[f"{role}@{OTHER}"]))
        assert not operations.ListOperations(longrunning.ListOperationsRequest()).operations


def heard(stream) -> list[pb.Notice]:
    """The notices of a stream until its time is over."""
    found = []
    with pytest.raises(grpc.RpcError) as caught:
        found.extend(answer.notice for answer in stream)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return found


def test_a_member_sees_its_own_side_alone(guarded, failure):
    stub, name = guarded.stub(f"member@{TENANT}"), guarded.schedule.name
    schedule = stub.GetSchedule(pb.GetScheduleRequest(name=name)).schedule
    assert list(schedule.users) == [MEMBER]
    assert not schedule.costs
    assert not schedule.certificate.ByteSize()
    assert not any(coverage.price_per_kwh.values for coverage in schedule.coverage)
    assert [figures.scope for figures in schedule.fairness] == [guarded.schedule.fairness[0].scope]
    own = {notice.number for notice in guarded.notices if notice.user == MEMBER}
    assert own
    listed = stub.ListNotices(pb.ListNoticesRequest(schedule=name)).notices
    assert {notice.user for notice in listed} == {MEMBER}
    streamed = heard(stub.StreamNotices(pb.StreamNoticesRequest(), timeout=2 * slowness()))
    assert {notice.number for notice in streamed} == own
    for asked in (
        lambda: stub.GetSchedule(pb.GetScheduleRequest(name=name, user=NEIGHBOUR)),
        lambda: stub.ListNotices(pb.ListNoticesRequest(schedule=name, user=NEIGHBOUR)),
        lambda: stub.GetLedger(pb.GetLedgerRequest(users=[MEMBER, NEIGHBOUR])),
        lambda: stub.AcknowledgeNotice(pb.AcknowledgeNoticeRequest(number=1, user=NEIGHBOUR)),
        lambda: next(stub.StreamNotices(pb.StreamNoticesRequest(user=NEIGHBOUR))),
    ):
        assert (failure(asked).code, failure(asked).reason) == (DENIED, "OTHER_USER")


def test_a_member_sees_its_own_statement_alone(guarded, failure):
    stub, name = guarded.agency(f"member@{TENANT}"), guarded.settlement.name
    own = agency_pb2.GetStatementRequest(name=name)
    assert stub.GetStatement(own).statement.user == MEMBER
    other = agency_pb2.GetStatementRequest(name=name, user=NEIGHBOUR)
    told = failure(lambda: stub.GetStatement(other))
    assert (told.code, told.reason) == (DENIED, "OTHER_USER")
    pages = agency_pb2.ListStatementsRequest(name=name)
    assert failure(lambda: stub.ListStatements(pages)).code is DENIED
    seen = stub.GetSettlement(agency_pb2.GetSettlementRequest(name=name)).settlement
    whole = guarded.agency(f"viewer@{TENANT}").GetSettlement(
        agency_pb2.GetSettlementRequest(name=name)
    )
    assert seen.bill_minor == whole.settlement.bill_minor
    assert whole.settlement.notes
    assert not seen.notes
    listed = stub.ListSettlements(agency_pb2.ListSettlementsRequest()).settlements
    assert [one.name for one in listed] == [name]


def test_a_member_sees_nothing_that_may_name_others(guarded):
    operator, member = guarded.agency(f"operator@{OTHER}"), guarded.agency(f"member@{OTHER}")
    # By energy the neighbour pays 0.92 for what would cost it 0.8 alone, and prepaid 0.84.
    request = settlement_request("with names", curves=curves(((3, 0), (1, 1))))
    request.terms.highest_price_per_kwh.values[0] = 0.42
    request.terms.rule = agency_pb2.SHARING_RULE_ENERGY
    request.terms.sharing.report = True
    first = operator.CreateSettlement(request).settlement
    assert NEIGHBOUR in {owing.user for owing in first.negative_refunds}
    assert list(first.report.coalition) == [NEIGHBOUR]
    correction = agency_pb2.CorrectSettlementRequest(
        request_id="names again", name=first.name, reason=f"the meter of {NEIGHBOUR}"
    )
    correction.curves.CopyFrom(request.curves)
    second = operator.CorrectSettlement(correction).settlement
    for made in (first, second):
        seen = member.GetSettlement(agency_pb2.GetSettlementRequest(name=made.name)).settlement
        assert seen.bill_minor == made.bill_minor
        assert seen.report.complaint == made.report.complaint
        assert NEIGHBOUR not in str(seen)
    listed = member.ListSettlements(agency_pb2.ListSettlementsRequest()).settlements
    assert {first.name, second.name} <= {one.name for one in listed}
    assert NEIGHBOUR not in str(listed)
    assert second.reason.endswith(NEIGHBOUR)


def test_a_member_knows_only_settlements_that_it_takes_part_in(guarded, failure):
    others = settlement_request("others", curves=curves(((1, 1),), (NEIGHBOUR,)))
    name = guarded.agency(f"operator@{TENANT}").CreateSettlement(others).settlement.name
    stub = guarded.agency(f"member@{TENANT}")
    asked = agency_pb2.GetSettlementRequest(name=name)
    assert failure(lambda: stub.GetSettlement(asked)).code is GONE
    own = agency_pb2.GetStatementRequest(name=name)
    assert failure(lambda: stub.GetStatement(own)).code is GONE
    listed = stub.ListSettlements(agency_pb2.ListSettlementsRequest()).settlements
    assert name not in {one.name for one in listed}


def test_a_request_id_is_each_tenants_own(guarded):
    mine = guarded.agency(f"operator@{TENANT}").CreateSettlement(settlement_request("shared"))
    other = guarded.agency(f"operator@{OTHER}")
    theirs = other.CreateSettlement(settlement_request("shared", title="other"))
    assert mine.settlement.name != theirs.settlement.name
    assert theirs.settlement.title == "other"


def test_a_member_does_not_know_of_schedules_that_are_not_announced(guarded, failure):
    operator = guarded.stub(f"operator@{TENANT}")
    metadata = (("authorization", f"Bearer {guarded.secrets[f'operator@{TENANT}']}"),)
    made = operator.CreateSchedule(guarded.planner.request())
    OperationsStub(guarded.channel).WaitOperation(
        longrunning.WaitOperationRequest(name=made.name), timeout=60, metadata=metadata
    )
    known = {found.name for found in operator.ListSchedules(pb.ListSchedulesRequest()).schedules}
    draft = (known - {guarded.schedule.name}).pop()
    member = guarded.stub(f"member@{TENANT}")
    seen = member.ListSchedules(pb.ListSchedulesRequest()).schedules
    assert [found.name for found in seen] == [guarded.schedule.name]
    assert failure(lambda: member.GetSchedule(pb.GetScheduleRequest(name=draft))).code is GONE


def test_each_tenant_numbers_its_own_notices_and_reads_its_own_ledger(guarded):
    clock = guarded.planner.clock
    before = clock.time
    try:
        other = guarded.stub(f"operator@{OTHER}")
        metadata = (("authorization", f"Bearer {guarded.secrets[f'operator@{OTHER}']}"),)
        clock.time = MONDAY - timedelta(days=10)
        made = other.CreateSchedule(guarded.planner.request())
        ended = OperationsStub(guarded.channel).WaitOperation(
            longrunning.WaitOperationRequest(name=made.name), timeout=60, metadata=metadata
        )
        schedule = pb.WeeklySchedule()
        assert ended.response.Unpack(schedule)
        other.PublishSchedule(pb.PublishScheduleRequest(name=schedule.name, revision=1))
        clock.time = MONDAY + timedelta(days=8)
        other.SettleSchedule(pb.SettleScheduleRequest(name=schedule.name, missing_as_zero=True))
        assert {entry.schedule for entry in other.GetLedger(pb.GetLedgerRequest()).entries} == {
            schedule.name
        }
        assert not guarded.stub(f"viewer@{TENANT}").GetLedger(pb.GetLedgerRequest()).entries
        member = guarded.stub(f"member@{OTHER}").GetLedger(pb.GetLedgerRequest())
        assert [entry.user for entry in member.entries] == [MEMBER]
        assert member.fairness.user_count == 4
        streamed = heard(other.StreamNotices(pb.StreamNoticesRequest(), timeout=2 * slowness()))
        assert [notice.number for notice in streamed] == list(range(1, len(streamed) + 1))
        assert {notice.schedule for notice in streamed} == {schedule.name}
    finally:
        clock.time = before


def test_ranks_go_from_the_member_to_the_admin():
    ranked = [Role.MEMBER, Role.VIEWER, Role.SUBMITTER, Role.OPERATOR, Role.ADMIN]
    assert sorted(Role, key=RANK.__getitem__) == ranked


def test_system_info_is_for_all_who_are_known(guarded):
    stub = SystemServiceStub(bearing(guarded.channel, guarded.secrets[f"member@{OTHER}"]))
    assert "orderly" in stub.GetSystemInfo(GetSystemInfoRequest()).families
