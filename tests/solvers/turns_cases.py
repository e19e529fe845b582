"""Small random choosers, and all their patterns the slow way, in plain Python."""

from itertools import combinations, pairwise, product

import numpy as np

from loadloom.solvers.kernels import choosers as kernel
from loadloom.solvers.kernels.choosers import FREE, LISTED, Turns


def choosers(rng, *, count=3, days=3, steps=4, lines=1, windows=1, plain=False):
    """Random choosers that use every rule, or hardly any if `plain`."""
    options = rng.integers(1, 3, count)
    start = np.concatenate(([0], np.cumsum(options)))
    m, t = int(start[-1]), days * steps
    pausing = np.zeros(m, bool)
    if not plain:
        pausing[start[1:][rng.random(count) < 0.4] - 1] = True
    length = np.ones(t)
    if not plain and rng.random() < 0.3:
        length[rng.integers(t)] = rng.choice([0.0, 2.0])
    pauses = _pauses(rng, count, days, start, pausing)
    shortest = rng.integers(1, 3, m)
    chance = rng.random
    none = np.zeros(0, np.int64)
    return Turns(
        step_count=steps,
        length=length,
        usual_length=1.0,
        height=np.round(rng.uniform(0, 10, (count, t)), 1),
        weight=rng.choice([1.0, 0.8], count),
        line=rng.integers(0, lines, count),
        most_turns=rng.integers(1, days + 1, count),
        most_windows=rng.integers(1, windows + 1, count),
        gap=rng.integers(0, 2, count),
        factor=rng.choice([1.0, 1.5], count),
        rank=np.array([1.0, 1.4]) if chance() < 0.7 else np.array([1.0]),
        rank_class=np.zeros(days, np.int64),
        mode=np.full((count, days), FREE, np.uint8),
        option_start=start,
        cap=np.round(rng.uniform(2, 10, m), 1),
        rate=np.round(rng.uniform(0.5, 3, m), 2),
        start=np.round(rng.uniform(0, 5, m), 1),
        shortest=shortest,
        longest=shortest + rng.integers(0, 3, m),
        rise=np.where(rng.random(m) < (0.0 if plain else 0.3), 3.0, np.inf),
        back_share=np.where(rng.random(m) < (0.0 if plain else 0.4), 0.5, 0.0),
        back_steps=rng.integers(1, 4, m),
        earliest=np.where(rng.random(m) < 0.2, rng.integers(0, t, m), 0),
        pausing=pausing,
        budget=np.full(m, -1),
        use=rng.choice([1.0, 0.5], m),
        limit=np.full(count, np.inf),
        allowed=(rng.random((m, t)) < 0.8) if chance() < 0.3 else np.zeros((0, t), bool),
        listed_start=np.zeros(count * days + 1, np.int64),
        listed=none.astype(np.int32),
        listed_forced=none.astype(bool),
        **pauses,
    )


def ranked(turns):
    """The same with the second used turn and all later ones at the highest rank."""
    days = turns.mode.shape[1]
    return turns._replace(rank_class=np.minimum(np.arange(days), turns.rank.size - 1))


def _pauses(rng, count, days, start, pausing):
    begin, turn, back, option = [0], [], [], []
    for i in range(count):
        for o in range(start[i], start[i + 1]):
            if pausing[o]:
                usual = int(rng.integers(-1, days))
                for d in range(days):
                    if d != usual and rng.random() < 0.7:
                        turn.append(d)
                        back.append(usual)
                        option.append(o)
        begin.append(len(turn))
    return {
        "pause_start": np.array(begin),
        "pause_turn": np.array(turn, np.int64),
        "pause_back": np.array(back, np.int64),
        "pause_option": np.array(option, np.int64),
        "pause_forced": np.zeros(len(turn), bool),
    }


def with_lists(turns, rng, *, forced):
    """The same where some turns allow only what is listed, taken from a random legal pattern.

    If some of it is `forced`, so are some pauses of choosers that have just one.
    """
    days, count = turns.mode.shape[1], turns.height.shape[0]
    mode = turns.mode.copy()
    start, listed, musts = [0], [], []
    for i in range(count):
        plans = [p for p, pause in patterns(turns, i) if pause < 0]
        plan = plans[rng.integers(len(plans))]
        for d in range(days):
            if plan[d]:
                mode[i, d] = LISTED
                for local, first, size in plan[d]:
                    steps = turns.step_count
                    listed.append((local * steps + first) * steps + size - 1)
                    musts.append(forced and rng.random() < 0.5)
            start.append(len(listed))
    only = np.diff(turns.pause_start)[_owner(turns)] == 1
    held = np.zeros(count * days, bool)
    held[np.repeat(np.arange(count * days), np.diff(start))[np.array(musts, bool)]] = True
    free = ~held[_owner(turns) * days + turns.pause_turn]
    return turns._replace(
        mode=mode,
        listed_start=np.array(start),
        listed=np.array(listed, np.int32),
        listed_forced=np.array(musts, bool),
        pause_forced=only & free & forced & (rng.random(only.size) < 0.7),
    )


def _owner(turns):
    """Whose each pause is."""
    return np.repeat(np.arange(turns.height.shape[0]), np.diff(turns.pause_start))


def _sets(turns, i, day):
    """All legal sets of windows of one turn, as tuples of (local option, first, size)."""
    steps = turns.step_count
    if turns.mode[i, day] == LISTED:
        at = i * turns.mode.shape[1] + day
        span = range(turns.listed_start[at], turns.listed_start[at + 1])
        entries = [(_read(turns, turns.listed[e]), turns.listed_forced[e]) for e in span]
        return [
            tuple(w for w, _ in chosen)
            for size in range(len(entries) + 1)
            for chosen in combinations(entries, size)
            if all(pair in chosen for pair in entries if pair[1])
        ]
    windows = []
    for o in range(turns.option_start[i], turns.option_start[i + 1]):
        if turns.pausing[o]:
            continue
        for first in range(steps):
            for size in range(turns.shortest[o], turns.longest[o] + 1):
                begin = day * steps + first
                inside = first + size <= steps and begin >= turns.earliest[o]
                free = turns.allowed.shape[0] == 0 or turns.allowed[o, begin : begin + size].all()
                if inside and free:
                    windows.append((o - turns.option_start[i], first, size))
    sets = [()]
    for size in range(1, turns.most_windows[i] + 1):
        sets += [
            chosen
            for chosen in combinations(sorted(windows, key=lambda w: w[1]), size)
            if all(a[1] + a[2] < b[1] for a, b in pairwise(chosen))
        ]
    return sets


def _read(turns, code):
    steps = turns.step_count
    return int(code // (steps * steps)), int(code // steps % steps), int(code % steps + 1)


def patterns(turns, i):
    """All legal patterns of a chooser: windows turn by turn, and the pause or -1."""
    days = turns.mode.shape[1]
    pauses = range(turns.pause_start[i], turns.pause_start[i + 1])
    forced = [e for e in pauses if turns.pause_forced[e]]
    entries = forced or [-1, *pauses]
    found = []
    for plan in product(*(_sets(turns, i, d) for d in range(days))):
        used = [d for d in range(days) if plan[d]]
        if len(used) > turns.most_turns[i]:
            continue
        if any(b - a <= turns.gap[i] for a, b in pairwise(used)):
            continue
        found += [
            (plan, entry - turns.pause_start[i] if entry >= 0 else -1)
            for entry in entries
            if entry < 0 or not plan[turns.pause_turn[entry]]
        ]
    return found


def weighed(turns, i, pattern):
    """Cost and relief (T,) of a pattern, written down from the rules."""
    plan, pause = pattern
    steps, t = turns.step_count, turns.length.size
    relief, cost, j = np.zeros(t), 0.0, 0
    for d, windows in enumerate(plan):
        own = 0.0
        for local, first, size in windows:
            o = turns.option_start[i] + local
            begin, end = d * steps + first, d * steps + first + size
            before, amount = 0.0, 0.0
            for s in range(begin, end):
                before = min(turns.height[i, s], turns.cap[o], before + turns.rise[o])
                relief[s] += turns.weight[i] * before
                amount += before * turns.length[s]
            own += turns.rate[o] * amount + turns.start[o]
            if turns.back_share[o]:
                later = np.concatenate((turns.length, np.full(100, turns.usual_length)))
                hours = later[end : end + turns.back_steps[o]].sum()
                if hours > 0:
                    back = turns.weight[i] * turns.back_share[o] * amount / hours
                    relief[end : end + turns.back_steps[o]] -= back
        if windows:
            cost += turns.factor[i] * turns.rank[turns.rank_class[j]] * own
            j += 1
    if pause >= 0:
        e = turns.pause_start[i] + pause
        o, d, b = turns.pause_option[e], turns.pause_turn[e], turns.pause_back[e]
        drop = np.minimum(turns.height[i, d * steps : (d + 1) * steps], turns.cap[o])
        relief[d * steps : (d + 1) * steps] += turns.weight[i] * drop
        if b >= 0:
            relief[b * steps : (b + 1) * steps] -= turns.weight[i] * drop
        amount = drop @ turns.length[d * steps : (d + 1) * steps]
        cost += turns.factor[i] * (turns.rate[o] * amount + turns.start[o])
    return cost, relief


def read(turns, codes):
    """The pattern that codes stand for."""
    days = turns.mode.shape[1]
    windows = (codes.size - 1) // days
    plan = [
        sorted(
            (_read(turns, code) for code in codes[d * windows : (d + 1) * windows] if code >= 0),
            key=lambda window: window[1],
        )
        for d in range(days)
    ]
    return plan, int(codes[-1])


def coded(oracle, i, pattern):
    """Patterns in which chooser i alone does something."""
    plan, pause = pattern
    steps, days = oracle.turns.step_count, oracle.turns.mode.shape[1]
    room = (oracle.size - 1) // days
    found = oracle.nobody()
    for d, windows in enumerate(plan):
        for local, first, size in windows:
            found[i, d * room] = (local * steps + first) * steps + size - 1
    found[i, -1] = pause
    return found


def pattern_size(turns):
    return kernel.pattern_size(turns)
