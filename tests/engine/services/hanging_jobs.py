"""The jobs of weekly schedules, which hang once a plan is put by, as a solver may that is stuck."""

import time
from dataclasses import replace

from loadloom.engine.answers import orderly as answers
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Progress
from loadloom.engine.services import orderly_jobs
from loadloom.engine.store.operations import Standing


def solve(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """Hangs for ever, with the interpreter's lock free or not makes no difference to the worker."""
    answers.SPARE_S = 0.0

    def send_and_hang(standing: Standing, best: bytes | None) -> None:
        progress._send(standing, best)
        while best is not None:
            time.sleep(60.0)

    return orderly_jobs.solve(request, Progress(send_and_hang, lambda: False), deadline)


JOBS = (replace(orderly_jobs.CREATE, solve=solve),)
