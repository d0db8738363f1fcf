"""The Python layer `pygeometry.SE3_Generator_KITTI` of Depth-VO-Feat: from se(3) to 4 x 4."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.python import register_python

SMALL = 1e-12
"""The squared angle below which a rotation is `1 + W`."""
CROSS = np.array(
    [
        [0.0, 0, 0, 0, 0, -1, 0, 1, 0],
        [0.0, 0, 1, 0, 0, 0, -1, 0, 0],
        [0.0, -1, 0, 1, 0, 0, 0, 0, 0],
    ]
)
"""3 x 9: what makes of w the matrix W of the cross product with it, row by row."""


@register_python("pygeometry", "SE3_Generator_KITTI")
class SE3Generator(Layer, bottoms=1):
    """Rigid motions N x 1 x 4 x 4 of N x 6 numbers: a rotation's axis times angle w, and u.

    With the angle `a = |w|` and the matrix W of the cross product with w the rotation is
    `R = 1 + sin(a) / a W + 2 sin(a / 2)^2 / a^2 W W` (Rodrigues), or `1 + W` where `a^2 < 1e-12`.
    The top is `[R, R u; 0, 1]`.

    Errors: ShapeError for other than 6 numbers a sample.
    Caffe: Huangying-Zhan/Depth-VO-Feat, caffe/python/pygeometry.py
    """

    def shapes(self, x: Shape) -> list[Shape]:
        require(prod(x[1:]) == 6 and len(x) > 1, f"bottom {x}, wants N x 6")
        return [(x[0], 1, 4, 4)]

    def forward(self, x: Tensor) -> Tensor:
        w, u = x.flatten(1).tensor_split(2, 1)
        square = w.square().sum(1)[:, None, None]
        small = square < SMALL
        angle = torch.where(small, 1, square).sqrt()  # no root of 0 has a gradient
        cross = (w @ torch.as_tensor(CROSS).to(w)).reshape(-1, 3, 3)
        once = torch.where(small, 1, angle.sin() / angle)
        twice = torch.where(small, 0, 2 * ((angle / 2).sin() / angle).square())
        one = torch.eye(3, dtype=x.dtype, device=x.device)
        rotation = one + once * cross + twice * (cross @ cross)
        upper = torch.cat((rotation, rotation @ u[..., None]), 2)
        last = torch.cat((torch.zeros_like(u), torch.ones_like(u[:, :1])), 1)[:, None]
        return torch.cat((upper, last), 1)[:, None]

    def onnx(self, op: Op, x: str) -> Values:
        numbers = op.Flatten(x, axis=1)
        w, u = (op.Slice(numbers, op.ints(at), op.ints(at + 3), op.ints(1)) for at in (0, 3))
        square = op.reduce("ReduceSum", op.Mul(w, w), [1], keepdims=1)
        square = op.Unsqueeze(square, op.ints(2))
        small = op.Less(square, op.scalar(SMALL))
        angle = op.Sqrt(op.Where(small, op.scalar(1), square))
        cross = op.MatMul(w, op.array("cross", CROSS))
        cross = op.Reshape(cross, op.ints(-1, 3, 3))
        once = op.Where(small, op.scalar(1), op.Div(op.Sin(angle), angle))
        half = op.Div(op.Sin(op.Mul(angle, op.scalar(0.5))), angle)
        twice = op.Where(small, op.scalar(0), op.Mul(op.Mul(half, half), op.scalar(2)))
        rotation = op.Add(op.array("one", np.eye(3)), op.Mul(once, cross))
        rotation = op.Add(rotation, op.Mul(twice, op.MatMul(cross, cross)))
        moved = op.MatMul(rotation, op.Unsqueeze(u, op.ints(2)))
        upper = op.Concat(rotation, moved, axis=2)
        zeros = op.Mul(op.Slice(upper, op.ints(0), op.ints(1), op.ints(1)), op.scalar(0))
        last = op.Add(zeros, op.array("last", np.array([0.0, 0, 0, 1])))
        return op.Unsqueeze(op.Concat(upper, last, axis=1), op.ints(1))
