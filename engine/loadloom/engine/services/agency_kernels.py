"""The kernels of portfolios and of files, there once this module is loaded; see `orderly_kernels`.

Those of settlements and sums are `models.agency.solve.warm`'s.
"""

from datetime import UTC, datetime

import numpy as np

from loadloom.models.agency.contracts import Contract
from loadloom.models.agency.portfolio import PortfolioOptions, PortfolioProblem, form_portfolio
from loadloom.models.agency.portfolio_explain import naive_rules, recruits, user_reasons
from loadloom.models.agency.portfolio_referee import figures, violations
from loadloom.models.agency.prices import affine
from loadloom.models.agency.problem import Curves
from loadloom.models.horizon import Horizon
from loadloom.solvers.kernels.columns import gather


def warm() -> None:
    """Reads columns, and forms, referees and explains a portfolio, of each precision."""
    horizon = Horizon(start=datetime(2026, 1, 1, tzinfo=UTC), step_h=np.ones(2))
    contract = Contract(name="any", schedule=affine(0.1, 0.1))
    for kind in (np.float32, np.float64):
        column = np.zeros(1, kind)
        gather(np.array([column.ctypes.data], np.uint64), np.empty((1, 1), kind))
        load_kw = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]], dtype=kind)
        problem = PortfolioProblem(
            curves=Curves(names=("one", "two", "three"), load_kw=load_kw, horizon=horizon),
            contracts=(contract,),
            highest_price_per_kwh=np.array(0.25),
        )
        solution = form_portfolio(problem, PortfolioOptions(round_limit=1))
        if solution.contract is not None:
            violations(problem, solution.contract)
            figures(problem, solution.contract)
        naive_rules(problem, solution)
        recruits(problem, solution, 1)
        user_reasons(problem, solution)


warm()
