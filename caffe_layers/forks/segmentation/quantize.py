"""Quantize, of DeepSkeleton: scales of a skeleton as classes."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

FIRST = (1.0, 12.0, 36.0, 80.0)
"""Where the classes 1, 2, 3 and 4 begin."""
END = 200.0


class Quantize(Layer, type="Quantize", fork="deepskeleton"):
    """The class of each scale in pixels: 1 from 1 on, 2 from 12, 3 from 36, 4 from 80 to below 200.

    All else is 0. x is of any shape; there is no gradient.

    Caffe: zeakey/DeepSkeleton, src/caffe/layers/quantize_layer.cpp
    """

    fixed_bottoms = (0,)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        x = x.detach()
        classes = torch.stack([(x >= first).to(x) for first in FIRST]).sum(0)
        return classes * (x < END)

    def onnx(self, op: Op, x: str) -> Values:
        begun = [op.to_float(op.GreaterOrEqual(x, op.scalar(first))) for first in FIRST]
        return op.Mul(op.Sum(*begun), op.to_float(op.Less(x, op.scalar(END))))
