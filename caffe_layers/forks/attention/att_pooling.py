"""AttPooling, of PiCANet."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.window import Window, make_window
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class AttPooling(Layer, type="AttPooling", fork="picanet", param="att_pooling_param", bottoms=2):
    """Means of what a window over x sees, weighted by an attention for each place of the top.

    x is N x C x H x W, the attention N x K x H1 x W1 with the K weights of a square window's
    places, row by row, and the top N x C x H1 x W1. In LOCAL the window moves over x with `pad`,
    `stride` and `dilation`, as a convolution's: each place of the top has its own view. In GLOBAL
    x is square, the window covers it in one view, and each place of the top weighs that one; there
    `kernel_size` is W unless it is given. Outside of x is 0.

    Errors: ShapeError for an attention of other sizes, and in GLOBAL for a window that does not
    cover x once.
    Caffe: nian-liu/PiCANet at fee3a2f, caffe/src/caffe/layers/att_pooling_layer.{cpp,cu}
    """

    def __init__(
        self,
        *,
        att_mode: str = "LOCAL",
        kernel_size: int,
        pad: int = 0,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.is_global = att_mode == "GLOBAL"
        self.window: Window = make_window(kernel_size, stride, pad, dilation)
        require(not self.is_global or stride == 1, f"GLOBAL attention has stride {stride}, wants 1")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> AttPooling:
        param, x = layer.att_pooling_param, bottoms[0]
        require(len(x) == 4, f"x {x} has {len(x)} axes, wants 4: N x C x H x W")
        if param.HasField("kernel_size"):
            return cls(**cls.fields(layer))
        fields = cls.fields(layer, kernel_size=x[3])
        require(fields["att_mode"] == "GLOBAL", "LOCAL attention wants a kernel_size")
        dilation = fields["dilation"]
        require(dilation == 1, f"without kernel_size the dilation is {dilation}, wants 1")
        return cls(**fields)

    def shapes(self, x: Shape, attention: Shape) -> list[Shape]:
        for name, shape in (("x", x), ("the attention", attention)):
            require(len(shape) == 4, f"{name} {shape} has {len(shape)} axes, wants 4")
        side = self.window.kernel[0]
        places = self.window.convolved(x[2:])
        if self.is_global:
            square = x[2] == x[3] and places == (1, 1)
            require(square, f"x {x} is not what a window of {self.window.extent} covers once")
        want = (x[0], side * side, *(attention[2:] if self.is_global else places))
        require(attention == want, f"the attention is {attention}, wants {want} for x {x}")
        return [(x[0], x[1], *attention[2:])]

    def forward(self, x: Tensor, attention: Tensor) -> Tensor:
        kernel, stride, pad, dilation = self.window
        seen = F.unfold(x, kernel, dilation, pad, stride)
        seen = seen.view(x.shape[0], x.shape[1], attention.shape[1], -1)
        weights = attention.flatten(2)
        if self.is_global:  # one view, which all places of the top weigh
            return (seen.squeeze(3) @ weights).view(*x.shape[:2], *attention.shape[2:])
        top = (seen * weights.unsqueeze(1)).sum(2)
        return top.view(x.shape[0], x.shape[1], *attention.shape[2:])

    def onnx(self, op: Op, x: str, attention: str) -> Values:
        kernel, stride, pad, dilation = self.window
        channels, side = op.shape(x)[1], kernel[0]
        count = side * side
        pads = [*pad, *pad]
        if self.is_global:
            if any(pads):
                x = op.Pad(x, op.ints(0, 0, *pad, 0, 0, *pad))
            ends = op.ints(*self.window.extent)
            seen = op.Slice(x, op.ints(0, 0), ends, op.ints(2, 3), op.ints(*dilation))
            weights = op.Reshape(attention, op.ints(0, count, -1))
            return op.reshape_to_top(op.MatMul(op.Reshape(seen, op.ints(0, 0, -1)), weights))
        # What the window sees, by kernels of a single 1: N x (C K) x H1 x W1.
        ones = op.array("seen", np.tile(np.eye(count), (channels, 1)).reshape(-1, 1, *kernel))
        seen = op.Conv(
            x,
            ones,
            kernel_shape=[*kernel],
            strides=[*stride],
            dilations=[*dilation],
            pads=pads,
            group=channels,
        )
        each = op.Gather(attention, op.ints(*[*range(count)] * channels), axis=1)
        adding = op.array("adding", np.ones((channels, count, 1, 1)))
        return op.Conv(op.Mul(seen, each), adding, kernel_shape=[1, 1], group=channels)

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        n, channels, height, width = tops[0]
        return n * channels * height * width * bottoms[1][1]
