"""The processes of schedules' jobs begin with all kernels: a re-plan has no time to load them."""

import numpy as np
import pytest

from loadloom.v1 import operations_pb2
from loadloom.v1 import orderly_pb2 as pb
from tests.engine.services.counted_jobs import JOBS
from tests.engine.services.orderly_weeks import Planner, planning, shortage

COUNT = 40


@pytest.fixture
def planner(tmp_path):
    with planning(f"sqlite:///{tmp_path}/db", jobs=JOBS) as found:
        found.names = tuple(f"user {index}" for index in range(COUNT))
        yield found


def request(planner: Planner) -> pb.CreateScheduleRequest:
    """A week that is searched, and not settled at once."""
    found = planner.request(short=dict.fromkeys(range(5), 600.0))
    measures, rng = found.measures, np.random.default_rng(0)
    del found.users.industry[:], measures.user[:], measures.notice[:]
    measures.user.extend(range(COUNT))
    measures.cost_per_kwh.values[:] = rng.uniform(1.0, 3.0, COUNT)
    found.options.Clear()
    found.options.time_limit.seconds = 2
    return found


def test_a_job_loads_no_kernels_and_what_it_is_forked_from_has_no_thread(planner):
    made = planner.stub.CreateSchedule(request(planner))
    schedule = planner.publish(planner.solved(made))
    change = pb.ReviseScheduleRequest(name=schedule.name)
    change.shortage.CopyFrom(shortage(dict.fromkeys(range(5), 800.0)))
    change.options.time_limit.seconds = 2
    revise = planner.stub.ReviseSchedule(change)
    assert planner.solved(revise).revision == 2
    for operation in (made, revise):
        metadata = operations_pb2.OperationMetadata()
        planner.ended(operation).metadata.Unpack(metadata)
        assert metadata.progress.phase == "True [] 1"
