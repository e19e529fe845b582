"""Small pools of users for the tests of an agent's client, and answers that no server made."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from loadloom.client.agency import Curves
from loadloom.client.agency_settlement import Settlement, Statement
from loadloom.client.grid import Grid
from loadloom.v1 import agency_pb2 as pb

ZONE = "Europe/Berlin"
NAME = f"settlements/{'ab' * 16}"


def by_hand(names=("a", "b")):
    """Two users of two hours: 4 and 3 kWh, 3 and 1 kW at the peak of 4 kW."""
    times = pd.date_range("2026-03-02", periods=2, freq="h", tz=ZONE)
    return pd.DataFrame([[3.0, 1.0], [1.0, 2.0]], times, list(names))


def curves(names=("bakery", "a/b:c", "quiet"), count=48):
    """Curves of some users over hours, each with its peak at another time."""
    hours = np.arange(count)
    load_kw = np.stack([10 + 5 * np.sin(hours / 4 + k) for k in range(len(names))])
    start = datetime(2026, 3, 1, 23, tzinfo=UTC)
    grid = Grid(start=start, step=timedelta(hours=1), count=count, time_zone=ZONE)
    return Curves(names=tuple(names), load_kw=load_kw, grid=grid)


def settlement(**fields):
    """A settlement of two users by hand: 2.90 EUR, bills of 1.86 and 1.17."""
    message = pb.Settlement(
        name=NAME,
        title="March",
        user_count=2,
        energy_kwh=7.0,
        peak_kw=4.0,
        peak_intervals=[0],
        load_factor=0.875,
        price_per_kwh=2.9 / 7.0,
        cost_minor=290,
        highest_minor=420,
        benefit_minor=130,
        profit_minor=13,
        bill_minor=303,
        prepaid_minor=420,
        refund_minor=117,
    )
    message.grid.CopyFrom(Curves.of(by_hand()).grid.message())
    message.create_time.FromDatetime(datetime(2026, 4, 1, tzinfo=UTC))
    message.terms.currency_code = "EUR"
    message.terms.minor_digits = 2
    message.terms.profit_rate = 0.1
    message.terms.mode = pb.SETTLEMENT_MODE_BENEFIT_SHARE
    message.terms.rule = pb.SHARING_RULE_AUMANN_SHAPLEY
    message.MergeFrom(pb.Settlement(**fields))
    return Settlement(message)


def statement(user="a", **fields):
    """The statement of the first of these users."""
    message = pb.Statement(
        settlement=NAME,
        user=user,
        currency_code="EUR",
        minor_digits=2,
        energy_kwh=4.0,
        bill_minor=186,
        prepaid_minor=240,
        refund_minor=54,
        lines=[
            pb.FormulaLine(
                term="cost share", expression="4 * 0.3 + 3 * 0.2", value="1.8", unit="EUR"
            ),
            pb.FormulaLine(term="=bill", expression="0.1 * 0.6 * 4 + 0.9 * 1.8", value="1.86"),
        ],
    )
    message.MergeFrom(pb.Statement(**fields))
    return Statement(message)
