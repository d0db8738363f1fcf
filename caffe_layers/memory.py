"""The memory of blobs: whether it is taken and filled, and the error where there is too little."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod

import torch
from torch import Tensor

from prototxt.errors import UnsupportedError

_REFUSED = re.compile(r"can't allocate memory|out of memory|Storage size calculation overflowed")
FIX = (
    "are its sizes those that the network is for? `caffeport show` and `check` need no memory "
    "for weights"
)


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


def new_blob(name: str, shape: Sequence[int]) -> Tensor:
    """Return a blob whose values are not set; UnsupportedError for one that memory lacks."""
    if _weightless.get():
        return torch.zeros(()).expand(shape)
    size = prod(shape) * torch.get_default_dtype().itemsize
    with held(f"blob {name!r}, {'x'.join(map(str, shape))}, {size:,} bytes"):
        return torch.empty(shape)


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
