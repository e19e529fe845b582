"""The verbs of an agent for callers that await; `AsyncClient` has them.

Arguments and errors are those of `loadloom.client.agency_calls.AgencyCalls`.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
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
from loadloom.client.agency_calls import (
    SETTLEMENTS_PER_PAGE,
    STATEMENTS_PER_PAGE,
    Cost,
    SettlementName,
    cost_of,
    settlement_name,
)
from loadloom.client.agency_chunks import AsyncChunks, ChunkStream, sum_of_async
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
from loadloom.client.calls import AsyncCalls
from loadloom.client.errors import ClientClosed
from loadloom.client.operations import AsyncOperation
from loadloom.client.orderly_request import SMALL_BYTES
from loadloom.client.request import Times, grid_of
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub

if TYPE_CHECKING:
    import pandas as pd

    from loadloom.v1.agency_pb2_grpc import AgencyServiceAsyncStub


class AsyncAgencyCalls(AsyncCalls):
    """The verbs of an agent, on a channel that the client opens and closes."""

    _agency: "AgencyServiceAsyncStub"

    async def aggregate_loads(
        self,
        curves: Source,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[AggregateWishes],
    ) -> LoadAggregate:
        """The sum of load curves, what each user adds to it, and how complete the readings are."""
        request, grid = aggregate_request(curves, wishes)
        await self._check_size(request)
        answer = await self._call(self._agency.AggregateLoads, request, timeout_s)
        return LoadAggregate(answer.aggregate, grid)

    async def aggregate_load_stream(
        self,
        chunks: AsyncChunks,
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[AggregateWishes],
    ) -> LoadAggregate:
        """The sum of load curves that come in chunks, each user in one of them."""
        if self._closed:
            raise ClientClosed.now()
        stream = ChunkStream(chunks, None if grid is None else grid_of(grid), wishes)
        return await sum_of_async(self._agency.AggregateLoadStream, stream, timeout_s)

    async def assess_prices(
        self,
        price: Price,
        curves: "CurvesLike | None" = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[SharingWishes],
    ) -> Assessment:
        """Whether a price can be shared without anybody having a reason to leave."""
        request = assess_request(price, curves, wishes)
        await self._check_size(request)
        return Assessment(await self._call(self._agency.AssessPrices, request, timeout_s))

    async def share_cost(
        self,
        curves: CurvesLike,
        cost: Cost,
        rules: Iterable[Rule] = (),
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[SharingWishes],
    ) -> SharedCost:
        """The cost of all, shared by one rule or several, each with its report."""
        request = share_request(curves, cost_of(cost), rules, wishes)
        await self._check_size(request)
        return SharedCost(await self._call(self._agency.ShareCost, request, timeout_s))

    async def plan_purchase(
        self,
        load_kw: ArrayLike,
        plants: Sequence[Plant],
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[PurchaseWishes],
    ) -> Purchase:
        """The cheapest purchase of a load from plants, and the price of each interval."""
        times = grid_of(load_kw if grid is None else grid)  # type: ignore[arg-type] -- it says so itself if it has no index
        request = purchase_request(load_kw, times, plants, wishes)
        answer = await self._call(self._agency.PlanPurchase, request, timeout_s)
        return Purchase(answer, times)

    async def form_portfolio(
        self,
        candidates: Source,
        contracts: Sequence[PortfolioContract],
        highest_price_per_kwh: ArrayLike,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[PortfolioWishes],
    ) -> AsyncOperation[Portfolio]:
        """The operation that chooses the users to take; `result()` of it is the Portfolio."""
        request = portfolio_request(candidates, contracts, highest_price_per_kwh, wishes)
        await self._check_size(request)
        message = await self._call(self._agency.FormPortfolio, request, timeout_s)
        return AsyncOperation(self._channel, message, read_portfolio)

    async def create_settlement(
        self,
        curves: Source,
        cost: Cost,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[SettlementWishes],
    ) -> Settlement:
        """Settles with all users to the last minor unit; it is kept and never changes."""
        request = settlement_request(curves, cost_of(cost), wishes)
        await self._check_size(request)
        answer = await self._call(self._agency.CreateSettlement, request, timeout_s)
        return Settlement(answer.settlement)

    async def correct_settlement(
        self,
        settlement: SettlementName,
        curves: Source,
        *,
        purchase: PurchaseCost | Purchase | None = None,
        reason: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Settlement:
        """Settles again with corrected readings, in a settlement that refers to the first."""
        request = correction_request(
            settlement_name(settlement),
            curves,
            purchase=purchase.price if isinstance(purchase, Purchase) else purchase,
            reason=reason,
            request_id=request_id,
        )
        await self._check_size(request)
        answer = await self._call(self._agency.CorrectSettlement, request, timeout_s)
        return Settlement(answer.settlement)

    async def get_settlement(self, name: str) -> Settlement:
        """A settlement, without its statements."""
        request = pb.GetSettlementRequest(name=name)
        return Settlement((await self._call(self._agency.GetSettlement, request)).settlement)

    async def list_settlements(self) -> AsyncIterator[Settlement]:
        """The settlements there are, the latest first."""
        request = pb.ListSettlementsRequest(page_size=SETTLEMENTS_PER_PAGE)
        async for page in self._pages(self._agency.ListSettlements, request):
            for one in page.settlements:
                yield Settlement(one)

    async def list_statements(
        self, settlement: SettlementName, *, page_size: int = STATEMENTS_PER_PAGE
    ) -> "AsyncIterator[pd.DataFrame]":
        """The statements of a settlement by name, a DataFrame for each page, amounts exact."""
        found = await self.get_settlement(settlement) if isinstance(settlement, str) else settlement
        request = pb.ListStatementsRequest(name=found.name, page_size=page_size)
        async for page in self._pages(self._agency.ListStatements, request):
            yield statements_frame([page.statements], found.digits)

    async def statements(self, settlement: SettlementName) -> "pd.DataFrame":
        """All statements of a settlement, a row for each user by name, amounts exact."""
        import pandas as pd

        return pd.concat([page async for page in self.list_statements(settlement)])

    async def get_statement(self, settlement: SettlementName, user: str = "") -> Statement:
        """The statement of a user, with the formula of every figure."""
        request = pb.GetStatementRequest(name=settlement_name(settlement), user=user)
        return Statement((await self._call(self._agency.GetStatement, request)).statement)

    async def _check_size(self, request: Message) -> None:
        """Checks that the server takes a large request; a small one fits any server."""
        size = request.ByteSize()
        if size > SMALL_BYTES:
            asked = SystemServiceStub(self._channel).GetSystemInfo
            said = await self._call(asked, GetSystemInfoRequest())
            check_size(size, said.limits.message_bytes)
