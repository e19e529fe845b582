"""The referee's sheet: costs by cause, broken rules, and what everybody draws.

Judges write on it what a plan costs and where it breaks a rule, from data and plan alone; the
referee reads it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.dispatch.audit import ABSOLUTE_KWH, RELATIVE
from loadloom.models.dispatch.devices.meter import Island
from loadloom.models.horizon import FloatArray, Horizon


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Breach:
    """A limit passed at a price: by how much in each interval, and what that costs in all.

    `scene` counts the scenarios; it is None where the plan is the same in all.
    """

    path: str
    amount: FloatArray
    unit: str
    cost: float
    scene: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """What a device draws from a bus, in kW, (count,)."""

    name: str | None
    bus: str
    kw: FloatArray
    scene: int | None


class Sheet:
    """What judges have found so far; while `scene` is set, it is found in that scene alone."""

    def __init__(self, horizon: Horizon, reserve: Island | None = None) -> None:
        self.horizon, self.hours, self.reserve = horizon, horizon.step_h, reserve
        self.scene: int | None = None
        self.costs: dict[tuple[int | None, str], float] = {}
        self.violations: list[Violation] = []
        self.breaches: list[Breach] = []
        self.drawn: list[Drawn] = []
        self.emitted_kg = np.zeros(horizon.count)
        self.spare_kw = np.zeros(horizon.count)

    def charge(self, cause: str, amount: float) -> None:
        """Adds a cost; what is earned is below zero."""
        key = self.scene, cause
        self.costs[key] = self.costs.get(key, 0.0) + float(amount)

    def breach(self, path: str, amount: FloatArray, price: float, unit: str = "kWh") -> None:
        """Charges what a plan is beyond a limit that has a price."""
        beyond = np.maximum(amount, 0.0)
        cost = price * float(beyond.sum())
        self.charge("breach", cost)
        if beyond.max(initial=0.0) > ABSOLUTE_KWH:
            told = np.where(beyond > ABSOLUTE_KWH, beyond, 0.0)
            self.breaches.append(
                Breach(path=path, amount=told, unit=unit, cost=cost, scene=self.scene)
            )

    def draws(self, name: str | None, kw: FloatArray, bus: str = "") -> None:
        """Notes what a device draws from a bus; what it gives is below zero."""
        self.drawn.append(Drawn(name=name, bus=bus, kw=kw, scene=self.scene))

    def emits(self, kg: FloatArray) -> None:
        """Notes what a device emits in each interval."""
        self.emitted_kg = self.emitted_kg + kg

    def spare(self, kw: FloatArray) -> None:
        """Notes the power that a device could give besides, in each interval."""
        self.spare_kw = self.spare_kw + kw

    def total_drawn(
        self, bus: str, scene: int | None = None, names: Iterable[str] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """What is drawn from a bus in sum, in kW, and the sum of its sizes, shapes (count,)."""
        wanted = None if names is None else set(names)
        total, size = np.zeros(self.horizon.count), np.zeros(self.horizon.count)
        for each in self.drawn:
            named = wanted is None or each.name in wanted
            if each.bus == bus and each.scene in {None, scene} and named:
                total = total + each.kw
                size = size + np.abs(each.kw)
        return total, size

    def within(
        self, path: str, values: FloatArray, low: FloatArray | float, high: FloatArray | float
    ) -> None:
        """Finds the worst interval in which values are out of their range."""
        excess = np.maximum(values - high, low - values)
        self._worst(path, excess, high, "is out of its range")

    def equal(self, path: str, left: FloatArray, right: FloatArray, size: FloatArray) -> None:
        """Finds the worst interval in which two sides of what must be equal differ."""
        self._worst(path, np.abs(left - right), size, "does not add up")

    def exclusive(self, one: str, other: str, a: FloatArray, b: FloatArray) -> None:
        """Finds the worst interval in which both of two ways run."""
        self._worst(one, np.minimum(a, b), 0.0, f"runs together with {other}")

    def broken(self, path: str, message: str) -> None:
        """Notes a broken rule."""
        self.violations.append(Violation(path, message))

    def _worst(self, path: str, excess: FloatArray, size: FloatArray | float, what: str) -> None:
        """Notes the interval that is furthest beyond what is tolerated, if there is one."""
        if excess.max(initial=0.0) <= ABSOLUTE_KWH:  # never so if one is NaN
            return
        size = np.where(np.isfinite(size), size, 0.0)  # a limit of infinity is never passed
        over = excess - (ABSOLUTE_KWH + RELATIVE * np.abs(size))
        bad = ~(over <= 0.0)  # NaN is broken too
        if not bad.any():
            return
        t = int(np.argmax(np.where(np.isnan(over), np.inf, over)))
        where = path if self.scene is None or self.scene == 0 else f"scenarios[{self.scene}].{path}"
        self.broken(f"{where}[{t}]", f"{what} by {excess[t]:g} kWh")
