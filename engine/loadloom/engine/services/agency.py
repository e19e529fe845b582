"""The service of an agent that buys for many users and settles with each of them."""

import re
from collections.abc import AsyncIterator
from contextlib import contextmanager
from functools import partial

import grpc

from loadloom.engine.answers import agency as answers
from loadloom.engine.answers import load_sums as sums
from loadloom.engine.answers import purchases, settlements
from loadloom.engine.answers.portfolios import OVERHEAD_S
from loadloom.engine.convert import corrections
from loadloom.engine.convert import load_sums as convert_sums
from loadloom.engine.convert import portfolios as convert_portfolios
from loadloom.engine.convert import purchases as convert_purchases
from loadloom.engine.convert import settlements as convert_settlements
from loadloom.engine.convert import shares as convert_shares
from loadloom.engine.convert.common import declared
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.family import Family, Kind, Runner, decoded, read
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import caller, deadline, note
from loadloom.engine.services import settlements as kept
from loadloom.engine.services.agency_jobs import FORM, NAME
from loadloom.engine.services.commission import commission
from loadloom.engine.services.load_stream import LoadStream
from loadloom.engine.services.methods import Methods
from loadloom.engine.services.operations import Operations
from loadloom.engine.services.settlements import Desk, Past
from loadloom.engine.settings import Settings
from loadloom.engine.store.database import Database
from loadloom.engine.store.operations import OtherRequest
from loadloom.engine.store.settlements import CorrectedMeanwhile, NoSuchSettlement
from loadloom.v1 import agency_pb2 as pb

FAMILY = "agency"

REQUEST_ID = re.compile(r"[ -~]{1,200}")
SETTLEMENT = re.compile(r"settlements/[0-9a-f]{32}")


class AgencyService:
    """The methods of the service, from bytes to bytes."""

    def __init__(self, operations: Operations, runner: Runner) -> None:
        self._operations, self._runner = operations, runner
        self._settings: Settings = operations.settings
        self._roots = Roots(self._settings.data_roots)
        self._methods = Methods(operations, runner, self._desk, _refused)
        self._assess = Family(
            name=FAMILY,
            request=pb.AssessPricesRequest,
            parse=convert_shares.parse_trial,
            solve=answers.assessed,
            render=convert_shares.render_trial,
            sizes=lambda problem: {"users": problem.curves.count if problem.curves else 0},
            large="curves",
        )
        self._share = Family(
            name=FAMILY,
            request=pb.ShareCostRequest,
            parse=convert_shares.parse_sharing,
            solve=answers.shared,
            render=convert_shares.render_sharing,
            sizes=lambda problem: {"users": problem.curves.count, "rules": len(problem.rules)},
            large="rules",
        )
        self._purchase = Family(
            name=FAMILY,
            request=pb.PlanPurchaseRequest,
            parse=convert_purchases.parse,
            solve=purchases.bought,
            render=convert_purchases.render,
            sizes=lambda problem: {
                "intervals": problem.horizon.count,
                "plants": len(problem.plants),
            },
            large="plants",
        )
        self._sum = Family(
            name=FAMILY,
            request=pb.AggregateLoadsRequest,
            parse=partial(
                convert_sums.parse,
                roots=self._roots,
                cluster=self._settings.cluster,
                cluster_folder=self._settings.cluster_folder,
            ),
            solve=sums.added,
            render=convert_sums.render,
            sizes=lambda problem: {"users": problem.user_count},
            large="options",
        )
        self._settle = Kind(
            name=FAMILY,
            parse=partial(convert_settlements.parse, roots=self._roots),
            solve=settlements.settled,
            sizes=lambda problem: {"users": problem.user_count},
        )

    def handler(self) -> grpc.GenericRpcHandler:
        """The methods by their names in the proto; none has a (de)serializer, as all take bytes."""
        its = self._methods
        methods = {
            "AggregateLoads": its.solved(self._sum),
            "AssessPrices": its.solved(self._assess),
            "ShareCost": its.solved(self._share),
            "PlanPurchase": its.solved(self._purchase),
            "FormPortfolio": self.form_portfolio,
            "CreateSettlement": self.create_settlement,
            "CorrectSettlement": self.correct_settlement,
            "GetSettlement": its.looked_up(pb.GetSettlementRequest, kept.get),
            "ListSettlements": its.looked_up(pb.ListSettlementsRequest, kept.page),
            "ListStatements": its.looked_up(pb.ListStatementsRequest, kept.page_statements),
            "GetStatement": its.looked_up(pb.GetStatementRequest, kept.statement),
        }
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {name: unary(method) for name, method in methods.items()}
        chunks = grpc.stream_unary_rpc_method_handler(self.add_stream)
        return grpc.method_handlers_generic_handler(
            NAME, {**handlers, "AggregateLoadStream": chunks}
        )

    async def add_stream(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
    ) -> bytes:
        """The sum of curves that come in chunks."""
        until = deadline(context, self._settings)
        return await LoadStream(self._runner, self._sum, until).serve(requests)

    async def form_portfolio(
        self,
        raw: bytes,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> bytes:
        """The operation that will have the portfolio."""
        limits = self._runner.limits

        def read() -> tuple[str, float]:
            message = decoded(pb.FormPortfolioRequest, raw)
            asked = convert_portfolios.parse(message, limits, roots=self._roots)
            users = len(message.candidates.names)
            note(family=FAMILY, users=users, contracts=len(asked.contracts))
            return message.request_id, asked.options.time_limit_s + OVERHEAD_S

        request_id, limit_s = await self._runner.bulk.run(read)
        whole = commission(raw, limits)
        return await self._operations.submit(
            FORM, whole, asked=raw, request_id=request_id, limit_s=limit_s
        )

    async def create_settlement(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The settlement of a request, which is on the disk."""
        until = deadline(context, self._settings)
        asked = await self._runner.bulk.run(read, pb.CreateSettlementRequest, raw)
        found = None
        if REQUEST_ID.fullmatch(asked.message.request_id):  # else it is told with all other faults
            found = await self._methods.ask(kept.known, asked)
        if found is None:
            answered = await self._runner.answered(self._settle, asked, until)
            found = await self._methods.ask(kept.keep, asked, answered)
        note(settlement=found.name)
        return pb.CreateSettlementResponse(settlement=found).SerializeToString()

    async def correct_settlement(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The settlement that corrects another, which is on the disk."""
        until = deadline(context, self._settings)
        asked = await self._runner.bulk.run(read, pb.CorrectSettlementRequest, raw)
        its = asked.message
        if not (REQUEST_ID.fullmatch(its.request_id) and SETTLEMENT.fullmatch(its.name)):
            raise refusal.invalid(declared(its))
        found = await self._methods.ask(kept.known, asked)
        if found is None:
            past: Past = await self._methods.ask(kept.past, its.name)
            following = partial(
                corrections.parse,
                roots=self._roots,
                first=past.request,
                changes=past.changes,
                before=past.before,
            )
            kind = Kind(
                name=FAMILY, parse=following, solve=self._settle.solve, sizes=self._settle.sizes
            )
            answered = await self._runner.answered(kind, asked, until)
            found = await self._methods.ask(kept.keep, asked, answered, past, its.reason)
        note(settlement=found.name)
        return pb.CorrectSettlementResponse(settlement=found).SerializeToString()

    def _desk(self, database: Database) -> Desk:
        most = self._runner.limits.message_bytes
        return Desk(database=database, caller=caller(), message_bytes=most)


@contextmanager
def _refused():  # noqa: ANN202 -- an iterator
    """Turns what the store raises about settlements into what callers are told."""
    try:
        yield
    except NoSuchSettlement as error:
        raise refusal.not_found(str(error)) from error
    except OtherRequest as error:
        raise refusal.other_request(str(error)) from error
    except CorrectedMeanwhile as error:
        raise refusal.overtaken("the settlement") from error
