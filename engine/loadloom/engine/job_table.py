"""What this version solves as jobs; servers and workers load it."""

from loadloom.engine.jobs import Job

JOBS: tuple[Job, ...] = ()
