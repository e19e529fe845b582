"""Servers and clients in processes of their own measure what they say."""

import pytest

from benchmarks import instances, service
from benchmarks.client_report import Report, heard, told
from benchmarks.harness import Unrefereed
from benchmarks.peers.pyomo_service import plan, problem_of
from benchmarks.servers import LOADLOOM, PYOMO, cpu_seconds, running
from benchmarks.unary_client import GRID, judge_plan, spoken
from loadloom.client.client import Client
from loadloom.client.plan import Plan
from loadloom.client.request import plan_request
from loadloom.v1.dispatch_pb2 import PlanDispatchResponse

HOME = instances.street_batch(1, seed=3).site(0)


def test_a_report_survives_its_line():
    report = Report(
        sites=3, wall_s=0.5, cpu_s=0.25, latencies_s=(0.1, 0.2), gap=1e-9, broken=("a", "b")
    )
    assert heard(told(report)) == report


def test_a_broken_report_gives_no_pace():
    report = Report(sites=3, wall_s=0.5, cpu_s=0.25, gap=0.0, broken=("batch 1 went astray",))
    kept = service._measured("x", [report])
    with pytest.raises(Unrefereed):
        _ = kept.median_wall_s
    assert service._quantile_ms(report, 99) != service._quantile_ms(report, 99)  # NaN


def test_the_pyomo_service_reads_what_our_client_writes():
    request, _ = plan_request(spoken(HOME), GRID, {})
    read = problem_of(request)
    assert read.net_load_kw.tolist() == HOME.net_load_kw.tolist()
    assert read.storages[0].targets[0].min_kwh == HOME.storages[0].targets[0].min_kwh
    answer = PlanDispatchResponse.FromString(plan(request.SerializeToString()))
    assert judge_plan(HOME, Plan(answer.plan, GRID)).sound


def test_the_pyomo_service_answers_our_client():
    with running(PYOMO) as server, Client(server.address) as client:
        assert judge_plan(HOME, client.plan_dispatch(spoken(HOME), GRID)).sound
        assert cpu_seconds(server.pid) > 0.5  # its workers import Pyomo
    assert server.ready_s > 0.0


def test_a_server_that_does_not_start_is_an_error():
    with pytest.raises(RuntimeError, match="ended with"), running(("benchmarks.no_such_server",)):
        pass


def test_streams_and_calls_to_the_engine_are_refereed():
    with running(LOADLOOM) as server:
        calls = service._report(service.UNARY, server, "--calls", "20")
        for words in ((), ("--stub",)):
            streamed = service._report(service.STREAM, server, "--batches", "2", *words)
            assert streamed.judgement.sound, streamed.broken
            assert streamed.sites == 2_000
    assert calls.judgement.sound, calls.broken
    assert len(calls.latencies_s) == 20
