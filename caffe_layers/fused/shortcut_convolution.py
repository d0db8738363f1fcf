"""A convolution that adds a shortcut to its top, in oneDNN's one operator."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.vision.base_conv import onnx_conv_pads
from caffe_layers.vision.conv import Convolution

from .packed_convolution import HAS_ONEDNN, PackedConvolution

HAS_SUMS = HAS_ONEDNN and hasattr(torch.ops.mkldnn._convolution_pointwise, "binary")
"""As `HAS_ONEDNN`, of the operator that adds."""


class ShortcutConvolution(PackedConvolution, bottoms=2):
    """`top = convolution of the first bottom + the second`, with `rectifies` a ReLU of that."""

    def __init__(self, plain: Convolution, *, rectifies: bool) -> None:
        super().__init__(plain)
        self.rectifies = rectifies

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        x, other = bottoms
        (top,) = super().shapes(x)
        require(other == top, f"the shortcut is {other}, the convolution's top {top}")
        return [top]

    def forward(self, *bottoms: Tensor) -> Tensor:
        x, other = bottoms
        if not self.is_packed_for(x) or other.dtype != x.dtype or other.requires_grad:
            total = self.convolve(x) + other
            return total.relu() if self.rectifies else total
        after = "relu" if self.rectifies else None
        top: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, *self.packed_arguments(x), "add", 1.0, after, [], ""
        )
        return top

    def onnx(self, op: Op, *bottoms: str) -> Values:
        x, other = bottoms
        pads = onnx_conv_pads(op, x, self.window, self.axis)
        (convolved,) = self.onnx_each(op, "Conv", (x,), pads)
        total = op.Add(convolved, other)
        return op.Relu(total) if self.rectifies else total
