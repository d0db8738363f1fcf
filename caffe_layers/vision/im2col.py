"""Im2col."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from caffe_layers.arithmetic.window import Sizes, make_window, patches, read_window
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .base_conv import batched, onnx_conv_pads, onnx_slide, unbatched


class Im2col(Layer, type="Im2col"):
    """Every value that a convolution's window sees: N x C x H x W to N x (C kernel) x H' x W'.

    The channels of the top are ordered by the bottom's channel, then by row and column in the
    window. `axis` is the channels'; axes before it count as batch, any number may follow.

    Errors: those of Convolution's window, and ShapeError without a spatial axis.
    Caffe: BVLC/caffe, src/caffe/layers/im2col_layer.cpp
    """

    def __init__(
        self,
        *,
        kernel_size: Sizes,
        pad: Sizes = 0,
        stride: Sizes = 1,
        dilation: Sizes = 1,
        axis: int = 1,
    ) -> None:
        super().__init__()
        self.axis = axis
        self.window = make_window(kernel_size, stride, pad, dilation)
        require(len(self.window.kernel) > 0, "no spatial axis, wants at least one after the axis")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Im2col:
        axis, window = read_window(layer.convolution_param, bottoms[0])
        return cls(axis=axis, **window)

    def shapes(self, x: Shape) -> list[Shape]:
        axes = self.axis + 1 + len(self.window.kernel)
        require(len(x) == axes, f"bottom {x} has {len(x)} axes, the layer wants {axes}")
        channels = x[self.axis] * prod(self.window.kernel)
        top = (*x[: self.axis], channels, *self.window.convolved(x[self.axis + 1 :]))
        if min(top) < 1:
            kernel = self.window.kernel
            raise ShapeError(f"the top would be {top}: kernel {kernel} does not fit {x}")
        return [top]

    def forward(self, x: Tensor) -> Tensor:
        axes = len(self.window.kernel)
        seen = patches(batched(x, self.axis), self.window).flatten(1, 1 + axes)
        return unbatched(seen, tuple(x.shape[: self.axis]), axes)

    def onnx(self, op: Op, x: str) -> Values:
        # A filter for each place in the window, which is 1 there: products with 1 are exact.
        kernel, channels = self.window.kernel, op.shape(x)[self.axis]
        size = prod(kernel)
        filters = np.tile(
            np.eye(size).reshape(size, 1, *kernel), (channels, *(1,) * len(kernel), 1)
        )
        pads = onnx_conv_pads(op, x, self.window, self.axis)
        weight = op.array("weight", filters)
        top = op.shape(op.tops[0])
        return onnx_slide(
            op, "Conv", x, [weight], self.window, top, pads, axis=self.axis, group=channels
        )
