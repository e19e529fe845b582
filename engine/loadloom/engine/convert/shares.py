"""Price schedules to assess and costs to share, read; diagnoses and shares, written."""

from collections.abc import Sequence

import numpy as np

from loadloom.engine.answers.agency import Answer, Reported, Shared, Sharing, Trial
from loadloom.engine.convert import agency, common
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin, Task
from loadloom.models.agency.assess import Assessment
from loadloom.models.agency.share_report import ShareReport
from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.options import SolveOptions
from loadloom.v1 import agency_pb2 as pb
from loadloom.wire.arrays import to_matrix, to_series


def parse_trial(message: pb.AssessPricesRequest, limits: Limits) -> Task[Trial]:
    """What a request to assess prices asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    price = agency.schedule("price", message.price, found)
    curves = None
    if message.HasField("curves"):
        if message.HasField("grid"):
            axis = agency.horizon(message.grid, limits, found)
            curves = agency.curves("curves", message.curves, axis, found)
        else:
            found.append(Violation("grid", "must be given with curves"))
    asked = None
    if price is not None:
        asked = Trial(schedule=price, curves=curves, peak=agency.peak(message.options))
        agency.check_peak("options", asked.peak, curves, found)
    problem = common.accepted(asked, common.declared(message), found)
    return Task(problem=problem, options=SolveOptions(seed=message.options.seed), detail=0)


def parse_sharing(message: pb.ShareCostRequest, limits: Limits) -> Task[Sharing]:
    """What a request to share a cost asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    axis = agency.horizon(message.grid, limits, found)
    curves = agency.curves("curves", message.curves, axis, found)
    price = bought = None
    if message.HasField("price"):
        price = agency.schedule("price", message.price, found)
    elif message.HasField("purchase"):
        bought = agency.purchase("purchase", message.purchase, axis.count, found)
    peak = agency.peak(message.options)
    agency.check_peak("options", peak, curves, found)
    rules = agency.shared_by(message.rules, message.HasField("price"))
    agency.check_rules(rules, message.HasField("price"), found)
    for name in ("grid", "curves"):
        found = found if message.HasField(name) else agency.without(name, found)
    asked = None
    if curves is not None:
        asked = Sharing(
            curves=curves,
            schedule=price,
            purchase=bought,
            rules=rules,
            peak=peak,
            reports=message.options.report,
        )
    problem = common.accepted(asked, common.declared(message), found)
    return Task(problem=problem, options=SolveOptions(seed=message.options.seed), detail=0)


def render_trial(
    task: Task[Trial], answer: Answer[Assessment], origin: Origin
) -> pb.AssessPricesResponse:
    """The diagnosis as a message."""
    found = answer.found
    response = pb.AssessPricesResponse(
        is_stable=found.is_stable,
        is_convex=found.is_convex,
        is_non_decreasing=found.is_nondecreasing,
        reasons=found.reasons,
        sentences=found.text,
        provenance=agency.provenance(task, answer, origin),
    )
    if (example := found.counterexample) is not None:
        response.counterexample.CopyFrom(
            pb.PoolingLoss(
                load_kw=to_matrix(example.load_kw),
                alone=to_series(example.alone),
                together=example.together,
                loss=example.loss,
                text=example.text,
                hours=example.step_h,
            )
        )
    curves = task.problem.curves
    if found.pooling is not None and curves is not None:
        response.pooling.CopyFrom(_pooling(found, curves.names))
    return response


def _pooling(found: Assessment, names: Sequence[str]) -> pb.Pooling:
    its = found.pooling
    if its is None:
        return pb.Pooling()
    return pb.Pooling(
        together=its.together,
        alone=its.alone,
        saving=its.saving,
        coalition=[names[int(user)] for user in its.excess.coalition],
        coalition_alone=its.coalition_alone,
        coalition_charged=its.coalition_shares,
        complaint=its.excess.complaint,
        complaint_bound=its.excess.bound,
        is_enumerated=its.excess.is_exact,
        least_excess_low=its.least_excess_low,
        least_excess_high=its.least_excess_high,
    )


def render_sharing(
    task: Task[Sharing], answer: Answer[Shared], origin: Origin
) -> pb.ShareCostResponse:
    """The shares as a message."""
    found, names = answer.found, task.problem.curves.names
    pooled, total_kw = found.pooled, found.total_kw
    energy = float(total_kw @ pooled.step_h)
    peak_kw, hours = float(total_kw.max()), float(pooled.step_h.sum())
    cost = found.shares[0].shares.cost
    response = pb.ShareCostResponse(
        names=names,
        cost=cost,
        price_per_kwh=cost / energy if energy > 0.0 else 0.0,
        energy_kwh=energy,
        peak_kw=peak_kw,
        peak_intervals=np.flatnonzero(pooled.peak_weights(total_kw)).tolist(),
        load_factor=energy / (hours * peak_kw) if peak_kw > 0.0 else 1.0,
        shares=[_shares(one, names) for one in found.shares],
        provenance=agency.provenance(task, answer, origin),
    )
    if pooled.block_starts.size == 1 and energy > 0.0:
        response.contribution.CopyFrom(to_series(_contribution(task.problem, found)))
    if found.alone is not None:
        response.alone.CopyFrom(to_series(found.alone))
    return response


def _contribution(asked: Sharing, found: Shared) -> FloatArray:
    """The load-rate contribution of each user, k = LF * (e / E - p / P)."""
    load_kw, pooled, total_kw = asked.curves.load_kw, found.pooled, found.total_kw
    weights = pooled.peak_weights(total_kw)
    energy, peak_kw = float(total_kw @ pooled.step_h), float(total_kw @ weights)
    load_factor = energy / (float(pooled.step_h.sum()) * peak_kw)
    return load_factor * (load_kw @ (pooled.step_h / energy) - load_kw @ (weights / peak_kw))


def _shares(found: Reported, names: Sequence[str]) -> pb.CostShares:
    its = found.shares
    message = pb.CostShares(
        rule=agency.RULE_NUMBERS[its.rule],
        share=to_series(its.share),
        rent=its.rent,
        is_exact=its.is_exact,
        method=its.method,
    )
    for name in ("half_width", "slot_price_per_kwh"):
        if (values := getattr(its, name)) is not None:
            getattr(message, name).CopyFrom(to_series(values))
    if found.report is not None:
        message.report.CopyFrom(render_report(found.report, found.audit_price_per_kwh, names))
    return message


def render_report(
    found: ShareReport,
    audit_price_per_kwh: FloatArray | None,
    names: Sequence[str],
    most_named: int | None = None,
) -> pb.SharingReport:
    """A report on shares, as a message that names at most so many users of a coalition."""
    coalition = found.excess.coalition
    message = pb.SharingReport(
        rule=agency.RULE_NUMBERS[found.rule],
        imbalance=found.imbalance,
        complaint=found.excess.complaint,
        complaint_bound=found.excess.bound,
        is_enumerated=found.excess.is_exact,
        coalition=[names[int(user)] for user in coalition[:most_named]],
        coalition_count=len(coalition),
        trial_count=found.monotonicity.trial_count,
        fall_count=found.monotonicity.fall_count,
        worst_fall=found.monotonicity.worst_fall,
        sentences=found.text,
    )
    if found.is_stable is not None:
        message.is_stable = found.is_stable
    if audit_price_per_kwh is not None:
        message.audit_price_per_kwh.CopyFrom(to_series(audit_price_per_kwh))
    return message
