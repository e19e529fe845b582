"""The general road against the reference model on random sites with further devices."""

import numpy as np
import pytest

from loadloom.models.dispatch import referee
from loadloom.models.dispatch.general import solve_general
from loadloom.models.dispatch.reference import solve_reference
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.device_instances import KINDS, random_site

OPTIONS = SolveOptions(relative_gap=1e-9)


def check(seed, kind):
    """Whether the site has a plan; holds both roads and the bound to each other."""
    problem = random_site(np.random.default_rng([seed, KINDS.index(kind)]), kind)
    fast, slow = solve_general(problem, OPTIONS), solve_reference(problem, OPTIONS)
    reason = slow.termination.reason
    assert fast.termination.reason is reason
    assert reason in {Reason.OPTIMAL, Reason.INFEASIBLE}
    if reason is Reason.INFEASIBLE:
        return False
    assert fast.schedule is not None
    assert slow.schedule is not None
    assert referee.violations(problem, fast.schedule) == []
    assert referee.violations(problem, slow.schedule) == []
    found, best = (referee.cost(problem, each.schedule).total for each in (fast, slow))
    near = 1e-6 * max(1.0, abs(best))
    assert found == pytest.approx(best, abs=near)
    assert fast.termination.objective == pytest.approx(found, abs=near)
    assert fast.termination.bound <= best + near
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_the_general_road_finds_what_the_reference_finds(kind):
    assert sum(check(seed, kind) for seed in range(4)) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_general_road_finds_what_the_reference_finds_on_many_sites(kind):
    assert sum(check(seed, kind) for seed in range(100, 300)) >= 100
