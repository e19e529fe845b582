"""What is wrong with when something runs, told from its runs alone."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.dispatch.switching import NEAR_H, Switching, starts


def judge_switching(
    sheet: Sheet, path: str, switching: Switching, on: NDArray[np.bool_], *, ends: bool
) -> None:
    """Charges the starts and notes every run or pause that is too short, and starts too many.

    `ends` asks that also what runs in the last interval has run for its least time.
    """
    begun = int(np.count_nonzero(starts(on.astype(float), switching.initially_on)))
    sheet.charge("starts", switching.start_cost * begun)
    if switching.most_starts is not None and begun > switching.most_starts:
        sheet.broken(
            f"{path}.switching.most_starts",
            f"starts {begun} times, {switching.most_starts} allowed",
        )
    boundaries, count = sheet.horizon.boundaries_h, on.size
    changes = 1 + np.flatnonzero(on[1:] != on[:-1])
    edges = np.concatenate(([0], changes, [count]))
    if on[0] != switching.initially_on:
        _judge_stay(sheet, path, switching, switching.initially_on, switching.initial_h, 0)
    for begin, end in pairwise(edges):
        running = bool(on[begin])
        if end == count and not (ends and running):
            continue
        lasted_h = float(boundaries[end] - boundaries[begin])
        if begin == 0 and running == switching.initially_on:
            lasted_h += switching.initial_h
        _judge_stay(sheet, path, switching, running, lasted_h, int(begin))


def _judge_stay(
    sheet: Sheet, path: str, switching: Switching, running: bool, lasted_h: float, begin: int
) -> None:
    name = "least_on_h" if running else "least_off_h"
    least_h = getattr(switching, name)
    if lasted_h < least_h - 2 * NEAR_H:
        word = "on" if running else "off"
        sheet.broken(
            f"{path}.switching.{name}[{begin}]", f"is {word} for {lasted_h:g} h, not {least_h:g} h"
        )
