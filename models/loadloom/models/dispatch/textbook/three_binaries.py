# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""The textbook's rules of switching: on, start and stop, and every rule spelled out.

on[t] - on[t-1] = start[t] - stop[t],  start[t] + stop[t] <= 1
on[i] >= start[t]        for every i that begins less than least_on after t
on[i] <= 1 - stop[t]     for every i that begins less than least_off after t
"""

import pyomo.environ as pyo

from loadloom.models.dispatch.switching import NEAR_H, Switching
from loadloom.models.dispatch.textbook.book import Book


def add_three_binaries(
    book: Book, block: pyo.Block, switching: Switching, window: tuple[int, int], *, ends: bool
) -> None:
    """Adds `on`, `start` and `stop` to a block; `ends` asks for whole runs within the window."""
    first, last = window
    boundaries, count = book.horizon.boundaries_h, book.horizon.count
    block.on = pyo.Var(book.t, domain=pyo.Binary)
    block.start = pyo.Var(book.t, domain=pyo.Binary)
    block.stop = pyo.Var(book.t, domain=pyo.Binary)

    def change(b: pyo.Block, t: int) -> object:
        before = b.on[t - 1] if t > 0 else int(switching.initially_on)
        return b.on[t] - before == b.start[t] - b.stop[t]

    block.change = pyo.Constraint(book.t, rule=change)
    block.either = pyo.Constraint(book.t, rule=lambda b, t: b.start[t] + b.stop[t] <= 1)
    block.lasting = pyo.ConstraintList()
    for t in range(count):
        for i in range(t, count):
            since_h = boundaries[i] - boundaries[t]
            if since_h < switching.least_on_h - NEAR_H:
                block.lasting.add(block.on[i] >= block.start[t])
            if since_h < switching.least_off_h - NEAR_H:
                block.lasting.add(block.on[i] <= 1 - block.stop[t])
        if not first <= t < last:
            block.on[t].fix(0)
        if ends and boundaries[t] + switching.least_on_h > boundaries[last] + NEAR_H:
            block.start[t].fix(0)
    least_h = switching.least_on_h if switching.initially_on else switching.least_off_h
    for t in range(count):
        if boundaries[t] < least_h - switching.initial_h - NEAR_H:
            block.on[t].fix(int(switching.initially_on))
    started = sum(block.start[t] for t in book.t)
    if switching.most_starts is not None:
        block.most_starts = pyo.Constraint(expr=started <= switching.most_starts)
    book.costs(switching.start_cost * started)
