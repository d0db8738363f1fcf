"""Eltwise, with happynear's SORT."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.op import Op, Values
from caffe_layers.common.eltwise_operation import EltwiseOperation


class FaceEltwise(EltwiseOperation, type="Eltwise", fork="happynear", bottoms=(2, None)):
    """`top = product over the bottoms of (x + 1)`: what `operation` SORT does, despite its name.

    `in_place` says that the top overwrites the first bottom, which Caffe sets to 1 before it reads
    it.

    Errors: ShapeError for bottoms of different shapes.
    Caffe: happynear/caffe-windows, src/caffe/layers/eltwise_layer.cpp
    """

    operation = "SORT"

    def forward(self, *bottoms: Tensor) -> Tensor:
        top = torch.full_like(bottoms[0], 2) if self.in_place else bottoms[0] + 1
        for x in bottoms[1:]:
            top = top * (x + 1)
        return top

    def onnx(self, op: Op, *bottoms: str) -> Values:
        one = op.scalar(1)
        more = [op.Add(x, one) for x in bottoms]
        product = op.scalar(2) if self.in_place else more[0]
        for x in more[1:-1]:
            product = op.Mul(product, x)
        return op.Mul(product, more[-1])
