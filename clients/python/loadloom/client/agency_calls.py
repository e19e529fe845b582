"""The verbs of an agent for callers that wait; `Client` has them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Unpack

from google.protobuf.message import Message
from numpy.typing import ArrayLike

from loadloom.client.agency import (
    CurvesLike,
    Plant,
    PortfolioContract,
    Price,
    PurchaseCost,
    Rule,
)
from loadloom.client.agency_answers import (
    Assessment,
    Portfolio,
    Purchase,
    SharedCost,
    read_portfolio,
)
from loadloom.client.agency_chunks import Chunks, ChunkStream, sum_of
from loadloom.client.agency_fields import Source
from loadloom.client.agency_request import (
    aggregate_request,
    assess_request,
    check_size,
    correction_request,
    portfolio_request,
    purchase_request,
    settlement_request,
    share_request,
)
from loadloom.client.agency_settlement import Settlement, Statement, statements_frame
from loadloom.client.agency_sums import LoadAggregate
from loadloom.client.agency_wishes import (
    AggregateWishes,
    PortfolioWishes,
    PurchaseWishes,
    SettlementWishes,
    SharingWishes,
)
from loadloom.client.calls import Calls
from loadloom.client.errors import ClientClosed
from loadloom.client.operations import Operation
from loadloom.client.orderly_request import SMALL_BYTES
from loadloom.client.request import Times, grid_of
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1.agency_pb2_grpc import AgencyServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub

if TYPE_CHECKING:
    import pandas as pd

SettlementName = Settlement | str
"""A settlement, or its name."""

Cost = Price | PurchaseCost | Purchase
"""What all cost: a price by the load factor, or the cost of a purchase."""

SETTLEMENTS_PER_PAGE, STATEMENTS_PER_PAGE = 50, 10_000


class AgencyCalls(Calls):
    """The verbs of an agent, on a channel that the client opens and closes."""

    _agency: AgencyServiceStub

    def aggregate_loads(
        self,
        curves: Source,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[AggregateWishes],
    ) -> LoadAggregate:
        """The sum of load curves, what each user adds to it, and how complete the readings are.

        Args:
            curves: the curves: Curves, a DataFrame, or a DataSet that the server reads.
            timeout_s: how long the call may take.
            wishes: price, bands, quantiles, rules and so on; see AggregateWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request, grid = aggregate_request(curves, wishes)
        self._check_size(request)
        answer = self._call(self._agency.AggregateLoads, request, timeout_s)
        return LoadAggregate(answer.aggregate, grid)

    def aggregate_load_stream(
        self,
        chunks: Chunks,
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[AggregateWishes],
    ) -> LoadAggregate:
        """The sum of load curves that come in chunks, each user in one of them.

        Args:
            chunks: the chunks: Curves or DataFrames on the same grid; or Curves or a DataFrame of
                any size, which is cut into chunks.
            grid: the grid; that of the first chunk when left out.
            timeout_s: how long the call may take; no limit when left out.
            wishes: as for `aggregate_loads`, but for the fill "area profile", which needs all
                curves at once.

        Raises:
            LoadloomError: a chunk or a wish is wrong, or there is no answer.
        """
        if self._closed:
            raise ClientClosed.now()
        stream = ChunkStream(chunks, None if grid is None else grid_of(grid), wishes)
        return sum_of(self._agency.AggregateLoadStream, stream, timeout_s)

    def assess_prices(
        self,
        price: Price,
        curves: "CurvesLike | None" = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[SharingWishes],
    ) -> Assessment:
        """Whether a price can be shared without anybody having a reason to leave.

        Args:
            price: the price.
            curves: users to try it on; without them loads that lose are made up, if there are any.
            timeout_s: how long the call may take.
            wishes: the peak that counts for these users; see SharingWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request = assess_request(price, curves, wishes)
        self._check_size(request)
        return Assessment(self._call(self._agency.AssessPrices, request, timeout_s))

    def share_cost(
        self,
        curves: CurvesLike,
        cost: Cost,
        rules: Iterable[Rule] = (),
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[SharingWishes],
    ) -> SharedCost:
        """The cost of all, shared by one rule or several, each with its report.

        Args:
            curves: the users.
            cost: what all cost.
            rules: the rules to set beside each other; the default one of the cost when empty.
            timeout_s: how long the call may take.
            wishes: the peak that counts, the audit and so on; see SharingWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request = share_request(curves, cost_of(cost), rules, wishes)
        self._check_size(request)
        return SharedCost(self._call(self._agency.ShareCost, request, timeout_s))

    def plan_purchase(
        self,
        load_kw: ArrayLike,
        plants: Sequence[Plant],
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[PurchaseWishes],
    ) -> Purchase:
        """The cheapest purchase of a load from plants, and the price of each interval.

        Args:
            load_kw: the load; a Series with times, or numbers on the grid.
            plants: the plants and contracts.
            grid: the grid, where the load tells none.
            timeout_s: how long the call may take.
            wishes: spot, store and so on; see PurchaseWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer. That the load cannot be
                covered is an answer.
        """
        times = grid_of(load_kw if grid is None else grid)  # type: ignore[arg-type] -- it says so itself if it has no index
        request = purchase_request(load_kw, times, plants, wishes)
        answer = self._call(self._agency.PlanPurchase, request, timeout_s)
        return Purchase(answer, times)

    def form_portfolio(
        self,
        candidates: Source,
        contracts: Sequence[PortfolioContract],
        highest_price_per_kwh: ArrayLike,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[PortfolioWishes],
    ) -> Operation[Portfolio]:
        """The operation that chooses the users to take; `result()` of it is the Portfolio.

        Args:
            candidates: the curves of those who could be taken.
            contracts: one contract, or several among which the users are divided.
            highest_price_per_kwh: what candidates pay: one number, one for each, or a row for each
                with a column for each contract.
            timeout_s: how long the call may take; the solve goes on after it.
            wishes: fees, limits of the solve and so on; see PortfolioWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request = portfolio_request(candidates, contracts, highest_price_per_kwh, wishes)
        self._check_size(request)
        message = self._call(self._agency.FormPortfolio, request, timeout_s)
        return Operation(self._channel, message, read_portfolio)

    def create_settlement(
        self,
        curves: Source,
        cost: Cost,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[SettlementWishes],
    ) -> Settlement:
        """Settles with all users to the last minor unit; the settlement is kept and never changes.

        Args:
            curves: the readings of the users.
            cost: what all cost.
            timeout_s: how long the call may take.
            wishes: highest price, profit rate, currency, prepayments and so on; see
                SettlementWishes. With the same `request_id` it brings the same settlement.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request = settlement_request(curves, cost_of(cost), wishes)
        self._check_size(request)
        answer = self._call(self._agency.CreateSettlement, request, timeout_s)
        return Settlement(answer.settlement)

    def correct_settlement(
        self,
        settlement: SettlementName,
        curves: Source,
        *,
        purchase: PurchaseCost | Purchase | None = None,
        reason: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Settlement:
        """Settles again with corrected readings, in a settlement that refers to the first.

        Args:
            settlement: the settlement to correct, the first or the last of its corrections.
            curves: the readings of the users that change; a DataSet has those of all.
            purchase: the corrected cost of a purchase; as it was when left out.
            reason: why, for people.
            request_id: the caller's id of the request: the same id brings the same correction.
            timeout_s: how long the call may take.

        Raises:
            LoadloomError: the request is wrong, there is no such settlement, or no answer.
        """
        request = correction_request(
            settlement_name(settlement),
            curves,
            purchase=purchase.price if isinstance(purchase, Purchase) else purchase,
            reason=reason,
            request_id=request_id,
        )
        self._check_size(request)
        answer = self._call(self._agency.CorrectSettlement, request, timeout_s)
        return Settlement(answer.settlement)

    def get_settlement(self, name: str) -> Settlement:
        """A settlement, without its statements.

        Raises:
            LoadloomError: there is none, or no answer.
        """
        request = pb.GetSettlementRequest(name=name)
        return Settlement(self._call(self._agency.GetSettlement, request).settlement)

    def list_settlements(self) -> Iterator[Settlement]:
        """The settlements there are, the latest first.

        Raises:
            LoadloomError: there is no answer.
        """
        request = pb.ListSettlementsRequest(page_size=SETTLEMENTS_PER_PAGE)
        for page in self._pages(self._agency.ListSettlements, request):
            yield from map(Settlement, page.settlements)

    def list_statements(
        self, settlement: SettlementName, *, page_size: int = STATEMENTS_PER_PAGE
    ) -> "Iterator[pd.DataFrame]":
        """The statements of a settlement by name, a DataFrame for each page, amounts exact.

        Raises:
            LoadloomError: there is no such settlement, or no answer.
        """
        found = self.get_settlement(settlement) if isinstance(settlement, str) else settlement
        request = pb.ListStatementsRequest(name=found.name, page_size=page_size)
        for page in self._pages(self._agency.ListStatements, request):
            yield statements_frame([page.statements], found.digits)

    def statements(self, settlement: SettlementName) -> "pd.DataFrame":
        """All statements of a settlement, a row for each user by name, amounts exact.

        Raises:
            LoadloomError: there is no such settlement, or no answer.
        """
        import pandas as pd

        return pd.concat(list(self.list_statements(settlement)))

    def get_statement(self, settlement: SettlementName, user: str = "") -> Statement:
        """The statement of a user, with the formula of every figure.

        Args:
            settlement: the settlement.
            user: the user; a member may leave its own name out.

        Raises:
            LoadloomError: there is no such settlement or user, or no answer.
        """
        request = pb.GetStatementRequest(name=settlement_name(settlement), user=user)
        return Statement(self._call(self._agency.GetStatement, request).statement)

    def _check_size(self, request: Message) -> None:
        """Checks that the server takes a large request; a small one fits any server."""
        size = request.ByteSize()
        if size > SMALL_BYTES:
            asked = SystemServiceStub(self._channel).GetSystemInfo
            check_size(size, self._call(asked, GetSystemInfoRequest()).limits.message_bytes)


def cost_of(cost: Cost) -> Price | PurchaseCost:
    """What all cost, of a purchase its cost and prices."""
    return cost.price if isinstance(cost, Purchase) else cost


def settlement_name(settlement: SettlementName) -> str:
    """The name of a settlement."""
    return settlement.name if isinstance(settlement, Settlement) else settlement
