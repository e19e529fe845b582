"""Where the parts of a dispatch problem stand in the request, where it has other names for them.

The models know converters, buses and plants; a request speaks of boilers, heat buses and turbines.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

SPREAD = "[]"
"""Ends the path of a single number of the request that the problem spreads over the horizon."""

WORD = re.compile(r"site\.[a-z_]+[\w.\[\]]*\b\]?|\b[a-z_]+\[\d+\]")
"""A path of a site, or a part of one, in a sentence."""

ENDS = re.compile(r"(?=[.\[])|$")
"""Where a path can be cut."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The names that a request has for parts of its problem, by their paths in the problem.

    Paths stand below the site. A path is renamed by the longest of its beginnings that is known.
    """

    names: Mapping[str, str] = field(default_factory=dict)

    def of(self, path: str) -> str:
        """The path in the request."""
        for end in reversed([match.start() for match in ENDS.finditer(path)]):
            name = self.names.get(path[:end])
            if name is None:
                continue
            if name.endswith(SPREAD):
                return name.removesuffix(SPREAD)
            return name + path[end:]
        return path

    def of_site(self, path: str) -> str:
        """The path in the request of one that may begin with "site."."""
        below = path.removeprefix("site.")
        return path.replace(below, self.of(below)) if self.names else path

    def text(self, sentence: str) -> str:
        """A sentence with the paths in it renamed."""
        if not self.names:
            return sentence
        return WORD.sub(lambda match: self.of_site(match[0]), sentence)
