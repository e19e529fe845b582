"""What is asked, and the bars."""

from math import nan

import pytest

from benchmarks.registry import FULL, QUICK, Bar
from benchmarks.run import SPECS


def test_names_are_unique():
    names = [spec.name for spec in SPECS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_benchmark_says_what_it_asks_and_why(spec):
    assert spec.question.endswith("?")
    assert spec.bar
    assert len(spec.why) > 80


def test_a_quick_run_does_less_of_everything():
    assert QUICK.rounds < FULL.rounds
    assert set(QUICK.sizes) < set(FULL.sizes)
    assert QUICK.stream_batches < FULL.stream_batches


@pytest.mark.parametrize(
    ("measured", "at_least", "met"),
    [
        (0.4, False, True),
        (0.41, False, False),
        (0.4, True, True),
        (0.39, True, False),
        (nan, False, False),
        (nan, True, False),
        (-float("inf"), False, False),
    ],
)
def test_a_bar_is_met_on_its_side_only(measured, at_least, met):
    assert Bar(what="", measured=measured, limit=0.4, at_least=at_least).met is met


def test_a_bar_can_be_met_short_of_its_aim():
    bar = Bar(what="", measured=60.0, limit=50.0, aim=100.0, at_least=True)
    assert bar.met
    assert not bar.aim_met
