"""MaskPooling, of MNC."""

from __future__ import annotations

from math import prod

from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class MaskPooling(Layer, type="MaskPooling", fork="mnc", bottoms=2):
    """`top[n, c] = x[n, c] * mask[n]` for x of N x C x H x W and masks of N x 1 x H x W.

    Errors: ShapeError for masks of other sizes.
    Caffe: daijifeng001/caffe-mnc, src/caffe/layers/mask_pooling_layer.cu
    """

    def shapes(self, x: Shape, masks: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        want = (x[0], 1, *x[2:])
        fits = prod(masks) == prod(want) and legacy_shape(masks, "the masks")[2:] == x[2:]
        require(fits, f"the masks are {masks}, wants {want}")
        return [x]

    def forward(self, x: Tensor, masks: Tensor) -> Tensor:
        return x * masks.reshape(x.shape[0], 1, *x.shape[2:])

    def onnx(self, op: Op, x: str, masks: str) -> Values:
        return op.Mul(x, masks)
