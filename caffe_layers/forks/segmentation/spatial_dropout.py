"""The Python layer `spatial_dropout.SpatialDropoutLayer` of ENet, without its Python."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.random_dropout import emit_drawn
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python
from prototxt.errors import FormatError


@register_python("spatial_dropout", "SpatialDropoutLayer")
class SpatialDropoutLayer(Layer):
    """`top[n, c] = x[n, c] * mask[n, c] / (1 - p)` for x of N x C x H x W.

    The mask is 0 with the probability p, else 1. It is drawn where `param_str` says the phase
    TRAIN, whatever the network's own; where it says another, the mask is 1, and the top is divided
    all the same.

    Errors: ShapeError for p outside (0, 1) and x without 4 axes; FormatError for p that is no
    number.
    Caffe: TimoSaemann/caffe-enet, python/spatial_dropout.py
    """

    family = "dropout"

    def __init__(self, *, p: float, phase: str) -> None:
        super().__init__()
        require(0 < p < 1, f"p {p} wants to be above 0 and below 1")
        self.p, self.draws = p, phase == "TRAIN"

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SpatialDropoutLayer:
        param = read_param_str(layer.python_param.param_str, ("p", "phase"))
        require(len(param) == 2, "param_str wants p and phase")
        try:
            p = float(param["p"])
        except (TypeError, ValueError):
            raise FormatError(f"param_str's p {param['p']!r} is no number") from None
        return cls(p=p, phase=str(param["phase"]))

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p) if self.draws else x * (1 / (1 - self.p))

    def onnx(self, op: Op, x: str) -> Values:
        if not self.draws:
            return op.Mul(x, op.scalar(1 / (1 - self.p)))
        maps = op.Slice(op.Shape(x), op.ints(0), op.ints(2))
        shape = op.Concat(maps, op.ints(1, 1), axis=0)
        ones = op.Expand(op.scalar(1), shape)
        return op.Mul(x, emit_drawn(op, ones, self.p, x))
