"""Structured logging: one JSON object a line, on stderr."""

import json
import logging
from datetime import UTC, datetime
from math import isfinite
from typing import Any
from uuid import uuid4

logger = logging.getLogger("loadloom")


class JsonFormatter(logging.Formatter):
    """A record as one line: time, level, event, the facts given with it, and any traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        when = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: _plain(value) for name, value in line.items()}, default=str)


def configure(level: str) -> None:
    """Sends all log lines of the process from `level` on to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def event(level: int, name: str, *, error: BaseException | None = None, **facts: Any) -> None:  # noqa: ANN401
    """Logs that something happened, with facts and the error behind it."""
    logger.log(level, name, extra={"facts": facts}, exc_info=error)


def fault(error: BaseException) -> str:
    """The id under which a fault of ours is logged, with its traceback."""
    error_id = uuid4().hex[:12]
    event(logging.ERROR, "fault", error=error, error_id=error_id)
    return error_id


def _plain(value: Any) -> Any:  # noqa: ANN401 -- whatever JSON can say
    """The value, where JSON has a word for it."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if isfinite(value) else str(value)
    return value
