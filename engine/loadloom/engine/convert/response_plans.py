"""Plans of whom to call, and their confidence, as messages."""

from collections.abc import Iterable

import numpy as np

from loadloom.engine.answers.agency import Answer
from loadloom.engine.answers.response import THREADS, Choice, Targets
from loadloom.engine.convert import common
from loadloom.engine.convert.agency import provenance
from loadloom.engine.convert.response import Targeting, question, without_missing
from loadloom.engine.convert.response_columns import chosen
from loadloom.engine.convert.response_detail import law
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin, Task
from loadloom.models.checks import Checks, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.options import SolveOptions
from loadloom.models.response.confidence import ConfidenceCheck
from loadloom.models.response.normal import probability
from loadloom.models.response.problem import NOT_CALLED, OfferArray, Problem
from loadloom.models.response.referee import Figures
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_matrix

LARGEST = 1e300
"""What stands for an infinite cost per kW; JSON knows no infinity."""


def render(
    task: Task[Targeting], answer: Answer[Targets], origin: Origin
) -> pb.PlanTargetsResponse:
    """The plan as a message, with its calls."""
    message = plan(task, answer, origin)
    its, offer = task.problem, answer.found.solution.offer
    if offer is not None:
        called = np.flatnonzero(offer != NOT_CALLED)
        taken = offer[called]
        message.called.extend(called.tolist())
        if its.price_per_kwh.size > 1:
            message.levels.extend(its.levels(taken).tolist())
        message.expected_kw.extend(its.mean_kw(its.problem.offers.mean_kw[taken]).tolist())
        message.expected_cost.extend(its.problem.offers.cost[taken].tolist())
    return pb.PlanTargetsResponse(plan=message)


def plan(task: Task[Targeting], answer: Answer[Targets], origin: Origin) -> pb.TargetPlan:
    """The plan as a message, without its calls."""
    asked, found = task.problem, answer.found
    solution, figures, network = found.solution, found.figures, asked.problem.network
    message = pb.TargetPlan(
        termination=common.ending(answer.solution.termination),
        provenance=common.provenance(
            origin,
            method=answer.solution.method,
            road=answer.solution.road,
            seed=task.options.seed,
            threads=THREADS,
            solve_s=answer.solve_s,
        ),
        uncalled=_uncalled(asked.problem),
    )
    for each in solution.unsecured:
        message.unsecured.add(
            node=each.node,
            interval=each.slot,
            need_kw=each.need_kw,
            attainable_kw=each.attainable_kw,
            missing_kw=each.missing_kw,
            text=each.message,
        )
    if answer.certificate is not None:
        message.certificate.CopyFrom(common.certificate(answer.certificate))
    if figures is None:
        return message
    message.called_count = figures.called_count
    message.cost, message.cost_sd, message.cost_95 = figures.cost, figures.cost_sd, figures.cost_95
    if solution.common_z is not None:
        message.common_confidence = float(probability(np.array(solution.common_z)))
    _write_nodes(message, asked, figures, solution.price_per_kw)
    if network.headroom_kw is not None:
        _write_rebounds(message, network.headroom_kw, figures)
    _write_told(message, asked, found)
    if found.confidence is not None:
        message.confidence.CopyFrom(confidence(asked, found.confidence))
    message.sentences.extend(_sentences(asked, found, figures))
    return message


def _write_nodes(
    message: pb.TargetPlan, asked: Targeting, figures: Figures, price_per_kw: FloatArray | None
) -> None:
    network = asked.problem.network
    rows = np.flatnonzero(network.needed.any(axis=1))
    nodes = message.nodes
    nodes.nodes.extend(rows.tolist())
    nodes.names.extend(map(network.name, rows.tolist()))
    columns = {
        "need_kw": network.need_kw,
        "mean_kw": figures.mean_kw,
        "sd_kw": np.sqrt(figures.variance_kw2),
        "secured_kw": figures.secured_kw,
        "probability": figures.probability,
        "price_per_kw": price_per_kw,
    }
    for name, values in columns.items():
        if values is not None:
            getattr(nodes, name).CopyFrom(to_matrix(values[rows]))


def _write_rebounds(message: pb.TargetPlan, headroom_kw: FloatArray, figures: Figures) -> None:
    rows = np.flatnonzero(np.isfinite(headroom_kw).any(axis=1))
    rebounds = message.rebounds
    rebounds.nodes.extend(rows.tolist())
    columns = {
        "headroom_kw": headroom_kw,
        "mean_kw": figures.rebound_kw,
        "probability": figures.rebound_probability,
    }
    for name, values in columns.items():
        getattr(rebounds, name).CopyFrom(to_matrix(values[rows]))


def _write_told(message: pb.TargetPlan, asked: Targeting, found: Targets) -> None:
    """Writes what was asked for beside the plan."""
    problem = asked.problem
    names = problem.customers.names
    for each in found.reserves:
        who, its = each.customers.tolist(), each.offer
        message.reserves.add(
            node=each.node,
            customers=who,
            levels=asked.levels(its).tolist(),
            expected_kw=asked.mean_kw(problem.offers.mean_kw[its]).tolist(),
            cost=problem.offers.cost[its].tolist(),
            names=[] if names is None else [names[customer] for customer in who],
        )
    if found.ranking is not None:
        message.mean_ranking.meets_needs = found.ranking.offer is not None
        if found.ranking_figures is not None:
            message.mean_ranking.called_count = found.ranking_figures.called_count
            message.mean_ranking.cost = found.ranking.cost
            message.mean_ranking.extra_share = found.ranking.excess
    for group in found.groups:
        message.groups.add(
            name=asked.group_names[group.group],
            customer_count=group.customer_count,
            called_count=group.called_count,
            cost=group.cost,
            expected_kw=group.mean_kw,
        )
    offer = found.solution.offer
    for why in found.reasons:
        message.reasons.add(
            customer=why.customer,
            called=offer is not None and bool(offer[why.customer] != NOT_CALLED),
            cost_per_kw=min(why.cost_per_kw, LARGEST),
            price_per_kw=why.price_per_kw,
            mean_rank=why.rank_by_mean,
            text=why.sentence,
        )


def _uncalled(problem: Problem) -> Iterable[pb.Uncalled]:
    """The customers that could not be called, counted by the first reason that holds."""
    customers = problem.customers
    barred = np.zeros(customers.count, np.bool_)
    if customers.never_call is not None:
        barred = customers.never_call
    spent = np.zeros(customers.count, np.bool_)
    if customers.calls_left is not None:
        spent = (customers.calls_left <= 0) & ~barred
    counts = {"must not be called": barred, "no calls left": spent}
    for reason, which in counts.items():
        if count := int(np.count_nonzero(which)):
            yield pb.Uncalled(reason=reason, customer_count=count)


def _sentences(asked: Targeting, found: Targets, figures: Figures) -> Iterable[str]:
    """The plan in a few sentences."""
    network = asked.problem.network
    needed = int(np.count_nonzero(network.needed.any(axis=1)))
    yield (
        f"{figures.called_count:,} of {asked.problem.customers.count:,} customers are called for "
        f"{needed:,} nodes in need; this is expected to cost {figures.cost:,.2f}, and with 95 % "
        f"probability no more than {figures.cost_95:,.2f}."
    )
    if found.solution.unsecured:
        worst = max(found.solution.unsecured, key=lambda each: each.missing_kw)
        yield (
            f"{len(found.solution.unsecured):,} needs cannot be met with their confidence; most is "
            f"missing at {network.name(worst.node)}: {worst.missing_kw:,.4g} kW."
        )
    if found.confidence is not None and found.confidence.warnings:
        yield (
            f"In {len(found.confidence.warnings):,} needs the draws show less confidence than the "
            "plan by the normal law."
        )


def confidence(asked: Targeting, found: ConfidenceCheck) -> pb.ConfidenceFigures:
    """How often needs are met, as a message."""
    rows = np.flatnonzero(asked.problem.network.needed.any(axis=1))
    quantile_kw = np.nan_to_num(found.quantile_kw[rows], nan=0.0)
    message = pb.ConfidenceFigures(
        nodes=rows.tolist(),
        probability=to_matrix(found.probability[rows]),
        half_width=to_matrix(found.half_width[rows]),
        normal_probability=to_matrix(found.normal_probability[rows]),
        quantile_kw=to_matrix(quantile_kw),
        joint_probability=found.joint_probability,
        samples=found.samples,
    )
    for each in found.warnings:
        message.warnings.add(
            node=each.node,
            interval=each.slot,
            wanted=each.target,
            found=each.found,
            missing_kw=each.missing_kw,
            text=each.message,
        )
    return message


def parse_choice(message: pb.CheckConfidenceRequest, limits: Limits) -> Task[Choice]:
    """The choice whose confidence a request asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    asked = question(message.problem, limits, found)
    checks, offer, true_law = Checks(), None, None
    if asked is not None:
        offer = _offer(checks, message, asked)
        if message.HasField("law"):
            true_law = law("law", checks, message.law, asked.problem.customers.count)
    found.extend(checks.violations)
    declared = common.declared(message)
    asked = common.accepted(asked, without_missing(found, declared), declared)
    choice = Choice(
        asked=asked,
        offer=np.zeros(0, np.int32) if offer is None else offer,
        law=true_law,
        samples=message.samples,
    )
    return Task(problem=choice, options=SolveOptions(seed=message.seed), detail=0)


def _offer(checks: Checks, message: pb.CheckConfidenceRequest, asked: Targeting) -> OfferArray:
    """The offer of each customer in a choice."""
    problem, most = asked.problem, asked.price_per_kwh.size
    called = chosen(checks, "called", message.called, problem.customers.count)
    level = np.array(message.levels or [0] * called.size, dtype=np.int64)
    if level.size != len(message.called):
        said = f"has {level.size} values; must have one for each of {len(message.called)} called"
        checks.require(False, "levels", said)
    if level.size and level.max() >= most:
        first = int(np.argmax(level >= most))
        said = f"is {level[first]}; must be below {most}, the number of levels"
        checks.require(False, f"levels[{first}]", said)
    offer = np.full(problem.customers.count, NOT_CALLED, np.int32)
    if not checks.violations:
        offer[called] = problem.first_offer[called] + level
    return offer


def render_confidence(
    task: Task[Choice], answer: Answer[ConfidenceCheck], origin: Origin
) -> pb.CheckConfidenceResponse:
    """The confidence of a choice as a message."""
    return pb.CheckConfidenceResponse(
        confidence=confidence(task.problem.asked, answer.found),
        provenance=provenance(task, answer, origin),
    )
