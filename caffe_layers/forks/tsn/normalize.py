"""Normalize, as yjxiong reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class SampleNormalize(Layer, type="Normalize", fork="tsn"):
    """`top = x / sqrt(sum(x^2))`, the sum over all values of a sample; N x C x H x W.

    No eps, no blob, no parameters. A sample of zeros becomes NaN. Tops have four axes, whatever x
    has.

    Caffe: yjxiong/caffe, src/caffe/layers/normalize_layer.cpp
    """

    family = "normalization"

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        said = any(is_set(layer, name) for name in ("norm_param", "normalize_param"))
        older = is_set(layer.softmax_param, "normalize_type")
        return not blobs and not said and not older and len(layer.top) == 1

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 1, "the bottom has no axes, wants 1 or more")
        return [legacy_shape(x, "bottom")]

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(legacy_shape(x.shape, "bottom"))
        return x / x.square().sum((1, 2, 3), keepdim=True).sqrt()

    def onnx(self, op: Op, x: str) -> Values:
        shape = op.shape(op.tops[0])
        if op.shape(x) != shape:
            x = op.reshape(x, shape, op.dynamic(op.tops[0]))
        # Not ReduceL2, which OpenCV joins with a Div and takes of one axis then.
        return op.Div(x, op.Sqrt(op.reduce("ReduceSumSquare", x, [1, 2, 3], keepdims=1)))
