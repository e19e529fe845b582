"""Charts of weekly plans: what they show, and that no name can harm them."""

import logging
import warnings

import numpy as np
import pytest
from matplotlib import font_manager

from loadloom.client import charts
from loadloom.client.orderly_charts import page, title, weekly_chart, write_weekly_chart
from loadloom.wire.arrays import to_series
from tests.clients.orderly_cases import plan

CHINESE = "江北纺织厂"


def test_the_chart_shows_turns_coverage_and_burdens():
    figure = weekly_chart(plan())
    cover, feeder, turns, burdens = figure.axes
    assert feeder.get_title(loc="left") == "Feeder west"
    legend = [text.get_text() for text in cover.get_legend().get_texts()]
    assert legend == ["covered", "uncovered", "shortage", "shift", "cut", "rest"]
    assert [label.get_text() for label in turns.get_yticklabels()] == ["bakery", "a/b:c"]
    assert len(turns.patches) == 3
    assert [bar.get_width() for bar in burdens.patches] == pytest.approx([10.0, 20.0])
    assert turns.get_xlabel() == "local time, Europe/Berlin"


@pytest.mark.parametrize(
    ("suffix", "head"),
    [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".html", b"<!doctype html>")],
)
def test_a_chart_is_written_in_the_kind_of_its_suffix(tmp_path, suffix, head):
    write_weekly_chart(plan(), tmp_path / f"plan{suffix}")
    assert (tmp_path / f"plan{suffix}").read_bytes().startswith(head)


def test_a_page_stands_alone_is_the_same_every_time_and_trusts_no_name():
    text = page(plan(names=("<script>x</script>", "b", "c")))
    assert text == page(plan(names=("<script>x</script>", "b", "c")))
    assert "<script" not in text
    assert "<svg" in text
    assert "src=" not in text


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".html"])
def test_a_dollar_in_a_name_is_no_formula(tmp_path, suffix):
    found = plan(names=("x$\\frac$", "a$b$c", "$"))
    found.message.title = "$\\frac$"
    found.message.coverage[1].feeder = "$\\frac$"
    write_weekly_chart(found, tmp_path / f"plan{suffix}")
    if suffix == ".svg":
        assert "a$b$c</text>" in (tmp_path / "plan.svg").read_text()


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_letters_of_any_script_stay_letters_where_they_can(tmp_path, suffix):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_weekly_chart(plan(names=(CHINESE, "b", "c")), tmp_path / f"plan{suffix}")
    assert f"{CHINESE}</text>" in (tmp_path / f"plan{suffix}").read_text(encoding="utf-8")


def test_letters_that_no_font_has_are_told_once(monkeypatch, tmp_path):
    monkeypatch.setattr(charts, "FALLBACKS", ())
    with pytest.warns(UserWarning, match=f"no font here has {CHINESE}; install one") as found:
        write_weekly_chart(plan(names=(CHINESE, "b", "c")), tmp_path / "plan.png")
    assert len(found) == 1


def test_fonts_that_are_not_there_are_not_asked_for(caplog, tmp_path):
    known = {font.name for font in font_manager.fontManager.ttflist}
    assert set(charts.style()["font.family"]) <= {"sans-serif", *known}
    with caplog.at_level(logging.WARNING, logger="matplotlib"):
        write_weekly_chart(plan(), tmp_path / "plan.png")
    assert "not found" not in caplog.text


def test_the_title_tells_what_feeders_lack():
    found = plan()
    assert title(found) == "park, 2026-W43: cost 1,234.50 CNY, 350 kWh uncovered"
    missing = np.where(np.arange(168) == 18, 30.0, 0.0)
    found.message.coverage[1].unserved_kw.CopyFrom(to_series(missing))
    assert title(found).endswith("350 kWh uncovered, 30 kWh in feeder west")
    found.message.coverage.add(feeder="east", unserved_kw=to_series(missing))
    assert title(found).endswith("350 kWh uncovered, 60 kWh in 2 feeders")


def test_a_feeder_without_shortage_has_no_panel():
    found = plan()
    found.message.coverage[1].shortage_kw.CopyFrom(to_series(np.full(168, -1.0)))
    assert len(weekly_chart(found).axes) == 3
