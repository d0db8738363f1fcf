"""BNLL."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class BNLL(Layer, type="BNLL"):
    """`top = log(1 + exp(x))`, for x of any shape: the binomial normal log likelihood.

    Caffe: BVLC/caffe, src/caffe/layers/bnll_layer.cpp
    """

    family = "activation"

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return -F.logsigmoid(-x)

    def onnx(self, op: Op, x: str) -> Values:
        # Not Softplus, whose exp(x) several engines let overflow.
        power = op.Exp(op.Neg(op.Abs(x)))
        return op.Add(op.Relu(x), op.Log(op.Add(power, op.scalar(1))))
