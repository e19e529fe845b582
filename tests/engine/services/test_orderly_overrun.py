"""A week whose solve hangs ends with the best plan so far."""

from loadloom.v1 import common_pb2
from loadloom.v1 import orderly_pb2 as pb
from tests.engine.services.hanging_jobs import JOBS
from tests.engine.services.orderly_weeks import keys, planning


def test_a_solve_that_is_killed_for_overrun_leaves_its_best_plan(tmp_path):
    url = f"sqlite:///{tmp_path}/db"
    with planning(url, jobs=JOBS, job_limit_s=3.0, overrun_s=0.5) as planner:
        asked = planner.request()
        asked.options.method = pb.ORDERLY_METHOD_COUPLED
        made = planner.solved(planner.stub.CreateSchedule(asked))
        assert made.termination.reason == common_pb2.TERMINATION_REASON_FEASIBLE
        proof = made.certificate
        assert 0.0 <= proof.bound <= proof.objective
        assert planner.get(made.name) == made
        assert keys(planner.publish(made)) == keys(made)
