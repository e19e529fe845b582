"""The referee of dispatch: what a schedule costs and which rules it breaks, from the columns alone.

It knows the request and the answer, and nothing of how the answer was made. Each kind of device has
its judge; `audit` holds the rules of plain sites for the rows of a batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.dispatch.judges import meter
from loadloom.models.dispatch.judges.kinds import JUDGES
from loadloom.models.dispatch.problem import FAMILIES, Problem
from loadloom.models.dispatch.sheet import Breach, Sheet
from loadloom.models.dispatch.solution import Schedule
from loadloom.models.horizon import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a schedule costs, by cause, in the currency of the prices.

    With scenarios each is the expected cost; what the objective counts beyond that is "risk".
    """

    bought: float
    sold: float
    wear: float
    end_value: float
    others: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The objective of the problem."""
        plain = self.bought - self.sold + self.wear - self.end_value
        return plain + sum(self.others.values())


NO_COST = Cost(bought=0.0, sold=0.0, wear=0.0, end_value=0.0)
"""Stands for the cost of a schedule that breaks rules, of which nothing is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What nothing clever costs, and whether limits hold; it is priced beyond them."""

    cost: Cost
    within_limits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the referee says of a schedule: its cost, rules that it breaks, limits that gave way."""

    cost: Cost
    violations: list[Violation]
    breaches: list[Breach]


def verdict(problem: Problem, schedule: Schedule) -> Verdict:
    """What `cost`, `violations` and `breaches` say, of one look at the schedule."""
    sheet = _sheet(problem, schedule)
    if sheet.violations:
        return Verdict(cost=NO_COST, violations=sheet.violations, breaches=[])
    return Verdict(cost=_cost(problem, sheet), violations=[], breaches=sheet.breaches)


def cost(problem: Problem, schedule: Schedule) -> Cost:
    """What the schedule costs."""
    return _cost(problem, _sheet(problem, schedule))


def violations(problem: Problem, schedule: Schedule) -> list[Violation]:
    """Every rule that the schedule breaks, by the worst interval of each."""
    return _sheet(problem, schedule).violations


def breaches(problem: Problem, schedule: Schedule) -> list[Breach]:
    """Every limit that the schedule passes at a price."""
    return _sheet(problem, schedule).breaches


def drawn_kw(problem: Problem, schedule: Schedule) -> dict[tuple[str, str], FloatArray] | None:
    """What each device that decides draws from each bus, by its name and that of the bus, (count,).

    None if the schedule is one of other devices or of another horizon.
    """
    sheet = Sheet(problem.horizon, problem.meter.island)
    plans = _plans(problem, schedule)
    if plans is None:
        return None
    with np.errstate(invalid="ignore"):
        _devices(sheet, problem, plans)
    found: dict[tuple[str, str], FloatArray] = {}
    for each in sheet.drawn:
        if each.name is not None:
            key = each.name, each.bus
            found[key] = found.get(key, 0.0) + each.kw
    return found


def baseline(problem: Problem) -> Baseline:
    """What the site costs if every device does the plain thing, and curtailment where it helps.

    Stores do not move; each judge says what its kind does.
    """
    return _plain_baseline(problem) if problem.plain else judged_baseline(problem)


def judged_baseline(problem: Problem) -> Baseline:
    """The baseline as the judges of all devices find it."""
    idle = _idle(problem)
    sheet = Sheet(problem.horizon, problem.meter.island)
    _devices(sheet, problem, idle)
    demand, _ = sheet.total_drawn("")
    found = [meter.idle(problem, scene, demand) for scene in problem.scenes]
    meter.judge(sheet, problem, tuple(exchange for exchange, _ in found))
    broken = [each for each in sheet.violations if not each.path.startswith("storages[")]
    within = all(good for _, good in found) and not broken
    return Baseline(cost=_cost(problem, sheet), within_limits=within)


def _plain_baseline(problem: Problem) -> Baseline:
    """The same for a plain site, where only the meter has a say: in a third of the time."""
    scene, hours = problem.scenes[0], problem.horizon.step_h
    exchange, within = meter.idle(problem, scene, np.zeros(hours.size))
    end_value = 0.0
    for storage in problem.storages:
        left = storage.initial_energy_kwh * float(np.prod(storage.keep(problem.horizon)))
        end_value += storage.end_value_per_kwh * left
    idle = Cost(
        bought=float((scene.buy * exchange.import_kw) @ hours),
        sold=float((scene.sell * exchange.export_kw) @ hours),
        wear=0.0,
        end_value=end_value,
    )
    return Baseline(cost=idle, within_limits=within)


def _idle(problem: Problem) -> dict[str, list[object]]:
    """The plain plan of every device, by family."""
    needs: dict[str, FloatArray] = {}
    plans: dict[str, list[object]] = {family: [] for family in FAMILIES}
    for family, _, device in problem.devices():
        plans[family].append(JUDGES[family].idle(problem.horizon, device, needs))
    return plans


@np.errstate(invalid="ignore")  # a plan may hold numbers that are none, and limits be infinite
def _sheet(problem: Problem, schedule: Schedule) -> Sheet:
    """All that the judges find."""
    sheet = Sheet(problem.horizon, problem.meter.island)
    plans = _plans(problem, schedule)
    if plans is None:
        sheet.broken("schedule", "is one of other devices or of another horizon")
        return sheet
    _devices(sheet, problem, plans)
    meter.judge(sheet, problem, schedule.exchanges)
    return sheet


def _plans(problem: Problem, schedule: Schedule) -> dict[str, list[object]] | None:
    """The plans of the devices by family; None if the schedule is of another site or horizon."""
    count = problem.horizon.count
    parts = [schedule.charge_kw, schedule.discharge_kw, schedule.energy_kwh]
    shapes = {part.shape for part in parts} - {(len(problem.storages), count)}
    meters = {len(exchange.import_kw) for exchange in schedule.exchanges} - {count}
    others = [family for family in FAMILIES if family != "storages"]
    same = all(len(getattr(schedule, each)) == len(getattr(problem, each)) for each in others)
    if shapes or meters or not same:
        return None
    return {
        family: [schedule.plan(family, index) for index in range(len(getattr(problem, family)))]
        for family in FAMILIES
    }


def _devices(sheet: Sheet, problem: Problem, plans: dict[str, list[object]]) -> None:
    """Lets the judges look at every device, and checks the balances of the heat buses."""
    counters = dict.fromkeys(FAMILIES, 0)
    for family, path, device in problem.devices():
        plan = plans[family][counters[family]]
        counters[family] += 1
        if family != "storages":  # whose balance would not add up
            _finite(sheet, path, plan)
        JUDGES[family].judge(sheet, path, device, plan)
    for bus in sorted({each.bus for each in sheet.drawn} - {""}):
        net, size = sheet.total_drawn(bus)
        sheet.equal(f"balance of {bus}", net * sheet.hours, 0.0 * net, size * sheet.hours)


def _finite(sheet: Sheet, path: str, plan: object) -> None:
    """Notes numbers of a plan that are none."""
    for each in fields(plan):  # pyright: ignore[reportArgumentType] -- every plan is a dataclass
        if not np.isfinite(np.asarray(getattr(plan, each.name), np.float64)).all():
            sheet.broken(f"{path}.{each.name}", "holds what is no number")


def _cost(problem: Problem, sheet: Sheet) -> Cost:
    """The costs on a sheet: expected ones by cause, and what risk adds to the objective."""
    probability = np.array([scene.probability for scene in problem.scenes])
    expected: dict[str, float] = {}
    by_scene = np.zeros(probability.size)
    for (scene, cause), amount in sheet.costs.items():
        share = 1.0 if scene is None else float(probability[scene])
        expected[cause] = expected.get(cause, 0.0) + share * amount
        if scene is None:
            by_scene += amount
        else:
            by_scene[scene] += amount
    others = {cause: amount for cause, amount in expected.items() if cause not in _NAMED}
    if problem.risk is not None and probability.size > 1:
        objective = problem.risk.objective(probability, by_scene)
        others["risk"] = objective - float(probability @ by_scene)
    return Cost(
        bought=expected.get("bought", 0.0),
        sold=-expected.get("sold", 0.0),
        wear=expected.get("wear", 0.0),
        end_value=-expected.get("end value", 0.0),
        others=others,
    )


_NAMED = {"bought", "sold", "wear", "end value"}
