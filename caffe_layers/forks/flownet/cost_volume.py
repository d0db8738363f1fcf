"""The cost volume of Correlation and Correlation1D: one image against shifts of another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

MULTIPLY, SUBTRACT = "MULTIPLY", "SUBTRACT"
END = int(np.iinfo(np.int64).max)


class CostVolume(NamedTuple):
    """How two images are padded, which shifts of the second meet the first: by rows and columns.

    They are ranges, since a definition may ask for more of them than memory holds. `margin` rows
    and columns of the padded first image are left out on every side, so that each shift finds
    values there; windows of `kernel` x `kernel` are averaged every `stride` places.
    """

    pad: tuple[int, int]
    margin: tuple[int, int]
    rows: range
    columns: range
    kernel: int
    stride: int
    operation: str

    def shape(self, a: Shape, b: Shape) -> Shape:
        """Return the volume's shape; ShapeError unless the images fit the settings."""
        for shape in (a, b):
            require(len(shape) == 4, f"bottom {shape} has {len(shape)} axes, wants N x C x H x W")
        require(a == b, f"bottoms {a} and {b} differ")
        inner = [
            size + 2 * pad - 2 * margin
            for size, pad, margin in zip(a[2:], self.pad, self.margin, strict=True)
        ]
        if min(inner) < self.kernel:
            raise ShapeError(
                f"neighbourhood and kernel do not fit into {a[2:]} with pad {self.pad}"
            )
        height, width = ((size - self.kernel) // self.stride + 1 for size in inner)
        return a[0], len(self.rows) * len(self.columns), height, width

    def compute(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the volume."""
        down, right = self._slack()
        a = F.pad(a, (self.pad[1], self.pad[1], self.pad[0], self.pad[0]))
        b = F.pad(b, (self.pad[1] + right, self.pad[1], self.pad[0] + down, self.pad[0]))
        top, left = self.margin
        height, width = a.shape[2] - 2 * top, a.shape[3] - 2 * left
        a = a[:, :, top : top + height, left : left + width]
        costs = []
        for rows, columns in product(self.rows, self.columns):
            y, x = top + down + rows, left + right + columns
            seen = b[:, :, y : y + height, x : x + width]
            cost = a * seen if self.operation == MULTIPLY else (a - seen).abs()
            costs.append(cost.mean(1))
        volume = torch.stack(costs, 1)
        if (self.kernel, self.stride) == (1, 1):
            return volume
        return F.avg_pool2d(volume, self.kernel, self.stride)

    def _slack(self) -> tuple[int, int]:
        """Return how many rows and columns of zeros the first shifts need before the padding."""
        rows, columns = (
            max(0, -shifts[0] - margin)
            for shifts, margin in zip((self.rows, self.columns), self.margin, strict=True)
        )
        return rows, columns

    def emit(self, op: Op, a: str, b: str) -> str:
        """Append the nodes of `compute`.

        For sizes that are fixed, sums of products are matrix products, one for each shift of rows.
        Else it is one Scan over all shifts.
        """
        costs = self._emit_products(op, a, b) or self._emit_scan(op, a, b)
        if (self.kernel, self.stride) == (1, 1):
            return costs
        kernel, stride = [self.kernel] * 2, [self.stride] * 2
        return op.AveragePool(costs, kernel_shape=kernel, strides=stride)

    def _emit_products(self, op: Op, a: str, b: str) -> str:
        """Append matrix products; "" where they are not the sums, or sizes are free.

        A row of a and one of b give W x W' sums, of which column x of a wants those from x on:
        read with rows that are one longer, they stand below each other.
        """
        columns = self.columns
        if self.operation != MULTIPLY or any((*op.dynamic(a)[1:], *op.dynamic(b)[1:])):
            return ""
        _, channels, *sizes = op.shape(a)
        height, width = (
            size + 2 * (pad - margin)
            for size, pad, margin in zip(sizes, self.pad, self.margin, strict=True)
        )
        a, b, (first_row, first_column) = self._emit_framed(op, a, b)
        a = op.Mul(op.Transpose(a, perm=[0, 2, 3, 1]), op.scalar(1 / channels))
        b = op.Transpose(b, perm=[0, 2, 1, 3])
        reach = columns[-1] - columns[0]
        seen = width + reach
        left = first_column + columns[0]
        costs = []
        for y in self.rows:
            top = first_row + y
            ends, axes = op.ints(top + height, left + seen), op.ints(1, 3)
            sums = op.MatMul(a, op.Slice(b, op.ints(top, left), ends, axes))
            flat = op.Reshape(sums, op.ints(0, height, width * seen))
            longer = op.Pad(flat, op.ints(0, 0, 0, 0, 0, width))
            lines = op.Reshape(longer, op.ints(0, height, width, seen + 1))
            ends, axes = op.ints(reach + 1), op.ints(3)
            costs.append(op.Slice(lines, op.ints(0), ends, axes, op.ints(columns.step)))
        whole = op.Concat(*costs, axis=3) if len(costs) > 1 else costs[0]
        return op.Transpose(whole, perm=[0, 3, 1, 2])

    def _emit_scan(self, op: Op, a: str, b: str) -> str:
        """Append one Scan over the shifts."""
        a, b, frame = self._emit_framed(op, a, b)
        size = op.Slice(op.Shape(a), op.ints(2), op.ints(4))
        firsts = np.add([*product(self.rows, self.columns)], frame)
        axes = op.ints(2, 3)

        def step(first: str) -> Sequence[str]:
            start = op.to_int(first)
            end = op.Add(start, size)
            seen = op.Slice(b, start, end, axes)
            cost = op.Mul(a, seen) if self.operation == MULTIPLY else op.Abs(op.Sub(a, seen))
            return (op.reduce("ReduceMean", cost, [1], keepdims=0),)

        (costs,) = op.scan(step, [], [op.array("firsts", firsts)], stacked=1, ranks=[3])
        return op.Transpose(costs, perm=[1, 0, 2, 3])

    def _emit_framed(self, op: Op, a: str, b: str) -> tuple[str, str, tuple[int, int]]:
        """Append the padding; return a without its margins, b, and where no shift meets b."""
        down, right = self._slack()
        top, left = self.margin
        pads = [0, 0, *self.pad, 0, 0, *self.pad]
        a = self._pad(op, a, pads)
        b = self._pad(op, b, [0, 0, pads[2] + down, pads[3] + right, *pads[4:]])
        if top or left:
            ends = op.ints(-top or END, -left or END)
            a = op.Slice(a, op.ints(top, left), ends, op.ints(2, 3))
        return a, b, (top + down, left + right)

    def _pad(self, op: Op, value: str, pads: list[int]) -> str:
        return op.Pad(value, op.ints(*pads)) if any(pads) else value


def check_settings(kernel_size: int, stride_1: int, stride_2: int) -> None:
    """Raise ShapeError for an even kernel and for strides below 1."""
    require(kernel_size % 2 == 1, f"kernel_size is {kernel_size}, wants an odd number")
    for name, stride in (("stride_1", stride_1), ("stride_2", stride_2)):
        require(stride >= 1, f"{name} is {stride}, wants 1 or more")


def require_settings(param: Any) -> None:
    """Raise ShapeError where a CorrelationParameter leaves out what has no default."""
    for name in ("kernel_size", "max_displacement"):
        require(param.HasField(name), f"{name} is missing, it is required")
