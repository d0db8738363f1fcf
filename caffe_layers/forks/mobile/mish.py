"""Mish."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.tanh import emit_tanh
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Mish(Layer, type="Mish", fork="mobile"):
    """`top = x * tanh(log(1 + exp(x)))`, for x of any shape.

    Repositories differ in the tails, where they replace the logarithm by x above 20 and by exp(x)
    below -20: by less than 1e-17 and 1e-9 of the top there. The gradient is the formula's; one
    repository takes it at the top instead of at x.

    Caffe: several small repositories, mish_layer.cpp
    """

    family = "activation"

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return F.mish(x)

    def onnx(self, op: Op, x: str) -> Values:
        soft = op.Softplus(x)
        return op.Mul(x, emit_tanh(op, soft))
