"""The referee of portfolios: what one earns and which rules it breaks, from request and answer.

It adds up loads anew in float64 and asks the price schedule itself for the price, and knows nothing
of how the portfolio was found.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.models.agency.cost import PEAK_TOLERANCE
from loadloom.models.agency.portfolio import LEFT_OUT, ChoiceArray, PortfolioProblem
from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray

RELATIVE = 1e-7
"""The share by which a limit may be passed by rounding."""

_ROWS = 1 << 15  # users that are added up at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFigures:
    """What the users of one contract add up to, in kWh, kW and the currency of the prices.

    `peak_slots` are all slots of the peak, and `load_factor` is 0 if nothing is bought.
    """

    name: str
    user_count: int
    energy_kwh: float
    peak_kw: float
    peak_slots: tuple[int, ...]
    load_factor: float
    revenue: float
    fees: float
    cost: float

    @property
    def profit(self) -> float:
        """Revenue less fees and cost."""
        return self.revenue - self.fees - self.cost


def figures(problem: PortfolioProblem, contract: ChoiceArray) -> tuple[ContractFigures, ...]:
    """The figures of every contract, given the contract of each user, (n,)."""
    price = problem.by_contract(problem.highest_price_per_kwh)
    fee = problem.by_contract(problem.fee)
    found = []
    for k, terms in enumerate(problem.contracts):
        users = np.flatnonzero(contract == k)
        load = load_of(problem, users)
        energies = _energies(problem, users)
        energy, peak = float(load @ problem.curves.horizon.step_h), float(load.max(initial=0.0))
        used = energy > 0.0
        u = max(1.0, problem.hours * peak / energy) if used else 1.0
        tied = (
            np.flatnonzero(load >= peak * (1.0 - PEAK_TOLERANCE))
            if peak > 0.0
            else np.zeros(0, int)
        )
        found.append(
            ContractFigures(
                name=terms.name,
                user_count=users.size,
                energy_kwh=energy,
                peak_kw=peak,
                peak_slots=tuple(tied.tolist()),
                load_factor=1.0 / u if used else 0.0,
                revenue=float(price[users, k] @ energies),
                fees=float(fee[users, k].sum()),
                cost=energy * float(terms.schedule.value(u)) if used else 0.0,
            )
        )
    return tuple(found)


def profit(problem: PortfolioProblem, contract: ChoiceArray) -> float:
    """What the agent earns by a portfolio."""
    return sum(each.profit for each in figures(problem, contract))


def load_of(problem: PortfolioProblem, users: np.ndarray) -> FloatArray:
    """The load of some users together, (T,), summed in float64."""
    total = np.zeros(problem.curves.horizon.count)
    for begin in range(0, users.size, _ROWS):
        some = problem.curves.load_kw[users[begin : begin + _ROWS]]
        total += some.sum(axis=0, dtype=np.float64)
    return total


def _energies(problem: PortfolioProblem, users: np.ndarray) -> FloatArray:
    energies = np.empty(users.size)
    for begin in range(0, users.size, _ROWS):
        some = problem.curves.load_kw[users[begin : begin + _ROWS]].astype(np.float64)
        energies[begin : begin + _ROWS] = some @ problem.curves.horizon.step_h
    return energies


def violations(problem: PortfolioProblem, contract: ChoiceArray) -> list[Violation]:
    """Every rule that a portfolio breaks."""
    if contract.shape != (problem.curves.count,):
        message = f"has shape {contract.shape}; must have one value for each user"
        return [Violation("contract", message)]
    wrong = np.flatnonzero((contract < LEFT_OUT) | (contract >= len(problem.contracts)))
    if wrong.size:
        return [Violation(f"contract[{wrong[0]}]", f"is {contract[wrong[0]]}; names no contract")]
    found = []
    for users, words in (
        (problem.musts & (contract == LEFT_OUT), "must be taken, and is not"),
        (problem.nevers & (contract != LEFT_OUT), "must not be taken, and is"),
    ):
        found += [Violation(f"contract[{user}]", words) for user in np.flatnonzero(users)]
    for k, each in enumerate(figures(problem, contract)):
        terms = problem.contracts[k]
        for rule, value, limit, sign in (
            ("energy_min_kwh", each.energy_kwh, terms.energy_min_kwh, -1.0),
            ("energy_max_kwh", each.energy_kwh, terms.energy_max_kwh, 1.0),
            ("peak_max_kw", each.peak_kw, terms.peak_max_kw, 1.0),
            ("user_count_min", float(each.user_count), float(terms.user_count_min), -1.0),
            ("user_count_max", float(each.user_count), terms.most_users, 1.0),
        ):
            if sign * (value - limit) > RELATIVE * max(1.0, abs(limit)):
                message = f"is passed: its users have {value:.9g}, the limit is {limit:.9g}"
                found.append(Violation(f"contracts[{k}].{rule}", message))
    return found
