"""Caffe's Blob: a shape over two memories, values and their gradient.

Caffe: include/caffe/blob.hpp, python/caffe/_caffe.cpp
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from converter.pycaffe.errors import CaffeAbortError, lacking

from .memory import Memory, Shape, view_of
from .vectors import IntVec, Vector

MOST_AXES = 32
LEGACY_AXES = 4


class Blob:
    """Values and gradients, as live arrays: they show what later passes compute."""

    __slots__ = ("_diff", "_seen", "_shape", "_values", "_view")

    def __init__(self, shape: Shape = (0,), values: Memory | None = None) -> None:
        self._shape = shape
        self._values = values or Memory()
        self._diff = Memory()
        self._values.reserve(prod(shape))
        self._diff.reserve(prod(shape))
        self._seen: Tensor | None = None
        self._view: Tensor | None = None

    @property
    def data(self) -> np.ndarray:
        """The values, writable."""
        return self._values.array(self._shape)

    @property
    def diff(self) -> np.ndarray:
        """The gradients, writable."""
        return self._diff.array(self._shape)

    @property
    def shape(self) -> IntVec:
        """The sizes."""
        return IntVec(self._shape)

    @property
    def count(self) -> int:
        """The number of values."""
        return prod(self._shape)

    @property
    def num(self) -> int:
        """The size of axis 0 of four."""
        return self._legacy(0)

    @property
    def channels(self) -> int:
        """The size of axis 1 of four."""
        return self._legacy(1)

    @property
    def height(self) -> int:
        """The size of axis 2 of four."""
        return self._legacy(2)

    @property
    def width(self) -> int:
        """The size of axis 3 of four."""
        return self._legacy(3)

    def _legacy(self, axis: int) -> int:
        if len(self._shape) > LEGACY_AXES:
            raise CaffeAbortError(
                f"num, channels, height and width are of {LEGACY_AXES} axes, the blob has "
                f"{len(self._shape)}: use its shape"
            )
        return self._shape[axis] if axis < len(self._shape) else 1

    def reshape(self, *dims: int, **others: object) -> None:
        """Give the blob this shape; what had no room for it gets new memory, zeros."""
        if others:
            raise RuntimeError("Blob.reshape takes no kwargs")
        shape = tuple(int(size) for size in dims)
        if len(shape) > MOST_AXES or min(shape, default=0) < 0:
            raise CaffeAbortError(
                f"{shape} is no shape of a blob: up to {MOST_AXES} sizes, none below 0"
            )
        self.set_shape(shape)

    def set_shape(self, shape: Shape) -> None:
        """Give the blob a shape that is one."""
        if shape != self._shape:
            self._shape, self._seen = shape, None
            count = prod(shape)
            self._values.reserve(count)
            self._diff.reserve(count)

    def tensor(self) -> Tensor:
        """Return the values as a tensor over the blob's own memory."""
        held = self._values.tensor
        if held is None or held is not self._seen or self._view is None:
            held = self._values.whole(prod(self._shape))
            self._view = view_of(held, self._shape)
            self._seen = held
        return self._view

    def diff_tensor(self) -> Tensor:
        """Return the gradients as a tensor over the blob's own memory."""
        held = self._diff.tensor
        if held is not None and held.shape == self._shape:
            return held
        return view_of(self._diff.whole(prod(self._shape)), self._shape)

    def take(self, value: Tensor, foreign: Sequence[int], *, in_place: bool = False) -> None:
        """Let the blob hold a layer's result."""
        if value.shape != self._shape:
            self.set_shape(tuple(value.shape))
        memory = self._values
        memory.take(value, foreign)
        if not in_place:
            memory.chain += 1

    def take_diff(self, value: Tensor | None, foreign: Sequence[int]) -> None:
        """Let the blob hold the gradient that a layer computed; None are zeros."""
        if value is None:
            self._diff.fill(0, prod(self._shape))
        else:
            self._diff.take(value, foreign)

    def share(self, other: Blob, *, values: bool = True, diff: bool = False) -> None:
        """Lie in another blob's memory."""
        if values and self._values is not other._values:
            self._values, self._seen = other._values, None
        if diff:
            self._diff = other._diff

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(lacking("'Blob' object", name, INSTEAD))

    def __repr__(self) -> str:
        return f"<caffe Blob {' '.join(map(str, self._shape))}>"


INSTEAD = {
    "_gpu_data_ptr": "everything runs on the CPU here, use data",
    "_gpu_diff_ptr": "everything runs on the CPU here, use diff",
}


class BlobVec(Vector):
    """A layer's own blobs."""

    def add_blob(self, *dims: int) -> None:
        """Append a blob of zeros."""
        blob = Blob()
        blob.reshape(*dims)
        self.append(blob)


def shapes_of(blobs: Iterable[Blob]) -> list[Shape]:
    """Return the shapes of blobs."""
    return [blob._shape for blob in blobs]
