"""Bad input through a real server: each fault with its code and the path of its field."""

import math
from collections.abc import Callable

import grpc
import pytest

from loadloom.v1 import dispatch_pb2 as pb

Request = pb.PlanDispatchRequest


def store(request: Request) -> pb.Storage:
    return request.site.storages[0]


def price(value: float) -> Callable[[Request], None]:
    def change(request: Request) -> None:
        request.site.meter.buy_price_per_kwh.values[3] = value

    return change


def lengthen(request: Request) -> None:
    request.site.loads[0].power_kw.values.extend([1.0] * 10)


def duplicate(field: str) -> Callable[[Request], None]:
    def change(request: Request) -> None:
        devices = getattr(request.site, field)
        devices.add().CopyFrom(devices[0])

    return change


def set_store(name: str, value: float) -> Callable[[Request], None]:
    return lambda request: setattr(store(request), name, value)


def fill_store(name: str, *values: float) -> Callable[[Request], None]:
    def change(request: Request) -> None:
        getattr(store(request), name).values[:] = values

    return change


def both_steps(request: Request) -> None:
    request.grid.steps.add(seconds=1)


def wrong_count(request: Request) -> None:
    request.grid.ClearField("step")
    request.grid.count = 3
    for _ in range(24):
        request.grid.steps.add(seconds=3600)


def far_end(request: Request) -> None:
    request.grid.start_time.FromJsonString("9990-01-01T00:00:00Z")
    request.grid.step.seconds = 365 * 86_400


def target(text: str) -> Callable[[Request], None]:
    return lambda request: store(request).targets.add().time.FromJsonString(text)


def far_target(request: Request) -> None:
    store(request).targets.add().time.seconds = 10**15


def crossed_target(request: Request) -> None:
    store(request).targets.add(min_kwh=3.0, max_kwh=2.0).time.FromJsonString("2024-06-01T02:00:00Z")


def make(change: str) -> Callable[[Request], None]:
    """A change written as a statement about `r`, the request."""
    code = compile(change, change, "exec")
    return lambda request: exec(code, {"r": request, "math": math})


UNEVEN = """
r.grid.ClearField("step")
s = r.grid.steps
[s.add(seconds=3600) for _ in range(24)]
"""
"""Steps one by one, named `s`, instead of one for all."""

B, M, P = "site.storages[0].", "site.meter.", "site.photovoltaics[0]."

TABLE = [
    ("NaN price", price(math.nan), "site.meter.buy_price_per_kwh[3]"),
    ("infinite price", price(math.inf), "site.meter.buy_price_per_kwh[3]"),
    ("price of 1e308", price(1e308), "site.meter.buy_price_per_kwh[3]"),
    ("too many values", lengthen, "site.loads[0].power_kw"),
    ("two values", fill_store("energy_max_kwh", 1, 2), B + "energy_max_kwh"),
    ("no values", fill_store("charge_limit_kw"), B + "charge_limit_kw"),
    ("empty limit", make("r.site.meter.import_limit_kw.SetInParent()"), M + "import_limit_kw"),
    ("negative load", make("r.site.loads[0].power_kw.values[0] = -1"), "site.loads[0].power_kw[0]"),
    (
        "negative plant",
        make("r.site.photovoltaics[0].power_kw.values[2] = -1"),
        P + "power_kw[2]",
    ),
    ("negative limit", fill_store("charge_limit_kw", -1), B + "charge_limit_kw[0]"),
    ("NaN limit", fill_store("discharge_limit_kw", math.nan), B + "discharge_limit_kw[0]"),
    ("efficiency of 0", set_store("charge_efficiency", 0), B + "charge_efficiency"),
    (
        "efficiency above 1",
        set_store("discharge_efficiency", 1.01),
        B + "discharge_efficiency",
    ),
    ("efficiency NaN", set_store("charge_efficiency", math.nan), B + "charge_efficiency"),
    (
        "self-discharge of 1",
        set_store("self_discharge_per_h", 1),
        B + "self_discharge_per_h",
    ),
    ("negative wear", set_store("wear_cost_per_kwh", -0.1), B + "wear_cost_per_kwh"),
    (
        "infinite end value",
        set_store("end_value_per_kwh", math.inf),
        B + "end_value_per_kwh",
    ),
    ("negative start", set_store("initial_energy_kwh", -1), B + "initial_energy_kwh"),
    ("NaN start", set_store("initial_energy_kwh", math.nan), B + "initial_energy_kwh"),
    ("least above most", fill_store("energy_min_kwh", 11), B + "energy_min_kwh[0]"),
    ("same name twice", duplicate("storages"), "site.storages[1].name"),
    ("same load twice", duplicate("loads"), "site.loads[1].name"),
    ("long name", make("r.site.name = 'x' * 201"), "site.name"),
    ("no meter", make("r.site.ClearField('meter')"), "site.meter"),
    (
        "no price",
        make("r.site.meter.ClearField('buy_price_per_kwh')"),
        M + "buy_price_per_kwh",
    ),
    ("odd currency", make("r.site.meter.currency_code = 'euro'"), "site.meter.currency_code"),
    ("no site", make("r.ClearField('site')"), "site"),
    ("no grid", make("r.ClearField('grid')"), "grid"),
    ("no start", make("r.grid.ClearField('start_time')"), "grid.start_time"),
    ("year 0", make("r.grid.start_time.seconds = -62167219200"), "grid.start_time"),
    ("no such instant", make("r.grid.start_time.nanos = -1"), "grid.start_time"),
    ("no step", make("r.grid.ClearField('step')"), "grid.step"),
    ("step and steps", both_steps, "grid.step"),
    ("negative step", make("r.grid.step.seconds = -3600"), "grid.step"),
    ("no time at all", make("r.grid.step.seconds = 0"), "grid.step"),
    ("half a second", make("r.grid.step.seconds = 0; r.grid.step.nanos = 500000000"), "grid.step"),
    ("no such duration", make("r.grid.step.nanos = 2000000000"), "grid.step"),
    ("endless step", make("r.grid.step.seconds = 10**17"), "grid.step"),
    ("no intervals", make("r.grid.count = 0"), "grid.count"),
    ("count unlike steps", wrong_count, "grid.count"),
    ("step of decades", make("r.grid.step.seconds = 2**31 - 1"), "grid.step"),
    ("one of the steps of decades", make(UNEVEN + "s[3].seconds = 10**11"), "grid.steps[3]"),
    ("beyond the year 9999", far_end, "grid.count"),
    ("unknown zone", make("r.grid.time_zone = 'Europe/Atlantis'"), "grid.time_zone"),
    ("a path for a zone", make("r.grid.time_zone = '../../etc/passwd'"), "grid.time_zone"),
    ("a folder for a zone", make("r.grid.time_zone = 'Europe'"), "grid.time_zone"),
    ("target between ends", target("2024-06-01T02:30:00Z"), B + "targets[0].time"),
    ("target at the start", target("2024-06-01T00:00:00Z"), B + "targets[0].time"),
    ("target too late", target("2024-06-03T00:00:00Z"), B + "targets[0].time"),
    ("target without time", make("r.site.storages[0].targets.add()"), B + "targets[0].time"),
    (
        "target of no instant",
        make("r.site.storages[0].targets.add().time.seconds = 10**15"),
        B + "targets[0].time",
    ),
    ("target crossed", crossed_target, B + "targets[0].min_kwh"),
    ("no time to solve", make("r.options.time_limit.seconds = -1"), "options.time_limit"),
    ("no such limit", make("r.options.time_limit.seconds = 10**17"), "options.time_limit"),
    ("gap above 1", make("r.options.relative_gap = 1.5"), "options.relative_gap"),
    ("gap NaN", make("r.options.relative_gap = math.nan"), "options.relative_gap"),
    ("seed too large", make("r.options.seed = 2**32 - 1"), "options.seed"),
    ("unknown method", make("r.options.method = 99"), "options.method"),
    ("unknown detail", make("r.detail = 99"), "detail"),
]


@pytest.mark.parametrize(("change", "path"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_a_fault_is_told_with_the_path_of_its_field(stub, request_one, failure, change, path):
    change(request_one)
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert told.reason == "INVALID_FIELDS"
    assert path in told.paths
    assert told.retry_s is None


def test_all_faults_are_told_at_once(stub, request_one, failure):
    named = {row[0]: row for row in TABLE}
    chosen = [
        named[name]
        for name in (
            "infinite price",
            "two values",
            "efficiency of 0",
            "self-discharge of 1",
            "same load twice",
            "odd currency",
            "unknown zone",
            "year 0",
            "no intervals",
            "gap NaN",
            "unknown method",
            "unknown detail",
        )
    ]
    for _, change, _ in chosen:
        change(request_one)
    told = failure(lambda: stub.PlanDispatch(request_one))
    # Where the number of intervals is open, no length can be wrong.
    assert set(told.paths) == {path for _, _, path in chosen} - {B + "energy_max_kwh"}


def test_faults_are_told_when_even_the_number_of_intervals_is_open(stub, request_one, failure):
    request_one.ClearField("grid")
    request_one.site.meter.buy_price_per_kwh.values[17] = math.nan
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert set(told.paths) == {"grid", "grid.step", "site.meter.buy_price_per_kwh[17]"}


def test_more_faults_than_a_header_holds_are_counted(stub, request_one, failure):
    for _ in range(500):
        request_one.site.storages.add(name="same")
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert len(told.paths) > 10
    assert "more violations" in told.paths[""]


def test_a_method_that_cannot_take_the_site_is_refused_by_its_option(stub, request_one, failure):
    request_one.site.storages.add().CopyFrom(store(request_one))
    request_one.site.storages[1].name = "other"
    request_one.options.method = 1
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(told.paths) == {"options.method"}


def test_a_million_values_for_a_day_are_a_wrong_length(stub, request_one, failure):
    request_one.site.loads[0].power_kw.values.extend([1.0] * 10**6)
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "site.loads[0].power_kw" in told.paths


LARGE = [
    (make("r.grid.count = 10**6"), "grid.count", "intervals"),
    (make("r.grid.count = 2**32 - 1"), "grid.count", "intervals"),
    (make("r.grid.count = 2**32 - 1; r.grid.steps.add(seconds=1)"), "grid.count", "intervals"),
    (make("[r.site.loads.add(name=str(i)) for i in range(10**5)]"), "site", "devices"),
    (make("[r.site.storages[0].targets.add() for _ in range(10**5)]"), "site.storages", "targets"),
    (
        make("r.grid.count = 10**5; [r.site.loads.add(name=str(i)) for i in range(20)]"),
        "site",
        "points",
    ),
]


@pytest.mark.parametrize(("change", "path", "limit"), LARGE)
def test_what_is_too_large_is_told_with_the_limit(stub, request_one, failure, change, path, limit):
    change(request_one)
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert told.reason == "LIMIT_EXCEEDED"
    assert path in told.paths
    assert told.facts["limit"] == limit
    assert told.retry_s is None


def test_a_message_that_is_too_large_is_refused(channel, failure):
    call = channel.unary_unary("/loadloom.v1.DispatchService/PlanDispatch")
    assert failure(lambda: call(bytes(2**24 + 1))).code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_too_many_sites_in_a_batch_are_refused(stub, request_one, failure):
    request = pb.BatchPlanDispatchRequest(grid=request_one.grid)
    request.sites.extend(pb.Site() for _ in range(10_001))
    told = failure(lambda: stub.BatchPlanDispatch(request))
    assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert set(told.paths) == {"sites"}
