"""TripletLoss, of happynear."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

LEAST = 1e-9
"""A smaller loss of a triplet hands no gradient on."""


class TripletLoss(
    Layer, type="TripletLoss", fork="happynear", param="triplet_loss_param", bottoms=3
):
    """`top = sum of max(margin + |a - p|^2 - |a - n|^2, 0) / (2 N)`, a scalar.

    The bottoms are N anchors, N samples of the same and N of another class, N x C each.

    Errors: ShapeError for bottoms that differ, and for values behind the channels.
    Caffe: happynear/caffe-windows, src/caffe/layers/triplet_loss_layer.cpp
    """

    is_loss = True

    def __init__(self, *, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = float32(margin)

    def shapes(self, a: Shape, p: Shape, n: Shape) -> list[Shape]:
        first = legacy_shape(a, "bottom")
        require(first[2:] == (1, 1), f"bottom {a} has values behind its channels")
        for other in (p, n):
            same = legacy_shape(other, "bottom") == first
            require(same, f"bottoms {a} and {other} differ in shape")
        return [()]

    def forward(self, a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        a, p, n = (rows.reshape(rows.shape[0], -1) for rows in (a, p, n))
        losses = self.margin + (a - p).square().sum(1) - (a - n).square().sum(1)
        losses = losses.clamp(min=0)
        return losses.detach().where(losses < LEAST, losses).sum() / (2 * a.shape[0])

    def onnx(self, op: Op, a: str, p: str, n: str) -> Values:
        a, p, n = (op.Reshape(rows, op.ints(0, -1)) for rows in (a, p, n))
        near, far = (
            op.reduce("ReduceSumSquare", op.Sub(a, other), [1], keepdims=0) for other in (p, n)
        )
        losses = op.Relu(op.Add(op.Sub(near, far), op.scalar(self.margin)))
        return op.Mul(op.ReduceMean(losses, keepdims=0), op.scalar(0.5))
