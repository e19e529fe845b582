"""The meter, loads and plants in the general programme, once for each scene.

It is added last, since it closes the balance of the bus behind the meter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.dispatch.devices.meter import DemandCharge
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.programme import (
    ELECTRIC,
    FACT,
    FAR_KWH,
    WHOLE,
    IntArray,
    Programme,
    Rule,
)
from loadloom.models.dispatch.solution import Exchange
from loadloom.models.horizon import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crossing:
    """The columns of the meter in one scene, and the rows of the balance behind it."""

    drawn: IntArray
    fed: IntArray
    curtailed: list[IntArray | None]
    shed: list[IntArray | None]
    balance: IntArray


def add(programme: Programme, problem: Problem) -> list[Crossing]:
    """Adds the meter of every scene with what is counted there."""
    crossings = [_crossing(programme, problem, k) for k in range(len(programme.scenes))]
    _reserve(programme)
    return crossings


def reader(problem: Problem, crossing: Crossing) -> Callable[[FloatArray], Exchange]:
    """What reads the exchange of a scene from a solution."""
    hours, count = problem.horizon.step_h, problem.horizon.count

    def stacked(primal: FloatArray, columns: list[IntArray | None]) -> FloatArray:
        rows = [np.zeros(count) if each is None else primal[each] / hours for each in columns]
        return np.array(rows).reshape(-1, count)

    def read(primal: FloatArray) -> Exchange:
        return Exchange(
            import_kw=primal[crossing.drawn] / hours,
            export_kw=primal[crossing.fed] / hours,
            curtailed_kw=stacked(primal, crossing.curtailed),
            shed_kw=stacked(primal, crossing.shed),
        )

    return read


def _crossing(programme: Programme, problem: Problem, k: int) -> Crossing:
    scene, hours = programme.scenes[k], programme.hours
    curtailed: list[IntArray | None] = []
    shed: list[IntArray | None] = []
    for plant, power_kw in zip(problem.photovoltaics, scene.plants_kw, strict=True):
        programme.demands(plant.name, -power_kw * hours, scene=k)
        curtailed.append(None)
        if plant.curtailable and power_kw.any():
            curtailed[-1] = programme.columns(programme.count, high=power_kw * hours)
            programme.draws(plant.name, curtailed[-1], scene=k)
    for load, power_kw in zip(problem.loads, scene.loads_kw, strict=True):
        programme.demands(load.name, power_kw * hours, scene=k)
        shed.append(None)
        if not load.plain:
            most, price = load.shed_share * power_kw * hours, load.shed_price_per_kwh
            shed[-1] = programme.columns(programme.count, high=most, cost=price, scene=k)
            programme.draws(load.name, shed[-1], -1.0, scene=k)
    drawn, fed = _exchange(programme, problem, k)
    crossing = Crossing(
        drawn=drawn,
        fed=fed,
        curtailed=curtailed,
        shed=shed,
        balance=programme.balance(ELECTRIC, k),
    )
    for charge in problem.meter.demand_charges:
        _demand_charge(programme, charge, drawn, k)
    _carbon(programme, drawn, k)
    _commitment(programme, problem, crossing, k)
    for index in range(len(problem.meter.circuits)):
        _circuit(programme, problem, index, k)
    return crossing


def _exchange(programme: Programme, problem: Problem, k: int) -> tuple[IntArray, IntArray]:
    """The columns of import and export."""
    meter, scene, hours = problem.meter, programme.scenes[k], programme.hours
    most = programme.most_drawn(ELECTRIC, k)
    alone = np.zeros(programme.count, np.bool_)
    if meter.island is not None:
        alone = meter.island.intervals
    columns = []
    for name, done, limit_kw, price, cut, cost in (
        (
            "import",
            "drawn",
            meter.import_limit_kw,
            meter.import_breach_price_per_kwh,
            most[0],
            scene.buy,
        ),
        (
            "export",
            "fed in",
            meter.export_limit_kw,
            meter.export_breach_price_per_kwh,
            most[1],
            -scene.sell,
        ),
    ):
        limit, soft = limit_kw * hours, price < inf
        beyond = "needed" if name == "import" else "left over"
        high = np.where(alone, 0.0, np.inf if soft else limit)
        column = programme.columns(programme.count, high=high, cost=cost, cut=cut, scene=k)
        if soft:
            _over(programme, column, np.where(alone, np.inf, limit), price, k)
        else:
            says = f"at most {{limit}} may be {done}"
            rule = Rule(
                path=f"meter.{name}_limit_kw", says=says, scale=hours[~alone], beyond=beyond
            )
            programme.limit(rule, column[~alone], np.flatnonzero(~alone), of_columns=True)
        rule = Rule(
            path="meter.island.intervals",
            says=f"nothing can be {done}",
            scale=hours[alone],
            cure=f"let {{by}} be {done}",
            weight=FACT,
            beyond=beyond,
        )
        programme.limit(rule, column[alone], np.flatnonzero(alone), of_columns=True)
        columns.append(column)
    drawn, fed = columns
    programme.draws(None, drawn, -1.0, scene=k)
    programme.draws(None, fed, scene=k)
    programme.pair(drawn, fed)
    return drawn, fed


def _over(programme: Programme, columns: IntArray, limit: FloatArray, price: float, k: int) -> None:
    """Prices what columns are beyond a limit, wherever there is one."""
    where = np.flatnonzero(np.isfinite(limit))
    over = programme.columns(where.size, cost=price, scene=k)
    rows = programme.rows(where.size, -np.inf, limit[where])
    programme.entries(rows, columns[where])
    programme.entries(rows, over, -1.0)


def _demand_charge(programme: Programme, charge: DemandCharge, drawn: IntArray, k: int) -> None:
    """The peak in parts, one a tier above what was reached.

    Where a tier is cheaper than the one before it, a binary lets it begin when that one is full.
    """
    where = np.flatnonzero(charge.intervals)
    if not where.size:
        return
    reached = charge.reached_peak_kw
    starts = np.array([max(tier.from_kw, reached) for tier in charge.tiers])
    prices = np.array([tier.price_per_kw for tier in charge.tiers])
    most_kw = (programme.most_drawn(ELECTRIC, k)[0] / programme.hours)[where].max()
    ends = np.append(starts[1:], max(min(most_kw, FAR_KWH), starts[-1]))
    open_end = np.append(np.zeros(starts.size - 1), np.inf)
    kept = ends + open_end > starts
    starts, ends, prices, open_end = starts[kept], ends[kept], prices[kept], open_end[kept]
    widths = ends - starts
    parts = programme.columns(
        widths.size, high=widths + open_end, cost=prices, intervals=where[:1], scene=k
    )
    rows = programme.rows(where.size, -np.inf, reached)
    programme.entries(rows, drawn[where], 1.0 / programme.hours[where])
    programme.entries(rows[:, None], parts[None, :], -1.0)
    for part in map(int, np.flatnonzero(np.diff(prices) < 0.0)):
        # Every tier up to here must be full before the cheaper one begins.
        full = programme.columns(1, high=1.0, integer=True, intervals=where[:1])
        row = programme.rows(part + 1, 0.0, np.inf, intervals=where[:1])
        programme.entries(row, parts[: part + 1])
        programme.entries(row, full, -widths[: part + 1])
        later = parts[part + 1 :]
        row = programme.rows(later.size, -np.inf, 0.0, intervals=where[:1])
        programme.entries(row, later)
        programme.entries(row, full, -widths[part + 1 :])


def _carbon(programme: Programme, drawn: IntArray, k: int) -> None:
    """What the energy drawn emits, and the cap on all that is emitted."""
    carbon = programme.carbon
    if carbon is None:
        return
    programme.emits(drawn, carbon.intensity_kg_per_kwh, scene=k)
    if carbon.cap_kg == np.inf:
        return
    rule = Rule(path="meter.carbon.cap_kg", says="at most {limit} may be emitted", unit="kg")
    row = programme.rows(1, -np.inf, carbon.cap_kg, at_most=rule, intervals=np.array([WHOLE]))
    for columns, kg, scene in programme.emissions:
        if scene in {None, k}:
            programme.entries(row, columns, kg)


def _commitment(programme: Programme, problem: Problem, crossing: Crossing, k: int) -> None:
    """What the exchange differs from what was promised."""
    promise = problem.meter.commitment
    if promise is None:
        return
    more = programme.columns(programme.count, cost=promise.more_price_per_kwh, scene=k)
    less = programme.columns(programme.count, cost=promise.less_price_per_kwh, scene=k)
    promised = promise.committed_kw * programme.hours
    rows = programme.rows(programme.count, promised, promised)
    for columns, sign in ((crossing.drawn, 1.0), (crossing.fed, -1.0), (more, -1.0), (less, 1.0)):
        programme.entries(rows, columns, sign)


def _circuit(programme: Programme, problem: Problem, index: int, k: int) -> None:
    """The limits on what the devices of a circuit, and of those below it, draw in sum."""
    circuit, names = problem.meter.circuits[index], problem.circuit_members[index]
    path = f"meter.circuits[{index}]"
    fixed = programme.demand(ELECTRIC, k, names)
    flows = [draw for draw in programme.flows(ELECTRIC, k) if draw.name in names]
    for field, verb, sign, limit_kw in (
        ("import_limit_kw", "draw", 1.0, circuit.import_limit_kw),
        ("export_limit_kw", "give", -1.0, circuit.export_limit_kw),
    ):
        where = np.flatnonzero(np.isfinite(limit_kw))
        hours, shift = programme.hours[where], sign * fixed[where]
        price = circuit.breach_price_per_kwh
        rule = Rule(
            path=f"{path}.{field}",
            says=f"circuit {circuit.name!r} may {verb} at most {{limit}}",
            scale=hours,
            shift=shift / hours,
            beyond="needed" if sign > 0.0 else "left over",
        )
        rows = programme.rows(
            where.size,
            -np.inf,
            limit_kw[where] * hours - shift,
            at_most=rule if price == inf else None,
            intervals=where,
        )
        place = np.full(programme.count, -1)
        place[where] = rows
        for draw in flows:
            at = place[draw.intervals]
            there = at >= 0
            programme.entries(at[there], draw.columns[there], sign * draw.kwh[there])
        if price < inf:
            over = programme.columns(where.size, cost=price, intervals=where, scene=k)
            programme.entries(rows, over, -1.0)


def _reserve(programme: Programme) -> None:
    """The power that must be at hand in the intervals without grid."""
    island = programme.reserve
    if island is None:
        return
    where = programme.reserved
    rule = Rule(path="meter.island.reserve_kw", says="at least {limit} must be in reserve")
    rows = programme.rows(
        where.size, island.reserve_kw[where], np.inf, at_least=rule, intervals=where
    )
    place = np.full(programme.count, -1)
    place[where] = rows
    for columns, intervals in programme.spares:
        programme.entries(place[intervals], columns)
