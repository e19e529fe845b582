"""What this version solves as jobs; servers and workers load it."""

from loadloom.engine.jobs import Job
from loadloom.engine.services.agency_jobs import FORM
from loadloom.engine.services.fleet_jobs import PLAN
from loadloom.engine.services.orderly_jobs import CREATE, REVISE

JOBS: tuple[Job, ...] = (CREATE, REVISE, FORM, PLAN)
