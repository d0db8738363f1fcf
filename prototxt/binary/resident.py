"""What lies in memory without need, and giving it back to the system."""

from __future__ import annotations

import ctypes
import mmap
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

_TABLE = Path("/proc/self/pagemap")
"""A number for each page of the process, whose bits say where it is."""
_PRESENT, _SWAPPED, _OF_FILE = (np.uint64(1 << bit) for bit in (63, 62, 61))


def let_go(data: memoryview) -> None:
    """Give the system back the pages of a private map, which reads them from the file again.

    All stay where one was written to, since the file does not have it, and where the system does
    not tell.
    """
    pages = data.obj
    if not isinstance(pages, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    with suppress(OSError):
        if not _changed(data).any():
            pages.madvise(mmap.MADV_DONTNEED)


def _changed(data: memoryview) -> np.ndarray:
    """Tell for each page whether it is no more the file's; OSError where that is not known."""
    first = np.frombuffer(data, np.uint8).ctypes.data // mmap.PAGESIZE
    count = -(-len(data) // mmap.PAGESIZE)
    with _TABLE.open("rb", buffering=0) as file:
        file.seek(8 * first)
        table = np.frombuffer(file.read(8 * count), np.uint64)
    if len(table) < count:
        raise OSError(f"{_TABLE} is cut off")
    changed: np.ndarray = (table & _PRESENT != 0) & (table & _OF_FILE == 0)
    changed |= table & _SWAPPED != 0
    return changed


def trim() -> None:
    """Give the system back what was freed: glibc keeps it, other libraries do not."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
