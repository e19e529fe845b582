"""The command line asks for what it says."""

from pathlib import Path

import pytest

from benchmarks.registry import Findings
from benchmarks.run import arguments, missed
from tests.benchmarks.test_report import MET, MISSED, SPEC


def test_all_that_is_asked_for_is_heard():
    asked = arguments(["--only", "storage", "--only", "stream", "--quick", "--out", "x.md"])
    assert asked.only == ["storage", "stream"]
    assert asked.quick
    assert asked.out == Path("x.md")
    assert not asked.strict


def test_a_benchmark_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        arguments(["--only", "nothing"])
    assert "nothing" in capsys.readouterr().err


def test_missed_bars_are_found_among_the_met():
    assert missed([(SPEC, Findings(tables=(), bars=(MET,)))]) == []
    assert missed([(SPEC, Findings(tables=(), bars=(MET, MISSED)))]) == [MISSED]
