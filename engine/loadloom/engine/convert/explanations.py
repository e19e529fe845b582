"""The reasons behind schedules as messages."""

from collections.abc import Sequence

from loadloom.engine.convert.schedules import write
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.explain import Relaxation, Shortfall, UserReason
from loadloom.v1 import orderly_pb2 as pb

RULES = 4
"""The rules whose loosening is tried, each by a solve."""

SLIGHT = 1e-6
"""The share of a cost below which a rule does not help."""


def write_worth(response: pb.ExplainScheduleResponse, worth_per_mw: FloatArray) -> None:
    """Writes what one more MW is worth in every slot."""
    write(response.worth_per_mw, worth_per_mw)


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
        word = "then" if place else "next best"
        found.words.append(f"{word}: {other.words}, {other.extra_cost:+,.2f}")
    return found


def write_shortfalls(
    response: pb.ExplainScheduleResponse,
    shortfalls: Sequence[Shortfall],
    words: str,
    relaxations: Sequence[Relaxation],
) -> None:
    """Writes what is not covered, the worst first, and which rules stand in the way."""
    for shortfall in sorted(shortfalls, key=lambda found: -found.unserved_kw):
        response.uncovered.add(
            day=shortfall.day,
            slot=shortfall.slot,
            missing_kw=shortfall.unserved_kw,
            excluded=[
                f"{rule}: {power_kw:,.1f} kW"
                for rule, power_kw in shortfall.excluded_kw.items()
                if power_kw > 0.0
            ],
        )
    response.shortfall.append(words)
    response.relaxations.extend(
        f"{found.rule}: {found.saved:,.2f} less"
        for found in relaxations
        if found.saved > SLIGHT * max(1.0, abs(found.objective))
    )
