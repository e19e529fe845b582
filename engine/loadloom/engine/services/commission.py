"""What jobs are kept with beside the request, and what their solves are given beside it."""

import json
from typing import Any

from loadloom.engine.settings import Limits, Settings


def commission(raw: bytes, limits: Limits) -> bytes:
    """What a job is kept with: a line with its server's limits, and the request.

    A worker may run elsewhere, where other limits hold than those the request was checked by.
    """
    return _joined({"limits": limits.model_dump()}, raw)


def equipped(commission: bytes, settings: Settings) -> bytes:
    """A commission with the roots of data sets, and the cluster, of the worker that solves it.

    Roots may be URLs with a password, which the database is not to know, and a folder may have
    another place on another machine.
    """
    said, raw = parted(commission)
    return _joined({**said, "data_roots": settings.data_roots, "cluster": settings.cluster}, raw)


def parted(commission: bytes) -> tuple[dict[str, Any], bytes]:
    """What is said beside a request, and the request."""
    line, _, raw = commission.partition(b"\n")
    return json.loads(line), raw


def _joined(said: dict[str, Any], raw: bytes) -> bytes:
    return json.dumps(said).encode() + b"\n" + raw
