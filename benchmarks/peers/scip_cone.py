"""Call lists by SCIP: the deviation is a variable, and a cone holds it to the variances."""

from math import inf, isfinite

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.response import referee
from loadloom.models.response.problem import Problem
from loadloom.models.response.rows import offer_of
from loadloom.models.response.solution import Road, Solution
from loadloom.solvers.termination import Reason, Termination

FEASIBLE = 1e-9
"""By how much a row may be missed; SCIP's own 1e-6 takes as long and may miss the referee's."""


def scip_plan(problem: Problem, time_limit_s: float = inf) -> Solution:
    """The call list of least cost of one node with one need, as SCIP finds it as it comes.

    minimise cost . x  subject to  mean . x - z * deviation >= need,
    sum_i variance[i] * x[i]^2 <= deviation^2,  x binary: x^2 is x, and the cone is convex.
    """
    import pyscipopt as scip  # pyright: ignore[reportMissingImports] -- of the peers' environment

    offers, network = problem.offers, problem.network
    model = scip.Model()
    model.hideOutput()
    model.setParam("numerics/feastol", FEASIBLE)
    if isfinite(time_limit_s):
        model.setParam("limits/time", time_limit_s)
    x = [model.addVar(vtype="B", obj=float(cost)) for cost in offers.cost]
    deviation = model.addVar(lb=0.0)
    mean, variance = offers.mean_kw[:, 0].tolist(), offers.variance_kw2[:, 0].tolist()
    expected = scip.quicksum(m * each for m, each in zip(mean, x, strict=True))
    own = scip.quicksum(v * each * each for v, each in zip(variance, x, strict=True))
    model.addCons(expected - float(network.z[0]) * deviation >= float(network.need_kw[0, 0]))
    model.addCons(own <= deviation * deviation)
    model.optimize()
    proven = model.getStatus() == "optimal"
    if not model.getNSols():
        reason = (
            Reason.INFEASIBLE if model.getStatus() == "infeasible" else Reason.NO_SOLUTION_FOUND
        )
        return Solution(
            termination=Termination(reason=reason, objective=inf, bound=-inf),
            road=Road.REFERENCE,
            proof=Proof.NONE,
        )
    offer = offer_of(problem, np.array([model.getVal(each) > 0.5 for each in x]))
    cost = referee.cost(problem, offer)
    return Solution(
        termination=Termination(
            reason=Reason.OPTIMAL if proven else Reason.FEASIBLE,
            objective=cost,
            bound=min(float(model.getDualbound()), cost),
        ),
        road=Road.REFERENCE,
        proof=Proof.BRANCH_AND_BOUND,
        offer=offer,
    )
