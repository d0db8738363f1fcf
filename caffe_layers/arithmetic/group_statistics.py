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
    """Append the same."""
    rows = op.Reshape(x, op.ints(0, groups, -1))
    if op.takes("InstanceNormalization"):
        ones, zeros = op.floats([1.0] * groups), op.floats([0.0] * groups)
        rows = op.InstanceNormalization(rows, ones, zeros, epsilon=eps)
    else:
        mean = op.reduce("ReduceMean", rows, (2,), keepdims=1)
        centred = op.Sub(rows, mean)
        square = op.Mul(centred, centred)
        var = op.reduce("ReduceMean", square, (2,), keepdims=1)
        rows = op.Div(centred, op.Sqrt(op.Add(var, op.scalar(eps))))
    return op.reshape_to_top(rows)
