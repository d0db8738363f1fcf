"""MergeCrop, of greentea."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError


class MergeCrop(Layer, type="MergeCrop", fork="greentea", param="mergecrop_param", bottoms=2):
    """The first bottom with the middle of the second behind it (STACK), or added to it (ADD).

    The middle begins at `(B - A) / 2`, rounded down, along every axis but the first two, and has
    the first bottom's size A. What `forward` denies a bottom counts as 0, and what `backward`
    denies it has no gradient: the second has none where nothing is said.

    Errors: ShapeError for bottoms that do not fit; UnsupportedError for a STACK whose bottoms'
    numbers of channels differ, which Caffe's kernel mixes up: but for one image, and a first bottom
    with a multiple of the second's channels.
    Caffe: naibaf7/caffe, src/caffe/layers/mergecrop_layer.{cpp,cu}
    """

    def __init__(
        self,
        *,
        operation: str = "STACK",
        forward: Sequence[bool] = (),
        backward: Sequence[bool] = (),
    ) -> None:
        super().__init__()
        require(max(len(forward), len(backward)) <= 2, "forward and backward are of 2 bottoms")
        self.stacks = operation == "STACK"
        self.passes = (*forward, *(True, True)[len(forward) :])
        self.learns_from = (*backward, *(True, False)[len(backward) :])

    def shapes(self, a: Shape, b: Shape) -> list[Shape]:
        fit = len(a) == len(b) > 2 and a[0] == b[0]
        if not fit or any(small > large for small, large in zip(a[2:], b[2:], strict=True)):
            raise ShapeError(f"the bottoms are {a} and {b}, wants the first within the second")
        if a[1] != b[1]:
            require(self.stacks, f"bottoms {a} and {b} differ in channels, which ADD wants equal")
            if a[0] > 1 or a[1] % b[1]:
                raise UnsupportedError(f"bottoms {a} and {b} differ in channels: Caffe mixes them")
        return [(a[0], a[1] + b[1] * self.stacks, *a[2:])]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        for axis in range(2, a.dim()):
            b = b.narrow(axis, (b.shape[axis] - a.shape[axis]) // 2, a.shape[axis])
        parts = [
            part if learns else part.detach()
            for part, learns in zip((a, b), self.learns_from, strict=True)
        ]
        parts = [
            part if passes else torch.zeros_like(part)
            for part, passes in zip(parts, self.passes, strict=True)
        ]
        return torch.cat(parts, 1) if self.stacks else parts[0] + parts[1]

    def onnx(self, op: Op, a: str, b: str) -> Values:
        axes = range(2, len(op.shape(a)))
        beyond = op.ints(*axes)
        sizes = op.Gather(op.Shape(a), beyond)
        spare = op.Sub(op.Gather(op.Shape(b), beyond), sizes)
        first = op.Div(spare, op.ints(2))
        b = op.Slice(b, first, op.Add(first, sizes), beyond)
        parts = [
            part if passes else op.Mul(part, op.scalar(0))
            for part, passes in zip((a, b), self.passes, strict=True)
        ]
        return op.Concat(*parts, axis=1) if self.stacks else op.Add(*parts)
