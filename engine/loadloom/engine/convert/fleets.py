"""Fleets between their messages and their problems."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from loadloom.engine.answers.fleets import Planned
from loadloom.engine.convert import common, fleet_mixed, site_plans
from loadloom.engine.convert.batches import NAMES, USUAL
from loadloom.engine.convert.fleet_mixed import Mixed
from loadloom.engine.convert.fleet_sites import DATA_SETS, Sites, given, network, of_data_set, read
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.fleet.problem import Fleet, Network
from loadloom.models.dispatch.fleet.solution import Plan, SiteConflict
from loadloom.models.dispatch.solution import Conflict
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import Method, SolveOptions
from loadloom.v1 import common_pb2, dispatch_plans_pb2
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.wire.arrays import to_series
from loadloom.wire.columns import SITE_MATRICES

if TYPE_CHECKING:
    from loadloom.models.dispatch.fleet.referee import Judgement

TIME_LIMIT_S = 60.0
"""The time to solve, unless a caller says otherwise."""

RELATIVE_GAP = 1e-4
"""The gap at which a search may stop, unless a caller says otherwise."""

NODE_SERIES = 6
"""The series that the answer has for each node."""

TOLD_NAMES = 20
"""The most names that are told of that a data set lacks."""

BREACHED_KWH = 1e-6
"""What is less beyond a limit is rounding."""

_COLUMNS = {name: number for number, name in NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A fleet that is to be planned.

    Attributes:
        message: the request.
        sites: its sites in columns; None if there are none.
        mixed: its other sites.
        fleet: the fleet; what files have is zero in it.
        options: the limits of the solve.
        columns: the columns of the sites' plans to keep.
    """

    message: pb.PlanFleetRequest
    sites: Sites | None
    mixed: Mixed
    fleet: Fleet
    options: SolveOptions
    columns: tuple[str, ...]

    @property
    def threads(self) -> int:
        """The number of threads that is wished for; zero for one a core."""
        return self.message.options.threads

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sites in columns, if they have any."""
        return () if self.sites is None else self.sites.names

    def whole(self, limits: Limits) -> Fleet:
        """The fleet with what its files have.

        Raises:
            InvalidProblem: the files are not such data sets, with the paths of the message.
            Refusal: they have too many users or readings.
        """
        batch = self.fleet.sites
        if self.sites is None or batch is None or not self.sites.files:
            return self.fleet
        matrices = {
            name: _from_files(self.sites, name, batch.horizon, limits) for name in self.sites.files
        }
        try:
            return replace(self.fleet, sites=replace(batch, **matrices))
        except InvalidProblem as error:
            raise InvalidProblem(_of_files(v, self.sites) for v in error.violations) from error


def _from_files(sites: Sites, name: str, horizon: Horizon, limits: Limits) -> FloatArray:
    """A matrix of the sites from its files."""
    path = DATA_SETS[name]
    most_users = limits.curve_points // horizon.count
    try:
        users, load_kw = sites.files[name].loads(horizon, limits.curve_points, most_users)
    except InvalidProblem as error:
        raise InvalidProblem(of_data_set(path, v) for v in error.violations) from error
    place = {user: index for index, user in enumerate(users)}
    lacking = [index for index, site in enumerate(sites.names) if site not in place]
    if lacking:
        more = len(lacking) - TOLD_NAMES
        also = f" (and {more} more sites)" if more > 0 else ""
        raise InvalidProblem(
            Violation(f"sites.names[{index}]", f"{sites.names[index]!r} is no user of {path}{also}")
            for index in lacking[:TOLD_NAMES]
        )
    return np.array(load_kw[[place[site] for site in sites.names]], np.float64)


def _of_files(violation: Violation, sites: Sites) -> Violation:
    """The violation of a cell that a file has."""
    name, _, cell = violation.path.partition("[")
    if name not in sites.files:
        return violation
    row, _, interval = cell.rstrip("]").partition(",")
    said = f"{sites.names[int(row)]!r} in interval {interval} {violation.message}"
    return Violation(f"sites.{DATA_SETS[name]}", said)


def parse(message: pb.PlanFleetRequest, limits: Limits, *, roots: Roots) -> Asked:
    """What a request for the plan of a fleet asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    axis = common.grid(message.grid, limits)
    count = axis.count or min(_longest(message), limits.intervals)
    _check_size(message, count, limits)
    if axis.horizon.count != count:
        stand_in = Horizon(start=axis.horizon.start, step_h=np.ones(count))
        axis = replace(axis, horizon=stand_in, count=count)
    found: list[Violation] = []
    options = _options(message.options, found)
    nodes = network(message.nodes, axis.horizon, found)
    sites = None
    if message.HasField("sites"):
        sites = read(message.sites, axis.horizon, roots, found)
    elif not message.mixed_sites:
        found.append(Violation("sites", "value is required, or mixed_sites"))
    mixed = fleet_mixed.read(
        message.mixed_sites, axis, message.currency_code, len(message.nodes), limits, found
    )
    fleet = _fleet(sites, mixed, nodes, axis.horizon, found)
    asked = None
    if fleet is not None and not found:
        asked = Asked(
            message=message,
            sites=sites,
            mixed=mixed,
            fleet=fleet,
            options=options,
            columns=tuple(NAMES.get(number, "") for number in message.columns) or USUAL,
        )
    axis_found = axis.violations if message.HasField("grid") else []
    if not message.sites.HasField("columns"):
        found = [v for v in found if not v.path.startswith("sites.")]
    return common.accepted(asked, axis_found, found, common.declared(message))


def _longest(message: pb.PlanFleetRequest) -> int:
    """The intervals that the sites' columns have, where the grid does not say how many."""
    columns = message.sites.columns
    its = (getattr(columns, name).cols for name in SITE_MATRICES if given(columns, name))
    return max(its, default=1) or 1


def _check_size(message: pb.PlanFleetRequest, count: int, limits: Limits) -> None:
    sites = message.sites.columns.site_count
    path, many = "sites.columns.site_count", sites + len(message.mixed_sites)
    if many > limits.fleet_sites:
        raise refusal.too_large(path, "sites of a fleet", many, limits.fleet_sites)
    fleet_mixed.check_size(message.mixed_sites, count, limits)
    if sites * count > limits.fleet_points:
        what = "sites times intervals of a fleet"
        raise refusal.too_large(path, what, sites * count, limits.fleet_points)
    points = NODE_SERIES * len(message.nodes) * count
    if points > limits.points:
        raise refusal.too_large("nodes", "points in an answer", points, limits.points)


def _options(message: pb.FleetOptions, found: list[Violation]) -> SolveOptions:
    limit_s: float | None = TIME_LIMIT_S
    if message.HasField("time_limit"):
        limit_s = common.seconds(message.time_limit)
    if limit_s is None:
        found.append(Violation("options.time_limit", "must be a duration"))
    return SolveOptions(
        time_limit_s=limit_s or TIME_LIMIT_S,
        relative_gap=message.relative_gap or RELATIVE_GAP,
        seed=message.seed,
    )


def _fleet(
    sites: Sites | None,
    mixed: Mixed,
    nodes: Network | None,
    horizon: Horizon,
    found: list[Violation],
) -> Fleet | None:
    """The fleet, or None if it is at fault; its nodes are checked even where its sites are."""
    if nodes is None:
        return None
    batch, site_nodes, problems = None, np.zeros(0, np.int64), mixed.whole or ()
    if sites is not None:
        batch = sites.batch or _idle(horizon, max(sites.nodes.size, 1))
        site_nodes = sites.nodes if sites.nodes.size else np.zeros(1, np.int64)
    elif not problems:
        batch, site_nodes = _idle(horizon, 1), np.zeros(1, np.int64)
    mixed_nodes = np.minimum(mixed.nodes, len(nodes.names) - 1)  # those beyond are told already
    try:
        return Fleet(
            sites=batch,
            site_nodes=site_nodes,
            network=nodes,
            mixed=problems,
            mixed_nodes=mixed_nodes if problems else np.zeros(0, np.int64),
        )
    except InvalidProblem as error:
        for violation in error.violations:
            path = violation.path
            path = f"sites.nodes{path[10:]}" if path.startswith("site_nodes") else path
            path = f"mixed_sites{path[5:]}" if path.startswith("mixed[") else path
            found.append(Violation(path, violation.message))
        return None


def _idle(horizon: Horizon, count: int) -> Batch:
    """So many sites that do nothing."""
    nothing = np.zeros((1, 1))
    return Batch(
        horizon=horizon,
        site_count=count,
        buy_price_per_kwh=nothing,
        energy_max_kwh=nothing,
        charge_limit_kw=nothing,
        discharge_limit_kw=nothing,
    )


def parts(asked: Asked, fleet: Fleet, found: Planned) -> Iterator[bytes]:
    """The plans of all sites, some at a time, as a solve hands them over."""
    plan = found.solution.plan
    if plan is None or found.word is None:
        return
    its = zip(
        fleet.mixed,
        asked.mixed.paths,
        fleet.mixed_nodes.tolist(),
        plan.schedules,
        found.word.verdicts,
        strict=True,
    )
    mixed = (fleet_mixed.render(*one) for one in its)
    yield from site_plans.parts(asked.names, fleet.site_nodes, plan, asked.columns, mixed)


def render(asked: Asked, fleet: Fleet, found: Planned, origin: Origin) -> pb.FleetPlan:
    """The plan of a fleet as a message, without what each site does."""
    solution = found.solution
    response = pb.FleetPlan(
        termination=common.ending(solution.termination),
        currency_code=asked.message.currency_code,
        site_count=fleet.site_count,
        columns=[_COLUMNS[name] for name in asked.columns],
        passes=solution.passes,
        conflicts=[_conflict(fleet, conflict) for conflict in solution.conflicts],
        site_conflicts=[_site_conflict(asked, one) for one in solution.site_conflicts],
        grid=asked.message.grid,
        provenance=common.provenance(
            origin,
            method=Method.LINEAR,
            road=f"prices of shared limits, {solution.passes} passes",
            seed=asked.options.seed,
            threads=found.threads,
            solve_s=found.solve_s,
        ),
    )
    plan, told, word = solution.plan, found.explanation, found.word
    if plan is None or told is None or word is None or found.certificate is None:
        return response
    response.certificate.CopyFrom(common.certificate(found.certificate))
    for name, amount in _amounts(fleet, plan, word).items():
        response.costs.add(name=name, amount=amount)
    response.baseline_cost = told.baseline_cost
    response.saving = told.baseline_cost - found.certificate.objective
    response.unlimited_cost = told.unlimited.cost
    response.baseline_breaking_count = found.baseline_breaking
    for index, node in enumerate(asked.message.nodes):
        its = response.nodes.add(name=node.name, parent=node.parent)
        its.power_kw.CopyFrom(to_series(plan.power_kw[index]))
        its.unlimited_power_kw.CopyFrom(to_series(told.unlimited.power_kw[index]))
        for side in ("import", "export"):
            price: FloatArray = getattr(solution, f"{side}_price_per_kwh")[index]
            if price.any():
                getattr(its, f"{side}_price_per_kwh").CopyFrom(to_series(price))
            if given(node, f"{side}_limit_kw"):
                limit = getattr(node, f"{side}_limit_kw")
                getattr(its, f"{side}_limit_kw").CopyFrom(limit)
    response.breaches.extend(_breaches(fleet, plan.power_kw))
    return response


def _amounts(fleet: Fleet, plan: Plan, word: "Judgement") -> dict[str, float]:
    """The cost by cause, of all sites and of what nodes break at a price."""
    costs = [verdict.cost for verdict in word.verdicts]
    amounts = {
        "energy bought": float(plan.amount("bought_cost").sum()) + sum(c.bought for c in costs),
        "energy sold": -float(plan.amount("sold_revenue").sum()) - sum(c.sold for c in costs),
        "wear": float(plan.amount("wear_cost").sum()) + sum(c.wear for c in costs),
        "end value": -float(plan.amount("end_value").sum()) - sum(c.end_value for c in costs),
    }
    others = [item for cost in costs for item in cost.others.items()]
    if np.isfinite(fleet.network.breach_price_per_kwh).any():
        others.append(("breach", word.breach_cost))
    for name, amount in others:
        amounts[name] = amounts.get(name, 0.0) + amount
    return {name: amount + 0.0 for name, amount in amounts.items()}  # which shows -0 as 0


def _breaches(fleet: Fleet, power_kw: FloatArray) -> Iterator[dispatch_plans_pb2.Breach]:
    """The limits with a price that are broken at it, by rule and time."""
    network, horizon = fleet.network, fleet.horizon
    sides = (
        ("import_limit_kw", "draws", power_kw - network.import_limit_kw),
        ("export_limit_kw", "feeds in", -power_kw - network.export_limit_kw),
    )
    for index, name in enumerate(network.names):
        price = network.breach_price_per_kwh[index]
        for rule, does, beyond_kw in sides if np.isfinite(price) else ():
            beyond = np.maximum(beyond_kw[index], 0.0) * horizon.step_h
            where = np.flatnonzero(beyond > BREACHED_KWH)
            if where.size:
                amount = float(beyond[where].sum())
                first, last = horizon.clock(int(where[0])), horizon.clock(int(where[-1]) + 1)
                yield dispatch_plans_pb2.Breach(
                    rule=f"nodes[{index}].{rule}",
                    unit="kWh",
                    intervals=where.tolist(),
                    amounts=beyond[where].tolist(),
                    cost=float(price * amount),
                    text=f"{name!r} {does} {amount:.6g} kWh beyond its limit "
                    f"between {first} and {last}",
                )


def _conflict(fleet: Fleet, found: Conflict) -> common_pb2.Conflict:
    """A limit that cannot be kept; the model has the name of the node for `what`."""
    horizon, index = fleet.horizon, fleet.network.names.index(found.what)
    side = "import" if found.rule == "import_limit_kw" else "export"
    first = horizon.clock(found.interval)
    last = horizon.clock(found.interval + found.interval_count)
    return common_pb2.Conflict(
        what=f"{found.what!r} cannot keep its {side} limit from {first} to {last}: at least "
        f"{found.amount:.6g} kWh are beyond it",
        rule=f"nodes[{index}].{found.rule}",
        interval=found.interval,
        interval_count=found.interval_count,
        amount=found.amount,
        peak=found.peak,
        unit=found.unit,
        cure=found.cure,
    )


def _site_conflict(asked: Asked, found: SiteConflict) -> pb.SiteConflict:
    fleet, horizon = asked.fleet, asked.fleet.horizon
    name = asked.names[found.site] if found.site < len(asked.names) else ""
    if found.site >= fleet.plain_count:
        name = fleet.mixed[found.site - fleet.plain_count].name
    who = f"site {found.site}" + (f", {name!r}," if name else "")
    what = f"{who} cannot keep its own rules"
    told = pb.SiteConflict(site=found.site, name=name)
    if found.interval >= 0:
        first, last = horizon.clock(found.interval), horizon.clock(found.interval + 1)
        told.interval = found.interval
        what += f"; looking back from the end, they first conflict from {first} to {last}"
    told.what = what
    return told
