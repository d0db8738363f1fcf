"""Clip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Clip(Layer, type="Clip", param="clip_param"):
    """`top = max(min(x, max), min)`, for x of any shape; the gradient passes where x is in bounds.

    Where `min` is greater than `max` the top is `min` everywhere. Without `clip_param` both are 0.
    `in_place`: Caffe then looks for the bounds in the clipped values, all of which are inside.

    Caffe: BVLC/caffe, src/caffe/layers/clip_layer.cpp
    """

    family = "activation"

    def __init__(self, *, min: float, max: float, in_place: bool = False) -> None:
        super().__init__()
        self.min = float32(min)
        self.max = float32(max)
        self.in_place = in_place

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Clip:
        return cls(in_place=list(layer.top) == list(layer.bottom), **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        if self.min > self.max:
            return torch.full_like(x, self.min)
        top = x.clamp(self.min, self.max)
        return gradient_of(top, x) if self.in_place else top

    def onnx(self, op: Op, x: str) -> Values:
        # ONNX prefers the upper bound where they cross.
        return op.Clip(x, op.scalar(self.min), op.scalar(max(self.min, self.max)))

    def python(self, py: Py, x: str) -> str:
        if self.min > self.max:
            return py.call("torch.full_like", x, self.min)
        return py.call("torch.clamp", x, self.min, self.max)
