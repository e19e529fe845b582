"""A user's statement: every figure, and the formula it comes from with the numbers put in.

The formulas are those of `problem`. What is the same for all users comes first: load factor, the
plant's price and the rates that share its cost. What rounding to the minor unit does is a line of
its own.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.models.agency.figures import pooled_cost
from loadloom.models.agency.money import in_words
from loadloom.models.agency.prices import PriceKind, PriceSchedule
from loadloom.models.agency.problem import Mode, PeakMode, Problem, SharingRule
from loadloom.models.agency.settle import Settlement
from loadloom.models.agency.sheet import Line, Sheet

AS_PRINTED = 1e-12
"""By how much, of itself, an amount differs from one that is printed with the same digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one user is told.

    Attributes:
        user: its index.
        name: its name.
        public: the lines that are the same for all users.
        own: the user's own lines, down to its refund.
    """

    user: int
    name: str
    public: tuple[Line, ...]
    own: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The statement as it is printed, a line each."""
        public = [f"  {line.text}" for line in self.public]
        own = [f"  {line.text}" for line in self.own]
        return "\n".join([f"Statement of {self.name}", "For all users", *public, "For you", *own])


def statement(
    problem: Problem, settlement: Settlement, user: int, alone: float | None = None
) -> Statement:
    """The statement of the user of an index.

    Loads are read from the settlement's figures. The curves are read for two rules only: by slot
    prices, the user's own, and by proportional saving, what the user would pay `alone`, if that is
    not given.
    """
    public = Sheet()
    _public(public, problem, settlement)
    own = Sheet(public.values)
    _loads(own, problem, settlement, user)
    _share(own, problem, settlement, user, alone)
    _bill(own, problem, settlement, user)
    return Statement(
        user=user,
        name=problem.curves.names[user],
        public=tuple(public.lines),
        own=tuple(own.lines),
    )


def _public(sheet: Sheet, problem: Problem, settlement: Settlement) -> None:
    code, schedule = problem.currency.code, problem.schedule
    used = _used(settlement)
    for d, name in enumerate(_spans(problem, settlement)):
        _load_factor(sheet, settlement, d, name)
        if schedule is not None and d in used:
            _price(sheet, schedule, settlement, code, d, name)
        if settlement.rates is not None and schedule is not None and d in used:
            _rates(sheet, schedule, settlement, code, d, name)
    if schedule is not None:
        term = "cost of the purchase"
        formula = sheet.sum_of("F1", term, [f"E{d} * g{d}" for d in used], code)
        sheet.worked("F1", term, formula, code)
    else:
        sheet.given("F1", "cost of the purchase", settlement.cost, code)
    if settlement.rent:
        sheet.given("R", "rent of the agent's own limits", settlement.rent, code)
    sheet.given("alpha", "the agent's profit rate", problem.profit_rate)


def _load_factor(sheet: Sheet, settlement: Settlement, d: int, name: str) -> None:
    figures = settlement.figures
    sheet.given(f"E{d}", f"energy of all{name}", float(figures.energy_kwh[d]), "kWh")
    sheet.given(f"P{d}", f"peak of all{name}", float(figures.peak_kw[d]), "kW")
    sheet.given(f"H{d}", f"hours{name}", float(figures.hours[d]), "h")
    if figures.energy_kwh[d] > 0.0:
        sheet.worked(f"LF{d}", f"load factor{name}", f"E{d} / (H{d} * P{d})")


def _price(
    sheet: Sheet, schedule: PriceSchedule, settlement: Settlement, code: str, d: int, name: str
) -> None:
    """The plant's price at the load factor."""
    term, unit = f"price of the plant{name}", f"{code}/kWh"
    sheet.worked(f"u{d}", f"1 / load factor{name}", f"1 / LF{d}")
    sheet.let("base", schedule.base_per_kwh)
    sheet.let("slope", schedule.slope_per_kwh)
    match schedule.kind:
        case PriceKind.AFFINE:
            sheet.worked(f"g{d}", term, f"base + slope * u{d}", unit)
        case PriceKind.LOAD_FACTOR:
            sheet.worked(f"g{d}", term, f"base - slope / u{d}", unit)
        case _:
            price = float(schedule.value(1.0 / settlement.figures.load_factor[d]))
            sheet.given(f"g{d}", term, price, unit)


def _rates(
    sheet: Sheet, schedule: PriceSchedule, settlement: Settlement, code: str, d: int, name: str
) -> None:
    """The slope of the plant's price, and the two rates that come of it."""
    u = float(1.0 / settlement.figures.load_factor[d])
    sheet.given(f"s{d}", f"slope of the price{name}", schedule.slope(u), f"{code}/kWh")
    sheet.worked(f"a{d}", f"rate on energy{name}", f"g{d} - u{d} * s{d}", f"{code}/kWh")
    sheet.let(f"Q{d}", float(settlement.figures.user_peak_kw[:, d].sum()))
    # Slots that tie within the tolerance weigh a peak a little below the highest of them.
    lift = "" if sheet.values[f"Q{d}"] == sheet.values[f"P{d}"] else f" * P{d} / Q{d}"
    formula = f"H{d} * s{d}{lift}"
    sheet.worked(f"b{d}", f"rate on load at the peak{name}", formula, f"{code}/kW")


def _loads(sheet: Sheet, problem: Problem, settlement: Settlement, user: int) -> None:
    figures = settlement.figures
    spans = _spans(problem, settlement)
    for d, name in enumerate(spans):
        sheet.given(f"e{d}", f"energy{name}", float(figures.user_energy_kwh[user, d]), "kWh")
        sheet.given(f"p{d}", f"load at the peak{name}", float(figures.user_peak_kw[user, d]), "kW")
        if figures.energy_kwh[d] > 0.0:
            formula = f"LF{d} * (e{d} / E{d} - p{d} / P{d})"
            sheet.worked(f"k{d}", f"load-rate contribution{name}", formula)
    if len(spans) > 1:
        whole = sheet.sum_of("e", "energy", [f"e{d}" for d in range(len(spans))], "kWh")
        sheet.worked("e", "energy", whole, "kWh")
        mean = float(settlement.contribution[user])
        sheet.given("k", "load-rate contribution, mean of the days by their energy", mean)
    else:
        sheet.values["e"] = sheet.values["e0"]
        if settlement.energy_kwh[user] > 0.0:
            sheet.worked("kappa", "unit load-rate contribution", "k0 / e", "1/kWh")


def _share(
    sheet: Sheet, problem: Problem, settlement: Settlement, user: int, alone: float | None
) -> None:
    """The cost share; where no formula of the user's own figures gives it, the rule's name."""
    code = problem.currency.code
    rule, uses = settlement.rule, bool(settlement.energy_kwh[user] > 0.0)
    if rule is SharingRule.AUMANN_SHAPLEY:
        _share_by_spans(sheet, problem, settlement, "e{d} * a{d} + p{d} * b{d}")
    elif rule is SharingRule.COINCIDENT_PEAK:
        _share_by_spans(sheet, problem, settlement, "E{d} * g{d} * p{d} / P{d}")
    elif rule is SharingRule.OWEN_DUALS and problem.curves.load_kw[user].any():
        _share_by_slots(sheet, problem, user, float(settlement.share[user]))
    elif rule is SharingRule.ENERGY and uses:
        used = [f"E{d}" for d in _used(settlement)]
        total = sheet.sum_of("E", "energy of all", used, "kWh")
        sheet.worked("x", "cost share", f"F1 * e / ({total})", code)
    elif rule is SharingRule.SAVING and uses:
        _share_of_alone(sheet, problem, settlement, user, alone)
    else:
        what = f"cost share by the rule {rule.value}"
        sheet.given("x", what, float(settlement.share[user]), code)
    minor = in_words(int(settlement.share_minor[user]), problem.currency)
    sheet.given("share", "cost share, rounded", minor, code)


def _share_by_spans(sheet: Sheet, problem: Problem, settlement: Settlement, formula: str) -> None:
    """The sum of a formula of each span, in one line if there is but one span."""
    code, spans, used = problem.currency.code, _spans(problem, settlement), _used(settlement)
    parts = [formula.format(d=d) for d in used]
    if len(spans) > 1:
        for d, part in zip(used, parts, strict=True):
            sheet.worked(f"x{d}", f"cost share{spans[d]}", part, code)
        parts = [f"x{d}" for d in used]
    whole = sheet.sum_of("x", "cost share", parts, code)
    sheet.worked("x", "cost share", whole, code)


def _share_of_alone(
    sheet: Sheet, problem: Problem, settlement: Settlement, user: int, alone: float | None
) -> None:
    """What the user would pay alone, times a factor that is the same for all."""
    if alone is None:
        own = problem.curves.load_kw[user : user + 1]
        alone = float(pooled_cost(problem).standalone(own)[0])
    code, share = problem.currency.code, float(settlement.share[user])
    sheet.given("alone", "what you would pay alone", alone, code)
    if alone != 0.0:
        sheet.given("factor", "part of it that all pay", share / alone)
        sheet.worked("x", "cost share", "alone * factor", code)
    else:
        sheet.given("x", "cost share", share, code)


def _share_by_slots(sheet: Sheet, problem: Problem, user: int, share: float) -> None:
    """A line for each price that occurs in some slot, and their sum.

    Rounded prices do not bring in what was paid to the last digit: then a factor does.
    """
    purchase, curves = problem.purchase, problem.curves
    if purchase is None:
        return
    prices, index = np.unique(purchase.slot_price_per_kwh, return_inverse=True)
    energy = np.bincount(index, weights=curves.load_kw[user] * curves.horizon.step_h)
    code = problem.currency.code
    for c, (price, kwh) in enumerate(zip(prices.tolist(), energy.tolist(), strict=True)):
        sheet.let(f"price{c}", price)
        sheet.given(f"kwh{c}", f"energy in slots at {price:g} {code}/kWh", kwh, "kWh")
        sheet.worked(f"x{c}", f"at {price:g} {code}/kWh", f"kwh{c} * price{c}", code)
    whole = sheet.sum_of("x", "cost share", [f"x{c}" for c in range(prices.size)], code)
    worth = float(energy @ prices)
    if abs(share - worth) > AS_PRINTED * abs(share) and worth != 0.0:
        sheet.given("factor", "so that all shares add up to what was paid", share / worth)
        whole = f"({whole}) * factor"
    sheet.worked("x", "cost share", whole, code)


def _bill(sheet: Sheet, problem: Problem, settlement: Settlement, user: int) -> None:
    currency = problem.currency
    code, per_kwh = currency.code, f"{currency.code}/kWh"
    sheet.given("f2", "highest price", float(problem.highest_prices_per_kwh[user]), per_kwh)
    uses = bool(settlement.energy_kwh[user] > 0.0)
    if problem.mode is Mode.BENEFIT_SHARE:
        if uses:
            sheet.worked("pr", "benefit p_r", "(1 - alpha) * (f2 - x / e)", per_kwh)
            sheet.worked("price", "price", "f2 - pr", per_kwh)
        formula = "alpha * f2 * e + (1 - alpha) * x"
    else:
        if uses:
            sheet.worked("price", "price", "(1 + alpha) * x / e", per_kwh)
            sheet.worked("pr", "benefit p_r", "f2 - price", per_kwh)
        formula = "(1 + alpha) * x"
    sheet.worked("raw", "bill before rounding", formula, code)
    sheet.given("bill", "bill", in_words(int(settlement.bill_minor[user]), currency), code)
    sheet.worked("rounding", "of which rounding", "bill - raw", code)
    if problem.prepaid_minor is None:
        sheet.worked("worth", "prepayment before rounding", "f2 * e", code)
    sheet.given("prepaid", "prepaid", in_words(int(settlement.prepaid_minor[user]), currency), code)
    sheet.worked("refund", "refund", "prepaid - bill", code, currency.minor_digits)


def _used(settlement: Settlement) -> list[int]:
    """The spans in which there is any load."""
    return np.flatnonzero(settlement.figures.energy_kwh > 0.0).tolist()


def _spans(problem: Problem, settlement: Settlement) -> list[str]:
    """What is said after a term of each span: the day, or nothing where there is but one."""
    first = settlement.figures.first_slot[:-1]
    if problem.peak.mode is not PeakMode.DAILY:
        return ["" for _ in first]
    return [f" on {problem.curves.horizon.boundary(int(t)).date()}" for t in first]
