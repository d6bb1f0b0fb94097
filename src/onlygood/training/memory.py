"""Memory that training frees a moment before it needs it again."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's mallopt: what lies at the end of the heap is given back above this; what is larger gets pages of its own.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MMAP_MOST, _TRIM_MOST = 32 << 20, 2**31 - 1
# Left to itself, glibc raises both as memory is freed, up to these. Whoever sets one ends that for good, so what is
# left behind is where it ends: with its first values every larger piece of memory would be a call to the system.
_MMAP_AFTER, _TRIM_AFTER = _MMAP_MOST, 2 * _MMAP_MOST


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within, freed memory stays with the process; after, all but 64 MB of it goes back to the system.

    A step of training frees and asks for the same tens of megabytes, and fresh pages of the system cost as much as the
    arithmetic on them. It changes speed alone, and only where the C library is glibc: without it a training takes 8 to
    30 % more of the processor's time (`benchmarks/studies/kept_memory.py`).
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_TRIM_THRESHOLD, _TRIM_MOST)
    libc.mallopt(_MMAP_THRESHOLD, _MMAP_MOST)
    try:
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, _TRIM_AFTER)
        libc.mallopt(_MMAP_THRESHOLD, _MMAP_AFTER)
        libc.malloc_trim(0)
