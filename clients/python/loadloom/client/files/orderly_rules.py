"""Files of a place's rules: its levels of warning, and its formula of the interaction ability.

    warning_levels:
      - {name: I red, least_share: 0.3}
      - {name: II orange, least_share: 0.2}
    ability:
      curtailable_weight: 0.4
      least_scores: [0, 0, 0.3, 0.5]

Both parts may be left out. Names, defaults and rules are those of the API.
"""

from dataclasses import replace
from pathlib import Path

from pydantic import Field, field_validator

from loadloom.client.files.documents import read_document
from loadloom.client.files.entries import Entry, validated
from loadloom.client.orderly import AbilityRule, WarningLevel


class LevelEntry(Entry):
    """A level of warning."""

    name: str = Field(min_length=1)
    """The name, such as "II orange"."""
    least_share: float = Field(ge=0.0, le=1.0)
    """The shortage from which on it holds, as a share of the peak of the load, 0..1."""


class AbilityEntry(Entry):
    """The weights of the parts of the ability, and the least scores."""

    curtailable_weight: float = Field(default=0.3, ge=0.0)
    """The weight of the share of the load that can be curtailed."""
    notice_weight: float = Field(default=0.2, ge=0.0)
    """The weight of short notice."""
    ramp_weight: float = Field(default=0.1, ge=0.0)
    """The weight of quick ramps."""
    past_compliance_weight: float = Field(default=0.2, ge=0.0)
    """The weight of past compliance."""
    telemetry_weight: float = Field(default=0.1, ge=0.0)
    """The weight of telemetry."""
    control_weight: float = Field(default=0.1, ge=0.0)
    """The weight of control."""
    least_scores: list[float] = Field(default_factory=list)
    """The least score that a measure asks of its user, by its notice: a week, a day, fifteen
    minutes, at once; none is asked when left out."""

    @field_validator("least_scores")
    @classmethod
    def _of_each_notice(cls, scores: list[float]) -> list[float]:
        if len(scores) not in {0, 4}:
            raise ValueError("must have 4 scores: for a week, a day, fifteen minutes, at once")
        return scores


class RulesFile(Entry):
    """The rules of a place."""

    warning_levels: list[LevelEntry] = Field(default_factory=list)
    """The levels of warning."""
    ability: AbilityEntry | None = None
    """The formula of the interaction ability; that of the API when left out."""


ENTRIES: dict[str, type[Entry]] = {"warning_levels": LevelEntry, "ability": AbilityEntry}
"""What stands under each name that has entries below it."""


def read_rules(file: Path) -> tuple[list[WarningLevel], AbilityRule | None]:
    """The levels of warning and the formula of the ability in a YAML file.

    Raises:
        InputError: the file tells no such rules; every fault is named by line and column.
    """
    said = validated(read_document(file), RulesFile, ENTRIES)
    levels = [WarningLevel(**level.model_dump()) for level in said.warning_levels]
    if said.ability is None:
        return levels, None
    rule = AbilityRule(**said.ability.model_dump())
    return levels, replace(rule, least_scores=tuple(rule.least_scores))
