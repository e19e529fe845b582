"""The processes of fleets' jobs begin with all kernels."""

import pytest

from tests.engine.services.counted_jobs import JOBS
from tests.engine.services.fleet_calls import fleet_request, planning_fleets
from tests.models.dispatch.fleet.fleets import homes


@pytest.mark.parametrize("negative", [False, True])
def test_a_fleet_loads_no_kernels_and_what_it_is_forked_from_has_no_thread(counting, negative):
    request = fleet_request(homes(40, 24, 2, negative=negative), threads=2)
    request.nodes[0].import_limit_kw.values.append(80.0)
    name, _ = counting.planned(request)
    assert counting.state(name).progress.phase == "True [] 1"


@pytest.fixture(scope="module")
def counting(new_url):
    with planning_fleets(new_url("sqlite"), jobs=JOBS) as found:
        yield found
