from importlib.metadata import version

from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub


def test_the_server_tells_its_version_limits_solvers_and_families(channel):
    found = SystemServiceStub(channel).GetSystemInfo(GetSystemInfoRequest())
    assert found.engine_version == version("loadloom")
    assert {solver.name: solver.version for solver in found.solvers}["highspy"] == version(
        "highspy"
    )
    assert list(found.families) == ["dispatch", "orderly", "agency", "response"]
    limits = {field.name: value for field, value in found.limits.ListFields()}
    # Nothing is said of what a tenant may use where it may use everything.
    told = {field.name for field in found.limits.DESCRIPTOR.fields}
    assert set(limits) == {name for name in told if not name.startswith("tenant_")}
    assert limits["message_bytes"] == 2**24
