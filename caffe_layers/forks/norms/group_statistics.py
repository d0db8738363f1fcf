"""Normalising the groups of each sample by their own statistics."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.op import Op


def normalize_groups(x: Tensor, groups: int, eps: float) -> Tensor:
    """Return `(x - mean) / sqrt(var + eps)` of each of `groups` equal parts of N x C x ....

    The variance is the biased one. `torch.nn.functional.group_norm` refuses parts of one value.
    """
    return torch.group_norm(x, groups, None, None, eps)


def onnx_normalize_groups(op: Op, x: str, groups: int, eps: float) -> str:
    """Append the same, with means of means: ONNX Runtime adds a reduction's values one by one.

    Over the million values of a group of video features its float sums, those of
    InstanceNormalization too, are off by a hundred thousandth, and a few such layers in a row by a
    hundred times that.
    """
    sizes = op.sizes(x)
    row = sizes[-1] if len(sizes) > 2 else 1
    parts = op.reshape_by(x, (sizes[0], groups, -1, row))
    centred = op.Sub(parts, _mean(op, parts))
    var = _mean(op, op.Mul(centred, centred))
    std = op.Sqrt(op.Add(var, op.scalar(eps)))
    return op.reshape_to_top(op.Div(centred, std))


def _mean(op: Op, parts: str) -> str:
    rows = op.reduce("ReduceMean", parts, (3,), keepdims=1)
    return op.reduce("ReduceMean", rows, (2,), keepdims=1)
