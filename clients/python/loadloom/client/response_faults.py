"""What the server finds in a question of whom to call, told by the names that the caller gave."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from loadloom.client.errors import InvalidRequest, Violation
from loadloom.v1 import response_pb2 as pb

PLACE = re.compile(r"(customers|network)\.(\w+?)(?:\.values)?\[(\d+)\]$")
"""Where a value of a column stands in a question, by its place."""

QUESTION = "problem."

OF_NO_CUSTOMER = ("names", "price_per_kwh", "fixed_payment", "must_call", "never_call")
"""Columns whose places are not those of customers or nodes."""


@contextmanager
def told_by_name(problem: pb.TargetProblem) -> Iterator[None]:
    """Turns places of customers and nodes in the faults of its block into their names."""
    try:
        yield
    except InvalidRequest as error:
        raise InvalidRequest.of(named(one, problem) for one in error.violations) from None


def named(violation: Violation, problem: pb.TargetProblem) -> Violation:
    """A fault in a question as its caller knows it: without "problem.", and by name."""
    path = violation.path.removeprefix(QUESTION)
    found = PLACE.match(path)
    if found is None:
        return Violation(path, violation.message)
    part, field, place = found[1], found[2], int(found[3])
    its = problem.customers if part == "customers" else problem.network
    # A value of a table is told by its place in all of it, row by row.
    row = place // max(1, getattr(getattr(its, field, None), "cols", 1))
    if row >= len(its.names) or field in OF_NO_CUSTOMER:
        return Violation(path, violation.message)
    return Violation(f"{part}.{field}[{its.names[row]!r}]", violation.message)
