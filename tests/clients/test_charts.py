from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from matplotlib.dates import num2date

from loadloom.client.charts import plan_chart, write_chart
from loadloom.client.grid import Grid
from loadloom.client.plan import Plan
from loadloom.client.site import Load, Meter, Photovoltaic, Site, Storage
from loadloom.v1.common_pb2 import Certificate, Termination
from loadloom.v1.dispatch_pb2 import DispatchPlan, PhotovoltaicSchedule, Schedule, StorageSchedule
from loadloom.wire.arrays import to_series

GRID = Grid(
    start=datetime(2024, 3, 30, 23, tzinfo=UTC),
    step=timedelta(hours=1),
    count=23,
    time_zone="Europe/Amsterdam",
)


def planned(price, curtailed_kw=0.0):
    """A site and a plan for a day of 23 hours."""
    site = Site(
        name="bakery",
        meter=Meter(buy_price_per_kwh=price, sell_price_per_kwh=np.asarray(price) - 0.05),
        loads=[Load(power_kw=2.0), Load(name="oven", power_kw=np.ones(23))],
        photovoltaics=[Photovoltaic(name="roof", power_kw=4.0, curtailable=True)],
        storages=[
            Storage(name="b", energy_max_kwh=9, charge_limit_kw=1, discharge_limit_kw=1),
        ],
    )
    row = to_series(np.ones(23))
    store = StorageSchedule(name="b", charge_kw=row, discharge_kw=row, state_of_charge_kwh=row)
    lost = to_series(np.full(23, curtailed_kw))
    roof = PhotovoltaicSchedule(name="roof", curtailed_kw=lost)
    schedule = Schedule(import_kw=row, export_kw=row, storages=[store], photovoltaics=[roof])
    message = DispatchPlan(
        site_name="bakery",
        termination=Termination(reason="TERMINATION_REASON_OPTIMAL"),
        certificate=Certificate(objective=1234.5),
        baseline_cost=2000,
        baseline_within_limits=True,
        schedule=schedule,
        currency_code="EUR",
    )
    return site, Plan(message, GRID)


def labels(axes):
    return set(axes.get_legend_handles_labels()[1])


def test_a_chart_shows_prices_powers_stores_and_energies():
    figure = plan_chart(*planned(np.linspace(-0.1, 0.3, 23), curtailed_kw=1.0))
    prices, powers, stores, energies = figure.axes
    assert labels(prices) == {"buy", "sell", "negative"}
    assert labels(powers) == {"import", "export", "load", "PV", "curtailed"}
    assert labels(stores) == {"charge", "discharge"}
    assert labels(energies) == {"b"}
    assert prices.get_ylabel() == "EUR per kWh"
    assert figure.get_suptitle() == "bakery: cost 1,234.50 EUR, saving 765.50"


def test_a_saving_is_told_only_where_the_baseline_keeps_the_limits():
    site, plan = planned(0.2)
    plan.message.baseline_within_limits = False
    assert plan_chart(site, plan).get_suptitle() == "bakery: cost 1,234.50 EUR"


def test_what_does_not_happen_is_not_in_the_legend():
    site, plan = planned(np.linspace(0.1, 0.3, 23))
    prices, powers, *_ = plan_chart(site, plan).axes
    assert "negative" not in labels(prices)
    assert "curtailed" not in labels(powers)


def test_the_axis_of_time_is_local_and_a_short_day_short():
    axes = plan_chart(*planned(0.2)).axes[-1]
    start, end = (num2date(number, tz=UTC) for number in axes.get_xlim())
    assert end - start == timedelta(hours=23)
    assert axes.get_xlabel() == "local time, Europe/Amsterdam"
    ticks = [num2date(number).astimezone(GRID.boundaries[0].tzinfo) for number in axes.get_xticks()]
    assert all(tick.minute == 0 for tick in ticks)
    assert any(tick.hour == 0 for tick in ticks)


@pytest.mark.parametrize(
    ("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_a_chart_is_written_in_the_kind_of_its_suffix(tmp_path, suffix, head):
    file = tmp_path / f"plan{suffix}"
    write_chart(*planned(0.2), file)
    assert file.read_bytes().startswith(head)
