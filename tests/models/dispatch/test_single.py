"""The roads for single devices against the general road and known optima."""

import numpy as np
import pytest

from loadloom.models.dispatch import referee
from loadloom.models.dispatch.general import solve_general
from loadloom.models.dispatch.single.road import solve_single
from loadloom.models.dispatch.solve import solve_kernel
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.device_cases import APPLIANCES, UNITS, VEHICLES
from tests.models.dispatch.device_instances import random_single

OPTIONS = SolveOptions(relative_gap=1e-9)


def check(seed, kind):
    """Whether the road took the site; holds it to the general road."""
    problem = random_single(np.random.default_rng([seed, len(kind)]), kind)
    fast, slow = solve_single(problem, solve_kernel), solve_general(problem, OPTIONS)
    if fast is None:
        return False
    assert slow.termination.reason is Reason.OPTIMAL
    assert fast.schedule is not None
    assert slow.schedule is not None
    assert referee.violations(problem, fast.schedule) == []
    found, best = (referee.cost(problem, each.schedule).total for each in (fast, slow))
    near = 1e-6 * max(1.0, abs(best))
    assert found == pytest.approx(best, abs=near)
    assert fast.termination.objective == pytest.approx(found, abs=near)
    assert fast.termination.bound <= best + near
    return True


@pytest.mark.parametrize("case", [*APPLIANCES, *VEHICLES, *UNITS], ids=str)
def test_the_road_finds_the_known_optimum_or_leaves_it(case):
    solution = solve_single(case.problem, solve_kernel)
    if np.isinf(case.optimum):
        assert solution is None
        return
    if solution is not None:
        assert solution.schedule is not None
        assert referee.violations(case.problem, solution.schedule) == []
        cost = referee.cost(case.problem, solution.schedule).total
        assert cost == pytest.approx(case.optimum, abs=1e-9)


def test_the_road_takes_most_known_sites():
    for cases, least in ((APPLIANCES, 14), (VEHICLES, 9)):
        assert sum(solve_single(case.problem, solve_kernel) is not None for case in cases) >= least


@pytest.mark.parametrize("kind", ["appliance", "vehicle", "tank"])
def test_the_road_finds_what_the_general_road_finds(kind):
    assert sum(check(seed, kind) for seed in range(40)) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["appliance", "vehicle", "tank"])
def test_the_road_finds_what_the_general_road_finds_on_many_sites(kind):
    assert sum(check(seed, kind) for seed in range(100, 300)) >= 80
