"""The edge around every method of a real server."""

import logging
import random

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

SERVICES = (
    "loadloom.v1.DispatchService",
    "loadloom.v1.SystemService",
    "loadloom.v1.OperationEventService",
    "loadloom.v1.OrderlyService",
    "loadloom.v1.AgencyService",
    "loadloom.v1.ResponseService",
    "google.longrunning.Operations",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
)
ENDLESS = {"StreamNotices", "WatchCalls"}
"""Streams that say nothing for as long as nothing happens; their own tests send them such bytes."""

BYTES = (b"\xff", b"\x0a\xff", b"\x08", b"\x0a\x05\x0a\x03\xff\xff\xff", b"\x00" * 10)
FAULTS_OF_THE_SERVER = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}


def methods():
    pool = descriptor_pool.Default()
    for name in SERVICES:
        service = pool.FindServiceByName(name)
        for method in service.methods:
            if method.name not in ENDLESS:
                yield f"/{name}/{method.name}", method


METHODS = dict(methods())


def code_of(channel, path, *messages):
    """The status that a method ends with when it is sent bytes."""
    method = METHODS[path]
    try:
        if method.client_streaming and not method.server_streaming:
            channel.stream_unary(path)(iter(messages), timeout=20)
        elif method.client_streaming:
            list(channel.stream_stream(path)(iter(messages), timeout=20))
        elif method.server_streaming:
            call = channel.unary_stream(path)(messages[0], timeout=20)
            next(call)
            call.cancel()
        else:
            channel.unary_unary(path)(messages[0], timeout=20)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("path", METHODS)
def test_malformed_bytes_are_the_callers_fault(channel, path):
    assert code_of(channel, path, b"\x0a\xff") is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("path", METHODS)
def test_random_bytes_are_never_unknown_nor_internal(channel, path, request_one):
    generator = random.Random(path)
    whole = request_one.SerializeToString()
    seen = set()
    for _ in range(300):
        kind = generator.randrange(3)
        if kind == 0:
            raw = generator.randbytes(generator.randrange(1, 60))
        elif kind == 1:
            raw = generator.choice(BYTES) + generator.randbytes(4)
        else:
            raw = bytearray(whole)
            for _ in range(generator.randrange(1, 6)):
                raw[generator.randrange(len(raw))] = generator.randrange(256)
        seen.add(code_of(channel, path, bytes(raw)))
    assert not seen & FAULTS_OF_THE_SERVER


def test_a_method_that_is_not_there_is_unimplemented(channel):
    call = channel.unary_unary("/loadloom.v1.DispatchService/Guess")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_fault_of_ours_is_told_by_an_id_that_the_log_knows(
    stub, failure, request_one, monkeypatch, caplog
):
    """The one path that must not exist is made: the referee is given a plan that it refuses."""
    from loadloom.engine.answers import dispatch
    from loadloom.models.checks import Violation
    from loadloom.models.dispatch.referee import NO_COST, Verdict

    broken = [Violation("balance[3]", "does not add up")]
    refused = Verdict(cost=NO_COST, violations=broken, breaches=[])
    monkeypatch.setattr(dispatch.referee, "verdict", lambda *_: refused)
    with caplog.at_level(logging.ERROR, logger="loadloom"):
        told = failure(lambda: stub.PlanDispatch(request_one))
    assert told.code is grpc.StatusCode.INTERNAL
    (record,) = [r for r in caplog.records if r.getMessage() == "fault"]
    assert record.facts == {"error_id": told.facts["error_id"]}
    assert "balance[3]" in str(record.exc_info[1])


def test_every_call_is_logged_in_a_line_without_names(stub, request_one, caplog):
    request_one.site.name = "Mrs Smith"
    with caplog.at_level(logging.INFO, logger="loadloom"):
        stub.PlanDispatch(request_one)
    (record,) = [r for r in caplog.records if r.getMessage() == "call"]
    assert record.facts["method"] == "/loadloom.v1.DispatchService/PlanDispatch"
    assert record.facts["code"] == "OK"
    assert record.facts["road"] == "convex kernel"
    assert record.facts["reason"] == "optimal"
    assert record.facts["bytes_in"] == request_one.ByteSize()
    assert (record.facts["intervals"], record.facts["storages"]) == (24, 1)
    assert {"family", "objective", "gap", "seconds", "solve_s", "bytes_out"} <= set(record.facts)
    assert "Smith" not in str(record.facts)


def test_calls_are_counted_and_timed_by_method_and_code(engine, stub, request_one, failure):
    def count(code: str) -> float:
        labels = {"method": "/loadloom.v1.DispatchService/PlanDispatch", "code": code}
        return engine.metrics.registry.get_sample_value("loadloom_calls_total", labels) or 0.0

    good, bad = count("OK"), count("INVALID_ARGUMENT")
    stub.PlanDispatch(request_one)
    request_one.ClearField("site")
    failure(lambda: stub.PlanDispatch(request_one))
    assert (count("OK"), count("INVALID_ARGUMENT")) == (good + 1, bad + 1)
    assert engine.metrics.registry.get_sample_value("loadloom_calls_in_flight") == 0


def test_reflection_lists_the_services_and_finds_their_symbols(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICES[0]),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.Such"),
    ]
    services, symbol, missing = stub.ServerReflectionInfo(iter(asked))
    assert {s.name for s in services.list_services_response.service} == set(SERVICES)
    files = b"".join(symbol.file_descriptor_response.file_descriptor_proto)
    assert b"PlanDispatchRequest" in files
    assert b"loadloom/v1/common.proto" in files
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("service", ["", *SERVICES[:6]])
def test_health_is_told_by_service(channel, service):
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_health_of_no_service_is_not_found(channel, failure):
    stub = health_pb2_grpc.HealthStub(channel)
    told = failure(lambda: stub.Check(health_pb2.HealthCheckRequest(service="nobody")))
    assert told.code is grpc.StatusCode.NOT_FOUND
