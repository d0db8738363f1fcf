"""The arithmetic of Convolution and of the types that do the same under other names."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.window import pad_spatial, patches
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .base_conv import BaseConvolution, onnx_conv_pads

NATIVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
"""Torch's convolutions by the number of spatial axes."""


class CrossCorrelation(BaseConvolution):
    """Convolution, under whatever name: see there for the formula, shapes and errors."""

    def weight_shape(self) -> Shape:
        return (self.num_output, self.channels // self.group, *self.window.kernel)

    def places(self, spatial: Shape) -> Shape:
        return self.window.convolved(spatial)

    def forward(self, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.each(bottoms, self.convolve)

    def convolve(self, x: Tensor) -> Tensor:
        """Return the top of one bottom N x C x ..., of one axis before the channels'."""
        window, weight = self.drawn_window(), self.drawn_weight()
        axes = len(window.kernel)
        if axes not in NATIVE:
            return self._convolve_patches(x)
        x = pad_spatial(x, (0,) * axes, window.missing(x.shape[2:]))
        return NATIVE[axes](
            x, weight, self.drawn_bias(), window.stride, window.pad, window.dilation, self.group
        )

    def _convolve_patches(self, x: Tensor) -> Tensor:
        """Convolve over more axes than torch does."""
        seen = patches(x, self.window)
        places = seen.shape[2 + len(self.window.kernel) :]
        seen = seen.reshape(x.shape[0], self.group, -1, prod(places))
        weight = self.drawn_weight().reshape(self.group, -1, seen.shape[2])
        y = torch.matmul(weight, seen).reshape(x.shape[0], self.num_output, *places)
        bias = self.drawn_bias()
        return y if bias is None else y + bias.reshape(-1, *(1,) * len(places))

    def onnx(self, op: Op, *bottoms: str) -> Values:
        pads = onnx_conv_pads(op, bottoms[0], self.drawn_window(), self.axis)
        return self.onnx_each(op, "Conv", bottoms, pads)

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return sum(prod(top) for top in tops) * prod(self.weight_shape()[1:])
