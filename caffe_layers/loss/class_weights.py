"""Softmax losses that weigh each prediction by its label's class: SegNet's and DeepLab's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import floored
from caffe_layers.arithmetic.indices import check_indices

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
    op: Any, x: str, label: str, axis: int, weights: Sequence[float], ignored: Sequence[int]
) -> Sums:
    """Append what `weighted_sums` does."""
    index, valid = emit_labels(op, label, x, axis, None)[0], None
    for number, value in enumerate(ignored):
        other = op.Not(op.Equal(index, op.ints(value), name=f"same{number}"), name=f"not{number}")
        valid = other if valid is None else op.And(valid, other, name=f"valid{number}")
    if valid is not None:
        index = op.Where(valid, index, op.ints(0), name="index")
    logs = op.LogSoftmax(x, axis=axis, name="logs")
    picked = op.GatherElements(logs, index, axis=axis, name="picked")
    losses = op.Neg(op.Max(picked, op.scalar(LOG_FLT_MIN), name="floored"), name="losses")
    if valid is None:
        zeros = op.Mul(op.to_float(index, name="index_float"), op.scalar(0), name="zeros")
        ones = op.Add(zeros, op.scalar(1), name="ones")
    else:
        losses = op.Where(valid, losses, op.scalar(0), name="valid_losses")
        ones = op.to_float(valid, name="ones")
    weight = ones
    if weights:
        table = op.floats(weights)
        weight = op.Mul(ones, op.Gather(table, index, name="weights"), name="weight")
    names = ("loss_sum", "weight_sum", "counted")
    values = (op.Mul(losses, weight, name="weighted"), weight, ones)
    return Sums(
        *(op.ReduceSum(v, keepdims=0, name=name) for v, name in zip(values, names, strict=True))
    )
