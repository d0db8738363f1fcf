"""Grid, of LiteFlowNet."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Grid(Layer, type="Grid", fork="liteflownet"):
    """Every pixel's column and row, N x 2 x H x W, for a bottom of N x C x H x W.

    Errors: ShapeError for another number of axes.
    Caffe: twhui/LiteFlowNet, src/caffe/layers/grid_layer.cpp
    """

    fixed_bottoms = (0,)

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        return [(x[0], 2, *x[2:])]

    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        columns = ramp(x, width).expand(height, -1)
        rows = ramp(x, height)[:, None].expand(-1, width)
        return torch.stack((columns, rows)).expand(count, -1, -1, -1).clone()

    def onnx(self, op: Op, x: str) -> Values:
        columns = op.Mul(op.Unsqueeze(emit_ramp(op, x, 3), op.ints(0, 1)), op.scalar(1))
        rows = op.Unsqueeze(emit_ramp(op, x, 2), op.ints(0, 2))
        zeros = op.Mul(op.Add(columns, rows), op.scalar(0))
        pair = op.Unsqueeze(op.Concat(op.Add(columns, zeros), op.Add(rows, zeros), axis=0),
                            op.ints(0))  # fmt: skip
        sizes = op.Shape(x)
        count = op.Slice(sizes, op.ints(0), op.ints(1))
        return op.Expand(pair, op.Concat(count, op.ints(1, 1, 1), axis=0))
