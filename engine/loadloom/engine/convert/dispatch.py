"""The messages of dispatch: requests read into problems, answers written into plans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from google.protobuf.message import Message

from loadloom.engine.answers.dispatch import SCHEDULE, VALUES, Answer
from loadloom.engine.convert import common
from loadloom.engine.guard import refusal
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Answered, Origin, Task
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.dispatch import explain
from loadloom.models.dispatch.problem import (
    EnergyTarget,
    Load,
    Meter,
    Photovoltaic,
    Problem,
    Storage,
)
from loadloom.models.dispatch.referee import Cost
from loadloom.models.dispatch.solution import Conflict, Schedule, Values
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import SolveOptions
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.wire.arrays import from_series, packed

ACTIONS = {
    explain.Action.CHARGE: pb.STORAGE_ACTION_CHARGE,
    explain.Action.DISCHARGE: pb.STORAGE_ACTION_DISCHARGE,
    explain.Action.HOLD: pb.STORAGE_ACTION_HOLD,
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
    problem = _problem(message.site, axis, broken, limits)
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
        points = (axis.count or 1) * sum(map(_answer_columns, message.sites))
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
    problem = _problem(site, axis, broken, limits)
    problem = common.accepted(problem, common.declared(site), broken)
    return Task(problem=problem, options=options, detail=detail or SCHEDULE)


def _problem(
    site: pb.Site, axis: common.Grid, found: list[Violation], limits: Limits
) -> Problem | None:
    """The site's problem; or None, with all that is wrong noted by paths within the site."""
    _check_sizes(site, limits)
    count = axis.count or max(map(len, _all_values(site)), default=0) or 1
    columns = 4 + len(site.loads) + len(site.photovoltaics) + 4 * len(site.storages)
    if columns * count > limits.points:
        raise refusal.too_large("site", "points", columns * count, limits.points)
    horizon = axis.horizon
    if horizon.count != count:
        horizon = Horizon(start=horizon.start, step_h=np.ones(count))
    reader = _Reader(
        horizon=horizon, sized=axis.count is not None, placed=not axis.violations, found=found
    )
    try:
        return reader.problem(site)
    except InvalidProblem as error:
        found.extend(error.violations)
        return None


def _check_sizes(site: pb.Site, limits: Limits) -> None:
    """Checks that a site has no more parts than are read in a moment."""
    devices = len(site.loads) + len(site.photovoltaics) + len(site.storages)
    if devices > limits.devices:
        raise refusal.too_large("site", "devices", devices, limits.devices)
    targets = sum(len(storage.targets) for storage in site.storages)
    if targets > limits.targets:
        raise refusal.too_large("site.storages", "targets", targets, limits.targets)


def _answer_columns(site: pb.Site) -> int:
    return 2 + 3 * len(site.storages) + len(site.photovoltaics)


def _all_values(site: pb.Site) -> Iterator[Sequence[float]]:
    for part in (site.meter, *site.loads, *site.photovoltaics, *site.storages):
        for _, value in part.ListFields():
            if isinstance(value, common_pb2.Series):
                yield value.values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads the parts of a site.

    Where the number of intervals is open (not `sized`), series are repeated to the length of the
    longest, and where the axis is at fault (not `placed`), targets are put in the first interval:
    both only to find what else is wrong.
    """

    horizon: Horizon
    sized: bool
    placed: bool
    found: list[Violation]

    def problem(self, site: pb.Site) -> Problem:
        return Problem(
            horizon=self.horizon,
            meter=self._meter(site.meter),
            loads=tuple(map(self._load, site.loads)),
            photovoltaics=tuple(map(self._photovoltaic, site.photovoltaics)),
            storages=tuple(self._storage(i, x) for i, x in enumerate(site.storages)),
            name=site.name,
        )

    def _meter(self, meter: pb.Meter) -> Meter:
        return Meter(
            buy_price_per_kwh=self._column(meter, "buy_price_per_kwh"),
            sell_price_per_kwh=self._column(meter, "sell_price_per_kwh"),
            import_limit_kw=self._column(meter, "import_limit_kw", inf),
            export_limit_kw=self._column(meter, "export_limit_kw", inf),
            currency_code=meter.currency_code,
        )

    def _load(self, load: pb.Load) -> Load:
        return Load(name=load.name, power_kw=self._column(load, "power_kw"))

    def _photovoltaic(self, plant: pb.Photovoltaic) -> Photovoltaic:
        return Photovoltaic(
            name=plant.name,
            power_kw=self._column(plant, "power_kw"),
            curtailable=plant.curtailable,
        )

    def _storage(self, index: int, storage: pb.Storage) -> Storage:
        targets = enumerate(storage.targets)
        return Storage(
            name=storage.name,
            energy_min_kwh=self._column(storage, "energy_min_kwh"),
            energy_max_kwh=self._column(storage, "energy_max_kwh"),
            initial_energy_kwh=storage.initial_energy_kwh,
            charge_limit_kw=self._column(storage, "charge_limit_kw"),
            discharge_limit_kw=self._column(storage, "discharge_limit_kw"),
            charge_efficiency=_given(storage, "charge_efficiency", 1.0),
            discharge_efficiency=_given(storage, "discharge_efficiency", 1.0),
            self_discharge_per_h=storage.self_discharge_per_h,
            wear_cost_per_kwh=storage.wear_cost_per_kwh,
            end_value_per_kwh=storage.end_value_per_kwh,
            targets=tuple(self._target(f"storages[{index}].targets[{i}]", x) for i, x in targets),
        )

    def _target(self, path: str, target: pb.EnergyTarget) -> EnergyTarget:
        return EnergyTarget(
            interval=self._interval(path, target),
            min_kwh=_given(target, "min_kwh", -inf),
            max_kwh=_given(target, "max_kwh", inf),
        )

    def _interval(self, path: str, target: pb.EnergyTarget) -> int:
        """The interval that ends at the target's time; -1, which the model refuses, if none."""
        if not target.HasField("time"):
            return 0
        when = common.instant(target.time)
        if when is None:
            self.found.append(Violation(f"{path}.time", "must lie within the years 1 to 9999"))
        if when is None or not self.placed:
            return 0
        return (self.horizon.boundary_index(when) or 0) - 1

    def _column(self, message: Message, name: str, default: float = 0.0) -> FloatArray:
        """The values over the horizon, or as they are where their number is wrong."""
        if not message.HasField(name):
            return np.full(self.horizon.count, default)
        values = from_series(getattr(message, name))
        if values.size == 1:
            return np.full(self.horizon.count, values[0])
        return values if self.sized else np.resize(values, self.horizon.count)


def _given(message: Message, name: str, default: float) -> float:
    """The number in an optional field, or the default where it is left out."""
    return getattr(message, name) if message.HasField(name) else default


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
    plan.conflicts.extend(map(_conflict, answer.conflicts))
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
        _write_schedule(plan.schedule, problem, solution.schedule)
    if solution.values is not None and task.detail >= VALUES:
        _write_values(plan, problem, solution.values)


def _write_costs(plan: pb.DispatchPlan, answer: Answer) -> None:
    if answer.certificate is not None:
        plan.certificate.CopyFrom(common.certificate(answer.certificate))
    if answer.cost is not None:
        plan.costs.extend(_cost_items(answer.cost))
        if answer.baseline is not None:
            plan.baseline_cost = answer.baseline.cost.total
            plan.baseline_within_limits = answer.baseline.within_limits
            plan.saving = plan.baseline_cost - answer.cost.total


def _cost_items(cost: Cost) -> list[common_pb2.CostItem]:
    amounts = {  # 0.0 - x, since -x shows a zero as -0
        "energy bought": cost.bought,
        "energy sold": 0.0 - cost.sold,
        "wear": cost.wear,
        "end value": 0.0 - cost.end_value,
    }
    return [common_pb2.CostItem(name=name, amount=amount) for name, amount in amounts.items()]


def _write_schedule(message: pb.Schedule, problem: Problem, schedule: Schedule) -> None:
    _write(message.import_kw, schedule.import_kw)
    _write(message.export_kw, schedule.export_kw)
    for s, storage in enumerate(problem.storages):
        device = message.storages.add(name=storage.name)
        _write(device.charge_kw, schedule.charge_kw[s])
        _write(device.discharge_kw, schedule.discharge_kw[s])
        _write(device.state_of_charge_kwh, schedule.energy_kwh[s])
    for p, plant in enumerate(problem.photovoltaics):
        _write(message.photovoltaics.add(name=plant.name).curtailed_kw, schedule.curtailed_kw[p])


def _write_values(plan: pb.DispatchPlan, problem: Problem, values: Values) -> None:
    """Writes the values; and as duals of the certificate, where they prove its bound."""
    _write(plan.values.site_value_per_kwh, values.site_per_kwh)
    for storage, stored in zip(problem.storages, values.stored_per_kwh, strict=True):
        _write(plan.values.storages.add(name=storage.name).stored_value_per_kwh, stored)
    if plan.certificate.proof != common_pb2.PROOF_DUAL:
        return
    duals = plan.certificate.duals
    _write(duals.add(name="site_value_per_kwh").values, values.site_per_kwh)
    for storage, stored in zip(problem.storages, values.stored_per_kwh, strict=True):
        _write(duals.add(name=f"stored_value_per_kwh/{storage.name}").values, stored)


def _write(series: common_pb2.Series, values: FloatArray) -> None:
    series.MergeFromString(packed(values))


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


def _conflict(conflict: Conflict) -> common_pb2.Conflict:
    return common_pb2.Conflict(
        what=conflict.what,
        rule=conflict.rule,
        interval=conflict.interval,
        interval_count=conflict.interval_count,
        amount=conflict.amount,
        peak=conflict.peak,
        unit=conflict.unit,
        cure=conflict.cure,
    )
