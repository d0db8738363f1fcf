"""Softmax losses that weigh each prediction by its label's class: SegNet's and DeepLab's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import floored
from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.op import Op

from .labels import emit_labels
from .threshold import LOG_FLT_MIN


class Sums(NamedTuple):
    """What such a loss is made of: a sum of weighted losses, one of weights, and a count."""

    loss: Any
    weight: Any
    count: Any


def weighted_sums(
    x: Tensor, label: Tensor, axis: int, weights: Sequence[float], ignored: Sequence[int]
) -> Sums:
    """Return `sum of -w[label] * log(softmax(x)[label])`, `sum of w[label]` and how many count.

    The softmax runs along `axis` of x; without `weights` each is 1. The gradient is that of the
    unclamped logarithm. Raises ShapeError for a label that is no class and not ignored.
    """
    shape = list(x.shape)
    shape[axis] = 1
    index = label.detach().reshape(shape).long()
    valid = torch.ones_like(index, dtype=torch.bool)
    for value in ignored:
        valid &= index != value
    index = index.masked_fill(~valid, 0)
    check_indices(index, x.shape[axis], "labels")
    losses = -floored(x.log_softmax(axis).gather(axis, index), LOG_FLT_MIN)
    weight = valid.to(x.dtype)
    if weights:
        weight = weight * x.new_tensor(weights)[index]
    # A place that does not count must stay out even where its loss is infinite.
    return Sums((losses.masked_fill(~valid, 0) * weight).sum(), weight.sum(), valid.sum())


def emit_weighted_sums(
    op: Op, x: str, label: str, axis: int, weights: Sequence[float], ignored: Sequence[int]
) -> Sums:
    """Append what `weighted_sums` does."""
    index, valid = emit_labels(op, label, x, axis, None)[0], None
    for value in ignored:
        other = op.Not(op.Equal(index, op.ints(value)))
        valid = other if valid is None else op.And(valid, other)
    if valid is not None:
        index = op.Where(valid, index, op.ints(0))
    logs = op.LogSoftmax(x, axis=axis)
    picked = op.GatherElements(logs, index, axis=axis)
    losses = op.Neg(op.Max(picked, op.scalar(LOG_FLT_MIN)))
    if valid is None:
        zeros = op.Mul(op.to_float(index), op.scalar(0))
        ones = op.Add(zeros, op.scalar(1))
    else:
        losses = op.Where(valid, losses, op.scalar(0))
        ones = op.to_float(valid)
    weight = ones
    if weights:
        table = op.floats(weights)
        weight = op.Mul(ones, op.Gather(table, index))
    values = (op.Mul(losses, weight), weight, ones)
    return Sums(*(op.ReduceSum(v, keepdims=0) for v in values))
