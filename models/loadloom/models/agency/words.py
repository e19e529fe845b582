"""Lists of names in sentences."""

from collections.abc import Sequence

MOST_NAMED = 5
"""The most users that a sentence names."""


def listed(names: Sequence[str], more: int = 0, *, word: str = "and") -> str:
    """The names with a word before the last: "a, b and c", or "a, b and 3 more"."""
    said = [*names, f"{more} more"] if more else list(names)
    return f"{', '.join(said[:-1])} {word} {said[-1]}" if len(said) > 1 else "".join(said)
