"""ContrastiveLoss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .labels import check_batch, emit_first
from .normalizer import leading_count

GRADIENT_EPS = 1e-4  # Caffe's guard against a distance of 0, in its gradient alone


class ContrastiveLoss(Layer, type="ContrastiveLoss", param="contrastive_loss_param", bottoms=3):
    """The mean of `d^2 / 2` over similar pairs, of `max(margin - d, 0)^2 / 2` over the others.

    d is the distance of a to b, each N x C (x 1 x 1), and a pair is similar where its label, one
    for each of the N, is not 0 once truncated to an integer. `legacy_version` takes
    `max(margin - d^2, 0) / 2` for the others. The top is a scalar. The gradient of d is
    `(a - b) / (d + 1e-4)`, as in Caffe.

    Errors: ShapeError where a and b differ in N or C or have planes, and for fewer labels than N.
    Caffe: BVLC/caffe, src/caffe/layers/contrastive_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (2,)

    def __init__(self, *, margin: float = 1.0, legacy_version: bool = False) -> None:
        super().__init__()
        self.margin = float32(margin)
        self.legacy_version = legacy_version

    def shapes(self, a: Shape, b: Shape, label: Shape) -> list[Shape]:
        check_batch(a, b)
        sizes = [legacy_shape(shape, "bottom")[1:] for shape in (a, b)]
        if sizes[0] != sizes[1] or sizes[0][1:] != (1, 1):
            raise ShapeError(f"bottoms {a} and {b} want the same N x C, and no height and width")
        samples, *rest = legacy_shape(label, "label")
        require(rest == [1, 1, 1], f"labels {label} are several for a pair, wants one")
        require(len(label) > 0 and samples >= a[0], f"labels {label} are fewer than {a[0]} pairs")
        return [()]

    def forward(self, a: Tensor, b: Tensor, label: Tensor) -> Tensor:
        pairs = a.shape[0]
        square = (a - b.reshape(a.shape)).reshape(pairs, -1).square().sum(1)
        if self.legacy_version:
            others = F.relu(self.margin - square)
        else:
            distance = square.detach().sqrt()
            carrier = square / (2 * (distance + GRADIENT_EPS))
            others = F.relu(self.margin - gradient_of(distance, carrier)).square()
        similar = label.flatten()[:pairs].long() != 0
        return torch.where(similar, square, others).sum() / (2 * pairs)

    def onnx(self, op: Op, a: str, b: str, label: str) -> Values:
        rows = [op.Flatten(x, axis=1) for x in (a, b)]
        difference = op.Sub(*rows)
        products = op.Mul(difference, difference)
        square = op.ReduceSum(products, op.ints(1))
        distance = square if self.legacy_version else op.Sqrt(square)
        rest = op.Sub(op.scalar(self.margin), distance)
        others = op.Relu(rest)
        if not self.legacy_version:
            others = op.Mul(others, others)
        different = op.Equal(emit_first(op, label, a), op.ints(0))
        terms = op.Where(different, others, square)
        half = op.Mul(op.ReduceSum(terms, keepdims=0), op.scalar(0.5))
        return op.Div(half, leading_count(op, a, 1))
