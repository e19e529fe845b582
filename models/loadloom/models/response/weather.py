"""What days and their weather say of loads: the features of a regression, a row a day and slot."""

import numpy as np
from numpy.typing import NDArray

from loadloom.models.horizon import FloatArray
from loadloom.models.response.similar_days import IntArray, Span

COOLING_FROM_C = 22.0
"""Above this outdoor temperature homes begin to cool."""

HEATING_BELOW_C = 15.0
"""Below this one they begin to heat, as degree days have it."""

_TREND_DAYS = 30.0


def cooling_degrees(temperature_c: FloatArray) -> FloatArray:
    """How far it is above the temperature from which homes are cooled, in the same shape."""
    return np.maximum(0.0, temperature_c - COOLING_FROM_C)


def features(
    kinds: NDArray[np.int8],
    ordinals: IntArray,
    temperature_c: FloatArray | None,
    span: Span,
    origin: int,
) -> FloatArray:
    """The features of each day and slot of the span, (..., D, span.count, K).

    They are 1, rest day, months since the origin and, where temperatures are known, the slot's
    cooling and heating degrees and the day's mean cooling degrees, since walls keep the heat.

    Args:
        kinds: (D,) see `day_kinds`.
        ordinals: (D,) each date's ordinal.
        temperature_c: (..., D, S) or None.
        span: the slots.
        origin: the ordinal of the day from which the trend counts.
    """
    lead = (1,) if temperature_c is None else temperature_c.shape[:-1]
    shape = (*lead[:-1], kinds.size, span.count)
    months = (ordinals - origin) / _TREND_DAYS
    table = [np.ones(shape), kinds[:, None] + np.zeros(shape), months[:, None] + np.zeros(shape)]
    if temperature_c is not None:
        cooling = cooling_degrees(temperature_c)
        heating = np.maximum(0.0, HEATING_BELOW_C - temperature_c)
        of_day = cooling.mean(axis=-1, keepdims=True) + np.zeros(shape)
        table += [cooling[..., span.slots], heating[..., span.slots], of_day]
    return np.ascontiguousarray(np.stack(table, axis=-1))
