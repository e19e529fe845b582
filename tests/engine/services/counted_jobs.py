"""The jobs of families, telling in their last phase what their processes were given."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Progress, Solve
from loadloom.engine.services import agency_jobs, fleet_jobs, orderly_jobs


def solve(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """Solves a week, and tells of its process."""
    return counted(orderly_jobs.solve, request, progress, deadline)


def solve_portfolio(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """Forms a portfolio, and tells of its process."""
    return counted(agency_jobs.solve, request, progress, deadline)


def solve_fleet(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """Plans a fleet, and tells of its process."""
    return counted(fleet_jobs.solve, request, progress, deadline)


def counted(whole: Solve, request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """Solves, and tells whether there were kernels, which came, and the fork server's threads."""
    before = known_kernels()
    response = whole(request, progress, deadline)
    new = sorted(known_kernels() - before)
    threads = len(list(Path(f"/proc/{os.getppid()}/task").iterdir()))
    progress.report(phase=f"{len(before) > 0} {new} {threads}")
    return response


def known_kernels() -> set[str]:
    """The kernels of this process, with the types that they have machine code for."""
    from numba.core.dispatcher import Dispatcher

    return {
        f"{name}.{kernel.__name__}{signature}"
        for name, module in list(sys.modules.items())
        if name.startswith("loadloom.") and module is not None
        for kernel in vars(module).values()
        if isinstance(kernel, Dispatcher)
        for signature in kernel.signatures
    }


JOBS = (
    replace(orderly_jobs.CREATE, solve=solve),
    replace(orderly_jobs.REVISE, solve=solve),
    replace(agency_jobs.FORM, solve=solve_portfolio),
    replace(fleet_jobs.PLAN, solve=solve_fleet),
)
