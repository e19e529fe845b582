"""Memory: freed, it is kept for the next batch; processes that solve have a limit of it.

A batch of 1,000 sites needs some 10 MB. As glibc comes, blocks of that size go back to the system
when they are freed, and every batch pays page faults for new ones: some 8 us a site, as much as
its solution.
"""

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The parameters of mallopt(3)."""

KEEP_BYTES = 256 << 20
"""Freed memory at the end of an arena is given back from here on; glibc has several arenas."""

LARGEST_BYTES = 32 << 20
"""Blocks up to here come from memory that is kept; glibc takes no larger number."""


def keep_freed() -> None:
    """Has glibc keep freed memory; other C libraries are left as they are."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, LARGEST_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, KEEP_BYTES)


def confine(memory_bytes: int) -> None:
    """Has this process fail before the machine does: it may take so much memory, any with 0."""
    with suppress(OSError):  # the first to be killed when the machine runs out, where allowed
        Path("/proc/self/oom_score_adj").write_text("1000")
    if memory_bytes:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        if most != resource.RLIM_INFINITY:  # whoever started the server allows no more
            memory_bytes = min(memory_bytes, most)
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def give_back() -> None:
    """Gives all that nobody holds back to the system; some 10 ms, worth it after a peak alone."""
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
