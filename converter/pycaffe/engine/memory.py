"""The numbers of blobs: memory that users' arrays show, and that results become without a copy."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

Shape = tuple[int, ...]
FLOAT = 4
"""Bytes of a number."""


class _Holder:
    """What arrays are made over: while one lives, or a view of one, this lives."""

    __slots__ = ("__array_interface__", "__weakref__", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.__array_interface__ = {
            "data": (tensor.data_ptr(), False),
            "shape": (tensor.numel(),),
            "typestr": "<f4",
            "version": 3,
        }


class Memory:
    """The float32 values of a blob, or of several that share them; zeros where nobody wrote.

    `tensor` has any shape, is contiguous and may be longer than a blob that lies in it. It is
    another one after each `take`, unless an array shows it. `chain` counts what was written by
    others than layers that work in place.
    """

    __slots__ = ("_holder", "capacity", "chain", "tensor")

    def __init__(self, tensor: Tensor | None = None) -> None:
        self.tensor = tensor
        self.capacity = 0 if tensor is None else tensor.numel()
        self.chain = 0
        self._holder: weakref.ref[_Holder] | None = None

    def reserve(self, count: int) -> None:
        """Have room for so many values: new zeros where there was less, else what is there."""
        if count > self.capacity:
            self.capacity, self.tensor, self._holder = count, None, None
            self.chain += 1

    def whole(self, count: int) -> Tensor:
        """Return the tensor that holds at least `count` values."""
        if self.tensor is None or self.tensor.numel() < count:
            self.tensor, self._holder = torch.zeros(max(count, self.capacity)), None
        return self.tensor

    @property
    def is_shown(self) -> bool:
        """Tell whether an array shows this memory: then its place stays."""
        return self._holder is not None and self._holder() is not None

    def array(self, shape: Shape) -> np.ndarray:
        """Return the live array of the first values, in this shape."""
        count = prod(shape)
        if not count:
            return np.zeros(shape, np.float32)
        holder = self._holder() if self._holder is not None else None
        tensor = self.whole(count)
        if holder is None or holder.tensor is not tensor:
            holder = _Holder(tensor)
            self._holder = weakref.ref(holder)
        values = np.asarray(holder)
        if values.size != count:
            values = values[:count]
        return values.reshape(shape)

    def take(self, value: Tensor, foreign: Sequence[int]) -> None:
        """Let this memory hold a result: be it, or copy it where an array shows this memory.

        A result that lies in memory of others, at one of the `foreign` addresses or within more
        than its own values, is copied too.
        """
        if (
            (self._holder is None or self._holder() is None)
            and value.dtype is torch.float32
            and value.is_contiguous()
            and value.data_ptr() not in foreign
            and value.untyped_storage().nbytes() == value.numel() * FLOAT
        ):
            self.tensor = value.data if value.requires_grad else value
        else:
            self.copy(value)

    def copy(self, value: Tensor) -> None:
        """Write values into this memory."""
        count = value.numel()
        if count:
            place = self.whole(count)
            if place.data_ptr() != value.data_ptr() or value.dtype is not torch.float32:
                place.view(-1)[:count].view(value.shape).copy_(value)

    def fill(self, value: float, count: int) -> None:
        """Set the first values."""
        if self.tensor is not None or value:
            self.whole(count).view(-1)[:count].fill_(value)


def view_of(tensor: Tensor, shape: Shape) -> Tensor:
    """Return the first values of a memory's tensor in a shape."""
    if tensor.shape == shape:
        return tensor
    count: Any = prod(shape)
    return tensor.view(-1)[:count].view(shape)
