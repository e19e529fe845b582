"""Pieces of kernels that are written for LLVM itself."""

from collections.abc import Callable
from typing import Any

from numba.extending import intrinsic


def native(typed: Callable[..., Any]) -> Any:
    """An intrinsic; its callers leave out the first argument, which is Numba's."""
    return intrinsic(typed)
