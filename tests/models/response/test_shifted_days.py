"""Days that begin at another slot than midnight."""

import numpy as np
import pytest

from loadloom.models.response.shifted_days import first_slot, from_slot


@pytest.mark.parametrize(
    ("first", "last", "lead", "after", "begin"),
    [
        (18, 22, 3, 0, 0),  # over by midnight
        (18, 24, 3, 0, 0),
        (22, 26, 3, 0, 12),  # days from noon
        (18, 22, 3, 4, 12),  # what follows lies beyond midnight
        (22, 38, 3, 3, 17),  # until 14:00 and what follows, from 17:00 on
        (13, 26, 3, 0, 10),  # what precedes begins at 10:00
        (13, 36, 3, 3, 12),  # too long for both: the event alone fits
        (13, 37, 0, 9, 13),  # a whole day
        (1, 20, 3, 9, 0),  # nothing before its day
    ],
)
def test_days_begin_at_noon_or_as_near_as_the_event_leaves_room(first, last, lead, after, begin):
    found = first_slot(first, last, lead, after, 24)
    assert found == begin
    assert found <= first
    assert last <= found + 24


def test_days_from_a_slot_are_the_same_loads_in_other_rows():
    load_kw = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    assert from_slot(load_kw, 0) is load_kw
    found = from_slot(load_kw, 3)
    assert found.flags.c_contiguous
    assert found.dtype == np.float32
    assert found[0].tolist() == [[3, 4, 5, 6], [7, 8, 9, 10]]
    assert found[1].tolist() == [[15, 16, 17, 18], [19, 20, 21, 22]]
