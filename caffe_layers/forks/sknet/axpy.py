"""Axpy, from SENet."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from caffe_layers.kernels.axpy import axpy
from prototxt.errors import ShapeError


class Axpy(Layer, type="Axpy", fork="senet", bottoms=3):
    """`top = a * x + y`: `a` is N x C or N x C x 1 x 1, `x` and `y` are N x C x H x W.

    x and y may have any number of axes from two on. In Caffe an `a` of three axes escapes the
    check of its spatial size, and memory beyond it is read; it is refused here.
    `in_place` says that the top overwrites a. Caffe copies y there first, and then weighs x by
    what it finds: `top = y * x + y`. It can do so only where a has as many values as x.

    Caffe: hujie-frank/SENet, src/caffe/layers/axpy_layer.cpp
    """

    family = "sum"

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.in_place = in_place

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Axpy:
        return cls(in_place=layer.top[0] == layer.bottom[0])

    def shapes(self, a: Shape, x: Shape, y: Shape) -> list[Shape]:
        require(len(x) >= 2, f"x {x} has no channel axis, wants N x C x ...")
        require(a[:2] == x[:2], f"a {a} and x {x} differ in N x C")
        if a[2:] not in [(), (1, 1)]:
            raise ShapeError(f"a {a} is neither N x C nor N x C x 1 x 1: it weighs whole channels")
        require(x == y, f"x {x} and y {y} differ")
        if self.in_place and prod(x[2:]) != 1:
            raise ShapeError(
                f"the top {x} does not fit in the place of a {a}", fix="rename the top"
            )
        return [x]

    def forward(self, a: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return axpy(y if self.in_place else a, x, y)

    def onnx(self, op: Op, a: str, x: str, y: str) -> Values:
        if self.in_place:
            return op.Add(op.Mul(y, x), y)
        ones = (1,) * (len(op.shape(x)) - 2)
        scale = op.Reshape(a, op.ints(0, op.shape(x)[1], *ones))
        return op.Add(op.Mul(scale, x), y)

    def python(self, py: Py, a: str, x: str, y: str) -> str:
        rank = len(py.shapes[1])
        if self.in_place:
            return f"{y} * {x} + {y}"
        more = ", None" * (rank - len(py.shapes[0]))
        return f"{a}[...{more}] * {x} + {y}" if more else f"{a} * {x} + {y}"
