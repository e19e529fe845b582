"""The choice of road of demand response, from a problem to a call list with its proof.

one cover       one need, and nothing else that binds customers: branching on the deviation
covers by node  needs of which none is below another: a cover each, all at once
node prices     nested needs, several slots, shared shocks, several offers, quotas, rebound, budget
reference       `reference`: the formulation word by word, for few customers
"""

from dataclasses import replace
from math import inf

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.response import referee
from loadloom.models.response.budget import Z_STEP, Costed, most_confident, own_z
from loadloom.models.response.jointly import Found, by_prices, missing, part_of, proven, together
from loadloom.models.response.problem import (
    NOT_CALLED,
    IndexArray,
    OfferArray,
    Offers,
    Problem,
    one_node,
)
from loadloom.models.response.rows import (
    Reduced,
    needed_above,
    offer_of,
    reduced,
    states,
    taken_of,
)
from loadloom.models.response.solution import (
    PlanOptions,
    Progress,
    Report,
    Road,
    Solution,
    Unsecured,
)
from loadloom.models.response.unsecured import lowered, unsecured_by
from loadloom.solvers.coupled.budget import Budget, Clock, Race
from loadloom.solvers.covering.batch import Batch, cover_batch
from loadloom.solvers.covering.row import Row
from loadloom.solvers.covering.single import cover
from loadloom.solvers.covering.terms import TAKEN
from loadloom.solvers.termination import Reason, Termination

ROUNDING = 1e-9
"""The relative gap that rounding leaves, whatever smaller one is asked for."""

CHANGE_Z = 0.05
"""By how much a common z must rise for calls that stand to be changed; 0.5 % at one of 95 %."""


def plan(
    problem: Problem,
    options: PlanOptions | None = None,
    report: Report | None = None,
    clock: Clock | None = None,
    start: OfferArray | None = None,
) -> Solution:
    """The call list of least cost, or with a budget of the most confidence, and its bound.

    `report` hears of progress and may stop the search; `clock` tells seconds, and without one the
    time limit is not read. `start` is a call list to begin from, the standing one unless given; it
    may break rules, and is not looked at where a road needs none. Repeatable where time does not
    end the search.

    Who was told stays told: where the calls that stand keep all rules, those that are not needed
    are called off, and nothing else changes unless it saves the problem's `change_share` of all.
    The reference model looks at what calling off counts alone.
    """
    options = options or PlanOptions()
    if options.road is Road.REFERENCE:
        # Pyomo takes a while to import, and few ask for it.
        from loadloom.models.response.reference import reference_plan

        return reference_plan(problem, options, clock)
    course: list[Progress] = []
    race = Race(
        budget=Budget(clock=clock, time_limit_s=options.time_limit_s),
        relative_gap=options.relative_gap,
        listener=_listener(course, report, float(problem.toll.sum())),
    )
    rows, start = reduced(problem), problem.standing if start is None else start
    if problem.budget is not None:
        # Three calls of 0.1 add up to a little more than 0.3.
        paid = problem.budget * (1.0 + ROUNDING)
        return _within_budget(problem, rows, paid, options, race, course, start)
    road, owner = _road(problem, rows, options)
    need = lowered(problem, rows) if problem.best_effort else rows.need
    stands = _stands(problem, options, race, clock)
    start = start if stands is None else stands
    found = _solve(problem, rows, need, road, owner, options, race, start)
    if stands is not None:
        found = _kept(problem, stands, found)
    if found.chosen is None and problem.best_effort:
        found = together(problem, rows, need, options, race)
    if found.chosen is None and found.bound == inf:
        short, detail = missing(problem, rows, options, race)
        return _infeasible(road, short, detail, options, tuple(course))
    return _solution(problem, rows, found, road, options, tuple(course))


solve = plan
"""The name by which a family is solved."""


def warm() -> None:
    """Compiles the kernels of call lists, or loads them from the cache."""
    offers = Offers(
        mean_kw=np.array([4.0, 4.0, 7.0]),
        variance_kw2=np.array([0.0, 0.0, 9.0]),
        cost=np.array([1.0, 1.0, 1.5]),
    )
    flat = one_node(offers, need_kw=7.0, confidence=0.9)
    plan(flat)
    plan(flat, PlanOptions(road=Road.COVERS))
    plan(replace(flat, best_effort=True), PlanOptions(road=Road.PRICES))


def _listener(  # noqa: ANN202 -- a Listener
    course: list[Progress], report: Report | None, toll: float
):
    def tell(seconds: float, cost: float, bound: float, phase: str) -> bool:
        step = Progress(seconds=seconds, cost=cost + toll, bound=bound + toll, phase=phase)
        course.append(step)
        return report is None or report(step)

    return tell


def _road(problem: Problem, rows: Reduced, options: PlanOptions) -> tuple[Road, IndexArray | None]:
    """The fastest road that fits, and the node of whose row each node is, where they are apart."""
    simple = (
        problem.offers.loading is None
        and not problem.quotas
        and not rows.has_room_rows
        and int(problem.offer_count.max()) <= 1
        and not (problem.customers.musts & (problem.offer_count == 0)).any()
    )
    per_node = np.isfinite(rows.need).sum(axis=1)
    if not simple or per_node.max() > 1 or options.road is Road.PRICES:
        return Road.PRICES, None
    owner = needed_above(problem, per_node > 0)
    if owner is None:
        return Road.PRICES, None
    one = int(per_node.sum()) == 1 and options.road is not Road.COVERS
    return (Road.COVER if one else Road.COVERS), owner


def _solve(
    problem: Problem,
    rows: Reduced,
    need: FloatArray,
    road: Road,
    owner: IndexArray | None,
    options: PlanOptions,
    race: Race,
    start: OfferArray | None = None,
) -> Found:
    if owner is None:
        return by_prices(problem, rows, need, options, race, start)
    alone = _one_cover if road is Road.COVER else _covers
    found = proven(problem, rows, need, alone(problem, rows, need, owner, options, race))
    if found.chosen is not None:
        race.found(float(_weight(problem)[found.chosen].sum()), road.value)
        race.proved(found.bound, road.value)
    return found


def _weight(problem: Problem) -> FloatArray:
    """What calling each offer counts, but for what calling off all that stands would, (m,)."""
    return problem.offers.cost - problem.toll


def _stands(
    problem: Problem, options: PlanOptions, race: Race, clock: Clock | None
) -> OfferArray | None:
    """The calls that stand without those that are not needed; None if they break some rule."""
    standing = problem.standing
    if standing is None or referee.broken(problem, standing):
        return None
    taken = standing[standing != NOT_CALLED]
    if not taken.size:
        return standing
    less = replace(problem, offers=problem.offers.some(taken), standing=None, best_effort=False)
    limit_s = part_of(race).budget.time_limit_s
    begun = np.where(standing == NOT_CALLED, NOT_CALLED, np.searchsorted(taken, standing))
    options = replace(options, time_limit_s=limit_s)
    found = plan(less, options, clock=clock, start=begun.astype(np.int32)).offer
    return standing if found is None else np.where(found == NOT_CALLED, NOT_CALLED, standing)


def _kept(problem: Problem, stands: OfferArray, found: Found) -> Found:
    """What was found, or the calls that stand if that saves less than the share asked for."""
    if found.chosen is not None:
        own = referee.objective(problem, stands)
        other = referee.objective(problem, offer_of(problem, found.chosen))
        if other < (1.0 - problem.change_share) * own - ROUNDING * max(1.0, own):
            return found
    # What is called impossible with a plan in hand is off by rounding, and proves nothing.
    bound = -inf if found.bound == inf else found.bound
    return replace(found, chosen=taken_of(problem, stands), bound=bound)


def _one_cover(
    problem: Problem,
    rows: Reduced,
    need: FloatArray,
    owner: IndexArray,
    options: PlanOptions,
    _: Race,
) -> Found:
    """The cover of the only row, which takes less than any limit of time."""
    v, k = np.argwhere(np.isfinite(rows.need))[0].tolist()
    offers, state, weight = problem.offers, states(problem), _weight(problem)
    below = owner[problem.customers.nodes[offers.customers]] == v
    everybody = bool(below.all())
    items = slice(None) if everybody else np.flatnonzero(below)
    found = cover(
        Row(
            cost=weight[items],
            mean=np.ascontiguousarray(rows.mean[items, k]),
            variance=np.ascontiguousarray(rows.variance[items, k]),
            threshold=float(need[v, k]),
            quantile=float(rows.z[v]),
            base_variance=float(rows.spread[v, k]) ** 2,
            state=state[items],
        ),
        relative_gap=max(options.relative_gap, ROUNDING),
    )
    price = np.zeros(rows.need.shape)
    price[v, k] = found.price
    chosen = None
    outside = 0.0
    if found.chosen is not None:
        chosen = state == TAKEN
        outside = float(weight[chosen & ~below].sum())
        chosen[items] = found.chosen
    return Found(
        chosen=chosen,
        bound=found.bound + outside,
        price=price,
        room_price=np.zeros(problem.network.count),
    )


def _covers(
    problem: Problem,
    rows: Reduced,
    need: FloatArray,
    owner: IndexArray,
    options: PlanOptions,
    race: Race,
) -> Found:
    """A cover of each row, all of them apart."""
    offers, network, weight = problem.offers, problem.network, _weight(problem)
    state = states(problem)
    nodes, kinds = np.nonzero(np.isfinite(rows.need))
    place = np.full(network.count + 1, nodes.size, np.int64)
    place[nodes] = np.arange(nodes.size)
    row = place[owner[problem.customers.nodes[offers.customers]]]
    order = np.argsort(row, kind="stable")
    start = np.searchsorted(row[order], np.arange(nodes.size + 1))
    outside = order[start[-1] :]
    order = order[: start[-1]]
    kind = kinds[row[order]]
    covers = cover_batch(
        Batch(
            starts=start,
            mean=rows.mean[order, kind],
            variance=rows.variance[order, kind],
            threshold=need[nodes, kinds],
            quantile=rows.z[nodes],
            base_variance=rows.spread[nodes, kinds] ** 2,
            state=state[order],
        ),
        weight[order],
        relative_gap=max(options.relative_gap, ROUNDING),
        threads=options.threads,
        halt=race.budget.spent,
    )
    price = np.zeros(rows.need.shape)
    price[nodes, kinds] = covers.price
    kept = outside[state[outside] == TAKEN]
    bound = float(covers.bound.sum() + weight[kept].sum())
    chosen = None
    if np.isfinite(covers.cost).all():
        chosen = np.zeros(offers.count, np.bool_)
        chosen[order] = covers.chosen
        chosen[kept] = True
    return Found(chosen=chosen, bound=bound, price=price, room_price=np.zeros(network.count))


def _infeasible(
    road: Road,
    short: tuple[Unsecured, ...],
    detail: str,
    options: PlanOptions,
    course: tuple[Progress, ...],
) -> Solution:
    return Solution(
        termination=Termination(reason=Reason.INFEASIBLE, objective=inf, bound=inf, detail=detail),
        road=road,
        proof=_proof(road),
        unsecured=short,
        progress=course,
        seed=options.seed,
    )


def _within_budget(
    problem: Problem,
    rows: Reduced,
    budget: float,
    options: PlanOptions,
    race: Race,
    course: list[Progress],
    start: OfferArray | None,
) -> Solution:
    """The plan of the largest common confidence that the budget pays for."""
    road, owner = _road(problem, rows, options)
    best: list[tuple[OfferArray, Found]] = []

    def cheapest(z: float) -> Costed:
        at = replace(rows, z=np.full(problem.network.count, z))
        begun = best[-1][0] if best else start
        found = _solve(problem, at, at.need, road, owner, options, part_of(race), begun)
        if found.chosen is None:
            return Costed(cost=inf, bound=found.bound, z=-inf)
        offer = offer_of(problem, found.chosen)
        cost = referee.cost(problem, offer)
        if cost <= budget:
            best.append((offer, found))
        slope = _z_price(problem, rows, found, offer)
        return Costed(cost=cost, bound=found.bound, z=own_z(problem, offer), slope=slope)

    step = Z_STEP if owner is not None else max(Z_STEP, options.relative_gap)
    z, z_bound = most_confident(cheapest, budget, race, step=step)
    if not best:
        reason = Reason.INFEASIBLE if z_bound == -inf else Reason.NO_SOLUTION_FOUND
        return Solution(
            termination=Termination(reason=reason, objective=-inf, bound=z_bound),
            road=road,
            proof=_proof(road),
            progress=tuple(course),
            seed=options.seed,
        )
    # Every plan that the budget paid for surpassed the one before it.
    offer, found = best[-1]
    standing = problem.standing
    if standing is not None and referee.cost(problem, standing) <= budget:
        own = own_z(problem, standing)
        level = np.full(problem.network.count, own)
        if z - CHANGE_Z <= own < inf and not referee.broken(problem, standing, level):
            offer, z = standing, own
    z_bound = max(z, z_bound)
    closed = z_bound - z <= max(options.relative_gap, Z_STEP) * max(1.0, z)
    price, later = _told(problem, rows, found)
    return Solution(
        termination=Termination(
            reason=Reason.OPTIMAL if closed else Reason.FEASIBLE, objective=z, bound=z_bound
        ),
        road=road,
        proof=_proof(road),
        offer=offer,
        price_per_kw=price,
        rebound_price_per_kw=later,
        common_z=z,
        progress=tuple(course),
        seed=options.seed,
    )


def _z_price(problem: Problem, rows: Reduced, found: Found, offer: OfferArray) -> float:
    """What one more deviation in all needs would cost: their prices times their deviations."""
    sd = np.sqrt(referee.figures(problem, offer).variance_kw2)
    return float((found.price * np.take_along_axis(sd, np.asarray(rows.slot), axis=1)).sum())


def _told(problem: Problem, rows: Reduced, found: Found) -> tuple[FloatArray, FloatArray]:
    """The prices of needs, (V, S), and of headrooms, (V, U); 0 where another row decides."""
    network = problem.network
    price = np.zeros(network.need_kw.shape)
    np.put_along_axis(price, np.asarray(rows.slot), found.price, axis=1)
    later = np.zeros((network.count, network.after_count))
    profile = network.rebound_profile
    if profile is not None and rows.has_room_rows:
        limited = np.flatnonzero(np.isfinite(rows.room))
        after = rows.after[limited]
        later[limited, after] = found.room_price[limited] / profile[after]
    return price, later


def _solution(
    problem: Problem,
    rows: Reduced,
    found: Found,
    road: Road,
    options: PlanOptions,
    course: tuple[Progress, ...],
) -> Solution:
    if found.chosen is None:
        return Solution(
            termination=Termination(
                reason=Reason.NO_SOLUTION_FOUND, objective=inf, bound=found.bound
            ),
            road=road,
            proof=Proof.NONE,
            progress=course,
            seed=options.seed,
        )
    offer = offer_of(problem, found.chosen)
    cost = referee.objective(problem, offer)
    bound = min(found.bound + float(problem.toll.sum()), cost)
    gap = max(options.relative_gap, ROUNDING)
    closed = not found.jointly and cost - bound <= gap * max(1.0, abs(cost))
    price, later = _told(problem, rows, found)
    return Solution(
        termination=Termination(
            reason=Reason.OPTIMAL if closed else Reason.FEASIBLE, objective=cost, bound=bound
        ),
        road=road,
        proof=_proof(road) if bound > -inf else Proof.NONE,
        offer=offer,
        price_per_kw=price,
        rebound_price_per_kw=later,
        unsecured=unsecured_by(problem, offer) if problem.best_effort else (),
        jointly=found.jointly,
        progress=course,
        seed=options.seed,
    )


def _proof(road: Road) -> Proof:
    return Proof.DUAL if road is Road.PRICES else Proof.BRANCH_AND_BOUND
