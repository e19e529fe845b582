"""What names and titles can do to a terminal: nothing."""

import pytest
from rich.table import Table
from rich.text import Text

from loadloom.client.command.terminal import Terminal


@pytest.mark.parametrize("name", ["[/b]", "[red]x", "[link=http://a.example]x[/link]", ":smile:"])
def test_brackets_and_colons_are_told_as_they_are(capsys, name):
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    Terminal().print(table)
    Terminal().print(name)
    assert capsys.readouterr().out.count(name) == 4


@pytest.mark.parametrize("bad", ["\x1b[2J", "\x1b]52;c;eA==\x07", "\x9b31m", "\x08", "\x7f"])
def test_what_would_steer_a_terminal_is_replaced(capsys, bad):
    table = Table()
    table.add_column("user")
    table.add_row(f"mill{bad}")
    table.add_row(Text(f"mill{bad}"))
    Terminal().print(table)
    Terminal(stderr=True).print(Text(f"mill{bad}"), soft_wrap=True)
    told = "".join(capsys.readouterr())
    assert told.count("mill") == 3
    assert all(letter == "\n" or letter.isprintable() for letter in told)


def test_letters_of_all_scripts_are_told(capsys):
    Terminal().print("江北纺织厂, Müller & Söhne, Δ")
    assert capsys.readouterr().out == "江北纺织厂, Müller & Söhne, Δ\n"
