"""The arithmetic of Deconvolution and of the types that do the same under other names."""

from __future__ import annotations

from math import prod

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .base_conv import BaseConvolution

NATIVE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
"""Torch's transposed convolutions by the number of spatial axes."""


class Transposed(BaseConvolution):
    """Deconvolution, under whatever name: see there for the formula, shapes and errors."""

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
            self.drawn_bias(),
            window.stride,
            window.pad,
            0,
            self.group,
            window.dilation,
        )

    def onnx(self, op: Op, *bottoms: str) -> Values:
        pad = self.drawn_window().pad
        return self.onnx_each(op, "ConvTranspose", bottoms, [*pad, *pad])

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return sum(prod(bottom) for bottom in bottoms) * prod(self.weight_shape()[1:])
