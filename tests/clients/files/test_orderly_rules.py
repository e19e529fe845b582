"""Files of a place's rules, and faults in them by line and column."""

from pathlib import Path

import pytest

from loadloom.client.files.faults import InputError
from loadloom.client.files.orderly_rules import read_rules
from loadloom.client.orderly import AbilityRule, WarningLevel

EXAMPLE = Path(__file__).parents[3] / "examples/park_rules.yaml"


@pytest.fixture
def read(tmp_path):
    """Reads the rules in a text."""

    def read(text):
        (tmp_path / "rules.yaml").write_text(text)
        return read_rules(tmp_path / "rules.yaml")

    return read


def test_levels_and_the_formula_are_read(read):
    levels, ability = read(
        "warning_levels:\n  - {name: red, least_share: 0.3}\n  - {name: blue, least_share: 0}\n"
        "ability: {notice_weight: 1, least_scores: [0, 0, 0.3, 0.5]}\n"
    )
    assert levels == [
        WarningLevel(name="red", least_share=0.3),
        WarningLevel(name="blue", least_share=0.0),
    ]
    assert ability == AbilityRule(notice_weight=1.0, least_scores=(0.0, 0.0, 0.3, 0.5))


def test_either_part_may_be_left_out(read):
    assert read("ability: {ramp_weight: 0}") == ([], AbilityRule(ramp_weight=0.0))
    assert read("warning_levels: []") == ([], None)


def test_the_example_holds_the_usual_formula():
    levels, ability = read_rules(EXAMPLE)
    assert [level.name.split()[0] for level in levels] == ["I", "II", "III", "IV"]
    assert ability == AbilityRule()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("warning_level: []", "line 1, column 1 (warning_level): is not known here; did you mean"),
        (
            "warning_levels:\n  - {name: a}",
            "line 2, column 5 (warning_levels[0].least_share): ",
        ),
        ("warning_levels:\n  - {name: a, least_share: 3}", "line 2, column 15 "),
        ("ability:\n  notise_weight: 1", "did you mean notice_weight?"),
        ("ability:\n  notice_weight: -1", "line 2, column 3 (ability.notice_weight): is -1"),
        ("ability:\n  least_scores: [1]", "must have 4 scores"),
        ("ability: [", "rules.yaml, line"),
        ("", "must be a mapping"),
    ],
)
def test_faults_are_told_by_line_and_column(read, text, told):
    with pytest.raises(InputError) as caught:
        read(text)
    assert told in str(caught.value)
