"""One site and many sites, through a real server."""

import logging
import math

import grpc
import pytest

from loadloom.engine.answers import dispatch as answers
from loadloom.engine.convert import dispatch as convert
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb

DETAILS = [
    pb.PLAN_DETAIL_COST,
    pb.PLAN_DETAIL_SCHEDULE,
    pb.PLAN_DETAIL_VALUES,
    pb.PLAN_DETAIL_REASONS,
]


@pytest.mark.parametrize("detail", DETAILS)
def test_each_level_of_detail_adds_to_the_one_before(stub, request_one, detail):
    request_one.detail = detail
    plan = stub.PlanDispatch(request_one).plan
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_OPTIMAL
    assert plan.site_name == "home"
    assert plan.currency_code == "EUR"
    assert plan.HasField("schedule") == (detail >= pb.PLAN_DETAIL_SCHEDULE)
    assert plan.HasField("values") == (detail >= pb.PLAN_DETAIL_VALUES)
    assert bool(plan.certificate.duals) == (detail >= pb.PLAN_DETAIL_VALUES)
    assert bool(plan.reasons) == (detail >= pb.PLAN_DETAIL_REASONS)


def test_detail_left_out_means_the_schedule(stub, request_one):
    plan = stub.PlanDispatch(request_one).plan
    assert plan.HasField("schedule")
    assert not plan.HasField("values")


def test_the_costs_add_up_to_the_objective_and_the_saving(stub, request_one):
    plan = stub.PlanDispatch(request_one).plan
    items = {item.name: item.amount for item in plan.costs}
    assert list(items) == ["energy bought", "energy sold", "wear", "end value"]
    assert sum(items.values()) == pytest.approx(plan.certificate.objective, abs=1e-12)
    assert plan.saving == pytest.approx(plan.baseline_cost - plan.certificate.objective)
    assert plan.saving > 0
    assert plan.baseline_within_limits


def test_the_certificate_proves_the_plan_and_names_its_duals(stub, request_one):
    request_one.detail = pb.PLAN_DETAIL_VALUES
    plan = stub.PlanDispatch(request_one).plan
    certificate = plan.certificate
    assert certificate.bound <= certificate.objective
    assert certificate.relative_gap <= 1e-9
    assert certificate.proof == common_pb2.PROOF_DUAL
    duals = {dual.name: list(dual.values.values) for dual in certificate.duals}
    assert duals == {
        "site_value_per_kwh": list(plan.values.site_value_per_kwh.values),
        "stored_value_per_kwh/battery": list(plan.values.storages[0].stored_value_per_kwh.values),
    }


def test_the_origin_tells_digest_versions_and_times(stub, request_one):
    request_one.options.seed = 7
    origin = stub.PlanDispatch(request_one).plan.provenance
    assert len(bytes.fromhex(origin.request_digest)) == 32
    assert {version.name for version in origin.versions} >= {"loadloom", "numba"}
    assert (origin.seed, origin.threads) == (7, 1)
    assert origin.method == common_pb2.METHOD_KERNEL
    assert origin.road == "convex kernel"
    assert 0 < origin.solve_time.ToNanoseconds() < 10**9
    assert 0 < origin.queue_time.ToNanoseconds() < 10**10


def test_the_same_request_gets_the_same_plan(stub, request_one):
    one, other = (stub.PlanDispatch(request_one).plan for _ in range(2))
    for plan in (one, other):
        plan.provenance.ClearField("queue_time")
        plan.provenance.ClearField("solve_time")
    assert one == other


@pytest.mark.parametrize(
    "method",
    [
        common_pb2.METHOD_KERNEL,
        common_pb2.METHOD_LINEAR,
        common_pb2.METHOD_MIXED_INTEGER,
        common_pb2.METHOD_REFERENCE,
    ],
)
def test_every_method_finds_the_same_cost_and_is_named(stub, request_one, method):
    best = stub.PlanDispatch(request_one).plan.certificate.objective
    request_one.options.method = method
    plan = stub.PlanDispatch(request_one).plan
    assert plan.provenance.method == method
    assert plan.certificate.objective == pytest.approx(best, rel=1e-6, abs=1e-6)


def test_a_single_value_holds_for_every_interval(stub, request_one):
    spread = pb.PlanDispatchRequest()
    spread.CopyFrom(request_one)
    count = request_one.grid.count
    for series in (
        spread.site.loads[0].power_kw,
        spread.site.storages[0].energy_max_kwh,
        spread.site.meter.sell_price_per_kwh,
    ):
        series.values.extend([series.values[0]] * (count - 1))
    assert stub.PlanDispatch(spread).plan.schedule == stub.PlanDispatch(request_one).plan.schedule


def test_uneven_steps_and_targets_at_their_ends_are_kept(stub, request_one):
    grid = request_one.grid
    grid.ClearField("step")
    for hours in [1] * 12 + [2] * 12:
        grid.steps.add(seconds=3600 * hours)
    target = request_one.site.storages[0].targets.add(min_kwh=9.0)
    target.time.FromJsonString("2024-06-01T14:00:00Z")  # after twelve hours and one of two
    plan = stub.PlanDispatch(request_one).plan
    assert plan.schedule.storages[0].state_of_charge_kwh.values[12] >= 9.0 - 1e-9


def test_an_impossible_site_is_answered_with_conflicts(stub, request_one):
    request_one.site.meter.import_limit_kw.values.append(0.1)
    del request_one.site.photovoltaics[:]
    plan = stub.PlanDispatch(request_one).plan
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_INFEASIBLE
    assert not plan.HasField("schedule")
    assert not plan.HasField("certificate")
    assert not plan.HasField("baseline_cost")
    assert "site.meter.import_limit_kw" in {conflict.rule for conflict in plan.conflicts}


def test_a_store_is_not_needed(stub, request_one):
    del request_one.site.storages[:]
    request_one.detail = pb.PLAN_DETAIL_REASONS
    plan = stub.PlanDispatch(request_one).plan
    assert plan.saving == pytest.approx(0.0, abs=1e-9)
    assert not plan.reasons


def batch_of(request_one, *sites):
    return pb.BatchPlanDispatchRequest(grid=request_one.grid, sites=sites)


def test_one_bad_site_spoils_nobody_elses_plan(stub, request_one, told):
    good, bad = request_one.site, pb.Site(name="bad")
    bad.CopyFrom(request_one.site)
    bad.meter.buy_price_per_kwh.values[3] = math.nan
    bad.storages[0].charge_efficiency = 1.5
    sites = [good] * 20 + [bad, pb.Site(name="empty")] + [good] * 20
    items = stub.BatchPlanDispatch(batch_of(request_one, *sites)).items
    assert len(items) == len(sites)
    alone = stub.PlanDispatch(request_one).plan
    for index, item in enumerate(items):
        if index not in {20, 21}:
            assert item.plan.schedule == alone.schedule
    assert set(told(items[20].error).paths) == {
        "meter.buy_price_per_kwh[3]",
        "storages[0].charge_efficiency",
    }
    assert items[21].site_name == "empty"
    assert set(told(items[21].error).paths) == {"meter"}


def test_a_batch_mixes_roads_and_outcomes(stub, request_one):
    several, impossible = pb.Site(), pb.Site()
    several.CopyFrom(request_one.site)
    several.name = "several"
    several.storages.add().CopyFrom(several.storages[0])
    several.storages[1].name = "second"
    several.meter.sell_price_per_kwh.values[0] = 0.5  # too dear for the quick linear programme
    impossible.CopyFrom(request_one.site)
    del impossible.photovoltaics[:]
    impossible.meter.import_limit_kw.values.append(0.0)
    request = batch_of(request_one, request_one.site, several, impossible)
    request.detail = pb.PLAN_DETAIL_COST
    plans = [item.plan for item in stub.BatchPlanDispatch(request).items]
    assert [plan.termination.reason for plan in plans] == [
        common_pb2.TERMINATION_REASON_OPTIMAL,
        common_pb2.TERMINATION_REASON_OPTIMAL,
        common_pb2.TERMINATION_REASON_INFEASIBLE,
    ]
    assert plans[1].provenance.method == common_pb2.METHOD_LINEAR
    assert not plans[0].HasField("schedule")


def test_what_a_batch_shares_is_refused_as_a_whole(stub, request_one, failure):
    request = batch_of(request_one)
    request.grid.time_zone = "Nowhere"
    request.options.relative_gap = 2.0
    told = failure(lambda: stub.BatchPlanDispatch(request))
    assert set(told.paths) == {"sites", "grid.time_zone", "options.relative_gap"}


def cursed_batch(request_one):
    cursed = pb.Site()
    cursed.CopyFrom(request_one.site)
    cursed.name = "cursed"
    return batch_of(request_one, request_one.site, cursed, request_one.site)


STEPS = {
    "reading": (convert, "parse_site", lambda site, *_: site.name),
    "solving": (answers, "solve", lambda problem, *_: problem.name),
    "writing": (convert, "_write_plan", lambda _, task, *__: task.problem.name),
}
"""Where a fault may strike, and how to know there whose site it is."""


@pytest.mark.parametrize("step", STEPS)
def test_an_unforeseen_fault_in_one_site_spoils_nobody_elses_plan(
    stub, request_one, told, monkeypatch, caplog, step
):
    """The fault that must not exist is made: a step fails for one site of three."""
    module, function, name_of = STEPS[step]
    real = getattr(module, function)

    def failing(*arguments):
        if name_of(*arguments) == "cursed":
            raise ZeroDivisionError("who would have thought")
        return real(*arguments)

    monkeypatch.setattr(module, function, failing)
    with caplog.at_level(logging.ERROR, logger="loadloom"):
        items = stub.BatchPlanDispatch(cursed_batch(request_one)).items
    assert [item.site_name for item in items] == ["home", "cursed", "home"]
    assert all(item.plan.HasField("schedule") for item in (items[0], items[2]))
    error = told(items[1].error)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
    assert "thought" not in items[1].error.message
    (record,) = [r for r in caplog.records if r.getMessage() == "fault"]
    assert record.facts == {"error_id": error.facts["error_id"]}
    assert "who would have thought" in str(record.exc_info[1])


def test_wishes_that_a_worker_finds_not_to_fit_are_the_callers_fault(stub, request_one, failure):
    request_one.options.method = common_pb2.METHOD_KERNEL
    request_one.site.storages.add().CopyFrom(request_one.site.storages[0])
    request_one.site.storages[1].name = "second"
    assert set(failure(lambda: stub.PlanDispatch(request_one)).paths) == {"options.method"}
