"""Fleets are checked when they are made."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from tests.models.dispatch.fleet.fleets import homes


def paths(make) -> set[str]:
    with pytest.raises(InvalidProblem) as told:
        make()
    return {violation.path for violation in told.value.violations}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"parents": np.array([1, 0, 0, 0])}, "nodes.parent"),
        ({"parents": np.array([-1, 0, 0, 9])}, "nodes[3].parent"),
        ({"names": ("a", "b", "b", "c")}, "nodes[2].name"),
        ({"import_limit_kw": np.full((4, 24), -1.0)}, "nodes[0].import_limit_kw[0]"),
        ({"export_limit_kw": np.full((4, 3), 1.0)}, "nodes.export_limit_kw"),
        ({"breach_price_per_kwh": np.array([0, 1, np.nan, 1])}, "nodes[2].breach_price_per_kwh"),
    ],
)
def test_faults_of_the_network_are_named(change, path):
    fleet = homes(9, 24, 0)
    assert path in paths(lambda: replace(fleet, network=replace(fleet.network, **change)))


def test_faults_of_places_are_named():
    fleet = homes(9, 24, 0)
    assert "site_nodes[4]" in paths(
        lambda: replace(fleet, site_nodes=np.where(np.arange(9) == 4, 7, fleet.site_nodes))
    )
    assert "site_nodes" in paths(lambda: replace(fleet, site_nodes=np.ones(3, np.int64)))


def test_net_loads_are_summed_up_the_tree():
    fleet = homes(30, 24, 1)
    net = (fleet.sites.load_kw - fleet.sites.pv_kw) * fleet.sites.horizon.step_h
    assert fleet.net_load_kwh[0] == pytest.approx(net.sum(axis=0))
    assert fleet.net_load_kwh[2] == pytest.approx(net[fleet.site_nodes == 2].sum(axis=0))


def test_the_limits_of_a_part_leave_it_its_share():
    fleet = homes(30, 24, 1)
    limit = np.full((4, 24), 50.0)
    fleet = replace(fleet, network=replace(fleet.network, import_limit_kw=limit))
    part = fleet.part(np.arange(15), np.zeros(0, np.int64))
    left = fleet.network.import_limit_kw * fleet.sites.horizon.step_h - fleet.net_load_kwh
    left_of_part = part.network.import_limit_kw * fleet.sites.horizon.step_h - part.net_load_kwh
    assert left_of_part[0] == pytest.approx(0.5 * left[0])
