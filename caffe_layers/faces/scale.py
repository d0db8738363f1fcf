"""Scale, with happynear's bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..common.covered import check_covers, covered_shape, spread, spread_shape, spread_value
from ..filler import Filler
from ..gradient import gradient_of
from ..layer import Layer, Shape
from ..message import is_set
from ..number import float32


class FaceScale(Layer, type="Scale", fork="happynear", bottoms=(1, 2)):
    """`top = x * min(max(scale, min_value), max_value) + bias`; otherwise as BVLC's Scale.

    Each pass stores the bounded scale, where that is a blob, but in a compiled model. The gradient
    knows no bounds.

    Errors: those of Scale.
    Caffe: happynear/caffe-windows, src/caffe/layers/scale_layer.cpp
    """

    def __init__(
        self,
        *bottoms: Shape,
        axis: int = 1,
        num_axes: int = 1,
        filler: Filler = Filler(value=1.0),
        bias_term: bool = False,
        bias_filler: Filler = Filler(),
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        x = bottoms[0]
        self.axis = axis
        self.bias_term = bias_term
        self.min_value = None if min_value is None else float32(min_value)
        self.max_value = None if max_value is None else float32(max_value)
        if len(bottoms) == 1:
            self.add_blob("weight", covered_shape(x, axis, num_axes), filler)
        else:
            num_axes = len(bottoms[1])
        if bias_term:
            self.add_blob("bias", covered_shape(x, axis, num_axes), bias_filler)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return any(is_set(layer.scale_param, name) for name in ("min_value", "max_value"))

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> FaceScale:
        param = layer.scale_param
        has = param.HasField("filler")
        return cls(
            *bottoms,
            axis=param.axis,
            num_axes=param.num_axes,
            filler=Filler.from_caffe(param.filler) if has else Filler(value=1.0),
            bias_term=param.bias_term,
            bias_filler=Filler.from_caffe(param.bias_filler),
            **{
                name: getattr(param, name)
                for name in ("min_value", "max_value")
                if is_set(param, name)
            },
        )

    def shapes(self, x: Shape, *scale: Shape) -> list[Shape]:
        check_covers(x, self.axis, scale[0] if scale else tuple(self.weight.shape), "the scale")
        if self.bias_term:
            check_covers(x, self.axis, tuple(self.bias.shape), "the bias")
        return [x]

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
        top = x * spread(factor, self.axis, x.dim())
        return top + spread(self.bias, self.axis, x.dim()) if self.bias_term else top

    def onnx(self, op: Any, x: str, *scale: str) -> Any:
        rank = len(op.shape(x))
        if scale:
            factor = spread_value(op, scale[0], self.axis, rank, "scale")
            if self.min_value is not None:
                factor = op.Max(factor, op.scalar(self.min_value), name="above_least")
            if self.max_value is not None:
                factor = op.Min(factor, op.scalar(self.max_value), name="below_most")
        else:
            shape = spread_shape(tuple(self.weight.shape), self.axis, rank)
            bounded = self.bounded(self.weight.detach()).reshape(shape)
            factor = op.array("bounded_scale", bounded.cpu().numpy())
        if not self.bias_term:
            return op.Mul(x, factor)
        bias = spread_shape(tuple(self.bias.shape), self.axis, rank)
        return op.Add(op.Mul(x, factor, name="product"), op.weight(self, "bias", shape=bias))
