"""Plans for devices of every kind: all of them is told, in the words of the request."""

import math
import re
from datetime import UTC, timedelta
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.json_format import ParseDict

from loadloom.client.grid import Grid
from loadloom.client.plan import Plan
from loadloom.engine.convert import dispatch as convert
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from tests.engine.dispatch_sites import (
    COUNT,
    LIMITS,
    UNITS,
    everything,
    paths_of,
    plan_of,
    series,
)

ROOT = Path(__file__).parents[3]


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
        ("e.boilers[0].name = 'rod'", "boilers[0].name"),
        ("e.swap_stations[0].battery_charge_kw.rows = 7", "swap_stations[0].battery_charge_kw"),
        ("e.scenarios[1].photovoltaics.add().name = 'roof'", "scenarios[1].photovoltaics[0].name"),
    ],
)
def test_an_earlier_plan_of_another_form_is_refused(plan, change, path):
    request = everything()
    request.site.earlier_schedule.CopyFrom(plan.schedule)
    exec(compile(change, change, "exec"), {"e": request.site.earlier_schedule, "math": math})
    assert set(paths_of(request)) == {f"site.earlier_schedule.{path}"}


def test_devices_are_found_in_an_earlier_plan_by_their_names(plan):
    request = everything()
    told = request.site.earlier_schedule
    told.CopyFrom(plan.schedule)
    turned = list(reversed(told.boilers))
    del told.boilers[:], told.rooms[:], told.swap_stations[0].missed.values[:]
    told.boilers.extend(turned)
    told.vehicles[0].name = "another car"
    earlier = convert.parse(request, LIMITS).earlier
    known = {each.name: each for each in plan.schedule.boilers}
    heat = [[*known[name].heat_kw.values] for name in ("gas", "rod")]
    boilers = [u for u, unit in enumerate(convert.parse(request, LIMITS).problem.units)
               if unit.name in known]  # fmt: skip
    assert [earlier.units[u].heat_kw.tolist() for u in boilers] == heat
    for nothing in (earlier.vehicles[0].charge_kw, earlier.rooms[0].heating_kw):
        assert np.isnan(nothing).all()
    assert np.isnan(earlier.swappings[0].missed).all()
    found = plan_of(request)
    assert "nearest to the earlier plan" in found.provenance.road


def test_an_earlier_plan_is_taken_over_to_a_horizon_that_has_rolled_on(plan):
    """Two hours later, in half hours: what overlaps is told, at the ends of half hours NaN."""
    request = everything()
    request.site.earlier_schedule.CopyFrom(plan.schedule)
    request.site.earlier_grid.CopyFrom(request.grid)
    request.grid.start_time.seconds += 7200
    earlier = convert.parse(rolled(request), LIMITS).earlier
    last = [*plan.schedule.import_kw.values][2:]
    assert earlier.import_kw.tolist()[:4] == last
    assert np.isnan(earlier.import_kw[4:]).all()
    assert (
        earlier.energy_kwh[0, :4].tolist()
        == [*plan.schedule.storages[0].state_of_charge_kwh.values][2:]
    )
    request.grid.step.seconds = 1800
    earlier = convert.parse(rolled(request), LIMITS).earlier
    assert earlier.import_kw == pytest.approx(np.repeat(last[:3], 2))
    assert np.isnan(earlier.energy_kwh[0, ::2]).all()
    assert np.isfinite(earlier.energy_kwh[0, 1::2]).all()


def test_what_was_planned_stays_when_the_horizon_rolls_on():
    """Of two hours of one price the store charges in the one that was planned before."""
    request = ParseDict(
        {
            "grid": {"start_time": "2024-06-01T00:00:00Z", "step": "3600s", "count": 4},
            "site": {
                "meter": {"buy_price_per_kwh": series(0.3, 0.1, 0.1, 0.5)},
                "loads": [{"name": "hall", "power_kw": series(0, 0, 0, 2)}],
                "storages": [
                    {
                        "name": "battery",
                        "energy_max_kwh": series(2),
                        "charge_limit_kw": series(2),
                        "discharge_limit_kw": series(2),
                    }
                ],
            },
        },
        pb.PlanDispatchRequest(),
    )
    free = pb.PlanDispatchRequest()
    free.CopyFrom(request)
    for hour in (1, 2):
        limit = [2.0 * (t == hour) for t in range(4)]
        request.site.storages[0].charge_limit_kw.values[:] = limit
        later = pb.PlanDispatchRequest()
        later.CopyFrom(free)
        later.site.earlier_schedule.CopyFrom(plan_of(request).schedule)
        later.site.earlier_grid.CopyFrom(request.grid)
        later.grid.start_time.seconds += 3600
        later.site.meter.buy_price_per_kwh.values[:] = [0.1, 0.1, 0.5, 0.4]
        later.site.loads[0].power_kw.values[:] = [0, 0, 2, 0]
        found = plan_of(later)
        assert [*found.schedule.storages[0].charge_kw.values] == pytest.approx([*limit[1:], 0.0])
        assert found.certificate.objective == pytest.approx(0.2)


def rolled(request: pb.PlanDispatchRequest) -> pb.PlanDispatchRequest:
    """The request without what stands at instants that have gone by."""
    found = pb.PlanDispatchRequest()
    found.CopyFrom(request)
    for field in ("vehicles", "swap_stations", "appliances"):
        found.site.ClearField(field)
    found.site.storages[0].ClearField("targets")
    found.site.meter.ClearField("circuits")
    return found


def _grid(message: common_pb2.TimeGrid) -> Grid:
    return Grid(
        start=message.start_time.ToDatetime(UTC),
        step=timedelta(seconds=message.step.seconds),
        count=message.count,
    )
