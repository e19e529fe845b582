"""Small weeks for the tests of the orderly client."""

import numpy as np

from loadloom.client.orderly import Measure, Shortage, User
from loadloom.client.orderly_week import Week

EVENING = np.where((np.arange(24) >= 17) & (np.arange(24) < 21), 100.0, -500.0)
"""100 kW short from 17:00 to 21:00, much room at all other times."""


def week(name="2030-W10", time_zone="Europe/Berlin"):
    """A week that is far enough ahead for every notice."""
    return Week.of_name(name, time_zone=time_zone)


def users(prefix="", count=3):
    """Users of 200 kW of whom one covers an evening; each may be called on three days."""
    return [
        User(
            name=f"{prefix}user {i}",
            load_kw=200.0,
            max_days=3,
            measures=[
                Measure(kind="limit", cap_kw=100.0, cost_per_kwh=1.0 + i, max_slots=4, notice="day")
            ],
        )
        for i in range(count)
    ]


def shortage():
    """A shortage on every evening of the week."""
    return Shortage(shortage_kw=EVENING, unserved_price_per_kwh=50.0)
