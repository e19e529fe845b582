# pyright: reportMissingImports=false
# It is installed for measurements alone.
"""pyCoopGame on a game of savings: Shapley value, and the nucleolus by one programme of weights.

Its nucleolus asks for GLPK by name; here the same programme is solved by HiGHS.
"""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
from pyomo.environ import SolverFactory

from loadloom.models.agency.games import members
from loadloom.models.horizon import FloatArray


def installed() -> bool:
    """Whether pyCoopGame can be asked."""
    try:
        import pyCoopGame  # noqa: F401 -- only to see that it is there
    except ImportError:
        return False
    return True


def table(worths: FloatArray) -> pd.DataFrame:
    """The game as pyCoopGame has it: every coalition with its worth, small ones first."""
    count = worths.size.bit_length() - 1
    order = sorted(range(worths.size), key=lambda s: (s.bit_count(), s))
    coalitions = [members(s, count).tolist() for s in order]
    return pd.DataFrame({"coalition": coalitions, "value": worths[order]})


def shapley(game: pd.DataFrame) -> FloatArray:
    """The Shapley value by pyCoopGame."""
    from pyCoopGame import Shapley

    with redirect_stdout(StringIO()):
        return _in_order(Shapley.Shapley(game))


def nucleolus(game: pd.DataFrame) -> FloatArray:
    """The nucleolus by pyCoopGame, with the weights it comes with."""
    from pyCoopGame import Nucleolus

    Nucleolus.solve_model = _solved
    with redirect_stdout(StringIO()):
        return _in_order(Nucleolus.nucleolus(game))


def _solved(instance: Any, GAMS: bool = False) -> tuple[Any, Any]:  # noqa: ANN401, ARG001, N803
    results = SolverFactory("appsi_highs").solve(instance)
    return results, instance


def _in_order(shares: dict[int, float]) -> FloatArray:
    return np.array([shares[player] for player in sorted(shares)])
