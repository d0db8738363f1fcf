"""How tensors N x C x ... lie in memory, and how they are cut into tiles for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

TILE_VALUES = 2048  # of one tensor in a tile: with four warps, 16 a thread
MOST_CHANNELS = 256  # in a tile of a channels-last tensor: more gain nothing in reading
FEWEST_PROGRAMS = 2048  # of a reduction: they should fill any GPU, and be the same on each
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Torch's name of the format by the number of axes."""


def memory_format(x: Tensor) -> torch.memory_format:
    """Return the format in which a tensor is taken as it lies; contiguous if there is none."""
    last = CHANNELS_LAST.get(x.dim())
    if last is None or x.is_contiguous() or not x.is_contiguous(memory_format=last):
        return torch.contiguous_format
    return last


@dataclass(frozen=True)
class Layout:
    """`groups` times `rows` rows of `size` values; each row has one weight, in this order.

    Value i of row r of group g is at `g * rows * size + r * row_stride + i * step`. A contiguous
    tensor is one group of N * C rows, a channels-last one N groups of C rows.
    """

    groups: int
    rows: int
    size: int
    row_stride: int
    step: int

    @classmethod
    def of(cls, x: Tensor) -> Layout:
        """Return how x lies, once it is contiguous in its own `memory_format`."""
        n, c = x.shape[:2]
        size = prod(x.shape[2:])
        if memory_format(x) == torch.contiguous_format:
            return cls(1, n * c, size, size, 1)
        return cls(n, c, size, 1, c)


@dataclass(frozen=True)
class Tiling:
    """Tiles of `rows` x `size` values; a program walks over `chunk` values of its rows."""

    layout: Layout
    rows: int
    size: int
    chunk: int

    @classmethod
    def of(cls, x: Tensor, *, sums: int) -> Tiling:
        """Cut a tensor into tiles for a kernel that makes `sums` sums over each row.

        A program owns whole rows of a reduction where that gives enough programs; otherwise each
        row has several, `splits`, whose sums are to be added. A tile is the smaller the more sums
        there are: they stay in registers.
        """
        layout = Layout.of(x)
        values = TILE_VALUES // max(_power_of_two(max(sums, 1)) // 2, 1)
        if layout.step == 1:
            size = min(_power_of_two(layout.size), values)
            rows = min(_power_of_two(layout.rows), values // size)
        else:
            rows = min(_power_of_two(layout.rows), MOST_CHANNELS)
            size = min(_power_of_two(layout.size), values // rows)
        chunk = size
        if sums:
            owners = max(layout.groups * _ceil_div(layout.rows, rows), 1)
            parts = _ceil_div(FEWEST_PROGRAMS, owners)
            chunk *= max(_ceil_div(_ceil_div(layout.size, size), parts), 1)
        return cls(layout, rows, size, chunk)

    @property
    def splits(self) -> int:
        """How many programs share a row."""
        return _ceil_div(self.layout.size, self.chunk)

    @property
    def programs(self) -> int:
        """How many programs there are."""
        return self.splits * self.layout.groups * _ceil_div(self.layout.rows, self.rows)


def alike(tensors: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """Return the tensors in the memory format of x, copied only where they lie otherwise."""
    form = memory_format(x)
    return [tensor.contiguous(memory_format=form) for tensor in tensors]


def empty_alike(x: Tensor) -> Tensor:
    """Return a tensor without values yet, of the shape, dtype and memory format of x."""
    return torch.empty_like(x, memory_format=memory_format(x))


def _ceil_div(value: int, by: int) -> int:
    return -(-value // by)


def _power_of_two(value: int) -> int:
    """Return the least power of two that is no less."""
    return 1 << max(value - 1, 0).bit_length()
