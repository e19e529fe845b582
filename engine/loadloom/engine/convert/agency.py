"""What all requests of an agency share, read into models: curves, price schedules, how to share."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol, TypeVar

import numpy as np

from loadloom.engine.convert import common
from loadloom.engine.convert.common import Grid
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin, Task
from loadloom.models.agency import prices
from loadloom.models.agency.prices import PriceKind, PriceSchedule
from loadloom.models.agency.problem import (
    Curves,
    LoadArray,
    Mode,
    Peak,
    PeakMode,
    Purchase,
    SharingRule,
    rule_fault,
)
from loadloom.models.checks import MAGNITUDE, Checks, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1 import common_pb2
from loadloom.wire.arrays import from_floats, from_series

P = TypeVar("P")

RULES = {
    pb.SHARING_RULE_AUMANN_SHAPLEY: SharingRule.AUMANN_SHAPLEY,
    pb.SHARING_RULE_COINCIDENT_PEAK: SharingRule.COINCIDENT_PEAK,
    pb.SHARING_RULE_OWEN_DUALS: SharingRule.OWEN_DUALS,
    pb.SHARING_RULE_ENERGY: SharingRule.ENERGY,
    pb.SHARING_RULE_SAVING: SharingRule.SAVING,
    pb.SHARING_RULE_LEAVE_ONE_OUT: SharingRule.LEAVE_ONE_OUT,
    pb.SHARING_RULE_SHAPLEY: SharingRule.SHAPLEY,
    pb.SHARING_RULE_NUCLEOLUS: SharingRule.NUCLEOLUS,
    pb.SHARING_RULE_LEAST_CORE: SharingRule.LEAST_CORE,
}
RULE_NUMBERS = {rule: number for number, rule in RULES.items()}

PEAKS = {
    pb.PEAK_MODE_UNSPECIFIED: PeakMode.MONTHLY_PEAK,
    pb.PEAK_MODE_MONTHLY_PEAK: PeakMode.MONTHLY_PEAK,
    pb.PEAK_MODE_MEAN_OF_TOP_PEAKS: PeakMode.MEAN_OF_TOP_PEAKS,
    pb.PEAK_MODE_DAILY: PeakMode.DAILY,
}

MODES = {
    pb.SETTLEMENT_MODE_UNSPECIFIED: Mode.BENEFIT_SHARE,
    pb.SETTLEMENT_MODE_BENEFIT_SHARE: Mode.BENEFIT_SHARE,
    pb.SETTLEMENT_MODE_COST_PLUS: Mode.COST_PLUS,
}

_POINTS = {
    PriceKind.PIECEWISE: ("piecewise.points", "inverse_load_factor"),
    PriceKind.TIERS: ("tiers.tiers", "least_load_factor"),
}
"""Where the messages of prices have their points, and what they call the place of one."""


MODE_NUMBERS = {
    Mode.BENEFIT_SHARE: pb.SETTLEMENT_MODE_BENEFIT_SHARE,
    Mode.COST_PLUS: pb.SETTLEMENT_MODE_COST_PLUS,
}
PEAK_NUMBERS = {
    PeakMode.MONTHLY_PEAK: pb.PEAK_MODE_MONTHLY_PEAK,
    PeakMode.MEAN_OF_TOP_PEAKS: pb.PEAK_MODE_MEAN_OF_TOP_PEAKS,
    PeakMode.DAILY: pb.PEAK_MODE_DAILY,
}


def horizon(message: common_pb2.TimeGrid, limits: Limits, found: list[Violation]) -> Grid:
    """The time axis; where it is at fault, that is noted and the horizon is a stand-in."""
    axis = common.grid(message, limits)
    found.extend(axis.violations)
    return axis


def schedule(path: str, message: pb.PriceSchedule, found: list[Violation]) -> PriceSchedule | None:
    """The price schedule; None, with its faults noted, if it is none."""
    kind = message.WhichOneof("kind")
    try:
        match kind:
            case "affine":
                return prices.affine(message.affine.base_per_kwh, message.affine.slope_per_kwh)
            case "load_factor":
                its = message.load_factor
                return prices.load_factor(its.base_per_kwh, its.slope_per_kwh)
            case "piecewise":
                points = message.piecewise.points
                places = [point.inverse_load_factor for point in points]
                return prices.piecewise(places, [point.price_per_kwh for point in points])
            case "tiers":
                tiers = message.tiers.tiers
                places = [tier.least_load_factor for tier in tiers]
                return prices.tiers(places, [tier.price_per_kwh for tier in tiers])
    except InvalidProblem as error:
        price_kind = PriceKind.TIERS if kind == "tiers" else PriceKind.PIECEWISE
        under = f"{path}.{kind}." if kind in {"affine", "load_factor"} else f"{path}."
        found.extend(_priced(under, price_kind, violation) for violation in error.violations)
    return None


def _priced(under: str, kind: PriceKind, violation: Violation) -> Violation:
    """The violation at the path of the message of a price."""
    points, place = _POINTS[kind]
    path = re.sub(r"^at(\[\d+\])$", rf"{points}\1.{place}", violation.path)
    path = re.sub(r"^price_per_kwh(\[\d+\])$", rf"{points}\1.price_per_kwh", path)
    path = re.sub(r"^(at|price_per_kwh)$", points, path)
    return Violation(under + path, violation.message)


def loads(path: str, message: pb.Curves, axis: Grid, found: list[Violation]) -> LoadArray | None:
    """The loads of the curves, (n, T); None, and their faults noted, if they have other shapes."""
    is_double = message.HasField("load_kw")
    if is_double == message.HasField("load_kw_float32"):
        said = "must be given, or else load_kw_float32, and not both"
        found.append(Violation(f"{path}.load_kw", said))
        return None
    name = "load_kw" if is_double else "load_kw_float32"
    matrix: common_pb2.Matrix | common_pb2.FloatMatrix = getattr(message, name)
    before = len(found)
    users = len(message.names)
    if matrix.rows != users:
        found.append(
            Violation(f"{path}.{name}.rows", f"is {matrix.rows}; must be {users}, one for a name")
        )
    if axis.count is not None and matrix.cols != axis.count:
        said = f"is {matrix.cols}; must be {axis.count}, one for each interval"
        found.append(Violation(f"{path}.{name}.cols", said))
    if len(message.areas) not in {0, users}:
        said = f"has {len(message.areas)} values; must have one for each of {users} users"
        found.append(Violation(f"{path}.areas", said))
    values = (
        from_series(message.load_kw.values) if is_double else from_floats(message.load_kw_float32)
    )
    if len(found) == before and values.size != matrix.rows * matrix.cols:
        said = f"has {values.size} values; must have {matrix.rows} x {matrix.cols}"
        found.append(Violation(f"{path}.{name}.values", said))
    if len(found) > before or axis.count is None:
        return None
    return values.reshape(matrix.rows, matrix.cols)


def check_readings(
    path: str, message: pb.Curves, load_kw: LoadArray, found: list[Violation], *, gaps: bool
) -> None:
    """Notes the first load that is no number or too large; NaN is none unless it is a gap."""
    good = (load_kw >= -MAGNITUDE) & (load_kw <= MAGNITUDE)
    if gaps:
        good |= np.isnan(load_kw)
    if good.all():
        return
    user, slot = np.unravel_index(int(np.argmin(good)), good.shape)
    more = int(good.size - np.count_nonzero(good)) - 1
    also = f" (and {more} more)" if more else ""
    right = f"must be a number within {MAGNITUDE:g} kW"
    if np.isnan(load_kw[user, slot]):
        right += "; give rules if readings are missing"
    name = "load_kw" if message.HasField("load_kw") else "load_kw_float32"
    said = f"is {load_kw[user, slot]:g}{also}; {right}"
    found.append(Violation(f"{path}.{name}[{user}][{slot}]", said))


def check_names(path: str, message: pb.Curves, found: list[Violation]) -> None:
    """Notes every name that stands a second time."""
    first: dict[str, int] = {}
    for index, name in enumerate(message.names):
        before = first.setdefault(name, index)
        if before != index:
            said = f"{name!r} is also {path}.names[{before}]; every user must have its own"
            found.append(Violation(f"{path}.names[{index}]", said))


def without(field: str, found: Iterable[Violation]) -> list[Violation]:
    """The violations but for those of a field, which is missing as a whole."""
    return [v for v in found if re.split(r"[.\[]", v.path)[0] != field]


def cut_off(message: pb.ReadingRules, found: list[Violation]) -> datetime | None:
    """The instant after which readings are late; None if none is."""
    if not message.HasField("cut_off_time"):
        return None
    instant = common.instant(message.cut_off_time)
    if instant is None:
        said = "must lie within the years 1 to 9999"
        found.append(Violation("options.rules.cut_off_time", said))
    return instant


def curves(path: str, message: pb.Curves, axis: Grid, found: list[Violation]) -> Curves | None:
    """The curves; None, with their faults noted, if there are any."""
    load_kw = loads(path, message, axis, found)
    if load_kw is None:
        return None
    try:
        return Curves(names=tuple(message.names), load_kw=load_kw, horizon=axis.horizon)
    except InvalidProblem as error:
        single = message.HasField("load_kw_float32")
        found.extend(_curved(path, single, violation) for violation in error.violations)
    return None


def _curved(path: str, single: bool, violation: Violation) -> Violation:
    """The violation at the path of the message of curves."""
    own = violation.path.replace("curves.", f"{path}.", 1)
    return Violation(
        own.replace(".load_kw", ".load_kw_float32") if single else own, violation.message
    )


def peak(message: pb.SharingOptions) -> Peak:
    """The peak that counts."""
    return Peak(
        mode=PEAKS.get(message.peak_mode, PeakMode.MONTHLY_PEAK), count=message.peak_count or 1
    )


def check_peak(path: str, found_peak: Peak, users: Curves | None, found: list[Violation]) -> None:
    """Notes a number of peaks that the curves have not as many days for."""
    days = 0 if users is None else users.day_first.size - 1
    if found_peak.mode is PeakMode.MEAN_OF_TOP_PEAKS and days and found_peak.count > days:
        said = f"is {found_peak.count}; the intervals have only {days} days with a peak each"
        found.append(Violation(f"{path}.peak_count", said))


def check_rules(rules: Iterable[SharingRule], by_schedule: bool, found: list[Violation]) -> None:
    """Notes rules that the way of buying leaves undefined."""
    for index, rule in enumerate(rules):
        if fault := rule_fault(rule, by_purchase=not by_schedule):
            found.append(Violation(f"rules[{index}]", fault))


def purchase(
    path: str, message: pb.PurchaseCost, count: int | None, found: list[Violation]
) -> Purchase | None:
    """What a purchase cost; a single price stands for all intervals."""
    price = column(f"{path}.slot_price_per_kwh", message.slot_price_per_kwh, count, found)
    if price is None:
        return None
    checks = Checks()
    if not checks.numbers(f"{path}.slot_price_per_kwh", price):
        found.extend(checks.violations)
        return None
    return Purchase(cost=message.cost, slot_price_per_kwh=price, rent=message.rent)


def column(
    path: str, series: common_pb2.Series, count: int | None, found: list[Violation]
) -> FloatArray | None:
    """The values of a series, (count,); None if there are not one or as many, which is noted."""
    values = from_series(series)
    if count is None:
        return None
    if values.size not in {1, count}:
        found.append(Violation(path, f"has {values.size} values; must have 1 or {count}"))
        return None
    return np.broadcast_to(values, (count,)).copy() if values.size != count else values


def shared_by(
    numbers: Iterable[pb.SharingRule.ValueType], by_schedule: bool
) -> tuple[SharingRule, ...]:
    """The rules, or the default of what is shared for those that are left open."""
    usual = SharingRule.AUMANN_SHAPLEY if by_schedule else SharingRule.OWEN_DUALS
    return tuple(RULES.get(number, usual) for number in numbers) or (usual,)


class _Solved(Protocol):
    """How a solve ended, as provenance tells it."""

    @property
    def method(self) -> Method: ...
    @property
    def road(self) -> str: ...


class _Found(Protocol):
    """An answer, as provenance tells it."""

    @property
    def solution(self) -> _Solved: ...
    @property
    def solve_s(self) -> float: ...


def provenance(task: Task[P], answer: _Found, origin: Origin) -> common_pb2.Provenance:
    """The origin of an answer, as a message."""
    return common.provenance(
        origin,
        method=answer.solution.method,
        road=answer.solution.road,
        seed=task.options.seed,
        threads=1,
        solve_s=answer.solve_s,
    )
