"""What a solve tells, and is told."""

import time

from loadloom.engine.jobs import REPORT_S, Progress
from loadloom.engine.store.operations import Standing


def test_reports_are_merged_and_sent_at_most_every_tenth_of_a_second():
    sent = []
    progress = Progress(lambda standing, best: sent.append((standing, best)), lambda: False)
    progress.report(value=3.0, phase="a", best=lambda: b"3")
    progress.report(bound=1.0)
    progress.report(value=2.0, best=lambda: b"2")
    assert sent == [(Standing(value=3.0, phase="a"), b"3")]
    time.sleep(REPORT_S)
    progress.report(relative_gap=1.0)
    assert sent[1:] == [(Standing(value=2.0, bound=1.0, relative_gap=1.0, phase="a"), None)]


def test_a_new_phase_is_told_at_once():
    sent = []
    progress = Progress(lambda standing, _: sent.append(standing.phase), lambda: False)
    for phase in ("a", "a", "b", "c", "c"):
        progress.report(phase=phase)
    assert sent == ["a", "b", "c"]


def test_the_best_response_is_written_only_when_it_is_sent():
    written = []
    progress = Progress(lambda *_: None, lambda: False)
    for _ in range(5):
        progress.report(value=1.0, best=lambda: written.append(1) or b"")
    assert len(written) == 1


def test_a_cancel_is_told_and_stays():
    answers = iter([False, True])
    progress = Progress(lambda *_: None, lambda: next(answers))
    assert not progress.report()
    time.sleep(0.005)
    assert progress.report()
    assert progress.report(value=1.0)
    assert progress.cancelled
