"""The referee stands between every road and every schedule."""

from dataclasses import replace
from math import inf
from time import monotonic

import numpy as np
import pytest

from loadloom.engine.answers import orderly as answers
from loadloom.engine.convert.orderly import parse
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Progress
from loadloom.engine.task import RejectedPlan
from loadloom.models.orderly import referee
from loadloom.models.orderly.figures import slot_levels
from loadloom.models.orderly.problem import FairnessMode, LegalOrder, WarningLevel
from loadloom.models.orderly.solution import Road
from loadloom.models.orderly.solve import solve
from loadloom.solvers.termination import Reason
from tests.engine.services.orderly_weeks import week_request
from tests.models.orderly.cases import drawn


@pytest.fixture(scope="module")
def asked():
    return parse(week_request())


@pytest.fixture(scope="module")
def solution(asked):
    return solve(asked.problem, asked.options)


def silent():
    return Progress(send=lambda *_: None, cancel_asked=lambda: False)


def nothing(_: answers.Answer) -> bytes:
    return b""


def test_a_plan_that_breaks_a_rule_is_rejected(asked, solution):
    plan = replace(solution.plan, slot_count=solution.plan.slot_count + 5)
    with pytest.raises(RejectedPlan, match="flat mixed-integer programme: users"):
        answers.refereed(asked.problem, replace(solution, plan=plan), 0.0)


def test_a_bound_above_the_cost_is_rejected(asked, solution):
    ending = replace(solution.termination, bound=solution.termination.objective + 1.0)
    with pytest.raises(RejectedPlan, match="below its bound"):
        answers.refereed(asked.problem, replace(solution, termination=ending), 0.0)


def test_what_a_road_claims_to_cost_is_not_believed(asked, solution):
    ending = replace(solution.termination, objective=-1.0)
    found = answers.refereed(asked.problem, replace(solution, termination=ending), 0.0)
    assert found.certificate.objective == referee.cost(asked.problem, solution.plan).total


def test_a_cancelled_solve_stops_with_its_best_plan(asked):
    options = replace(asked.options, road=None, relative_gap=1e-9)
    heard = []
    progress = Progress(send=lambda *said: heard.append(said), cancel_asked=lambda: True)
    began = monotonic()
    found = answers.answer(asked.problem, options, progress, Deadline(at_s=inf), nothing)
    assert monotonic() - began < options.time_limit_s / 2
    assert found.certificate.objective >= found.certificate.bound
    assert heard


@pytest.mark.parametrize("seed", range(12))
def test_the_costs_of_events_add_up_to_the_referees(seed):
    problem = drawn(seed)
    options = replace(parse(week_request()).options, road=None, time_limit_s=0.5)
    found = answers.answer(problem, options, silent(), Deadline(), nothing)
    losses = found.losses
    parts = (
        losses.energy_loss,
        losses.start_loss,
        losses.rest_energy_loss,
        losses.rest_start_loss,
    )
    assert sum(part.sum() for part in parts) == pytest.approx(found.cost.loss)
    plan = found.solution.plan
    by_user = losses.rest_energy_loss + losses.rest_start_loss
    np.add.at(by_user, plan.user, losses.energy_loss + losses.start_loss)
    assert by_user == pytest.approx(found.cost.by_user)
    short = problem.shortage.shortage_kw
    unserved = np.maximum(short - found.covered_kw, 0.0)
    assert unserved == pytest.approx(found.solution.unserved_kw)


@pytest.mark.parametrize("legal_order", LegalOrder)
@pytest.mark.parametrize("mode", [FairnessMode.CONVEX, FairnessMode.LEXIMIN])
def test_plans_put_by_on_the_way_are_refereed_and_proven(asked, monkeypatch, mode, legal_order):
    monkeypatch.setattr(answers, "SPARE_S", 0.0)
    fairness = replace(asked.problem.fairness, mode=mode)
    problem = replace(asked.problem, fairness=fairness, legal_order=legal_order)
    options = replace(asked.options, road=Road.COUPLED, time_limit_s=2.0)
    put_by, sent = [], []

    def write(found: answers.Answer) -> bytes:
        put_by.append(found)
        return b"written"

    progress = Progress(send=lambda _, best: sent.append(best), cancel_asked=lambda: False)
    last = answers.answer(problem, options, progress, Deadline(), write)
    assert put_by
    assert sent.count(b"written") == len(put_by)
    for found in put_by:
        assert found.solution.termination.reason is Reason.FEASIBLE
        assert found.certificate.bound <= last.certificate.objective * (1.0 + 1e-9)
        assert found.certificate.objective >= last.certificate.bound * (1.0 - 1e-9)


def test_a_slot_has_the_highest_level_that_its_shortage_reaches(asked):
    levels = (
        WarningLevel(name="II", least_share=0.3),
        WarningLevel(name="IV", least_share=0.1),
        WarningLevel(name="I", least_share=0.9),
    )
    names = slot_levels(replace(asked.problem, warning_levels=levels))
    # 150 kW of 400 kW are short in slot 6 of the first five days.
    assert {i for i, name in enumerate(names) if name == "II"} == {6 + 8 * d for d in range(5)}
    assert set(names) == {"", "II"}
