"""Devices of every kind: each field is read, each fault told by its path, each plan written."""

import math
import pickle
import random
import re
from datetime import UTC, timedelta
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from loadloom.client.grid import Grid
from loadloom.client.plan import Plan
from loadloom.engine.answers.dispatch import answer
from loadloom.engine.convert import dispatch as convert
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from tests.engine.dispatch_sites import COUNT, everything
from tests.engine.mutants import mutant, singles

LIMITS = Limits(points=10_000, solve_seconds=10.0)
ROOT = Path(__file__).parents[3]


def refusal(request: pb.PlanDispatchRequest) -> Refusal:
    with pytest.raises(Refusal) as raised:
        convert.parse(request, LIMITS)
    return raised.value


def paths_of(request: pb.PlanDispatchRequest) -> dict[str, str]:
    return {violation.path: violation.message for violation in refusal(request).violations}


def plan_of(request: pb.PlanDispatchRequest) -> pb.DispatchPlan:
    task = convert.parse(request, LIMITS).within(LIMITS.solve_seconds)
    return convert.render(task, answer(task), Origin(digest="", queue_s=0.0)).plan


def fields(message: Message, path: str):
    """Every field that is set: the message it stands in, its description, its path."""
    for field, value in message.ListFields():
        where = f"{path}.{field.name}"
        if field.message_type is common_pb2.Series.DESCRIPTOR or not field.message_type:
            yield message, field, where
        elif field.is_repeated:
            for index, part in enumerate(value):
                yield from fields(part, f"{where}[{index}]")
        elif field.message_type.full_name.startswith("loadloom"):
            yield from fields(value, where)
        else:
            yield message, field, where


def numbers(request: pb.PlanDispatchRequest):
    return [
        (index, path)
        for index, (_, field, path) in enumerate(fields(request.site, "site"))
        if field.message_type is common_pb2.Series.DESCRIPTOR
        or field.type == FieldDescriptor.TYPE_DOUBLE
    ]


def test_the_request_has_every_field_of_every_message():
    """Else a field that is forgotten in reading would be ignored without a word."""

    def lacking(messages: list[Message], path: str) -> set[str]:
        found = set()
        for field in messages[0].DESCRIPTOR.fields:
            below = [value for m in messages for f, value in m.ListFields() if f == field]
            if not below:
                found.add(f"{path}.{field.name}")
            elif field.message_type and field.message_type.full_name.startswith("loadloom.v1."):
                parts = [p for v in below for p in (v if field.is_repeated else [v])]
                found |= lacking(parts, f"{path}.{field.name}")
        return found

    assert lacking([everything().site], "site") == {
        "site.earlier_schedule",
        *(f"site.{kind}.on_off.initially_on" for kind in UNITS),
        "site.appliances.interruptible.on_off.initially_on",
    }


UNITS = ("generators", "combined_heat_and_powers", "boilers", "heat_pumps", "chillers")


@pytest.mark.parametrize(("index", "path"), numbers(everything()), ids=str)
def test_a_number_that_is_none_is_refused_by_its_path(index, path):
    request = everything()
    message, field, _ = list(fields(request.site, "site"))[index]
    if field.message_type:
        getattr(message, field.name).values[0] = math.nan
        assert any(told.startswith(path) for told in paths_of(request))
    elif field.is_repeated:
        getattr(message, field.name)[0] = math.nan
        assert any(told.startswith(path) for told in paths_of(request))
    else:
        setattr(message, field.name, math.nan)
        assert path in paths_of(request)


def changed(message: Message, field: FieldDescriptor) -> bool:
    """Changes a field to another value that is right; whether there is one."""
    value = getattr(message, field.name)
    if field.message_type is common_pb2.Series.DESCRIPTOR:
        mask = field.name in ("active", "off_grid")
        value.values[0] = 1.0 - value.values[0] if mask else value.values[0] * 0.99 + 1e-3
    elif field.message_type:
        value.seconds += 3600 if value.seconds % 21_600 else -3600
    elif field.is_repeated and field.type == FieldDescriptor.TYPE_DOUBLE:
        value[0] = 0.9 * value[0]
    elif field.type == FieldDescriptor.TYPE_DOUBLE:
        setattr(message, field.name, 0.99 * value + (0.0 if value else 1e-3))
    elif field.type == FieldDescriptor.TYPE_BOOL:
        setattr(message, field.name, not value)
    elif field.type == FieldDescriptor.TYPE_UINT32:
        setattr(message, field.name, value + 1)
    else:
        return False
    return True


def test_every_field_reaches_the_problem():
    base = pickle.dumps(convert.parse(everything(), LIMITS).problem)
    same = []
    for index, (_, _, path) in enumerate(list(fields(everything().site, "site"))):
        request = everything()
        message, field, _ = list(fields(request.site, "site"))[index]
        if not changed(message, field):
            continue
        try:
            problem = convert.parse(request, LIMITS).problem
        except Refusal:  # it has been read, as it does not fit the others
            continue
        if pickle.dumps(problem) == base:
            same.append(path)
    assert same == []


@pytest.fixture(scope="module")
def plan() -> pb.DispatchPlan:
    return plan_of(everything())


def test_every_device_has_its_schedule(plan):
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_OPTIMAL
    site, schedule = everything().site, plan.schedule
    for field in schedule.DESCRIPTOR.fields:
        if field.message_type is common_pb2.Series.DESCRIPTOR:
            assert len(getattr(schedule, field.name).values) == COUNT
            continue
        asked = [device.name for device in getattr(site, field.name)]
        assert [device.name for device in getattr(schedule, field.name)] == asked
    assert {peak.name for peak in plan.demand_peaks} == {"peak"}


def test_powers_behind_the_meter_add_up(plan):
    """By the answer alone: what is drawn from the grid is what all devices draw."""
    schedule = plan.schedule

    def total(devices, *names: str) -> np.ndarray:
        found = [np.array(getattr(d, name).values) for d in devices for name in names]
        return np.sum(found, axis=0) if found else np.zeros(COUNT)

    drawn = np.full(COUNT, 3.0) - total(schedule.loads, "shed_kw")
    drawn -= np.full(COUNT, 6.0)
    drawn += total(schedule.photovoltaics, "curtailed_kw")
    drawn += total(schedule.wind_turbines, "curtailed_kw")
    battery = schedule.storages[0]
    for store in (battery, schedule.vehicles[0]):
        drawn += total([store], "charge_kw") - total([store], "discharge_kw")
    drawn += total(schedule.swap_stations, "charge_kw") + total(schedule.appliances, "power_kw")
    for kind in UNITS:
        drawn += total(getattr(schedule, kind), "power_kw")
    net = total([schedule], "import_kw") - total([schedule], "export_kw")
    np.testing.assert_allclose(net, drawn, atol=1e-6)


def test_costs_by_cause_add_up_to_the_objective(plan):
    assert sum(item.amount for item in plan.costs) == pytest.approx(plan.certificate.objective)
    assert {"fuel", "starts", "carbon", "demand charge"} <= {item.name for item in plan.costs}


def test_numbers_of_units_are_those_of_their_output():
    problem = convert.parse(everything(), LIMITS).problem
    diesel, engine, gas, rod, pump, chiller = problem.units
    np.testing.assert_allclose(diesel.input_limit_kw, 10 / 0.4)
    np.testing.assert_allclose(engine.input_least_kw, 2 / 0.4)
    np.testing.assert_allclose(engine.heat_per_input, 0.5)
    np.testing.assert_allclose(gas.input_limit_kw, 12 / 0.9)
    assert gas.ramp_kw_per_h == pytest.approx(20 / 0.9)
    assert [unit.electric for unit in problem.units] == [False, False, False, True, True, True]
    np.testing.assert_allclose(pump.heat_per_input, 3)
    np.testing.assert_allclose(rod.input_limit_kw, 6 / 0.99)
    assert chiller.bus == "cold"


def make(change: str):
    def apply(request: pb.PlanDispatchRequest) -> None:
        exec(compile(change, change, "exec"), {"s": request.site, "math": math})

    return apply


TABLE = [
    ("s.meter.demand_charges[0].active.values[2] = 0.5", "meter.demand_charges[0].active[2]"),
    ("s.meter.demand_charges[0].tiers.add(from_kw=10)", "meter.demand_charges[0].tiers[1].from_kw"),
    ("s.meter.island.off_grid.values[:] = [1, 0]", "meter.island.off_grid"),
    ("s.meter.circuits[0].parent = 'attic'", "meter.circuits[0].parent"),
    ("s.meter.circuits[0].parent = 'posts'", "meter.circuits[0].parent"),
    ("s.meter.circuits[1].devices.append('boat')", "meter.circuits[1].devices[1]"),
    ("s.loads[0].shed_share = 2", "loads[0].shed_share"),
    ("s.loads[0].ClearField('shed_price_per_kwh')", "loads[0].shed_price_per_kwh"),
    ("s.wind_turbines[0].power_kw.values[0] = -1", "wind_turbines[0].power_kw[0]"),
    ("s.wind_turbines.add().CopyFrom(s.wind_turbines[0])", "wind_turbines[1].name"),
    ("s.storages[1].heat_bus = 'attic'", "storages[1].heat_bus"),
    ("s.storages[0].wear_steps[0].from_depth = 0.6", "storages[0].wear_steps"),
    (
        "s.vehicles[0].sessions[0].departure_time.seconds += 60",
        "vehicles[0].sessions[0].departure_time",
    ),
    ("s.vehicles[0].sessions[1].arrival_time.seconds -= 3600 * 2", "vehicles[0].sessions[1]"),
    (
        "s.vehicles[0].sessions[1].arrival_time.seconds = 10**15",
        "vehicles[0].sessions[1].arrival_time",
    ),
    ("s.vehicles[0].sessions[0].consumption_kwh = 1", "vehicles[0].sessions[0].consumption_kwh"),
    ("s.vehicles[0].sessions[0].wanted_kwh = 41", "vehicles[0].sessions[0].wanted_kwh"),
    ("s.vehicles[0].charge_efficiency = 0", "vehicles[0].charge_efficiency"),
    ("s.vehicles[0].charge_limit_kw.values[:] = [1, 2]", "vehicles[0].charge_limit_kw"),
    ("s.swap_stations[0].initial_energy_kwh[0] = 11", "swap_stations[0].initial_energy_kwh[0]"),
    ("s.swap_stations[0].ClearField('initial_energy_kwh')", "swap_stations[0].initial_energy_kwh"),
    ("s.swap_stations[0].slot_count = 0", "swap_stations[0].slot_count"),
    ("s.swap_stations[0].bookings[0].ClearField('time')", "swap_stations[0].bookings[0].time"),
    ("s.appliances[0].fixed.ClearField('profile_kw')", "appliances[0].fixed.profile_kw"),
    ("s.appliances[0].fixed.profile_step_h = 0", "appliances[0].fixed.profile_step_h"),
    ("s.appliances[0].ClearField('run')", "appliances[0].run"),
    (
        "s.appliances[1].interruptible.running_min_h = 5",
        "appliances[1].interruptible.running_min_h",
    ),
    (
        "s.appliances[1].latest_time.seconds = s.appliances[1].earliest_time.seconds",
        "appliances[1].earliest_time",
    ),
    ("s.generators[0].power_limit_kw.values[0] = -2", "generators[0].power_limit_kw[0]"),
    ("s.generators[0].efficiency = 0", "generators[0].efficiency"),
    ("s.generators[0].ClearField('fuel')", "generators[0].fuel"),
    (
        "s.generators[0].fuel.price_per_kwh.values[0] = math.inf",
        "generators[0].fuel.price_per_kwh[0]",
    ),
    ("s.generators[0].on_off.min_on_h = 1e5", "generators[0].on_off.min_on_h"),
    ("s.boilers[0].heat_bus = 'attic'", "boilers[0].heat_bus"),
    ("s.boilers[1].heat_bus = ''", "boilers[1].heat_bus"),
    ("s.boilers[1].name = 'gas'", "boilers[1].name"),
    (
        "s.heat_pumps[0].coefficient_of_performance.values[0] = -1",
        "heat_pumps[0].coefficient_of_performance[0]",
    ),
    ("s.chillers[0].ramp.limit_kw_per_h = -1", "chillers[0].ramp.limit_kw_per_h"),
    ("s.heat_buses[0].demand_kw.values[0] = -1", "heat_buses[0].demand_kw[0]"),
    ("s.heat_buses[1].name = 'heat'", "heat_buses[1].name"),
    ("s.heat_buses[1].name = ''", "heat_buses[1].name"),
    ("s.rooms[0].temperature_min_c.values[0] = 30", "rooms[0].temperature_min_c[0]"),
    ("s.rooms[0].heat_bus = s.rooms[0].cold_bus = ''", "rooms[0].heat_bus"),
    ("s.rooms[0].capacity_kwh_per_k = 0", "rooms[0].capacity_kwh_per_k"),
    ("s.scenarios[1].probability = 0.2", "scenarios"),
    ("s.scenarios[1].loads[0].name = 'attic'", "scenarios[1].loads[0].power_kw"),
    ("s.scenarios[1].loads.add().CopyFrom(s.scenarios[1].loads[0])", "scenarios[1].loads[1].name"),
    ("s.risk.confidence = 1", "risk.confidence"),
    ("s.ClearField('scenarios')", "risk"),
    ("s.earlier_schedule.import_kw.values.append(1)", "earlier_schedule.storages"),
]


@pytest.mark.parametrize(("change", "path"), TABLE, ids=[row[0] for row in TABLE])
def test_a_fault_is_told_by_the_path_of_its_field(change, path):
    request = everything()
    make(change)(request)
    found = paths_of(request)
    assert f"site.{path}" in found, found
    assert not any(word in text for text in found.values() for word in ("units[", "buses[0]."))


def test_all_faults_of_all_devices_are_told_at_once():
    request = everything()
    chosen = [row for row in TABLE if row[1] in {
        "meter.demand_charges[0].active[2]", "vehicles[0].charge_efficiency",
        "generators[0].power_limit_kw[0]", "rooms[0].temperature_min_c[0]",
        "swap_stations[0].slot_count", "boilers[0].heat_bus",
    }]  # fmt: skip
    for change, _ in chosen:
        make(change)(request)
    assert {f"site.{path}" for _, path in chosen} <= set(paths_of(request))


LARGE = [
    ("[s.vehicles.add(name=str(i)) for i in range(1001)]", "site"),
    ("[s.vehicles[0].sessions.add() for i in range(10001)]", "site.vehicles"),
    ("s.swap_stations[0].initial_energy_kwh.extend([1.0] * 10001)", "site.swap_stations"),
    ("s.appliances[0].fixed.profile_kw.extend([1.0] * 10001)", "site.appliances"),
    ("[s.meter.demand_charges[0].tiers.add() for i in range(10001)]", "site.meter.demand_charges"),
    ("s.meter.circuits[0].devices.extend(['x'] * 10001)", "site.meter.circuits"),
    ("[s.scenarios.add(name=str(i)) for i in range(900)]", "site"),
]


@pytest.mark.parametrize(("change", "path"), LARGE)
def test_too_many_parts_are_told_with_the_limit(change, path):
    request = everything()
    make(change)(request)
    found = refusal(request)
    assert found.reason == "LIMIT_EXCEEDED"
    assert [violation.path for violation in found.violations] == [path]


def outcome(request) -> None:
    """A task, or a refusal that names fields."""
    try:
        convert.parse(request, LIMITS)
    except Refusal as refused:
        told = [violation.path for violation in refused.violations]
    else:
        return
    assert told
    assert all(told)


@pytest.mark.slow
def test_messages_with_one_odd_value_are_read_or_refused():
    for request in singles(everything()):
        outcome(request)


def test_mutants_are_read_or_refused():
    generator = random.Random(1)
    for _ in range(200):
        outcome(mutant(everything(), generator))


@pytest.mark.slow
def test_mutants_that_are_read_get_a_plan_or_named_conflicts():
    generator, ends = random.Random(2), []
    for _ in range(300):
        request = mutant(everything(), generator)
        request.options.method = 0
        try:
            task = convert.parse(request, LIMITS).within(5.0)
        except Refusal:
            continue
        plan = convert.render(task, answer(task), Origin(digest="", queue_s=0.0)).plan
        ends.append(plan.termination.reason)
        if ends[-1] == common_pb2.TERMINATION_REASON_INFEASIBLE:
            assert plan.conflicts, request
        elif ends[-1] != common_pb2.TERMINATION_REASON_NO_SOLUTION_FOUND:  # its time was over
            assert plan.HasField("certificate"), request
    assert ends.count(common_pb2.TERMINATION_REASON_OPTIMAL) > 30


def test_conflicts_speak_of_the_request():
    request = everything()
    request.site.meter.ClearField("island")
    request.site.ClearField("scenarios")
    request.site.ClearField("risk")
    request.site.heat_buses[1].demand_kw.values[:] = [40.0]
    found = plan_of(request)
    assert found.termination.reason == common_pb2.TERMINATION_REASON_INFEASIBLE
    assert found.conflicts
    for conflict in found.conflicts:
        assert "units[" not in conflict.what + conflict.cure + conflict.rule
    rules = {conflict.rule for conflict in found.conflicts}
    assert rules & {"site.chillers[0].power_limit_kw", "site.heat_buses[1].demand_kw"}


def test_a_client_reads_every_column(plan):
    grid = everything().grid
    index = Plan(plan, _grid(grid))
    columns = index.columns
    assert {"heat pump.heat_kw", "car.state_of_charge_kwh", "office.temperature_c"} <= set(columns)
    assert all(values.size == COUNT for values in columns.values())
    assert len(index.schedule) == COUNT
    assert set(index.scenarios) == {"as told", "dear"}


def test_a_single_scenario_is_told_as_well():
    request = everything()
    del request.site.scenarios[1:]
    request.site.scenarios[0].probability = 1.0
    for _ in range(2):  # the second time it is the earlier plan too
        found = plan_of(request)
        assert [scenario.name for scenario in found.schedule.scenarios] == ["as told"]
        assert found.schedule.scenarios[0].import_kw == found.schedule.import_kw
        request.site.earlier_schedule.CopyFrom(found.schedule)


def test_values_of_heat_buses_are_in_the_order_of_the_request():
    request = everything()
    request.detail = pb.PLAN_DETAIL_VALUES
    told = [bus.name for bus in plan_of(request).values.heat_buses]
    assert told == [bus.name for bus in request.site.heat_buses]


def test_the_api_lists_every_cause_of_cost():
    judges = ROOT / "models/loadloom/models/dispatch"
    sources = [*judges.glob("judges/*.py"), judges / "sheet.py"]
    causes = {
        cause
        for source in sources
        for cause in re.findall(r'\.charge\(\s*"([^"]+)"', source.read_text())
    }
    listed = re.search(
        r"The cost by cause:(.*?)repeated CostItem",
        (ROOT / "proto/loadloom/v1/dispatch.proto").read_text(),
        re.DOTALL,
    )
    told = set(re.findall(r'"([^"]+)"', listed[1]))
    assert told == causes - {"bought", "sold"} | {"energy bought", "energy sold", "risk"}


def test_reasons_speak_of_devices_that_are_no_stores():
    request = everything()
    request.detail = pb.PLAN_DETAIL_REASONS
    found = plan_of(request)
    told = {reason.storage for reason in found.reasons}
    assert {"battery", "car", "diesel", "chiller"} <= told
    assert all(reason.text and reason.action for reason in found.reasons)


def test_the_earlier_plan_is_kept_where_it_is_as_good(plan):
    request = everything()
    request.site.earlier_schedule.CopyFrom(plan.schedule)
    task = convert.parse(request, LIMITS)
    assert task.earlier is not None
    found = plan_of(request)
    assert "the earlier plan is kept" in found.provenance.road
    for kind in found.schedule.DESCRIPTOR.fields_by_name:
        now, then = getattr(found.schedule, kind), getattr(plan.schedule, kind)
        assert str(now) == str(then) or kind in UNITS  # by rounding, zeros of units may be minus


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("e.import_kw.values.append(1)", "import_kw"),
        ("e.vehicles[0].charge_kw.values[0] = math.nan", "vehicles[0].charge_kw"),
        ("del e.rooms[:]", "rooms"),
        ("e.boilers[0].name = 'other'", "boilers"),
        ("e.swap_stations[0].battery_charge_kw.rows = 7", "swap_stations[0].battery_charge_kw"),
        ("e.scenarios[0].photovoltaics[0].ClearField('name')", "scenarios[0].photovoltaics"),
    ],
)
def test_an_earlier_plan_of_other_devices_is_refused(plan, change, path):
    request = everything()
    request.site.earlier_schedule.CopyFrom(plan.schedule)
    exec(compile(change, change, "exec"), {"e": request.site.earlier_schedule, "math": math})
    assert set(paths_of(request)) == {f"site.earlier_schedule.{path}"}


def _grid(message: common_pb2.TimeGrid) -> Grid:
    return Grid(
        start=message.start_time.ToDatetime(UTC),
        step=timedelta(seconds=message.step.seconds),
        count=message.count,
    )
