import json
import logging
from math import inf, nan

from loadloom.engine.guard.log import JsonFormatter, fault


def line(record: logging.LogRecord) -> dict:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text, parse_constant=lambda name: f"not JSON: {name}")


def test_a_record_is_one_line_of_strict_json(caplog):
    with caplog.at_level(logging.INFO, logger="loadloom"):
        facts = {"gap": nan, "bound": -inf, "objective": 1 / 3, "road": "a\nb", "none": None}
        logging.getLogger("loadloom").info("call", extra={"facts": facts})
    told = line(caplog.records[0])
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "info",
        "event": "call",
        "gap": "nan",
        "bound": "-inf",
        "objective": 0.333333,
        "road": "a\nb",
        "none": None,
    }


def test_a_fault_is_logged_with_its_traceback_under_the_id_returned(caplog):
    try:
        raise ValueError("broken")
    except ValueError as error:
        error_id = fault(error)
    told = line(caplog.records[0])
    assert (told["level"], told["event"], told["error_id"]) == ("error", "fault", error_id)
    assert "ValueError: broken" in told["traceback"]
