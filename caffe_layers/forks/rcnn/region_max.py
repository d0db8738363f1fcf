"""The largest value of every bin of a region, as Fast R-CNN and its like pool."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.number import FLT_MAX
from caffe_layers.base.op import Op, Values

from .pooled_regions import PooledRegions
from .region import (
    clipped,
    column,
    emit_one_less,
    emit_one_more,
    emit_rounded,
    images_of,
    rounded,
)


class RegionMax(PooledRegions, param="roi_pooling_param", bottoms=2):
    """Base of the layers that take the largest value of each bin of a region: see ROIPooling."""

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        rois = rois.detach().flatten(1)
        count, channels, height, width = x.shape
        # A NaN, and what is below -FLT_MAX, never wins.
        maps = torch.where(x > -FLT_MAX, x, -FLT_MAX).permute(0, 2, 3, 1)
        image = images_of(rois, count)
        top, bottom = self._bins(rois[:, 2], rois[:, 4], self.pooled_h, height)
        left, right = self._bins(rois[:, 1], rois[:, 3], self.pooled_w, width)
        places = _largest(maps.detach(), image, (top, bottom), (left, right))
        pooled = maps.reshape(-1, channels).gather(0, places.reshape(-1, channels))
        full = (bottom > top)[:, :, None] & (right > left)[:, None, :]
        pooled = pooled.reshape(*full.shape, channels).masked_fill(~full[..., None], 0)
        return pooled.permute(0, 3, 1, 2)

    def _bins(self, first: Tensor, last: Tensor, count: int, limit: int) -> tuple[Tensor, Tensor]:
        start, end = (rounded(edge * self.spatial_scale)[:, None] for edge in (first, last))
        # Divided, then multiplied: in floats that is not the same as exact fractions.
        size = (end - start + 1).clamp(min=1) / count
        index = ramp(size, count)
        edges = (index * size).floor() + start, ((index + 1) * size).ceil() + start
        return clipped(edges[0], limit), clipped(edges[1], limit)

    def onnx(self, op: Op, x: str, rois: str) -> Values:
        return self.pool_onnx(op, x, op.Flatten(rois, axis=1) if len(op.shape(rois)) > 2 else rois)

    def pool_onnx(self, op: Op, x: str, rois: str) -> str:
        """Append the pooling for regions R x 5."""
        # ONNX Runtime has no MaxRoiPool since opset 22.
        if op.opset < 22 and op.takes("MaxRoiPool"):
            return op.MaxRoiPool(
                x,
                rois,
                pooled_shape=[self.pooled_h, self.pooled_w],
                spatial_scale=self.spatial_scale,
            )
        if any(op.dynamic(x)[1:]):
            return self._onnx_scan(op, x, rois)
        return self._onnx_tables(op, x, rois)

    def _onnx_tables(self, op: Op, x: str, rois: str) -> str:
        """Append the largest value of every range of 2^k rows and 2^m columns, and look bins up.

        As in `_largest`, two ranges that overlap cover any number of rows. The tables stand below
        each other, so that a bin is the largest of four rows of C values.
        """
        _, channels, height, width = op.shape(x)
        lowest = op.scalar(-FLT_MAX)
        maps = op.Where(op.Greater(x, lowest), x, lowest)
        tall = op.Transpose(maps, perm=[0, 2, 3, 1])
        tables = []
        for k in range(height.bit_length()):
            tall = _emit_doubled(op, tall, 1, 1 << (k - 1)) if k else tall
            table = tall
            for m in range(width.bit_length()):
                table = _emit_doubled(op, table, 2, 1 << (m - 1)) if m else table
                tables.append(table)
        whole = op.Concat(*tables, axis=1) if len(tables) > 1 else tables[0]
        lines = op.Reshape(whole, op.ints(-1, channels))
        size = height * width  # of a table
        rows, full_rows = self._emit_ranges(op, rois, (2, 4), self.pooled_h, height)
        columns, full_columns = self._emit_ranges(op, rois, (1, 3), self.pooled_w, width)
        steps = op.ints(width), op.ints(size * width.bit_length())
        down = [op.Add(op.Mul(rows[0], steps[1]), op.Mul(y, steps[0])) for y in rows[1:]]
        across = [op.Add(op.Mul(columns[0], op.ints(size)), at) for at in columns[1:]]
        of_image = op.Mul(op.to_int(column(op, rois, 0)), op.ints(size * len(tables)))
        pooled = ""
        for y in down:
            line = op.Unsqueeze(op.Add(of_image, y), op.ints(2))
            for at in across:
                place = op.Add(line, op.Unsqueeze(at, op.ints(1)))
                best = op.Gather(lines, place, axis=0)
                pooled = op.Max(pooled, best) if pooled else best
        full = op.And(op.Unsqueeze(full_rows, op.ints(2)), op.Unsqueeze(full_columns, op.ints(1)))
        pooled = op.Where(op.Unsqueeze(full, op.ints(3)), pooled, op.scalar(0))
        return op.Transpose(pooled, perm=[0, 3, 1, 2])

    def _emit_ranges(
        self, op: Op, rois: str, at: tuple[int, int], count: int, limit: int
    ) -> tuple[tuple[str, str, str], str]:
        """Append the two ranges of 2^k places that cover each bin, R x `count` of them.

        Returns k and where both begin, whole numbers that are inside a map of `limit` places, and
        which bins have any place.
        """
        low, high = (
            op.Min(op.Max(edge, op.scalar(0)), op.scalar(limit))
            for edge in self._emit_edges(op, rois, *at, count)
        )
        length = op.Sub(high, low)
        level, size = op.Mul(length, op.scalar(0)), op.scalar(1)
        for k in range(1, limit.bit_length()):
            longer = op.to_float(op.GreaterOrEqual(length, op.scalar(1 << k)))
            level = op.Add(level, longer)
            size = op.Add(size, op.Mul(longer, op.scalar(1 << (k - 1))))
        first = op.Min(low, op.scalar(limit - 1))
        second = op.Max(op.Sub(high, size), op.scalar(0))
        numbers = op.to_int(level), op.to_int(first), op.to_int(second)
        return numbers, op.Greater(length, op.scalar(0))

    def _onnx_scan(self, op: Op, x: str, rois: str) -> str:
        """Append a Scan over the regions, for maps whose sizes are free."""
        rois = emit_one_more(op, rois)
        rows = self._emit_edges(op, rois, 2, 4, self.pooled_h)
        columns = self._emit_edges(op, rois, 1, 3, self.pooled_w)
        heights, widths = (emit_ramp(op, x, axis) for axis in (2, 3))

        def step(image: str, *edges: str) -> tuple[str, ...]:
            best = op.Gather(x, op.to_int(image), axis=0)
            masks = []
            for axis, (index, low, high) in enumerate(
                ((heights, *edges[:2]), (widths, *edges[2:]))
            ):
                mask = _emit_inside(op, index, low, high)
                masks.append(op.to_float(mask))
                # The bins come in front: 1 x C x H x W, PH x C x H x 1, then PW x PH x C x W.
                axes = op.ints(1, 3) if axis == 0 else op.ints(1, 2)
                of = op.Unsqueeze(mask, axes)
                if axis:
                    best = op.Unsqueeze(best, op.ints(0))
                kept = op.Where(of, best, op.scalar(-FLT_MAX))
                best = op.reduce("ReduceMax", kept, [2 + axis], keepdims=0)
            some = [op.reduce("ReduceMax", mask, [1], keepdims=0) for mask in masks]
            rows, columns = (
                op.Unsqueeze(part, axes)
                for part, axes in zip(some, (op.ints(0), op.ints(1)), strict=True)
            )
            full = op.Mul(rows, columns)  # PW x PH
            full = op.Unsqueeze(op.to_bool(full), op.ints(2))
            pooled = op.Where(full, best, op.scalar(0))
            return (op.Transpose(pooled, perm=[2, 1, 0]),)

        image = column(op, rois, 0)
        (bins,) = op.scan(step, (), (image, *rows, *columns), stacked=1)
        return emit_one_less(op, bins)

    def _emit_edges(self, op: Op, rois: str, first: int, last: int, count: int) -> tuple[str, str]:
        """Append where each bin begins and ends, before it is clipped: R x `count` both."""
        scale = op.scalar(self.spatial_scale)
        start, end = (emit_rounded(op, op.Mul(column(op, rois, at), scale)) for at in (first, last))
        size = op.Add(op.Sub(end, start), op.scalar(1))
        size = op.Max(size, op.scalar(1))
        size = op.Div(size, op.scalar(count))
        low = op.Floor(op.Mul(size, op.floats(range(count))))
        ends = op.floats(range(1, count + 1))
        high = op.Ceil(op.Mul(size, ends))
        return (
            op.Add(low, start),
            op.Add(high, start),
        )


def _emit_doubled(op: Op, table: str, axis: int, by: int) -> str:
    """Append the larger of each value and of the one that stands `by` later, if there is one."""
    along, end = op.ints(axis), op.ints(int(np.iinfo(np.int64).max))
    later, last = (op.Slice(table, op.ints(at), end, along) for at in (by, -by))
    return op.Max(table, op.Concat(later, last, axis=axis))


def _emit_inside(op: Op, index: str, low: str, high: str) -> str:
    """Append the test which places are in which bin: bins x places."""
    low, high = (op.Unsqueeze(edge, op.ints(1)) for edge in (low, high))
    after = op.GreaterOrEqual(index, low)
    return op.And(after, op.Less(index, high))


def _largest(
    maps: Tensor, image: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor]
) -> Tensor:
    """Return where the largest value of each bin is, as the index of a place of N x H x W.

    `maps` is N x H x W x C, the bins go from `rows[0]` to `rows[1]`, R x PH, and so on. The
    largest value of 2**k rows is that of twice 2**(k - 1) rows, and any other number of rows is
    covered by two such ranges that overlap.
    """
    _, height, width, channels = maps.shape
    places = torch.arange(maps.numel() // channels, device=maps.device).view(*maps.shape[:3], 1)
    high = _level(rows[1] - rows[0])[:, :, None]
    wide = _level(columns[1] - columns[0])[:, None, :]
    found = torch.zeros(
        (*high.shape[:2], wide.shape[2], channels),
        dtype=torch.long,
        device=maps.device,
    )
    full = (high >= 0) & (wide >= 0)
    tall = maps, places.expand_as(maps)
    for k in range(_levels(high, height)):
        if k:
            tall = _doubled(tall, 1, 1 << (k - 1))
        table = tall
        for m in range(_levels(wide, width)):
            if m:
                table = _doubled(table, 2, 1 << (m - 1))
            r, i, j = (full & (high == k) & (wide == m)).nonzero(as_tuple=True)
            flat = [part.flatten(0, 2) for part in table]
            sizes = table[0].shape
            best: tuple[Tensor, Tensor] | None = None
            for y in (rows[0][r, i], rows[1][r, i] - (1 << k)):
                for x in (columns[0][r, j], columns[1][r, j] - (1 << m)):
                    at = (image[r] * sizes[1] + y) * sizes[2] + x
                    here = flat[0][at], flat[1][at]
                    best = here if best is None else _better(best, here)
            assert best is not None
            found[r, i, j] = best[1]
    return found


def _level(length: Tensor) -> Tensor:
    """Return the largest k with `2**k <= length`, -1 for no length at all."""
    powers = 1 << torch.arange(31, device=length.device)
    return (length[..., None] >= powers).sum(-1) - 1


def _levels(level: Tensor, size: int) -> int:
    """Return how many levels there can be; where values are known, how many there are."""
    if torch.compiler.is_compiling():
        return size.bit_length()
    return int(level.max()) + 1 if level.numel() else 0


def _doubled(table: tuple[Tensor, Tensor], axis: int, by: int) -> tuple[Tensor, Tensor]:
    """Return the best of each range and of the one that begins `by` later."""
    size = table[0].shape[axis] - by
    first, second = (
        (table[0].narrow(axis, at, size), table[1].narrow(axis, at, size)) for at in (0, by)
    )
    return _better(first, second)


def _better(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the larger values with their places; of equal ones the first in the map."""
    second = (b[0] > a[0]) | ((b[0] == a[0]) & (b[1] < a[1]))
    return torch.where(second, b[0], a[0]), torch.where(second, b[1], a[1])
