"""Requests of all kinds: each is a plan, a named conflict, or a refusal that names fields."""

from math import inf, nan

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadloom.engine.answers.dispatch import answer
from loadloom.engine.convert import dispatch as convert
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb

LIMITS = Limits(points=10_000, solve_seconds=5.0)
COUNT = st.integers(1, 8)
ODD = [0.0, -0.0, 1.0, -1.0, nan, inf, -inf, 1e-300, 1e-9, 1e9, 1e308, -1e9, 0.1, 100.0]


def numbers(low: float, high: float, odd: float) -> st.SearchStrategy[float]:
    """Mostly numbers that make sense, and one odd one in so many."""
    sane = st.floats(low, high, allow_nan=False).map(lambda x: round(x, 3))
    return st.one_of(*[sane] * int(1 / odd), st.sampled_from(ODD)) if odd else sane


@st.composite
def requests(draw, odd: float) -> pb.PlanDispatchRequest:
    count = draw(COUNT)
    request = pb.PlanDispatchRequest()
    request.grid.start_time.seconds = draw(st.sampled_from([0, 1_711_843_200, -(10**10)]))
    request.grid.time_zone = draw(st.sampled_from(["", "Europe/Amsterdam", "Asia/Kathmandu"]))
    request.detail = draw(st.sampled_from([0, 1, 2, 3, 4]))
    if draw(st.booleans()):
        request.grid.step.seconds = draw(st.sampled_from([60, 900, 3600, 86_400]))
        request.grid.count = count
    else:
        for _ in range(count):
            request.grid.steps.add(seconds=draw(st.integers(1, 7200)))

    def fill(series: common_pb2.Series, low: float, high: float) -> None:
        size = draw(st.sampled_from([1, count]))
        values = st.lists(numbers(low, high, odd), min_size=size, max_size=size)
        series.values.extend(draw(values))

    meter = request.site.meter
    fill(meter.buy_price_per_kwh, -0.2, 0.6)
    for name, high in (
        ("sell_price_per_kwh", 0.7),
        ("import_limit_kw", 20),
        ("export_limit_kw", 9),
    ):
        if draw(st.booleans()):
            fill(getattr(meter, name), -0.2 if high < 1 else 0.0, high)
    for index in range(draw(st.integers(0, 2))):
        fill(request.site.loads.add(name=f"load {index}").power_kw, 0.0, 10.0)
    for index in range(draw(st.integers(0, 2))):
        plant = request.site.photovoltaics.add(
            name=f"plant {index}", curtailable=draw(st.booleans())
        )
        fill(plant.power_kw, 0.0, 10.0)
    for index in range(draw(st.integers(0, 2))):
        storage = request.site.storages.add(name=f"store {index}")
        fill(storage.energy_max_kwh, 5.0, 10.0)
        fill(storage.charge_limit_kw, 0.0, 10.0)
        fill(storage.discharge_limit_kw, 0.0, 10.0)
        storage.initial_energy_kwh = draw(numbers(0.0, 5.0, odd))
        storage.self_discharge_per_h = draw(st.sampled_from([0.0, 0.001, 0.1]))
        storage.wear_cost_per_kwh = draw(numbers(0.0, 0.1, odd))
        storage.end_value_per_kwh = draw(numbers(-0.1, 0.3, odd))
        if draw(st.booleans()):
            fill(storage.energy_min_kwh, 0.0, 3.0)
        for name in ("charge_efficiency", "discharge_efficiency"):
            if draw(st.booleans()):
                setattr(storage, name, draw(numbers(0.5, 1.0, odd)))
    fits_kernel = len(request.site.storages) <= 1
    request.options.method = draw(st.sampled_from([0, 0, 2, 3, 1 if fits_kernel else 0]))
    return request


def outcome(request: pb.PlanDispatchRequest) -> pb.DispatchPlan | Refusal:
    """What the request comes to; a plan that the referee rejects raises."""
    try:
        task = convert.parse(request, LIMITS)
    except Refusal as refused:
        return refused
    limited = task.within(LIMITS.solve_seconds)
    return convert.render(limited, answer(limited), Origin(digest="", queue_s=0.0)).plan


def check_named(plan: pb.DispatchPlan) -> None:
    """A plan, whatever its gap, or conflicts."""
    reason = plan.termination.reason
    if reason == common_pb2.TERMINATION_REASON_INFEASIBLE:
        assert plan.conflicts
    else:
        assert plan.HasField("certificate")


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(requests(odd=0.0))
def test_what_makes_sense_gets_a_plan_or_a_named_conflict(request):
    plan = outcome(request)
    assert isinstance(plan, pb.DispatchPlan)
    check_named(plan)
    if not plan.conflicts:
        assert plan.termination.reason == common_pb2.TERMINATION_REASON_OPTIMAL
        assert plan.certificate.relative_gap < 1e-5


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(requests(odd=0.02))
def test_odd_numbers_get_a_plan_a_conflict_or_a_refusal_that_names_them(request):
    found = outcome(request)
    if isinstance(found, Refusal):
        assert found.code is grpc.StatusCode.INVALID_ARGUMENT
        assert all(violation.path for violation in found.violations)
    else:
        check_named(found)


@pytest.mark.slow
@settings(deadline=None, max_examples=5_000, suppress_health_check=list(HealthCheck))
@given(requests(odd=0.005))
def test_thousands_of_requests_get_a_plan_a_conflict_or_a_refusal(request):
    found = outcome(request)
    if not isinstance(found, Refusal):
        check_named(found)


def series(message: pb.Site | pb.Meter) -> set[str]:
    return {
        field.name
        for field in message.DESCRIPTOR.fields
        if field.message_type is common_pb2.Series.DESCRIPTOR
    }


def test_every_series_of_the_proto_reaches_the_problem(request_one):
    """A field added to the proto and forgotten here would be ignored without a word."""
    site = request_one.site
    parts = {"meter": site.meter, "loads": site.loads[0]}
    parts |= {"photovoltaics": site.photovoltaics[0], "storages": site.storages[0]}
    for name, part in parts.items():
        for field in series(part):
            changed = pb.PlanDispatchRequest()
            changed.CopyFrom(request_one)
            device = getattr(changed.site, name)
            getattr(device if name == "meter" else device[0], field).values[:] = [nan]
            refused = outcome(changed)
            assert isinstance(refused, Refusal)
            assert any(violation.path.endswith(f"{field}[0]") for violation in refused.violations)
