"""Maximum, from caffe_rtpose."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Maximum(Layer, type="Maximum", fork="openpose"):
    """The largest value of every map and its place: N x C x H x W to N x C x 1 x 3 of x, y, value.

    Of equal values the first in reading order counts, where Caffe's threads choose theirs. It is
    the GPU's form, as all of this fork; the CPU's sees values above 0 alone. No gradient.

    Errors: ShapeError unless the bottom has four axes.
    Caffe: CMU-Perceptual-Computing-Lab/caffe_rtpose, src/caffe/layers/maximum_layer.{cpp,cu}
    """

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants N x C x H x W")
        return [(*x[:2], 1, 3)]

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        flat, width = x.flatten(2), x.shape[3]
        at = flat.argmax(2, keepdim=True)
        parts = (at % width, at.div(width, rounding_mode="floor"), flat.gather(2, at))
        return torch.stack([part.to(x.dtype) for part in parts], -1)

    def onnx(self, op: Op, x: str) -> Values:
        flat = op.Reshape(x, op.ints(0, 0, -1))
        at = op.ArgMax(flat, axis=2)
        sizes = op.Shape(x)
        width = op.Gather(sizes, op.const(np.array(3)), axis=0)
        row = op.Div(at, width)
        column = op.Sub(at, op.Mul(row, width))
        value = op.GatherElements(flat, at, axis=2)
        parts = [op.to_float(column), op.to_float(row), value]
        last = op.ints(3)
        spread = [op.Unsqueeze(p, last) for p in parts]
        return op.Concat(*spread, axis=3)
