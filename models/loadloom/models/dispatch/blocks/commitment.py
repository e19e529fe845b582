"""The columns and rows of switching on and off.

With `on` binary and `start` implied to be,

    start[t] >= on[t] - on[t-1]
    sum of start[i] over the i from which it is still to run in t <= on[t]
    on[j] + sum of start[i] over the i after j that come before it may start again <= 1
    sum_t start[t] <= most_starts

which is the convex hull of the least times: Rajan and Takriti, IBM RC23628 (2005), with what stops
written as start[t] - on[t] + on[t-1].
"""

from dataclasses import dataclass, replace

import numpy as np

from loadloom.models.dispatch.programme import WHOLE, Programme, Rule
from loadloom.models.dispatch.switching import NEAR_H, IntArray, Switching, boundaries_after

LONG = 100
"""The mean length from which sums are long; below it the sums themselves are as quick to solve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """The columns of being on and of starting, from interval `first` on; no starts if none count.

    `before` tells whether it is on just before.
    """

    first: int
    on: IntArray
    start: IntArray | None
    before: bool


def add_commitment(
    programme: Programme,
    path: str,
    name: str,
    switching: Switching,
    window: tuple[int, int],
    *,
    within: bool,
    starts: bool = False,
) -> Commitment:
    """The columns of a device that may be on in a window of intervals.

    `within` asks that it runs for its least time before the window ends, and `starts` for their
    columns even where no rule and no cost needs them.
    """
    first, last = window
    intervals = np.arange(first, last)
    on = programme.columns(last - first, 0.0, 1.0, integer=True, intervals=intervals)
    _add_held(programme, path, name, switching, on, intervals)
    before = switching.initially_on and first == 0
    if switching.idle and not starts:
        return Commitment(first=first, on=on, start=None, before=before)
    may = _may_start(programme, switching, window, within=within)
    cost = switching.start_cost
    start = programme.columns(last - first, 0.0, may.astype(float), cost, intervals=intervals)
    _add_links(programme, on, start, before)
    rules = _least_on(path, name, switching), _least_off(path, name, switching)
    _add_least_on(programme, rules[0], switching, window, (on, start))
    _add_least_off(programme, rules[1], switching, window, (on, start))
    if switching.most_starts is not None:
        rule = Rule(
            path=f"{path}.switching.most_starts",
            says=f"'{name}' may make at most {{limit}}",
            unit="starts",
        )
        most = programme.rows(
            1, -np.inf, float(switching.most_starts), at_most=rule, intervals=np.array([WHOLE])
        )
        programme.entries(most, start, 1.0)
    return Commitment(first=first, on=on, start=start, before=before)


def _least_on(path: str, name: str, switching: Switching) -> Rule | None:
    """The rule of how long it runs; a row that gives way wholly gives all of these hours."""
    return _least(path, "least_on_h", f"'{name}' must run for at least {{limit}}", switching)


def _least_off(path: str, name: str, switching: Switching) -> Rule | None:
    return _least(path, "least_off_h", f"'{name}' must stay off for at least {{limit}}", switching)


def _least(path: str, field: str, says: str, switching: Switching) -> Rule | None:
    hours = getattr(switching, field)
    if hours <= 0.0:
        return None
    return Rule(path=f"{path}.switching.{field}", says=says, unit="h", scale=1.0 / hours)


def _add_held(
    programme: Programme,
    path: str,
    name: str,
    switching: Switching,
    on: IntArray,
    intervals: IntArray,
) -> None:
    """Lets the state carried in last until its least time is over."""
    held = np.flatnonzero(intervals < switching.held_count(programme.horizon))
    if held.size and switching.initially_on:
        rule = _least_on(path, name, switching)
        rows = programme.rows(held.size, 1.0, np.inf, at_least=rule, intervals=intervals[held])
        programme.entries(rows, on[held], 1.0)
    elif held.size:
        rule = _least_off(path, name, switching)
        rule = rule and replace(rule, shift=switching.least_off_h)
        rows = programme.rows(held.size, -np.inf, 0.0, at_most=rule, intervals=intervals[held])
        programme.entries(rows, on[held], 1.0)


def _may_start(
    programme: Programme, switching: Switching, window: tuple[int, int], *, within: bool
) -> np.ndarray:
    """Where the state carried in and the end of the window leave it to start, by interval."""
    first, last = window
    boundaries = programme.horizon.boundaries_h[first:last]
    off_h = switching.least_off_h - (0.0 if switching.initially_on else switching.initial_h)
    may = boundaries >= off_h - NEAR_H
    if switching.initially_on and first == 0:
        may[0] = False
    if within:
        may &= boundaries_after(programme.horizon, switching.least_on_h)[first:last] <= last
    return may


def _add_links(programme: Programme, on: IntArray, start: IntArray, before: bool) -> None:
    low = np.zeros(on.size)
    low[0] = -float(before)
    rows = programme.rows(on.size, low, np.inf)
    programme.entries(rows, start, 1.0)
    programme.entries(rows, on, -1.0)
    programme.entries(rows[1:], on[:-1], 1.0)


def _add_least_on(
    programme: Programme,
    rule: Rule | None,
    switching: Switching,
    window: tuple[int, int],
    columns: tuple[IntArray, IntArray],
) -> None:
    (on, start), (first, last) = columns, window
    rule = rule and replace(rule, shift=switching.least_on_h)
    until = boundaries_after(programme.horizon, switching.least_on_h)[first:last] - first
    rows = programme.rows(on.size, -np.inf, 0.0, at_most=rule, intervals=np.arange(first, last))
    programme.entries(rows, on, -1.0)
    interval = np.arange(on.size)
    add_sums(programme, rows, start, np.searchsorted(until, interval, "right"), interval + 1)


def _add_least_off(
    programme: Programme,
    rule: Rule | None,
    switching: Switching,
    window: tuple[int, int],
    columns: tuple[IntArray, IntArray],
) -> None:
    (on, start), (first, last) = columns, window
    if on.size < 2:
        return
    again = boundaries_after(programme.horizon, switching.least_off_h)[first + 1 : last] - first
    rows = programme.rows(
        on.size - 1, -np.inf, 1.0, at_most=rule, intervals=np.arange(first + 1, last)
    )
    programme.entries(rows, on[:-1], 1.0)
    add_sums(programme, rows, start, np.arange(1, on.size), np.minimum(again, on.size))


def add_sums(
    programme: Programme, rows: IntArray, columns: IntArray, begin: IntArray, end: IntArray
) -> None:
    """Adds to each row the columns from place `begin` up to `end`, all of them zero or more.

    Long sums are written as differences of running totals, so that entries do not grow with them.
    """
    if (end - begin).sum() <= LONG * columns.size:
        owner, place = _ranges(begin, end)
        programme.entries(rows[owner], columns[place], 1.0)
        return
    total = programme.columns(columns.size)
    ties = programme.rows(columns.size, 0.0, 0.0)
    programme.entries(ties, total, 1.0)
    programme.entries(ties[1:], total[:-1], -1.0)
    programme.entries(ties, columns, -1.0)
    upper, lower = (end > begin) & (end > 0), (end > begin) & (begin > 0)
    programme.entries(rows[upper], total[end[upper] - 1], 1.0)
    programme.entries(rows[lower], total[begin[lower] - 1], -1.0)


def _ranges(begin: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
    """The numbers of some ranges, one after the other: of which range each is, and the number."""
    sizes = end - begin
    owner = np.repeat(np.arange(begin.size), sizes)
    before = np.cumsum(sizes) - sizes
    return owner, np.arange(sizes.sum()) - np.repeat(before - begin, sizes)
