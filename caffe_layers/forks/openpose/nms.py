"""Nms, from caffe_rtpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.linear_map import require_fixed_sizes
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

REACH = 3
"""A peak's place is the weighted mean of so many pixels around it."""


class Nms(Layer, type="Nms", fork="openpose", param="nms_param"):
    """The peaks of each part's map: N x C x H x W to N x num_parts x (max_peaks + 1) x 3.

    A peak is above `threshold` and above all its 8 neighbours; border pixels are none. Row 0 of a
    part holds the number of its peaks, however many, and two zeros; the rows after it x, y and
    value of the first `max_peaks` in reading order, then zeros. x and y are the mean of the 7 x 7
    places around, weighted by the values above 0; of these places those count whose column is
    1 ... W - 1 and whose row is 1 ... W - 1, so that Caffe, which takes the width for the height,
    reads on in the next map where W is larger, and stops early where it is smaller.

    There is no gradient.

    Errors: ShapeError for fewer maps than parts, and for several images of more maps than parts,
    whose beginnings Caffe mistakes.
    Caffe: CMU-Perceptual-Computing-Lab/caffe_rtpose, src/caffe/cpm/layers/nms_layer.{cpp,cu}
    """

    def __init__(self, *, threshold: float = 0.5, max_peaks: int = 20, num_parts: int = 15) -> None:
        super().__init__()
        self.threshold = float32(threshold)
        self.max_peaks, self.num_parts = max_peaks, num_parts

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants N x C x H x W")
        parts = self.num_parts
        require(0 < parts <= x[1], f"bottom {x} has {x[1]} maps, wants those of {parts} parts")
        if x[0] != 1 and x[1] != parts:
            raise ShapeError(f"bottom {x} holds {x[0]} images, wants 1, or {parts} maps in each")
        require(min(x[2:]) > 2, f"bottom {x} has no pixel with 8 neighbours")
        return [(x[0], parts, self.max_peaks + 1, 3)]

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        maps = x[:, : self.num_parts].flatten(0, 1)
        inner = maps[:, 1:-1, 1:-1]
        around = [
            maps[:, 1 + dy : height - 1 + dy, 1 + dx : width - 1 + dx]
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if dy or dx
        ]
        peaks = (inner > torch.stack(around).amax(0)) & (inner > self.threshold)
        flags = F.pad(peaks, (1, 1, 1, 1)).flatten(1)
        size = height * width
        order = torch.arange(size, 0, -1, device=x.device)
        found, _ = (flags * order).topk(min(self.max_peaks, size), -1)
        at, real = size - found, found > 0
        at = at.where(real, 0)
        values = (*self._places(x), maps)
        rows = torch.stack([value.flatten(1).gather(1, at) for value in values], -1)
        rows = rows.where(real.unsqueeze(-1), 0)
        rows = F.pad(rows, (0, 0, 0, self.max_peaks - rows.shape[1]))
        count = F.pad(flags.sum(1).to(x.dtype).reshape(-1, 1, 1), (0, 2))
        return torch.cat([count, rows], 1).reshape(n, self.num_parts, -1, 3)

    def _places(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x and y around every pixel of the parts' maps."""
        height, width = x.shape[2:]
        behind = F.pad(x.flatten(0, 2), (0, 0, 0, height))[height:].view_as(x)
        rows = torch.cat([x, behind[:, :, :REACH]], 2)[:, : self.num_parts].flatten(0, 1)
        down, across = (
            torch.as_tensor(steps, dtype=x.dtype, device=x.device)
            for steps in _steps(height, width)
        )
        weights = rows.clamp(min=0) * (down > 0)[:, None] * (across > 0)
        sums = [
            F.avg_pool2d(
                F.pad(values.unsqueeze(1), (REACH, REACH, REACH, 0)), 2 * REACH + 1, 1
            ).squeeze(1)
            for values in (weights, weights * across, weights * down[:, None])
        ]
        return sums[1] / sums[0], sums[2] / sums[0]

    def onnx(self, op: Op, x: str) -> Values:
        require_fixed_sizes(op, x)
        _, channels, height, width = op.shape(x)
        parts, size = self.num_parts, height * width
        maps = x
        if channels > parts:
            maps = op.Slice(x, op.ints(0), op.ints(parts), op.ints(1))
        flags = self._onnx_peaks(op, maps, height, width)
        flat = op.Reshape(flags, op.ints(0, 0, -1))
        order = op.const(np.arange(size, 0, -1))
        keys = op.Mul(flat, order)
        most = min(self.max_peaks, size)
        found, _ = op.TopK(keys, op.ints(most), axis=2)
        real = op.Greater(found, op.ints(0))
        at = op.Where(real, op.Sub(op.ints(size), found), op.ints(0))
        columns = []
        places = self._onnx_places(op, x, maps, (channels, height, width))
        for value in (*places, maps):
            line = op.Reshape(value, op.ints(0, 0, -1))
            got = op.GatherElements(line, at, axis=2)
            got = op.Where(real, got, op.scalar(0))
            columns.append(op.Unsqueeze(got, op.ints(3)))
        rows = op.Concat(*columns, axis=3)
        count = op.ReduceSum(flat, op.ints(2), keepdims=1)
        count = op.Unsqueeze(op.to_float(count), op.ints(3))
        count = op.Pad(count, op.ints(0, 0, 0, 0, 0, 0, 0, 2))
        if most == self.max_peaks:
            return op.Concat(count, rows, axis=2)
        both = op.Concat(count, rows, axis=2)
        return op.Pad(both, op.ints(0, 0, 0, 0, 0, 0, self.max_peaks - most, 0))

    def _onnx_peaks(self, op: Op, maps: str, height: int, width: int) -> str:
        """Append 1 for every peak and 0 elsewhere, in int64."""

        def moved(dy: int, dx: int) -> str:
            starts, ends = op.ints(1 + dy, 1 + dx), op.ints(height - 1 + dy, width - 1 + dx)
            return str(op.Slice(maps, starts, ends, op.ints(2, 3)))

        inner = moved(0, 0)
        around = [moved(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
        least = op.Max(*around, op.scalar(self.threshold))
        peaks = op.to_int(op.Greater(inner, least))
        return str(op.Pad(peaks, op.ints(0, 0, 1, 1, 0, 0, 1, 1)))

    def _onnx_places(self, op: Op, x: str, maps: str, size: tuple[int, int, int]) -> list[str]:
        """Append what `_places` gives."""
        channels, height, width = size
        # Each map with the rows that lie behind it in memory: the first of the next map.
        lines = op.Reshape(x, op.ints(-1, width))
        lines = op.Pad(lines, op.ints(0, 0, height, 0))
        ends = op.ints(np.iinfo(np.int64).max)
        lines = op.Slice(lines, op.ints(height), ends, op.ints(0))
        behind = op.Reshape(lines, op.ints(-1, channels, height, width))
        few = op.ints(self.num_parts, REACH)
        behind = op.Slice(behind, op.ints(0, 0), few, op.ints(1, 2))
        rows = op.Concat(maps, behind, axis=2)
        down, across = _steps(height, width)
        kept = (down > 0)[:, None] * (across > 0)
        weights = op.Mul(op.Relu(rows), op.array("kept", kept))
        sums = []
        for name, factor in (("all", None), ("x", across[None]), ("y", down[:, None])):
            values = weights
            if factor is not None:
                values = op.Mul(weights, op.array(f"{name}_steps", factor))
            sums.append(
                op.AveragePool(
                    values,
                    kernel_shape=[2 * REACH + 1] * 2,
                    pads=[REACH, REACH, 0, REACH],
                    count_include_pad=1,
                )
            )
        return [op.Div(total, sums[0]) for total in sums[1:]]


def _steps(height: int, width: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the number of each row and column that counts, 0 for one that does not."""
    down, across = np.arange(float(height + REACH)), np.arange(float(width))
    down[width:] = 0
    return down, across
