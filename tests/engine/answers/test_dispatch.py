"""The referee stands between every road and every answer."""

import pickle
from dataclasses import replace

import pytest

from loadloom.engine.answers import dispatch as answers
from loadloom.engine.convert import dispatch as convert
from loadloom.engine.settings import Limits
from loadloom.engine.task import RejectedPlan
from tests.engine.convert.test_dispatch_answers import SITES, request_of


@pytest.fixture
def task(request_one):
    return convert.parse(request_one, Limits())


def changed(monkeypatch, change):
    """Has every road return what `change` makes of its solution."""
    solve = answers.solve
    monkeypatch.setattr(answers, "solve", lambda *given: change(solve(*given)))


def test_a_plan_that_breaks_a_rule_is_rejected(task, monkeypatch):
    def draw_more(solution):
        schedule = replace(solution.schedule, import_kw=1.0 + solution.schedule.import_kw)
        return replace(solution, schedule=schedule)

    changed(monkeypatch, draw_more)
    with pytest.raises(RejectedPlan, match="convex kernel: balance"):
        answers.answer(task)


def test_a_bound_above_the_cost_is_rejected(task, monkeypatch):
    def boast(solution):
        ending = replace(solution.termination, bound=solution.termination.bound + 1.0)
        return replace(solution, termination=ending)

    changed(monkeypatch, boast)
    with pytest.raises(RejectedPlan, match="below its bound"):
        answers.answer(task)


def test_a_bound_above_the_cost_by_rounding_is_lowered_to_it(task, monkeypatch):
    def round_up(solution):
        ending = replace(solution.termination, bound=solution.termination.objective + 1e-9)
        return replace(solution, termination=ending)

    changed(monkeypatch, round_up)
    certificate = answers.answer(task).certificate
    assert certificate.bound == certificate.objective


def test_what_a_road_claims_to_cost_is_not_believed(task, monkeypatch):
    honest = answers.answer(task).certificate.objective

    def boast(solution):
        ending = replace(solution.termination, objective=solution.termination.objective - 5.0)
        return replace(solution, termination=ending)

    changed(monkeypatch, boast)
    assert answers.answer(task).certificate.objective == honest


def test_an_infeasible_task_is_not_quick(request_one):
    request_one.site.meter.import_limit_kw.values.append(0.0)
    request_one.site.loads[0].power_kw.values[0] = 100.0
    task = convert.parse(request_one, Limits())
    assert answers.light(task)
    assert answers.quick_answer(task) is None
    assert answers.answer(task).conflicts


def test_tasks_and_answers_travel_to_workers_and_back(task):
    there = pickle.loads(pickle.dumps(task))
    back = pickle.loads(pickle.dumps(answers.answer(there)))
    assert back.certificate == answers.answer(task).certificate
    assert str(pickle.loads(pickle.dumps(RejectedPlan("why")))) == "why"


def test_reasons_of_long_horizons_are_not_given_beside_other_calls(request_one):
    request_one.grid.count = 8_760
    del request_one.site.photovoltaics[:]
    del request_one.site.meter.buy_price_per_kwh.values[1:]
    plain = convert.parse(request_one, Limits())
    assert answers.light(plain)
    assert not answers.light(replace(plain, detail=answers.REASONS))


def test_a_single_device_is_quick_where_its_short_road_takes_it():
    site, _ = SITES["vehicles[0].sessions[0].wanted_kwh"]
    request = request_of(site)
    task = convert.parse(request, Limits())
    assert answers.light(task)
    found = answers.quick_answer(task)
    assert found.solution.road == "convex kernel of a vehicle"
    assert found.cost.total == pytest.approx(answers.answer(task).cost.total)
    request.site.vehicles[0].charge_min_kw = 0.5  # a rule that the short road does not have
    assert answers.quick_answer(convert.parse(request, Limits())) is None
    request.grid.count = 1_000
    assert not answers.light(convert.parse(request, Limits()))
