"""Roles, and which of them may call what: the one table.

Roles above the member contain each other: an admin may do what an operator may, an operator what a
submitter may, a submitter what a viewer may. A member is one user of schedules, settlements and
events, and sees its own side of them alone. A method that is not in the table is nobody's, an
admin's neither.
"""

from dataclasses import dataclass
from enum import StrEnum

from loadloom.engine.guard import refusal


class Role(StrEnum):
    """What a caller may do.

    Attributes:
        MEMBER: see its own plan, notices, ledger and statements, and what is public, as one user.
        VIEWER: see all of its tenant.
        SUBMITTER: also have problems solved.
        OPERATOR: also announce schedules, call customers, look after what follows, and settle.
        ADMIN: also delete records.
    """

    MEMBER = "member"
    VIEWER = "viewer"
    SUBMITTER = "submitter"
    OPERATOR = "operator"
    ADMIN = "admin"


RANK = {role: rank for rank, role in enumerate(Role)}

TABLE: dict[str, dict[str, Role]] = {
    "loadloom.v1.DispatchService": {
        "PlanDispatch": Role.SUBMITTER,
        "BatchPlanDispatch": Role.SUBMITTER,
        "StreamPlanDispatch": Role.SUBMITTER,
        "PlanFleet": Role.SUBMITTER,
        "ListSitePlans": Role.VIEWER,
    },
    "loadloom.v1.OrderlyService": {
        "CreateSchedule": Role.SUBMITTER,
        "ReviseSchedule": Role.SUBMITTER,
        "GetSchedule": Role.MEMBER,
        "ListSchedules": Role.MEMBER,
        "ExplainSchedule": Role.VIEWER,
        "DeleteSchedule": Role.OPERATOR,
        "PublishSchedule": Role.OPERATOR,
        "ConfirmDay": Role.OPERATOR,
        "StreamNotices": Role.MEMBER,
        "ListNotices": Role.MEMBER,
        "AcknowledgeNotice": Role.MEMBER,
        "RecordDelivery": Role.OPERATOR,
        "SettleSchedule": Role.OPERATOR,
        "GetLedger": Role.MEMBER,
    },
    "loadloom.v1.AgencyService": {
        "AggregateLoads": Role.SUBMITTER,
        "AggregateLoadStream": Role.SUBMITTER,
        "AssessPrices": Role.SUBMITTER,
        "ShareCost": Role.SUBMITTER,
        "PlanPurchase": Role.SUBMITTER,
        "FormPortfolio": Role.SUBMITTER,
        "CreateSettlement": Role.OPERATOR,
        "CorrectSettlement": Role.OPERATOR,
        "GetSettlement": Role.MEMBER,
        "ListSettlements": Role.MEMBER,
        "ListStatements": Role.VIEWER,
        "GetStatement": Role.MEMBER,
    },
    "loadloom.v1.ResponseService": {
        "ForecastNeed": Role.SUBMITTER,
        "PlanTargets": Role.SUBMITTER,
        "CheckConfidence": Role.SUBMITTER,
        "CreateEvent": Role.OPERATOR,
        "GetEvent": Role.MEMBER,
        "ListEvents": Role.MEMBER,
        "CancelEvent": Role.OPERATOR,
        "ListCalls": Role.MEMBER,
        "RecordAnswers": Role.MEMBER,
        "RetargetEvent": Role.OPERATOR,
        "WatchCalls": Role.MEMBER,
        "ExportEvent": Role.VIEWER,
        "ImportReports": Role.OPERATOR,
        "MeasureResponse": Role.SUBMITTER,
        "SettleEvent": Role.OPERATOR,
        "GetEventSettlement": Role.VIEWER,
        "ListPayments": Role.MEMBER,
        "ListReliabilities": Role.VIEWER,
    },
    "loadloom.v1.OperationEventService": {"WatchOperation": Role.VIEWER},
    "google.longrunning.Operations": {
        "GetOperation": Role.VIEWER,
        "ListOperations": Role.VIEWER,
        "WaitOperation": Role.VIEWER,
        "CancelOperation": Role.SUBMITTER,
        "DeleteOperation": Role.ADMIN,
    },
    "loadloom.v1.SystemService": {"GetSystemInfo": Role.MEMBER},
}
"""The least role of each method of each service."""

NOT_FOR_VIEWERS = {
    "/loadloom.v1.OrderlyService/AcknowledgeNotice",
    "/loadloom.v1.ResponseService/RecordAnswers",
}
"""Methods of members that change something: all others who call them must be operators."""

LEAST = {f"/{service}/{name}": role for service, its in TABLE.items() for name, role in its.items()}

OPEN = "/grpc.health.v1.Health/"
"""How the methods begin that ask for no token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls.

    Attributes:
        tenant: whose rows it may see; no others exist for it.
        role: what it may do.
        user: the user that a member is; empty for all other roles.
        token: the id of its token; empty where callers are not told apart.
    """

    tenant: str = ""
    role: Role = Role.ADMIN
    user: str = ""
    token: str = ""

    def check(self, method: str) -> None:
        """Checks that the caller may call a method.

        Raises:
            Refusal: it may not.
        """
        least = LEAST.get(method)
        if method in NOT_FOR_VIEWERS and self.role is not Role.MEMBER:
            least = Role.OPERATOR
        if least is None or RANK[self.role] < RANK[least]:
            raise refusal.denied(self.role, least)

    def seen_as(self, user: str) -> str:
        """The user through whose eyes to look: the one asked for, and for a member itself.

        Raises:
            Refusal: a member asked for somebody else.
        """
        if self.role is not Role.MEMBER:
            return user
        if user and user != self.user:
            raise refusal.other_user()
        return self.user


EVERYBODY = Caller()
"""Whoever calls where callers are not told apart: admin of the one tenant."""
