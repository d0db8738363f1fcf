"""ChannelNorm, from FlowNet2."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

FLOOR = 1e-9
"""Added to the norm where the gradient divides by it."""


class ChannelNorm(Layer, type="ChannelNorm", fork="flownet2"):
    """`top = sqrt(sum over c of x^2)`: N x C x H x W to N x 1 x H x W.

    The gradient is `x / (top + 1e-9)`, which is 0 where x is.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/channel_norm_layer.cpp
    """

    def shapes(self, x: Shape) -> list[Shape]:
        n, _, h, w = legacy_shape(x, "bottom")
        return [(n, 1, h, w)]

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = legacy_shape(x.shape, "bottom")
        x = x.reshape(n, c, h, w)
        norm = x.detach().square().sum(1, keepdim=True).sqrt()
        return gradient_of(norm, (x * (x / (norm + FLOOR)).detach()).sum(1, keepdim=True))

    def onnx(self, op: Op, x: str) -> Values:
        if len(op.shape(x)) == 4:
            return op.reduce("ReduceL2", x, [1], keepdims=1)
        if len(op.shape(x)) == 1:
            return op.reshape_to_top(op.Abs(x))
        return op.reshape_to_top(op.reduce("ReduceL2", x, [1], keepdims=1))
