"""The processes of portfolios' jobs begin with all kernels."""

import numpy as np
from google.longrunning import operations_pb2 as longrunning

from loadloom.v1 import operations_pb2
from tests.engine.services.agency_calls import curves, grid, portfolio_request, settling
from tests.engine.services.counted_jobs import JOBS

COUNT = 300


def test_a_portfolio_loads_no_kernels_and_what_it_is_forked_from_has_no_thread(new_url):
    request = portfolio_request()
    loads = np.random.default_rng(0).random((COUNT, 24))
    request.grid.CopyFrom(grid(24))
    request.candidates.CopyFrom(curves(loads, [f"user {n}" for n in range(COUNT)]))
    request.highest_price_per_kwh.rows = 1
    request.highest_price_per_kwh.values.values[:] = [0.48]
    del request.options.explain_users[:]
    with settling(new_url("sqlite"), jobs=JOBS) as agent:
        operation = agent.stub.FormPortfolio(request)
        wait = longrunning.WaitOperationRequest(name=operation.name)
        ended = agent.operations.WaitOperation(wait, timeout=70)
    metadata = operations_pb2.OperationMetadata()
    ended.metadata.Unpack(metadata)
    assert metadata.progress.phase == "True [] 1"
