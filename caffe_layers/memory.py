"""The memory of blobs: whether it is taken and filled, and the error where there is too little."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path

import torch
from torch import Tensor

from prototxt.errors import UnsupportedError

_REFUSED = re.compile(r"can't allocate memory|out of memory|Storage size calculation overflowed")
SIZES = "are its sizes those that the network is for?"
FIX = f"{SIZES} `caffeport show` and `check` need no memory for weights that are not given"
LARGE = 1 << 28
"""Blobs that together are smaller are made without a look at what is free."""


@contextmanager
def held(what: str) -> Iterator[None]:
    """Raise UnsupportedError, which says that memory does not hold `what`, where that is so."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        raise UnsupportedError(f"memory does not hold {what}", fix=FIX) from None


def is_lack_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch or NumPy says that memory was not to be had."""
    return isinstance(error, MemoryError) or bool(_REFUSED.search(str(error)))


_unfilled: ContextVar[bool] = ContextVar("unfilled", default=False)
_weightless: ContextVar[bool] = ContextVar("weightless", default=False)


MOST_VALUES = 1 << 60
"""So many the system's numbers count, in bytes of doubles."""


def new_blob(name: str, shape: Sequence[int]) -> Tensor:
    """Return a blob whose values are not set; UnsupportedError for one that memory lacks."""
    size = prod(shape) * torch.get_default_dtype().itemsize
    what = f"blob {name!r}, {'x'.join(map(str, shape))}, {size:,} bytes"
    if prod(shape) > MOST_VALUES:
        raise UnsupportedError(f"no memory holds {what}", fix=SIZES)
    if _weightless.get():
        return torch.zeros(()).expand(shape)
    if not _room_for(size):
        raise UnsupportedError(f"memory does not hold {what}", fix=FIX)
    with held(what):
        return torch.empty(shape)


@dataclass
class _Reserved:
    """What new blobs will take once their values are set, `share` bytes for each of theirs."""

    share: float
    room: float | None = None
    """What was free before the first large one; infinite where the system does not say."""
    size: float = 0


_reserved: ContextVar[_Reserved | None] = ContextVar("reserved", default=None)


@contextmanager
def reserving(dtype: torch.dtype) -> Iterator[None]:
    """Refuse new blobs that, together and as `dtype`, are more than the memory that is free.

    The system grants memory that it does not have, and ends the process that fills it.
    """
    share = max(1, dtype.itemsize / torch.get_default_dtype().itemsize)
    token = _reserved.set(_Reserved(share))
    try:
        yield
    finally:
        _reserved.reset(token)


def _room_for(size: int) -> bool:
    """Tell whether one more new blob finds room; small sums are not looked at."""
    reserved = _reserved.get()
    if reserved is None:
        return True
    reserved.size += size * reserved.share
    if reserved.size < LARGE:
        return True
    if reserved.room is None:
        reserved.room = free_memory()
    return reserved.size <= reserved.room


def free_memory() -> float:
    """Return how many bytes the system can give, of the machine's and the container's; or inf."""
    free = [inf]
    with suppress(OSError, ValueError):
        said = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
        free += [int(said[1]) << 10] if said else []
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text("ascii"))  # "max" where there is no limit
        free.append(most - int((group / "memory.current").read_text("ascii")))
    return min(free)


def new_blobs_are_filled() -> bool:
    """Tell whether a new blob gets its filler's values."""
    return not (_unfilled.get() or _weightless.get())


@contextmanager
def unfilled() -> Iterator[None]:
    """Leave new blobs unset: weights are about to be copied into them."""
    token = _unfilled.set(True)
    try:
        yield
    finally:
        _unfilled.reset(token)


@contextmanager
def weightless(on: bool = True) -> Iterator[None]:
    """Let new blobs be zeros that take no memory, whatever their shapes, and cannot be written."""
    token = _weightless.set(on)
    try:
        yield
    finally:
        _weightless.reset(token)
