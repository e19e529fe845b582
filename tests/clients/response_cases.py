"""A small network and its customers for the tests of a client, by hand."""

from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pandas as pd

from loadloom.client.grid import Grid
from loadloom.client.response import Network

EVENING = datetime(2024, 8, 14, 16, tzinfo=UTC)
"""A Wednesday, 18:00 in Amsterdam."""

ZONE = "Europe/Amsterdam"
Z_ONE = 0.8413447460685429
"""The confidence whose normal quantile is 1."""

DAYS = 21
SERIALS = count()


def grid(hours=2):
    return Grid(start=EVENING, step=timedelta(hours=1), count=hours, time_zone=ZONE)


def transformer(need_kw=7.0):
    """One transformer that needs 7 kW at z = 1."""
    return Network(names=["transformer"], need_kw=need_kw, confidence=Z_ONE)


def three(names=("anna", "bert", "cora")):
    """Means 4, 4, 7 kW, deviations 0, 0, 3, costs 1, 1, 1.5: the first two are called."""
    columns = {
        "size_kw": [4.0, 4.0, 7.0],
        "size_sd_kw": [0.0, 0.0, 3.0],
        "contact_cost": [1.0, 1.0, 1.5],
    }
    return pd.DataFrame(columns, index=list(names))


def tree(need_kw=(0.0, 18.0, 12.0)):
    """A feeder and two transformers below it."""
    parents = ["", "feeder", "feeder"]
    return Network(
        names=["feeder", "north", "south"], parents=parents, need_kw=need_kw, confidence=0.9
    )


def homes(size=40, known_as=""):
    """Homes of 2 kW below the transformers; they accept with 0.7 at 0.2 EUR, with 0.9 at 0.4."""
    names = [f"{known_as}home {index:02d}" for index in range(size)]
    kw = np.linspace(1.5, 2.5, size)
    return pd.DataFrame(
        {
            "node": [("north", "south")[index % 2] for index in range(size)],
            "size_kw": kw,
            "size_sd_kw": 0.1 * kw,
            "acceptance_at_0.2": 0.7,
            "acceptance_at_0.4": 0.9,
            "contact_cost": 0.05,
            "group": [("old town", "new town")[index // 2 % 2] for index in range(size)],
        },
        pd.Index(names, name="customer"),
    )


def readings(names, saved_kw=(), usual_kw=3.0):
    """Hourly loads that are the same on all days, but for what each saves on the evening."""
    start = EVENING - timedelta(days=DAYS - 1, hours=18)
    times = pd.date_range(start, periods=DAYS * 24, freq="h").tz_convert(ZONE)
    frame = pd.DataFrame(usual_kw, times, list(names))
    first = (DAYS - 1) * 24 + 18
    for name, kw in zip(names, saved_kw, strict=False):
        frame.iloc[first : first + 2, frame.columns.get_loc(name)] -= kw
    return frame


def serial():
    """A number that no other event of the tests has."""
    return next(SERIALS)
