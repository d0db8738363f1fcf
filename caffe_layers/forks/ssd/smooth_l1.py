"""The function that SmoothL1Loss and MultiBoxLoss sum up: `d^2 / 2` near 0, else `|d| - 1/2`."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.op import Op


def smooth_l1(d: Tensor) -> Tensor:
    """Return it of every value."""
    return F.smooth_l1_loss(d, d.new_zeros(()).expand_as(d), reduction="none")


def emit_smooth_l1(op: Op, d: str) -> str:
    """Append it, as `m * (|d| - m / 2)` with `m = min(|d|, 1)`."""
    size = op.Abs(d)
    least = op.Min(size, op.scalar(1))
    half = op.Mul(least, op.scalar(0.5))
    return op.Mul(least, op.Sub(size, half))
