"""What was measured, settled and foretold, as messages."""

import numpy as np
from google.protobuf.duration_pb2 import Duration

from loadloom.engine.answers.agency import Answer
from loadloom.engine.answers.response_measure import Deliveries
from loadloom.engine.answers.response_need import Foretold
from loadloom.engine.convert.agency import provenance
from loadloom.engine.convert.response_measure import Measuring
from loadloom.engine.convert.response_need import Foretelling
from loadloom.engine.convert.schedules import timestamp
from loadloom.engine.task import Origin, Task
from loadloom.models.response.measure import WH_PER_KWH
from loadloom.v1 import common_pb2
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_floats, to_matrix, to_series


def render_measured(
    task: Task[Measuring], answer: Answer[Deliveries], origin: Origin
) -> pb.MeasureResponseResponse:
    """What customers delivered, as a message."""
    found = answer.found
    baselines, measured = found.settlement.baselines, found.settlement.measured
    message = pb.MeasureResponseResponse(
        names=found.names,
        baseline_kw=to_floats(found.baseline_kw),
        load_kw=to_floats(found.load_kw),
        delivered_kwh=measured.energy_wh / WH_PER_KWH,
        rebound_kwh=measured.rebound_kwh,
        adjustment=baselines.adjustment,
        day_counts=baselines.day_count.tolist(),
        notes=found.notes,
        provenance=provenance(task, answer, origin),
    )
    if task.problem.prices is not None:
        payments = found.settlement.payments
        message.payment_minor.extend(payments.total_minor.tolist())
        message.paid_minor = payments.sum_minor
    return message


def render_foretold(
    task: Task[Foretelling], answer: Answer[Foretold], origin: Origin
) -> pb.ForecastNeedResponse:
    """The needs of nodes, as a message."""
    found, asked = answer.found, task.problem
    step = Duration()
    step.FromNanoseconds(round(3.6e12 * float(found.horizon.step_h[0])))
    message = pb.ForecastNeedResponse(
        grid=common_pb2.TimeGrid(
            start_time=timestamp(found.horizon.start.timestamp()),
            step=step,
            count=found.horizon.count,
            time_zone=found.horizon.time_zone,
        ),
        methods=[
            pb.FORECAST_METHOD_REGRESSION if by_regression else pb.FORECAST_METHOD_SIMILAR_DAYS
            for by_regression in found.forecast.regression.tolist()
        ],
        scores=pb.ForecastScores(
            similar_days_kw=found.forecast.score_kw[0],
            regression_kw=found.forecast.score_kw[1],
            below_95_share=found.forecast.below_share,
        ),
        provenance=provenance(task, answer, origin),
    )
    columns = {
        "mean_kw": found.forecast.mean_kw,
        "sd_kw": found.forecast.spread_kw,
        "overload_probability": found.need.overload_probability,
        "need_kw": found.need.need_kw,
        "excess_kw": found.need.excess_kw,
    }
    for name, values in columns.items():
        getattr(message, name).CopyFrom(to_matrix(found.by_intervals(values)))
    for share, values in zip(asked.quantiles, found.quantile_kw, strict=True):
        message.quantiles.add(share=share, load_kw=to_matrix(found.by_intervals(values)))
    return message


def header(
    found: Deliveries, rule: pb.BaselineRule, currency_code: str, expected_kwh: float
) -> pb.EventSettlement:
    """What an event came to, without its name, its time and where it comes from."""
    measured, payments = found.settlement.measured, found.settlement.payments
    known = ~np.isnan(found.baseline_kw - found.load_kw)
    baseline_kw = np.where(known, found.baseline_kw, 0.0).sum(axis=0)
    load_kw = np.where(known, found.load_kw, 0.0).sum(axis=0)
    return pb.EventSettlement(
        currency_code=currency_code,
        minor_digits=payments.currency.minor_digits,
        rule=rule,
        customer_count=len(found.names),
        delivering_count=int(np.count_nonzero(measured.energy_wh)),
        unmeasured_count=int(np.count_nonzero(np.isnan(measured.net_kw))),
        delivered_kwh=int(measured.energy_wh.sum()) / WH_PER_KWH,
        expected_kwh=expected_kwh,
        paid_minor=payments.sum_minor,
        fixed_minor=int(payments.fixed_minor.sum()),
        reduction_kw=to_series(baseline_kw - load_kw),
        baseline_kw=to_series(baseline_kw),
        load_kw=to_series(load_kw),
    )
