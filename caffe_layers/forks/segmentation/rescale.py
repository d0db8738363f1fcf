"""Rescale, of DeepSkeleton: scales of a skeleton as targets of a regression."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

NOTHING = 1e-4
"""Scales up to this are no skeleton."""


class Rescale(
    Layer, type="Rescale", fork="deepskeleton", param="rescale_param", bottoms=1, tops=(1, 2)
):
    """`top = 2 x / rf - 1` where `x < rf` and `abs(x) > 0.0001`, else 0; x of any shape.

    A second top is 1 at those places and 0 elsewhere. There is no gradient.

    Errors: ShapeError for an rf of 0.
    Caffe: zeakey/DeepSkeleton, src/caffe/layers/rescale_layer.cpp
    """

    fixed_bottoms = (0,)

    def __init__(self, *, rf: int, tops: int = 1) -> None:
        super().__init__()
        require(rf > 0, "rf is 0, wants 1 or more")
        self.rf, self.masked = rf, tops == 2

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Rescale:
        return cls(**cls.fields(layer), tops=len(layer.top))

    def shapes(self, x: Shape) -> list[Shape]:
        return [x, x] if self.masked else [x]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = x.detach()
        there = (x < self.rf) & (x.abs() > NOTHING)
        top = torch.where(there, 2 * x / self.rf - 1, torch.zeros_like(x))
        return (top, there.to(x)) if self.masked else top

    def onnx(self, op: Op, x: str) -> Values:
        there = op.And(op.Less(x, op.scalar(self.rf)), op.Greater(op.Abs(x), op.scalar(NOTHING)))
        scaled = op.Sub(op.Div(op.Mul(x, op.scalar(2)), op.scalar(self.rf)), op.scalar(1))
        top = op.Where(there, scaled, op.scalar(0))
        return (top, op.to_float(there)) if self.masked else top
