"""Convert, of the curved text detector."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Convert(Layer, type="Convert", fork="rfcn", tops=(1, 2)):
    """A row of features N x D x ... x W as a sequence of W steps, W x N x D, and its cont, W x N.

    The cont is 0 in the first step and 1 in the others. Between D and W there is one value.

    Errors: ShapeError for x of fewer than 3 axes, and of more values than N D W.
    Caffe: Yuliang-Liu/Curve-Text-Detector, caffe/src/caffe/layers/convert_layer.cpp
    """

    def __init__(self, *, tops: int = 1) -> None:
        super().__init__()
        self.with_cont = tops == 2

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Convert:
        return cls(tops=len(layer.top))

    def shapes(self, x: Shape) -> list[Shape]:
        fits = len(x) >= 3 and prod(x[2:-1]) == 1
        require(fits, f"bottom {x} wants N x D x W, with axes of 1 in between")
        sequence = (x[-1], *x[:2])
        return [sequence, sequence[:2]] if self.with_cont else [sequence]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        sequence = x.reshape(*x.shape[:2], x.shape[-1]).permute(2, 0, 1)
        if not self.with_cont:
            return sequence
        cont = torch.ones_like(sequence[..., 0])
        cont[0] = 0
        return sequence, cont.detach()

    def onnx(self, op: Op, x: str) -> Values:
        rank = len(op.shape(x))
        if rank > 3:
            x = op.Squeeze(x, op.ints(*range(2, rank - 1)))
        sequence = op.Transpose(x, perm=[2, 0, 1])
        if not self.with_cont:
            return sequence
        one = op.Slice(sequence, op.ints(0), op.ints(1), op.ints(2))
        begun = op.Add(op.Mul(op.Squeeze(one, op.ints(2)), op.scalar(0)), op.scalar(1))
        first = op.Slice(begun, op.ints(0), op.ints(1), op.ints(0))
        rest = op.Slice(begun, op.ints(1), op.ints(2**62), op.ints(0))
        return sequence, op.Concat(op.Sub(first, first), rest, axis=0)
