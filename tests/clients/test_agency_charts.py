"""Charts of load curves and statements as files: what they show, and that no name can harm them."""

import numpy as np
import pandas as pd
import pytest

from loadloom.client.agency_charts import (
    MOST_GROUPS,
    OTHERS_NAME,
    Gain,
    grouped,
    pool_chart,
    title,
    write_pool_chart,
)
from loadloom.client.agency_pages import page, write_statement, write_statements
from tests.clients.agency_cases import curves, settlement, statement


def gain(names):
    alone = np.linspace(10.0, 20.0, len(names))
    together = np.full(len(names), 12.0)
    energy_kwh = np.linspace(100.0, 50.0, len(names))
    return Gain(
        names=names, energy_kwh=energy_kwh, alone=alone, together=together, currency_code="EUR"
    )


def test_the_stack_adds_up_to_the_load_of_all():
    pool = curves(names=[f"user {k}" for k in range(20)])
    rows = grouped(pool)
    assert len(rows) == MOST_GROUPS
    assert OTHERS_NAME in rows
    assert sum(rows.values()) == pytest.approx(pool.total_kw)
    by_area = grouped(pool, ["north", "south"] * 10)
    assert set(by_area) == {"north", "south"}
    assert sum(by_area.values()) == pytest.approx(pool.total_kw)


def test_the_chart_shows_curves_their_duration_and_gains():
    pool = curves()
    figure = pool_chart(pool, gain=gain(pool.names))
    stack, duration, day, gains, prices = figure.axes
    top = stack.patches[-1]
    assert top.get_data().values == pytest.approx(pool.total_kw)
    falling = duration.patches[0].get_data()
    assert (np.diff(falling.values) <= 1e-12).all()
    energy = (falling.values * np.diff(falling.edges)).sum()
    assert energy == pytest.approx(pool.energy_kwh.sum())
    assert len(day.lines) == 3
    assert sorted(bar.get_width() for bar in gains.patches) == pytest.approx([-2.0, 3.0, 8.0])
    assert prices.get_xlabel() == "EUR per kWh alone"
    assert "load factor" in title(pool)


def test_many_users_are_drawn_as_one_line():
    pool = curves(names=[f"user {k}" for k in range(60)])
    gains = pool_chart(pool, gain=gain(pool.names)).axes[3]
    assert "users, who gain" in gains.get_xlabel()
    assert len(gains.patches) == 2


def test_a_pool_without_gains_has_no_panel_of_them():
    assert len(pool_chart(curves()).axes) == 3


@pytest.mark.parametrize(
    ("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_a_chart_is_written_in_the_kind_of_its_suffix(tmp_path, suffix, head):
    pool = curves(names=["$\\frac$", "<b>", "[/b]"])
    write_pool_chart(pool, tmp_path / f"pool{suffix}", gain=gain(pool.names))
    assert (tmp_path / f"pool{suffix}").read_bytes().startswith(head)


def test_loads_of_zero_can_be_drawn():
    pool = curves()
    pool.load_kw[:] = 0.0
    assert "load factor 0.000" in title(pool)
    pool_chart(pool)


def test_a_statement_page_stands_alone_and_trusts_no_name():
    text = page(statement(user="<script>x</script>"), settlement(title="<b>"))
    assert "<script" not in text
    assert "<b>" not in text
    assert "src=" not in text
    assert "http" not in text
    assert "2.40 EUR" in text
    assert "0.1 * 0.6 * 4 + 0.9 * 1.8" in text
    assert "bill = alpha * f2 * e + (1 - alpha) * x" in text


def test_what_is_owed_is_not_called_a_refund():
    text = page(statement(refund_minor=-54), settlement())
    assert "Owed" in text
    assert "0.54 EUR" in text
    assert "Refund" not in text


def test_a_correction_says_so():
    text = page(
        statement(corrects="settlements/1", bill_change_minor=-7),
        settlement(correction=1, reason="meter 7 was read twice"),
    )
    assert "Correction 1: meter 7 was read twice." in text
    assert "-0.07 EUR" in text


def test_the_lines_of_a_statement_are_written_as_csv(tmp_path):
    write_statement(statement(), settlement(), tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["value"]) == [1.8, 1.86]
    # What a spreadsheet would run is a text.
    assert table["term"][1] == "'=bill"


def test_a_page_for_each_user_whatever_their_names(tmp_path):
    names = ["a/b", "a:b", "A-B", "..", "c"]
    files = write_statements(map(statement, names), settlement(), tmp_path / "statements")
    assert [file.name for file in files] == [
        "a-b.html",
        "a-b 2.html",
        "A-B 3.html",
        "user.html",
        "c.html",
    ]
    assert "Statement of a:b" in files[1].read_text()
