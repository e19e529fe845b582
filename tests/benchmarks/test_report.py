"""What was found is told in full, and nothing that does not hold."""

import io
from math import inf, nan

from rich.console import Console

from benchmarks.harness import Judgement, Measured
from benchmarks.registry import Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import bar_table, machine, markdown, number, show, timing_table, versions

SOUND = Judgement(cost=12.0, claimed_cost=12.0, gap=1e-9)
BROKEN = Judgement(cost=11.0, claimed_cost=11.0, gap=-0.08, broken=("balance[3]: does not add up",))
MET = Bar(what="good", measured=3.0, limit=2.0, at_least=True, unit="sites/s")
MISSED = Bar(what="bad", measured=3.0, limit=2.0)


def run(effort: Effort) -> Findings:
    """Because we want to know."""
    table = Table(title="things", headings=("a", "b"), rows=(("x|y", str(effort.rounds)),))
    return Findings(tables=(table,), bars=(MET, MISSED))


SPEC = BenchSpec(name="things", question="How many things?", bar="two", run=run)
EFFORT = Effort(rounds=7, budget_s=1.0, sizes=(96,), stream_batches=1, calls=1)


def test_a_broken_answer_has_no_time_in_the_table_but_is_told():
    good = Measured(name="good", wall_s=[0.002], cpu_s=[0.001], judgements=[SOUND])
    bad = Measured(name="bad", wall_s=[0.003], cpu_s=[0.003], judgements=[BROKEN])
    table = timing_table("t", [good, bad], good)
    assert table.rows[0][2:5] == ("2.00", "1.00", "1.00")
    assert table.rows[1][2:5] == ("not reported",) * 3
    assert "balance[3]" in table.rows[1][-1]


def test_a_multiple_of_a_broken_answer_is_not_told():
    good = Measured(name="good", wall_s=[0.002], cpu_s=[0.001], judgements=[SOUND])
    bad = Measured(name="bad", wall_s=[0.003], cpu_s=[0.003], judgements=[BROKEN])
    assert timing_table("t", [good], bad).rows[0][4] == "not reported"


def test_bars_say_whether_they_are_met():
    short = Bar(what="short", measured=3.0, limit=2.0, aim=4.0, at_least=True)
    none = Bar(what="none", measured=nan, limit=2.0)
    words = [row[-1] for row in bar_table([MET, MISSED, short, none]).rows]
    assert words == ["yes", "NO", "yes, short of the aim", "NO"]


def test_the_page_has_machine_versions_questions_reasons_tables_and_bars():
    page = markdown([(SPEC, run(EFFORT))], "python -m benchmarks.run")
    assert machine() in page
    assert versions() in page
    assert "numpy" in versions()
    assert "`python -m benchmarks.run`" in page
    assert "**1 of 2 bars are met.**" in page
    assert "## How many things?\n\nBecause we want to know.\n\nBar: two." in page
    assert "| a | b |\n| --- | --- |\n| x\\|y | 7 |" in page
    assert "| good | 3 sites/s | ≥ 2 |  | yes |" in page
    assert "| bad | 3 | ≤ 2 |  | NO |" in page


def test_the_terminal_shows_the_same():
    out = io.StringIO()
    show(Console(file=out, width=120), SPEC, run(EFFORT))
    assert "How many things?" in out.getvalue()
    assert "NO" in out.getvalue()


def test_numbers_are_short():
    words = [number(v) for v in (123456.7, 12.345, 0.00123456, 0.0, nan, inf, -inf)]
    assert words == ["123,457", "12.3", "0.00123", "0", "—", "∞", "-∞"]
