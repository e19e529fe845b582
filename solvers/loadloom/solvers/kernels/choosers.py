"""Choosers as arrays: what each may take in which turn, what relief is worth, and room to choose.

`turns` finds the best turns of each, `windows` values single windows, `responses` weighs what was
chosen and has choosers respond to each other.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Codes = NDArray[np.int32]
Flags = NDArray[np.bool_]

CLOSED, FREE, LISTED = 0, 1, 2
"""What a chooser may do in a turn: nothing, any window, a subset of the windows listed for it."""


NOTHING = -1
"""The code of no window and no pause."""


FAR = 1e300
"""Beyond every value."""


class Turns(NamedTuple):
    """N choosers, D turns of S steps, T = D * S steps, M options, C distinct rank factors, L lines.

    Line 0 is common to all; a chooser with `line` above 0 relieves that line's rows as well.
    """

    step_count: int
    length: Floats  # (T,)
    usual_length: float  # of steps after the last
    height: Floats  # (N, T)
    weight: Floats  # (N,) the share of the relief that counts
    line: Indices  # (N,)
    most_turns: Indices  # (N,)
    most_windows: Indices  # (N,)
    gap: Indices  # (N,)
    factor: Floats  # (N,)
    rank: Floats  # (C,) ascending
    rank_class: Indices  # (D,) the rank of the j-th used turn
    mode: NDArray[np.uint8]  # (N, D)
    option_start: Indices  # (N + 1,)
    cap: Floats  # (M,)
    rate: Floats  # (M,)
    start: Floats  # (M,)
    shortest: Indices  # (M,)
    longest: Indices  # (M,)
    rise: Floats  # (M,)
    back_share: Floats  # (M,)
    back_steps: Indices  # (M,)
    earliest: Indices  # (M,) the first step in which a window may begin
    pausing: Flags  # (M,) whether the option is taken by pauses alone
    budget: Indices  # (M,) the budget that amounts count against, -1 for none
    use: Floats  # (M,) what an amount uses of its chooser's limit
    limit: Floats  # (N,) the most that a chooser may use; inf for no limit
    allowed: Flags  # (M, T), or (0, T) where all steps are allowed
    listed_start: Indices  # (N * D + 1,)
    listed: Codes  # the codes of the windows listed for a turn
    listed_forced: Flags
    pause_start: Indices  # (N + 1,)
    pause_turn: Indices
    pause_back: Indices  # the turn in which it returns, -1 for none
    pause_option: Indices
    pause_forced: Flags


class Gains(NamedTuple):
    """What relief is worth: at prices, or (`lacking`) what it spares of what the rows still lack.

    With prices, `table[l, PRICE, t]` is that of a unit of relief to a chooser of line l, and
    `summed` its running sum from 0. Otherwise row (l, t) lacks `table[l, LACK, t]`, and the next
    unit of it costs nothing below LOW, PENALTY above HIGH, and evenly more in between.
    """

    lacking: bool
    table: Floats  # (L, 4, T)
    summed: Floats  # (L, T + 1)
    toll: Floats  # (M,)


PRICE, LACK, PENALTY, LOW, HIGH = 0, 0, 1, 2, 3


class Work(NamedTuple):
    """Room for one chooser at a time."""

    best: Floats  # (D, C)
    code: Codes  # (D, C, K)
    forced: Flags  # (D,)
    pause: Indices  # (D,) the best pause of each turn
    pause_value: Floats  # (D,)
    value: Floats  # (D + 1, states)
    action: NDArray[np.int8]  # (D, states)
    origin: Indices  # (D, states)
    options: Floats  # (options of one chooser, 10)
    table: Floats  # (S, S)
    made: Codes  # (S, S)


def window_room(turns: Turns) -> int:
    """The number of windows a turn may hold."""
    return max(1, int(min(turns.most_windows.max(), (turns.step_count + 1) // 2)))


def room(turns: Turns) -> Work:
    """Room for a thread."""
    days = turns.mode.shape[1]
    used = int(min(days, turns.most_turns.max())) + 1
    states = used * (int(turns.gap.max()) + 1) * 2
    steps, windows = turns.step_count, window_room(turns)
    if turns.listed.size:
        windows = max(windows, int(np.diff(turns.listed_start).max()))
    return Work(
        best=np.zeros((days, turns.rank.size)),
        code=np.zeros((days, turns.rank.size, windows), np.int32),
        forced=np.zeros(days, np.bool_),
        pause=np.zeros(days, np.int64),
        pause_value=np.zeros(days),
        value=np.zeros((days + 1, states)),
        action=np.zeros((days, states), np.int8),
        origin=np.zeros((days, states), np.int64),
        options=np.zeros((max(1, int(np.diff(turns.option_start).max())), 10)),
        table=np.zeros((steps, steps)),
        made=np.zeros((steps, steps), np.int32),
    )


def pattern_size(turns: Turns) -> int:
    """The number of codes of a pattern: the windows of each turn, and the pause."""
    return turns.mode.shape[1] * room(turns).code.shape[2] + 1


def gains_at(row_price: Floats, toll: Floats) -> Gains:
    """Gains at given row prices, (L, T), and tolls on the amounts of options, (M,)."""
    lines, steps = row_price.shape
    table = np.zeros((lines, 4, steps))
    table[:, PRICE] = row_price + row_price[0]
    table[0, PRICE] = row_price[0]
    summed = np.zeros((lines, steps + 1))
    summed[:, 1:] = np.cumsum(table[:, PRICE], axis=1)
    return Gains(lacking=False, table=table, summed=summed, toll=toll)


def gains_where(lack: Floats, penalty: Floats, low: Floats, high: Floats, toll: Floats) -> Gains:
    """Gains by what the rows lack, all (L, T), and tolls on the amounts of options, (M,)."""
    table = np.stack((lack, penalty, low, high), axis=1)
    summed = np.zeros((lack.shape[0], lack.shape[1] + 1))
    return Gains(lacking=True, table=table, summed=summed, toll=toll)
