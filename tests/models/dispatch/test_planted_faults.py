"""Faults planted in the sources of the referee's judges, one or more for each rule."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.mutation import survivors

FOLDER = "tests/models/dispatch"
DEVICES = ("test_device_referee.py",)
SITES = ("test_referee.py", "test_general_referee.py")

FAULTS = {
    "storage": (
        (*DEVICES, *SITES),
        (
            ("charged - taken / outof", "charged"),
            ("charged, 0.0, storage.charge_limit_kw * hours)", "charged, 0.0, np.inf)"),
            ("charged, 0.0, storage.charge_limit_kw", "charged, -9.0, storage.charge_limit_kw"),
            ("taken, 0.0, storage.discharge_limit_kw * hours)", "taken, 0.0, np.inf)"),
            ("least_kw * hours, 0.0)", "0.0 * hours, 0.0)"),
            ('_kw", charged, taken)', '_kw", charged, 0.0 * taken)'),
            ("energy, low, high)", "energy, low, np.inf)"),
            ("energy, low, high)", "energy, -np.inf, high)"),
            ("at, target.min_kwh, target.max_kwh)", "at, -np.inf, target.max_kwh)"),
            ("at, target.min_kwh, target.max_kwh)", "at, target.min_kwh, np.inf)"),
            ("energy, 0.0, storage.capacity_kwh)", "energy, 0.0, np.inf)"),
            ("energy, 0.0, storage.capacity_kwh)", "energy, -np.inf, storage.capacity_kwh)"),
            ("np.minimum(at_start, at_end)", "at_end"),
            ("np.minimum(room, held", "np.minimum(np.inf, held"),
            ("plan.energy_kwh - floor", "plan.energy_kwh"),
        ),
    ),
    "meter": (
        SITES,
        (
            ("demand * hours, drawn - fed", "demand * hours, demand * hours"),
            ("np.where(alone, 0.0, limit))", "limit)"),
            ("moved, 0.0, np.where", "moved, -np.inf, np.where"),
            ('"export_kw", drawn, fed)', '"export_kw", drawn, 0.0 * fed)'),
            ("if plant.curtailable else 0.0 * power", "if plant.curtailable else power"),
            ("missed, 0.0, most)", "missed, 0.0, np.inf)"),
            ("np.array([carbon.cap_kg])", "np.array([np.inf])"),
            ("flow * hours, -np.inf, limit * hours", "flow * hours, -np.inf, np.inf"),
            ('("export_limit_kw", -net,', '("export_limit_kw", 0.0 * net,'),
            ("problem.circuit_members[index]", "set(circuit.devices)"),
            ("sheet.spare_kw, wanted,", "sheet.spare_kw, 0.0 * wanted,"),
            ("if len(exchanges) != len(problem.scenes):", "if not exchanges:"),
        ),
    ),
    "unit": (
        DEVICES,
        (
            ("used, least, most)", "used, least, np.inf)"),
            ("used, least, most)", "used, 0.0 * least, most)"),
            ("unit.input_limit_kw * hours * on", "unit.input_limit_kw * hours"),
            ("given, rate * used, rate", "given, given, rate"),
            ("-down, up)", "-down, np.inf)"),
            ("-down, up)", "-np.inf, up)"),
            ("(plan.on == 1.0)", "(plan.on > 0.5)"),
        ),
    ),
    "runs": (
        DEVICES,
        (
            ("begun > switching.most_starts", "begun > 99"),
            ("lasted_h < least_h", "lasted_h < 0.0 * least_h"),
            ("if on[0] != switching.initially_on:", "if on[0] is None:"),
            ("and not (ends and running)", ""),
            ("lasted_h += switching.initial_h", "lasted_h += 0.0"),
        ),
    ),
    "vehicle": (
        DEVICES,
        (
            ("vehicle.charge_limit_kw * hours * here)", "vehicle.charge_limit_kw * hours)"),
            ("vehicle.charge_limit_kw * hours * here)", "np.where(here, np.inf, 0.0))"),
            ("charged, least,", "charged, 0.0,"),
            ("vehicle.discharge_limit_kw * hours * here)", "np.inf)"),
            ('_kw", charged, given)', '_kw", charged, 0.0 * given)'),
            ("+ stored - taken + _trips", "+ stored + _trips"),
            ("vehicle.energy_min_kwh, vehicle.capacity_kwh", "0.0, vehicle.capacity_kwh"),
            ("vehicle.energy_min_kwh, vehicle.capacity_kwh", "vehicle.energy_min_kwh, np.inf"),
            ("public, 0.0, most)", "public, 0.0, np.inf)"),
            ("public, 0.0, most)", "public, -np.inf, most)"),
            ("missed, np.maximum(short, 0.0), np.inf)", "missed, 0.0, np.inf)"),
            ("missed, 0.0, 0.0)", "missed, 0.0, np.inf)"),
        ),
    ),
    "swapping": (
        DEVICES,
        (
            ("charged[place], 0.0, station.slot_limit_kw * hours", "charged[place], 0.0, np.inf"),
            ("charged[place], 0.0, station", "charged[place], -np.inf, station"),
            ("station.slot_count * station.slot_limit_kw * hours\n", "np.inf\n"),
            ("ready, full, np.inf)", "ready, 0.0, np.inf)"),
            ("before[place, 1:], np.abs(", "told[place, 1:], np.abs("),
            ("(missed == 1.0)", "(missed > 0.0)"),
            ("missed, 0.0, 0.0)", "missed, 0.0, np.inf)"),
        ),
    ),
    "appliance": (
        DEVICES,
        (
            ("inside = boundary >= appliance.earliest", "inside = True"),
            ("boundaries[appliance.latest] + 2", "boundaries[-1] + 99 + 2"),
            ("if begin_h < free_h", "if begin_h < 0.0 * free_h"),
            ("expected += _run_kw(horizon, appliance, -appliance.carried_h)", "expected += 0.0"),
            ("missed, 0.0, 0.0)\n\n\ndef _run_kw", "missed, 0.0, np.inf)\n\n\ndef _run_kw"),
            ("np.array([plan.missed]), missed,", "missed, missed,"),
            ("plan.power_kw * hours, drawn, drawn)", "drawn, drawn, drawn)"),
            ("outside[appliance.earliest : appliance.latest] = False", "outside[:] = False"),
            ("plan.starts, begun, begun)", "begun, begun, begun)"),
            ("missed, np.maximum(short, 0.0), np.inf)", "missed, 0.0, np.inf)"),
            ("0.0, appliance.running_max_h)", "0.0, np.inf)"),
        ),
    ),
    "heat": (
        DEVICES,
        (
            ("hours if soft else 0.0)", "hours)"),
            ("unmet, 0.0, bus", "unmet, -np.inf, bus"),
            ("bus.demand_kw * hours if soft", "np.inf if soft"),
            ("np.inf if bus.dump else 0.0)", "np.inf)"),
            ("dumped, 0.0, np", "dumped, -np.inf, np"),
            ("- plan.unmet_kw + plan.dumped_kw", "- plan.unmet_kw"),
        ),
    ),
    "room": (
        DEVICES,
        (
            ("0.0, (most if bus else 0.0) * hours)", "0.0, np.inf)"),
            ("power * hours, 0.0, (most", "power * hours, -np.inf, (most"),
            ("(most if bus else 0.0)", "most"),
            ("plan.temperature_c, after, size)", "after, after, size)"),
            ("plan.temperature_c, low, high)", "plan.temperature_c, low, np.inf)"),
            ("plan.temperature_c, low, high)", "plan.temperature_c, -np.inf, high)"),
        ),
    ),
}
"""By judge: the tests, and what stands in its source with what would be wrong there."""


@pytest.mark.slow
@pytest.mark.parametrize("judge", FAULTS)
def test_every_planted_fault_is_caught(judge):
    """In a process of its own, which imports the judges after the fault is planted."""
    tests, changes = FAULTS[judge]
    paths = ["-m", "not slow", *(f"{FOLDER}/{name}" for name in tests)]
    module = f"loadloom.models.dispatch.judges.{judge}"
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(survivors, module, changes, paths).result() == []
