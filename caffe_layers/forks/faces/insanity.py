"""Insanity, from happynear."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Insanity(Layer, type="Insanity", fork="happynear", param="insanity_param"):
    """`top = max(x, 0) + min(x, 0) / a`, for x of two axes or more: a randomised leaky ReLU.

    In training every value has an `a` of its own, drawn between `lb` and `ub`; in testing it is
    `(ub - lb) / (log |ub| - log |lb|)`. An ONNX model tests, whatever the phase of the network.

    Errors: ShapeError for one axis, for bounds that do not rise, and for a bound of 0.
    Caffe: happynear/caffe-windows, src/caffe/layers/insanity_layer.cpp
    """

    family = "activation"

    def __init__(self, *, lb: float = 5.0, ub: float = 10.0) -> None:
        super().__init__()
        self.lb, self.ub = float32(lb), float32(ub)
        require(self.ub > self.lb, f"lb {self.lb:g} wants to be below ub {self.ub:g}")
        if self.lb * self.ub == 0:
            raise ShapeError(f"lb {self.lb:g} and ub {self.ub:g} want to be other than 0")
        rise = log(abs(self.ub)) - log(abs(self.lb))
        require(rise != 0, f"lb {self.lb:g} and ub {self.ub:g} have no mean slope")
        self.mean_slope = (self.ub - self.lb) / rise

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return x.where(x > 0, x / torch.empty_like(x).uniform_(self.lb, self.ub))
        return x.where(x > 0, x / self.mean_slope)

    def onnx(self, op: Op, x: str) -> Values:
        return op.LeakyRelu(x, alpha=1 / self.mean_slope)
