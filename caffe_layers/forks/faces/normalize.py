"""Normalize, as happynear reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

EPS = 1e-6
"""What the CPU adds to the sum, a double; the GPU adds 1e-12 to that of squares."""


class FaceNormalize(
    Layer, type="Normalize", fork="happynear", param="normalize_param", tops=(1, 2)
):
    """`top = x / norm`, `norm = sqrt(sum over c of x^2 + 1e-6)`, for every pixel of N x C x H x W.

    With `normalize_type` L1 it is `norm = sum over c of |x| + 1e-6`. The norm, N x 1 x H x W, is
    the second top, if there is one; it hands a gradient on only with `bp_norm`. Tops have four
    axes, whatever x has. Unlike SSD's it has no blob, and unlike yjxiong's the sum ends at a pixel.

    Errors: UnsupportedError for another type.
    Caffe: happynear/caffe-windows, src/caffe/layers/normalize_layer.cpp
    """

    family = "normalization"

    def __init__(self, *, normalize_type: str = "L2", bp_norm: bool = False, tops: int = 1) -> None:
        super().__init__()
        if normalize_type not in ("L1", "L2"):
            raise UnsupportedError(f"normalize_type {normalize_type!r} is neither L1 nor L2")
        self.normalize_type = normalize_type
        self.bp_norm = bp_norm
        self.top_count = tops

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        if is_set(layer, "normalize_param") or is_set(layer.softmax_param, "normalize_type"):
            return True
        return not blobs and not is_set(layer, "norm_param")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> FaceNormalize:
        tops = len(layer.top)
        if is_set(layer.softmax_param, "normalize_type"):  # before the layer had its own message
            return cls(normalize_type=layer.softmax_param.normalize_type, tops=tops)
        return cls(tops=tops, **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        n, c, h, w = legacy_shape(x, "bottom")
        tops: list[Shape] = [(n, c, h, w), (n, 1, h, w)]
        return tops[: self.top_count]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = x.reshape(legacy_shape(x.shape, "bottom"))
        if self.normalize_type == "L2":
            norm = (x.square().sum(1, keepdim=True) + EPS).sqrt()
        else:
            norm = x.abs().sum(1, keepdim=True) + EPS
        top = x / norm
        if self.top_count == 1:
            return top
        return top, norm if self.bp_norm else norm.detach()

    def onnx(self, op: Op, x: str) -> Values:
        shape = op.shape(op.tops[0])
        if op.shape(x) != shape:
            x = op.reshape(x, shape, op.dynamic(op.tops[0]))
        eps = op.scalar(EPS)
        if self.normalize_type == "L2":
            total = op.reduce("ReduceSumSquare", x, [1], keepdims=1)
        else:  # not ReduceL1, whose axes OpenVINO ignores below opset 18
            total = op.reduce("ReduceSum", op.Abs(x), [1], keepdims=1)
        norm = op.Add(total, eps)
        if self.normalize_type == "L2":
            norm = op.Sqrt(norm)
        top = op.Div(x, norm)
        return (top, norm) if self.top_count == 2 else top
