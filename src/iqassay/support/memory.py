"""Memory that is free, back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Return what this process has freed, where its C library can (glibc), which else keeps it for later: a few dozen
    megabytes of every model file that was opened."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
