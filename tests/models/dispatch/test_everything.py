"""Whatever is valid is answered: by a plan that the referee accepts, or by a named conflict."""

from math import inf

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadloom.models.dispatch.conflicts import conflicts
from loadloom.models.dispatch.explain import reasons
from loadloom.models.dispatch.referee import cost, violations
from loadloom.models.dispatch.solve import solve
from loadloom.models.dispatch.values import dual_bound
from loadloom.solvers.termination import Reason
from tests.models.dispatch.cases import site, target

# Round numbers, so that values meet and tie, beside any others up to a large plant's.
ENERGY = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 2.0, 10.0]), st.floats(0.0, 1e5))
PRICE = st.one_of(st.sampled_from([-0.5, -0.1, 0.0, 0.1, 0.2, 0.5]), st.floats(-10.0, 10.0))
LIMIT = st.one_of(st.just(inf), ENERGY)
SHARE = st.one_of(st.just(1.0), st.floats(0.01, 1.0))
STEP = st.sampled_from([1 / 60, 0.25, 1.0, 24.0])


@st.composite
def stores(draw, count):
    high = np.array(draw(st.lists(ENERGY, min_size=count, max_size=count)))
    times = draw(st.lists(st.integers(0, count - 1), max_size=2))
    bounds = [sorted(draw(st.tuples(ENERGY, ENERGY))) for _ in times]
    return {
        "capacity": high,
        "minimum": high * draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])),
        "initial": draw(ENERGY),
        "power": draw(st.lists(ENERGY, min_size=count, max_size=count)),
        "discharge": draw(ENERGY),
        "charge_efficiency": draw(SHARE),
        "discharge_efficiency": draw(SHARE),
        "self_discharge_per_h": draw(st.one_of(st.just(0.0), st.floats(0.0, 0.99))),
        "wear_cost_per_kwh": draw(st.one_of(st.just(0.0), st.floats(0.0, 5.0))),
        "end_value_per_kwh": draw(PRICE),
        "targets": tuple(target(t, *b) for t, b in zip(times, bounds, strict=True)),
    }


@st.composite
def problems(draw, store_count):
    count = draw(st.integers(1, 6))

    def column(values):
        return draw(st.lists(values, min_size=count, max_size=count))

    return site(
        column(PRICE),
        sell=column(PRICE),
        load=column(ENERGY),
        pv=column(ENERGY),
        curtailable=draw(st.booleans()),
        import_limit=column(LIMIT),
        export_limit=column(LIMIT),
        step_h=draw(st.one_of(STEP, st.lists(STEP, min_size=count, max_size=count))),
        stores=[draw(stores(count)) for _ in range(store_count)],
    )


def check(problem):
    solution = solve(problem)
    if solution.termination.reason is Reason.INFEASIBLE:
        found = conflicts(problem)
        assert found
        assert any(conflict.amount > 0.0 for conflict in found)
        return
    assert solution.termination.reason is Reason.OPTIMAL
    assert not violations(problem, solution.schedule)
    paid = cost(problem, solution.schedule).total
    scale = 1e-7 * max(1.0, abs(paid))
    assert solution.termination.bound <= paid + scale
    assert dual_bound(problem, solution.values) <= paid + scale
    covered = sum(reason.interval_count for reason in reasons(problem, solution))
    assert covered == problem.horizon.count * len(problem.storages)


ROOM = settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@ROOM
@given(problems(1))
def test_a_site_with_one_store_is_answered(problem):
    check(problem)


@ROOM
@given(problems(0))
def test_a_site_without_a_store_is_answered(problem):
    check(problem)


@settings(ROOM, max_examples=80)
@given(problems(2))
def test_a_site_with_two_stores_is_answered(problem):
    check(problem)
