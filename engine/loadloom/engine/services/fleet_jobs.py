"""The job of fleets, and the pages of what their sites do."""

from dataclasses import dataclass

from sqlalchemy import Connection

from loadloom.engine.answers.fleets import planned
from loadloom.engine.convert import fleets as convert
from loadloom.engine.convert import site_plans
from loadloom.engine.convert.notices import page_token, place
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.family import decoded, digest
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.guard.roles import Caller
from loadloom.engine.jobs import Job, Progress
from loadloom.engine.services.commission import equipped, parted
from loadloom.engine.settings import Limits
from loadloom.engine.store import fleets as store
from loadloom.engine.store.claims import Claim
from loadloom.engine.store.database import Database
from loadloom.engine.store.operations import NotEnded
from loadloom.engine.store.schema import ENDED, State
from loadloom.engine.task import Origin
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.v1 import dispatch_pb2

NAME = dispatch_pb2.DESCRIPTOR.services_by_name["DispatchService"].full_name

SITES = 1_000
"""The sites in a page unless asked otherwise."""

PLAIN_BYTES = 4 * 2**20
"""The largest message that gRPC takes unless its caller says otherwise."""


def solve(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """The plan of the fleet that a commission, equipped with roots, asks for."""
    said, raw = parted(request)
    limits, roots = Limits(**said["limits"]), Roots(said["data_roots"])
    progress.report(phase="reading")
    asked = convert.parse(decoded(pb.PlanFleetRequest, raw), limits, roots=roots)
    try:
        fleet = asked.whole(limits)
    except InvalidProblem as error:  # what is in the files does not fit
        raise refusal.invalid(list(error.violations)) from error
    found = planned(
        fleet,
        asked.options,
        progress,
        deadline,
        threads=asked.threads,
        cluster=said["cluster"],
    )
    for part in convert.parts(asked, fleet, found):
        progress.keep(part)
    origin = Origin(digest=digest(raw), queue_s=0.0)
    return convert.render(asked, fleet, found, origin).SerializeToString()


def keep_part(connection: Connection, claim: Claim, part: bytes) -> None:
    """Writes what some sites do."""
    store.write(connection, claim.number, claim.attempt, site_plans.part(part))


PLAN = Job(
    method=f"{NAME}/PlanFleet",
    request=pb.PlanFleetRequest,
    response=pb.FleetPlan,
    solve=solve,
    loads=("highspy", "loadloom.engine.services.fleet_kernels"),
    keep_part=keep_part,
    equip=equipped,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a call about the sites of a fleet works with.

    Attributes:
        database: where they are.
        caller: who asks.
        message_bytes: the largest message.
    """

    database: Database
    caller: Caller
    message_bytes: int

    @property
    def page_bytes(self) -> int:
        """About the size of a page: a site more is added to what is smaller."""
        return min(self.message_bytes, PLAIN_BYTES) // 2


def page(desk: Desk, request: pb.ListSitePlansRequest) -> pb.ListSitePlansResponse:
    """A page of what the sites of a fleet do.

    Raises:
        NoSuchOperation: the tenant has no operation of this name.
        NotEnded: it is still under way.
        Refusal: it plans no fleet, or has ended without an answer, or the token is none that this
            server gave.
    """
    found: list[Violation] = []
    after = place(request.page_token, (int,), found)
    if found or (after is not None and after[0] < 0):
        raise refusal.invalid([Violation("page_token", "is not one that this server gave")])
    first = request.first_site if after is None else int(after[0])
    size = request.page_size or SITES
    with desk.database.reading() as connection:
        its = store.find(connection, desk.caller.tenant, request.operation)
        if its.method != PLAN.method:
            raise refusal.wrong_state(f"{request.operation} plans no fleet")
        if its.state not in ENDED:
            raise NotEnded(request.operation)
        if its.state is not State.SUCCEEDED:
            ended = its.state.value.lower()
            raise refusal.wrong_state(f"{request.operation} has {ended}, so there are no plans")
        first = min(first, its.site_count)  # it may be any number
        with_columns = not request.without_columns
        parts = store.parts(connection, its, first, size, with_columns=with_columns)
        told = site_plans.page(parts, first, size, desk.page_bytes)
    response = pb.ListSitePlansResponse(plans=told)
    if first + told.site_count < its.site_count:
        response.next_page_token = page_token(first + told.site_count)
    return response
