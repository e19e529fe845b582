# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""The reference model under construction: what every chapter adds to."""

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.problem import Problem
from loadloom.models.horizon import FloatArray

Rule = Callable[[int], object]
"""An expression in kWh, kg or kW for each interval."""

LEAST_FAR_KWH = 1e6
"""What no small site moves in an interval, where nothing else bounds a way."""


class Book:
    """A Pyomo model with the intervals `t`, and what devices draw, cost, emit and spare."""

    def __init__(self, problem: Problem) -> None:
        self.horizon, self.hours = problem.horizon, problem.horizon.step_h
        self.reserve = problem.meter.island
        stated = sum(
            float(each.power_kw.max()) for each in (*problem.loads, *problem.photovoltaics)
        )
        self.far_kwh = max(LEAST_FAR_KWH, 10.0 * stated * float(self.hours.max()))
        self.model = pyo.ConcreteModel()
        self.model.t = pyo.RangeSet(0, problem.horizon.count - 1)
        self.t = self.model.t
        self.drawn: list[tuple[str, str, Rule]] = []
        self.cost: list[object] = []
        self.emitted: list[Rule] = []
        self.spared: list[Rule] = []
        self._block_count = 0

    def block(self, name: str) -> pyo.Block:
        """A new block for the variables and rules of one device."""
        block = pyo.Block()
        self.model.add_component(f"{name}_{self._block_count}", block)
        self._block_count += 1
        return block

    def draws(self, name: str, rule: Rule, bus: str = "") -> None:
        """Lets a device draw from a bus, in kWh of each interval."""
        self.drawn.append((name, bus, rule))

    def costs(self, expression: object) -> None:
        """Adds a cost."""
        self.cost.append(expression)

    def emits(self, rule: Rule) -> None:
        """Lets a device emit, in kg of each interval."""
        self.emitted.append(rule)

    def spare(self, rule: Rule) -> None:
        """Lets a device offer reserve, in kW in each interval."""
        self.spared.append(rule)

    def exclusive(self, block: pyo.Block, one: pyo.Var, other: pyo.Var) -> None:
        """Lets two variables never both be above zero; their upper bounds are finite."""
        name = f"{one.local_name}_or_{other.local_name}"
        first = pyo.Var(one.index_set(), domain=pyo.Binary)
        block.add_component(name, first)
        block.add_component(
            f"{name}_one",
            pyo.Constraint(one.index_set(), rule=lambda _, i: one[i] <= one[i].ub * first[i]),
        )
        block.add_component(
            f"{name}_other",
            pyo.Constraint(
                one.index_set(), rule=lambda _, i: other[i] <= other[i].ub * (1 - first[i])
            ),
        )

    def total(self, t: int, bus: str = "", names: set[str] | None = None) -> object:
        """What is drawn from a bus in an interval by all, or by those named."""
        return sum(
            rule(t)
            for name, of, rule in self.drawn
            if of == bus and (names is None or name in names)
        )

    def close(self, objective: object) -> None:
        """Balances the heat buses and sets the objective."""
        for number, bus in enumerate(sorted({bus for _, bus, _ in self.drawn} - {""})):
            balance = pyo.Constraint(self.t, rule=lambda _, t, bus=bus: self.total(t, bus) == 0)
            self.model.add_component(f"heat_balance_{number}", balance)
        self.model.objective = pyo.Objective(expr=objective)


def column(variable: pyo.Var) -> FloatArray:
    """The values of a variable, in the order of its index; one that no rule needs has none."""
    return np.array([value or 0.0 for value in variable.get_values().values()])
