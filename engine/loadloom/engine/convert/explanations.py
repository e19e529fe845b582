"""The reasons behind schedules as messages."""

from collections.abc import Sequence

from loadloom.engine.convert.schedules import write
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.explain import Alternative, Exemption, UserReason
from loadloom.models.orderly.problem import Problem
from loadloom.models.orderly.shortfall import Excluded, Relaxation, Shortfall
from loadloom.v1 import orderly_pb2 as pb

SLIGHT = 1e-6
"""The share of a cost below which a rule does not help."""

EVEN_COST = 0.005
"""The cost below which two weeks are as good as each other: it would be told as 0.00."""


def write_worth(
    response: pb.ExplainScheduleResponse, worth_per_mw: FloatArray, on_feeders: FloatArray
) -> None:
    """Writes what one more MW is worth in every slot, of the whole and of each feeder."""
    write(response.worth_per_mw, worth_per_mw)
    for worth in on_feeders:
        write(response.feeder_worth_per_mw.add(), worth)


def write_exemption(reasons: pb.UserReasons, excused: Exemption) -> None:
    """Writes what excusing the user costs, and what is proven of it."""
    reasons.exemption_price = excused.cost
    reasons.exemption_least = excused.least
    reasons.exemption_most = excused.most


def unpriced_reasons(name: str, cost: float, binding: Sequence[str]) -> pb.UserReasons:
    """The reasons for the plan of a user where the technique gives no prices of the slots."""
    words = f"its week costs {cost:,.2f}; this technique gives no prices"
    return pb.UserReasons(user=name, cost=cost, words=[words], binding_rules=binding)


def reasons(name: str, reason: UserReason) -> pb.UserReasons:
    """The reasons for the plan of a user."""
    found = pb.UserReasons(
        user=name,
        cost=reason.cost,
        reduced_cost=reason.cost - reason.worth,
        exemption_estimate=reason.exemption_cost,
        binding_rules=reason.binding,
    )
    found.words.append(
        f"its week costs {reason.cost:,.2f} and is worth {reason.worth:,.2f} at the slot prices"
    )
    for place, other in enumerate(reason.alternatives):
        if not place:
            found.next_best_extra = other.extra_cost
        found.words.append(_alternative_words("then" if place else "next best", other))
    return found


def _alternative_words(place: str, other: Alternative) -> str:
    """A week a user could have instead, and whether it would be dearer at the slot prices."""
    if abs(other.extra_cost) < EVEN_COST:
        return f"as good at these prices: {other.words}"
    if other.extra_cost < 0.0:
        saved = f"{-other.extra_cost:,.2f} less at these prices"
        return f"{other.words}: {saved}, but slots would lack what the user now gives"
    return f"{place}: {other.words}, {other.extra_cost:+,.2f}"


def write_shortfalls(
    response: pb.ExplainScheduleResponse,
    problem: Problem,
    shortfalls: Sequence[Shortfall],
    words: str,
    relaxations: Sequence[Relaxation],
) -> None:
    """Writes what is not covered, the worst first, and which rules stand in the way."""
    for shortfall in sorted(shortfalls, key=lambda found: -found.unserved_kw):
        response.uncovered.add(
            feeder="" if shortfall.feeder < 0 else problem.shortage.feeders[shortfall.feeder],
            day=shortfall.day,
            slot=shortfall.slot,
            missing_kw=shortfall.unserved_kw,
            excluded=[_excluded_words(problem, one) for one in shortfall.excluded],
        )
    if words:
        response.shortfall.append(words)
    response.relaxations.extend(
        f"{found.rule}: {found.saved:,.2f} less, {found.unserved_kwh:,.1f} kWh still unserved"
        for found in relaxations
        if found.saved > SLIGHT * max(1.0, abs(found.objective))
    )


def _excluded_words(problem: Problem, excluded: Excluded) -> str:
    """What a rule keeps out of a slot: "curtailed days: 300.0 kW (a 200.0, b 100.0)"."""
    users = ", ".join(f"{problem.users.names[i]} {power:,.1f}" for i, power in excluded.largest)
    return f"{excluded.rule}: {excluded.power_kw:,.1f} kW ({users})"
