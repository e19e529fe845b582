"""Freed memory, kept for the next batch instead of being handed back to the system.

A batch of 1,000 sites needs some 10 MB. As glibc comes, blocks of that size go back to the system
when they are freed, and every batch pays page faults for new ones: some 8 us a site, as much as
its solution.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The parameters of mallopt(3)."""

KEEP_BYTES = 256 << 20
"""Freed memory is given back from here on."""

LARGEST_BYTES = 32 << 20
"""Blocks up to here come from memory that is kept; glibc takes no larger number."""


def keep_freed() -> None:
    """Has glibc keep freed memory; other C libraries are left as they are."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, KEEP_BYTES)
