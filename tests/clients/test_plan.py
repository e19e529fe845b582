from datetime import UTC, datetime, timedelta
from math import isnan

import pytest

from loadloom.client.errors import InfeasibleError
from loadloom.client.grid import Grid
from loadloom.client.plan import Outcome, Plan
from loadloom.v1.common_pb2 import Certificate, Conflict, CostItem, Series, Termination
from loadloom.v1.dispatch_pb2 import (
    DispatchPlan,
    PhotovoltaicSchedule,
    Reason,
    Schedule,
    StorageSchedule,
    StorageValues,
    Values,
)

GRID = Grid(
    start=datetime(2024, 3, 31, tzinfo=UTC),
    step=timedelta(hours=1),
    count=3,
    time_zone="Europe/Amsterdam",
)


def series(*values):
    return Series(values=values)


def plan(**fields):
    fields = {"termination": Termination(reason="TERMINATION_REASON_OPTIMAL"), **fields}
    return Plan(DispatchPlan(**fields), GRID)


def scheduled(name="battery"):
    store = StorageSchedule(
        name=name,
        charge_kw=series(1, 0, 0),
        discharge_kw=series(0, 0, 1),
        state_of_charge_kwh=series(1, 1, 0),
    )
    roof = PhotovoltaicSchedule(name="roof", curtailed_kw=series(0, 5, 0))
    schedule = Schedule(
        import_kw=series(3, 2, 1), export_kw=series(0, 0, 0), storages=[store], photovoltaics=[roof]
    )
    values = Values(
        site_value_per_kwh=series(0.1, 0.2, 0.3),
        storages=[StorageValues(name=name, stored_value_per_kwh=series(0.3, 0.3, 0))],
    )
    return plan(schedule=schedule, values=values)


def test_costs_and_saving_are_those_of_the_answer():
    answer = plan(
        certificate=Certificate(objective=80, bound=79, relative_gap=1 / 80, proof="PROOF_DUAL"),
        costs=[CostItem(name="energy bought", amount=90), CostItem(name="wear", amount=-10)],
        baseline_cost=100,
        currency_code="EUR",
    )
    assert (answer.objective, answer.bound, answer.baseline_cost, answer.saving) == (
        80,
        79,
        100,
        20,
    )
    assert answer.costs == {"energy bought": 90, "wear": -10}
    assert (answer.proof, answer.outcome, answer.exists) == ("dual", "optimal", True)
    assert answer.raise_if_infeasible() is answer


def test_what_is_not_known_is_not_a_number():
    answer = plan(termination=Termination(reason="TERMINATION_REASON_INFEASIBLE"))
    assert not answer.exists
    assert isnan(answer.objective)
    assert isnan(answer.bound)
    assert isnan(answer.saving)


def test_the_schedule_is_a_frame_in_local_time():
    frame = scheduled().schedule
    assert list(frame.columns) == [
        "import_kw",
        "export_kw",
        "battery.charge_kw",
        "battery.discharge_kw",
        "battery.state_of_charge_kwh",
        "roof.curtailed_kw",
    ]
    assert [time.hour for time in frame.index] == [1, 3, 4]
    assert frame["import_kw"].tolist() == [3, 2, 1]


def test_values_are_a_frame_beside_the_schedule():
    values = scheduled().values
    assert list(values.columns) == ["site_value_per_kwh", "battery.stored_value_per_kwh"]


def test_the_columns_of_a_nameless_store_have_no_prefix():
    assert "charge_kw" in scheduled(name="").columns


def test_reasons_tell_local_times():
    given = Reason(
        storage="battery",
        interval=0,
        interval_count=2,
        action="STORAGE_ACTION_CHARGE",
        counterpart_interval=2,
        counterpart_value_per_kwh=0.3,
        text="because",
    )
    other = Reason(storage="battery", interval=2, interval_count=1, action="STORAGE_ACTION_HOLD")
    first, second = plan(reasons=[given, other]).reasons
    assert (first.action, first.start.hour, first.end.hour) == ("charge", 1, 4)
    assert first.counterpart == GRID.boundaries[2]
    assert (second.action, second.end, second.counterpart) == ("hold", GRID.boundaries[3], None)
    assert isnan(second.counterpart_value_per_kwh)


def test_an_infeasible_plan_tells_its_conflicts_and_raises_when_asked():
    conflict = Conflict(
        what="the load exceeds the limit", rule="site.meter.import_limit_kw", interval=1,
        interval_count=2, amount=7, peak=4, unit="kWh", cure="raise it by 4 kW",
    )  # fmt: skip
    answer = plan(
        termination=Termination(reason="TERMINATION_REASON_INFEASIBLE"), conflicts=[conflict]
    )
    (told,) = answer.conflicts
    assert (told.start, told.end) == (GRID.boundaries[1], GRID.boundaries[3])
    with pytest.raises(InfeasibleError, match="the load exceeds the limit"):
        answer.raise_if_infeasible()


def test_an_outcome_of_a_later_version_is_unspecified():
    assert Outcome.of(99) is Outcome.UNSPECIFIED
    assert Outcome.of(5) is Outcome.NO_SOLUTION_FOUND


def test_a_plan_is_shown_in_a_line():
    found = plan(
        site_name="home",
        currency_code="EUR",
        certificate=Certificate(objective=12.5, bound=12.5),
        baseline_cost=20.0,
        baseline_within_limits=True,
        schedule=scheduled().message.schedule,
    )
    assert repr(found) == (
        "<Plan of 'home': optimal, costs 12.5 EUR, saves 7.5; "
        "3 intervals from 2024-03-31T00:00:00+00:00>"
    )
    impossible = plan(termination=Termination(reason="TERMINATION_REASON_INFEASIBLE"))
    assert repr(impossible) == "<Plan: infeasible; 3 intervals from 2024-03-31T00:00:00+00:00>"


def test_an_exception_tells_the_first_conflicts_and_counts_the_others():
    conflicts = [Conflict(what=f"rule {i}", interval=0, interval_count=1) for i in range(50)]
    found = plan(
        termination=Termination(reason="TERMINATION_REASON_INFEASIBLE"), conflicts=conflicts
    )
    with pytest.raises(InfeasibleError) as raised:
        found.raise_if_infeasible()
    assert str(raised.value) == "rule 0; rule 1; rule 2; rule 3; rule 4; and 45 more"
    assert len(found.conflicts) == 50
