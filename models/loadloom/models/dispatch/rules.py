"""The rules of a site that could give way: limits of the meter and of stores, and targets.

Loads, forecasts and the energy at the start are facts. So is that no store holds less than nothing.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from loadloom.models.dispatch.linear_model import Arrays, arrays
from loadloom.models.dispatch.problem import EnergyTarget, Problem
from loadloom.models.horizon import FloatArray

FAR_KWH = 1e11
"""More than any store can be asked to hold; beyond it the solver's numbers mean nothing."""


class Kind(Enum):
    """What a rule limits."""

    IMPORT = "import"
    EXPORT = "export"
    CHARGE = "charge"
    DISCHARGE = "discharge"
    LEAST = "least energy"
    MOST = "most energy"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """A limit in kWh of each interval, or held at its end; infinite where it asks for nothing.

    `path` is that of the rule in the request and `field` that of its number, which differ for
    targets; `store` counts the stores, and is -1 for the meter.
    """

    kind: Kind
    path: str
    field: str
    limit: FloatArray
    store: int = -1


def rules_of(problem: Problem) -> list[Rule]:
    """The rules of a site, those of stores before those of the meter."""
    hours, meter = problem.horizon.step_h, problem.meter
    found: list[Rule] = []
    for index, storage in enumerate(problem.storages):
        path = f"site.storages[{index}]"
        found += [
            _rule(Kind.MOST, f"{path}.energy_max_kwh", storage.energy_max_kwh, index),
            _rule(Kind.CHARGE, f"{path}.charge_limit_kw", storage.charge_limit_kw * hours, index),
            _rule(
                Kind.DISCHARGE,
                f"{path}.discharge_limit_kw",
                storage.discharge_limit_kw * hours,
                index,
            ),
            _rule(Kind.LEAST, f"{path}.energy_min_kwh", storage.energy_min_kwh, index),
        ]
        for number, target in enumerate(storage.targets):
            found += _of_target(index, f"{path}.targets[{number}]", target, hours.size)
    return [
        *found,
        _rule(Kind.EXPORT, "site.meter.export_limit_kw", meter.export_limit_kw * hours),
        _rule(Kind.IMPORT, "site.meter.import_limit_kw", meter.import_limit_kw * hours),
    ]


def _rule(kind: Kind, path: str, limit: FloatArray, store: int = -1) -> Rule:
    return Rule(kind=kind, path=path, field=path, limit=limit, store=store)


def _of_target(index: int, path: str, target: EnergyTarget, count: int) -> list[Rule]:
    sides = (
        (Kind.MOST, "max_kwh", target.max_kwh, np.inf),
        (Kind.LEAST, "min_kwh", target.min_kwh, -np.inf),
    )
    found = []
    for kind, name, side, nothing in sides:
        limit = np.full(count, nothing)
        limit[target.interval] = side
        if np.isfinite(side):
            field = f"{path}.{name}"
            found.append(Rule(kind=kind, path=path, field=field, limit=limit, store=index))
    return found


def relaxed(problem: Problem, rules: list[Rule], slack: FloatArray) -> Arrays:
    """The site with each rule giving way by its slack in kWh, shape (rules, count); inf drops it.

    What no operation goes beyond holds all the same, so that every limit is finite: no store needs
    to hold more than it can now and all that the site uses or produces, nor ever moves more.
    """
    site = arrays(problem)
    most = np.maximum(site.energy_max.max(axis=1, keepdims=True), site.initial)
    most = np.maximum(most, site.energy_min.max(axis=1, keepdims=True))
    # Below this efficiency a store is of no use, and far limits would cost digits.
    into, out = (
        np.maximum(site.charge_efficiency, 1e-3),
        np.maximum(site.discharge_efficiency, 1e-3),
    )
    most = np.minimum(most + np.abs(site.net_load).sum() / out, FAR_KWH)
    charge = np.broadcast_to(most / into, site.shape).copy()
    discharge = np.broadcast_to(most * site.discharge_efficiency, site.shape).copy()
    low, high = np.zeros(site.shape), np.broadcast_to(most, site.shape).copy()
    drawn = np.maximum(0.0, site.net_load + site.curtailable + charge.sum(axis=0))
    fed = np.maximum(0.0, discharge.sum(axis=0) - site.net_load)
    ceilings = {Kind.CHARGE: charge, Kind.DISCHARGE: discharge, Kind.MOST: high}
    meter = {Kind.IMPORT: drawn, Kind.EXPORT: fed}
    for rule, give in zip(rules, slack, strict=True):
        if rule.kind is Kind.LEAST:
            np.maximum(low[rule.store], rule.limit - give, out=low[rule.store])
        else:
            of = meter[rule.kind] if rule.store < 0 else ceilings[rule.kind][rule.store]
            np.minimum(of, rule.limit + give, out=of)
    return replace(
        site,
        import_limit=drawn,
        export_limit=fed,
        charge_limit=charge,
        discharge_limit=discharge,
        energy_min=low,
        energy_max=high,
    )
