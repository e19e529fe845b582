# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""A bus in the reference model."""

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.devices.heat import BusPlan, HeatBus
from loadloom.models.dispatch.textbook.book import Book, column


def add(book: Book, bus: HeatBus) -> Callable[[], BusPlan]:
    """Adds the demand of a bus; gives the reader of its plan."""
    block, hours = book.block(bus.name), book.hours
    demand = bus.demand_kw * hours
    block.unmet = pyo.Var(book.t, bounds=lambda _, t: (0.0, demand[t]))
    block.dumped = pyo.Var(book.t, domain=pyo.NonNegativeReals)
    if np.isinf(bus.breach_price_per_kwh):
        block.unmet.fix(0.0)
    else:
        book.costs(bus.breach_price_per_kwh * sum(block.unmet[t] for t in book.t))
    if not bus.dump:
        block.dumped.fix(0.0)
    book.draws(bus.name, lambda t: demand[t] - block.unmet[t] + block.dumped[t], bus=bus.name)

    def read() -> BusPlan:
        return BusPlan(
            dumped_kw=column(block.dumped) / hours,
            unmet_kw=column(block.unmet) / hours,
        )

    return read
