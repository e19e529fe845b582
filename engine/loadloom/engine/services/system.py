"""The service that says what this server is and may be asked."""

import grpc

from loadloom.engine.convert.common import installed
from loadloom.engine.settings import Limits
from loadloom.v1 import system_pb2 as pb
from loadloom.v1.system_pb2_grpc import SystemServiceServicer

NAME = pb.DESCRIPTOR.services_by_name["SystemService"].full_name

LIBRARIES = ("highspy", "numba", "numpy", "ortools", "protobuf", "pyomo")
"""The solvers and libraries that answers depend on."""


class SystemService(SystemServiceServicer):
    """The service's one method; all it says is settled when the server starts."""

    def __init__(self, limits: Limits, families: list[str]) -> None:
        self._response = pb.GetSystemInfoResponse(
            engine_version=installed("loadloom").version,
            solvers=map(installed, LIBRARIES),
            families=families,
            limits=pb.Limits(**limits.model_dump()),
        )

    async def GetSystemInfo(  # noqa: N802 -- named by the proto
        self,
        request: pb.GetSystemInfoRequest,  # noqa: ARG002 -- it has no fields
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> pb.GetSystemInfoResponse:
        """The versions, limits and solvers of this server."""
        return self._response
