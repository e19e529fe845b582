"""Sites that a server remembers: who may go on from whose solve, and in which worker."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from loadloom.engine.guard import tokens
from loadloom.models.dispatch.general import WARM
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from tests.engine.dispatch_sites import everything
from tests.engine.guard.test_roles import bearing
from tests.pace import slowness

SITES = 5

Plan = Callable[..., pb.DispatchPlan]


@pytest.fixture(scope="module")
def plan(launch, connect, tmp_path_factory) -> Plan:
    """Plans a site with other prices than before, for a tenant under a key."""
    file = tmp_path_factory.mktemp("tenants") / "tokens"
    secrets = {name: tokens.make(file, "submitter", name) for name in ("ours", "theirs")}
    with launch("--workers=2", f"--token-hashes={file}") as server:
        server.settle(3)
        with connect(server.address) as channel:
            stubs = {
                name: DispatchServiceStub(bearing(channel, secret))
                for name, secret in secrets.items()
            }

            def ask(tenant: str, key: str, dearer: float = 0.0) -> pb.DispatchPlan:
                request = everything()
                request.site.warm_start_key = key
                prices = request.site.meter.buy_price_per_kwh.values
                prices[:] = [price + dearer for price in prices]
                return stubs[tenant].PlanDispatch(request, timeout=60).plan

            yield ask


def warm(plan: pb.DispatchPlan) -> bool:
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_OPTIMAL
    return WARM in plan.provenance.road


def test_a_key_is_found_again_by_its_own_tenant_alone(plan):
    fresh = plan("ours", "", 0.05)
    assert not warm(fresh)
    assert not warm(plan("ours", "home"))
    assert not warm(plan("theirs", "home"))
    again = plan("ours", "home", 0.05)
    assert warm(again)
    assert again.certificate.objective == pytest.approx(fresh.certificate.objective, rel=2e-6)
    assert warm(plan("theirs", "home"))
    assert not warm(plan("ours", "ours/home"))


def test_each_site_goes_to_the_worker_that_remembers_it(plan):
    keys = [f"site {number}" for number in range(SITES)]
    with ThreadPoolExecutor(3) as pool:  # so several workers get some
        assert not any(pool.map(lambda key: warm(plan("ours", key)), keys))
    for key in 2 * keys:
        sleep(0.1 * slowness())  # the answer is there before its worker is idle again
        assert warm(plan("ours", key, 0.01))


def test_a_request_without_a_key_is_answered_the_same_whatever_came_before(plan):
    first = plan("ours", "")
    plan("ours", "", 0.05)
    again = plan("ours", "")
    assert again.schedule == first.schedule
    assert again.provenance.road == first.provenance.road
