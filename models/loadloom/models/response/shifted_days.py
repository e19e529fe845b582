"""Days that begin at another slot of the clock than midnight, for events that last beyond it.

An event over midnight, with what is looked at before and after it, is compared with the same slots
of the clock of other nights. So days are cut at noon, or as near to it as the event leaves room
for, and go by the date on which they begin: an event from Friday to Saturday is one of a workday.
"""

import numpy as np

from loadloom.models.response.similar_days import LoadArray


def first_slot(first: int, last: int, lead: int, after: int, slot_count: int) -> int:
    """The slot with which the days of an event begin, 0 if it is over by midnight.

    Args:
        first: the first slot of the event, from the midnight before it begins.
        last: the slot after its last.
        lead: the slots before it that are looked at.
        after: the slots after it that are looked at, as far as there is room.
        slot_count: the slots of a day; the event has no more.
    """
    if last + after <= slot_count:
        return 0
    latest = max(0, first - lead)
    begin = min(max(slot_count // 2, last + after - slot_count), latest)
    # What is looked at gives way to the event itself; a lead that does not fit is refused later.
    return max(begin, last - slot_count)


def from_slot(load_kw: LoadArray, begin: int) -> LoadArray:
    """The loads of days from a slot on until the same slot of the next day, (n, D - 1, S).

    With `begin` 0 they are the same as before, (n, D, S). What comes after the slot on the last day
    is no whole day, nor is what comes before it on the first.
    """
    if begin == 0:
        return load_kw
    count, days, slots = load_kw.shape
    flat = load_kw.reshape(count, days * slots)[:, begin : begin + (days - 1) * slots]
    return np.ascontiguousarray(flat).reshape(count, days - 1, slots)
