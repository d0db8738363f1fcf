"""GeneralContrastiveLoss, of NormFace."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .distances import check_distances, emit_rows, emit_share, own_columns


class _Terms(NamedTuple):
    """The terms of the loss, their gradients by the distances, and the sums of hinges."""

    losses: Tensor
    slopes: Tensor
    positive: Tensor
    negative: Tensor


class GeneralContrastiveLoss(
    Layer,
    type="GeneralContrastiveLoss",
    fork="happynear",
    param="general_contrastive_loss_param",
    bottoms=(2, 3),
    tops=(1, 2),
):
    """`top = sum of |terms| / N` over distances N x D of N samples to D classes, a scalar.

    The label's own distance d has the term `positive_weight * min(positive_outlier_thresh,
    max(0, d - positive_margin))`, each other one `negative_weight * max(0, negative_margin - d)`,
    or with `exp_negative_weight` `negative_weight * e^-d` where d is below that margin. The second
    top, if there is one, are the mean of the own hinges and that of the other ones, unweighed.

    With `positive_first` other terms are 0 where the own d is above `positive_upper_bound`; with
    `max_negative_only` but for the largest of each sample, with `max_positive_only` own ones but
    for the first smallest, as in Caffe. With `add_intra_mae` the mean of own hinges, kept over
    passes in TRAIN (99 parts the old, 1 part the new, at most `max_negative_margin`), is added to
    `negative_margin`, and is the third number of the second top. A third bottom holds the
    distances that are looked at in the place of the first's, which gets the gradient. `square` is
    not used.

    The gradient is each term's slope, with two of Caffe's own: where `positive_first` takes the
    others away, the own distance's is `positive_weight` whatever d is; and with
    `normalize_negative` the others are divided by their sum over `normalize_negative * N`, where
    this exceeds `positive_weight`.

    Errors: ShapeError for other numbers of labels or one that is no class, and for a single class;
    UnsupportedError for weights below 0.
    Caffe: happynear/caffe-windows, src/caffe/layers/general_constrastive_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (1, 2)
    kept: Tensor

    def __init__(
        self,
        *,
        positive_margin: float = 0.0,
        negative_margin: float = 1.0,
        positive_weight: float = 1.0,
        negative_weight: float = 1.0,
        normalize_negative: float | None = None,
        positive_outlier_thresh: float = 4.0,
        square: bool = False,
        max_negative_only: bool = False,
        max_positive_only: bool = False,
        positive_first: bool = False,
        positive_upper_bound: float = 1.0,
        exp_negative_weight: bool = False,
        add_intra_mae: bool = False,
        max_negative_margin: float = 1.2,
        tops: int = 1,
    ) -> None:
        super().__init__()
        if positive_weight < 0 or negative_weight < 0:
            raise UnsupportedError("weights below 0 turn the order that Caffe looks for")
        self.positive_margin, self.negative_margin = map(
            float32, (positive_margin, negative_margin)
        )
        self.positive_weight, self.negative_weight = map(
            float32, (positive_weight, negative_weight)
        )
        self.divisor = None if normalize_negative is None else float32(normalize_negative)
        self.outlier, self.square = float32(positive_outlier_thresh), square
        self.max_negative_only, self.max_positive_only = max_negative_only, max_positive_only
        self.positive_first, self.upper = positive_first, float32(positive_upper_bound)
        self.exp_negative_weight, self.add_intra_mae = exp_negative_weight, add_intra_mae
        self.most = float32(max_negative_margin)
        self.tells = tops == 2
        self.register_buffer("kept", torch.zeros((), dtype=torch.float64))

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> GeneralContrastiveLoss:
        param, name = fork_field(layer, "general_contrastive_loss_param"), "normalize_negative"
        divisor = getattr(param, name) if param is not None and is_set(param, name) else None
        return cls(tops=len(layer.top), **cls.fields(layer, normalize_negative=divisor))

    def shapes(self, x: Shape, label: Shape, *seen: Shape) -> list[Shape]:
        check_distances(x, label)
        for other in seen:
            require(other == x, f"bottoms {x} and {other} differ in shape")
        return [(), (2 + self.add_intra_mae,)] if self.tells else [()]

    def forward(self, x: Tensor, label: Tensor, *seen: Tensor) -> Tensor | tuple[Tensor, ...]:
        rows = x.reshape(x.shape[0], -1)
        count = rows.shape[0]
        with torch.no_grad():
            looked_at = seen[0].reshape(rows.shape) if seen else rows
            terms = self._terms(looked_at, label)
            positive, negative = terms.positive / count, terms.negative / count
            told = [positive, negative / (rows.shape[1] - 1)]
            kept = 0.99 * self._kept(rows) + 0.01 * positive
            kept = kept.clamp(max=self.most)
            if self.add_intra_mae:
                told.append(kept)
            if self.training:
                self.kept.copy_(kept)
            value = terms.losses.abs().sum() / count
        loss = gradient_of(value, (terms.slopes * rows).sum() / count)
        return (loss, torch.stack(told)) if self.tells else loss

    def _kept(self, like: Tensor) -> Tensor:
        return self.kept.to(like.dtype) if self.training else like.new_zeros(())

    def _terms(self, d: Tensor, label: Tensor) -> _Terms:
        index, whose = own_columns(d, label)
        own = d.gather(1, index)
        margin = self.negative_margin + (self._kept(d) if self.add_intra_mae else 0)
        near = ~whose & (d < margin)
        hinge = (own - self.positive_margin).clamp(min=0, max=self.outlier)
        gap = torch.where(near, margin - d, 0)
        other = torch.where(near, (-d).exp(), 0) if self.exp_negative_weight else gap
        other = other * self.negative_weight
        inside = (own > self.positive_margin) & (own < self.outlier)
        slope = inside.to(d.dtype) * self.positive_weight
        pull = other if self.exp_negative_weight else near.to(d.dtype) * self.negative_weight
        if self.max_negative_only:
            # Caffe starts with the first column, whether it is the label's or not.
            ranked = other.where(near, -torch.inf)
            first = torch.where(index == 0, hinge * self.positive_weight, other[:, :1])
            ranked = torch.cat([first, ranked[:, 1:]], 1)
            kept = torch.arange(d.shape[1], device=d.device) == ranked.argmax(1, keepdim=True)
            other, pull = other * kept, pull * kept
        beyond = (own > self.upper) & self.positive_first
        other, pull = other.masked_fill(beyond, 0), pull.masked_fill(beyond, 0)
        losses = hinge * self.positive_weight
        if self.max_positive_only:
            chosen = torch.arange(d.shape[0], device=d.device)[:, None] == losses.argmin()
            losses, slope = losses * chosen, slope * chosen
        slope = torch.where(beyond, self.positive_weight, slope)
        if self.divisor is not None:
            share = pull.sum() / self.divisor / d.shape[0]
            pull = torch.where(share > self.positive_weight, pull / share, pull)
        slopes = torch.where(whose, slope, -pull)
        losses = torch.where(whose, losses, other)
        return _Terms(losses, slopes, hinge.sum(), gap.sum())

    def onnx(self, op: Op, x: str, label: str, *seen: str) -> Values:
        rows, index, whose = emit_rows(op, seen[0] if seen else x, label)
        zero, columns = op.scalar(0), prod(op.shape(x)[1:])
        own = op.GatherElements(rows, index, axis=1)
        margin = op.scalar(self.negative_margin)
        near = op.And(op.Not(whose), op.Less(rows, margin))
        over = op.Relu(op.Sub(own, op.scalar(self.positive_margin)))
        hinge = op.Min(over, op.scalar(self.outlier))
        gap = op.Where(near, op.Sub(margin, rows), zero)
        other = gap
        if self.exp_negative_weight:
            other = op.Where(near, op.Exp(op.Neg(rows)), zero)
        other = op.Mul(other, op.scalar(self.negative_weight))
        losses = op.Mul(hinge, op.scalar(self.positive_weight))
        if self.max_negative_only:
            other = self._emit_largest(op, other, losses, near, index, columns)
        if self.positive_first:
            beyond = op.Greater(own, op.scalar(self.upper))
            other = op.Where(beyond, zero, other)
        if self.max_positive_only:
            least = op.ArgMin(losses, axis=0, keepdims=0)
            losses = op.Gather(losses, least, axis=0)
        total = op.Add(op.ReduceSum(losses, keepdims=0), op.ReduceSum(other, keepdims=0))
        loss = op.Squeeze(emit_share(op, total, rows), op.ints(0))
        if not self.tells:
            return loss
        sums = (op.ReduceSum(part, keepdims=0) for part in (hinge, gap))
        positive, negative = (
            emit_share(op, part, rows, times)
            for part, times in zip(sums, (1, columns - 1), strict=True)
        )
        told = [positive, negative]
        if self.add_intra_mae:
            kept = op.Mul(positive, op.scalar(0.01))
            told.append(op.Min(kept, op.scalar(self.most)))
        return loss, op.Concat(*told, axis=0)

    def _emit_largest(
        self, op: Op, other: str, losses: str, near: str, index: str, columns: int
    ) -> str:
        """Append the other terms, but for the largest of each sample 0."""
        lowest = op.Where(near, other, op.scalar(-1))
        first = op.Slice(other, op.ints(0), op.ints(1), op.ints(1))
        first = op.Where(op.Equal(index, op.ints(0)), losses, first)
        rest = op.Slice(lowest, op.ints(1), op.ints(columns), op.ints(1))
        ranked = op.Concat(first, rest, axis=1)
        at = op.ArgMax(ranked, axis=1, keepdims=1)
        kept = op.GatherElements(other, at, axis=1)
        return op.ScatterElements(op.Mul(other, op.scalar(0)), at, kept, axis=1)
