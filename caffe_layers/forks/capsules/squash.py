"""Squash, of CapsNet."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .lengths import TINY, count_of


class Squash(Layer, type="Squash", fork="capsnet", param="squash_param"):
    """`top = x (1 - e^-n) / n` of each run of `capsule_dim` values, with `n^2 = sum(x^2) + 2e-7`.

    The bottom has any shape; `a` is read by nothing. Caffe's gradient of a value is that by itself
    alone: what the others of its capsule have of it by the length is left out, and so it is here.

    Errors: ShapeError for capsules that do not fill a sample.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/squash_layer.cpp
    """

    family = "activation"

    def __init__(self, *, capsule_dim: int, a: float = 1.0) -> None:
        super().__init__()
        self.capsule_dim = capsule_dim

    def shapes(self, x: Shape) -> list[Shape]:
        count_of(x, self.capsule_dim, "capsule_dim")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        capsules = x.reshape(len(x), -1, self.capsule_dim)
        plain = capsules.detach()
        n = (plain.square().sum(2, keepdim=True) + 2 * TINY).sqrt()
        factor = (1 - (-n).exp()) / n
        slope = factor + plain.square() * ((-n).exp() - factor) / n.square()
        return gradient_of(plain * factor, capsules * slope).view_as(x)

    def onnx(self, op: Op, x: str) -> Values:
        capsules = op.Reshape(x, op.ints(0, -1, self.capsule_dim))
        square = op.Mul(capsules, capsules)
        total = op.reduce("ReduceSum", square, (2,), keepdims=1)
        n = op.Sqrt(op.Add(total, op.scalar(2 * TINY)))
        factor = op.Div(op.Sub(op.scalar(1), op.Exp(op.Neg(n))), n)
        return op.reshape_to_top(op.Mul(capsules, factor))
