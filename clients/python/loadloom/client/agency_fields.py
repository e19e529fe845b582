"""Fields of an agent's requests filled with what it says; what does not fit is noted."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from loadloom.client import agency
from loadloom.client.agency import (
    AffinePrice,
    Curves,
    CurvesLike,
    DataSet,
    LoadFactorPrice,
    PiecewisePrice,
    Plant,
    Price,
    PurchaseCost,
    ReadingRules,
    Rule,
    TierPrice,
    TimeBand,
)
from loadloom.client.agency_wishes import AggregateWishes, SharingWishes
from loadloom.client.grid import Grid
from loadloom.client.request import LONGEST_S, Reading, check_names, fill, set_series
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1.common_pb2 import Matrix, SolveOptions
from loadloom.wire.arrays import to_floats, to_matrix

Source: TypeAlias = "CurvesLike | DataSet"
"""Where curves are: with the caller, or in files that the server reads."""

WINDOW = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
"""A window of the clock, such as 17:00-22:00."""


def set_curves(target: pb.Curves, said: CurvesLike, reading: Reading) -> Curves:
    """Fills a message with curves, and gives them as Curves."""
    curves = Curves.of(said)
    array = np.asarray(curves.load_kw)
    wanted = (len(curves.names), curves.grid.count)
    if array.shape != wanted:
        told = f"has shape {array.shape}; must have a row for each name and a column for each"
        reading.fault("curves.load_kw", f"{told} interval, {wanted}")
        return curves
    target.names.extend(curves.names)
    target.areas.extend(curves.areas)
    if array.dtype == np.float32:
        target.load_kw_float32.CopyFrom(to_floats(array))
    else:
        target.load_kw.CopyFrom(to_matrix(array.astype(np.float64, copy=False)))
    return curves


def set_source(request: Any, field: str, said: Source, reading: Reading) -> Grid:  # noqa: ANN401
    """Fills the source of a request, and its grid, which it gives."""
    if isinstance(said, DataSet):
        grid = said.grid
        set_data_set(request.data_set, said, reading)
    else:
        grid = set_curves(getattr(request, field), said, reading).grid
    request.grid.CopyFrom(grid.message())
    return grid


def set_data_set(target: pb.DataSet, said: DataSet, reading: Reading) -> None:
    """Fills what is said of a data set beside its grid."""
    for name in ("root", "path", "user_column", "load_column", "time_column", "arrival_column"):
        setattr(target, name, getattr(said, name))
    for name in ("area_column", "unit_column", "currency_column"):
        setattr(target, name, getattr(said, name))
    target.slot_columns.extend(said.slot_columns)
    words = (
        ("layout", said.layout, pb.DataSetLayout, "DATA_SET_LAYOUT_", agency.DataSetLayout),
        ("format", said.format, pb.DataSetFormat, "DATA_SET_FORMAT_", agency.DataSetFormat),
        ("unit", said.unit, pb.ReadingUnit, "READING_UNIT_", agency.ReadingUnit),
    )
    for name, word, kind, prefix, known in words:
        if word is not None:
            setattr(target, name, number(kind, prefix, word, known, f"data_set.{name}", reading))


def set_price(target: pb.PriceSchedule, price: Price, path: str, reading: Reading) -> None:
    """Fills a price schedule."""
    match price:
        case AffinePrice():
            fill(target.affine, price, f"{path}.affine", reading)
        case LoadFactorPrice():
            fill(target.load_factor, price, f"{path}.load_factor", reading)
        case PiecewisePrice():
            target.piecewise.SetInParent()
            for at, value in _pairs(price.points, f"{path}.piecewise.points", reading):
                target.piecewise.points.add(inverse_load_factor=at, price_per_kwh=value)
        case TierPrice():
            target.tiers.SetInParent()
            for at, value in _pairs(price.tiers, f"{path}.tiers.tiers", reading):
                target.tiers.tiers.add(least_load_factor=at, price_per_kwh=value)
        case _:
            reading.fault(path, f"is a {type(price).__name__}; must be an AffinePrice or the like")


def set_cost(
    request: pb.ShareCostRequest | pb.CreateSettlementRequest,
    cost: Price | PurchaseCost,
    reading: Reading,
) -> None:
    """Fills what all cost: a price, or the cost of a purchase."""
    if isinstance(cost, PurchaseCost):
        set_purchase(request.purchase, cost, reading)
    else:
        set_price(request.price, cost, "price", reading)


def set_purchase(target: pb.PurchaseCost, cost: PurchaseCost, reading: Reading) -> None:
    """Fills the cost of a purchase."""
    target.cost, target.rent = cost.cost, cost.rent
    set_series(
        target.slot_price_per_kwh,
        cost.slot_price_per_kwh,
        "purchase.slot_price_per_kwh",
        reading,
    )


def aggregate_options(wishes: AggregateWishes, reading: Reading) -> pb.AggregateOptions:
    """What to tell of curves beside their sum."""
    check_names(wishes, AggregateWishes)
    options = pb.AggregateOptions(
        users=wishes.get("users", True),
        quantiles=wishes.get("quantiles", ()),
        other_band=wishes.get("other_band", ""),
        tie_tolerance=wishes.get("tie_tolerance", 0.0),
    )
    if (price := wishes.get("price")) is not None:
        set_price(options.price, price, "options.price", reading)
    for place, band in enumerate(wishes.get("bands", ())):
        _set_band(options.bands.add(), band, f"options.bands[{place}]", reading)
    for place, span in enumerate(wishes.get("roll_ups", ())):
        path = f"options.roll_ups[{place}]"
        options.roll_ups.append(number(pb.RollUp, "ROLL_UP_", span, agency.RollUp, path, reading))
    if (rules := wishes.get("rules")) is not None:
        _set_rules(options.rules, rules, reading)
    return options


def _set_band(target: pb.TimeBand, band: TimeBand, path: str, reading: Reading) -> None:
    target.name = band.name
    for window in band.windows.replace(",", " ").split():
        found = WINDOW.fullmatch(window)
        if found is None:
            reading.fault(f"{path}.windows", f"is {window!r}; must be such as 08:00-12:00")
            continue
        hour, minute, end_hour, end_minute = map(int, found.groups())
        # What ends at midnight ends at minute 1440 of its day.
        end = 60 * end_hour + end_minute or 1440
        target.windows.add(start_minute=60 * hour + minute, end_minute=end)


def _set_rules(target: pb.ReadingRules, rules: ReadingRules, reading: Reading) -> None:
    path = "options.rules"
    target.SetInParent()
    for place, (word, longest) in enumerate(rules.fills):
        step = target.fills.add(longest_intervals=longest)
        where = f"{path}.fills[{place}].rule"
        step.rule = number(pb.FillRule, "FILL_RULE_", word, agency.FillRule, where, reading)
    if rules.spike is not None:
        target.spike.times, target.spike.least_kw = rules.spike.times, rules.spike.least_kw
        target.spike.of = pb.SpikeReference.Value(f"SPIKE_REFERENCE_{rules.spike.of.upper()}")
    for place, mark in enumerate(rules.replace):
        where = f"{path}.replace[{place}]"
        known = agency.ReadingMark
        target.replace.append(number(pb.ReadingMark, "READING_MARK_", mark, known, where, reading))
    if rules.cut_off is not None:
        _set_instant(target, rules.cut_off, f"{path}.cut_off_time", reading)


def _set_instant(target: pb.ReadingRules, moment: datetime, path: str, reading: Reading) -> None:
    if moment.tzinfo is None:
        reading.fault(path, "has no time zone; give it one, such as that of the curves")
    else:
        target.cut_off_time.FromDatetime(moment.astimezone(UTC))


def set_sharing(
    target: pb.SharingOptions, wishes: SharingWishes, path: str, reading: Reading
) -> None:
    """Fills how to share."""
    target.SetInParent()
    if (mode := wishes.get("peak_mode")) is not None:
        where = f"{path}.peak_mode"
        target.peak_mode = number(pb.PeakMode, "PEAK_MODE_", mode, agency.PeakMode, where, reading)
    target.peak_count = wishes.get("peak_count", 0)
    target.seed = wishes.get("seed", 0)
    target.report = wishes.get("report", False)


def set_plant(target: pb.Plant, plant: Plant, path: str, reading: Reading) -> None:
    """Fills a plant."""
    target.name = plant.name
    target.capacity_price_per_kw = plant.capacity_price_per_kw
    target.energy_min_kwh = plant.energy_min_kwh
    if plant.energy_max_kwh is not None:
        target.energy_max_kwh = plant.energy_max_kwh
    for name in ("price_per_kwh", "power_max_kw", "power_min_kw"):
        if (content := getattr(plant, name)) is not None:
            set_series(getattr(target, name), content, f"{path}.{name}", reading)
    if plant.load_factor_price is not None:
        where = f"{path}.load_factor_price"
        set_price(target.load_factor_price, plant.load_factor_price, where, reading)
    for place, block in enumerate(plant.blocks):
        fill(target.blocks.add(), block, f"{path}.blocks[{place}]", reading)


def set_contract(
    target: pb.PortfolioContract, contract: agency.PortfolioContract, path: str, reading: Reading
) -> None:
    """Fills a contract."""
    set_price(target.price, contract.price, f"{path}.price", reading)
    for name in contract.__slots__:
        value = getattr(contract, name)
        if name != "price" and value is not None:
            setattr(target, name, value)


def set_time_limit(
    options: SolveOptions | pb.PortfolioOptions, limit_s: float | None, reading: Reading
) -> None:
    """Fills the time limit, if there is one."""
    if limit_s is None:
        return
    if not 0.0 < limit_s <= LONGEST_S:
        told = f"is {limit_s!r}; must be a number of seconds above 0, at most {LONGEST_S:g}"
        reading.fault("options.time_limit", told)
    else:
        options.time_limit.FromTimedelta(timedelta(seconds=limit_s))


def table(values: ArrayLike, path: str, reading: Reading) -> Matrix:
    """A number, one for each user, or a row for each with a column for each contract."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        reading.fault(path, f"is not made of numbers: {error}")
        return Matrix()
    if array.ndim > 2:
        reading.fault(path, f"has {array.ndim} dimensions; must have a row for each user")
        return Matrix()
    return to_matrix(array.reshape(-1, 1) if array.ndim < 2 else array)


def _pairs(
    said: Sequence[tuple[float, float]], path: str, reading: Reading
) -> list[tuple[float, float]]:
    try:
        return [(float(first), float(second)) for first, second in said]
    except (TypeError, ValueError):
        reading.fault(path, f"is {said!r}; must be pairs of numbers")
        return []


def rule_number(rule: str, path: str, reading: Reading) -> Any:  # noqa: ANN401 -- an enum's number
    """The number of a sharing rule."""
    return number(pb.SharingRule, "SHARING_RULE_", rule, Rule, path, reading)


def number(
    kind: Any,  # noqa: ANN401 -- protobuf's enum wrapper
    prefix: str,
    word: str,
    known: Any,  # noqa: ANN401 -- a Literal
    path: str,
    reading: Reading,
) -> Any:  # noqa: ANN401 -- an enum's number
    """The number of a word in the API, which has it in capitals behind a prefix."""
    words = get_args(known)
    if word not in words:
        reading.fault(path, f"is {word!r}; must be one of {', '.join(words)}")
        return 0
    return kind.Value(prefix + word.upper().replace(" ", "_").replace("-", "_"))
