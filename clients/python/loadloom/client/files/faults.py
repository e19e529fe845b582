"""What is wrong with an input file, and where."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault in a file; `where` names the column or field, lines and columns count from 1.

    With `is_rest` it counts others, which are told before it.
    """

    file: Path
    message: str
    line: int | None = None
    column: int | None = None
    where: str = ""
    line_word: str = "line"
    is_rest: bool = False

    def __str__(self) -> str:
        """The file, the place in it and what is wrong there, in one sentence."""
        return f"{self.place}: {self.message}"

    @property
    def place(self) -> str:
        """The file and the place in it."""
        place = [str(self.file)]
        if self.line is not None:
            place.append(f"{self.line_word} {self.line}")
        if self.column is not None:
            place.append(f"column {self.column}")
        name = f" ({self.where})" if self.where else ""
        return f"{', '.join(place)}{name}"


def shortened(faults: Sequence[Fault], most: int) -> list[Fault]:
    """The first faults of a kind, and how many more there are."""
    told, more = list(faults[:most]), len(faults) - most
    if more > 0:
        counted = f"{more} more faults of this kind"
        told.append(Fault(file=faults[0].file, message=counted, is_rest=True))
    return told


class InputError(ValueError):
    """Input files that cannot be used; `faults` names everything that is wrong with them."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))
