"""The referee's rules for the meter, loads and plants, in every scene."""

from math import inf

import numpy as np

from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.scenarios import Scene
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.dispatch.solution import Exchange
from loadloom.models.horizon import FloatArray


def judge(sheet: Sheet, problem: Problem, exchanges: tuple[Exchange, ...]) -> None:
    """Writes what the meter's plan costs and which rules it breaks, after all other devices."""
    if len(exchanges) != len(problem.scenes):
        sheet.broken("scenarios", f"has {len(exchanges)}; must have {len(problem.scenes)}")
        return
    for k, (scene, exchange) in enumerate(zip(problem.scenes, exchanges, strict=True)):
        sheet.scene = k
        _scene(sheet, problem, scene, exchange)
        sheet.scene = None
    island = problem.meter.island
    if island is not None:
        wanted = np.where(island.intervals, island.reserve_kw, 0.0)
        sheet.within("island.reserve_kw", sheet.spare_kw, wanted, np.inf)


def _scene(sheet: Sheet, problem: Problem, scene: Scene, exchange: Exchange) -> None:
    """The rules and costs of one scene."""
    hours, meter = sheet.hours, problem.meter
    drawn, fed = exchange.import_kw * hours, exchange.export_kw * hours
    _devices(sheet, problem, scene, exchange)
    demand, size = sheet.total_drawn("", sheet.scene)
    sheet.equal("balance", demand * hours, drawn - fed, size * hours)
    alone = np.zeros(hours.size, np.bool_) if meter.island is None else meter.island.intervals
    for name, moved, limit_kw, price in (
        ("import", drawn, meter.import_limit_kw, meter.import_breach_price_per_kwh),
        ("export", fed, meter.export_limit_kw, meter.export_breach_price_per_kwh),
    ):
        limit = limit_kw * hours
        if price < inf:
            sheet.breach(f"meter.{name}_limit_kw", moved - limit, price)
            limit = np.full(hours.size, np.inf)
        sheet.within(f"{name}_kw", moved, 0.0, np.where(alone, 0.0, limit))
    sheet.exclusive("import_kw", "export_kw", drawn, fed)
    sheet.charge("bought", float(scene.buy @ drawn))
    sheet.charge("sold", -float(scene.sell @ fed))
    _tariff(sheet, problem, exchange)
    for index in range(len(meter.circuits)):
        _circuit(sheet, problem, index)


def _devices(sheet: Sheet, problem: Problem, scene: Scene, exchange: Exchange) -> None:
    """What plants and loads draw, curtailed and shed as the plan says."""
    hours, nothing = sheet.hours, np.zeros((len(problem.loads), sheet.hours.size))
    for index, plant in enumerate(problem.photovoltaics):
        power, unused = scene.plants_kw[index], exchange.curtailed_kw[index]
        most = power if plant.curtailable else 0.0 * power
        sheet.within(f"photovoltaics[{index}].curtailed_kw", unused * hours, 0.0, most * hours)
        sheet.draws(plant.name, unused - power)
    shed = nothing if exchange.shed_kw is None else exchange.shed_kw
    for index, load in enumerate(problem.loads):
        if load.plain and exchange.shed_kw is None:
            sheet.draws(load.name, scene.loads_kw[index])
            continue
        power, missed = scene.loads_kw[index], shed[index] * hours
        most = load.shed_share * power * hours
        sheet.within(f"loads[{index}].shed_kw", missed, 0.0, most)
        sheet.draws(load.name, power - shed[index])
        if not load.plain:
            sheet.charge("shed load", load.shed_price_per_kwh * float(missed.sum()))


def _tariff(sheet: Sheet, problem: Problem, exchange: Exchange) -> None:
    """Demand charges, carbon and the commitment."""
    hours, meter = sheet.hours, problem.meter
    for charge in meter.demand_charges:
        peak = float(exchange.import_kw[charge.intervals].max(initial=0.0))
        sheet.charge("demand charge", charge.cost(peak))
    if carbon := meter.carbon:
        kg = carbon.intensity_kg_per_kwh * exchange.import_kw * hours + sheet.emitted_kg
        total = np.array([float(kg.sum())])
        sheet.charge("carbon", carbon.price_per_kg * float(total[0]))
        sheet.within("carbon_kg", total, -np.inf, np.array([carbon.cap_kg]))
    if promise := meter.commitment:
        off = (exchange.import_kw - exchange.export_kw - promise.committed_kw) * hours
        more = promise.more_price_per_kwh @ np.maximum(off, 0.0)
        less = promise.less_price_per_kwh @ np.maximum(-off, 0.0)
        sheet.charge("deviation", float(more + less))


def _circuit(sheet: Sheet, problem: Problem, index: int) -> None:
    """The limits of a circuit on what its devices, and those of circuits below, draw in sum."""
    circuit, hours = problem.meter.circuits[index], sheet.hours
    path = f"meter.circuits[{index}]"
    net, _ = sheet.total_drawn("", sheet.scene, problem.circuit_members[index])
    for field, flow, limit in (
        ("import_limit_kw", net, circuit.import_limit_kw),
        ("export_limit_kw", -net, circuit.export_limit_kw),
    ):
        if circuit.breach_price_per_kwh < inf:
            beyond = np.maximum(flow - limit, 0.0) * hours
            sheet.breach(f"{path}.{field}", beyond, circuit.breach_price_per_kwh)
        else:
            sheet.within(f"{path}.{field}", flow * hours, -np.inf, limit * hours)


def idle(problem: Problem, scene: Scene, demand_kw: FloatArray) -> tuple[Exchange, bool]:
    """The baseline: plants are curtailed alone, where that helps; and whether limits hold.

    `demand_kw` is what devices draw, (count,).
    """
    meter = problem.meter
    curtailable = np.array([plant.curtailable for plant in problem.photovoltaics], np.bool_)
    plants = scene.plants_kw * curtailable[:, None]
    free = plants.sum(axis=0)
    net = scene.loads_kw.sum(axis=0) - scene.plants_kw.sum(axis=0) + demand_kw
    alone = np.zeros(net.size, np.bool_) if meter.island is None else meter.island.intervals
    most_in = np.where(alone, 0.0, meter.import_limit_kw)
    most_out = np.where(alone, 0.0, meter.export_limit_kw)
    short, trapped = net > most_in, net + free < -most_out
    # The least and the most that curtailment leaves, or what is forced beyond the limits.
    least = np.where(trapped, net + free, np.maximum(net, -most_out))
    most = np.where(trapped, least, np.minimum(net + free, most_in))
    least, most = np.where(short, net, least), np.where(short, net, most)
    grid = np.where(_paid(most, scene) < _paid(least, scene), most, least)
    at_zero = (least < 0.0) & (most > 0.0) & (_paid(grid, scene) > 0.0)
    grid = np.where(at_zero, 0.0, grid)
    share = (grid - net) / np.maximum(free, np.finfo(float).tiny)
    exchange = Exchange(
        import_kw=np.maximum(grid, 0.0),
        export_kw=np.maximum(-grid, 0.0),
        curtailed_kw=plants * share,
    )
    return exchange, not bool(np.any(short | trapped))


def _paid(grid: FloatArray, scene: Scene) -> FloatArray:
    return np.where(grid > 0.0, scene.buy, scene.sell) * grid
