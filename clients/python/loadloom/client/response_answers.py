"""Answers to who calls customers: needs, plans, confidence, what was delivered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadloom.client.agency_money import of_minor
from loadloom.client.agency_parts import grid_of_message, table
from loadloom.client.grid import Grid
from loadloom.client.orderly_parts import enum_word
from loadloom.client.plan import Outcome
from loadloom.client.response import Network, Place
from loadloom.v1 import response_pb2 as pb
from loadloom.v1.common_pb2 import FloatMatrix, Matrix
from loadloom.wire.arrays import from_floats, from_series

if TYPE_CHECKING:
    import pandas as pd

NODE_COLUMNS = ("need_kw", "mean_kw", "sd_kw", "secured_kw", "probability", "price_per_kw")


def values_of(matrix: Matrix | FloatMatrix) -> NDArray[np.float64]:
    """The numbers of a matrix, (rows, cols)."""
    is_single = isinstance(matrix, FloatMatrix)
    found = from_floats(matrix) if is_single else from_series(matrix.values)
    return found.astype(np.float64, copy=False).reshape(matrix.rows, matrix.cols)


@dataclass(frozen=True, repr=False)
class Needs:
    """What nodes need on the days ahead; tables have local times in the index, a column for each.

    Attributes:
        message: the answer as the API has it.
        names: the nodes.
    """

    message: pb.ForecastNeedResponse
    names: tuple[str, ...]

    def __repr__(self) -> str:
        """The needs in a line."""
        needy = int((self.need_kw.to_numpy() > 0.0).any(axis=0).sum())
        return (
            f"<Needs: {needy} of {len(self.names)} nodes, {self.need_kw.to_numpy().max():.4g} kW>"
        )

    @cached_property
    def grid(self) -> Grid:
        """The intervals ahead."""
        return grid_of_message(self.message.grid)

    @property
    def mean_kw(self) -> "pd.DataFrame":
        """The expected load."""
        return self._frame(self.message.mean_kw)

    @property
    def sd_kw(self) -> "pd.DataFrame":
        """Its standard deviation."""
        return self._frame(self.message.sd_kw)

    @property
    def overload_probability(self) -> "pd.DataFrame":
        """The probability that the load exceeds the rating."""
        return self._frame(self.message.overload_probability)

    @property
    def need_kw(self) -> "pd.DataFrame":
        """The reduction that keeps the rating with the confidence."""
        return self._frame(self.message.need_kw)

    @property
    def excess_kw(self) -> "pd.DataFrame":
        """The expected load less the rating, which may be negative."""
        return self._frame(self.message.excess_kw)

    @property
    def quantiles(self) -> "dict[float, pd.DataFrame]":
        """The loads below which shares of outcomes stay."""
        return {one.share: self._frame(one.load_kw) for one in self.message.quantiles}

    @property
    def methods(self) -> "pd.Series":
        """The way in which each node was foretold."""
        import pandas as pd

        words = [
            enum_word(pb.ForecastMethod, "FORECAST_METHOD_", one).lower().replace("_", " ")
            for one in self.message.methods
        ]
        return pd.Series(words, list(self.names), name="method")

    @property
    def scores(self) -> "pd.DataFrame":
        """How each way did on a node's last days, which it had not seen: mean errors in kW."""
        import pandas as pd

        said = self.message.scores
        columns = ("similar_days_kw", "regression_kw", "below_95_share")
        return pd.DataFrame({name: list(getattr(said, name)) for name in columns}, list(self.names))

    @property
    def summary(self) -> "pd.DataFrame":
        """A row for each node, at its highest need, or else its highest load."""
        import pandas as pd

        need, chance = self.need_kw.to_numpy(), self.overload_probability.to_numpy()
        load = self.mean_kw.to_numpy()
        worst = np.where(need.max(axis=0) > 0.0, need.argmax(axis=0), load.argmax(axis=0))
        rows = np.arange(len(self.names))
        return pd.DataFrame(
            {
                "time": self.grid.index[worst],
                "mean_kw": load[worst, rows],
                "sd_kw": self.sd_kw.to_numpy()[worst, rows],
                "overload_probability": chance[worst, rows],
                "need_kw": need[worst, rows],
            },
            pd.Index(self.names, name="node"),
        )

    def network(
        self,
        start: datetime,
        end: datetime,
        *,
        parents: Sequence[Place | None] = (),
        confidence: ArrayLike | None = None,
    ) -> Network:
        """The network with the needs from one instant to another, with their spread.

        Its `need_kw` is a DataFrame, so that it tells the grid of a plan.
        """
        import pandas as pd
        from pandas.tseries.frequencies import to_offset

        index = self.grid.index
        inside = (index >= start) & (index < end)
        # With its step in the index, even a single interval tells the grid.
        times = pd.DatetimeIndex(index[inside], freq=to_offset(self.grid.steps[0]))
        excess, spread = (
            frame.loc[inside].set_axis(times) for frame in (self.excess_kw, self.sd_kw)
        )
        return Network(
            names=self.names,
            parents=parents,
            need_kw=excess,
            need_sd_kw=spread,
            confidence=confidence,
        )

    def _frame(self, matrix: Matrix) -> "pd.DataFrame":
        return timed(matrix, self.grid, self.names)


@dataclass(frozen=True, repr=False)
class Confidence:
    """How often the needs would be met, by draws from the law of answers.

    Attributes:
        message: the figures as the API has them.
        grid: the intervals.
        nodes: the names of all nodes of the network.
    """

    message: pb.ConfidenceFigures
    grid: Grid
    nodes: tuple[str, ...]

    def __repr__(self) -> str:
        """The figures in a line."""
        return f"<Confidence: all needs met in {self.joint_probability:.2%} of draws>"

    @property
    def joint_probability(self) -> float:
        """The share of draws in which all needs are met."""
        return self.message.joint_probability

    @property
    def samples(self) -> int:
        """The number of draws."""
        return self.message.samples

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each node and interval: the share of draws, and that by the normal law."""
        columns = ("probability", "half_width", "normal_probability", "quantile_kw")
        return by_node(self.message, columns, self.grid, self.nodes)

    @property
    def warnings(self) -> list[str]:
        """Where the normal law promises more than the draws show, and what is missing."""
        return [one.text for one in self.message.warnings]


@dataclass(frozen=True, repr=False)
class TargetPlan:
    """Whom to call, and what that comes to.

    Attributes:
        message: the plan as the API has it.
        grid: the intervals.
        nodes: the names of the nodes.
        customers: the names of the customers; empty where they have none.
        price_per_kwh: the price of each level.
    """

    message: pb.TargetPlan
    grid: Grid
    nodes: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    price_per_kwh: tuple[float, ...] = ()

    def __repr__(self) -> str:
        """The plan in a line."""
        return f"<TargetPlan: {self.outcome}, {self.called_count:,} called, cost {self.cost:,.2f}>"

    @property
    def outcome(self) -> Outcome:
        """The way the solve ended."""
        return Outcome.of(self.message.termination.reason)

    @property
    def exists(self) -> bool:
        """Whether somebody can be called so that the needs are met, or as far as was asked for."""
        return self.outcome in (Outcome.OPTIMAL, Outcome.FEASIBLE)

    @property
    def called_count(self) -> int:
        """The number of customers to call."""
        return self.message.called_count

    @property
    def cost(self) -> float:
        """The expected cost of all calls."""
        return self.message.cost

    @property
    def bound(self) -> float:
        """What no plan costs less than; with a budget minus the greatest confidence."""
        return self.message.certificate.bound

    @property
    def cost_95(self) -> float:
        """The cost that is not exceeded with a probability of 0.95."""
        return self.message.cost_95

    @property
    def common_confidence(self) -> float:
        """With a budget, the confidence that all needs have in common."""
        return self.message.common_confidence

    @property
    def sentences(self) -> list[str]:
        """The plan in a few sentences."""
        return list(self.message.sentences)

    @property
    def unsecured(self) -> list[str]:
        """The needs that cannot be met, in sentences."""
        return [one.text for one in self.message.unsecured]

    @cached_property
    def calls(self) -> "pd.DataFrame":
        """A row for each customer to call: price, expected reduction and cost; none for events."""
        import pandas as pd

        said = self.message
        count = len(said.called)
        prices = np.array(self.price_per_kwh or [0.0])
        return pd.DataFrame(
            {
                "place": list(said.called),
                "price_per_kwh": prices[list(said.levels) or [0] * count],
                "expected_kw": list(said.expected_kw),
                "expected_cost": list(said.expected_cost),
            },
            pd.Index([self._customer(place) for place in said.called], name="customer"),
        )

    @property
    def node_figures(self) -> "pd.DataFrame":
        """A row for each node with a need and each interval: the need and what is secured."""
        return by_node(self.message.nodes, NODE_COLUMNS, self.grid, self.nodes)

    @property
    def rebounds(self) -> "pd.DataFrame":
        """A row for each node with a limit after the event, at the interval nearest to it."""
        import pandas as pd

        said = self.message.rebounds
        room, mean, chance = map(values_of, (said.headroom_kw, said.mean_kw, said.probability))
        tight = (room - mean).argmin(axis=1) if room.size else np.zeros(0, np.intp)
        rows = np.arange(len(tight))
        return pd.DataFrame(
            {
                "interval": tight,
                "headroom_kw": room[rows, tight],
                "mean_kw": mean[rows, tight],
                "probability": chance[rows, tight],
            },
            pd.Index([node_name(self.nodes, place) for place in said.nodes], name="node"),
        )

    @property
    def reserves(self) -> "pd.DataFrame":
        """The customers to call next for each node, the best first."""
        import pandas as pd

        rows = [
            (node_name(self.nodes, one.node), self._customer(who), kw, cost)
            for one in self.message.reserves
            for who, kw, cost in zip(one.customers, one.expected_kw, one.cost, strict=True)
        ]
        return pd.DataFrame(rows, columns=["node", "customer", "expected_kw", "cost"])

    @property
    def groups(self) -> "pd.DataFrame":
        """How each group is treated."""
        return table(self.message.groups, "name")

    @property
    def reasons(self) -> "pd.DataFrame":
        """Why customers are called or not, for those that were asked for."""
        frame = table(self.message.reasons, "customer")
        frame.index = frame.index.map(self._customer)
        return frame.rename_axis("customer")

    @property
    def confidence(self) -> Confidence | None:
        """How often the needs would be met, if draws were asked for."""
        said = self.message.confidence
        if not self.message.HasField("confidence"):
            return None
        return Confidence(message=said, grid=self.grid, nodes=self.nodes)

    def _customer(self, place: int) -> str:
        return self.customers[place] if place < len(self.customers) else str(place)


@dataclass(frozen=True, repr=False)
class Measured:
    """What customers delivered, from readings alone.

    Attributes:
        message: the answer as the API has it.
        grid: the intervals of the event.
        digits: the decimals of the currency.
    """

    message: pb.MeasureResponseResponse
    grid: Grid
    digits: int = 2

    @property
    def baseline_kw(self) -> "pd.DataFrame":
        """What each would have used: times in the index, a column for each customer."""
        return timed(self.message.baseline_kw, self.grid, tuple(self.message.names))

    @property
    def load_kw(self) -> "pd.DataFrame":
        """What each used."""
        return timed(self.message.load_kw, self.grid, tuple(self.message.names))

    @property
    def paid(self) -> Decimal:
        """The sum of the payments, in the currency."""
        return of_minor(self.message.paid_minor, self.digits)

    @property
    def customers(self) -> "pd.DataFrame":
        """A row for each customer: energies, its payment exact, and what is to be said of it."""
        import pandas as pd

        said, count = self.message, len(self.message.names)
        columns = ("delivered_kwh", "rebound_kwh", "adjustment", "day_counts")
        frame = pd.DataFrame(
            {name: list(getattr(said, name)) for name in columns},
            pd.Index(list(said.names), name="customer"),
        )
        paid = list(said.payment_minor) or [0] * count
        frame["payment"] = [of_minor(amount, self.digits) for amount in paid]
        frame["note"] = list(said.notes) or [""] * count
        return frame


def timed(matrix: Matrix | FloatMatrix, grid: Grid, names: tuple[str, ...]) -> "pd.DataFrame":
    """A matrix as a DataFrame of local times by names."""
    import pandas as pd

    return pd.DataFrame(values_of(matrix).T, index=grid.index, columns=pd.Index(names))


def by_node(
    message: pb.NodeFigures | pb.ConfidenceFigures,
    columns: Sequence[str],
    grid: Grid,
    nodes: tuple[str, ...],
) -> "pd.DataFrame":
    """A row for each node with a need and each interval, a column for each figure."""
    import pandas as pd

    said = list(getattr(message, "names", ()))
    names = said or [node_name(nodes, place) for place in message.nodes]
    index = pd.MultiIndex.from_product([names, grid.index], names=["node", "time"])
    figures = {
        name: values_of(getattr(message, name)).reshape(-1)
        for name in columns
        if message.HasField(name)  # pyright: ignore[reportArgumentType] -- one of its fields
    }
    return pd.DataFrame(figures, index)


def node_name(nodes: tuple[str, ...], place: int) -> str:
    """The name of a node, or its place where names are not known."""
    return nodes[place] if place < len(nodes) else f"node {place}"
