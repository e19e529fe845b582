# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""The meter, loads and plants in the textbook's words, once for each scene."""

from collections.abc import Callable
from math import inf

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.devices.meter import Circuit, DemandCharge
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Exchange
from loadloom.models.dispatch.textbook.book import Book, column


def add(book: Book, problem: Problem) -> Callable[[], tuple[Exchange, ...]]:
    """Adds the meter, closes the balances and sets the objective; what comes back reads it."""
    scenes = [_Scene(book, problem, k) for k in range(len(problem.scenes))]
    _reserve(book)
    cost = [sum(scene.costs) for scene in scenes]
    probability = [scene.probability for scene in problem.scenes]
    common = sum(book.cost)
    expected = sum(p * c for p, c in zip(probability, cost, strict=True))
    risk = problem.risk
    if risk is None:
        book.close(common + expected)
    else:
        book.model.level = pyo.Var()
        book.model.above = pyo.Var(range(len(scenes)), domain=pyo.NonNegativeReals)
        book.model.tail = pyo.Constraint(
            range(len(scenes)),
            rule=lambda m, k: m.above[k] >= cost[k] - m.level,
        )
        tail = sum(p * book.model.above[k] for k, p in enumerate(probability))
        cvar = book.model.level + tail / (1.0 - risk.level)
        book.close(common + (1.0 - risk.weight) * expected + risk.weight * cvar)
    return lambda: tuple(scene.read() for scene in scenes)


class _Scene:
    """The variables, rules and costs of one scene."""

    def __init__(self, book: Book, problem: Problem, k: int) -> None:
        self.book, self.problem, self.scene = book, problem, problem.scenes[k]
        self.block, self.costs, hours = book.block("scene"), [], book.hours
        block, meter, scene = self.block, problem.meter, self.scene
        island = meter.island.intervals if meter.island else np.zeros(hours.size, np.bool_)
        limits = [
            np.where(island, 0.0, np.minimum(limit * hours if price == inf else inf, book.far_kwh))
            for limit, price in (
                (meter.import_limit_kw, meter.import_breach_price_per_kwh),
                (meter.export_limit_kw, meter.export_breach_price_per_kwh),
            )
        ]
        if problem.plain:
            limits = [
                np.minimum(limit, most * hours)
                for limit, most in zip(limits, problem.grid_limits_kw, strict=True)
            ]
        block.grid_import = pyo.Var(book.t, bounds=lambda _, t: (0.0, limits[0][t]))
        block.grid_export = pyo.Var(book.t, bounds=lambda _, t: (0.0, limits[1][t]))
        book.exclusive(block, block.grid_import, block.grid_export)
        plants, loads = range(len(problem.photovoltaics)), range(len(problem.loads))
        most = [p.curtailable * scene.plants_kw[i] for i, p in enumerate(problem.photovoltaics)]
        block.curtailed = pyo.Var(
            plants, book.t, bounds=lambda _, i, t: (0.0, most[i][t] * hours[t])
        )
        shares = [load.shed_share for load in problem.loads]
        block.shed = pyo.Var(
            loads,
            book.t,
            bounds=lambda _, i, t: (0.0, shares[i] * scene.loads_kw[i, t] * hours[t]),
        )
        block.balance = pyo.Constraint(
            book.t, rule=lambda b, t: b.grid_import[t] - b.grid_export[t] == self._demand(t)
        )
        self.costs.append(
            sum(
                scene.buy[t] * block.grid_import[t] - scene.sell[t] * block.grid_export[t]
                for t in book.t
            )
        )
        for i, load in enumerate(problem.loads):
            if load.shed_share > 0.0:
                self.costs.append(load.shed_price_per_kwh * sum(block.shed[i, t] for t in book.t))
        self._limits()
        self._tariff()

    def _demand(self, t: int, names: set[str] | None = None) -> object:
        """What all, or those named, draw behind the meter."""
        return self._own(t, names) + self.book.total(t, "", names)

    def _own(self, t: int, names: set[str] | None = None) -> object:
        """What loads and plants draw."""
        block, hours = self.block, self.book.hours[t]
        drawn = 0.0
        for i, load in enumerate(self.problem.loads):
            if names is None or load.name in names:
                drawn += self.scene.loads_kw[i, t] * hours - block.shed[i, t]
        for i, plant in enumerate(self.problem.photovoltaics):
            if names is None or plant.name in names:
                drawn += block.curtailed[i, t] - self.scene.plants_kw[i, t] * hours
        return drawn

    def _limits(self) -> None:
        """Limits at a price, and those of circuits."""
        block, meter, book = self.block, self.problem.meter, self.book
        block.beyond = pyo.VarList(domain=pyo.NonNegativeReals)
        block.limits = pyo.ConstraintList()
        for flow, limit, price in (
            (block.grid_import, meter.import_limit_kw, meter.import_breach_price_per_kwh),
            (block.grid_export, meter.export_limit_kw, meter.export_breach_price_per_kwh),
        ):
            if price < inf:
                for t in book.t:
                    self._at_most(flow[t], limit[t] * book.hours[t], price)
        for circuit in meter.circuits:
            names = _below(meter.circuits, circuit)
            for t in book.t:
                flow, hours = self._demand(t, names), book.hours[t]
                price = circuit.breach_price_per_kwh
                self._at_most(flow, circuit.import_limit_kw[t] * hours, price)
                self._at_most(-flow, circuit.export_limit_kw[t] * hours, price)

    def _at_most(self, flow: object, limit: float, price: float) -> None:
        """A flow is at most its limit, or beyond it at a price."""
        if limit == inf:
            return
        # With a variable always: a sum without any is a number, of which Pyomo makes no rule.
        beyond = self.block.beyond.add()
        if price < inf:
            self.costs.append(price * beyond)
        else:
            beyond.fix(0.0)
        self.block.limits.add(flow - beyond <= limit)

    def _tariff(self) -> None:
        """Demand charges, carbon and the commitment."""
        block, book, meter = self.block, self.book, self.problem.meter
        for charge in meter.demand_charges:
            self._demand_charge(charge)
        if carbon := meter.carbon:
            kg = sum(
                carbon.intensity_kg_per_kwh[t] * block.grid_import[t]
                + sum(rule(t) for rule in book.emitted)
                for t in book.t
            )
            self.costs.append(carbon.price_per_kg * kg)
            if carbon.cap_kg < inf:
                block.carbon_cap = pyo.Constraint(expr=kg <= carbon.cap_kg)
        if promise := meter.commitment:
            block.more = pyo.Var(book.t, domain=pyo.NonNegativeReals)
            block.less = pyo.Var(book.t, domain=pyo.NonNegativeReals)
            block.promise = pyo.Constraint(
                book.t,
                rule=lambda b, t: (
                    b.grid_import[t] - b.grid_export[t] - b.more[t] + b.less[t]
                    == promise.committed_kw[t] * book.hours[t]
                ),
            )
            self.costs.append(
                sum(
                    promise.more_price_per_kwh[t] * block.more[t]
                    + promise.less_price_per_kwh[t] * block.less[t]
                    for t in book.t
                )
            )

    def _demand_charge(self, charge: DemandCharge) -> None:
        """The charge of the peak is that of the tier it lies in, chosen by a binary."""
        book = self.book
        block = book.block("demand_charge")
        starts = [tier.from_kw for tier in charge.tiers]
        ends = [*starts[1:], book.far_kwh]
        before = [charge.total(start) for start in starts]
        block.tier = pyo.RangeSet(0, len(starts) - 1)
        block.chosen = pyo.Var(block.tier, domain=pyo.Binary)
        block.peak = pyo.Var(block.tier, domain=pyo.NonNegativeReals)
        block.one = pyo.Constraint(expr=sum(block.chosen[j] for j in block.tier) == 1)
        block.low = pyo.Constraint(
            block.tier, rule=lambda b, j: b.peak[j] >= starts[j] * b.chosen[j]
        )
        block.high = pyo.Constraint(
            block.tier, rule=lambda b, j: b.peak[j] <= ends[j] * b.chosen[j]
        )
        peak = sum(block.peak[j] for j in block.tier)
        block.reached = pyo.Constraint(expr=peak >= charge.reached_peak_kw)
        block.peaks = pyo.ConstraintList()
        for t in book.t:
            if charge.intervals[t]:
                block.peaks.add(peak * book.hours[t] >= self.block.grid_import[t])
        paid = sum(
            before[j] * block.chosen[j]
            + charge.tiers[j].price_per_kw * (block.peak[j] - starts[j] * block.chosen[j])
            for j in block.tier
        )
        self.costs.append(paid - charge.total(charge.reached_peak_kw))

    def read(self) -> Exchange:
        """What the meter does in this scene."""
        block, hours = self.block, self.book.hours
        return Exchange(
            import_kw=column(block.grid_import) / hours,
            export_kw=column(block.grid_export) / hours,
            curtailed_kw=column(block.curtailed).reshape(-1, hours.size) / hours,
            shed_kw=column(block.shed).reshape(-1, hours.size) / hours,
        )


def _below(circuits: tuple[Circuit, ...], circuit: Circuit) -> set[str]:
    """The names of the devices of a circuit and of those below it."""
    below = [_below(circuits, each) for each in circuits if each.parent == circuit.name]
    return set(circuit.devices).union(*below)


def _reserve(book: Book) -> None:
    """The reserve in the intervals without grid."""
    island = book.reserve
    if island is None:
        return
    book.model.reserve = pyo.ConstraintList()
    nothing = pyo.Var(bounds=(0.0, 0.0))
    book.model.nothing = nothing
    for t in book.t:
        if island.intervals[t] and island.reserve_kw[t] > 0.0:
            spare = sum(rule(t) for rule in book.spared)
            book.model.reserve.add(spare + nothing >= island.reserve_kw[t])
