import pandas as pd
from rich.console import Console

from loadloom.client.command.report import plan_report
from loadloom.client.grid import Grid
from loadloom.client.plan import Plan
from loadloom.client.site import Meter, Site
from loadloom.v1.common_pb2 import Conflict, Termination
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
