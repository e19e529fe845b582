"""The kernels of weekly schedules, there once this module is loaded.

A fork server loads it, so that the processes of solves begin with compiled kernels: to load them
from Numba's cache takes each process most of a second.
"""

import loadloom.models.orderly.leximin
import loadloom.models.orderly.stages  # noqa: F401 -- solves load both when they run
from loadloom.models.orderly.solve import warm

warm()
