"""Upsample by the places of maxima, from SegNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.arithmetic.placing import emit_placed, last_placed
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class SegNetUpsample(Layer, type="Upsample", fork="segnet", param="upsample_param", bottoms=2):
    """Each value of N x C x H x W at the place that the mask, of the same shape, names; else 0.

    The mask is MAX pooling's second top: `h * W' + w` in a plane of the top. Of several values
    for one place the last, row by row, stays, and it alone gets the gradient. The top is
    `upsample_h` x `upsample_w`, or the bottom's sizes times `scale`, or `scale_h` and `scale_w`,
    less 1 with `pad_out_h` or `pad_out_w`. Caffe keeps the first size it has computed; here it
    follows the bottom's.

    A type of this name with one bottom, of YOLO, repeats values instead.

    Errors: ShapeError where sizes are given in part, and for a place beyond the top.
    Caffe: alexgkendall/caffe-segnet, src/caffe/layers/upsample_layer.cpp
    """

    fixed_bottoms = (1,)

    def __init__(
        self,
        *,
        scale: int | None = None,
        scale_h: int | None = None,
        scale_w: int | None = None,
        pad_out_h: bool = False,
        pad_out_w: bool = False,
        upsample_h: int | None = None,
        upsample_w: int | None = None,
    ) -> None:
        super().__init__()
        self.size = (upsample_h, upsample_w) if upsample_h and upsample_w else None
        self.pad_out = (pad_out_h, pad_out_w)
        if self.size:
            require(min(self.size) > 1, f"the top would be {self.size}, wants 2 or more each")
            self.scale = (1, 1)
            return
        paired = (scale_h is None) == (scale_w is None)
        if not paired or (scale is not None and scale_h is not None):
            raise ShapeError("wants scale, or scale_h and scale_w, or upsample_h and upsample_w")
        whole = 2 if scale is None else scale
        self.scale = (whole if scale_h is None else scale_h, whole if scale_w is None else scale_w)
        require(min(self.scale) > 1, f"scale {self.scale} wants 2 or more")
        for name, pad, factor in zip("hw", self.pad_out, self.scale, strict=True):
            require(not pad or factor == 2, f"pad_out_{name} wants scale 2, got {factor}")

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) == 2

    def shapes(self, x: Shape, mask: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4")
        require(mask == x, f"bottom {x} and its mask {mask} differ")
        return [(*x[:2], *self._sizes(x[2:]))]

    def _sizes(self, spatial: Sequence[int]) -> tuple[int, int]:
        if self.size:
            return self.size
        height, width = (
            size * factor - pad
            for size, factor, pad in zip(spatial, self.scale, self.pad_out, strict=True)
        )
        return height, width

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        height, width = self._sizes(x.shape[2:])
        places = height * width
        index = mask.detach().flatten(2).long()
        check_indices(index, places, "mask's places")
        top = last_placed(x.flatten(2), index, places)
        return top.reshape(*x.shape[:2], height, width)

    def onnx(self, op: Op, x: str, mask: str) -> Values:
        index = op.Reshape(op.to_int(mask), op.ints(0, 0, -1))
        values = op.Reshape(x, op.ints(0, 0, -1))
        shape = op.Shape(x)
        lead = op.Slice(shape, op.ints(0), op.ints(2))
        if self.size or not any(op.dynamic(x)[2:]):
            sizes = op.ints(*self._sizes(op.shape(x)[2:]))
        else:
            spatial = op.Slice(shape, op.ints(2), op.ints(4))
            scaled = op.Mul(spatial, op.ints(*self.scale))
            sizes = op.Sub(scaled, op.ints(*map(int, self.pad_out)))
        return emit_placed(op, values, index, lead, sizes)
