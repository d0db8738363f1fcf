"""Local, from happynear."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.linear_map import require_fixed_sizes
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Local(Layer, type="Local", fork="happynear", param="local_param"):
    """A convolution with weights of its own at every place of N x C x H x W.

    The top is N x O x H' x W', `H' = (H + 2 pad - kernel_size) / stride + 1` rounded down. Blobs:
    weight O x 1 x K x L, K = C kernel_size^2 by channel, row and column, L = H' W'; and bias
    1 x 1 x O x L.

    Errors: ShapeError for a kernel larger than the bottom without its padding, and for other sizes
    than the layer was made for.
    Caffe: happynear/caffe-windows, src/caffe/layers/local_layer.cpp
    """

    family = "convolution"

    def __init__(
        self,
        bottom: Shape,
        *,
        num_output: int,
        kernel_size: int,
        bias_term: bool = True,
        pad: int = 0,
        stride: int = 1,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        require(len(bottom) == 4, f"bottom {bottom} has {len(bottom)} axes, wants N x C x H x W")
        for name, number in (
            ("num_output", num_output),
            ("kernel_size", kernel_size),
            ("stride", stride),
        ):
            require(number > 0, f"{name} is {number}, wants 1 or more")
        if kernel_size > min(bottom[2:]):
            raise ShapeError(f"bottom {bottom} is smaller than kernel_size {kernel_size}")
        self.made_for = bottom[1:]
        self.kernel_size, self.pad, self.stride = kernel_size, pad, stride
        self.places = tuple((size + 2 * pad - kernel_size) // stride + 1 for size in bottom[2:])
        count, seen = prod(self.places), bottom[1] * kernel_size**2
        self.add_blob("weight", (num_output, 1, seen, count), weight_filler)
        if bias_term:
            self.add_blob("bias", (1, 1, num_output, count), bias_filler)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Local:
        return cls(bottoms[0], **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        wants = " x ".join(map(str, self.made_for))
        require(x[1:] == self.made_for, f"bottom {x}, the layer was made for N x {wants}")
        return [(x[0], self.weight.shape[0], *self.places)]

    def forward(self, x: Tensor) -> Tensor:
        seen = F.unfold(x, self.kernel_size, padding=self.pad, stride=self.stride)
        top = torch.einsum("nkl,okl->nol", seen, self.weight.squeeze(1))
        if "bias" in self.blob_names:
            top = top + self.bias.squeeze(0)
        return top.reshape(*top.shape[:2], *self.places)

    def onnx(self, op: Op, x: str) -> Values:
        require_fixed_sizes(op, x)
        kernel, channels = self.kernel_size, self.made_for[0]
        # A filter for each place in the window, which is 1 there: products with 1 are exact.
        filters = np.tile(np.eye(kernel**2).reshape(-1, 1, kernel, kernel), (channels, 1, 1, 1))
        seen = op.Conv(
            x,
            op.array("filters", filters),
            group=channels,
            pads=[self.pad] * 4,
            strides=[self.stride] * 2,
        )
        weight = self.weight.detach().squeeze(1).cpu().numpy()
        count, size = weight.shape[2], weight.shape[1]
        flat = op.Reshape(seen, op.ints(0, size, count))
        places = op.Transpose(flat, perm=[2, 0, 1])
        products = op.MatMul(places, op.array("weights", weight.transpose(2, 1, 0)))
        top = op.Transpose(products, perm=[1, 2, 0])
        if "bias" in self.blob_names:
            top = op.Add(top, op.weight(self, "bias", shape=self.bias.shape[1:]))
        return op.reshape_to_top(top)

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return prod(tops[0]) * int(self.weight.shape[2])
