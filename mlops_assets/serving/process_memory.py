"""How much memory this process takes."""

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Return what the process has in memory, after it has given back what it no longer needs; 0 if not known.

    Without giving back, what a model takes could be what another one left, and would seem to cost nothing.
    """
    give_back()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:  # not Linux
        return 0


def give_back() -> None:
    """Return freed memory to the system, which the allocator may keep otherwise."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> Any | None:
    try:
        libc = ctypes.CDLL(None)
        _ = libc.malloc_trim
    except (OSError, AttributeError):
        return None
    return libc
