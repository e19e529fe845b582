"""Whom to call: plans by a real server, checked by hand."""

from collections.abc import Iterator

import numpy as np
import pytest

from loadloom.v1 import common_pb2
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import from_series, to_floats, to_matrix
from tests.engine.services.response_calls import (
    Operator,
    operating,
    problem_by_hand,
    problem_of_homes,
)

OPTIMAL = common_pb2.TERMINATION_REASON_OPTIMAL


@pytest.fixture(scope="module")
def operator(new_url) -> Iterator[Operator]:
    with operating(new_url("sqlite")) as found:
        yield found


def planned(operator: Operator, problem: pb.TargetProblem, **detail: object) -> pb.TargetPlan:
    request = pb.PlanTargetsRequest(problem=problem, detail=pb.TargetDetail(**detail))
    request.options.relative_gap = 0.01
    return operator.stub.PlanTargets(request, timeout=120).plan


def test_the_plan_that_is_worked_by_hand(operator):
    plan = planned(operator, problem_by_hand(), reasons=[0, 2], mean_ranking=True)
    assert (list(plan.called), plan.cost, plan.called_count) == ([0, 1], 2.0, 2)
    assert plan.termination.reason == OPTIMAL
    assert plan.certificate.bound == pytest.approx(2.0)
    nodes = plan.nodes
    assert (list(nodes.nodes), nodes.mean_kw.values.values[0]) == ([0], 8.0)
    assert nodes.probability.values.values[0] == 1.0
    assert [reason.called for reason in plan.reasons] == [True, False]
    assert "not called" in plan.reasons[1].text
    # 7 - 3 = 4 < 7: the cheapest per expected kW is not enough, and more are called for it.
    assert plan.mean_ranking.cost > plan.cost


def test_without_uncertainty_the_cheaper_one_is_called(operator):
    problem = problem_by_hand()
    problem.customers.ClearField("size_sd_kw")
    assert list(planned(operator, problem).called) == [2]


def test_names_change_nothing_and_are_told_in_reserves(operator):
    problem = problem_by_hand()
    problem.customers.names.extend(["anna", "bert", "cora"])
    plan = planned(operator, problem, reserve_count=2)
    assert list(plan.called) == [0, 1]
    assert [list(reserve.names) for reserve in plan.reserves] == [["cora"]]


def test_what_cannot_be_met_is_told_with_what_is_missing(operator):
    problem = problem_by_hand()
    problem.network.need_kw.values.values[0] = 20.0
    plan = planned(operator, problem)
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_INFEASIBLE
    (short,) = plan.unsecured
    assert (short.node, short.need_kw, short.attainable_kw) == (0, 20.0, pytest.approx(12.0))
    assert short.missing_kw == pytest.approx(8.0)
    problem.best_effort = True
    plan = planned(operator, problem)
    assert list(plan.called) == [0, 1, 2]
    assert plan.unsecured[0].missing_kw == pytest.approx(8.0)


def test_opted_out_and_spent_customers_are_never_called(operator):
    problem = problem_by_hand()
    problem.network.need_kw.values.values[0] = 3.0
    problem.customers.never_call.append(0)
    problem.customers.calls_left.extend([1, 0, 1])
    plan = planned(operator, problem)
    assert list(plan.called) == [2]
    told = {each.reason: each.customer_count for each in plan.uncalled}
    assert told == {"must not be called": 1, "no calls left": 1}


def test_levels_are_chosen_with_the_customers(operator):
    plan = planned(operator, problem_of_homes(), samples=2000)
    assert len(plan.levels) == len(plan.called) == plan.called_count
    assert set(plan.levels) <= {0, 1}
    probability = np.array(plan.nodes.probability.values.values)
    assert (probability >= 0.9 - 1e-9).all()
    assert list(plan.nodes.nodes) == [1, 2]
    assert {group.name for group in plan.groups} == {"old town", "new town"}
    assert sum(group.called_count for group in plan.groups) == plan.called_count
    drawn = plan.confidence
    found, width = (from_series(m.values) for m in (drawn.probability, drawn.half_width))
    assert (np.abs(found - probability.reshape(-1)) <= 2 * width + 0.02).all()


def test_a_budget_buys_the_confidence_it_can(operator):
    problem = problem_of_homes()
    whole = planned(operator, problem)
    problem.budget = whole.cost * 0.95
    less = planned(operator, problem)
    problem.budget = whole.cost * 1.3
    more = planned(operator, problem)
    assert less.cost <= whole.cost * 0.95 + 1e-9
    assert 0.0 < less.common_confidence < more.common_confidence
    assert more.common_confidence >= 0.9 - 1e-6


def test_needs_are_raised_until_draws_confirm_them(operator):
    problem = problem_of_homes(8, need_kw=(3.0, 2.0))
    plain = planned(operator, problem, samples=20_000)
    found = planned(operator, problem, samples=20_000, confirmed=True)
    share = np.array(found.confidence.probability.values.values)
    assert (share >= 0.9 - 0.02).all()
    assert share.min() >= np.array(plain.confidence.probability.values.values).min() - 0.01
    assert found.cost >= plain.cost - 1e-6


def test_the_confidence_of_a_choice_is_checked(operator):
    request = pb.CheckConfidenceRequest(problem=problem_by_hand(), called=[2], samples=4000)
    found = operator.stub.CheckConfidence(request, timeout=120).confidence
    normal = found.normal_probability.values.values[0]
    assert normal == pytest.approx(0.5)
    assert found.probability.values.values[0] == pytest.approx(0.5, abs=0.04)
    again = operator.stub.CheckConfidence(request, timeout=120).confidence
    assert again == found


def test_a_shock_that_is_not_declared_is_warned_of(operator):
    problem = problem_of_homes(need_kw=(10.0, 8.0))
    plan = planned(operator, problem)
    request = pb.CheckConfidenceRequest(
        problem=problem, called=plan.called, levels=plan.levels, samples=4000
    )
    assert not operator.stub.CheckConfidence(request, timeout=120).confidence.warnings
    request.law.shock_share.CopyFrom(to_floats([[0.4]]))
    warned = operator.stub.CheckConfidence(request, timeout=120).confidence
    assert warned.warnings
    assert warned.warnings[0].missing_kw > 0.0
    problem.customers.shock_share.CopyFrom(to_floats([[0.4]]))
    declared = planned(operator, problem, samples=4000)
    assert declared.called_count > plan.called_count
    assert not declared.confidence.warnings


def test_a_million_customers_without_names_fit_a_message():
    problem = problem_by_hand()
    count = 1_000_000
    random = np.random.default_rng(3)
    problem.customers.count = count
    problem.customers.nodes.extend(random.integers(0, 20_000, count).tolist())
    for name in ("size_kw", "size_sd_kw"):
        getattr(problem.customers, name).CopyFrom(to_floats(random.random((count, 1))))
    problem.customers.contact_cost[:] = random.random(count).tolist()
    problem.network.names[:] = [f"transformer {n}" for n in range(20_000)]
    problem.network.need_kw.CopyFrom(to_matrix(random.random((20_000, 1))))
    request = pb.PlanTargetsRequest(problem=problem)
    assert request.ByteSize() < 16 * 2**20
