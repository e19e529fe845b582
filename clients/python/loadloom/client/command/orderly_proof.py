"""What a plan aims at and what proves it, and the published scores, as told at a terminal."""

from math import isfinite

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadloom.client.command.terminal import bare_table, no_plan_below, proven
from loadloom.client.orderly_plan import WeeklyPlan
from loadloom.client.plan import Outcome

ROWS_TOLD = 25
"""The users that are told at a terminal; files hold all."""

PARTS = ("curtailable", "notice", "ramp", "past_compliance", "telemetry", "control")
"""The parts of the ability."""


def costs(plan: WeeklyPlan) -> Table:
    """What the plan costs, by cause."""
    table = bare_table()
    table.add_column("")
    table.add_column(plan.currency_code or "cost", justify="right")
    table.add_row("this plan", Text(f"{plan.objective:,.2f}", style="bold"))
    for name, amount in plan.costs.items():
        if amount:
            table.add_row(f"  {name}", f"{amount:,.2f}", style="dim")
    return table


def aims(plan: WeeklyPlan) -> Table:
    """The aims of the plan in their order, each with the value reached and its proven bound.

    An aim gives up nothing for those after it; the least cost is the last.
    """
    table = bare_table("Aims, one after the other")
    table.add_column("aim", overflow="fold")
    for name in ("this plan", "no plan less than"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage in plan.stages:
        table.add_row(
            f"{stage.name}, {stage.unit}",
            f"{stage.value:,.4g}",
            proven(stage.bound, f"{stage.bound:,.4g}"),
        )
    said = plan.certificate
    unit = f", {plan.currency_code}" if plan.currency_code else ""
    table.add_row(
        f"least cost{unit}", f"{said.objective:,.2f}", proven(said.bound, f"{said.bound:,.2f}")
    )
    return table


def proof(plan: WeeklyPlan) -> Text:
    """The bound and the gap, and how the plan was made."""
    text = Text("Proof  ", style="bold")
    said = plan.certificate
    text.append(no_plan_below(said.bound, f"{said.bound:,.2f}"), style="not bold")
    if plan.outcome is not Outcome.OPTIMAL and isfinite(said.bound):
        most = max(said.objective - said.bound, 0.0)
        text.append(f"; this one may be up to {most:,.4g} from the best", style="not bold")
    gap = f" (gap {said.relative_gap:.2%}, by {said.proof})" if isfinite(said.bound) else ""
    text.append(f"{gap}\n", style="not bold dim")
    text.append("Method ", style="bold")
    origin = plan.message.provenance
    seconds = origin.solve_time.ToNanoseconds() * 1e-9
    road = "" if origin.road in {"", plan.method} else f": {origin.road}"
    text.append(f"{plan.method}{road}", style="not bold")
    return text.append(f", {seconds:.2f} s, seed {origin.seed}", style="not bold dim")


def levels(plan: WeeklyPlan) -> Text:
    """The levels of warning and the shares of the peak load from which on they hold."""
    said = (f"{level.name} from {100 * level.least_share:.4g} %" for level in plan.warning_levels)
    text = Text("Levels ", style="bold")
    return text.append(f"{', '.join(said)} of the peak load", style="not bold")


def abilities(plan: WeeklyPlan, user: str = "") -> RenderableType:
    """The score of each user, the best first, or of one, with its parts and the formula."""
    table = bare_table()
    table.add_column("user", overflow="fold")
    for name in ("ability", *PARTS):
        table.add_column(name.replace("_", " "), justify="right")
    found = plan.abilities.sort_values("score", ascending=False, kind="stable")
    wanted = found[found.index == user] if user else found
    for name, row in wanted.head(ROWS_TOLD).iterrows():
        parts = (f"{row[part]:.2f}" for part in PARTS)
        table.add_row(str(name), Text(f"{row['score']:.3f}", style="bold"), *parts)
    more = len(wanted) - ROWS_TOLD
    told: list[RenderableType] = [f"and {more} more users; --out tells all"] if more > 0 else []
    return Group(table, *told, _formula(plan))


def ability_words(plan: WeeklyPlan, user: str) -> str:
    """The score of a user as the sum that it is; empty where the plan tells none."""
    found = plan.abilities
    if user not in found.index:
        return ""
    row = found.loc[user]
    terms = (
        f"{weight:.2g} x {row[part]:.2f} {part.replace('_', ' ')}"
        for part, weight in _weights(plan).items()
        if weight
    )
    total = " + ".join(terms)
    return f"ability {row['score']:.3f}" + (f" = {total}" if total else "")


def _formula(plan: WeeklyPlan) -> str:
    terms = (f"{weight:.2g} {part.replace('_', ' ')}" for part, weight in _weights(plan).items())
    formula = f"ability = {' + '.join(terms)}"
    scores = plan.ability_rule.least_scores
    if not any(scores):
        return formula
    notices = ("a week", "a day", "fifteen minutes", "at once")
    least = (f"{score:g} for {notice}" for score, notice in zip(scores, notices, strict=True))
    return f"{formula}\nleast score of a measure by its notice: {', '.join(least)}"


def _weights(plan: WeeklyPlan) -> dict[str, float]:
    rule = plan.ability_rule
    return {part: getattr(rule, f"{part}_weight") for part in PARTS}
