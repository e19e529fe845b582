"""The job of portfolios."""

import json
from typing import Any

from loadloom.engine.answers.portfolios import chosen
from loadloom.engine.convert import portfolios as convert
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.family import decoded, digest
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Job, Progress
from loadloom.engine.settings import Limits, Settings
from loadloom.engine.task import Origin
from loadloom.models.checks import InvalidProblem
from loadloom.v1 import agency_pb2 as pb

NAME = pb.DESCRIPTOR.services_by_name["AgencyService"].full_name


def commission(raw: bytes, limits: Limits) -> bytes:
    """What the job of a portfolio is kept with: a line with its server's limits, and the request.

    A worker may run elsewhere, where other limits hold than those the request was checked by.
    """
    return _joined({"limits": limits.model_dump()}, raw)


def equipped(commission: bytes, settings: Settings) -> bytes:
    """A commission with the roots of data sets of the worker that solves it.

    Roots may be URLs with a password, which the database is not to know, and a folder may have
    another place on another machine.
    """
    said, raw = _parted(commission)
    return _joined({**said, "data_roots": settings.data_roots}, raw)


def _joined(said: dict[str, Any], raw: bytes) -> bytes:
    return json.dumps(said).encode() + b"\n" + raw


def _parted(commission: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, raw = commission.partition(b"\n")
    return json.loads(line), raw


def solve(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """The portfolio that a commission, equipped with roots, asks for."""
    said, raw = _parted(request)
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
