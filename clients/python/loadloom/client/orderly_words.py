"""Faults that the server finds in a request's columns, told where the caller wrote them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from loadloom.client.errors import InvalidRequest, Violation
from loadloom.client.orderly import User


@contextmanager
def callers_words(users: Sequence[User], feeders: Iterable[str]) -> Iterator[None]:
    """Has the faults that the server finds told by what the caller said, row by row."""
    try:
        yield
    except InvalidRequest as error:
        if not error.violations:
            raise
        words = Words(users, tuple(feeders))
        raise InvalidRequest.of(map(words.told, error.violations)) from None


class Words:
    """What the paths of a request's columns mean to a caller who wrote users row by row."""

    USERS = re.compile(r"users\.(\w+?)(?:\.values)?\[(\d+)\](.*)")
    MEASURES = re.compile(r"measures\.(\w+?)(?:\.values)?\[(\d+)\](.*)")
    FEEDERS = re.compile(r"shortage\.(?:feeders|feeder_shortage_kw)\[(\d+)\](.*)")

    def __init__(self, users: Sequence[User], feeders: tuple[str, ...]) -> None:
        self._users, self._feeders = users, feeders
        self._owners = [(u, m) for u, user in enumerate(users) for m in range(len(user.measures))]

    def told(self, violation: Violation) -> Violation:
        """The violation at the place where the caller said what is wrong."""
        if found := self.USERS.fullmatch(violation.path):
            name, index, rest = found[1], int(found[2]), found[3]
            if index < len(self._users):
                name = "name" if name == "names" else name
                return self._of(index, f"users[{index}].{name}{rest}", violation)
        elif found := self.MEASURES.fullmatch(violation.path):
            name, index, rest = found[1], int(found[2]), found[3]
            if index < len(self._owners):
                user, place = self._owners[index]
                return self._of(user, f"users[{user}].measures[{place}].{name}{rest}", violation)
        elif found := self.FEEDERS.fullmatch(violation.path):
            index, rest = int(found[1]), found[2]
            if index < len(self._feeders):
                path = f"shortage.feeders[{self._feeders[index]!r}]{rest}"
                return Violation(path, violation.message)
        return violation

    def _of(self, user: int, path: str, violation: Violation) -> Violation:
        return Violation(path, f"{violation.message} ({self._users[user].name})")
