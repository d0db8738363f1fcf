"""Indices as numbers: 0, 1, ... along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def ramp(like: Tensor, count: int) -> Tensor:
    """Return 0, 1, ..., count - 1 of `like`'s type."""
    return torch.arange(count, device=like.device).to(like.dtype)


def emit_count(op: Any, x: str, axis: int, name: str) -> Any:
    """Append the size of an axis of x, as an integer without axes."""
    shape = op.Shape(x, name=f"{name}_shape")
    return op.Gather(shape, op.const(np.array(axis, np.int64)), axis=0, name=name)


def emit_indices(op: Any, count: str, name: str) -> Any:
    """Append 0, 1, ..., count - 1 as integers."""
    zero, one = (op.const(np.array(value, np.int64)) for value in (0, 1))
    return op.Range(zero, count, one, name=name)


def emit_ramp(op: Any, x: str, axis: int, name: str) -> Any:
    """Append 0, 1, ... as many as an axis of x is long, as floats."""
    count = emit_count(op, x, axis, f"{name}_count")
    return op.to_float(emit_indices(op, count, f"{name}_index"), name=name)
