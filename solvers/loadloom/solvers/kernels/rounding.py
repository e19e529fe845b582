"""Mixed-integer rounding: inequalities that hold for whole choices and cut off mixed ones.

Of an inequality a @ x + u >= b over whole x >= 0 and u >= 0, and for any divisor,

    sum_k F(a_k / divisor) * x_k + u / (divisor * f) >= ceil(b / divisor)
    F(v) = floor(v) + min(1, (v - floor(v)) / f),   f = b / divisor - floor(b / divisor)

holds as well (Nemhauser and Wolsey 1990). The entries come in groups of which at most one x_k is 1.
A group may be complemented at a level: a_k x_k = level * (1 - s) + (a_k - level) x_k with the slack
s = 1 - sum x_k of the group, which takes the level from b; so rounding sees what is still open
when the choosers who are surely needed have done their part.
"""

import numpy as np
from numba import njit

MOST_DIVISORS = 40
"""The most divisors that are tried for one inequality."""

MOST_COMPLEMENTED = 14
"""The most groups that are complemented."""

_NEEDED = 0.3  # how much of a group must be taken before it is complemented
_LEAST_PART, _MOST_PART = 0.05, 1.0 - 1e-7  # of the fraction f: smaller ones cut numbers' dust


@njit(nogil=True, cache=True, error_model="numpy")
def _rounded(value, part):
    whole = np.floor(value)
    return whole + min(1.0, (value - whole) / part)


@njit(nogil=True, cache=True, error_model="numpy")
def _coefficient(a, level, divisor, part):
    """The coefficient of an entry whose group is complemented at a level, 0 for not at all."""
    if level == 0.0:
        return _rounded(a / divisor, part)
    return _rounded((a - level) / divisor, part) - _rounded(-level / divisor, part)


@njit(nogil=True, cache=True, error_model="numpy")
def _divisors(a, x, found):
    """Fills in the different entries of what is taken in part; how many there are."""
    count = 0
    for k in range(a.size):
        if not (1e-6 < x[k] < 1.0 - 1e-6 and a[k] > 1e-9):
            continue
        known = False
        for q in range(count):
            known = known or abs(found[q] - a[k]) < 1e-9
        if not known and count < found.size - 2:
            found[count] = a[k]
            count += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _violation(a, group, x, level, complemented, rest, over, divisor):
    """How far the rounded inequality is violated, relative to the size of its entries; its side."""
    whole = np.floor(rest / divisor)
    part = rest / divisor - whole
    if not _LEAST_PART < part < _MOST_PART:
        return 0.0, 0.0
    side, left, size = whole + 1.0, over / (divisor * part), 0.0
    for q in range(complemented.size):
        side -= _rounded(-level[complemented[q]] / divisor, part)
    for k in range(a.size):
        entry = _coefficient(a[k], level[group[k]], divisor, part)
        left += entry * x[k]
        size += entry * entry
    return (side - left) / max(1e-9, np.sqrt(size)), side


@njit(nogil=True, cache=True, error_model="numpy")
def best_rounding(b, a, group, x, group_count, over, least):
    """The rounding most violated by x: violation, side, divisor, part, and the groups' levels.

    `a`, `group`, `x` are the entries with x above 0, `over` the value of u. The violation is 0 if
    none is above `least`.
    """
    usage, mean, largest = np.zeros(group_count), np.zeros(group_count), np.zeros(group_count)
    top = np.zeros(group_count)
    for k in range(a.size):
        g = group[k]
        usage[g] += x[k]
        mean[g] += x[k] * a[k]
        if x[k] > top[g]:
            top[g], largest[g] = x[k], a[k]
    for g in range(group_count):
        if usage[g] > 1e-9:
            mean[g] /= usage[g]
    order = np.argsort(-usage)
    divisors = np.zeros(MOST_DIVISORS + 2)
    count = _divisors(a, x, divisors)
    best, best_side, best_divisor, best_part = least, 0.0, 0.0, 0.0
    level, best_level = np.zeros(group_count), np.zeros(group_count)
    for kind in range(2):
        levels = mean if kind == 0 else largest
        level[:] = 0.0
        rest, made = b, 0
        complemented = np.zeros(min(group_count, MOST_COMPLEMENTED), np.int64)
        for place in range(-1, group_count):
            if place >= 0:
                g = order[place]
                if usage[g] < _NEEDED or made == complemented.size:
                    break
                if levels[g] <= 1e-9:
                    continue
                level[g] = levels[g]
                rest -= level[g]
                complemented[made] = g
                made += 1
            if rest <= 1e-9:
                break
            divisors[count], divisors[count + 1] = rest * (1.0 + 1e-6), 2.0 * rest
            for q in range(count + 2):
                found, side = _violation(
                    a, group, x, level, complemented[:made], rest, over, divisors[q]
                )
                if found > best:
                    best, best_side, best_divisor = found, side, divisors[q]
                    best_part = rest / divisors[q] - np.floor(rest / divisors[q])
                    best_level[:] = level
    if best_divisor == 0.0:
        best = 0.0
    return best, best_side, best_divisor, best_part, best_level


@njit(nogil=True, cache=True, error_model="numpy")
def coefficients(a, level, divisor, part):
    """The coefficients of entries whose groups are complemented at the levels of each."""
    made = np.empty(a.size)
    for k in range(a.size):
        made[k] = _coefficient(a[k], level[k], divisor, part)
    return made
