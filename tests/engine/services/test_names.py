"""The handlers that are written by hand are those of the proto."""

from types import SimpleNamespace

import pytest

from loadloom.engine.services.dispatch import NAME, DispatchService
from loadloom.engine.settings import Settings
from loadloom.v1 import dispatch_pb2 as pb

METHODS = list(pb.DESCRIPTOR.services_by_name["DispatchService"].methods)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_has_a_handler_of_its_kind(method):
    handler = DispatchService(Settings(), runner=None, operations=None).handler()
    found = handler.service(
        SimpleNamespace(method=f"/{NAME}/{method.name}", invocation_metadata=())
    )
    assert found.request_streaming == method.client_streaming
    assert found.response_streaming == method.server_streaming
    assert found.request_deserializer is found.response_serializer is None
