"""The stream's columnar messages: setups and batches of sites in, columns of plans out."""

from dataclasses import dataclass

import numpy as np

from loadloom.engine.convert import common
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.dispatch.batch import AMOUNTS, COLUMNS, Batch, BatchSolution
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import Method
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.wire import columns
from loadloom.wire.arrays import from_series

REQUIRED = ("buy_price_per_kwh", "energy_max_kwh", "charge_limit_kw", "discharge_limit_kw")
"""The matrices without which there is no batch."""

USUAL = COLUMNS[:6]
"""The columns of an answer when the setup names none."""

NAMES = {
    number: name.removeprefix("PLAN_COLUMN_").lower() for name, number in pb.PlanColumn.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What all batches of a stream share; prices are of shape (1, count) or (1, 1)."""

    horizon: Horizon
    prices: dict[str, FloatArray]
    wanted: tuple[str, ...]
    provenance: bool


def parse_setup(message: pb.StreamSetup, limits: Limits) -> Setup:
    """The setup of a stream.

    Raises:
        Refusal: it breaks rules, named by paths like "setup.grid.step", or limits.
    """
    axis = common.grid(message.grid, limits)
    broken: list[Violation] = []
    prices: dict[str, FloatArray] = {}
    for name in ("buy_price_per_kwh", "sell_price_per_kwh"):
        if message.HasField(name):
            prices[name] = _price(name, getattr(message, name), axis, broken)
    setup = Setup(
        horizon=axis.horizon,
        prices=prices,
        wanted=tuple(NAMES.get(number, "") for number in message.columns) or USUAL,
        provenance=message.provenance,
    )
    groups = (common.declared(message), axis.violations, broken)
    return common.accepted(setup, *(common.under("setup.", group) for group in groups))


def _price(
    name: str, series: common_pb2.Series, axis: common.Grid, broken: list[Violation]
) -> FloatArray:
    """A price as a matrix of one row; its numbers are checked with each batch that uses it."""
    values = from_series(series)
    if values.size not in {1, axis.count or values.size} or not values.size:
        wanted = "1" if axis.count is None else f"1 or {axis.count}"
        broken.append(Violation(name, f"has {values.size} values; must have {wanted}"))
    if not np.isfinite(values).all():
        first = int(np.argmin(np.isfinite(values)))
        broken.append(Violation(f"{name}[{first}]", "must be a finite number"))
    return values[np.newaxis]


def size(sites: columns.Sites, setup: Setup, limits: Limits) -> int:
    """The values that a batch holds while it is solved: those of its message and of its plans.

    Raises:
        Refusal: the message, or the answer to it, is beyond the limits.
    """
    if sites.site_count > limits.sites_per_batch:
        path, most = "site_count", limits.sites_per_batch
        raise refusal.too_large(path, "sites per batch", sites.site_count, most)
    asked = sum(matrix.size for matrix in sites.matrices.values())
    answered = sites.site_count * setup.horizon.count * len(setup.wanted)
    for path, points in (("", asked), ("columns", answered)):
        if points > limits.points:
            raise refusal.too_large(path, "points", points, limits.points)
    return asked + sites.site_count * setup.horizon.count * len(COLUMNS)


def parse_batch(sites: columns.Sites, setup: Setup) -> Batch:
    """The batch that a message holds.

    Raises:
        Refusal: it breaks rules, named by paths within the batch.
    """
    given = {**setup.prices, **sites.matrices}
    missing = [name for name in REQUIRED if name not in given]
    stand_ins = dict.fromkeys(missing, np.zeros((1, 1)))
    broken: list[Violation] = []
    batch = None
    try:
        batch = Batch(horizon=setup.horizon, site_count=sites.site_count, **{**given, **stand_ins})
    except InvalidProblem as error:
        broken.extend(error.violations)
    broken = [violation for violation in broken if violation.path.split("[")[0] not in missing]
    return common.accepted(
        batch, broken, [Violation(name, "value is required") for name in missing]
    )


def render_batch(
    key: str, setup: Setup, solution: BatchSolution, solve_s: float, origin: Origin | None
) -> bytes:
    """The message with the plans of a batch, and with their origin if it is given."""
    return columns.encode_plans(
        key,
        reasons=solution.reasons,
        conflict_intervals=solution.conflict_intervals,
        series={name: solution.amount(name) for name in AMOUNTS},
        matrices={name: solution.column(name) for name in setup.wanted},
        solve_time_s=solve_s,
        provenance=None if origin is None else _provenance(origin, solution, solve_s),
    )


def _provenance(origin: Origin, solution: BatchSolution, solve_s: float) -> common_pb2.Provenance:
    """The origin of a batch: the roads that were taken, each with its number of sites."""
    road = ", ".join(f"{name} {count}" for name, count in solution.roads().items())
    return common.provenance(
        origin, method=Method.KERNEL, road=road, seed=0, threads=1, solve_s=solve_s
    )
