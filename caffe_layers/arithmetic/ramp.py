"""Indices as numbers: 0, 1, ... along an axis."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.op import Op


def ramp(like: Tensor, count: int) -> Tensor:
    """Return 0, 1, ..., count - 1 of `like`'s type."""
    return torch.arange(count, device=like.device).to(like.dtype)


def emit_count(op: Op, x: str, axis: int) -> str:
    """Append the size of an axis of x, as an integer without axes."""
    shape = op.Shape(x)
    return op.Gather(shape, op.const(np.array(axis, np.int64)), axis=0)


def emit_indices(op: Op, count: str) -> str:
    """Append 0, 1, ..., count - 1 as integers."""
    zero, one = (op.const(np.array(value, np.int64)) for value in (0, 1))
    return op.Range(zero, count, one)


def emit_ramp(op: Op, x: str, axis: int) -> str:
    """Append 0, 1, ... as many as an axis of x is long, as floats."""
    count = emit_count(op, x, axis)
    return op.to_float(emit_indices(op, count))
