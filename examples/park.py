"""A park of 60 users through four weeks of evenings that are short of power.

    python examples/demo.py park [--out FOLDER]

Three weeks that have passed are planned, announced, recorded and settled, so that the ledger knows
who bore what. The week after the next is planned with that, announced, and planned again when a
plant trips on its Wednesday. All weeks have the loads of one hot week; where they come from is told
in examples/data/NOTICE.md.
"""

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from rich.text import Text

from loadloom.client.charts import save, style
from loadloom.client.client import Client
from loadloom.client.command import orderly_report as report
from loadloom.client.command.orderly_progress import line
from loadloom.client.command.terminal import Terminal
from loadloom.client.files.orderly_series import read_shortage
from loadloom.client.files.orderly_users import read_users
from loadloom.client.operations import Operation
from loadloom.client.orderly import Delivery, Fairness, Shortage, User
from loadloom.client.orderly_calendar import write_calendars
from loadloom.client.orderly_charts import uncovered, write_weekly_chart
from loadloom.client.orderly_notices import Ledger
from loadloom.client.orderly_plan import WeeklyPlan
from loadloom.client.orderly_request import ScheduleWishes
from loadloom.client.orderly_week import Week

DATA = Path(__file__).resolve().parent / "data"
FILES_WEEK, ZONE = "2026-W30", "Europe/Berlin"

PAST = (0.7, 0.55, 0.8)
"""The shortage of each of the three weeks before, against that of the hot week."""

TRIP_KW = 900.0
"""The power of the plant that trips."""

WEDNESDAY, TRIP_HOUR, BACK_HOUR = 2, 14, 22
PLAN_S, REVISE_S, PAST_S = 8.0, 4.0, 3.0
SEED = 60

WISHES: ScheduleWishes = {
    "title": "Riverside park",
    "currency_code": "EUR",
    "fairness": Fairness(gamma=(1.0, 1.3, 1.7), history_strength=4.0),
}

console = Terminal()


def run_park(client: Client, out: Path) -> None:
    """Runs the park at a server, tells what happens, and writes charts and calendars."""
    console.rule(Text("A park of 60 users, four weeks short of power", style="bold"))
    users, shortage = park()
    monday = monday_of(datetime.now(ZoneInfo(ZONE)).date())
    settle_past(client, users, shortage, monday)
    plan = plan_week(client, users, shortage, monday + timedelta(weeks=2))
    write_weekly_chart(plan, out / "park.png")
    write_weekly_chart(plan, out / "park.html")
    calendars = write_calendars(plan, out / "calendars")
    console.print(f"{len(calendars)} calendars in {out / 'calendars'}/\n", style="dim")
    explain(client, plan)
    revised = trip(client, plan, shortage)
    write_weekly_chart(revised, out / "park_revised.png")
    ledger = client.get_ledger()
    console.print(report.ledger_report(most_burdened(ledger, 10)))
    save(ledger_chart(ledger), out / "park_ledger.png", dpi=150)


def park() -> tuple[list[User], Shortage]:
    """The users of the park and what is short in its hot week, from the files beside this one."""
    week = Week.of_name(FILES_WEEK, time_zone=ZONE)
    found = read_users(DATA / "park_users.csv", week, DATA / "park_loads_w30.csv")
    return found.users, read_shortage(DATA / "park_shortage_w30.csv", week, None)


def settle_past(client: Client, users: list[User], shortage: Shortage, monday: date) -> None:
    """Plans, announces, records and settles the three weeks before a Monday."""
    rng = np.random.default_rng(SEED)
    for number, share in enumerate(PAST):
        week = Week(start=monday - timedelta(weeks=len(PAST) - number), time_zone=ZONE)
        less = lessened(users, shortage, share)
        wishes: ScheduleWishes = {**WISHES, "time_limit_s": PAST_S}
        operation = client.create_schedule(week, users, less, **wishes)
        plan = followed(operation, f"Planning {week.name}")
        # Nobody can be told of a week that is past; what was delivered counts all the same.
        plan = client.publish_schedule(plan, late_notice=True)
        recorded = client.record_delivery(plan, delivered(plan, rng))
        plan = client.settle_schedule(plan)
        console.print(
            f"{week.name}  {plan.state}: {len(plan.events)} events, {plan.objective:,.0f} EUR, "
            f"{uncovered(plan)}; {recorded.missed_count} without notice, as the week is past"
        )
    console.print()


def plan_week(client: Client, users: list[User], shortage: Shortage, monday: date) -> WeeklyPlan:
    """Plans the week of a Monday by the ledger, and announces it."""
    week = Week(start=monday, time_zone=ZONE)
    start = perf_counter()
    wishes: ScheduleWishes = {**WISHES, "time_limit_s": PLAN_S}
    operation = client.create_schedule(week, users, shortage, **wishes)
    plan = followed(operation, f"Planning {week.name}")
    seconds = perf_counter() - start
    console.print(report.plan_report(plan))
    plan = client.publish_schedule(plan)
    notices = Counter(notice.state.value for notice in client.list_notices(plan))
    told = ", ".join(f"{count} {state}" for state, count in notices.items())
    console.print(f"planned in {seconds:.1f} s and announced; notices: {told}", style="dim")
    return plan


def explain(client: Client, plan: WeeklyPlan) -> None:
    """Tells why the user with the dearest plan is called."""
    cost: Counter[str] = Counter()
    for event in plan.events:
        cost[event.user] += event.cost  # type: ignore[assignment] -- a Counter adds any number
    if not cost:
        return
    found = client.explain_schedule(plan, cost.most_common(1)[0][0])
    if found.user is not None:
        console.print(report.user_reasons(found.user, plan))
        console.print()


def trip(client: Client, plan: WeeklyPlan, shortage: Shortage) -> WeeklyPlan:
    """Plans the week again when a plant trips on its Wednesday, and announces what changes."""
    week = plan.week
    capacity_kw = np.array(shortage.capacity_kw, dtype=np.float64).reshape(week.shape)
    capacity_kw[WEDNESDAY : WEDNESDAY + 2, TRIP_HOUR:BACK_HOUR] -= TRIP_KW
    noon = week.begin(WEDNESDAY, 12)
    told = f"{noon:%a %H:%M}: {TRIP_KW:,.0f} kW trip until Thursday night"
    console.print(told, style="bold")
    operation = client.revise_schedule(
        plan,
        replace(shortage, capacity_kw=capacity_kw),
        plan_time=noon,
        change_tolerance=0.02,
        time_limit_s=REVISE_S,
    )
    revised = followed(operation, "Planning again")
    console.print(report.changes(plan, revised))
    console.print(
        f"cost {plan.objective:,.0f} -> {revised.objective:,.0f} EUR, {uncovered(revised)}\n",
        style="dim",
    )
    return client.publish_schedule(revised)


def followed(operation: Operation[WeeklyPlan], what: str) -> WeeklyPlan:
    """The plan of an operation, whose progress is shown."""
    start = perf_counter()
    with console.status(Text(what)) as status:
        for event in operation.events():
            told = line(event.state.value, event.progress, perf_counter() - start)
            status.update(Text(f"{what}: {told}"))
    return operation.result()


def lessened(users: list[User], shortage: Shortage, share: float) -> Shortage:
    """A shortage that is a share of another one where that is above zero."""
    load_kw = np.sum([np.asarray(user.load_kw) for user in users], axis=0)
    capacity_kw, reserve_kw = np.asarray(shortage.capacity_kw), np.asarray(shortage.reserve_kw)
    short_kw = load_kw + reserve_kw - capacity_kw
    feeders = {
        name: np.where(np.asarray(row) > 0.0, share * np.asarray(row), row)
        for name, row in shortage.feeders.items()
    }
    return Shortage(
        shortage_kw=np.where(short_kw > 0.0, share * short_kw, short_kw), feeders=feeders
    )


def delivered(plan: WeeklyPlan, rng: np.random.Generator) -> list[Delivery]:
    """What users delivered: mostly what was planned, sometimes less."""
    shares = np.clip(rng.normal(0.97, 0.06, len(plan.events)), 0.6, 1.05)
    return [
        Delivery(
            user=event.user,
            day=event.day,
            first_slot=event.first_slot,
            energy_kwh=event.energy_kwh * float(share),
        )
        for event, share in zip(plan.events, shares, strict=True)
    ]


def most_burdened(ledger: Ledger, count: int) -> Ledger:
    """The entries of the users who carry most, they first."""
    carried = {entry.user: entry.carried_burden for entry in ledger.entries}
    first = sorted(carried, key=lambda user: -carried[user])[:count]
    entries = [entry for user in first for entry in ledger.entries if entry.user == user]
    return replace(ledger, entries=entries)


def ledger_chart(ledger: Ledger) -> Figure:
    """What each week added to the burden of each user, those with most on top."""
    table = ledger.frame.pivot_table(index="user", columns="week_date", values="burden").fillna(0.0)
    table = 100.0 * table.loc[table.sum(axis=1).sort_values().index]
    with mpl.rc_context(style()):
        figure = Figure(figsize=(8, 10), layout="constrained")
        axes = figure.subplots()
        left = np.zeros(len(table))
        for week, color in zip(table, ("#bfd7ea", "#5e9bc0", "#1d3557"), strict=False):
            values = table[week].to_numpy()
            label = f"{week:%G-W%V}"
            axes.barh(table.index, values, left=left, color=color, label=label)
            left += values
        axes.set_xlabel("burden, % of a week's contract")
        axes.tick_params(axis="y", labelsize=7)
        axes.margins(y=0.01)
        axes.legend(loc="lower right")
        axes.set_title("The ledger after three weeks", loc="left", fontweight="bold")
    return figure


def monday_of(day: date) -> date:
    """The Monday of the week of a day."""
    return day - timedelta(days=day.weekday())
