"""A server that is killed while it solves a week: the next one solves it."""

import os
import signal

import psutil
from google.longrunning import operations_pb2 as longrunning

from loadloom.v1 import operations_pb2, orderly_pb2
from tests.engine.conftest import eventually
from tests.engine.services.orderly_weeks import Planner, week_request

SECONDS = 4


def test_a_killed_server_resumes_the_week_it_was_solving(launch, tmp_path):
    arguments = (f"--database-url=sqlite:///{tmp_path}/db", "--lease-s=1", "--job-workers=1")
    request = week_request(request_id="once")
    # A search that takes all its time, as the gap asked for cannot be proven.
    request.options.method = orderly_pb2.ORDERLY_METHOD_COUPLED
    request.options.relative_gap = 1e-9
    request.options.time_limit.seconds = SECONDS
    with launch(*arguments) as server:
        planner = Planner(server.address)
        made = planner.stub.CreateSchedule(request)
        running = operations_pb2.OPERATION_STATE_RUNNING
        eventually(lambda: state(planner, made.name), lambda found: found == running)
        family = [*psutil.Process(server.popen.pid).children(recursive=True), server.popen]
        for process in family:
            os.kill(process.pid, signal.SIGKILL)
        planner.channel.close()
    with launch(*arguments) as server:
        planner = Planner(server.address)
        assert planner.stub.CreateSchedule(request).name == made.name
        ended = planner.ended(made)
        metadata = operations_pb2.OperationMetadata()
        ended.metadata.Unpack(metadata)
        assert metadata.attempt == 2
        solved = planner.solved(ended)
        assert planner.get(solved.name) == solved
        (only,) = planner.stub.ListSchedules(orderly_pb2.ListSchedulesRequest()).schedules
        assert (only.name, only.revision) == (solved.name, 1)
        planner.channel.close()


def state(planner: Planner, name: str) -> int:
    found = planner.operations.GetOperation(longrunning.GetOperationRequest(name=name))
    metadata = operations_pb2.OperationMetadata()
    found.metadata.Unpack(metadata)
    return metadata.state
