"""What to tell of a plan of whom to call, and the law of what customers do, read."""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.engine.convert.response_columns import chosen, places, table
from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.v1 import response_pb2 as pb

MOST_SHOCKS = 20
"""The most shocks that customers share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueLaw:
    """What customers do beyond the normal law, as far as it differs; see `Law` of the models.

    Attributes:
        degrees_of_freedom, shock_degrees_of_freedom: of Student's laws; inf for normal ones.
        shock_share: (n, F) or (1, F); None for those of the plan.
        outage_probability: that the messages of an outage group fail.
        outage_group: (n,); None for one of all.
    """

    degrees_of_freedom: float
    shock_degrees_of_freedom: float
    shock_share: FloatArray | None
    outage_probability: float
    outage_group: np.ndarray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What to tell of a plan: see `TargetDetail`; `law` None for that of the plan."""

    reasons: tuple[int, ...] = ()
    reserve_count: int = 0
    mean_ranking: bool = False
    samples: int = 0
    law: TrueLaw | None = None
    confirmed: bool = False


def detail_of(
    checks: Checks, message: pb.TargetDetail, count: int, reserve_count: int = 0
) -> Detail:
    """What to tell of a plan, as far as it makes sense."""
    reasons = chosen(checks, "detail.reasons", message.reasons, max(count, 1))
    return Detail(
        reasons=tuple(reasons.tolist()),
        reserve_count=(
            message.reserve_count if message.HasField("reserve_count") else reserve_count
        ),
        mean_ranking=message.mean_ranking,
        samples=message.samples,
        confirmed=message.confirmed,
        law=law("detail.law", checks, message.law, count) if message.HasField("law") else None,
    )


def law(path: str, checks: Checks, message: pb.ResponseLaw, count: int) -> TrueLaw:
    """The law of what customers do, as far as it is told."""
    shares = groups = None
    if message.HasField("shock_share"):
        its, where = message.shock_share, f"{path}.shock_share"
        checks.require(its.cols <= MOST_SHOCKS, f"{where}.cols", f"must be at most {MOST_SHOCKS}")
        if its.cols <= MOST_SHOCKS:
            shares = table(checks, where, its, count, its.cols, low=-1e3, high=1e3)
    for name in ("degrees_of_freedom", "shock_degrees_of_freedom"):
        value = getattr(message, name)
        said = f"is {value:g}; must be above 2, or 0 for a normal law"
        checks.require(value == 0.0 or value > 2.0, f"{path}.{name}", said)
    if message.outage_groups:
        where = f"{path}.outage_groups"
        groups = places(checks, where, message.outage_groups, count, 2**32, 0)
        groups = np.broadcast_to(groups, (count,)).copy()
    return TrueLaw(
        degrees_of_freedom=message.degrees_of_freedom or inf,
        shock_degrees_of_freedom=message.shock_degrees_of_freedom or inf,
        shock_share=shares,
        outage_probability=message.outage_probability,
        outage_group=groups,
    )
