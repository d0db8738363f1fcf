"""Deconvolution."""

from __future__ import annotations

from math import prod

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .base_conv import BaseConvolution

NATIVE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
"""Torch's transposed convolutions by the number of spatial axes."""


class Deconvolution(BaseConvolution, type="Deconvolution", bottoms=(1, None), tops=(1, None)):
    """Convolution's transpose: each value of N x C x H x W adds a weighted kernel to the top.

    Blobs: weight C x O/group x kernel, bias O. The top is N x O x H' x W' with
    `H' = stride * (H - 1) + dilation * (kernel - 1) + 1 - 2 pad`. Upsampling with a bilinear filler
    has group = C = O, which leaves a weight of C x 1 x kernel.

    Errors: those of Convolution, and UnsupportedError for more than 3 spatial axes.
    Caffe: BVLC/caffe, src/caffe/layers/deconv_layer.cpp
    """

    def weight_shape(self) -> Shape:
        axes = len(self.window.kernel)
        if axes > max(NATIVE):
            raise UnsupportedError(f"{axes} spatial axes, wants at most {max(NATIVE)}")
        return (self.channels, self.num_output // self.group, *self.window.kernel)

    def places(self, spatial: Shape) -> Shape:
        return self.window.deconvolved(spatial)

    def forward(self, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.each(bottoms, self._deconvolve)

    def _deconvolve(self, x: Tensor) -> Tensor:
        window = self.drawn_window()
        return NATIVE[len(window.kernel)](
            x,
            self.drawn_weight(),
            self.bias,
            window.stride,
            window.pad,
            0,
            self.group,
            window.dilation,
        )

    def onnx(self, op: Op, *bottoms: str) -> Values:
        pad = self.drawn_window().pad
        return self.onnx_each(op, "ConvTranspose", bottoms, [*pad, *pad])

    def python(self, py: Py, *bottoms: str) -> str:
        module = self.torch_module(py, "ConvTranspose")
        return ", ".join(f"{module}({x})" for x in bottoms)

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return sum(prod(bottom) for bottom in bottoms) * prod(self.weight_shape()[1:])
