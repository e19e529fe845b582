"""Requests for devices of every kind: each field is read, each fault told by its path."""

import math
import pickle
import random

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from loadloom.engine.answers.dispatch import answer
from loadloom.engine.convert import dispatch as convert
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.task import Origin
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from tests.engine.dispatch_sites import LIMITS, everything, paths_of, refusal
from tests.engine.mutants import mutant, singles


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
        "site.earlier_grid",
        "site.appliances.interruptible.on_off.initially_on",
    }


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
    ("s.earlier_schedule.import_kw.values.append(1)", "earlier_schedule.import_kw"),
    (
        "s.earlier_schedule.import_kw.values.append(1); s.earlier_grid.step.seconds = 3600",
        "earlier_grid.count",
    ),
    ("s.generators[0].on_off.initially_on = False", "generators[0].ramp.initial_power_kw"),
    ("s.boilers[0].ramp.initial_power_kw = 0.5", "boilers[0].ramp.initial_power_kw"),
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
