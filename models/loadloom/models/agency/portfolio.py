"""Portfolios: which users to take, and under which contract, so that the agent earns most.

    maximise   sum_i (f2[i, c(i)] * e[i] - fee[i, c(i)])  -  sum_k cost[k]
    where      cost[k] = E[k] * g_k(H * P[k] / E[k]),  P[k] = max_t A[k, t]
               E[k] and A[k, t] are the energy and the load of the users i with c(i) = k
    subject to energy_min_kwh <= E[k] <= energy_max_kwh, P[k] <= peak_max_kw,
               user_count_min <= number of users <= user_count_max
               c(i) is a contract or none; never none for those that must be taken, always none
               for those that must not

With one contract and g = a + b u this is sum_i (f2[i] - a) e[i] - fee[i] less b H P. Users share
nothing but the sums of each contract, so the linear relaxation divides few of them, and the proven
gap vanishes as users grow more (`loadloom.solvers.selection`). Its duals are prices of slots, by
which every user, taken or not or never asked, has a worth.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from math import inf

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.contracts import Contract, bins_of, check_contracts
from loadloom.models.agency.prices import affine
from loadloom.models.agency.problem import Curves
from loadloom.models.certificate import Proof
from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.solvers.coupled.budget import Budget, Clock, Race
from loadloom.solvers.kernels.spans import products
from loadloom.solvers.selection.items import Bins, Items
from loadloom.solvers.selection.solve import Selection, search_all, select
from loadloom.solvers.termination import Reason, Termination

FlagArray = NDArray[np.bool_]
ChoiceArray = NDArray[np.int32]

ROUNDING = 1e-9
"""The relative gap that rounding leaves, whatever smaller one is asked for."""

LEFT_OUT = -1
"""The contract of a user who is not taken."""


class PortfolioRoad(Enum):
    """A technique; the values are the words in which an answer names it."""

    PRICES = "slot prices and exchanges"
    WHOLE = "mixed-integer programme"
    REFERENCE = "reference model"


@dataclass(frozen=True, kw_only=True)
class PortfolioProblem:
    """A choice of users that is asked for, valid once made.

    Attributes:
        curves: the loads of the candidates.
        contracts: the contracts they can be taken under, one or more.
        highest_price_per_kwh: f2, what a user pays at most: one for all, (), one for each, (n,), or
            one for each under each contract, (n, K).
        fee: what taking a user costs besides, of the same shapes.
        must_take: the users that are to be taken, (n,); None for nobody.
        never_take: the users that are not, (n,); None for nobody.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths.
    """

    curves: Curves
    contracts: tuple[Contract, ...]
    highest_price_per_kwh: FloatArray
    fee: FloatArray = field(default_factory=lambda: np.zeros(()))
    must_take: FlagArray | None = None
    never_take: FlagArray | None = None

    def __post_init__(self) -> None:
        checks = Checks()
        check_contracts(checks, self.contracts)
        shape = (self.curves.count, len(self.contracts))
        for name in ("highest_price_per_kwh", "fee"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, values)
            if values.shape in ((), shape[:1], shape):
                checks.numbers(name, values)
            else:
                message = f"has shape {values.shape}; must be one number, {shape[:1]} or {shape}"
                checks.require(False, name, message)
        for name in ("must_take", "never_take"):
            flags = getattr(self, name)
            good = flags is None or flags.shape == shape[:1]
            checks.require(good, name, f"must have one value for each of {shape[0]} users")
        if not checks.violations:
            both = np.flatnonzero(self.musts & self.nevers)
            for user in both[:1]:
                message = f"is also in never_take ({both.size} users are in both)"
                checks.require(False, f"must_take[{user}]", message)
        checks.finish()

    @property
    def musts(self) -> FlagArray:
        """Whether each user is to be taken, (n,)."""
        return _flags(self.must_take, self.curves.count)

    @property
    def nevers(self) -> FlagArray:
        """Whether each user is not to be taken, (n,)."""
        return _flags(self.never_take, self.curves.count)

    @cached_property
    def energy_kwh(self) -> FloatArray:
        """The energy of each user, (n,)."""
        energy = np.empty(self.curves.count)
        products(self.curves.load_kw, self.curves.horizon.step_h, energy)
        return energy

    @property
    def hours(self) -> float:
        """The hours of the horizon, H."""
        return float(self.curves.horizon.step_h.sum())

    def by_contract(self, values: FloatArray) -> FloatArray:
        """Prices or fees for each user under each contract, (n, K)."""
        shape = (self.curves.count, len(self.contracts))
        return np.broadcast_to(values[:, None] if values.ndim == 1 else values, shape)

    @cached_property
    def revenue(self) -> FloatArray:
        """What each user would bring under each contract before its cost, f2 e - fee, (n, K)."""
        price = self.by_contract(self.highest_price_per_kwh)
        return price * self.energy_kwh[:, None] - self.by_contract(self.fee)

    def items(self) -> Items:
        """The users as items."""
        worth = np.where(self.nevers[:, None], -inf, self.revenue)
        return Items(use=self.curves.load_kw, size=self.energy_kwh, worth=worth, must=self.musts)

    def bins(self) -> Bins:
        """The contracts as bins."""
        return bins_of(self.contracts, self.hours)


def _flags(flags: FlagArray | None, count: int) -> FlagArray:
    return np.zeros(count, np.bool_) if flags is None else flags


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioOptions:
    """The limits of a solve; it ends at the gap, the time or the work, whichever comes first.

    Attributes:
        time_limit_s: the seconds it may take by the clock it is given; inf for no limit.
        relative_gap: the gap at which it may stop.
        seed: the seed of all that is drawn.
        round_limit: how often exchanges begin anew; repeatable where time does not end them.
        node_limit: the nodes of a search in whole numbers of the few users left open.
        road: the technique; None for slot prices.
    """

    time_limit_s: float = inf
    relative_gap: float = 1e-4
    seed: int = 0
    round_limit: int = 200
    node_limit: int = 5_000
    road: PortfolioRoad | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioProgress:
    """How far a solve has come: seconds by the caller's clock, 0 without one.

    `profit` is -inf before the first portfolio, `bound` inf before the first bound.
    """

    seconds: float
    profit: float
    bound: float
    phase: str


Report = Callable[[PortfolioProgress], bool]
"""Told of progress; answers whether to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotWeights:
    """What one more user is charged for at the margin of each contract: the relaxation's duals.

    Attributes:
        slot_per_kw: one more kW in each slot, (K, T); sums to what a kW of peak costs.
        energy_per_kwh: one more kWh, (K,), limits of energy included.
        per_user: one more user, (K,); 0 unless a limit of their number binds.
    """

    slot_per_kw: FloatArray
    energy_per_kwh: FloatArray
    per_user: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioConflict:
    """A limit of a contract that cannot be kept, and by how much it has to give way at the least.

    `amount` is 0 where only whole users are in the way.
    """

    contract: str
    rule: str
    amount: float
    unit: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioSolution:
    """How the solve ended, and the portfolio if there is one.

    `termination.objective` is the profit, `termination.bound` what no portfolio earns more than.

    Attributes:
        contract: the contract of each user, `LEFT_OUT` for none, (n,).
        weights: the prices of slots; they prove the bound of the relaxation.
        divided_count: how many users the relaxation divides.
        conflicts: what cannot be kept, where nothing is feasible.
    """

    termination: Termination
    road: PortfolioRoad
    proof: Proof
    contract: ChoiceArray | None = None
    weights: SlotWeights | None = None
    divided_count: int = 0
    conflicts: tuple[PortfolioConflict, ...] = ()
    progress: tuple[PortfolioProgress, ...] = ()
    seed: int = 0

    @property
    def relative_gap(self) -> float:
        """The gap (bound - profit) / max(1, |profit|); inf without a portfolio."""
        profit, bound = self.termination.objective, self.termination.bound
        if profit == -inf or bound == inf:
            return inf
        return max(0.0, bound - profit) / max(1.0, abs(profit))


def form_portfolio(
    problem: PortfolioProblem,
    options: PortfolioOptions | None = None,
    report: Report | None = None,
    clock: Clock | None = None,
) -> PortfolioSolution:
    """The most profitable portfolio within the limits, with what no portfolio can surpass.

    `report` hears of progress and may stop the search; `clock` tells seconds, and without one the
    time limit is not read.
    """
    options = options or PortfolioOptions()
    if options.road is PortfolioRoad.REFERENCE:
        # Pyomo takes a while to import, and few ask for it.
        from loadloom.models.agency.reference import reference_portfolio

        return reference_portfolio(problem, options)
    course: list[PortfolioProgress] = []
    race = Race(
        budget=Budget(clock=clock, time_limit_s=options.time_limit_s),
        relative_gap=options.relative_gap,
        listener=_listener(course, report),
    )
    items, bins = problem.items(), problem.bins()
    if options.road is PortfolioRoad.WHOLE:
        found = search_all(items, bins, race)
    else:
        found = select(
            items,
            bins,
            race,
            seed=options.seed,
            rounds=options.round_limit,
            nodes=options.node_limit,
        )
    return _solution(problem, options, found, bins, tuple(course))


def warm() -> None:
    """Compiles every kernel of a portfolio, or loads it from the cache."""
    horizon = Horizon(start=datetime(2026, 1, 1, tzinfo=UTC), step_h=np.ones(2))
    contract = Contract(name="any", schedule=affine(0.1, 0.1))
    for kind in (np.float32, np.float64):
        load = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=kind)
        curves = Curves(names=("one", "other"), load_kw=load, horizon=horizon)
        form_portfolio(
            PortfolioProblem(
                curves=curves, contracts=(contract,), highest_price_per_kwh=np.array(0.25)
            ),
            PortfolioOptions(round_limit=1),
        )


def _listener(
    course: list[PortfolioProgress], report: Report | None
) -> Callable[[float, float, float, str], bool]:
    """Notes progress, whose values are losses, where there is any, and passes it on."""

    def tell(seconds: float, loss: float, bound: float, phase: str) -> bool:
        step = PortfolioProgress(seconds=seconds, profit=-loss, bound=-bound, phase=phase)
        if not course or (step.profit, step.bound) != (course[-1].profit, course[-1].bound):
            course.append(step)
        return report is None or report(step)

    return tell


def _solution(
    problem: PortfolioProblem,
    options: PortfolioOptions,
    found: Selection,
    bins: Bins,
    course: tuple[PortfolioProgress, ...],
) -> PortfolioSolution:
    road = options.road or PortfolioRoad.PRICES
    if found.choice is None:
        infeasible = found.is_infeasible
        reason = Reason.INFEASIBLE if infeasible else Reason.NO_SOLUTION_FOUND
        return PortfolioSolution(
            termination=Termination(reason=reason, objective=-inf, bound=found.bound),
            road=road,
            proof=Proof.RELAXATION if infeasible else Proof.NONE,
            conflicts=conflicts(problem, found) if infeasible else (),
            progress=course,
            seed=options.seed,
        )
    prices = found.relaxation.prices
    weights = SlotWeights(
        slot_per_kw=prices.step, energy_per_kwh=prices.per_size(bins), per_user=-prices.count
    )
    gap = (found.bound - found.value) / max(1.0, abs(found.value))
    closed = gap <= max(options.relative_gap, ROUNDING)
    reason = Reason.OPTIMAL if closed else Reason.FEASIBLE
    return PortfolioSolution(
        termination=Termination(reason=reason, objective=found.value, bound=found.bound),
        road=road,
        proof=Proof.BRANCH_AND_BOUND if found.searched else Proof.DUAL,
        contract=found.choice,
        weights=weights,
        divided_count=found.relaxation.fractional_count,
        progress=course,
        seed=options.seed,
    )


_RULES = (
    ("energy_min_kwh", "kWh", "the users that may be taken are {amount:.6g} kWh short of it"),
    ("energy_max_kwh", "kWh", "those that must be taken are {amount:.6g} kWh beyond it"),
    ("user_count_min", "users", "{amount:.6g} users are lacking"),
    ("user_count_max", "users", "{amount:.6g} users are too many"),
    ("peak_max_kw", "kW", "those that must be taken are {amount:.6g} kW above it"),
)
"""The rules in the order in which limits give way."""


def conflicts(problem: PortfolioProblem, found: Selection) -> tuple[PortfolioConflict, ...]:
    """The limits that cannot be kept together, each with the least by which it gives way."""
    given = found.relaxation.given_way
    named = [
        PortfolioConflict(
            contract=problem.contracts[k].name,
            rule=rule,
            amount=float(given[k, r]),
            unit=unit,
            message=f"{problem.contracts[k].name}: {rule} cannot be kept together with the other"
            f" limits: " + words.format(amount=given[k, r]),
        )
        for k in range(len(problem.contracts))
        for r, (rule, unit, words) in enumerate(_RULES)
        if given[k, r] > 0.0
    ]
    if named:
        return tuple(named)
    message = "no choice of whole users keeps all limits, though parts of users would"
    return (PortfolioConflict(contract="", rule="limits", amount=0.0, unit="", message=message),)
