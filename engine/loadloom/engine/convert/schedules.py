"""Weekly schedules as messages: whole for the planner, or as one of their users may see them."""

from collections.abc import Sequence

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from loadloom.engine.answers.orderly import Answer
from loadloom.engine.convert import common
from loadloom.engine.convert.commissions import plan_of
from loadloom.engine.convert.orderly import ROADS
from loadloom.engine.store.schedule_tables import ScheduleState
from loadloom.engine.store.schedules import Schedule
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.ability import PARTS, weights
from loadloom.models.orderly.figures import EVERYBODY, Spread, fairness, slot_levels
from loadloom.models.orderly.problem import Problem
from loadloom.models.orderly.solution import Prices, Road, Solution
from loadloom.solvers.termination import Termination
from loadloom.v1 import common_pb2
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import from_series, packed

METHODS = {road: number for number, road in ROADS.items()}
REASONS = {number: reason for reason, number in common.REASONS.items()}
PROOFS = {number: proof for proof, number in common.PROOFS.items()}

TOOLS = {
    Road.COUPLED: ("highspy", "numba", "numpy"),
    Road.REFERENCE: ("ortools", "numpy"),
    Road.FLAT: ("highspy", "numpy"),
    Road.ROTA: ("numpy",),
}
"""The libraries that take part in each technique."""


def timestamp(seconds: float | None) -> Timestamp | None:
    """The instant as a message; None stays None."""
    if seconds is None:
        return None
    stamp = Timestamp()
    stamp.FromMicroseconds(round(seconds * 1e6))
    return stamp


def render(
    head: pb.WeeklySchedule, request: pb.CreateScheduleRequest, problem: Problem, answer: Answer
) -> pb.WeeklySchedule:
    """The schedule that a job made; its state is that of the moment it is made."""
    solution = answer.solution
    schedule = pb.WeeklySchedule(
        name=head.name,
        title=head.title,
        state=pb.SCHEDULE_STATE_SOLVED,
        revision=head.revision,
        published_revision=head.published_revision,
        create_time=head.create_time,
        week=request.week,
        users=problem.users.names,
        slot_levels=slot_levels(problem),
        termination=common.ending(solution.termination),
        certificate=common.certificate(answer.certificate),
        stages=[
            pb.SolveStage(name=s.name, unit=s.unit, value=s.value, bound=s.bound)
            for s in solution.stages
        ],
        costs=_costs(answer),
        method=METHODS[solution.road],
        currency_code=problem.currency_code,
        measures=request.measures,
    )
    _write_events(schedule.events, problem, answer)
    schedule.rest_moves.extend(_rest_moves(problem, answer))
    schedule.coverage.extend(_coverage(problem, answer))
    write(schedule.burdens, answer.burdens)
    spreads = fairness(problem, answer.burdens)
    schedule.fairness.extend(figure(scope, spread) for scope, spread in spreads.items())
    schedule.abilities.extend(_abilities(answer))
    schedule.warning_levels.extend(request.warning_levels)
    schedule.ability_rule.CopyFrom(_ability_rule(problem))
    schedule.notes.extend(_notes(problem))
    schedule.provenance.CopyFrom(_provenance(head, answer))
    return schedule


def write(series: common_pb2.Series, values: FloatArray) -> None:
    """Writes values into a series."""
    series.MergeFromString(packed(values))


def figure(scope: str, found: Spread) -> pb.FairnessFigures:
    """How burdens spread, as a message."""
    return pb.FairnessFigures(
        scope=scope,
        user_count=found.user_count,
        mean_burden=found.mean,
        largest_burden=found.largest,
        jain_index=found.jain,
        gini=found.gini,
    )


def _write_events(events: pb.ScheduleEvents, problem: Problem, answer: Answer) -> None:
    plan, losses = answer.solution.plan, answer.losses
    events.users.extend(plan.user.tolist())
    events.days.extend(plan.day.tolist())
    events.measures.extend(plan.measure.tolist())
    events.first_slots.extend(plan.first_slot.tolist())
    events.slot_counts.extend(plan.slot_count.tolist())
    if losses.relief_kw:
        write(events.relief_kw, np.concatenate(losses.relief_kw))
    write(events.energy_kwh, losses.energy_kwh)
    write(events.cost, losses.energy_loss + losses.start_loss)
    slots, first = np.arange(problem.week.slot_count), plan.first_slot[:, None]
    within = (slots >= first) & (slots < first + plan.slot_count[:, None])
    load_kwh = problem.users.load_kw[plan.user, plan.day] * problem.week.slot_h[plan.day]
    write(events.load_kwh, np.where(within, load_kwh, 0.0).sum(axis=1))


def _rest_moves(problem: Problem, answer: Answer) -> list[pb.RestMove]:
    plan, losses, users = answer.solution.plan, answer.losses, problem.users
    cost = losses.rest_energy_loss + losses.rest_start_loss
    return [
        pb.RestMove(
            user=user,
            day=int(plan.rest_day[user]),
            measure=int(plan.rest_measure[user]),
            energy_kwh=losses.rest_kwh[user],
            cost=cost[user],
            usual_day=usual if (usual := int(users.usual_rest_day[user])) >= 0 else None,
            load_kwh=float(
                users.load_kw[user, plan.rest_day[user]] @ problem.week.slot_h[plan.rest_day[user]]
            ),
        )
        for user in np.flatnonzero(plan.rest_day >= 0).tolist()
    ]


def _notes(problem: Problem) -> list[str]:
    """What a planner should know about the request."""
    measures, short = problem.measures, problem.shortage
    weight = problem.history_weight / problem.users.compliance
    dear = measures.cost_per_kwh * weight[measures.user] >= short.unserved_price_per_kwh
    if not dear.any():
        return []
    return [
        f"A kWh that is not covered costs {short.unserved_price_per_kwh:g}, and one of "
        f"{int(dear.sum())} of the {measures.count} measures costs as much or more: rather than "
        "call for those, the plan may leave a shortage uncovered."
    ]


def _costs(answer: Answer) -> list[common_pb2.CostItem]:
    losses = answer.losses
    amounts = {
        "loss of load": losses.energy_loss.sum() + losses.rest_energy_loss.sum(),
        "start-up": losses.start_loss.sum() + losses.rest_start_loss.sum(),
        "unserved energy": answer.cost.unserved,
    }
    return [common_pb2.CostItem(name=name, amount=amount) for name, amount in amounts.items()]


def _coverage(problem: Problem, answer: Answer) -> list[pb.Coverage]:
    solution, short = answer.solution, problem.shortage
    prices = solution.prices
    found = [
        _covered("", short.shortage_kw, answer.covered_kw, solution.unserved_kw, _whole(prices))
    ]
    for i, name in enumerate(short.feeders):
        found.append(
            _covered(
                name,
                np.asarray(short.feeder_shortage_kw)[i],
                answer.feeder_covered_kw[i],
                solution.feeder_unserved_kw[i],
                None if prices is None else prices.feeder_per_kwh[i],
            )
        )
    return found


def _whole(prices: Prices | None) -> FloatArray | None:
    return None if prices is None else prices.slot_per_kwh


def _covered(
    feeder: str,
    shortage_kw: FloatArray,
    covered_kw: FloatArray,
    unserved_kw: FloatArray,
    price_per_kwh: FloatArray | None,
) -> pb.Coverage:
    coverage = pb.Coverage(feeder=feeder)
    write(coverage.shortage_kw, shortage_kw)
    write(coverage.covered_kw, covered_kw)
    write(coverage.unserved_kw, unserved_kw)
    if price_per_kwh is not None:
        write(coverage.price_per_kwh, price_per_kwh)
    return coverage


def _ability_rule(problem: Problem) -> pb.AbilityRule:
    rule = pb.AbilityRule(least_scores=problem.ability.least_score)
    for name, weight in zip(PARTS, weights(problem.ability).tolist(), strict=True):
        setattr(rule, f"{name}_weight", weight)
    return rule


def _abilities(answer: Answer) -> list[pb.Ability]:
    found = answer.abilities
    return [
        pb.Ability(user=user, score=score, **dict(zip(PARTS, parts, strict=True)))
        for user, (score, parts) in enumerate(
            zip(found.score.tolist(), found.parts.tolist(), strict=True)
        )
    ]


def _provenance(head: pb.WeeklySchedule, answer: Answer) -> common_pb2.Provenance:
    solution = answer.solution
    names = ("loadloom", *TOOLS[solution.road])
    found = common_pb2.Provenance(
        request_digest=head.provenance.request_digest,
        versions=map(common.installed, names),
        road=solution.road.value,
        seed=solution.seed,
        threads=solution.threads,
    )
    found.solve_time.FromNanoseconds(round(answer.solve_s * 1e9))
    return found


def solution_of(schedule: pb.WeeklySchedule, problem: Problem) -> Solution:
    """The solution that a schedule tells of, as far as explanations read it."""
    proof = schedule.certificate
    whole, *feeders = schedule.coverage
    shape = (len(feeders), *problem.week.shape)
    return Solution(
        termination=Termination(
            reason=REASONS[schedule.termination.reason],
            objective=proof.objective,
            bound=proof.bound,
        ),
        road=ROADS[schedule.method],
        proof=PROOFS[proof.proof],
        plan=plan_of(schedule, problem.users.count),
        unserved_kw=from_series(whole.unserved_kw).reshape(problem.week.shape),
        feeder_unserved_kw=_stacked([f.unserved_kw for f in feeders], shape),
        prices=Prices(
            slot_per_kwh=from_series(whole.price_per_kwh).reshape(problem.week.shape),
            feeder_per_kwh=_stacked([f.price_per_kwh for f in feeders], shape),
        )
        if whole.HasField("price_per_kwh")
        else None,
    )


def _stacked(series: Sequence[common_pb2.Series], shape: tuple[int, ...]) -> FloatArray:
    return np.array([from_series(one) for one in series]).reshape(shape)


def current(schedule: pb.WeeklySchedule, row: Schedule, now_s: float) -> pb.WeeklySchedule:
    """The schedule, its state brought up to date."""
    schedule.state = state(row, now_s)
    schedule.published_revision = row.published_revision
    schedule.confirmed_days[:] = row.confirmed_days
    schedule.ClearField("publish_time")
    if row.publish_time is not None:
        schedule.publish_time.CopyFrom(timestamp(row.publish_time) or Timestamp())
    return schedule


def summary(row: Schedule, now_s: float) -> pb.WeeklySchedule:
    """The schedule without users, measures and plan."""
    schedule = pb.WeeklySchedule(
        name=row.name,
        title=row.title,
        revision=row.revision,
        create_time=timestamp(row.create_time),
        week=pb.Week.FromString(row.week),
        currency_code=row.currency_code,
    )
    return current(schedule, row, now_s)


def state(row: Schedule, now_s: float) -> pb.ScheduleState.ValueType:
    """The state, which follows from what was done and from the clock."""
    if row.state is ScheduleState.PUBLISHED:
        if now_s >= row.week_start:
            return pb.SCHEDULE_STATE_RUNNING
        confirmed = 0 in row.confirmed_days
        return pb.SCHEDULE_STATE_CONFIRMED if confirmed else pb.SCHEDULE_STATE_PUBLISHED
    return {
        ScheduleState.DRAFT: pb.SCHEDULE_STATE_DRAFT,
        ScheduleState.SOLVED: pb.SCHEDULE_STATE_SOLVED,
        ScheduleState.SETTLED: pb.SCHEDULE_STATE_SETTLED,
    }[row.state]


PUBLIC = (
    "name",
    "title",
    "state",
    "revision",
    "published_revision",
    "create_time",
    "publish_time",
    "week",
    "slot_levels",
    "warning_levels",
    "ability_rule",
    "termination",
    "confirmed_days",
    "currency_code",
)
"""What any user may know of a schedule; beside it the coverage without prices, and how all burdens
spread. Costs, prices and their proof would tell what others lose."""


def seen_by(schedule: pb.WeeklySchedule, user: int) -> pb.WeeklySchedule:
    """The schedule as one of its users may see it: what is its own, and what is public."""
    seen = pb.WeeklySchedule(users=[schedule.users[user]])
    for field, _ in schedule.ListFields():
        if field.name in PUBLIC:
            _copy(schedule, seen, field.name)
    for coverage in schedule.coverage:
        public = seen.coverage.add()
        public.CopyFrom(coverage)
        public.ClearField("price_per_kwh")
    seen.fairness.extend(found for found in schedule.fairness if found.scope == EVERYBODY)
    if schedule.burdens.values:
        seen.burdens.values.append(schedule.burdens.values[user])
    for ability in schedule.abilities:
        if ability.user == user:
            seen.abilities.add().CopyFrom(ability)
            seen.abilities[0].user = 0
    mine = [m for m, owner in enumerate(schedule.measures.user) if owner == user]
    seen.measures.CopyFrom(_measures(schedule.measures, mine))
    _copy_events(schedule, seen, user, {m: i for i, m in enumerate(mine)})
    return seen


def _copy(source: pb.WeeklySchedule, target: pb.WeeklySchedule, name: str) -> None:
    value = getattr(source, name)
    if source.DESCRIPTOR.fields_by_name[name].is_repeated:
        getattr(target, name).extend(value)
    elif source.DESCRIPTOR.fields_by_name[name].message_type is None:
        setattr(target, name, value)
    else:
        getattr(target, name).CopyFrom(value)


def _measures(measures: pb.Measures, chosen: Sequence[int]) -> pb.Measures:
    """Some of the measures, as if nobody else offered any."""
    found = pb.Measures(user=[0] * len(chosen))
    count = len(measures.user)
    for field, _ in measures.ListFields():
        if field.name in {"user", "allowed"}:
            continue
        values, into = getattr(measures, field.name), getattr(found, field.name)
        if isinstance(values, common_pb2.Series):
            values, into = values.values, into.values
        shared = len(values) != count
        into.extend(values if shared else [values[m] for m in chosen])
    if measures.HasField("allowed"):
        found.allowed.CopyFrom(_rows(measures.allowed, chosen))
    return found


def _rows(mask: pb.Mask, chosen: Sequence[int]) -> pb.Mask:
    if mask.rows == 1:
        return mask
    found = pb.Mask(rows=len(chosen), cols=mask.cols)
    for row in chosen:
        found.values.extend(mask.values[row * mask.cols : (row + 1) * mask.cols])
    return found


def _copy_events(
    source: pb.WeeklySchedule, target: pb.WeeklySchedule, user: int, places: dict[int, int]
) -> None:
    """Copies the events and moved rest days of a user, whose index becomes 0."""
    events, into = source.events, target.events
    begin = np.concatenate(([0], np.cumsum(events.slot_counts))).astype(np.int64)
    for n in np.flatnonzero(np.array(events.users, dtype=np.int64) == user).tolist():
        into.users.append(0)
        into.days.append(events.days[n])
        into.measures.append(places[events.measures[n]])
        into.first_slots.append(events.first_slots[n])
        into.slot_counts.append(events.slot_counts[n])
        into.relief_kw.values.extend(events.relief_kw.values[begin[n] : begin[n + 1]])
        into.energy_kwh.values.append(events.energy_kwh.values[n])
        into.cost.values.append(events.cost.values[n])
    for move in source.rest_moves:
        if move.user == user:
            mine = target.rest_moves.add()
            mine.CopyFrom(move)
            mine.user, mine.measure = 0, places[move.measure]
