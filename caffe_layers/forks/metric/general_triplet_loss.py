"""GeneralTripletLoss, of NormFace."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .distances import check_distances, emit_rows, emit_share, own_columns


class GeneralTripletLoss(
    Layer,
    type="GeneralTripletLoss",
    fork="happynear",
    param="general_triplet_loss_param",
    bottoms=(2, 3),
    tops=(1, 2),
):
    """`top = sum of negative_weight * max(0, own + margin - d) / N`, a scalar.

    x are distances N x D of N samples to D classes: `own` is the label's, d each other one. With
    `hardest_only` each sample's largest term counts alone, with `positive_first` none where `own`
    is above `positive_upper_bound`. The second top, if there is one, are the means of own and
    other distances, two numbers.

    The gradient is Caffe's: `-negative_weight` for each d whose term counts, and `positive_weight`
    for `own`, once, if any counts, with `add_center_loss` always, and where `positive_first` takes
    the terms away. A third bottom, N, multiplies the gradients of its samples, and not the loss.
    With `hardest_only` a distance of exactly 0 is not pushed away: its term is its gradient.

    Errors: ShapeError for other numbers of labels or one that is no class, and for a single class;
    UnsupportedError for weights below 0.
    Caffe: happynear/caffe-windows, src/caffe/layers/general_triplet_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (1, 2)

    def __init__(
        self,
        *,
        margin: float = 0.2,
        add_center_loss: bool = True,
        hardest_only: bool = False,
        positive_first: bool = False,
        positive_upper_bound: float = 1.0,
        positive_weight: float = 1.0,
        negative_weight: float = 1.0,
        tops: int = 1,
    ) -> None:
        super().__init__()
        if positive_weight < 0 or negative_weight < 0:
            raise UnsupportedError("weights below 0 turn the order that Caffe looks for")
        self.margin, self.upper = float32(margin), float32(positive_upper_bound)
        self.add_center_loss, self.hardest_only = add_center_loss, hardest_only
        self.positive_first, self.tells = positive_first, tops == 2
        self.positive_weight, self.negative_weight = map(
            float32, (positive_weight, negative_weight)
        )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> GeneralTripletLoss:
        return cls(tops=len(layer.top), **cls.fields(layer))

    def shapes(self, x: Shape, label: Shape, *weight: Shape) -> list[Shape]:
        check_distances(x, label)
        for sizes in weight:
            require(prod(sizes) >= x[0], f"the weights {sizes} are {prod(sizes)}, wants {x[0]}")
        return [(), (2,)] if self.tells else [()]

    def forward(self, x: Tensor, label: Tensor, *weight: Tensor) -> Tensor | tuple[Tensor, ...]:
        rows = x.reshape(x.shape[0], -1)
        count, columns = rows.shape
        with torch.no_grad():
            index, whose = own_columns(rows, label)
            own = rows.gather(1, index)
            terms = (own + self.margin - rows).clamp(min=0) * self.negative_weight
            terms = terms.masked_fill(whose, 0)
            push = (own + self.margin > rows) & ~whose
            slopes = push.to(rows.dtype) * -self.negative_weight
            if self.hardest_only:
                hardest = torch.arange(columns, device=x.device) == terms.argmax(1, keepdim=True)
                terms = terms * hardest
                push = push & hardest & (terms > 0) & (rows != 0)
                slopes = torch.where(push, -self.negative_weight, terms)
            beyond = (own > self.upper) & self.positive_first
            terms, slopes = terms.masked_fill(beyond, 0), slopes.masked_fill(beyond, 0)
            pulled = push.any(1, keepdim=True) | beyond | self.add_center_loss
            slopes = torch.where(whose, pulled.to(rows.dtype) * self.positive_weight, slopes)
            if weight:
                slopes = slopes * weight[0].flatten()[:count, None]
            value = terms.sum() / count
            told = torch.stack(
                [own.sum() / count, (rows.sum() - own.sum()) / count / (columns - 1)]
            )
        loss = gradient_of(value, (slopes * rows).sum() / count)
        return (loss, told) if self.tells else loss

    def onnx(self, op: Op, x: str, label: str, *weight: str) -> Values:
        rows, index, whose = emit_rows(op, x, label)
        own = op.GatherElements(rows, index, axis=1)
        gaps = op.Relu(op.Sub(op.Add(own, op.scalar(self.margin)), rows))
        terms = op.Mul(gaps, op.scalar(self.negative_weight))
        terms = op.Where(whose, op.scalar(0), terms)
        if self.hardest_only:
            terms = op.reduce("ReduceMax", terms, [1], keepdims=1)
        if self.positive_first:
            beyond = op.Greater(own, op.scalar(self.upper))
            terms = op.Where(beyond, op.scalar(0), terms)
        total = op.ReduceSum(terms, keepdims=0)
        loss = op.Squeeze(emit_share(op, total, rows), op.ints(0))
        if not self.tells:
            return loss
        near = op.ReduceSum(own, keepdims=0)
        far = op.Sub(op.ReduceSum(rows, keepdims=0), near)
        columns = prod(op.shape(x)[1:])
        return loss, op.Concat(
            emit_share(op, near, rows), emit_share(op, far, rows, columns - 1), axis=0
        )
