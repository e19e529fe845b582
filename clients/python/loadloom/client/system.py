"""A server's account of itself."""

from dataclasses import dataclass

from loadloom.v1.system_pb2 import GetSystemInfoResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemInfo:
    """The versions, families and limits of a server; limits are named as in the API."""

    engine_version: str
    solvers: dict[str, str]
    families: tuple[str, ...]
    limits: dict[str, float]


def system_info(answer: GetSystemInfoResponse) -> SystemInfo:
    """The account in a server's answer."""
    names = [field.name for field in answer.limits.DESCRIPTOR.fields]
    return SystemInfo(
        engine_version=answer.engine_version,
        solvers={solver.name: solver.version for solver in answer.solvers},
        families=tuple(answer.families),
        limits={name: getattr(answer.limits, name) for name in names},
    )
