"""The jobs of weekly schedules, and the explanations that a worker process makes."""

from sqlalchemy import Connection

from loadloom.engine.answers.orderly import Answer, answer
from loadloom.engine.convert.commissions import head_of, split, unpacked
from loadloom.engine.convert.orderly import parse_commission, renamed
from loadloom.engine.convert.schedules import render
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Job, Progress
from loadloom.engine.store import schedules as store
from loadloom.engine.store.claims import Claim
from loadloom.models.checks import InvalidProblem
from loadloom.v1 import orderly_pb2 as pb

NAME = pb.DESCRIPTOR.services_by_name["OrderlyService"].full_name


def solve(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """The schedule that a commission asks for."""
    commission = unpacked(request)
    asked = parse_commission(commission)

    def write(found: Answer) -> bytes:
        message = render(commission.head, commission.request, asked.problem, found)
        return message.SerializeToString()

    try:
        return write(answer(asked.problem, asked.options, progress, deadline, write))
    except InvalidProblem as error:  # what was announced, or the technique, does not fit
        raise refusal.invalid(list(map(renamed, error.violations))) from error


def keep(connection: Connection, claim: Claim, response: bytes) -> None:
    """Writes the plan beside the end of its operation."""
    head = head_of(claim.request)
    plan = store.Revision(
        revision=head.revision,
        base=head.published_revision,
        commission=split(claim.request)[0],
        response=response,
    )
    store.add_revision(connection, head.name, plan)


def _job(method: str, request: type[pb.CreateScheduleRequest | pb.ReviseScheduleRequest]) -> Job:
    return Job(
        method=f"{NAME}/{method}",
        request=request,
        response=pb.WeeklySchedule,
        solve=solve,
        loads=("highspy", "loadloom.engine.services.orderly_kernels"),
        keep=keep,
    )


CREATE = _job("CreateSchedule", pb.CreateScheduleRequest)
REVISE = _job("ReviseSchedule", pb.ReviseScheduleRequest)
