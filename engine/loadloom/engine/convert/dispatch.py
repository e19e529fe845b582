"""The messages of dispatch: requests read into problems, answers written into plans."""

import numpy as np

from loadloom.engine.answers.dispatch import SCHEDULE, VALUES, Answer
from loadloom.engine.convert import common, dispatch_earlier, dispatch_site
from loadloom.engine.convert.dispatch_paths import Paths
from loadloom.engine.convert.dispatch_plans import breaches, peaks, write_schedule, write_values
from loadloom.engine.convert.dispatch_reader import Reader
from loadloom.engine.convert.dispatch_sizes import answer_columns, check, longest
from loadloom.engine.guard import refusal
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Answered, Origin, Task
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.dispatch import explain
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.referee import Cost
from loadloom.models.dispatch.solution import Conflict, Schedule
from loadloom.models.horizon import Horizon
from loadloom.models.options import SolveOptions
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb

ACTIONS = {
    explain.Action.CHARGE: pb.STORAGE_ACTION_CHARGE,
    explain.Action.DISCHARGE: pb.STORAGE_ACTION_DISCHARGE,
    explain.Action.HOLD: pb.STORAGE_ACTION_HOLD,
    explain.Action.DRAW: pb.STORAGE_ACTION_DRAW,
    explain.Action.GIVE: pb.STORAGE_ACTION_GIVE,
}


def parse(message: pb.PlanDispatchRequest, limits: Limits) -> Task[Problem]:
    """The task that a request for one site asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    axis = common.grid(message.grid, limits)
    found: list[Violation] = []
    options = common.options(message.options, found)
    broken: list[Violation] = []
    problem, paths, earlier = read_site(message.site, axis, broken, limits)
    return Task(
        problem=common.accepted(
            problem,
            common.declared(message),
            axis.violations,
            common.under("site.", broken),
            found,
        ),
        options=options,
        detail=message.detail or SCHEDULE,
        paths=paths.names,
        earlier=earlier,
        warm_key=message.site.warm_start_key,
    )


def parse_batch(
    message: pb.BatchPlanDispatchRequest, limits: Limits
) -> tuple[common.Grid, SolveOptions]:
    """The grid and the wishes that all sites of a request share; the sites are not looked at.

    Raises:
        Refusal: the request breaks rules, or limits.
    """
    axis = common.grid(message.grid, limits)
    sites = len(message.sites)
    if sites > limits.sites_per_batch:
        raise refusal.too_large("sites", "sites per batch", sites, limits.sites_per_batch)
    if message.detail != pb.PLAN_DETAIL_COST:
        points = (axis.count or 1) * sum(map(answer_columns, message.sites))
        if points > limits.points:
            raise refusal.too_large("sites", "points in an answer", points, limits.points)
    found: list[Violation] = []
    options = common.options(message.options, found)
    return common.accepted((axis, options), common.declared(message), axis.violations, found)


def parse_site(
    site: pb.Site, axis: common.Grid, options: SolveOptions, detail: int, limits: Limits
) -> Task[Problem]:
    """The task that one site of a batch asks for; violations name paths within the site.

    Raises:
        Refusal: the site breaks rules, all of them named, or limits.
    """
    broken: list[Violation] = []
    problem, paths, earlier = read_site(site, axis, broken, limits)
    return Task(
        problem=common.accepted(problem, common.declared(site), broken),
        options=options,
        detail=detail or SCHEDULE,
        paths=paths.names,
        earlier=earlier,
    )


def read_site(
    site: pb.Site, axis: common.Grid, found: list[Violation], limits: Limits
) -> tuple[Problem | None, Paths, Schedule | None]:
    """The site's problem, or None, with all that is wrong noted by paths within the site; where
    its parts stand in the message, and the earlier plan.
    """  # noqa: D205
    count = axis.count or longest(site)
    check(site, limits, count)
    horizon = axis.horizon
    if horizon.count != count:
        horizon = Horizon(start=horizon.start, step_h=np.ones(count))
    reader = Reader(
        horizon=horizon, sized=axis.count is not None, placed=not axis.violations, found=[]
    )
    problem = None
    try:
        problem = dispatch_site.problem(reader, site)
    except InvalidProblem as error:
        told = Paths(reader.names)
        found += [Violation(told.of(v.path), told.text(v.message)) for v in error.violations]
    found += reader.found
    paths, earlier = Paths(reader.names), None
    if problem is not None and site.HasField("earlier_schedule"):
        before = problem.horizon
        if site.HasField("earlier_grid"):
            told = common.grid(site.earlier_grid, limits, "site.earlier_grid")
            found += [Violation(v.path.removeprefix("site."), v.message) for v in told.violations]
            before = told.horizon
        earlier = dispatch_earlier.read(site.earlier_schedule, before, problem, paths, found)
    return problem, paths, earlier


def render(task: Task[Problem], answer: Answer, origin: Origin) -> pb.PlanDispatchResponse:
    """The response that answers a task, in the detail it asks for."""
    response = pb.PlanDispatchResponse()
    _write_plan(response.plan, task, answer, origin)
    return response


def render_item(
    name: str, outcome: Answered[Problem, Answer] | Refusal
) -> pb.BatchPlanDispatchResponse:
    """The response with the outcome for one site of a batch; bytes of several can be joined."""
    response = pb.BatchPlanDispatchResponse()
    item = response.items.add(site_name=name)
    if isinstance(outcome, Refusal):
        item.error.CopyFrom(outcome.status())
    else:
        _write_plan(item.plan, outcome.task, outcome.answer, outcome.origin)
    return response


def _write_plan(plan: pb.DispatchPlan, task: Task[Problem], answer: Answer, origin: Origin) -> None:
    solution, problem = answer.solution, task.problem
    plan.site_name = problem.name
    plan.currency_code = problem.meter.currency_code
    plan.termination.CopyFrom(common.ending(solution.termination))
    paths = Paths(task.paths)
    plan.conflicts.extend(_conflict(conflict, paths) for conflict in answer.conflicts)
    plan.reasons.extend(map(_reason, answer.reasons))
    plan.provenance.CopyFrom(
        common.provenance(
            origin,
            method=solution.method,
            road=solution.road,
            seed=task.options.seed,
            threads=solution.threads,
            solve_s=answer.solve_s,
        )
    )
    _write_costs(plan, answer)
    if solution.schedule is not None and task.detail >= SCHEDULE:
        write_schedule(plan.schedule, task, solution.schedule)
    if solution.values is not None and task.detail >= VALUES:
        write_values(plan, task, solution.values)
    if not problem.plain and solution.schedule is not None:
        plan.breaches.extend(breaches(task, answer.breaches))
        plan.demand_peaks.extend(peaks(problem, solution.schedule))


def _write_costs(plan: pb.DispatchPlan, answer: Answer) -> None:
    if answer.certificate is not None:
        plan.certificate.CopyFrom(common.certificate(answer.certificate))
    if answer.cost is not None:
        plan.costs.extend(cost_items(answer.cost))
        if answer.baseline is not None:
            plan.baseline_cost = answer.baseline.cost.total
            plan.baseline_within_limits = answer.baseline.within_limits
            plan.saving = plan.baseline_cost - answer.cost.total


def cost_items(cost: Cost) -> list[common_pb2.CostItem]:
    """The cost by cause, in messages."""
    amounts = {  # 0.0 - x, since -x shows a zero as -0
        "energy bought": cost.bought,
        "energy sold": 0.0 - cost.sold,
        "wear": cost.wear,
        "end value": 0.0 - cost.end_value,
        **cost.others,
    }
    return [common_pb2.CostItem(name=name, amount=amount) for name, amount in amounts.items()]


def _reason(reason: explain.Reason) -> pb.Reason:
    return pb.Reason(
        storage=reason.storage,
        interval=reason.interval,
        interval_count=reason.interval_count,
        action=ACTIONS[reason.action],
        energy_kwh=reason.energy_kwh,
        site_value_per_kwh=reason.site_value_per_kwh,
        counterpart_interval=reason.counterpart_interval,
        counterpart_value_per_kwh=reason.counterpart_value_per_kwh,
        worth_per_kwh=reason.worth_per_kwh,
        next_best_per_kwh=reason.next_best_per_kwh,
        text=reason.text,
    )


def _conflict(conflict: Conflict, paths: Paths) -> common_pb2.Conflict:
    return common_pb2.Conflict(
        what=paths.text(conflict.what),
        rule=paths.of_site(conflict.rule),
        interval=conflict.interval,
        interval_count=conflict.interval_count,
        amount=conflict.amount,
        peak=conflict.peak,
        unit=conflict.unit,
        cure=paths.text(conflict.cure),
    )
