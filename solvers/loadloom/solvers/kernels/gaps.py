"""Rows with gaps: values that are missing or not believed, and what takes their place.

`marks` holds bits for each value; those of MISSING, NEGATIVE and SPIKE are set here, others come
with the rows.
"""

import numpy as np
from numba import njit

MISSING, NEGATIVE, SPIKE = 1, 8, 16
"""The bits that are set here."""

LINEAR, EARLIER, LATER_EARLIER, PROFILE = 1, 2, 3, 4
"""Ways to fill: on a line, from one of two earlier columns, from a profile."""


@njit(nogil=True, cache=True, error_model="numpy")
def mark_rows(values, marks, times, of_median, least):
    """Sets the bits of values (n, T) that are missing, negative, or far beyond the row's usual.

    With `times` above 0, a value above `times` the median or the mean of the row's values that are
    neither missing nor negative, and above `least`, is a spike.
    """
    known = np.empty(values.shape[1])
    for i in range(values.shape[0]):
        count, total = 0, 0.0
        for t in range(values.shape[1]):
            value = np.float64(values[i, t])
            if np.isnan(value):
                marks[i, t] |= MISSING
            elif value < 0.0:
                marks[i, t] |= NEGATIVE
            else:
                known[count] = value
                total += value
                count += 1
        if times <= 0.0 or count == 0:
            continue
        usual = np.median(known[:count]) if of_median else total / count
        most = max(times * usual, least)
        for t in range(values.shape[1]):
            if values[i, t] > most:
                marks[i, t] |= SPIKE


@njit(nogil=True, cache=True, error_model="numpy")
def blank_rows(values, marks, unbelieved, group, counts):
    """Sets values with an unbelieved bit to 0, and counts the others by group and column."""
    for i in range(values.shape[0]):
        for t in range(values.shape[1]):
            if marks[i, t] & unbelieved:
                values[i, t] = 0.0
            else:
                counts[group[i], t] += 1


@njit(nogil=True, cache=True, error_model="numpy")
def fill_rows(values, marks, unbelieved, ways, longest, earlier, profile, group, filled):
    """Fills gaps in place: runs of values with an unbelieved bit.

    Each gap is filled as a whole by the first of the `ways` (F,) that can fill all of it and may
    fill `longest` (F,) values; what no way fills becomes 0. `earlier` (2, T) is the column from
    which the ways EARLIER and LATER_EARLIER fill, -1 for none; `profile` (G, T) is scaled to the
    row's believed values. Writes to `filled` (n, T) the number of the way, from 1, and F + 1 for
    what no way fills.
    """
    slots = values.shape[1]
    for i in range(values.shape[0]):
        begin = 0
        while begin < slots:
            if not marks[i, begin] & unbelieved:
                begin += 1
                continue
            end = begin
            while end < slots and marks[i, end] & unbelieved:
                end += 1
            done = ways.size + 1
            for k in range(ways.size):
                if end - begin > longest[k]:
                    continue
                if _fill(
                    values, marks, unbelieved, ways[k], earlier, profile, group[i], i, begin, end
                ):
                    done = k + 1
                    break
            for t in range(begin, end):
                filled[i, t] = done
                if done > ways.size:
                    values[i, t] = 0.0
            begin = end


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(values, marks, unbelieved, way, earlier, profile, g, i, begin, end):
    """Whether a gap could be filled in this way, and was."""
    if way == LINEAR:
        if begin == 0 or end == values.shape[1]:
            return False
        before, after = np.float64(values[i, begin - 1]), np.float64(values[i, end])
        for t in range(begin, end):
            share = (t - begin + 1) / (end - begin + 1)
            values[i, t] = before + share * (after - before)
        return True
    if way == PROFILE:
        return _fill_by_profile(values, marks, unbelieved, profile, g, i, begin, end)
    row = way - EARLIER
    for t in range(begin, end):
        source = earlier[row, t]
        if source < 0 or marks[i, source] & unbelieved:
            return False
    for t in range(begin, end):
        values[i, t] = values[i, earlier[row, t]]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _fill_by_profile(values, marks, unbelieved, profile, g, i, begin, end):
    own = common = 0.0
    for t in range(values.shape[1]):
        if not marks[i, t] & unbelieved and not np.isnan(profile[g, t]):
            own += np.float64(values[i, t])
            common += profile[g, t]
    if common <= 0.0:
        return False
    for t in range(begin, end):
        if np.isnan(profile[g, t]):
            return False
    for t in range(begin, end):
        values[i, t] = profile[g, t] * (own / common)
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def count_marks(marks, filled, by_slot, slot_filled, by_row, row_filled):
    """Counts bits (n, T) by bit and column (5, T) and by row (n, 5), and likewise fillings.

    `slot_filled` (F + 1, T) and `row_filled` (n, F + 1) count the numbers from 1 in `filled`.
    """
    for i in range(marks.shape[0]):
        for t in range(marks.shape[1]):
            if marks[i, t]:
                for bit in range(by_slot.shape[0]):
                    if marks[i, t] >> bit & 1:
                        by_slot[bit, t] += 1
                        by_row[i, bit] += 1
            if filled[i, t]:
                slot_filled[filled[i, t] - 1, t] += 1
                row_filled[i, filled[i, t] - 1] += 1
