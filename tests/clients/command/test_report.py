import pandas as pd
from rich.console import Console

from loadloom.client.command.report import plan_report
from loadloom.client.grid import Grid
from loadloom.client.plan import Plan
from loadloom.client.site import Meter, Site
from loadloom.client.site_rules import DemandCharge
from loadloom.v1.common_pb2 import TERMINATION_REASON_OPTIMAL, Conflict, Termination
from loadloom.v1.dispatch_pb2 import DispatchPlan


def told_conflicts(*conflicts):
    """What a terminal shows of a plan with these conflicts."""
    hours = pd.date_range("2024-06-01", periods=500, freq="h", tz="Europe/Amsterdam")
    message = DispatchPlan(
        termination=Termination(reason="TERMINATION_REASON_INFEASIBLE"), conflicts=conflicts
    )
    console = Console(width=120)
    with console.capture() as capture:
        plan = Plan(message, Grid.of_index(hours))
        console.print(plan_report(Site(meter=Meter(buy_price_per_kwh=1.0)), plan))
    return capture.get()


def test_many_conflicts_of_one_rule_are_summed_up():
    found = told_conflicts(
        *(
            Conflict(
                what=f"at most 1 kW may be drawn in hour {i}",
                rule="site.meter.import_limit_kw",
                interval=i,
                interval_count=1,
                amount=2.0,
                unit="kWh",
                cure="raise it",
            )
            for i in range(0, 400, 2)
        )
    )
    assert found.count("at most 1 kW") == 1
    assert "and in 199 more stretches up to Mon 17 Jun 15:00, 400.0 kWh in all; --json" in found


def test_the_first_rules_in_conflict_are_told_and_the_others_counted():
    found = told_conflicts(
        *(
            Conflict(what=f"rule {i} fails", rule=f"r[{i}]", interval=i, interval_count=1)
            for i in range(25)
        )
    )
    assert "10. rule 9 fails" in found
    assert "rule 10 fails" not in found
    assert "and 15 more; --json tells all" in found


def test_a_cure_speaks_of_fields_as_the_site_file_does():
    told = Conflict(
        what="too much", rule="site.meter.import_limit_kw", interval_count=1, amount=1.0, unit="kWh"
    )
    told.cure = "raise site.meter.import_limit_kw by 1 kW"
    assert "cure  raise meter.import_limit_kw by 1 kW" in told_conflicts(told)


def planned(message, **meter):
    """What a terminal shows of a plan for two hours."""
    hours = pd.date_range("2024-06-01", periods=2, freq="h", tz="Europe/Amsterdam")
    message.termination.reason = TERMINATION_REASON_OPTIMAL
    console = Console(width=120)
    with console.capture() as capture:
        site = Site(meter=Meter(buy_price_per_kwh=1.0, **meter))
        console.print(plan_report(site, Plan(message, Grid.of_index(hours))))
    return capture.get()


def test_a_charge_that_looks_at_no_hour_is_told_so():
    charge = DemandCharge(name="winter", price_per_kw=1.0, active=[0, 0])
    shown = planned(DispatchPlan(), demand_charges=[charge])
    assert "at no time of this horizon" in next(x for x in shown.splitlines() if "winter" in x)


def test_a_baseline_that_breaks_limits_is_told_so_without_a_saving():
    shown = planned(DispatchPlan(baseline_cost=20.0))
    assert "without storage (which breaks limits)" in shown
    assert "saving" not in shown


def test_seconds_are_told_in_whole_milliseconds():
    message = DispatchPlan()
    message.provenance.solve_time.FromMilliseconds(1500)
    assert ", 1,500 ms" in planned(message)
    message.provenance.solve_time.FromMicroseconds(1234)
    assert ", 1.23 ms" in planned(message)


def test_a_saving_that_shows_as_nothing_has_no_share():
    message = DispatchPlan(baseline_cost=1e-6, baseline_within_limits=True)
    assert "saving, 0.0%" in planned(message)
