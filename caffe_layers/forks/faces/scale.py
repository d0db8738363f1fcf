"""Scale, with happynear's bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.common.base_scale import BaseScale, ScaleFields
from caffe_layers.common.covered import spread_shape, spread_value


class FaceScale(BaseScale, type="Scale", fork="happynear", bottoms=(1, 2)):
    """`top = x * min(max(scale, min_value), max_value) + bias`; otherwise as BVLC's Scale.

    Each pass stores the bounded scale, where that is a blob, but in a compiled model. The gradient
    knows no bounds.

    Errors: those of Scale.
    Caffe: happynear/caffe-windows, src/caffe/layers/scale_layer.cpp
    """

    def __init__(
        self,
        *bottoms: Shape,
        min_value: float | None = None,
        max_value: float | None = None,
        **options: Unpack[ScaleFields],
    ) -> None:
        super().__init__(*bottoms, **options)
        self.min_value = None if min_value is None else float32(min_value)
        self.max_value = None if max_value is None else float32(max_value)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return any(is_set(layer.scale_param, name) for name in ("min_value", "max_value"))

    def bounded(self, scale: Tensor) -> Tensor:
        """Return the scale within its bounds: the lower one first, the upper one wins."""
        if self.min_value is not None:
            scale = scale.clamp(min=self.min_value)
        return scale if self.max_value is None else scale.clamp(max=self.max_value)

    def forward(self, x: Tensor, *scale: Tensor) -> Tensor:
        if scale:
            factor = gradient_of(self.bounded(scale[0]), scale[0])
        else:
            bounded = self.bounded(self.weight.detach())
            if not torch.compiler.is_compiling():
                # By .data: a graph that already holds the scale, of an earlier pass, stays.
                self.weight.data.copy_(bounded)
            factor = gradient_of(bounded, self.weight)
        return self.scaled(x, factor)

    def onnx(self, op: Op, x: str, *scale: str) -> Values:
        rank = len(op.shape(x))
        if scale:
            factor = spread_value(op, scale[0], self.axis, rank)
            if self.min_value is not None:
                factor = op.Max(factor, op.scalar(self.min_value))
            if self.max_value is not None:
                factor = op.Min(factor, op.scalar(self.max_value))
        else:
            shape = spread_shape(tuple(self.weight.shape), self.axis, rank)
            bounded = self.bounded(self.weight.detach()).reshape(shape)
            factor = op.array("bounded_scale", bounded.cpu().numpy())
        return self.onnx_scaled(op, x, factor)
