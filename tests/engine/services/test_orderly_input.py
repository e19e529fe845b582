"""Bad input about schedules: each fault with its code and the path of its field."""

import math
import random
from collections.abc import Callable

import grpc
import pytest

from loadloom.engine.services.orderly_jobs import NAME
from loadloom.engine.settings import Limits
from loadloom.v1 import orderly_pb2 as pb
from tests.engine.services.orderly_weeks import SHORT, planning, shortage, week_request

Request = pb.CreateScheduleRequest

FAULTS_OF_THE_SERVER = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}


def make(change: str) -> Callable[[Request], None]:
    """A change written as a statement about `r`, the request, and its parts."""
    code = compile(change, change, "exec")

    def change_it(r: Request) -> None:
        known = {"r": r, "u": r.users, "m": r.measures, "s": r.shortage, "pb": pb, "math": math}
        exec(code, known)

    return change_it


TABLE = [
    ("no week", "r.ClearField('week')", "week"),
    ("priority beyond 100", "r.options.priority = 101", "options.priority"),
    ("a deadline that was", "r.options.deadline.seconds = -1", "options.deadline"),
    ("no such time left", "r.options.deadline.nanos = 2**30 - 1", "options.deadline"),
    ("no start", "r.week.ClearField('start_time')", "week.start_time"),
    ("no midnight", "r.week.start_time.seconds += 60", "week.start_time"),
    ("year 0", "r.week.start_time.seconds = -62135596800", "week.start_time"),
    ("year 9999", "r.week.start_time.seconds = 253402214400", "week.start_time"),
    ("no such instant", "r.week.start_time.nanos = -1", "week.start_time"),
    ("32 days", "r.week.day_count = 32", "week.day_count"),
    ("7 slots", "r.week.slot_count = 7", "week.slot_count"),
    ("97 slots", "r.week.slot_count = 97", "week.slot_count"),
    ("unknown zone", "r.week.time_zone = 'Europe/Atlantis'", "week.time_zone"),
    ("a path for a zone", "r.week.time_zone = '../../etc/passwd'", "week.time_zone"),
    ("zone with NUL", "r.week.time_zone = 'a\\0b'", "week.time_zone"),
    ("no users", "r.ClearField('users')", "users"),
    ("nobody", "del u.names[:]", "users.names"),
    ("empty name", "u.names[1] = ''", "users.names[1]"),
    ("NUL in a name", "u.names[1] = 'a\\0b'", "users.names[1]"),
    ("same name", "u.names[2] = u.names[0]", "users.names[2]"),
    ("long title", "r.title = 'x' * 201", "title"),
    ("no load", "u.ClearField('load_kw')", "users.load_kw"),
    ("NaN load", "u.load_kw.values.values[0] = math.nan", "users.load_kw[0][0]"),
    ("negative load", "u.load_kw.values.values[0] = -1", "users.load_kw[0][0]"),
    ("infinite load", "u.load_kw.values.values[0] = math.inf", "users.load_kw[0][0]"),
    ("load rows", "u.load_kw.rows = 3", "users.load_kw.rows"),
    ("load cols", "u.load_kw.cols = 7", "users.load_kw.cols"),
    ("load values", "u.load_kw.cols = 8", "users.load_kw.values"),
    ("profile 1 of 1", "u.load_profile.extend([0, 1, 0, 0])", "users.load_profile[1]"),
    ("3 profiles", "u.load_profile.extend([0, 0, 0])", "users.load_profile"),
    ("rows of no profile", "u.load_profile.append(0); u.load_kw.rows = 2", "users.load_kw.values"),
    ("no rows of profiles", "u.load_profile.append(0); u.load_kw.rows = 0", "users.load_kw.rows"),
    ("scale alone", "u.load_scale.values.append(2)", "users.load_scale"),
    ("negative scale", "u.load_profile.append(0); u.load_scale.values.extend([1, -1, 1, 1])",
     "users.load_scale[1]"),
    ("NaN scale", "u.load_profile.append(0); u.load_scale.values.append(math.nan)",
     "users.load_scale[0]"),
    ("scale beyond powers", "u.load_profile.append(0); u.load_scale.values.append(1e8)",
     "users.load_scale"),
    ("protected NaN", "u.protected_kw.CopyFrom(u.load_kw); "
     "u.protected_kw.values.values[0] = math.nan", "users.protected_kw[0][0]"),
    ("contract of 0", "u.contract_kwh.values[0] = 0", "users.contract_kwh[0]"),
    ("3 contracts", "u.contract_kwh.values.extend([1, 2])", "users.contract_kwh"),
    ("2 most days", "u.max_days.append(1)", "users.max_days"),
    ("no events", "u.max_events_per_day.append(0)", "users.max_events_per_day[0]"),
    ("gap of 8", "u.min_gap_days.append(8)", "users.min_gap_days[0]"),
    ("callable rows", "u.callable_days.rows = 2; u.callable_days.cols = 7",
     "users.callable_days.rows"),
    ("callable values", "u.callable_days.rows = 1; u.callable_days.cols = 7",
     "users.callable_days.values"),
    ("rest cols", "u.rest_days.rows = 1; u.rest_days.cols = 8", "users.rest_days.cols"),
    ("rest on itself", "u.rest_days.rows = u.rest_days.cols = 1; u.rest_days.values.append(True); "
     "u.usual_rest_day.append(6)", "users.rest_days[0][6]"),
    ("rest day 7", "u.usual_rest_day.append(7)", "users.usual_rest_day[0]"),
    ("negative burden", "u.carried_burden.values.append(-1)", "users.carried_burden[0]"),
    ("compliance of 0", "u.compliance.values.append(0)", "users.compliance[0]"),
    ("telemetry above 1", "u.telemetry.values.append(1.1)", "users.telemetry[0]"),
    ("unknown feeder", "u.feeder.extend(['', 'north', '', ''])", "users.feeder[1]"),
    ("2 feeders", "u.feeder.extend(['', ''])", "users.feeder"),
    ("3 industries", "u.industry.pop()", "users.industry"),
    ("measure of user 4", "m.user[3] = 4", "measures.user[3]"),
    ("no kind", "del m.kind[:]", "measures.kind"),
    ("unspecified kind", "m.kind[0] = 0", "measures.kind[0]"),
    ("unknown kind", "m.kind[0] = 9", "measures.kind[0]"),
    ("unknown notice", "m.notice[2] = 9", "measures.notice[2]"),
    ("no cap", "m.ClearField('cap_kw')", "measures.cap_kw"),
    ("NaN cap", "m.cap_kw.values[0] = math.nan", "measures.cap_kw[0]"),
    ("no cost", "m.ClearField('cost_per_kwh')", "measures.cost_per_kwh"),
    ("negative cost", "m.cost_per_kwh.values[2] = -1", "measures.cost_per_kwh[2]"),
    ("3 costs", "m.cost_per_kwh.values.pop()", "measures.cost_per_kwh"),
    ("slots crossed", "m.min_slots.append(3)", "measures.max_slots[0]"),
    ("least of 9 slots", "m.min_slots.append(9)", "measures.min_slots[0]"),
    ("ramp of 0", "m.ramp_kw.values.append(0)", "measures.ramp_kw[0]"),
    ("rebound above 1", "m.rebound_share.values.append(2)", "measures.rebound_share[0]"),
    ("rebound nowhere", "m.rebound_share.values.append(0.5)", "measures.rebound_slots[0]"),
    ("allowed cols", "m.allowed.rows = 1; m.allowed.cols = 7", "measures.allowed.cols"),
    ("no shortage", "r.ClearField('shortage')", "shortage"),
    ("nothing short", "s.ClearField('shortage_kw')", "shortage.shortage_kw"),
    ("short twice", "s.capacity_kw.values.append(1)", "shortage.shortage_kw"),
    ("reserve alone", "s.reserve_kw.values.append(1)", "shortage.reserve_kw"),
    ("9 shortages", "del s.shortage_kw.values[9:]", "shortage.shortage_kw"),
    ("NaN shortage", "s.shortage_kw.values[17] = math.nan", "shortage.shortage_kw[17]"),
    ("NaN capacity", "s.ClearField('shortage_kw'); s.capacity_kw.values.append(math.nan)",
     "shortage.capacity_kw[0]"),
    ("free blackout", "s.unserved_price_per_kwh = 0", "shortage.unserved_price_per_kwh"),
    ("NaN price", "s.unserved_price_per_kwh = math.nan", "shortage.unserved_price_per_kwh"),
    ("feeder without", "s.feeders.add(name='north')", "shortage.feeders[0].shortage_kw"),
    ("feeder unnamed", "s.feeders.add().shortage_kw.values.append(1)", "shortage.feeders[0].name"),
    ("feeder NaN", "s.feeders.add(name='n').shortage_kw.values.append(math.nan)",
     "shortage.feeders[0].shortage_kw[0]"),
    ("same feeder", "[s.feeders.add(name='n').shortage_kw.values.append(1) for _ in '12']",
     "shortage.feeders[1].name"),
    ("unknown fairness", "r.fairness.mode = 9", "fairness.mode"),
    ("gamma from 2", "r.fairness.gamma.append(2)", "fairness.gamma[0]"),
    ("gamma falls", "r.fairness.gamma.extend([1, 3, 2])", "fairness.gamma[2]"),
    ("history NaN", "r.fairness.history_strength = math.nan", "fairness.history_strength"),
    ("unknown order", "r.legal_order = 9", "legal_order"),
    ("negative weight", "r.ability.ramp_weight = -1", "ability.ramp_weight"),
    ("3 scores", "r.ability.least_scores.extend([0, 0, 0])", "ability.least_scores"),
    ("level above 1", "r.warning_levels.add(name='I', least_share=2)",
     "warning_levels[0].least_share"),
    ("odd currency", "r.currency_code = 'euro'", "currency_code"),
    ("no time to solve", "r.options.time_limit.seconds = -1", "options.time_limit"),
    ("gap NaN", "r.options.relative_gap = math.nan", "options.relative_gap"),
    ("seed too large", "r.options.seed = 2**32 - 1", "options.seed"),
    ("unknown method", "r.options.method = 99", "options.method"),
    ("no such plan time", "r.plan_time.seconds = 10**15", "plan_time"),
    ("too many levels", "[r.warning_levels.add(name='I', least_share=1) for _ in range(101)]",
     "warning_levels"),
    ("too many factors", "r.fairness.gamma.extend([1] * 32)", "fairness.gamma"),
    ("past plan time", "r.plan_time.seconds = 1", "plan_time"),
    ("odd id", "r.request_id = 'a\\tb'", "request_id"),
]  # fmt: skip


LEADS_TO_MORE = {
    "r.ClearField('users')",
    "del u.names[:]",
    "m.min_slots.append(9)",
    "m.rebound_share.values.append(2)",
}
"""The faults on which others follow: measures of nobody, slots crossed, a rebound to nowhere."""


@pytest.mark.parametrize(("change", "path"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_a_fault_is_told_with_the_path_of_its_field(shared, failure, change, path):
    request = week_request()
    make(change)(request)
    told = failure(lambda: shared.stub.CreateSchedule(request))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert told.reason == "INVALID_FIELDS"
    assert path in told.paths
    assert len(told.paths) == 1 or change in LEADS_TO_MORE


def test_all_faults_are_told_at_once(shared, failure):
    chosen = [
        row
        for row in TABLE
        if row[0]
        in {"no midnight", "same name", "NaN load", "unknown feeder", "unknown kind", "3 costs",
            "NaN shortage", "gamma from 2", "odd currency", "gap NaN", "rest cols"}
    ]  # fmt: skip
    request = week_request()
    for _, change, _ in chosen:
        make(change)(request)
    told = failure(lambda: shared.stub.CreateSchedule(request))
    assert set(told.paths) == {path for _, _, path in chosen}


LARGE = [
    ("u.names.extend(map(str, range(10**5)))", "users.names", "users of a schedule"),
    ("u.names.extend(map(str, range(49_000))); r.week.slot_count = 96", "users",
     "points of a schedule"),
    ("r.week.day_count = 31; r.week.slot_count = 96; "
     "[s.feeders.add(name=str(i)).shortage_kw.values.append(1) for i in range(6_716)]",
     "shortage.feeders", "points of a schedule"),
    ("m.user.extend([0] * 10**6)", "measures.user", "measures of a schedule"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "path", "limit"), LARGE)
def test_what_is_too_large_is_told_with_the_limit(shared, failure, change, path, limit):
    request = week_request()
    make(change)(request)
    told = failure(lambda: shared.stub.CreateSchedule(request))
    assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (set(told.paths), told.facts["limit"]) == ({path}, limit)
    assert Limits().users < 10**5


def test_the_faults_of_a_revision_are_told_by_its_fields(shared, failure):
    schedule = shared.published()
    request = pb.ReviseScheduleRequest(
        name=schedule.name, shortage=shortage(SHORT), change_tolerance=math.nan
    )
    request.shortage.shortage_kw.values[3] = math.nan
    request.plan_time.seconds = 10**15
    told = failure(lambda: shared.stub.ReviseSchedule(request))
    assert set(told.paths) == {"change_tolerance", "shortage.shortage_kw[3]", "plan_time"}
    told = failure(lambda: shared.stub.ReviseSchedule(pb.ReviseScheduleRequest(name=schedule.name)))
    assert set(told.paths) == {"shortage"}
    told = failure(lambda: shared.stub.ReviseSchedule(pb.ReviseScheduleRequest(name="x")))
    assert set(told.paths) == {"name"}


NAMED = "schedules/" + "0" * 32
BAD = [
    ("GetSchedule", pb.GetScheduleRequest(name="x"), "name"),
    ("GetSchedule", pb.GetScheduleRequest(name=NAMED, user="a\0b"), "user"),
    ("ListSchedules", pb.ListSchedulesRequest(page_token="guess"), "page_token"),
    ("ListSchedules", pb.ListSchedulesRequest(page_token="W251bGxd"), "page_token"),
    ("ListSchedules", pb.ListSchedulesRequest(page_size=501), "page_size"),
    ("PublishSchedule", pb.PublishScheduleRequest(name=NAMED), "revision"),
    ("ConfirmDay", pb.ConfirmDayRequest(name=NAMED, day=31), "day"),
    ("ListNotices", pb.ListNoticesRequest(schedule=NAMED, states=[0]), "states[0]"),
    ("ListNotices", pb.ListNoticesRequest(schedule=NAMED, states=[9]), "states[0]"),
    ("AcknowledgeNotice", pb.AcknowledgeNoticeRequest(user="anna"), "number"),
    ("AcknowledgeNotice", pb.AcknowledgeNoticeRequest(number=2**63, user="a"), "number"),
    ("RecordDelivery", pb.RecordDeliveryRequest(name=NAMED), "deliveries"),
    (
        "RecordDelivery",
        pb.RecordDeliveryRequest(
            name=NAMED, deliveries=[pb.Delivery(user="a", energy_kwh=math.nan)]
        ),
        "deliveries[0].energy_kwh",
    ),
    ("GetLedger", pb.GetLedgerRequest(users=["a\0"]), "users[0]"),
    ("GetLedger", pb.GetLedgerRequest(users=["a"] * 1001), "users"),
    ("ExplainSchedule", pb.ExplainScheduleRequest(name="x"), "name"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "request_", "path"), BAD)
def test_a_bad_question_is_told_by_its_field(shared, failure, method, request_, path):
    told = failure(lambda: getattr(shared.stub, method)(request_))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(told.paths) == {path}


METHODS = list(pb.DESCRIPTOR.services_by_name["OrderlyService"].methods)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_mutated_messages_are_never_unknown_nor_internal(new_url, kind):
    generator = random.Random(kind)
    with planning(new_url(kind), job_workers=0) as planner:
        made = planner.stub.CreateSchedule(week_request())
        assert made.name
        (draft,) = planner.stub.ListSchedules(pb.ListSchedulesRequest()).schedules
        seen: dict[str, set[grpc.StatusCode]] = {}
        for method in METHODS:
            for raw in mutants(generator, method.input_type, draft.name):
                seen.setdefault(method.name, set()).add(code_of(planner.channel, method, raw))
    assert not {m: s for m, s in seen.items() if s & FAULTS_OF_THE_SERVER}
    assert all(grpc.StatusCode.INVALID_ARGUMENT in codes for codes in seen.values())


def mutants(generator: random.Random, kind, name: str):
    """Random bytes, and messages with some of their bytes changed."""
    from google.protobuf.message_factory import GetMessageClass

    message = GetMessageClass(kind)()
    for field in kind.fields:
        if field.name in {"name", "schedule"}:
            setattr(message, field.name, name)
        elif field.name == "user":
            message.user = "anna"
    if kind.name == "CreateScheduleRequest":
        message.CopyFrom(week_request())
    elif kind.name == "ReviseScheduleRequest":
        message.shortage.CopyFrom(shortage(SHORT))
    whole = message.SerializeToString() or b"\x08\x01\x12\x00"
    for turn in range(60):
        raw = bytearray(whole)
        for _ in range(generator.randrange(1, 6)):
            raw[generator.randrange(len(raw))] = generator.randrange(256)
        yield bytes(raw) if turn % 3 else generator.randbytes(generator.randrange(1, 60))
    yield b"\x0a\xff"


def code_of(channel: grpc.Channel, method, raw: bytes) -> grpc.StatusCode:
    path = f"/{NAME}/{method.name}"
    try:
        if method.server_streaming:
            next(channel.unary_stream(path)(raw, timeout=0.2))
        else:
            channel.unary_unary(path)(raw, timeout=20)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
