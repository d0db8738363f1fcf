"""Bilinear resizing whose corner values stay at the corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.op import Op


def resized(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return x, N x C x H x W, of another height and width.

    Row i of H' lies at `i * r` in x, `r = (H - 1) / (H' - 1)`, both computed in float32.
    """
    for axis, size in zip((2, 3), sizes, strict=True):
        if size != x.shape[axis]:
            x = _along(x, axis, size)
    return x


def _along(x: Tensor, axis: int, size: int) -> Tensor:
    have = x.shape[axis]
    ratio = float(np.float32(have - 1) / np.float32(size - 1)) if size > 1 else 0.0
    at = torch.arange(size, dtype=torch.float32, device=x.device) * ratio
    before = at.long()
    after = (before + 1).clamp(max=have - 1)
    shape = (-1, *(1,) * (x.dim() - axis - 1))
    weight = (at - before).to(x.dtype).reshape(shape)
    return x.index_select(axis, before) * (1 - weight) + x.index_select(axis, after) * weight


def emit_resized(op: Op, x: str, sizes: str) -> str:
    """Append what `resized` does, for two integers that may be known at run time only."""
    lead = op.Slice(op.Shape(x), op.ints(0), op.ints(2))
    target = op.Concat(lead, sizes, axis=0)
    return op.Resize(
        x, "", "", target, mode="linear", coordinate_transformation_mode="align_corners"
    )
