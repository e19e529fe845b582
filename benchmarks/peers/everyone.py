"""All peers together. Importing them needs the environment that `make bench` sets up."""

from benchmarks.peers import (
    highs_arrays,
    linopy_model,
    oemof_system,
    pyomo_model,
    pypsa_network,
)

FRESH = (
    highs_arrays.LINEAR,
    pyomo_model.PLAIN,
    linopy_model.PLAIN,
    pypsa_network.PLAIN,
    oemof_system.PLAIN,
)
"""Those who start from nothing but the columns."""

HELD = (highs_arrays.WARM, pyomo_model.HELD, linopy_model.HELD, pypsa_network.HELD)
"""Those who keep a model between solves."""
