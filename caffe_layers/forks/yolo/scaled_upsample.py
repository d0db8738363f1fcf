"""Upsample of YOLOv5's exporters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_indices
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.vision.corner_resize import emit_resized, resized


class ScaledUpsample(Layer, type="Upsample", fork="yolov5", param="upsample_param", bottoms=(1, 2)):
    """N x C x H x W made larger: to a second bottom's sizes, to `height` x `width`, or by scales.

    Of `mode` NEAREST a row i of H' reads row `i * H / H'`, rounded down; columns alike. BILINEAR,
    the default, keeps the corners at the corners, as Interp does. The second bottom has no
    gradient.

    Errors: ShapeError where no size is given in full.
    Caffe: Wulingtian/yolov5_caffe, src/caffe/layers/upsample_layer.cpp
    """

    fixed_bottoms = (1,)

    def __init__(
        self,
        *,
        height: int | None = None,
        width: int | None = None,
        height_scale: int | None = None,
        width_scale: int | None = None,
        mode: str = "BILINEAR",
    ) -> None:
        super().__init__()
        self.size = (height, width) if height and width else None
        self.scale = (height_scale, width_scale) if height_scale and width_scale else None
        for name, pair in (("height and width", self.size), ("scales", self.scale)):
            require(pair is None or min(filter(None, pair)) >= 2, f"{name} {pair} want 2 or more")
        self.nearest = mode == "NEAREST"

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        own = ("height", "width", "height_scale", "width_scale", "mode")
        return any(is_set(layer.upsample_param, field) for field in own)

    def shapes(self, x: Shape, *reference: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        for other in reference:
            require(len(other) == 4, f"the second bottom {other} wants 4 axes")
        return [(*x[:2], *self._sizes(x, *reference))]

    def _sizes(self, x: Sequence[int], reference: Sequence[int] = ()) -> tuple[int, ...]:
        if reference:
            return tuple(reference[2:])
        if self.size:
            return tuple(self.size)
        require(self.scale is not None, "wants height and width, or height_scale and width_scale")
        assert self.scale is not None
        return tuple(size * scale for size, scale in zip(x[2:], self.scale, strict=True))

    def forward(self, x: Tensor, *reference: Tensor) -> Tensor:
        sizes = self._sizes(x.shape, *(other.shape for other in reference))
        if not self.nearest:
            return resized(x, sizes)
        for axis, size in zip((2, 3), sizes, strict=True):
            at = torch.arange(size, device=x.device) * x.shape[axis] // size
            x = x.index_select(axis, at)
        return x

    def onnx(self, op: Op, x: str, *reference: str) -> Values:
        if reference:
            sizes = _spatial(op, reference[0])
        elif self.size:
            sizes = op.ints(*self.size)
        else:
            assert self.scale is not None
            sizes = op.Mul(_spatial(op, x), op.ints(*self.scale))
        if not self.nearest:
            return emit_resized(op, x, sizes)
        old = _spatial(op, x)
        for at, axis in enumerate((2, 3)):
            have, wants = (op.Slice(both, op.ints(at), op.ints(at + 1)) for both in (old, sizes))
            index = emit_indices(op, op.Squeeze(wants, op.ints(0)))
            x = op.Gather(x, op.Div(op.Mul(index, have), wants), axis=axis)
        return x


def _spatial(op: Op, x: str) -> str:
    """Append height and width of a value."""
    return op.Slice(op.Shape(x), op.ints(2), op.ints(4))
