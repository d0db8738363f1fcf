"""HingeLoss."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .labels import check_batch, emit_first, first_labels
from .normalizer import leading_count


class HingeLoss(Layer, type="HingeLoss", param="hinge_loss_param", bottoms=2):
    """`top = sum(max(0, 1 + s)) / N`, a scalar, where s is x, but -x at the label of each sample.

    x is N x C x ..., of which all values of a sample are classes; there is one label for each of
    the N samples, truncated to an integer. The `norm` L2 sums the squares of the terms, L1 the
    terms.

    Errors: ShapeError where x and labels differ in N, or x has more than 4 axes.
    Caffe: BVLC/caffe, src/caffe/layers/hinge_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (1,)

    def __init__(self, *, norm: str = "L1") -> None:
        super().__init__()
        self.norm = norm

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_batch(x, label)
        legacy_shape(x, "bottom")
        return [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        rows = x.reshape(x.shape[0], -1)
        classes = rows.shape[1]
        index = first_labels(label, x, classes)
        right = torch.arange(classes, device=x.device) == index
        terms = F.relu(1 + torch.where(right, -rows, rows))
        return (terms.square() if self.norm == "L2" else terms).sum() / x.shape[0]

    def onnx(self, op: Op, x: str, label: str) -> Values:
        rows = op.Flatten(x, axis=1)
        zero, count, one = (op.const(np.array(n)) for n in (0, prod(op.shape(x)[1:]), 1))
        classes = op.Range(zero, count, one)
        right = op.Equal(emit_first(op, label, x), classes)
        signed = op.Where(right, op.Neg(rows), rows)
        terms = op.Relu(op.Add(signed, op.scalar(1)))
        if self.norm == "L2":
            terms = op.Mul(terms, terms)
        total = op.ReduceSum(terms, keepdims=0)
        return op.Div(total, leading_count(op, x, 1))
