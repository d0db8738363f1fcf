"""Slope, from happynear."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.linear_map import require_fixed_sizes
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Slope(Layer, type="Slope", fork="happynear"):
    """N x C x H x W with two channels more: `h / H` and `w / W`, where a pixel lies.

    Caffe: happynear/caffe-windows, src/caffe/layers/slope_layer.cpp
    """

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants N x C x H x W")
        return [(x[0], x[1] + 2, *x[2:])]

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        rows = torch.arange(height, dtype=x.dtype, device=x.device) / height
        columns = torch.arange(width, dtype=x.dtype, device=x.device) / width
        shape = (n, 1, height, width)
        return torch.cat([x, rows[:, None].expand(shape), columns.expand(shape)], 1)

    def onnx(self, op: Op, x: str) -> Values:
        require_fixed_sizes(op, x)
        height, width = op.shape(x)[2:]
        rows, columns = np.indices((height, width))
        ramps = op.array("ramps", np.stack([rows / height, columns / width])[None])
        images = op.Slice(op.Shape(x), op.ints(0), op.ints(1))
        shape = op.Concat(images, op.ints(2, height, width), axis=0)
        return op.Concat(x, op.Expand(ramps, shape), axis=1)
