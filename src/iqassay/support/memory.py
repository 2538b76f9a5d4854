"""What becomes of freed memory, where the C library is glibc; another decides by itself."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Return what this process has freed to the system; else it is kept for later, a part of it for one thread alone: a
    few dozen megabytes of every model file that was opened, 4 bytes for each pixel of a picture."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed() -> None:
    """Keep it, for a training: else a step's large tensors are mapped afresh each time (5x slower on a CPU)."""
    with suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block has a mapping of its own
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
