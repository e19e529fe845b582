"""Some of the choosers, as an oracle of their own: their prices are almost those of all."""

import numpy as np

from loadloom.solvers.coupled.oracle import Oracle, Rows
from loadloom.solvers.kernels.choosers import Indices, Turns


def sampled(oracle: Oracle, rows: Rows, every: int) -> tuple[Oracle, Rows]:
    """Every so many-th chooser, and rows that demand as much less of them."""
    some = np.arange(every // 2, oracle.count, every)
    share = some.size / oracle.count
    part = Oracle(
        turns=subset(oracle.turns, some),
        line_count=oracle.line_count,
        budget_count=oracle.budget_count,
        pool=oracle.pool,
    )
    return part, Rows(demand=rows.demand * share, penalty=rows.penalty)


def subset(turns: Turns, some: Indices) -> Turns:
    """The same turns for some of the choosers."""
    options, option_start = _spans(turns.option_start, some)
    pauses, pause_start = _spans(turns.pause_start, some)
    days = turns.mode.shape[1]
    of_turns = (some[:, None] * days + np.arange(days)).reshape(-1)
    listed, listed_start = _spans(turns.listed_start, of_turns)
    new_option = np.full(turns.cap.size, -1)
    new_option[options] = np.arange(options.size)
    by_chooser = (
        "height",
        "weight",
        "line",
        "most_turns",
        "most_windows",
        "gap",
        "factor",
        "mode",
        "limit",
    )
    by_option = (
        *("cap", "rate", "start", "shortest", "longest", "rise", "back_share", "back_steps"),
        *("earliest", "pausing", "budget", "use"),
    )
    columns = {name: getattr(turns, name)[some] for name in by_chooser}
    columns |= {name: getattr(turns, name)[options] for name in by_option}
    if turns.allowed.shape[0]:
        columns["allowed"] = turns.allowed[options]
    return turns._replace(
        **columns,
        option_start=option_start,
        listed_start=listed_start,
        listed=turns.listed[listed],
        listed_forced=turns.listed_forced[listed],
        pause_start=pause_start,
        pause_turn=turns.pause_turn[pauses],
        pause_back=turns.pause_back[pauses],
        pause_option=new_option[turns.pause_option[pauses]],
        pause_forced=turns.pause_forced[pauses],
    )


def _spans(start: Indices, some: Indices) -> tuple[Indices, Indices]:
    """The entries of some spans one after the other, and where each span begins then."""
    sizes = np.diff(start)[some]
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if ends.size else 0
    entries = np.arange(total) + np.repeat(start[some] - (ends - sizes), sizes)
    return entries, np.concatenate(([0], ends))
