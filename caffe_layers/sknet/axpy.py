"""Axpy, from SENet."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..checks import require
from ..layer import Layer, Shape


def axpy(a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return `a * x + y`, where `a` (N x C or N x C x 1 x 1) weighs the channels of x."""
    return a.reshape(*x.shape[:2], *(1,) * (x.dim() - 2)) * x + y


class Axpy(Layer, type="Axpy", fork="senet", bottoms=3):
    """`top = a * x + y`: `a` is N x C or N x C x 1 x 1, `x` and `y` are N x C x H x W.

    x and y may have any number of axes from two on. In Caffe an `a` of three axes escapes the
    check of its spatial size, and memory beyond it is read; it is refused here.

    Caffe: hujie-frank/SENet, src/caffe/layers/axpy_layer.cpp
    """

    def shapes(self, a: Shape, x: Shape, y: Shape) -> list[Shape]:
        require(len(x) >= 2, f"x {x} has no channel axis, wants N x C x ...")
        require(a[:2] == x[:2], f"a {a} and x {x} differ in N x C")
        flat = a[2:] in [(), (1, 1)]
        require(flat, f"a {a} is neither N x C nor N x C x 1 x 1: it weighs whole channels")
        require(x == y, f"x {x} and y {y} differ")
        return [x]

    def forward(self, a: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return axpy(a, x, y)

    def onnx(self, op: Any, a: str, x: str, y: str) -> Any:
        ones = (1,) * (len(op.shape(x)) - 2)
        scale = op.Reshape(a, op.ints(0, op.shape(x)[1], *ones), name="scale")
        return op.Add(op.Mul(scale, x, name="product"), y)
