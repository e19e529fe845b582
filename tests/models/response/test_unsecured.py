"""Needs that cannot be secured: what is missing, and the best that can be done."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.response import referee
from loadloom.models.response.problem import NOT_CALLED, Offers, Problem, Quota
from loadloom.models.response.solution import PlanOptions, Road
from loadloom.models.response.solve import plan
from loadloom.solvers.termination import Reason
from tests.models.response import calls


def test_what_is_missing_is_told():
    problem = calls.hand(network=calls.network([[20.0, 11.0, 13.0]]))
    found = plan(problem)
    assert found.termination.reason is Reason.INFEASIBLE
    assert found.offer is None
    first, second = found.unsecured
    assert (first.node, first.slot, second.slot) == (0, 0, 2)
    assert first.attainable_kw == pytest.approx(12.0)  # all three: 15 - 3
    assert first.missing_kw == pytest.approx(8.0)
    assert second.missing_kw == pytest.approx(1.0)
    assert "8 kW are missing" in first.message


@pytest.mark.parametrize("road", [Road.COVER, Road.COVERS, Road.PRICES])
def test_the_best_effort_secures_what_it_can(road):
    problem = calls.hand(network=calls.network([20.0]), best_effort=True)
    found = calls.planned(problem, road)
    assert found.offer is not None
    assert found.offer.tolist() == [0, 1, 2]
    (short,) = found.unsecured
    assert short.missing_kw == pytest.approx(8.0)
    # Where all can be secured it is as without.
    enough = calls.planned(calls.hand(best_effort=True), road)
    assert enough.termination.objective == 2.0
    assert enough.unsecured == ()


def test_needs_that_exclude_each_other_are_secured_in_part():
    # Each leaf alone can have its 4 kW, but of this group two may be called, and one is called for.
    offers = Offers(mean_kw=np.full(4, 2.0), variance_kw2=np.zeros(4), cost=np.ones(4))
    problem = Problem(
        offers=offers,
        customers=calls.customers(4, node=[1, 1, 2, 2], group=[0] * 4),
        network=calls.network([[0.0], [4.0], [4.0]], (-1, 0, 0)),
        quotas=(Quota(group=0, call_max=2),),
        best_effort=True,
    )
    found = calls.planned(problem)
    assert found.offer is not None
    assert (found.offer != NOT_CALLED).sum() == 2
    assert {short.node for short in found.unsecured} <= {1, 2}
    assert sum(short.missing_kw for short in found.unsecured) == pytest.approx(4.0)
    # Needs that were lowered jointly have a bound, and nobody calls the plan the best.
    assert found.termination.bound == pytest.approx(found.termination.objective)
    assert found.termination.reason is Reason.FEASIBLE
    strict = plan(replace(problem, best_effort=False))
    assert strict.termination.reason is Reason.INFEASIBLE
    assert sum(short.missing_kw for short in strict.unsecured) == pytest.approx(4.0)
    assert "4 kW are missing in all" in strict.termination.detail


@pytest.mark.parametrize("seed", range(4))
def test_trees_with_headroom_end_with_a_plan_or_with_what_is_missing(seed):
    """Needs and headrooms close to each other at 30 customers: no ending is left open."""
    random = np.random.default_rng(seed)
    mean = random.lognormal(0.0, 0.7, 30)
    node = np.repeat([1, 2, 3], 10)
    need = np.append(0.3 * mean.sum(), np.add.reduceat(mean, [0, 10, 20]) * 0.3)
    problem = Problem(
        offers=Offers(
            mean_kw=mean,
            variance_kw2=(mean * random.uniform(0.0, 0.8, 30)) ** 2,
            cost=mean * random.uniform(0.5, 1.5, 30),
        ),
        customers=calls.customers(30, node=node, rebound_share=0.9),
        network=calls.network(
            need[:, None],
            (-1, 0, 0, 0),
            0.95,
            headroom_kw=need[:, None] * random.uniform(1.2, 2.0, (4, 1)),
            rebound_profile=[1.0],
        ),
    )
    found = calls.planned(problem, relative_gap=0.01)
    if found.offer is None:
        assert found.termination.reason is Reason.INFEASIBLE
        assert found.unsecured
        assert all(short.missing_kw > 0.0 for short in found.unsecured)
        some = calls.planned(replace(problem, best_effort=True), relative_gap=0.01)
        told = sum(short.missing_kw for short in found.unsecured)
        assert sum(short.missing_kw for short in some.unsecured) <= told * 1.05 + 1e-6
    else:
        assert np.isfinite(found.termination.bound)
        assert found.relative_gap < 0.05


def test_even_the_best_effort_cannot_call_whose_rebound_must_not_be():
    tree = calls.network([7.0], headroom_kw=[[1.0]], rebound_profile=[1.0])
    who = calls.customers(3, must_call=[False, False, True], rebound_share=1.0)
    found = plan(calls.hand(network=tree, customers=who, best_effort=True))
    assert found.offer is None
    assert found.termination.reason is Reason.INFEASIBLE
    allowed = replace(who, must_call=None)
    some = calls.planned(calls.hand(network=tree, customers=allowed, best_effort=True))
    assert some.offer is not None
    assert some.offer.tolist() == [NOT_CALLED] * 3
    assert len(some.unsecured) == 1


@pytest.mark.parametrize("tiny_kw", [5e-324, 1e-300, 1e-12, 1e-9, 1e-6])
@pytest.mark.parametrize("spread_kw", [0.0, 0.5])
def test_what_rounding_leaves_of_a_need_is_none(tiny_kw, spread_kw):
    """Two nodes of which one needs next to nothing cost what they do where it needs nothing."""
    random = np.random.default_rng(3)
    columns = {
        "mean_kw": random.uniform(1.0, 3.0, (8, 1)),
        "variance_kw2": random.uniform(0.0, 1.0, (8, 1)),
        "cost": random.uniform(0.5, 2.0, 8),
    }
    found = []
    for need_kw in (0.0, tiny_kw):
        problem = Problem(
            offers=calls.offers(**columns),
            customers=calls.customers(8, node=[1, 2] * 4),
            network=calls.network(
                [[0.0], [4.0], [need_kw]],
                parent=[-1, 0, 0],
                need_spread_kw=[[0.0], [0.0], [spread_kw]],
            ),
        )
        for road in (None, Road.PRICES):
            made = plan(problem, PlanOptions(road=road) if road else PlanOptions())
            assert not referee.violations(problem, made)
            found.append(made.termination.objective)
    assert found == pytest.approx([found[0]] * 4, rel=1e-4)
