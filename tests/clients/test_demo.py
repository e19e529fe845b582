import numpy as np
import pytest

from examples import demo


def test_the_street_without_batteries_costs_what_the_plans_are_compared_with(client):
    """What the chart shows as such is what each home draws, not its load less its sunshine."""
    columns, spot = demo.street(), demo.prices()
    idle = demo.idle_fleet(client, columns, spot)
    prices = {"buy_price_per_kwh": spot + demo.MARKUP_PER_KWH, "sell_price_per_kwh": spot}
    fleet = client.plan_sites(columns, spot, **prices, columns=[])
    assert idle.columns["objective"] == pytest.approx(fleet.columns["baseline_cost"], abs=1e-9)
    net_kw = (columns["load_kw"] - columns["pv_kw"]).sum(axis=0)
    drawn_kw = demo.grid_kw(idle)
    assert (drawn_kw >= net_kw - 1e-9).all()
    paid_for_feeding_in = spot.to_numpy() < 0
    assert (drawn_kw[paid_for_feeding_in] >= 0).all()
    assert np.isclose(drawn_kw, net_kw)[~paid_for_feeding_in].all()
