"""The job of portfolios."""

from loadloom.engine.answers.portfolios import chosen
from loadloom.engine.convert import portfolios as convert
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.family import decoded, digest
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Job, Progress
from loadloom.engine.services.commission import equipped, parted
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin
from loadloom.models.checks import InvalidProblem
from loadloom.v1 import agency_pb2 as pb

NAME = pb.DESCRIPTOR.services_by_name["AgencyService"].full_name


def solve(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """The portfolio that a commission, equipped with roots, asks for."""
    said, raw = parted(request)
    limits, roots = Limits(**said["limits"]), Roots(said["data_roots"])
    asked = convert.parse(decoded(pb.FormPortfolioRequest, raw), limits, roots=roots)
    try:
        curves = asked.curves
        if curves is None:
            if asked.files is None:
                raise ValueError("a portfolio is asked for without candidates")
            most_users = limits.curve_points // asked.axis.horizon.count
            progress.report(phase="reading")
            curves = asked.files.curves(asked.axis.horizon, limits.curve_points, most_users)
        problem = asked.problem(curves)
        found = chosen(
            problem,
            asked.options,
            progress,
            deadline,
            recruit_count=asked.recruit_count,
            explained=asked.explained(curves),
        )
    except InvalidProblem as error:  # what is in the files, or the technique, does not fit
        raise refusal.invalid(list(map(convert.renamed, error.violations))) from error
    origin = Origin(digest=digest(raw), queue_s=0.0)
    return convert.render(asked, problem, found, origin).SerializeToString()


FORM = Job(
    method=f"{NAME}/FormPortfolio",
    request=pb.FormPortfolioRequest,
    response=pb.Portfolio,
    solve=solve,
    loads=("highspy", "loadloom.engine.services.agency_kernels"),
    equip=equipped,
)
