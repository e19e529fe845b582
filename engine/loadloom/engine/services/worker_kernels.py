"""The kernels of all that worker processes solve, there once this module is loaded.

Those of dispatch apart, which the server itself needs; see `orderly_kernels`.
"""

import loadloom.engine.services.agency_kernels
import loadloom.engine.services.response_kernels  # noqa: F401 -- loading them is what is asked
from loadloom.models.agency.solve import warm

warm()
